//! Transactions that no block takes, and the proof's that must get through all the same.
#![allow(clippy::unwrap_used, clippy::cast_possible_truncation)]

use std::time::Duration;

use alloy::primitives::keccak256;
use alloy::providers::Provider;
use chain::anvil::{mine, raw};
use serde_json::{Value, json};
use storage_node::chain_view::ChainView;
use storage_node::shard::SlotId;
use storage_node::state::Outcome;
use verifier::Epoch;

use crate::on_chain::{OWN, network};
use crate::support::{MemoryChain, Parts, TestNode, real_prover, slot_shards};

const A: SlotId = SlotId::new(1, 2);
const EPOCH: Epoch = Epoch(4);

/// Longer than any of this takes, shorter than forever.
const PATIENCE: Duration = Duration::from_secs(30);

fn stick(chain: &MemoryChain, name: &'static str) {
    chain.with(|world| world.stuck.insert(name));
}

async fn a_while() {
    tokio::time::sleep(Duration::from_millis(100)).await;
}

/// A node that has proven epoch 4 and reaches one oracle only.
async fn cut_off() -> TestNode {
    let mut node = TestNode::new().await;
    node.hold(A, &[1]).await;
    node.chain.go_to_with_beacon(4, 3);
    *node.oracles.block.lock().unwrap() = 163;
    *node.oracles.unreachable.lock().unwrap() =
        node.oracles.accounts()[1..].iter().copied().collect();
    node.duty_rounds().await;
    assert_eq!(node.state.receipts(EPOCH).await.unwrap().len(), 1);
    node
}

#[tokio::test]
async fn a_claim_that_hangs_gives_way_to_the_submission() {
    let mut node = cut_off().await;
    node.chain.with(|world| world.resolved = Epoch(2));
    stick(&node.chain, "claim");
    node.chain.go_to(4, 10);
    let chain = node.chain.clone();
    let Parts { keeper, duty, .. } = &mut node.parts;
    let epoch = async {
        a_while().await;
        chain.go_to(4, 16);
        duty.round().await
    };
    let both = async { tokio::join!(keeper.round(), epoch) };
    let (kept, done) = tokio::time::timeout(PATIENCE, both).await.unwrap();
    kept.unwrap();
    done.unwrap();
    assert!(
        node.chain
            .with(|world| world.submissions.contains_key(&EPOCH))
    );
    assert!(node.chain.with(|world| world.claims.is_empty()));

    node.chain.with(|world| world.stuck.clear());
    node.chain.go_to(4, 27);
    node.duty_rounds().await;
    node.keeper.round().await.unwrap();
    assert_eq!(
        node.state.epoch(EPOCH).await.unwrap().outcome,
        Some(Outcome::Submitted)
    );
    assert_eq!(
        node.chain.with(|world| world.claims.len()),
        1,
        "what gave way is sent again"
    );
}

#[tokio::test]
async fn a_beacon_transaction_that_hangs_does_not_hold_up_the_proof_once_another_node_recorded_the_beacon()
 {
    let mut node = TestNode::new().await;
    node.hold(A, &[1]).await;
    node.chain.go_to(4, 1);
    stick(&node.chain, "recordBeacon");
    let chain = node.chain.clone();
    let another = async {
        a_while().await;
        chain.with(|world| world.beacons.insert(EPOCH, keccak256("beacon")));
        chain.mine(2);
    };
    let both = async { tokio::join!(node.parts.duty.round(), another) };
    tokio::time::timeout(PATIENCE, both)
        .await
        .unwrap()
        .0
        .unwrap();
    *node.oracles.block.lock().unwrap() = 163;
    node.duty_rounds().await;
    assert_eq!(node.state.receipts(EPOCH).await.unwrap().len(), 4);
}

#[tokio::test]
async fn a_beacon_transaction_leaves_the_queue_before_the_fallback_block() {
    let mut node = TestNode::new().await;
    node.hold(A, &[1]).await;
    node.chain.go_to(4, 1);
    stick(&node.chain, "recordBeacon");
    let chain = node.chain.clone();
    let time = async {
        a_while().await;
        chain.go_to(4, 14);
    };
    let both = async { tokio::join!(node.parts.duty.round(), time) };
    tokio::time::timeout(PATIENCE, both)
        .await
        .unwrap()
        .0
        .unwrap();
}

