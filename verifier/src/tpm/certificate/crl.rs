//! Certificate revocation lists: snapshots in which an issuer says which of its certificates no longer count.
//!
//! A list is read once, checked against its issuer's key over the bytes as they came, and says nothing outside the time
//! between its two updates. Lists that speak for other issuers (indirect), that only change an earlier list (delta) or
//! that tell some reasons only are refused: read as if they were complete they would hide revocations.
//!
//! Reference: RFC 5280, sections 5 and 6.3.

use std::sync::OnceLock;

use const_oid::{
    AssociatedOid as _, ObjectIdentifier,
    db::rfc5280::{
        ID_CE_DELTA_CRL_INDICATOR, ID_CE_FRESHEST_CRL, ID_CE_ISSUER_ALT_NAME,
        ID_CE_ISSUING_DISTRIBUTION_POINT, ID_PE_AUTHORITY_INFO_ACCESS,
    },
};
use der::{Decode, Encode as _};
use sha2::{Digest, Sha256};
use x509_cert::{
    Version,
    crl::{CertificateList, RevokedCert},
    ext::{
        Extension,
        pkix::{
            AuthorityKeyIdentifier, BasicConstraints, CrlDistributionPoints, CrlNumber, CrlReason,
            IssuingDistributionPoint, KeyUsage, SubjectKeyIdentifier,
            name::{DistributionPointName, GeneralName},
        },
    },
    name::Name as DistinguishedName,
};

use super::{
    Certificate, RevocationReject as Reject, SerialNumber, same_name,
    signature::{signed_bytes, verify_signed},
    unix_seconds,
};

/// The longest list read; TPM makers' are under 100 kB.
const MAX_CRL_BYTES: usize = 8 << 20;

/// Extensions that are enforced here, or that restrict nothing when ignored.
const UNDERSTOOD: [ObjectIdentifier; 6] = [
    AuthorityKeyIdentifier::OID,
    CrlNumber::OID,
    ID_CE_ISSUING_DISTRIBUTION_POINT,
    ID_CE_ISSUER_ALT_NAME,
    ID_CE_FRESHEST_CRL,
    ID_PE_AUTHORITY_INFO_ACCESS,
];

/// One revocation list with the exact bytes it came in.
#[derive(Clone, Debug)]
pub struct Crl {
    der: Vec<u8>,
    fingerprint: [u8; 32],
    issuer: DistinguishedName,
    algorithm: ObjectIdentifier,
    signature: Vec<u8>,
    this_update: u64,
    next_update: u64,
    authority_key: Option<Vec<u8>>,
    scope: Scope,
    /// Ordered by serial number.
    revoked: Vec<Revoked>,
    /// Fingerprint of the certificate whose key was seen to have signed this: a list is asked many times.
    signed_by: OnceLock<[u8; 32]>,
}

impl PartialEq for Crl {
    fn eq(&self, other: &Self) -> bool {
        self.der == other.der
    }
}

impl Eq for Crl {}

/// One line of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Revoked {
    /// The certificate's serial number.
    pub serial: SerialNumber,
    /// Since when, Unix seconds.
    pub since: u64,
    /// RFC 5280's word for the reason; `unspecified` if none is given.
    pub reason: &'static str,
}

/// Which of its issuer's certificates a list is about.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Scope {
    users_only: bool,
    authorities_only: bool,
    /// Names of the distribution point, in DER; empty if the list is for all.
    names: Vec<Vec<u8>>,
}

impl Crl {
    /// Parses one list in DER; nothing may follow it.
    ///
    /// # Errors
    /// [`Reject::TooLarge`], [`Reject::Malformed`], [`Reject::Partial`] for indirect, delta and partial lists,
    /// [`Reject::UnknownCriticalExtension`].
    pub fn from_der(der: &[u8]) -> Result<Self, Reject> {
        if der.len() > MAX_CRL_BYTES {
            return Err(Reject::TooLarge {
                limit: MAX_CRL_BYTES,
                actual: der.len(),
            });
        }
        let list =
            CertificateList::from_der(der).map_err(|_| Reject::Malformed("not a DER X.509 CRL"))?;
        let tbs = list.tbs_cert_list;
        if tbs.version != Version::V2 {
            return Err(Reject::Malformed("not version 2"));
        }
        if list.signature_algorithm != tbs.signature {
            return Err(Reject::Malformed(
                "inner and outer signature algorithms differ",
            ));
        }
        let signature = list.signature.as_bytes();
        let signature = signature.ok_or(Reject::Malformed("signature is not whole bytes"))?;
        let next_update = tbs
            .next_update
            .as_ref()
            .ok_or(Reject::Malformed("no nextUpdate: it would never be stale"))?;
        let (this_update, next_update) =
            (unix_seconds(&tbs.this_update), unix_seconds(next_update));
        if next_update < this_update {
            return Err(Reject::Malformed("nextUpdate is before thisUpdate"));
        }
        let extensions = tbs.crl_extensions.as_deref().unwrap_or_default();
        check_extensions(extensions)?;
        let authority_key =
            find::<AuthorityKeyIdentifier>(extensions, AuthorityKeyIdentifier::OID)?
                .and_then(|identifier| identifier.key_identifier)
                .map(|id| id.as_bytes().to_vec());
        let mut revoked = tbs
            .revoked_certificates
            .unwrap_or_default()
            .iter()
            .map(Revoked::read)
            .collect::<Result<Vec<_>, _>>()?;
        revoked.sort_by(|a, b| a.serial.cmp(&b.serial));
        Ok(Self {
            der: der.to_vec(),
            fingerprint: Sha256::digest(der).into(),
            issuer: tbs.issuer,
            algorithm: tbs.signature.oid,
            signature: signature.to_vec(),
            this_update,
            next_update,
            authority_key,
            scope: Scope::read(extensions)?,
            revoked,
            signed_by: OnceLock::new(),
        })
    }

