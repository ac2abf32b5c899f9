//! Field elements and points out of a seed, the way `snarkjs` draws them.
//!
//! What is drawn is part of the ceremony's rules: the point that a contributor must prove knowledge for comes from the
//! hash of the history, and a beacon's secret comes from its value.

use ark_bn254::{Fq, Fq2, Fr, G1Affine, G2Affine};
use ark_ec::{AffineRepr, CurveGroup, models::short_weierstrass::SWCurveConfig};
use ark_ff::{BigInt, Field, PrimeField, Zero};
use rand::{RngCore, SeedableRng};
use rand_chacha::ChaCha20Rng;
use sha2::{Digest, Sha256};
use zeroize::Zeroize;

/// Order of the twist's group of points divided by r: 2p - r.
const TWIST_COFACTOR: [u64; 4] = [
    0x345f_2299_c0f9_fa8d,
    0x06ce_ecda_572a_2489,
    0xb850_45b6_8181_585e,
    0x3064_4e72_e131_a029,
];

/// A stream of ChaCha20 words, keyed with eight big-endian words.
pub(super) struct Stream(ChaCha20Rng);

impl Stream {
    /// The stream of the first 32 bytes of a hash.
    pub(super) fn from_seed(seed: &[u8; 32]) -> Self {
        let mut key = *seed;
        // A word of the key counts as a big-endian number; ChaCha reads it little-endian.
        key.as_chunks_mut::<4>()
            .0
            .iter_mut()
            .for_each(|word| word.reverse());
        let stream = Self(ChaCha20Rng::from_seed(key));
        key.zeroize();
        stream
    }

    /// The stream of a beacon's value after 2^`exponent` rounds of SHA-256.
    pub(super) fn from_beacon(value: &[u8], exponent: u8) -> Self {
        let mut hash: [u8; 32] = Sha256::digest(value).into();
        for _ in 1..1u64 << exponent {
            hash = Sha256::digest(hash).into();
        }
        Self::from_seed(&hash)
    }

    /// A number below 2^254: four 64-bit words, the least significant one first, each drawn high half first.
    fn number(&mut self) -> BigInt<4> {
        let mut limbs = [0; 4];
        for limb in &mut limbs {
            let high = u64::from(self.0.next_u32());
            *limb = high << 32 | u64::from(self.0.next_u32());
        }
        limbs[3] &= (1 << 62) - 1;
        BigInt(limbs)
    }

    /// The first number below the modulus; it is taken for the Montgomery form of an element.
    pub(super) fn scalar(&mut self) -> Fr {
        loop {
            let number = self.number();
            if number < Fr::MODULUS {
                return Fr::new_unchecked(number);
            }
        }
    }

    fn coordinate(&mut self) -> Fq {
        loop {
            let number = self.number();
            if number < Fq::MODULUS {
                return Fq::new_unchecked(number);
            }
        }
    }

    fn flag(&mut self) -> bool {
        self.0.next_u32() & 1 == 1
    }

    /// A point of the first group whose discrete logarithm nobody knows.
    pub(super) fn g1(&mut self) -> G1Affine {
        loop {
            let (x, greatest) = (self.coordinate(), self.flag());
            let square = x.square() * x + ark_bn254::g1::Config::COEFF_B;
            if let Some(y) = square.sqrt() {
                return G1Affine::new_unchecked(x, if is_greatest(y) == greatest { y } else { -y });
            }
        }
    }

    /// A point of the second group whose discrete logarithm nobody knows.
    pub(super) fn g2(&mut self) -> G2Affine {
        loop {
            let x = Fq2::new(self.coordinate(), self.coordinate());
            let greatest = self.flag();
            let square = x.square() * x + ark_bn254::g2::Config::COEFF_B;
            if let Some(y) = square.sqrt() {
                let deciding = if y.c1.is_zero() { y.c0 } else { y.c1 };
                let y = if is_greatest(deciding) == greatest {
                    y
                } else {
                    -y
                };
                let point = G2Affine::new_unchecked(x, y);
                return point.mul_bigint(TWIST_COFACTOR).into_affine();
            }
        }
    }
}

/// Whether an element is above (p - 1) / 2.
fn is_greatest(y: Fq) -> bool {
    y.into_bigint() > Fq::MODULUS_MINUS_ONE_DIV_TWO
}

/// The point of the second group that belongs to a hash.
pub(super) fn hash_to_g2(hash: &[u8; 64]) -> G2Affine {
    let (halves, _) = hash.as_chunks::<32>();
    Stream::from_seed(&halves[0]).g2()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::cast_possible_truncation)]
    use super::*;

    #[test]
    fn drawn_points_are_in_their_groups() {
        let mut stream = Stream::from_seed(&[7; 32]);
        for _ in 0..8 {
            assert!(stream.g1().is_on_curve());
            let point = stream.g2();
            assert!(point.is_on_curve() && point.is_in_correct_subgroup_assuming_on_curve());
        }
    }

    #[test]
    fn a_beacon_is_hashed_two_to_its_exponent_times() {
        let mut hash = b"beacon".to_vec();
        for _ in 0..1 << 10 {
            hash = Sha256::digest(&hash).to_vec();
        }
        let mut expected = Stream::from_seed(&hash.try_into().unwrap());
        assert_eq!(
            Stream::from_beacon(b"beacon", 10).scalar(),
            expected.scalar()
        );
    }

    #[test]
    fn the_words_of_the_seed_are_big_endian() {
        // RFC 8439, section 2.3.2, with counter 0 and nonce 0 is the ChaCha20 block of the key 00 01 .. 1f.
        let mut key: [u8; 32] = std::array::from_fn(|i| i as u8);
        let mut plain = ChaCha20Rng::from_seed(key);
        for word in key.chunks_exact_mut(4) {
            word.reverse();
        }
        let number = Stream::from_seed(&key).number();
        let high = u64::from(plain.next_u32());
        assert_eq!(number.0[0], high << 32 | u64::from(plain.next_u32()));
    }
}
