//! Butterflies: the arithmetic of one, two or three layers.
//!
//! Interpolation decimates in frequency: `(u, v) <- (u + v, (u - v) r)`. Evaluation decimates in time:
//! `(u, v) <- (u + v r, u - v r)`. Between vectors two layers are computed at once, so that numbers are loaded half as
//! often; across lanes all three.
//!
//! Ranges: what decimates in frequency takes numbers below 4 p and gives numbers below 4 p. What decimates in time takes
//! any lanes and adds 3 p a layer to what it got: a transform has at most 19 layers of them, and is folded when it is
//! stored.

use super::roots::Roots;
use crate::kernel::{LANES, Lanes, Words, modulus::Limbs};
use ark_bn254::Fr;

/// Two layers of interpolation, for places k of the four quarters of a part: `upper` has the roots of k and of a quarter
/// of the part later, `lower` those of k in the next layer.
#[inline(always)]
pub(super) fn split_four<W: Words>(
    backend: W::Backend,
    quarters: [&mut [Lanes<Fr, W>]; 4],
    upper: [&[Limbs]; 2],
    lower: &[Limbs],
) {
    let [q0, q1, q2, q3] = quarters;
    let [upper0, upper1] = upper;
    let places = q0.iter_mut().zip(q1).zip(q2.iter_mut().zip(q3));
    let roots = upper0.iter().zip(upper1).zip(lower);
    for (((x0, x1), (x2, x3)), ((r0, r1), r2)) in places.zip(roots) {
        let root = |limbs: &Limbs| Lanes::<Fr, W>::constant(backend, *limbs);
        let (r0, r1, r2) = (root(r0), root(r1), root(r2));
        let (a, b, c, d) = (x0.loose(), x1.loose(), x2.loose(), x3.loose());
        // Sums below 8 p, products below 2 p.
        let (even, odd) = (a.plus(&c), b.plus(&d));
        let even_rest = a.minus::<5>(&c).carry().mul(&r0).loose();
        let odd_rest = b.minus::<5>(&d).carry().mul(&r1).loose();
        *x0 = even.plus(&odd).fold();
        *x1 = even.minus::<9>(&odd).carry().mul(&r2);
        *x2 = even_rest.plus(&odd_rest).carry();
        *x3 = even_rest.minus::<3>(&odd_rest).carry().mul(&r2);
    }
}

/// One layer of interpolation.
#[inline(always)]
pub(super) fn split_two<W: Words>(
    backend: W::Backend,
    halves: [&mut [Lanes<Fr, W>]; 2],
    roots: &[Limbs],
) {
    let [h0, h1] = halves;
    for ((x0, x1), root) in h0.iter_mut().zip(h1).zip(roots) {
        let (a, b) = (x0.loose(), x1.loose());
        *x0 = a.plus(&b).fold();
        *x1 = a
            .minus::<5>(&b)
            .carry()
            .mul(&Lanes::constant(backend, *root));
    }
}

/// Two layers of evaluation: the inverse of [`split_four`], given the inverse roots, up to a factor of four.
#[inline(always)]
pub(super) fn join_four<W: Words>(
    backend: W::Backend,
    quarters: [&mut [Lanes<Fr, W>]; 4],
    upper: [&[Limbs]; 2],
    lower: &[Limbs],
) {
    let [q0, q1, q2, q3] = quarters;
    let [upper0, upper1] = upper;
    let places = q0.iter_mut().zip(q1).zip(q2.iter_mut().zip(q3));
    let roots = upper0.iter().zip(upper1).zip(lower);
    for (((x0, x1), (x2, x3)), ((r0, r1), r2)) in places.zip(roots) {
        let root = |limbs: &Limbs| Lanes::<Fr, W>::constant(backend, *limbs);
        let (r0, r1, r2) = (root(r0), root(r1), root(r2));
        // Products are below 2 p.
        let (b, d) = (x1.mul(&r2).loose(), x3.mul(&r2).loose());
        let (even, odd) = (x0.loose().plus(&b), x0.loose().minus::<3>(&b));
        let even_rest = x2.loose().plus(&d).carry().mul(&r0).loose();
        let odd_rest = x2.loose().minus::<3>(&d).carry().mul(&r1).loose();
        *x0 = even.plus(&even_rest).carry();
        *x1 = odd.plus(&odd_rest).carry();
        *x2 = even.minus::<3>(&even_rest).carry();
        *x3 = odd.minus::<3>(&odd_rest).carry();
    }
}

