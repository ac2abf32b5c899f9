//! Algorithm identifiers (TPM 2.0 part 2, TPM_ALG_ID and TPM_ECC_CURVE) as types.

use crate::tpm::Reject;

/// Raw TPM_ALG_ID values, from the TCG Algorithm Registry.
pub(super) mod id {
    pub(in crate::tpm) const RSA: u16 = 0x0001;
    pub(in crate::tpm) const SHA1: u16 = 0x0004;
    pub(in crate::tpm) const AES: u16 = 0x0006;
    pub(in crate::tpm) const SHA256: u16 = 0x000b;
    pub(in crate::tpm) const SHA384: u16 = 0x000c;
    pub(in crate::tpm) const SHA512: u16 = 0x000d;
    pub(in crate::tpm) const NULL: u16 = 0x0010;
    pub(in crate::tpm) const RSASSA: u16 = 0x0014;
    pub(in crate::tpm) const RSAPSS: u16 = 0x0016;
    pub(in crate::tpm) const ECDSA: u16 = 0x0018;
    pub(in crate::tpm) const ECC: u16 = 0x0023;
    pub(in crate::tpm) const CFB: u16 = 0x0043;
}

/// A hash algorithm a TPM may name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HashAlgorithm {
    /// SHA-1: recognised so that it can be refused by name where it matters.
    Sha1,
    /// SHA-256.
    Sha256,
    /// SHA-384.
    Sha384,
    /// SHA-512.
    Sha512,
}

impl HashAlgorithm {
    /// TPM_ALG_ID.
    pub fn id(self) -> u16 {
        match self {
            Self::Sha1 => id::SHA1,
            Self::Sha256 => id::SHA256,
            Self::Sha384 => id::SHA384,
            Self::Sha512 => id::SHA512,
        }
    }

    /// Reads a TPM_ALG_ID found in `what`.
    ///
    /// # Errors
    /// [`Reject::UnsupportedAlgorithm`] for any other identifier.
    pub fn from_id(what: &'static str, value: u16) -> Result<Self, Reject> {
        match value {
            id::SHA1 => Ok(Self::Sha1),
            id::SHA256 => Ok(Self::Sha256),
            id::SHA384 => Ok(Self::Sha384),
            id::SHA512 => Ok(Self::Sha512),
            _ => Err(Reject::UnsupportedAlgorithm { what, id: value }),
        }
    }

    /// Digest length in bytes.
    pub fn digest_len(self) -> usize {
        match self {
            Self::Sha1 => 20,
            Self::Sha256 => 32,
            Self::Sha384 => 48,
            Self::Sha512 => 64,
        }
    }

    /// Hash of `parts`, one after the other.
    pub fn digest(self, parts: &[&[u8]]) -> Vec<u8> {
        fn run<D: sha2::Digest>(parts: &[&[u8]]) -> Vec<u8> {
            parts
                .iter()
                .fold(D::new(), |hash, part| hash.chain_update(part))
                .finalize()
                .to_vec()
        }
        match self {
            Self::Sha1 => run::<sha1::Sha1>(parts),
            Self::Sha256 => run::<sha2::Sha256>(parts),
            Self::Sha384 => run::<sha2::Sha384>(parts),
            Self::Sha512 => run::<sha2::Sha512>(parts),
        }
    }
}

/// An elliptic curve a TPM key may lie on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EccCurve {
    /// NIST P-256.
    P256,
    /// NIST P-384.
    P384,
    /// NIST P-521.
    P521,
}

impl EccCurve {
    /// TPM_ECC_CURVE.
    pub fn id(self) -> u16 {
        match self {
            Self::P256 => 3,
            Self::P384 => 4,
            Self::P521 => 5,
        }
    }

    pub(super) fn from_id(value: u16) -> Result<Self, Reject> {
        match value {
            3 => Ok(Self::P256),
            4 => Ok(Self::P384),
            5 => Ok(Self::P521),
            _ => Err(Reject::UnsupportedAlgorithm {
                what: "TPMS_ECC_PARMS curve",
                id: value,
            }),
        }
    }

    /// Length of one affine coordinate in bytes.
    pub fn coordinate_len(self) -> usize {
        match self {
            Self::P256 => 32,
            Self::P384 => 48,
            Self::P521 => 66,
        }
    }
}

/// The scheme a key is bound to sign with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SigningScheme {
    /// RSASSA-PKCS1-v1_5.
    RsaSsa(HashAlgorithm),
    /// RSASSA-PSS.
    RsaPss(HashAlgorithm),
    /// ECDSA.
    Ecdsa(HashAlgorithm),
}

impl SigningScheme {
    pub(super) fn from_ids(what: &'static str, scheme: u16, hash: u16) -> Result<Self, Reject> {
        let hash = HashAlgorithm::from_id(what, hash)?;
        match scheme {
            id::RSASSA => Ok(Self::RsaSsa(hash)),
            id::RSAPSS => Ok(Self::RsaPss(hash)),
            id::ECDSA => Ok(Self::Ecdsa(hash)),
            _ => Err(Reject::UnsupportedAlgorithm { what, id: scheme }),
        }
    }
}

/// The cipher a restricted decryption key protects its children and credentials with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SymmetricCipher {
    /// AES-128 in CFB mode.
    Aes128Cfb,
    /// AES-256 in CFB mode.
    Aes256Cfb,
}

impl SymmetricCipher {
    pub(super) fn from_ids(
        what: &'static str,
        algorithm: u16,
        bits: u16,
        mode: u16,
    ) -> Result<Self, Reject> {
        match (algorithm, bits, mode) {
            (id::AES, 128, id::CFB) => Ok(Self::Aes128Cfb),
            (id::AES, 256, id::CFB) => Ok(Self::Aes256Cfb),
            _ => Err(Reject::UnsupportedAlgorithm {
                what,
                id: algorithm,
            }),
        }
    }

    /// Key length in bits.
    pub fn key_bits(self) -> u32 {
        match self {
            Self::Aes128Cfb => 128,
            Self::Aes256Cfb => 256,
        }
    }
}
