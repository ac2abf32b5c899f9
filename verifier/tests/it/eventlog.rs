//! What `verifier eventlog` answers.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
pub use verifier::eventlog::{Digest, EventKind, bank_name};

/// Logs as the crate's own tests make them.
#[allow(dead_code, reason = "these tests do not need all of it")]
#[path = "../../src/eventlog/fixture.rs"]
pub mod fixture;

fn run(dir: &Path, args: &[&str]) -> (i32, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_verifier"))
        .current_dir(dir)
        .arg("eventlog")
        .args(args)
        .output()
        .unwrap();
    (
        output.status.code().unwrap(),
        String::from_utf8(output.stdout).unwrap(),
        String::from_utf8(output.stderr).unwrap(),
    )
}

fn sha(parts: &[&[u8]]) -> [u8; 32] {
    parts
        .iter()
        .fold(Sha256::new(), |hash, part| hash.chain_update(part))
        .finalize()
        .into()
}

/// A crypto-agile SHA-256 log of events (PCR, type, what is hashed, data), and the PCR values.
fn log(events: &[(u32, u32, &[u8], &[u8])]) -> (Vec<u8>, BTreeMap<u32, [u8; 32]>) {
    let mut header = b"Spec ID Event03\0".to_vec();
    header.extend([0, 0, 0, 0, 0, 2, 0, 2, 1, 0, 0, 0, 0x0b, 0, 32, 0, 0]);
    let mut bytes = [&[0, 0, 0, 0, 3, 0, 0, 0][..], &[0; 20]].concat();
    bytes.extend((header.len() as u32).to_le_bytes());
    bytes.extend(header);
    let mut pcrs = BTreeMap::new();
    for (pcr, kind, measured, data) in events {
        bytes.extend(pcr.to_le_bytes());
        bytes.extend(kind.to_le_bytes());
        bytes.extend([1, 0, 0, 0, 0x0b, 0]);
        bytes.extend(sha(&[measured]));
        bytes.extend((data.len() as u32).to_le_bytes());
        bytes.extend(*data);
        let value = pcrs.entry(*pcr).or_insert([0; 32]);
        *value = sha(&[&value[..], &sha(&[measured])]);
    }
    (bytes, pcrs)
}

const EVENTS: &[(u32, u32, &[u8], &[u8])] = &[
    (0, 8, b"version", b"version"),
    (0, 4, &[0; 4], &[0; 4]),
    (4, 4, &[0; 4], &[0; 4]),
    (8, 13, b"linux /k ro", b"grub_cmd: linux /k ro\0"),
];

/// A line of a measurement list, and what the kernel extends.
fn measured(path: &str) -> (String, [u8; 32]) {
    let digest = sha(&[b"contents"]);
    let field = |bytes: &[u8]| [&(bytes.len() as u32).to_le_bytes()[..], bytes].concat();
    let data = [
        field(&[b"sha256:\0", &digest[..]].concat()),
        field(&[path.as_bytes(), &[0]].concat()),
    ]
    .concat();
    let hash = sha(&[&data]);
    let (shown, digest) = (hex::encode(hash), hex::encode(digest));
    (format!("10 {shown} ima-ng sha256:{digest} {path}\n"), hash)
}

/// Writes a log, its PCR values and a measurement list that leads to PCR 10.
fn folder() -> (tempfile::TempDir, BTreeMap<u32, [u8; 32]>) {
    let dir = tempfile::tempdir().unwrap();
    let (bytes, mut pcrs) = log(EVENTS);
    std::fs::write(dir.path().join("log"), bytes).unwrap();
    let digest = sha(&[b"contents"]);
    let (line, hash) = measured("/bin/true");
    std::fs::write(dir.path().join("ima"), line).unwrap();
    std::fs::write(
        dir.path().join("allow"),
        format!("sha256:{} /bin/true\n", hex::encode(digest)),
    )
    .unwrap();
    std::fs::write(
        dir.path().join("allow-other"),
        format!("sha256:{} /bin/false\n", hex::encode(digest)),
    )
    .unwrap();
    pcrs.insert(10, sha(&[&[0; 32], &hash]));
    (dir, pcrs)
}

fn write_json(dir: &Path, pcrs: &BTreeMap<u32, [u8; 32]>) {
    let values: BTreeMap<_, _> = pcrs.iter().map(|(k, v)| (k, hex::encode(v))).collect();
    let text = json!({ "sha256": values }).to_string();
    std::fs::write(dir.join("pcrs"), text).unwrap();
}

