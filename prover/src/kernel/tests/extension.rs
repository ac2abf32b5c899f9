//! Fq2 lanes against arkworks.

use crate::kernel::{
    inverse::batch_invert,
    modulus::{LIMB_MASK, LaneField, multiple},
    quadratic::QuadraticLanes,
    tests::{Check, below, elements, everywhere, lane, modulo, once::quadratic, raw},
    words::{LANES, Words},
};
use ark_bn254::{Fq, Fq2};
use ark_ff::{AdditiveGroup, Field};
use std::array;

fn pairs() -> Vec<Fq2> {
    let parts = elements::<Fq>();
    let all = parts
        .iter()
        .flat_map(|a| parts[..8].iter().map(|b| Fq2::new(*a, *b)));
    all.collect()
}

struct Quadratic;

impl Check for Quadratic {
    fn run<W: Words>(&self, backend: W::Backend) {
        let all = pairs();
        let (vectors, _) = all.as_chunks::<LANES>();
        for (a, b) in vectors.iter().zip(vectors.iter().rev()) {
            let x = quadratic::from_fields::<W>(backend, a);
            let y = quadratic::from_fields::<W>(backend, b);
            let each = |f: fn(Fq2, Fq2) -> Fq2| array::from_fn(|i| f(a[i], b[i]));
            assert_eq!(quadratic::to_fields(&x), *a);
            assert_eq!(quadratic::to_fields(&x.reduce()), *a);
            assert_eq!(
                quadratic::to_fields(&quadratic::mul(&x, &y)),
                each(|a, b| a * b)
            );
            assert_eq!(
                quadratic::to_fields(&quadratic::square(&x)),
                each(|a, _| a.square())
            );
            assert_eq!(
                quadratic::to_fields(&quadratic::add(&x, &y)),
                each(|a, b| a + b)
            );
            assert_eq!(
                quadratic::to_fields(&quadratic::sub(&x, &y)),
                each(|a, b| a - b)
            );
            assert_eq!(quadratic::to_fields(&quadratic::neg(&x)), each(|a, _| -a));
            assert_eq!(
                quadratic::to_fields(&quadratic::double(&x)),
                each(|a, _| a.double())
            );
            let inverse = each(|a, _| a.inverse().unwrap_or(Fq2::ZERO));
            assert_eq!(quadratic::to_fields(&quadratic::invert(&x)), inverse);
            let units = a.map(|a| if a == Fq2::ZERO { Fq2::ONE } else { a });
            let x_units = quadratic::from_fields::<W>(backend, &units);
            assert_eq!(
                quadratic::to_fields(&quadratic::invert_units(&x_units)),
                units.map(|a| a.inverse().unwrap())
            );
            let zeros = (0..LANES).fold(0, |mask, i| mask | u8::from(a[i] == Fq2::ZERO) << i);
            assert_eq!(x.is_zero(), zeros);
            let chosen = quadratic::to_fields(&QuadraticLanes::select(0x0f, &x, &y));
            assert_eq!((chosen[0], chosen[7]), (a[0], b[7]));
        }
        let mut values: Vec<_> = vectors
            .iter()
            .map(|a| quadratic::from_fields::<W>(backend, a))
            .collect();
        batch_invert(&mut values, &mut Vec::new());
        for (value, a) in values.iter().zip(vectors) {
            assert_eq!(
                quadratic::to_fields(value),
                a.map(|a| a.inverse().unwrap_or(Fq2::ZERO))
            );
        }
        let one = QuadraticLanes::<Fq, W>::one(backend);
        assert_eq!(quadratic::to_fields(&one), [Fq2::ONE; LANES]);
    }
}

#[test]
fn fq2_computes_as_arkworks_does() {
    everywhere("Fq2", &Quadratic);
}

struct Bounds;

impl Check for Bounds {
    fn run<W: Words>(&self, backend: W::Backend) {
        // Just below k p, limbs at their bounds.
        let [near, near_seven] = [4, 7].map(|k| {
            let top = multiple(Fq::P, k)[4] - 1;
            [LIMB_MASK, LIMB_MASK, LIMB_MASK, LIMB_MASK, top]
        });
        for (low, high) in [(near, near), (near, [0; 5]), ([0; 5], near)] {
            let x = QuadraticLanes {
                c0: raw::<Fq, W>(backend, &[low; LANES]),
                c1: raw::<Fq, W>(backend, &[high; LANES]),
            };
            let unit = Fq::from(2_u64).pow([260]).inverse().unwrap();
            let expected = Fq2::new(modulo(low), modulo(high)).square();
            for square in [quadratic::mul(&x, &x), quadratic::square(&x)] {
                assert_eq!(modulo::<Fq>(lane(&square.c0, 2)), expected.c0 * unit);
                assert_eq!(modulo::<Fq>(lane(&square.c1, 2)), expected.c1 * unit);
                assert!(below::<Fq>(lane(&square.c0, 2), 2));
                assert!(below::<Fq>(lane(&square.c1, 2), 2));
            }
        }
        for (low, high) in [(near, near), (near, [0; 5]), ([0; 5], near)] {
            for (other_low, other_high) in [(near_seven, near_seven), ([0; 5], near_seven)] {
                let pair = |c0, c1| QuadraticLanes {
                    c0: raw::<Fq, W>(backend, &[c0; LANES]),
                    c1: raw::<Fq, W>(backend, &[c1; LANES]),
                };
                let product = quadratic::mul(&pair(low, high), &pair(other_low, other_high));
                let expected = Fq2::new(modulo(low), modulo(high))
                    * Fq2::new(modulo(other_low), modulo(other_high));
                let unit = Fq::from(2_u64).pow([260]).inverse().unwrap();
                assert_eq!(modulo::<Fq>(lane(&product.c0, 2)), expected.c0 * unit);
                assert_eq!(modulo::<Fq>(lane(&product.c1, 2)), expected.c1 * unit);
                assert!(below::<Fq>(lane(&product.c0, 2), 2));
                assert!(below::<Fq>(lane(&product.c1, 2), 2));
            }
        }
    }
}

#[test]
fn fq2_products_keep_their_bound_at_the_greatest_parts_they_take() {
    everywhere("Fq2 bounds", &Bounds);
}
