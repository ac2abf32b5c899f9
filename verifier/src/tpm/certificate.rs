//! Endorsement certificates: from a TPM's certificate to its maker's root.
//!
//! Makers deviate from RFC 5280 in ways that must be tolerated (unsorted sets, so that re-encoding
//! breaks signatures; P-521 keys signing SHA-384), and stay inside it in ways that must be enforced
//! (key usage, path length, critical extensions, validity). Signatures are checked over the bytes as they came.
//!
//! - [`verify_chain`] judges an endorsement certificate against a [`RootStore`].
//! - [`RootStore`] says what is trusted: roots with the class of TPM they certify, revocation lists, a deny list.
//! - [`Crl`] and [`DenyList`] take trust away again.
//! - [`import`] reads what makers and Microsoft publish into a store.
//!
//! References: RFC 5280; TCG EK Credential Profile 2.5.

mod class;
mod crl;
pub mod import;
mod path;
mod pkcs1;
mod profile;
mod pss;
mod revocation;
mod signature;
mod store;

pub use class::TpmClass;
pub use crl::{Crl, Revoked};
pub use path::{CertificatePath, PathStep, verify_chain, verify_path};
pub use profile::EkCertificate;
pub(crate) use pss::verify_pss_issued_by;
pub use revocation::{
    CrlDemand, CrlGap, CrlPolicy, DenyList, DenyTarget, RevocationReject, RevocationStatus,
    SerialNumber,
};
pub use signature::verify_issued_by;
pub use store::{Root, RootStore, StoreError};

use base64ct::{Base64, Encoding as _};
use const_oid::{AssociatedOid, ObjectIdentifier};
use der::{Decode, Reader as _, SliceReader, Tag, Tagged, asn1::AnyRef};
use sha2::{Digest, Sha256};
use x509_cert::{
    ext::pkix::{
        CrlDistributionPoints,
        name::{DistributionPointName, GeneralName},
    },
    name::Name as DistinguishedName,
};

use super::{PublicKey, Reject};

/// No endorsement or CA certificate comes near this size.
const MAX_CERTIFICATE_BYTES: usize = 8192;

/// A parsed X.509 certificate with the exact bytes it came in.
#[derive(Clone, Debug)]
pub struct Certificate {
    parsed: x509_cert::Certificate,
    der: Vec<u8>,
}

impl PartialEq for Certificate {
    fn eq(&self, other: &Self) -> bool {
        self.der == other.der
    }
}

impl Eq for Certificate {}

impl Certificate {
    /// Parses one DER certificate; nothing may follow it.
    ///
    /// # Errors
    /// [`Reject::TooLarge`], [`Reject::MalformedCertificate`].
    pub fn from_der(der: &[u8]) -> Result<Self, Reject> {
        if der.len() > MAX_CERTIFICATE_BYTES {
            return Err(Reject::TooLarge {
                what: "certificate",
                limit: MAX_CERTIFICATE_BYTES,
                actual: der.len(),
            });
        }
        let parsed = x509_cert::Certificate::from_der(der)
            .map_err(|_| Reject::MalformedCertificate("not DER X.509"))?;
        let certificate = Self {
            parsed,
            der: der.to_vec(),
        };
        let tbs = &certificate.parsed.tbs_certificate;
        // The outer one is not signed: parameters that differ would be bytes that nobody vouches for.
        if certificate.parsed.signature_algorithm != tbs.signature {
            return Err(Reject::MalformedCertificate(
                "inner and outer signature algorithms differ",
            ));
        }
        let extensions = certificate.extensions();
        for (i, extension) in extensions.iter().enumerate() {
            if extensions[..i]
                .iter()
                .any(|e| e.extn_id == extension.extn_id)
            {
                return Err(Reject::MalformedCertificate("an extension appears twice"));
            }
        }
        Ok(certificate)
    }

