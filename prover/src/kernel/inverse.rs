//! Inverses: eight by Fermat's theorem or by division steps, many by Montgomery's trick.

use super::{
    division_steps, lanes::Lanes, modulus::LaneField, quadratic::QuadraticLanes, words::Words,
};

/// What an algorithm over points or vectors needs of its coordinates: eight elements of a field at once.
///
/// Operations take numbers below 4 p. Sums and differences come back below 33/32 p, products and inverses below 2 p.
pub trait FieldLanes<W: Words>: Copy + Send + Sync {
    /// One in every lane.
    fn one(backend: W::Backend) -> Self;
    /// Zero in every lane.
    fn zero(backend: W::Backend) -> Self;
    /// The evidence behind the words.
    fn backend(&self) -> W::Backend;
    /// `self + other`.
    #[must_use]
    fn add(&self, other: &Self) -> Self;
    /// `self - other`.
    #[must_use]
    fn sub(&self, other: &Self) -> Self;
    /// `-self`.
    #[must_use]
    fn neg(&self) -> Self;
    /// `2 self`.
    #[must_use]
    fn double(&self) -> Self;
    /// `self · other`.
    #[must_use]
    fn mul(&self, other: &Self) -> Self;
    /// `self²`.
    #[must_use]
    fn square(&self) -> Self;
    /// `1 / self`, and 0 for 0.
    #[must_use]
    fn invert(&self) -> Self;
    /// Bit i is set where lane i is zero.
    fn is_zero(&self) -> u8;
    /// Lane i of `set` where bit i of `mask` is set, else of `clear`.
    #[must_use]
    fn select(mask: u8, set: &Self, clear: &Self) -> Self;
}

/// Implements [`FieldLanes`] by the type's own functions of the same names.
macro_rules! field_lanes {
    ([$($generics:tt)*] $type:ty) => {
        impl<$($generics)*, W: Words> FieldLanes<W> for $type {
            #[inline(always)]
            fn one(backend: W::Backend) -> Self {
                <$type>::one(backend)
            }
            #[inline(always)]
            fn zero(backend: W::Backend) -> Self {
                <$type>::zero(backend)
            }
            #[inline(always)]
            fn backend(&self) -> W::Backend {
                <$type>::backend(self)
            }
            #[inline(always)]
            fn add(&self, other: &Self) -> Self {
                <$type>::add(self, other)
            }
            #[inline(always)]
            fn sub(&self, other: &Self) -> Self {
                <$type>::sub(self, other)
            }
            #[inline(always)]
            fn neg(&self) -> Self {
                <$type>::neg(self)
            }
            #[inline(always)]
            fn double(&self) -> Self {
                <$type>::double(self)
            }
            #[inline(always)]
            fn mul(&self, other: &Self) -> Self {
                <$type>::mul(self, other)
            }
            #[inline(always)]
            fn square(&self) -> Self {
                <$type>::square(self)
            }
            #[inline(always)]
            fn invert(&self) -> Self {
                <$type>::invert(self)
            }
            #[inline(always)]
            fn is_zero(&self) -> u8 {
                <$type>::is_zero(self)
            }
            #[inline(always)]
            fn select(mask: u8, set: &Self, clear: &Self) -> Self {
                <$type>::select(mask, set, clear)
            }
        }
    };
}
field_lanes!([F: LaneField] Lanes<F, W>);
field_lanes!([F: LaneField] QuadraticLanes<F, W>);

/// Bits of the exponent that are taken at a time.
const WINDOW: u32 = 4;

impl<F: LaneField, W: Words> Lanes<F, W> {
    /// `self^(p - 2)`: `1 / self`, and 0 for 0. Below 2 p. The same operations whatever the lanes hold.
    ///
    /// 256 squarings and 78 products, so worth sharing: see [`batch_invert`].
    #[must_use]
    pub fn invert(&self) -> Self {
        W::run(
            self.backend(),
            #[inline(always)]
            || self.invert_inlined(),
        )
    }

    #[inline(always)]
    fn invert_inlined(&self) -> Self {
        let base = self.reduce();
        let mut powers = [Self::one(self.backend()); 1 << WINDOW];
        for i in 1..powers.len() {
            powers[i] = powers[i - 1].mul(&base);
        }
        // p is odd and above 2, so subtracting 2 borrows from the lowest word alone or not at all.
        let mut exponent = F::MODULUS.0;
        exponent[0] -= 2;
        let mut result = Self::one(self.backend());
        for word in exponent.iter().rev() {
            for shift in (0..64).step_by(WINDOW as usize).rev() {
                for _ in 0..WINDOW {
                    result = result.square();
                }
                result = result.mul(&powers[(word >> shift & 0xf) as usize]);
            }
        }
        result
    }
}

impl<F: LaneField, W: Words> Lanes<F, W> {
    /// `1 / self`, below 2 p, in a fraction of the time of [`Lanes::invert`] and in another for other numbers: by one
    /// inversion of the product of all lanes.
    ///
    /// Requires that no lane is zero; else all of them become zero.
    #[inline(always)]
    #[must_use]
    pub fn invert_units(&self) -> Self {
        let mut fields = self.to_fields();
        let mut before = fields;
        let mut product = F::ONE;
        for (before, field) in before.iter_mut().zip(&fields) {
            *before = product;
            product *= field;
        }
        let mut inverse = division_steps::inverse(&product);
        for (before, field) in before.iter().zip(&mut fields).rev() {
            let value = *field;
            *field = inverse * before;
            inverse *= value;
        }
        Self::from_fields(self.backend(), &fields)
    }
}

impl<F: LaneField, W: Words> QuadraticLanes<F, W> {
    /// `1 / self` as of [`Lanes::invert_units`], with its requirement. Requires parts below 4 p.
    #[inline(always)]
    #[must_use]
    pub fn invert_units(&self) -> Self {
        self.times_inverse_of_norm(Lanes::invert_units)
    }
}

/// Replaces each lane of each vector by its inverse, and leaves zeros alone.
///
/// With P_i the product of the first i vectors, `1 / v_i = P_(i-1) / P_i` and `1 / P_(i-1) = v_i / P_i`: three products a
/// vector and one inversion for all. A lane that is zero takes part as one. `prefixes` is scratch space of any length; it
/// is kept by the caller so that inner loops do not allocate.
#[inline(always)]
pub fn batch_invert<W: Words, L: FieldLanes<W>>(values: &mut [L], prefixes: &mut Vec<L>) {
    let Some(first) = values.first() else { return };
    let backend = first.backend();
    let (zero, one) = (L::zero(backend), L::one(backend));
    prefixes.clear();
    let mut product = one;
    for value in values.iter() {
        prefixes.push(product);
        product = product.mul(&L::select(value.is_zero(), &one, value));
    }
    let mut inverse = product.invert();
    for (value, prefix) in values.iter_mut().zip(prefixes.iter()).rev() {
        let zeros = value.is_zero();
        let factor = L::select(zeros, &one, value);
        *value = L::select(zeros, &zero, &inverse.mul(prefix));
        inverse = inverse.mul(&factor);
    }
}
