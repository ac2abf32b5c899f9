//! A shard's tree, eight cells and eight nodes at a time: the same digests as [`circuits::storage`].

use super::{
    Kernel,
    lanes::Lanes,
    modulus::{LIMB_BITS, LIMBS},
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
            by_lanes(cells, cells.len(), LANES, |cells| {
                ifma.run(
                    #[inline(always)]
                    || digest_cells::<super::ifma::Words512>(ifma, cells),
                )
            })
        }
    }
}

/// The nodes over every eight of `level`, whose missing last ones are 0.
#[must_use]
pub fn parents(kernel: Kernel, level: &[Fr]) -> Vec<Fr> {
    match kernel {
        Kernel::Scalar => level
            .par_chunks(ARITY)
            .map(|children| circuits::poseidon2::compress_8(&padded(children)))
            .collect(),
        #[cfg(target_arch = "x86_64")]
        Kernel::Ifma(ifma) => by_lanes(
            level,
            level.len().div_ceil(ARITY),
            ARITY * LANES,
            |children| {
                ifma.run(
                    #[inline(always)]
                    || hash_nodes::<super::ifma::Words512>(ifma, children),
                )
            },
        ),
    }
}

/// `results` results, eight of which `vector` gives for every `taken` of `inputs`.
#[cfg_attr(not(target_arch = "x86_64"), allow(dead_code))]
fn by_lanes<T: Sync>(
    inputs: &[T],
    results: usize,
    taken: usize,
    vector: impl Fn(&[T]) -> [Fr; LANES] + Sync,
) -> Vec<Fr> {
    let mut all = vec![Fr::default(); results];
    all.par_chunks_mut(LANES)
        .zip(inputs.par_chunks(taken))
        .for_each(|(results, inputs)| results.copy_from_slice(&vector(inputs)[..results.len()]));
    all
}

/// As many of `some` as there are places, then zeros.
fn padded<const N: usize>(some: &[Fr]) -> [Fr; N] {
    let mut all = [Fr::default(); N];
    for (place, value) in all.iter_mut().zip(some) {
        *place = *value;
    }
    all
}

/// Digests of up to eight cells.
///
/// Two elements of 31 bytes fit into a vector of words. Eight such rows, one of each cell, are transposed, and their limbs
/// shifted out of the columns.
#[inline(always)]
#[cfg_attr(not(target_arch = "x86_64"), allow(dead_code))]
pub(super) fn digest_cells<W: Words>(
    backend: W::Backend,
    cells: &[[u8; CELL_BYTES]],
) -> [Fr; LANES] {
    let mut input = [Lanes::zero(backend); CELL_ELEMENTS];
    let (pairs, _) = input.as_chunks_mut::<2>();
    for (number, pair) in pairs.iter_mut().enumerate() {
        // The row of the last two would reach 16 bits past the cell: it starts as much earlier.
        let at = number * 2 * ELEMENT_BYTES;
        *pair = if at + ROW_BYTES <= CELL_BYTES {
            element_pair::<0, W>(cell_rows(backend, cells, at))
        } else {
            element_pair::<16, W>(cell_rows(backend, cells, at - 2))
        };
    }
    poseidon2::width_16().compress(&input).to_fields()
}

/// Bytes of a vector of words.
const ROW_BYTES: usize = 8 * LANES;

/// Eight words of each cell, from one place on; missing cells are zeros.
#[inline(always)]
fn cell_rows<W: Words>(backend: W::Backend, cells: &[[u8; CELL_BYTES]], at: usize) -> [W; LANES] {
    let mut rows = [W::splat(backend, 0); LANES];
    for (row, cell) in rows.iter_mut().zip(cells) {
        let (bytes, _) = cell[at..at + ROW_BYTES].as_chunks::<8>();
        let mut words = [0; LANES];
        for (word, bytes) in words.iter_mut().zip(bytes) {
            *word = u64::from_le_bytes(*bytes);
        }
        *row = W::load(backend, &words);
    }
    rows
}

/// The two elements of 31 bytes that rows hold from bit `START` on. Below 2 p.
#[inline(always)]
fn element_pair<const START: u32, W: Words>(rows: [W; LANES]) -> [Lanes<Fr, W>; 2] {
    let words = W::transpose(rows);
    [
        element::<W>(&words, START),
        element::<W>(&words, START + ELEMENT_BITS),
    ]
}

/// Bits of an element.
const ELEMENT_BITS: u32 = 248;

const _: () = assert!(ELEMENT_BITS as usize == 8 * ELEMENT_BYTES);

/// The element that starts at a bit of the words.
#[inline(always)]
fn element<W: Words>(words: &[W; LANES], start: u32) -> Lanes<Fr, W> {
    let backend = words[0].backend();
    let mut limbs = [W::splat(backend, 0); LIMBS];
    for (number, limb) in (0..).zip(&mut limbs) {
        let first = start + number * LIMB_BITS;
        let bits = LIMB_BITS.min(ELEMENT_BITS - number * LIMB_BITS);
        let (word, shift) = ((first / 64) as usize, first % 64);
        *limb = words[word].shr(shift);
        if shift + bits > 64 {
            *limb = limb.or(words[word + 1].shl_wrapping(64 - shift));
        }
        *limb = limb.and(W::splat(backend, (1 << bits) - 1));
    }
    Lanes::from_limbs::<32>(limbs).enter_montgomery_form()
}

/// The nodes over up to 64 children, the missing ones being 0.
#[inline(always)]
#[cfg_attr(not(target_arch = "x86_64"), allow(dead_code))]
pub(super) fn hash_nodes<W: Words>(backend: W::Backend, children: &[Fr]) -> [Fr; LANES] {
    let all: [Fr; ARITY * LANES] = padded(children);
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
