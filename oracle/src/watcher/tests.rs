#![allow(clippy::unwrap_used, clippy::cast_possible_truncation)]

use alloy::primitives::B256;
use circuits::Profile;
use verifier::committee::Deployment;
use verifier::{BlockNumber, Epoch, NodeId};

use super::{WatchError, Watcher};
use crate::agreement::AgreementError;
use crate::onchain::{ChainError, Event, InventoryChange, OnChain};
use crate::rules::{EpochView, UnknownPolicy};
use crate::store::{Store, StoreError};
use crate::testing::{EPOCH, World, accepted};
use verifier::inventory::Operation;
use verifier::report::Identity;

fn watcher(world: &World, store: &Store) -> Watcher {
    Watcher::new(store.clone(), world.chain.clone(), Profile::DEV)
}

#[tokio::test]
async fn the_work_list_is_what_had_happened_before_the_epoch() {
    let world = World::new().await;
    let view = world.view().await;
    assert_eq!(view.work.len(), 3);
    assert!(
        view.work
            .iter()
            .all(|item| !item.inventory_mismatch && item.duty.count == 2)
    );
    // What happens in the epoch counts from the next one.
    world.chain.log(60, Event::NodeLeft(NodeId(2)));
    world.chain.log(61, dropped(&world, 2));
    world.to_block(80).await;
    assert_eq!(world.view().await.work.len(), 3);
    world
        .chain
        .log(91, Event::Beacon(EPOCH.next(), B256::repeat_byte(1)));
    world.to_block(95).await;
    let next = EpochView::load(&world.members[0].store, &world.rules, EPOCH.next())
        .await
        .unwrap()
        .unwrap();
    assert_eq!(
        next.work
            .iter()
            .map(|item| item.duty.node.0)
            .collect::<Vec<_>>(),
        [1]
    );
}

/// What was announced counts from its epoch on, what was withdrawn never; and by a policy that is not on file nothing is judged.
#[tokio::test]
async fn each_epoch_has_the_policy_that_was_announced_for_it() {
    let world = World::new().await;
    let store = &world.members[0].store;
    let first = world.view().await.policy_hash;
    let announce = |block, hash, from| {
        let event = Event::PolicyChanged {
            policy_hash: B256::repeat_byte(hash),
            from_epoch: Epoch(from),
        };
        world.chain.log(block, event);
    };
    announce(60, 1, 3);
    world.chain.log(61, Event::PolicyWithdrawn(Epoch(3)));
    announce(61, 2, 5);
    world.to_block(80).await;
    let mut found = Vec::new();
    for epoch in [0, 1, 3, 4, 5, 1_000] {
        found.push(store.policy_hash(Epoch(epoch)).await.unwrap().unwrap());
    }
    announce(81, 3, u64::MAX);
    world.to_block(90).await;
    let second = B256::repeat_byte(2);
    assert_eq!(store.policy_hash(Epoch(7)).await.unwrap(), Some(second));
    assert_eq!(found, [first, first, first, first, second, second]);
    let listed = world.chain.policies().await.unwrap();
    let last = (Epoch(u64::MAX), B256::repeat_byte(3));
    assert_eq!(listed, [(Epoch(0), first), (Epoch(5), second), last]);

    world
        .chain
        .log(211, Event::Beacon(Epoch(5), B256::repeat_byte(1)));
    world.to_block(255).await;
    let view = EpochView::load(store, &world.rules, Epoch(5)).await;
    let view = view.unwrap().unwrap();
    let context = view.context(&world.rules).map(|it| it.epoch);
    assert_eq!(context, Err(UnknownPolicy(second)));
    let agreement = &world.members[0].agreement;
    let why = agreement.observe(Epoch(5)).await.unwrap_err();
    assert!(matches!(why, AgreementError::UnknownPolicy(_)), "{why}");
}

fn dropped(world: &World, at: usize) -> Event {
    let node = &world.nodes[at];
    let mut replay = node.replay();
    let slot = verifier::Slot(node.node.0 as u16);
    replay.drop_slot(verifier::DealId(1), slot).unwrap();
    Event::Inventory(InventoryChange {
        operation: Operation::Drop,
        node: node.node,
        deal: verifier::DealId(1),
        slot,
        stripes: 2,
        log: replay.log(),
        root: replay.root(),
        count: replay.count(),
    })
}

#[tokio::test]
async fn another_machine_stands_for_its_node_from_the_next_epoch_on() {
    let world = World::new().await;
    let old = world.nodes[1].identity;
    let new = Identity {
        hardware_id: B256::repeat_byte(0xe1),
        ak_hash: B256::repeat_byte(0xe2),
        node_key_hash: B256::repeat_byte(0xe3),
        ..old
    };
    world.chain.log(
        60,
        Event::MachineChanged {
            node: NodeId(2),
            hardware_id: new.hardware_id,
            ak_hash: new.ak_hash,
            node_key_hash: new.node_key_hash,
        },
    );
    world
        .chain
        .log(91, Event::Beacon(EPOCH.next(), B256::repeat_byte(1)));
    world.to_block(95).await;
    let store = &world.members[0].store;
    for (epoch, identity) in [(EPOCH, old), (EPOCH.next(), new)] {
        let view = EpochView::load(store, &world.rules, epoch).await;
        let view = view.unwrap().unwrap();
        assert_eq!(view.item(NodeId(2)).unwrap().duty.identity, identity);
        let start = world.rules.schedule().start(epoch);
        let machine = store.machine(NodeId(2), identity.hash(), start).await;
        assert_eq!(machine.unwrap().unwrap().identity, identity);
        let early = store.machine(NodeId(2), new.hash(), start).await.unwrap();
        assert_eq!(early.is_some(), epoch != EPOCH);
    }
    assert_eq!(store.nodes().await.unwrap()[1].identity, new);
    assert_eq!(store.node(NodeId(2)).await.unwrap().unwrap().identity, new);
    let unknown = store
        .machine(NodeId(1), new.hash(), BlockNumber(1000))
        .await;
    assert_eq!(unknown.unwrap(), None);
}

