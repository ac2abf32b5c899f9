//! The quadratic extension of the base field, Fq2 = Fq(u) with u² = -1: coordinates of G2.

use super::{
    lanes::Lanes,
    modulus::LaneField,
    multiply::Product,
    words::{LANES, Words},
};
use ark_bn254::{Fq, Fq2};
use zeroize::Zeroize;

/// Eight elements `c0 + c1 u` with u² = -1.
#[derive(Clone, Copy, Debug)]
pub struct QuadraticLanes<F, W> {
    /// The part without u.
    pub c0: Lanes<F, W>,
    /// The part with u.
    pub c1: Lanes<F, W>,
}

impl<F: LaneField, W: Words> Zeroize for QuadraticLanes<F, W> {
    fn zeroize(&mut self) {
        self.c0.zeroize();
        self.c1.zeroize();
    }
}

impl<W: Words> QuadraticLanes<Fq, W> {
    /// Lane i is `elements[i]`. Parts below 2 p.
    #[inline(always)]
    #[must_use]
    pub fn from_fields(backend: W::Backend, elements: &[Fq2; LANES]) -> Self {
        Self {
            c0: Lanes::from_fields(backend, &elements.map(|element| element.c0)),
            c1: Lanes::from_fields(backend, &elements.map(|element| element.c1)),
        }
    }

    /// The elements, lane by lane.
    #[inline(always)]
    #[must_use]
    pub fn to_fields(&self) -> [Fq2; LANES] {
        let (c0, c1) = (self.c0.to_fields(), self.c1.to_fields());
        std::array::from_fn(|lane| Fq2::new(c0[lane], c1[lane]))
    }
}

impl<F: LaneField, W: Words> QuadraticLanes<F, W> {
    /// Zero in every lane.
    #[inline(always)]
    #[must_use]
    pub fn zero(backend: W::Backend) -> Self {
        let zero = Lanes::zero(backend);
        Self { c0: zero, c1: zero }
    }

    /// One in every lane.
    #[inline(always)]
    #[must_use]
    pub fn one(backend: W::Backend) -> Self {
        Self {
            c0: Lanes::one(backend),
            c1: Lanes::zero(backend),
        }
    }

    /// The evidence behind these words.
    #[inline(always)]
    #[must_use]
    pub fn backend(&self) -> W::Backend {
        self.c0.backend()
    }

    /// `self + other`, parts below 33/32 p.
    #[inline(always)]
    #[must_use]
    pub fn add(&self, other: &Self) -> Self {
        Self {
            c0: self.c0.add(&other.c0),
            c1: self.c1.add(&other.c1),
        }
    }

    /// `self - other`, parts below 33/32 p.
    #[inline(always)]
    #[must_use]
    pub fn sub(&self, other: &Self) -> Self {
        Self {
            c0: self.c0.sub(&other.c0),
            c1: self.c1.sub(&other.c1),
        }
    }

    /// `-self`, parts below 33/32 p.
    #[inline(always)]
    #[must_use]
    pub fn neg(&self) -> Self {
        Self {
            c0: self.c0.neg(),
            c1: self.c1.neg(),
        }
    }

    /// `2 self`, parts below 33/32 p.
    #[inline(always)]
    #[must_use]
    pub fn double(&self) -> Self {
        Self {
            c0: self.c0.double(),
            c1: self.c1.double(),
        }
    }

    /// The same elements, parts below 33/32 p.
    #[inline(always)]
    #[must_use]
    pub fn reduce(&self) -> Self {
        Self {
            c0: self.c0.reduce(),
            c1: self.c1.reduce(),
        }
    }

    /// `self · other`, parts below 2 p. Requires parts below 4 p, and of `other` below 7 p.
    #[inline(always)]
    #[must_use]
    pub fn mul(&self, other: &Self) -> Self {
        let [c0, c1] = self.products(other);
        Self {
            c0: c0.reduce(),
            c1: c1.reduce(),
        }
    }

    /// The parts of [`QuadraticLanes::mul`], to be reduced.
    ///
    /// c0 = a0 b0 + a1 (-b1) and c1 = a0 b1 + a1 b0, each sum reduced once. Four products and two reductions are fewer
    /// instructions than Karatsuba's three products, whose sums must be carried first and whose differences would need
    /// offsets to stay non-negative.
    /// c0 comes from less than (4 · 7 + 4 · 8) p² and c1 from less than 2 · 4 · 7 p²; both are below 71 p².
    #[inline(always)]
    pub(crate) fn products(&self, other: &Self) -> [Product<F, W>; 2] {
        let negated = Lanes::zero(self.backend())
            .loose()
            .minus::<8>(&other.c1.loose())
            .carry();
        [
            Product::of(&self.c0, &other.c0).plus(&self.c1, &negated),
            Product::of(&self.c0, &other.c1).plus(&self.c1, &other.c0),
        ]
    }

    /// `self²`, parts below 2 p. Requires parts below 4 p.
    #[inline(always)]
    #[must_use]
    pub fn square(&self) -> Self {
        let [c0, c1] = self.squared();
        Self {
            c0: c0.reduce(),
            c1: c1.reduce(),
        }
    }

    /// The parts of [`QuadraticLanes::square`], to be reduced: (c0 + c1)(c0 - c1) + 2 c0 c1 u. The first factors are below
    /// 8 p and 9 p, and 8 · 9 / 84 + 8/7 < 2.
    #[inline(always)]
    pub(crate) fn squared(&self) -> [Product<F, W>; 2] {
        let sum = self.c0.loose().plus(&self.c1.loose()).carry();
        let difference = self.c0.loose().minus::<5>(&self.c1.loose()).carry();
        [
            Product::of(&sum, &difference),
            Product::of(&self.c0, &self.c1.loose().shl(1).carry()),
        ]
    }

    /// `1 / self` and 0 for 0. Requires parts below 4 p.
    #[inline(always)]
    #[must_use]
    pub fn invert(&self) -> Self {
        self.times_inverse_of_norm(Lanes::invert)
    }

    /// `1 / self` = (c0 - c1 u) / (c0² + c1²), with that inverse.
    #[inline(always)]
    pub(super) fn times_inverse_of_norm(
        &self,
        inverse: impl FnOnce(&Lanes<F, W>) -> Lanes<F, W>,
    ) -> Self {
        let norm = Product::square(&self.c0).plus(&self.c1, &self.c1).reduce();
        let inverse = inverse(&norm);
        Self {
            c0: self.c0.mul(&inverse),
            c1: self.c1.neg().mul(&inverse),
        }
    }

    /// Bit i is set where lane i is zero.
    #[inline(always)]
    #[must_use]
    pub fn is_zero(&self) -> u8 {
        self.c0.is_zero() & self.c1.is_zero()
    }

    /// Lane i of `set` where bit i of `mask` is set, else of `clear`.
    #[inline(always)]
    #[must_use]
    pub fn select(mask: u8, set: &Self, clear: &Self) -> Self {
        Self {
            c0: Lanes::select(mask, &set.c0, &clear.c0),
            c1: Lanes::select(mask, &set.c1, &clear.c1),
        }
    }
}
