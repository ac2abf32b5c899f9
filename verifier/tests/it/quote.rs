//! `verifier quote`, on the files that `tpm2_quote` and `tpm2_create` write.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::cli::verifier;
use crate::tpm::fixture::{QuoteBody, SoftKey, sha256};

const NONCE: [u8; 32] = [0x11; 32];
const PCRS: &str = "0,1,2,3";

/// A message, its signature, the key that signed and the PCRs' values, in a folder.
struct Files {
    dir: tempfile::TempDir,
    body: QuoteBody,
    ak: SoftKey,
}

fn sized(bytes: &[u8]) -> Vec<u8> {
    [&(bytes.len() as u16).to_be_bytes()[..], bytes].concat()
}

/// TPMT_SIGNATURE by ECDSA with SHA-256.
fn tpmt_signature(rs: &[u8; 64]) -> Vec<u8> {
    let (r, s) = rs.split_at(32);
    [&[0x00, 0x18, 0x00, 0x0b][..], &sized(r), &sized(s)].concat()
}

impl Files {
    fn new() -> Self {
        Self::of(QuoteBody::default(), SoftKey::attestation(9))
    }

    fn of(body: QuoteBody, ak: SoftKey) -> Self {
        let files = Self {
            dir: tempfile::tempdir().unwrap(),
            body,
            ak,
        };
        let message = files.message();
        files.write("quote.sig", tpmt_signature(&files.ak.sign(&message)));
        files.write("quote.msg", message);
        // TPM2B_PUBLIC, as `tpm2_create --public` writes it.
        files.write("ak.pub", sized(&files.ak.public_area()));
        let values: BTreeMap<_, _> = (0..4).map(|pcr| (pcr, "00".repeat(32))).collect();
        files.write("values.json", json!(values).to_string());
        files
    }

