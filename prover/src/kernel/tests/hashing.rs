//! Permutations and trees of the lanes against the native ones of the circuits.

use crate::kernel::{
    lanes::Lanes,
    poseidon2,
    storage::{cell_digests, digest_cells, hash_nodes, parents, storage_tree},
    tests::{Check, elements, everywhere, kernels, once, random},
    words::{LANES, Words},
};
use circuits::{
    Fr, poseidon2 as native,
    storage::{CELL_BYTES, SHARD_BYTES, StorageError, StorageTree, cell_digest},
};
use rand::RngCore;
use std::array;

struct Permutations;

impl Check for Permutations {
    fn run<W: Words>(&self, backend: W::Backend) {
        let elements = elements::<Fr>();
        // States of edge values, of one element each, and of random ones.
        for shift in [0, 1, 5, 11, 16] {
            let at = |lane: usize, position: usize| match shift {
                0 => elements[lane],
                _ => elements[(shift * lane + position) % elements.len()],
            };
            let mut wide: [Lanes<Fr, W>; 16] = array::from_fn(|position| {
                once::from_fields(backend, &array::from_fn(|lane| at(lane, position)))
            });
            let mut narrow: [Lanes<Fr, W>; 8] = array::from_fn(|position| wide[position]);
            let digests = once::to_fields(&poseidon2::width_16().compress(&wide));
            let nodes = once::to_fields(&poseidon2::width_8().compress(&narrow));
            poseidon2::width_16().permute(&mut wide);
            poseidon2::width_8().permute(&mut narrow);
            let wide = wide.map(|lanes| once::to_fields(&lanes));
            let narrow = narrow.map(|lanes| once::to_fields(&lanes));
            for lane in 0..LANES {
                let input: [Fr; 16] = array::from_fn(|position| at(lane, position));
                let mut state = input;
                native::width_16().permute(&mut state);
                assert_eq!(wide.map(|fields| fields[lane]), state);
                assert_eq!(digests[lane], native::compress_16(&input));
                let input: [Fr; 8] = array::from_fn(|position| at(lane, position));
                let mut state = input;
                native::width_8().permute(&mut state);
                assert_eq!(narrow.map(|fields| fields[lane]), state);
                assert_eq!(nodes[lane], native::compress_8(&input));
            }
        }
    }
}

#[test]
fn permutations_are_those_of_the_circuits() {
    everywhere("Poseidon2", &Permutations);
}

struct Cells;

impl Check for Cells {
    fn run<W: Words>(&self, backend: W::Backend) {
        let mut cells = [[0; CELL_BYTES]; LANES];
        random().fill_bytes(cells.as_flattened_mut());
        cells[0] = [0; CELL_BYTES];
        cells[7] = [0xff; CELL_BYTES];
        assert_eq!(
            digest_cells::<W>(backend, &cells),
            cells.map(|cell| cell_digest(&cell))
        );
        let few = digest_cells::<W>(backend, &cells[5..]);
        assert_eq!(few[..3], cells.map(|cell| cell_digest(&cell))[5..]);

        let elements = elements::<Fr>();
        let children: [Fr; 64] = array::from_fn(|i| elements[i % elements.len()]);
        let (nodes, _) = children.as_chunks::<8>();
        let expected: Vec<Fr> = nodes.iter().map(native::compress_8).collect();
        assert_eq!(hash_nodes::<W>(backend, &children)[..], expected);
    }
}

#[test]
fn digests_of_cells_and_nodes_are_those_of_the_circuits() {
    everywhere("cells and nodes", &Cells);
}

#[test]
fn every_kernel_builds_the_same_tree_of_a_shard() {
    let mut shard = vec![0; SHARD_BYTES];
    random().fill_bytes(&mut shard);
    let expected = StorageTree::from_shard(&shard).unwrap();
    for kernel in kernels("a shard's tree") {
        assert!(
            storage_tree(kernel, &shard).unwrap() == expected,
            "{kernel}"
        );
        let refused = StorageError::ShardLength {
            found: SHARD_BYTES - 1,
        };
        assert_eq!(storage_tree(kernel, &shard[1..]), Err(refused));
    }
}

#[test]
fn every_kernel_hashes_pieces_and_incomplete_levels_alike() {
    let mut bytes = vec![0; 19 * CELL_BYTES + 5];
    random().fill_bytes(&mut bytes);
    let (cells, _) = bytes.as_chunks::<CELL_BYTES>();
    let expected: Vec<Fr> = cells.iter().map(cell_digest).collect();
    for kernel in kernels("pieces and incomplete levels") {
        assert_eq!(cell_digests(kernel, &bytes), expected);
        assert_eq!(cell_digests(kernel, &[]), []);
        let mut padded = expected.clone();
        padded.resize(24, Fr::default());
        let (nodes, _) = padded.as_chunks::<8>();
        let above: Vec<Fr> = nodes.iter().map(native::compress_8).collect();
        assert_eq!(parents(kernel, &expected), above);
        assert_eq!(parents(kernel, &[]), []);
    }
}
