//! Public keys as certificates and TPMs carry them, in one comparable form.

use alloy_primitives::{B256, keccak256};
use const_oid::db::rfc5912::{
    ID_EC_PUBLIC_KEY, ID_RSAES_OAEP, RSA_ENCRYPTION, SECP_256_R_1, SECP_384_R_1, SECP_521_R_1,
};
use der::{
    Any, Encode,
    asn1::{BitString, ObjectIdentifier},
};
use rsa::{
    BigUint,
    pkcs1::{DecodeRsaPublicKey, EncodeRsaPublicKey},
    traits::PublicKeyParts,
};
use spki::{AlgorithmIdentifierOwned, SubjectPublicKeyInfoOwned};

use super::{Reject, wire::EccCurve};

/// Smallest RSA modulus taken, in bits.
const MIN_RSA_BITS: usize = 2048;

/// A valid public key: RSA of at least 2048 bits, or a point on one of the NIST curves.
///
/// Two values are equal exactly if they are the same key, whatever form they came in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PublicKey {
    /// RSA.
    Rsa(rsa::RsaPublicKey),
    /// Elliptic curve.
    Ecc {
        /// The curve.
        curve: EccCurve,
        /// Uncompressed SEC1 point: 4‖x‖y, full length.
        point: Vec<u8>,
    },
}

impl PublicKey {
    /// An RSA key from its modulus (big-endian) and exponent; `what` names the structure it came in.
    pub(crate) fn rsa(what: &'static str, modulus: &[u8], exponent: u64) -> Result<Self, Reject> {
        let key = rsa::RsaPublicKey::new(BigUint::from_bytes_be(modulus), BigUint::from(exponent))
            .map_err(|_| Reject::InvalidPublicKey(what))?;
        Self::checked_rsa(what, key)
    }

    fn checked_rsa(what: &'static str, key: rsa::RsaPublicKey) -> Result<Self, Reject> {
        if key.n().bits() < MIN_RSA_BITS {
            return Err(Reject::InvalidPublicKey(what));
        }
        Ok(Self::Rsa(key))
    }

    /// A point from coordinates that may lack leading zeros, as TPMs send them.
    pub(crate) fn ecc(
        what: &'static str,
        curve: EccCurve,
        x: &[u8],
        y: &[u8],
    ) -> Result<Self, Reject> {
        let width = curve.coordinate_len();
        let mut point = vec![0; 1 + 2 * width];
        point[0] = 4;
        for (field, value) in point[1..].chunks_exact_mut(width).zip([x, y]) {
            let start = width
                .checked_sub(value.len())
                .ok_or(Reject::InvalidPublicKey(what))?;
            field[start..].copy_from_slice(value);
        }
        Self::point(what, curve, point)
    }

    fn point(what: &'static str, curve: EccCurve, point: Vec<u8>) -> Result<Self, Reject> {
        let uncompressed = point.len() == 1 + 2 * curve.coordinate_len() && point[0] == 4;
        let on_curve = uncompressed
            && match curve {
                EccCurve::P256 => p256::ecdsa::VerifyingKey::from_sec1_bytes(&point).is_ok(),
                EccCurve::P384 => p384::ecdsa::VerifyingKey::from_sec1_bytes(&point).is_ok(),
                EccCurve::P521 => p521::ecdsa::VerifyingKey::from_sec1_bytes(&point).is_ok(),
            };
        if on_curve {
            Ok(Self::Ecc { curve, point })
        } else {
            Err(Reject::InvalidPublicKey(what))
        }
    }

    /// The key of a certificate.
    pub(crate) fn from_spki(spki: &SubjectPublicKeyInfoOwned) -> Result<Self, Reject> {
        const WHAT: &str = "certificate's subject public key";
        let bits = spki
            .subject_public_key
            .as_bytes()
            .ok_or(Reject::InvalidPublicKey(WHAT))?;
        let algorithm = spki.algorithm.oid;
        // Some makers mark the key of an endorsement certificate as usable for OAEP only.
        if algorithm == RSA_ENCRYPTION || algorithm == ID_RSAES_OAEP {
            let key = rsa::RsaPublicKey::from_pkcs1_der(bits)
                .map_err(|_| Reject::InvalidPublicKey(WHAT))?;
            return Self::checked_rsa(WHAT, key);
        }
        if algorithm != ID_EC_PUBLIC_KEY {
            return Err(Reject::CertificateAlgorithm(algorithm.to_string()));
        }
        let curve = spki
            .algorithm
            .parameters
            .as_ref()
            .and_then(|parameters| parameters.decode_as::<ObjectIdentifier>().ok())
            .ok_or(Reject::InvalidPublicKey(WHAT))?;
        let curve = match curve {
            SECP_256_R_1 => EccCurve::P256,
            SECP_384_R_1 => EccCurve::P384,
            SECP_521_R_1 => EccCurve::P521,
            other => return Err(Reject::CertificateAlgorithm(other.to_string())),
        };
        Self::point(WHAT, curve, bits.to_vec())
    }

