//! TPMT_PUBLIC: a key's public area, and the names a TPM derives from it.

use super::{
    algorithm::{EccCurve, HashAlgorithm, SigningScheme, SymmetricCipher, id},
    reader::Reader,
};
use crate::tpm::{PublicKey, Reject};

const WHAT: &str = "TPMT_PUBLIC";

/// Handle of the endorsement hierarchy, whose "name" starts the qualified name of an endorsement key.
pub const RH_ENDORSEMENT: [u8; 4] = [0x40, 0x00, 0x00, 0x0b];

/// TPMA_OBJECT: what a key may be used for and whether it can leave its TPM.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ObjectAttributes(u32);

impl ObjectAttributes {
    /// The hierarchy of the object never changes: it cannot leave this TPM.
    pub const FIXED_TPM: Self = Self(1 << 1);
    /// Saved contexts do not survive a TPM reset.
    pub const ST_CLEAR: Self = Self(1 << 2);
    /// The parent never changes.
    pub const FIXED_PARENT: Self = Self(1 << 4);
    /// The TPM generated the private part itself.
    pub const SENSITIVE_DATA_ORIGIN: Self = Self(1 << 5);
    /// Authorised by password or HMAC for user operations.
    pub const USER_WITH_AUTH: Self = Self(1 << 6);
    /// Administrative operations need the policy.
    pub const ADMIN_WITH_POLICY: Self = Self(1 << 7);
    /// Not subject to dictionary-attack lockout.
    pub const NO_DA: Self = Self(1 << 10);
    /// Duplication must be encrypted.
    pub const ENCRYPTED_DUPLICATION: Self = Self(1 << 11);
    /// Only signs or decrypts structures the TPM recognises as its own.
    pub const RESTRICTED: Self = Self(1 << 16);
    /// May decrypt.
    pub const DECRYPT: Self = Self(1 << 17);
    /// May sign (or encrypt, if symmetric).
    pub const SIGN: Self = Self(1 << 18);
    /// X.509 signing only.
    pub const X509_SIGN: Self = Self(1 << 19);

    /// Bits a TPM 2.0 sets to zero.
    const RESERVED: u32 = !(0b1111_0110 | (0b1100 << 8) | (0b1111 << 16));

    fn parse(bits: u32) -> Result<Self, Reject> {
        if bits & Self::RESERVED == 0 {
            Ok(Self(bits))
        } else {
            Err(Reject::MalformedStructure("TPMA_OBJECT"))
        }
    }

    /// The union of several attributes.
    pub const fn all_of<const N: usize>(attributes: [Self; N]) -> Self {
        let mut bits = 0;
        let mut i = 0;
        while i < N {
            bits |= attributes[i].0;
            i += 1;
        }
        Self(bits)
    }

    /// Whether every attribute of `other` is set.
    pub fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Whether any attribute of `other` is set.
    pub fn intersects(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// The 32-bit form on the wire.
    pub fn bits(self) -> u32 {
        self.0
    }
}

/// A TPM object's name or qualified name: the name algorithm followed by a digest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Name(Vec<u8>);

impl Name {
    pub(in crate::tpm) fn from_wire(bytes: &[u8]) -> Self {
        Self(bytes.to_vec())
    }

    /// The name's bytes as a TPM marshals them.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The "name" of the endorsement hierarchy: its handle.
    pub fn endorsement_hierarchy() -> Self {
        Self(RH_ENDORSEMENT.to_vec())
    }
}

/// A parsed TPMT_PUBLIC together with the exact bytes its name is a hash of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Public {
    /// Hash that names this object.
    pub name_algorithm: HashAlgorithm,
    /// What the key may do.
    pub attributes: ObjectAttributes,
    /// authPolicy; empty if none.
    pub auth_policy: Vec<u8>,
    /// Cipher for children and credentials; only restricted decryption keys have one.
    pub symmetric: Option<SymmetricCipher>,
    /// The only scheme the key signs with, if it is bound to one.
    pub scheme: Option<SigningScheme>,
    /// The key itself, checked to be valid.
    pub key: PublicKey,
    bytes: Vec<u8>,
}

impl Public {
    /// Parses a TPMT_PUBLIC (without the size that makes it a TPM2B_PUBLIC).
    ///
    /// # Errors
    /// A [`Reject`] if it is malformed, uses an algorithm outside [`super`], or its key is not valid.
    pub fn parse(bytes: &[u8]) -> Result<Self, Reject> {
        let mut reader = Reader::new(WHAT, bytes)?;
        let kind = reader.u16()?;
        let name_algorithm = HashAlgorithm::from_id("TPMT_PUBLIC nameAlg", reader.u16()?)?;
        let attributes = ObjectAttributes::parse(reader.u32()?)?;
        let auth_policy = reader.sized()?.to_vec();
        if !auth_policy.is_empty() && auth_policy.len() != name_algorithm.digest_len() {
            return Err(reader.malformed());
        }
        let symmetric = match reader.u16()? {
            id::NULL => None,
            algorithm => Some(SymmetricCipher::from_ids(
                "TPMT_PUBLIC symmetric",
                algorithm,
                reader.u16()?,
                reader.u16()?,
            )?),
        };
        let scheme = match reader.u16()? {
            id::NULL => None,
            scheme => Some(SigningScheme::from_ids(
                "TPMT_PUBLIC scheme",
                scheme,
                reader.u16()?,
            )?),
        };
        let key = match kind {
            id::RSA => rsa_key(&mut reader)?,
            id::ECC => ecc_key(&mut reader)?,
            _ => {
                return Err(Reject::UnsupportedAlgorithm {
                    what: "TPMT_PUBLIC type",
                    id: kind,
                });
            }
        };
        reader.finish()?;
        Ok(Self {
            name_algorithm,
            attributes,
            auth_policy,
            symmetric,
            scheme,
            key,
            bytes: bytes.to_vec(),
        })
    }

