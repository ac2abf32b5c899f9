//! What the additions need of G1 and of G2: how a point lies in memory, and arithmetic on eight coordinates.

use super::{
    Scalars,
    bases::{Line, PackedBases},
};
use crate::kernel::{
    FieldLanes, LANES, LaneField, Lanes, Loose, Product, QuadraticLanes, Words, modulus::LIMB_MASK,
};
use ark_bn254::{Fq, Fq2, Fr, g1, g2};
use ark_ec::short_weierstrass::{Affine, Projective, SWCurveConfig};
use ark_ff::{BigInteger, PrimeField};
use zeroize::Zeroize;

/// Eight coordinates, in three ranges (of each part, for G2): *reduced* ones are below 33/32 p, products below 2 p, others
/// are ready to be the second factor of a product and no more. What is kept in memory is reduced.
pub trait Coordinate<W: Words>: FieldLanes<W> + Zeroize {
    /// `self - other` for reduced numbers, ready to be multiplied.
    #[must_use]
    fn difference(&self, other: &Self) -> Self;

    /// `self - other` for reduced numbers, or `-self - other` in the lanes of `negative`; ready to be multiplied.
    #[must_use]
    fn signed_difference(&self, negative: u8, other: &Self) -> Self;

    /// `self` for reduced numbers, or `-self` in the lanes of `negative`; reduced.
    #[must_use]
    fn signed(&self, negative: u8) -> Self;

    /// `slope² - 2 x - difference` for a product and reduced numbers, reduced. With the difference of two abscissas that is
    /// the third abscissa of their line.
    #[must_use]
    fn third_abscissa(slope: &Self, x: &Self, difference: &Self) -> Self;

    /// `slope (x - third) - y` for a product and reduced numbers, reduced: the ordinate that belongs to the third abscissa.
    #[must_use]
    fn third_ordinate(slope: &Self, x: &Self, third: &Self, y: &Self) -> Self;

    /// Sees a difference of reduced numbers that is zero, always; bits may be set for others too, which is rare.
    fn may_be_zero(&self) -> u8;

    /// `1 / self` in each lane, for products. No lane is zero.
    #[must_use]
    fn inverse_of_units(&self) -> Self;
}

/// A group of BN254 whose points can be packed.
pub trait Curve: SWCurveConfig<ScalarField = Fr> {
    /// Lines of a point.
    const LINES: usize;
    /// Vectors of additions that share an inversion. They must fit into the second-level cache.
    const SLOTS: usize;
    /// Eight coordinates.
    type Coordinate<W: Words>: Coordinate<W>;

    /// The lines of a point, which is not infinity.
    fn pack(point: &Affine<Self>, lines: &mut [Line]);

    /// The point of lines whose coordinates may be any numbers below 2^256.
    fn unpack(lines: &[Line]) -> Affine<Self>;

    /// The field's numbers in a point's lines, in order.
    fn numbers(lines: &[Line]) -> impl Iterator<Item = [u64; 4]> {
        lines.iter().flat_map(|line| {
            let [a0, a1, a2, a3, b0, b1, b2, b3] = line.0;
            [[a0, a1, a2, a3], [b0, b1, b2, b3]]
        })
    }

    /// [`Scalars::times`] for scalars and bases of one length. Here so that it is compiled once, and not by each caller.
    #[doc(hidden)]
    fn times(scalars: &Scalars, bases: &PackedBases<'_, Self>) -> Projective<Self>;

    /// Lane i is the point that `at[i]` counts in `lines`.
    fn load<W: Words>(
        backend: W::Backend,
        lines: &[Line],
        at: [usize; LANES],
    ) -> (Self::Coordinate<W>, Self::Coordinate<W>);

    /// Writes lane i where `at[i]` counts in `lines`, if it is there at all. Requires reduced coordinates.
    fn store<W: Words>(
        x: &Self::Coordinate<W>,
        y: &Self::Coordinate<W>,
        lines: &mut [Line],
        at: [Option<usize>; LANES],
    );
}

impl Curve for g1::Config {
    const LINES: usize = 1;
    const SLOTS: usize = 256;
    type Coordinate<W: Words> = Lanes<Fq, W>;

    fn pack(point: &Affine<Self>, lines: &mut [Line]) {
        lines[0] = line_of(&point.x, &point.y);
    }

    fn unpack(lines: &[Line]) -> Affine<Self> {
        let (x, y) = fields_of(&lines[0]);
        Affine::new_unchecked(x, y)
    }

    fn times(scalars: &Scalars, bases: &PackedBases<'_, Self>) -> Projective<Self> {
        scalars.times_checked(bases)
    }

    #[inline(always)]
    fn load<W: Words>(
        backend: W::Backend,
        lines: &[Line],
        at: [usize; LANES],
    ) -> (Self::Coordinate<W>, Self::Coordinate<W>) {
        load_line(backend, lines, at)
    }

