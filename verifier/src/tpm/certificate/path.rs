//! The way from a certificate to a trusted root, at a given time.

use const_oid::{
    AssociatedOid, ObjectIdentifier,
    db::rfc5280::{
        ANY_EXTENDED_KEY_USAGE, ID_CE_SUBJECT_DIRECTORY_ATTRIBUTES, ID_PE_AUTHORITY_INFO_ACCESS,
    },
};
use sha2::{Digest, Sha256};
use x509_cert::ext::pkix::{
    AuthorityKeyIdentifier, BasicConstraints, CertificatePolicies, CrlDistributionPoints,
    ExtendedKeyUsage, KeyUsage, SubjectAltName, SubjectKeyIdentifier,
};

use super::{Certificate, EkCertificate, profile::EK_CERTIFICATE, unix_seconds, verify_issued_by};
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

/// The roots an oracle or auditor trusts to certify TPMs.
#[derive(Clone, Debug, Default)]
pub struct RootStore {
    roots: Vec<Certificate>,
}

impl RootStore {
    /// A store of `roots`; their order and repetitions do not matter.
    pub fn new(roots: impl IntoIterator<Item = Certificate>) -> Self {
        let mut roots: Vec<_> = roots.into_iter().collect();
        roots.sort_by_key(Certificate::fingerprint);
        roots.dedup();
        Self { roots }
    }

    /// Reads all certificates of a PEM file.
    ///
    /// # Errors
    /// [`Reject::MalformedCertificate`] if any of them is not a certificate.
    pub fn from_pem(pem: &str) -> Result<Self, Reject> {
        Certificate::from_pem_chain(pem).map(Self::new)
    }

    /// The roots, ordered by fingerprint.
    pub fn roots(&self) -> &[Certificate] {
        &self.roots
    }

    /// SHA-256 over "probity-roots-1" and the roots' SHA-256 fingerprints in ascending order.
    ///
    /// It is on chain as part of the policy, so that oracles with other roots know it and abstain.
    pub fn hash(&self) -> [u8; 32] {
        self.roots
            .iter()
            .fold(Sha256::new_with_prefix("probity-roots-1"), |hash, root| {
                hash.chain_update(root.fingerprint())
            })
            .finalize()
            .into()
    }
}

/// Judges an endorsement certificate: path to a root, validity at `now`, strict EK profile.
///
/// `now` is Unix seconds. Intermediates are hints, in any order.
///
/// # Errors
/// A [`Reject`] saying which certificate fails and why; profile failures (`EK_…`) are told before path failures.
///
/// Protocol: section 5. RFC 5280, section 6; TCG EK Credential Profile 2.5.
pub fn verify_chain(
    leaf_der: &[u8],
    intermediates: &[Vec<u8>],
    roots: &RootStore,
    now: u64,
) -> Result<EkCertificate, Reject> {
    let leaf = Certificate::from_der(leaf_der)?;
    let mut ek = EkCertificate::from_leaf(&leaf, Vec::new())?;
    ek.path = verify_path(&leaf, intermediates, roots, now)?;
    Ok(ek)
}

/// Finds a path from any `leaf` to a root, with no demands on the leaf beyond validity and extensions.
///
/// Returns the SHA-256 fingerprints from leaf to root.
///
/// # Errors
/// As [`verify_chain`], without the EK profile's reasons.
pub fn verify_path(
    leaf: &Certificate,
    intermediates: &[Vec<u8>],
    roots: &RootStore,
    now: u64,
) -> Result<Vec<[u8; 32]>, Reject> {
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
    check_in_use(leaf, now)?;
    let mut search = Search {
        intermediates: &intermediates,
        roots,
        now,
        checks_left: MAX_SIGNATURE_CHECKS,
        on_path: Vec::new(),
    };
    let root = search.climb(leaf)?;
    let path = [leaf]
        .into_iter()
        .chain(search.on_path.iter().map(|i| &intermediates[*i]))
        .chain([root]);
    Ok(path.map(Certificate::fingerprint).collect())
}

/// Depth-first search for a root: several certificates may carry one name, only one of them leading up.
struct Search<'a> {
    intermediates: &'a [Certificate],
    roots: &'a RootStore,
    now: u64,
    checks_left: usize,
    /// Indices of the intermediates between the leaf and the certificate being looked at.
    on_path: Vec<usize>,
}

impl<'a> Search<'a> {
    fn climb(&mut self, current: &Certificate) -> Result<&'a Certificate, Reject> {
        let mut reason = Reject::UntrustedIssuer {
            issuer: current.issuer_name().to_string(),
        };
        for root in &self.roots.roots {
            match self.issued(current, root) {
                Some(Ok(())) => return Ok(root),
                Some(Err(why)) => reason = why,
                None => {}
            }
        }
        for index in 0..self.intermediates.len() {
            if self.on_path.contains(&index) {
                continue;
            }
            let issuer = &self.intermediates[index];
            match self.issued(current, issuer) {
                Some(Ok(())) => {}
                Some(Err(why)) => {
                    reason = why;
                    continue;
                }
                None => continue,
            }
            if self.on_path.len() == MAX_PATH_INTERMEDIATES {
                return Err(Reject::PathTooLong {
                    subject: issuer.subject(),
                });
            }
            self.on_path.push(index);
            match self.climb(issuer) {
                Ok(root) => return Ok(root),
                Err(why) => reason = why,
            }
            self.on_path.pop();
        }
        Err(reason)
    }

    /// `None` if `issuer` has another name; otherwise whether it issued `current` and was allowed to.
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
                .and_then(|()| check_in_use(issuer, self.now))
                .and_then(|()| check_may_issue(issuer, self.on_path.len())),
        )
    }
}

/// Validity at `now`, and no critical extension of unknown meaning.
fn check_in_use(certificate: &Certificate, now: u64) -> Result<(), Reject> {
    let validity = &certificate.parsed.tbs_certificate.validity;
    let not_before = unix_seconds(&validity.not_before);
    let not_after = unix_seconds(&validity.not_after);
    if now < not_before {
        return Err(Reject::CertificateNotYetValid {
            subject: certificate.subject(),
            not_before,
        });
    }
    if now > not_after {
        return Err(Reject::CertificateExpired {
            subject: certificate.subject(),
            not_after,
        });
    }
    match certificate
        .extensions()
        .iter()
        .find(|extension| extension.critical && !UNDERSTOOD.contains(&extension.extn_id))
    {
        Some(unknown) => Err(Reject::UnknownCriticalExtension(
            unknown.extn_id.to_string(),
        )),
        None => Ok(()),
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
