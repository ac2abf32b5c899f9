//! Edges in memory, and a node over them.
#![allow(clippy::unwrap_used, clippy::cast_possible_truncation)]

mod chain;
mod oracles;
mod proofs;
mod running;
mod tpm;

use std::ops::{Deref, DerefMut};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use alloy::primitives::U256;
use circuits::Profile;
use circuits::storage::SHARD_BYTES;
use storage_node::acceptance::Acceptance;
use storage_node::chain_view::{ChainActions, ChainView};
use storage_node::config::TpmConfig;
use storage_node::duty::{Duty, DutyEdges, DutyOptions};
use storage_node::evidence::NodeKeys;
use storage_node::keeper::{Keeper, KeeperOptions};
use storage_node::ledger::Ledger;
use storage_node::oracles::OracleLink;
use storage_node::proof::ProofSource;
use storage_node::shard::{CommittedShard, SlotId};
use storage_node::state::State;
use storage_node::store::{DirStore, ShardStore};
use storage_node::tpm::{Tpm, TpmHandle};
use verifier::NodeId;
use verifier::tpm::EndorsementKey;

pub use chain::{MemoryChain, block_hash, deployment};
pub use oracles::MemoryOracles;
pub use proofs::{EveryCell, NoProver, dev_circuit, keys_dir, prover_for, real_prover};
pub use running::{Running, id};
pub use tpm::SoftTpm;

pub const NODE: NodeId = NodeId(3);

/// Deals of the chain in memory pay 100 for 20 epochs: these terms take them.
pub const ACCEPTANCE: Acceptance = Acceptance {
    min_rate: 100,
    max_epochs: 20,
    max_stripes: 8,
    min_claim: U256::ONE,
    max_unaccepted_bytes: 1 << 30,
    min_free_bytes: 0,
};

/// The database goes, with what SQLite keeps beside it.
pub fn lose(database: &Path) {
    std::fs::remove_file(database).unwrap();
    for beside in ["-wal", "-shm"] {
        let _ = std::fs::remove_file(database.with_extension(format!("sqlite{beside}")));
    }
}

/// A shard's bytes; the same for the same seed.
pub fn shard_bytes(seed: u8) -> Vec<u8> {
    let mut bytes = vec![0; SHARD_BYTES];
    blake3::Hasher::new()
        .update(&[seed])
        .finalize_xof()
        .fill(&mut bytes);
    bytes
}

/// The committed shards of a slot, one a stripe.
pub fn slot_shards(seeds: &[u8]) -> Vec<Arc<CommittedShard>> {
    seeds
        .iter()
        .map(|seed| Arc::new(CommittedShard::new(shard_bytes(*seed)).unwrap()))
        .collect()
}

/// A node's loops over any chain; files and database are real.
pub struct Parts {
    pub store: Arc<DirStore>,
    pub state: State,
    pub ledger: Ledger,
    pub keeper: Keeper,
    pub duty: Duty,
}

