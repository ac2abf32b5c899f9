#![allow(clippy::unwrap_used, clippy::cast_possible_truncation)]

use std::sync::LazyLock;

use alloy_primitives::B256;
use circuits::Profile;

use super::*;
use crate::testing::{DEADLINE, EPOCH, NODE, World};
use crate::tpm::fixture::{SoftKey, other_s};

static WORLD: LazyLock<World> = LazyLock::new(|| World::new(&Profile::new("tiny", 1, 1)));

fn reason(evidence: &Evidence) -> Reason {
    WORLD.judge(evidence).unwrap().fault.unwrap().reason
}

fn refused(evidence: &Evidence) -> EvidenceReason {
    WORLD.judge(evidence).unwrap_err().reason
}

#[test]
fn honest_evidence_holds() {
    let judged = WORLD.judge(&WORLD.evidence()).unwrap();
    assert_eq!(judged.fault, None);
    assert_eq!(judged.clock, Some(World::clock()));
}

#[test]
fn a_proof_for_another_epoch_is_rejected() {
    // The node replays the proof of epoch 5 in a fresh envelope for epoch 6.
    let replayed = WORLD.evidence_with(Epoch(6), &WORLD.proof.to_proof256());
    let judged = WORLD.judge_at(Epoch(6), &replayed).unwrap();
    assert_eq!(judged.fault.unwrap().reason, Reason::ProofBad);
    // The whole envelope of epoch 5 is no evidence for epoch 6 at all.
    assert_eq!(
        WORLD
            .judge_at(Epoch(6), &WORLD.evidence())
            .unwrap_err()
            .reason,
        EvidenceReason::WrongContext
    );
}

#[test]
fn a_proof_for_another_node_is_rejected() {
    let mut duty = WORLD.duty.clone();
    duty.node = NodeId(4);
    let context = WORLD.context();
    // Another node copies the evidence as it is.
    assert_eq!(
        open(&context, &duty, None, &WORLD.evidence())
            .unwrap_err()
            .reason,
        EvidenceReason::WrongContext
    );
    // Another node with the same inventory puts the proof into an envelope of its own.
    let proof = WORLD.proof.to_proof256();
    let mut statement = WORLD.statement_for(EPOCH, &proof);
    statement.node = NodeId(4);
    let copied = WORLD.evidence_of(
        &WORLD.seal(&statement, &WORLD.quote(&statement), &WORLD.ak),
        &proof,
    );
    let signed = open(&context, &duty, None, &copied).unwrap();
    assert_eq!(
        complete(&context, vec![signed])[0]
            .fault
            .clone()
            .unwrap()
            .reason,
        Reason::ProofBad
    );
}

#[test]
fn a_proof_for_another_inventory_or_count_is_rejected() {
    let context = WORLD.context();
    for change in [
        |duty: &mut Duty| duty.count = 2,
        |duty: &mut Duty| duty.root.0[31] ^= 1,
    ] {
        let mut duty = WORLD.duty.clone();
        change(&mut duty);
        // As it was pushed: the statement names another inventory than the chain does.
        let signed = open(&context, &duty, None, &WORLD.evidence()).unwrap();
        assert_eq!(
            complete(&context, vec![signed])[0]
                .fault
                .clone()
                .unwrap()
                .reason,
            Reason::ProofBad
        );
        // With the statement adapted, the proof itself fails.
        let proof = WORLD.proof.to_proof256();
        let mut statement = WORLD.statement_for(EPOCH, &proof);
        (statement.root, statement.count) = (duty.root, duty.count);
        let adapted = WORLD.evidence_of(
            &WORLD.seal(&statement, &WORLD.quote(&statement), &WORLD.ak),
            &proof,
        );
        let signed = open(&context, &duty, None, &adapted).unwrap();
        assert_eq!(
            complete(&context, vec![signed])[0]
                .fault
                .clone()
                .unwrap()
                .reason,
            Reason::ProofBad
        );
    }
}

#[test]
fn count_zero_and_count_above_capacity_are_rejected() {
    for count in [0, WORLD.key.profile().capacity() + 1, u64::MAX] {
        let mut duty = WORLD.duty.clone();
        duty.count = count;
        assert!(statement(&WORLD.context(), &duty).is_err());
    }
}

