//! What verifying one proof costs among a thousand.

use super::{
    node::{Node, keys},
    record::{Goal, Record, Subject, Unit},
    timing::{Clock, pool, turns},
};
use ark_bn254::Bn254;
use ark_groth16::Groth16;
use circuits::{Profile, Proof, Public, proof};
use prover::Prover;

/// Proofs in the batch.
const BATCH: usize = 1000;
/// Statements; the other proofs are re-randomised ones of theirs.
const STATEMENTS: u64 = 10;
/// Proofs that the peer verifies in its turn.
const SINGLE: usize = 20;

const SUBJECT: Subject = Subject {
    row: "batch",
    work: "verify a proof in a batch of 1,000",
    peer: Some("ark-groth16 0.6, one proof with a prepared key"),
    unit: Unit::Microseconds,
    goal: Goal::TimesAsGood(3.2),
    threads: 1,
};

pub fn against_single() -> Record {
    let prover = Prover::load_or_create(&Profile::DEV, &keys(), None).unwrap();
    let node = Node::new(&Profile::DEV);
    let key = prover.verifying_key();
    let proven: Vec<(Public, Proof)> = (0..STATEMENTS)
        .map(|epoch| {
            let (public, private) = node.statement(epoch);
            (public, prover.prove(&public, &private).unwrap())
        })
        .collect();
    let others = proven.iter().cycle();
    let batch: Vec<(Public, Proof)> = others
        .take(BATCH)
        .map(|(public, proof)| (*public, proof.rerandomized(key)))
        .collect();
    let one = pool(1);
    let (ours, peer) = one.install(|| {
        turns(
            Clock::Thread,
            10,
            || proof::verify_batch(key, &batch),
            || {
                batch[..SINGLE].iter().all(|(public, proof)| {
                    let inputs = public.to_inputs();
                    Groth16::<Bn254>::verify_proof(key.prepared(), proof.points(), &inputs).unwrap()
                })
            },
        )
    });
    assert!(peer.result && ours.result.iter().all(Result::is_ok));
    SUBJECT.measured(
        1e6 * ours.seconds / count(BATCH),
        1e6 * peer.seconds / count(SINGLE),
    )
}

fn count(proofs: usize) -> f64 {
    f64::from(u32::try_from(proofs).unwrap())
}
