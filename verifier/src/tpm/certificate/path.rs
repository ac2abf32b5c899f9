//! The way from a certificate to a trusted root, at a given time.

use const_oid::{
    AssociatedOid, ObjectIdentifier,
    db::rfc5280::{
        ANY_EXTENDED_KEY_USAGE, ID_CE_SUBJECT_DIRECTORY_ATTRIBUTES, ID_PE_AUTHORITY_INFO_ACCESS,
    },
};
use x509_cert::ext::pkix::{
    AuthorityKeyIdentifier, BasicConstraints, CertificatePolicies, CrlDistributionPoints,
    ExtendedKeyUsage, KeyUsage, SubjectAltName, SubjectKeyIdentifier,
};

use super::{
    Certificate, EkCertificate, RevocationStatus, Root, RootStore, TpmClass,
    profile::{Claims, EK_CERTIFICATE},
    verify_issued_by,
};
use crate::tpm::Reject;

/// Intermediates read from evidence; makers use at most three.
const MAX_INTERMEDIATES: usize = 8;
/// Intermediates on one path.
const MAX_PATH_INTERMEDIATES: usize = 4;
/// Signature checks spent on one leaf: evidence full of look-alike issuers must not cost more.
const MAX_SIGNATURE_CHECKS: usize = 32;

/// Extensions whose meaning is enforced here, or that restrict nothing when ignored.
const UNDERSTOOD: [ObjectIdentifier; 10] = [
    AuthorityKeyIdentifier::OID,
    BasicConstraints::OID,
    CertificatePolicies::OID,
    CrlDistributionPoints::OID,
    ExtendedKeyUsage::OID,
    KeyUsage::OID,
    SubjectAltName::OID,
    SubjectKeyIdentifier::OID,
    ID_CE_SUBJECT_DIRECTORY_ATTRIBUTES,
    ID_PE_AUTHORITY_INFO_ACCESS,
];

/// A verified way from a certificate to a trusted root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificatePath {
    /// The certificates, from leaf to root.
    pub steps: Vec<PathStep>,
    /// The class of TPM that the root stands for.
    pub class: TpmClass,
}

/// One certificate of a verified path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathStep {
    /// The certificate.
    pub certificate: Certificate,
    /// What is known about its revocation.
    pub revocation: RevocationStatus,
}

impl CertificatePath {
    /// SHA-256 of the part of each certificate that its issuer signed, from leaf to root.
    pub fn signed_parts(&self) -> Vec<[u8; 32]> {
        let certificates = self.steps.iter().map(|step| &step.certificate);
        certificates.map(Certificate::signed_part_hash).collect()
    }

    /// SHA-256 of each certificate's DER, from leaf to root.
    pub fn fingerprints(&self) -> Vec<[u8; 32]> {
        let certificates = self.steps.iter().map(|step| &step.certificate);
        certificates.map(Certificate::fingerprint).collect()
    }
}

/// Judges an endorsement certificate: path to a root, validity and revocation at `now`, strict EK profile.
///
/// `now` is Unix seconds. Intermediates are hints, in any order; the store's own are tried as well.
///
/// # Errors
/// [`Reject::Revocation`] with [`RevocationReject::NotChecked`](super::RevocationReject::NotChecked) if nothing can be
/// said; otherwise a [`Reject`] saying which certificate fails and why; profile failures (`EK_…`) are told before path failures.
///
/// Protocol: section 5. RFC 5280, section 6; TCG EK Credential Profile 2.5.
pub fn verify_chain(
    leaf_der: &[u8],
    intermediates: &[Vec<u8>],
    roots: &RootStore,
    now: u64,
) -> Result<EkCertificate, Reject> {
    let leaf = Certificate::from_der(leaf_der)?;
    let claims = Claims::from_leaf(&leaf)?;
    let path = verify_path(&leaf, intermediates, roots, now)?;
    Ok(claims.certified(&path))
}

/// Finds a path from any `leaf` to a root, with no demands on the leaf beyond validity and extensions.
///
/// # Errors
/// As [`verify_chain`], without the EK profile's reasons.
pub fn verify_path(
    leaf: &Certificate,
    intermediates: &[Vec<u8>],
    roots: &RootStore,
    now: u64,
) -> Result<CertificatePath, Reject> {
    if intermediates.len() > MAX_INTERMEDIATES {
        return Err(Reject::TooLarge {
            what: "list of intermediate certificates",
            limit: MAX_INTERMEDIATES,
            actual: intermediates.len(),
        });
    }
    let intermediates = intermediates
        .iter()
        .map(|der| Certificate::from_der(der))
        .collect::<Result<Vec<_>, _>>()?;
    let mut search = Search {
        intermediates: &intermediates,
        roots,
        now,
        checks_left: MAX_SIGNATURE_CHECKS,
        on_path: Vec::new(),
    };
    search.check_standing(leaf)?;
    let root = search.climb(leaf)?;
    let certificates: Vec<_> = [leaf]
        .into_iter()
        .chain(search.on_path)
        .chain([&root.certificate])
        .collect();
    let mut steps = certificates
        .windows(2)
        .filter_map(|pair| <&[&Certificate; 2]>::try_from(pair).ok())
        .map(|[certificate, issuer]| {
            Ok(PathStep {
                certificate: (*certificate).clone(),
                revocation: roots.check_lists(certificate, issuer, now)?,
            })
        })
        .collect::<Result<Vec<_>, Reject>>()?;
    steps.push(PathStep {
        certificate: root.certificate.clone(),
        revocation: RevocationStatus::Root,
    });
    Ok(CertificatePath {
        steps,
        class: root.class,
    })
}

