use daemon::exit::ExitCode;

use super::World;
use crate::error::GatewayError;

#[tokio::test]
async fn what_is_put_is_got_back_with_any_m_nodes_down() {
    let (world, deal) = World::stored().await;
    assert!(world.kept(deal).manifest.complete);
    assert_eq!(world.assert_reads_back(deal).await, 0);
    for (node, rebuilt) in [(1, 2), (2, 2), (3, 0)] {
        world.nodes.set_down(node, true);
        assert_eq!(world.assert_reads_back(deal).await, rebuilt);
        world.nodes.set_down(node, false);
    }
}

#[tokio::test]
async fn more_than_m_nodes_down_is_could_not_check_and_leaves_no_output() {
    let (world, deal) = World::stored().await;
    world.nodes.set_down(1, true);
    world.nodes.set_down(3, true);
    std::fs::write(world.out(), "as it was").unwrap();
    let error = world.get(&world.kept(deal).manifest).await.unwrap_err();
    assert!(
        matches!(
            &error,
            GatewayError::TooFewShards {
                needed: 2,
                found: 1,
                ..
            }
        ),
        "{error}"
    );
    assert_eq!(error.exit_code(), ExitCode::Unavailable);
    assert_eq!(std::fs::read(world.out()).unwrap(), b"as it was");
}

#[tokio::test]
async fn a_node_that_serves_wrong_bytes_is_noticed_and_replaced_by_parity() {
    let (world, deal) = World::stored().await;
    world.nodes.set_corrupt(2);
    assert_eq!(world.assert_reads_back(deal).await, 2);
}

#[tokio::test]
async fn a_manifest_of_another_object_does_not_pass_for_this_one() {
    let (world, deal) = World::stored().await;
    let mut manifest = world.kept(deal).manifest;
    manifest.blake3.0 = blake3::hash(b"another");
    let error = world.get(&manifest).await.unwrap_err();
    assert!(
        matches!(error, GatewayError::ContentMismatch { .. }),
        "{error}"
    );
    assert!(!world.out().exists());
}