impl Parts {
    pub async fn open<C: ChainView + ChainActions + 'static>(
        folder: &Path,
        node: NodeId,
        chain: Arc<C>,
        oracles: Arc<dyn OracleLink>,
        proofs: Arc<dyn ProofSource>,
    ) -> Self {
        let store = Arc::new(DirStore::open(&folder.join("shards")).unwrap());
        let state = State::open(&folder.join("node.sqlite")).await.unwrap();
        let (view, actions): (Arc<dyn ChainView>, Arc<dyn ChainActions>) = (chain.clone(), chain);
        let shards: Arc<dyn ShardStore> = store.clone();
        let ledger = Ledger::new(view.clone(), state.clone(), node, Profile::DEV, 0);
        let keeper = Keeper::new(
            view.clone(),
            actions.clone(),
            shards.clone(),
            state.clone(),
            ledger.clone(),
            node,
            KeeperOptions {
                claim_every: 1,
                acceptance: ACCEPTANCE,
            },
        );
        let mut tpm = SoftTpm::new();
        let keys = NodeKeys::of(&tpm.identity().unwrap()).unwrap();
        let edges = DutyEdges {
            chain: view,
            actions,
            store: shards,
            proofs,
            oracles,
            tpm: TpmHandle::spawn(tpm).unwrap(),
        };
        let options = DutyOptions {
            profile: Profile::DEV,
            tpm: TpmConfig {
                tcti: String::new(),
                endorsement_key: EndorsementKey::default(),
                intermediates: Vec::new(),
                pcrs: vec![0, 1, 2, 3],
                planned: Vec::new(),
                event_log: None,
            },
            beacon_confirmations: 2,
            beacon_delay: Duration::ZERO,
            push_retry: Duration::ZERO,
        };
        let duty = Duty::new(edges, state.clone(), ledger.clone(), node, keys, options);
        Self {
            store,
            state,
            ledger,
            keeper,
            duty,
        }
    }

    /// Puts shards where the service would.
    pub async fn put_all(&self, slot: SlotId, shards: Vec<Arc<CommittedShard>>) {
        for (stripe, shard) in (0..).zip(shards) {
            self.store.put(slot.shard(stripe), shard).await.unwrap();
            self.state
                .set_stored(slot.shard(stripe), true)
                .await
                .unwrap();
        }
    }

    /// Rounds of the duty until what is on its way has arrived.
    pub async fn duty_rounds(&mut self) {
        for _ in 0..4 {
            self.duty.round().await.unwrap();
            tokio::time::sleep(Duration::from_millis(30)).await;
        }
    }
}

/// A node whose chain and oracles are in memory.
pub struct TestNode {
    pub folder: tempfile::TempDir,
    pub chain: Arc<MemoryChain>,
    pub oracles: Arc<MemoryOracles>,
    pub parts: Parts,
}

impl Deref for TestNode {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.parts
    }
}

impl DerefMut for TestNode {
    fn deref_mut(&mut self) -> &mut Parts {
        &mut self.parts
    }
}

impl TestNode {
    pub async fn new() -> Self {
        Self::with_proofs(Arc::new(EveryCell::default())).await
    }

    pub async fn with_proofs(proofs: Arc<dyn ProofSource>) -> Self {
        let oracles = Arc::new(MemoryOracles::new(chain::deployment()));
        let chain = Arc::new(MemoryChain::new(oracles.committee()));
        Self::over(tempfile::tempdir().unwrap(), chain, oracles, proofs).await
    }

    /// The process ends and another one starts on the same disk.
    pub async fn restart(self, proofs: Arc<dyn ProofSource>) -> Self {
        let Self {
            folder,
            chain,
            oracles,
            ..
        } = self;
        Self::over(folder, chain, oracles, proofs).await
    }

    async fn over(
        folder: tempfile::TempDir,
        chain: Arc<MemoryChain>,
        oracles: Arc<MemoryOracles>,
        proofs: Arc<dyn ProofSource>,
    ) -> Self {
        let parts = Parts::open(folder.path(), NODE, chain.clone(), oracles.clone(), proofs).await;
        Self {
            folder,
            chain,
            oracles,
            parts,
        }
    }

    /// Has the node hold a slot with these shards, accepted in the present epoch.
    pub async fn hold(&mut self, slot: SlotId, seeds: &[u8]) {
        self.accept(slot, seeds).await;
        self.chain.mine(3);
        self.keeper.round().await.unwrap();
    }

    /// Has the node accept a slot with these shards; the accept is not final yet.
    pub async fn accept(&mut self, slot: SlotId, seeds: &[u8]) {
        let shards = slot_shards(seeds);
        self.chain.offer(
            slot,
            NODE,
            &shards
                .iter()
                .map(|shard| *shard.roots())
                .collect::<Vec<_>>(),
        );
        self.chain.mine(3);
        self.keeper.round().await.unwrap();
        self.put_all(slot, shards).await;
        self.keeper.round().await.unwrap();
        assert!(
            self.chain.with(|world| world.is_held(slot, NODE)),
            "accepted on chain"
        );
    }
}
