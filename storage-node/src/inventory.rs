//! The node's own log of accepted and dropped slots, and the inventory it replays to.
//!
//! The rule of the order is [`verifier::inventory`], the same code an oracle replays with. Protocol: section 2.

use std::collections::HashMap;

use alloy::primitives::B256;
use circuits::Profile;
use verifier::inventory::{InventoryReplay, Operation, ReplayError, ShardRoots};

use crate::shard::SlotId;

/// One transaction of the node on its inventory, as the chain logged it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogEntry {
    /// What was done.
    pub operation: Operation,
    /// With which slot.
    pub slot: SlotId,
    /// Shards of the slot.
    pub stripes: u32,
    /// The slot's list hash.
    pub list_hash: B256,
    /// The log hash afterwards.
    pub log: B256,
    /// The root the node claimed.
    pub root: B256,
    /// Shards afterwards.
    pub count: u64,
    /// Block of the transaction.
    pub block: u64,
}

/// An inventory as the chain has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frozen {
    /// Root.
    pub root: B256,
    /// Shards.
    pub count: u64,
    /// Log hash.
    pub log: B256,
}

impl From<&InventoryReplay> for Frozen {
    fn from(replay: &InventoryReplay) -> Self {
        Self {
            root: replay.root(),
            count: replay.count(),
            log: replay.log(),
        }
    }
}

/// The log and the chain do not fit each other. Nothing is proven or accepted until they do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Mismatch {
    /// The log breaks a rule of the inventory.
    #[error(transparent)]
    Replay(#[from] ReplayError),
    /// The log hash after an entry is not the one the chain logged.
    #[error("log after {slot} is {found} on chain, {expected} by replay")]
    Log {
        /// The entry's slot.
        slot: SlotId,
        /// By replay.
        expected: B256,
        /// On chain.
        found: B256,
    },
    /// A slot of the log is not in the node's bookkeeping.
    #[error("the roots of {0} are in the log on chain and not in this node's database")]
    UnknownSlot(SlotId),
    /// Replay ends elsewhere than the chain.
    #[error(
        "inventory on chain is {} of {} shards, replay of this node's log gives {} of {}",
        chain.root, chain.count, replay.root, replay.count
    )]
    Root {
        /// On chain.
        chain: Box<Frozen>,
        /// By replay.
        replay: Box<Frozen>,
    },
    /// The log on chain does not occur in this node's own.
    #[error("inventory log {0} on chain is no state of this node's log")]
    UnknownLog(B256),
}

/// Applies one entry of the chain's log.
///
/// # Errors
/// [`Mismatch`] if it does not follow on what was applied so far.
pub fn apply(
    inventory: &mut InventoryReplay,
    entry: &LogEntry,
    roots: &[ShardRoots],
) -> Result<(), Mismatch> {
    match entry.operation {
        Operation::Accept => inventory.accept(entry.slot.deal, entry.slot.slot, roots)?,
        Operation::Drop => inventory.drop_slot(entry.slot.deal, entry.slot.slot)?,
    }
    if inventory.log() == entry.log {
        Ok(())
    } else {
        Err(Mismatch::Log {
            slot: entry.slot,
            expected: inventory.log(),
            found: entry.log,
        })
    }
}

