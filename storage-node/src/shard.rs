//! Names of slots and shards, and a shard's bytes with its commitments.

use std::fmt;

use prover::commit::{CommitError, commit_with_trees};
use prover::stored_tree::StoredTree;
use verifier::inventory::{ShardKey, ShardRoots};
use verifier::{DealId, Slot, Stripe};

/// One slot of one deal: it holds shard `slot` of every stripe.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SlotId {
    /// The deal.
    pub deal: DealId,
    /// The slot.
    pub slot: Slot,
}

impl SlotId {
    /// Names a slot.
    #[must_use]
    pub const fn new(deal: u64, slot: u16) -> Self {
        Self {
            deal: DealId(deal),
            slot: Slot(slot),
        }
    }

    /// The slot's shard of one stripe.
    #[must_use]
    pub const fn shard(self, stripe: u32) -> ShardId {
        ShardId {
            slot: self,
            stripe: Stripe(stripe),
        }
    }
}

impl fmt::Display for SlotId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "deal {} slot {}", self.deal, self.slot)
    }
}

/// One shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ShardId {
    /// Its slot.
    pub slot: SlotId,
    /// Its stripe.
    pub stripe: Stripe,
}

impl From<ShardKey> for ShardId {
    fn from(key: ShardKey) -> Self {
        Self {
            slot: SlotId {
                deal: key.deal,
                slot: key.slot,
            },
            stripe: key.stripe,
        }
    }
}

impl fmt::Display for ShardId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} stripe {}", self.slot, self.stripe)
    }
}

/// A shard's bytes with every commitment recomputed from them.
pub struct CommittedShard {
    bytes: Vec<u8>,
    tree: StoredTree,
    roots: ShardRoots,
}

impl CommittedShard {
    /// Recomputes all three commitments. Takes some hundred milliseconds of a core: call it on a blocking thread.
    ///
    /// # Errors
    /// [`CommitError::ShardLength`] unless there are exactly as many bytes as a shard has.
    pub fn new(bytes: Vec<u8>) -> Result<Self, CommitError> {
        let committed = commit_with_trees(&bytes)?;
        Ok(Self {
            bytes,
            tree: StoredTree::from_tree(&committed.storage),
            roots: committed.commitment.into(),
        })
    }

    /// The bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// What is kept of the storage tree.
    #[must_use]
    pub const fn tree(&self) -> &StoredTree {
        &self.tree
    }

    /// The commitments.
    #[must_use]
    pub const fn roots(&self) -> &ShardRoots {
        &self.roots
    }
}
