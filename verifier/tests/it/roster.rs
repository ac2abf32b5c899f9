//! `verifier roster`: what a keeper does with files. That a TPM opens its challenge is shown in `devnet`'s story, with a real one.

use std::path::PathBuf;

use serde_json::{Value, json};

use super::cli::verifier;
use crate::tpm::Public;
use crate::tpm::fixture::{self, CertificateBody, NOW, SoftKey};

const ROOT: &str = "CN=Root";

/// A keeper's folder: roots, and a machine that they certify.
struct Files(tempfile::TempDir);

impl Files {
    fn new() -> Self {
        let files = Self(tempfile::tempdir().unwrap());
        let key = SoftKey::node(100);
        let root = CertificateBody::ca(ROOT, &key, None).issue(ROOT, &key);
        let pem = der::pem::encode_string("CERTIFICATE", der::pem::LineEnding::LF, &root);
        files.write("roots.pem", &pem.unwrap());
        files.machine("machine.json", &fixture::ek_public_area());
        files
    }

    /// A machine with an endorsement key that the root certifies, and always the same attestation key.
    fn machine(&self, name: &str, ek_public: &[u8]) {
        let ek = Public::parse(ek_public).unwrap();
        let certificate = CertificateBody::ek(ek.key).issue(ROOT, &SoftKey::node(100));
        let hex = |bytes: &[u8]| format!("0x{}", hex::encode(bytes));
        let machine = json!({
            "ek_certificate": hex(&certificate),
            "intermediates": [],
            "ek_public": hex(ek_public),
            "ak_public": hex(&SoftKey::attestation(1).public_area()),
            "node_key_public": hex(&SoftKey::node(2).public_area()),
        });
        self.write(name, &machine.to_string());
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, content: &str) {
        std::fs::write(self.path(name), content).unwrap();
    }

    /// Exit code and answer of a command whose words are files where there is such a file, or such a name.
    fn run(&self, words: &[&str]) -> (i32, Value) {
        let place = |word: &&str| match word.contains('.') {
            true => self.path(word).to_str().unwrap().to_owned(),
            false => (*word).to_owned(),
        };
        let words: Vec<String> = words.iter().map(place).collect();
        let mut arguments = vec!["--output", "json", "roster"];
        arguments.extend(words.iter().map(String::as_str));
        let output = verifier(&arguments);
        let answer = serde_json::from_slice(&output.stdout).unwrap_or_default();
        (output.status.code().unwrap(), answer)
    }

    fn judging(&self, command: &[&str], more: &[&str]) -> (i32, Value) {
        let now = NOW.to_string();
        let common = ["--roots", "roots.pem", "--now", &now];
        self.run(&[command, &common[..], more].concat())
    }

    /// The challenge of a machine, with a secret that this test knows in the place of the one it does not.
    fn challenge(&self, machine: &str) {
        let (code, mut challenge) = self.judging(&["challenge", machine], &[]);
        assert_eq!(code, 0);
        let hash = fixture::sha256(&[7; 32]);
        challenge["secret_hash"] = format!("0x{}", hex::encode(hash)).into();
        self.write("challenge.json", &challenge.to_string());
        let answer = json!({ "secret": format!("0x{}", "07".repeat(32)) });
        self.write("answer.json", &answer.to_string());
    }

    fn add(&self, machine: &str, more: &[&str]) -> (i32, Value) {
        let files = ["--challenge", "challenge.json", "--answer", "answer.json"];
        self.judging(
            &["add", "roster.json", machine],
            &[&files[..], more].concat(),
        )
    }
}

#[test]
fn a_machine_that_answers_is_added_once_and_the_root_is_told() {
    let files = Files::new();
    files.challenge("machine.json");
    let (code, added) = files.add("machine.json", &[]);
    assert_eq!((code, added["machines"].as_array().unwrap().len()), (0, 1));
    assert_eq!(files.run(&["show", "roster.json"]), (0, added));
    let (code, again) = files.add("machine.json", &[]);
    assert_eq!(code, 1);
    let why = again["error"].as_str().unwrap();
    assert!(why.contains("on the roster already"), "{why}");
}

#[test]
fn nobody_gets_onto_a_roster_by_anothers_answer_a_wrong_one_or_against_the_policy() {
    let files = Files::new();
    files.challenge("machine.json");
    // The answer of a machine, beside somebody else's certificate and endorsement key.
    let mut modulus = [0xc5; 256];
    modulus[255] |= 1;
    files.machine("foreign.json", &fixture::rsa_ek_public_area(&modulus));
    let (code, foreign) = files.add("foreign.json", &[]);
    assert_eq!(code, 1);
    let why = foreign["error"].as_str().unwrap();
    assert!(
        why.contains("does not open this machine's challenge"),
        "{why}"
    );

    let policy = "pcrs = [0]\nslow_after = 1\n[tpm]\nclasses = [\"discrete\"]\n";
    files.write("policy.toml", policy);
    let (code, denied) = files.add("machine.json", &["--policy", "policy.toml"]);
    assert_eq!(code, 1);
    let why = denied["error"].as_str().unwrap();
    assert!(why.starts_with("POLICY_TPM_CLASS"), "{why}");

    files.write("answer.json", "{\"secret\": \"0x00\"}");
    assert_eq!(files.add("machine.json", &[]).0, 1);
    assert!(!files.path("roster.json").exists());
}

#[test]
fn files_that_are_none_are_no_verdict_and_a_roster_without_a_machine_is_none() {
    let files = Files::new();
    assert_eq!(files.run(&["show", "absent.json"]).0, 3);
    for content in ["", "{}", "{\"machines\": []}"] {
        files.write("roster.json", content);
        assert_eq!(files.run(&["show", "roster.json"]).0, 3, "{content}");
    }
    files.write("roots.pem", "");
    assert_ne!(files.judging(&["challenge", "machine.json"], &[]).0, 0);
}
