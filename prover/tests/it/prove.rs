//! `prover ingest`, `prove` and `verify` from outside: from a file to a proof.

use crate::command::{ends, prover};
use serde_json::{Value, json};
use std::{
    fs,
    io::{Read, Write},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};
use tempfile::TempDir;

/// The cached development keys.
fn keys() -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/keys");
    folder.to_str().unwrap().to_owned()
}

/// A folder with an ingested object in `shards`: three shards.
struct Node {
    folder: TempDir,
}

impl Node {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let object: Vec<u8> = (0..100_000u32).map(|i| (i % 251) as u8).collect();
        fs::write(folder.path().join("object"), object).unwrap();
        let node = Self { folder };
        let (object, shards) = (node.path("object"), node.path("shards"));
        let output = prover(&[
            "ingest", &object, "--out", &shards, "--data", "2", "--parity", "1",
        ]);
        assert!(output.status.success(), "{output:?}");
        node
    }

    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).to_str().unwrap().to_owned()
    }

    fn challenge(&self, name: &str, value: &Value) -> String {
        let path = self.path(name);
        fs::write(&path, value.to_string()).unwrap();
        path
    }

    /// What `prover prove` says to `value` as a challenge; the proof goes to `proof`.
    fn prove(&self, value: &Value, kernel: &str) -> std::process::Output {
        let challenge = self.challenge("challenge.json", value);
        let (shards, keys, out) = (self.path("shards"), keys(), self.path("proof"));
        Command::new(env!("CARGO_BIN_EXE_prover"))
            .args([
                "prove",
                "--profile",
                "dev",
                "--dir",
                &keys,
                "--shards",
                &shards,
            ])
            .args(["--challenge", &challenge, "--out", &out, "--json"])
            .env("PROBITY_KERNEL", kernel)
            .output()
            .unwrap()
    }

    fn proof(&self) -> Value {
        serde_json::from_slice(&fs::read(self.path("proof")).unwrap()).unwrap()
    }
}

fn of_epoch(epoch: u64) -> Value {
    json!({
        "beacon": "0x".to_owned() + &"0b".repeat(32), "chain_id": 31_337,
        "hub": "0x".to_owned() + &"0c".repeat(20), "node": 1, "epoch": epoch,
    })
}

#[test]
fn a_proof_of_an_ingested_file_is_verified_and_a_changed_one_is_not() {
    let node = Node::new();
    let mut proofs = Vec::new();
    for kernel in ["auto", "scalar"] {
        let output = node.prove(&of_epoch(3), kernel);
        assert!(output.status.success(), "{output:?}");
        let said: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(said, node.proof());
        assert_eq!(said["shard_count"], 3);
        let verified = prover(&["verify", &node.path("proof"), "--json"]);
        let answer: Value = serde_json::from_slice(&verified.stdout).unwrap();
        assert_eq!(answer, json!({ "valid": true, "reason": null }));
        proofs.push(said);
    }
    assert_ne!(proofs[0]["proof"], proofs[1]["proof"], "randomised");
    assert_eq!(proofs[0]["seed"], proofs[1]["seed"]);

    let other = |field: &str, value: Value, why: &str| {
        let mut proof = proofs[0].clone();
        proof[field] = value;
        let path = node.challenge("other.proof", &proof);
        let said = ends(&["verify", &path, "--json"], 1);
        let answer: Value = serde_json::from_str(&said).unwrap();
        assert!(answer["reason"].as_str().unwrap().contains(why), "{answer}");
    };
    other("shard_count", json!(2), "does not prove");
    other("shard_count", json!(0), "count");
    other(
        "seed",
        proofs[0]["inventory_root"].clone(),
        "does not prove",
    );
    other("circuit_id", json!("0x00"), "circuit");
    other("profile", json!("dove"), "profile");
    other("proof", json!("0x00"), "256 bytes");
    other("proof", json!("0x".to_owned() + &"ff".repeat(256)), "");
    other("more", json!(1), "more");
}

