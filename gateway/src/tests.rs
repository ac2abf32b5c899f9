//! Put, get and repair over nodes and contracts in memory.

#![allow(clippy::unwrap_used, clippy::cast_possible_truncation)]

use std::{
    path::{Path, PathBuf},
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use alloy::primitives::{Address, B256};
use circuits::storage::SHARD_BYTES;
use daemon::exit::ExitCode;
use tempfile::TempDir;
use verifier::{DealId, NodeId, Slot, Stripe};

use crate::{
    codec,
    deals::{DealBook, DealState, memory::MemoryDeals},
    error::GatewayError,
    geometry::Geometry,
    manifest::{Manifests, Network},
    nodes::{CallDeadline, ShardName, memory::MemoryNodes},
    progress::Progress,
    put::{Offer, Owner, Patience},
};

struct World {
    folder: TempDir,
    nodes: Arc<MemoryNodes>,
    deals: MemoryDeals,
    manifests: Manifests,
}

impl World {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let nodes = Arc::new(MemoryNodes::default());
        let manifests = Manifests::open(&folder.path().join("manifests")).unwrap();
        Self {
            deals: MemoryDeals::new(nodes.clone()),
            nodes,
            manifests,
            folder,
        }
    }

    fn owner(&self) -> Owner<'_> {
        Owner {
            deals: &self.deals,
            nodes: &*self.nodes,
            network: Network {
                chain_id: 31337,
                deals: Address::repeat_byte(1),
            },
            manifests: &self.manifests,
            patience: Patience {
                shard: Duration::from_secs(2),
                call: CallDeadline {
                    floor: Duration::from_secs(1),
                    bytes_per_second: u32::MAX,
                },
                slow: Duration::from_millis(200),
                acceptance: Duration::from_millis(300),
                poll: Duration::from_millis(10),
            },
            progress: Progress::hidden(),
        }
    }

    fn file(&self, length: usize) -> PathBuf {
        let mut bytes = vec![0; length];
        blake3::Hasher::new()
            .update(b"gateway test object")
            .finalize_xof()
            .fill(&mut bytes);
        let path = self.folder.path().join("object");
        std::fs::write(&path, bytes).unwrap();
        path
    }

    async fn assert_reads_back(&self, deal: DealId, file: &Path) -> u32 {
        let out = self.folder.path().join("out");
        let _ = std::fs::remove_file(&out);
        let owner = self.owner();
        let manifest = self
            .manifests
            .of_deal(&owner.network, deal)
            .unwrap()
            .manifest;
        let got = owner.get(deal, &manifest, &out).await.unwrap();
        assert!(std::fs::read(&out).unwrap() == std::fs::read(file).unwrap());
        got.rebuilt_stripes
    }
}

fn offer() -> Offer {
    Offer {
        geometry: Geometry::new(2, 1).unwrap(),
        nodes: [1, 2, 3].map(NodeId).to_vec(),
        rate: 5,
        epochs: 3,
    }
}

/// Two stripes of 2 + 1, the second one padded.
const LENGTH: usize = 2 * SHARD_BYTES + 12_345;

#[tokio::test]
async fn what_is_put_is_got_back_with_any_m_nodes_down() {
    let world = World::new();
    let file = world.file(LENGTH);
    let kept = world.owner().put(&file, offer(), false).await.unwrap();
    assert!(kept.manifest.complete);
    let deal = kept.manifest.deal.unwrap();
    assert_eq!(world.assert_reads_back(deal, &file).await, 0);
    for (node, rebuilt) in [(1, 2), (2, 2), (3, 0)] {
        world.nodes.set_down(node, true);
        assert_eq!(world.assert_reads_back(deal, &file).await, rebuilt);
        world.nodes.set_down(node, false);
    }
}

#[tokio::test]
async fn more_than_m_nodes_down_is_could_not_check_and_leaves_no_output() {
    let world = World::new();
    let file = world.file(LENGTH);
    let kept = world.owner().put(&file, offer(), false).await.unwrap();
    world.nodes.set_down(1, true);
    world.nodes.set_down(3, true);
    let out = world.folder.path().join("out");
    std::fs::write(&out, "as it was").unwrap();
    let error = world
        .owner()
        .get(kept.manifest.deal.unwrap(), &kept.manifest, &out)
        .await
        .unwrap_err();
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
    assert_eq!(std::fs::read(&out).unwrap(), b"as it was");
}

