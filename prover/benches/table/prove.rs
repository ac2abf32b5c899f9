//! A proof of the standard profile, whose samples fill a domain of 2^19: from the values of all variables to three points.

use super::{
    node::{Node, keys},
    peer,
    record::{Goal, Record, Subject, Unit},
    timing::{Clock, pool, turns},
};
use circuits::{Profile, circuit::Circuit, proof};
use prover::Prover;
use std::num::NonZeroUsize;

const THREADS: usize = 2;

const SUBJECT: Subject = Subject {
    row: "prove",
    work: "prove 100 samples of 34 TB",
    peer: Some(peer::NAME),
    unit: Unit::Seconds,
    goal: Goal::TimesAsGood(5.0),
    threads: THREADS,
};

pub fn against_arkworks() -> Record {
    let profile = Profile::STANDARD;
    let prover = Prover::load_or_create(&profile, &keys(), NonZeroUsize::new(THREADS)).unwrap();
    let circuit = Circuit::new(&profile);
    let key = peer::key(&circuit);
    let (public, assignment) = Node::new(&profile).assignment(1);
    let threads = pool(THREADS);
    let (ours, theirs) = turns(
        Clock::Wall,
        3,
        || prover.prove_assignment(&assignment).unwrap(),
        || threads.install(|| peer::prove(&circuit, &key, &assignment)),
    );
    for proof in [&ours.result, &theirs.result] {
        proof::verify(prover.verifying_key(), &public, proof).unwrap();
    }
    SUBJECT.measured(ours.seconds, theirs.seconds)
}
