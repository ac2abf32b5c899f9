//! A node's inventory log, replayed: what a node computes before it accepts or drops a slot, and every oracle again.
//!
//! The inventory is an arity-8 tree over storage roots in order of the log. Accepting a slot appends its stripes
//! ascending; dropping it removes them descending, each hole filled by the then-last leaf. Protocol: section 2.

use std::collections::BTreeMap;

use alloy_primitives::{B256, U256, keccak256};
use alloy_sol_types::SolValue;
use circuits::inventory::{InventoryError, InventoryTree};
use circuits::{Profile, StorageRoot};
use minicbor::{Decode, Encode};
use serde::{Deserialize, Serialize};

use crate::ids::{DealId, Slot, Stripe};

/// The three commitments to one shard, as an owner publishes them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, Encode, Decode)]
#[cbor(array)]
pub struct ShardRoots {
    /// Poseidon2 root, 32 bytes big-endian, below r.
    #[cbor(n(0), with = "crate::cbor::fixed")]
    pub storage_root: B256,
    /// BLAKE3 transport root.
    #[cbor(n(1), with = "crate::cbor::fixed")]
    pub transport_root: B256,
    /// Plain BLAKE3 of the shard.
    #[cbor(n(2), with = "crate::cbor::fixed")]
    pub content_id: B256,
}

/// What a log entry does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[repr(u8)]
pub enum Operation {
    /// The node took the slot.
    Accept = 1,
    /// The node let go of it.
    Drop = 2,
}

/// Why a log cannot be replayed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReplayError {
    /// A slot is accepted that is held already.
    #[error("deal {deal} slot {slot} is accepted while it is held")]
    HeldAlready {
        /// Deal.
        deal: DealId,
        /// Slot.
        slot: Slot,
    },
    /// A slot is dropped that is not held.
    #[error("deal {deal} slot {slot} is dropped while it is not held")]
    NotHeld {
        /// Deal.
        deal: DealId,
        /// Slot.
        slot: Slot,
    },
    /// The published root is no field element.
    #[error("storage root {0} is not below the field modulus")]
    Root(B256),
    /// The tree is full, or its index broken.
    #[error("inventory: {0}")]
    Tree(String),
}

impl From<InventoryError> for ReplayError {
    fn from(error: InventoryError) -> Self {
        Self::Tree(error.to_string())
    }
}

/// The running hash over a slot's published shards:
/// `h' = keccak256(abi.encode(h, storageRoot, transportRoot, contentId))`, from zero.
pub fn slot_list_hash<'a>(shards: impl IntoIterator<Item = &'a ShardRoots>) -> B256 {
    shards.into_iter().fold(B256::ZERO, |hash, shard| {
        keccak256(
            (
                hash,
                shard.storage_root,
                shard.transport_root,
                shard.content_id,
            )
                .abi_encode(),
        )
    })
}

/// `log' = keccak256(abi.encode(log, uint8 op, uint64 deal, uint16 slot, uint32 stripes, bytes32 slotListHash))`.
pub fn log_entry(
    log: B256,
    op: Operation,
    deal: DealId,
    slot: Slot,
    stripes: u32,
    list_hash: B256,
) -> B256 {
    keccak256(
        (
            log,
            U256::from(op as u8),
            deal.0,
            slot.0,
            stripes,
            list_hash,
        )
            .abi_encode(),
    )
}

/// One leaf's owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ShardKey {
    /// Deal.
    pub deal: DealId,
    /// Slot.
    pub slot: Slot,
    /// Stripe.
    pub stripe: Stripe,
}

/// An inventory replayed from its log.
#[derive(Clone, Debug)]
pub struct InventoryReplay {
    tree: InventoryTree,
    leaves: Vec<ShardKey>,
    positions: BTreeMap<ShardKey, usize>,
    held: BTreeMap<(DealId, Slot), (u32, B256)>,
    log: B256,
}

impl InventoryReplay {
    /// The empty inventory of a node that never accepted anything.
    pub fn new(profile: &Profile) -> Self {
        Self {
            tree: InventoryTree::new(profile),
            leaves: Vec::new(),
            positions: BTreeMap::new(),
            held: BTreeMap::new(),
            log: B256::ZERO,
        }
    }

    /// Inventory root, 32 bytes big-endian.
    pub fn root(&self) -> B256 {
        B256::new(circuits::field::to_be_bytes(&self.tree.root()))
    }

    /// Number of shards.
    pub fn count(&self) -> u64 {
        self.tree.count()
    }

    /// Running hash of the log.
    pub fn log(&self) -> B256 {
        self.log
    }

    /// The tree itself, for paths.
    pub fn tree(&self) -> &InventoryTree {
        &self.tree
    }

    /// Which shard is at an index.
    pub fn shard_at(&self, index: u64) -> Option<ShardKey> {
        usize::try_from(index)
            .ok()
            .and_then(|index| self.leaves.get(index))
            .copied()
    }

