//! Eight field elements at once: [`Lanes`], and [`Loose`] for sums whose carries are still inside the limbs.
//!
//! A lane holds x in Montgomery form, a number v ≡ 2^260 x (mod p), as five limbs of 52 bits: v = Σ 2^(52 i) limb_i.
//! Limb i of all eight lanes is one vector, so that no operation looks across lanes. v is not unique: ranges are stated as
//! multiples of p, which is below 2^260 / 84.
//!
//! | type | limbs | value | may be multiplied |
//! |---|---|---|---|
//! | `Lanes` | below 2^52 | below 64 p | yes |
//! | `Loose` | below 2^64 | below 2^12 · 2^260 | no: first [`Loose::carry`] or [`Loose::fold`] |
//!
//! The instructions multiply the low 52 bits of a word, so an uncarried limb would be cut off without notice; the two types
//! make that a compile-time error. What is left to the caller is stated as `requires` in each function, and broken
//! requirements stop the tests, which run everything on words that check themselves.
//!
//! [`Lanes::add`], [`Lanes::sub`], [`Lanes::neg`], [`Lanes::double`] and [`Lanes::mul`] take any `Lanes` and need no
//! thought. The lazy ones, on `Loose`, are for inner loops.

use super::{
    modulus::{LIMB_BITS, LIMB_MASK, LIMBS, LaneField, Limbs, multiple, multiple_with_loans},
    words::{LANES, Words},
};
use std::{hint::black_box, marker::PhantomData};
use zeroize::Zeroize;

/// Eight field elements, ready to be multiplied. Limbs are below 2^52, the value below 64 p.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(64))]
pub struct Lanes<F, W> {
    pub(super) limbs: [W; LIMBS],
    field: PhantomData<F>,
}

/// Eight sums of field elements whose carries have not been passed on. Limbs are non-negative and below 2^64.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(64))]
pub struct Loose<F, W> {
    pub(super) limbs: [W; LIMBS],
    field: PhantomData<F>,
}

/// One number, given by its limbs, in every lane.
#[inline(always)]
pub(super) fn splat<W: Words>(backend: W::Backend, limbs: Limbs) -> [W; LIMBS] {
    let [l0, l1, l2, l3, l4] = limbs;
    [
        W::splat(backend, l0),
        W::splat(backend, l1),
        W::splat(backend, l2),
        W::splat(backend, l3),
        W::splat(backend, l4),
    ]
}

#[inline(always)]
fn add<W: Words>(a: [W; LIMBS], b: [W; LIMBS]) -> [W; LIMBS] {
    [
        a[0].add(b[0]),
        a[1].add(b[1]),
        a[2].add(b[2]),
        a[3].add(b[3]),
        a[4].add(b[4]),
    ]
}

#[inline(always)]
fn sub<W: Words>(a: [W; LIMBS], b: [W; LIMBS]) -> [W; LIMBS] {
    [
        a[0].sub(b[0]),
        a[1].sub(b[1]),
        a[2].sub(b[2]),
        a[3].sub(b[3]),
        a[4].sub(b[4]),
    ]
}

/// Passes each limb's bits above 52 on to the next. The top limb keeps its own.
#[inline(always)]
pub(super) fn carried<W: Words>(limbs: [W; LIMBS]) -> [W; LIMBS] {
    let mask = W::splat(limbs[0].backend(), LIMB_MASK);
    let l1 = limbs[1].add(limbs[0].shr(LIMB_BITS));
    let l2 = limbs[2].add(l1.shr(LIMB_BITS));
    let l3 = limbs[3].add(l2.shr(LIMB_BITS));
    let l4 = limbs[4].add(l3.shr(LIMB_BITS));
    [
        limbs[0].and(mask),
        l1.and(mask),
        l2.and(mask),
        l3.and(mask),
        l4,
    ]
}

impl<F: LaneField, W: Words> Zeroize for Lanes<F, W> {
    fn zeroize(&mut self) {
        *self = Self::zero(self.backend());
        // Memory that is freed next would otherwise need no zeros.
        black_box(self);
    }
}

