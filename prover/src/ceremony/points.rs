//! Curve points as ceremony files hold them, and as transcripts hash them.
//!
//! Files hold coordinates in Montgomery form, little endian; the point at infinity is all zeros. Hashes cover the plain
//! coordinates, big endian, the imaginary one first.

use ark_bn254::{Bn254, Fq, Fq2, Fr, G1Affine, G2Affine};
use ark_ec::{AffineRepr, pairing::Pairing, short_weierstrass::Affine};
use ark_ff::{BigInt, BigInteger, PrimeField, Zero};
use rayon::prelude::*;
use std::io::{self, Write};
use thiserror::Error;

/// Bytes of a point of the first group.
pub(super) const G1_BYTES: usize = 64;
/// Bytes of a point of the second group.
pub(super) const G2_BYTES: usize = 128;

/// What is wrong with a point.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum PointFault {
    /// A coordinate has one encoding only.
    #[error("not below the field's modulus")]
    NotCanonical,
    /// Not a point.
    #[error("not on its curve")]
    NotOnCurve,
    /// A point of the twist outside the group that pairings are defined on.
    #[error("not in the prime-order subgroup")]
    NotInSubgroup,
    /// The neutral element where it would void the key.
    #[error("the point at infinity")]
    Infinity,
}

/// A point of either group.
pub(super) trait FilePoint: AffineRepr<ScalarField = Fr> {
    /// Bytes of its encoding.
    const BYTES: usize;

    /// Decodes a point that is on its curve and in the subgroup; infinity is allowed.
    fn decode(bytes: &[u8]) -> Result<Self, PointFault>;

    /// The encoding in files.
    fn encode(&self) -> Vec<u8>;

    /// The encoding in hashes.
    fn hashed(&self) -> Vec<u8>;
}

impl FilePoint for Affine<ark_bn254::g1::Config> {
    const BYTES: usize = G1_BYTES;

    fn decode(bytes: &[u8]) -> Result<Self, PointFault> {
        let [x, y] = coordinates(bytes)?;
        if x.is_zero() && y.is_zero() {
            return Ok(Self::identity());
        }
        let point = Self::new_unchecked(x, y);
        if !point.is_on_curve() {
            return Err(PointFault::NotOnCurve);
        }
        // The curve has no other points than those of the group.
        Ok(point)
    }

    fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(G1_BYTES);
        if let Some((x, y)) = self.xy() {
            bytes.extend(montgomery(&x));
            bytes.extend(montgomery(&y));
        }
        bytes.resize(G1_BYTES, 0);
        bytes
    }

    fn hashed(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(G1_BYTES);
        if let Some((x, y)) = self.xy() {
            for coordinate in [x, y] {
                bytes.extend(coordinate.into_bigint().to_bytes_be());
            }
        }
        bytes.resize(G1_BYTES, 0);
        bytes
    }
}

impl FilePoint for Affine<ark_bn254::g2::Config> {
    const BYTES: usize = G2_BYTES;

    fn decode(bytes: &[u8]) -> Result<Self, PointFault> {
        let [x0, x1, y0, y1] = coordinates(bytes)?;
        let (x, y) = (Fq2::new(x0, x1), Fq2::new(y0, y1));
        if x.is_zero() && y.is_zero() {
            return Ok(Self::identity());
        }
        let point = Self::new_unchecked(x, y);
        if !point.is_on_curve() {
            return Err(PointFault::NotOnCurve);
        }
        if !point.is_in_correct_subgroup_assuming_on_curve() {
            return Err(PointFault::NotInSubgroup);
        }
        Ok(point)
    }

    fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(G2_BYTES);
        if let Some((x, y)) = self.xy() {
            for coordinate in [x.c0, x.c1, y.c0, y.c1] {
                bytes.extend(montgomery(&coordinate));
            }
        }
        bytes.resize(G2_BYTES, 0);
        bytes
    }

    fn hashed(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(G2_BYTES);
        if let Some((x, y)) = self.xy() {
            for coordinate in [x.c1, x.c0, y.c1, y.c0] {
                bytes.extend(coordinate.into_bigint().to_bytes_be());
            }
        }
        bytes.resize(G2_BYTES, 0);
        bytes
    }
}

fn montgomery(x: &Fq) -> impl Iterator<Item = u8> {
    x.0.0.into_iter().flat_map(u64::to_le_bytes)
}

/// N coordinates in Montgomery form.
fn coordinates<const N: usize>(bytes: &[u8]) -> Result<[Fq; N], PointFault> {
    let (words, _) = bytes.as_chunks::<32>();
    let mut coordinates = [Fq::zero(); N];
    for (coordinate, word) in coordinates.iter_mut().zip(words) {
        let limbs = limbs(word);
        if limbs >= Fq::MODULUS {
            return Err(PointFault::NotCanonical);
        }
        *coordinate = Fq::new_unchecked(limbs);
    }
    Ok(coordinates)
}

