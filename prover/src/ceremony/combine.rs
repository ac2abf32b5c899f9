//! Linear combinations of points.

use super::points::FilePoint;
use ark_bn254::Fr;
use ark_ec::VariableBaseMSM;
use ark_ff::{AdditiveGroup, BigInteger, PrimeField, Zero};
use rand::{RngCore, rngs::OsRng};

/// Width of the signed windows; digits are odd and below 2^(WINDOW - 1).
const WINDOW: usize = 4;
const TABLE: usize = 1 << (WINDOW - 2);

/// Adds up a few multiples: windows of all terms share their doublings (Straus).
///
/// A column of a circuit's matrix has a handful of terms, far too few for buckets.
pub(super) fn combine<P: FilePoint>(terms: &[(P, Fr)]) -> P::Group {
    let mut sum = P::Group::zero();
    let mut long: Vec<([P::Group; TABLE], Vec<i64>)> = Vec::new();
    for (point, factor) in terms {
        // Of k and -k the shorter one: small negative numbers stand near r.
        let (point, factor) = match (factor.into_bigint(), (-*factor).into_bigint()) {
            (plain, negated) if negated < plain => (-point.into_group(), negated),
            (plain, _) => (point.into_group(), plain),
        };
        if factor == Fr::from(1u64).into_bigint() {
            sum += point;
            continue;
        }
        let Some(digits) = factor.find_wnaf(WINDOW) else {
            unreachable!("the window is at least two bits wide")
        };
        let twice = point.double();
        let mut table = [point; TABLE];
        for i in 1..TABLE {
            table[i] = table[i - 1] + twice;
        }
        long.push((table, digits));
    }
    let longest = long.iter().map(|(_, digits)| digits.len()).max();
    let mut high = P::Group::zero();
    for place in (0..longest.unwrap_or_default()).rev() {
        high.double_in_place();
        for (table, digits) in &long {
            let digit = digits.get(place).copied().unwrap_or_default();
            let odd = usize::try_from(digit.unsigned_abs() / 2).unwrap_or_default();
            match digit {
                0 => {}
                1.. => high += table[odd],
                ..0 => high -= table[odd],
            }
        }
    }
    sum + high
}

/// Weights of 128 bits that whoever made the points cannot have known.
pub(super) fn random_weights(count: usize) -> Vec<Fr> {
    let mut bytes = vec![0; 16 * count];
    OsRng.fill_bytes(&mut bytes);
    let (words, _) = bytes.as_chunks::<16>();
    words
        .iter()
        .map(|word| Fr::from(u128::from_le_bytes(*word)))
        .collect()
}

/// The sum of the points times their weights; as many as the shorter of both has.
pub(super) fn weighted_sum<P>(points: &[P], weights: &[Fr]) -> P
where
    P: FilePoint,
    P::Group: VariableBaseMSM<MulBase = P>,
{
    let count = points.len().min(weights.len());
    P::Group::msm_unchecked(&points[..count], &weights[..count]).into()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::cast_possible_truncation)]
    use super::*;
    use ark_bn254::{G1Affine, G2Affine};
    use ark_ec::{AffineRepr, CurveGroup};
    use ark_ff::{Field, UniformRand};

    fn agrees<P: FilePoint>(factors: &[Fr]) {
        let terms: Vec<(P, Fr)> = factors
            .iter()
            .map(|k| ((P::generator() * Fr::rand(&mut OsRng)).into_affine(), *k))
            .collect();
        let expected: P::Group = terms.iter().map(|(point, k)| *point * k).sum();
        assert_eq!(combine(&terms), expected);
    }

    #[test]
    fn a_combination_is_the_sum_of_its_multiples() {
        let mut factors = vec![Fr::ONE, -Fr::ONE, Fr::ZERO];
        factors.extend((2u64..40).map(Fr::from));
        factors.extend((2u64..40).map(|k| -Fr::from(k)));
        factors.extend((0..9).map(|_| Fr::rand(&mut OsRng)));
        agrees::<G1Affine>(&factors);
        agrees::<G2Affine>(&factors);
        agrees::<G1Affine>(&[]);
        for factor in factors {
            agrees::<G1Affine>(&[factor]);
        }
    }

    #[test]
    fn equal_and_opposite_points_and_infinity_add_up() {
        let g = G1Affine::generator();
        let k = Fr::rand(&mut OsRng);
        assert!(combine(&[(g, k), (g, -k)]).is_zero());
        assert_eq!(combine(&[(g, k), (g, k)]), g * k.double());
        assert!(combine(&[(G1Affine::identity(), k)]).is_zero());
    }
}
