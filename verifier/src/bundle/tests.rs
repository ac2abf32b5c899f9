#![allow(clippy::unwrap_used, clippy::cast_possible_truncation)]

use super::*;
use crate::committee::Reachability;
use crate::ids::{Availability, Epoch, LatencyMs};
use crate::policy::{FirmwareVersion, MinimumFirmware, TpmPolicy};
use crate::testing::case::{ACCOUNT, Case, ROOT, root_pem};
use crate::testing::{EPOCH, World};
use crate::tpm::certificate::{CrlDemand, CrlGap, CrlPolicy};
use crate::tpm::fixture::{self, CertificateBody, NOW, SoftKey};
use crate::tpm::{self, TpmClass};
use crate::trust::{Trust, TrustFile, TrustFilePolicy};
use crate::{EvidenceReason, Reason};

mod attestation;
mod firmware;
mod guests;
mod policies;
mod previous;
mod transcripts;

impl Case {
    /// What an accepted bundle's audit says of one check.
    fn said(&self, name: &str) -> Outcome {
        let audit = self.audit();
        assert!(audit.accepted(), "{audit:?}");
        let check = audit.checks.iter().find(|check| check.name == name);
        check.unwrap().outcome.clone()
    }

    fn audit(&self) -> Audit {
        audit(
            &self.bundle.to_bytes(),
            &Trust::from_file(self.trust.clone()).unwrap(),
        )
    }

    fn refusal(&self) -> (&'static str, EvidenceReason) {
        let audit = self.audit();
        match &audit.checks.last().unwrap() {
            Check {
                name,
                outcome: Outcome::Failed { reason, .. },
            } => (name, *reason),
            other => panic!("accepted: {other:?}"),
        }
    }
}

/// One test, because making the development keys takes longer than everything that follows.
#[test]
fn a_true_bundle_is_accepted_and_every_false_one_is_rejected_with_its_reason() {
    let case = Case::honest();
    let audit_result = case.audit();
    assert!(audit_result.accepted(), "{audit_result:?}");
    assert_eq!(audit_result.verdict.unwrap().reason, Reason::Pass);
    let text = toml::to_string(&case.trust).unwrap();
    let trust = Trust::parse(&text).unwrap();
    let bytes = case.bundle.to_bytes();
    assert!(
        audit(&bytes, &trust).accepted(),
        "a trust file is read back as it was written"
    );

    no_changed_byte_is_accepted(&bytes, &trust);
    for cut in [0, 1, bytes.len() / 2, bytes.len() - 1] {
        assert!(
            !audit(&bytes[..cut], &trust).accepted(),
            "truncated to {cut}"
        );
    }
    assert!(!audit(&[&bytes[..], &[0]].concat(), &trust).accepted());

    surplus_signatures_must_hold_too(&case);
    false_verdicts_are_not_supported(&case);
    others_trust_files_reject(&case);
    a_tpm_that_the_policy_does_not_take_is_refused(&case);
    a_missing_revocation_list_is_no_verdict(&case);
    policies::each_epoch_is_judged_by_the_policy_in_force_in_it(&case);
    policies::a_machine_stays_enrolled_under_the_policy_it_enrolled_under(&case);
    policies::a_policy_to_come_denies_an_enrolled_machine_from_its_first_epoch_on(&case);
    policies::where_one_policy_could_not_be_asked_there_is_no_verdict(&case);
    policies::trust_files_out_of_order_are_refused(&case);
    revocations_are_repeated(&case);
    policies_are_simulated(&case);
    guests::a_guest_that_the_policy_asks_for_is_part_of_what_the_quorum_signed(&case);
    guests::a_guest_that_the_policy_refuses_or_misses_is_no_enrolment(&case);
    guests::a_simulation_judges_the_guest_that_a_bundle_enrolled_from(&case);
    firmware::a_quoted_firmware_below_the_minimum_is_remarked_and_rejects_nothing(&case);
    firmware::a_simulation_judges_the_firmware_that_an_epoch_quoted(&case);
    attestation::a_result_says_what_the_audit_checked(&case);
    attestation::a_listed_state_with_its_log_is_affirmed(&case);
    attestation::a_condemned_epoch_is_not_affirmed(&case);
    attestation::a_bundle_that_is_not_accepted_gives_no_result(&case);
    previous::a_previous_quote_counts_only_if_the_node_made_it_for_an_earlier_epoch_here(&case);
    previous::a_clock_that_ran_backwards_is_repeated_from_both_quotes(&case);
    previous::that_no_previous_quote_is_given_is_said(&case);
    transcripts::an_answer_counts_with_a_bundle_of_its_epoch_whose_attestation_holds(&case);
}

