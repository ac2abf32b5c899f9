-- This oracle's own revocation notices, as signed.
CREATE TABLE notices (
    sequence INTEGER PRIMARY KEY,
    -- CBOR of the signed notice.
    notice   BLOB NOT NULL
) STRICT;