    /// x‖y, if this is a P-256 key.
    pub fn p256_xy(&self) -> Option<[u8; 64]> {
        match self {
            Self::Ecc {
                curve: EccCurve::P256,
                point,
            } => point[1..].try_into().ok(),
            _ => None,
        }
    }

    /// RSA modulus length in bits, if this is an RSA key.
    pub fn rsa_bits(&self) -> Option<usize> {
        match self {
            Self::Rsa(key) => Some(key.n().bits()),
            Self::Ecc { .. } => None,
        }
    }

    /// keccak256 of [`Self::to_spki_der`]: of an endorsement key the hardware id.
    ///
    /// # Errors
    /// As there.
    pub fn spki_hash(&self) -> Result<B256, Reject> {
        Ok(keccak256(self.to_spki_der()?))
    }

    /// The key's SubjectPublicKeyInfo in DER, built anew from the key.
    ///
    /// Certificates for one key may spell its algorithm differently (rsaEncryption or id-RSAES-OAEP);
    /// a hardware id that hashed their bytes would give one TPM several identities.
    ///
    /// # Errors
    /// [`Reject::InvalidPublicKey`] if the key cannot be encoded; no key that was parsed fails so.
    pub fn to_spki_der(&self) -> Result<Vec<u8>, Reject> {
        let encode = || -> Result<Vec<u8>, der::Error> {
            let (oid, parameters, key) = match self {
                Self::Rsa(key) => {
                    let key = key.to_pkcs1_der().map_err(|_| der::ErrorKind::Failed)?;
                    (RSA_ENCRYPTION, Any::null(), key.as_bytes().to_vec())
                }
                Self::Ecc { curve, point } => {
                    let curve = match curve {
                        EccCurve::P256 => SECP_256_R_1,
                        EccCurve::P384 => SECP_384_R_1,
                        EccCurve::P521 => SECP_521_R_1,
                    };
                    (ID_EC_PUBLIC_KEY, Any::encode_from(&curve)?, point.clone())
                }
            };
            SubjectPublicKeyInfoOwned {
                algorithm: AlgorithmIdentifierOwned {
                    oid,
                    parameters: Some(parameters),
                },
                subject_public_key: BitString::from_bytes(&key)?,
            }
            .to_der()
        };
        encode().map_err(|_| Reject::InvalidPublicKey("public key"))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::cast_possible_truncation)]

    use p256::pkcs8::EncodePublicKey as _;

    use super::*;
    use crate::tpm::fixture;

    #[test]
    fn the_canonical_spki_is_what_other_software_writes() {
        let rsa = fixture::rsa_2048();
        let ours = PublicKey::Rsa(rsa.to_public_key()).to_spki_der().unwrap();
        let theirs = rsa.to_public_key().to_public_key_der().unwrap();
        assert_eq!(ours, theirs.as_bytes());

        let xy = fixture::SoftKey::node(1).xy();
        let ours = PublicKey::ecc("test", EccCurve::P256, &xy[..32], &xy[32..])
            .unwrap()
            .to_spki_der()
            .unwrap();
        let point = p256::EncodedPoint::from_untagged_bytes(&xy.into());
        let theirs = p256::PublicKey::from_sec1_bytes(point.as_bytes())
            .unwrap()
            .to_public_key_der()
            .unwrap();
        assert_eq!(ours, theirs.as_bytes());
    }

    #[test]
    fn an_oaep_marked_key_is_the_same_key() {
        let key = PublicKey::Rsa(fixture::rsa_2048().to_public_key());
        let der = key.to_spki_der().unwrap();
        let mut spki = <SubjectPublicKeyInfoOwned as der::Decode>::from_der(&der).unwrap();
        spki.algorithm.oid = ID_RSAES_OAEP;
        let other = PublicKey::from_spki(&spki).unwrap();
        assert_eq!(other, key);
        assert_eq!(other.to_spki_der().unwrap(), der);
    }

    #[test]
    fn a_short_rsa_key_is_refused() {
        let modulus = [0xff; 128];
        assert_eq!(
            PublicKey::rsa("test", &modulus, 65_537),
            Err(Reject::InvalidPublicKey("test"))
        );
    }

    #[test]
    fn the_point_at_infinity_and_foreign_points_are_refused() {
        for curve in [EccCurve::P256, EccCurve::P384, EccCurve::P521] {
            for coordinate in [0u8, 1, 0xff] {
                let bytes = vec![coordinate; curve.coordinate_len()];
                assert_eq!(
                    PublicKey::ecc("test", curve, &bytes, &bytes),
                    Err(Reject::InvalidPublicKey("test"))
                );
            }
        }
    }
}
