//! Revocation notices: signed, numbered, chained, so that nobody who reads them can be shown less than somebody else.
//!
//! An issuer (an oracle, or the operator of a fleet) keeps one feed. Its notices are numbered from 1 and each holds the hash
//! of the one before, so a gap, a rollback or a second history is seen:
//!
//! ```text
//! notice = CBOR ["probity-revocation-1", issuer, sequence, previous, subject, reason, effectiveFrom, text]
//! hash   = keccak256(notice)               previous = hash of sequence − 1, zero for the first
//! signed = CBOR [bstr notice, bstr signature]
//! ```
//!
//! The signature is the issuer's chain key's over the EIP-712 `Revocation{issuer, sequence, previous, noticeHash}` in the
//! registry's domain: the key every oracle and operator has, one a contract can check, and bound to the deployment. Two signed
//! notices with one number are [`Equivocation`], a proof against the issuer that anybody can check.
//!
//! A reader keeps a [`Head`] for each issuer, asks for the feed from that number on, that number included, and
//! [follows](follow) it. [`Revocations`] is what judgements consult. Time is Unix seconds, always an argument.
//!
//! Protocol: section 5.

mod feed;
mod reject;
mod set;

use std::fmt;
use std::str::FromStr;

use alloy_primitives::{Address, B256, Bytes, keccak256};
use minicbor::{Decode, Encode};
use serde::{Deserialize, Serialize};

pub use feed::{Equivocation, Feed, Head, follow};
pub use reject::Reject;
pub use set::{Machine, Revocations};

use crate::cbor;
use crate::committee::Deployment;
use crate::typed_data;

/// First item of every notice.
pub const NOTICE_TAG: &str = "probity-revocation-1";
/// Largest notice read, bytes.
pub const MAX_NOTICE_BYTES: usize = 2048;
/// Longest text of a notice, bytes.
pub const MAX_TEXT_BYTES: usize = 1024;

/// What is revoked.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, Encode, Decode,
)]
#[serde(rename_all = "snake_case")]
pub enum Subject {
    /// A machine: keccak256 of its endorsement key's SubjectPublicKeyInfo.
    #[n(0)]
    Hardware(#[cbor(n(0), with = "crate::cbor::fixed")] B256),
    /// An attestation key: keccak256 of its TPMT_PUBLIC.
    #[n(1)]
    AttestationKey(#[cbor(n(0), with = "crate::cbor::fixed")] B256),
    /// A certificate on a path, root excluded: SHA-256 of its tbsCertificate, which no other form of its signature changes.
    #[n(2)]
    Certificate(#[cbor(n(0), with = "crate::cbor::fixed")] B256),
    /// A root: SHA-256 of its DER.
    #[n(3)]
    Root(#[cbor(n(0), with = "crate::cbor::fixed")] B256),
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (kind, hash) = match self {
            Self::Hardware(hash) => ("hardware", hash),
            Self::AttestationKey(hash) => ("attestation-key", hash),
            Self::Certificate(hash) => ("certificate", hash),
            Self::Root(hash) => ("root", hash),
        };
        write!(f, "{kind}:{hash}")
    }
}

/// `hardware:HASH`, `attestation-key:HASH`, `certificate:HASH` or `root:HASH`.
impl FromStr for Subject {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let what = "a subject is KIND:HASH, the kind one of hardware, attestation-key, certificate and root";
        let (kind, hash) = text.split_once(':').ok_or(what)?;
        let hash: B256 = hash.parse().map_err(|error| format!("{hash}: {error}"))?;
        Ok(match kind {
            "hardware" => Self::Hardware(hash),
            "attestation-key" => Self::AttestationKey(hash),
            "certificate" => Self::Certificate(hash),
            "root" => Self::Root(hash),
            _ => return Err(what.into()),
        })
    }
}

/// Why.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, Encode, Decode,
)]
#[serde(rename_all = "snake_case")]
#[cbor(index_only)]
pub enum RevocationReason {
    /// A former notice of this issuer no longer holds.
    #[n(0)]
    Reinstated,
    /// A private key left its hardware. For good.
    #[n(1)]
    KeyCompromise,
    /// Evidence was forged with it. For good.
    #[n(2)]
    Forgery,
    /// The maker or the issuer of certificates is compromised. For good.
    #[n(3)]
    IssuerCompromise,
    /// A vulnerability that an update can mend.
    #[n(4)]
    Vulnerable,
    /// Another machine has taken its place.
    #[n(5)]
    Replaced,
    /// It is no longer operated.
    #[n(6)]
    CeasedOperation,
}

impl RevocationReason {
    /// Every reason.
    pub const ALL: [Self; 7] = [
        Self::Reinstated,
        Self::KeyCompromise,
        Self::Forgery,
        Self::IssuerCompromise,
        Self::Vulnerable,
        Self::Replaced,
        Self::CeasedOperation,
    ];

