//! Facts about the two linear layers together: diffusion of the external one, and what passes both.
#![allow(clippy::unwrap_used, clippy::cast_possible_truncation)]

use super::{Poseidon2, conditions, diagonal, external, sbox};
use crate::field::Fr;
use ark_ff::{AdditiveGroup, Field, Zero};

const M4: [[i64; 4]; 4] = [[5, 7, 1, 3], [4, 6, 1, 1], [1, 3, 5, 7], [1, 1, 4, 6]];

/// circ(2 M4, M4, …, M4) as small integers.
fn external_matrix(width: usize) -> Vec<Vec<i64>> {
    let entry = |i: usize, j: usize| M4[i % 4][j % 4] * if i / 4 == j / 4 { 2 } else { 1 };
    (0..width)
        .map(|i| (0..width).map(|j| entry(i, j)).collect())
        .collect()
}

/// Whether the columns of a small matrix are independent over the integers, by Bareiss elimination, which is exact. All numbers
/// on the way are minors; those used here stay below 2^60 and so, unless zero, are not zero modulo the group order.
fn independent_columns(mut rows: Vec<Vec<i128>>) -> bool {
    let columns = rows.first().map_or(0, Vec::len);
    let mut previous = 1;
    for k in 0..columns {
        let Some(pivot) = (k..rows.len()).find(|&i| rows[i][k] != 0) else {
            return false;
        };
        rows.swap(k, pivot);
        for i in k + 1..rows.len() {
            for j in k + 1..columns {
                let minor = rows[k][k] * rows[i][j] - rows[i][k] * rows[k][j];
                rows[i][j] = minor / previous;
                assert!(rows[i][j].unsigned_abs() < 1 << 60);
            }
        }
        previous = rows[k][k];
    }
    true
}

fn subsets(width: usize, size: usize) -> impl Iterator<Item = u32> {
    (0u32..1 << width).filter(move |set| set.count_ones() as usize == size)
}

/// Supports that differ by an exchange of blocks are alike: the one with the blocks in descending order stands for them.
fn is_representative(support: &u32) -> bool {
    let blocks: Vec<u32> = (0..8).map(|block| support >> (4 * block) & 15).collect();
    blocks.is_sorted_by(|a, b| a >= b)
}

/// Whether every difference has more than `weight` active lanes before and after the matrix together: for each support of the
/// input and each of the output that are this small, the rows that would have to vanish have independent columns.
fn branch_number_is_above(weight: usize, matrix: &[Vec<i64>]) -> bool {
    let width = matrix.len();
    (1..=weight.min(width)).all(|size| {
        let outputs: Vec<u32> = subsets(width, weight - size).collect();
        subsets(width, size)
            .filter(is_representative)
            .all(|inputs| {
                outputs.iter().all(|outputs| {
                    let chosen = |i: usize| {
                        (0..width)
                            .filter(|j| inputs >> j & 1 == 1)
                            .map(|j| i128::from(matrix[i][j]))
                            .collect()
                    };
                    let vanishing = (0..width).filter(|i| outputs >> i & 1 == 0);
                    independent_columns(vanishing.map(chosen).collect())
                })
            })
    })
}

#[test]
fn the_function_is_the_matrix() {
    let matrix = external_matrix(16);
    for j in 0..16 {
        let mut column = [Fr::ZERO; 16];
        column[j] = Fr::ONE;
        external(&mut column);
        assert!((0..16).all(|i| column[i] == Fr::from(matrix[i][j])));
    }
}

#[test]
fn the_small_matrix_is_mds() {
    let m4: Vec<Vec<i64>> = M4.iter().map(|row| row.to_vec()).collect();
    assert!(branch_number_is_above(4, &m4), "5 is the most there is");
}

#[test]
#[ignore = "some 300,000 eliminations take a minute; run with --ignored after a change of the matrix"]
fn the_branch_number_of_width_16_is_above_7() {
    assert!(branch_number_is_above(7, &external_matrix(16)));
}