#[test]
fn lost_cells_are_named_and_nothing_is_proven() {
    let node = Node::new();
    // Whatever is selected, it is gone.
    for slot in 0..3 {
        let path = PathBuf::from(node.path("shards")).join(format!("{slot}/0.shard"));
        let mut shard = fs::read(&path).unwrap();
        for byte in &mut shard[..2_031_616] {
            *byte ^= 1;
        }
        fs::write(&path, shard).unwrap();
    }
    let output = node.prove(&of_epoch(3), "auto");
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(
        said.contains("cell ") && said.contains("of shard "),
        "{said}"
    );
    assert!(!Path::new(&node.path("proof")).exists());

    fs::remove_dir_all(PathBuf::from(node.path("shards")).join("1")).unwrap();
    fs::remove_dir_all(PathBuf::from(node.path("shards")).join("0")).unwrap();
    fs::remove_dir_all(PathBuf::from(node.path("shards")).join("2")).unwrap();
    let output = node.prove(&of_epoch(3), "auto");
    assert_eq!(output.status.code(), Some(3), "{output:?}");
}

#[test]
fn challenges_that_make_no_sense_are_usage_errors() {
    let node = Node::new();
    for value in [json!([]), json!({ "seed": "0x01" }), json!({ "epoch": 1 })] {
        let output = node.prove(&value, "auto");
        assert_eq!(output.status.code(), Some(2), "{value}: {output:?}");
    }
    let (keys, shards) = (keys(), node.path("shards"));
    let challenge = node.challenge("challenge.json", &of_epoch(1));
    let common = ["prove", "--profile", "dev", "--shards", &shards];
    let with = |rest: &[&str]| [&common[..], rest].concat().join("\n");
    let args = |text: &str| text.split('\n').map(str::to_owned).collect::<Vec<_>>();
    for (rest, code, says) in [
        (vec!["--challenge", &challenge, "--out", "x"], 2, "--dir"),
        (vec!["--dir", &keys], 2, "--challenge"),
        (
            vec!["--dir", &keys, "--challenge", "none", "--out", "x"],
            3,
            "cannot read none",
        ),
        (
            vec!["--dir", &keys, "--watch", "no/such/folder"],
            3,
            "cannot read no/such/folder",
        ),
    ] {
        let words = args(&with(&rest));
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let output = prover(&words);
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(code), "{said}");
        assert!(said.contains(says), "{said}");
    }
}

/// A running prover, stopped when it is dropped.
struct Watching(Child);

impl Drop for Watching {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

#[test]
fn a_watched_folder_gets_a_proof_for_every_challenge_and_goes_on_after_bad_ones() {
    let node = Node::new();
    let folder = PathBuf::from(node.path("challenges"));
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("0.json"), "no challenge").unwrap();
    fs::write(folder.join("1.json"), of_epoch(1).to_string()).unwrap();
    let mut watching = Watching(
        Command::new(env!("CARGO_BIN_EXE_prover"))
            .args(["prove", "--profile", "dev", "--dir", &keys()])
            .args(["--shards", &node.path("shards"), "--json", "--watch"])
            .arg(&folder)
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap(),
    );
    let mut said = watching.0.stderr.take().unwrap();
    let appears = |name: &str| {
        let started = Instant::now();
        while !folder.join(name).exists() {
            assert!(started.elapsed() < Duration::from_secs(300), "no {name}");
            thread::sleep(Duration::from_millis(50));
        }
        let path = folder.join(name);
        assert!(prover(&["verify", path.to_str().unwrap()]).status.success());
    };
    appears("1.proof");
    // Written beside and renamed, as a careful sender does; half a file would be looked at again once it changes.
    let mut file = fs::File::create(folder.join("2.tmp")).unwrap();
    file.write_all(of_epoch(2).to_string().as_bytes()).unwrap();
    fs::rename(folder.join("2.tmp"), folder.join("2.json")).unwrap();
    appears("2.proof");
    assert!(!folder.join("0.proof").exists());
    drop(watching);
    let mut text = String::new();
    said.read_to_string(&mut text).unwrap();
    assert_eq!(
        text.matches("0.json").count(),
        text.matches("0.json: ").count() * 2,
        "{text}"
    );
    assert_eq!(text.matches("0.json: ").count(), 1, "said once: {text}");
}