    #[inline(always)]
    fn store<W: Words>(
        x: &Self::Coordinate<W>,
        y: &Self::Coordinate<W>,
        lines: &mut [Line],
        at: [Option<usize>; LANES],
    ) {
        store_line(x, y, lines, at);
    }
}

impl Curve for g2::Config {
    const LINES: usize = 2;
    const SLOTS: usize = 256;
    type Coordinate<W: Words> = QuadraticLanes<Fq, W>;

    fn pack(point: &Affine<Self>, lines: &mut [Line]) {
        lines[0] = line_of(&point.x.c0, &point.x.c1);
        lines[1] = line_of(&point.y.c0, &point.y.c1);
    }

    fn unpack(lines: &[Line]) -> Affine<Self> {
        let coordinate = |line| {
            let (c0, c1) = fields_of(line);
            Fq2::new(c0, c1)
        };
        Affine::new_unchecked(coordinate(&lines[0]), coordinate(&lines[1]))
    }

    fn times(scalars: &Scalars, bases: &PackedBases<'_, Self>) -> Projective<Self> {
        scalars.times_checked(bases)
    }

    #[inline(always)]
    fn load<W: Words>(
        backend: W::Backend,
        lines: &[Line],
        at: [usize; LANES],
    ) -> (Self::Coordinate<W>, Self::Coordinate<W>) {
        let mut first = at;
        let mut second = at;
        for lane in 0..LANES {
            first[lane] = 2 * at[lane];
            second[lane] = 2 * at[lane] + 1;
        }
        let (c0, c1) = load_line(backend, lines, first);
        let x = QuadraticLanes { c0, c1 };
        let (c0, c1) = load_line(backend, lines, second);
        (x, QuadraticLanes { c0, c1 })
    }

    #[inline(always)]
    fn store<W: Words>(
        x: &Self::Coordinate<W>,
        y: &Self::Coordinate<W>,
        lines: &mut [Line],
        at: [Option<usize>; LANES],
    ) {
        store_line(&x.c0, &x.c1, lines, at.map(|at| at.map(|at| 2 * at)));
        store_line(&y.c0, &y.c1, lines, at.map(|at| at.map(|at| 2 * at + 1)));
    }
}

/// Two elements in the lanes' Montgomery form, below p.
fn line_of(a: &Fq, b: &Fq) -> Line {
    let words = |element: &Fq| (*element * Fq::from(16_u64)).montgomery_words();
    let ([a0, a1, a2, a3], [b0, b1, b2, b3]) = (words(a), words(b));
    Line([a0, a1, a2, a3, b0, b1, b2, b3])
}

/// The elements whose lanes' Montgomery form, or that plus multiples of p, lies in the line.
fn fields_of(line: &Line) -> (Fq, Fq) {
    // 2^252 is below p, and arkworks' form of 1/16.
    let sixteenth = Fq::from_montgomery_words([0, 0, 0, 1 << 60]);
    let field = |words: [u64; 4]| {
        let mut number = ark_ff::BigInt(words);
        while number >= Fq::MODULUS {
            number.sub_with_borrow(&Fq::MODULUS);
        }
        Fq::from_montgomery_words(number.0) * sixteenth
    };
    let [a0, a1, a2, a3, b0, b1, b2, b3] = line.0;
    (field([a0, a1, a2, a3]), field([b0, b1, b2, b3]))
}

/// The two numbers of eight lines.
#[inline(always)]
fn load_line<W: Words>(
    backend: W::Backend,
    lines: &[Line],
    at: [usize; LANES],
) -> (Lanes<Fq, W>, Lanes<Fq, W>) {
    let mut rows = [W::splat(backend, 0); LANES];
    for (row, at) in rows.iter_mut().zip(at) {
        *row = W::load(backend, &lines[at].0);
    }
    let [a0, a1, a2, a3, b0, b1, b2, b3] = W::transpose(rows);
    (
        Lanes::unpack(&[a0, a1, a2, a3]),
        Lanes::unpack(&[b0, b1, b2, b3]),
    )
}

/// The inverse of [`load_line`].
#[inline(always)]
fn store_line<W: Words>(
    a: &Lanes<Fq, W>,
    b: &Lanes<Fq, W>,
    lines: &mut [Line],
    at: [Option<usize>; LANES],
) {
    let ([a0, a1, a2, a3], [b0, b1, b2, b3]) = (a.pack(), b.pack());
    let rows = W::transpose([a0, a1, a2, a3, b0, b1, b2, b3]);
    for (row, at) in rows.into_iter().zip(at) {
        if let Some(at) = at {
            row.store(&mut lines[at].0);
        }
    }
}

/// Bit i is set where the low limb of lane i is that of one of these multiples of p.
#[inline(always)]
fn has_low_limb_of<W: Words, const N: usize>(lanes: &Lanes<Fq, W>, multiples: [u64; N]) -> u8 {
    let backend = lanes.backend();
    let low = lanes.pack()[0].and(W::splat(backend, LIMB_MASK));
    let mut found = 0;
    for k in multiples {
        let limb = Fq::P[0].wrapping_mul(k) & LIMB_MASK;
        found |= low.equal(W::splat(backend, limb));
    }
    found
}

/// `slope² - 2 x - difference` for one part of each.
///
/// What is subtracted is below (2 · 33/32 + 33/32 + 3) p < 7 p, with limbs below 3 · 2^52.
#[inline(always)]
fn third_abscissa<W: Words>(
    square: &Product<Fq, W>,
    x: &Lanes<Fq, W>,
    difference: &Lanes<Fq, W>,
) -> Lanes<Fq, W> {
    let sum = x.loose().shl(1).plus(&difference.loose());
    square.reduce_loose().minus::<8>(&sum).fold()
}

/// `product - y` for one part of each.
#[inline(always)]
fn third_ordinate<W: Words>(product: &Product<Fq, W>, y: &Lanes<Fq, W>) -> Lanes<Fq, W> {
    product.reduce_loose().minus::<3>(&y.loose()).fold()
}

/// ± `number`, below 3 p with limbs below 5 · 2^52.
#[inline(always)]
fn signed<W: Words>(number: &Lanes<Fq, W>, negative: u8) -> Loose<Fq, W> {
    let zero = Lanes::zero(number.backend());
    let opposite = zero.loose().minus::<3>(&number.loose());
    Loose::select(negative, &opposite, &number.loose())
}

impl<W: Words> Coordinate<W> for Lanes<Fq, W> {
    /// Below 33/32 p + 3 p.
    #[inline(always)]
    fn difference(&self, other: &Self) -> Self {
        self.loose().minus::<3>(&other.loose()).carry()
    }