#[test]
fn a_root_that_is_no_field_element_is_rejected() {
    let mut duty = WORLD.duty.clone();
    duty.root = B256::repeat_byte(0xff);
    assert!(statement(&WORLD.context(), &duty).is_err());
}

#[test]
fn a_rerandomised_proof_under_the_genuine_envelope_is_not_evidence() {
    let other = WORLD.proof.rerandomized(&WORLD.key);
    assert_ne!(other, WORLD.proof);
    let mut evidence = WORLD.evidence();
    evidence.proof = other.to_proof256().to_vec().into();
    assert_eq!(refused(&evidence), EvidenceReason::WrongContext);
    // In an envelope of its own it is as good as the first: proofs do not identify submissions.
    assert_eq!(
        WORLD
            .judge(&WORLD.evidence_with(EPOCH, &other.to_proof256()))
            .unwrap()
            .fault,
        None
    );
}

#[test]
fn a_malformed_proof_the_node_signed_for_is_its_own_fault() {
    let mut proof = WORLD.proof.to_proof256();
    proof[0] ^= 0x80;
    assert_eq!(
        reason(&WORLD.evidence_with(EPOCH, &proof)),
        Reason::ProofBad
    );
    assert_eq!(
        reason(&WORLD.evidence_with(EPOCH, &[0; 256])),
        Reason::ProofBad
    );
}

#[test]
fn a_high_s_node_signature_is_refused() {
    let mut evidence = WORLD.evidence();
    let mut envelope: Envelope = cbor::decode("envelope", &evidence.envelope).unwrap();
    envelope.node_signature = other_s(envelope.node_signature.as_ref().try_into().unwrap())
        .to_vec()
        .into();
    evidence.envelope = cbor::encode(&envelope).into();
    assert_eq!(refused(&evidence), EvidenceReason::BadSignature);
}

#[test]
fn keys_other_than_the_registered_ones_are_not_evidence() {
    let mut evidence = WORLD.evidence();
    evidence.node_key = SoftKey::node(44).xy().to_vec().into();
    assert_eq!(refused(&evidence), EvidenceReason::IdentityMismatch);
    let mut evidence = WORLD.evidence();
    evidence.ak_public = SoftKey::attestation(44).public_area().into();
    assert_eq!(refused(&evidence), EvidenceReason::IdentityMismatch);
}

#[test]
fn a_quote_the_attestation_key_did_not_make_is_forged() {
    let proof = WORLD.proof.to_proof256();
    let statement = WORLD.statement_for(EPOCH, &proof);
    let forged = WORLD.seal(
        &statement,
        &WORLD.quote(&statement),
        &SoftKey::attestation(45),
    );
    assert_eq!(
        reason(&WORLD.evidence_of(&forged, &proof)),
        Reason::AttestationForged
    );
}

#[test]
fn a_genuine_quote_that_falls_short_is_a_failed_attestation() {
    let proof = WORLD.proof.to_proof256();
    let statement = WORLD.statement_for(EPOCH, &proof);
    let mut replayed = WORLD.quote(&statement);
    replayed.extra_data = vec![1; 32];
    let mut fewer_pcrs = WORLD.quote(&statement);
    fewer_pcrs.pcrs.pop();
    for quote in [replayed, fewer_pcrs] {
        let envelope = WORLD.seal(&statement, &quote, &WORLD.ak);
        assert_eq!(
            reason(&WORLD.evidence_of(&envelope, &proof)),
            Reason::AttestationFailed
        );
    }
}