    /// The bytes the list was parsed from.
    pub fn as_der(&self) -> &[u8] {
        &self.der
    }

    /// SHA-256 of the DER.
    pub fn fingerprint(&self) -> [u8; 32] {
        self.fingerprint
    }

    /// Who issued it, for people.
    pub fn issuer(&self) -> String {
        self.issuer.to_string()
    }

    /// Since when it holds, Unix seconds.
    pub fn this_update(&self) -> u64 {
        self.this_update
    }

    /// Until when it holds, Unix seconds.
    pub fn next_update(&self) -> u64 {
        self.next_update
    }

    /// The lines, ordered by serial number.
    pub fn revoked(&self) -> &[Revoked] {
        &self.revoked
    }

    /// Checks that `issuer` signed this list and may sign lists.
    ///
    /// # Errors
    /// [`Reject::Signature`], [`Reject::Algorithm`], [`Reject::IssuerKeyUsage`].
    pub fn verify(&self, issuer: &Certificate) -> Result<(), Reject> {
        let fingerprint = issuer.fingerprint();
        if self.signed_by.get() == Some(&fingerprint) {
            return Ok(());
        }
        let usage = issuer.extension::<KeyUsage>();
        let usage = usage.map_err(|_| Reject::Malformed("its issuer's key usage is unreadable"))?;
        if usage.is_some_and(|usage| !usage.crl_sign()) {
            return Err(Reject::IssuerKeyUsage {
                subject: issuer.subject(),
            });
        }
        let signed =
            signed_bytes(&self.der).map_err(|_| Reject::Malformed("not a DER X.509 CRL"))?;
        verify_signed(signed, self.algorithm, &self.signature, issuer).map_err(
            |why| match why {
                crate::tpm::Reject::CertificateAlgorithm(algorithm) => Reject::Algorithm {
                    issuer: self.issuer(),
                    algorithm,
                },
                _ => Reject::Signature {
                    issuer: self.issuer(),
                },
            },
        )?;
        // Another thread may have been first, with this issuer or with a second certificate for its key.
        let _ = self.signed_by.set(fingerprint);
        Ok(())
    }

    /// Whether this list is by `issuer` and about certificates like `certificate`, which `issuer` signed.
    pub(super) fn is_about(&self, certificate: &Certificate, issuer: &Certificate) -> bool {
        self.may_be_signed_by(issuer) && self.scope.covers(certificate)
    }

    /// Whether the list names this issuer, and not another of its keys.
    pub(super) fn may_be_signed_by(&self, issuer: &Certificate) -> bool {
        same_name(&self.issuer, issuer.subject_name()) && !self.is_by_other_key(issuer)
    }

    /// An issuer that changed its key signs a list with each.
    fn is_by_other_key(&self, issuer: &Certificate) -> bool {
        match (&self.authority_key, issuer.subject_key_identifier()) {
            (Some(named), Some(own)) => *named != own,
            _ => false,
        }
    }

    /// Whether `other` is a list of the same kind by the same issuer and key, so that the later one counts.
    pub(super) fn is_same_series(&self, other: &Self) -> bool {
        same_name(&self.issuer, &other.issuer)
            && self.authority_key == other.authority_key
            && self.scope == other.scope
    }

    /// The line about a certificate.
    pub(super) fn line(&self, serial: &SerialNumber) -> Option<&Revoked> {
        self.revoked
            .binary_search_by(|revoked| revoked.serial.cmp(serial))
            .ok()
            .and_then(|index| self.revoked.get(index))
    }
}

impl Revoked {
    /// Whether somebody else may have had the key, for nobody knows how long.
    pub(super) fn is_compromise(&self) -> bool {
        matches!(
            self.reason,
            "keyCompromise" | "cACompromise" | "aACompromise"
        )
    }

