//! RSASSA-PSS, which AMD's certificates are signed with, and the parts of a certificate that [`snp`](crate::snp) judges.

use const_oid::{ObjectIdentifier, db::rfc5912::ID_RSASSA_PSS};
use der::{Decode as _, Reader as _, SliceReader, asn1::AnyRef};
use rsa::Pss;
use sha2::{Digest as _, Sha384};
use x509_cert::ext::pkix::{BasicConstraints, KeyUsage};

use super::Certificate;
use crate::tpm::{PublicKey, Reject};

const COMMON_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.3");
/// Length of the salt, bytes: that of the hash.
const SALT_BYTES: usize = 48;

/// RSASSA-PSS-params: SHA-384, MGF1 with SHA-384, 48 bytes of salt.
const PARAMETERS: [u8; 54] = *b"\x30\x34\
    \xa0\x0f\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x02\x05\x00\
    \xa1\x1c\x30\x1a\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x08\
    \x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x02\x05\x00\
    \xa2\x03\x02\x01\x30";
/// The trailer field's default, which AMD sometimes writes out although DER leaves defaults away.
const TRAILER: [u8; 5] = *b"\xa3\x03\x02\x01\x01";

/// Checks that `issuer`'s RSA key signed `certificate` with RSASSA-PSS and SHA-384, over the bytes as they came.
///
/// # Errors
/// [`Reject::CertificateAlgorithm`] for any other algorithm or parameters, [`Reject::CertificateSignature`].
pub(crate) fn verify_pss_issued_by(
    certificate: &Certificate,
    issuer: &Certificate,
) -> Result<(), Reject> {
    let malformed = |_| Reject::MalformedCertificate("not DER X.509");
    let algorithm = &certificate.parsed.signature_algorithm;
    // The outer identifier is not signed; only its equality with the signed one protects it.
    if *algorithm != certificate.parsed.tbs_certificate.signature {
        return Err(Reject::MalformedCertificate(
            "inner and outer signature algorithms differ",
        ));
    }
    let parameters = algorithm
        .parameters
        .as_ref()
        .map(der::Encode::to_der)
        .transpose()
        .map_err(malformed)?;
    if algorithm.oid != ID_RSASSA_PSS || !parameters.is_some_and(|given| is_accepted(&given)) {
        return Err(Reject::CertificateAlgorithm(format!(
            "{} (only RSASSA-PSS with SHA-384 and a salt of 48 bytes is taken here)",
            algorithm.oid
        )));
    }
    let outer = AnyRef::from_der(&certificate.der).map_err(malformed)?;
    let signed = SliceReader::new(outer.value())
        .and_then(|mut reader| reader.tlv_bytes())
        .map_err(malformed)?;
    let signature = certificate
        .parsed
        .signature
        .as_bytes()
        .ok_or(Reject::MalformedCertificate("signature is not whole bytes"))?;
    let PublicKey::Rsa(key) = issuer.public_key()? else {
        return Err(Reject::CertificateSignature);
    };
    key.verify(
        Pss::new_with_salt::<Sha384>(SALT_BYTES),
        &Sha384::digest(signed),
        signature,
    )
    .map_err(|_| Reject::CertificateSignature)
}

fn is_accepted(parameters: &[u8]) -> bool {
    let mut with_trailer = [&PARAMETERS[..], &TRAILER].concat();
    with_trailer[1] = 0x39;
    parameters == PARAMETERS || parameters == with_trailer
}

impl Certificate {
    /// The contents of an extension, whatever its type.
    pub(crate) fn extension_bytes(&self, oid: ObjectIdentifier) -> Option<&[u8]> {
        self.extensions()
            .iter()
            .find(|extension| extension.extn_id == oid)
            .map(|extension| extension.extn_value.as_bytes())
    }

    /// Whether it says that its key may sign certificates, with at least `below` CAs under it.
    pub(crate) fn may_issue(&self, below: u8) -> Result<bool, Reject> {
        let constraints = self.extension::<BasicConstraints>()?;
        let usage = self.extension::<KeyUsage>()?;
        Ok(constraints.is_some_and(|constraints| {
            constraints.ca
                && constraints
                    .path_len_constraint
                    .is_none_or(|limit| limit >= below)
        }) && usage.is_some_and(|usage| usage.key_cert_sign()))
    }

    /// Whether it says that it is a CA.
    pub(crate) fn is_ca(&self) -> Result<bool, Reject> {
        Ok(self
            .extension::<BasicConstraints>()?
            .is_some_and(|constraints| constraints.ca))
    }

    /// The subject's one common name; `None` if there is none, several, or it is no text.
    pub(crate) fn common_name(&self) -> Option<&str> {
        let mut names = self
            .parsed
            .tbs_certificate
            .subject
            .0
            .iter()
            .flat_map(|rdn| rdn.0.iter())
            .filter(|attribute| attribute.oid == COMMON_NAME);
        let name = names.next()?;
        match names.next() {
            None => std::str::from_utf8(name.value.value()).ok(),
            Some(_) => None,
        }
    }
}