    /// Slots held, ascending.
    pub fn slots(&self) -> impl Iterator<Item = (DealId, Slot)> + '_ {
        self.held.keys().copied()
    }

    /// Appends a slot's stripes, ascending.
    ///
    /// # Errors
    /// [`ReplayError`]; the inventory is then as before.
    pub fn accept(
        &mut self,
        deal: DealId,
        slot: Slot,
        shards: &[ShardRoots],
    ) -> Result<(), ReplayError> {
        if self.held.contains_key(&(deal, slot)) {
            return Err(ReplayError::HeldAlready { deal, slot });
        }
        let roots = shards
            .iter()
            .map(|shard| {
                StorageRoot::from_bytes(&shard.storage_root.0)
                    .map_err(|_| ReplayError::Root(shard.storage_root))
            })
            .collect::<Result<Vec<_>, _>>()?;
        let stripes =
            u32::try_from(roots.len()).map_err(|_| ReplayError::Tree("too many stripes".into()))?;
        if self.count() + u64::from(stripes) > self.tree.capacity() {
            return Err(ReplayError::Tree(format!(
                "{} shards do not fit {}",
                stripes,
                self.tree.capacity()
            )));
        }
        for (stripe, root) in (0..stripes).zip(roots) {
            let key = ShardKey {
                deal,
                slot,
                stripe: Stripe(stripe),
            };
            self.tree.append(root)?;
            self.positions.insert(key, self.leaves.len());
            self.leaves.push(key);
        }
        let list_hash = slot_list_hash(shards);
        self.held.insert((deal, slot), (stripes, list_hash));
        self.log = log_entry(self.log, Operation::Accept, deal, slot, stripes, list_hash);
        Ok(())
    }

    /// Removes a slot's stripes, descending, each hole filled by the then-last leaf.
    ///
    /// # Errors
    /// [`ReplayError::NotHeld`].
    pub fn drop_slot(&mut self, deal: DealId, slot: Slot) -> Result<(), ReplayError> {
        let Some((stripes, list_hash)) = self.held.remove(&(deal, slot)) else {
            return Err(ReplayError::NotHeld { deal, slot });
        };
        for stripe in (0..stripes).rev() {
            let key = ShardKey {
                deal,
                slot,
                stripe: Stripe(stripe),
            };
            let at = self
                .positions
                .remove(&key)
                .ok_or(ReplayError::NotHeld { deal, slot })?;
            self.tree.remove(at as u64)?;
            self.leaves.swap_remove(at);
            if let Some(moved) = self.leaves.get(at) {
                self.positions.insert(*moved, at);
            }
        }
        self.log = log_entry(self.log, Operation::Drop, deal, slot, stripes, list_hash);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::cast_possible_truncation)]
    use super::*;

    fn shards(seed: u8, count: usize) -> Vec<ShardRoots> {
        (0..count)
            .map(|index| {
                let byte = seed.wrapping_mul(16).wrapping_add(index as u8);
                let mut root = [byte; 32];
                root[0] = 0;
                ShardRoots {
                    storage_root: B256::new(root),
                    transport_root: B256::repeat_byte(byte),
                    content_id: B256::repeat_byte(!byte),
                }
            })
            .collect()
    }

    #[test]
    fn the_tree_after_a_drop_is_that_of_the_remaining_leaves_in_their_order() {
        let mut replay = InventoryReplay::new(&Profile::DEV);
        replay.accept(DealId(1), Slot(0), &shards(1, 3)).unwrap();
        replay.accept(DealId(2), Slot(4), &shards(2, 2)).unwrap();
        let full = (replay.root(), replay.log());
        replay.drop_slot(DealId(1), Slot(0)).unwrap();
        assert_eq!(replay.count(), 2);
        let roots: Vec<StorageRoot> = (0..2)
            .map(|at| {
                let key = replay.shard_at(at).unwrap();
                assert_eq!((key.deal, key.slot), (DealId(2), Slot(4)));
                StorageRoot::from_bytes(&shards(2, 2)[key.stripe.0 as usize].storage_root.0)
                    .unwrap()
            })
            .collect();
        let expected = InventoryTree::from_roots(&Profile::DEV, &roots).unwrap();
        assert_eq!(
            replay.root().0,
            circuits::field::to_be_bytes(&expected.root())
        );
        assert_ne!(full, (replay.root(), replay.log()));
    }

    #[test]
    fn a_slot_is_neither_accepted_twice_nor_dropped_unheld() {
        let mut replay = InventoryReplay::new(&Profile::DEV);
        replay.accept(DealId(1), Slot(0), &shards(1, 1)).unwrap();
        assert!(matches!(
            replay.accept(DealId(1), Slot(0), &shards(1, 1)),
            Err(ReplayError::HeldAlready { .. })
        ));
        assert!(matches!(
            replay.drop_slot(DealId(9), Slot(0)),
            Err(ReplayError::NotHeld { .. })
        ));
    }

    #[test]
    fn a_root_above_the_modulus_changes_nothing() {
        let mut replay = InventoryReplay::new(&Profile::DEV);
        let mut bad = shards(1, 2);
        bad[1].storage_root = B256::repeat_byte(0xff);
        let before = (replay.root(), replay.log());
        assert!(matches!(
            replay.accept(DealId(1), Slot(0), &bad),
            Err(ReplayError::Root(_))
        ));
        assert_eq!(
            (replay.root(), replay.log(), replay.count()),
            (before.0, before.1, 0)
        );
    }

    #[test]
    fn more_shards_than_the_tree_holds_are_refused_whole() {
        let mut replay = InventoryReplay::new(&Profile::DEV);
        let many: Vec<ShardRoots> = shards(1, 1).repeat(65);
        assert!(matches!(
            replay.accept(DealId(1), Slot(0), &many),
            Err(ReplayError::Tree(_))
        ));
        assert_eq!(replay.count(), 0);
    }
}
