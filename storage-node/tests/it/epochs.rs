//! The epoch duty over edges in memory; once with the real prover and the verifier's judgement.
#![allow(clippy::unwrap_used, clippy::cast_possible_truncation)]

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use alloy::primitives::{B256, keccak256};
use circuits::Profile;
use circuits::circuit::Circuit;
use circuits::keys::{Manifest, VerifyingKey, insecure_dev_setup};
use prover::ceremony::finalize::Finalized;
use storage_node::chain_view::ChainView;
use storage_node::duty::DutyError;
use storage_node::proof::{Groth16Source, ProofError};
use storage_node::shard::SlotId;
use storage_node::state::Outcome;
use storage_node::store::ShardStore;
use verifier::cbor;
use verifier::envelope::Envelope;
use verifier::evidence::{self, EpochContext};
use verifier::policy::Policy;
use verifier::report::Identity;
use verifier::tpm::{Attest, wire::Attested};
use verifier::{BlockNumber, Epoch, LatencyMs};

use crate::support::{
    EveryCell, NODE, NoProver, SoftTpm, TestNode, dev_circuit, prover_for, real_prover,
};

const A: SlotId = SlotId::new(1, 2);
const EPOCH: Epoch = Epoch(2);

/// A node with two shards at the beginning of epoch 2.
async fn at_epoch(node: &mut TestNode) {
    node.hold(A, &[1, 2]).await;
    node.chain.go_to_with_beacon(2, 3);
    *node.oracles.block.lock().unwrap() = 83;
}

#[tokio::test]
async fn an_honest_epoch_brings_a_receipt_of_every_oracle_and_shows_each_the_others() {
    let mut node = TestNode::new().await;
    at_epoch(&mut node).await;
    node.duty_rounds().await;
    assert_eq!(node.state.receipts(EPOCH).await.unwrap().len(), 4);
    for oracle in node.oracles.accounts() {
        let sent = node.oracles.sent_to(oracle);
        assert_eq!(
            sent.last().unwrap().receipts.len(),
            4,
            "the last push carries every receipt"
        );
        assert!(
            sent.iter()
                .all(|evidence| evidence.envelope == sent[0].envelope)
        );
        assert!(sent.len() <= 3, "{} pushes", sent.len());
    }
    node.chain.go_to(2, 27);
    node.duty_rounds().await;
    assert_eq!(
        node.state.epoch(EPOCH).await.unwrap().outcome,
        Some(Outcome::Timely)
    );
    assert_eq!(node.state.last_proven().await.unwrap(), Some(EPOCH));
    assert!(node.chain.with(|world| world.submissions.is_empty()));
}

#[tokio::test]
async fn a_machine_proves_while_its_keys_are_in_force_and_else_sends_nothing_anywhere() {
    for (in_force, proves) in [(0..9, true), (2..3, true), (3..9, false), (0..2, false)] {
        let mut node = TestNode::new().await;
        at_epoch(&mut node).await;
        node.chain.with(|world| world.in_force = in_force.clone());
        node.duty_rounds().await;
        let made = node.state.epoch(EPOCH).await.unwrap().evidence.is_some();
        assert_eq!(made, proves, "{in_force:?}");
        if !proves {
            // Nor on chain, where it would stand for an attestation that is withheld.
            node.chain.go_to(2, 17);
            node.duty_rounds().await;
            assert!(node.chain.with(|world| world.submissions.is_empty()));
            assert!(node.oracles.sent_to(node.oracles.accounts()[0]).is_empty());
            node.chain.go_to(2, 27);
            node.duty_rounds().await;
            let outcome = node.state.epoch(EPOCH).await.unwrap().outcome;
            assert_eq!(outcome, Some(Outcome::Missed));
        }
    }
}

/// An announcement may be moved: what counts is which policy judges the epoch.
#[tokio::test]
async fn a_quote_covers_the_pcrs_of_the_policy_that_judges_the_epoch() {
    for (next_from, covered) in [
        (None, &[0, 1, 2, 3][..]),
        (Some(3), &[0, 1, 2, 3]),
        (Some(2), &[0, 7]),
    ] {
        let mut node = TestNode::new().await;
        node.chain.with(|world| world.next_policy_from = next_from);
        at_epoch(&mut node).await;
        node.duty_rounds().await;
        let sent = node.oracles.sent_to(node.oracles.accounts()[0]);
        let envelope: Envelope = cbor::decode("envelope", &sent[0].envelope).unwrap();
        let (body, _) = envelope.open().unwrap();
        let Attested::Quote { selections, .. } = Attest::parse(&body.attest).unwrap().attested
        else {
            panic!("a quote was asked for");
        };
        assert_eq!(selections[0].pcrs, covered);
    }
}

