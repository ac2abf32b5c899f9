//! Miller loops of many pairs at once: the product of what `ark_ec` computes for each, up to factors that the final
//! exponentiation takes away.
//!
//! Three things make a pair cheaper here than alone. All pairs of a chunk share the squarings. Their points on the twist
//! walk in affine coordinates, whose divisions become products because one inversion serves the chunk. And every line is
//! scaled by an element of Fq so that its first coefficient is one: such factors vanish in the final exponentiation
//! (Barreto, Kim, Lynn and Scott, "Efficient algorithms for pairing-based cryptosystems", section 4).

use ark_bn254::{Bn254, Config, Fq, Fq2, Fq6, Fq12, Fq12Config, G1Affine, G2Affine};
use ark_ec::{AffineRepr, bn::BnConfig, pairing::MillerLoopOutput};
use ark_ff::{AdditiveGroup, Field, Fp12Config, One, fields::serial_batch_inversion_and_mul};
use rayon::prelude::*;

/// Pairs that share squarings and inversions, at most: beyond that nothing is saved, and they leave the caches.
const CHUNK: usize = 128;
/// Fewer than this are not spread over threads.
const SMALLEST_CHUNK: usize = 16;

/// The product of e(P, Q) over all pairs, not yet exponentiated; pairs with the neutral element count as one.
///
/// Second points must lie in the prime-order subgroup.
pub(super) fn miller_loop(pairs: &[(G1Affine, G2Affine)]) -> MillerLoopOutput<Bn254> {
    let chunk = pairs
        .len()
        .div_ceil(rayon::current_num_threads())
        .clamp(SMALLEST_CHUNK, CHUNK);
    MillerLoopOutput(pairs.par_chunks(chunk).map(chunk_loop).product())
}

fn chunk_loop(pairs: &[(G1Affine, G2Affine)]) -> Fq12 {
    let pairs = pairs.iter().filter(|(p, q)| !p.is_zero() && !q.is_zero());
    let mut walks: Vec<Walk> = pairs.map(|(p, q)| Walk::new(p, q)).collect();
    invert_y(&mut walks);
    let mut inverses = vec![Fq2::ZERO; walks.len()];
    let mut f = Fq12::one();
    for digit in Config::ATE_LOOP_COUNT.iter().rev().skip(1) {
        f.square_in_place();
        double(&mut f, &mut walks, &mut inverses);
        match digit {
            0 => {}
            1 => add(&mut f, &mut walks, &mut inverses, |walk| walk.q),
            _ => add(&mut f, &mut walks, &mut inverses, |walk| negative(walk.q)),
        }
    }
    for walk in &mut walks {
        walk.q = frobenius(walk.q);
    }
    add(&mut f, &mut walks, &mut inverses, |walk| walk.q);
    add(&mut f, &mut walks, &mut inverses, |walk| {
        negative(frobenius(walk.q))
    });
    f
}

/// Coordinates of a point of the twist.
type Point = (Fq2, Fq2);

/// A pair on its way: T goes from Q to (6x + 2) Q and beyond.
struct Walk {
    /// x and y of P; once [`invert_y`] has run, -x / y and 1 / y.
    p: (Fq, Fq),
    q: Point,
    t: Point,
}

impl Walk {
    const fn new(p: &G1Affine, q: &G2Affine) -> Self {
        let q = (q.x, q.y);
        Self {
            p: (p.x, p.y),
            q,
            t: q,
        }
    }

    /// Multiplies f by the line through T with this slope, at P and divided by y of P; T goes on to the third point of
    /// that line, mirrored. `x` is that of the line's other point.
    fn step(&mut self, f: &mut Fq12, slope: Fq2, x: Fq2) {
        let (tx, ty) = self.t;
        let constant = slope * tx - ty;
        let next = slope.square() - tx - x;
        self.t = (next, constant - slope * next);
        let (mut linear, mut constant) = (slope, constant);
        linear.mul_assign_by_fp(&self.p.0);
        constant.mul_assign_by_fp(&self.p.1);
        multiply_by_line(f, &linear, &constant);
    }
}

/// Brings every P into the form that lines are evaluated with. No y is 0: the order of the group is odd.
fn invert_y(walks: &mut [Walk]) {
    let mut inverses: Vec<Fq> = walks.iter().map(|walk| walk.p.1).collect();
    serial_batch_inversion_and_mul(&mut inverses, &Fq::ONE);
    for (walk, inverse) in walks.iter_mut().zip(inverses) {
        walk.p = (-walk.p.0 * inverse, inverse);
    }
}

