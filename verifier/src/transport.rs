//! The transport tree: what clients and probes check byte ranges against.
//!
//! BLAKE3 Merkle tree over 256 leaves of 7,936 bytes (16 cells), in the two contexts below. Any contiguous range of
//! leaves is served with one proof. Protocol: section 2.

use alloy_primitives::B256;
use circuits::storage::SHARD_BYTES;
use merkle_cbt::{CBMT, MerkleProof, merkle_tree::Merge};

/// Leaves of a shard.
pub const LEAVES: usize = 256;
/// Bytes of a leaf.
pub const LEAF_BYTES: usize = SHARD_BYTES / LEAVES;

/// BLAKE3 `derive_key` context of a leaf.
pub const LEAF_CONTEXT: &str = "probity leaf v1";
/// BLAKE3 `derive_key` context of an inner node.
pub const NODE_CONTEXT: &str = "probity node v1";

const _: () = assert!(LEAF_BYTES * LEAVES == SHARD_BYTES && LEAF_BYTES == 7_936);

struct Blake3Merge;

impl Merge for Blake3Merge {
    type Item = B256;

    fn merge(left: &B256, right: &B256) -> B256 {
        let mut hasher = blake3::Hasher::new_derive_key(NODE_CONTEXT);
        hasher.update(left.as_slice());
        hasher.update(right.as_slice());
        B256::new(hasher.finalize().into())
    }
}

/// A range or its proof is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TransportError {
    /// The range is empty or reaches past the last leaf.
    #[error("leaves {first}..{} are not a range of a shard's {LEAVES} leaves", first + count)]
    Range {
        /// First leaf asked for.
        first: usize,
        /// Number of leaves asked for.
        count: usize,
    },
    /// The data is not as long as the range.
    #[error("{actual} bytes where {expected} are expected")]
    Length {
        /// Bytes of the range.
        expected: usize,
        /// Bytes given.
        actual: usize,
    },
    /// Bytes and proof do not lead to the root.
    #[error("bytes and proof do not lead to the transport root of the deal")]
    Root,
}

/// Hash of one leaf of 7,936 bytes.
pub fn leaf_hash(leaf: &[u8]) -> B256 {
    let mut hasher = blake3::Hasher::new_derive_key(LEAF_CONTEXT);
    hasher.update(leaf);
    B256::new(hasher.finalize().into())
}

/// All nodes of one shard's transport tree.
pub struct TransportTree {
    tree: merkle_cbt::MerkleTree<B256, Blake3Merge>,
}

impl TransportTree {
    /// Hashes a shard.
    ///
    /// # Errors
    /// [`TransportError::Length`] unless `shard` has [`SHARD_BYTES`] bytes.
    pub fn from_shard(shard: &[u8]) -> Result<Self, TransportError> {
        if shard.len() != SHARD_BYTES {
            return Err(TransportError::Length {
                expected: SHARD_BYTES,
                actual: shard.len(),
            });
        }
        Ok(Self::from_leaf_hashes(
            &shard
                .chunks_exact(LEAF_BYTES)
                .map(leaf_hash)
                .collect::<Vec<_>>(),
        ))
    }

    fn from_leaf_hashes(leaves: &[B256]) -> Self {
        Self {
            tree: CBMT::build_merkle_tree(leaves),
        }
    }

    /// The shard's transport root.
    pub fn root(&self) -> B256 {
        self.tree.root()
    }

    /// Sibling hashes that lead leaves `first .. first + count` to the root, in the order [`verify_range`] takes them.
    ///
    /// # Errors
    /// [`TransportError::Range`] for an empty range or one past the end.
    pub fn prove_range(&self, first: usize, count: usize) -> Result<Vec<B256>, TransportError> {
        let indices = leaf_indices(first, count)?;
        self.tree
            .build_proof(&indices)
            .map(|proof| proof.lemmas().to_vec())
            .ok_or(TransportError::Range { first, count })
    }
}

fn leaf_indices(first: usize, count: usize) -> Result<Vec<u32>, TransportError> {
    let error = TransportError::Range { first, count };
    let end = first.checked_add(count).ok_or(error)?;
    if count == 0 || end > LEAVES {
        return Err(error);
    }
    (first..end)
        .map(|index| u32::try_from(index).map_err(|_| error))
        .collect()
}