#[tokio::test]
async fn the_verifier_accepts_what_the_real_prover_and_the_node_make_together() {
    is_accepted(real_prover().await).await;
}

/// Keys as a ceremony leaves them; to be judged like development keys, they need not come from one.
async fn ceremony_in(folder: &Path) -> Manifest {
    let circuit = Circuit::new(&Profile::DEV);
    let proving = insecure_dev_setup(&circuit);
    let verifying = VerifyingKey::new(&Profile::DEV, &proving.vk, false).unwrap();
    let manifest = Manifest {
        ceremony: "a ceremony that a test tells of".to_owned(),
        ..Manifest::describe(&circuit, Some(&verifying))
    };
    let keys = Finalized {
        proving,
        verifying,
        manifest: manifest.clone(),
    };
    prover::keys::store(&circuit, &keys, folder).unwrap();
    manifest
}

#[tokio::test]
async fn a_node_proves_with_the_keys_of_the_ceremony_whose_circuit_it_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let manifest = ceremony_in(folder.path()).await;
    let source = prover_for(folder.path().to_owned(), manifest.id())
        .await
        .unwrap();
    assert_eq!(source.prover().keys().manifest(), &manifest);
    assert!(source.prover().verifying_key().check_chain(1).is_ok());
    is_accepted(Arc::new(source)).await;

    let wanted = [9; 32];
    let refused = prover_for(folder.path().to_owned(), wanted)
        .await
        .err()
        .unwrap();
    let text = refused.to_string();
    for id in [wanted, dev_circuit(), manifest.id()] {
        assert!(text.contains(&hex::encode(id)), "{text}");
    }
}

async fn is_accepted(source: Arc<Groth16Source>) {
    let key = source.prover().verifying_key().clone();
    let mut node = TestNode::with_proofs(source).await;
    at_epoch(&mut node).await;
    node.duty_rounds().await;

    let evidence = node
        .oracles
        .sent_to(node.oracles.accounts()[0])
        .pop()
        .unwrap();
    let committee = node.oracles.committee();
    let policy = Policy {
        pcrs: vec![0, 1, 2, 3],
        accepted_digests: vec![],
        slow_after: LatencyMs(2_000),
        ..Policy::default()
    };
    let context = EpochContext {
        deployment: node.chain.deployment(),
        epoch: EPOCH,
        beacon: node.chain.beacon(EPOCH).await.unwrap().unwrap(),
        deadline: BlockNumber(104),
        set: &committee.set,
        policy: &policy,
        key: &key,
    };
    let (ak_hash, node_key_hash) = SoftTpm::key_hashes();
    let frozen = node.chain.inventory_at(NODE, EPOCH).await.unwrap();
    let identity = Identity {
        account: node.chain.account(),
        hardware_id: B256::ZERO,
        ak_hash,
        node_key_hash,
    };
    let duty = evidence::Duty {
        node: NODE,
        identity,
        root: frozen.root,
        count: frozen.count,
    };
    let signed = evidence::open(&context, &duty, None, &evidence).unwrap();
    let judged = evidence::complete(&context, vec![signed]);
    assert_eq!(judged[0].fault, None);
    assert!(evidence::is_timely(
        &context,
        NODE,
        judged[0].envelope_hash,
        &evidence.receipts,
        None
    ));
}

#[tokio::test]
async fn a_node_whose_pushes_reach_one_oracle_submits_on_chain_between_fallback_and_deadline() {
    let mut node = TestNode::new().await;
    at_epoch(&mut node).await;
    *node.oracles.unreachable.lock().unwrap() =
        node.oracles.accounts()[1..].iter().copied().collect();
    node.duty_rounds().await;
    assert_eq!(node.state.receipts(EPOCH).await.unwrap().len(), 1);
    node.chain.go_to(2, 15);
    node.duty_rounds().await;
    assert!(
        node.chain.with(|world| world.submissions.is_empty()),
        "not before the fallback block"
    );

    node.chain.go_to(2, 16);
    node.duty_rounds().await;
    let record = node.state.epoch(EPOCH).await.unwrap();
    let submission = node.chain.submission(NODE, EPOCH).await.unwrap().unwrap();
    assert_eq!(Some(submission.envelope_hash), record.envelope_hash);
    assert!(record.submission_tx.is_some());
    let sent = node.chain.with(|world| world.transactions);
    node.duty_rounds().await;
    assert_eq!(
        node.chain.with(|world| world.transactions),
        sent,
        "submitted once"
    );
    node.chain.go_to(2, 27);
    node.duty_rounds().await;
    assert_eq!(
        node.state.epoch(EPOCH).await.unwrap().outcome,
        Some(Outcome::Submitted)
    );
}

