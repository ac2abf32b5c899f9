//! Rows that need a process of their own, because they measure its memory or set its environment: this program again.

use super::{memory, scalar};
use serde_json::Value;
use std::{env, process::Command};

/// The argument before the name of what a child does.
const ARGUMENT: &str = "--child";

/// What a child does; it prints what this returns.
type Work = fn() -> Value;

/// All of them, by their names.
const WORK: [(&str, Work); 3] = [
    (memory::PROVE, memory::prove_and_tell),
    (memory::INGEST, memory::ingest_and_tell),
    (scalar::NAME, scalar::measure_and_tell),
];

/// Does what a parent asked for; false if nobody asked.
pub fn answer(arguments: &[String]) -> bool {
    let [argument, name] = arguments else {
        return false;
    };
    let work = WORK.iter().find(|(known, _)| known == name);
    match work.filter(|_| argument == ARGUMENT) {
        Some((_, work)) => {
            println!("{}", work());
            true
        }
        None => false,
    }
}

/// Has a child do something, with one more variable in its environment.
pub fn ask(name: &str, variable: Option<(&str, &str)>) -> Value {
    let output = Command::new(env::current_exe().unwrap())
        .args([ARGUMENT, name])
        .envs(variable)
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{name}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    serde_json::from_slice(&output.stdout).unwrap()
}
