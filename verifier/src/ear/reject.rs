//! Why an attestation result is refused.

use super::Tier;
use crate::ids::Epoch;

/// The reason for refusing a token; [`Reject::code`] is the permanent name of each.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Reject {
    /// The token, or a part of it, is longer than any honest one.
    #[error("{what} has {actual}, at most {limit} are read")]
    TooLarge {
        /// The part.
        what: &'static str,
        /// The limit.
        limit: usize,
        /// What was found.
        actual: usize,
    },
    /// Not a JWT in compact form.
    #[error("token is malformed: {0}")]
    Malformed(String),
    /// JSON in which a key stands twice.
    #[error("token has the key `{0}` twice in one object; readers would disagree about its value")]
    DuplicateKey(String),
    /// Another algorithm than ES256.
    #[error("token is signed with algorithm `{0}`, only ES256 is accepted")]
    Algorithm(String),
    /// A header parameter that could change how the token is verified.
    #[error(
        "token's header has `{0}`, which is not accepted: the key is yours to choose, not the token's"
    )]
    Header(String),
    /// A key that cannot be used.
    #[error("key cannot be used: {0}")]
    Key(String),
    /// The signature does not verify.
    #[error("token's signature does not verify under the verifier's key")]
    Signature,
    /// The signature has high s where low s is asked for.
    #[error("token's signature has high s, the low form is asked for")]
    HighS,
    /// A profile that is not known, or not the one expected.
    #[error("token's profile is `{found}`, expected {expected}")]
    Profile {
        /// What is accepted.
        expected: String,
        /// `eat_profile`.
        found: String,
    },
    /// A claim is missing or not what it should be.
    #[error("claim `{claim}`: {why}")]
    Claim {
        /// Its name.
        claim: String,
        /// What is wrong with it.
        why: String,
    },
    /// A trustworthiness claim is unknown or out of range.
    #[error("trustworthiness vector of `{submod}`: {why}")]
    Vector {
        /// The attester.
        submod: String,
        /// What is wrong with it.
        why: String,
    },
    /// A status better than its own claims.
    #[error("status of `{submod}` is {status}, but a claim in it is {worst}")]
    Status {
        /// The attester.
        submod: String,
        /// The status.
        status: Tier,
        /// The worst claim.
        worst: Tier,
    },
    /// Not valid yet.
    #[error("token is valid only from {not_before}, it is {now} (Unix seconds)")]
    NotYetValid {
        /// `nbf`.
        not_before: u64,
        /// Time of the judgement.
        now: u64,
    },
    /// Issued in the future.
    #[error("token was issued at {issued_at}, it is {now} (Unix seconds); check both clocks")]
    IssuedInFuture {
        /// `iat`.
        issued_at: u64,
        /// Time of the judgement.
        now: u64,
    },
    /// Expired.
    #[error("token expired at {expires}, it is {now} (Unix seconds); ask for a new one")]
    Expired {
        /// `exp`.
        expires: u64,
        /// Time of the judgement.
        now: u64,
    },
    /// Older than asked for.
    #[error("token is {age} s old, at most {limit} s are accepted; ask for a new one")]
    TooOld {
        /// Seconds since `iat`.
        age: u64,
        /// Seconds accepted.
        limit: u64,
    },
    /// It tells of an earlier epoch than asked for.
    #[error("token tells of {}, {minimum} is the earliest of interest; have a later bundle audited", found.map_or_else(|| "no epoch".into(), |it| format!("epoch {it}")))]
    Epoch {
        /// The earliest epoch it names.
        found: Option<Epoch>,
        /// The earliest accepted.
        minimum: Epoch,
    },
    /// It answers another question.
    #[error("token's nonce is not the one asked with: replayed or made for somebody else")]
    Nonce,
}

impl Reject {
    /// Permanent name of the reason.
    pub fn code(&self) -> &'static str {
        match self {
            Self::TooLarge { .. } => "EAR_TOO_LARGE",
            Self::Malformed(_) => "EAR_MALFORMED",
            Self::DuplicateKey(_) => "EAR_DUPLICATE_KEY",
            Self::Algorithm(_) => "EAR_ALGORITHM",
            Self::Header(_) => "EAR_HEADER",
            Self::Key(_) => "EAR_KEY",
            Self::Signature => "EAR_SIGNATURE",
            Self::HighS => "EAR_HIGH_S",
            Self::Profile { .. } => "EAR_PROFILE",
            Self::Claim { .. } => "EAR_CLAIM",
            Self::Vector { .. } => "EAR_VECTOR",
            Self::Status { .. } => "EAR_STATUS",
            Self::NotYetValid { .. } => "EAR_NOT_YET_VALID",
            Self::IssuedInFuture { .. } => "EAR_ISSUED_IN_FUTURE",
            Self::Expired { .. } => "EAR_EXPIRED",
            Self::TooOld { .. } => "EAR_TOO_OLD",
            Self::Epoch { .. } => "EAR_EPOCH",
            Self::Nonce => "EAR_NONCE",
        }
    }

    pub(super) fn claim(claim: &str, why: impl Into<String>) -> Self {
        Self::Claim {
            claim: claim.into(),
            why: why.into(),
        }
    }
}