#[tokio::test]
async fn a_node_that_dropped_everything_has_no_duty() {
    let world = World::new().await;
    world.chain.log(70, dropped(&world, 2));
    world
        .chain
        .log(91, Event::Beacon(EPOCH.next(), B256::repeat_byte(1)));
    world.to_block(95).await;
    let next = EpochView::load(&world.members[0].store, &world.rules, EPOCH.next())
        .await
        .unwrap()
        .unwrap();
    assert_eq!(
        next.work
            .iter()
            .map(|item| item.duty.node.0)
            .collect::<Vec<_>>(),
        [1, 2]
    );
}

#[tokio::test]
async fn an_inventory_that_does_not_replay_is_a_mismatch_also_after_a_restart() {
    let world = World::new().await;
    let Event::Inventory(honest) = dropped(&world, 0) else {
        panic!()
    };
    // Node 1 claims to hold what it held before.
    let lie = InventoryChange {
        root: world.nodes[0].replay().root(),
        count: 2,
        ..honest
    };
    world.chain.log(60, Event::Inventory(lie));
    world
        .chain
        .log(91, Event::Beacon(EPOCH.next(), B256::repeat_byte(1)));
    // A new watcher each time: the replay starts from the database.
    world.to_block(95).await;
    let next = EpochView::load(&world.members[0].store, &world.rules, EPOCH.next())
        .await
        .unwrap()
        .unwrap();
    let flags: Vec<_> = next
        .work
        .iter()
        .map(|item| (item.duty.node.0, item.inventory_mismatch))
        .collect();
    assert_eq!(flags, [(1, true), (2, false), (3, false)]);
}

#[tokio::test]
async fn a_deal_the_node_never_accepted_is_not_in_its_inventory() {
    let world = World::new().await;
    // The contract lets only the node itself accept; a drop of what was never accepted cannot be replayed.
    let Event::Inventory(mut change) = dropped(&world, 0) else {
        panic!()
    };
    change.deal = verifier::DealId(9);
    change.count = 4;
    world.chain.log(60, Event::Inventory(change));
    world
        .chain
        .log(91, Event::Beacon(EPOCH.next(), B256::repeat_byte(1)));
    world.to_block(95).await;
    let next = EpochView::load(&world.members[0].store, &world.rules, EPOCH.next())
        .await
        .unwrap()
        .unwrap();
    assert!(next.work[0].inventory_mismatch);
}

#[tokio::test]
async fn following_in_two_halves_gives_the_same_as_in_one() {
    let world = World::new().await;
    world.chain.log(70, dropped(&world, 1));
    world.chain.log(80, accepted(&world.nodes[1]));
    let folder = tempfile::tempdir().unwrap();
    let late = Store::open(&folder.path().join("late.sqlite"))
        .await
        .unwrap();
    world.to_block(75).await;
    world.to_block(100).await;
    assert!(!watcher(&world, &late).step().await.unwrap());
    let start = BlockNumber(90);
    assert_eq!(
        late.work_list(start).await.unwrap(),
        world.members[0].store.work_list(start).await.unwrap()
    );
    assert_eq!(late.work_list(start).await.unwrap().len(), 3);
}

#[tokio::test]
async fn a_final_block_that_changes_stops_everything() {
    let world = World::new().await;
    world.chain.state().forked_at = Some(40);
    world.chain.set_head(80);
    let mut watcher = watcher(&world, &world.members[0].store);
    assert!(matches!(
        watcher.step().await,
        Err(WatchError::FinalityBroken { .. })
    ));
    assert_eq!(
        world.members[0]
            .store
            .followed()
            .await
            .unwrap()
            .unwrap()
            .number,
        BlockNumber(53)
    );
}

#[tokio::test]
async fn a_chain_out_of_reach_loses_nothing() {
    let world = World::new().await;
    world.chain.state().unreachable = true;
    world.chain.set_head(80);
    let mut watcher = watcher(&world, &world.members[0].store);
    assert!(matches!(
        watcher.step().await,
        Err(WatchError::Chain(ChainError::Unavailable(_)))
    ));
    world.chain.state().unreachable = false;
    assert!(!watcher.step().await.unwrap());
    assert_eq!(
        world.members[0]
            .store
            .followed()
            .await
            .unwrap()
            .unwrap()
            .number,
        BlockNumber(78)
    );
}

#[tokio::test]
async fn a_database_of_another_deployment_is_refused() {
    let world = World::new().await;
    let store = &world.members[0].store;
    let ours = world.chain.deployment();
    store.bind_deployment(&ours).await.unwrap();
    store.bind_deployment(&ours).await.unwrap();
    let other = Deployment {
        chain_id: 1,
        ..ours
    };
    assert!(matches!(
        store.bind_deployment(&other).await,
        Err(StoreError::OtherDeployment { .. })
    ));
}