#[tokio::test]
async fn a_submission_that_hangs_past_the_deadline_does_not_cost_the_next_epoch() {
    let mut node = cut_off().await;
    stick(&node.chain, "submitProof");
    node.chain.go_to(4, 16);
    let chain = node.chain.clone();
    let time = async {
        a_while().await;
        chain.go_to(4, 25);
    };
    let both = async { tokio::join!(node.parts.duty.round(), time) };
    tokio::time::timeout(PATIENCE, both)
        .await
        .unwrap()
        .0
        .unwrap();
    node.chain.go_to(4, 27);
    node.duty_rounds().await;
    assert_eq!(
        node.state.epoch(EPOCH).await.unwrap().outcome,
        Some(Outcome::Missed)
    );

    node.oracles.unreachable.lock().unwrap().clear();
    node.chain.go_to_with_beacon(5, 3);
    *node.oracles.block.lock().unwrap() = 203;
    node.duty_rounds().await;
    assert_eq!(node.state.receipts(Epoch(5)).await.unwrap().len(), 4);
}

#[tokio::test]
async fn on_a_real_chain_the_submission_takes_the_nonce_of_an_accept_that_hangs() {
    let name = "on_a_real_chain_the_submission_takes_the_nonce_of_an_accept_that_hangs";
    let Some(network) = network(name).await else {
        return;
    };
    let (chain, other) = (network.chain(2).await, network.chain(3).await);
    let node = network.enrol(&chain, OWN).await.unwrap();
    let second = network.enrol(&other, 2).await.unwrap();
    let source = real_prover().await;
    let folder = tempfile::tempdir().unwrap();
    let oracles = network.oracles.clone();
    let mut parts = Parts::open(folder.path(), node, chain.clone(), oracles.clone(), source).await;
    let mut slots = Vec::new();
    for seed in [1, 2] {
        let shards = slot_shards(&[seed]);
        let deal = network.deal([second, node], &[*shards[0].roots()]).await;
        slots.push((SlotId::new(deal.0, 1), shards));
    }
    network.mine(3).await;
    parts.keeper.round().await.unwrap();
    let (later, shards) = slots.pop().unwrap();
    let (slot, first) = slots.pop().unwrap();
    parts.put_all(slot, first).await;
    parts.keeper.round().await.unwrap();
    assert_eq!(chain.inventory(node).await.unwrap().count, 1);

    *oracles.unreachable.lock().unwrap() = oracles.accounts()[1..].iter().copied().collect();
    network.go_to(3, 1).await;
    parts.duty.round().await.unwrap();
    network.go_to(3, 4).await;
    parts.duty_rounds().await;
    network.go_to(3, 12).await;

    // There is something to accept, and no block has room for it.
    parts.put_all(later, shards).await;
    let rpc = network.owner.rpc().clone();
    let room = async |gas: u64| {
        let _: Value = raw(&rpc, "evm_setBlockGasLimit", json!([gas]))
            .await
            .unwrap();
    };
    let _: Value = raw(&rpc, "evm_setAutomine", json!([false])).await.unwrap();
    let pool = || async {
        let content: Value = raw(&rpc, "txpool_content", json!([])).await.unwrap();
        content["pending"].clone()
    };
    let nonce = || async {
        let mined = rpc.provider().get_transaction_count(chain.account());
        mined.await.unwrap()
    };
    let sent = nonce().await;
    let Parts { keeper, duty, .. } = &mut parts;
    let time = async {
        while pool().await == json!({}) {
            a_while().await;
        }
        room(200_000).await;
        mine(&rpc, 2).await.unwrap();
    };
    let both = async { tokio::join!(keeper.round(), time) };
    let kept = tokio::time::timeout(PATIENCE, both).await.unwrap().0;
    kept.unwrap();
    let hanging = pool().await;
    assert_ne!(hanging, json!({}), "the accept is still in the pool");
    assert_eq!(chain.inventory(node).await.unwrap().count, 1);

    mine(&rpc, 2).await.unwrap();
    room(30_000_000).await;
    let time = async {
        while pool().await == hanging {
            a_while().await;
        }
        mine(&rpc, 1).await.unwrap();
    };
    let both = async { tokio::join!(duty.round(), time) };
    let done = tokio::time::timeout(PATIENCE, both).await.unwrap().0;
    done.unwrap();
    let submission = chain.submission(node, Epoch(3)).await.unwrap();
    assert!(submission.is_some(), "the proof is on chain in time");
    assert_eq!(chain.inventory(node).await.unwrap().count, 1);
    assert_eq!(nonce().await, sent + 1, "with the accept's nonce");

    let _: Value = raw(&rpc, "evm_setAutomine", json!([true])).await.unwrap();
    parts.keeper.round().await.unwrap();
    assert_eq!(
        chain.inventory(node).await.unwrap().count,
        2,
        "what gave way is sent again"
    );
}
