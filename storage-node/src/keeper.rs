//! Keeps the node's slots: accepts those that are whole, drops those that are over, deletes what no epoch lists, claims pay.
//!
//! An owner decides when a slot is offered, moved, ended and closed, and an endpoint may lag: nothing that cannot be undone
//! rests on what only the latest block says.

mod claims;
mod files;
mod offers;

use std::collections::HashMap;
use std::sync::Arc;

use alloy::primitives::B256;
use verifier::inventory::ReplayError;
use verifier::{Epoch, NodeId};

use crate::acceptance::Acceptance;
use crate::chain_view::{ChainActions, ChainError, ChainView, Head, epoch_at};
use crate::inventory::{Frozen, Mismatch};
use crate::ledger::{Ledger, LedgerError};
use crate::queue::{CLEARANCE, send_until};
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
    /// The contracts and this program reckon an inventory's log differently.
    #[error(
        "the contracts refuse {slot} again and again with the log this version computes from the inventory they show, {detail}; use the storage-node that belongs to them"
    )]
    OtherRules {
        /// The slot that is to be accepted.
        slot: SlotId,
        /// What the contract says.
        detail: String,
    },
}

/// How the house is kept.
#[derive(Clone, Copy, Debug)]
pub struct KeeperOptions {
    /// Epochs between claims; 0 never claims.
    pub claim_every: u64,
    /// What is accepted and claimed.
    pub acceptance: Acceptance,
}

/// The housekeeper.
pub struct Keeper {
    chain: Arc<dyn ChainView>,
    actions: Arc<dyn ChainActions>,
    store: Arc<dyn ShardStore>,
    state: State,
    ledger: Ledger,
    node: NodeId,
    options: KeeperOptions,
    /// Epoch up to which settlement had come at the last claims.
    claimed_to: Option<Epoch>,
    /// Head of the last round that went through.
    seen: Option<Head>,
    /// Slots that were not accepted for their log, each with the log it was to follow on.
    overtaken: HashMap<SlotId, B256>,
    /// Epoch in which tenures that wait for nothing were last compared with the chain.
    checked_in: Option<Epoch>,
}

impl Keeper {
    /// A housekeeper over the edges.
    #[must_use]
    pub fn new(
        chain: Arc<dyn ChainView>,
        actions: Arc<dyn ChainActions>,
        store: Arc<dyn ShardStore>,
        state: State,
        ledger: Ledger,
        node: NodeId,
        options: KeeperOptions,
    ) -> Self {
        Self {
            chain,
            actions,
            store,
            state,
            ledger,
            node,
            options,
            claimed_to: None,
            overtaken: HashMap::new(),
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
        self.see_to_offers(&tenures, head).await?;
        self.drop_over(&tenures, epoch).await?;
        self.forget(head).await?;
        self.claim(&tenures).await?;
        self.gauges(head, &tenures).await
    }

    /// Whether the account's queue is free for the keeper. Transactions go out one behind the other, and around the fallback
    /// block the only one that matters is the proof's: a claim that hangs before it costs the epoch.
    async fn may_send(&self) -> Result<bool, KeeperError> {
        let latest = self.chain.head().await?.latest;
        let clock = self.chain.clock();
        let epoch = epoch_at(clock, latest);
        let (from, to) = (
            clock.fallback_block(epoch.0).saturating_sub(CLEARANCE),
            clock.deadline_block(epoch.0),
        );
        if !(from..=to).contains(&latest) {
            return Ok(true);
        }
        let record = self.state.epoch(epoch).await?;
        if record.outcome.is_some()
            || record.submission_tx.is_some()
            || self.ledger.frozen_for(epoch).await?.count == 0
        {
            return Ok(true);
        }
        let quorum = 2 * self.chain.committee(epoch).await?.set.faults() + 1;
        Ok(self.state.receipts(epoch).await?.len() >= quorum)
    }

    /// Sends a transaction; `None` if it hung and had to give way to the proof's. A later round sees what became of it.
    async fn send(
        &self,
        call: impl Future<Output = Result<B256, ChainError>>,
    ) -> Option<Result<B256, ChainError>> {
        // Where the queue cannot be judged nobody is sent away.
        let over = || async { !self.may_send().await.unwrap_or(true) };
        let sent = send_until(call, over).await;
        if sent.is_none() {
            tracing::warn!("a transaction was not mined yet and gives way to the epoch's proof");
        }
        sent
    }

    async fn drop_over(&self, tenures: &[Tenure], epoch: Epoch) -> Result<(), KeeperError> {
        // In the last epoch already: the change counts from the next one on, and no epoch is proven that nobody pays for.
        for tenure in tenures
            .iter()
            .filter(|tenure| tenure.state == TenureState::Accepted && tenure.to <= epoch)
        {
            let assignments = self.chain.assignments(tenure.slot).await?;
            let at = usize::try_from(tenure.assignment).unwrap_or(usize::MAX);
            let Some(present) = assignments.get(at) else {
                continue;
            };
            if present.dropped || present.from == Epoch(0) || present.to > epoch {
                continue;
            }
            if !self.may_send().await? {
                return Ok(());
            }
            self.drop_slot(tenure.slot).await?;
        }
        Ok(())
    }

    async fn drop_slot(&self, slot: SlotId) -> Result<(), KeeperError> {
        let mut open = self.ledger.at_head().await?;
        match open.inventory.drop_slot(slot.deal, slot.slot) {
            Ok(()) => {}
            // Dropped in a block that is not final yet.
            Err(ReplayError::NotHeld { .. }) => return Ok(()),
            Err(error) => return Err(LedgerError::Mismatch(Mismatch::Replay(error)).into()),
        }
        let after = Frozen::from(&open.inventory);
        let Some(sent) = self.send(self.actions.drop_slot(slot, after)).await else {
            return Ok(());
        };
        match sent {
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