#[test]
fn a_policy_fails_closed_and_its_planned_updates_end_with_their_epoch() {
    use crate::policy::{BootPolicy, Digest, Retiring};
    let quoted = Digest(sha256(&[0; 128]));
    let other = Digest(B256::repeat_byte(9));
    let judge = |change: &dyn Fn(&mut Policy)| {
        let mut policy = WORLD.policy.clone();
        change(&mut policy);
        let context = EpochContext {
            policy: &policy,
            ..WORLD.context()
        };
        let signed = open(&context, &WORLD.duty, None, &WORLD.evidence()).unwrap();
        let fault = complete(&context, vec![signed])[0].fault.clone();
        fault.map(|it| {
            assert_eq!(it.reason, Reason::AttestationFailed);
            it.detail.split(':').next().unwrap_or_default().to_owned()
        })
    };
    let retiring = |until: u64| {
        move |it: &mut Policy| {
            it.accepted_digests = vec![other];
            it.retiring = vec![Retiring {
                digest: quoted,
                until_epoch: Some(Epoch(until)),
                until: None,
            }];
        }
    };
    assert_eq!(judge(&|_| {}), None);
    assert_eq!(judge(&|it| it.accepted_digests = vec![quoted]), None);
    assert_eq!(judge(&retiring(EPOCH.0)), None);
    assert!(judge(&retiring(EPOCH.0 - 1)).is_some());
    assert!(judge(&|it| it.accepted_digests = vec![other]).is_some());
    assert_eq!(judge(&|it| it.pcrs.clear()).unwrap(), "POLICY_EMPTY");
    // Nothing in this evidence shows what such a section asks for.
    assert_eq!(
        judge(&|it| it.boot = Some(BootPolicy::default())).unwrap(),
        "POLICY_FACT_UNKNOWN"
    );
}

#[test]
fn an_enrolled_machine_that_the_policy_denies_passes_no_epoch() {
    use crate::policy::{Digest, TpmClass, TpmPolicy};
    let judge = |denied: Vec<B256>| {
        let policy = Policy {
            tpm: Some(TpmPolicy {
                classes: vec![TpmClass::Discrete],
                minimum_firmware: Vec::new(),
                only_listed_manufacturers: false,
                endorsement_keys: Vec::new(),
                denied: denied.into_iter().map(Digest).collect(),
            }),
            ..WORLD.policy.clone()
        };
        let context = EpochContext {
            policy: &policy,
            ..WORLD.context()
        };
        let signed = open(&context, &WORLD.duty, None, &WORLD.evidence()).unwrap();
        let fault = complete(&context, vec![signed])[0].fault.clone();
        fault.map(|it| (it.reason, it.detail.split(':').next().unwrap().to_owned()))
    };
    assert_eq!(judge(vec![B256::repeat_byte(0xee)]), None);
    assert_eq!(
        judge(vec![WORLD.duty.identity.hardware_id]),
        Some((Reason::AttestationFailed, "POLICY_TPM_DENIED".into()))
    );
}

