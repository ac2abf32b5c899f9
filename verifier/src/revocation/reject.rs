//! Why a feed is refused, and why a machine is.

use alloy_primitives::{Address, B256};

use super::{Equivocation, RevocationReason};
use crate::typed_data::SignatureError;

/// The reason; [`Reject::code`] is the permanent name of each.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Reject {
    /// Not the canonical bytes of a notice or feed.
    #[error("revocation notice is malformed: {0}")]
    Malformed(String),
    /// A signature is none.
    #[error("revocation notice's signature: {0}")]
    Signature(SignatureError),
    /// Signed by, or in the feed of, somebody else.
    #[error("revocation notice is {found}'s, expected {expected}'s")]
    Issuer {
        /// Whose it should be.
        expected: Address,
        /// Whose it is.
        found: Address,
    },
    /// Nobody told this reader to trust the issuer.
    #[error("{0} is no issuer whose notices count here; add it to the trusted issuers if it is")]
    UnknownIssuer(Address),
    /// A notice is left out.
    #[error(
        "feed of {issuer} goes on with number {found}, expected {expected}; fetch what is missing"
    )]
    Gap {
        /// Whose feed.
        issuer: Address,
        /// The number that should follow.
        expected: u64,
        /// The number that follows.
        found: u64,
    },
    /// A notice does not name the one before it.
    #[error("notice {sequence} of {issuer} follows {found}, but the one before it is {expected}")]
    Chain {
        /// Whose feed.
        issuer: Address,
        /// Its number.
        sequence: u64,
        /// Hash of the notice before it.
        expected: B256,
        /// What it names.
        found: B256,
    },
    /// The feed ends before what is known already.
    #[error(
        "feed of {issuer} ends with number {found}, but number {known} is known already; somebody hides notices"
    )]
    Rollback {
        /// Whose feed.
        issuer: Address,
        /// The highest number known.
        known: u64,
        /// The highest number shown.
        found: u64,
    },
    /// The issuer signed two notices with one number.
    #[error("the issuer signed two notices with one number; keep both, they prove it")]
    Fork(Box<Equivocation>),
    /// The issuer's feed has forked before.
    #[error("{0} signed two histories; nothing it says later counts")]
    Equivocated(Address),
    /// Two notices that are no proof of equivocation.
    #[error("the two notices prove nothing: {0}")]
    NoFork(&'static str),
    /// The machine is revoked.
    #[error("machine {subject} is revoked since {since} ({reason:?}): {text}")]
    Hardware {
        /// Hardware id.
        subject: B256,
        /// Unix seconds.
        since: u64,
        /// Why.
        reason: RevocationReason,
        /// The notice's text.
        text: String,
    },
    /// The attestation key is revoked.
    #[error("attestation key {subject} is revoked since {since} ({reason:?}): {text}")]
    AttestationKey {
        /// Hash of the key.
        subject: B256,
        /// Unix seconds.
        since: u64,
        /// Why.
        reason: RevocationReason,
        /// The notice's text.
        text: String,
    },
    /// A certificate on the path is revoked.
    #[error("certificate {subject} is revoked since {since} ({reason:?}): {text}")]
    Certificate {
        /// Fingerprint.
        subject: B256,
        /// Unix seconds.
        since: u64,
        /// Why.
        reason: RevocationReason,
        /// The notice's text.
        text: String,
    },
    /// The root is revoked.
    #[error("root {subject} is revoked since {since} ({reason:?}): {text}")]
    Root {
        /// Fingerprint.
        subject: B256,
        /// Unix seconds.
        since: u64,
        /// Why.
        reason: RevocationReason,
        /// The notice's text.
        text: String,
    },
}

impl Reject {
    /// Permanent name of the reason.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Malformed(_) => "REVOCATION_MALFORMED",
            Self::Signature(_) => "REVOCATION_SIGNATURE",
            Self::Issuer { .. } => "REVOCATION_ISSUER",
            Self::UnknownIssuer(_) => "REVOCATION_UNKNOWN_ISSUER",
            Self::Gap { .. } => "REVOCATION_GAP",
            Self::Chain { .. } => "REVOCATION_CHAIN",
            Self::Rollback { .. } => "REVOCATION_ROLLBACK",
            Self::Fork(_) => "REVOCATION_FORK",
            Self::Equivocated(_) => "REVOCATION_EQUIVOCATED",
            Self::NoFork(_) => "REVOCATION_NO_FORK",
            Self::Hardware { .. } => "REVOKED_HARDWARE",
            Self::AttestationKey { .. } => "REVOKED_ATTESTATION_KEY",
            Self::Certificate { .. } => "REVOKED_CERTIFICATE",
            Self::Root { .. } => "REVOKED_ROOT",
        }
    }
}