fn no_changed_byte_is_accepted(bytes: &[u8], trust: &Trust) {
    use rayon::prelude::*;
    let accepted: Vec<usize> = (0..bytes.len())
        .into_par_iter()
        .filter(|at| {
            let mut changed = bytes.to_vec();
            changed[*at] ^= 1 << (at % 8);
            audit(&changed, trust).accepted()
        })
        .collect();
    assert_eq!(
        accepted,
        Vec::<usize>::new(),
        "bytes that can be changed unnoticed, of {}",
        bytes.len()
    );
}

fn surplus_signatures_must_hold_too(case: &Case) {
    let with = |change: &dyn Fn(&mut Bundle)| {
        let mut bundle = case.bundle.clone();
        change(&mut bundle);
        Case {
            bundle,
            world: World::clone_keys(&case.world),
            trust: case.trust.clone(),
        }
        .refusal()
    };
    let digest = case
        .world
        .deployment
        .hub_digest(&case.bundle.report.typed_data());
    let stranger = crate::testing::ChainKey::new(77).sign(digest);
    assert_eq!(
        with(&|it| it.report_signatures.push(SignatureBytes(stranger.clone()))),
        ("report signatures", EvidenceReason::BadSignature)
    );
    assert_eq!(
        with(&|it| it.report_signatures.push(it.report_signatures[0].clone())),
        ("report signatures", EvidenceReason::BadSignature)
    );
    assert_eq!(
        with(&|it| drop(it.report_signatures.pop())),
        ("report signatures", EvidenceReason::BadSignature)
    );
    assert_eq!(
        with(&|it| it.observations.swap(0, 1)),
        ("observations", EvidenceReason::Malformed)
    );
    assert_eq!(
        with(&|it| it.evidence.as_mut().unwrap().receipts.reverse()),
        ("receipts", EvidenceReason::Malformed)
    );
    assert_eq!(
        with(&|it| it
            .enrolment
            .intermediates
            .push(it.enrolment.ek_certificate.clone())),
        ("enrolment", EvidenceReason::Malformed)
    );
    // An observation left out changes the figures the verdict must give again.
    assert_eq!(
        with(&|it| drop(it.observations.pop())),
        ("verdict from evidence", EvidenceReason::VerdictNotSupported)
    );
}

fn false_verdicts_are_not_supported(case: &Case) {
    let told = |change: &dyn Fn(&mut Verdict)| {
        let mut lie = Case {
            bundle: case.bundle.clone(),
            world: World::clone_keys(&case.world),
            trust: case.trust.clone(),
        };
        let mut verdict = case.bundle.verdict.clone();
        change(&mut verdict);
        lie.report(verdict);
        lie.refusal()
    };
    let unsupported = ("verdict from evidence", EvidenceReason::VerdictNotSupported);
    assert_eq!(told(&|it| it.reason = Reason::ProofBad), unsupported);
    assert_eq!(told(&|it| it.reason = Reason::Missing), unsupported);
    assert_eq!(told(&|it| it.reason = Reason::Unreachable), unsupported);
    assert_eq!(told(&|it| it.latency_p95 = LatencyMs(13)), unsupported);
    assert_eq!(
        told(&|it| it.availability = Availability(9_999)),
        unsupported
    );
    assert_eq!(told(&|it| it.judged = false), unsupported);
    assert_eq!(told(&|it| it.evidence_hash.0[0] ^= 1), unsupported);
    // Without the evidence it rests on, only MISSING and INVENTORY_MISMATCH can be said.
    let mut silent = Case {
        bundle: case.bundle.clone(),
        world: World::clone_keys(&case.world),
        trust: case.trust.clone(),
    };
    silent.bundle.evidence = None;
    assert_eq!(
        silent.refusal(),
        ("receipts", EvidenceReason::VerdictNotSupported)
    );
    silent.report(silent.judged(false));
    let audit = silent.audit();
    assert!(audit.accepted());
    assert!(
        audit
            .checks
            .iter()
            .any(|check| matches!(check.outcome, Outcome::RestsOnQuorum { .. })),
        "that nothing was received rests on the quorum, and the audit says so"
    );
    // One liar among four moves neither the reason nor the figures out of the honest range.
    let mut lied = Case {
        bundle: case.bundle.clone(),
        world: World::clone_keys(&case.world),
        trust: case.trust.clone(),
    };
    let mut statement = lied.world.node_statement(B256::ZERO);
    statement.reachability = Reachability::Unreachable;
    statement.availability = Availability(0);
    statement.latency_p95 = LatencyMs(u32::MAX);
    lied.bundle.observations[2] = lied.world.observe(2, vec![statement]);
    let verdict = lied.judged(false);
    assert_eq!(
        (verdict.reason, verdict.judged, verdict.latency_p95),
        (Reason::Pass, true, LatencyMs(12))
    );
    assert_eq!(verdict.availability, Availability(10_000));
}