#[tokio::test]
async fn an_oracle_that_comes_back_before_the_deadline_gets_the_evidence() {
    let mut node = TestNode::new().await;
    at_epoch(&mut node).await;
    let late = node.oracles.accounts()[2];
    node.oracles.unreachable.lock().unwrap().insert(late);
    node.duty_rounds().await;
    assert_eq!(node.state.receipts(EPOCH).await.unwrap().len(), 3);
    node.oracles.unreachable.lock().unwrap().clear();
    node.chain.mine(1);
    node.duty_rounds().await;
    assert_eq!(node.oracles.sent_to(late).last().unwrap().receipts.len(), 4);
}

#[tokio::test]
async fn receipts_signed_by_another_key_or_after_the_deadline_do_not_count() {
    let mut node = TestNode::new().await;
    at_epoch(&mut node).await;
    node.oracles
        .forging
        .lock()
        .unwrap()
        .insert(node.oracles.accounts()[0]);
    node.duty_rounds().await;
    assert_eq!(node.state.receipts(EPOCH).await.unwrap().len(), 3);

    let mut node = TestNode::new().await;
    at_epoch(&mut node).await;
    *node.oracles.block.lock().unwrap() = 105;
    node.duty_rounds().await;
    assert_eq!(node.state.receipts(EPOCH).await.unwrap().len(), 0);
}

#[tokio::test]
async fn after_a_crash_the_same_envelope_is_pushed_and_nothing_is_proven_again() {
    let mut node = TestNode::new().await;
    at_epoch(&mut node).await;
    *node.oracles.unreachable.lock().unwrap() = node.oracles.accounts().into_iter().collect();
    node.duty_rounds().await;
    let envelope = node
        .state
        .epoch(EPOCH)
        .await
        .unwrap()
        .envelope_hash
        .unwrap();

    let mut node = node.restart(Arc::new(NoProver)).await;
    node.oracles.unreachable.lock().unwrap().clear();
    node.duty_rounds().await;
    let sent = node.oracles.sent_to(node.oracles.accounts()[3]);
    let pushed: verifier::envelope::Envelope =
        verifier::cbor::decode("envelope", &sent[0].envelope).unwrap();
    assert_eq!(pushed.hash(), envelope);
    assert_eq!(node.state.receipts(EPOCH).await.unwrap().len(), 4);
}

#[tokio::test]
async fn a_beacon_that_a_reorganisation_replaced_is_answered_anew() {
    let proofs = Arc::new(EveryCell::default());
    let mut node = TestNode::with_proofs(proofs.clone()).await;
    at_epoch(&mut node).await;
    node.duty_rounds().await;
    let first = node.state.epoch(EPOCH).await.unwrap();
    node.chain
        .with(|world| world.beacons.insert(EPOCH, keccak256("another branch")));
    node.duty_rounds().await;
    let second = node.state.epoch(EPOCH).await.unwrap();
    assert_ne!(first.envelope_hash, second.envelope_hash);
    assert_eq!(proofs.calls.load(Ordering::SeqCst), 2);
    let receipts = node.state.receipts(EPOCH).await.unwrap();
    assert_eq!(receipts.len(), 4);
    assert!(
        receipts
            .iter()
            .all(|(_, receipt)| Some(receipt.envelope_hash) == second.envelope_hash)
    );
}

#[tokio::test]
async fn without_a_sampled_cell_nothing_is_pushed_and_the_epoch_is_missed() {
    let mut node = TestNode::new().await;
    at_epoch(&mut node).await;
    // A stripe's file is gone; half of 10 samples miss it with a chance of 2^-10, and this seed does not.
    node.store.delete(A.shard(0)).await.unwrap();
    let error = node.duty.round().await.unwrap_err();
    assert!(
        matches!(error, DutyError::Proof(ProofError::Lost { .. })),
        "{error}"
    );
    assert!(
        error.to_string().contains("deal 1 slot 2 stripe 0"),
        "{error}"
    );
    assert!(node.oracles.received.lock().unwrap().is_empty());
    node.chain.go_to(2, 27);
    node.duty_rounds().await;
    assert_eq!(
        node.state.epoch(EPOCH).await.unwrap().outcome,
        Some(Outcome::Missed)
    );
}

