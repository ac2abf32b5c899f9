//! The edge to the storage nodes: whole shards, there and back.

use std::{sync::Arc, time::Duration};

use alloy::primitives::B256;
use async_trait::async_trait;
use verifier::session::{self, Voucher};
use verifier::{DealId, Slot, Stripe};

use crate::deals::NodeAddress;

mod bounded;
pub mod grpc;
pub(crate) use bounded::Bounded;
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
    /// Nothing shows that the node's own machine answered, over this connection.
    #[error("not the node's machine ({}): {reject}", reject.code())]
    Unvouched {
        /// Why it is not believed.
        reject: session::Reject,
    },
}

impl LinkError {
    /// Whether the same call may succeed later.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Transient(_))
    }
}

/// How long one call to a node may take in all: reaching it, the TLS handshake, the transfer, and what the node does with the bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CallDeadline {
    /// However little is transferred.
    pub floor: Duration,
    /// Slowest transfer that is waited for.
    pub bytes_per_second: u32,
}

impl Default for CallDeadline {
    /// A shard of 2 MB may take a little more than a minute: over an uplink of 3 Mbit/s all of 14 nodes are served in time.
    fn default() -> Self {
        Self {
            floor: Duration::from_secs(15),
            bytes_per_second: 32 * 1024,
        }
    }
}

impl CallDeadline {
    /// For a call that transfers this many bytes.
    #[must_use]
    pub fn of(&self, bytes: usize) -> Duration {
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        self.floor + Duration::from_secs(bytes.into()) / self.bytes_per_second.max(1)
    }
}

/// A shard as it came, with what shows whose answer it is. Nothing of it is checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Exactly `SHARD_BYTES` bytes.
    pub bytes: Vec<u8>,
    /// The node's session and its signature.
    pub voucher: Voucher,
    /// The random number in the request.
    pub nonce: B256,
    /// Channel bindings of the connections that the answer can have come over.
    pub bindings: Vec<[u8; 32]>,
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
    /// Reads a shard of exactly `SHARD_BYTES` bytes. Whether it is the right one, and the node's own answer, the caller checks.
    async fn get_shard(&self, node: &NodeAddress, name: ShardName) -> Result<Answer, LinkError>;
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::cast_possible_truncation)]
    use super::*;

    #[test]
    fn a_deadline_grows_with_the_bytes_from_a_floor_on() {
        let deadline = CallDeadline {
            floor: Duration::from_secs(10),
            bytes_per_second: 1_000,
        };
        assert_eq!(deadline.of(0), Duration::from_secs(10));
        assert_eq!(deadline.of(2_500), Duration::from_millis(12_500));
        let never = CallDeadline {
            bytes_per_second: 0,
            ..deadline
        };
        assert!(never.of(usize::MAX) > deadline.of(usize::MAX));
    }
}
