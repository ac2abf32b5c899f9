//! Certificates that no longer count: named by their issuer's revocation list, or by a deny list of our own.

use std::{collections::BTreeMap, fmt};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{Certificate, Crl, crl::Revoked, signature::twin_fingerprints};

/// A certificate's serial number: big-endian, without leading zeros.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SerialNumber(Vec<u8>);

impl SerialNumber {
    /// From big-endian bytes.
    pub fn new(bytes: &[u8]) -> Self {
        let start = bytes.iter().position(|byte| *byte != 0);
        Self(start.map_or_else(Vec::new, |start| bytes[start..].to_vec()))
    }

    /// From hexadecimal digits, with or without colons between the bytes; `None` if it is anything else.
    pub fn from_hex(text: &str) -> Option<Self> {
        let mut digits: String = text.chars().filter(|c| *c != ':').collect();
        if digits.len() % 2 == 1 {
            digits.insert(0, '0');
        }
        // RFC 5280 allows 20 bytes.
        let bytes = hex::decode(digits).ok().filter(|it| it.len() <= 32)?;
        Some(Self::new(&bytes))
    }
}

impl fmt::Display for SerialNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("00");
        }
        f.write_str(&hex::encode(&self.0))
    }
}

/// What a deny list names.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum DenyTarget {
    /// One certificate, by the SHA-256 of its DER; of an ECDSA signature's two forms, n − s for s, it names both.
    Certificate([u8; 32]),
    /// Every certificate for a key, by the SHA-256 of [`PublicKey::to_spki_der`](crate::tpm::PublicKey::to_spki_der).
    Key([u8; 32]),
    /// One certificate, by its issuer and serial number; for the many that are known only so.
    Serial {
        /// The issuer's name as in RFC 4514.
        issuer: String,
        /// The serial number.
        serial: SerialNumber,
    },
}

impl DenyTarget {
    /// The target as 33 bytes, for the hash of a root store.
    pub(super) fn hash_input(&self) -> [u8; 33] {
        let (kind, digest) = match self {
            Self::Certificate(digest) => (1, *digest),
            Self::Key(digest) => (2, *digest),
            Self::Serial { issuer, serial } => {
                let hash = Sha256::new()
                    .chain_update((issuer.len() as u64).to_be_bytes())
                    .chain_update(issuer)
                    .chain_update(&serial.0);
                (3, hash.finalize().into())
            }
        };
        let mut bytes = [kind; 33];
        bytes[1..].copy_from_slice(&digest);
        bytes
    }
}

/// Certificates and keys refused whatever their issuers say, each with the reason that its owner is told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DenyList(BTreeMap<DenyTarget, String>);

impl DenyList {
    /// Adds an entry; a second reason for the same target replaces the first.
    pub fn deny(&mut self, target: DenyTarget, reason: impl Into<String>) {
        self.0.insert(target, reason.into());
    }

    /// The entries, in the order of their targets.
    pub fn entries(&self) -> impl Iterator<Item = (&DenyTarget, &str)> {
        self.0
            .iter()
            .map(|(target, reason)| (target, reason.as_str()))
    }

    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether nothing is denied.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds all entries of another list.
    pub fn merge(&mut self, other: Self) {
        self.0.extend(other.0);
    }

    /// Refuses a certificate that is on the list.
    ///
    /// # Errors
    /// [`RevocationReject::Denied`].
    pub fn check(&self, certificate: &Certificate) -> Result<(), RevocationReject> {
        if self.0.is_empty() {
            return Ok(());
        }
        let key = certificate
            .public_key()
            .and_then(|key| key.to_spki_der())
            .map(|spki| DenyTarget::Key(Sha256::digest(spki).into()));
        let targets = [
            Some(DenyTarget::Certificate(certificate.fingerprint())),
            Some(DenyTarget::Serial {
                issuer: certificate.issuer(),
                serial: certificate.serial(),
            }),
            // A key that cannot be read certifies nothing and is refused for that.
            key.ok(),
        ];
        let twins = twin_fingerprints(certificate).into_iter();
        let twins = twins.map(|it| Some(DenyTarget::Certificate(it)));
        let mut targets = targets.into_iter().chain(twins).flatten();
        match targets.find_map(|it| self.0.get(&it)) {
            Some(reason) => Err(RevocationReject::Denied {
                subject: certificate.subject(),
                reason: reason.clone(),
            }),
            None => Ok(()),
        }
    }
}

/// For which certificates a revocation list must be at hand, from the mildest demand to the strictest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CrlDemand {
    /// For none: lists are heeded where they are given.
    WhereGiven,
    /// For every certificate that names a place where its issuer publishes one.
    #[default]
    WherePublished,
    /// For every certificate below the root.
    Always,
}