#[test]
fn a_log_that_explains_its_pcrs_is_accepted_and_tells_its_facts() {
    let (dir, mut pcrs) = folder();
    pcrs.remove(&10);
    write_json(dir.path(), &pcrs);
    let args = ["log", "--pcrs", "pcrs", "--output", "json"];
    let (code, stdout, stderr) = run(dir.path(), &args);
    assert_eq!(code, 0, "{stdout}{stderr}");
    let answer: Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!(answer["accepted"], true);
    assert_eq!(answer["facts"]["firmware_version"], "version");
    assert_eq!(answer["facts"]["texts"][1]["text"], "linux /k ro");
    assert_eq!(answer["facts"]["pcrs"]["0"], hex::encode(pcrs[&0]));
    // What tpm2_pcrread prints.
    let mut text = "sha1:\nsha256:\n".to_owned();
    for (pcr, value) in &pcrs {
        text.push_str(&format!("  {pcr:<2}: 0x{}\n", hex::encode_upper(value)));
    }
    std::fs::write(dir.path().join("pcrs"), text).unwrap();
    let (code, stdout, _) = run(dir.path(), &["log", "--pcrs", "pcrs"]);
    assert_eq!(code, 0, "{stdout}");
    assert!(stdout.contains("kernel command"), "{stdout}");
}

#[test]
fn a_mismatch_is_rejected_and_names_the_event() {
    let (dir, mut pcrs) = folder();
    pcrs.remove(&10);
    write_json(dir.path(), &pcrs);
    let mut longer = EVENTS.to_vec();
    longer.push((4, 0x8000_0003, b"another image", b""));
    std::fs::write(dir.path().join("log"), log(&longer).0).unwrap();
    let args = ["log", "--pcrs", "pcrs", "--output", "json"];
    let (code, stdout, _) = run(dir.path(), &args);
    assert_eq!(code, 1);
    let answer: Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!(answer["accepted"], false);
    assert_eq!(answer["rejected"][0]["code"], "EVENTLOG_PCR_MISMATCH");
    assert_eq!(answer["mismatches"][0]["cause"]["cause"], "surplus");
    assert_eq!(answer["mismatches"][0]["cause"]["event"]["index"], 5);
    // Nothing is told of the PCR that is not explained.
    assert_eq!(answer["facts"]["images"], json!([]));
    assert!(answer["facts"]["pcrs"].get("4").is_none());
}

#[test]
fn without_pcr_values_nothing_is_judged() {
    let (dir, _) = folder();
    let (code, stdout, _) = run(dir.path(), &["log"]);
    assert_eq!(code, 3);
    assert!(stdout.contains("not judged") && stdout.contains("--pcrs"));
    let (code, _, stderr) = run(dir.path(), &["absent"]);
    assert_eq!(code, 3);
    assert!(stderr.contains("absent"));
}

#[test]
fn a_malformed_log_is_rejected_with_its_code() {
    let (dir, pcrs) = folder();
    write_json(dir.path(), &pcrs);
    std::fs::write(dir.path().join("log"), [1, 2, 3]).unwrap();
    let (code, stdout, _) = run(dir.path(), &["log", "--pcrs", "pcrs"]);
    assert_eq!(code, 1);
    assert!(stdout.contains("EVENTLOG_TRUNCATED"), "{stdout}");
}

#[test]
fn pcr_values_that_cannot_be_read_judge_nothing() {
    let (dir, _) = folder();
    for text in [
        "",
        "nonsense",
        "{}",
        r#"{"sha256": {"24": "00"}}"#,
        r#"{"sha256": {"0": "00"}}"#,
        r#"{"md5": {"0": "00"}}"#,
    ] {
        std::fs::write(dir.path().join("pcrs"), text).unwrap();
        let (code, _, stderr) = run(dir.path(), &["log", "--pcrs", "pcrs"]);
        assert_eq!(code, 3, "{text}");
        assert!(stderr.contains("PCR values"), "{stderr}");
    }
}

