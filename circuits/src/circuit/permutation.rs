//! Poseidon2 in constraints, with the linear layers between S-boxes in C.
//!
//! The input x of each S-box is a variable (a linear combination of the permutation's inputs in the first round, and of
//! the partial rounds' variables where the last full rounds begin). An S-box is
//!
//! ```text
//! x · x = x²      x² · x² = x⁴      x⁴ · x = w
//! ```
//!
//! and its output w is no variable but in the last round: it is written in terms of the inputs of the next round, through the inverse of
//! the linear layer between them. So a round costs three constraints per S-box and nothing for its matrices.

use super::synthesizer::{Rule, Synthesizer, Wire};
use crate::{
    field::Fr,
    poseidon2::{self, FULL_ROUNDS, Poseidon2},
};
use ark_ff::{AdditiveGroup, Field};
use std::sync::LazyLock;

/// A permutation, its external matrix, and what is divided by.
pub(super) struct Gadget<const T: usize> {
    instance: &'static Poseidon2<T>,
    matrix: [[Fr; T]; T],
    /// Inverse of the external matrix.
    inverse: [[Fr; T]; T],
    /// First entry of the internal matrix.
    first: Fr,
    /// Its inverse.
    first_inverse: Fr,
}

static WIDTH_16: LazyLock<Gadget<16>> = LazyLock::new(|| Gadget::new(poseidon2::width_16()));
static WIDTH_8: LazyLock<Gadget<8>> = LazyLock::new(|| Gadget::new(poseidon2::width_8()));

/// The first lane of `P16(x) + x`. 585 constraints.
pub(super) fn compress_16<S: Synthesizer>(cs: &mut S, input: &[S::Number; 16]) -> S::Number {
    let state = WIDTH_16.permute(cs, input);
    cs.add(&state[0], &input[0])
}

/// All lanes of `P16(x) + x`. 585 constraints.
pub(super) fn feed_forward_16<S: Synthesizer>(
    cs: &mut S,
    input: &[S::Number; 16],
) -> [S::Number; 16] {
    let state = WIDTH_16.permute(cs, input);
    std::array::from_fn(|i| cs.add(&state[i], &input[i]))
}

/// The first lane of `P8(x) + x`. 366 constraints.
pub(super) fn compress_8<S: Synthesizer>(cs: &mut S, input: &[S::Number; 8]) -> S::Number {
    let state = WIDTH_8.permute(cs, input);
    cs.add(&state[0], &input[0])
}

impl<const T: usize> Gadget<T> {
    fn new(instance: &'static Poseidon2<T>) -> Self {
        let matrix = external_matrix();
        let first = instance.diagonal()[0].as_field() + Fr::ONE;
        Self {
            instance,
            matrix,
            inverse: invert(&matrix),
            first,
            first_inverse: first.inverse().unwrap_or_default(),
        }
    }

    fn permute<S: Synthesizer>(&self, cs: &mut S, input: &[S::Number; T]) -> [S::Number; T] {
        let (first, last) = self.instance.full_constants().split_at(FULL_ROUNDS / 2);
        let partial = self.instance.partial_constants();

        let state = cs.external(input, &self.matrix);
        let mut x: [S::Number; T] =
            std::array::from_fn(|i| cs.add_constant(&state[i], first[0][i]));
        for constants in &first[1..] {
            x = self.full_round(cs, &x, constants);
        }
        let mut entry = [Fr::ZERO; T];
        entry[0] = partial[0];
        x = self.full_round(cs, &x, &entry);

        for constant in partial[1..].iter().chain([&last[0][0]]) {
            self.partial_round(cs, &mut x, *constant);
        }

        for (lane, constant) in x.iter_mut().zip(&last[0]).skip(1) {
            *lane = cs.add_constant(lane, *constant);
        }
        for constants in &last[1..] {
            x = self.full_round(cs, &x, constants);
        }
        let outputs = std::array::from_fn(|i| {
            let fourth = fourth_power(cs, &x[i]);
            let [output] = cs.derive(Wire::SboxOutput, &[&fourth, &x[i]], |v| [v[0] * v[1]]);
            cs.enforce(Rule::SboxFifth, |_| [fourth, x[i].clone(), output.clone()]);
            output
        });
        cs.external(&outputs, &self.matrix)
    }