    /// Its name: what the command line takes.
    pub fn name(self) -> &'static str {
        match self {
            Self::Reinstated => "reinstated",
            Self::KeyCompromise => "key-compromise",
            Self::Forgery => "forgery",
            Self::IssuerCompromise => "issuer-compromise",
            Self::Vulnerable => "vulnerable",
            Self::Replaced => "replaced",
            Self::CeasedOperation => "ceased-operation",
        }
    }

    /// Whether no later notice can undo it: a key that was out once stays out.
    pub fn is_permanent(self) -> bool {
        matches!(
            self,
            Self::KeyCompromise | Self::Forgery | Self::IssuerCompromise
        )
    }
}

impl FromStr for RevocationReason {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let found = Self::ALL.into_iter().find(|it| it.name() == text);
        found.ok_or_else(|| {
            format!(
                "no such reason; there are {}",
                Self::ALL.map(Self::name).join(", ")
            )
        })
    }
}

/// One notice of a feed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Encode, Decode)]
#[cbor(array)]
pub struct Notice {
    /// [`NOTICE_TAG`].
    #[n(0)]
    pub tag: String,
    /// Whose feed it is in.
    #[cbor(n(1), with = "crate::cbor::fixed")]
    pub issuer: Address,
    /// Its number in the feed, from 1.
    #[n(2)]
    pub sequence: u64,
    /// Hash of the notice before it; zero for the first.
    #[cbor(n(3), with = "crate::cbor::fixed")]
    pub previous: B256,
    /// What is revoked, or reinstated.
    #[n(4)]
    pub subject: Subject,
    /// Why.
    #[n(5)]
    pub reason: RevocationReason,
    /// From when on, Unix seconds; may lie before the notice.
    #[n(6)]
    pub effective_from: u64,
    /// For people; at most [`MAX_TEXT_BYTES`].
    #[n(7)]
    pub text: String,
}

/// A notice with its issuer's signature.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Encode, Decode)]
#[cbor(array)]
pub struct SignedNotice {
    /// [`Notice`] as CBOR.
    #[cbor(n(0), with = "crate::cbor::bytes")]
    pub notice: Bytes,
    /// 65 bytes over the EIP-712 `Revocation`.
    #[cbor(n(1), with = "crate::cbor::bytes")]
    pub signature: Bytes,
}

impl Notice {
    /// The notice after `head`.
    pub fn after(
        head: &Head,
        subject: Subject,
        reason: RevocationReason,
        effective_from: u64,
        text: impl Into<String>,
    ) -> Self {
        Self {
            tag: NOTICE_TAG.into(),
            issuer: head.issuer,
            sequence: head.sequence.saturating_add(1),
            previous: head.hash,
            subject,
            reason,
            effective_from,
            text: text.into(),
        }
    }

    /// The notice's one encoding.
    pub fn to_bytes(&self) -> Vec<u8> {
        cbor::encode(self)
    }

    /// keccak256 of its encoding.
    pub fn hash(&self) -> B256 {
        keccak256(self.to_bytes())
    }

    /// What its issuer signs.
    pub fn digest(&self, deployment: &Deployment) -> B256 {
        deployment.registry_digest(&typed_data::Revocation {
            issuer: self.issuer,
            sequence: self.sequence,
            previous: self.previous,
            noticeHash: self.hash(),
        })
    }
}

impl SignedNotice {
    /// Decodes the notice and checks that its issuer signed it, whatever feed it is in.
    ///
    /// # Errors
    /// [`Reject::Malformed`], [`Reject::Signature`], [`Reject::Issuer`] if somebody else signed.
    pub fn open(&self, deployment: &Deployment) -> Result<Notice, Reject> {
        let malformed = |why: String| Reject::Malformed(why);
        if self.notice.len() > MAX_NOTICE_BYTES {
            return Err(malformed(format!(
                "{} bytes, at most {MAX_NOTICE_BYTES} are read",
                self.notice.len()
            )));
        }
        let notice: Notice =
            cbor::decode("notice", &self.notice).map_err(|error| malformed(error.to_string()))?;
        if notice.tag != NOTICE_TAG {
            return Err(malformed(format!("tag {:?}", notice.tag)));
        }
        if notice.text.len() > MAX_TEXT_BYTES {
            return Err(malformed(format!(
                "a text of {} bytes, at most {MAX_TEXT_BYTES} are allowed",
                notice.text.len()
            )));
        }
        if notice.sequence == 0 || (notice.sequence == 1) != (notice.previous == B256::ZERO) {
            return Err(malformed(format!(
                "number {} after {}: the first is 1 and alone has nothing before it",
                notice.sequence, notice.previous
            )));
        }
        let signer = typed_data::recover(&notice.digest(deployment), &self.signature)
            .map_err(Reject::Signature)?;
        if signer != notice.issuer {
            return Err(Reject::Issuer {
                expected: notice.issuer,
                found: signer,
            });
        }
        Ok(notice)
    }

    /// keccak256 of the notice.
    pub fn hash(&self) -> B256 {
        keccak256(&self.notice)
    }
}

#[cfg(test)]
mod tests;
