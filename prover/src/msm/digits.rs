//! Scalars as signed digits, by window.
//!
//! A scalar k is replaced by -(r - k) where that is nearer to zero, so that -1 and other small negative numbers have as
//! few digits other than zero as small positive ones: a bit costs one addition, and zero none.
//!
//! With windows of c bits and H = 2^(c-1), the digits of k are those of k + Σ H 2^(c i), each less H: they lie in
//! [-H, H), and no carry passes from one to the next. Where the sign was changed, H - 1 is added instead, so that the
//! digits lie in (-H, H] and their negatives in [-H, H) again, which an `i16` holds up to c = 16.

use super::{Scalar, bases::PackedBases, curve::Curve};
use ark_bn254::Fr;
use ark_ff::{BigInt, BigInteger, PrimeField};
use rayon::prelude::*;
use std::ops::{Range, RangeInclusive};
use zeroize::{Zeroize, ZeroizeOnDrop};

/// Bits of a scalar's magnitude, and one for its digits' signs.
const SCALAR_BITS: u32 = 254;
/// Words that hold every window of every scalar.
const WORDS: usize = 5;
/// Scalars that are cut at a time.
const AT_ONCE: usize = 64;
/// Scalars whose digits lie together, at most. A multiple of 64.
const MOST_IN_BLOCK: usize = 1 << 13;

/// How scalars are cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Windows {
    /// Bits of a digit, from 4 to 16.
    pub(super) bits: u32,
    /// Digits of a scalar.
    pub(super) count: usize,
}

impl Windows {
    /// Digits that there may be.
    pub(super) const BITS: RangeInclusive<u32> = 4..=16;

    /// The cheapest way to cut scalars for so many points.
    pub(super) fn for_points(points: usize) -> Self {
        Self::BITS
            .map(Self::of)
            .min_by_key(|windows| windows.cost(points))
            .unwrap_or(Self::of(*Self::BITS.end()))
    }

    /// Digits of so many bits, one of [`Windows::BITS`].
    pub(super) fn of(bits: u32) -> Self {
        Self {
            bits,
            count: SCALAR_BITS.div_ceil(bits) as usize,
        }
    }

    /// Batched additions this takes, about. Each window adds points to buckets, and buckets to rows and columns. Two
    /// additions for each of these are made one by one, at the price of some sixteen.
    fn cost(self, points: usize) -> usize {
        let last = 2 * (self.rows() + self.columns());
        self.count * (points + 2 * self.buckets() + 16 * last)
    }

    /// Greatest magnitude of a digit.
    pub(super) fn buckets(self) -> usize {
        1 << (self.bits - 1)
    }

    /// Buckets of a row: magnitudes `columns · i` to `columns · (i + 1) - 1`.
    pub(super) fn columns(self) -> usize {
        1 << (self.bits / 2)
    }

    /// Rows of buckets, with that of the greatest magnitude.
    pub(super) fn rows(self) -> usize {
        self.buckets() / self.columns() + 1
    }
}

/// The digits of scalars. They say what the scalars are, and are wiped when they are dropped.
#[derive(ZeroizeOnDrop)]
pub(super) struct Digits {
    #[zeroize(skip)]
    windows: Windows,
    scalars: usize,
    block: usize,
    /// For each block of scalars, for each window, a digit for each scalar.
    digits: Vec<i16>,
}

crate::wiped::wiped_on_drop!(Digits);

impl Digits {
    /// Cuts scalars.
    pub(super) fn new<S: Scalar>(scalars: &[S], windows: Windows) -> Self {
        let block = MOST_IN_BLOCK.min(scalars.len().next_multiple_of(64).max(64));
        let blocks = scalars.len().div_ceil(block);
        let mut digits = vec![0; blocks * block * windows.count];
        let cutter = Cutter::new(windows);
        digits
            .par_chunks_exact_mut(block * windows.count)
            .zip(scalars.par_chunks(block))
            .for_each(|(digits, scalars)| {
                for (i, scalars) in scalars.chunks(AT_ONCE).enumerate() {
                    let rows = digits.chunks_exact_mut(block);
                    cutter.cut(scalars, rows.map(|row| &mut row[i * AT_ONCE..][..AT_ONCE]));
                }
            });
        Self {
            windows,
            scalars: scalars.len(),
            block,
            digits,
        }
    }

