//! Put, get and repair over nodes and contracts in memory.

#![allow(clippy::unwrap_used, clippy::cast_possible_truncation)]

use std::{path::PathBuf, sync::Arc, time::Duration};

use alloy::primitives::Address;
use circuits::storage::SHARD_BYTES;
use tempfile::TempDir;
use verifier::{DealId, NodeId, Slot};

use crate::{
    deals::memory::MemoryDeals,
    error::GatewayError,
    geometry::Geometry,
    get::Got,
    manifest::{Kept, Manifest, Manifests, Network},
    nodes::{CallDeadline, memory::MemoryNodes},
    progress::Progress,
    put::{Offer, Owner, Patience},
    repair::Repaired,
};

mod get;
mod put;
mod repair;
mod sessions;
mod stalls;

/// Two stripes of 2 + 1, the second one padded.
const LENGTH: usize = 2 * SHARD_BYTES + 12_345;

/// Slots 0 to 2 on nodes 1 to 3.
fn offer() -> Offer {
    Offer {
        geometry: Geometry::new(2, 1).unwrap(),
        nodes: [1, 2, 3].map(NodeId).to_vec(),
        rate: 5,
        epochs: 3,
    }
}

/// An owner with one file, nodes and contracts.
struct World {
    folder: TempDir,
    file: PathBuf,
    nodes: Arc<MemoryNodes>,
    deals: MemoryDeals,
    manifests: Manifests,
}

impl World {
    /// Nothing is stored yet.
    fn new() -> Self {
        Self::of_bytes(LENGTH)
    }

    /// With a file of this length.
    fn of_bytes(length: usize) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let nodes = Arc::new(MemoryNodes::default());
        let manifests = Manifests::open(&folder.path().join("manifests")).unwrap();
        let file = folder.path().join("object");
        let mut bytes = vec![0; length];
        blake3::Hasher::new()
            .update(b"gateway test object")
            .finalize_xof()
            .fill(&mut bytes);
        std::fs::write(&file, bytes).unwrap();
        Self {
            deals: MemoryDeals::new(nodes.clone()),
            nodes,
            manifests,
            file,
            folder,
        }
    }

    /// The file is stored as [`offer`] says.
    async fn stored() -> (Self, DealId) {
        let world = Self::new();
        let deal = world.put().await.unwrap().manifest.deal.unwrap();
        (world, deal)
    }

    /// Storing ended early, because a node is down.
    async fn interrupted_by(node: u64) -> (Self, DealId) {
        let world = Self::new();
        world.nodes.set_down(node, true);
        world.put().await.unwrap_err();
        (world, DealId(1))
    }

    /// The file is stored, and slot 0 was moved to node 6.
    async fn repaired() -> (Self, DealId) {
        let (world, deal) = Self::stored().await;
        world.repair(deal, 0, 6).await.unwrap();
        (world, deal)
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

    async fn put(&self) -> Result<Kept, GatewayError> {
        self.put_as(offer(), false).await
    }

    async fn put_as(&self, offer: Offer, again: bool) -> Result<Kept, GatewayError> {
        self.owner().put(&self.file, offer, again).await
    }

    async fn repair(&self, deal: DealId, slot: u16, to: u64) -> Result<Repaired, GatewayError> {
        self.owner().repair(deal, Slot(slot), NodeId(to)).await
    }

    async fn get(&self, manifest: &Manifest) -> Result<Got, GatewayError> {
        let deal = manifest.deal.unwrap();
        self.owner().get(deal, manifest, &self.out()).await
    }

    /// Where [`World::get`] writes.
    fn out(&self) -> PathBuf {
        self.folder.path().join("out")
    }

    fn kept(&self, deal: DealId) -> Kept {
        self.manifests.of_deal(&self.owner().network, deal).unwrap()
    }

    /// What the status says of slot 0.
    async fn slot_state(&self, deal: DealId) -> &'static str {
        self.owner().status(deal).await.unwrap().slots[0].state
    }

    /// How many stripes had to be rebuilt for it.
    async fn assert_reads_back(&self, deal: DealId) -> u32 {
        let _ = std::fs::remove_file(self.out());
        let got = self.get(&self.kept(deal).manifest).await.unwrap();
        let [back, file] = [&self.out(), &self.file].map(|path| std::fs::read(path).unwrap());
        assert!(back == file, "other bytes came back");
        got.rebuilt_stripes
    }
}
