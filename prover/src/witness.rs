//! From what a node stores to the witness of its proof.
//!
//! Protocol: section 4.

use circuits::{
    Private, Profile, Public, Sample, SampleWitness, StorageRoot,
    inventory::{InventoryError, InventoryTree},
    select,
    statement::CountError,
    storage::{CELL_BYTES, SHARD_LEVELS, StorageTree, cell_elements},
    tree::Siblings,
};
use thiserror::Error;
use zeroize::ZeroizeOnDrop;

/// Why there is no witness; `E` is what reading a cell can fail with.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum WitnessError<E> {
    /// Nothing can be proven for this shard count.
    #[error(transparent)]
    Count(#[from] CountError),
    /// The inventory is not the one the statement names: its root or count was frozen at another time.
    #[error("the inventory at hand is not the one that was frozen for this epoch")]
    OtherInventory,
    /// The inventory does not reach a selected shard.
    #[error(transparent)]
    Inventory(#[from] InventoryError),
    /// A selected cell cannot be read.
    #[error("cell {cell} of shard {shard} cannot be read")]
    Cell {
        /// Index in the inventory.
        shard: u64,
        /// Index in the shard.
        cell: u16,
        /// What reading failed with.
        #[source]
        source: E,
    },
}

/// A cell as it is stored, with its path to the storage root. Wiped when dropped.
#[derive(Clone, PartialEq, Eq, ZeroizeOnDrop)]
pub struct OpenedCell {
    /// The stored bytes.
    pub bytes: [u8; CELL_BYTES],
    /// From the cell's digest to the storage root.
    pub path: [Siblings; SHARD_LEVELS],
}

impl OpenedCell {
    /// Takes a cell out of a whole shard and its tree; `None` if `shard` is too short or there is no such cell.
    #[must_use]
    pub fn from_shard(shard: &[u8], tree: &StorageTree, cell: u16) -> Option<Self> {
        let at = usize::from(cell) * CELL_BYTES;
        let bytes = shard.get(at..at + CELL_BYTES)?.try_into().ok()?;
        (usize::from(cell) < tree.digests().len()).then(|| Self {
            bytes,
            path: tree.path(cell),
        })
    }
}

crate::wiped::wiped_on_drop!(OpenedCell);

/// Opens every cell that the statement's seed selects.
///
/// `open` reads one cell of the shard with the given storage root. What it returns is not checked here: the prover
/// checks the whole witness before it proves.
///
/// # Errors
/// [`WitnessError`].
pub fn witness<E>(
    profile: &Profile,
    public: &Public,
    inventory: &InventoryTree,
    mut open: impl FnMut(Sample, StorageRoot) -> Result<OpenedCell, E>,
) -> Result<Private, WitnessError<E>> {
    public.check_count(profile)?;
    if inventory.root() != public.inventory_root || inventory.count() != public.shard_count {
        return Err(WitnessError::OtherInventory);
    }
    let mut private = Private {
        samples: Vec::with_capacity(profile.samples()),
    };
    for sample in select(public.seed, public.shard_count, profile) {
        let Sample { shard, cell } = sample;
        let root = inventory.get(shard).ok_or(WitnessError::OtherInventory)?;
        let opened = open(sample, root).map_err(|source| WitnessError::Cell {
            shard,
            cell,
            source,
        })?;
        private.samples.push(SampleWitness {
            cell: cell_elements(&opened.bytes),
            shard_path: opened.path,
            inventory_path: inventory.path(shard)?,
        });
    }
    Ok(private)
}
