//! What the storage tree and the inventory tree share: arity-8 nodes, siblings and folding a path.

use crate::{field::Fr, poseidon2};
use rayon::prelude::*;

/// Children of an inner node.
pub const ARITY: usize = 8;

/// The other children of a node on a path, in ascending order, without the node itself.
pub type Siblings = [Fr; ARITY - 1];

/// Puts `child` among its `siblings` at `position` (taken modulo 8).
#[must_use]
pub fn children(child: Fr, siblings: &Siblings, position: usize) -> [Fr; ARITY] {
    let position = position % ARITY;
    std::array::from_fn(|i| match i.cmp(&position) {
        std::cmp::Ordering::Less => siblings[i],
        std::cmp::Ordering::Equal => child,
        std::cmp::Ordering::Greater => siblings[i - 1],
    })
}

/// The root that a leaf at `index` has under a path, leaf level first.
#[must_use]
pub fn fold(leaf: Fr, index: u64, path: &[Siblings]) -> Fr {
    let mut index = index;
    path.iter().fold(leaf, |node, siblings| {
        let position = (index & 7) as usize;
        index >>= 3;
        poseidon2::compress_8(&children(node, siblings, position))
    })
}

/// The siblings of node `index` in a level whose nodes beyond the end are all `empty`.
pub(crate) fn siblings(level: &[Fr], index: usize, empty: Fr) -> Siblings {
    let first = index - index % ARITY;
    std::array::from_fn(|i| {
        let node = first + i + usize::from(first + i >= index);
        level.get(node).copied().unwrap_or(empty)
    })
}

/// The level above `level`, with `empty` in the places of the last node's missing children.
pub(crate) fn parents(level: &[Fr], empty: Fr) -> Vec<Fr> {
    level
        .par_chunks(ARITY)
        .map(|chunk| parent(chunk, empty))
        .collect()
}

/// The node over up to eight children, the missing ones being `empty`.
pub(crate) fn parent(chunk: &[Fr], empty: Fr) -> Fr {
    poseidon2::compress_8(&std::array::from_fn(|i| {
        chunk.get(i).copied().unwrap_or(empty)
    }))
}
