//! How long a daemon that starts waits for its proving key.

use super::{
    node,
    record::{Goal, Record, Subject, Unit},
    timing::{Clock, alone},
};
use circuits::Profile;
use prover::{Prover, keys};
use std::num::NonZeroUsize;

const THREADS: usize = 2;

const SUBJECT: Subject = Subject {
    row: "key-load",
    work: "load the key of 100 samples of 34 TB",
    peer: None,
    unit: Unit::Milliseconds,
    goal: Goal::AtMost(50.0),
    threads: THREADS,
};

/// From the file to a prover that waits for a statement; the file is in the page cache.
pub fn measure() -> Record {
    let (profile, folder) = (Profile::STANDARD, node::keys());
    keys::load_or_create(&profile, &folder).unwrap();
    let load = || Prover::load_or_create(&profile, &folder, NonZeroUsize::new(THREADS)).unwrap();
    let best = alone(Clock::Wall, 5, load);
    assert_eq!(best.result.profile(), &profile);
    SUBJECT.alone(1e3 * best.seconds)
}
