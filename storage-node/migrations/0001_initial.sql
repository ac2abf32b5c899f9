-- What a storage node must remember so that a restart at any point goes on. Unsigned 64-bit numbers are stored as the
-- signed number of the same bits.

-- Next block whose events are applied; every block before it is final and done.
CREATE TABLE chain_cursor (
    id         INTEGER PRIMARY KEY CHECK (id = 0),
    next_block INTEGER NOT NULL
);

-- Slots of sealed deals that name, or named, this node.
CREATE TABLE slots (
    deal      INTEGER NOT NULL,
    slot      INTEGER NOT NULL,
    stripes   INTEGER NOT NULL,
    list_hash BLOB    NOT NULL,
    PRIMARY KEY (deal, slot)
);

-- Slots of deals that are proposed and not sealed yet.
CREATE TABLE offers (
    deal INTEGER NOT NULL,
    slot INTEGER NOT NULL,
    PRIMARY KEY (deal, slot)
);

-- This node's tenures of its slots: a slot that is moved away and back has two.
CREATE TABLE tenures (
    deal       INTEGER NOT NULL,
    slot       INTEGER NOT NULL,
    assignment INTEGER NOT NULL,
    state      TEXT    NOT NULL CHECK (state IN ('offered', 'accepted', 'dropped', 'lost')),
    to_epoch   INTEGER NOT NULL,
    dropped_in INTEGER,
    PRIMARY KEY (deal, slot, assignment),
    FOREIGN KEY (deal, slot) REFERENCES slots (deal, slot)
);

-- Shards of those slots with the roots the owner published; `stored` once they were verified and are on disk.
CREATE TABLE shards (
    deal           INTEGER NOT NULL,
    slot           INTEGER NOT NULL,
    stripe         INTEGER NOT NULL,
    storage_root   BLOB    NOT NULL,
    transport_root BLOB    NOT NULL,
    content_id     BLOB    NOT NULL,
    stored         INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (deal, slot, stripe),
    FOREIGN KEY (deal, slot) REFERENCES slots (deal, slot)
);

-- The node's final accept and drop transactions, in order: the inventory is a function of them.
CREATE TABLE inventory_log (
    position  INTEGER PRIMARY KEY,
    op        INTEGER NOT NULL CHECK (op IN (1, 2)),
    deal      INTEGER NOT NULL,
    slot      INTEGER NOT NULL,
    stripes   INTEGER NOT NULL,
    list_hash BLOB    NOT NULL,
    log       BLOB    NOT NULL,
    root      BLOB    NOT NULL,
    count     INTEGER NOT NULL,
    block     INTEGER NOT NULL
);

-- One row an epoch with a duty. The evidence is written before it is sent; the outcome closes the row.
CREATE TABLE epochs (
    epoch         INTEGER PRIMARY KEY,
    beacon        BLOB,
    envelope_hash BLOB,
    evidence      BLOB,
    submission_tx BLOB,
    outcome       TEXT CHECK (outcome IN ('timely', 'submitted', 'missed', 'void', 'no_duty')),
    detail        TEXT NOT NULL DEFAULT ''
);

CREATE TABLE receipts (
    epoch   INTEGER NOT NULL,
    oracle  BLOB    NOT NULL,
    receipt BLOB    NOT NULL,
    PRIMARY KEY (epoch, oracle)
);
