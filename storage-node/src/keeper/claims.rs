//! Claims of pay.

use alloy::primitives::U256;
use verifier::Epoch;

use super::{Keeper, KeeperError};
use crate::chain_view::ChainError;
use crate::state::{Tenure, TenureState};

impl Keeper {
    /// Claims what settlement has decided since the last claims, where it may be worth the transaction.
    pub(super) async fn claim(&mut self, tenures: &[Tenure]) -> Result<(), KeeperError> {
        if self.options.claim_every == 0 {
            return Ok(());
        }
        let resolved = self.chain.resolved_to(self.node).await?;
        if self
            .claimed_to
            .is_some_and(|last| resolved.0 < last.0.saturating_add(self.options.claim_every))
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
            let horizon = resolved.min(present.to);
            if present.from == Epoch(0) || horizon <= present.claimed {
                continue;
            }
            let Some(deal) = self.chain.deal(tenure.slot.deal).await? else {
                continue;
            };
            // The most it can bring: epochs that failed are refunded to the owner.
            let epochs = U256::from(horizon.0 - present.claimed.0);
            if epochs.saturating_mul(U256::from(deal.rate)) < self.options.acceptance.min_claim {
                continue;
            }
            if !self.may_send().await? {
                // What is left is claimed in a later round.
                return Ok(());
            }
            let call = self.actions.claim(tenure.slot, tenure.assignment);
            let Some(sent) = self.send(call).await else {
                return Ok(());
            };
            match sent {
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
}
