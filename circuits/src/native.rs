//! The circuit's twin: the same statement checked in plain Rust.

use crate::{
    poseidon2,
    profile::Profile,
    sampling::select,
    statement::{CountError, Private, Public},
    tree,
};
use rayon::prelude::*;
use thiserror::Error;

/// The rule of the statement that a witness breaks.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum Violation {
    /// Nothing is stored, so nothing can be proven.
    #[error("shard count is 0: there is nothing to prove")]
    CountZero,
    /// More shards than the inventory tree has leaves.
    #[error("shard count {count} is above the profile's capacity of {capacity}")]
    CountAboveCapacity {
        /// The count claimed.
        count: u64,
        /// 8^depth.
        capacity: u64,
    },
    /// Too few or too many opened cells.
    #[error("the profile asks for {expected} samples, the witness holds {found}")]
    SampleCount {
        /// The profile's number of samples.
        expected: usize,
        /// Samples in the witness.
        found: usize,
    },
    /// An inventory path of another depth.
    #[error("sample {sample}: an inventory path has {expected} levels, found {found}")]
    PathLength {
        /// Index of the sample.
        sample: usize,
        /// The profile's depth.
        expected: usize,
        /// Levels found.
        found: usize,
    },
    /// The cell or one of its paths is not what the inventory root commits to at the selected place.
    #[error("sample {sample}: cell {cell} of shard {shard} does not lead to the inventory root")]
    NotInInventory {
        /// Index of the sample.
        sample: usize,
        /// Index of the selected shard.
        shard: u64,
        /// Index of the selected cell.
        cell: u16,
    },
}

impl From<CountError> for Violation {
    fn from(error: CountError) -> Self {
        match error {
            CountError::Zero => Self::CountZero,
            CountError::AboveCapacity { count, capacity } => {
                Self::CountAboveCapacity { count, capacity }
            }
        }
    }
}

/// Checks that the witness has the shape the circuit is built for.
///
/// # Errors
/// [`Violation::SampleCount`] or [`Violation::PathLength`].
pub fn check_shape(profile: &Profile, private: &Private) -> Result<(), Violation> {
    if private.samples.len() != profile.samples() {
        return Err(Violation::SampleCount {
            expected: profile.samples(),
            found: private.samples.len(),
        });
    }
    for (sample, witness) in private.samples.iter().enumerate() {
        if witness.inventory_path.len() != profile.depth() {
            return Err(Violation::PathLength {
                sample,
                expected: profile.depth(),
                found: witness.inventory_path.len(),
            });
        }
    }
    Ok(())
}

/// Checks the whole statement, on all threads of the current rayon pool.
///
/// # Errors
/// The first [`Violation`] found.
///
/// Protocol: section 4.
pub fn check(profile: &Profile, public: &Public, private: &Private) -> Result<(), Violation> {
    public.check_count(profile)?;
    check_shape(profile, private)?;
    let selected = select(public.seed, public.shard_count, profile);
    let opened = selected.par_iter().zip(&private.samples).enumerate();
    let first = opened.find_map_first(|(sample, (picked, witness))| {
        let digest = poseidon2::compress_16(&witness.cell);
        let storage_root = tree::fold(digest, u64::from(picked.cell), &witness.shard_path);
        let root = tree::fold(storage_root, picked.shard, &witness.inventory_path);
        (root != public.inventory_root).then_some(Violation::NotInInventory {
            sample,
            shard: picked.shard,
            cell: picked.cell,
        })
    });
    first.map_or(Ok(()), Err)
}
