//! The figures that this crate promises, beside those of its peers, measured in one run: `make bench`, or
//! `cargo bench -p prover --bench table -- [ROW]...` for some rows only; `-- --list` names them.
//!
//! Prints a table and writes `target/bench/summary.json`. Ours and the peer take turns, but for `snarkjs`, which comes after; the least time of each counts.
#![allow(clippy::unwrap_used, missing_docs)]

mod table {
    pub mod batch;
    pub mod child;
    pub mod erasure;
    pub mod load;
    pub mod machine;
    pub mod memory;
    pub mod node;
    pub mod paths;
    pub mod peer;
    pub mod prove;
    pub mod record;
    pub mod root;
    pub mod scalar;
    pub mod snarkjs;
    pub mod sponge;
    pub mod timing;
}

use serde::Serialize;
use std::{env, fs, process::ExitCode, time::Instant};
use table::{
    batch, child, erasure, load,
    machine::Machine,
    memory,
    node::target,
    paths, prove,
    record::{self, Record},
    root, scalar, snarkjs,
};

/// Measures a row.
type Measure = fn() -> Record;

/// The rows by their names, in the order in which they run.
const ROWS: [(&str, Measure); 14] = [
    ("root", root::against_sponge),
    ("root-scaling", root::scaling),
    ("prove", prove::against_arkworks),
    ("prove-snarkjs", snarkjs::against_snarkjs),
    ("batch", batch::against_single),
    ("encode", erasure::encode),
    ("rebuild-4", erasure::rebuild_four),
    ("rebuild-1", erasure::rebuild_one),
    ("paths", paths::against_plain_reads),
    ("stored-tree", paths::stored_tree),
    ("prove-scalar", scalar::against_arkworks),
    ("key-load", load::measure),
    (memory::PROVE, memory::prove),
    (memory::INGEST, memory::ingest),
];

#[derive(Serialize)]
struct Summary {
    machine: Machine,
    records: Vec<Record>,
}

fn main() -> ExitCode {
    // cargo passes --bench.
    let arguments: Vec<String> = env::args().skip(1).filter(|a| a != "--bench").collect();
    if child::answer(&arguments) {
        return ExitCode::SUCCESS;
    }
    if arguments == ["--list"] {
        ROWS.iter().for_each(|(name, _)| println!("{name}"));
        return ExitCode::SUCCESS;
    }
    if let Some(unknown) = arguments
        .iter()
        .find(|argument| ROWS.iter().all(|(name, _)| name != argument))
    {
        eprintln!("error: no row is called {unknown}; --list names them");
        return ExitCode::from(2);
    }
    let chosen = |name: &str| arguments.is_empty() || arguments.iter().any(|a| a == name);
    let mut records = Vec::new();
    for (name, measure) in ROWS.into_iter().filter(|(name, _)| chosen(name)) {
        let clock = Instant::now();
        records.push(measure());
        eprintln!("{name}: took {:.0} s", clock.elapsed().as_secs_f64());
    }
    print!("{}", record::table(&records));
    let folder = target().join("bench");
    fs::create_dir_all(&folder).unwrap();
    let machine = Machine::this();
    let summary = serde_json::to_string_pretty(&Summary { machine, records }).unwrap();
    fs::write(folder.join("summary.json"), summary + "\n").unwrap();
    ExitCode::SUCCESS
}
