-- By which attestation policy the committee judges: from its first epoch until the next one's.
CREATE TABLE policies (
    from_epoch  INTEGER PRIMARY KEY,
    policy_hash BLOB NOT NULL
) STRICT;