#[test]
fn an_event_log_must_explain_the_quote_and_show_what_the_policy_asks_for() {
    use crate::eventlog::{
        EventKind, Log,
        fixture::{MadeLog, boot},
    };
    use crate::policy::{BootPolicy, Digest};
    use crate::tpm::{fixture::QuoteBody, wire::HashAlgorithm};

    let made = boot(MadeLog::new(&[HashAlgorithm::Sha256]));
    let honest = made.to_bytes();
    let pcrs: Vec<u8> = (0..10).collect();
    let quoted = Log::parse(&honest)
        .unwrap()
        .replay(HashAlgorithm::Sha256)
        .unwrap()
        .quote_digest(&pcrs);
    let proof = WORLD.proof.to_proof256();
    let judge_sent = |boot: Option<BootPolicy>, log: &[u8], sent: &[u8]| {
        let mut policy = WORLD.policy.clone();
        (policy.pcrs, policy.boot) = (pcrs.clone(), boot);
        policy.accepted_digests.clear();
        let mut statement = WORLD.statement_for(EPOCH, &proof);
        statement.event_log_hash = sha256(log);
        let quote = QuoteBody {
            pcrs: pcrs.clone(),
            pcr_digest: quoted.to_vec(),
            ..WORLD.quote(&statement)
        };
        let envelope = WORLD.seal(&statement, &quote, &WORLD.ak);
        let evidence = Evidence {
            event_log: sent.to_vec().into(),
            ..WORLD.evidence_of(&envelope, &proof)
        };
        let context = EpochContext {
            policy: &policy,
            ..WORLD.context()
        };
        let signed = match open(&context, &WORLD.duty, None, &evidence) {
            Ok(signed) => signed,
            Err(error) => return Some(error.reason.to_string()),
        };
        let fault = complete(&context, vec![signed])[0].fault.clone();
        fault.map(|it| {
            assert_eq!(it.reason, Reason::AttestationFailed);
            it.detail.split(':').next().unwrap_or_default().to_owned()
        })
    };
    let judge = |boot: Option<BootPolicy>, log: &[u8]| judge_sent(boot, log, log);
    let strict = || Some(BootPolicy::default());
    assert_eq!(
        judge(None, &[]),
        None,
        "no log is needed where none is asked for"
    );
    assert_eq!(judge(None, &honest), None);
    assert_eq!(judge(strict(), &honest), None);
    assert_eq!(judge(strict(), &[]).unwrap(), "POLICY_FACT_UNKNOWN");

    // Nobody who passes evidence on can change its log.
    for at in 0..honest.len() {
        let mut changed = honest.clone();
        changed[at] ^= 1;
        assert_eq!(
            judge_sent(None, &honest, &changed).unwrap(),
            "WRONG_CONTEXT",
            "byte {at}"
        );
    }

    // On its way through the chain evidence loses its log, which is missed only where one is asked for.
    assert_eq!(judge_sent(None, &honest, &[]), None);
    assert_eq!(
        judge_sent(strict(), &honest, &[]).unwrap(),
        "POLICY_FACT_UNKNOWN"
    );
    assert_eq!(
        judge_sent(None, &honest, b"another").unwrap(),
        EvidenceReason::WrongContext.to_string()
    );

    // A log of another boot, one that lacks its last event, one with another digest, and no log at all.
    let off = made.clone().plain(4, EventKind::EFI_ACTION, b"more");
    assert_eq!(
        judge(strict(), &off.to_bytes()).unwrap(),
        "EVENTLOG_QUOTE_MISMATCH"
    );
    let mut short = made.clone();
    short.events.pop();
    assert_eq!(
        judge(strict(), &short.to_bytes()).unwrap(),
        "EVENTLOG_QUOTE_MISMATCH"
    );
    assert!(
        judge(None, &honest[..honest.len() - 1])
            .unwrap()
            .starts_with("EVENTLOG_")
    );
    assert!(judge(None, b"no log").unwrap().starts_with("EVENTLOG_"));

    // Boot loaders and kernels: all that were measured must be listed.
    let measured = |bytes: &[&[u8]]| bytes.iter().map(|it| Digest(sha256(it))).collect();
    let loaders = |bytes: &[&[u8]]| {
        Some(BootPolicy {
            boot_loaders: measured(bytes),
            ..BootPolicy::default()
        })
    };
    assert_eq!(
        judge(loaders(&[b"shim image", b"grub image"]), &honest),
        None
    );
    assert_eq!(
        judge(loaders(&[b"shim image"]), &honest).unwrap(),
        "POLICY_BOOT_LOADER"
    );
    let kernels = Some(BootPolicy {
        kernels: measured(&[b"kernel image"]),
        ..BootPolicy::default()
    });
    assert_eq!(judge(kernels, &honest).unwrap(), "POLICY_KERNEL");
}

#[test]
fn a_clock_that_runs_backwards_is_a_failed_attestation_and_a_power_loss_is_not() {
    let context = WORLD.context();
    let proof = WORLD.proof.to_proof256();
    let judge = |now: ClockInfo| {
        let before = ClockInfo {
            clock_ms: 500_000,
            reset_count: 4,
            restart_count: 3,
            safe: true,
        };
        let statement = WORLD.statement_for(EPOCH, &proof);
        let quote = crate::tpm::fixture::QuoteBody {
            clock: now,
            ..WORLD.quote(&statement)
        };
        let envelope = WORLD.seal(&statement, &quote, &WORLD.ak);
        let evidence = WORLD.evidence_of(&envelope, &proof);
        let signed = open(&context, &WORLD.duty, Some(&before), &evidence).unwrap();
        let judged = complete(&context, vec![signed]).remove(0);
        // What ran backwards is not what the next quote is compared with.
        assert_eq!(judged.clock, judged.fault.is_none().then_some(now));
        judged.fault.map(|fault| fault.reason)
    };
    let at = |reset_count, restart_count, clock_ms, safe| ClockInfo {
        clock_ms,
        reset_count,
        restart_count,
        safe,
    };
    let failed = Some(Reason::AttestationFailed);
    for (what, now, expected) in [
        ("it ran on", at(4, 3, 500_001, true), None),
        (
            "it was suspended and resumed",
            at(4, 4, 500_001, true),
            None,
        ),
        (
            "power was lost, and the clock with it",
            at(5, 0, 1_200, false),
            None,
        ),
        (
            "a TPM that calls such a clock safe",
            at(5, 0, 1_200, true),
            None,
        ),
        ("power was lost often", at(9, 0, 0, false), None),
        ("back within one boot", at(4, 3, 499_999, true), failed),
        ("back, and called unsafe", at(4, 3, 1_200, false), failed),
        ("an earlier resume", at(4, 2, 500_001, true), failed),
        ("an earlier boot", at(3, 3, 500_001, true), failed),
    ] {
        assert_eq!(judge(now), expected, "{what}");
    }
}

