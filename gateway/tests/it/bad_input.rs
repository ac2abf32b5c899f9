#![allow(clippy::unwrap_used, clippy::cast_possible_truncation)]

use std::{fs, os::unix::fs::PermissionsExt, path::Path, process::Command};

use tempfile::TempDir;

/// Exit code, and what was printed on stderr.
fn gateway(folder: &Path, arguments: &[&str]) -> (i32, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_gateway"))
        .current_dir(folder)
        .env_clear()
        .args(arguments)
        .output()
        .unwrap();
    (
        output.status.code().unwrap(),
        String::from_utf8(output.stderr).unwrap(),
    )
}

/// The one line that says why.
fn refused(folder: &Path, arguments: &[&str], code: i32, part: &str) {
    let (found, stderr) = gateway(folder, arguments);
    let errors: Vec<&str> = stderr
        .lines()
        .filter(|line| line.starts_with("error: "))
        .collect();
    assert_eq!((found, errors.len()), (code, 1), "{arguments:?}: {stderr}");
    assert!(errors[0].contains(part), "{arguments:?}: {stderr}");
}

/// A gateway whose chain does not answer: nobody listens on port 1.
fn initialised() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let address = format!("0x{}", "11".repeat(20));
    let deployment = serde_json::json!({
        "chain_id": 31337, "rpc": ["http://127.0.0.1:1"], "registry": address, "deals": address, "hub": address,
        "token": address, "verifier": address, "deployment_block": 0, "policy_hash": format!("0x{}", "00".repeat(32)),
    });
    fs::write(
        folder.path().join("deployment.json"),
        deployment.to_string(),
    )
    .unwrap();
    let (code, stderr) = gateway(folder.path(), &["init", "--deployment", "deployment.json"]);
    assert_eq!(code, 0, "{stderr}");
    folder
}

const PUT: [&str; 10] = [
    "put",
    "object",
    "--nodes",
    "1,2,3,4,5",
    "--k",
    "3",
    "--m",
    "2",
    "--rate=1",
    "--epochs=1",
];

#[test]
fn a_missing_configuration_is_named() {
    let folder = tempfile::tempdir().unwrap();
    refused(folder.path(), &["status", "1"], 2, "gateway.toml");
    refused(
        folder.path(),
        &["--config", "else.toml", "status", "1"],
        2,
        "else.toml",
    );
    refused(
        folder.path(),
        &["init", "--deployment", "nowhere.json"],
        2,
        "nowhere.json",
    );
}

#[test]
fn init_overwrites_nothing() {
    let folder = initialised();
    let key = fs::read(folder.path().join("owner.key")).unwrap();
    refused(
        folder.path(),
        &["init", "--deployment", "deployment.json"],
        2,
        "exists already",
    );
    assert_eq!(fs::read(folder.path().join("owner.key")).unwrap(), key);
}

#[test]
fn a_key_that_is_exposed_or_none_is_not_used_and_not_printed() {
    let folder = initialised();
    let key = folder.path().join("owner.key");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
    refused(folder.path(), &["status", "1"], 2, "0600");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
    fs::write(&key, "correct horse battery staple").unwrap();
    let (_, stderr) = gateway(folder.path(), &["status", "1"]);
    assert!(!stderr.contains("battery"), "{stderr}");
    refused(folder.path(), &["status", "1"], 2, "64 hexadecimal digits");
    fs::remove_file(&key).unwrap();
    refused(folder.path(), &["status", "1"], 2, "owner.key");
}

#[test]
fn a_chain_that_does_not_answer_is_could_not_check() {
    let folder = initialised();
    fs::write(folder.path().join("object"), "bytes").unwrap();
    refused(folder.path(), &["status", "1"], 3, "chain");
    refused(folder.path(), &PUT, 3, "chain");
    assert!(
        fs::read_dir(folder.path().join("manifests")).map_or(0, Iterator::count) == 0,
        "nothing was begun"
    );
}

#[test]
fn misspelt_keys_and_damaged_deployments_are_refused() {
    let folder = initialised();
    let config = folder.path().join("gateway.toml");
    let text = fs::read_to_string(&config).unwrap();
    fs::write(&config, format!("{text}\nkeyfile = 'x'\n")).unwrap();
    refused(folder.path(), &["status", "1"], 2, "keyfile");
    fs::write(&config, text).unwrap();
    fs::write(folder.path().join("deployment.json"), "{").unwrap();
    refused(folder.path(), &["status", "1"], 2, "deployment.json");
}

#[test]
fn impossible_arguments_are_usage_errors() {
    let folder = initialised();
    for arguments in [
        &["put", "object"][..],
        &["get", "1"],
        &["repair", "1", "--slot", "70000", "--to", "1"],
        &["fly"],
    ] {
        assert_eq!(gateway(folder.path(), arguments).0, 2, "{arguments:?}");
    }
}

#[test]
fn arithmetic_that_is_not_there_is_refused_at_the_start() {
    let folder = initialised();
    let output = Command::new(env!("CARGO_BIN_EXE_gateway"))
        .current_dir(folder.path())
        .env_clear()
        .env("PROBITY_KERNEL", "fast")
        .args(["status", "1"])
        .output()
        .unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{stderr}");
    assert!(
        stderr.contains("error: PROBITY_KERNEL is \"fast\""),
        "{stderr}"
    );
}
