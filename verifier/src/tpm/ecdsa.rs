//! P-256 signatures in the one form the protocol knows: 64 bytes r‖s, low s (protocol section 1).
//!
//! ECDSA has two valid signatures (r, s) and (r, n − s) for each that is made. Whoever hashes or stores
//! a signature must see one of them only: the sender normalises, everybody else refuses the other.

use p256_v14::ecdsa::Signature;

use super::{Reject, wire::HashAlgorithm};
use crate::curve::{self, Curve, Refused};

/// A P-256 signature, 64 bytes r‖s, with low s.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct P256Signature([u8; 64]);

impl P256Signature {
    /// Takes either form of a signature and keeps the low-s one: for the sender.
    ///
    /// # Errors
    /// [`Reject::MalformedSignature`] if r or s is zero or not below the group order.
    pub fn normalise(rs: &[u8; 64]) -> Result<Self, Reject> {
        let signature =
            p256::ecdsa::Signature::from_slice(rs).map_err(|_| Reject::MalformedSignature)?;
        let low = signature.normalize_s().unwrap_or(signature);
        Ok(Self(low.to_bytes().into()))
    }

    /// The 64 bytes.
    pub fn as_bytes(&self) -> &[u8; 64] {
        &self.0
    }
}

impl From<P256Signature> for [u8; 64] {
    fn from(signature: P256Signature) -> Self {
        signature.0
    }
}

/// Checks a P-256 signature over the SHA-256 of `message` under the public key x‖y.
///
/// # Errors
/// [`Reject::InvalidPublicKey`] for a point off the curve, [`Reject::MalformedSignature`] unless
/// `signature` is 64 bytes in range, [`Reject::HighS`], [`Reject::BadSignature`].
pub fn verify_p256(xy: &[u8; 64], message: &[u8], signature: &[u8]) -> Result<(), Reject> {
    let mut point = [4; 65];
    point[1..].copy_from_slice(xy);
    // `from_slice` also refuses every length but 64.
    let parsed = Signature::from_slice(signature).map_err(|_| Reject::MalformedSignature)?;
    if parsed.normalize_s() != parsed {
        return Err(Reject::HighS);
    }
    let hash = HashAlgorithm::Sha256;
    curve::verify(Curve::P256, &point, hash, message, signature).map_err(|refused| match refused {
        Refused::Key => Reject::InvalidPublicKey("P-256 key"),
        Refused::Malformed => Reject::MalformedSignature,
        Refused::Signature => Reject::BadSignature,
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::cast_possible_truncation)]

    use proptest::prelude::*;

    use super::*;
    use crate::tpm::fixture;

    #[test]
    fn a_high_s_signature_is_refused_by_name_although_ecdsa_holds() {
        let key = fixture::SoftKey::node(1);
        let low = key.sign(b"x");
        assert_eq!(verify_p256(&key.xy(), b"x", &low), Ok(()));
        let high = fixture::other_s(&low);
        assert_eq!(verify_p256(&key.xy(), b"x", &high), Err(Reject::HighS));
        assert_eq!(P256Signature::normalise(&high).unwrap().as_bytes(), &low);
        assert_eq!(P256Signature::normalise(&low).unwrap().as_bytes(), &low);
    }

    #[test]
    fn signatures_of_any_other_length_are_malformed() {
        let key = fixture::SoftKey::node(1);
        let signature = key.sign(b"x");
        for n in (0..64).chain([65]) {
            let bytes = [&signature[..], &[0]].concat();
            assert_eq!(
                verify_p256(&key.xy(), b"x", &bytes[..n]),
                Err(Reject::MalformedSignature)
            );
        }
    }

    #[test]
    fn a_key_off_the_curve_is_refused() {
        let key = fixture::SoftKey::node(1);
        let mut xy = key.xy();
        xy[63] ^= 1;
        assert_eq!(
            verify_p256(&xy, b"x", &key.sign(b"x")),
            Err(Reject::InvalidPublicKey("P-256 key"))
        );
    }

    proptest! {
        #[test]
        fn no_changed_bit_of_a_signature_verifies(seed in 1u8..20, bit in 0usize..512) {
            let key = fixture::SoftKey::node(seed);
            let mut signature = key.sign(b"x");
            signature[bit / 8] ^= 1 << (bit % 8);
            prop_assert!(verify_p256(&key.xy(), b"x", &signature).is_err());
        }
    }
}
