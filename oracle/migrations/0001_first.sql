-- Numbers from the chain are unsigned 64-bit and stored as the signed integer with the same bits; hashes and addresses are
-- big-endian blobs; structures are the deterministic CBOR that signatures cover.

CREATE TABLE meta (key TEXT PRIMARY KEY, value BLOB NOT NULL) STRICT;

-- ------------------------------------------------------------------ what the chain's finalized events say

CREATE TABLE nodes (
    node             INTEGER PRIMARY KEY,
    account          BLOB NOT NULL,
    hardware_id      BLOB NOT NULL,
    ak_hash          BLOB NOT NULL,
    node_key_hash    BLOB NOT NULL,
    registered_block INTEGER NOT NULL,
    registered_in    BLOB NOT NULL,
    -- Block at which it was removed or withdrew.
    left_block       INTEGER,
    url              TEXT NOT NULL,
    tls_key_hash     BLOB NOT NULL
) STRICT;

CREATE TABLE oracle_sets (
    version      INTEGER NOT NULL,
    position     INTEGER NOT NULL,
    from_epoch   INTEGER NOT NULL,
    account      BLOB NOT NULL,
    url          TEXT NOT NULL,
    tls_key_hash BLOB NOT NULL,
    PRIMARY KEY (version, position)
) STRICT;

CREATE TABLE shard_roots (
    deal           INTEGER NOT NULL,
    slot           INTEGER NOT NULL,
    stripe         INTEGER NOT NULL,
    storage_root   BLOB NOT NULL,
    transport_root BLOB NOT NULL,
    content_id     BLOB NOT NULL,
    PRIMARY KEY (deal, slot, stripe)
) STRICT, WITHOUT ROWID;

-- Every change of a node's inventory: what the node claimed, and what the replay of its log came to.
CREATE TABLE inventory_log (
    node          INTEGER NOT NULL,
    position      INTEGER NOT NULL,
    block         INTEGER NOT NULL,
    operation     INTEGER NOT NULL,
    deal          INTEGER NOT NULL,
    slot          INTEGER NOT NULL,
    stripes       INTEGER NOT NULL,
    log           BLOB NOT NULL,
    root          BLOB NOT NULL,
    count         INTEGER NOT NULL,
    -- NULL if the log cannot be replayed.
    replayed_root BLOB,
    PRIMARY KEY (node, position)
) STRICT;
CREATE INDEX inventory_log_by_block ON inventory_log (node, block);

CREATE TABLE beacons (epoch INTEGER PRIMARY KEY, beacon BLOB NOT NULL) STRICT;

CREATE TABLE submissions (
    epoch          INTEGER NOT NULL,
    node           INTEGER NOT NULL,
    envelope_hash  BLOB NOT NULL,
    body           BLOB NOT NULL,
    node_signature BLOB NOT NULL,
    proof          BLOB NOT NULL,
    block          INTEGER NOT NULL,
    PRIMARY KEY (epoch, node)
) STRICT;

CREATE TABLE reports (
    epoch        INTEGER PRIMARY KEY,
    report       BLOB NOT NULL,
    verdict_root BLOB NOT NULL,
    block        INTEGER NOT NULL,
    reported_in  BLOB NOT NULL,
    -- 1 once the clocks of the evidence it rests on are in `clocks`.
    concluded    INTEGER NOT NULL DEFAULT 0
) STRICT;

CREATE TABLE settlements (
    node               INTEGER NOT NULL,
    epoch              INTEGER NOT NULL,
    block              INTEGER NOT NULL,
    -- NULL: the epoch needed no verdict.
    reason             INTEGER,
    skipped            INTEGER,
    paid               INTEGER NOT NULL,
    grace              INTEGER NOT NULL,
    slashed            TEXT NOT NULL,
    storage_score      INTEGER,
    availability_score INTEGER,
    PRIMARY KEY (node, epoch)
) STRICT;

-- ------------------------------------------------------------------ what nodes sent

-- TPMT_PUBLIC and key point by the hash the registry has: from enrolments, and from evidence.
CREATE TABLE attestation_keys (ak_hash BLOB PRIMARY KEY, ak_public BLOB NOT NULL) STRICT;
CREATE TABLE node_keys (node_key_hash BLOB PRIMARY KEY, node_key BLOB NOT NULL) STRICT;

-- What a machine enrolled with, for bundles.
CREATE TABLE enrolments (
    ak_hash        BLOB PRIMARY KEY,
    account        BLOB NOT NULL,
    ek_certificate BLOB NOT NULL,
    -- CBOR list of DER certificates.
    intermediates  BLOB NOT NULL,
    ek_public      BLOB NOT NULL,
    node_public    BLOB NOT NULL,
    expiry         INTEGER NOT NULL,
    signature      BLOB NOT NULL
) STRICT;