    fn read(line: &RevokedCert) -> Result<Self, Reject> {
        let extensions = line.crl_entry_extensions.as_deref().unwrap_or_default();
        for extension in extensions {
            // The one critical extension of the RFC names another issuer: an indirect list.
            if extension.critical && extension.extn_id != CrlReason::OID {
                return Err(Reject::UnknownCriticalExtension(
                    extension.extn_id.to_string(),
                ));
            }
        }
        let reason = match find::<CrlReason>(extensions, CrlReason::OID)? {
            None | Some(CrlReason::Unspecified) => "unspecified",
            Some(CrlReason::KeyCompromise) => "keyCompromise",
            Some(CrlReason::CaCompromise) => "cACompromise",
            Some(CrlReason::AffiliationChanged) => "affiliationChanged",
            Some(CrlReason::Superseded) => "superseded",
            Some(CrlReason::CessationOfOperation) => "cessationOfOperation",
            Some(CrlReason::CertificateHold) => "certificateHold",
            Some(CrlReason::RemoveFromCRL) => {
                return Err(Reject::Partial("it takes a certificate off another list"));
            }
            Some(CrlReason::PrivilegeWithdrawn) => "privilegeWithdrawn",
            Some(CrlReason::AaCompromise) => "aACompromise",
        };
        Ok(Self {
            serial: SerialNumber::new(line.serial_number.as_bytes()),
            since: unix_seconds(&line.revocation_date),
            reason,
        })
    }
}

impl Scope {
    fn read(extensions: &[Extension]) -> Result<Self, Reject> {
        let Some(point) =
            find::<IssuingDistributionPoint>(extensions, ID_CE_ISSUING_DISTRIBUTION_POINT)?
        else {
            return Ok(Self::default());
        };
        if point.indirect_crl {
            return Err(Reject::Partial("it speaks for other issuers (indirect)"));
        }
        if point.only_some_reasons.is_some() {
            return Err(Reject::Partial("it tells some reasons only"));
        }
        if point.only_contains_attribute_certs {
            return Err(Reject::Partial("it is about attribute certificates only"));
        }
        let names = match point.distribution_point {
            None => Vec::new(),
            Some(DistributionPointName::FullName(names)) => encoded(&names)?,
            Some(DistributionPointName::NameRelativeToCRLIssuer(_)) => {
                return Err(Reject::Partial(
                    "its distribution point has a relative name",
                ));
            }
        };
        Ok(Self {
            users_only: point.only_contains_user_certs,
            authorities_only: point.only_contains_ca_certs,
            names,
        })
    }

    fn covers(&self, certificate: &Certificate) -> bool {
        let is_authority = matches!(
            certificate.extension::<BasicConstraints>(),
            Ok(Some(BasicConstraints { ca: true, .. }))
        );
        if self.users_only && is_authority || self.authorities_only && !is_authority {
            return false;
        }
        if self.names.is_empty() {
            return true;
        }
        let Ok(Some(points)) = certificate.extension::<CrlDistributionPoints>() else {
            return false;
        };
        points
            .0
            .iter()
            .any(|point| match &point.distribution_point {
                Some(DistributionPointName::FullName(names)) => encoded(names)
                    .is_ok_and(|names| names.iter().any(|name| self.names.contains(name))),
                _ => false,
            })
    }
}

fn encoded(names: &[GeneralName]) -> Result<Vec<Vec<u8>>, Reject> {
    names
        .iter()
        .map(|name| name.to_der())
        .collect::<Result<_, _>>()
        .map_err(|_| Reject::Malformed("a distribution point's name cannot be encoded"))
}

fn check_extensions(extensions: &[Extension]) -> Result<(), Reject> {
    for (i, extension) in extensions.iter().enumerate() {
        if extensions[..i]
            .iter()
            .any(|earlier| earlier.extn_id == extension.extn_id)
        {
            return Err(Reject::Malformed("an extension appears twice"));
        }
        if extension.extn_id == ID_CE_DELTA_CRL_INDICATOR {
            return Err(Reject::Partial("it only changes an earlier list (delta)"));
        }
        if extension.critical && !UNDERSTOOD.contains(&extension.extn_id) {
            return Err(Reject::UnknownCriticalExtension(
                extension.extn_id.to_string(),
            ));
        }
    }
    Ok(())
}

/// One extension, decoded; `None` if absent. The identifier is an argument because the library has the wrong one for
/// the issuing distribution point.
fn find<'a, T: Decode<'a>>(
    extensions: &'a [Extension],
    oid: ObjectIdentifier,
) -> Result<Option<T>, Reject> {
    extensions
        .iter()
        .find(|extension| extension.extn_id == oid)
        .map(|extension| T::from_der(extension.extn_value.as_bytes()))
        .transpose()
        .map_err(|_| Reject::Malformed("an extension cannot be decoded"))
}

impl Certificate {
    /// The subject's key identifier, if the certificate has one.
    pub(super) fn subject_key_identifier(&self) -> Option<Vec<u8>> {
        let identifier = self.extension::<SubjectKeyIdentifier>().ok().flatten()?;
        Some(identifier.0.as_bytes().to_vec())
    }
}
