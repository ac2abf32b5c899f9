//! Poseidon2 over the scalar field of BN254, of widths 16 and 8: x^5, 8 full rounds, 67 and 58 partial rounds.
//!
//! Round numbers come from [`rounds`], constants from [`grain`], which are generated when they are first used, the internal matrix from
//! [`diagonal`], which is written down; tests hold all to the paper's conditions and pin them. What known attacks cost is computed
//! by [`attacks`]. Decision: `docs/adr/0002-poseidon2-parameters.md`; margins: `docs/adr/0012-poseidon2-margins.md`.
//!
//! Grassi, Khovratovich, Schofnegger: "Poseidon2: A Faster Version of the Poseidon Hash Function", eprint 2023/323.

pub mod attacks;
pub mod diagonal;
pub mod grain;
pub mod rounds;

#[cfg(test)]
mod conditions;
#[cfg(test)]
mod layers;
#[cfg(test)]
mod published;

use crate::field::Fr;
use ark_ff::{AdditiveGroup, Field};
use diagonal::PowerOfTwo;
use grain::{Grain, SboxTag};
use std::sync::LazyLock;

/// The S-box is x^5: the smallest exponent that is prime to r - 1.
pub const SBOX_EXPONENT: usize = 5;
/// Full rounds, half of them before the partial ones and half after.
pub const FULL_ROUNDS: usize = 8;

/// Partial rounds of a width: 67 for 16, 58 for 8.
///
/// More than the 57 of [`rounds::round_numbers`], so that not even all known shortcuts at once, which exclude each
/// other, would be cheaper than a collision by birthday: see [`attacks::everything_at_once_bits`].
///
/// # Panics
/// For other widths; in a constant this is a compile error.
#[must_use]
pub const fn partial_rounds(width: usize) -> usize {
    match width {
        16 => 67,
        8 => 58,
        _ => panic!("there are instances of widths 8 and 16"),
    }
}

/// One instance of the permutation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Poseidon2<const T: usize> {
    full: [[Fr; T]; FULL_ROUNDS],
    partial: Vec<Fr>,
    diagonal: [PowerOfTwo; T],
}

static WIDTH_16: LazyLock<Poseidon2<16>> =
    LazyLock::new(|| Poseidon2::generate(diagonal::WIDTH_16));
static WIDTH_8: LazyLock<Poseidon2<8>> = LazyLock::new(|| Poseidon2::generate(diagonal::WIDTH_8));

/// The instance of width 16, which hashes cells and expands the seed.
#[must_use]
pub fn width_16() -> &'static Poseidon2<16> {
    &WIDTH_16
}

/// The instance of width 8, which hashes the inner nodes of all trees.
#[must_use]
pub fn width_8() -> &'static Poseidon2<8> {
    &WIDTH_8
}

/// First lane of `P16(x) + x`.
#[must_use]
pub fn compress_16(input: &[Fr; 16]) -> Fr {
    width_16().compress(input)
}

/// First lane of `P8(x) + x`.
#[must_use]
pub fn compress_8(input: &[Fr; 8]) -> Fr {
    width_8().compress(input)
}

/// All lanes of `P16(x) + x`.
#[must_use]
pub fn feed_forward_16(input: &[Fr; 16]) -> [Fr; 16] {
    let mut state = *input;
    width_16().permute(&mut state);
    std::array::from_fn(|i| state[i] + input[i])
}

impl<const T: usize> Poseidon2<T> {
    fn generate(diagonal: [PowerOfTwo; T]) -> Self {
        let partial_rounds = partial_rounds(T);
        let mut grain = Grain::new(SboxTag::Power, T, FULL_ROUNDS, partial_rounds);
        let (full, partial) = grain.round_constants(FULL_ROUNDS, partial_rounds);
        let full = std::array::from_fn(|round| full[round]);
        Self {
            full,
            partial,
            diagonal,
        }
    }

    /// Constants of the full rounds.
    #[must_use]
    pub const fn full_constants(&self) -> &[[Fr; T]; FULL_ROUNDS] {
        &self.full
    }

    /// Constants of the partial rounds, which touch the first lane only.
    #[must_use]
    pub fn partial_constants(&self) -> &[Fr] {
        &self.partial
    }

    /// The internal matrix less the all-ones matrix: its diagonal.
    #[must_use]
    pub const fn diagonal(&self) -> &[PowerOfTwo; T] {
        &self.diagonal
    }

    /// Applies the permutation.
    pub fn permute(&self, state: &mut [Fr; T]) {
        permute_with(&self.full, &self.partial, state, |state| {
            self.internal(state)
        });
    }

    /// First lane of `P(x) + x`: T elements to one.
    #[must_use]
    pub fn compress(&self, input: &[Fr; T]) -> Fr {
        let mut state = *input;
        self.permute(&mut state);
        state[0] + input[0]
    }

    /// The internal linear layer, `s_i <- ±2^k_i s_i + Σ s_j`.
    fn internal(&self, state: &mut [Fr; T]) {
        let sum: Fr = state.iter().sum();
        for (lane, power) in state.iter_mut().zip(&self.diagonal) {
            power.multiply(lane);
            *lane += sum;
        }
    }
}

