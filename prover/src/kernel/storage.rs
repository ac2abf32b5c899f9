//! A shard's tree, eight cells and eight nodes at a time: the same digests as [`circuits::storage`].

use super::{
    Kernel,
    convert::set_lane,
    lanes::Lanes,
    modulus::{LIMB_MASK, LIMBS, Limbs},
    poseidon2,
    words::{LANES, Words},
};
use circuits::{
    Fr,
    storage::{
        self, CELL_BYTES, CELL_ELEMENTS, ELEMENT_BYTES, SHARD_BYTES, StorageError, StorageTree,
    },
    tree::ARITY,
};
use rayon::prelude::*;

/// Hashes a shard on all threads of the current rayon pool.
///
/// # Errors
/// [`StorageError::ShardLength`] unless there are exactly [`SHARD_BYTES`] bytes.
pub fn storage_tree(kernel: Kernel, shard: &[u8]) -> Result<StorageTree, StorageError> {
    if shard.len() != SHARD_BYTES {
        return Err(StorageError::ShardLength { found: shard.len() });
    }
    StorageTree::from_digests_with(cell_digests(kernel, shard), |level| parents(kernel, level))
}

/// Digests of the whole cells in `bytes`, in order; a trailing part of a cell is left out.
#[must_use]
pub fn cell_digests(kernel: Kernel, bytes: &[u8]) -> Vec<Fr> {
    match kernel {
        Kernel::Scalar => storage::cell_digests(bytes),
        #[cfg(target_arch = "x86_64")]
        Kernel::Ifma(ifma) => {
            let (cells, _) = bytes.as_chunks::<CELL_BYTES>();
            cells
                .par_chunks(LANES)
                .flat_map_iter(|cells| {
                    let digests = ifma.run(
                        #[inline(always)]
                        || digest_cells::<super::ifma::Words512>(ifma, cells),
                    );
                    digests.into_iter().take(cells.len())
                })
                .collect()
        }
    }
}

/// The nodes over every eight of `level`, whose missing last ones are 0.
#[must_use]
pub fn parents(kernel: Kernel, level: &[Fr]) -> Vec<Fr> {
    match kernel {
        Kernel::Scalar => level
            .par_chunks(ARITY)
            .map(|children| circuits::poseidon2::compress_8(&child_of(children)))
            .collect(),
        #[cfg(target_arch = "x86_64")]
        Kernel::Ifma(ifma) => level
            .par_chunks(ARITY * LANES)
            .flat_map_iter(|children| {
                let nodes = ifma.run(
                    #[inline(always)]
                    || hash_nodes::<super::ifma::Words512>(ifma, children),
                );
                nodes.into_iter().take(children.len().div_ceil(ARITY))
            })
            .collect(),
    }
}

/// Up to eight children of one node, the missing ones being 0.
fn child_of(children: &[Fr]) -> [Fr; ARITY] {
    let mut all = [Fr::default(); ARITY];
    for (place, child) in all.iter_mut().zip(children) {
        *place = *child;
    }
    all
}

/// Digests of up to eight cells.
#[inline(always)]
#[cfg_attr(not(target_arch = "x86_64"), allow(dead_code))]
pub(super) fn digest_cells<W: Words>(
    backend: W::Backend,
    cells: &[[u8; CELL_BYTES]],
) -> [Fr; LANES] {
    let mut input = [Lanes::zero(backend); CELL_ELEMENTS];
    for (position, lanes) in input.iter_mut().enumerate() {
        let mut limbs = [[0; LANES]; LIMBS];
        for (lane, cell) in cells[..cells.len().min(LANES)].iter().enumerate() {
            let (elements, _) = cell.as_chunks::<ELEMENT_BYTES>();
            set_lane(&mut limbs, lane, element_limbs(&elements[position]));
        }
        *lanes = Lanes::<Fr, W>::load(backend, &limbs).enter_montgomery_form();
    }
    poseidon2::width_16().compress(&input).to_fields()
}

/// 31 little-endian bytes as limbs: words that start at the byte in which a limb starts, or up to three before.
#[inline(always)]
fn element_limbs(bytes: &[u8; ELEMENT_BYTES]) -> Limbs {
    let word = |at: usize| {
        let mut word = [0; 8];
        word.copy_from_slice(&bytes[at..at + 8]);
        u64::from_le_bytes(word)
    };
    [
        word(0) & LIMB_MASK,
        word(6) >> 4 & LIMB_MASK,
        word(13) & LIMB_MASK,
        word(19) >> 4 & LIMB_MASK,
        word(23) >> 24,
    ]
}

/// The nodes over up to 64 children, the missing ones being 0.
#[inline(always)]
#[cfg_attr(not(target_arch = "x86_64"), allow(dead_code))]
pub(super) fn hash_nodes<W: Words>(backend: W::Backend, children: &[Fr]) -> [Fr; LANES] {
    let mut all = [Fr::default(); ARITY * LANES];
    for (place, child) in all.iter_mut().zip(children) {
        *place = *child;
    }
    let (nodes, _) = all.as_chunks::<ARITY>();
    let mut input = [Lanes::zero(backend); ARITY];
    for (position, lanes) in input.iter_mut().enumerate() {
        let mut column = [Fr::default(); LANES];
        for (child, node) in column.iter_mut().zip(nodes) {
            *child = node[position];
        }
        *lanes = Lanes::<Fr, W>::from_fields(backend, &column);
    }
    poseidon2::width_8().compress(&input).to_fields()
}
