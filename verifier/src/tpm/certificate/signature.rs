//! A signature by a certificate's key, over the bytes as they came.

use const_oid::{
    ObjectIdentifier,
    db::rfc5912::{
        ECDSA_WITH_SHA_256, ECDSA_WITH_SHA_384, ECDSA_WITH_SHA_512, SHA_1_WITH_RSA_ENCRYPTION,
        SHA_256_WITH_RSA_ENCRYPTION, SHA_384_WITH_RSA_ENCRYPTION, SHA_512_WITH_RSA_ENCRYPTION,
    },
};
use der::{
    Decode as _, Encode as _, Reader as _, SliceReader, Tag,
    asn1::{AnyRef, UintRef},
};
use rsa::BigUint;
use sha2::{Digest as _, Sha256};

use super::{Certificate, pkcs1};
use crate::curve::{self, Curve};
use crate::tpm::{
    PublicKey, Reject,
    wire::{EccCurve, HashAlgorithm},
};

const ECDSA_WITH_SHA_1: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.4.1");

/// Checks that `issuer`'s key signed `certificate`, over the certificate's bytes as they came.
///
/// Says nothing about names, validity or whether the issuer may issue.
///
/// # Errors
/// [`Reject::CertificateSignature`] if it did not; [`Reject::CertificateAlgorithm`] for any algorithm but RSA
/// PKCS#1 v1.5 and ECDSA with SHA-256, SHA-384 or SHA-512: SHA-1 signatures can be forged by collision.
pub fn verify_issued_by(certificate: &Certificate, issuer: &Certificate) -> Result<(), Reject> {
    let signature = certificate
        .parsed
        .signature
        .as_bytes()
        .ok_or(Reject::MalformedCertificate("signature is not whole bytes"))?;
    let signed = signed_bytes(&certificate.der)
        .map_err(|_| Reject::MalformedCertificate("not DER X.509"))?;
    let algorithm = certificate.parsed.signature_algorithm.oid;
    verify_signed(signed, algorithm, signature, issuer)
}

/// The exact bytes that were signed of a certificate or CRL: the first element of the outer SEQUENCE.
pub(super) fn signed_bytes(der: &[u8]) -> Result<&[u8], der::Error> {
    let outer = AnyRef::from_der(der)?;
    SliceReader::new(outer.value())?.tlv_bytes()
}

/// Orders of P-256, P-384 and P-521 (SP 800-186, section 3.2.1).
const ORDERS: [&str; 3] = [
    "ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551",
    "ffffffffffffffffffffffffffffffffffffffffffffffffc7634d81f4372ddf581a0db248b0a77aecec196accc52973",
    "01fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffa51868783bf2f966b7fcc0148f709a5d03bb5c9b8899c47aebb6fb71e91386409",
];

/// Fingerprints of the same certificate with the other signature that verifies as well: of ECDSA's s and n − s a maker takes
/// either, and anybody can put the one for the other. Which curve signed is the issuer's to say, so there is one for each.
pub(super) fn twin_fingerprints(certificate: &Certificate) -> Vec<[u8; 32]> {
    ORDERS
        .iter()
        .filter_map(|order| {
            let order = BigUint::parse_bytes(order.as_bytes(), 16)?;
            twin(certificate, &order).ok().flatten()
        })
        .map(|der| Sha256::digest(der).into())
        .collect()
}

fn twin(certificate: &Certificate, order: &BigUint) -> Result<Option<Vec<u8>>, der::Error> {
    let Some(signature) = certificate.parsed.signature.as_bytes() else {
        return Ok(None);
    };
    if !matches!(
        certificate.parsed.signature_algorithm.oid,
        ECDSA_WITH_SHA_256 | ECDSA_WITH_SHA_384 | ECDSA_WITH_SHA_512
    ) {
        return Ok(None);
    }
    let pair = AnyRef::from_der(signature)?;
    let mut reader = SliceReader::new(pair.value())?;
    let r = reader.tlv_bytes()?;
    let s = BigUint::from_bytes_be(UintRef::from_der(reader.tlv_bytes()?)?.as_bytes());
    if s >= *order {
        return Ok(None);
    }
    let s = UintRef::new(&(order - s).to_bytes_be())?.to_der()?;
    let signature = tlv(Tag::Sequence, &[r, &s].concat())?;

    let outer = AnyRef::from_der(&certificate.der)?;
    let mut reader = SliceReader::new(outer.value())?;
    let (signed, algorithm) = (reader.tlv_bytes()?, reader.tlv_bytes()?);
    // No bits of the last byte are unused.
    let bits = tlv(Tag::BitString, &[&[0], &signature[..]].concat())?;
    tlv(Tag::Sequence, &[signed, algorithm, &bits].concat()).map(Some)
}