/// The policy's words on TPMs are repeated with the auditor's own root store.
fn a_tpm_that_the_policy_does_not_take_is_refused(case: &Case) {
    let judged_by = |classes: &[TpmClass], listed_only: bool| {
        let mut asking = case.again();
        asking.trust.policies[0].policy.tpm = Some(TpmPolicy {
            classes: classes.to_vec(),
            minimum_firmware: vec![MinimumFirmware {
                manufacturer: "INTC".into(),
                version: FirmwareVersion(1),
            }],
            only_listed_manufacturers: listed_only,
            endorsement_keys: Vec::new(),
            denied: Vec::new(),
        });
        let roots = tpm::RootStore::from_text(&case.trust.policies[0].ek_roots).unwrap();
        asking.bundle.report.policy_hash = asking.trust.policies[0].policy.hash(&roots);
        asking.report(case.bundle.verdict.clone());
        let audit = asking.audit();
        audit
            .failure()
            .map(|(check, reason, detail)| (check, reason, detail.to_owned()))
    };
    assert_eq!(judged_by(&TpmClass::ALL, false), None);
    for (classes, listed_only, code) in [
        (&[TpmClass::Discrete][..], false, "POLICY_TPM_CLASS"),
        (&TpmClass::ALL[..], true, "POLICY_TPM_MANUFACTURER"),
    ] {
        let (check, reason, detail) = judged_by(classes, listed_only).unwrap();
        assert_eq!(
            (check, reason),
            ("enrolment", EvidenceReason::UntrustedEndorsement)
        );
        assert!(detail.starts_with(code), "{detail}");
    }
}

/// An auditor whose store demands lists that he has not got: by his policy that is no fault of the bundle's, and no verdict.
fn a_missing_revocation_list_is_no_verdict(case: &Case) {
    let judged_with = |gap| {
        let mut asking = case.again();
        let roots = tpm::RootStore::from_text(&case.trust.policies[0].ek_roots)
            .unwrap()
            .with_crl_policy(CrlPolicy {
                demand: CrlDemand::Always,
                gap,
            });
        asking.trust.policies[0].ek_roots = roots.to_toml().unwrap();
        asking.bundle.report.policy_hash = asking.world.policy.hash(&roots);
        asking.report(case.bundle.verdict.clone());
        asking.audit()
    };
    let open = judged_with(CrlGap::CouldNotCheck);
    assert!(!open.accepted() && open.failure().is_none());
    let why = open.require().unwrap_err();
    assert!(
        matches!(&why, Unaccepted::NotChecked { check: "enrolment", detail } if detail.contains("CRL_NOT_CHECKED")),
        "{why}"
    );
    let closed = judged_with(CrlGap::Refuse);
    let (check, reason, _) = closed.failure().unwrap();
    assert_eq!(
        (check, reason),
        ("enrolment", EvidenceReason::UntrustedEndorsement)
    );
}

