#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::*;

fn sources(dir: &Path, out: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, out);
        } else if path.extension().is_some_and(|it| it == "rs") {
            out.push(path);
        }
    }
}

/// Every text that a function `code(…) -> &'static str` in this crate's sources can return, and every one that is put into
/// a field `code` without such a function.
fn codes_given() -> BTreeSet<String> {
    let mut files = Vec::new();
    sources(
        &Path::new(env!("CARGO_MANIFEST_DIR")).join("src"),
        &mut files,
    );
    let mut codes = BTreeSet::new();
    for file in files {
        let text = std::fs::read_to_string(&file).unwrap();
        let is_test = file.iter().any(|it| it == "tests" || it == "tests.rs");
        for (at, found) in text.match_indices("code: \"").filter(|_| !is_test) {
            let literal = text[at + found.len()..].split('"').next().unwrap();
            codes.insert(literal.to_owned());
        }
        for (at, _) in text.match_indices("pub fn code(") {
            let head = text[at..].lines().next().unwrap();
            if !head.contains("&'static str") {
                continue;
            }
            // The function ends at the closing brace of its own depth.
            let indent = text[..at].len() - text[..at].rfind('\n').unwrap() - 1;
            let end = format!("\n{}}}", " ".repeat(indent));
            let body = &text[at..at + text[at..].find(&end).unwrap()];
            for literal in body.split('"').skip(1).step_by(2) {
                assert!(
                    literal
                        .bytes()
                        .all(|it| it.is_ascii_uppercase() || it.is_ascii_digit() || it == b'_'),
                    "{}: {literal}",
                    file.display()
                );
                codes.insert(literal.to_owned());
            }
        }
    }
    codes
}

#[test]
fn every_code_that_is_given_is_explained_and_every_line_is_of_a_code_that_is_given() {
    let given = codes_given();
    assert!(given.contains("QUOTE_PCR_DIGEST") && given.contains("EAR_NONCE"));
    assert!(given.contains("NOT_A_CERTIFICATE"));
    let explained: BTreeSet<String> = TABLES
        .iter()
        .flat_map(|it| it.iter())
        .map(|it| it.code.to_owned())
        .collect();
    let missing: Vec<_> = given.difference(&explained).collect();
    assert!(
        missing.is_empty(),
        "add a line to a table under src/explain for {missing:?}"
    );
    let stale: Vec<_> = explained.difference(&given).collect();
    assert!(stale.is_empty(), "no code is called {stale:?}");
}

#[test]
fn no_code_means_two_things_and_every_line_is_filled_in() {
    let mut seen = BTreeSet::new();
    for it in all() {
        assert!(seen.insert(it.code), "{} stands twice", it.code);
        for text in [it.meaning, it.remedy] {
            assert!(
                text.ends_with(['.', '"']) && text.len() > 10,
                "{}: {text}",
                it.code
            );
        }
        assert!(!it.place.is_empty(), "{}", it.code);
    }
    assert!(seen.len() > 100);
}

#[test]
fn a_code_is_found_in_any_spelling_and_by_its_number() {
    for it in all() {
        assert_eq!(find(it.code), Some(it));
        assert_eq!(find(&it.code.to_lowercase().replace('_', "-")), Some(it));
    }
    assert_eq!(find("3").unwrap().code, "ATTESTATION_FAILED");
    assert_eq!(find("106").unwrap().code, "UNTRUSTED_ENDORSEMENT");
    for unknown in ["", "99", "300", "ATTESTATION", "NO_SUCH_CODE"] {
        assert_eq!(find(unknown), None, "{unknown}");
    }
}

#[test]
fn near_codes_are_those_somebody_may_have_meant() {
    assert_eq!(near("QUOTE_PCR_DIGST")[0], "QUOTE_PCR_DIGEST");
    assert_eq!(near("sigature-bad")[0], "SIGNATURE_BAD");
    assert!(near("SECURE_BOOT").contains(&"POLICY_SECURE_BOOT"));
    assert!(near("ZZZZZZ").is_empty());
    assert!(near("").is_empty());
    assert!(near(&"A".repeat(10_000)).is_empty());
    assert!(near("EAR_").len() <= MAX_SUGGESTIONS);
}

#[test]
fn distances_are_levenshteins() {
    for (a, b, d) in [
        ("", "", 0),
        ("", "abc", 3),
        ("kitten", "sitting", 3),
        ("abc", "abc", 0),
    ] {
        assert_eq!(distance(a, b), d, "{a} {b}");
        assert_eq!(distance(b, a), d, "{b} {a}");
    }
}