fn tlv(tag: Tag, contents: &[u8]) -> Result<Vec<u8>, der::Error> {
    AnyRef::new(tag, contents)?.to_der()
}

/// Checks a certificate's or CRL's signature under `issuer`'s key.
pub(super) fn verify_signed(
    signed: &[u8],
    algorithm: ObjectIdentifier,
    signature: &[u8],
    issuer: &Certificate,
) -> Result<(), Reject> {
    let (is_rsa, hash) = algorithm_parts(algorithm)?;
    let verified = match issuer.public_key()? {
        PublicKey::Rsa(key) if is_rsa => {
            pkcs1::verify(&key, hash, &hash.digest(&[signed]), signature)
        }
        PublicKey::Ecc { curve, point } if !is_rsa => {
            verify_ecdsa(curve, &point, hash, signed, signature)
        }
        PublicKey::Rsa(_) | PublicKey::Ecc { .. } => false,
    };
    if verified {
        Ok(())
    } else {
        Err(Reject::CertificateSignature)
    }
}

/// Whether the key is RSA, and the hash.
fn algorithm_parts(algorithm: ObjectIdentifier) -> Result<(bool, HashAlgorithm), Reject> {
    match algorithm {
        SHA_256_WITH_RSA_ENCRYPTION => Ok((true, HashAlgorithm::Sha256)),
        SHA_384_WITH_RSA_ENCRYPTION => Ok((true, HashAlgorithm::Sha384)),
        SHA_512_WITH_RSA_ENCRYPTION => Ok((true, HashAlgorithm::Sha512)),
        ECDSA_WITH_SHA_256 => Ok((false, HashAlgorithm::Sha256)),
        ECDSA_WITH_SHA_384 => Ok((false, HashAlgorithm::Sha384)),
        ECDSA_WITH_SHA_512 => Ok((false, HashAlgorithm::Sha512)),
        SHA_1_WITH_RSA_ENCRYPTION => {
            Err(Reject::CertificateAlgorithm("sha1WithRSAEncryption".into()))
        }
        ECDSA_WITH_SHA_1 => Err(Reject::CertificateAlgorithm("ecdsa-with-SHA1".into())),
        other => Err(Reject::CertificateAlgorithm(other.to_string())),
    }
}

fn verify_ecdsa(
    on: EccCurve,
    point: &[u8],
    hash: HashAlgorithm,
    signed: &[u8],
    signature: &[u8],
) -> bool {
    match on {
        EccCurve::P256 => p256_v14::ecdsa::Signature::from_der(signature).is_ok_and(|it| {
            curve::verify(Curve::P256, point, hash, signed, &it.to_bytes()).is_ok()
        }),
        EccCurve::P384 => p384_v14::ecdsa::Signature::from_der(signature).is_ok_and(|it| {
            curve::verify(Curve::P384, point, hash, signed, &it.to_bytes()).is_ok()
        }),
        // STMicroelectronics and Nuvoton sign SHA-384 digests with P-521. The digest is a number, and zeros before it do
        // not change it; without them the curve's library takes no digest under half the width of its order.
        EccCurve::P521 => {
            use p521::ecdsa::{Signature, VerifyingKey, signature::hazmat::PrehashVerifier};
            let digest = hash.digest(&[signed]);
            let mut wide = [0; 66];
            let Some(start) = wide.len().checked_sub(digest.len()) else {
                return false;
            };
            wide[start..].copy_from_slice(&digest);
            VerifyingKey::from_sec1_bytes(point)
                .and_then(|key| key.verify_prehash(&wide, &Signature::from_der(signature)?))
                .is_ok()
        }
    }
}
