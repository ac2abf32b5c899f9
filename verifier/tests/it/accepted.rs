//! What the command line makes of bundles that are accepted.

use std::path::Path;
use std::sync::LazyLock;

use serde_json::{Value, json};
use verifier::policy::{FirmwareVersion, MinimumFirmware, Policy, TpmClass, TpmPolicy};
use verifier::{Epoch, NodeId, Reason};

use crate::cli::verifier;
use crate::results::keys;
use crate::testing::case::{Case, Machine, Shown};
use crate::testing::{EPOCH, NODE, World};
use crate::tpm::ClockInfo;
use crate::tpm::fixture::FIRMWARE;

/// Its keys and proof take longer than everything that follows.
static HONEST: LazyLock<Case> = LazyLock::new(Case::honest);

fn write(dir: &Path, name: &str, bytes: impl AsRef<[u8]>) -> String {
    let path = dir.join(name);
    std::fs::write(&path, bytes).unwrap();
    path.to_str().unwrap().to_owned()
}

/// A case's trust file and bundle.
fn files(dir: &Path, name: &str, case: &Case) -> (String, String) {
    let trust = toml::to_string(&case.trust).unwrap();
    (
        write(dir, &format!("{name}.toml"), trust),
        write(dir, &format!("{name}.probity"), case.bundle.to_bytes()),
    )
}

fn run(args: &[&str]) -> (Option<i32>, String) {
    let output = verifier(args);
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    let stdout = String::from_utf8(output.stdout).unwrap();
    (output.status.code(), stdout + &stderr)
}

fn run_json(args: &[&str]) -> (Option<i32>, Value) {
    let output = verifier(&[args, &["--output", "json"]].concat());
    let value = serde_json::from_slice(&output.stdout).unwrap_or_default();
    (output.status.code(), value)
}

#[test]
fn a_token_is_issued_of_what_the_audit_checked_and_of_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let (private, public) = keys();
    let private = write(dir.path(), "private.pem", private);
    let public = write(dir.path(), "public.pem", public);
    let issue = |case: &Case, more: &[&str]| {
        let (trust, bundle) = files(dir.path(), "issued", case);
        let args = ["ear", "issue", "--bundle", &bundle, "--trust", &trust];
        let with = ["--key", &private, "--now", "2027-01-15T08:00:00Z"];
        run(&[&args[..], &with, more].concat())
    };
    let verify = |token: &str, more: &[&str]| {
        let token = write(dir.path(), "token.jwt", token);
        let args = [
            "ear",
            "verify",
            &token,
            "--key",
            &public,
            "--now",
            "1800000000",
        ];
        run_json(&[&args[..], more].concat())
    };
    let machine = HONEST.bundle.identity.hardware_id.to_string();
    let epoch = format!("{machine}/epoch-{EPOCH}");
    for profile in ["ietf-04", "veraison-2023"] {
        let more = ["--profile", profile, "--lifetime", "600"];
        let (code, token) = issue(&HONEST, &more);
        assert_eq!(code, Some(0), "{token}");
        assert_eq!(
            (code, token.clone()),
            issue(&HONEST, &more),
            "the same facts"
        );
        // A virtual TPM, whose state the policy does not ask about.
        let (code, read) = verify(&token, &[]);
        assert_eq!(
            (code, &read["status"]),
            (Some(1), &json!("warning")),
            "{read}"
        );
        let (code, read) = verify(&token, &["--allow-warning"]);
        assert_eq!(code, Some(0), "{read}");
        let submods = &read["ear"]["submods"];
        assert_eq!(submods[&epoch]["vector"]["instance-identity"], 2);
        assert_eq!(submods[&epoch]["claims"]["verdict"], "PASS", "{read}");
        assert_eq!(submods[&machine]["status"], "warning");
        assert!(read["appraisal_hashes"][&machine].is_string());
    }

    // A clock that ran backwards: the audit accepts the verdict against the machine, and so does the token.
    let mut condemned = HONEST.again();
    condemned.quote(&Shown {
        clock: ClockInfo {
            clock_ms: World::clock().clock_ms - 2,
            ..World::clock()
        },
        ..Shown::default()
    });
    assert_eq!(condemned.bundle.verdict.reason, Reason::AttestationFailed);
    let (code, token) = issue(&condemned, &[]);
    assert_eq!(code, Some(0), "{token}");
    let (code, read) = verify(&token, &["--allow-warning"]);
    assert_eq!(
        (code, &read["status"]),
        (Some(1), &json!("contraindicated"))
    );
    assert_eq!(
        read["ear"]["submods"].as_object().unwrap().len(),
        1,
        "{read}"
    );

    let mut lie = HONEST.again();
    let mut verdict = lie.bundle.verdict.clone();
    verdict.reason = Reason::ProofBad;
    lie.report(verdict);
    let (code, said) = issue(&lie, &[]);
    assert_eq!(code, Some(1));
    assert!(
        said.starts_with("rejected: VERDICT_NOT_SUPPORTED"),
        "{said}"
    );
    let (code, said) = issue(&lie, &["--output", "json"]);
    assert_eq!(code, Some(1));
    let said: Value = serde_json::from_str(&said).unwrap();
    assert_eq!(said["issued"], false);

    // Nobody's word is signed.
    let findings = write(dir.path(), "findings.json", "{}");
    let (code, _) = run(&["ear", "issue", &findings, "--key", &private]);
    assert_eq!(code, Some(2));
}

