//! From a shard's bytes to its storage root, and what a second thread adds.

use super::{
    record::{Goal, Record, Subject, Unit},
    sponge,
    timing::{Clock, pool, turns},
};
use circuits::{StorageRoot, storage::SHARD_BYTES};
use prover::kernel::{self, storage};
use rayon::prelude::*;

const SUBJECT: Subject = Subject {
    row: "root",
    work: "bytes to shard root",
    peer: Some("taceo-poseidon2, t = 3 sponge over cells of 2 KiB"),
    unit: Unit::MegabytesPerSecond,
    goal: Goal::TimesAsGood(12.0),
    threads: 1,
};

const SCALING: Subject = Subject {
    row: "root-scaling",
    work: "bytes to shard root on two threads",
    peer: Some("ours on one thread"),
    unit: Unit::MegabytesPerSecond,
    goal: Goal::TimesAsGood(1.95),
    threads: 2,
};

/// Shards that are hashed in a turn, as many at once as there are threads: so does `prover ingest`.
const SHARDS: usize = 4;

/// Different roots of one shard: the trees are not the same, only the bytes are.
pub fn against_sponge() -> Record {
    let shard = bytes(SHARD_BYTES);
    let one = pool(1);
    let (ours, peer) =
        one.install(|| turns(Clock::Thread, 15, || roots(&shard), || sponge::root(&shard)));
    assert_ne!(ours.result[0].to_bytes(), [0; 32]);
    let rate = |seconds: f64| megabytes(shard.len()) / seconds;
    SUBJECT.measured(rate(ours.seconds), rate(peer.seconds))
}

pub fn scaling() -> Record {
    let shards = bytes(SHARDS * SHARD_BYTES);
    let (one, two) = (pool(1), pool(2));
    let (ours, peer) = turns(
        Clock::Wall,
        40,
        || two.install(|| roots(&shards)),
        || one.install(|| roots(&shards)),
    );
    assert_eq!(ours.result, peer.result);
    let rate = |seconds: f64| megabytes(shards.len()) / seconds;
    SCALING.measured(rate(ours.seconds), rate(peer.seconds))
}

fn roots(shards: &[u8]) -> Vec<StorageRoot> {
    let kernel = kernel::active().unwrap();
    let tree = |shard| storage::storage_tree(kernel, shard).unwrap();
    let shards = shards.par_chunks(SHARD_BYTES);
    shards.map(|shard| tree(shard).root()).collect()
}

/// Bytes that do not repeat.
pub fn bytes(length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    blake3::Hasher::new().finalize_xof().fill(&mut bytes);
    bytes
}

#[allow(clippy::cast_precision_loss, reason = "far below 2^52 bytes")]
pub fn megabytes(bytes: usize) -> f64 {
    bytes as f64 / 1e6
}
