-- A machine may enrol more than once, with other keys or another expiry: what it registered with must stay. Kept by the statement
-- that was signed, which cannot be had from the old rows; no release ever wrote any.
DROP TABLE enrolments;
CREATE TABLE enrolments (
    -- EIP-712 digest of the Enrolment.
    digest         BLOB PRIMARY KEY,
    account        BLOB NOT NULL,
    ek_certificate BLOB NOT NULL,
    -- CBOR list of DER certificates.
    intermediates  BLOB NOT NULL,
    ek_public      BLOB NOT NULL,
    node_public    BLOB NOT NULL,
    expiry         INTEGER NOT NULL,
    signature      BLOB NOT NULL
) STRICT;
