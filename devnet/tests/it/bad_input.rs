//! Wrong input to the development network's programs ends with one clear line and the right exit code.

#![allow(clippy::unwrap_used)]

use std::{fs, path::Path, process::Command};

fn refused(program: &str, folder: &Path, arguments: &[&str], code: i32, part: &str) {
    let output = Command::new(program)
        .current_dir(folder)
        .env_remove("DEVNET_FAULTS")
        .args(arguments)
        .output()
        .unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(code), "{stderr}");
    assert!(stderr.contains(part), "{stderr}");
}

#[test]
fn a_network_is_not_started_in_somebody_elses_folder() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("thesis.tex"), "years of work").unwrap();
    refused(
        env!("CARGO_BIN_EXE_devnet"),
        folder.path(),
        &["up", "--dir", "."],
        2,
        "not made by devnet",
    );
    assert!(folder.path().join("thesis.tex").exists());
}

#[test]
fn faulty_daemons_want_their_files_as_the_honest_ones_do() {
    let folder = tempfile::tempdir().unwrap();
    let node = env!("CARGO_BIN_EXE_faulty-node");
    refused(
        node,
        folder.path(),
        &["--config", "none.toml", "--faults", "f.toml"],
        2,
        "none.toml",
    );
    refused(
        env!("CARGO_BIN_EXE_faulty-oracle"),
        folder.path(),
        &["run"],
        2,
        "DEVNET_FAULTS",
    );
}