impl<F: LaneField, W: Words> Lanes<F, W> {
    /// Names limbs as lanes.
    ///
    /// Requires limbs below 2^52 and a value below N/32 p, which is at most 64 p.
    #[inline(always)]
    pub(super) fn from_limbs<const N: u64>(limbs: [W; LIMBS]) -> Self {
        let mut limbs = limbs;
        limbs[4] = limbs[4].claim_at_most(const { multiple(F::P, N)[4] / 32 });
        for limb in &mut limbs {
            *limb = limb.known_at_most(LIMB_MASK);
        }
        Self {
            limbs,
            field: PhantomData,
        }
    }

    /// Zero in every lane.
    #[inline(always)]
    #[must_use]
    pub fn zero(backend: W::Backend) -> Self {
        Self::from_limbs::<32>([W::splat(backend, 0); LIMBS])
    }

    /// One in every lane.
    #[inline(always)]
    #[must_use]
    pub fn one(backend: W::Backend) -> Self {
        Self::from_limbs::<32>(splat(backend, F::ONE_LIMBS))
    }

    /// The evidence behind these words.
    #[inline(always)]
    #[must_use]
    pub fn backend(&self) -> W::Backend {
        self.limbs[0].backend()
    }

    /// The same numbers, to be added to. Costs nothing.
    #[inline(always)]
    #[must_use]
    pub fn loose(&self) -> Loose<F, W> {
        Loose::from_limbs(self.limbs)
    }

    /// `self + other`, below 33/32 p.
    #[inline(always)]
    #[must_use]
    pub fn add(&self, other: &Self) -> Self {
        self.loose().plus(&other.loose()).fold()
    }

    /// `self - other`, below 33/32 p.
    #[inline(always)]
    #[must_use]
    pub fn sub(&self, other: &Self) -> Self {
        self.loose().minus::<65>(&other.loose()).fold()
    }

    /// `-self`, below 33/32 p.
    #[inline(always)]
    #[must_use]
    pub fn neg(&self) -> Self {
        Self::zero(self.backend()).sub(self)
    }

    /// `2 self`, below 33/32 p.
    #[inline(always)]
    #[must_use]
    pub fn double(&self) -> Self {
        self.loose().shl(1).fold()
    }

    /// The same elements below 33/32 p.
    #[inline(always)]
    #[must_use]
    pub fn reduce(&self) -> Self {
        self.loose().fold()
    }

    /// The same elements below p: the one representation that can be compared and written down.
    #[inline(always)]
    #[must_use]
    pub fn canonical(&self) -> Self {
        let reduced = self.reduce();
        let backend = self.backend();
        // v + (2^260 - p) reaches 2^260 exactly if v reaches p, and is then v - p above it.
        let shifted = carried(add(reduced.limbs, splat(backend, F::COMPLEMENT)));
        let small = shifted[4].shr(LIMB_BITS).equal(W::splat(backend, 0));
        let mut limbs = shifted;
        limbs[4] = limbs[4].and(W::splat(backend, LIMB_MASK));
        for (limb, before) in limbs.iter_mut().zip(reduced.limbs) {
            *limb = W::select(small, before, *limb);
        }
        Self::from_limbs::<32>(limbs)
    }

    /// Bit i is set where lane i is zero in the field.
    #[inline(always)]
    #[must_use]
    pub fn is_zero(&self) -> u8 {
        let canonical = self.canonical();
        let zero = W::splat(self.backend(), 0);
        canonical
            .limbs
            .iter()
            .fold(0xff, |mask, limb| mask & limb.equal(zero))
    }

    /// Bit i is set where lanes i of both are the same field element.
    #[inline(always)]
    #[must_use]
    pub fn equal(&self, other: &Self) -> u8 {
        self.sub(other).is_zero()
    }

    /// Lane i of `set` where bit i of `mask` is set, else of `clear`.
    #[inline(always)]
    #[must_use]
    pub fn select(mask: u8, set: &Self, clear: &Self) -> Self {
        let mut limbs = clear.limbs;
        for (limb, set) in limbs.iter_mut().zip(set.limbs) {
            *limb = W::select(mask, set, *limb);
        }
        Self::from_limbs::<{ 64 * 32 }>(limbs)
    }

    /// Lane i of vector k becomes lane k of vector i.
    #[inline(always)]
    #[must_use]
    pub fn transpose(rows: &[Self; LANES]) -> [Self; LANES] {
        let mut turned = *rows;
        for i in 0..LIMBS {
            let mut words = [rows[0].limbs[i]; LANES];
            for (word, row) in words.iter_mut().zip(rows) {
                *word = row.limbs[i];
            }
            for (row, word) in turned.iter_mut().zip(W::transpose(words)) {
                row.limbs[i] = word;
            }
        }
        turned
    }
}

