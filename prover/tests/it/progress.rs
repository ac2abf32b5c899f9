//! What long work says of itself: on a terminal a line, elsewhere nothing, and never among the results.

use crate::{
    command,
    skips::{NO_SCRIPT, skipped},
};
use serde_json::{Value, json};
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};
use tempfile::TempDir;

/// An object, and what is made of it.
struct Home(TempDir);

impl Home {
    fn new() -> Self {
        let home = Self(tempfile::tempdir().unwrap());
        fs::write(home.path("object"), vec![7; 5_000_000]).unwrap();
        home
    }

    fn path(&self, name: &str) -> String {
        self.0.path().join(name).to_str().unwrap().to_owned()
    }

    /// Runs `prover` with its stderr on a terminal; what appears there, and the JSON on its stdout. `None`, and a reason
    /// printed, where there is no terminal to be had.
    fn on_a_terminal(&self, test: &str, arguments: &[&str]) -> Option<(String, Value)> {
        let out = self.path("stdout");
        let words = [&[env!("CARGO_BIN_EXE_prover")], arguments].concat();
        let words: Vec<String> = words.iter().map(|word| format!("'{word}'")).collect();
        let line = format!("{} > '{out}'", words.join(" "));
        let output = Command::new("script")
            .args(["--quiet", "--return", "--command", &line, "/dev/null"])
            .env("TERM", "xterm")
            .current_dir(self.0.path())
            .output();
        let Ok(output) = output else {
            skipped(test, NO_SCRIPT);
            return None;
        };
        let seen = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{arguments:?}: {seen}");
        let results = fs::read(out).unwrap();
        // Nothing but the document.
        Some((seen, serde_json::from_slice(&results).unwrap()))
    }

    /// The same without a terminal: nothing is said, and the document is whole.
    fn silently(arguments: &[&str]) -> Value {
        let output = command::prover(arguments);
        assert!(output.status.success(), "{output:?}");
        assert_eq!(String::from_utf8_lossy(&output.stderr), "");
        serde_json::from_slice(&output.stdout).unwrap()
    }
}

fn keys() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/keys")
}

#[test]
fn ingest_and_its_check_say_how_far_they_are_on_a_terminal_only() {
    let home = Home::new();
    let (object, shards, silent) = (
        home.path("object"),
        home.path("shards"),
        home.path("silent"),
    );
    let ingest = |out| {
        let common = ["ingest", &object, "--data", "1", "--parity", "1", "--json"];
        [&common[..], &["--out", out]].concat()
    };
    let quiet = Home::silently(&ingest(&silent));
    assert_eq!(quiet["object_bytes"], 5_000_000);
    assert_eq!(
        Home::silently(&["ingest", "--check", &silent, "--json"])["shards"],
        6
    );

    let test = "ingest_and_its_check_say_how_far_they_are";
    let Some((seen, loud)) = home.on_a_terminal(test, &ingest(&shards)) else {
        return;
    };
    assert!(seen.contains(" of ") && seen.contains(" left"), "{seen}");
    assert_eq!(loud["manifest"], quiet["manifest"]);
    let check = ["ingest", "--check", &shards, "--json"];
    let (seen, checked) = home.on_a_terminal(test, &check).unwrap();
    assert!(seen.contains("shard ") && seen.contains(" of 6"), "{seen}");
    assert_eq!(checked["difference"], Value::Null);
}

#[test]
fn prove_says_what_it_does_on_a_terminal_only() {
    let home = Home::new();
    let (object, shards, out) = (home.path("object"), home.path("shards"), home.path("proof"));
    command::ends(&["ingest", &object, "--out", &shards], 0);
    let challenge = home.path("challenge");
    let seed = json!({ "seed": "0x".to_owned() + &"06".repeat(32) });
    fs::write(&challenge, seed.to_string()).unwrap();
    let keys = keys();
    let keys = keys.to_str().unwrap();
    let prove = [
        "prove",
        "--profile",
        "dev",
        "--dir",
        keys,
        "--shards",
        &shards,
        "--challenge",
        &challenge,
        "--out",
        &out,
        "--json",
    ];
    assert_eq!(Home::silently(&prove)["shard_count"], 14);
    let Some((seen, said)) = home.on_a_terminal("prove_says_what_it_does", &prove) else {
        return;
    };
    assert!(
        seen.contains("proving ") && seen.contains(" constraints"),
        "{seen}"
    );
    assert_eq!(said["shard_count"], 14);
}
