//! Reed–Solomon 10+4 on whole shards, in buffers that exist.

use super::{
    record::{Goal, Record, Subject, Unit},
    root::{bytes, megabytes},
    timing::{Clock, pool, turns},
};
use circuits::storage::SHARD_BYTES;
use prover::erasure::{Code, Geometry, Place};
use reed_solomon_erasure::galois_8::ReedSolomon;

const DATA: usize = 10;
const PARITY: usize = 4;
const ROUNDS: usize = 200;

const fn subject(row: &'static str, work: &'static str, threads: usize) -> Subject {
    Subject {
        row,
        work,
        peer: Some("reed-solomon-erasure with simd-accel, which has no threads"),
        unit: Unit::MegabytesPerSecond,
        goal: Goal::TimesAsGood(3.0),
        threads,
    }
}

pub fn encode() -> Record {
    let mut ours = stripe();
    let mut theirs = ours.clone();
    let geometry = Geometry::new(DATA, PARITY).unwrap();
    let (code, peer) = (Code::new(geometry), ReedSolomon::new(DATA, PARITY).unwrap());
    let one = pool(1);
    let (ours_best, peer_best) = {
        let (sources, targets) = ours.split_at_mut(DATA);
        let sources: Vec<&[u8]> = sources.iter().map(Vec::as_slice).collect();
        let mut targets: Vec<&mut [u8]> = targets.iter_mut().map(Vec::as_mut_slice).collect();
        one.install(|| {
            turns(
                Clock::Thread,
                ROUNDS,
                || code.encode(&sources, &mut targets).unwrap(),
                || peer.encode(&mut theirs).unwrap(),
            )
        })
    };
    assert!(ours == theirs, "both make the same parity");
    let rate = |seconds: f64| megabytes(DATA * SHARD_BYTES) / seconds;
    subject("encode", "Reed-Solomon 10+4: encode", 1)
        .measured(rate(ours_best.seconds), rate(peer_best.seconds))
}

pub fn rebuild_four() -> Record {
    let work = "Reed-Solomon 10+4: rebuild 4 lost shards";
    rebuild(subject("rebuild-4", work, 1), &[0, 3, 4, 9])
}

/// On one core both would wait for the memory: reading the ten shards takes as long as ours does.
pub fn rebuild_one() -> Record {
    let work = "Reed-Solomon 10+4: rebuild 1 lost shard";
    rebuild(subject("rebuild-1", work, 2), &[3])
}

fn rebuild(subject: Subject, lost: &[usize]) -> Record {
    let mut shards = stripe();
    let peer = ReedSolomon::new(DATA, PARITY).unwrap();
    peer.encode(&mut shards).unwrap();
    let code = Code::new(Geometry::new(DATA, PARITY).unwrap());
    let mut flagged: Vec<(Vec<u8>, bool)> =
        shards.iter().map(|shard| (shard.clone(), true)).collect();
    let mut rebuilt = vec![vec![0; SHARD_BYTES]; lost.len()];
    let (threads, clock) = match subject.threads {
        1 => (pool(1), Clock::Thread),
        more => (pool(more), Clock::Wall),
    };
    let (ours, theirs) = threads.install(|| {
        turns(
            clock,
            ROUNDS,
            || {
                let mut places: Vec<Place<'_>> =
                    shards.iter().map(|shard| Place::Present(shard)).collect();
                for (slot, shard) in lost.iter().zip(&mut rebuilt) {
                    places[*slot] = Place::Wanted(shard);
                }
                code.rebuild(&mut places).unwrap();
            },
            || {
                for slot in lost {
                    flagged[*slot].1 = false;
                }
                peer.reconstruct(&mut flagged).unwrap();
            },
        )
    });
    for (slot, shard) in lost.iter().zip(&rebuilt) {
        assert!(shard == &shards[*slot] && shard == &flagged[*slot].0);
    }
    let rate = |seconds: f64| megabytes(DATA * SHARD_BYTES) / seconds;
    subject.measured(rate(ours.seconds), rate(theirs.seconds))
}

/// Data shards, and room for the parity.
fn stripe() -> Vec<Vec<u8>> {
    let data = bytes(DATA * SHARD_BYTES);
    let mut shards: Vec<Vec<u8>> = data.chunks(SHARD_BYTES).map(<[u8]>::to_vec).collect();
    shards.resize(DATA + PARITY, vec![0; SHARD_BYTES]);
    shards
}