    /// The marshalled bytes this was parsed from.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The object's name: nameAlg ‖ H(public area). TPM 2.0 part 1, "Names".
    pub fn name(&self) -> Name {
        self.named(&[&self.bytes])
    }

    /// The object's qualified name under a parent with the qualified name `parent`:
    /// nameAlg ‖ H(parent's qualified name ‖ name).
    pub fn qualified_name(&self, parent: &Name) -> Name {
        self.named(&[parent.as_bytes(), self.name().as_bytes()])
    }

    fn named(&self, parts: &[&[u8]]) -> Name {
        let mut name = self.name_algorithm.id().to_be_bytes().to_vec();
        name.extend(self.name_algorithm.digest(parts));
        Name(name)
    }
}

/// TPMS_RSA_PARMS after symmetric and scheme, then TPM2B_PUBLIC_KEY_RSA.
fn rsa_key(reader: &mut Reader<'_>) -> Result<PublicKey, Reject> {
    let bits = reader.u16()?;
    // Zero stands for the default exponent.
    let exponent = match reader.u32()? {
        0 => 65_537,
        e => e,
    };
    let modulus = reader.sized()?;
    if modulus.len() * 8 != usize::from(bits) {
        return Err(reader.malformed());
    }
    PublicKey::rsa(WHAT, modulus, u64::from(exponent))
}

/// TPMS_ECC_PARMS after symmetric and scheme, then TPMS_ECC_POINT.
fn ecc_key(reader: &mut Reader<'_>) -> Result<PublicKey, Reject> {
    let curve = EccCurve::from_id(reader.u16()?)?;
    let kdf = reader.u16()?;
    if kdf != id::NULL {
        return Err(Reject::UnsupportedAlgorithm {
            what: "TPMS_ECC_PARMS kdf",
            id: kdf,
        });
    }
    let (x, y) = (reader.sized()?, reader.sized()?);
    PublicKey::ecc(WHAT, curve, x, y)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::cast_possible_truncation)]

    use proptest::prelude::*;

    use super::*;
    use crate::tpm::fixture;

    #[test]
    fn a_public_area_is_read_field_by_field() {
        let key = fixture::SoftKey::attestation(1);
        let public = Public::parse(&key.public_area()).unwrap();
        assert_eq!(public.name_algorithm, HashAlgorithm::Sha256);
        assert_eq!(
            public.scheme,
            Some(SigningScheme::Ecdsa(HashAlgorithm::Sha256))
        );
        assert!(public.attributes.contains(ObjectAttributes::RESTRICTED));
        assert!(!public.attributes.intersects(ObjectAttributes::DECRYPT));
        assert_eq!(public.key.p256_xy(), Some(key.xy()));
        assert_eq!(public.as_bytes(), key.public_area());
    }

    #[test]
    fn a_name_is_the_algorithm_and_the_hash_of_the_public_area() {
        let bytes = fixture::SoftKey::attestation(1).public_area();
        let public = Public::parse(&bytes).unwrap();
        let mut name = vec![0x00, 0x0b];
        name.extend(HashAlgorithm::Sha256.digest(&[&bytes]));
        assert_eq!(public.name().as_bytes(), name);
        let mut qualified = vec![0x00, 0x0b];
        qualified.extend(HashAlgorithm::Sha256.digest(&[&RH_ENDORSEMENT, &name]));
        assert_eq!(
            public
                .qualified_name(&Name::endorsement_hierarchy())
                .as_bytes(),
            qualified
        );
    }

    #[test]
    fn every_truncation_and_any_surplus_byte_is_refused() {
        let bytes = fixture::SoftKey::node(2).public_area();
        for n in 0..bytes.len() {
            assert!(Public::parse(&bytes[..n]).is_err(), "cut at {n}");
        }
        let mut longer = bytes;
        longer.push(0);
        assert_eq!(Public::parse(&longer), Err(Reject::TrailingBytes(WHAT)));
    }

    #[test]
    fn a_point_off_the_curve_is_refused() {
        let mut bytes = fixture::SoftKey::node(2).public_area();
        *bytes.last_mut().unwrap() ^= 1;
        assert_eq!(Public::parse(&bytes), Err(Reject::InvalidPublicKey(WHAT)));
    }

    #[test]
    fn reserved_attribute_bits_are_refused() {
        let mut bytes = fixture::SoftKey::node(2).public_area();
        bytes[4] |= 0x80;
        assert_eq!(
            Public::parse(&bytes),
            Err(Reject::MalformedStructure("TPMA_OBJECT"))
        );
    }

    #[test]
    fn a_huge_structure_is_refused_before_it_is_read() {
        assert!(matches!(
            Public::parse(&vec![0; 1 << 20]),
            Err(Reject::TooLarge { .. })
        ));
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_parser_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            if let Ok(public) = Public::parse(&bytes) {
                prop_assert_eq!(public.as_bytes(), &bytes[..]);
            }
        }

        #[test]
        fn no_damage_to_a_public_area_makes_the_parser_panic(
            position in 0usize..90,
            value in any::<u8>(),
        ) {
            let mut bytes = fixture::SoftKey::attestation(3).public_area();
            let position = position % bytes.len();
            bytes[position] = value;
            if let Ok(public) = Public::parse(&bytes) {
                prop_assert_eq!(public.as_bytes(), &bytes[..]);
            }
        }
    }
}
