//! The edge to the chain: what an owner asks of the deals and registry contracts, in the gateway's own words.

use alloy::primitives::{Address, B256, U256};
use async_trait::async_trait;
use daemon::exit::ExitCode;
pub use verifier::inventory::ShardRoots;
use verifier::session::SessionContext;
use verifier::{BlockNumber, DealId, Epoch, NodeId, Slot};

use crate::geometry::Geometry;

pub mod evm;
#[cfg(test)]
pub(crate) mod memory;

/// What an owner proposes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Terms {
    /// Data and parity shards.
    pub geometry: Geometry,
    /// Stripes of the object.
    pub stripes: u32,
    /// Node of each slot, in order.
    pub nodes: Vec<NodeId>,
    /// Token units a slot an epoch.
    pub rate: u128,
    /// Epochs the deal lasts.
    pub epochs: u64,
}

impl Terms {
    /// Token units that go into escrow: rate for every slot and epoch.
    #[must_use]
    pub fn escrow(&self) -> U256 {
        U256::from(self.geometry.slots()) * U256::from(self.rate) * U256::from(self.epochs)
    }
}

/// How far a deal is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DealState {
    /// Roots are being published.
    Proposed,
    /// Roots are fixed; nodes may accept.
    Sealed,
    /// Escrow went back to the owner.
    Closed,
}

/// A deal as the chain has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deal {
    /// Its number.
    pub id: DealId,
    /// Who pays.
    pub owner: Address,
    /// How far it is.
    pub state: DealState,
    /// Data and parity shards.
    pub geometry: Geometry,
    /// Stripes; every slot holds one shard of each.
    pub stripes: u32,
    /// Last epoch that can be paid.
    pub end_epoch: Epoch,
    /// Token units a slot an epoch.
    pub rate: u128,
    /// Token units still held.
    pub escrow: U256,
}

impl Deal {
    /// Whether nodes can no longer accept its slots nor be paid for more than the present epoch.
    #[must_use]
    pub fn is_over(&self, now: Epoch) -> bool {
        self.state == DealState::Closed || self.end_epoch <= now
    }
}

/// One node's time in a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tenure {
    /// The node.
    pub node: NodeId,
    /// First epoch that counts; `None` until the node accepts.
    pub from_epoch: Option<Epoch>,
    /// Last epoch that counts.
    pub to_epoch: Epoch,
    /// Whether the node let go of its shards.
    pub dropped: bool,
}

/// How far a tenure is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TenureState {
    /// The node has not accepted yet.
    Offered,
    /// The node proves and is paid.
    Held,
    /// Over, or in its last epoch: nobody is paid for the slot any longer, and the node may drop its shards at any moment.
    Ended,
    /// The node let go of its shards.
    Dropped,
}

impl TenureState {
    /// The word for it in outputs.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Offered => "offered",
            Self::Held => "held",
            Self::Ended => "ended",
            Self::Dropped => "dropped",
        }
    }
}

impl Tenure {
    /// How far the tenure is in epoch `now`; the deals contract draws the same lines.
    #[must_use]
    pub fn state(&self, now: Epoch) -> TenureState {
        match self.from_epoch {
            _ if self.dropped => TenureState::Dropped,
            None => TenureState::Offered,
            Some(_) if self.to_epoch > now => TenureState::Held,
            Some(_) => TenureState::Ended,
        }
    }

    /// Whether the node still has the shards to serve.
    #[must_use]
    pub fn holds(&self) -> bool {
        self.from_epoch.is_some() && !self.dropped
    }
}

/// Where the registry says a node is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeAddress {
    /// The node.
    pub node: NodeId,
    /// `https://host:port`.
    pub url: String,
    /// SHA-256 of its TLS public key.
    pub tls_key_hash: B256,
    /// keccak256 of its node key's point: whose sessions its answers must carry.
    pub node_key_hash: B256,
}

/// Why the chain did not do or tell something.
#[derive(Debug, thiserror::Error)]
pub enum DealError {
    /// No such deal.
    #[error("there is no deal {0} on this chain")]
    UnknownDeal(DealId),
    /// No such node.
    #[error("there is no node {0} in the registry")]
    UnknownNode(NodeId),
    /// A contract refused.
    #[error("{what} was refused: {why}")]
    Refused {
        /// What was asked.
        what: &'static str,
        /// The contract's reason.
        why: String,
    },
    /// The chain says something that cannot be.
    #[error("{what}: {problem}")]
    Inconsistent {
        /// What was read.
        what: &'static str,
        /// What is wrong with it.
        problem: String,
    },
    /// No endpoint answered, or none in time.
    #[error("{what}: the chain could not be asked: {why}")]
    Unavailable {
        /// What was asked.
        what: &'static str,
        /// The client's reason.
        why: String,
    },
}

impl DealError {
    /// How a process ends with this error.
    #[must_use]
    pub fn exit_code(&self) -> ExitCode {
        match self {
            Self::UnknownDeal(_) | Self::UnknownNode(_) => ExitCode::Usage,
            Self::Refused { .. } => ExitCode::Rejected,
            Self::Inconsistent { .. } | Self::Unavailable { .. } => ExitCode::Unavailable,
        }
    }
}

/// What the gateway needs of the chain. Every change waits until it is in a block.
#[async_trait]
pub trait DealBook: Send + Sync {
    /// The account that owns what is proposed.
    fn owner(&self) -> Address;
    /// The epoch of the latest block.
    async fn epoch(&self) -> Result<Epoch, DealError>;
    /// Latest block.
    async fn head(&self) -> Result<BlockNumber, DealError>;
    /// Approves the escrow and proposes a deal.
    async fn propose(&self, terms: &Terms) -> Result<DealId, DealError>;
    /// The latest deal with these terms that this owner proposed in block `since` or later.
    async fn find_proposal(
        &self,
        terms: &Terms,
        since: BlockNumber,
    ) -> Result<Option<DealId>, DealError>;
    /// Publishes roots of stripes `offset ..` of a slot.
    async fn publish(
        &self,
        deal: DealId,
        slot: Slot,
        offset: u32,
        roots: &[ShardRoots],
    ) -> Result<(), DealError>;
    /// Fixes the roots.
    async fn seal(&self, deal: DealId) -> Result<(), DealError>;
    /// Ends the slot's present tenure and offers the slot to another node.
    async fn move_slot(&self, deal: DealId, slot: Slot, to: NodeId) -> Result<(), DealError>;
    /// A deal.
    async fn deal(&self, deal: DealId) -> Result<Deal, DealError>;
    /// Roots published so far, by slot, in order of stripes.
    async fn roots(&self, deal: &Deal) -> Result<Vec<Vec<ShardRoots>>, DealError>;
    /// Every node the slot was offered to, in order; the last one is the present one.
    async fn tenures(&self, deal: DealId, slot: Slot) -> Result<Vec<Tenure>, DealError>;
    /// By what the sessions of nodes are judged: the first blocks of the present epoch and the one before it, which may be a few
    /// seconds old unless they must be `fresh`. No anchors before the first epoch has begun.
    async fn session_context(&self, fresh: bool) -> Result<SessionContext, DealError>;
    /// Where a node is reached.
    async fn node(&self, node: NodeId) -> Result<NodeAddress, DealError>;
}
