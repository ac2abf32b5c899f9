//! What the internal matrices must satisfy, and where the diagonals come from.

use super::*;
use crate::poseidon2::conditions::{
    apply_internal, internal_matrix, rank, resists_subspace_trails,
};

fn fields(diagonal: &[PowerOfTwo]) -> Vec<Fr> {
    diagonal.iter().map(PowerOfTwo::as_field).collect()
}

#[test]
fn both_internal_matrices_satisfy_the_minimal_polynomial_conditions() {
    assert!(resists_subspace_trails(&fields(&WIDTH_8)));
    assert!(resists_subspace_trails(&fields(&WIDTH_16)));
}

#[test]
fn a_matrix_with_an_invariant_subspace_fails_the_check() {
    let mut twice = fields(&WIDTH_8);
    twice[5] = twice[4];
    assert!(!resists_subspace_trails(&twice), "equal lanes stay equal");
}

/// The Krylov space of the lane with the S-box: e_0, M e_0, M^2 e_0, …
fn krylov_rank(diagonal: &[Fr]) -> usize {
    let mut vector = vec![Fr::ZERO; diagonal.len()];
    vector[0] = Fr::ONE;
    let mut rows = Vec::new();
    for _ in diagonal {
        let next = apply_internal(diagonal, &vector);
        rows.push(std::mem::replace(&mut vector, next));
    }
    rank(rows)
}

/// A subspace of differences that is zero in lane 0 for n rounds lies in the kernel of n rows of the Krylov matrix, for M is
/// symmetric; once lane 0 is active M e_0 is in it, of which lane 0 is 2, so that it stays active and a dimension is
/// added every round. With full rank the first part has at most t - 1 rounds and so has the second.
#[test]
fn no_subspace_trail_covers_more_than_twice_the_width_of_partial_rounds() {
    for diagonal in [fields(&WIDTH_8), fields(&WIDTH_16)] {
        assert_eq!(krylov_rank(&diagonal), diagonal.len());
        let matrix = internal_matrix(&diagonal);
        assert_eq!(matrix[0][0], Fr::from(2));
        for (i, row) in matrix.iter().enumerate() {
            assert!((0..i).all(|j| row[j] == matrix[j][i]), "symmetric");
        }
        assert!(2 * diagonal.len() < crate::poseidon2::partial_rounds(diagonal.len()));
    }
    let mut twice = fields(&WIDTH_8);
    twice[5] = twice[4];
    assert!(krylov_rank(&twice) < 8, "equal lanes stay equal");
}

/// All sets of `size` among ±1, ±2, …, ±2^`top`, the smallest first: by their largest absolute value, then by the sum
/// of absolute values, then in the order in which 1, -1, 2, -2, … are chosen.
fn sets_in_order(size: usize, top: u8) -> Vec<Vec<PowerOfTwo>> {
    let numbers: Vec<PowerOfTwo> = (0..=top).flat_map(|k| [plus(k), minus(k)]).collect();
    let mut sets = Vec::new();
    let mut chosen: Vec<usize> = (0..size).collect();
    loop {
        sets.push(chosen.iter().map(|&i| numbers[i]).collect::<Vec<_>>());
        let room = numbers.len() - size;
        let Some(last) = (0..size).rfind(|&i| chosen[i] < i + room) else {
            break;
        };
        let start = chosen[last] + 1;
        for (step, place) in chosen[last..].iter_mut().enumerate() {
            *place = start + step;
        }
    }
    sets.sort_by_key(|set| {
        let absolute = || set.iter().map(|power| 1u32 << power.exponent());
        (absolute().max(), absolute().sum::<u32>())
    });
    sets
}

/// Nothing was chosen by hand: the constants are those of the published generator, and the diagonal is the first that
/// passes. A matrix chosen with the constants in view could be a trapdoor (eprint 2026/1760 builds one for Poseidon).
#[test]
fn the_diagonals_are_the_first_that_pass() {
    let first = |size, top| {
        sets_in_order(size, top)
            .into_iter()
            .find(|set| resists_subspace_trails(&fields(set)))
    };
    assert_eq!(first(8, 5).as_deref(), Some(WIDTH_8.as_slice()));
    assert_eq!(first(16, 9).as_deref(), Some(WIDTH_16.as_slice()));
}
