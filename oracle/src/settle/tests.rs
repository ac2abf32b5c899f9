#![allow(clippy::unwrap_used, clippy::cast_possible_truncation)]

use verifier::{BlockNumber, Epoch};

use super::Keeper;
use crate::agreement::Led;
use crate::onchain::Event;
use crate::testing::{EPOCH, World};

async fn reported() -> World {
    let world = World::new().await;
    world.push_all().await;
    world.commit_all().await;
    let Led::Agreed(report) = world.leader(0).agreement.lead(EPOCH, 0).await.unwrap() else {
        panic!()
    };
    world.chain.log(92, Event::Report(*report));
    world.to_block(100).await;
    world
}

#[tokio::test]
async fn a_verdict_is_settled_with_its_proof_once_the_dispute_window_is_over() {
    let world = reported().await;
    let mut keeper = Keeper::new(world.members[0].store.clone(), world.chain.clone(), 0);
    keeper.step(BlockNumber(100)).await.unwrap();
    assert!(
        world.chain.state().settled.is_empty(),
        "the window is open until block 132"
    );
    world.to_block(132).await;
    keeper.step(BlockNumber(132)).await.unwrap();
    let settled = world.chain.state().settled.clone();
    assert_eq!(
        settled
            .iter()
            .map(|(node, epochs)| (node.0, epochs.clone()))
            .collect::<Vec<_>>(),
        [(1, vec![EPOCH]), (2, vec![EPOCH]), (3, vec![EPOCH])]
    );
    keeper.step(BlockNumber(140)).await.unwrap();
    assert_eq!(world.chain.state().settled.len(), 3, "once is enough");
    assert!(world.chain.state().advanced.is_empty());
}

#[tokio::test]
async fn each_oracle_lets_those_before_it_go_first() {
    let world = reported().await;
    world.to_block(132).await;
    let mut keeper = Keeper::new(world.members[0].store.clone(), world.chain.clone(), 4);
    for head in [132, 133, 135] {
        keeper.step(BlockNumber(head)).await.unwrap();
        assert!(world.chain.state().settled.is_empty());
    }
    keeper.step(BlockNumber(136)).await.unwrap();
    assert_eq!(world.chain.state().settled.len(), 3);
}

#[tokio::test]
async fn an_oracle_without_the_leaves_leaves_settling_to_others() {
    let world = reported().await;
    world.to_block(132).await;
    let folder = tempfile::tempdir().unwrap();
    let store = crate::store::Store::open(&folder.path().join("fresh.sqlite"))
        .await
        .unwrap();
    let mut watcher =
        crate::watcher::Watcher::new(store.clone(), world.chain.clone(), circuits::Profile::DEV);
    while watcher.step().await.unwrap() {}
    let mut keeper = Keeper::new(store, world.chain.clone(), 0);
    keeper.step(BlockNumber(140)).await.unwrap();
    let state = world.chain.state();
    assert!(
        state.settled.is_empty() && state.advanced.is_empty(),
        "no transaction that changes nothing"
    );
}

#[tokio::test]
async fn being_slower_than_another_oracle_is_no_failure() {
    let world = reported().await;
    world.to_block(132).await;
    let mut keeper = Keeper::new(world.members[0].store.clone(), world.chain.clone(), 1);
    keeper.step(BlockNumber(132)).await.unwrap();
    let mut faster = Keeper::new(world.members[1].store.clone(), world.chain.clone(), 0);
    faster.step(BlockNumber(132)).await.unwrap();
    keeper.step(BlockNumber(133)).await.unwrap();
    assert_eq!(world.chain.state().settled.len(), 3);
    assert!(
        world
            .chain
            .state()
            .settled
            .iter()
            .all(|(_, epochs)| *epochs == [Epoch(1)])
    );
}

#[tokio::test]
async fn a_node_that_stored_nothing_is_passed_over_while_others_wait() {
    let world = World::new().await;
    let identity = verifier::report::Identity {
        account: [9; 20].into(),
        ..world.nodes[0].identity
    };
    let endpoint = crate::onchain::Endpoint {
        url: String::new(),
        tls_key_hash: Default::default(),
    };
    world.chain.log(
        60,
        Event::NodeRegistered {
            node: verifier::NodeId(4),
            identity,
            endpoint,
        },
    );
    world.push_all().await;
    world.commit_all().await;
    let Led::Agreed(report) = world.leader(0).agreement.lead(EPOCH, 0).await.unwrap() else {
        panic!()
    };
    world.chain.log(92, Event::Report(*report));
    world.to_block(132).await;
    let mut keeper = Keeper::new(world.members[0].store.clone(), world.chain.clone(), 0);
    keeper.step(BlockNumber(132)).await.unwrap();
    assert_eq!(world.chain.state().advanced, [verifier::NodeId(4)]);
    assert_eq!(world.chain.state().settled.len(), 3);
}

#[tokio::test]
async fn a_removed_nodes_later_epochs_are_passed_over() {
    let world = reported().await;
    world.chain.log(120, Event::NodeLeft(verifier::NodeId(2)));
    world.to_block(132).await;
    let mut keeper = Keeper::new(world.members[0].store.clone(), world.chain.clone(), 0);
    keeper.step(BlockNumber(132)).await.unwrap();
    assert_eq!(world.chain.state().advanced, [verifier::NodeId(2)]);
    assert_eq!(world.chain.state().settled.len(), 2);
}
