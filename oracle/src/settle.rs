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

/// What can be settled of a node now.
struct Batch {
    verdicts: Vec<Verdict>,
    proofs: Vec<Vec<B256>>,
    /// The next verdict cannot be settled yet, or not by this oracle.
    stuck: bool,
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
        Self { store, chain, stagger, behind_since: BTreeMap::new() }
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

    async fn settle(&self, node: NodeId, cursor: Epoch, head: BlockNumber) -> Result<(), SettleError> {
        let Batch { verdicts, proofs, stuck } = self.batch(node, cursor, head).await?;
        if verdicts.is_empty() && stuck {
            return Ok(());
        }
        if verdicts.is_empty() {
            tracing::info!(%node, after = %cursor, "passing over epochs without a verdict");
            return Ok(self.chain.advance(node, ADVANCE).await?);
        }
        tracing::info!(%node, after = %cursor, verdicts = verdicts.len(), "settling");
        Ok(self.chain.settle(node, &verdicts, &proofs).await?)
    }

    /// The node's next verdicts that can be settled now, as far as this oracle has them.
    async fn batch(
        &self,
        node: NodeId,
        cursor: Epoch,
        head: BlockNumber,
    ) -> Result<Batch, SettleError> {
        let schedule = self.chain.schedule();
        let current = schedule.epoch_of(head).unwrap_or(Epoch(0));
        let mut batch = Batch { verdicts: Vec::new(), proofs: Vec::new(), stuck: false };
        let mut epoch = cursor.next();
        while epoch < current && batch.verdicts.len() < BATCH {
            if let Some((report, block)) = self.store.accepted_report(epoch).await? {
                if head.0 < block.0.saturating_add(schedule.dispute_blocks) {
                    batch.stuck = true;
                    break;
                }
                let rows = self.store.judgements(epoch, report.verdict_root).await?;
                if rows.is_empty() && report.leaf_count > 0 {
                    // This oracle took no part: others have the leaves.
                    batch.stuck = true;
                    break;
                }
                if let Some(row) = rows.iter().find(|row| row.verdict.node == node) {
                    let Some(proof) = VerdictTree::new(rows.iter().map(|row| &row.verdict)).proof(&row.verdict) else {
                        break;
                    };
                    batch.verdicts.push(row.verdict.clone());
                    batch.proofs.push(proof);
                }
            } else if head <= schedule.end(Epoch(epoch.0.saturating_add(schedule.report_window)))
                && self.store.beacon(epoch).await?.is_some()
            {
                // May still be reported.
                break;
            }
            epoch = epoch.next();
        }
        Ok(batch)
    }
}

#[cfg(test)]
mod tests;
