//! The auditor's commands beside Debian's on the same evidence: `cargo bench -p verifier --bench peers`, part of `make bench`.
//!
//! Whole processes, from start to exit code, in turns; the least time of each counts. That is what an auditor waits for, and most
//! of it is starting a program: what the judgements themselves take, the criterion benches of this crate tell. Evidence: a quote made
//! here by a key of software, Google's virtual TPM certificates and a firmware log from `../shared/vectors` (or `PROBITY_VECTORS`).
//! Rows whose peer or evidence is not there say so. Writes `target/bench/attestation.json`.
#![allow(clippy::unwrap_used, clippy::cast_possible_truncation, missing_docs)]

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use p256::{
    ecdsa::{Signature, SigningKey, signature::Signer as _},
    pkcs8::{EncodePublicKey as _, LineEnding},
};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use verifier::{eventlog::Log, tpm::wire::HashAlgorithm};

const ROUNDS: usize = 40;
/// Inside the validity of the certificates in the vectors: 2025-01-01.
const NOW: &str = "1735689600";
const EXTRA_DATA: [u8; 32] = [7; 32];
const PCRS: &str = "0,1,2,3,4,5,6,7";

fn main() {
    // What `cargo bench` and `cargo test` pass is of no use here.
    let folder = tempfile::tempdir().unwrap();
    let rows = [
        quote(folder.path()),
        event_log(folder.path()),
        certificate(folder.path()),
    ];
    println!("| work | ours | peer | | |\n|---|---|---|---|---|");
    for row in &rows {
        match (&row["ours_ms"], &row["peer_ms"]) {
            (Value::Number(ours), Value::Number(peer)) => println!(
                "| {} | {:.2} ms | {:.2} ms | {} | {:.2}x |",
                row["work"].as_str().unwrap(),
                ours.as_f64().unwrap(),
                peer.as_f64().unwrap(),
                row["peer"].as_str().unwrap(),
                peer.as_f64().unwrap() / ours.as_f64().unwrap(),
            ),
            _ => println!(
                "skipped: {}: {}",
                row["work"].as_str().unwrap(),
                row["absent"].as_str().unwrap()
            ),
        }
    }
    let target = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/bench");
    fs::create_dir_all(&target).unwrap();
    let text = serde_json::to_string_pretty(&rows).unwrap();
    fs::write(target.join("attestation.json"), text).unwrap();
}

fn ours(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_verifier"));
    command.args(arguments);
    command
}

fn theirs(program: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(program);
    command.args(arguments);
    command
}

fn absent(work: &str, peer: &str, why: &str) -> Value {
    json!({ "work": work, "peer": peer, "absent": why })
}

/// Both in turns; neither may fail.
fn compare(work: &str, peer: &str, mut ours: Command, mut theirs: Command) -> Value {
    if theirs
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_err()
    {
        return absent(work, peer, "the peer is not installed");
    }
    let mut best = [Duration::MAX; 2];
    for _ in 0..ROUNDS {
        for (best, command) in best.iter_mut().zip([&mut ours, &mut theirs]) {
            command.stdout(Stdio::null()).stderr(Stdio::null());
            let start = Instant::now();
            let status = command.status().unwrap();
            *best = start.elapsed().min(*best);
            assert!(status.success(), "{command:?} answers {status}");
        }
    }
    let [ours, theirs] = best.map(|best| best.as_secs_f64() * 1e3);
    json!({ "work": work, "peer": peer, "ours_ms": ours, "peer_ms": theirs, "ratio": theirs / ours })
}

/// Files of the vectors folder, or which of them is not there.
fn vectors<const N: usize>(names: [&str; N]) -> Result<[PathBuf; N], String> {
    let folder = env::var_os("PROBITY_VECTORS").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/vectors"),
        PathBuf::from,
    );
    let files = names.map(|name| folder.join(name));
    match files.iter().find(|file| !file.is_file()) {
        None => Ok(files),
        Some(absent) => Err(format!(
            "vector {} is not at hand; set PROBITY_VECTORS",
            absent.display()
        )),
    }
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn sized(bytes: &[u8]) -> Vec<u8> {
    [&(bytes.len() as u16).to_be_bytes()[..], bytes].concat()
}