/// What follows when a list is demanded or given, and none is current.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CrlGap {
    /// Revocation could not be checked: no verdict, and no blame on the certificate's owner.
    CouldNotCheck,
    /// The certificate is refused.
    #[default]
    Refuse,
}

/// How revocation lists are used. The default is the strict one for makers that publish lists.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CrlPolicy {
    /// For which certificates a list must be at hand.
    pub demand: CrlDemand,
    /// What follows when none is current.
    pub gap: CrlGap,
}

impl CrlPolicy {
    /// The policy of a bare list of roots, which has no place for revocation lists: those that come are heeded.
    pub const WHERE_GIVEN: Self = Self {
        demand: CrlDemand::WhereGiven,
        gap: CrlGap::Refuse,
    };

    /// The stricter of both in each respect.
    pub(super) fn stricter(self, other: Self) -> Self {
        Self {
            demand: self.demand.max(other.demand),
            gap: self.gap.max(other.gap),
        }
    }
}

/// What is known about one certificate's revocation, if it is not revoked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RevocationStatus {
    /// The root is trusted as it is.
    Root,
    /// No list was at hand, and the policy demands none.
    NotChecked,
    /// Not on its issuer's current list.
    Good {
        /// SHA-256 of the list.
        crl: [u8; 32],
        /// Until when the list holds, Unix seconds.
        next_update: u64,
    },
}

/// Asks the lists about one certificate; `issuer` is who signed it.
///
/// The latest list that is in force by `now` decides; a certificate that a stale list names is revoked all the same. Where none is
/// in force, as for evidence of long ago, the first later one speaks for the time before it, as long as it still had to name the
/// certificate: issuers take expired ones off.
pub(super) fn check_lists(
    crls: &[Crl],
    policy: CrlPolicy,
    certificate: &Certificate,
    issuer: &Certificate,
    now: u64,
) -> Result<RevocationStatus, RevocationReject> {
    let mut latest: Option<&Crl> = None;
    let mut next: Option<&Crl> = None;
    for crl in crls.iter().filter(|it| it.is_about(certificate, issuer)) {
        // One damaged list among good ones is no reason to look away.
        crl.verify(issuer)?;
        if crl.this_update() > now {
            next = next
                .filter(|it| it.this_update() <= crl.this_update())
                .or(Some(crl));
        } else {
            latest = latest
                .filter(|it| it.this_update() >= crl.this_update())
                .or(Some(crl));
        }
    }
    let gap = |why: RevocationReject| match policy.gap {
        CrlGap::Refuse => Err(why),
        CrlGap::CouldNotCheck => Err(RevocationReject::NotChecked(Box::new(why))),
    };
    let revoked = |line: &Revoked| RevocationReject::Revoked {
        subject: certificate.subject(),
        serial: line.serial.to_string(),
        since: line.since,
        reason: line.reason,
    };
    if let Some(line) = latest.and_then(|crl| crl.line(&certificate.serial())) {
        return Err(revoked(line));
    }
    let current = latest.is_some_and(|crl| now <= crl.next_update());
    let (_, not_after) = certificate.validity();
    if let Some(crl) = next.filter(|crl| !current && crl.this_update() <= not_after) {
        let line = crl.line(&certificate.serial());
        // When a key got out nobody knows: the date is that of the discovery.
        if let Some(line) = line.filter(|it| it.since <= now || it.is_compromise()) {
            return Err(revoked(line));
        }
        return Ok(RevocationStatus::Good {
            crl: crl.fingerprint(),
            next_update: crl.next_update(),
        });
    }
    if let Some(crl) = latest {
        if now > crl.next_update() {
            return gap(RevocationReject::Stale {
                issuer: crl.issuer(),
                next_update: crl.next_update(),
                now,
            });
        }
        return Ok(RevocationStatus::Good {
            crl: crl.fingerprint(),
            next_update: crl.next_update(),
        });
    }
    if let Some(crl) = next {
        return gap(RevocationReject::NotYetValid {
            issuer: crl.issuer(),
            this_update: crl.this_update(),
            now,
        });
    }
    let published = certificate.crl_urls();
    match policy.demand {
        CrlDemand::WhereGiven => Ok(RevocationStatus::NotChecked),
        CrlDemand::WherePublished if published.is_none() => Ok(RevocationStatus::NotChecked),
        CrlDemand::WherePublished | CrlDemand::Always => gap(RevocationReject::Missing {
            issuer: certificate.issuer(),
            published: published.unwrap_or_default().join(" or "),
        }),
    }
}

