use std::sync::atomic::Ordering;

use super::World;
use crate::{error::GatewayError, nodes::memory::Vouching};

#[tokio::test]
async fn a_node_whose_own_machine_does_not_answer_is_replaced_by_parity() {
    for vouching in [
        Vouching::Unsigned,
        Vouching::Relayed,
        Vouching::Expired,
        Vouching::Foreign,
    ] {
        let (world, deal) = World::stored().await;
        world.deals.set_epoch(2);
        assert_eq!(world.assert_reads_back(deal).await, 0, "{vouching:?}");
        world.nodes.set_vouching(2, vouching);
        let got = world.get(&world.kept(deal).manifest).await.unwrap();
        assert_eq!((got.rebuilt_stripes, got.unvouched_stripes), (2, 0));
    }
}

#[tokio::test]
async fn an_object_is_not_lost_because_of_who_serves_it_and_the_status_names_the_reason() {
    let (world, deal) = World::stored().await;
    world.deals.set_epoch(2);
    let relayed = [
        (1, Vouching::Relayed, "SESSION_RESPONSE_SIGNATURE"),
        (2, Vouching::Unsigned, "SESSION_UNSIGNED"),
        (3, Vouching::Foreign, "SESSION_WRONG_CONTEXT"),
    ];
    for (node, vouching, _) in relayed {
        world.nodes.set_vouching(node, vouching);
    }
    let got = world.get(&world.kept(deal).manifest).await.unwrap();
    assert_eq!(got.unvouched_stripes, 2);
    assert_eq!(
        std::fs::read(world.out()).unwrap(),
        std::fs::read(&world.file).unwrap()
    );
    let status = world.owner().status(deal).await.unwrap();
    assert_eq!(status.readable, 0);
    for ((_, _, code), slot) in relayed.iter().zip(&status.slots) {
        assert!(slot.read.contains(code), "{}", slot.read);
    }
}

#[tokio::test]
async fn wrong_bytes_are_not_taken_though_nothing_better_comes() {
    let (world, deal) = World::stored().await;
    world.deals.set_epoch(2);
    for node in [1, 2] {
        world.nodes.set_vouching(node, Vouching::Relayed);
        world.nodes.set_corrupt(node);
    }
    let error = world.get(&world.kept(deal).manifest).await.unwrap_err();
    assert!(
        matches!(error, GatewayError::TooFewShards { found: 1, .. }),
        "{error}"
    );
}

#[tokio::test]
async fn a_gateway_that_is_behind_the_chain_looks_again_before_it_calls_a_session_wrong() {
    let (world, deal) = World::stored().await;
    world.deals.set_epoch(5);
    world.deals.lag.store(3, Ordering::SeqCst);
    assert_eq!(world.assert_reads_back(deal).await, 0);
}

#[tokio::test]
async fn before_the_first_epoch_nobody_has_a_session_and_reads_go_on() {
    let (world, deal) = World::stored().await;
    for node in 1..=3 {
        world.nodes.set_vouching(node, Vouching::Unsigned);
    }
    world.deals.young.store(true, Ordering::SeqCst);
    assert_eq!(world.assert_reads_back(deal).await, 0);
}