    /// Below 3 p + 3 p.
    #[inline(always)]
    fn signed_difference(&self, negative: u8, other: &Self) -> Self {
        signed(self, negative).minus::<3>(&other.loose()).carry()
    }

    #[inline(always)]
    fn signed(&self, negative: u8) -> Self {
        signed(self, negative).fold()
    }

    #[inline(always)]
    fn third_abscissa(slope: &Self, x: &Self, difference: &Self) -> Self {
        third_abscissa(&Product::square(slope), x, difference)
    }

    #[inline(always)]
    fn third_ordinate(slope: &Self, x: &Self, third: &Self, y: &Self) -> Self {
        third_ordinate(&Product::of(slope, &x.difference(third)), y)
    }

    /// The difference of reduced numbers is within 33/32 p of 3 p, so zero is 2 p, 3 p or 4 p.
    #[inline(always)]
    fn may_be_zero(&self) -> u8 {
        has_low_limb_of(self, [2, 3, 4])
    }

    #[inline(always)]
    fn inverse_of_units(&self) -> Self {
        self.invert_units()
    }
}

/// Parts of differences are below 7 p, which the second factor of a product may be.
impl<W: Words> Coordinate<W> for QuadraticLanes<Fq, W> {
    #[inline(always)]
    fn difference(&self, other: &Self) -> Self {
        Self {
            c0: self.c0.difference(&other.c0),
            c1: self.c1.difference(&other.c1),
        }
    }

    #[inline(always)]
    fn signed_difference(&self, negative: u8, other: &Self) -> Self {
        Self {
            c0: self.c0.signed_difference(negative, &other.c0),
            c1: self.c1.signed_difference(negative, &other.c1),
        }
    }

    #[inline(always)]
    fn signed(&self, negative: u8) -> Self {
        Self {
            c0: self.c0.signed(negative),
            c1: self.c1.signed(negative),
        }
    }

    #[inline(always)]
    fn third_abscissa(slope: &Self, x: &Self, difference: &Self) -> Self {
        let [c0, c1] = slope.squared();
        Self {
            c0: third_abscissa(&c0, &x.c0, &difference.c0),
            c1: third_abscissa(&c1, &x.c1, &difference.c1),
        }
    }

    #[inline(always)]
    fn third_ordinate(slope: &Self, x: &Self, third: &Self, y: &Self) -> Self {
        let [c0, c1] = slope.products(&x.difference(third));
        Self {
            c0: third_ordinate(&c0, &y.c0),
            c1: third_ordinate(&c1, &y.c1),
        }
    }

    #[inline(always)]
    fn may_be_zero(&self) -> u8 {
        self.c0.may_be_zero() & self.c1.may_be_zero()
    }

    #[inline(always)]
    fn inverse_of_units(&self) -> Self {
        self.invert_units()
    }
}