#[test]
fn measurements_are_judged_by_pcr_10_and_the_allow_list() {
    let (dir, mut pcrs) = folder();
    write_json(dir.path(), &pcrs);
    let base = ["log", "--pcrs", "pcrs", "--ima", "ima"];
    let with = |more: &[&'static str]| [&base[..], more].concat();
    let (code, stdout, stderr) = run(dir.path(), &with(&["--allow", "allow"]));
    assert_eq!(code, 0, "{stdout}{stderr}");
    assert!(stdout.contains("1 of 1"), "{stdout}");
    let (code, stdout, _) = run(dir.path(), &with(&["--allow", "allow-other"]));
    assert_eq!(code, 1);
    assert!(stdout.contains("IMA_NOT_ALLOWED"), "{stdout}");
    let (code, stdout, _) = run(dir.path(), &with(&["--ima-extend", "padded-sha1"]));
    assert_eq!(code, 1);
    assert!(stdout.contains("IMA_NOT_REACHED"), "{stdout}");
    pcrs.remove(&10);
    write_json(dir.path(), &pcrs);
    let (code, _, stderr) = run(dir.path(), &base);
    assert_eq!(code, 3);
    assert!(stderr.contains("PCR 10"), "{stderr}");
}

#[test]
fn a_list_that_grew_is_judged_from_where_the_last_judgement_ended() {
    let (dir, mut pcrs) = folder();
    let paths = ["/bin/a", "/bin/b", "/bin/c", "/bin/d"];
    // The list of so many of them, and PCR 10 after it.
    let mut boot = |paths: &[&str]| {
        let (lines, hashes): (Vec<_>, Vec<_>) = paths.iter().map(|it| measured(it)).unzip();
        let value = hashes
            .iter()
            .fold([0; 32], |value, hash| sha(&[&value, hash]));
        pcrs.insert(10, value);
        write_json(dir.path(), &pcrs);
        std::fs::write(dir.path().join("ima"), lines.concat()).unwrap();
    };
    let judge = |from: Option<&str>| {
        let mut args = vec!["log", "--pcrs", "pcrs", "--ima", "ima"];
        args.extend(from.iter().flat_map(|it| ["--ima-from", it]));
        let (code, stdout, stderr) = run(dir.path(), &[&args[..], &["--output", "json"]].concat());
        let answer: Value = serde_json::from_str(&stdout).unwrap_or_default();
        let (_, table, _) = run(dir.path(), &args);
        (code, answer, table + &stderr)
    };
    let progress = |answer: &Value| {
        answer["measurements"]["progress"]
            .as_str()
            .unwrap()
            .to_owned()
    };

    boot(&paths[..2]);
    let (code, first, table) = judge(None);
    assert_eq!(code, 0, "{table}");
    let kept = progress(&first);
    assert!(kept.starts_with("sha256:per-bank:2:"), "{kept}");
    assert!(table.contains(&format!("--ima-from {kept}")), "{table}");

    boot(&paths);
    let (code, whole, table) = judge(None);
    assert_eq!(code, 0, "{table}");
    let (code, went_on, table) = judge(Some(&kept));
    assert_eq!(code, 0, "{table}");
    assert!(
        table.contains("4 of 4 lead to PCR 10, 2 of them new"),
        "{table}"
    );
    assert_eq!(progress(&went_on), progress(&whole));
    assert_eq!(went_on["measurements"]["pcr"], whole["measurements"]["pcr"]);
    assert_eq!(
        [
            &went_on["measurements"]["new"],
            &whole["measurements"]["new"]
        ],
        [2, 4]
    );

    // Lists that lead to the quoted value, but not by way of what was verified.
    let changed = |from: &str| {
        let (code, answer, table) = judge(Some(from));
        assert_eq!(code, 1, "{table}");
        answer["rejected"][0]["code"].as_str().unwrap().to_owned()
    };
    boot(&["/bin/a", "/bin/x", "/bin/c", "/bin/d"]);
    assert_eq!(changed(&kept), "IMA_HEAD_CHANGED");
    boot(&["/bin/b", "/bin/a", "/bin/c"]);
    assert_eq!(changed(&kept), "IMA_HEAD_CHANGED");
    boot(&paths[1..]);
    assert_eq!(changed(&kept), "IMA_HEAD_CHANGED");
    boot(&paths[..1]);
    assert_eq!(changed(&kept), "IMA_HEAD_CHANGED");

    for (wrong, code) in [
        ("sha256:per-bank:2", 2),
        ("sha256:per-bank:+2:00", 2),
        (&kept.to_uppercase()[..], 2),
        (&format!("sha1:per-bank:0:{}", "00".repeat(20))[..], 3),
    ] {
        assert_eq!(judge(Some(wrong)).0, code, "{wrong}");
    }
}

#[test]
fn an_earlier_log_shows_what_changed() {
    let (dir, mut pcrs) = folder();
    pcrs.remove(&10);
    write_json(dir.path(), &pcrs);
    let mut earlier = EVENTS.to_vec();
    earlier[3].2 = b"linux /old ro";
    std::fs::write(dir.path().join("earlier"), log(&earlier).0).unwrap();
    let args = ["log", "--pcrs", "pcrs", "--earlier", "earlier"];
    let (code, stdout, _) = run(dir.path(), &[&args[..], &["--output", "json"]].concat());
    assert_eq!(code, 0, "{stdout}");
    let answer: Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!(answer["differences"][0]["pcr"], 8);
    assert_eq!(answer["differences"][0]["now"]["index"], 4);
}