    /// From the inputs of one round's S-boxes to those of the next, whose constants are given. 3T constraints.
    fn full_round<S: Synthesizer>(
        &self,
        cs: &mut S,
        x: &[S::Number; T],
        next_constants: &[Fr; T],
    ) -> [S::Number; T] {
        let fourth: [S::Number; T] = std::array::from_fn(|i| fourth_power(cs, &x[i]));
        let from: Vec<&S::Number> = fourth.iter().chain(x).collect();
        let next = cs.derive(Wire::SboxInput, &from, |v| {
            let mut state = std::array::from_fn(|i| v[i] * v[T + i]);
            poseidon2::external::<T>(&mut state);
            std::array::from_fn(|i| state[i] + next_constants[i])
        });
        for (i, (fourth, x)) in fourth.iter().zip(x).enumerate() {
            cs.enforce(Rule::SboxFifth, |cs| {
                let mut output = cs.constant(Fr::ZERO);
                for ((next, constant), k) in next.iter().zip(next_constants).zip(&self.inverse[i]) {
                    output = cs.add_scaled(&output, &cs.add_constant(next, -*constant), *k);
                }
                [fourth.clone(), x.clone(), output]
            });
        }
        next
    }

    /// One partial round. The next input of the first lane is the new variable
    /// `x' = (d_0 + 1) w + Σ lanes + constant`, so `w = (x' - Σ lanes - constant) / (d_0 + 1)`. 3 constraints.
    fn partial_round<S: Synthesizer>(&self, cs: &mut S, x: &mut [S::Number; T], constant: Fr) {
        let lanes = x[1..]
            .iter()
            .skip(1)
            .fold(x[1].clone(), |sum, lane| cs.add(&sum, lane));
        let fourth = fourth_power(cs, &x[0]);
        let [next] = cs.derive(Wire::SboxInput, &[&fourth, &x[0], &lanes], |v| {
            [self.first * v[0] * v[1] + v[2] + constant]
        });
        let scaled = cs.add_constant(&cs.sub(&next, &lanes), -constant);
        let output = cs.scale(&scaled, self.first_inverse);
        let sum = cs.add(&output, &lanes);
        cs.enforce(Rule::SboxFifth, |_| [fourth, x[0].clone(), output]);
        x[0] = next;
        for (lane, power) in x[1..].iter_mut().zip(&self.instance.diagonal()[1..]) {
            *lane = cs.add_shifted(&sum, lane, power);
        }
    }
}

fn fourth_power<S: Synthesizer>(cs: &mut S, x: &S::Number) -> S::Number {
    let [square] = cs.derive(Wire::SboxSquare, &[x], |v| [v[0].square()]);
    cs.enforce(Rule::SboxSquare, |_| [x.clone(), x.clone(), square.clone()]);
    let [fourth] = cs.derive(Wire::SboxFourth, &[&square], |v| [v[0].square()]);
    cs.enforce(Rule::SboxFourth, |_| {
        [square.clone(), square, fourth.clone()]
    });
    fourth
}

/// The external matrix, column by column from the layer itself.
fn external_matrix<const T: usize>() -> [[Fr; T]; T] {
    let mut matrix = [[Fr::ZERO; T]; T];
    for column in 0..T {
        let mut unit = [Fr::ZERO; T];
        unit[column] = Fr::ONE;
        poseidon2::external(&mut unit);
        for (row, value) in matrix.iter_mut().zip(unit) {
            row[column] = value;
        }
    }
    matrix
}

/// Gauss–Jordan elimination. The external matrix has an inverse, so every pivot below is found.
fn invert<const T: usize>(matrix: &[[Fr; T]; T]) -> [[Fr; T]; T] {
    let mut left = *matrix;
    let mut right = [[Fr::ZERO; T]; T];
    for (i, row) in right.iter_mut().enumerate() {
        row[i] = Fr::ONE;
    }
    for column in 0..T {
        let pivot = (column..T)
            .find(|row| left[*row][column] != Fr::ZERO)
            .unwrap_or(column);
        left.swap(column, pivot);
        right.swap(column, pivot);
        let scale = left[column][column].inverse().unwrap_or_default();
        for k in 0..T {
            left[column][k] *= scale;
            right[column][k] *= scale;
        }
        let (pivot_left, pivot_right) = (left[column], right[column]);
        for row in (0..T).filter(|row| *row != column) {
            let factor = left[row][column];
            for k in 0..T {
                left[row][k] -= factor * pivot_left[k];
                right[row][k] -= factor * pivot_right[k];
            }
        }
    }
    right
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check<const T: usize>() {
        let (matrix, inverse) = (external_matrix::<T>(), invert(&external_matrix::<T>()));
        for (i, row) in matrix.iter().enumerate() {
            for j in 0..T {
                let product: Fr = row.iter().zip(&inverse).map(|(a, b)| *a * b[j]).sum();
                assert_eq!(product, if i == j { Fr::ONE } else { Fr::ZERO });
            }
        }
    }

    #[test]
    fn the_inverse_of_the_external_matrix_is_its_inverse() {
        check::<8>();
        check::<16>();
    }

    #[test]
    fn the_first_lane_of_the_internal_layer_can_be_solved_for() {
        assert_ne!(WIDTH_16.first, Fr::ZERO);
        assert_ne!(WIDTH_8.first, Fr::ZERO);
    }
}
