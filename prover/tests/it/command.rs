//! The binary: what it prints, and how it ends.

use std::{
    path::PathBuf,
    process::{Command, Output},
};

pub fn prover(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_prover"))
        .args(arguments)
        .current_dir(PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(".."))
        .output()
        .unwrap()
}

pub fn ends(arguments: &[&str], code: i32) -> String {
    let output = prover(arguments);
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {error}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn the_circuit_is_described_and_matches_its_pin() {
    let text = ends(&["circuit", "--profile", "dev", "--json"], 0);
    let facts: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(facts["profile"], "dev");
    assert_eq!(facts["samples"], 10);
    assert_eq!(facts["capacity"], 64);
    assert_eq!(facts["constraint_system"], facts["pinned"]);
    assert!(facts["constraints"].as_u64().unwrap() <= 1 << 15);
}

#[test]
fn the_standard_circuit_is_the_one_that_is_described_unasked() {
    let text = ends(&["circuit", "--json"], 0);
    let facts: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(facts["profile"], "standard");
    assert_eq!(
        (&facts["samples"], &facts["capacity"]),
        (&100.into(), &16_777_216.into())
    );
    assert_eq!(facts["constraint_system"], facts["pinned"]);
    // What the next best circuit takes for a sample is more than three times as much.
    assert_eq!(facts["constraints_per_sample"], 5_227.45);
}

#[test]
fn the_committed_files_are_up_to_date() {
    ends(&["manifest"], 0);
    let contract = "contracts/src/StorageProofVerifier.sol";
    ends(
        &[
            "solidity-verifier",
            "--profile",
            "dev",
            "--out",
            contract,
            "--check",
        ],
        0,
    );
}

#[test]
fn a_stale_contract_is_rejected() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("Old.sol");
    std::fs::write(&file, "contract Old {}").unwrap();
    let file = file.to_str().unwrap();
    ends(
        &[
            "solidity-verifier",
            "--profile",
            "dev",
            "--out",
            file,
            "--check",
        ],
        1,
    );
    ends(&["solidity-verifier", "--profile", "dev", "--out", file], 0);
    ends(
        &[
            "solidity-verifier",
            "--profile",
            "dev",
            "--out",
            file,
            "--check",
        ],
        0,
    );
}

#[test]
fn a_golden_proof_is_written_for_the_committed_circuit() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("proof.json");
    ends(
        &[
            "golden",
            "--dir",
            "target/keys",
            "--out",
            file.to_str().unwrap(),
        ],
        0,
    );
    let made: serde_json::Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    let committed = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../contracts/test/golden/storage-proof.json");
    let committed: serde_json::Value =
        serde_json::from_slice(&std::fs::read(committed).unwrap()).unwrap();
    for same in ["circuitId", "seedOf", "publicInputs"] {
        assert_eq!(made[same], committed[same], "{same}");
    }
    assert_ne!(made["proof"], committed["proof"], "proofs are randomised");
}

#[test]
fn a_profile_without_keys_has_no_contract() {
    ends(
        &[
            "solidity-verifier",
            "--profile",
            "standard",
            "--out",
            "/dev/null",
            "--check",
        ],
        1,
    );
}

#[test]
fn wrong_usage_ends_with_2_and_an_unreadable_file_with_3() {
    ends(&[], 2);
    ends(&["circuit", "--profile", "huge"], 2);
    ends(
        &[
            "solidity-verifier",
            "--profile",
            "dev",
            "--out",
            "/nowhere/x.sol",
            "--check",
        ],
        3,
    );
    ends(&["manifest", "--dir", "/nowhere"], 3);
    ends(&["setup", "--profile", "dev", "--dir", "/dev/null/keys"], 3);
}

#[test]
fn an_unknown_kernel_ends_the_program_before_it_starts() {
    let run = |kernel: &str| {
        Command::new(env!("CARGO_BIN_EXE_prover"))
            .args(["circuit", "--profile", "dev"])
            .env("PROBITY_KERNEL", kernel)
            .output()
            .unwrap()
    };
    let refused = run("fast");
    assert_eq!(refused.status.code(), Some(2));
    let error = String::from_utf8_lossy(&refused.stderr);
    assert!(error.contains("use auto, ifma or scalar"), "{error}");
    assert!(refused.stdout.is_empty());
    assert_eq!(run("scalar").status.code(), Some(0));
}
