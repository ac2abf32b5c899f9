//! Accepting, dropping, deleting and claiming.
#![allow(clippy::unwrap_used, clippy::cast_possible_truncation)]

use std::sync::Arc;
use std::time::Duration;

use alloy::primitives::B256;
use storage_node::chain_view::{Assignment, ChainView};
use storage_node::inventory::{Frozen, LogEntry, Mismatch};
use storage_node::keeper::KeeperError;
use storage_node::ledger::LedgerError;
use storage_node::shard::SlotId;
use storage_node::slots::SlotBook;
use storage_node::state::TenureState;
use storage_node::store::{ShardStore, StoreError};
use verifier::inventory::{Operation, slot_list_hash};
use verifier::{Epoch, NodeId};

use crate::support::{EveryCell, NODE, TestNode, deployment, slot_shards};

const A: SlotId = SlotId::new(1, 2);
const B: SlotId = SlotId::new(2, 0);

#[tokio::test]
async fn a_slot_is_accepted_once_every_stripe_is_stored_and_not_before() {
    let mut node = TestNode::new().await;
    let shards = slot_shards(&[1, 2]);
    node.chain.offer(
        A,
        NODE,
        &shards
            .iter()
            .map(|shard| *shard.roots())
            .collect::<Vec<_>>(),
    );
    node.chain.mine(3);
    node.keeper.round().await.unwrap();
    assert_eq!(
        node.state.tenures().await.unwrap()[0].state,
        TenureState::Offered
    );

    node.store.put(A.shard(0), shards[0].clone()).await.unwrap();
    node.state.set_stored(A.shard(0), true).await.unwrap();
    node.keeper.round().await.unwrap();
    assert!(
        !node.chain.with(|world| world.is_held(A, NODE)),
        "one stripe is missing"
    );

    node.store.put(A.shard(1), shards[1].clone()).await.unwrap();
    node.state.set_stored(A.shard(1), true).await.unwrap();
    node.keeper.round().await.unwrap();
    assert!(node.chain.with(|world| world.is_held(A, NODE)));
    let sent = node.chain.with(|world| world.transactions);
    // Until its own transaction is final the database says offered: it must not be sent again.
    node.keeper.round().await.unwrap();
    node.chain.mine(3);
    node.keeper.round().await.unwrap();
    node.keeper.round().await.unwrap();
    assert_eq!(node.chain.with(|world| world.transactions), sent);
    assert_eq!(
        node.state.tenures().await.unwrap()[0].state,
        TenureState::Accepted
    );
    let open = node.ledger.at_head().await.unwrap();
    assert_eq!(
        Frozen::from(&open.inventory),
        node.chain.inventory(NODE).await.unwrap()
    );
}

#[tokio::test]
async fn an_accept_that_was_overtaken_is_sent_again_in_a_later_round() {
    let mut node = TestNode::new().await;
    node.chain.with(|world| world.refuse_once.insert("accept"));
    let shards = slot_shards(&[1]);
    node.chain.offer(A, NODE, &[*shards[0].roots()]);
    node.chain.mine(3);
    node.keeper.round().await.unwrap();
    node.store.put(A.shard(0), shards[0].clone()).await.unwrap();
    node.state.set_stored(A.shard(0), true).await.unwrap();
    node.keeper.round().await.unwrap();
    assert!(!node.chain.with(|world| world.is_held(A, NODE)));
    node.keeper.round().await.unwrap();
    assert!(node.chain.with(|world| world.is_held(A, NODE)));
}

#[tokio::test]
async fn contracts_that_reckon_the_log_otherwise_are_named_after_the_second_refusal() {
    let mut node = TestNode::new().await;
    node.chain.with(|world| world.other_rules = true);
    let shards = slot_shards(&[1]);
    node.chain.offer(A, NODE, &[*shards[0].roots()]);
    node.chain.mine(3);
    node.keeper.round().await.unwrap();
    node.put_all(A, shards).await;
    node.keeper.round().await.unwrap();
    let error = node.keeper.round().await.unwrap_err();
    assert!(matches!(error, KeeperError::OtherRules { .. }), "{error}");
    assert!(error.to_string().contains("LogMoved"), "{error}");

    node.chain.with(|world| world.other_rules = false);
    node.keeper.round().await.unwrap();
    assert!(node.chain.with(|world| world.is_held(A, NODE)));
}