#[tokio::test]
async fn a_node_that_serves_wrong_bytes_is_noticed_and_replaced_by_parity() {
    let world = World::new();
    let file = world.file(LENGTH);
    let kept = world.owner().put(&file, offer(), false).await.unwrap();
    world.nodes.set_corrupt(2);
    assert_eq!(
        world
            .assert_reads_back(kept.manifest.deal.unwrap(), &file)
            .await,
        2
    );
}

#[tokio::test]
async fn a_stalled_node_delays_a_get_once_and_is_asked_last_from_then_on() {
    let world = World::new();
    let file = world.file(5 * SHARD_BYTES);
    let narrow = Offer {
        geometry: Geometry::new(1, 1).unwrap(),
        nodes: [1, 2].map(NodeId).to_vec(),
        ..offer()
    };
    let kept = world.owner().put(&file, narrow, false).await.unwrap();
    world.nodes.set_stalled(1);
    let rebuilt = world
        .assert_reads_back(kept.manifest.deal.unwrap(), &file)
        .await;
    assert_eq!(rebuilt, 5);
    let stalls = world.nodes.stalls.load(Ordering::SeqCst);
    assert!(stalls <= 3, "asked {stalls} times for 5 stripes");
}

#[tokio::test]
async fn nodes_that_stall_hang_neither_get_nor_repair_nor_put() {
    let world = World::new();
    let file = world.file(LENGTH);
    let owner = world.owner();
    let kept = owner.put(&file, offer(), false).await.unwrap();
    let deal = kept.manifest.deal.unwrap();

    world.nodes.set_stalled(6);
    let error = owner.repair(deal, Slot(0), NodeId(6)).await.unwrap_err();
    assert_eq!(error.exit_code(), ExitCode::Unavailable);
    assert!(error.to_string().contains("did not take"), "{error}");

    world.nodes.set_stalled(2);
    world.nodes.set_stalled(3);
    let out = world.folder.path().join("out");
    for error in [
        owner.get(deal, &kept.manifest, &out).await.map(|_| ()),
        owner.repair(deal, Slot(0), NodeId(5)).await.map(|_| ()),
        owner.put(&file, offer(), true).await.map(|_| ()),
    ] {
        let error = error.unwrap_err();
        assert_eq!(error.exit_code(), ExitCode::Unavailable);
        assert!(error.to_string().contains("within 1.0 s"), "{error}");
    }
    let status = owner.status(deal).await.unwrap();
    assert!(status.slots[1].read.contains("did not give"));
}

#[tokio::test]
async fn a_manifest_of_another_object_does_not_pass_for_this_one() {
    let world = World::new();
    let file = world.file(LENGTH);
    let mut manifest = world
        .owner()
        .put(&file, offer(), false)
        .await
        .unwrap()
        .manifest;
    manifest.blake3.0 = blake3::hash(b"another");
    let out = world.folder.path().join("out");
    let error = world
        .owner()
        .get(manifest.deal.unwrap(), &manifest, &out)
        .await
        .unwrap_err();
    assert!(
        matches!(error, GatewayError::ContentMismatch { .. }),
        "{error}"
    );
    assert!(!out.exists());
}

#[tokio::test]
async fn a_node_that_is_not_ready_at_first_gets_its_shards_all_the_same() {
    let world = World::new();
    let file = world.file(LENGTH);
    world.nodes.flaky_puts.store(3, Ordering::SeqCst);
    world.owner().put(&file, offer(), false).await.unwrap();
    assert_eq!([1, 2, 3].map(|node| world.nodes.count(node)), [2, 2, 2]);
}