    /// Parses every certificate of a PEM file, in order; comments and other blocks are passed over.
    ///
    /// # Errors
    /// [`Reject::MalformedCertificate`] for anything between the markers that is not a certificate.
    pub fn from_pem_chain(pem: &str) -> Result<Vec<Self>, Reject> {
        pem_blocks(pem, "CERTIFICATE")?
            .iter()
            .map(|der| Self::from_der(der))
            .collect()
    }

    /// The bytes the certificate was parsed from.
    pub fn as_der(&self) -> &[u8] {
        &self.der
    }

    /// SHA-256 of the tbsCertificate as it came.
    pub fn signed_part_hash(&self) -> [u8; 32] {
        // It was parsed from these bytes.
        Sha256::digest(signature::signed_bytes(&self.der).unwrap_or_default()).into()
    }

    /// SHA-256 of the DER.
    pub fn fingerprint(&self) -> [u8; 32] {
        Sha256::digest(&self.der).into()
    }

    /// The subject, for people.
    pub fn subject(&self) -> String {
        self.parsed.tbs_certificate.subject.to_string()
    }

    /// The issuer's name, for people and as in RFC 4514.
    pub fn issuer(&self) -> String {
        self.issuer_name().to_string()
    }

    /// The serial number.
    pub fn serial(&self) -> SerialNumber {
        SerialNumber::new(self.parsed.tbs_certificate.serial_number.as_bytes())
    }

    /// First and last second of validity, Unix time.
    pub fn validity(&self) -> (u64, u64) {
        let validity = &self.parsed.tbs_certificate.validity;
        (
            unix_seconds(&validity.not_before),
            unix_seconds(&validity.not_after),
        )
    }

    /// Whether the certificate names itself as its issuer.
    pub fn is_self_issued(&self) -> bool {
        self.names_issuer(self)
    }

    /// Whether the name is that of a test CA which anybody can run, as `swtpm_localca` makes it.
    pub fn is_test_authority(&self) -> bool {
        self.subject().to_ascii_lowercase().contains("swtpm")
    }

    /// Where the issuer publishes its revocation list; `None` if the certificate does not say that there is one.
    pub fn crl_urls(&self) -> Option<Vec<String>> {
        let points = self.extension::<CrlDistributionPoints>();
        let Ok(points) = points else {
            // There is something, though nobody can read it.
            return Some(Vec::new());
        };
        let names = points?.0.into_iter().filter_map(|point| {
            let DistributionPointName::FullName(names) = point.distribution_point? else {
                return None;
            };
            Some(names)
        });
        let urls = names.flatten().filter_map(|name| match name {
            GeneralName::UniformResourceIdentifier(url) => Some(url.as_str().to_owned()),
            _ => None,
        });
        Some(urls.collect())
    }

    /// The subject's key.
    ///
    /// # Errors
    /// [`Reject::InvalidPublicKey`] or [`Reject::CertificateAlgorithm`].
    pub fn public_key(&self) -> Result<PublicKey, Reject> {
        PublicKey::from_spki(&self.parsed.tbs_certificate.subject_public_key_info)
    }

    /// Whether `issuer`'s subject is the issuer this certificate names.
    pub fn names_issuer(&self, issuer: &Self) -> bool {
        same_name(self.issuer_name(), issuer.subject_name())
    }

    /// Checks that it is valid at `now`, Unix seconds, and has no critical extension but those `understood`.
    ///
    /// # Errors
    /// [`Reject::CertificateNotYetValid`], [`Reject::CertificateExpired`], [`Reject::UnknownCriticalExtension`].
    pub(crate) fn check_in_use(
        &self,
        now: u64,
        understood: &[ObjectIdentifier],
    ) -> Result<(), Reject> {
        let (not_before, not_after) = self.validity();
        if now < not_before {
            return Err(Reject::CertificateNotYetValid {
                subject: self.subject(),
                not_before,
            });
        }
        if now > not_after {
            return Err(Reject::CertificateExpired {
                subject: self.subject(),
                not_after,
            });
        }
        match self
            .extensions()
            .iter()
            .find(|extension| extension.critical && !understood.contains(&extension.extn_id))
        {
            Some(unknown) => Err(Reject::UnknownCriticalExtension(
                unknown.extn_id.to_string(),
            )),
            None => Ok(()),
        }
    }