#[tokio::test]
async fn an_ended_slot_is_dropped_in_its_last_epoch_and_its_files_go_when_no_epoch_lists_it() {
    let mut node = TestNode::new().await;
    node.hold(A, &[1, 2]).await;
    node.hold(B, &[3]).await;
    node.chain.go_to(2, 5);
    node.keeper.round().await.unwrap();
    assert!(
        node.chain.with(|world| world.is_held(A, NODE)),
        "its last epoch is not yet"
    );
    node.chain.end(A);
    node.chain.mine(3);
    node.keeper.round().await.unwrap();
    assert!(
        !node.chain.with(|world| world.is_held(A, NODE)),
        "no epoch is owed that nobody pays for"
    );
    node.chain.go_to(2, 39);
    node.keeper.round().await.unwrap();
    node.chain.go_to(3, 0);
    node.keeper.round().await.unwrap();
    let roots = *slot_shards(&[1])[0].roots();
    assert!(
        node.store.cell(A.shard(0), &roots, 0).await.is_ok(),
        "epoch 2 still lists it, and its end is not final"
    );

    node.chain.go_to(3, 2);
    node.keeper.round().await.unwrap();
    assert!(matches!(
        node.store.cell(A.shard(0), &roots, 0).await,
        Err(StoreError::NotFound(_))
    ));
    assert_eq!(node.state.stored_shards().await.unwrap(), 1);
    let open = node.ledger.at_head().await.unwrap();
    assert_eq!(open.inventory.count(), 1);
    assert_eq!(
        Frozen::from(&open.inventory),
        node.chain.inventory(NODE).await.unwrap()
    );
    // The epoch before last still opens, from the log alone.
    let before = node.chain.inventory_at(NODE, Epoch(2)).await.unwrap();
    assert_eq!(
        node.ledger.open(&before).await.unwrap().inventory.count(),
        3
    );
}

#[tokio::test]
async fn a_slot_moved_right_after_its_node_accepted_it_keeps_its_files_while_an_epoch_lists_them() {
    let mut node = TestNode::new().await;
    node.accept(A, &[1, 2]).await;
    // The attack: the owner moves the slot before the accept is final, so that the node takes it for lost.
    node.chain.move_to(A, NodeId(9));
    for _ in 0..6 {
        node.keeper.round().await.unwrap();
        assert_eq!(node.state.stored_shards().await.unwrap(), 2);
        node.chain.mine(1);
    }
    let tenure = node.state.tenures().await.unwrap()[0];
    assert_eq!(
        tenure.state,
        TenureState::Dropped,
        "accepted, ended, let go"
    );
    assert_eq!(node.chain.inventory(NODE).await.unwrap().count, 0);
    node.chain.go_to(2, 3);
    node.keeper.round().await.unwrap();
    assert_eq!(node.state.stored_shards().await.unwrap(), 0);
}

#[tokio::test]
async fn an_endpoint_that_lags_behind_the_accept_deletes_nothing() {
    let mut node = TestNode::new().await;
    node.accept(A, &[1]).await;
    // The failover endpoint has not even seen the deal.
    node.chain.with(|world| world.lag = 30);
    for _ in 0..6 {
        let _ = node.keeper.round().await;
        node.chain.mine(1);
    }
    node.chain.with(|world| world.lag = 0);
    node.keeper.round().await.unwrap();
    assert_eq!(node.state.stored_shards().await.unwrap(), 1);
    assert_eq!(
        node.state.tenures().await.unwrap()[0].state,
        TenureState::Accepted
    );
}

#[tokio::test]
async fn what_the_inventory_on_chain_lists_is_not_deleted_whatever_the_database_says() {
    let mut node = TestNode::new().await;
    node.accept(A, &[1]).await;
    node.state.set_lost(A, 0).await.unwrap();
    node.keeper.round().await.unwrap();
    assert_eq!(node.state.stored_shards().await.unwrap(), 1);
    node.chain.mine(3);
    node.keeper.round().await.unwrap();
    assert_eq!(
        node.state.tenures().await.unwrap()[0].state,
        TenureState::Accepted,
        "the final accept has the last word"
    );
}