CREATE TABLE evidence (
    epoch         INTEGER NOT NULL,
    node          INTEGER NOT NULL,
    envelope_hash BLOB NOT NULL,
    -- Evidence without its receipts.
    evidence      BLOB NOT NULL,
    PRIMARY KEY (epoch, node, envelope_hash)
) STRICT;

CREATE TABLE receipts (
    epoch         INTEGER NOT NULL,
    node          INTEGER NOT NULL,
    envelope_hash BLOB NOT NULL,
    oracle        BLOB NOT NULL,
    block         INTEGER NOT NULL,
    signature     BLOB NOT NULL,
    PRIMARY KEY (epoch, node, envelope_hash, oracle)
) STRICT;

CREATE TABLE probes (
    epoch  INTEGER NOT NULL,
    node   INTEGER NOT NULL,
    number INTEGER NOT NULL,
    record BLOB NOT NULL,
    PRIMARY KEY (epoch, node, number)
) STRICT;

-- ------------------------------------------------------------------ the committee's agreement

-- This oracle's own observation: written before its commitment leaves.
CREATE TABLE own_observations (
    epoch       INTEGER PRIMARY KEY,
    reveal      BLOB NOT NULL,
    commitment  BLOB NOT NULL
) STRICT;

CREATE TABLE commitments (
    epoch      INTEGER NOT NULL,
    oracle     BLOB NOT NULL,
    commitment BLOB NOT NULL,
    PRIMARY KEY (epoch, oracle)
) STRICT;

-- Lists this oracle revealed against, its own as a leader among them: written before the reveal leaves.
CREATE TABLE answered_lists (
    epoch INTEGER NOT NULL,
    view  INTEGER NOT NULL,
    list  BLOB NOT NULL,
    PRIMARY KEY (epoch, view)
) STRICT;

-- What this oracle leads with, the same after a restart.
CREATE TABLE led_views (
    epoch        INTEGER NOT NULL,
    view         INTEGER NOT NULL,
    list         BLOB NOT NULL,
    anchor_block INTEGER NOT NULL,
    anchor_hash  BLOB NOT NULL,
    PRIMARY KEY (epoch, view)
) STRICT;

CREATE TABLE reveals (
    epoch  INTEGER NOT NULL,
    oracle BLOB NOT NULL,
    reveal BLOB NOT NULL,
    PRIMARY KEY (epoch, oracle)
) STRICT;

CREATE TABLE proposals (
    epoch         INTEGER NOT NULL,
    view          INTEGER NOT NULL,
    proposal_hash BLOB NOT NULL,
    proposal      BLOB NOT NULL,
    PRIMARY KEY (epoch, view, proposal_hash)
) STRICT;

-- The one report this oracle signed in a view: written before the signature leaves.
CREATE TABLE signed_reports (
    epoch     INTEGER NOT NULL,
    view      INTEGER NOT NULL,
    report    BLOB NOT NULL,
    signature BLOB NOT NULL,
    PRIMARY KEY (epoch, view)
) STRICT;

-- A report with a quorum of signatures.
CREATE TABLE agreed_reports (
    epoch      INTEGER NOT NULL,
    view       INTEGER NOT NULL,
    report     BLOB NOT NULL,
    bitmap     BLOB NOT NULL,
    signatures BLOB NOT NULL,
    PRIMARY KEY (epoch, view)
) STRICT;

-- Verdicts this oracle came to, by the root of their tree.
CREATE TABLE judgements (
    epoch         INTEGER NOT NULL,
    verdict_root  BLOB NOT NULL,
    node          INTEGER NOT NULL,
    verdict       BLOB NOT NULL,
    reason        INTEGER NOT NULL,
    detail        TEXT,
    envelope_hash BLOB,
    -- The clock of that envelope's quote, if the quote is the enrolled key's.
    clock_ms      INTEGER,
    reset_count   INTEGER,
    restart_count INTEGER,
    safe          INTEGER,
    PRIMARY KEY (epoch, verdict_root, node)
) STRICT;

-- Proposal whose list and reveals a judgement rests on.
CREATE TABLE judged_proposals (
    epoch         INTEGER NOT NULL,
    verdict_root  BLOB NOT NULL,
    proposal_hash BLOB NOT NULL,
    PRIMARY KEY (epoch, verdict_root)
) STRICT;

-- TPM clock of the evidence a node's verdict rests on, once the report is accepted.
CREATE TABLE clocks (
    node          INTEGER NOT NULL,
    epoch         INTEGER NOT NULL,
    clock_ms      INTEGER NOT NULL,
    reset_count   INTEGER NOT NULL,
    restart_count INTEGER NOT NULL,
    safe          INTEGER NOT NULL,
    envelope_hash BLOB NOT NULL,
    PRIMARY KEY (node, epoch)
) STRICT;
