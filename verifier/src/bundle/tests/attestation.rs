//! What an accepted bundle says of its machine, and what a bundle that is not accepted does not.

use super::firmware::at_least;
use super::*;
use crate::ear::{Appraisal, Ear, IssuerKey, Json, Tier};
use crate::eventlog::Log;
use crate::eventlog::fixture::{MadeLog, boot};
use crate::policy::{BootPolicy, Digest, Policy};
use crate::testing::case::Shown;
use crate::tpm::ClockInfo;
use crate::tpm::fixture::{FIRMWARE, sha256};
use crate::tpm::wire::HashAlgorithm::Sha256;

fn issued(case: &Case) -> Result<Ear, NoResult> {
    let trust = Trust::from_file(case.trust.clone()).unwrap();
    super::attestation(&case.bundle.to_bytes(), &trust, NOW)
}

fn machine(case: &Case) -> String {
    case.bundle.identity.hardware_id.to_string()
}

fn epoch(case: &Case) -> Appraisal {
    let ear = issued(case).unwrap();
    let key = IssuerKey::from_bytes(&[7; 32]).unwrap();
    assert!(ear.sign(&key).is_ok(), "whatever was found can be said");
    ear.submods[&format!("{}/epoch-{EPOCH}", machine(case))].clone()
}

fn vector(appraisal: &Appraisal) -> Vec<(&'static str, i8)> {
    let claims = appraisal.vector.iter();
    claims.map(|(name, it)| (name, it.0)).collect()
}

fn said(appraisal: &Appraisal, name: &str) -> String {
    let claim = appraisal.claims.get(name);
    claim.map(Json::to_canonical).unwrap_or_default()
}

