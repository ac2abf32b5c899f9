//! What makes a certificate an endorsement certificate (TCG EK Credential Profile 2.5, section 3.2).

use const_oid::ObjectIdentifier;
use der::asn1::{PrintableStringRef, Utf8StringRef};
use x509_cert::ext::pkix::{
    BasicConstraints, ExtendedKeyUsage, KeyUsage, SubjectAltName, name::GeneralName,
};

use super::{Certificate, CertificatePath, RevocationStatus, TpmClass};
use crate::tpm::{PublicKey, Reject};

/// tcg-kp-EKCertificate.
pub(super) const EK_CERTIFICATE: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.23.133.8.1");
const TPM_MANUFACTURER: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.23.133.2.1");
const TPM_MODEL: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.23.133.2.2");
const TPM_VERSION: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.23.133.2.3");
/// RFC 5280's upper bound for a directory string attribute of this kind is 64; makers use under 32.
const MAX_ATTRIBUTE_BYTES: usize = 128;

/// What a trusted maker's certificate says about a TPM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EkCertificate {
    /// The endorsement key.
    pub key: PublicKey,
    /// TPM manufacturer as certified, `id:` and the TCG vendor id in hex.
    pub manufacturer: String,
    /// TPM model as certified.
    pub model: String,
    /// TPM firmware version as certified, normally `id:` and hex.
    pub version: String,
    /// SHA-256 of each certificate's DER, from the endorsement certificate to the root.
    pub path: Vec<[u8; 32]>,
    /// SHA-256 of the part of each certificate that its issuer signed, in the same order: a name that no other form of an ECDSA
    /// signature changes.
    pub signed_parts: Vec<[u8; 32]>,
    /// The class of TPM that the root stands for.
    pub class: TpmClass,
    /// What is known about the revocation of each certificate of the path.
    pub revocation: Vec<RevocationStatus>,
}

/// What the certificate itself says, before anybody vouches for it.
pub(super) struct Claims {
    key: PublicKey,
    manufacturer: String,
    model: String,
    version: String,
}

impl Claims {
    /// Reads a leaf that must meet the strict profile.
    pub(super) fn from_leaf(leaf: &Certificate) -> Result<Self, Reject> {
        if leaf
            .extension::<BasicConstraints>()?
            .is_some_and(|constraints| constraints.ca)
        {
            return Err(Reject::EkCertificateIsCa);
        }
        let purposes = leaf.extension::<ExtendedKeyUsage>()?;
        if !purposes.is_some_and(|purposes| purposes.0.contains(&EK_CERTIFICATE)) {
            return Err(Reject::EkExtendedKeyUsage);
        }
        let key = leaf.public_key()?;
        check_key_usage(leaf, &key)?;
        let [manufacturer, model, version] = tpm_attributes(leaf)?;
        if manufacturer.is_empty() {
            return Err(Reject::EkManufacturer);
        }
        Ok(Self {
            key,
            manufacturer,
            model,
            version,
        })
    }

    /// The claims as facts, once the path is verified.
    pub(super) fn certified(self, path: &CertificatePath) -> EkCertificate {
        EkCertificate {
            key: self.key,
            manufacturer: self.manufacturer,
            model: self.model,
            version: self.version,
            path: path.fingerprints(),
            signed_parts: path.signed_parts(),
            class: path.class,
            revocation: path.steps.iter().map(|step| step.revocation).collect(),
        }
    }
}

impl EkCertificate {
    /// The TCG vendor id in `manufacturer` as text (`id:49465800` is `IFX`), if it is one.
    pub fn vendor(&self) -> Option<String> {
        let bytes = hex::decode(self.manufacturer.strip_prefix("id:")?).ok()?;
        let text = String::from_utf8(bytes).ok()?;
        let text = text.trim_end_matches(['\0', ' ']);
        let is_word = !text.is_empty() && text.len() <= 4;
        (is_word && text.bytes().all(|b| b.is_ascii_graphic())).then(|| text.to_owned())
    }
}

/// An endorsement key decrypts credentials: keyEncipherment for RSA, keyAgreement for ECC.
fn check_key_usage(leaf: &Certificate, key: &PublicKey) -> Result<(), Reject> {
    let usage = leaf.extension::<KeyUsage>()?;
    let (name, allowed) = match key {
        PublicKey::Rsa(_) => (
            "keyEncipherment",
            usage.is_some_and(|usage| usage.key_encipherment()),
        ),
        PublicKey::Ecc { .. } => (
            "keyAgreement",
            usage.is_some_and(|usage| usage.key_agreement()),
        ),
    };
    if allowed {
        Ok(())
    } else {
        Err(Reject::EkKeyUsage(name))
    }
}

/// Manufacturer, model and version from the directory name in the subject alternative name; empty if absent.
fn tpm_attributes(leaf: &Certificate) -> Result<[String; 3], Reject> {
    let mut found = [String::new(), String::new(), String::new()];
    let Some(names) = leaf.extension::<SubjectAltName>()? else {
        return Ok(found);
    };
    let directory_names = names.0.iter().filter_map(|name| match name {
        GeneralName::DirectoryName(name) => Some(name),
        _ => None,
    });
    for attribute in directory_names
        .flat_map(|name| &name.0)
        .flat_map(|rdn| rdn.0.iter())
    {
        let slot = match attribute.oid {
            TPM_MANUFACTURER => 0,
            TPM_MODEL => 1,
            TPM_VERSION => 2,
            _ => continue,
        };
        let value = &attribute.value;
        let text = value
            .decode_as::<Utf8StringRef<'_>>()
            .map(|text| text.as_str().to_owned())
            .or_else(|_| {
                value
                    .decode_as::<PrintableStringRef<'_>>()
                    .map(|text| text.as_str().to_owned())
            })
            .map_err(|_| Reject::MalformedCertificate("a TPM attribute is not text"))?;
        // Two different values would let two readers see two manufacturers.
        if !found[slot].is_empty() || text.len() > MAX_ATTRIBUTE_BYTES {
            return Err(Reject::MalformedCertificate(
                "a TPM attribute is repeated or too long",
            ));
        }
        found[slot] = text;
    }
    Ok(found)
}
