//! Endorsement keys that machines enrol with, by the TCG's default templates.
//!
//! One TPM has an endorsement key, and often a certificate, for each algorithm: enrolled with two it would be two machines.
//! Which one counts is the policy's to say, maker by maker ([`TpmPolicy`](crate::policy::TpmPolicy)); RSA-2048, which all have,
//! unless it says otherwise.
//!
//! Reference: TCG EK Credential Profile 2.5, annex B: templates L-1, L-2 and H-3.

use std::fmt;

use minicbor::{Decode, Encode};
use serde::{Deserialize, Serialize};

use super::{
    Public, PublicKey, Reject,
    wire::{EccCurve, HashAlgorithm, ObjectAttributes, SymmetricCipher},
};

/// Bits of the modulus in template L-1.
const RSA_BITS: usize = 2048;

/// TPM2_PolicySecret(TPM_RH_ENDORSEMENT) over SHA-256, "PolicyA" of the templates.
const POLICY_A_SHA256: [u8; 32] = [
    0x83, 0x71, 0x97, 0x67, 0x44, 0x84, 0xb3, 0xf8, 0x1a, 0x90, 0xcc, 0x8d, 0x46, 0xa5, 0xd7, 0x24,
    0xfd, 0x52, 0xd7, 0x6e, 0x06, 0x52, 0x0b, 0x64, 0xf2, 0xa1, 0xda, 0x1b, 0x33, 0x14, 0x69, 0xaa,
];

/// TPM2_PolicyOR of PolicyA and PolicyAuthorizeNV over SHA-384, "PolicyB" of the templates.
const POLICY_B_SHA384: [u8; 48] = [
    0xb2, 0x6e, 0x7d, 0x28, 0xd1, 0x1a, 0x50, 0xbc, 0x53, 0xd8, 0x82, 0xbc, 0xf5, 0xfd, 0x3a, 0x1a,
    0x07, 0x41, 0x48, 0xbb, 0x35, 0xd3, 0xb4, 0xe4, 0xcb, 0x1c, 0x0a, 0xd9, 0xbd, 0xe4, 0x19, 0xca,
    0xcb, 0x47, 0xba, 0x09, 0x69, 0x96, 0x46, 0x15, 0x0f, 0x9f, 0xc0, 0x00, 0xf3, 0xf8, 0x0e, 0x12,
];

/// Algorithm of an endorsement key.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    Encode,
    Decode,
)]
#[cbor(index_only)]
pub enum EndorsementKey {
    /// RSA-2048, template L-1.
    #[default]
    #[serde(rename = "rsa-2048")]
    #[n(0)]
    Rsa2048,
    /// ECC P-256, template L-2.
    #[serde(rename = "ecc-p256")]
    #[n(1)]
    EccP256,
    /// ECC P-384, template H-3.
    #[serde(rename = "ecc-p384")]
    #[n(2)]
    EccP384,
}

impl EndorsementKey {
    /// Every algorithm.
    pub const ALL: [Self; 3] = [Self::Rsa2048, Self::EccP256, Self::EccP384];

    /// The name in files.
    pub fn name(self) -> &'static str {
        match self {
            Self::Rsa2048 => "rsa-2048",
            Self::EccP256 => "ecc-p256",
            Self::EccP384 => "ecc-p384",
        }
    }

    /// Checks that a key is made from the default template of its algorithm, and says which that is.
    ///
    /// Attributes in a request are the node's claim until [`judge_certify`](super::judge_certify) finds the endorsement key's
    /// name, a hash of all of them, in what the TPM signed.
    ///
    /// # Errors
    /// [`Reject::EkTemplate`].
    pub fn of(ek: &Public) -> Result<Self, Reject> {
        let algorithm = match &ek.key {
            PublicKey::Rsa(_) if ek.key.rsa_bits() == Some(RSA_BITS) => Self::Rsa2048,
            PublicKey::Ecc { curve, .. } if *curve == EccCurve::P256 => Self::EccP256,
            PublicKey::Ecc { curve, .. } if *curve == EccCurve::P384 => Self::EccP384,
            PublicKey::Rsa(_) | PublicKey::Ecc { .. } => {
                return Err(Reject::EkTemplate("not RSA-2048, ECC P-256 or ECC P-384"));
            }
        };
        let low = ObjectAttributes::all_of([
            ObjectAttributes::FIXED_TPM,
            ObjectAttributes::FIXED_PARENT,
            ObjectAttributes::SENSITIVE_DATA_ORIGIN,
            ObjectAttributes::ADMIN_WITH_POLICY,
            ObjectAttributes::RESTRICTED,
            ObjectAttributes::DECRYPT,
        ]);
        let (attributes, name, cipher, policy): (_, _, _, &[u8]) = match algorithm {
            Self::Rsa2048 | Self::EccP256 => (
                low,
                HashAlgorithm::Sha256,
                SymmetricCipher::Aes128Cfb,
                &POLICY_A_SHA256,
            ),
            Self::EccP384 => (
                ObjectAttributes::all_of([low, ObjectAttributes::USER_WITH_AUTH]),
                HashAlgorithm::Sha384,
                SymmetricCipher::Aes256Cfb,
                &POLICY_B_SHA384,
            ),
        };
        if ek.attributes != attributes {
            return Err(Reject::EkTemplate("attributes differ"));
        }
        if ek.name_algorithm != name {
            return Err(Reject::EkTemplate("name algorithm differs"));
        }
        if ek.symmetric != Some(cipher) || ek.scheme.is_some() {
            return Err(Reject::EkTemplate("symmetric cipher or scheme differs"));
        }
        if ek.auth_policy != policy {
            return Err(Reject::EkTemplate("authorisation policy differs"));
        }
        Ok(algorithm)
    }
}

impl fmt::Display for EndorsementKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
