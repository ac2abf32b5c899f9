//! The most memory that a process ever held, as the kernel counts it (`VmHWM`): the work runs in a process of its own.

use super::{
    child,
    node::{self, Node},
    record::{Goal, Record, Subject, Unit},
    timing::pool,
};
use circuits::{Profile, proof};
use prover::{Geometry, Prover, folder, keys};
use serde_json::{Value, json};
use std::{fs, io::Read, num::NonZeroUsize};

/// What the children are called.
pub const PROVE: &str = "memory-prove";
pub const INGEST: &str = "memory-ingest";

const THREADS: usize = 2;
/// Bytes of the object that is taken in.
const OBJECT: u64 = 1 << 28;
/// Data and parity shards of its stripes: 8, 14, 32 and 64 in all. What is told is the most that any of them needed.
const GEOMETRIES: [(usize, usize); 4] = [(6, 2), (10, 4), (24, 8), (48, 16)];

const fn subject(row: &'static str, work: &'static str, most: f64) -> Subject {
    Subject {
        row,
        work,
        peer: None,
        unit: Unit::Megabytes,
        goal: Goal::AtMost(most),
        threads: THREADS,
    }
}

pub fn prove() -> Record {
    // Made here if need be, so that the child only loads it.
    keys::load_or_create(&Profile::STANDARD, &node::keys()).unwrap();
    measure(subject(
        PROVE,
        "memory: load the key and prove 100 samples of 34 TB",
        700.0,
    ))
}

pub fn ingest() -> Record {
    measure(subject(
        INGEST,
        "memory: 256 MiB into a folder of 8, 14, 32 or 64 shards a stripe, with parity and commitments",
        64.0,
    ))
}

fn measure(subject: Subject) -> Record {
    match child::ask(subject.row, None).as_f64() {
        Some(megabytes) => subject.alone(megabytes),
        None => subject.absent("this system does not tell VmHWM"),
    }
}

pub fn prove_and_tell() -> Value {
    // Made here if need be, so that the child that is measured only loads.
    let profile = Profile::STANDARD;
    let threads = NonZeroUsize::new(THREADS);
    let prover = Prover::load_or_create(&profile, &node::keys(), threads).unwrap();
    let (public, private) = Node::new(&profile).statement(1);
    let proof = prover.prove(&public, &private).unwrap();
    proof::verify(prover.verifying_key(), &public, &proof).unwrap();
    most_megabytes()
}

pub fn ingest_and_tell() -> Value {
    let place = node::target().join("bench");
    fs::create_dir_all(&place).unwrap();
    let place = tempfile::tempdir_in(place).unwrap();
    for (data, parity) in GEOMETRIES {
        let object = blake3::Hasher::new().finalize_xof().take(OBJECT);
        let geometry = Geometry::new(data, parity).unwrap();
        let folder = place.path().join(geometry.slots().to_string());
        let written = pool(THREADS)
            .install(|| folder::write(object, geometry, &folder, |_| ()))
            .unwrap();
        assert_eq!(written.stripes, geometry.stripes(OBJECT));
        fs::remove_dir_all(folder).unwrap();
    }
    most_megabytes()
}

/// `null` where the system does not tell.
fn most_megabytes() -> Value {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<u32>().ok());
    json!(kib.map(|kib| f64::from(kib) * 1024.0 / 1e6))
}