/// One layer of evaluation.
#[inline(always)]
pub(super) fn join_two<W: Words>(
    backend: W::Backend,
    halves: [&mut [Lanes<Fr, W>]; 2],
    roots: &[Limbs],
) {
    let [h0, h1] = halves;
    for ((x0, x1), root) in h0.iter_mut().zip(h1).zip(roots) {
        let b = x1.mul(&Lanes::constant(backend, *root)).loose();
        let a = x0.loose();
        *x0 = a.plus(&b).carry();
        *x1 = a.minus::<3>(&b).carry();
    }
}

/// The three layers of interpolation across the lanes of eight neighbouring vectors, the `row`th eight of all.
///
/// Takes numbers below 2 p and gives numbers below 2 p.
#[inline(always)]
pub(super) fn split_lanes<W: Words>(
    backend: W::Backend,
    vectors: &mut [Lanes<Fr, W>; LANES],
    roots: &Roots,
    row: usize,
) {
    let mut x = Lanes::transpose(vectors);
    // Below 2 p, then 5 p, 11 p and 23 p.
    split_layer::<3, 4, W>(backend, &mut x, roots);
    split_layer::<6, 2, W>(backend, &mut x, roots);
    split_layer::<12, 1, W>(backend, &mut x, roots);
    twist(backend, &mut x, roots, row);
    x[0] = x[0].mul(&roots.spread[0].load(backend));
    *vectors = Lanes::transpose(&x);
}

/// The three layers of evaluation across the lanes of eight neighbouring vectors, the `row`th eight of all.
///
/// Takes any lanes and gives numbers below 23 p.
#[inline(always)]
pub(super) fn join_lanes<W: Words>(
    backend: W::Backend,
    vectors: &mut [Lanes<Fr, W>; LANES],
    roots: &Roots,
    row: usize,
) {
    let mut x = Lanes::transpose(vectors);
    twist(backend, &mut x, roots, row);
    // The factor of class 0 is one.
    x[0] = x[0].reduce();
    join_layer::<3, 1, W>(backend, &mut x, roots);
    join_layer::<6, 2, W>(backend, &mut x, roots);
    join_layer::<12, 4, W>(backend, &mut x, roots);
    *vectors = Lanes::transpose(&x);
}

/// Multiplies what belongs to the classes 1 to 7 by their powers of the place: by `(g w^(8 row + m))^(e s)`.
#[inline(always)]
fn twist<W: Words>(backend: W::Backend, x: &mut [Lanes<Fr, W>; LANES], roots: &Roots, row: usize) {
    let factors = roots.spread[1..].iter().zip(&roots.steps[row]);
    for (x, (spread, step)) in x[1..].iter_mut().zip(factors) {
        *x = x
            .mul(&spread.load(backend))
            .mul(&Lanes::constant(backend, *step));
    }
}

/// `(u, v) <- (u + v, (u - v) r)` for pairs that are HALF apart. Requires numbers at most (K - 1) p.
#[inline(always)]
fn split_layer<const K: u64, const HALF: usize, W: Words>(
    backend: W::Backend,
    x: &mut [Lanes<Fr, W>; LANES],
    roots: &Roots,
) {
    for part in x.chunks_exact_mut(2 * HALF) {
        let (low, high) = part.split_at_mut(HALF);
        for (k, (u, v)) in low.iter_mut().zip(high).enumerate() {
            let (a, b) = (u.loose(), v.loose());
            let difference = a.minus::<K>(&b).carry();
            *u = a.plus(&b).carry();
            *v = if k == 0 {
                difference
            } else {
                difference.mul(&Lanes::constant(backend, roots.eighths[k * (4 / HALF)]))
            };
        }
    }
}

/// `(u, v) <- (u + v r, u - v r)` for pairs that are HALF apart. Requires numbers at most (K - 1) p.
#[inline(always)]
fn join_layer<const K: u64, const HALF: usize, W: Words>(
    backend: W::Backend,
    x: &mut [Lanes<Fr, W>; LANES],
    roots: &Roots,
) {
    for part in x.chunks_exact_mut(2 * HALF) {
        let (low, high) = part.split_at_mut(HALF);
        for (k, (u, v)) in low.iter_mut().zip(high).enumerate() {
            let product = if k == 0 {
                *v
            } else {
                v.mul(&Lanes::constant(backend, roots.eighths[k * (4 / HALF)]))
            };
            let (a, b) = (u.loose(), product.loose());
            *u = a.plus(&b).carry();
            *v = a.minus::<K>(&b).carry();
        }
    }
}
