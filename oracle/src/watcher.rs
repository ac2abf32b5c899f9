//! Follows final blocks into the database, and replays every node's inventory log on the way.

use std::collections::BTreeMap;
use std::sync::Arc;

use alloy::primitives::B256;
use circuits::Profile;
use verifier::inventory::{InventoryReplay, Operation, ShardRoots};
use verifier::{BlockNumber, DealId, NodeId, Slot};

use crate::onchain::{BlockRef, ChainError, Event, InventoryChange, Logged, OnChain};
use crate::store::{Store, StoreError};

/// Most blocks followed in one step.
const STEP_BLOCKS: u64 = 500;

/// Following stopped.
#[derive(Debug, thiserror::Error)]
pub enum WatchError {
    /// The chain could not be asked; nothing is lost.
    #[error(transparent)]
    Chain(#[from] ChainError),
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A block that was final is another one now: what was built on it may be wrong.
    #[error(
        "block {number} was final as {expected} and is {found} now; the chain broke its promise, a person has to look"
    )]
    FinalityBroken {
        /// The block.
        number: BlockNumber,
        /// Hash it was followed with.
        expected: B256,
        /// Hash it has now.
        found: B256,
    },
}

/// Follows the chain.
pub struct Watcher {
    store: Store,
    chain: Arc<dyn OnChain>,
    profile: Profile,
    /// A node without an entry is replayed from the database first; `None`: its log cannot be replayed.
    replays: BTreeMap<NodeId, Option<InventoryReplay>>,
}

impl Watcher {
    /// A watcher that goes on where the database ends.
    #[must_use]
    pub fn new(store: Store, chain: Arc<dyn OnChain>, profile: Profile) -> Self {
        Self {
            store,
            chain,
            profile,
            replays: BTreeMap::new(),
        }
    }

    /// Follows what has become final, at most `STEP_BLOCKS` blocks; true if there is more.
    ///
    /// # Errors
    /// [`WatchError`]; the database is as before then.
    pub async fn step(&mut self) -> Result<bool, WatchError> {
        let finalized = self.chain.finalized().await?;
        let followed = self.store.followed().await?;
        if let Some(followed) = followed {
            self.check_finality(followed).await?;
            if finalized.number <= followed.number {
                return Ok(false);
            }
        }
        let from = followed.map_or(self.chain.first_block(), |block| {
            BlockNumber(block.number.0 + 1)
        });
        if finalized.number < from {
            return Ok(false);
        }
        let to = BlockNumber(
            finalized
                .number
                .0
                .min(from.0.saturating_add(STEP_BLOCKS - 1)),
        );
        let hash = if to == finalized.number {
            finalized.hash
        } else {
            self.chain
                .block_hash(to)
                .await?
                .ok_or_else(|| ChainError::Unavailable(format!("the endpoint has no block {to}")))?
        };
        let events = self.chain.events(from, to).await?;
        let applied = self.apply(&events, BlockRef { number: to, hash }).await;
        if applied.is_err() {
            // The replays may be ahead of the database now.
            self.replays.clear();
        }
        applied?;
        Ok(to < finalized.number)
    }

    async fn check_finality(&self, followed: BlockRef) -> Result<(), WatchError> {
        match self.chain.block_hash(followed.number).await? {
            Some(found) if found == followed.hash => Ok(()),
            Some(found) => Err(WatchError::FinalityBroken {
                number: followed.number,
                expected: followed.hash,
                found,
            }),
            None => Err(ChainError::Unavailable(format!(
                "the endpoint has no block {} yet",
                followed.number
            ))
            .into()),
        }
    }

    async fn apply(&mut self, events: &[Logged], followed: BlockRef) -> Result<(), WatchError> {
        // Roots published in this very step are not in the database yet.
        let mut published: BTreeMap<(DealId, Slot), Vec<ShardRoots>> = BTreeMap::new();
        let mut replayed = Vec::new();
        for logged in events {
            match &logged.event {
                Event::SlotPublished {
                    deal, slot, roots, ..
                } => {
                    published.entry((*deal, *slot)).or_default().extend(roots);
                }
                Event::Inventory(change) => replayed.push(self.replay(change, &published).await?),
                _ => {}
            }
        }
        self.store.apply(events, &replayed, followed).await?;
        Ok(())
    }

    async fn replay(
        &mut self,
        change: &InventoryChange,
        published: &BTreeMap<(DealId, Slot), Vec<ShardRoots>>,
    ) -> Result<Option<B256>, StoreError> {
        if !self.replays.contains_key(&change.node) {
            let replay = self.replay_log(change.node).await?;
            self.replays.insert(change.node, replay);
        }
        let mut roots = self.store.slot_roots(change.deal, change.slot).await?;
        if let Some(more) = published.get(&(change.deal, change.slot)) {
            roots.extend(more);
        }
        let Some(entry) = self.replays.get_mut(&change.node) else {
            return Ok(None);
        };
        let Some(replay) = entry else { return Ok(None) };
        if let Err(error) = replay_one(replay, change.operation, change.deal, change.slot, &roots) {
            tracing::warn!(node = %change.node, %error, "an inventory log cannot be replayed");
            *entry = None;
            return Ok(None);
        }
        if replay.root() != change.root {
            tracing::warn!(
                node = %change.node, claimed = %change.root, replayed = %replay.root(),
                "a node claims another inventory root than its log replays to"
            );
        }
        Ok(Some(replay.root()))
    }

    async fn replay_log(&self, node: NodeId) -> Result<Option<InventoryReplay>, StoreError> {
        let mut replay = InventoryReplay::new(&self.profile);
        for entry in self.store.inventory_log(node).await? {
            let roots = self.store.slot_roots(entry.deal, entry.slot).await?;
            if replay_one(&mut replay, entry.operation, entry.deal, entry.slot, &roots).is_err() {
                return Ok(None);
            }
        }
        Ok(Some(replay))
    }
}

fn replay_one(
    replay: &mut InventoryReplay,
    operation: Operation,
    deal: DealId,
    slot: Slot,
    roots: &[ShardRoots],
) -> Result<(), verifier::inventory::ReplayError> {
    match operation {
        Operation::Accept => replay.accept(deal, slot, roots),
        Operation::Drop => replay.drop_slot(deal, slot),
    }
}

#[cfg(test)]
mod tests;