/// Four 64-bit words, little endian.
pub(super) fn limbs(word: &[u8; 32]) -> BigInt<4> {
    let mut limbs = [0; 4];
    let (chunks, _) = word.as_chunks::<8>();
    for (limb, chunk) in limbs.iter_mut().zip(chunks) {
        *limb = u64::from_le_bytes(*chunk);
    }
    BigInt(limbs)
}

/// Decodes consecutive points on all cores; an error comes with the index of its point.
pub(super) fn decode_all<P: FilePoint>(
    bytes: &[u8],
    infinity_allowed: bool,
) -> Result<Vec<P>, (usize, PointFault)> {
    bytes
        .par_chunks_exact(P::BYTES)
        .enumerate()
        .map(|(index, bytes)| match P::decode(bytes) {
            Ok(point) if !infinity_allowed && point.is_zero() => Err((index, PointFault::Infinity)),
            other => other.map_err(|fault| (index, fault)),
        })
        .collect()
}

/// Writes consecutive points.
pub(super) fn encode_all<P: FilePoint>(points: &[P], mut to: impl Write) -> io::Result<()> {
    points
        .iter()
        .try_for_each(|point| to.write_all(&point.encode()))
}

/// Whether `b = k·a` and `d = k·c` for the same k, none of the four being infinity.
pub(super) fn same_ratio(a: G1Affine, b: G1Affine, c: G2Affine, d: G2Affine) -> bool {
    if a.is_zero() || b.is_zero() || c.is_zero() || d.is_zero() {
        return false;
    }
    Bn254::multi_pairing([a, -b], [d, c]).is_zero()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::cast_possible_truncation)]
    use super::*;
    use ark_ec::CurveGroup;
    use ark_ff::{Field, UniformRand};
    use rand::rngs::OsRng;

    /// A point of the twist outside the subgroup: nearly all of them are.
    fn outside() -> G2Affine {
        (1u64..)
            .filter_map(|x| G2Affine::get_point_from_x_unchecked(Fq2::from(x), true))
            .find(|point| !point.is_in_correct_subgroup_assuming_on_curve())
            .unwrap()
    }

    #[test]
    fn points_decode_to_what_was_encoded() {
        let g1 = (G1Affine::generator() * Fr::rand(&mut OsRng)).into_affine();
        let g2 = (G2Affine::generator() * Fr::rand(&mut OsRng)).into_affine();
        assert_eq!(G1Affine::decode(&g1.encode()), Ok(g1));
        assert_eq!(G2Affine::decode(&g2.encode()), Ok(g2));
        for (encoded, length) in [
            (G1Affine::identity().encode(), G1_BYTES),
            (G2Affine::identity().encode(), G2_BYTES),
        ] {
            assert_eq!(encoded, vec![0; length]);
        }
        assert_eq!(G1Affine::decode(&[0; G1_BYTES]), Ok(G1Affine::identity()));
        assert_eq!(G2Affine::decode(&[0; G2_BYTES]), Ok(G2Affine::identity()));
    }

    #[test]
    fn each_fault_of_a_point_has_its_name() {
        let mut bytes = G1Affine::generator().encode();
        let y = limbs(bytes[32..64].try_into().unwrap());
        let mut same = y;
        assert!(!same.add_with_carry(&Fq::MODULUS));
        bytes[32..].copy_from_slice(&same.to_bytes_le());
        assert_eq!(G1Affine::decode(&bytes), Err(PointFault::NotCanonical));
        let off = G1Affine::new_unchecked(Fq::from(1u64), Fq::ONE);
        assert_eq!(G1Affine::decode(&off.encode()), Err(PointFault::NotOnCurve));
        let mut off = G2Affine::generator().encode();
        off[0] ^= 1;
        assert_eq!(G2Affine::decode(&off), Err(PointFault::NotOnCurve));
        assert_eq!(
            G2Affine::decode(&outside().encode()),
            Err(PointFault::NotInSubgroup)
        );
        let points = [G1Affine::generator(), G1Affine::identity()];
        let mut bytes = Vec::new();
        encode_all(&points, &mut bytes).unwrap();
        assert_eq!(decode_all(&bytes, true), Ok(points.to_vec()));
        assert_eq!(
            decode_all::<G1Affine>(&bytes, false),
            Err((1, PointFault::Infinity))
        );
    }

    #[test]
    fn ratios_are_compared_and_infinity_has_none() {
        let (k, g, h) = (
            Fr::from(77u64),
            G1Affine::generator(),
            G2Affine::generator(),
        );
        let (kg, kh) = ((g * k).into_affine(), (h * k).into_affine());
        assert!(same_ratio(g, kg, h, kh));
        assert!(!same_ratio(g, kg, h, h));
        assert!(!same_ratio(g, g, h, kh));
        let (g0, h0) = (G1Affine::identity(), G2Affine::identity());
        assert!(!same_ratio(g0, g0, h, kh));
        assert!(!same_ratio(g, g0, h, h0));
    }
}