/// Checks that `data` is the bytes of leaves `first .. first + count` of the shard with this transport root.
///
/// The indices are the caller's own, never the prover's.
///
/// # Errors
/// [`TransportError`] naming what does not fit.
pub fn verify_range(
    root: &B256,
    first: usize,
    count: usize,
    data: &[u8],
    lemmas: &[B256],
) -> Result<(), TransportError> {
    let indices = leaf_indices(first, count)?;
    if data.len() != count * LEAF_BYTES {
        return Err(TransportError::Length {
            expected: count * LEAF_BYTES,
            actual: data.len(),
        });
    }
    let leaf_base = 255u32;
    // merkle-cbt sorts the leaves it is given and pairs them with the indices in their order: sort both together.
    let mut leaves: Vec<(B256, u32)> = data
        .chunks_exact(LEAF_BYTES)
        .map(leaf_hash)
        .zip(indices.iter().map(|index| index + leaf_base))
        .collect();
    leaves.sort_unstable();
    let (hashes, positions): (Vec<B256>, Vec<u32>) = leaves.into_iter().unzip();
    if MerkleProof::<B256, Blake3Merge>::new(positions, lemmas.to_vec()).verify(root, &hashes) {
        Ok(())
    } else {
        Err(TransportError::Root)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::cast_possible_truncation)]
    use super::*;

    fn shard() -> Vec<u8> {
        let mut bytes = vec![0; SHARD_BYTES];
        blake3::Hasher::new()
            .update(b"transport test")
            .finalize_xof()
            .fill(&mut bytes);
        bytes
    }

    #[test]
    fn every_range_is_proven_and_no_other_range_with_its_proof() {
        let shard = shard();
        let tree = TransportTree::from_shard(&shard).unwrap();
        for (first, count) in [(0, 1), (255, 1), (0, 256), (17, 5), (100, 64), (3, 2)] {
            let lemmas = tree.prove_range(first, count).unwrap();
            let data = &shard[first * LEAF_BYTES..(first + count) * LEAF_BYTES];
            assert_eq!(
                verify_range(&tree.root(), first, count, data, &lemmas),
                Ok(())
            );
            let other = if first > 0 { first - 1 } else { first + 1 };
            if other + count <= LEAVES {
                assert_eq!(
                    verify_range(&tree.root(), other, count, data, &lemmas),
                    Err(TransportError::Root)
                );
            }
        }
    }

    #[test]
    fn equal_leaves_are_proven_too() {
        let shard = vec![0; SHARD_BYTES];
        let tree = TransportTree::from_shard(&shard).unwrap();
        let lemmas = tree.prove_range(8, 4).unwrap();
        assert_eq!(
            verify_range(&tree.root(), 8, 4, &shard[..4 * LEAF_BYTES], &lemmas),
            Ok(())
        );
    }

    #[test]
    fn a_changed_byte_is_noticed_wherever_it_is() {
        let shard = shard();
        let tree = TransportTree::from_shard(&shard).unwrap();
        let lemmas = tree.prove_range(40, 2).unwrap();
        let mut data = shard[40 * LEAF_BYTES..42 * LEAF_BYTES].to_vec();
        for at in (0..data.len()).step_by(97) {
            data[at] ^= 1;
            assert_eq!(
                verify_range(&tree.root(), 40, 2, &data, &lemmas),
                Err(TransportError::Root)
            );
            data[at] ^= 1;
        }
        let mut shuffled = lemmas.clone();
        shuffled.swap(0, 1);
        assert_eq!(
            verify_range(&tree.root(), 40, 2, &data, &shuffled),
            Err(TransportError::Root)
        );
        assert_eq!(
            verify_range(&tree.root(), 40, 2, &data, &lemmas[1..]),
            Err(TransportError::Root)
        );
    }

    #[test]
    fn two_leaves_in_exchanged_order_are_refused() {
        let shard = shard();
        let tree = TransportTree::from_shard(&shard).unwrap();
        let lemmas = tree.prove_range(0, 2).unwrap();
        let mut data = shard[LEAF_BYTES..2 * LEAF_BYTES].to_vec();
        data.extend_from_slice(&shard[..LEAF_BYTES]);
        assert_eq!(
            verify_range(&tree.root(), 0, 2, &data, &lemmas),
            Err(TransportError::Root)
        );
    }

    #[test]
    fn a_range_past_the_end_is_refused() {
        let tree = TransportTree::from_shard(&shard()).unwrap();
        assert!(matches!(
            tree.prove_range(256, 1),
            Err(TransportError::Range { .. })
        ));
        assert!(matches!(
            tree.prove_range(5, 0),
            Err(TransportError::Range { .. })
        ));
        assert!(matches!(
            tree.prove_range(usize::MAX, 2),
            Err(TransportError::Range { .. })
        ));
    }
}
