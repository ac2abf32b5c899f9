//! A proof where the processor has no AVX-512 IFMA: `PROBITY_KERNEL=scalar`, which is read once, so in another process.

use super::{
    child,
    node::{Node, keys},
    peer,
    record::{Goal, Record, Subject, Unit},
    timing::{Clock, pool, turns},
};
use circuits::{Profile, circuit::Circuit, proof};
use prover::{
    Prover,
    kernel::{self, KERNEL_VARIABLE, Kernel},
};
use serde_json::{Value, json};
use std::num::NonZeroUsize;

/// What the child is called.
pub const NAME: &str = "scalar";
const THREADS: usize = 2;

const SUBJECT: Subject = Subject {
    row: "prove-scalar",
    work: "prove 10 samples of the dev profile without IFMA",
    peer: Some(peer::NAME),
    unit: Unit::Seconds,
    goal: Goal::TimesAsGood(1.0),
    threads: THREADS,
};

pub fn against_arkworks() -> Record {
    let answer = child::ask(NAME, Some((KERNEL_VARIABLE, "scalar")));
    let [ours, peer] = serde_json::from_value(answer).unwrap();
    SUBJECT.measured(ours, peer)
}

/// Seconds of ours and of the peer.
pub fn measure_and_tell() -> Value {
    assert_eq!(kernel::active(), Ok(Kernel::Scalar));
    let profile = Profile::DEV;
    let prover = Prover::load_or_create(&profile, &keys(), NonZeroUsize::new(THREADS)).unwrap();
    let circuit = Circuit::new(&profile);
    let key = peer::key(&circuit);
    let (public, assignment) = Node::new(&profile).assignment(1);
    let threads = pool(THREADS);
    let (ours, theirs) = turns(
        Clock::Wall,
        15,
        || prover.prove_assignment(&assignment).unwrap(),
        || threads.install(|| peer::prove(&circuit, &key, &assignment)),
    );
    for proof in [&ours.result, &theirs.result] {
        proof::verify(prover.verifying_key(), &public, proof).unwrap();
    }
    json!([ours.seconds, theirs.seconds])
}