#[tokio::test]
async fn an_offer_is_given_up_with_its_files_once_its_deal_is_closed_or_over() {
    for close in [true, false] {
        let mut node = TestNode::new().await;
        let shards = slot_shards(&[1, 2]);
        let roots: Vec<_> = shards.iter().map(|shard| *shard.roots()).collect();
        node.chain.offer(A, NODE, &roots);
        node.chain.mine(3);
        node.keeper.round().await.unwrap();
        // The attack: one stripe is put and the other one never, so that the node stores it for nothing and for ever.
        node.put_all(A, shards[..1].to_vec()).await;
        node.keeper.round().await.unwrap();
        assert_eq!(node.state.unaccepted_shards().await.unwrap(), 1);
        if close {
            node.chain.with(|world| {
                let deal = world.deals.get_mut(&A.deal).unwrap();
                (deal.sealed, deal.closed) = (false, true);
            });
            node.chain.go_to(2, 3);
        } else {
            node.chain.go_to(21, 3);
        }
        node.keeper.round().await.unwrap();
        assert_eq!(node.state.stored_shards().await.unwrap(), 0);
        assert_eq!(
            node.state.tenures().await.unwrap()[0].state,
            TenureState::Lost
        );
    }
}

#[tokio::test]
async fn a_deal_that_pays_less_than_the_operator_asks_is_not_accepted() {
    let mut node = TestNode::new().await;
    let shards = slot_shards(&[1]);
    node.chain.offer(A, NODE, &[*shards[0].roots()]);
    node.chain
        .with(|world| world.deals.get_mut(&A.deal).unwrap().rate = 99);
    node.chain.mine(3);
    node.keeper.round().await.unwrap();
    node.put_all(A, shards).await;
    node.keeper.round().await.unwrap();
    assert!(!node.chain.with(|world| world.is_held(A, NODE)));
    assert_eq!(node.chain.with(|world| world.transactions), 0);
}

#[tokio::test]
async fn a_slot_with_a_missing_file_is_not_accepted_and_its_shard_may_be_put_again() {
    let mut node = TestNode::new().await;
    let shards = slot_shards(&[1, 2]);
    let roots: Vec<_> = shards.iter().map(|shard| *shard.roots()).collect();
    node.chain.offer(A, NODE, &roots);
    node.chain.mine(3);
    node.keeper.round().await.unwrap();
    node.put_all(A, shards.clone()).await;
    node.store.delete(A.shard(1)).await.unwrap();
    node.keeper.round().await.unwrap();
    assert!(!node.chain.with(|world| world.is_held(A, NODE)));
    node.put_all(A, shards).await;
    node.keeper.round().await.unwrap();
    assert!(node.chain.with(|world| world.is_held(A, NODE)));
}

#[tokio::test]
async fn a_slot_that_comes_back_while_its_files_wait_to_be_deleted_keeps_them() {
    let mut node = TestNode::new().await;
    let shards = slot_shards(&[1]);
    node.chain.offer(A, NODE, &[*shards[0].roots()]);
    node.chain.mine(3);
    node.keeper.round().await.unwrap();
    node.put_all(A, shards).await;
    node.chain.move_to(A, NodeId(9));
    node.chain.mine(3);
    let state = node.state.clone();
    let put = state.lock_slot(A).await;
    // The round finds the offer withdrawn and wants to delete, while a put for the next offer holds the slot.
    let offer_again = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        let mut back = node.chain.with(|world| world.assignments[&A][0]);
        back.node = NODE;
        state.refresh_tenures(A, &[(2, back)]).await.unwrap();
        drop(put);
    };
    let keeper = &mut node.parts.keeper;
    let (round, ()) = tokio::join!(keeper.round(), offer_again);
    round.unwrap();
    assert_eq!(
        node.state.tenures().await.unwrap()[0].state,
        TenureState::Lost
    );
    assert_eq!(node.state.stored_shards().await.unwrap(), 1);
}