    pub(super) fn windows(&self) -> Windows {
        self.windows
    }

    /// Scalars.
    pub(super) fn scalars(&self) -> usize {
        self.scalars
    }

    /// Blocks of scalars.
    pub(super) fn blocks(&self) -> usize {
        self.scalars.div_ceil(self.block)
    }

    /// Visits a window's digits for the points of some blocks: which of the packed points, and its digit.
    #[inline(always)]
    pub(super) fn visit<C: Curve>(
        &self,
        bases: &PackedBases<'_, C>,
        blocks: Range<usize>,
        window: usize,
        mut visit: impl FnMut(u32, i16),
    ) {
        let map = bases.map();
        let words_in_block = self.block / 64;
        let before = &map[..(blocks.start * words_in_block).min(map.len())];
        let mut point = before.iter().map(|word| word.count_ones()).sum::<u32>();
        for block in blocks {
            let start = (block * self.windows.count + window) * self.block;
            let digits = &self.digits[start..start + self.block];
            let map = &map[(block * words_in_block).min(map.len())..];
            for (&word, digits) in map.iter().zip(digits.as_chunks::<64>().0) {
                if word == u64::MAX {
                    for digit in digits {
                        visit(point, *digit);
                        point += 1;
                    }
                } else {
                    let mut left = word;
                    while left != 0 {
                        visit(point, digits[left.trailing_zeros() as usize]);
                        point += 1;
                        left &= left - 1;
                    }
                }
            }
        }
    }
}

/// What is the same for every scalar.
struct Cutter {
    windows: Windows,
    half: BigInt<4>,
    /// H, and Σ H 2^(c i).
    positive: (i32, [u64; WORDS]),
    /// H - 1, and Σ (H - 1) 2^(c i).
    negative: (i32, [u64; WORDS]),
}

impl Cutter {
    fn new(windows: Windows) -> Self {
        let with = |offset: i32| {
            let mut sum = [0_u64; WORDS];
            for window in 0..windows.count {
                let bit = window * windows.bits as usize;
                let wide = u128::from(offset.cast_unsigned()) << (bit % 64);
                for (part, word) in [(wide, bit / 64), (wide >> 64, bit / 64 + 1)] {
                    // The offsets do not overlap, so adding them is joining their bits.
                    if let Some(word) = sum.get_mut(word) {
                        *word |= low(part);
                    }
                }
            }
            (offset, sum)
        };
        let greatest = 1 << (windows.bits - 1);
        let mut half = Fr::MODULUS;
        half.div2();
        Self {
            windows,
            half,
            positive: with(greatest),
            negative: with(greatest - 1),
        }
    }

    /// Writes the digits of up to [`AT_ONCE`] scalars, a row for each window; missing scalars are 0.
    ///
    /// Window by window, so that the compiler can treat several scalars at once.
    #[expect(
        clippy::cast_possible_truncation,
        reason = "digits have at most 16 bits, less an offset of half of that"
    )]
    fn cut<'a, S: Scalar>(&self, scalars: &[S], rows: impl Iterator<Item = &'a mut [i16]>) {
        let mut words = [[0_u64; AT_ONCE]; WORDS + 1];
        // What is subtracted from a digit, and all ones where it then changes its sign.
        let mut offsets = [0_i32; AT_ONCE];
        let mut signs = [0_i32; AT_ONCE];
        for i in 0..AT_ONCE {
            let mut magnitude: BigInt<4> = scalars.get(i).copied().unwrap_or_default().into();
            let negative = magnitude > self.half;
            if negative {
                let mut rest = Fr::MODULUS;
                rest.sub_with_borrow(&magnitude);
                magnitude = rest;
                signs[i] = -1;
            }
            let (offset, sum) = if negative {
                self.negative
            } else {
                self.positive
            };
            offsets[i] = offset;
            let [m0, m1, m2, m3] = magnitude.0;
            let mut carry = 0;
            for ((row, a), b) in words.iter_mut().zip([m0, m1, m2, m3, 0]).zip(sum) {
                let total = u128::from(a) + u128::from(b) + carry;
                row[i] = low(total);
                carry = total >> 64;
            }
        }
        let bits = self.windows.bits as usize;
        let mask = (1_u64 << bits) - 1;
        for (window, row) in rows.enumerate() {
            let (word, shift) = (window * bits / 64, window * bits % 64);
            let (lower, upper) = (&words[word], &words[word + 1]);
            for (i, digit) in row.iter_mut().enumerate().take(AT_ONCE) {
                // In two steps, as a shift by 64 is none where the digit lies in one word.
                let joined = lower[i] >> shift | upper[i] << 1 << (63 - shift);
                let found = (joined & mask) as i32 - offsets[i];
                *digit = ((found ^ signs[i]) - signs[i]) as i16;
            }
        }
        words.as_flattened_mut().zeroize();
        offsets.zeroize();
        signs.zeroize();
    }
}

