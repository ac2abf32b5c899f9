//! OpenZeppelin's StandardMerkleTree: leaves sorted, inner nodes hash their children as a sorted pair. What a contract checks with
//! `MerkleProof.verify`.

use alloy_primitives::{B256, keccak256};
use merkle_cbt::{CBMT, MerkleTree, merkle_tree::Merge};

struct SortedPair;

impl Merge for SortedPair {
    type Item = B256;

    fn merge(left: &B256, right: &B256) -> B256 {
        let (low, high) = if left < right {
            (left, right)
        } else {
            (right, left)
        };
        keccak256([low.as_slice(), high.as_slice()].concat())
    }
}

/// A tree over leaves that are hashes.
pub(crate) struct SortedTree {
    leaves: Vec<B256>,
    tree: MerkleTree<B256, SortedPair>,
}

impl SortedTree {
    /// Builds the tree; the order of leaves does not matter.
    pub(crate) fn new(leaves: impl IntoIterator<Item = B256>) -> Self {
        let mut leaves: Vec<B256> = leaves.into_iter().collect();
        leaves.sort_unstable_by(|a, b| b.cmp(a));
        Self {
            tree: CBMT::build_merkle_tree(&leaves),
            leaves,
        }
    }

    /// The root; zero for an empty tree.
    pub(crate) fn root(&self) -> B256 {
        self.tree.root()
    }

    /// Siblings from a leaf to the root, or `None` if it is not in the tree.
    pub(crate) fn proof(&self, leaf: B256) -> Option<Vec<B256>> {
        let at = self.leaves.binary_search_by(|probe| leaf.cmp(probe)).ok()?;
        self.tree
            .build_proof(&[u32::try_from(at).ok()?])
            .map(|proof| proof.lemmas().to_vec())
    }
}

/// The root that a proof leads to from a leaf.
pub(crate) fn climb(leaf: B256, proof: &[B256]) -> B256 {
    proof
        .iter()
        .fold(leaf, |node, sibling| SortedPair::merge(&node, sibling))
}
