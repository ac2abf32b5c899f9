use std::sync::atomic::Ordering;

use circuits::storage::SHARD_BYTES;
use daemon::exit::ExitCode;
use verifier::NodeId;

use super::{World, offer};
use crate::{geometry::Geometry, put::Offer};

#[tokio::test]
async fn a_stalled_node_delays_a_get_once_and_is_asked_last_from_then_on() {
    let world = World::of_bytes(5 * SHARD_BYTES);
    let narrow = Offer {
        geometry: Geometry::new(1, 1).unwrap(),
        nodes: [1, 2].map(NodeId).to_vec(),
        ..offer()
    };
    let kept = world.put_as(narrow, false).await.unwrap();
    world.nodes.set_stalled(1);
    let rebuilt = world.assert_reads_back(kept.manifest.deal.unwrap()).await;
    assert_eq!(rebuilt, 5);
    let stalls = world.nodes.stalls.load(Ordering::SeqCst);
    assert!(stalls <= 3, "asked {stalls} times for 5 stripes");
}

#[tokio::test]
async fn nodes_that_stall_hang_neither_get_nor_repair_nor_put() {
    let (world, deal) = World::stored().await;
    world.nodes.set_stalled(6);
    let error = world.repair(deal, 0, 6).await.unwrap_err();
    assert_eq!(error.exit_code(), ExitCode::Unavailable);
    assert!(error.to_string().contains("did not take"), "{error}");

    world.nodes.set_stalled(2);
    world.nodes.set_stalled(3);
    for error in [
        world.get(&world.kept(deal).manifest).await.map(|_| ()),
        world.repair(deal, 0, 5).await.map(|_| ()),
        world.put_as(offer(), true).await.map(|_| ()),
    ] {
        let error = error.unwrap_err();
        assert_eq!(error.exit_code(), ExitCode::Unavailable);
        assert!(error.to_string().contains("within 1.0 s"), "{error}");
    }
    let status = world.owner().status(deal).await.unwrap();
    assert!(status.slots[1].read.contains("did not give"));
}
