-- How the node key was certified for this oracle at an enrolment: CBOR [nonce, TPMS_ATTEST, signature]. What links an answer of the node to its
-- attestation key for somebody who was not there.
ALTER TABLE enrolments ADD COLUMN certification BLOB;