#[test]
fn a_batch_finds_the_bad_proof_among_good_ones() {
    let context = WORLD.context();
    let good = || open(&context, &WORLD.duty, None, &WORLD.evidence()).unwrap();
    let other = WORLD.proof.rerandomized(&WORLD.key);
    let mut swapped = other.to_proof256();
    swapped[192..].copy_from_slice(&WORLD.proof.to_proof256()[192..]);
    let bad = open(
        &context,
        &WORLD.duty,
        None,
        &WORLD.evidence_with(EPOCH, &swapped),
    )
    .unwrap();
    let judged = complete(&context, vec![good(), bad, good()]);
    let faults: Vec<bool> = judged.iter().map(|it| it.fault.is_some()).collect();
    assert_eq!(faults, [false, true, false]);
}

#[test]
fn no_byte_of_evidence_can_be_changed_unnoticed() {
    let evidence = WORLD.evidence();
    let honest = WORLD.judge(&evidence).unwrap();
    type Field = fn(&mut Evidence) -> &mut Bytes;
    let fields: [Field; 4] = [
        |it| &mut it.envelope,
        |it| &mut it.proof,
        |it| &mut it.ak_public,
        |it| &mut it.node_key,
    ];
    for field in fields {
        let length = field(&mut evidence.clone()).len();
        for at in 0..length {
            let mut changed = evidence.clone();
            let mut bytes = field(&mut changed).to_vec();
            bytes[at] ^= 1;
            *field(&mut changed) = bytes.into();
            assert_ne!(
                WORLD.judge(&changed).ok().as_ref(),
                Some(&honest),
                "byte {at} was changed unnoticed"
            );
        }
    }
}

fn hash() -> B256 {
    cbor::decode::<Envelope>("envelope", &WORLD.evidence().envelope)
        .unwrap()
        .hash()
}

fn timely(receipts: &[SignedReceipt], submission: Option<Submission>) -> bool {
    is_timely(
        &WORLD.context(),
        NODE,
        hash(),
        receipts,
        submission.as_ref(),
    )
}

#[test]
fn receipts_of_f_oracles_are_too_few_and_of_f_plus_one_enough() {
    let receipts: Vec<_> = (0..2)
        .map(|oracle| WORLD.receipt(oracle, hash(), DEADLINE))
        .collect();
    assert!(!timely(&receipts[..1], None));
    assert!(timely(&receipts, None));
}

#[test]
fn the_same_oracle_twice_counts_once() {
    let receipts = [
        WORLD.receipt(0, hash(), DEADLINE),
        WORLD.receipt(0, hash(), BlockNumber(DEADLINE.0 - 1)),
    ];
    assert!(!timely(&receipts, None));
}

#[test]
fn a_receipt_after_the_deadline_does_not_count() {
    let receipts = [
        WORLD.receipt(0, hash(), DEADLINE),
        WORLD.receipt(1, hash(), BlockNumber(DEADLINE.0 + 1)),
    ];
    assert!(!timely(&receipts, None));
}

#[test]
fn a_receipt_for_another_envelope_or_by_a_stranger_does_not_count() {
    let mut forged = WORLD.receipt(1, B256::repeat_byte(1), DEADLINE);
    forged.envelope_hash = hash();
    assert!(!timely(&[WORLD.receipt(0, hash(), DEADLINE), forged], None));
}

#[test]
fn a_submission_in_time_needs_no_receipts_and_a_late_or_other_one_does_not_help() {
    let at = |block, envelope_hash| {
        Some(Submission {
            envelope_hash,
            block,
        })
    };
    assert!(timely(&[], at(DEADLINE, hash())));
    assert!(!timely(&[], at(BlockNumber(DEADLINE.0 + 1), hash())));
    assert!(!timely(&[], at(DEADLINE, B256::repeat_byte(1))));
}