impl<F: LaneField, W: Words> Loose<F, W> {
    #[inline(always)]
    pub(super) fn from_limbs(limbs: [W; LIMBS]) -> Self {
        Self {
            limbs,
            field: PhantomData,
        }
    }

    /// The evidence behind these words.
    #[inline(always)]
    #[must_use]
    pub fn backend(&self) -> W::Backend {
        self.limbs[0].backend()
    }

    /// `self + other`: limbs and values add up. Requires sums of limbs below 2^64.
    #[inline(always)]
    #[must_use]
    pub fn plus(&self, other: &Self) -> Self {
        Self::from_limbs(add(self.limbs, other.limbs))
    }

    /// `self + K p - other`: limbs 0 to 3 grow by at most K 2^52 + 2^52, the value by at most K p.
    ///
    /// Requires of `other`: limbs 0 to 3 at most K 2^52, value at most (K - 1) p.
    #[inline(always)]
    #[must_use]
    pub fn minus<const K: u64>(&self, other: &Self) -> Self {
        let offset = splat(self.backend(), const { multiple_with_loans(F::P, K) });
        Self::from_limbs(add(self.limbs, sub(offset, other.limbs)))
    }

    /// `2^bits self`: limbs and values grow by that factor. Requires limbs to stay below 2^64.
    #[inline(always)]
    #[must_use]
    pub fn shl(&self, bits: u32) -> Self {
        let l = &self.limbs;
        Self::from_limbs([
            l[0].shl(bits),
            l[1].shl(bits),
            l[2].shl(bits),
            l[3].shl(bits),
            l[4].shl(bits),
        ])
    }

    /// Lane i of `set` where bit i of `mask` is set, else of `clear`.
    #[inline(always)]
    #[must_use]
    pub fn select(mask: u8, set: &Self, clear: &Self) -> Self {
        let mut limbs = clear.limbs;
        for (limb, set) in limbs.iter_mut().zip(set.limbs) {
            *limb = W::select(mask, set, *limb);
        }
        Self::from_limbs(limbs)
    }

    /// Passes the carries on: the same value, ready to be multiplied. Requires a value below 64 p.
    #[inline(always)]
    #[must_use]
    pub fn carry(&self) -> Lanes<F, W> {
        Lanes::from_limbs::<{ 64 * 32 }>(carried(self.limbs))
    }

    /// Subtracts the right multiple of p: the same elements below 33/32 p, ready to be multiplied.
    ///
    /// With T = ⌊l_4 / 2^40⌋, an underestimate of v / 2^248, and M = ⌊2^300 / p⌋, the quotient is q = ⌊T M / 2^52⌋ ≤ v / p.
    /// Limbs 0 to 3 are worth less than 2^12 + 1 units of the top limb, so T > v / 2^248 - 1 - 2^-27 and
    /// q > v / p - 1 - 2^248 / p - 2^-10, hence 0 ≤ v - q p < (1 + 1/48 + 2^-10) p < 33/32 p. The subtraction is
    /// v + q (2^260 - p) mod 2^260.
    #[inline(always)]
    #[must_use]
    pub fn fold(&self) -> Lanes<F, W> {
        let backend = self.backend();
        let l = &self.limbs;
        let reciprocal = W::splat(backend, F::RECIPROCAL);
        let q = W::splat(backend, 0).madd_hi(l[4].shr(40), reciprocal);
        let n: [W; LIMBS] = splat(backend, F::COMPLEMENT);
        let mut limbs = carried([
            l[0].madd_lo(q, n[0]),
            l[1].madd_lo(q, n[1]).madd_hi(q, n[0]),
            l[2].madd_lo(q, n[2]).madd_hi(q, n[1]),
            l[3].madd_lo(q, n[3]).madd_hi(q, n[2]),
            l[4].madd_lo(q, n[4]).madd_hi(q, n[3]),
        ]);
        limbs[4] = limbs[4].and(W::splat(backend, LIMB_MASK));
        Lanes::from_limbs::<33>(limbs)
    }
}
