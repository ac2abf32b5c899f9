//! One certificate's signature under another's key.

use const_oid::db::rfc5912::{
    ECDSA_WITH_SHA_256, ECDSA_WITH_SHA_384, ECDSA_WITH_SHA_512, SHA_1_WITH_RSA_ENCRYPTION,
    SHA_256_WITH_RSA_ENCRYPTION, SHA_384_WITH_RSA_ENCRYPTION, SHA_512_WITH_RSA_ENCRYPTION,
};
use rsa::Pkcs1v15Sign;

use super::Certificate;
use crate::tpm::{
    PublicKey, Reject,
    wire::{EccCurve, HashAlgorithm},
};

/// Checks that `issuer`'s key signed `certificate`, over the certificate's bytes as they came.
///
/// Says nothing about names, validity or whether the issuer may issue.
///
/// # Errors
/// [`Reject::CertificateSignature`] if it did not; [`Reject::CertificateAlgorithm`] for any algorithm but RSA
/// PKCS#1 v1.5 and ECDSA with SHA-256, SHA-384 or SHA-512: SHA-1 signatures can be forged by collision.
pub fn verify_issued_by(certificate: &Certificate, issuer: &Certificate) -> Result<(), Reject> {
    let signed = certificate.signed_bytes()?;
    let signature = certificate
        .parsed
        .signature
        .as_bytes()
        .ok_or(Reject::MalformedCertificate("signature is not whole bytes"))?;
    let hash = certificate_hash(certificate)?;
    let digest = hash.digest(&[signed]);
    let oid = certificate.parsed.signature_algorithm.oid;
    let is_rsa = [
        SHA_256_WITH_RSA_ENCRYPTION,
        SHA_384_WITH_RSA_ENCRYPTION,
        SHA_512_WITH_RSA_ENCRYPTION,
    ]
    .contains(&oid);
    match issuer.public_key()? {
        PublicKey::Rsa(key) if is_rsa => {
            let padding = match hash {
                HashAlgorithm::Sha384 => Pkcs1v15Sign::new::<sha2::Sha384>(),
                HashAlgorithm::Sha512 => Pkcs1v15Sign::new::<sha2::Sha512>(),
                HashAlgorithm::Sha256 | HashAlgorithm::Sha1 => Pkcs1v15Sign::new::<sha2::Sha256>(),
            };
            key.verify(padding, &digest, signature)
                .map_err(|_| Reject::CertificateSignature)
        }
        PublicKey::Ecc { curve, point } if !is_rsa => {
            if verify_ecdsa(curve, &point, &digest, signature) {
                Ok(())
            } else {
                Err(Reject::CertificateSignature)
            }
        }
        PublicKey::Rsa(_) | PublicKey::Ecc { .. } => Err(Reject::CertificateSignature),
    }
}

fn certificate_hash(certificate: &Certificate) -> Result<HashAlgorithm, Reject> {
    match certificate.parsed.signature_algorithm.oid {
        SHA_256_WITH_RSA_ENCRYPTION | ECDSA_WITH_SHA_256 => Ok(HashAlgorithm::Sha256),
        SHA_384_WITH_RSA_ENCRYPTION | ECDSA_WITH_SHA_384 => Ok(HashAlgorithm::Sha384),
        SHA_512_WITH_RSA_ENCRYPTION | ECDSA_WITH_SHA_512 => Ok(HashAlgorithm::Sha512),
        SHA_1_WITH_RSA_ENCRYPTION => {
            Err(Reject::CertificateAlgorithm("sha1WithRSAEncryption".into()))
        }
        other => Err(Reject::CertificateAlgorithm(other.to_string())),
    }
}

fn verify_ecdsa(curve: EccCurve, point: &[u8], digest: &[u8], signature: &[u8]) -> bool {
    macro_rules! verify_on {
        ($curve:ident) => {{
            use $curve::ecdsa::{Signature, VerifyingKey, signature::hazmat::PrehashVerifier};
            VerifyingKey::from_sec1_bytes(point)
                .and_then(|key| key.verify_prehash(digest, &Signature::from_der(signature)?))
                .is_ok()
        }};
    }
    match curve {
        EccCurve::P256 => verify_on!(p256),
        EccCurve::P384 => verify_on!(p384),
        // STMicroelectronics and Nuvoton sign SHA-384 digests with P-521.
        EccCurve::P521 => verify_on!(p521),
    }
}
