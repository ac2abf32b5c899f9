//! The random weights of a batch: 128 bits each, chosen so that multiplying by them costs half of what 128 bits do.
//!
//! On this curve (β x, y) is λ times (x, y), for a cube root of unity β in Fq and one λ in Fr. A weight is a + λ b for 64-bit
//! a and b, so that one chain of 64 doublings serves both halves (Gallant, Lambert and Vanstone, "Faster point
//! multiplication on elliptic curves with efficient endomorphisms").
//!
//! No two pairs (a, b) are the same weight: the difference of two would be a + λ b = 0 with |a|, |b| < 2^64, so r would
//! divide a^2 - a b + b^2 (λ being a root of X^2 + X + 1), which is below 3 · 2^128 and positive unless both are 0.

use ark_bn254::{G1Affine, G1Projective, g1};
use ark_ec::{VariableBaseMSM, scalar_mul::glv::GLVConfig};
use ark_ff::{AdditiveGroup, Zero};
use rand::{Rng, rngs::OsRng};

use crate::field::Fr;

/// a + λ b.
#[derive(Clone, Copy, Debug)]
pub(super) struct Weight {
    a: u64,
    b: u64,
}

impl Weight {
    /// One of 2^128, from the operating system.
    pub(super) fn random() -> Self {
        Self {
            a: OsRng.r#gen(),
            b: OsRng.r#gen(),
        }
    }

    /// The weight as an element of the field.
    pub(super) fn scalar(self) -> Fr {
        Fr::from(self.a) + Fr::from(self.b) * <g1::Config as GLVConfig>::LAMBDA
    }

    /// The point times the weight.
    pub(super) fn times(self, point: G1Affine) -> G1Projective {
        let turned = g1::Config::endomorphism_affine(&point);
        // 1 + λ = -λ^2, so the sum of the two costs no addition.
        let both = -g1::Config::endomorphism_affine(&turned);
        let mut sum = G1Projective::zero();
        for bit in (0..u64::BITS).rev() {
            sum.double_in_place();
            match (self.a >> bit & 1, self.b >> bit & 1) {
                (0, 0) => {}
                (1, 0) => sum += point,
                (0, _) => sum += turned,
                (_, _) => sum += both,
            }
        }
        sum
    }

    /// The sum of points times their weights.
    pub(super) fn sum(
        points: impl Iterator<Item = G1Affine> + Clone,
        weights: &[Self],
    ) -> G1Projective {
        let turned = points
            .clone()
            .map(|point| g1::Config::endomorphism_affine(&point));
        let bases: Vec<G1Affine> = points.chain(turned).collect();
        let (a, b) = (weights.iter().map(|w| w.a), weights.iter().map(|w| w.b));
        let scalars: Vec<u64> = a.chain(b).collect();
        G1Projective::msm_u64(&bases, &scalars)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ark_ff::{Field, UniformRand};

    const EDGES: [u64; 5] = [0, 1, 2, 1 << 63, u64::MAX];

    fn weights() -> Vec<Weight> {
        let edges = EDGES
            .iter()
            .flat_map(|a| EDGES.map(|b| Weight { a: *a, b }));
        edges.chain((0..20).map(|_| Weight::random())).collect()
    }

    #[test]
    fn a_point_times_a_weight_is_the_point_times_its_scalar() {
        for weight in weights() {
            let point = G1Affine::rand(&mut OsRng);
            assert_eq!(weight.times(point), point * weight.scalar(), "{weight:?}");
            assert!(weight.times(G1Affine::identity()).is_zero());
        }
    }

    #[test]
    fn a_weighted_sum_is_the_sum_of_the_products() {
        let weights = weights();
        for count in [0, 1, 2, weights.len()] {
            let points: Vec<_> = (0..count).map(|_| G1Affine::rand(&mut OsRng)).collect();
            let expected: G1Projective = points
                .iter()
                .zip(&weights)
                .map(|(point, weight)| *point * weight.scalar())
                .sum();
            let found = Weight::sum(points.into_iter(), &weights[..count]);
            assert_eq!(found, expected, "{count} points");
        }
    }

    #[test]
    fn lambda_is_the_root_that_keeps_weights_apart() {
        let lambda = <g1::Config as GLVConfig>::LAMBDA;
        assert_eq!(lambda.square() + lambda + Fr::ONE, Fr::ZERO);
    }
}
