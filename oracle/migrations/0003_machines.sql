-- A node may put another machine, or other keys, in the place of those it has: which ones it had when.
CREATE TABLE machines (
    node          INTEGER NOT NULL,
    position      INTEGER NOT NULL,
    -- In force in the epochs that begin after this block.
    block         INTEGER NOT NULL,
    -- Transaction with the enrolment.
    enrolled_in   BLOB NOT NULL,
    hardware_id   BLOB NOT NULL,
    ak_hash       BLOB NOT NULL,
    node_key_hash BLOB NOT NULL,
    PRIMARY KEY (node, position)
) STRICT;
INSERT INTO machines
    SELECT node, 0, registered_block, registered_in, hardware_id, ak_hash, node_key_hash FROM nodes;

-- A clock belongs to the TPM whose attestation key signed it.
ALTER TABLE clocks RENAME TO node_clocks;
CREATE TABLE clocks (
    node          INTEGER NOT NULL,
    epoch         INTEGER NOT NULL,
    ak_hash       BLOB NOT NULL,
    clock_ms      INTEGER NOT NULL,
    reset_count   INTEGER NOT NULL,
    restart_count INTEGER NOT NULL,
    safe          INTEGER NOT NULL,
    envelope_hash BLOB NOT NULL,
    PRIMARY KEY (node, epoch)
) STRICT;
INSERT INTO clocks
    SELECT c.node, c.epoch, n.ak_hash, c.clock_ms, c.reset_count, c.restart_count, c.safe, c.envelope_hash
    FROM node_clocks c JOIN nodes n ON n.node = c.node
    -- Of verdicts that say that the quote was accepted: PASS, SLOW, UNREACHABLE.
    JOIN reports r ON r.epoch = c.epoch
    JOIN judgements j ON j.node = c.node AND j.epoch = c.epoch AND j.verdict_root = r.verdict_root AND j.reason IN (0, 1, 2);
DROP TABLE node_clocks;

ALTER TABLE nodes DROP COLUMN hardware_id;
ALTER TABLE nodes DROP COLUMN ak_hash;
ALTER TABLE nodes DROP COLUMN node_key_hash;
ALTER TABLE nodes DROP COLUMN registered_in;
