//! Offers: those that are whole are accepted, those that can no longer be are given up.

use verifier::Epoch;

use super::{Keeper, KeeperError};
use crate::acceptance::Acceptance;
use crate::chain_view::{Assignment, ChainError, Head, epoch_at};
use crate::inventory::Frozen;
use crate::shard::SlotId;
use crate::slots::SlotBook;
use crate::state::{Tenure, TenureState};

/// Where an offer stands by the latest block.
enum Standing {
    /// It may be accepted.
    Open,
    /// Accepted; the final event will say so.
    Accepted,
    /// It is another node's by now, or the endpoint is behind.
    Doubtful,
}

impl Keeper {
    pub(super) async fn see_to_offers(
        &mut self,
        tenures: &[Tenure],
        head: Head,
    ) -> Result<(), KeeperError> {
        let epoch = epoch_at(self.chain.clock(), head.latest);
        // Whether an offer still stands is asked when there is something to do about it, and else once an epoch.
        let check = self.checked_in != Some(epoch);
        for tenure in tenures
            .iter()
            .filter(|tenure| tenure.state == TenureState::Offered)
        {
            let (all, stored) = self.state.progress(tenure.slot).await?;
            let mut doubtful = check;
            if all > 0 && all == stored {
                let assignments = self.chain.assignments(tenure.slot).await?;
                match self.standing(tenure, &assignments) {
                    Standing::Open => self.accept(tenure.slot, epoch).await?,
                    Standing::Accepted => {}
                    Standing::Doubtful => doubtful = true,
                }
            }
            if doubtful && self.is_lost(tenure, head.finalized).await? {
                tracing::info!(slot = %tenure.slot, "the offer is withdrawn, or its deal over");
                self.state.set_lost(tenure.slot, tenure.assignment).await?;
            }
        }
        self.checked_in = Some(epoch);
        Ok(())
    }

    fn standing(&self, tenure: &Tenure, assignments: &[Assignment]) -> Standing {
        let last = assignments
            .last()
            .filter(|last| last.node == self.node)
            .filter(|_| assignments.len() as u64 == tenure.assignment.saturating_add(1));
        match last {
            Some(offer) if offer.from == Epoch(0) => Standing::Open,
            Some(_) => Standing::Accepted,
            None => Standing::Doubtful,
        }
    }

    /// Whether an offer can never be accepted any more. Only what is final counts: an owner may move a slot right after its
    /// node accepted it, and the accept, not final yet, is good all the same.
    async fn is_lost(&self, tenure: &Tenure, finalized: u64) -> Result<bool, KeeperError> {
        let Some(deal) = self.chain.deal_at(tenure.slot.deal, finalized).await? else {
            return Ok(false);
        };
        let assignments = self.chain.assignments_at(tenure.slot, finalized).await?;
        let over = deal.closed || epoch_at(self.chain.clock(), finalized) >= deal.end;
        let at = usize::try_from(tenure.assignment).unwrap_or(usize::MAX);
        Ok(match assignments.get(at) {
            Some(own) if own.node != self.node => true,
            Some(own) => {
                let moved = assignments.len() as u64 > tenure.assignment.saturating_add(1);
                own.from == Epoch(0) && (moved || over)
            }
            None => over,
        })
    }

    async fn accept(&mut self, slot: SlotId, epoch: Epoch) -> Result<(), KeeperError> {
        let Some(deal) = self.chain.deal(slot.deal).await? else {
            return Ok(());
        };
        if !deal.sealed {
            return Ok(());
        }
        if let Err(refused) = self.options.acceptance.judge(&deal, epoch) {
            tracing::debug!(%slot, %refused, "not accepted");
            return Ok(());
        }
        // What is signed for is what the chain has, not what this node once learnt.
        let known = self.state.slot(slot).await?;
        if known.map(|(_, hash)| hash) != Some(self.chain.slot_list_hash(slot).await?) {
            tracing::warn!(%slot, "the slot's list on chain has changed; learning it again");
            return Ok(self.learn_again(slot).await?);
        }
        if !self.has_files(slot).await? || !self.may_send().await? {
            return Ok(());
        }
        let mut open = self.ledger.at_head().await?;
        let (capacity, held) = (open.inventory.tree().capacity(), open.inventory.count());
        if let Err(refused) = Acceptance::fits(capacity, held, deal.stripes) {
            tracing::warn!(%slot, %refused, "not accepted");
            return Ok(());
        }
        let before = open.inventory.log();
        let roots = self.state.roots_of(slot).await?;
        match open.inventory.accept(slot.deal, slot.slot, &roots) {
            Ok(()) => {}
            Err(error) => {
                tracing::warn!(%slot, %error, "cannot accept");
                return Ok(());
            }
        }
        let after = Frozen::from(&open.inventory);
        let Some(sent) = self.send(self.actions.accept(slot, after)).await else {
            return Ok(());
        };
        match sent {
            Ok(transaction) => {
                self.overtaken.remove(&slot);
                metrics::counter!("storage_node_slots_accepted_total").increment(1);
                tracing::info!(%slot, count = after.count, root = %after.root, %transaction, "accepted");
                Ok(())
            }
            // Another transaction came first: the next round replays it.
            Err(error) if error.is_revert("LogMoved") || error.is_revert("AlreadyAccepted") => {
                tracing::info!(%slot, %error, "accept was overtaken; trying again");
                // Overtaken once more, and the inventory is what it was: nobody overtakes.
                if error.is_revert("LogMoved")
                    && self.overtaken.insert(slot, before) == Some(before)
                {
                    let detail = error.to_string();
                    return Err(KeeperError::OtherRules { slot, detail });
                }
                Ok(())
            }
            Err(error @ ChainError::Reverted { .. }) => {
                tracing::warn!(%slot, %error, "accept was refused");
                Ok(())
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Whether every file of a slot is there; those that are not are noted, so that their owner can put them again.
    async fn has_files(&self, slot: SlotId) -> Result<bool, KeeperError> {
        let _guard = self.state.lock_slot(slot).await;
        let stored = self.state.stored_of(slot).await?;
        let missing = self.store.missing(stored).await?;
        for shard in &missing {
            tracing::error!(%shard, "a stored shard's file is gone; it must be put again");
            self.state.set_stored(*shard, false).await?;
        }
        Ok(missing.is_empty())
    }

    async fn learn_again(&self, slot: SlotId) -> Result<(), crate::ledger::LedgerError> {
        SlotBook::new(self.chain.clone(), self.state.clone(), self.node)
            .learn(slot)
            .await?;
        Ok(())
    }
}
