-- Whose memory this is: the log, the cursor and the tenures of another node, hub or chain would never fit.
CREATE TABLE identity (
    id       INTEGER PRIMARY KEY CHECK (id = 0),
    chain_id INTEGER NOT NULL,
    hub      BLOB    NOT NULL,
    node     INTEGER NOT NULL
);

-- First epoch counted, 0 while not accepted: tells the tenures of a slot that came back apart.
ALTER TABLE tenures ADD COLUMN from_epoch INTEGER NOT NULL DEFAULT 0;
