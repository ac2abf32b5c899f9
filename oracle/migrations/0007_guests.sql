-- Evidence of the confidential guest that a machine enrolled from, CBOR; absent if it showed none.
ALTER TABLE enrolments ADD COLUMN guest BLOB;
