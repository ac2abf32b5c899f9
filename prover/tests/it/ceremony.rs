//! `prover ceremony`: how its commands end when something is missing or wrong.

use crate::skips::{NO_PACKAGES, skipped};
use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

mod whole;

const ZEROS: &str = "0000";

fn prover(arguments: &[&str], folder: &Path) -> Output {
    Command::new(env!("CARGO_BIN_EXE_prover"))
        .arg("ceremony")
        .args(arguments)
        .args(["--profile", "dev"])
        .current_dir(folder)
        .output()
        .unwrap()
}

/// Runs in `folder`; what was written to both outputs.
fn ends(arguments: &[&str], folder: &Path, code: i32) -> String {
    let output = prover(arguments, folder);
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&text).into_owned();
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {text}");
    text
}

fn folder_with_junk() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_owned();
    fs::write(path.join("junk"), b"no file of a ceremony").unwrap();
    fs::write(path.join("empty.zkey"), b"zkey\x01\0\0\0\0\0\0\0").unwrap();
    fs::write(path.join("empty.ptau"), b"ptau\x01\0\0\0\0\0\0\0").unwrap();
    (folder, path)
}

#[test]
fn a_file_that_is_none_of_a_ceremony_is_rejected_with_a_reason() {
    let (_keep, folder) = folder_with_junk();
    let step = |verb, zkey| [verb, "--zkey", zkey, "--out", "new.zkey"];
    let text = ends(&step("contribute", "junk"), &folder, 1);
    assert!(text.contains("zkey file begins with"), "{text}");
    let text = ends(&step("contribute", "empty.zkey"), &folder, 1);
    assert!(text.contains("no section 1"), "{text}");
    let beacon = [&step("beacon", "junk")[..], &["--value", "0xab"]].concat();
    ends(&beacon, &folder, 1);
    let text = ends(&["new", "--ptau", "junk", "--out", "new.zkey"], &folder, 1);
    assert!(text.contains("ptau file begins with"), "{text}");
    let verify = ["verify", "--ptau", "empty.ptau", "--zkey", "empty.zkey"];
    ends(&verify, &folder, 1);
    assert!(!folder.join("new.zkey").exists());
}

#[test]
fn a_phase_1_file_with_another_hash_than_the_pinned_one_is_rejected() {
    let (_keep, folder) = folder_with_junk();
    let arguments = [
        "new",
        "--ptau",
        "empty.ptau",
        "--out",
        "new.zkey",
        "--ptau-blake2b",
        ZEROS,
    ];
    let text = ends(&arguments, &folder, 1);
    assert!(text.contains("expected 0000"), "{text}");
}

#[test]
fn wrong_usage_ends_with_2_and_a_missing_file_with_3() {
    let (_keep, folder) = folder_with_junk();
    ends(&[], &folder, 2);
    ends(&["contribute"], &folder, 2);
    let finalize = [
        "finalize",
        "--ptau",
        "empty.ptau",
        "--zkey",
        "junk",
        "--dir",
        "keys",
    ];
    ends(&finalize, &folder, 2);
    let beacon = [
        "beacon",
        "--zkey",
        "junk",
        "--out",
        "o",
        "--value",
        "not hexadecimal",
    ];
    ends(&beacon, &folder, 2);
    ends(
        &["contribute", "--zkey", "nowhere", "--out", "o"],
        &folder,
        3,
    );
    ends(
        &["verify", "--ptau", "nowhere", "--zkey", "nowhere"],
        &folder,
        3,
    );
}

#[test]
fn constraint_system_and_witness_are_exported_and_nothing_is_overwritten() {
    let (_keep, folder) = folder_with_junk();
    ends(
        &["export", "--r1cs", "dev.r1cs", "--wtns", "dev.wtns"],
        &folder,
        0,
    );
    let (r1cs, wtns) = (
        fs::read(folder.join("dev.r1cs")).unwrap(),
        fs::read(folder.join("dev.wtns")).unwrap(),
    );
    let variables =
        |bytes: &[u8], at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap());
    assert_eq!(&r1cs[..4], b"r1cs");
    assert_eq!(&wtns[..4], b"wtns");
    // Behind the magic, version, number of sections, head of the first section, and the modulus.
    let at = 12 + 12 + 36;
    assert_eq!(variables(&r1cs, at), variables(&wtns, at));
    // Public outputs and inputs.
    assert_eq!((variables(&r1cs, at + 4), variables(&r1cs, at + 8)), (0, 3));
    ends(&["export", "--r1cs", "dev.r1cs"], &folder, 3);
    assert_eq!(fs::read(folder.join("dev.r1cs")).unwrap(), r1cs);
}

#[test]
fn the_pinned_phase_1_files_are_those_that_their_publisher_lists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let table = root.join("contracts/node_modules/snarkjs/README.md");
    let table = std::fs::read_to_string(table);
    if table.is_err() {
        skipped("the comparison with the table of snarkjs", NO_PACKAGES);
    }
    // A file must hold twice the domain.
    for (profile, power) in [("dev", 16), ("standard", 20)] {
        let pin = root.join(format!("circuits/keys/ceremony/{profile}.ptau.blake2b"));
        let pin = std::fs::read_to_string(pin).unwrap();
        let (hash, name) = pin.trim_end().split_once("  ").unwrap();
        assert_eq!(name, format!("powersOfTau28_hez_final_{power}.ptau"));
        assert!(hash.len() == 128 && hash.bytes().all(|it| it.is_ascii_hexdigit()));
        if let Ok(table) = &table {
            let row = table
                .lines()
                .find(|line| line.contains(&format!("[{name}]")));
            assert!(row.unwrap().contains(hash), "{name}");
        }
    }
}