#[tokio::test]
async fn an_interrupted_put_goes_on_in_the_same_deal_and_sends_no_shard_twice() {
    let world = World::new();
    let file = world.file(LENGTH);
    world.nodes.set_down(2, true);
    let error = world.owner().put(&file, offer(), false).await.unwrap_err();
    assert!(
        matches!(&error, GatewayError::NotStored { refused: false, .. }),
        "{error}"
    );
    assert_eq!(error.exit_code(), ExitCode::Unavailable);
    assert_eq!(world.nodes.puts.load(Ordering::SeqCst), 4);

    world.nodes.set_down(2, false);
    let kept = world.owner().put(&file, offer(), false).await.unwrap();
    assert_eq!(world.deals.count(), 1);
    assert_eq!(world.nodes.puts.load(Ordering::SeqCst), 6);
    world
        .assert_reads_back(kept.manifest.deal.unwrap(), &file)
        .await;

    let again = world.owner().put(&file, offer(), false).await.unwrap();
    assert_eq!(
        (again.manifest.deal, world.deals.count()),
        (kept.manifest.deal, 1)
    );
    let another = world.owner().put(&file, offer(), true).await.unwrap();
    assert_ne!(another.manifest.deal, kept.manifest.deal);
}

#[tokio::test]
async fn a_proposal_whose_receipt_was_never_seen_is_found_again() {
    let world = World::new();
    let file = world.file(LENGTH);
    *world.deals.die_after_propose.lock().unwrap() = true;
    world.owner().put(&file, offer(), false).await.unwrap_err();
    assert_eq!(world.deals.count(), 1);
    let kept = world.owner().put(&file, offer(), false).await.unwrap();
    assert_eq!(
        (kept.manifest.deal, world.deals.count()),
        (Some(DealId(1)), 1)
    );
}

#[tokio::test]
async fn an_object_whose_deal_was_closed_is_stored_in_a_new_one() {
    let world = World::new();
    let file = world.file(LENGTH);
    let owner = world.owner();
    // An interrupted one first, which no call may go on with.
    world.nodes.set_down(2, true);
    owner.put(&file, offer(), false).await.unwrap_err();
    world.nodes.set_down(2, false);
    world.deals.close(DealId(1));
    for (again, deal) in [(true, 2), (false, 3)] {
        let kept = owner.put(&file, offer(), again).await.unwrap();
        assert_eq!(kept.manifest.deal, Some(DealId(deal)));
        world.assert_reads_back(DealId(deal), &file).await;
        world.deals.close(DealId(deal));
    }
}

#[tokio::test]
async fn an_object_whose_deal_is_over_is_not_called_stored() {
    let world = World::new();
    let file = world.file(LENGTH);
    let owner = world.owner();
    owner.put(&file, offer(), false).await.unwrap();
    world.deals.set_epoch(2);
    let kept = owner.put(&file, offer(), false).await.unwrap();
    assert_eq!(kept.manifest.deal, Some(DealId(1)));
    world.deals.set_epoch(3);
    let kept = owner.put(&file, offer(), false).await.unwrap();
    assert_eq!(kept.manifest.deal, Some(DealId(2)));
}

#[tokio::test]
async fn a_lost_proposal_that_was_closed_is_not_gone_on_with() {
    let world = World::new();
    let file = world.file(LENGTH);
    *world.deals.die_after_propose.lock().unwrap() = true;
    world.owner().put(&file, offer(), false).await.unwrap_err();
    world.deals.close(DealId(1));
    let kept = world.owner().put(&file, offer(), false).await.unwrap();
    assert_eq!(kept.manifest.deal, Some(DealId(2)));
}

#[tokio::test]
async fn a_slot_moved_before_it_was_accepted_is_sent_whole_to_its_new_node() {
    let world = World::new();
    let file = world.file(LENGTH);
    let owner = world.owner();
    world.nodes.set_down(2, true);
    owner.put(&file, offer(), false).await.unwrap_err();
    let mut kept = world.manifests.of_deal(&owner.network, DealId(1)).unwrap();
    // Node 2 took everything, so it said, and never accepted.
    kept.manifest.stored = vec![2; 3];
    kept.save().unwrap();
    let deal = DealId(1);
    world
        .deals
        .move_slot(deal, Slot(1), NodeId(5))
        .await
        .unwrap();
    let kept = owner.put(&file, offer(), false).await.unwrap();
    assert_eq!((kept.manifest.deal, world.nodes.count(5)), (Some(deal), 2));
    assert_eq!(kept.manifest.stored_by, [1, 5, 3].map(NodeId));
    assert_eq!(world.assert_reads_back(deal, &file).await, 0);
}

