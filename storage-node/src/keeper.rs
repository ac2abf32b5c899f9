//! Keeps the node's slots: accepts those that are whole, drops those that are over, deletes what no epoch lists, claims pay.

use std::sync::Arc;

use verifier::inventory::ReplayError;
use verifier::{Epoch, NodeId};

use crate::chain_view::{ChainActions, ChainError, ChainView, Head, epoch_at};
use crate::inventory::{Frozen, Mismatch};
use crate::ledger::{Ledger, LedgerError};
use crate::shard::SlotId;
use crate::state::{State, StateError, Tenure, TenureState};
use crate::store::{ShardStore, StoreError};

/// Why a round of housekeeping was cut short.
#[derive(Debug, thiserror::Error)]
pub enum KeeperError {
    /// The inventory is not known.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// The chain cannot be read, or refused.
    #[error(transparent)]
    Chain(#[from] ChainError),
    /// The database failed.
    #[error(transparent)]
    State(#[from] StateError),
    /// The disk failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The housekeeper.
pub struct Keeper {
    chain: Arc<dyn ChainView>,
    actions: Arc<dyn ChainActions>,
    store: Arc<dyn ShardStore>,
    state: State,
    ledger: Ledger,
    node: NodeId,
    /// Epochs between claims; 0 never claims.
    claim_every: u64,
    /// Epoch up to which settlement had come at the last claims.
    claimed_to: Option<Epoch>,
    /// Head of the last round that went through.
    seen: Option<Head>,
    /// Epoch in which tenures that wait for nothing were last compared with the chain.
    checked_in: Option<Epoch>,
}

impl Keeper {
    /// A housekeeper that claims pay every `claim_every` epochs, never if 0.
    #[must_use]
    pub fn new(
        chain: Arc<dyn ChainView>,
        actions: Arc<dyn ChainActions>,
        store: Arc<dyn ShardStore>,
        state: State,
        ledger: Ledger,
        node: NodeId,
        claim_every: u64,
    ) -> Self {
        Self {
            chain,
            actions,
            store,
            state,
            ledger,
            node,
            claim_every,
            claimed_to: None,
            checked_in: None,
            seen: None,
        }
    }

    /// A round if there is a new block, or a shard came in.
    ///
    /// # Errors
    /// As [`Keeper::round`].
    pub async fn look(&mut self, shard_came: bool) -> Result<(), KeeperError> {
        let head = self.chain.head().await?;
        if shard_came || self.seen != Some(head) {
            self.round_at(head).await?;
            self.seen = Some(head);
        }
        Ok(())
    }

    /// One round. Safe to repeat at any time.
    ///
    /// # Errors
    /// [`KeeperError`]; the next round goes on where this one stopped.
    pub async fn round(&mut self) -> Result<(), KeeperError> {
        let head = self.chain.head().await?;
        self.round_at(head).await
    }

    async fn round_at(&mut self, head: Head) -> Result<(), KeeperError> {
        self.ledger.follow(head).await?;
        let epoch = epoch_at(self.chain.clock(), head.latest);
        let tenures = self.state.tenures().await?;
        self.accept_whole(&tenures, epoch).await?;
        self.drop_over(&tenures, epoch).await?;
        self.forget(&tenures, epoch).await?;
        self.claim(&tenures).await?;
        self.gauges(head, &tenures).await
    }

    async fn accept_whole(&mut self, tenures: &[Tenure], epoch: Epoch) -> Result<(), KeeperError> {
        // Whether an offer still stands is asked when there is something to do about it, and else once an epoch.
        let check = self.checked_in != Some(epoch);
        for tenure in tenures
            .iter()
            .filter(|tenure| tenure.state == TenureState::Offered)
        {
            let (all, stored) = self.state.progress(tenure.slot).await?;
            let whole = all > 0 && all == stored;
            if !whole && !check {
                continue;
            }
            let assignments = self.chain.assignments(tenure.slot).await?;
            let last = assignments
                .last()
                .filter(|_| assignments.len() as u64 == tenure.assignment + 1);
            match last {
                Some(offer) if offer.node == self.node && offer.from == Epoch(0) => {
                    if whole {
                        self.accept(tenure.slot, epoch).await?;
                    }
                }
                // Accepted already; the final event will say so.
                Some(offer) if offer.node == self.node => {}
                _ => self.state.set_lost(tenure.slot, tenure.assignment).await?,
            }
        }
        self.checked_in = Some(epoch);
        Ok(())
    }

    async fn accept(&self, slot: SlotId, epoch: Epoch) -> Result<(), KeeperError> {
        let Some(deal) = self.chain.deal(slot.deal).await? else {
            return Ok(());
        };
        if !deal.sealed || epoch >= deal.end {
            return Ok(());
        }
        // What is signed for is what the chain has, not what this node once learnt.
        let known = self.state.slot(slot).await?;
        if known.map(|(_, hash)| hash) != Some(self.chain.slot_list_hash(slot).await?) {
            tracing::warn!(%slot, "the slot's list on chain has changed; learning it again");
            return Ok(self.ledger_slots(slot).await?);
        }
        let mut open = self.ledger.at_head().await?;
        let before = Frozen::from(&open.inventory);
        let roots = self.state.roots_of(slot).await?;
        match open.inventory.accept(slot.deal, slot.slot, &roots) {
            Ok(()) => {}
            Err(error) => {
                tracing::warn!(%slot, %error, "cannot accept");
                return Ok(());
            }
        }
        let after = Frozen::from(&open.inventory);
        match self.actions.accept(slot, before.log, after).await {
            Ok(transaction) => {
                metrics::counter!("storage_node_slots_accepted_total").increment(1);
                tracing::info!(%slot, count = after.count, root = %after.root, %transaction, "accepted");
                Ok(())
            }
            // Another transaction came first: the next round replays it.
            Err(error) if error.is_revert("LogMoved") || error.is_revert("AlreadyAccepted") => {
                tracing::info!(%slot, %error, "accept was overtaken; trying again");
                Ok(())
            }
            Err(error @ ChainError::Reverted { .. }) => {
                tracing::warn!(%slot, %error, "accept was refused");
                Ok(())
            }
            Err(error) => Err(error.into()),
        }
    }

    async fn ledger_slots(&self, slot: SlotId) -> Result<(), LedgerError> {
        crate::slots::SlotBook::new(self.chain.clone(), self.state.clone(), self.node)
            .learn(slot)
            .await?;
        Ok(())
    }

    async fn drop_over(&self, tenures: &[Tenure], epoch: Epoch) -> Result<(), KeeperError> {
        for tenure in tenures
            .iter()
            .filter(|tenure| tenure.state == TenureState::Accepted && tenure.to < epoch)
        {
            let assignments = self.chain.assignments(tenure.slot).await?;
            let at = usize::try_from(tenure.assignment).unwrap_or(usize::MAX);
            let Some(present) = assignments.get(at) else {
                continue;
            };
            if present.dropped || present.from == Epoch(0) || present.to >= epoch {
                continue;
            }
            self.drop_slot(tenure.slot).await?;
        }
        Ok(())
    }

    async fn drop_slot(&self, slot: SlotId) -> Result<(), KeeperError> {
        let mut open = self.ledger.at_head().await?;
        let before = Frozen::from(&open.inventory);
        match open.inventory.drop_slot(slot.deal, slot.slot) {
            Ok(()) => {}
            // Dropped in a block that is not final yet.
            Err(ReplayError::NotHeld { .. }) => return Ok(()),
            Err(error) => return Err(LedgerError::Mismatch(Mismatch::Replay(error)).into()),
        }
        let after = Frozen::from(&open.inventory);
        match self.actions.drop_slot(slot, before.log, after).await {
            Ok(transaction) => {
                tracing::info!(%slot, count = after.count, %transaction, "dropped; its tenure is over");
                Ok(())
            }
            Err(error @ ChainError::Reverted { .. }) => {
                tracing::info!(%slot, %error, "drop was refused; trying again");
                Ok(())
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Deletes the shards of slots that no epoch from now on lists, and those of offers that went elsewhere.
    async fn forget(&self, tenures: &[Tenure], epoch: Epoch) -> Result<(), KeeperError> {
        let in_use = |slot: SlotId| {
            tenures.iter().any(|tenure| {
                tenure.slot == slot
                    && match tenure.state {
                        TenureState::Offered | TenureState::Accepted => true,
                        // The epoch of the drop still lists the slot.
                        TenureState::Dropped => {
                            tenure.dropped_in.is_none_or(|dropped| epoch <= dropped)
                        }
                        TenureState::Lost => false,
                    }
            })
        };
        for tenure in tenures.iter().filter(|tenure| !in_use(tenure.slot)) {
            let shards = self.state.stored_of(tenure.slot).await?;
            for shard in &shards {
                // Not to be found stored after a crash between the two: the database goes first.
                self.state.set_stored(*shard, false).await?;
                self.store.delete(*shard).await?;
            }
            if !shards.is_empty() {
                tracing::info!(slot = %tenure.slot, shards = shards.len(), "deleted; no epoch lists it any more");
            }
        }
        Ok(())
    }

    /// Claims what settlement has decided since the last claims.
    async fn claim(&mut self, tenures: &[Tenure]) -> Result<(), KeeperError> {
        if self.claim_every == 0 {
            return Ok(());
        }
        let resolved = self.chain.resolved_to(self.node).await?;
        if self
            .claimed_to
            .is_some_and(|last| resolved.0 < last.0.saturating_add(self.claim_every))
        {
            return Ok(());
        }
        for tenure in tenures
            .iter()
            .filter(|t| matches!(t.state, TenureState::Accepted | TenureState::Dropped))
        {
            let assignments = self.chain.assignments(tenure.slot).await?;
            let at = usize::try_from(tenure.assignment).unwrap_or(usize::MAX);
            let Some(present) = assignments.get(at) else {
                continue;
            };
            if present.from == Epoch(0) || resolved.min(present.to) <= present.claimed {
                continue;
            }
            match self.actions.claim(tenure.slot, tenure.assignment).await {
                Ok(transaction) => {
                    tracing::info!(slot = %tenure.slot, %transaction, to = %resolved, "claimed pay")
                }
                Err(error @ ChainError::Reverted { .. }) => {
                    tracing::info!(slot = %tenure.slot, %error, "nothing claimed");
                }
                Err(error) => return Err(error.into()),
            }
        }
        self.claimed_to = Some(resolved);
        Ok(())
    }

    async fn gauges(&self, head: Head, tenures: &[Tenure]) -> Result<(), KeeperError> {
        #[expect(clippy::cast_precision_loss, reason = "a gauge is a double")]
        let gauge = |name: &'static str, value: u64| metrics::gauge!(name).set(value as f64);
        gauge("storage_node_shards", self.state.stored_shards().await?);
        gauge("storage_node_block", head.latest);
        let held = tenures
            .iter()
            .filter(|tenure| tenure.state == TenureState::Accepted)
            .count();
        gauge("storage_node_slots", held as u64);
        Ok(())
    }
}
