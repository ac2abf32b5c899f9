//! The node's inventory as chain and database together say it is.
//!
//! Final blocks are followed once and their inventory changes are kept in the database. What lies between the last final block
//! and the latest one is read anew each time, so that a reorganisation leaves nothing behind.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

use circuits::Profile;
use verifier::inventory::{InventoryReplay, ShardRoots};
use verifier::{Epoch, NodeId};

use crate::chain_view::{ChainError, ChainEvent, ChainView, Head, epoch_at};
use crate::inventory::{Frozen, LogEntry, Mismatch, replay_to};
use crate::shard::SlotId;
use crate::slots::{SlotBook, SlotError};
use crate::state::{State, StateError};

/// Blocks asked for in one query of events.
const WINDOW: u64 = 1_000;

/// Why the inventory is not known.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// The chain cannot be read.
    #[error(transparent)]
    Chain(#[from] ChainError),
    /// The database failed.
    #[error(transparent)]
    State(#[from] StateError),
    /// A slot could not be learnt.
    #[error(transparent)]
    Slot(#[from] SlotError),
    /// Chain and database disagree.
    #[error("INVENTORY_MISMATCH: {0}; nothing is proven or accepted until they agree")]
    Mismatch(#[from] Mismatch),
}

/// A frozen inventory with all that is needed to open its cells.
pub struct OpenInventory {
    /// The replayed inventory.
    pub inventory: InventoryReplay,
    /// The roots of every slot in it.
    pub roots: HashMap<SlotId, Vec<ShardRoots>>,
}

/// Follows the chain for one node.
#[derive(Clone)]
pub struct Ledger {
    chain: Arc<dyn ChainView>,
    state: State,
    slots: SlotBook,
    node: NodeId,
    profile: Profile,
    /// Block the node was registered in, or an earlier one.
    first_block: u64,
}

impl Ledger {
    /// The ledger of a node registered in or after `first_block`.
    #[must_use]
    pub fn new(
        chain: Arc<dyn ChainView>,
        state: State,
        node: NodeId,
        profile: Profile,
        first_block: u64,
    ) -> Self {
        let slots = SlotBook::new(chain.clone(), state.clone(), node);
        Self {
            chain,
            state,
            slots,
            node,
            profile,
            first_block,
        }
    }

    /// Applies everything that has become final since the last call.
    ///
    /// # Errors
    /// [`LedgerError`]; what was applied stays applied.
    pub async fn follow(&self, head: Head) -> Result<(), LedgerError> {
        let mut next = self.cursor().await?;
        while next <= head.finalized {
            let last = head.finalized.min(next.saturating_add(WINDOW - 1));
            let events = self.chain.events(self.node, next, last).await?;
            let mut entries = Vec::new();
            for event in events {
                self.learn(&event, head.finalized).await?;
                if let ChainEvent::Inventory(entry) = event {
                    entries.push(entry);
                }
            }
            next = last + 1;
            self.state
                .apply_final(&entries, next, |block| epoch_at(self.chain.clock(), block))
                .await?;
        }
        Ok(())
    }

    async fn learn(&self, event: &ChainEvent, finalized: u64) -> Result<(), LedgerError> {
        match event {
            ChainEvent::Offered(slot) => self.state.add_offer(*slot).await?,
            ChainEvent::Sealed(deal) => {
                for slot in self.state.offers(*deal).await? {
                    self.slots.refresh(slot, finalized).await?;
                }
            }
            ChainEvent::Moved(slot, to)
                if *to != self.node && self.state.slot(*slot).await?.is_none() => {}
            ChainEvent::Moved(slot, _) | ChainEvent::Ended(slot) => {
                self.slots.refresh(*slot, finalized).await?
            }
            ChainEvent::Inventory(entry) => {
                self.slots.refresh(entry.slot, finalized).await?;
            }
        }
        Ok(())
    }

    async fn cursor(&self) -> Result<u64, LedgerError> {
        Ok(self.state.next_block().await?.unwrap_or(self.first_block))
    }

    /// The node's whole log up to the latest block.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub async fn entries(&self) -> Result<Vec<LogEntry>, LedgerError> {
        let next = self.cursor().await?;
        let latest = self.chain.head().await?.latest;
        let mut tentative = Vec::new();
        if next <= latest {
            for event in self.chain.events(self.node, next, latest).await? {
                if let ChainEvent::Inventory(entry) = event {
                    tentative.push(entry);
                }
            }
        }
        let mut entries = self.state.log().await?;
        // The cursor may have moved in between: what is final by now is not counted twice.
        tentative.retain(|entry| !entries.iter().any(|known| known.log == entry.log));
        entries.extend(tentative);
        Ok(entries)
    }

    /// The inventory that the chain shows as `frozen`, replayed.
    ///
    /// # Errors
    /// [`LedgerError::Mismatch`] if the node's own log does not lead there.
    pub async fn open(&self, frozen: &Frozen) -> Result<OpenInventory, LedgerError> {
        let entries = self.entries().await?;
        let mut roots = self.state.roots().await?;
        for entry in &entries {
            if let Entry::Vacant(unknown) = roots.entry(entry.slot) {
                self.slots.learn_if_ours(entry.slot).await?;
                unknown.insert(self.state.roots_of(entry.slot).await?);
            }
        }
        let (profile, frozen) = (self.profile, *frozen);
        // Replay hashes every leaf anew.
        let replayed = tokio::task::spawn_blocking(move || {
            replay_to(&profile, &entries, &roots, &frozen)
                .map(|inventory| OpenInventory { inventory, roots })
        })
        .await
        .map_err(|error| ChainError::Inconsistent(format!("replay failed: {error}")))?;
        Ok(replayed?)
    }

    /// The inventory the node's last transaction left.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub async fn at_head(&self) -> Result<OpenInventory, LedgerError> {
        let frozen = self.chain.inventory(self.node).await?;
        self.open(&frozen).await
    }

    /// What the node must prove in an epoch.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub async fn frozen_for(&self, epoch: Epoch) -> Result<Frozen, LedgerError> {
        Ok(self.chain.inventory_at(self.node, epoch).await?)
    }
}
