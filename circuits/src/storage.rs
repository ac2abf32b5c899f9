//! One shard: its elements, its cells, and the Poseidon2 tree whose root the deal and the circuit name.
//!
//! Protocol: section 2.

use crate::{
    field::{self, Fr},
    poseidon2,
    tree::{self, Siblings},
};
use rayon::prelude::*;
use std::fmt;
use thiserror::Error;

/// Bytes of a shard that one field element carries.
pub const ELEMENT_BYTES: usize = 31;
/// Field elements of a cell, the unit that is sampled.
pub const CELL_ELEMENTS: usize = 16;
/// Bytes of a cell.
pub const CELL_BYTES: usize = CELL_ELEMENTS * ELEMENT_BYTES;
/// Cells of a shard.
pub const SHARD_CELLS: usize = 4096;
/// Bytes of a shard.
pub const SHARD_BYTES: usize = SHARD_CELLS * CELL_BYTES;
/// Levels of the arity-8 tree over the cells of a shard.
pub const SHARD_LEVELS: usize = 4;

/// What can be wrong with bytes that claim to be a shard, its tree or its root.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum StorageError {
    /// A shard has one size only.
    #[error("a shard has {SHARD_BYTES} bytes, found {found}")]
    ShardLength {
        /// Bytes found.
        found: usize,
    },
    /// A tree is made from one digest per cell.
    #[error("a shard has {SHARD_CELLS} cells, found {found} digests")]
    DigestCount {
        /// Digests found.
        found: usize,
    },
    /// A field element must be below r, so that each has one encoding.
    #[error("field element is not below the group order of BN254")]
    NotCanonical,
}

/// Root of a shard's Poseidon2 tree: the commitment that the circuit sees.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct StorageRoot(Fr);

impl StorageRoot {
    /// Names a field element as a root.
    #[must_use]
    pub const fn new(root: Fr) -> Self {
        Self(root)
    }

    /// The root as the circuit sees it.
    #[must_use]
    pub const fn as_field(&self) -> Fr {
        self.0
    }

    /// 32 bytes big-endian, as on the wire and in the ABI.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; 32] {
        field::to_be_bytes(&self.0)
    }

    /// Decodes 32 big-endian bytes.
    ///
    /// # Errors
    /// [`StorageError::NotCanonical`] if the number is not below r.
    pub fn from_bytes(bytes: &[u8; 32]) -> Result<Self, StorageError> {
        field::from_be_bytes(bytes)
            .map(Self)
            .ok_or(StorageError::NotCanonical)
    }
}

impl fmt::Debug for StorageRoot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StorageRoot({self})")
    }
}

impl fmt::Display for StorageRoot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "0x{}", hex::encode(self.to_bytes()))
    }
}

/// Splits a cell into its field elements, 31 little-endian bytes each.
#[must_use]
pub fn cell_elements(cell: &[u8; CELL_BYTES]) -> [Fr; CELL_ELEMENTS] {
    std::array::from_fn(|i| {
        let mut element = [0; ELEMENT_BYTES];
        element.copy_from_slice(&cell[i * ELEMENT_BYTES..(i + 1) * ELEMENT_BYTES]);
        field::from_le_31(&element)
    })
}

/// Digest of a cell: Poseidon2 of width 16 over its elements, in compression mode.
#[must_use]
pub fn cell_digest(cell: &[u8; CELL_BYTES]) -> Fr {
    poseidon2::compress_16(&cell_elements(cell))
}

/// Digests of the whole cells in `bytes`, computed on all threads of the current rayon pool.
///
/// A trailing part of a cell is left out, so a stream may be hashed piece by piece.
#[must_use]
pub fn cell_digests(bytes: &[u8]) -> Vec<Fr> {
    let (cells, _) = bytes.as_chunks::<CELL_BYTES>();
    cells.par_iter().map(cell_digest).collect()
}

/// All nodes of one shard's tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StorageTree {
    /// Cell digests first, the root's eight children last.
    levels: Vec<Vec<Fr>>,
    root: Fr,
}

impl StorageTree {
    /// Hashes a shard.
    ///
    /// # Errors
    /// [`StorageError::ShardLength`] unless there are exactly [`SHARD_BYTES`] bytes.
    pub fn from_shard(shard: &[u8]) -> Result<Self, StorageError> {
        if shard.len() != SHARD_BYTES {
            return Err(StorageError::ShardLength { found: shard.len() });
        }
        Self::from_digests(cell_digests(shard))
    }

