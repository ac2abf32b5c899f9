-- This oracle's own revocation notices, as signed.
CREATE TABLE notices (
    -- Whoever takes another chain key begins another feed.
    issuer   BLOB NOT NULL,
    sequence INTEGER NOT NULL,
    -- CBOR of the signed notice.
    notice   BLOB NOT NULL,
    PRIMARY KEY (issuer, sequence)
) STRICT;