#[tokio::test]
async fn each_final_accept_counts_for_the_tenure_it_began() {
    let node = TestNode::new().await;
    let roots = [*slot_shards(&[1])[0].roots()];
    let list_hash = slot_list_hash(&roots);
    // Accepted in epoch 1, moved away, moved back, accepted in epoch 4: read from the chain long afterwards.
    let tenure = |from, to| Assignment {
        node: NODE,
        from: Epoch(from),
        to: Epoch(to),
        claimed: Epoch(0),
        dropped: false,
    };
    let tenures = [(0, tenure(2, 3)), (2, tenure(5, 30))];
    node.state
        .add_slot(A, list_hash, &roots, &tenures)
        .await
        .unwrap();
    let changes = [
        (Operation::Accept, 50),
        (Operation::Drop, 130),
        (Operation::Accept, 170),
    ];
    for (operation, block) in changes {
        let entry = LogEntry {
            operation,
            slot: A,
            stripes: 1,
            list_hash,
            log: B256::with_last_byte(block),
            root: B256::ZERO,
            count: 1,
            block: u64::from(block),
        };
        node.state
            .apply_final(&[entry], u64::from(block) + 1, |block| Epoch(block / 40))
            .await
            .unwrap();
    }
    let states: Vec<_> = node.state.tenures().await.unwrap();
    assert_eq!(
        (states[0].state, states[0].dropped_in, states[1].state),
        (TenureState::Dropped, Some(Epoch(3)), TenureState::Accepted)
    );
}

#[tokio::test]
async fn a_claim_that_brings_less_than_the_operator_asks_is_not_sent() {
    let mut node = TestNode::new().await;
    node.hold(A, &[1]).await;
    node.chain.go_to(4, 1);
    node.chain.with(|world| {
        world.deals.get_mut(&A.deal).unwrap().rate = 0;
        world.resolved = Epoch(2);
    });
    let sent = node.chain.with(|world| world.transactions);
    node.keeper.round().await.unwrap();
    assert_eq!(node.chain.with(|world| world.transactions), sent);
}

#[tokio::test]
async fn nothing_is_claimed_while_the_proof_may_need_the_accounts_queue() {
    let mut node = TestNode::new().await;
    node.hold(A, &[1]).await;
    node.chain.with(|world| world.resolved = Epoch(2));
    for offset in [14, 16, 24] {
        node.chain.go_to(4, offset);
        node.keeper.round().await.unwrap();
        assert!(node.chain.with(|world| world.claims.is_empty()), "{offset}");
    }
    node.chain.go_to(4, 25);
    node.keeper.round().await.unwrap();
    assert_eq!(node.chain.with(|world| world.claims.len()), 1);
}

#[tokio::test]
async fn a_node_that_enrolled_anew_starts_with_an_empty_log_and_its_old_self_is_forgotten() {
    let mut node = TestNode::new().await;
    assert!(!node.state.bind_to(&deployment(), NODE).await.unwrap());
    node.hold(A, &[1]).await;
    assert!(!node.state.bind_to(&deployment(), NODE).await.unwrap());
    assert_eq!(node.state.log().await.unwrap().len(), 1);

    assert!(node.state.bind_to(&deployment(), NodeId(8)).await.unwrap());
    assert!(node.state.log().await.unwrap().is_empty());
    assert!(node.state.tenures().await.unwrap().is_empty());
    assert_eq!(node.state.next_block().await.unwrap(), None);
    let roots = *slot_shards(&[1])[0].roots();
    assert!(
        node.store.cell(A.shard(0), &roots, 0).await.is_ok(),
        "the files stay"
    );
    assert!(!node.state.bind_to(&deployment(), NodeId(8)).await.unwrap());
}

#[tokio::test]
async fn a_node_that_restarts_between_any_two_rounds_ends_where_one_that_did_not_does() {
    let mut node = TestNode::new().await;
    node.hold(A, &[1]).await;
    node = node.restart(Arc::new(EveryCell::default())).await;
    node.hold(B, &[2, 3]).await;
    node.chain.end(A);
    node = node.restart(Arc::new(EveryCell::default())).await;
    node.chain.go_to(2, 5);
    node.keeper.round().await.unwrap();
    node = node.restart(Arc::new(EveryCell::default())).await;
    node.chain.go_to(3, 5);
    node.keeper.round().await.unwrap();
    let open = node.ledger.at_head().await.unwrap();
    assert_eq!(open.inventory.count(), 2);
    assert_eq!(
        Frozen::from(&open.inventory),
        node.chain.inventory(NODE).await.unwrap()
    );
    assert_eq!(node.state.stored_shards().await.unwrap(), 2);
}

