//! The `oracle` binary from outside: bad input gives one clear line and the right exit code, and loses nothing.

#![allow(clippy::unwrap_used, clippy::cast_possible_truncation)]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};

use tempfile::TempDir;

const DEPLOYMENT: &str = r#"{
    "chain_id": 31337, "rpc": ["http://127.0.0.1:9"],
    "registry": "0x0101010101010101010101010101010101010101", "deals": "0x0202020202020202020202020202020202020202",
    "hub": "0x0303030303030303030303030303030303030303", "token": "0x0404040404040404040404040404040404040404",
    "verifier": "0x0505050505050505050505050505050505050505", "deployment_block": 1,
    "policy_hash": "0x0606060606060606060606060606060606060606060606060606060606060606"
}"#;

fn oracle(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_oracle"))
        .args(arguments)
        .current_dir(folder)
        .env_remove("PROBITY_OUTPUT")
        .env_remove("PROBITY_LOG")
        .output()
        .unwrap()
}

/// The exit code, and the one line that says why.
fn refused(folder: &Path, arguments: &[&str], code: i32, says: &str) {
    let output = oracle(folder, arguments);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(code), "{said}");
    let errors: Vec<_> = said
        .lines()
        .filter(|line| line.starts_with("error: "))
        .collect();
    assert_eq!(errors.len(), 1, "{said}");
    assert!(errors[0].contains(says), "{said}");
    assert!(output.stdout.is_empty());
}

fn initialised() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let output = oracle(folder.path(), &["init", "--output", "json"]);
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    folder
}

fn with_deployment() -> TempDir {
    let folder = initialised();
    fs::write(folder.path().join("deployment.json"), DEPLOYMENT).unwrap();
    folder
}

#[test]
fn init_prints_what_the_registry_needs_and_keeps_keys_private() {
    let folder = tempfile::tempdir().unwrap();
    let output = oracle(
        folder.path(),
        &[
            "init",
            "--output",
            "json",
            "--config",
            "deep/oracle.toml",
            "--listen",
            "127.0.0.1:7101",
            "--ek-roots",
            "a.pem",
        ],
    );
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let said: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(said["public_url"], "https://127.0.0.1:7101");
    assert_eq!(said["account"].as_str().unwrap().len(), 42);
    assert_eq!(said["tls_key_hash"].as_str().unwrap().len(), 66);
    let mode = |name: &str| {
        fs::metadata(folder.path().join("deep").join(name))
            .unwrap()
            .permissions()
            .mode()
            & 0o777
    };
    assert_eq!((mode("chain.key"), mode("tls/tls.key")), (0o600, 0o600));
    let config = fs::read_to_string(folder.path().join("deep/oracle.toml")).unwrap();
    assert!(
        config.contains("view_blocks") && config.contains("a.pem"),
        "{config}"
    );
}

#[test]
fn init_overwrites_nothing() {
    let folder = initialised();
    let before = fs::read(folder.path().join("chain.key")).unwrap();
    refused(folder.path(), &["init"], 2, "exists already");
    assert_eq!(fs::read(folder.path().join("chain.key")).unwrap(), before);
}

#[test]
fn a_missing_configuration_is_a_usage_failure() {
    let folder = tempfile::tempdir().unwrap();
    refused(folder.path(), &["run"], 2, "oracle.toml");
    refused(
        folder.path(),
        &["status", "--config", "other.toml"],
        2,
        "other.toml",
    );
}

#[test]
fn an_unknown_key_in_the_configuration_is_named() {
    let folder = initialised();
    fs::write(
        folder.path().join("oracle.toml"),
        "[timing]\nview_block = 3\n",
    )
    .unwrap();
    refused(folder.path(), &["run"], 2, "view_block");
}

#[test]
fn a_missing_or_broken_deployment_is_named() {
    let folder = initialised();
    refused(folder.path(), &["run"], 2, "deployment.json");
    fs::write(folder.path().join("deployment.json"), "{\"chain_id\": 1}").unwrap();
    refused(folder.path(), &["run"], 2, "deployment.json");
}

#[test]
fn a_key_others_can_read_or_that_is_none_is_refused_without_being_shown() {
    let folder = with_deployment();
    let key = folder.path().join("chain.key");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
    refused(folder.path(), &["run"], 2, "chmod 600");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
    fs::write(&key, "c0ffee").unwrap();
    refused(folder.path(), &["run"], 2, "chain key");
    let output = oracle(folder.path(), &["run"]);
    assert!(!String::from_utf8(output.stderr).unwrap().contains("c0ffee"));
    fs::remove_file(&key).unwrap();
    refused(folder.path(), &["run"], 2, "no key file");
}

#[test]
fn an_unreachable_chain_is_could_not_check() {
    let folder = with_deployment();
    refused(folder.path(), &["run"], 3, "chain");
    refused(folder.path(), &["status"], 3, "chain");
    assert!(folder.path().join("chain.key").exists());
}
