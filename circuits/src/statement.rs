//! The statement a storage proof proves: what everybody sees and what only the prover knows.
//!
//! "For each j < N, I know the 16 elements of the cell that `seed` and j select among the cells of my `shard_count`
//! shards, and their path to `inventory_root`."
//!
//! Protocol: section 4.

use crate::{
    field::Fr,
    profile::Profile,
    storage::{CELL_ELEMENTS, SHARD_LEVELS},
    tree::Siblings,
};
use thiserror::Error;
use zeroize::ZeroizeOnDrop;

/// Names of the public inputs in their order; the circuit, the Solidity verifier and the manifest are made from it.
pub const PUBLIC_INPUTS: [&str; 3] = ["inventory_root", "shard_count", "seed"];

/// What everybody sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Public {
    /// Root of the node's inventory tree.
    pub inventory_root: Fr,
    /// Shards the inventory holds.
    pub shard_count: u64,
    /// Randomness of this node in this epoch, see [`epoch_seed`](crate::seed::epoch_seed).
    pub seed: Fr,
}

/// A shard count for which the statement means nothing.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum CountError {
    /// A node that stores nothing has nothing to prove.
    #[error("shard count is 0: there is nothing to prove")]
    Zero,
    /// The inventory tree has fewer leaves; beyond them the circuit's index equation could wrap around.
    #[error("shard count {count} is above the profile's capacity of {capacity}")]
    AboveCapacity {
        /// The count claimed.
        count: u64,
        /// 8^depth.
        capacity: u64,
    },
}

impl Public {
    /// The field elements in the order of [`PUBLIC_INPUTS`].
    #[must_use]
    pub fn to_inputs(&self) -> [Fr; PUBLIC_INPUTS.len()] {
        [self.inventory_root, Fr::from(self.shard_count), self.seed]
    }

    /// What every verifier must check beside the proof: `1 <= shard_count <= 8^depth`.
    ///
    /// # Errors
    /// [`CountError`].
    pub const fn check_count(&self, profile: &Profile) -> Result<(), CountError> {
        if self.shard_count == 0 {
            return Err(CountError::Zero);
        }
        if self.shard_count > profile.capacity() {
            return Err(CountError::AboveCapacity {
                count: self.shard_count,
                capacity: profile.capacity(),
            });
        }
        Ok(())
    }
}

/// One opened cell. Wiped when dropped.
#[derive(Clone, Debug, PartialEq, Eq, ZeroizeOnDrop)]
pub struct SampleWitness {
    /// The cell's elements.
    pub cell: [Fr; CELL_ELEMENTS],
    /// From the cell's digest to the storage root.
    pub shard_path: [Siblings; SHARD_LEVELS],
    /// From the storage root to the inventory root.
    pub inventory_path: Vec<Siblings>,
}

/// What only the prover knows: an opened cell for each sample. The stored bytes are wiped when it is dropped.
#[derive(Clone, Debug, PartialEq, Eq, ZeroizeOnDrop)]
pub struct Private {
    /// In the order of [`select`](crate::sampling::select).
    pub samples: Vec<SampleWitness>,
}

crate::wiped::wiped_on_drop!(SampleWitness, Private);