    fn message(&self) -> Vec<u8> {
        self.body.to_bytes()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn write(&self, name: &str, bytes: impl AsRef<[u8]>) {
        std::fs::write(self.path(name), bytes).unwrap();
    }

    /// Exit code and answer; `arguments` say what is expected of the PCRs.
    fn judged_for(&self, nonce: &[u8; 32], arguments: &[&str]) -> (i32, Value) {
        let (code, stdout, stderr) = self.run(nonce, &[arguments, &["--output", "json"]].concat());
        let answer = serde_json::from_str(&stdout).unwrap_or_else(|error| {
            panic!("{error}: {stdout}{stderr}");
        });
        (code, answer)
    }

    fn judged(&self, arguments: &[&str]) -> (i32, Value) {
        self.judged_for(&NONCE, &[&["--pcrs", PCRS], arguments].concat())
    }

    fn run(&self, nonce: &[u8; 32], arguments: &[&str]) -> (i32, String, String) {
        let path = |name| text(&self.path(name));
        let (message, signature, ak) = (path("quote.msg"), path("quote.sig"), path("ak.pub"));
        let nonce = hex::encode(nonce);
        let files = [
            "quote",
            &message,
            "--signature",
            &signature,
            "--ak",
            &ak,
            "--extra-data",
            &nonce,
        ];
        let output = verifier(&[&files[..], arguments].concat());
        (
            output.status.code().unwrap(),
            String::from_utf8(output.stdout).unwrap(),
            String::from_utf8(output.stderr).unwrap(),
        )
    }
}

fn text(path: &Path) -> String {
    path.to_str().unwrap().to_owned()
}

/// Digest over four PCRs of zeros.
fn digest() -> String {
    hex::encode(sha256(&[0; 128]))
}

#[test]
fn a_quote_is_accepted_and_tells_its_facts() {
    let files = Files::new();
    let (code, answer) = files.judged(&["--digest", &digest()]);
    assert_eq!(code, 0, "{answer}");
    assert_eq!(answer["accepted"], true);
    assert_eq!(answer.get("reason"), None);
    let signer = hex::encode(&files.body.qualified_signer);
    assert_eq!(
        answer["facts"],
        json!({
            "pcr_digest": digest(),
            "firmware_version": "0x0000000020200101",
            "clock_ms": 1_000,
            "reset_count": 1,
            "restart_count": 0,
            "safe": true,
            "qualified_signer": signer,
        })
    );
    let arguments = ["--pcrs", PCRS, "--digest", &digest()];
    let (code, table, _) = files.run(&NONCE, &arguments);
    assert_eq!(code, 0);
    assert!(table.contains(&digest()), "{table}");
    assert!(table.contains("accepted: "), "{table}");
}

#[test]
fn the_expected_state_is_given_as_digests_values_or_any() {
    let files = Files::new();
    let values = text(&files.path("values.json"));
    let other = "22".repeat(32);
    for arguments in [
        vec!["--values", &values],
        vec!["--any-state"],
        vec!["--digest", &other, "--digest", &digest()],
        vec!["--digest", &digest(), "--values", &values],
    ] {
        let (code, answer) = files.judged(&arguments);
        assert_eq!(code, 0, "{arguments:?}: {answer}");
    }
}

#[test]
fn keys_and_signatures_are_read_in_either_form() {
    let files = Files::new();
    // TPMT_PUBLIC, and r ‖ s as evidence has it.
    files.write("ak.pub", files.ak.public_area());
    files.write("quote.sig", files.ak.sign(&files.message()));
    assert_eq!(files.judged(&["--any-state"]).0, 0);
}

#[test]
fn a_quote_for_another_nonce_is_rejected() {
    let files = Files::new();
    let arguments = ["--pcrs", PCRS, "--any-state"];
    let (code, answer) = files.judged_for(&[0x12; 32], &arguments);
    assert_eq!(code, 1, "{answer}");
    assert_eq!(answer["accepted"], false);
    assert_eq!(answer["reason"], "ATTESTATION_EXTRA_DATA");
    assert_eq!(answer.get("facts"), None);
    let (code, table, _) = files.run(&[0x12; 32], &arguments);
    assert_eq!(code, 1);
    assert!(
        table.starts_with("rejected: ATTESTATION_EXTRA_DATA: "),
        "{table}"
    );
}

#[test]
fn a_flipped_byte_of_message_or_signature_is_rejected() {
    let files = Files::new();
    let message = files.message();
    let signature = tpmt_signature(&files.ak.sign(&message));
    for (name, bytes, reason) in [
        ("quote.msg", message, Some("SIGNATURE_BAD")),
        ("quote.sig", signature, None),
    ] {
        for at in (0..bytes.len()).step_by(5) {
            let mut flipped = bytes.clone();
            flipped[at] ^= 1;
            files.write(name, flipped);
            let (code, answer) = files.judged(&["--any-state"]);
            assert_eq!(code, 1, "{name}, byte {at}: {answer}");
            assert_eq!(answer["accepted"], false);
            if let Some(reason) = reason {
                assert_eq!(answer["reason"], reason, "{name}, byte {at}");
            }
        }
        files.write(name, bytes);
    }
    assert_eq!(files.judged(&["--any-state"]).0, 0);
}

#[test]
fn a_key_that_signs_what_it_is_given_makes_no_quotes() {
    let files = Files::of(QuoteBody::default(), SoftKey::node(9));
    let (code, answer) = files.judged(&["--any-state"]);
    assert_eq!((code, &answer["reason"]), (1, &"AK_ATTRIBUTES".into()));
}

#[test]
fn other_pcrs_and_other_values_are_rejected_by_name() {
    let files = Files::new();
    let arguments = ["--pcrs", "0,1,2,4", "--any-state"];
    let (code, answer) = files.judged_for(&NONCE, &arguments);
    assert_eq!(
        (code, &answer["reason"]),
        (1, &"QUOTE_PCR_SELECTION".into())
    );
    let (code, answer) = files.judged(&["--digest", &"22".repeat(32)]);
    assert_eq!((code, &answer["reason"]), (1, &"QUOTE_PCR_DIGEST".into()));
    let other = json!({"0": "01".repeat(32), "1": "00".repeat(32), "2": "00".repeat(32), "3": "00".repeat(32)});
    files.write("values.json", other.to_string());
    let values = text(&files.path("values.json"));
    let (code, answer) = files.judged(&["--values", &values]);
    assert_eq!((code, &answer["reason"]), (1, &"QUOTE_PCR_DIGEST".into()));
}

#[test]
fn without_its_files_or_an_expected_state_nothing_is_judged() {
    for missing in ["quote.msg", "quote.sig", "ak.pub", "values.json"] {
        let files = Files::new();
        std::fs::remove_file(files.path(missing)).unwrap();
        let values = text(&files.path("values.json"));
        let (code, stdout, stderr) = files.run(&NONCE, &["--pcrs", PCRS, "--values", &values]);
        assert_eq!((code, stdout.as_str()), (3, ""), "{missing}: {stderr}");
        assert!(stderr.contains(missing), "{stderr}");
    }
    let files = Files::new();
    files.write("values.json", r#"{"0": "00"}"#);
    let values = text(&files.path("values.json"));
    let (code, _, stderr) = files.run(&NONCE, &["--pcrs", PCRS, "--values", &values]);
    assert_eq!(code, 3);
    assert!(stderr.contains("PCR 0"), "{stderr}");
    let (code, _, stderr) = files.run(&NONCE, &["--pcrs", PCRS]);
    assert_eq!(code, 3);
    assert!(stderr.contains("--any-state"), "{stderr}");
}

#[test]
fn wrong_usage_of_quote_is_usage() {
    let files = Files::new();
    for arguments in [
        vec!["--any-state"],
        vec!["--pcrs", "x", "--any-state"],
        vec!["--pcrs", PCRS, "--any-state", "--digest", "22"],
        vec!["--pcrs", PCRS, "--any-state", "--values", "values.json"],
    ] {
        let (code, _, stderr) = files.run(&NONCE, &arguments);
        assert_eq!(code, 2, "{arguments:?}: {stderr}");
    }
}
