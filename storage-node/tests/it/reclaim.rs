//! A node whose database is gone, or older than its files.
#![allow(clippy::unwrap_used, clippy::cast_possible_truncation)]

use std::fs;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::time::Duration;

use alloy::primitives::B256;
use proto::v1::{GetNodeStatusRequest, GetRangeRequest};
use sqlx::ConnectOptions;
use sqlx::sqlite::SqliteConnectOptions;
use storage_node::chain_view::{ChainEvent, ChainView};
use storage_node::config::Config;
use storage_node::reclaim::Reclaimer;
use storage_node::shard::{ShardId, SlotId};
use storage_node::state::{Outcome, State, TenureState};
use storage_node::store::DirStore;
use tonic::{Code, Status};
use verifier::Epoch;
use verifier::transport::{LEAF_BYTES, verify_range};

use crate::support::{EveryCell, NODE, Running, TestNode, id, lose, shard_bytes, slot_shards};

const SLOT: SlotId = SlotId::new(4, 1);

fn lose_database(config: &Config) {
    lose(&config.database());
}

fn flip(config: &Config, shard: ShardId, at: u64) {
    let path = DirStore::open(&config.shards()).unwrap().path(shard);
    let file = fs::File::options()
        .read(true)
        .write(true)
        .open(path)
        .unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, at).unwrap();
    file.write_all_at(&[byte[0] ^ 1], at).unwrap();
}

async fn get(node: &mut Running, stripe: u32) -> Result<(Vec<u8>, Vec<B256>), Status> {
    let request = GetRangeRequest {
        shard: Some(id(SLOT, stripe)),
        first_leaf: 200,
        leaves: 3,
        nonce: Vec::new(),
    };
    let range = node.client.get_range(request).await?.into_inner();
    let lemmas = range.lemmas.iter().map(|it| B256::from_slice(it)).collect();
    Ok((range.data, lemmas))
}

