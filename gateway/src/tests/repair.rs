use std::sync::atomic::Ordering;

use circuits::storage::SHARD_BYTES;
use daemon::exit::ExitCode;
use verifier::{NodeId, Slot, Stripe};

use super::{World, offer};
use crate::{
    codec,
    deals::{DealBook, DealState},
    error::GatewayError,
    geometry::Geometry,
    nodes::ShardName,
};

#[tokio::test]
async fn a_lost_slot_is_rebuilt_onto_another_node_and_the_deal_goes_on() {
    let (world, deal) = World::stored().await;
    world.nodes.set_down(1, true);
    let repaired = world.repair(deal, 0, 6).await.unwrap();
    assert_eq!((repaired.stripes, world.nodes.count(6)), (2, 2));
    assert_eq!(world.assert_reads_back(deal).await, 0);
    let status = world.owner().status(deal).await.unwrap();
    assert_eq!((status.readable, status.slots[0].node), (3, NodeId(6)));

    let gets = world.nodes.gets.load(Ordering::SeqCst);
    world.repair(deal, 0, 6).await.unwrap();
    assert_eq!(
        world.nodes.gets.load(Ordering::SeqCst),
        gets,
        "a repair that is done does nothing"
    );
}

#[tokio::test]
async fn a_repair_goes_on_after_the_new_node_was_down() {
    let (world, deal) = World::stored().await;
    world.nodes.set_down(6, true);
    let error = world.repair(deal, 2, 6).await.unwrap_err();
    assert_eq!(error.exit_code(), ExitCode::Unavailable);
    world.nodes.set_down(6, false);
    world.repair(deal, 2, 6).await.unwrap();
    assert_eq!(
        world.deals.tenures(deal, Slot(2)).await.unwrap().len(),
        2,
        "moved once"
    );
}

#[tokio::test]
async fn a_repair_onto_a_node_whose_tenure_ended_says_so_and_is_not_done() {
    let (world, deal) = World::repaired().await;
    world.deals.set_epoch(1);
    world.deals.end_slot(deal, Slot(0));
    let error = world.repair(deal, 0, 6).await.unwrap_err();
    assert_eq!(error.exit_code(), ExitCode::Rejected);
    let text = error.to_string();
    assert!(
        text.contains("slot 0 of deal 1 has no node") && text.contains("ended with epoch 1"),
        "{text}"
    );
    assert_eq!(world.slot_state(deal).await, "ended");
}

#[tokio::test]
async fn a_slot_that_was_dropped_is_repaired_even_onto_the_node_that_dropped_it() {
    let (world, deal) = World::repaired().await;
    world.deals.end_slot(deal, Slot(0));
    world.deals.drop_slot(deal, Slot(0));
    assert_eq!(world.slot_state(deal).await, "dropped");
    world.repair(deal, 0, 6).await.unwrap();
    let tenures = world.deals.tenures(deal, Slot(0)).await.unwrap();
    assert_eq!(tenures.len(), 3, "offered once more");
    assert_eq!(world.slot_state(deal).await, "held");
}

#[tokio::test]
async fn a_slot_of_a_deal_that_is_over_or_closed_is_not_repaired_and_its_state_is_named() {
    let (world, deal) = World::repaired().await;
    let gets = world.nodes.gets.load(Ordering::SeqCst);
    world.deals.set_epoch(3);
    for (words, node) in [("is ended", 6), ("its last epoch, 3", 5)] {
        let error = world.repair(deal, 0, node).await.unwrap_err();
        assert_eq!(error.exit_code(), ExitCode::Rejected);
        assert!(error.to_string().contains(words), "{error}");
    }
    world.deals.drop_slot(deal, Slot(0));
    world.deals.close(deal);
    let error = world.repair(deal, 0, 6).await.unwrap_err();
    assert_eq!(error.exit_code(), ExitCode::Rejected);
    let text = error.to_string();
    assert!(
        text.contains("is dropped") && text.contains("the deal is closed"),
        "{text}"
    );
    assert_eq!(
        world.nodes.gets.load(Ordering::SeqCst),
        gets,
        "nothing was rebuilt for it"
    );
}

#[tokio::test]
async fn shards_that_are_no_codeword_are_the_owners_fault_and_the_slot_stays() {
    let (world, deal) = World::stored().await;
    // A parity shard that is consistently committed to, and wrong.
    let wrong = vec![7; SHARD_BYTES];
    world.nodes.overwrite(
        3,
        ShardName {
            deal,
            slot: Slot(2),
            stripe: Stripe(1),
        },
        wrong.clone(),
    );
    world
        .deals
        .with_roots(deal, |roots| roots[2][1] = codec::roots(&wrong).unwrap());
    world.nodes.set_down(1, true);
    let error = world.repair(deal, 0, 6).await.unwrap_err();
    assert!(
        matches!(
            error,
            GatewayError::EncodingInconsistent {
                slot: Slot(0),
                stripe: Stripe(1),
                ..
            }
        ),
        "{error}"
    );
    assert!(error.to_string().starts_with("ENCODING_INCONSISTENT"));
    assert_eq!(error.exit_code(), ExitCode::Rejected);
    assert_eq!(
        world.deals.tenures(deal, Slot(0)).await.unwrap().len(),
        1,
        "not moved"
    );
    assert_eq!(world.nodes.count(6), 0);
}

#[tokio::test]
async fn a_deal_that_is_not_sealed_cannot_be_repaired() {
    let world = World::new();
    let terms = crate::deals::Terms {
        geometry: Geometry::new(2, 1).unwrap(),
        stripes: 1,
        nodes: offer().nodes,
        rate: 1,
        epochs: 1,
    };
    let deal = world.deals.propose(&terms).await.unwrap();
    assert_eq!(
        world.deals.deal(deal).await.unwrap().state,
        DealState::Proposed
    );
    let error = world.repair(deal, 0, 6).await.unwrap_err();
    assert!(matches!(error, GatewayError::Deal { .. }), "{error}");
}
