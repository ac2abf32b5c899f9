//! The settlement keeper: settles every node whose cursor lags, in epoch order, as any oracle may.
//!
//! Protocol: section 7.

use std::collections::BTreeMap;
use std::sync::Arc;

use alloy::primitives::B256;
use verifier::report::{Verdict, VerdictTree};
use verifier::{BlockNumber, Epoch, NodeId};

use crate::onchain::{ChainError, OnChain};
use crate::store::{Store, StoreError};

/// Most verdicts settled in one transaction.
const BATCH: usize = 8;
/// Most epochs without a verdict passed over in one transaction.
const ADVANCE: u64 = 32;

/// Settles for everybody.
pub struct Keeper {
    store: Store,
    chain: Arc<dyn OnChain>,
    /// How many blocks this oracle leaves to those before it.
    stagger: u64,
    /// Block at which a node was first seen behind with its cursor there.
    behind_since: BTreeMap<NodeId, (Epoch, BlockNumber)>,
}

/// What can be done for a node now.
#[derive(Default)]
struct Batch {
    verdicts: Vec<Verdict>,
    proofs: Vec<Vec<B256>>,
    /// Epochs before, between or instead of them that need no verdict.
    skippable: u64,
}

/// What an epoch needs of settlement.
enum Step {
    /// A verdict, which this oracle has.
    Verdict(Box<Verdict>, Vec<B256>),
    /// Nothing: it is passed over.
    Skip,
    /// Time, or another oracle.
    Wait,
}

/// Settling stopped.
#[derive(Debug, thiserror::Error)]
pub enum SettleError {
    /// The chain could not be asked.
    #[error(transparent)]
    Chain(#[from] ChainError),
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Keeper {
    /// A keeper that lets `stagger` blocks pass before it acts, so that oracles do not all pay for the same transaction.
    #[must_use]
    pub fn new(store: Store, chain: Arc<dyn OnChain>, stagger: u64) -> Self {
        Self {
            store,
            chain,
            stagger,
            behind_since: BTreeMap::new(),
        }
    }

    /// One round over all nodes.
    ///
    /// # Errors
    /// [`SettleError`]; a transaction that somebody else was faster with is no error.
    pub async fn step(&mut self, head: BlockNumber) -> Result<(), SettleError> {
        for row in self.store.nodes().await? {
            let (cursor, behind) = self.chain.settlement(row.node).await?;
            if !behind {
                self.behind_since.remove(&row.node);
                continue;
            }
            let since = match self.behind_since.get(&row.node) {
                Some((at, since)) if *at == cursor => *since,
                _ => {
                    self.behind_since.insert(row.node, (cursor, head));
                    head
                }
            };
            if head.0 < since.0.saturating_add(self.stagger) {
                continue;
            }
            match self.settle(row.node, cursor, head).await {
                Ok(()) => {
                    metrics::counter!("probity_oracle_settlements_total").increment(1);
                }
                Err(SettleError::Chain(ChainError::Reverted(why))) => {
                    tracing::debug!(node = %row.node, %cursor, %why, "somebody else settled first");
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    async fn settle(
        &self,
        node: NodeId,
        cursor: Epoch,
        head: BlockNumber,
    ) -> Result<(), SettleError> {
        let Batch {
            verdicts,
            proofs,
            skippable,
        } = self.batch(node, cursor, head).await?;
        if !verdicts.is_empty() {
            tracing::info!(%node, after = %cursor, verdicts = verdicts.len(), "settling");
            return Ok(self.chain.settle(node, &verdicts, &proofs).await?);
        }
        if skippable > 0 {
            tracing::info!(%node, after = %cursor, epochs = skippable, "passing over epochs without a verdict");
            self.chain.advance(node, ADVANCE).await?;
        }
        Ok(())
    }

    /// The node's next epochs, as far as they can be settled now and by this oracle.
    async fn batch(
        &self,
        node: NodeId,
        cursor: Epoch,
        head: BlockNumber,
    ) -> Result<Batch, SettleError> {
        let current = self.chain.schedule().epoch_of(head).unwrap_or_default();
        let removed = self.store.has_left(node).await?;
        let mut batch = Batch::default();
        let mut epoch = cursor.next();
        while epoch < current && batch.verdicts.len() < BATCH {
            match if removed {
                Step::Skip
            } else {
                self.step_of(node, epoch, head).await?
            } {
                Step::Verdict(verdict, proof) => {
                    batch.verdicts.push(*verdict);
                    batch.proofs.push(proof);
                }
                Step::Skip => batch.skippable += 1,
                Step::Wait => break,
            }
            epoch = epoch.next();
        }
        Ok(batch)
    }

    async fn step_of(
        &self,
        node: NodeId,
        epoch: Epoch,
        head: BlockNumber,
    ) -> Result<Step, SettleError> {
        let schedule = self.chain.schedule();
        if !self.store.has_duty(node, schedule.start(epoch)).await? {
            return Ok(Step::Skip);
        }
        let Some((report, block)) = self.store.accepted_report(epoch).await? else {
            let last = Epoch(epoch.0.saturating_add(schedule.report_window));
            let void = self.store.beacon(epoch).await?.is_none();
            return Ok(if void || head >= schedule.end(last) {
                Step::Skip
            } else {
                Step::Wait
            });
        };
        if head.0 < block.0.saturating_add(schedule.dispute_blocks) {
            return Ok(Step::Wait);
        }
        let rows = self.store.judgements(epoch, report.verdict_root).await?;
        let Some(row) = rows.iter().find(|row| row.verdict.node == node) else {
            // This oracle took no part: others have the leaves.
            return Ok(Step::Wait);
        };
        let proof = VerdictTree::new(rows.iter().map(|row| &row.verdict)).proof(&row.verdict);
        Ok(proof.map_or(Step::Wait, |proof| {
            Step::Verdict(Box::new(row.verdict.clone()), proof)
        }))
    }
}

#[cfg(test)]
mod tests;
