//! TPMT_SIGNATURE: a TPM's own form of a signature, before a node normalises it.

use super::{
    algorithm::{EccCurve, HashAlgorithm, SigningScheme},
    reader::Reader,
};
use crate::tpm::{P256Signature, Reject};

const WHAT: &str = "TPMT_SIGNATURE";

/// A parsed TPMT_SIGNATURE.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Signature {
    /// RSASSA or RSAPSS.
    Rsa {
        /// Scheme and hash.
        scheme: SigningScheme,
        /// Signature bytes.
        signature: Vec<u8>,
    },
    /// ECDSA, any curve.
    Ecdsa {
        /// Hash that was signed.
        hash: HashAlgorithm,
        /// r, big-endian, as the TPM sent it.
        r: Vec<u8>,
        /// s, big-endian, as the TPM sent it.
        s: Vec<u8>,
    },
}

impl Signature {
    /// Parses a TPMT_SIGNATURE.
    ///
    /// # Errors
    /// A [`Reject`] if it is malformed or of another scheme.
    pub fn parse(bytes: &[u8]) -> Result<Self, Reject> {
        let mut reader = Reader::new(WHAT, bytes)?;
        let (algorithm, hash) = (reader.u16()?, reader.u16()?);
        let scheme = SigningScheme::from_ids("TPMT_SIGNATURE", algorithm, hash)?;
        let signature = match scheme {
            SigningScheme::Ecdsa(hash) => Self::Ecdsa {
                hash,
                r: reader.sized()?.to_vec(),
                s: reader.sized()?.to_vec(),
            },
            SigningScheme::RsaSsa(_) | SigningScheme::RsaPss(_) => Self::Rsa {
                scheme,
                signature: reader.sized()?.to_vec(),
            },
        };
        reader.finish()?;
        Ok(signature)
    }

    /// The form that travels in evidence: 64 bytes r‖s with low s (protocol section 1).
    ///
    /// # Errors
    /// [`Reject::MalformedSignature`] unless this is ECDSA over SHA-256 with components in P-256's range.
    pub fn to_p256_bytes(&self) -> Result<P256Signature, Reject> {
        let Self::Ecdsa {
            hash: HashAlgorithm::Sha256,
            r,
            s,
        } = self
        else {
            return Err(Reject::MalformedSignature);
        };
        let mut rs = [0; 64];
        let width = EccCurve::P256.coordinate_len();
        for (part, value) in rs.chunks_exact_mut(width).zip([r, s]) {
            // TPMs differ in whether they strip leading zeros.
            let start = width
                .checked_sub(value.len())
                .ok_or(Reject::MalformedSignature)?;
            part[start..].copy_from_slice(value);
        }
        P256Signature::normalise(&rs)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::cast_possible_truncation)]

    use super::*;
    use crate::tpm::{ecdsa::verify_p256, fixture};

    /// Marshals r and s the way a TPM does.
    fn marshalled(r: &[u8], s: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0x00, 0x18, 0x00, 0x0b];
        for part in [r, s] {
            bytes.extend((part.len() as u16).to_be_bytes());
            bytes.extend(part);
        }
        bytes
    }

    #[test]
    fn a_tpm_signature_becomes_64_bytes_that_verify() {
        let key = fixture::SoftKey::node(4);
        let rs = key.sign(b"report");
        let tpm = Signature::parse(&marshalled(&rs[..32], &rs[32..])).unwrap();
        let signature = tpm.to_p256_bytes().unwrap();
        assert_eq!(
            verify_p256(&key.xy(), b"report", signature.as_bytes()),
            Ok(())
        );
    }

    #[test]
    fn a_high_s_from_the_tpm_is_normalised_to_the_low_one() {
        let key = fixture::SoftKey::node(4);
        let low = key.sign(b"report");
        let high = fixture::other_s(&low);
        let tpm = Signature::parse(&marshalled(&high[..32], &high[32..])).unwrap();
        assert_eq!(tpm.to_p256_bytes().unwrap().as_bytes(), &low);
    }

    #[test]
    fn a_component_without_its_leading_zeros_is_padded() {
        let mut r = [0x5a; 32];
        r[0] = 0;
        let s = [1];
        let signature = Signature::parse(&marshalled(&r[1..], &s))
            .unwrap()
            .to_p256_bytes()
            .unwrap();
        assert_eq!(&signature.as_bytes()[..32], &r);
        assert_eq!(signature.as_bytes()[63], 1);
    }

    #[test]
    fn components_out_of_range_are_refused() {
        for (r, s) in [
            (vec![0; 32], vec![1; 32]),
            (vec![1; 32], vec![]),
            (vec![0xff; 32], vec![1; 32]),
            (vec![1; 33], vec![1; 32]),
        ] {
            let parsed = Signature::parse(&marshalled(&r, &s)).unwrap();
            assert_eq!(parsed.to_p256_bytes(), Err(Reject::MalformedSignature));
        }
    }

    #[test]
    fn truncated_or_surplus_signatures_are_refused() {
        let bytes = marshalled(&[1; 32], &[2; 32]);
        for n in 0..bytes.len() {
            assert!(Signature::parse(&bytes[..n]).is_err());
        }
        let longer = [bytes, vec![0]].concat();
        assert_eq!(Signature::parse(&longer), Err(Reject::TrailingBytes(WHAT)));
    }
}
