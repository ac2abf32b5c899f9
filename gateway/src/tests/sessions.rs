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
        assert_eq!(world.assert_reads_back(deal).await, 2, "{vouching:?}");
    }
}

#[tokio::test]
async fn the_reason_is_named_when_too_few_nodes_are_left_and_in_the_status() {
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
    let error = world.get(&world.kept(deal).manifest).await.unwrap_err();
    let GatewayError::TooFewShards { found, causes, .. } = &error else {
        panic!("{error}");
    };
    assert_eq!(*found, 0);
    let status = world.owner().status(deal).await.unwrap();
    assert_eq!(status.readable, 0);
    for ((_, _, code), slot) in relayed.iter().zip(&status.slots) {
        assert!(causes.contains(code), "{causes}");
        assert!(slot.read.contains(code), "{}", slot.read);
    }
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