/// The low 64 bits.
#[expect(
    clippy::cast_possible_truncation,
    reason = "the low word is what is asked for"
)]
const fn low(wide: u128) -> u64 {
    wide as u64
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::cast_possible_truncation)]
    use super::*;
    use ark_ff::{AdditiveGroup, Field, UniformRand};
    use rand::{SeedableRng, rngs::StdRng};

    fn digits_of(scalar: Fr, windows: Windows) -> Vec<i16> {
        // Beside another, whose digits must not mix with this one's.
        let mut rows = vec![[0; AT_ONCE]; windows.count];
        let rows_mut = rows.iter_mut().map(|row| &mut row[..]);
        Cutter::new(windows).cut(&[-Fr::ONE, scalar], rows_mut);
        assert!(rows.iter().all(|row| row[2..] == [0; AT_ONCE - 2]));
        rows.iter().map(|row| row[1]).collect()
    }

    fn all() -> impl Iterator<Item = Windows> {
        Windows::BITS.map(Windows::of)
    }

    #[test]
    fn digits_add_up_to_their_scalar_for_every_window() {
        let mut rng = StdRng::seed_from_u64(1);
        let half = Fr::from(2).inverse().unwrap();
        let mut scalars = vec![Fr::ZERO, Fr::ONE, -Fr::ONE, half, -half, half - Fr::ONE];
        for power in 0..254 {
            let power = Fr::from(2).pow([power]);
            scalars.extend([power, -power, power - Fr::ONE]);
        }
        scalars.extend((0..200).map(|_| Fr::rand(&mut rng)));
        for windows in all() {
            let radix = Fr::from(1_u64 << windows.bits);
            let greatest = windows.buckets() as i32;
            for scalar in &scalars {
                let digits = digits_of(*scalar, windows);
                let sum = digits.iter().rev().fold(Fr::ZERO, |sum, digit| {
                    assert!((-greatest..=greatest).contains(&i32::from(*digit)));
                    sum * radix + Fr::from(*digit)
                });
                assert_eq!(sum, *scalar, "{windows:?}");
            }
        }
    }

    #[test]
    fn more_points_are_cut_into_longer_digits() {
        let bits = |points| Windows::for_points(points).bits;
        assert!(bits(1) < bits(1 << 10) && bits(1 << 10) < bits(1 << 16));
        assert!((15..=16).contains(&bits(1 << 19)));
        assert_eq!(bits(1 << 26), 16);
    }

    #[test]
    fn small_scalars_have_one_digit_whatever_their_sign() {
        for windows in all() {
            for small in [1, 2, 3, 7] {
                for scalar in [Fr::from(small), -Fr::from(small)] {
                    let digits = digits_of(scalar, windows);
                    assert_eq!(digits.iter().filter(|digit| **digit != 0).count(), 1);
                }
            }
            assert!(digits_of(Fr::ZERO, windows).iter().all(|digit| *digit == 0));
        }
    }
}