/// Whether the node says that it has so many shards, after a while if need be.
async fn counts(node: &mut Running, shards: u64) -> bool {
    for _ in 0..100 {
        let status = node.client.get_status(GetNodeStatusRequest {}).await;
        if status.unwrap().into_inner().shards == shards {
            return true;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    false
}

/// A running node that has accepted a slot of two shards, as of a final block.
async fn holding() -> Running {
    let mut node = Running::start().await;
    let roots: Vec<_> = slot_shards(&[1, 2])
        .iter()
        .map(|shard| *shard.roots())
        .collect();
    node.chain.offer(SLOT, NODE, &roots);
    for (stripe, seed) in [(0, 1), (1, 2)] {
        node.put(id(SLOT, stripe), &shard_bytes(seed))
            .await
            .unwrap();
    }
    for _ in 0..100 {
        if node.chain.with(|world| world.is_held(SLOT, NODE)) {
            break;
        }
        node.chain.mine(1);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(node.chain.with(|world| world.is_held(SLOT, NODE)));
    node.chain.mine(3);
    node
}

#[tokio::test]
async fn a_node_that_lost_its_database_serves_and_proves_on() {
    let node = holding().await;
    let mut node = node.restart_after(lose_database).await;
    assert!(counts(&mut node, 2).await, "both files are found again");
    for (stripe, seed) in [(0, 1), (1, 2)] {
        let (data, lemmas) = get(&mut node, stripe).await.unwrap();
        let bytes = shard_bytes(seed);
        assert_eq!(data, bytes[200 * LEAF_BYTES..203 * LEAF_BYTES]);
        let root = slot_shards(&[seed])[0].roots().transport_root;
        verify_range(&root, 200, 3, &data, &lemmas).unwrap();
    }
    let accepts = node.chain.with(|world| {
        let accepts = world.events.iter();
        accepts
            .filter(|(_, event)| matches!(event, ChainEvent::Inventory(_)))
            .count()
    });
    assert_eq!(accepts, 1, "nothing is accepted twice");

    node.chain.go_to_with_beacon(3, 3);
    *node.oracles.block.lock().unwrap() = 123;
    for _ in 0..200 {
        let sent = |oracle| !node.oracles.sent_to(oracle).is_empty();
        if node.oracles.accounts().into_iter().all(sent) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    node.chain.go_to(3, 27);
    let state = State::open(&node.config.database()).await.unwrap();
    let mut outcome = None;
    for _ in 0..100 {
        outcome = state.epoch(Epoch(3)).await.unwrap().outcome;
        if outcome.is_some() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(outcome, Some(Outcome::Timely));
    node.stop().await;
}

#[tokio::test]
async fn after_the_loss_a_damaged_file_is_not_served_until_it_is_put_again() {
    let node = holding().await;
    let mut node = node
        .restart_after(|config| {
            lose_database(config);
            flip(config, SLOT.shard(1), 12_345);
        })
        .await;
    assert!(counts(&mut node, 1).await, "the whole one is found again");
    get(&mut node, 0).await.unwrap();
    let status = get(&mut node, 1).await.unwrap_err();
    assert_eq!(status.code(), Code::NotFound, "{status:?}");

    node.put(id(SLOT, 1), &shard_bytes(2)).await.unwrap();
    let (data, lemmas) = get(&mut node, 1).await.unwrap();
    let root = slot_shards(&[2])[0].roots().transport_root;
    verify_range(&root, 200, 3, &data, &lemmas).unwrap();
    assert!(counts(&mut node, 2).await);
    node.stop().await;
}

#[tokio::test]
async fn an_offer_that_was_whole_when_the_database_was_lost_is_accepted_all_the_same() {
    let mut node = TestNode::new().await;
    let shards = slot_shards(&[1, 2]);
    let roots: Vec<_> = shards.iter().map(|shard| *shard.roots()).collect();
    node.chain.offer(SLOT, NODE, &roots);
    node.chain.mine(3);
    node.keeper.round().await.unwrap();
    node.put_all(SLOT, shards).await;
    lose(&node.folder.path().join("node.sqlite"));

    let mut node = node.restart(Arc::new(EveryCell::default())).await;
    let mut reclaimer = Reclaimer::new(node.state.clone(), node.store.clone());
    assert_eq!(reclaimer.pass().await.unwrap(), 0, "no slot is known yet");
    node.keeper.round().await.unwrap();
    assert!(!node.chain.with(|world| world.is_held(SLOT, NODE)));
    assert_eq!(reclaimer.pass().await.unwrap(), 2);
    assert_eq!(
        reclaimer.pass().await.unwrap(),
        0,
        "each slot is looked at once"
    );
    node.keeper.round().await.unwrap();
    assert!(node.chain.with(|world| world.is_held(SLOT, NODE)));
}

#[tokio::test]
async fn rows_that_an_older_copy_of_the_database_lacks_are_learnt_again() {
    let mut node = TestNode::new().await;
    node.hold(SLOT, &[1]).await;
    let (database, copy) = (
        node.folder.path().join("node.sqlite"),
        node.folder.path().join("copy.sqlite"),
    );
    let options = SqliteConnectOptions::new().filename(&database);
    let mut operator = options.connect().await.unwrap();
    sqlx::query("VACUUM INTO ?")
        .bind(copy.to_str().unwrap())
        .execute(&mut operator)
        .await
        .unwrap();
    let later = SlotId::new(5, 0);
    node.hold(later, &[2]).await;
    lose(&database);
    fs::rename(&copy, &database).unwrap();

    let mut node = node.restart(Arc::new(EveryCell::default())).await;
    assert_eq!(node.state.stored_shards().await.unwrap(), 1);
    node.keeper.round().await.unwrap();
    let mut reclaimer = Reclaimer::new(node.state.clone(), node.store.clone());
    assert_eq!(reclaimer.pass().await.unwrap(), 1);
    let tenures = node.state.tenures().await.unwrap();
    assert!(
        tenures
            .iter()
            .all(|tenure| tenure.state == TenureState::Accepted)
    );
    assert_eq!(node.state.stored_shards().await.unwrap(), 2);
    assert_eq!(node.chain.inventory(NODE).await.unwrap().count, 2);
}

#[tokio::test]
async fn files_left_of_a_slot_that_no_epoch_lists_are_found_and_deleted() {
    let mut node = TestNode::new().await;
    node.hold(SLOT, &[1]).await;
    node.chain.end(SLOT);
    node.chain.mine(3);
    node.keeper.round().await.unwrap();
    assert!(!node.chain.with(|world| world.is_held(SLOT, NODE)));
    let file = node.store.path(SLOT.shard(0));
    lose(&node.folder.path().join("node.sqlite"));

    let mut node = node.restart(Arc::new(EveryCell::default())).await;
    let mut reclaimer = Reclaimer::new(node.state.clone(), node.store.clone());
    node.keeper.round().await.unwrap();
    assert_eq!(reclaimer.pass().await.unwrap(), 1);
    node.keeper.round().await.unwrap();
    assert!(file.exists(), "its last epoch still lists it");
    node.chain.go_to(3, 10);
    node.keeper.round().await.unwrap();
    assert!(!file.exists());
}