/// Tangents: no y is 0 here either.
fn double(f: &mut Fq12, walks: &mut [Walk], inverses: &mut [Fq2]) {
    for (inverse, walk) in inverses.iter_mut().zip(walks.iter()) {
        *inverse = walk.t.1.double();
    }
    serial_batch_inversion_and_mul(inverses, &Fq2::ONE);
    for (walk, inverse) in walks.iter_mut().zip(inverses.iter()) {
        let x = walk.t.0;
        let square = x.square();
        walk.step(f, (square.double() + square) * inverse, x);
    }
}

/// Lines through T and another point. Their x differ: T is a multiple of Q by more than 1 and less than the order less 1,
/// and by other numbers than those by which the Frobenius multiplies.
fn add(f: &mut Fq12, walks: &mut [Walk], inverses: &mut [Fq2], other: impl Fn(&Walk) -> Point) {
    for (inverse, walk) in inverses.iter_mut().zip(walks.iter()) {
        *inverse = walk.t.0 - other(walk).0;
    }
    serial_batch_inversion_and_mul(inverses, &Fq2::ONE);
    for (walk, inverse) in walks.iter_mut().zip(inverses.iter()) {
        let (x, y) = other(walk);
        walk.step(f, (walk.t.1 - y) * inverse, x);
    }
}

fn negative((x, y): Point) -> Point {
    (x, -y)
}

/// The Frobenius of the curve, carried over to the twist.
fn frobenius((mut x, mut y): Point) -> Point {
    x.frobenius_map_in_place(1);
    y.frobenius_map_in_place(1);
    (x * Config::TWIST_MUL_BY_Q_X, y * Config::TWIST_MUL_BY_Q_Y)
}

/// Multiplies by 1 + (linear + constant v) w: ten products in Fq2.
fn multiply_by_line(f: &mut Fq12, linear: &Fq2, constant: &Fq2) {
    let mut high = f.c1;
    high.mul_by_01(linear, constant);
    let mut sum: Fq6 = f.c0 + f.c1;
    sum.mul_by_01(&(Fq2::ONE + linear), constant);
    f.c1 = sum - f.c0 - high;
    f.c0 += Fq12Config::mul_fp6_by_nonresidue_in_place(&mut high);
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use ark_ec::{CurveGroup, pairing::Pairing};
    use ark_ff::UniformRand;
    use rand::{SeedableRng, rngs::StdRng};

    fn pairs(count: usize) -> Vec<(G1Affine, G2Affine)> {
        let mut rng = StdRng::seed_from_u64(count as u64);
        (0..count)
            .map(|_| (G1Affine::rand(&mut rng), G2Affine::rand(&mut rng)))
            .collect()
    }

    fn agrees(pairs: &[(G1Affine, G2Affine)]) {
        let (p, q): (Vec<_>, Vec<_>) = pairs.iter().copied().unzip();
        let expected = Bn254::multi_pairing(p, q);
        let found = Bn254::final_exponentiation(miller_loop(pairs)).unwrap();
        assert_eq!(found, expected, "{} pairs", pairs.len());
    }

    #[test]
    fn products_of_pairings_are_those_of_arkworks() {
        for count in [0, 1, 2, SMALLEST_CHUNK + 1, 2 * CHUNK + 3] {
            agrees(&pairs(count));
        }
    }

    #[test]
    fn pairs_with_the_neutral_element_count_as_one() {
        let mut some = pairs(5);
        some[1].0 = G1Affine::identity();
        some[3].1 = G2Affine::identity();
        some[4] = (G1Affine::identity(), G2Affine::identity());
        agrees(&some);
        agrees(&some[3..]);
    }

    #[test]
    fn generators_and_their_small_multiples_meet_no_exception() {
        let (p, q) = (G1Affine::generator(), G2Affine::generator());
        let multiples: Vec<_> = (1u64..20)
            .flat_map(|k| {
                let (kp, kq) = (p * ark_bn254::Fr::from(k), q * ark_bn254::Fr::from(k));
                [
                    (kp.into_affine(), kq.into_affine()),
                    ((-kp).into_affine(), kq.into_affine()),
                ]
            })
            .collect();
        agrees(&multiples);
        agrees(&[multiples[0], multiples[1]]);
        let one = Bn254::final_exponentiation(miller_loop(&multiples)).unwrap();
        assert_eq!(one.0, Fq12::ONE);
    }
}