/// Why a certificate is refused over revocation, or why a revocation list is.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RevocationReject {
    /// A list is longer than any honest one.
    #[error("revocation list has {actual} bytes, at most {limit} are read")]
    TooLarge {
        /// Size limit, bytes.
        limit: usize,
        /// Size found, bytes.
        actual: usize,
    },
    /// Not a DER X.509 revocation list of the expected form.
    #[error("revocation list is malformed: {0}")]
    Malformed(&'static str),
    /// A list that is not complete for its issuer's certificates.
    #[error("revocation list is not a complete list of its issuer's: {0}; use the complete one")]
    Partial(&'static str),
    /// A critical extension that this verifier does not understand.
    #[error("revocation list has the critical extension {0}, which is not understood")]
    UnknownCriticalExtension(String),
    /// Signed with an algorithm outside the profile.
    #[error("revocation list of `{issuer}` is signed with {algorithm}, which is not accepted")]
    Algorithm {
        /// Whose list.
        issuer: String,
        /// The algorithm.
        algorithm: String,
    },
    /// The list's signature does not verify.
    #[error(
        "signature of the revocation list of `{issuer}` does not verify under its key; get the list anew"
    )]
    Signature {
        /// Whose list.
        issuer: String,
    },
    /// The issuer's certificate does not let it sign lists.
    #[error(
        "`{subject}` signed a revocation list, but its certificate lacks the key usage cRLSign"
    )]
    IssuerKeyUsage {
        /// Whose certificate.
        subject: String,
    },
    /// A list is demanded and none is at hand.
    #[error(
        "no revocation list of `{issuer}` is at hand; import the one published at {}",
        if published.is_empty() { "an address its certificates do not tell" } else { published }
    )]
    Missing {
        /// Whose list.
        issuer: String,
        /// Addresses.
        published: String,
    },
    /// The latest list has been replaced by now.
    #[error(
        "revocation list of `{issuer}` was current until {next_update}, it is {now} (Unix seconds); import the current one"
    )]
    Stale {
        /// Whose list.
        issuer: String,
        /// End of its validity, Unix seconds.
        next_update: u64,
        /// Time of the judgement, Unix seconds.
        now: u64,
    },
    /// Only lists of a later time are at hand, from which the certificate, expired by then, may be gone.
    #[error(
        "revocation list of `{issuer}` is valid only from {this_update}, when the certificate had expired; it is {now} (Unix seconds); \
         import an earlier one"
    )]
    NotYetValid {
        /// Whose list.
        issuer: String,
        /// Start of its validity, Unix seconds.
        this_update: u64,
        /// Time of the judgement, Unix seconds.
        now: u64,
    },
    /// By the policy, a gap means that nothing can be said.
    #[error("revocation could not be checked: {0}")]
    NotChecked(Box<RevocationReject>),
    /// The issuer has revoked the certificate.
    #[error(
        "certificate `{subject}` with serial number {serial} is revoked by its issuer since {since} (Unix seconds): {reason}"
    )]
    Revoked {
        /// Whose certificate.
        subject: String,
        /// Its serial number in hex.
        serial: String,
        /// Since when, Unix seconds.
        since: u64,
        /// RFC 5280's word.
        reason: &'static str,
    },
    /// The certificate or its key is on the deny list.
    #[error("certificate `{subject}` is on the deny list: {reason}")]
    Denied {
        /// Whose certificate.
        subject: String,
        /// As the list says.
        reason: String,
    },
}

impl RevocationReject {
    /// Permanent name of the reason, for logs, reports and bundles.
    pub fn code(&self) -> &'static str {
        match self {
            Self::TooLarge { .. } => "CRL_TOO_LARGE",
            Self::Malformed(_) => "CRL_MALFORMED",
            Self::Partial(_) => "CRL_PARTIAL",
            Self::UnknownCriticalExtension(_) => "CRL_UNKNOWN_CRITICAL_EXTENSION",
            Self::Algorithm { .. } => "CRL_ALGORITHM",
            Self::Signature { .. } => "CRL_SIGNATURE",
            Self::IssuerKeyUsage { .. } => "CRL_ISSUER_KEY_USAGE",
            Self::Missing { .. } => "CRL_MISSING",
            Self::Stale { .. } => "CRL_STALE",
            Self::NotYetValid { .. } => "CRL_NOT_YET_VALID",
            Self::NotChecked(_) => "CRL_NOT_CHECKED",
            Self::Revoked { .. } => "CERTIFICATE_REVOKED",
            Self::Denied { .. } => "CERTIFICATE_DENIED",
        }
    }
}