    fn subject_name(&self) -> &DistinguishedName {
        &self.parsed.tbs_certificate.subject
    }

    fn issuer_name(&self) -> &DistinguishedName {
        &self.parsed.tbs_certificate.issuer
    }

    fn extensions(&self) -> &[x509_cert::ext::Extension] {
        self.parsed
            .tbs_certificate
            .extensions
            .as_deref()
            .unwrap_or_default()
    }

    /// One extension, decoded; `None` if absent.
    fn extension<'a, T: Decode<'a> + AssociatedOid>(&'a self) -> Result<Option<T>, Reject> {
        self.extensions()
            .iter()
            .find(|extension| extension.extn_id == T::OID)
            .map(|extension| T::from_der(extension.extn_value.as_bytes()))
            .transpose()
            .map_err(|_| Reject::MalformedCertificate("an extension cannot be decoded"))
    }
}

/// The contents of all PEM blocks with one label, in order.
fn pem_blocks(pem: &str, label: &str) -> Result<Vec<Vec<u8>>, Reject> {
    let (begin, end) = (
        format!("-----BEGIN {label}-----"),
        format!("-----END {label}-----"),
    );
    let mut contents = Vec::new();
    let mut rest = pem;
    while let Some((_, block)) = rest.split_once(&begin) {
        let (body, after) = block
            .split_once(&end)
            .ok_or(Reject::MalformedCertificate("PEM block without an end"))?;
        // Makers' tools break lines where they like.
        let text: String = body.split_ascii_whitespace().collect();
        let der = Base64::decode_vec(&text).map_err(|_| Reject::MalformedCertificate("not PEM"))?;
        contents.push(der);
        rest = after;
    }
    Ok(contents)
}

/// Cuts a certificate read from a TPM's NV memory at its DER length: the slot is often larger and padded.
///
/// For the sender of evidence; a verifier takes no surplus bytes.
///
/// # Errors
/// [`Reject::MalformedCertificate`] if there is no complete DER SEQUENCE at the start.
pub fn trim_padding(nv: &[u8]) -> Result<&[u8], Reject> {
    let malformed = |_| Reject::MalformedCertificate("not DER");
    let mut reader = SliceReader::new(nv).map_err(malformed)?;
    let tlv = reader.tlv_bytes().map_err(malformed)?;
    match AnyRef::from_der(tlv).map_err(malformed)?.tag() {
        Tag::Sequence => Ok(tlv),
        _ => Err(Reject::MalformedCertificate("not a DER SEQUENCE")),
    }
}

/// Whether two distinguished names are the same text, whatever string types spell it.
///
/// STMicroelectronics' intermediates name a root in UTF8Strings that calls itself in PrintableStrings.
fn same_name(a: &DistinguishedName, b: &DistinguishedName) -> bool {
    fn text(value: &der::Any) -> Option<&[u8]> {
        match value.tag() {
            Tag::Utf8String | Tag::PrintableString | Tag::Ia5String => Some(value.value()),
            _ => None,
        }
    }
    a.0.len() == b.0.len()
        && a.0.iter().zip(&b.0).all(|(a, b)| {
            a.0.len() == b.0.len()
                && a.0.iter().zip(b.0.iter()).all(|(a, b)| {
                    let same_text = text(&a.value).is_some() && text(&a.value) == text(&b.value);
                    a.oid == b.oid && (same_text || a.value == b.value)
                })
        })
}

/// Seconds since the Unix epoch of an X.509 time.
fn unix_seconds(time: &x509_cert::time::Time) -> u64 {
    time.to_unix_duration().as_secs()
}

#[cfg(test)]
mod tests;