/// Replays the log up to the state the chain shows, and checks that root and count are those of the chain.
///
/// # Errors
/// [`Mismatch`] if the log does not lead there.
pub fn replay_to(
    profile: &Profile,
    entries: &[LogEntry],
    roots: &HashMap<SlotId, Vec<ShardRoots>>,
    chain: &Frozen,
) -> Result<InventoryReplay, Mismatch> {
    let mut inventory = InventoryReplay::new(profile);
    let mut entries = entries.iter();
    while inventory.log() != chain.log {
        let entry = entries.next().ok_or(Mismatch::UnknownLog(chain.log))?;
        let roots = roots
            .get(&entry.slot)
            .ok_or(Mismatch::UnknownSlot(entry.slot))?;
        apply(&mut inventory, entry, roots)?;
    }
    let replay = Frozen::from(&inventory);
    // Before the first entry the chain shows root 0 where the tree shows the root of nothing; both mean no shards.
    if replay == *chain || (chain.count == 0 && replay.count == 0) {
        Ok(inventory)
    } else {
        Err(Mismatch::Root {
            chain: Box::new(*chain),
            replay: Box::new(replay),
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::cast_possible_truncation)]

    use verifier::inventory::slot_list_hash;

    use super::*;

    fn roots(seed: u8, stripes: u8) -> Vec<ShardRoots> {
        (0..stripes)
            .map(|stripe| {
                let mut storage_root = B256::repeat_byte(seed);
                storage_root[0] = 0;
                storage_root[31] = stripe;
                ShardRoots {
                    storage_root,
                    transport_root: B256::repeat_byte(stripe),
                    content_id: B256::repeat_byte(seed),
                }
            })
            .collect()
    }

    /// Grows a log as the chain would.
    fn entry(
        inventory: &mut InventoryReplay,
        operation: Operation,
        slot: SlotId,
        roots: &[ShardRoots],
    ) -> LogEntry {
        match operation {
            Operation::Accept => inventory.accept(slot.deal, slot.slot, roots).unwrap(),
            Operation::Drop => inventory.drop_slot(slot.deal, slot.slot).unwrap(),
        }
        let Frozen { root, count, log } = Frozen::from(&*inventory);
        let stripes = roots.len() as u32;
        LogEntry {
            operation,
            slot,
            stripes,
            list_hash: slot_list_hash(roots),
            log,
            root,
            count,
            block: 1,
        }
    }

    #[test]
    fn accept_drop_accept_replays_to_every_state_the_chain_had() {
        let (a, b, c) = (SlotId::new(1, 0), SlotId::new(2, 3), SlotId::new(3, 1));
        let known = HashMap::from([(a, roots(1, 3)), (b, roots(2, 2)), (c, roots(3, 1))]);
        let mut chain = InventoryReplay::new(&Profile::DEV);
        let steps = [
            (Operation::Accept, a),
            (Operation::Accept, b),
            (Operation::Drop, a),
            (Operation::Accept, c),
        ];
        let mut states = vec![Frozen::from(&chain)];
        let mut entries = Vec::new();
        for (operation, slot) in steps {
            entries.push(entry(&mut chain, operation, slot, &known[&slot]));
            states.push(Frozen::from(&chain));
        }
        for state in &states {
            let replayed = replay_to(&Profile::DEV, &entries, &known, state).unwrap();
            assert_eq!(Frozen::from(&replayed), *state);
        }
        // Leaves 0, 1, 2 were a; its stripes go in the order 2, 1, 0 and the then-last leaf fills each hole.
        let last = replay_to(&Profile::DEV, &entries, &known, &states[4]).unwrap();
        let order: Vec<_> = (0..3)
            .map(|at| last.shard_at(at).unwrap())
            .map(|key| (key.deal.0, key.stripe.0))
            .collect();
        assert_eq!(order, [(2, 1), (2, 0), (3, 0)]);
    }

    #[test]
    fn a_chain_that_says_otherwise_is_a_mismatch() {
        let slot = SlotId::new(1, 0);
        let known = HashMap::from([(slot, roots(1, 2))]);
        let mut chain = InventoryReplay::new(&Profile::DEV);
        let entries = [entry(&mut chain, Operation::Accept, slot, &known[&slot])];
        let good = Frozen::from(&chain);

        let wrong_root = Frozen {
            root: B256::repeat_byte(1),
            ..good
        };
        let error = replay_to(&Profile::DEV, &entries, &known, &wrong_root).unwrap_err();
        assert!(matches!(error, Mismatch::Root { .. }), "{error}");
        let unknown = Frozen {
            log: B256::repeat_byte(7),
            ..good
        };
        let error = replay_to(&Profile::DEV, &entries, &known, &unknown).unwrap_err();
        assert_eq!(error, Mismatch::UnknownLog(unknown.log));
        let error = replay_to(&Profile::DEV, &entries, &HashMap::new(), &good).unwrap_err();
        assert_eq!(error, Mismatch::UnknownSlot(slot));
        let other = HashMap::from([(slot, roots(9, 2))]);
        let error = replay_to(&Profile::DEV, &entries, &other, &good).unwrap_err();
        assert!(matches!(error, Mismatch::Log { .. }), "{error}");
    }
}
