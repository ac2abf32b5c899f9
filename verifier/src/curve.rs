//! ECDSA verification and key exchange on P-256 and P-384.
//!
//! There are two implementations, which must agree on every input: `graviola`, whose arithmetic is assembly with machine-checked
//! proofs (s2n-bignum) and runs on processors that have what it needs, and RustCrypto's, which runs everywhere. Which of the two
//! answered shows in nothing but the time it takes. Signatures and keys are read by one parser for both.

use zeroize::Zeroizing;

use crate::tpm::wire::HashAlgorithm;

/// A curve that both implementations have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Curve {
    P256,
    P384,
}

/// Why a signature does not hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// The key is not an uncompressed point of the curve.
    Key,
    /// r or s is zero, or not below the group's order, or the signature is not as long as both.
    Malformed,
    /// The key did not sign this message.
    Signature,
}

/// Checks an ECDSA signature r‖s over `message` by the key with this `point`, uncompressed SEC 1 (4‖x‖y).
///
/// Either of s and n − s is taken: who hashes or stores signatures checks the form himself.
pub(crate) fn verify(
    curve: Curve,
    point: &[u8],
    hash: HashAlgorithm,
    message: &[u8],
    signature: &[u8],
) -> Result<(), Refused> {
    check_range(curve, signature)?;
    match native::verify(curve, point, hash, message, signature) {
        Some(verdict) => verdict,
        None => portable::verify(curve, point, &hash.digest(&[message]), signature),
    }
}

/// The x coordinate of an exchange and the public point of the ephemeral key, uncompressed SEC 1.
pub(crate) struct Exchanged {
    pub shared_x: Zeroizing<Vec<u8>>,
    pub public: Vec<u8>,
}

/// Diffie–Hellman of the key `secret`, big-endian, with the owner of `peer`, an uncompressed point; in constant time. `None` if either is not a
/// key of the curve.
pub(crate) fn exchange(curve: Curve, secret: &[u8], peer: &[u8]) -> Option<Exchanged> {
    if native::available() {
        native::exchange(curve, secret, peer)
    } else {
        portable::exchange(curve, secret, peer)
    }
}

/// Whether a point is in the one form that both implementations take: neither compressed nor the point at infinity.
fn is_uncompressed(point: &[u8]) -> bool {
    point.first() == Some(&4)
}

/// r and s are numbers from 1 to the group's order less one, and nothing follows.
fn check_range(curve: Curve, signature: &[u8]) -> Result<(), Refused> {
    let in_range = match curve {
        Curve::P256 => p256_v14::ecdsa::Signature::from_slice(signature).is_ok(),
        Curve::P384 => p384_v14::ecdsa::Signature::from_slice(signature).is_ok(),
    };
    if in_range {
        Ok(())
    } else {
        Err(Refused::Malformed)
    }
}

mod portable {
    use super::{Curve, Exchanged, Refused, Zeroizing, is_uncompressed};

    pub(super) fn verify(
        curve: Curve,
        point: &[u8],
        digest: &[u8],
        signature: &[u8],
    ) -> Result<(), Refused> {
        macro_rules! verify_on {
            ($curve:ident) => {{
                use $curve::ecdsa::{Signature, VerifyingKey, signature::hazmat::PrehashVerifier};
                let key = VerifyingKey::from_sec1_bytes(point).map_err(|_| Refused::Key)?;
                let signature = Signature::from_slice(signature).map_err(|_| Refused::Malformed)?;
                key.verify_prehash(digest, &signature)
                    .map_err(|_| Refused::Signature)
            }};
        }
        if !is_uncompressed(point) {
            return Err(Refused::Key);
        }
        match curve {
            Curve::P256 => verify_on!(p256_v14),
            Curve::P384 => verify_on!(p384_v14),
        }
    }

    pub(super) fn exchange(curve: Curve, secret: &[u8], peer: &[u8]) -> Option<Exchanged> {
        macro_rules! exchange_on {
            ($curve:ident) => {{
                use $curve::elliptic_curve::sec1::ToSec1Point as _;
                let peer = $curve::PublicKey::from_sec1_bytes(peer).ok()?;
                let secret = $curve::SecretKey::from_slice(secret).ok()?;
                let shared = secret.diffie_hellman(&peer);
                Some(Exchanged {
                    shared_x: Zeroizing::new(shared.raw_secret_bytes().to_vec()),
                    public: secret.public_key().to_sec1_point(false).as_bytes().to_vec(),
                })
            }};
        }
        if !is_uncompressed(peer) {
            return None;
        }
        match curve {
            Curve::P256 => exchange_on!(p256_v14),
            Curve::P384 => exchange_on!(p384_v14),
        }
    }
}

#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
mod native {
    use graviola::hashing::{Sha256, Sha384, Sha512};
    use graviola::key_agreement::{p256, p384};
    use graviola::signing::ecdsa::{Curve as On, P256, P384, VerifyingKey};

    use super::{Curve, Exchanged, HashAlgorithm, Refused, Zeroizing};

    /// Whether this processor has what the implementation needs.
    pub(super) fn available() -> bool {
        graviola::util::is_cpu_supported()
    }

    /// `None` if this implementation cannot say.
    pub(super) fn verify(
        curve: Curve,
        point: &[u8],
        hash: HashAlgorithm,
        message: &[u8],
        signature: &[u8],
    ) -> Option<Result<(), Refused>> {
        fn on<C: On>(
            point: &[u8],
            hash: HashAlgorithm,
            message: &[u8],
            signature: &[u8],
        ) -> Option<Result<(), Refused>> {
            let Ok(key) = VerifyingKey::<C>::from_x962_uncompressed(point) else {
                return Some(Err(Refused::Key));
            };
            let message = &[message];
            let verified = match hash {
                // It has no SHA-1, and nobody here takes a signature over it.
                HashAlgorithm::Sha1 => return None,
                HashAlgorithm::Sha256 => key.verify::<Sha256>(message, signature),
                HashAlgorithm::Sha384 => key.verify::<Sha384>(message, signature),
                HashAlgorithm::Sha512 => key.verify::<Sha512>(message, signature),
            };
            Some(verified.map_err(|_| Refused::Signature))
        }
        if !available() {
            return None;
        }
        match curve {
            Curve::P256 => on::<P256>(point, hash, message, signature),
            Curve::P384 => on::<P384>(point, hash, message, signature),
        }
    }

    pub(super) fn exchange(curve: Curve, secret: &[u8], peer: &[u8]) -> Option<Exchanged> {
        macro_rules! exchange_on {
            ($curve:ident) => {{
                let peer = $curve::PublicKey::from_x962_uncompressed(peer).ok()?;
                let secret = $curve::StaticPrivateKey::from_bytes(secret).ok()?;
                let shared = secret.diffie_hellman(&peer).ok()?;
                Some(Exchanged {
                    shared_x: Zeroizing::new(shared.0.to_vec()),
                    public: secret.public_key_uncompressed().to_vec(),
                })
            }};
        }
        match curve {
            Curve::P256 => exchange_on!(p256),
            Curve::P384 => exchange_on!(p384),
        }
    }
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
mod native {
    use super::{Curve, Exchanged, HashAlgorithm, Refused};

    pub(super) fn available() -> bool {
        false
    }

    pub(super) fn verify(
        _: Curve,
        _: &[u8],
        _: HashAlgorithm,
        _: &[u8],
        _: &[u8],
    ) -> Option<Result<(), Refused>> {
        None
    }

    pub(super) fn exchange(_: Curve, _: &[u8], _: &[u8]) -> Option<Exchanged> {
        None
    }
}

#[cfg(test)]
mod tests;
