//! Eight Poseidon2 permutations at once, with the constants of [`circuits::poseidon2`] and the same results.
//!
//! Between S-boxes there are only sums, which are left [`Loose`]. What follows accounts for them. A *unit* is a number
//! whose limbs are at most 2^52 and whose value is at most 33/32 p: what [`Loose::fold`] returns.
//!
//! Full rounds: the rows of the external matrix sum to at most 80 (width 16), its inputs are S-boxes' results below 2 p,
//! so a lane stays below 161 p with its constant added, and is folded before its S-box.
//!
//! Partial rounds: lane i becomes `d_i x_i + s` with `s = Σ x_j` and `d_i = ±2^k`. Two things save work:
//!
//! - A lane with a negative d_i is kept as `y_r = (-1)^r x_r` in round r, so that it too is only shifted and added to:
//!   `y_(r+1) = 2^k y_r - (-1)^r s`. In even rounds `3 p - s` is added (4 units at most), in odd rounds s. The sum over
//!   lanes has a minus for these lanes in odd rounds, where `512 p - Σ y` is used.
//! - Lanes are folded as seldom as their growth allows: u units become at most `2^k u + 4`, see [`rounds_between_folds`].
//!
//! | k | folded every | units when summed | units before folding |
//! |---|---|---|---|
//! | 0 | never in 67 rounds | 170 | 170 |
//! | 1 | 4 rounds | 36 | 76 |
//! | 2 | 4 rounds | 148 | 596 |
//! | 3 | 2 rounds | 12 | 100 |
//! | 4 | 2 rounds | 20 | 324 |
//! | 5 | 2 rounds | 36 | 1156 |
//! | 6, 7, 8 | every round | 1 | 68, 132, 260 |
//!
//! The greatest, 1156 · 2^52, is below 2^63. The negative lanes of width 16 sum to at most 423 units, which are below
//! 512 · 2^52 and 511 p; all lanes and the 512 p together stay below 2^62.

use super::{
    lanes::{Lanes, Loose},
    modulus::{LaneField, Limbs},
    words::Words,
};
use circuits::{
    Fr,
    poseidon2::{self, FULL_ROUNDS, Poseidon2},
};
use std::sync::LazyLock;

/// Greatest power of two in a diagonal that the table above covers.
const MAX_EXPONENT: u32 = 8;

/// One instance of the permutation, its constants in the form of the lanes.
pub struct Permutation<const T: usize> {
    full: [[Limbs; T]; FULL_ROUNDS],
    partial: Vec<Limbs>,
    diagonal: [Power; T],
}

/// An entry of the internal matrix's diagonal, less one: `2^exponent` or its negative.
#[derive(Clone, Copy)]
struct Power {
    exponent: u32,
    negative: bool,
}

/// The instance of width 16.
#[must_use]
pub fn width_16() -> &'static Permutation<16> {
    static INSTANCE: LazyLock<Permutation<16>> =
        LazyLock::new(|| Permutation::new(poseidon2::width_16()));
    &INSTANCE
}

/// The instance of width 8.
#[must_use]
pub fn width_8() -> &'static Permutation<8> {
    static INSTANCE: LazyLock<Permutation<8>> =
        LazyLock::new(|| Permutation::new(poseidon2::width_8()));
    &INSTANCE
}

/// After how many partial rounds a lane that is multiplied by 2^exponent each time must be folded.
const fn rounds_between_folds(exponent: u32) -> usize {
    match exponent {
        0 => usize::MAX,
        1 | 2 => 4,
        3..=5 => 2,
        _ => 1,
    }
}

impl<const T: usize> Permutation<T> {
    fn new(instance: &Poseidon2<T>) -> Self {
        let diagonal = instance.diagonal().map(|power| Power {
            exponent: u32::from(power.exponent()),
            negative: power.is_negative(),
        });
        assert!(
            diagonal[0].exponent == 0 && !diagonal[0].negative,
            "the lane of the S-box is not multiplied"
        );
        assert!(diagonal.iter().all(|power| power.exponent <= MAX_EXPONENT));
        let partial = instance.partial_constants();
        assert!(
            partial.len() <= 67,
            "lanes that are never folded have room for 67 rounds"
        );
        Self {
            full: instance
                .full_constants()
                .map(|round| round.map(|c| c.lane_limbs())),
            partial: partial.iter().map(LaneField::lane_limbs).collect(),
            diagonal,
        }
    }

    /// First lane of `P(x) + x`, eight times: below 33/32 p. Requires inputs below 2 p.
    #[inline]
    #[must_use]
    pub fn compress<W: Words>(&self, input: &[Lanes<Fr, W>; T]) -> Lanes<Fr, W> {
        let mut state = *input;
        self.permute(&mut state);
        state[0].add(&input[0])
    }

    /// Applies the permutation to eight states: lane i of every vector belongs to state i.
    ///
    /// Requires inputs below 2 p; gives numbers below 33/32 p.
    pub fn permute<W: Words>(&self, lanes: &mut [Lanes<Fr, W>; T]) {
        W::run(
            lanes[0].backend(),
            #[inline(always)]
            || self.permute_inlined(lanes),
        );
    }

