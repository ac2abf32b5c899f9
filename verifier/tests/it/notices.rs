//! Revocation notices and standings at the command line.

use std::path::Path;

use alloy_primitives::{Address, B256};
use k256::ecdsa::SigningKey;
use serde_json::Value;
use verifier::committee::Deployment;
use verifier::revocation::{Feed, Head, Notice, RevocationReason, SignedNotice, Subject};

use crate::cli::{trust, verifier};

fn deployment() -> Deployment {
    Deployment {
        chain_id: 31_337,
        hub: Address::repeat_byte(0x11),
        registry: Address::repeat_byte(0x11),
    }
}

fn key(seed: u8) -> (SigningKey, String) {
    let key = SigningKey::from_slice(&[seed; 32]).unwrap();
    let address = Address::from_private_key(&key).to_string();
    (key, address)
}

/// Notices of machine 1, each for one reason, in force from 100, 200 and so on.
fn feed(key: &SigningKey, reasons: &[RevocationReason]) -> Feed {
    let mut head = Head::start(Address::from_private_key(key));
    let mut notices = Vec::new();
    for (reason, at) in reasons.iter().zip(1..) {
        let subject = Subject::Hardware(B256::repeat_byte(1));
        let notice = Notice::after(&head, subject, *reason, at * 100, "\u{1b}[2Jas told");
        let digest = notice.digest(&deployment());
        let (signature, id) = key.sign_prehash_recoverable(digest.as_slice()).unwrap();
        let signature = [&signature.to_bytes()[..], &[27 + id.to_byte()]].concat();
        let signed = SignedNotice {
            notice: notice.to_bytes().into(),
            signature: signature.into(),
        };
        head = Head {
            issuer: head.issuer,
            sequence: notice.sequence,
            hash: notice.hash(),
            last: Some(signed.clone()),
        };
        notices.push(signed);
    }
    Feed(notices)
}

fn file(dir: &Path, name: &str, bytes: &[u8]) -> String {
    let path = dir.join(name);
    std::fs::write(&path, bytes).unwrap();
    path.to_str().unwrap().to_owned()
}

fn judged(args: &[&str]) -> (Option<i32>, Value) {
    let output = verifier(&[args, &["--output", "json"]].concat());
    let read = serde_json::from_slice(&output.stdout).unwrap_or_default();
    (output.status.code(), read)
}

#[test]
fn a_feed_is_followed_and_one_that_hides_or_rewrites_is_refused() {
    use RevocationReason::{KeyCompromise, Reinstated, Vulnerable};
    let dir = tempfile::tempdir().unwrap();
    let trust = trust(dir.path());
    let (signer, issuer) = key(1);
    let three = feed(&signer, &[Vulnerable, Reinstated, KeyCompromise]);
    let now = file(dir.path(), "now", &three.to_bytes());
    let before = file(
        dir.path(),
        "before",
        &Feed(three.0[..2].to_vec()).to_bytes(),
    );
    let other = feed(&signer, &[Vulnerable, KeyCompromise]);
    let other = file(dir.path(), "other", &other.to_bytes());
    let junk = file(dir.path(), "junk", b"no feed");
    let ask = |feed: &str, more: &[&str]| {
        let args = ["notices", feed, "--issuer", &issuer, "--trust", &trust];
        judged(&[&args[..], more].concat())
    };
    for (at, states) in [
        ("150", ["in force", "reinstates", "not yet in force"]),
        ("250", ["undone", "reinstates", "not yet in force"]),
        ("350", ["in force", "reinstates", "in force"]),
    ] {
        let (code, read) = ask(&now, &["--earlier", &before, "--now", at]);
        assert_eq!(code, Some(0), "{read}");
        let found: Vec<_> = (0..3)
            .map(|n| read["notices"][n]["state"].clone())
            .collect();
        assert_eq!(found, states, "at {at}");
    }
    for (feed, earlier, code) in [
        (&before, &now, "REVOCATION_ROLLBACK"),
        (&other, &now, "REVOCATION_FORK"),
        (&junk, &now, "REVOCATION_MALFORMED"),
        (&now, &junk, "REVOCATION_MALFORMED"),
    ] {
        let (exit, read) = ask(feed, &["--earlier", earlier, "--now", "1"]);
        assert_eq!(
            (exit, read["code"].as_str()),
            (Some(1), Some(code)),
            "{read}"
        );
        assert_eq!(read["equivocation"].is_object(), code == "REVOCATION_FORK");
    }
    let (_, stranger) = key(2);
    let args = ["notices", &now, "--issuer", &stranger, "--trust", &trust];
    let (exit, read) = judged(&[&args[..], &["--now", "1"]].concat());
    assert_eq!(
        (exit, read["code"].as_str()),
        (Some(1), Some("REVOCATION_ISSUER"))
    );
    // The text of a notice is foreign.
    let shown = verifier(
        &[
            &args[..2],
            &["--issuer", &issuer, "--trust", &trust, "--now", "1"],
        ]
        .concat(),
    );
    assert!(!shown.stdout.contains(&0x1b) && shown.status.success());
}

#[test]
fn standings_rest_on_accepted_bundles_and_on_feeds_that_hold() {
    let dir = tempfile::tempdir().unwrap();
    let trust = trust(dir.path());
    let junk = file(dir.path(), "junk.probity", b"no bundle");
    let (exit, read) = judged(&["standing", &junk, "--trust", &trust, "--now", "1"]);
    assert_eq!(exit, Some(3), "{read}");
    assert!(
        read["left_out"][0]
            .as_str()
            .unwrap()
            .contains("junk.probity")
    );
    assert_eq!(read["machines"], Value::Array(Vec::new()));
    let (signer, _) = key(1);
    let (_, stranger) = key(2);
    let feed = feed(&signer, &[RevocationReason::Vulnerable]);
    let feed = file(dir.path(), "feed", &feed.to_bytes());
    let notices = format!("{stranger}={feed}");
    let args = [
        "standing",
        &junk,
        "--trust",
        &trust,
        "--now",
        "1",
        "--notices",
        &notices,
    ];
    let output = verifier(&args);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(3));
    assert!(stderr.contains("REVOCATION_ISSUER"), "{stderr}");
}
