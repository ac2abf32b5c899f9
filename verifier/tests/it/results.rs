//! Attestation results, policies and codes at the command line, and against another implementation of JWT.

use std::path::Path;
use std::process::{Command, Output};

use alloy_primitives::B256;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use p256::pkcs8::{EncodePrivateKey as _, EncodePublicKey as _, LineEnding};
use serde_json::{Value, json};
use verifier::ear::{
    Check, Ear, Endorsement, Findings, IssuerKey, PolicyFinding, Profile, Rules, Tier,
    TrustedEndorsement, VerifierKey, verify,
};
use verifier::policy::TpmClass;

const NOW: u64 = 1_800_000_000;

fn verifier(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_verifier"))
        .args(args)
        .output()
        .unwrap()
}

fn code(output: &Output) -> Option<i32> {
    output.status.code()
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn file(dir: &Path, name: &str, text: &str) -> String {
    let path = dir.join(name);
    std::fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

/// Private and public key in PEM.
pub fn keys() -> (String, String) {
    let secret = p256::SecretKey::from_slice(&[7; 32]).unwrap();
    (
        secret.to_pkcs8_pem(LineEnding::LF).unwrap().to_string(),
        secret
            .public_key()
            .to_public_key_pem(LineEnding::LF)
            .unwrap(),
    )
}

fn findings() -> Findings {
    Findings {
        endorsement: Endorsement::Trusted(TrustedEndorsement {
            class: Some(TpmClass::Discrete),
            manufacturer: "id:49465800".into(),
            model: "SLB9672".into(),
            root: B256::ZERO,
        }),
        activation: Check::Passed,
        quote: Check::Passed,
        clock: Check::Passed,
        policy: PolicyFinding::Accepted {
            states_listed: true,
        },
        ..Findings::default()
    }
}

pub fn ear(profile: Profile) -> Ear {
    let mut ear = Ear::new(NOW, "node", findings().appraise());
    ear.profile = profile;
    ear
}

#[test]
fn another_implementation_verifies_our_tokens_and_we_verify_its() {
    let (private, public) = keys();
    let mut validation = Validation::new(Algorithm::ES256);
    validation.set_required_spec_claims::<&str>(&[]);
    for profile in Profile::ALL {
        let ear = ear(profile);
        let token = ear.sign(&IssuerKey::from_pem(&private).unwrap()).unwrap();
        let key = DecodingKey::from_ec_pem(public.as_bytes()).unwrap();
        let read = jsonwebtoken::decode::<Value>(&token, &key, &validation).unwrap();
        assert_eq!(read.claims["eat_profile"], profile.uri());
        assert_eq!(read.claims["iat"], NOW);

        let key = EncodingKey::from_ec_pem(private.as_bytes()).unwrap();
        let theirs =
            jsonwebtoken::encode(&Header::new(Algorithm::ES256), &read.claims, &key).unwrap();
        let public = VerifierKey::from_text(&public).unwrap();
        let verified = verify(&theirs, &public, &Rules::at(NOW)).unwrap();
        assert_eq!(verified.ear, ear);
    }
}

/// Tokens that the `ear` crate made, and the results they hold; see `verifier/interop`.
#[test]
fn tokens_of_veraisons_implementation_are_read_as_it_meant_them() {
    let key = VerifierKey::from_text(include_str!("../data/ear/veraison.jwk")).unwrap();
    let mut profiles = Vec::new();
    for (token, policies) in [
        (
            include_str!("../data/ear/veraison-0.6.jwt"),
            &["policy-1", "policy-2"][..],
        ),
        (
            include_str!("../data/ear/veraison-0.3.jwt"),
            &["policy-1"][..],
        ),
    ] {
        let verified = verify(token.trim(), &key, &Rules::at(NOW)).unwrap();
        assert!(verified.ignored.is_empty(), "{:?}", verified.ignored);
        let ear = verified.ear;
        assert_eq!(ear.issued_at, NOW);
        assert_eq!(ear.verifier.build, "vsts 0.0.1");
        assert_eq!(ear.verifier.developer, "https://veraison-project.org");
        assert_eq!(ear.nonce.as_ref().unwrap().as_ref(), b"a nonce!");
        assert_eq!(ear.submods.keys().collect::<Vec<_>>(), ["one", "two"]);
        let one = &ear.submods["one"];
        let vector: Vec<_> = one.vector.iter().map(|(name, it)| (name, it.0)).collect();
        assert_eq!(
            vector,
            [
                ("instance-identity", 2),
                ("executables", 33),
                ("runtime-opaque", 96)
            ]
        );
        assert_eq!(one.status, Tier::Contraindicated);
        assert_eq!(one.policy_ids, policies);
        assert_eq!(ear.submods["two"].status, Tier::None);
        profiles.push(ear.profile);
    }
    assert_eq!(profiles, Profile::ALL);
}

/// What the interoperability check gave the `ear` crate to read is what is issued today.
#[test]
fn the_tokens_that_veraisons_implementation_read_are_those_we_issue() {
    let key = IssuerKey::from_pem(&keys().0).unwrap();
    for (profile, name) in Profile::ALL.into_iter().zip(["ietf-04", "veraison-2023"]) {
        let mut ear = ear(profile);
        ear.verifier.build = "interop".into();
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/data/ear/{name}.jwt"));
        let token = ear.sign(&key).unwrap();
        if std::env::var_os("PROBITY_GENERATE").is_some() {
            std::fs::write(&path, &token).unwrap();
        }
        let committed = std::fs::read_to_string(&path).unwrap_or_default();
        assert_eq!(
            committed,
            token,
            "{} is stale: run `make generate`, then `make interop`",
            path.display()
        );
    }
}

#[test]
fn a_token_is_verified_and_shown() {
    let dir = tempfile::tempdir().unwrap();
    let (private, public) = keys();
    let key = IssuerKey::from_pem(&private).unwrap();
    let public = file(dir.path(), "public.pem", &public);
    let none = file(dir.path(), "none.json", "{}");
    for profile in Profile::ALL {
        let mut ear = ear(profile);
        ear.expires = Some(NOW + 600);
        let token = file(dir.path(), "token.jwt", &ear.sign(&key).unwrap());
        let verify = |now: &str| {
            verifier(&[
                "ear", "verify", &token, "--key", &public, "--now", now, "--output", "json",
            ])
        };
        let good = verify("1800000000");
        assert_eq!(code(&good), Some(0), "{good:?}");
        let answer: Value = serde_json::from_slice(&good.stdout).unwrap();
        assert_eq!(
            (&answer["verified"], &answer["status"]),
            (&json!(true), &json!("affirming"))
        );
        let good_hashes = answer["appraisal_hashes"].clone();
        let late = verify("1800000600");
        assert_eq!(code(&late), Some(1));
        let answer: Value = serde_json::from_slice(&late.stdout).unwrap();
        assert_eq!(answer["code"], "EAR_EXPIRED");
        let shown = verifier(&["ear", "show", &token]);
        assert_eq!(code(&shown), Some(0));
        assert!(stdout(&shown).contains("instance-identity"));
        assert!(stdout(&shown).contains("not verified"));
        // The hash is that of the draft's names, whatever the token's.
        let hash = ear.appraisal_hashes().unwrap()["node"];
        assert_eq!(good_hashes, json!({ "node": hash }));
        assert_eq!(hash, self::ear(Profile::Ietf04).appraisals_hash().unwrap());
    }
    assert_eq!(
        code(&verifier(&["ear", "verify", &none, "--key", &public])),
        Some(1)
    );
    assert_eq!(
        code(&verifier(&["ear", "verify", "absent", "--key", &public])),
        Some(3)
    );
    assert_eq!(
        code(&verifier(&["ear", "verify", &none, "--key", &none])),
        Some(3)
    );
    assert_eq!(code(&verifier(&["ear", "verify", &none])), Some(2));
    assert_eq!(
        code(&verifier(&[
            "ear", "verify", &none, "--key", &public, "--now", "soon"
        ])),
        Some(2)
    );
    for nonce in ["0xzz", "123", "a nonce"] {
        let args = ["ear", "verify", &none, "--key", &public, "--nonce", nonce];
        assert_eq!(code(&verifier(&args)), Some(2), "{nonce}");
    }
    for nonce in ["0x1234", "1234"] {
        let args = ["ear", "verify", &none, "--key", &public, "--nonce", nonce];
        assert_eq!(code(&verifier(&args)), Some(1), "{nonce}");
    }
}

#[test]
fn a_warning_is_accepted_only_by_who_allows_it() {
    let dir = tempfile::tempdir().unwrap();
    let (private, public) = keys();
    let key = IssuerKey::from_pem(&private).unwrap();
    let public = file(dir.path(), "public.pem", &public);
    let mut found = findings();
    found.policy = PolicyFinding::Accepted {
        states_listed: false,
    };
    found.boot.secure_boot = Some(false);
    let token = Ear::new(NOW, "node", found.appraise()).sign(&key).unwrap();
    let token = file(dir.path(), "token.jwt", &token);
    let args = [
        "ear",
        "verify",
        &token,
        "--key",
        &public,
        "--now",
        "1800000000",
    ];
    assert_eq!(code(&verifier(&args)), Some(1));
    let lenient = [&args[..], &["--allow-warning"]].concat();
    assert_eq!(code(&verifier(&lenient)), Some(0));
    // White space around a token is no part of it, but what follows a megabyte of it is not cut off unseen.
    let text = std::fs::read_to_string(&token).unwrap();
    for (more, expected) in [(" \n", 0), ("x", 1)] {
        let padded = format!(
            "{text}{}{more}",
            " ".repeat(if expected == 0 { 9 } else { 1 << 20 })
        );
        std::fs::write(&token, padded).unwrap();
        assert_eq!(code(&verifier(&lenient)), Some(expected));
    }
}

const POLICY: &str = "pcrs = [0]\nslow_after = 2000\n";

#[test]
fn a_policy_is_checked() {
    let dir = tempfile::tempdir().unwrap();
    let good = file(dir.path(), "good.toml", POLICY);
    let output = verifier(&["policy", "check", &good]);
    assert_eq!(code(&output), Some(0));
    assert!(stdout(&output).contains("any state"), "{output:?}");
    for (text, needle, permanent) in [
        ("pcrs = []\nslow_after = 1\n", "pcrs", "POLICY_SYNTAX"),
        (
            "pcrs = [0]\nslow_after = 1\n[tpm]\nclasses = []\n",
            "classes",
            "POLICY_UNSOUND",
        ),
        ("surprise = 1\n", "surprise", "POLICY_SYNTAX"),
        (
            "pcrs = [0]\nslow_after = 1\n[snp]\nmeasurements = []\n[snp.products]\n",
            "snp.measurements",
            "SNP_POLICY_EMPTY",
        ),
    ] {
        let bad = file(dir.path(), "bad.toml", text);
        let output = verifier(&["policy", "check", &bad, "--output", "json"]);
        assert_eq!(code(&output), Some(1));
        let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(answer["accepted"], false);
        assert_eq!(answer["code"], permanent);
        assert!(
            answer["error"].as_str().unwrap().contains(needle),
            "{answer}"
        );
        assert_eq!(code(&verifier(&["explain", permanent])), Some(0));
    }
    assert_eq!(
        code(&verifier(&["policy", "check", "absent.toml"])),
        Some(3)
    );
    assert_eq!(code(&verifier(&["policy"])), Some(2));
}

#[test]
fn a_simulation_of_nothing_usable_could_not_be_made() {
    let dir = tempfile::tempdir().unwrap();
    let policy = file(dir.path(), "policy.toml", POLICY);
    let junk = file(dir.path(), "junk.json", "{\"attest\": 1}\n");
    let output = verifier(&[
        "policy", "simulate", &policy, &policy, &junk, "--output", "json",
    ]);
    assert_eq!(code(&output), Some(3), "{output:?}");
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(answer["unusable"].as_array().unwrap().len(), 1);
    assert_eq!(
        code(&verifier(&["policy", "simulate", &policy, &policy])),
        Some(2)
    );
}

#[test]
fn a_code_is_explained_and_an_unknown_one_is_met_with_its_neighbours() {
    let output = verifier(&["explain", "quote-pcr-digest"]);
    assert_eq!(code(&output), Some(0));
    assert!(stdout(&output).starts_with("QUOTE_PCR_DIGEST\n"));
    assert_eq!(code(&verifier(&["explain", "7"])), Some(0));
    let output = verifier(&["explain", "QUOTE_PCR_DIGETS"]);
    assert_eq!(code(&output), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("QUOTE_PCR_DIGEST"));
    let all = verifier(&["explain", "--all", "--output", "json"]);
    let all: Value = serde_json::from_slice(&all.stdout).unwrap();
    assert!(all.as_array().unwrap().len() > 100);
    assert_eq!(code(&verifier(&["explain"])), Some(2));
}