    #[inline(always)]
    fn permute_inlined<W: Words>(&self, lanes: &mut [Lanes<Fr, W>; T]) {
        let mut state = [lanes[0].loose(); T];
        for (lane, input) in state.iter_mut().zip(lanes.iter()) {
            *lane = input.loose();
        }
        let (first, last) = self.full.split_at(FULL_ROUNDS / 2);
        external(&mut state);
        full_rounds(&mut state, first);
        self.partial_rounds(&mut state);
        full_rounds(&mut state, last);
        for (lane, output) in state.iter().zip(lanes) {
            *output = lane.fold();
        }
    }

    #[inline(always)]
    fn partial_rounds<W: Words>(&self, state: &mut [Loose<Fr, W>; T]) {
        for lane in state.iter_mut() {
            *lane = lane.fold().loose();
        }
        let (pairs, rest) = self.partial.as_chunks::<2>();
        for (pair, [even, odd]) in pairs.iter().enumerate() {
            self.partial_round::<false, W>(state, even, 2 * pair);
            self.partial_round::<true, W>(state, odd, 2 * pair + 1);
        }
        if let [even] = rest {
            self.partial_round::<false, W>(state, even, 2 * pairs.len());
        }
        // After an odd number of rounds the negative lanes are kept negated.
        let negated = self.partial.len() % 2 == 1;
        let zero = Lanes::zero(state[0].backend()).loose();
        for (lane, power) in state.iter_mut().zip(&self.diagonal) {
            let folded = lane.fold().loose();
            *lane = if negated && power.negative {
                zero.minus::<3>(&folded)
            } else {
                folded
            };
        }
    }

    /// One partial round; `ODD` is whether the negative lanes are kept negated when it begins.
    #[inline(always)]
    fn partial_round<const ODD: bool, W: Words>(
        &self,
        state: &mut [Loose<Fr, W>; T],
        constant: &Limbs,
        round: usize,
    ) {
        let zero = Lanes::zero(state[0].backend()).loose();
        // Below 2 p + 33/32 p + p before the S-box, below 2 p after it.
        let constant = Lanes::constant(state[0].backend(), *constant).loose();
        let first = state[0].plus(&constant).carry().fifth_power().loose();

        let mut sum = zero;
        let mut negated = zero;
        for (lane, power) in state[1..].iter().zip(&self.diagonal[1..]) {
            if ODD && power.negative {
                negated = negated.plus(lane);
            } else {
                sum = sum.plus(lane);
            }
        }
        if ODD {
            sum = sum.minus::<512>(&negated);
        }
        let sum = sum.plus(&first).fold().loose();

        let for_negative = if ODD { sum } else { zero.minus::<3>(&sum) };
        state[0] = first.plus(&sum);
        for (lane, power) in state[1..].iter_mut().zip(&self.diagonal[1..]) {
            let added = if power.negative { &for_negative } else { &sum };
            *lane = lane.shl(power.exponent).plus(added);
            if (round + 1).is_multiple_of(rounds_between_folds(power.exponent)) {
                *lane = lane.fold().loose();
            }
        }
    }
}

/// Adds constants, raises every lane to the fifth power, mixes; as often as there are constants.
#[inline(always)]
fn full_rounds<const T: usize, W: Words>(state: &mut [Loose<Fr, W>; T], rounds: &[[Limbs; T]]) {
    let backend = state[0].backend();
    for constants in rounds {
        for (lane, constant) in state.iter_mut().zip(constants) {
            let constant = Lanes::constant(backend, *constant).loose();
            *lane = lane.plus(&constant).fold().fifth_power().loose();
        }
        external(state);
    }
}

/// The external matrix circ(2 M4, M4, …, M4) over blocks of four lanes.
#[inline(always)]
fn external<const T: usize, W: Words>(state: &mut [Loose<Fr, W>; T]) {
    const { assert!(T > 4 && T.is_multiple_of(4)) };
    let (blocks, _) = state.as_chunks_mut::<4>();
    let mut sums = [Lanes::zero(blocks[0][0].backend()).loose(); 4];
    for block in blocks.iter_mut() {
        multiply_m4(block);
        for (sum, lane) in sums.iter_mut().zip(block) {
            *sum = sum.plus(lane);
        }
    }
    for block in blocks {
        for (lane, sum) in block.iter_mut().zip(&sums) {
            *lane = lane.plus(sum);
        }
    }
}

/// M4 = [[5,7,1,3],[4,6,1,1],[1,3,5,7],[1,1,4,6]] in 8 additions and 4 doublings (appendix B of eprint 2023/323).
#[inline(always)]
fn multiply_m4<W: Words>(s: &mut [Loose<Fr, W>; 4]) {
    let t0 = s[0].plus(&s[1]);
    let t1 = s[2].plus(&s[3]);
    let t2 = s[1].shl(1).plus(&t1);
    let t3 = s[3].shl(1).plus(&t0);
    let t4 = t1.shl(2).plus(&t3);
    let t5 = t0.shl(2).plus(&t2);
    *s = [t3.plus(&t5), t5, t2.plus(&t4), t4];
}