/// t/4 + 4; an MDS matrix of this width would have t + 1.
#[test]
fn the_branch_numbers_of_the_external_matrices_are_6_and_at_most_8() {
    assert!(branch_number_is_above(5, &external_matrix(8)));
    // M4 (-1, 1, -6, 4) = (8, 0, 0, 0) has one active lane, so one such block gives one active lane in each block.
    let block = [-1i64, 1, -6, 4].map(Fr::from);
    let active = |state: &[Fr]| state.iter().filter(|x| !x.is_zero()).count();
    let mut state_8 = [Fr::ZERO; 8];
    state_8[..4].copy_from_slice(&block);
    external(&mut state_8);
    assert_eq!(active(&block) + active(&state_8), 6);
    let mut state_16 = [Fr::ZERO; 16];
    state_16[..4].copy_from_slice(&block);
    external(&mut state_16);
    assert_eq!(active(&block) + active(&state_16), 8);
}

/// x in one block, -x in another, zero elsewhere.
fn opposite<const T: usize>(first: usize, second: usize, x: [Fr; 4]) -> [Fr; T] {
    let mut state = [Fr::ZERO; T];
    state[4 * first..][..4].copy_from_slice(&x);
    state[4 * second..][..4].copy_from_slice(&x.map(|x| -x));
    state
}

fn is_opposite<const T: usize>(first: usize, second: usize, state: &[Fr; T]) -> bool {
    let mut x = [Fr::ZERO; 4];
    x.copy_from_slice(&state[4 * first..][..4]);
    *state == opposite(first, second, x)
}

fn pairs(width: usize) -> impl Iterator<Item = (usize, usize)> {
    let blocks = width / 4;
    (0..blocks).flat_map(move |first| (first + 1..blocks).map(move |second| (first, second)))
}

/// The structure that eprint 2026/306 uses: opposite blocks stay opposite in the external layer, which adds the same to both,
/// and in the S-boxes, which are odd. Only round constants stand in the way, and an attacker pays for them with four free
/// lanes a round.
#[test]
fn opposite_blocks_pass_the_external_layer_and_the_s_boxes() {
    for (first, second) in pairs(16) {
        let mut state: [Fr; 16] = opposite(first, second, [3u64, 1, 4, 15].map(Fr::from));
        for _ in 0..4 {
            external(&mut state);
            assert!(is_opposite(first, second, &state));
            state.iter_mut().for_each(sbox);
            assert!(is_opposite(first, second, &state));
        }
    }
}

#[test]
fn the_round_constants_of_no_two_blocks_cancel_in_any_lane() {
    fn check<const T: usize>(instance: &Poseidon2<T>) {
        for constants in instance.full_constants() {
            for (first, second) in pairs(T) {
                for lane in 0..4 {
                    let sum = constants[4 * first + lane] + constants[4 * second + lane];
                    assert!(!sum.is_zero(), "four conditions every round");
                }
            }
        }
    }
    check(super::width_8());
    check(super::width_16());
}

/// In the partial rounds a pair without lane 0 passes two rounds for nothing, for its sum is zero, and after that each round
/// takes a dimension: five rounds at most, four for a pair with lane 0. It is the same for a random diagonal: that ours
/// repeats itself from block to block, up to a power of two, gives the pair nothing.
#[test]
fn opposite_blocks_pass_five_partial_rounds_at_most() {
    fn check<const T: usize>(diagonal: &[Fr; T]) {
        for (first, second) in pairs(T) {
            let mut vectors: Vec<Vec<Fr>> = (0..4)
                .map(|lane| {
                    let unit = std::array::from_fn(|i| Fr::from(u64::from(i == lane)));
                    opposite::<T>(first, second, unit).to_vec()
                })
                .collect();
            let mut conditions = Vec::new();
            let mut rounds = 0;
            loop {
                conditions.push(vectors.iter().map(|vector| vector[0]).collect());
                if conditions::rank(conditions.clone()) == 4 {
                    break;
                }
                rounds += 1;
                for vector in &mut vectors {
                    *vector = conditions::apply_internal(diagonal, vector);
                }
            }
            assert_eq!(rounds, if first == 0 { 4 } else { 5 });
        }
    }
    check(&diagonal::WIDTH_8.map(|power| power.as_field()));
    check(&diagonal::WIDTH_16.map(|power| power.as_field()));
    let constants = super::width_16().full_constants();
    check(&constants[0]);
}