    /// Builds the tree over cell digests that were computed before.
    ///
    /// # Errors
    /// [`StorageError::DigestCount`] unless there is one digest for each cell.
    pub fn from_digests(digests: Vec<Fr>) -> Result<Self, StorageError> {
        Self::from_digests_with(digests, |level| tree::parents(level, Fr::default()))
    }

    /// Builds the tree with the caller's own way of hashing a level: for code that computes many Poseidon2 permutations
    /// at once.
    ///
    /// `parents` gives [`poseidon2::compress_8`] of every eight nodes, in order. The tree is the caller's word for it.
    ///
    /// # Errors
    /// [`StorageError::DigestCount`] unless there is one digest for each cell.
    ///
    /// # Panics
    /// If `parents` does not give an eighth of what it gets.
    pub fn from_digests_with(
        digests: Vec<Fr>,
        mut parents: impl FnMut(&[Fr]) -> Vec<Fr>,
    ) -> Result<Self, StorageError> {
        if digests.len() != SHARD_CELLS {
            return Err(StorageError::DigestCount {
                found: digests.len(),
            });
        }
        let mut levels = Vec::with_capacity(SHARD_LEVELS);
        let mut level = digests;
        for _ in 0..SHARD_LEVELS {
            let next = parents(&level);
            assert_eq!(
                next.len() * tree::ARITY,
                level.len(),
                "nodes of the next level"
            );
            levels.push(std::mem::replace(&mut level, next));
        }
        Ok(Self {
            levels,
            root: level[0],
        })
    }

    /// The root.
    #[must_use]
    pub const fn root(&self) -> StorageRoot {
        StorageRoot(self.root)
    }

    /// The siblings on the way from a cell to the root, cell level first.
    ///
    /// # Panics
    /// If `cell` is not below [`SHARD_CELLS`].
    #[must_use]
    pub fn path(&self, cell: u16) -> [Siblings; SHARD_LEVELS] {
        let cell = usize::from(cell);
        assert!(
            cell < SHARD_CELLS,
            "cell {cell} of a shard of {SHARD_CELLS}"
        );
        std::array::from_fn(|level| {
            tree::siblings(&self.levels[level], cell >> (3 * level), Fr::default())
        })
    }

    /// The digests of the cells, in order.
    #[must_use]
    pub fn digests(&self) -> &[Fr] {
        &self.levels[0]
    }

    /// The nodes of a level, in order: level 0 are the digests of the cells, the last one is that below the root.
    ///
    /// # Panics
    /// If `level` is not below [`SHARD_LEVELS`].
    #[must_use]
    pub fn level(&self, level: usize) -> &[Fr] {
        &self.levels[level]
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::cast_possible_truncation)]
    use super::*;
    use crate::tree::fold;

    fn shard() -> Vec<u8> {
        let mut bytes = vec![0; SHARD_BYTES];
        blake3::Hasher::new_derive_key("probity storage test")
            .finalize_xof()
            .fill(&mut bytes);
        bytes
    }

    #[test]
    fn every_sort_of_cell_folds_to_the_root() {
        let shard = shard();
        let tree = StorageTree::from_shard(&shard).unwrap();
        for cell in [0u16, 1, 7, 8, 511, 512, 2048, 4095] {
            let at = usize::from(cell) * CELL_BYTES;
            let digest = cell_digest(shard[at..at + CELL_BYTES].try_into().unwrap());
            assert_eq!(
                fold(digest, u64::from(cell), &tree.path(cell)),
                tree.root().as_field()
            );
            let other = fold(digest, u64::from(cell) ^ 1, &tree.path(cell));
            assert_ne!(other, tree.root().as_field(), "a cell has one place only");
        }
    }

    #[test]
    fn a_changed_byte_changes_the_root() {
        let mut shard = shard();
        let before = StorageTree::from_shard(&shard).unwrap().root();
        shard[SHARD_BYTES - 1] ^= 0x80;
        assert_ne!(StorageTree::from_shard(&shard).unwrap().root(), before);
    }

    #[test]
    fn a_shard_of_another_size_is_refused() {
        assert_eq!(
            StorageTree::from_shard(&vec![0; SHARD_BYTES + 1]),
            Err(StorageError::ShardLength {
                found: SHARD_BYTES + 1
            })
        );
        assert_eq!(
            StorageTree::from_shard(&[]),
            Err(StorageError::ShardLength { found: 0 })
        );
    }

    #[test]
    fn a_root_that_is_not_below_r_is_refused() {
        assert_eq!(
            StorageRoot::from_bytes(&[0xff; 32]),
            Err(StorageError::NotCanonical)
        );
        let root = StorageTree::from_shard(&shard()).unwrap().root();
        assert_eq!(StorageRoot::from_bytes(&root.to_bytes()), Ok(root));
    }
}