#[tokio::test]
async fn a_node_that_lost_its_database_learns_its_slots_from_the_chain_again() {
    let mut node = TestNode::new().await;
    node.hold(A, &[1]).await;
    let database = node.folder.path().join("node.sqlite");
    for suffix in ["", "-wal", "-shm"] {
        let _ = std::fs::remove_file(format!("{}{suffix}", database.display()));
    }
    let mut node = node.restart(Arc::new(EveryCell::default())).await;
    node.keeper.round().await.unwrap();
    assert_eq!(
        node.state.tenures().await.unwrap()[0].state,
        TenureState::Accepted
    );
    let open = node.ledger.at_head().await.unwrap();
    assert_eq!(
        Frozen::from(&open.inventory),
        node.chain.inventory(NODE).await.unwrap()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn tasks_that_learn_the_same_slots_at_once_do_not_disturb_each_other() {
    let node = TestNode::new().await;
    let roots = *slot_shards(&[1])[0].roots();
    let slots: Vec<SlotId> = (10..20).map(|deal| SlotId::new(deal, 0)).collect();
    for slot in &slots {
        node.chain.offer(*slot, NODE, &[roots]);
    }
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let (book, slots) = (
            SlotBook::new(node.chain.clone(), node.state.clone(), NODE),
            slots.clone(),
        );
        tasks.spawn(async move {
            for slot in slots {
                book.learn(slot).await.unwrap();
            }
        });
    }
    while let Some(done) = tasks.join_next().await {
        done.unwrap();
    }
    assert_eq!(node.state.tenures().await.unwrap().len(), slots.len());
}

#[tokio::test]
async fn an_offer_that_moved_to_another_node_is_forgotten() {
    let mut node = TestNode::new().await;
    let shards = slot_shards(&[1]);
    node.chain.offer(A, NODE, &[*shards[0].roots()]);
    node.chain.mine(3);
    node.keeper.round().await.unwrap();
    node.store.put(A.shard(0), shards[0].clone()).await.unwrap();
    node.chain.move_to(A, NodeId(9));
    node.state.set_stored(A.shard(0), true).await.unwrap();
    node.keeper.round().await.unwrap();
    assert_eq!(
        node.state.tenures().await.unwrap()[0].state,
        TenureState::Offered,
        "the move is not final"
    );
    node.chain.mine(3);
    node.keeper.round().await.unwrap();
    assert_eq!(
        node.state.tenures().await.unwrap()[0].state,
        TenureState::Lost
    );
    assert_eq!(node.state.stored_shards().await.unwrap(), 0);
}

#[tokio::test]
async fn another_root_on_chain_stops_accepting_and_says_so() {
    let mut node = TestNode::new().await;
    node.hold(A, &[1]).await;
    node.chain
        .with(|world| world.inventories.last_mut().unwrap().1.root.0[31] ^= 1);
    let error = node.ledger.at_head().await.err().unwrap();
    assert!(
        matches!(error, LedgerError::Mismatch(Mismatch::Root { .. })),
        "{error}"
    );
    assert!(error.to_string().contains("INVENTORY_MISMATCH"), "{error}");
}

#[tokio::test]
async fn pay_is_claimed_once_for_what_settlement_decided() {
    let mut node = TestNode::new().await;
    node.hold(A, &[1]).await;
    node.chain.go_to(4, 1);
    node.chain.with(|world| world.resolved = Epoch(2));
    node.keeper.round().await.unwrap();
    node.keeper.round().await.unwrap();
    node.chain.with(|world| world.resolved = Epoch(3));
    node.keeper.round().await.unwrap();
    assert_eq!(
        node.chain.with(|world| world.claims.clone()),
        [(A, 2), (A, 3)]
    );
}

#[tokio::test]
async fn a_chain_out_of_reach_fails_the_round_and_loses_nothing() {
    let mut node = TestNode::new().await;
    node.hold(A, &[1]).await;
    node.chain.with(|world| world.unreachable = true);
    assert!(node.keeper.round().await.is_err());
    node.chain.with(|world| world.unreachable = false);
    node.keeper.round().await.unwrap();
    assert_eq!(node.state.stored_shards().await.unwrap(), 1);
}