/// What f + 1 oracles have revoked attests nothing, whatever came of it; an auditor comes to the same from the bundle.
fn revocations_are_repeated(case: &Case) {
    let revoked_by = |count: usize| {
        let mut revoked = case.again();
        for oracle in 0..count {
            let mut statement = revoked.world.node_statement(B256::ZERO);
            statement.reachability = Reachability::Revoked;
            revoked.bundle.observations[oracle] = revoked.world.observe(oracle, vec![statement]);
        }
        revoked
    };
    let verdict = revoked_by(1).judged(false);
    assert_eq!((verdict.reason, verdict.judged), (Reason::Pass, true));

    let mut quoted = revoked_by(2);
    let verdict = quoted.judged(false);
    assert_eq!(
        (verdict.reason, verdict.judged),
        (Reason::AttestationFailed, true)
    );
    quoted.report(verdict.clone());
    let Outcome::Passed { detail } = quoted.said("verdict from evidence") else {
        panic!("it follows from what is in the bundle");
    };
    assert!(detail.contains("revoked"), "{detail}");
    let entry = history::Entry::of(
        &quoted.bundle,
        &Trust::from_file(quoted.trust.clone()).unwrap(),
    );
    let revoked = crate::tpm::standing::Event::Notice { permanent: false };
    assert_eq!(entry.unwrap().event, Some(revoked));

    // Two that say so are too few to hide that nothing came: that is graver.
    let mut silent = revoked_by(2);
    silent.bundle.evidence = None;
    silent.bundle.previous = None;
    let verdict = silent.judged(false);
    assert_eq!(verdict.reason, Reason::Missing);
    silent.report(verdict);
    assert!(silent.audit().accepted());

    // A proof on chain under a junk envelope, too, fails the attestation, and rests on the quorum as ever.
    let mut unopened = revoked_by(2);
    unopened.bundle.evidence = None;
    unopened.bundle.previous = None;
    let mut verdict = unopened.judged(false);
    verdict.reason = Reason::AttestationFailed;
    unopened.report(verdict);
    assert!(matches!(
        unopened.said("verdict from evidence"),
        Outcome::Passed { .. } | Outcome::RestsOnQuorum { .. }
    ));

    let mut mismatched = revoked_by(2);
    let verdict = mismatched.judged(true);
    assert_eq!(verdict.reason, Reason::InventoryMismatch);
    mismatched.report(verdict);
    assert!(mismatched.audit().accepted());
}

/// A change of policy can be tried on a bundle.
fn policies_are_simulated(case: &Case) {
    use crate::policy::simulate::{Change, read, simulate};
    use crate::policy::{Policy, TpmClass, TpmPolicy};
    let roots = tpm::RootStore::from_pem(&case.trust.policies[0].ek_roots).unwrap();
    let bytes = case.bundle.to_bytes();
    let on_file = |roots| read("case.probity", &bytes, roots).remove(0).unwrap();
    let with_roots = on_file(Some(&roots));
    assert_eq!(with_roots.name, "case.probity (node 3, epoch 5)");
    let machine = with_roots.facts.machine.clone().unwrap();
    assert_eq!(crate::policy::vendor(&machine.manufacturer), "PROB");
    let every_class = Policy {
        tpm: Some(TpmPolicy {
            classes: TpmClass::ALL.to_vec(),
            minimum_firmware: vec![],
            only_listed_manufacturers: false,
            endorsement_keys: Vec::new(),
            denied: Vec::new(),
        }),
        ..case.world.policy.clone()
    };
    let nothing = Policy::default();
    for (new, evidence, expected) in [
        (&case.world.policy, &with_roots, Change::StillAccepted),
        (&every_class, &with_roots, Change::StillAccepted),
        // Without roots nobody knows whose TPM it is.
        (&every_class, &on_file(None), Change::NewlyDenied),
        (&nothing, &with_roots, Change::NewlyDenied),
    ] {
        let simulation = simulate(
            &case.world.policy,
            new,
            std::slice::from_ref(evidence),
            None,
        );
        assert_eq!(simulation.rows[0].change, expected);
    }
}

fn others_trust_files_reject(case: &Case) {
    let with = |change: &dyn Fn(&mut TrustFile)| {
        let mut trust = case.trust.clone();
        change(&mut trust);
        Case {
            bundle: case.bundle.clone(),
            world: World::clone_keys(&case.world),
            trust,
        }
        .refusal()
    };
    assert_eq!(
        with(&|it| it.deployment.hub.0[0] ^= 1),
        ("deployment", EvidenceReason::WrongContext)
    );
    assert_eq!(
        with(&|it| it.committee_digest.0[0] ^= 1),
        ("deployment", EvidenceReason::WrongContext)
    );
    assert_eq!(
        with(&|it| it.circuit.0[0] ^= 1),
        ("circuit", EvidenceReason::UnknownCircuit)
    );
    assert_eq!(
        with(&|it| it.policies[0].policy.pcrs = vec![0]),
        ("policy", EvidenceReason::WrongContext)
    );
    let other_root = SoftKey::node(102);
    let pem = root_pem(&CertificateBody::ca(ROOT, &other_root, None).issue(ROOT, &other_root));
    assert_eq!(
        with(&|it| it.policies[0].ek_roots = pem.clone()),
        ("policy", EvidenceReason::WrongContext)
    );
}
