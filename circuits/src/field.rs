//! Scalars of BN254 as bytes: one encoding, 32 bytes big-endian, below the group order r.
//!
//! Protocol: section 1.

use ark_ff::{BigInt, BigInteger, PrimeField};

/// The scalar field of BN254; every value of the statement lives in it.
pub use ark_bn254::Fr;

/// Bytes of one encoded field element.
pub const ENCODED_BYTES: usize = 32;

/// Encodes a field element as 32 bytes, big-endian.
#[must_use]
pub fn to_be_bytes(value: &Fr) -> [u8; ENCODED_BYTES] {
    limbs_to_be(&value.into_bigint())
}

/// Decodes 32 big-endian bytes; `None` unless the number is below r.
#[must_use]
pub fn from_be_bytes(bytes: &[u8; ENCODED_BYTES]) -> Option<Fr> {
    Fr::from_bigint(limbs_from_be(bytes))
}

/// Writes 256-bit limbs as 32 big-endian bytes.
pub(crate) fn limbs_to_be(limbs: &BigInt<4>) -> [u8; ENCODED_BYTES] {
    let mut bytes = [0; ENCODED_BYTES];
    for (chunk, limb) in bytes.chunks_exact_mut(8).zip(limbs.0.iter().rev()) {
        chunk.copy_from_slice(&limb.to_be_bytes());
    }
    bytes
}

/// Reads 32 big-endian bytes into 256-bit limbs.
pub(crate) fn limbs_from_be(bytes: &[u8; ENCODED_BYTES]) -> BigInt<4> {
    let mut limbs = BigInt::new([0; 4]);
    for (limb, chunk) in limbs.0.iter_mut().rev().zip(bytes.chunks_exact(8)) {
        let mut word = [0; 8];
        word.copy_from_slice(chunk);
        *limb = u64::from_be_bytes(word);
    }
    limbs
}

/// Reads 31 little-endian bytes: always below 2^248 and so below r.
pub(crate) fn from_le_31(bytes: &[u8; 31]) -> Fr {
    let mut padded = [0; ENCODED_BYTES];
    padded[..31].copy_from_slice(bytes);
    let mut limbs = BigInt::new([0; 4]);
    for (limb, chunk) in limbs.0.iter_mut().zip(padded.chunks_exact(8)) {
        let mut word = [0; 8];
        word.copy_from_slice(chunk);
        *limb = u64::from_le_bytes(word);
    }
    Fr::new(limbs)
}

/// Bit `index` (0 is the least significant) of the canonical representation.
pub(crate) fn bit(value: &BigInt<4>, index: usize) -> bool {
    value.get_bit(index)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::cast_possible_truncation)]
    use super::*;
    use ark_ff::Field;

    #[test]
    fn r_minus_one_encodes_and_r_is_refused() {
        let top = -Fr::ONE;
        let bytes = to_be_bytes(&top);
        assert_eq!(from_be_bytes(&bytes), Some(top));
        let r = limbs_to_be(&Fr::MODULUS);
        assert_eq!(from_be_bytes(&r), None);
        assert_eq!(from_be_bytes(&[0xff; 32]), None);
    }

    #[test]
    fn thirty_one_bytes_are_read_little_endian() {
        let mut bytes = [0; 31];
        bytes[0] = 7;
        bytes[8] = 1;
        assert_eq!(from_le_31(&bytes), Fr::from(7u64) + Fr::from(1u128 << 64));
        assert_eq!(
            to_be_bytes(&from_le_31(&[0xff; 31]))[..2],
            [0x00, 0xff],
            "31 bytes never reach the top byte"
        );
    }
}
