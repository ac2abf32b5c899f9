//! Deleting files, the one thing that cannot be undone: what the chain lists is not deleted, whatever the database says.

use std::collections::{BTreeSet, HashSet};

use verifier::Epoch;

use super::{Keeper, KeeperError};
use crate::chain_view::{Head, epoch_at};
use crate::shard::SlotId;
use crate::state::{Tenure, TenureState};

/// Whether this node's tenures of a slot, all of them, ask for its files. `settled` is the epoch of the last final block.
fn in_use(tenures: &[Tenure], settled: Epoch) -> bool {
    tenures.iter().any(|tenure| match tenure.state {
        TenureState::Offered | TenureState::Accepted => true,
        // The epoch of the drop still lists the slot, and is proven before its last block.
        TenureState::Dropped => tenure.dropped_in.is_none_or(|dropped| settled <= dropped),
        TenureState::Lost => false,
    })
}

impl Keeper {
    /// Deletes the shards of slots that no epoch from now on lists, and those of offers that went elsewhere.
    pub(super) async fn forget(&self, head: Head) -> Result<(), KeeperError> {
        let settled = epoch_at(self.chain.clock(), head.finalized);
        let tenures = self.state.tenures().await?;
        let slots: BTreeSet<SlotId> = tenures.iter().map(|tenure| tenure.slot).collect();
        let mut listed = None;
        for slot in slots {
            let own: Vec<Tenure> = tenures
                .iter()
                .filter(|tenure| tenure.slot == slot)
                .copied()
                .collect();
            if in_use(&own, settled) || self.state.stored_of(slot).await?.is_empty() {
                continue;
            }
            let listed = match &listed {
                Some(listed) => listed,
                None => listed.insert(self.listed(head).await?),
            };
            if listed.contains(&slot) {
                tracing::warn!(%slot, "not deleted: the inventory on chain lists it");
                continue;
            }
            self.delete(slot, settled).await?;
        }
        Ok(())
    }

    /// The slots that the inventory lists: at the head, and frozen for the epochs of the head and of the last final block.
    async fn listed(&self, head: Head) -> Result<HashSet<SlotId>, KeeperError> {
        let clock = self.chain.clock();
        let mut inventories = vec![self.ledger.at_head().await?];
        let epochs =
            BTreeSet::from([head.latest, head.finalized].map(|block| epoch_at(clock, block).0));
        for epoch in epochs {
            let frozen = self.ledger.frozen_for(Epoch(epoch)).await?;
            inventories.push(self.ledger.open(&frozen).await?);
        }
        Ok(inventories
            .iter()
            .flat_map(|open| open.inventory.slots())
            .map(|(deal, slot)| SlotId { deal, slot })
            .collect())
    }

    async fn delete(&self, slot: SlotId, settled: Epoch) -> Result<(), KeeperError> {
        let _guard = self.state.lock_slot(slot).await;
        // A put may have brought the slot back while the lock was awaited.
        if in_use(&self.state.tenures_of(slot).await?, settled) {
            return Ok(());
        }
        let shards = self.state.stored_of(slot).await?;
        for shard in &shards {
            // Not to be found stored after a crash between the two: the database goes first.
            self.state.set_stored(*shard, false).await?;
            self.store.delete(*shard).await?;
        }
        tracing::info!(%slot, shards = shards.len(), "deleted; no epoch lists it any more");
        Ok(())
    }
}
