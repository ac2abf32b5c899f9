//! Products of lanes, and Montgomery reduction.
//!
//! A [`Product`] is the plain product of two numbers in ten columns of weight 2^(52 k). Products may be added before they
//! are reduced, which is what quadratic extensions and inner products want.

use super::{
    lanes::{Lanes, Loose, splat},
    modulus::{LIMB_BITS, LIMBS, LaneField},
    words::Words,
};
use std::marker::PhantomData;

const COLUMNS: usize = 2 * LIMBS;

/// A sum of products of lanes, not reduced yet.
///
/// Low and high halves of the limbs' products have columns of their own: a multiply-add takes four cycles, two may begin
/// in each, and one chain of additions a column would leave the processor waiting. (Measured: nine instructions more than
/// 121 cost 7% where products do not depend on each other; where they do, they are a quarter faster.) One product puts
/// less than 5 · 2^52 into either, so hundreds may be added; what bounds a sum is the value after reduction, see
/// [`Product::reduce`].
#[derive(Clone, Copy, Debug)]
pub struct Product<F, W> {
    low: [W; COLUMNS],
    high: [W; COLUMNS],
    field: PhantomData<F>,
}

impl<F: LaneField, W: Words> Product<F, W> {
    /// `a b`.
    #[inline(always)]
    #[must_use]
    pub fn of(a: &Lanes<F, W>, b: &Lanes<F, W>) -> Self {
        Self::nothing(a.backend()).plus(a, b)
    }

    /// The sum of no products.
    #[inline(always)]
    fn nothing(backend: W::Backend) -> Self {
        let zero = W::splat(backend, 0);
        Self {
            low: [zero; COLUMNS],
            high: [zero; COLUMNS],
            field: PhantomData,
        }
    }

    /// `self + a b`.
    #[inline(always)]
    #[must_use]
    pub fn plus(&self, a: &Lanes<F, W>, b: &Lanes<F, W>) -> Self {
        let Self {
            mut low,
            mut high,
            field,
        } = *self;
        for (i, y) in b.limbs.into_iter().enumerate() {
            for (j, x) in a.limbs.into_iter().enumerate() {
                low[i + j] = low[i + j].madd_lo(x, y);
                high[i + j + 1] = high[i + j + 1].madd_hi(x, y);
            }
        }
        Self { low, high, field }
    }

    /// `a²`: ten products of different limbs, doubled, and five squares.
    #[inline(always)]
    #[must_use]
    pub fn square(a: &Lanes<F, W>) -> Self {
        let Self {
            mut low,
            mut high,
            field,
        } = Self::nothing(a.backend());
        // Four products a column at most: they need no columns for their high halves.
        let mut cross = |k: usize, x: W, y: W| {
            low[k] = low[k].madd_lo(x, y);
            low[k + 1] = low[k + 1].madd_hi(x, y);
        };
        let [a0, a1, a2, a3, a4] = a.limbs;
        cross(1, a0, a1);
        cross(2, a0, a2);
        cross(3, a0, a3);
        cross(4, a0, a4);
        cross(3, a1, a2);
        cross(4, a1, a3);
        cross(5, a1, a4);
        cross(5, a2, a3);
        cross(6, a2, a4);
        cross(7, a3, a4);
        for column in &mut low[1..COLUMNS - 1] {
            *column = column.add(*column);
        }
        for (i, x) in a.limbs.into_iter().enumerate() {
            low[2 * i] = low[2 * i].madd_lo(x, x);
            high[2 * i + 1] = high[2 * i + 1].madd_hi(x, x);
        }
        Self { low, high, field }
    }

    /// The sum divided by 2^260, modulo p.
    ///
    /// Four times, with t the number and q its low 52 bits: `t <- (t + q c p) / 2^52 = ⌊t / 2^52⌋ + q STEP`, where
    /// c p ≡ -1 (mod 2^52). That needs no multiplication for the quotient digit, but c p is 52 bits longer than p, so the
    /// last step takes q = c t mod 2^52 and `t <- (t + q p) / 2^52`. In all, something below (2^208 c + 2^260) p was added:
    ///
    /// result < sum / 2^260 + (1 + γ) p, and γ < 1/7 for both fields.
    ///
    /// For one product of numbers below A p and B p that is (A B / 84 + 8/7) p: below 2 p whenever A B ≤ 71.
    /// Requires sums below 62 · 2^260 p, which 64 · 64 / 84 = 49 is.
    #[inline(always)]
    #[must_use]
    pub fn reduce(&self) -> Lanes<F, W> {
        self.reduce_loose().carry()
    }

    /// [`Product::reduce`] without passing the carries on, for what is added to or subtracted from at once. Limbs are
    /// below 2^63.
    #[inline(always)]
    #[must_use]
    pub fn reduce_loose(&self) -> Loose<F, W> {
        let backend = self.low[0].backend();
        let step: [W; LIMBS] = splat(backend, F::STEP);
        let p: [W; LIMBS] = splat(backend, F::P);
        let inverse = W::splat(backend, F::NEGATIVE_INVERSE);
        let Self {
            mut low, mut high, ..
        } = *self;
        let mut carry = W::splat(backend, 0);
        for i in 0..LIMBS - 1 {
            let t = low[i].add(high[i].add(carry));
            carry = t.shr(LIMB_BITS);
            for (j, n) in step.into_iter().enumerate() {
                low[i + 1 + j] = low[i + 1 + j].madd_lo(t, n);
                high[i + 2 + j] = high[i + 2 + j].madd_hi(t, n);
            }
        }
        let t = low[4].add(high[4].add(carry));
        let q = W::splat(backend, 0).madd_lo(t, inverse);
        low[4] = t;
        for (j, n) in p.into_iter().enumerate() {
            low[4 + j] = low[4 + j].madd_lo(q, n);
            high[5 + j] = high[5 + j].madd_hi(q, n);
        }
        Loose::from_limbs([
            low[5].add(high[5].add(low[4].shr(LIMB_BITS))),
            low[6].add(high[6]),
            low[7].add(high[7]),
            low[8].add(high[8]),
            low[9].add(high[9]),
        ])
    }
}

impl<F: LaneField, W: Words> Lanes<F, W> {
    /// `self · other`. Below 2 p if the bounds of the factors multiply to at most 71 p², else below 51 p.
    #[inline(always)]
    #[must_use]
    pub fn mul(&self, other: &Self) -> Self {
        Product::of(self, other).reduce()
    }

    /// `self²`, with the bounds of [`Lanes::mul`].
    #[inline(always)]
    #[must_use]
    pub fn square(&self) -> Self {
        Product::square(self).reduce()
    }

    /// `self^5`, below 2 p for numbers below 8 p.
    #[inline(always)]
    #[must_use]
    pub fn fifth_power(&self) -> Self {
        self.square().square().mul(self)
    }
}