/// A quote in the files that `tpm2_quote` writes.
fn quote(folder: &Path) -> Value {
    let key = SigningKey::from_slice(&[3; 32]).unwrap();
    let point = key.verifying_key().to_encoded_point(false);
    // ECC, SHA-256, fixedTPM | fixedParent | sensitiveDataOrigin | userWithAuth | noDA | restricted | sign; ECDSA with SHA-256; P-256.
    let mut public = vec![0x00, 0x23, 0x00, 0x0b, 0x00, 0x05, 0x04, 0x72, 0x00, 0x00];
    public.extend([0x00, 0x10, 0x00, 0x18, 0x00, 0x0b, 0x00, 0x03, 0x00, 0x10]);
    public.extend(sized(point.x().unwrap()));
    public.extend(sized(point.y().unwrap()));
    let digest = Sha256::digest([0; 32 * 8]);
    let mut attest = vec![0xff, 0x54, 0x43, 0x47, 0x80, 0x18];
    attest.extend(sized(&[&[0x00, 0x0b][..], &[0xaa; 32]].concat()));
    attest.extend(sized(&EXTRA_DATA));
    attest.extend(1_000_u64.to_be_bytes());
    attest.extend([0, 0, 0, 1, 0, 0, 0, 0, 1]);
    attest.extend(1_u64.to_be_bytes());
    attest.extend([0, 0, 0, 1, 0x00, 0x0b, 3, 0xff, 0, 0]);
    attest.extend(sized(&digest));
    let signature: Signature = key.sign(&attest);
    let (r, s) = signature.split_bytes();
    let signature = [&[0x00, 0x18, 0x00, 0x0b][..], &sized(&r), &sized(&s)].concat();
    let put = |name: &str, bytes: &[u8]| {
        let path = folder.join(name);
        fs::write(&path, bytes).unwrap();
        path
    };
    let pem = key
        .verifying_key()
        .to_public_key_pem(LineEnding::LF)
        .unwrap();
    let (public, attest, signature, pem) = (
        put("ak.pub", &public),
        put("quote.msg", &attest),
        put("quote.sig", &signature),
        put("ak.pem", pem.as_bytes()),
    );
    let (extra_data, digest) = (hex::encode(EXTRA_DATA), hex::encode(digest));
    let ours = ours(&[
        "quote",
        text(&attest),
        "--signature",
        text(&signature),
        "--ak",
        text(&public),
        "--extra-data",
        &extra_data,
        "--pcrs",
        PCRS,
        "--digest",
        &digest,
    ]);
    let theirs = theirs(
        "tpm2_checkquote",
        &[
            "-u",
            text(&pem),
            "-m",
            text(&attest),
            "-s",
            text(&signature),
            "-q",
            &extra_data,
            "-g",
            "sha256",
        ],
    );
    compare(
        "judge a quote (ours also the key's attributes, PCR selection and state)",
        "tpm2_checkquote",
        ours,
        theirs,
    )
}

fn event_log(folder: &Path) -> Value {
    let (work, peer) = (
        "replay a firmware event log (ours also judges its PCRs and tells facts)",
        "tpm2_eventlog",
    );
    let [log] = match vectors(["event-logs/rhel8-uefi.bin"]) {
        Ok(files) => files,
        Err(why) => return absent(work, peer, &why),
    };
    // The values that a TPM would have after this boot.
    let bytes = fs::read(&log).unwrap();
    let replay = Log::parse(&bytes).unwrap().replay(HashAlgorithm::Sha256);
    let pcrs = folder.join("pcrs.json");
    fs::write(
        &pcrs,
        json!({ "sha256": replay.unwrap().values }).to_string(),
    )
    .unwrap();
    compare(
        work,
        peer,
        ours(&["eventlog", text(&log), "--pcrs", text(&pcrs)]),
        theirs("tpm2_eventlog", &[text(&log)]),
    )
}

fn certificate(folder: &Path) -> Value {
    let (work, peer) = (
        "judge an endorsement certificate (ours also the profile)",
        "openssl verify",
    );
    let files = vectors([
        "ek-certs/tpm_ek_root_1.cer",
        "ek-certs/uca_tpm_rsa_enc_cert.pem",
        "ek-certs/tpm_ek_intermediate_2.crt",
        "ek-certs/tpm_ek_intermediate_3.crt",
    ]);
    let [root, leaf, second, third] = match files {
        Ok(files) => files,
        Err(why) => return absent(work, peer, &why),
    };
    let pem = |file: &Path| -> PathBuf {
        let bytes = fs::read(file).unwrap();
        let text = String::from_utf8(bytes.clone())
            .ok()
            .filter(|text| text.contains("BEGIN"));
        let text = text.unwrap_or_else(|| {
            der::pem::encode_string("CERTIFICATE", der::pem::LineEnding::LF, &bytes).unwrap()
        });
        let path = folder.join(file.file_name().unwrap());
        fs::write(&path, text).unwrap();
        path
    };
    let (root, leaf) = (pem(&root), pem(&leaf));
    let intermediates = folder.join("intermediates.pem");
    let both = [second, third].map(|file| fs::read_to_string(pem(&file)).unwrap());
    fs::write(&intermediates, both.concat()).unwrap();
    compare(
        work,
        peer,
        ours(&[
            "ek",
            text(&leaf),
            "--roots",
            text(&root),
            "--intermediates",
            text(&intermediates),
            "--now",
            NOW,
        ]),
        theirs(
            "openssl",
            &[
                "verify",
                "-attime",
                NOW,
                "-ignore_critical",
                "-CAfile",
                text(&root),
                "-untrusted",
                text(&intermediates),
                text(&leaf),
            ],
        ),
    )
}