#[test]
fn firmware_below_the_minimum_is_noted_and_rejects_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let mut old = HONEST.again();
    old.judge_by(Policy {
        tpm: Some(TpmPolicy {
            classes: TpmClass::ALL.to_vec(),
            minimum_firmware: vec![MinimumFirmware {
                manufacturer: "PROB".into(),
                version: FirmwareVersion(FIRMWARE + 1),
            }],
            only_listed_manufacturers: false,
            endorsement_keys: Vec::new(),
            denied: Vec::new(),
        }),
        ..old.world.policy.clone()
    });
    let (trust, bundle) = files(dir.path(), "old", &old);
    let one = ["bundle", &bundle, "--trust", &trust];
    let (code, shown) = run(&one);
    assert_eq!(code, Some(0), "{shown}");
    assert!(
        shown.contains("note: POLICY_TPM_FIRMWARE: firmware 0.0.8224.257"),
        "{shown}"
    );
    let (code, read) = run_json(&one);
    assert_eq!((code, &read["accepted"]), (Some(0), &json!(true)));
    assert_eq!(read["remarks"][0]["code"], "POLICY_TPM_FIRMWARE");
    let folder = dir.path().to_str().unwrap();
    let many = ["bundle", folder, "--trust", &trust];
    let (code, shown) = run(&many);
    assert_eq!(code, Some(0), "{shown}");
    assert!(shown.contains("POLICY_TPM_FIRMWARE"), "{shown}");
    let (code, read) = run_json(&many);
    assert_eq!(code, Some(0));
    assert_eq!(
        read["bundles"][0]["remarks"][0]["code"],
        "POLICY_TPM_FIRMWARE"
    );
}

#[test]
fn clocks_that_diverge_and_resets_in_common_are_shown_and_cost_no_standing() {
    let (dir, first, second) = (
        tempfile::tempdir().unwrap(),
        Machine::first(),
        Machine::another(31),
    );
    let trust = files(dir.path(), "trust", &HONEST).0;
    let bundles = dir.path().join("bundles");
    std::fs::create_dir(&bundles).unwrap();
    // An epoch is 40 blocks of a second; so is the time between two quotes.
    let told = |machine: &Machine, node: u64, clocks: [(u32, u64); 4]| {
        for ((reset_count, clock_ms), epoch) in clocks.into_iter().zip(5..) {
            let clock = ClockInfo {
                clock_ms,
                reset_count,
                ..World::clock()
            };
            let case = HONEST.another(Epoch(epoch), NodeId(node), machine, clock);
            assert_eq!(case.bundle.verdict.reason, Reason::Pass);
            files(&bundles, &format!("{node}-{epoch}"), &case);
        }
    };
    // Both lose power in epochs 6 and 7, for half a minute. In epoch 8 the second's clock shows ten minutes more than passed.
    told(
        &first,
        NODE.0,
        [(1, 100_000), (2, 110_000), (3, 120_000), (3, 160_000)],
    );
    told(
        &second,
        NODE.0 + 1,
        [(7, 900_000), (8, 910_000), (9, 920_000), (9, 1_560_000)],
    );
    let folder = bundles.to_str().unwrap();
    let standing = ["standing", folder, "--trust", &trust, "--now", "1"];
    let timed = [&standing[..], &["--block-ms", "1000"]].concat();

    let (code, read) = run_json(&timed);
    assert_eq!(code, Some(0), "{read}");
    assert_eq!(read["left_out"], json!([]));
    let machines = read["machines"].as_array().unwrap();
    let stand: Vec<&Value> = machines.iter().map(|it| &it["state"]["standing"]).collect();
    assert_eq!(
        stand,
        ["attested", "attested"],
        "it is evidence and no verdict"
    );
    let diverging = read["evidence"]["diverging_clocks"].as_array().unwrap();
    assert_eq!(diverging.len(), 1, "{read}");
    assert_eq!(diverging[0]["machine"]["node"], NODE.0 + 1);
    assert_eq!(diverging[0]["epoch"], 8);
    let excess = diverging[0]["excess_ms"].as_u64().unwrap();
    assert!((570_000..600_000).contains(&excess), "{excess}");
    let pairs = &read["evidence"]["resets_together"];
    assert_eq!(pairs.as_array().unwrap().len(), 1, "{read}");
    assert_eq!(pairs[0]["resets_together"], 2);
    assert_eq!(pairs[0]["at_one_instant"], 2);
    assert_eq!(pairs[0]["resets_apart"], 0);

    let (code, shown) = run(&timed);
    assert_eq!(code, Some(0), "{shown}");
    let (one, other) = (NODE, NodeId(NODE.0 + 1));
    assert!(
        shown.contains(&format!(
            "node {other} in epoch 8: its clock is {excess} ms off"
        )),
        "{shown}"
    );
    assert!(
        shown.contains(&format!(
            "nodes {one} and {other}: 2 resets together, 2 of them at one instant, 0 apart"
        )),
        "{shown}"
    );

    // More is asked of a pair; and without the length of a block there is nothing to compare clocks with.
    let (_, read) = run_json(&[&timed[..], &["--together", "3"]].concat());
    assert_eq!(read["evidence"]["resets_together"], json!([]));
    let (code, read) = run_json(&standing);
    assert_eq!(code, Some(0));
    assert_eq!(
        read["evidence"],
        json!({ "diverging_clocks": [], "resets_together": [] })
    );
}
