//! Sampled cells out of the shard store.

use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use circuits::storage::cell_elements;
use circuits::tree::Siblings;
use circuits::{Sample, SampleWitness};
use verifier::inventory::{InventoryReplay, ShardRoots};

use super::{CellReader, ProofError};
use crate::shard::{ShardId, SlotId};
use crate::store::{CellOf, ShardStore};

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

impl InventoryCells {
    /// Where a sample lies, and the path of its shard.
    fn find(&self, sample: &Sample) -> Option<(CellOf, Vec<Siblings>)> {
        let shard = ShardId::from(self.inventory.shard_at(sample.shard)?);
        let roots = self.roots.get(&shard.slot)?;
        let roots = roots.get(shard.stripe.0 as usize)?;
        let cell = CellOf {
            shard,
            storage_root: roots.storage_root,
            cell: sample.cell,
        };
        Some((cell, self.inventory.tree().path(sample.shard).ok()?))
    }
}

#[async_trait]
impl CellReader for InventoryCells {
    async fn open(&self, samples: &[Sample]) -> Vec<Result<SampleWitness, ProofError>> {
        let found: Vec<_> = samples.iter().map(|sample| self.find(sample)).collect();
        let cells = found.iter().flatten().map(|(cell, _)| *cell).collect();
        let mut opened = self.store.cells(cells).await.into_iter();
        let witness = |(sample, found): (&Sample, Option<(CellOf, Vec<Siblings>)>)| {
            let missing = || ProofError::OutOfRange(sample.shard);
            let (cell, inventory_path) = found.ok_or_else(missing)?;
            let opened = opened.next().ok_or_else(missing)?;
            let opened = opened.map_err(|source| ProofError::Lost {
                shard: cell.shard,
                cell: cell.cell,
                source,
            })?;
            Ok(SampleWitness {
                cell: cell_elements(&opened.bytes),
                shard_path: opened.path,
                inventory_path,
            })
        };
        samples.iter().zip(found).map(witness).collect()
    }
}