pub(super) fn a_result_says_what_the_audit_checked(case: &Case) {
    let ear = issued(case).unwrap();
    assert_eq!(ear.submods.len(), 2);
    let request = case
        .bundle
        .enrolment
        .request(&case.bundle.deployment, ACCOUNT);
    let roots = tpm::RootStore::from_text(&case.trust.policies[0].ek_roots).unwrap();
    let facts = tpm::judge_request(&request, &roots, NOW).unwrap();
    assert_eq!(
        ear.appraisal_hashes().unwrap()[&machine(case)],
        facts.result_hash,
        "what is said of the enrolment is what is on chain"
    );

    // A virtual TPM, and a policy that takes any state.
    let found = epoch(case);
    assert_eq!(
        vector(&found),
        [
            ("instance-identity", 2),
            ("configuration", 36),
            ("hardware", 32)
        ]
    );
    assert_eq!((found.status, ear.status()), (Tier::Warning, Tier::Warning));
    let policy = format!("urn:probity:policy:{}", case.bundle.report.policy_hash);
    assert_eq!(found.policy_ids, [policy]);
    for (name, text) in [
        ("verdict", r#""PASS""#),
        ("epoch", r#""5""#),
        ("node", r#""3""#),
        ("storage-proof", r#""holds""#),
        ("tpm-firmware", r#""0.0.8224.257""#),
        ("rests-on-quorum", r#"["previous quote"]"#),
        ("reasons", ""),
    ] {
        assert_eq!(said(&found, name), text, "{name}");
    }
}

/// A machine whose boot is measured, under a policy that lists its state unless told otherwise.
fn measured(case: &Case, change: impl Fn(&mut Policy)) -> (Case, Shown) {
    measured_over(case, 0..10, change)
}

fn measured_over(
    case: &Case,
    pcrs: std::ops::Range<u8>,
    change: impl Fn(&mut Policy),
) -> (Case, Shown) {
    let event_log = boot(MadeLog::new(&[Sha256])).to_bytes();
    let pcrs: Vec<u8> = pcrs.collect();
    let replay = Log::parse(&event_log).unwrap().replay(Sha256).unwrap();
    let pcr_digest = replay.quote_digest(&pcrs);
    let mut policy = Policy {
        pcrs,
        accepted_digests: vec![Digest(pcr_digest.into())],
        ..case.world.policy.clone()
    };
    change(&mut policy);
    let mut measured = case.again();
    // The counters of the quote before stay; whether it was accepted is not asked again.
    measured.world.policy = policy.clone();
    let shown = Shown {
        pcr_digest,
        event_log,
        ..Shown::default()
    };
    measured.quote(&shown);
    measured.judge_by(policy);
    (measured, shown)
}

pub(super) fn a_listed_state_with_its_log_is_affirmed(case: &Case) {
    let (listed, _) = measured(case, |_| {});
    assert_eq!(listed.bundle.verdict.reason, Reason::Pass);
    let found = epoch(&listed);
    assert_eq!(
        vector(&found),
        [
            ("instance-identity", 2),
            ("configuration", 2),
            ("executables", 3),
            ("hardware", 32)
        ]
    );
    assert_eq!(said(&found, "secure-boot"), "true");
    // Without the log nothing looks better than with it.
    let mut stripped = listed.again();
    let evidence = stripped.bundle.evidence.as_mut().unwrap();
    evidence.event_log = Bytes::new();
    let without = epoch(&stripped);
    assert_eq!(without.status, found.status);
    assert_eq!(without.vector.get("executables"), None);
    // PCR 9 is not quoted: what was measured into it, nobody knows.
    let (narrow, _) = measured_over(case, 0..9, |_| {});
    assert_eq!(epoch(&narrow).vector.get("executables").unwrap().0, 33);
    // Nobody vouches for what ran where the policy takes any state.
    let (any, _) = measured(case, |policy| policy.accepted_digests.clear());
    assert_eq!(epoch(&any).vector.get("executables").unwrap().0, 33);
    // Nor for kernels where it names boot loaders only.
    let (loaders, _) = measured(case, |policy| {
        policy.accepted_digests.clear();
        policy.boot = Some(BootPolicy {
            boot_loaders: [&b"shim image"[..], b"grub image"]
                .map(|it| Digest(sha256(it).into()))
                .to_vec(),
            ..BootPolicy::default()
        });
    });
    assert_eq!(loaders.bundle.verdict.reason, Reason::Pass);
    assert_eq!(epoch(&loaders).vector.get("executables").unwrap().0, 33);
}

pub(super) fn a_condemned_epoch_is_not_affirmed(case: &Case) {
    use Tier::{Contraindicated, Warning};
    let old = {
        let mut old = case.again();
        old.judge_by(at_least(case, FIRMWARE + 1));
        old
    };
    let backwards = {
        let mut backwards = case.again();
        backwards.quote(&Shown {
            clock: ClockInfo {
                clock_ms: World::clock().clock_ms - 2,
                ..World::clock()
            },
            ..Shown::default()
        });
        backwards
    };
    let other_state = {
        let (mut other, shown) = measured(case, |_| {});
        other.quote(&Shown {
            pcr_digest: [1; 32],
            event_log: vec![],
            ..shown
        });
        other
    };
    let unexplained = {
        let (mut other, shown) = measured(case, |policy| policy.accepted_digests.clear());
        other.quote(&Shown {
            pcr_digest: [1; 32],
            ..shown
        });
        other
    };
    let (loader, _) = measured(case, |policy| {
        policy.boot = Some(BootPolicy {
            boot_loaders: vec![Digest(B256::repeat_byte(1))],
            ..BootPolicy::default()
        });
    });
    let missing = {
        let mut missing = case.again();
        (missing.bundle.evidence, missing.bundle.previous) = (None, None);
        missing.report(missing.judged(false));
        missing
    };
    let revoked = {
        let mut revoked = case.again();
        for oracle in 0..2 {
            let mut statement = revoked.world.node_statement(B256::ZERO);
            statement.reachability = Reachability::Revoked;
            revoked.bundle.observations[oracle] = revoked.world.observe(oracle, vec![statement]);
        }
        revoked.report(revoked.judged(false));
        revoked
    };
    let forged = {
        let mut forged = case.again();
        forged.quote(&Shown {
            forger: Some(SoftKey::attestation(77)),
            ..Shown::default()
        });
        forged
    };
    let bad_proof = {
        let mut bad = case.again();
        bad.world.proof = bad.world.at(EPOCH.next(), bad.world.duty.node).proof;
        bad.quote(&Shown::default());
        bad
    };
    let mismatch = {
        let mut mismatch = case.again();
        mismatch.report(mismatch.judged(true));
        mismatch
    };
    // The verdict, the status, a claim, and the code beside it.
    for (condemned, verdict, status, claim, reason) in [
        (
            &old,
            Reason::Pass,
            Warning,
            ("hardware", Some(32)),
            "POLICY_TPM_FIRMWARE",
        ),
        (
            &backwards,
            Reason::AttestationFailed,
            Contraindicated,
            ("instance-identity", Some(96)),
            "CLOCK_BACKWARDS",
        ),
        (
            &other_state,
            Reason::AttestationFailed,
            Contraindicated,
            ("configuration", Some(96)),
            "POLICY_PCR_STATE",
        ),
        (
            &unexplained,
            Reason::AttestationFailed,
            Contraindicated,
            ("executables", Some(99)),
            "EVENTLOG_",
        ),
        (
            &loader,
            Reason::AttestationFailed,
            Contraindicated,
            ("configuration", Some(96)),
            "POLICY_BOOT_LOADER",
        ),
        (
            &missing,
            Reason::Missing,
            Contraindicated,
            ("instance-identity", None),
            "",
        ),
        (
            &revoked,
            Reason::AttestationFailed,
            Contraindicated,
            ("instance-identity", Some(96)),
            "ATTESTATION_FAILED",
        ),
        (
            &forged,
            Reason::AttestationForged,
            Contraindicated,
            ("instance-identity", Some(99)),
            "SIGNATURE_",
        ),
        (
            &bad_proof,
            Reason::ProofBad,
            Contraindicated,
            ("instance-identity", Some(2)),
            "",
        ),
        (
            &mismatch,
            Reason::InventoryMismatch,
            Contraindicated,
            ("instance-identity", Some(2)),
            "",
        ),
    ] {
        assert_eq!(condemned.bundle.verdict.reason, verdict);
        let (ear, found) = (issued(condemned).unwrap(), epoch(condemned));
        assert_eq!((found.status, ear.status()), (status, status), "{verdict}");
        assert_eq!(
            found.vector.get(claim.0).map(|it| it.0),
            claim.1,
            "{verdict}: {}",
            claim.0
        );
        let reasons = said(&found, "reasons");
        assert!(reasons.contains(reason), "{verdict}: {reasons}");
        assert_eq!(
            reasons.is_empty(),
            reason.is_empty(),
            "{verdict}: {reasons}"
        );
        assert_eq!(said(&found, "verdict"), format!("\"{verdict}\""));
        // Its enrolment is as true as ever, but is not said beside that.
        let beside = ear.submods.contains_key(&machine(condemned));
        assert_eq!(beside, status == Warning, "{verdict}");
    }
    assert_eq!(said(&epoch(&bad_proof), "storage-proof"), r#""fails""#);
    assert_eq!(said(&epoch(&backwards), "storage-proof"), r#""holds""#);
    assert_eq!(said(&epoch(&missing), "storage-proof"), "");
    // Nor does a clock pass that was compared with none.
    let mut alone = case.again();
    alone.bundle.previous = None;
    assert!(epoch(&alone).vector.get("instance-identity").is_none());
}

pub(super) fn a_bundle_that_is_not_accepted_gives_no_result(case: &Case) {
    let mut lie = case.again();
    let mut verdict = case.bundle.verdict.clone();
    verdict.reason = Reason::ProofBad;
    lie.report(verdict);
    let why = issued(&lie).unwrap_err();
    assert!(
        matches!(&why, NoResult::Rejected(why) if why.starts_with("VERDICT_NOT_SUPPORTED")),
        "{why}"
    );
    let mut asking = case.again();
    let roots = tpm::RootStore::from_text(&case.trust.policies[0].ek_roots)
        .unwrap()
        .with_crl_policy(CrlPolicy {
            demand: CrlDemand::Always,
            gap: CrlGap::CouldNotCheck,
        });
    asking.trust.policies[0].ek_roots = roots.to_toml().unwrap();
    asking.judge_by(case.world.policy.clone());
    let why = issued(&asking).unwrap_err();
    assert!(
        matches!(&why, NoResult::NotChecked(why) if why.contains("CRL_NOT_CHECKED")),
        "{why}"
    );
    assert_eq!(
        super::attestation(
            b"no bundle",
            &Trust::from_file(case.trust.clone()).unwrap(),
            NOW
        )
        .map_err(|why| matches!(why, NoResult::Rejected(_))),
        Err(true)
    );
}
