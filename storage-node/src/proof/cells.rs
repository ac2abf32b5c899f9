//! Sampled cells out of the shard store.

use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use circuits::storage::cell_elements;
use circuits::{Sample, SampleWitness};
use verifier::inventory::{InventoryReplay, ShardRoots};

use super::{CellReader, ProofError};
use crate::shard::{ShardId, SlotId};
use crate::store::ShardStore;

/// The cells of a frozen inventory.
pub struct InventoryCells {
    inventory: InventoryReplay,
    roots: HashMap<SlotId, Vec<ShardRoots>>,
    store: Arc<dyn ShardStore>,
}

impl InventoryCells {
    /// The cells of an inventory whose shards have these roots.
    #[must_use]
    pub fn new(
        inventory: InventoryReplay,
        roots: HashMap<SlotId, Vec<ShardRoots>>,
        store: Arc<dyn ShardStore>,
    ) -> Self {
        Self {
            inventory,
            roots,
            store,
        }
    }
}

#[async_trait]
impl CellReader for InventoryCells {
    async fn open(&self, sample: Sample) -> Result<SampleWitness, ProofError> {
        let missing = ProofError::OutOfRange(sample.shard);
        let Some(shard) = self.inventory.shard_at(sample.shard).map(ShardId::from) else {
            return Err(missing);
        };
        let Some(roots) = self
            .roots
            .get(&shard.slot)
            .and_then(|roots| roots.get(shard.stripe.0 as usize))
        else {
            return Err(missing);
        };
        let Ok(inventory_path) = self.inventory.tree().path(sample.shard) else {
            return Err(missing);
        };
        let opened = self
            .store
            .cell(shard, roots, sample.cell)
            .await
            .map_err(|source| ProofError::Lost {
                shard,
                cell: sample.cell,
                source,
            })?;
        Ok(SampleWitness {
            cell: cell_elements(&opened.bytes),
            shard_path: opened.path,
            inventory_path,
        })
    }
}
