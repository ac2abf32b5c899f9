//! What the auditor's command line answers to bad input.

use std::path::Path;
use std::process::{Command, Output};

pub fn verifier(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_verifier"))
        .args(args)
        .output()
        .unwrap()
}

fn one_line(output: &Output, code: i32, needle: &str) {
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{stderr}");
    assert!(stderr.contains(needle), "{stderr}");
    assert_eq!(stderr.trim_end().lines().count(), 1, "{stderr}");
}

pub fn trust(dir: &Path) -> String {
    let path = dir.join("trust.toml");
    let zero = format!("0x{}", "00".repeat(32));
    let account = format!("0x{}", "11".repeat(20));
    std::fs::write(
        &path,
        format!(
            "committee_digest = \"{zero}\"\nfaults = 1\ncircuit = \"{zero}\"\n\
             [deployment]\nchain_id = 31337\nhub = \"{account}\"\nregistry = \"{account}\"\n\
             [schedule]\ngenesis_block = 0\nepoch_blocks = 40\ndeadline_block = 24\n\
             [[policies]]\nfrom_epoch = 0\nek_roots = \"\"\n\
             [policies.policy]\npcrs = [0]\nslow_after = 2000\n"
        ),
    )
    .unwrap();
    path.to_str().unwrap().to_owned()
}

#[test]
fn a_folder_is_judged_bundle_by_bundle_and_the_gravest_end_is_the_command_s() {
    let dir = tempfile::tempdir().unwrap();
    let trust = trust(dir.path());
    let bundles = dir.path().join("bundles");
    std::fs::create_dir(&bundles).unwrap();
    let seed = |name: &str| {
        let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus/bundle");
        std::fs::read(corpus.join(name)).unwrap()
    };
    let judge = || {
        let bundles = bundles.to_str().unwrap();
        let output = verifier(&["bundle", bundles, "--trust", &trust, "--output", "json"]);
        let text = String::from_utf8(output.stdout).unwrap();
        let counts: serde_json::Value = serde_json::from_str(&text).unwrap_or_default();
        let count = |name: &str| counts[name].as_u64();
        (
            output.status.code().unwrap(),
            [
                count("accepted"),
                count("rejected"),
                count("could_not_check"),
            ],
        )
    };
    assert_eq!(judge(), (3, [None; 3]), "an empty folder");
    // A folder in the place of a file cannot be read.
    std::fs::create_dir(bundles.join("unreadable.probity")).unwrap();
    assert_eq!(judge(), (3, [Some(0), Some(0), Some(1)]));
    // Sound bytes of another deployment, and bytes that are no bundle. What is named otherwise is none.
    std::fs::write(bundles.join("elsewhere.probity"), seed("honest")).unwrap();
    std::fs::write(bundles.join("damaged.probity"), &seed("honest")[1..]).unwrap();
    std::fs::write(bundles.join("notes.txt"), "not a bundle").unwrap();
    assert_eq!(judge(), (1, [Some(0), Some(2), Some(1)]));
}

#[test]
fn without_a_trust_file_nothing_is_judged() {
    one_line(&verifier(&["bundle", "any.probity"]), 3, "--trust");
    one_line(
        &verifier(&["bundle", "any.probity", "--trust", "absent.toml"]),
        3,
        "absent.toml",
    );
}

#[test]
fn a_missing_bundle_could_not_be_checked() {
    let dir = tempfile::tempdir().unwrap();
    one_line(
        &verifier(&["bundle", "absent.probity", "--trust", &trust(dir.path())]),
        3,
        "absent.probity",
    );
}

#[test]
fn a_trust_file_with_an_unknown_key_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = trust(dir.path());
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, format!("surprise = 1\n{text}")).unwrap();
    let output = verifier(&["bundle", "any.probity", "--trust", &path]);
    assert_eq!(output.status.code(), Some(3));
    assert!(String::from_utf8_lossy(&output.stderr).contains("surprise"));
}

#[test]
fn truncated_and_oversized_bundles_are_rejected_as_malformed() {
    let dir = tempfile::tempdir().unwrap();
    let trust = trust(dir.path());
    // A byte string that claims ten gigabytes.
    let ten_gigabytes = [&[0x8c, 0x5b][..], &10_000_000_000u64.to_be_bytes()].concat();
    let huge = vec![0u8; (16 << 20) + 4_096];
    for (name, bytes) in [
        ("empty", vec![]),
        ("truncated", vec![0x8c, 0x70]),
        ("prefix", ten_gigabytes),
        ("huge", huge),
    ] {
        let path = dir.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        let output = verifier(&[
            "bundle",
            path.to_str().unwrap(),
            "--trust",
            &trust,
            "--output",
            "json",
        ]);
        assert_eq!(output.status.code(), Some(1), "{name}");
        let answer: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(answer["accepted"], false, "{name}");
        assert_eq!(answer["checks"][0]["reason"], "MALFORMED", "{name}");
    }
}

#[test]
fn wrong_usage_exits_with_two() {
    assert_eq!(verifier(&["bundle"]).status.code(), Some(2));
    assert_eq!(verifier(&["surprise"]).status.code(), Some(2));
}

#[test]
fn a_trust_file_takes_the_policies_that_a_hub_announces_in_their_order() {
    let dir = tempfile::tempdir().unwrap();
    let path = trust(dir.path());
    let file = |name: &str, text: &str| {
        let path = dir.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let policy = file("next.toml", "pcrs = [0, 7]\nslow_after = 2000\n");
    let roots = file("roots.toml", "");
    let json = |args: &[&str]| {
        let output = verifier(&[args, &["--output", "json"]].concat());
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        serde_json::from_slice::<serde_json::Value>(&output.stdout).unwrap()
    };
    let add = |from_epoch: &'static str| {
        let files = ["--policy", &policy, "--roots", &roots];
        [
            &["trust", "add-policy", &path, "--from-epoch", from_epoch],
            &files[..],
        ]
        .concat()
    };
    let added = json(&add("9"));
    let hash = &json(&["policy", "check", &policy, "--roots", &roots])["hash"];
    assert_eq!(&added["policies"][1]["policy_hash"], hash);
    assert_eq!(added["policies"][1]["from_epoch"], 9);
    assert_ne!(added["policies"][0]["policy_hash"], *hash);
    assert_eq!(json(&["trust", "show", &path]), added);

    let before = std::fs::read(&path).unwrap();
    for earlier in ["9", "3"] {
        one_line(&verifier(&add(earlier)), 3, "from_epoch");
    }
    assert_eq!(std::fs::read(&path).unwrap(), before, "it stays as it was");
}