/// The permutation for any set of constants and any internal layer.
fn permute_with<const T: usize>(
    full: &[[Fr; T]],
    partial: &[Fr],
    state: &mut [Fr; T],
    internal: impl Fn(&mut [Fr; T]),
) {
    let (first, last) = full.split_at(full.len() / 2);
    let full_round = |state: &mut [Fr; T], constants: &[Fr; T]| {
        for (lane, constant) in state.iter_mut().zip(constants) {
            *lane += constant;
            sbox(lane);
        }
        external(state);
    };
    external(state);
    first
        .iter()
        .for_each(|constants| full_round(state, constants));
    for constant in partial {
        state[0] += constant;
        sbox(&mut state[0]);
        internal(state);
    }
    last.iter()
        .for_each(|constants| full_round(state, constants));
}

/// x^5.
fn sbox(x: &mut Fr) {
    let square = x.square();
    *x *= square.square();
}

/// The external linear layer: circ(2, 1, …) for widths 2 and 3, else circ(2 M4, M4, …, M4) over blocks of four lanes.
pub(crate) fn external<const T: usize>(state: &mut [Fr; T]) {
    if T < 4 {
        let sum: Fr = state.iter().sum();
        state.iter_mut().for_each(|lane| *lane += sum);
        return;
    }
    let (blocks, rest) = state.as_chunks_mut::<4>();
    assert!(rest.is_empty(), "width is 2, 3 or a multiple of 4");
    blocks.iter_mut().for_each(multiply_m4);
    if blocks.len() > 1 {
        let mut sums = [Fr::ZERO; 4];
        for block in blocks.iter() {
            for (sum, lane) in sums.iter_mut().zip(block) {
                *sum += lane;
            }
        }
        for block in blocks {
            for (lane, sum) in block.iter_mut().zip(&sums) {
                *lane += sum;
            }
        }
    }
}

/// M4 = [[5,7,1,3],[4,6,1,1],[1,3,5,7],[1,1,4,6]] in 8 additions and 4 doublings (the paper's appendix B).
fn multiply_m4(s: &mut [Fr; 4]) {
    let t0 = s[0] + s[1];
    let t1 = s[2] + s[3];
    let t2 = s[1].double() + t1;
    let t3 = s[3].double() + t0;
    let t4 = t1.double().double() + t3;
    let t5 = t0.double().double() + t2;
    *s = [t3 + t5, t5, t2 + t4, t4];
}

#[cfg(test)]
pub(crate) mod tests {
    #![allow(clippy::unwrap_used, clippy::cast_possible_truncation)]
    use super::*;
    use crate::field;

    pub(crate) fn element(text: &str) -> Fr {
        let mut bytes = [0; 32];
        hex::decode_to_slice(text, &mut bytes).unwrap();
        field::from_be_bytes(&bytes).unwrap()
    }

    #[test]
    fn the_generated_instances_are_pinned() {
        let pinned = |bytes: [u8; 32]| hex::encode(bytes);
        assert_eq!(
            pinned(grain::fingerprint(width_16())),
            "eded0974403acc909467290f54ddc89fca6ac1c85da756d05b6781a3f2e032a5"
        );
        assert_eq!(
            pinned(grain::fingerprint(width_8())),
            "f2d93ab34729f5044071013d7b7be2e7d493cd66cc13d010c70cd5eb0208eab7"
        );
    }

    #[test]
    fn the_hashes_are_pinned() {
        let input = |i: usize| Fr::from(i as u64);
        let digest = |value: Fr| hex::encode(field::to_be_bytes(&value));
        assert_eq!(
            digest(compress_16(&std::array::from_fn(input))),
            "0fa3bb63881632a0421d108a3bc88bbbbc1c0e20b1fa6b2e7c75ca10ef2e4737"
        );
        assert_eq!(
            digest(compress_8(&std::array::from_fn(input))),
            "0b54673a0d357aa463d564088eb86b1a84859291d0c028b15188b50cb6f27ab4"
        );
        assert_eq!(
            digest(feed_forward_16(&std::array::from_fn(input))[15]),
            "2e069436528a6c8265ea3768c382573e394aa48901fd049fccdf9fb07346855e"
        );
    }

    #[test]
    fn the_permutation_equals_its_definition_by_matrices() {
        let instance = width_8();
        let mut fast: [Fr; 8] = std::array::from_fn(|i| Fr::from(100 + i as u64));
        let mut slow = fast;
        instance.permute(&mut fast);
        permute_with(&instance.full, &instance.partial, &mut slow, |state| {
            let before = *state;
            for (i, lane) in state.iter_mut().enumerate() {
                let entry = |j: usize| {
                    let diagonal = instance.diagonal[i].as_field();
                    if i == j { diagonal + Fr::ONE } else { Fr::ONE }
                };
                *lane = (0..8).map(|j| entry(j) * before[j]).sum();
            }
        });
        assert_eq!(fast, slow);
    }
}