/// Depth-first search for a root: several certificates may carry one name, only one of them leading up.
struct Search<'a> {
    intermediates: &'a [Certificate],
    roots: &'a RootStore,
    now: u64,
    checks_left: usize,
    /// The intermediates between the leaf and the certificate being looked at.
    on_path: Vec<&'a Certificate>,
}

impl<'a> Search<'a> {
    fn climb(&mut self, current: &Certificate) -> Result<&'a Root, Reject> {
        let mut reason = None;
        for root in self.roots.roots() {
            match self.issued(current, &root.certificate) {
                Some(Ok(())) => return Ok(root),
                Some(Err(why)) => keep(&mut reason, why),
                None => {}
            }
        }
        let issuer_name = current.issuer();
        let given = self.intermediates.iter();
        for issuer in given.chain(self.roots.intermediates_named(&issuer_name)) {
            if self.on_path.contains(&issuer) {
                continue;
            }
            match self.issued(current, issuer) {
                Some(Ok(())) => {}
                Some(Err(why)) => {
                    keep(&mut reason, why);
                    continue;
                }
                None => continue,
            }
            if self.on_path.len() == MAX_PATH_INTERMEDIATES {
                return Err(Reject::PathTooLong {
                    subject: issuer.subject(),
                });
            }
            self.on_path.push(issuer);
            match self.climb(issuer) {
                Ok(root) => return Ok(root),
                Err(why) => keep(&mut reason, why),
            }
            self.on_path.pop();
        }
        Err(reason.unwrap_or(Reject::UntrustedIssuer {
            issuer: issuer_name,
        }))
    }

    /// `None` if `issuer` has another name; otherwise whether it issued `current` and was allowed to, and stands by it.
    fn issued(
        &mut self,
        current: &Certificate,
        issuer: &Certificate,
    ) -> Option<Result<(), Reject>> {
        if !current.names_issuer(issuer) {
            return None;
        }
        let Some(left) = self.checks_left.checked_sub(1) else {
            return Some(Err(Reject::PathTooLong {
                subject: issuer.subject(),
            }));
        };
        self.checks_left = left;
        Some(
            verify_issued_by(current, issuer)
                .and_then(|()| self.check_standing(issuer))
                .and_then(|()| check_may_issue(issuer, self.on_path.len()))
                .and_then(|()| {
                    self.roots.check_lists(current, issuer, self.now)?;
                    Ok(())
                }),
        )
    }

    /// Not denied, and in use at this time.
    fn check_standing(&self, certificate: &Certificate) -> Result<(), Reject> {
        self.roots.deny_list().check(certificate)?;
        certificate.check_in_use(self.now, &UNDERSTOOD)
    }
}

/// Of several dead ends the last one is told, but one over revocation before all others: it is no matter of wrong hints.
fn keep(reason: &mut Option<Reject>, why: Reject) {
    if !matches!(reason, Some(Reject::Revocation(_))) {
        *reason = Some(why);
    }
}

/// `issuer` is a CA that may sign certificates, with `below` CA certificates between it and the leaf.
fn check_may_issue(issuer: &Certificate, below: usize) -> Result<(), Reject> {
    let not_a_ca = || Reject::NotACertificateAuthority {
        subject: issuer.subject(),
    };
    let constraints = issuer
        .extension::<BasicConstraints>()?
        .filter(|constraints| constraints.ca)
        .ok_or_else(not_a_ca)?;
    if issuer
        .extension::<KeyUsage>()?
        .is_some_and(|usage| !usage.key_cert_sign())
    {
        return Err(not_a_ca());
    }
    // RFC 5280 leaves this open; makers whose root also signs other products rely on it.
    if issuer
        .extension::<ExtendedKeyUsage>()?
        .is_some_and(|purposes| {
            !purposes.0.contains(&EK_CERTIFICATE) && !purposes.0.contains(&ANY_EXTENDED_KEY_USAGE)
        })
    {
        return Err(Reject::IssuerPurpose {
            subject: issuer.subject(),
        });
    }
    match constraints.path_len_constraint {
        Some(limit) if below > usize::from(limit) => Err(Reject::PathTooLong {
            subject: issuer.subject(),
        }),
        _ => Ok(()),
    }
}