#[tokio::test]
async fn a_put_with_a_slot_that_was_left_stores_the_others_and_names_it() {
    let world = World::new();
    let file = world.file(LENGTH);
    let owner = world.owner();
    world.nodes.set_down(2, true);
    owner.put(&file, offer(), false).await.unwrap_err();
    world.deals.end_slot(DealId(1), Slot(0));
    world.deals.drop_slot(DealId(1), Slot(0));
    world.nodes.set_down(2, false);
    let error = owner.put(&file, offer(), false).await.unwrap_err();
    assert_eq!(error.exit_code(), ExitCode::Rejected);
    assert!(
        error.to_string().contains("slot 0 of deal 1 is dropped"),
        "{error}"
    );
    assert_eq!(world.nodes.count(2), 2, "the others are stored");
    owner.repair(DealId(1), Slot(0), NodeId(6)).await.unwrap();
    let kept = owner.put(&file, offer(), false).await.unwrap();
    assert_eq!(
        (kept.manifest.deal, kept.manifest.complete),
        (Some(DealId(1)), true)
    );
}

#[tokio::test]
async fn a_file_that_changes_between_the_passes_is_not_stored() {
    let world = World::new();
    let file = world.file(LENGTH);
    world.nodes.set_down(3, true);
    world.owner().put(&file, offer(), false).await.unwrap_err();
    // The deal is sealed, the roots are fixed. Now its owner damages a root's shard on the way: the manifest says nothing is
    // stored, the bytes differ.
    let owner = world.owner();
    let mut kept = world.manifests.of_deal(&owner.network, DealId(1)).unwrap();
    kept.manifest.stored = vec![0; 3];
    kept.save().unwrap();
    world
        .deals
        .with_roots(DealId(1), |roots| roots[1][1].content_id = B256::ZERO);
    world.nodes.set_down(3, false);
    let error = owner.put(&file, offer(), false).await.unwrap_err();
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
async fn a_lost_slot_is_rebuilt_onto_another_node_and_the_deal_goes_on() {
    let world = World::new();
    let file = world.file(LENGTH);
    let deal = world
        .owner()
        .put(&file, offer(), false)
        .await
        .unwrap()
        .manifest
        .deal
        .unwrap();
    world.nodes.set_down(1, true);
    let repaired = world
        .owner()
        .repair(deal, Slot(0), NodeId(6))
        .await
        .unwrap();
    assert_eq!((repaired.stripes, world.nodes.count(6)), (2, 2));
    assert_eq!(world.assert_reads_back(deal, &file).await, 0);
    let status = world.owner().status(deal).await.unwrap();
    assert_eq!((status.readable, status.slots[0].node), (3, NodeId(6)));

    let gets = world.nodes.gets.load(Ordering::SeqCst);
    world
        .owner()
        .repair(deal, Slot(0), NodeId(6))
        .await
        .unwrap();
    assert_eq!(
        world.nodes.gets.load(Ordering::SeqCst),
        gets,
        "a repair that is done does nothing"
    );
}

#[tokio::test]
async fn a_repair_goes_on_after_the_new_node_was_down() {
    let world = World::new();
    let file = world.file(LENGTH);
    let deal = world
        .owner()
        .put(&file, offer(), false)
        .await
        .unwrap()
        .manifest
        .deal
        .unwrap();
    world.nodes.set_down(6, true);
    let error = world
        .owner()
        .repair(deal, Slot(2), NodeId(6))
        .await
        .unwrap_err();
    assert_eq!(error.exit_code(), ExitCode::Unavailable);
    world.nodes.set_down(6, false);
    world
        .owner()
        .repair(deal, Slot(2), NodeId(6))
        .await
        .unwrap();
    assert_eq!(
        world.deals.tenures(deal, Slot(2)).await.unwrap().len(),
        2,
        "moved once"
    );
}

/// A deal that is stored, and the slot 0 of it repaired onto node 6.
async fn repaired(world: &World) -> DealId {
    let file = world.file(LENGTH);
    let kept = world.owner().put(&file, offer(), false).await.unwrap();
    let deal = kept.manifest.deal.unwrap();
    let owner = world.owner();
    owner.repair(deal, Slot(0), NodeId(6)).await.unwrap();
    deal
}

#[tokio::test]
async fn a_repair_onto_a_node_whose_tenure_ended_says_so_and_is_not_done() {
    let world = World::new();
    let deal = repaired(&world).await;
    world.deals.set_epoch(1);
    world.deals.end_slot(deal, Slot(0));
    let owner = world.owner();
    let error = owner.repair(deal, Slot(0), NodeId(6)).await.unwrap_err();
    assert_eq!(error.exit_code(), ExitCode::Rejected);
    let text = error.to_string();
    assert!(
        text.contains("slot 0 of deal 1 has no node") && text.contains("ended with epoch 1"),
        "{text}"
    );
    assert_eq!(owner.status(deal).await.unwrap().slots[0].state, "ended");
}

#[tokio::test]
async fn a_slot_that_was_dropped_is_repaired_even_onto_the_node_that_dropped_it() {
    let world = World::new();
    let deal = repaired(&world).await;
    world.deals.end_slot(deal, Slot(0));
    world.deals.drop_slot(deal, Slot(0));
    let owner = world.owner();
    assert_eq!(owner.status(deal).await.unwrap().slots[0].state, "dropped");
    owner.repair(deal, Slot(0), NodeId(6)).await.unwrap();
    let tenures = world.deals.tenures(deal, Slot(0)).await.unwrap();
    assert_eq!(tenures.len(), 3, "offered once more");
    assert_eq!(owner.status(deal).await.unwrap().slots[0].state, "held");
}

#[tokio::test]
async fn a_slot_of_a_deal_that_is_over_or_closed_is_not_repaired_and_its_state_is_named() {
    let world = World::new();
    let deal = repaired(&world).await;
    let owner = world.owner();
    let gets = world.nodes.gets.load(Ordering::SeqCst);
    world.deals.set_epoch(3);
    for (words, node) in [("is ended", 6), ("its last epoch, 3", 5)] {
        let error = owner.repair(deal, Slot(0), NodeId(node)).await.unwrap_err();
        assert_eq!(error.exit_code(), ExitCode::Rejected);
        assert!(error.to_string().contains(words), "{error}");
    }
    world.deals.drop_slot(deal, Slot(0));
    world.deals.close(deal);
    let error = owner.repair(deal, Slot(0), NodeId(6)).await.unwrap_err();
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
    let world = World::new();
    let file = world.file(LENGTH);
    let deal = world
        .owner()
        .put(&file, offer(), false)
        .await
        .unwrap()
        .manifest
        .deal
        .unwrap();
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
    let error = world
        .owner()
        .repair(deal, Slot(0), NodeId(6))
        .await
        .unwrap_err();
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
async fn impossible_calls_are_usage_errors() {
    let world = World::new();
    let file = world.file(LENGTH);
    let deal = world
        .owner()
        .put(&file, offer(), false)
        .await
        .unwrap()
        .manifest
        .deal
        .unwrap();
    let owner = world.owner();
    let too_few = Offer {
        nodes: vec![NodeId(1)],
        ..offer()
    };
    let empty = world.folder.path().join("empty");
    std::fs::write(&empty, []).unwrap();
    let errors = [
        owner
            .put(&file, too_few, false)
            .await
            .map(|_| ())
            .unwrap_err(),
        owner
            .put(&empty, offer(), false)
            .await
            .map(|_| ())
            .unwrap_err(),
        owner
            .put(Path::new("/nowhere/at/all"), offer(), false)
            .await
            .map(|_| ())
            .unwrap_err(),
        owner
            .repair(deal, Slot(3), NodeId(6))
            .await
            .map(|_| ())
            .unwrap_err(),
        owner.status(DealId(77)).await.map(|_| ()).unwrap_err(),
    ];
    for error in errors {
        assert_eq!(error.exit_code(), ExitCode::Usage, "{error}");
    }
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
    let error = world
        .owner()
        .repair(deal, Slot(0), NodeId(6))
        .await
        .unwrap_err();
    assert!(matches!(error, GatewayError::Deal { .. }), "{error}");
}
