//! Bad input to the binary: one clear line, the right exit code, nothing lost.
#![allow(clippy::unwrap_used, clippy::cast_possible_truncation)]

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::process::{Command, Output};

pub fn node(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_storage-node"))
        .args(arguments)
        .current_dir(folder)
        .env_remove("PROBITY_CONFIG")
        .output()
        .unwrap()
}

/// The exit code and the error line, of which there is exactly one.
pub fn failure(output: &Output) -> (i32, String) {
    let stderr = String::from_utf8_lossy(&output.stderr);
    let lines: Vec<&str> = stderr
        .lines()
        .filter(|line| line.starts_with("error: "))
        .collect();
    assert_eq!(lines.len(), 1, "{stderr}");
    assert!(output.stdout.is_empty(), "data on stdout");
    (output.status.code().unwrap(), lines[0].to_owned())
}

const DEPLOYMENT: &str = r#"{
    "chain_id": 31337, "rpc": ["http://127.0.0.1:9"], "deployment_block": 0,
    "registry": "0x1111111111111111111111111111111111111111", "deals": "0x2222222222222222222222222222222222222222",
    "hub": "0x3333333333333333333333333333333333333333", "token": "0x4444444444444444444444444444444444444444",
    "verifier": "0x5555555555555555555555555555555555555555",
    "policy_hash": "0x6666666666666666666666666666666666666666666666666666666666666666"
}"#;

#[test]
fn init_makes_a_private_key_and_a_configuration_and_overwrites_neither() {
    let folder = tempfile::tempdir().unwrap();
    let made = node(
        folder.path(),
        &["init", "--config", "node.toml", "--output", "json"],
    );
    assert!(made.status.success(), "{made:?}");
    let shown: serde_json::Value = serde_json::from_slice(&made.stdout).unwrap();
    assert!(shown["account"].as_str().unwrap().starts_with("0x"));
    let key = folder.path().join("data/keys/chain.key");
    assert_eq!(fs::metadata(&key).unwrap().mode() & 0o777, 0o600);
    let secret = fs::read_to_string(&key).unwrap();
    assert!(
        !String::from_utf8_lossy(&made.stdout).contains(secret.trim()),
        "the key is never shown"
    );

    let again = node(folder.path(), &["init", "--config", "node.toml"]);
    let (code, line) = failure(&again);
    assert_eq!(code, 2, "{line}");
    assert!(line.contains("not overwritten"), "{line}");
    assert_eq!(fs::read_to_string(&key).unwrap(), secret);
}

#[test]
fn a_missing_configuration_is_named() {
    let folder = tempfile::tempdir().unwrap();
    for command in [&["run"][..], &["status"], &["enrol", "--bond", "1"]] {
        let output = node(
            folder.path(),
            &[command, &["--config", "nowhere.toml"]].concat(),
        );
        let (code, line) = failure(&output);
        assert_eq!(code, 2, "{line}");
        assert!(line.contains("nowhere.toml"), "{line}");
    }
}

#[test]
fn an_unknown_key_and_a_missing_deployment_are_named() {
    let folder = tempfile::tempdir().unwrap();
    assert!(node(folder.path(), &["init"]).status.success());
    let (code, line) = failure(&node(folder.path(), &["run"]));
    assert_eq!(code, 2, "{line}");
    assert!(line.contains("deployment.json"), "{line}");

    let config = folder.path().join("node.toml");
    let text = fs::read_to_string(&config)
        .unwrap()
        .replace("put_seconds", "put_secnods");
    fs::write(&config, text).unwrap();
    let (code, line) = failure(&node(folder.path(), &["run"]));
    assert_eq!(code, 2, "{line}");
    assert!(line.contains("put_secnods"), "{line}");
}

#[test]
fn a_chain_out_of_reach_is_could_not_check() {
    let folder = tempfile::tempdir().unwrap();
    assert!(node(folder.path(), &["init"]).status.success());
    fs::write(folder.path().join("deployment.json"), DEPLOYMENT).unwrap();
    for command in [&["run"][..], &["status"], &["enrol", "--bond", "1"]] {
        let (code, line) = failure(&node(folder.path(), command));
        assert_eq!(code, 3, "{line}");
        assert!(line.contains("chain"), "{line}");
    }
}

#[test]
fn a_wrong_or_exposed_chain_key_is_a_usage_error_that_does_not_quote_it() {
    let folder = tempfile::tempdir().unwrap();
    assert!(node(folder.path(), &["init"]).status.success());
    fs::write(folder.path().join("deployment.json"), DEPLOYMENT).unwrap();
    let key = folder.path().join("data/keys/chain.key");
    fs::write(&key, "not a key at all").unwrap();
    let (code, line) = failure(&node(folder.path(), &["run"]));
    assert_eq!(code, 2, "{line}");
    assert!(
        line.contains("chain.key") && !line.contains("not a key at all"),
        "{line}"
    );

    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
    let (code, line) = failure(&node(folder.path(), &["run"]));
    assert_eq!(code, 2, "{line}");
    assert!(line.contains("chmod 600"), "{line}");
}

#[test]
fn a_bond_that_is_no_amount_is_a_usage_error() {
    let folder = tempfile::tempdir().unwrap();
    assert!(node(folder.path(), &["init"]).status.success());
    let (code, line) = failure(&node(folder.path(), &["enrol", "--bond", "ten"]));
    assert_eq!(code, 2, "{line}");
    assert!(line.contains("ten"), "{line}");
}

#[test]
fn arithmetic_that_is_not_there_is_refused_at_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_storage-node"))
        .args(["run", "--config", "node.toml"])
        .current_dir(folder.path())
        .env("PROBITY_KERNEL", "fast")
        .output()
        .unwrap();
    let (code, line) = failure(&output);
    assert_eq!(code, 2);
    assert!(
        line.contains("PROBITY_KERNEL") && line.contains("fast"),
        "{line}"
    );
}
