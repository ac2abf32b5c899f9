//! The edge to the storage nodes: whole shards, there and back.

use async_trait::async_trait;
use std::sync::Arc;
use verifier::{DealId, Slot, Stripe};

use crate::deals::NodeAddress;

pub mod grpc;
#[cfg(test)]
pub(crate) mod memory;

/// Names one shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ShardName {
    /// The deal.
    pub deal: DealId,
    /// Slot of the deal.
    pub slot: Slot,
    /// Stripe of the object.
    pub stripe: Stripe,
}

/// Why a node did not take or give a shard.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LinkError {
    /// Out of reach, overloaded, or not as far as the chain yet: the same call may succeed later.
    #[error("{0}")]
    Transient(String),
    /// The node judged the call and refuses it.
    #[error("refused: {0}")]
    Refused(String),
    /// What the node sent is no shard.
    #[error("sent {0}")]
    Malformed(String),
}

impl LinkError {
    /// Whether the same call may succeed later.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Transient(_))
    }
}

/// What the gateway needs of a storage node.
#[async_trait]
pub trait NodeLink: Send + Sync {
    /// Stores a shard. Storing the same one again is no error.
    async fn put_shard(
        &self,
        node: &NodeAddress,
        name: ShardName,
        bytes: Arc<[u8]>,
    ) -> Result<(), LinkError>;
    /// Reads a shard of exactly `SHARD_BYTES` bytes. Whether it is the right one the caller checks.
    async fn get_shard(&self, node: &NodeAddress, name: ShardName) -> Result<Vec<u8>, LinkError>;
}
