-- Evidence of the confidential guest that a machine enrolled from, CBOR; absent if it showed none.
ALTER TABLE enrolments ADD COLUMN guest BLOB;
-- How many of a TPM may still register.
CREATE INDEX enrolments_by_machine ON enrolments (ek_public, expiry);
