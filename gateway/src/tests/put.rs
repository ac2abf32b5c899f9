use std::{path::Path, sync::atomic::Ordering};

use alloy::primitives::B256;
use daemon::exit::ExitCode;
use verifier::{DealId, NodeId, Slot, Stripe};

use super::{World, offer};
use crate::{deals::DealBook, error::GatewayError, put::Offer};

#[tokio::test]
async fn a_node_that_is_not_ready_at_first_gets_its_shards_all_the_same() {
    let world = World::new();
    world.nodes.flaky_puts.store(3, Ordering::SeqCst);
    world.put().await.unwrap();
    assert_eq!([1, 2, 3].map(|node| world.nodes.count(node)), [2, 2, 2]);
}

#[tokio::test]
async fn an_interrupted_put_goes_on_in_the_same_deal_and_sends_no_shard_twice() {
    let world = World::new();
    world.nodes.set_down(2, true);
    let error = world.put().await.unwrap_err();
    assert!(
        matches!(&error, GatewayError::NotStored { refused: false, .. }),
        "{error}"
    );
    assert_eq!(error.exit_code(), ExitCode::Unavailable);
    assert_eq!(world.nodes.puts.load(Ordering::SeqCst), 4);

    world.nodes.set_down(2, false);
    let kept = world.put().await.unwrap();
    assert_eq!(world.deals.count(), 1);
    assert_eq!(world.nodes.puts.load(Ordering::SeqCst), 6);
    world.assert_reads_back(kept.manifest.deal.unwrap()).await;

    let again = world.put().await.unwrap();
    assert_eq!(
        (again.manifest.deal, world.deals.count()),
        (kept.manifest.deal, 1)
    );
    let another = world.put_as(offer(), true).await.unwrap();
    assert_ne!(another.manifest.deal, kept.manifest.deal);
}

#[tokio::test]
async fn a_proposal_whose_receipt_was_never_seen_is_found_again() {
    let world = World::new();
    *world.deals.die_after_propose.lock().unwrap() = true;
    world.put().await.unwrap_err();
    assert_eq!(world.deals.count(), 1);
    let kept = world.put().await.unwrap();
    assert_eq!(
        (kept.manifest.deal, world.deals.count()),
        (Some(DealId(1)), 1)
    );
}

#[tokio::test]
async fn an_object_whose_deal_was_closed_is_stored_in_a_new_one() {
    // An interrupted one first, which no call may go on with.
    let (world, deal) = World::interrupted_by(2).await;
    world.nodes.set_down(2, false);
    world.deals.close(deal);
    for (again, deal) in [(true, 2), (false, 3)] {
        let kept = world.put_as(offer(), again).await.unwrap();
        assert_eq!(kept.manifest.deal, Some(DealId(deal)));
        world.assert_reads_back(DealId(deal)).await;
        world.deals.close(DealId(deal));
    }
}

#[tokio::test]
async fn an_object_whose_deal_is_over_is_not_called_stored() {
    let (world, deal) = World::stored().await;
    world.deals.set_epoch(2);
    let kept = world.put().await.unwrap();
    assert_eq!(kept.manifest.deal, Some(deal));
    world.deals.set_epoch(3);
    let kept = world.put().await.unwrap();
    assert_eq!(kept.manifest.deal, Some(DealId(2)));
}

#[tokio::test]
async fn a_manifest_of_a_chain_that_was_started_anew_is_named_for_removal() {
    let (world, deal) = World::stored().await;
    let mut kept = world.kept(deal);
    kept.manifest.deal = Some(DealId(77));
    kept.save().unwrap();
    let error = world.put().await.unwrap_err();
    assert_eq!(error.exit_code(), ExitCode::Usage);
    let (text, path) = (error.to_string(), kept.path.display().to_string());
    assert!(
        text.contains(&path) && text.contains("no deal 77"),
        "{text}"
    );
    std::fs::remove_file(&kept.path).unwrap();
    world.put().await.unwrap();
}

#[tokio::test]
async fn a_lost_proposal_that_was_closed_is_not_gone_on_with() {
    let world = World::new();
    *world.deals.die_after_propose.lock().unwrap() = true;
    world.put().await.unwrap_err();
    world.deals.close(DealId(1));
    let kept = world.put().await.unwrap();
    assert_eq!(kept.manifest.deal, Some(DealId(2)));
}

#[tokio::test]
async fn a_slot_moved_before_it_was_accepted_is_sent_whole_to_its_new_node() {
    let (world, deal) = World::interrupted_by(2).await;
    let mut kept = world.kept(deal);
    // Node 2 took everything, so it said, and never accepted.
    kept.manifest.stored = vec![2; 3];
    kept.save().unwrap();
    world
        .deals
        .move_slot(deal, Slot(1), NodeId(5))
        .await
        .unwrap();
    let kept = world.put().await.unwrap();
    assert_eq!((kept.manifest.deal, world.nodes.count(5)), (Some(deal), 2));
    assert_eq!(kept.manifest.stored_by, [1, 5, 3].map(NodeId));
    assert_eq!(world.assert_reads_back(deal).await, 0);
}

#[tokio::test]
async fn a_put_with_a_slot_that_was_left_stores_the_others_and_names_it() {
    let (world, deal) = World::interrupted_by(2).await;
    world.deals.end_slot(deal, Slot(0));
    world.deals.drop_slot(deal, Slot(0));
    world.nodes.set_down(2, false);
    let error = world.put().await.unwrap_err();
    assert_eq!(error.exit_code(), ExitCode::Rejected);
    assert!(
        error.to_string().contains("slot 0 of deal 1 is dropped"),
        "{error}"
    );
    assert_eq!(world.nodes.count(2), 2, "the others are stored");
    world.repair(deal, 0, 6).await.unwrap();
    let kept = world.put().await.unwrap();
    assert_eq!(
        (kept.manifest.deal, kept.manifest.complete),
        (Some(deal), true)
    );
}

#[tokio::test]
async fn a_file_that_changes_between_the_passes_is_not_stored() {
    let (world, deal) = World::interrupted_by(3).await;
    // The deal is sealed, the roots are fixed. Now its owner damages a root's shard on the way: the manifest says nothing is
    // stored, the bytes differ.
    let mut kept = world.kept(deal);
    kept.manifest.stored = vec![0; 3];
    kept.save().unwrap();
    world
        .deals
        .with_roots(deal, |roots| roots[1][1].content_id = B256::ZERO);
    world.nodes.set_down(3, false);
    let error = world.put().await.unwrap_err();
    assert!(
        matches!(
            error,
            GatewayError::FileChanged {
                slot: Slot(1),
                stripe: Stripe(1)
            }
        ),
        "{error}"
    );
    assert_eq!(error.exit_code(), ExitCode::Rejected);
}

#[tokio::test]
async fn impossible_calls_are_usage_errors() {
    let (world, deal) = World::stored().await;
    let owner = world.owner();
    let too_few = Offer {
        nodes: vec![NodeId(1)],
        ..offer()
    };
    let empty = world.folder.path().join("empty");
    std::fs::write(&empty, []).unwrap();
    let nowhere = Path::new("/nowhere/at/all");
    for outcome in [
        world.put_as(too_few, false).await.map(|_| ()),
        owner.put(&empty, offer(), false).await.map(|_| ()),
        owner.put(nowhere, offer(), false).await.map(|_| ()),
        world.repair(deal, 3, 6).await.map(|_| ()),
        owner.status(DealId(77)).await.map(|_| ()),
    ] {
        let error = outcome.unwrap_err();
        assert_eq!(error.exit_code(), ExitCode::Usage, "{error}");
    }
}