#[tokio::test]
async fn a_restored_shard_saves_the_epoch_in_which_it_was_found_lost() {
    let mut node = TestNode::new().await;
    at_epoch(&mut node).await;
    node.store.delete(A.shard(0)).await.unwrap();
    assert!(node.duty.round().await.is_err());
    node.store
        .put(A.shard(0), crate::support::slot_shards(&[1])[0].clone())
        .await
        .unwrap();
    node.duty_rounds().await;
    assert_eq!(node.state.receipts(EPOCH).await.unwrap().len(), 4);
}

#[tokio::test]
async fn a_missing_beacon_is_recorded_by_the_node_and_without_one_the_epoch_is_void() {
    let mut node = TestNode::new().await;
    node.hold(A, &[1]).await;
    node.chain.go_to(2, 1);
    node.duty.round().await.unwrap();
    assert!(node.chain.beacon(EPOCH).await.unwrap().is_some());
    *node.oracles.block.lock().unwrap() = 83;
    node.chain.go_to(2, 3);
    node.duty_rounds().await;
    assert_eq!(node.state.receipts(EPOCH).await.unwrap().len(), 4);

    node.chain.go_to(3, 20);
    node.duty_rounds().await;
    assert_eq!(node.state.epoch(Epoch(3)).await.unwrap().outcome, None);
    node.chain.go_to(3, 27);
    node.duty_rounds().await;
    assert_eq!(
        node.state.epoch(Epoch(3)).await.unwrap().outcome,
        Some(Outcome::Void)
    );
}

#[tokio::test]
async fn a_node_that_stores_nothing_proves_nothing_and_pays_for_no_beacon() {
    let mut node = TestNode::with_proofs(Arc::new(NoProver)).await;
    node.chain.go_to(2, 5);
    node.duty_rounds().await;
    assert_eq!(
        node.state.epoch(EPOCH).await.unwrap().outcome,
        None,
        "it is not certain yet"
    );
    node.chain.go_to(2, 27);
    node.duty_rounds().await;
    assert_eq!(
        node.state.epoch(EPOCH).await.unwrap().outcome,
        Some(Outcome::NoDuty)
    );
    assert_eq!(node.chain.with(|world| world.transactions), 0);
}

#[tokio::test]
async fn what_was_accepted_in_an_epoch_is_proven_from_the_next_one_on() {
    let proofs = Arc::new(EveryCell::default());
    let mut node = TestNode::with_proofs(proofs.clone()).await;
    node.hold(A, &[1]).await;
    node.chain
        .with(|world| world.beacons.insert(Epoch(1), B256::repeat_byte(1)));
    node.duty_rounds().await;
    node.chain.go_to(1, 39);
    node.duty_rounds().await;
    assert_eq!(proofs.calls.load(Ordering::SeqCst), 0);
    assert_eq!(
        node.state.epoch(Epoch(1)).await.unwrap().outcome,
        Some(Outcome::NoDuty)
    );
}

#[tokio::test]
async fn an_inventory_that_an_endpoint_shows_late_is_proven_all_the_same() {
    let mut node = TestNode::new().await;
    at_epoch(&mut node).await;
    let inventories = node
        .chain
        .with(|world| std::mem::take(&mut world.inventories));
    node.duty.round().await.unwrap();
    node.chain.with(|world| world.inventories = inventories);
    node.duty_rounds().await;
    assert_eq!(node.state.receipts(EPOCH).await.unwrap().len(), 4);
}

#[tokio::test]
async fn pay_is_claimed_near_the_deadline_once_a_quorum_of_receipts_is_in() {
    let mut node = TestNode::new().await;
    at_epoch(&mut node).await;
    node.chain.with(|world| world.resolved = EPOCH);
    node.chain.go_to(2, 16);
    node.keeper.round().await.unwrap();
    assert!(node.chain.with(|world| world.claims.is_empty()));
    node.duty_rounds().await;
    assert!(node.state.receipts(EPOCH).await.unwrap().len() >= 3);
    node.keeper.round().await.unwrap();
    assert_eq!(node.chain.with(|world| world.claims.len()), 1);
}
