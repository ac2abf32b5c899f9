//! Attestation results: what was found about a machine, as an EAR token (draft-ietf-rats-ear) anybody can read.
//!
//! A verifier fills [`Findings`] with what it checked, as [`crate::bundle::attestation`] does with an audit; [`Findings::appraise`] turns them into an [`Appraisal`], whose
//! [`TrustVector`] holds AR4SI's trustworthiness claims (draft-ietf-rats-ar4si); an [`Ear`] is one or more appraisals with
//! who made them and when, and [`Ear::sign`] makes it a JWT with ES256. [`verify`] is the way back, and strict: the algorithm
//! is not the token's to choose, no key is taken from the token, and JSON with a repeated key has no meaning here.
//!
//! The same facts give the same bytes. JSON is written with sorted keys, no white space and integers only (a subset of
//! RFC 8785); time is an argument; ES256 nonces are derived (RFC 6979). [`Ear::hash`] is what goes on chain. Verifiers that
//! must agree on it agree on `issued_at`, as oracles do on an enrolment's expiry; [`Ear::appraisals_hash`] covers only what does
//! not depend on who appraised, and when.
//!
//! **Low s.** Tokens made here have low s. RFC 7518 does not ask for it and other issuers do not give it, so both forms verify
//! unless [`Rules::low_s`] is set. A token's bytes are therefore no name for it: the hash covers the payload.
//!
//! **Profiles.** Draft 04 renamed the claims (`ear_status` for `ear.status`) and its profile with them; services of 2023
//! still speak the older names. [`Profile`] says which; both are issued and verified.
//!
//! Protocol: section 5.

mod claims;
mod findings;
mod json;
mod key;
mod reject;
mod token;
mod vector;

use std::collections::BTreeMap;

use alloy_primitives::{B256, Bytes, keccak256};
use serde::{Deserialize, Serialize};

pub use findings::{
    Boot, Check, Endorsement, Findings, Measured, PolicyFinding, TrustedEndorsement,
};
pub use json::Json;
pub use key::{IssuerKey, VerifierKey};
pub use reject::Reject;
pub use token::{Rules, Verified, read_unverified, verify};
pub use vector::{CLAIMS, Claim, Tier, TrustVector};

/// Largest token read, bytes. Raw evidence may ride along; a bundle has its own file.
pub const MAX_TOKEN_BYTES: usize = 256 << 10;
/// Most appraisals in a token.
pub const MAX_SUBMODS: usize = 64;
/// Longest text of a name, an identifier or a policy's id, bytes.
pub const MAX_TEXT_BYTES: usize = 256;
/// Shortest and longest nonce, bytes (RFC 9711, section 4.1).
pub const NONCE_BYTES: std::ops::RangeInclusive<usize> = 8..=64;

/// Whose names for claims a token uses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Profile {
    /// draft-ietf-rats-ear-04: `ear_status`, `ear_verifier_id`, …
    #[default]
    Ietf04,
    /// Veraison, 2023: `ear.status`, `ear.verifier-id`, …
    Veraison2023,
}

impl Profile {
    /// Every profile.
    pub const ALL: [Self; 2] = [Self::Ietf04, Self::Veraison2023];

    /// The value of `eat_profile`.
    pub fn uri(self) -> &'static str {
        match self {
            Self::Ietf04 => "tag:ietf.org,2026:rats/ear#04",
            Self::Veraison2023 => "tag:github.com,2023:veraison/ear",
        }
    }
}

/// Who appraised.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VerifierId {
    /// Whose software.
    pub developer: String,
    /// Which build of it.
    pub build: String,
}

impl VerifierId {
    /// This verifier.
    pub fn this() -> Self {
        Self {
            developer: "Probity".into(),
            build: concat!("probity-verifier ", env!("CARGO_PKG_VERSION")).into(),
        }
    }
}

/// Evidence carried along in a token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RawEvidence {
    /// Its media type. [`Profile::Veraison2023`] has no place for it.
    pub media_type: String,
    /// The bytes.
    pub bytes: Bytes,
}

/// What was found about one attester.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Appraisal {
    /// The whole in one word; never better than the worst claim.
    pub status: Tier,
    /// Claim by claim.
    pub vector: TrustVector,
    /// Policies it was appraised by; [`Profile::Veraison2023`] has place for one.
    pub policy_ids: Vec<String>,
    /// What the verifier adds in its own words.
    pub claims: BTreeMap<String, Json>,
}

/// An attestation result.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Ear {
    /// Whose names for claims.
    pub profile: Profile,
    /// `iat`, Unix seconds.
    pub issued_at: u64,
    /// `nbf`, Unix seconds.
    pub not_before: Option<u64>,
    /// `exp`, Unix seconds.
    pub expires: Option<u64>,
    /// Who appraised.
    pub verifier: VerifierId,
    /// What the relying party asked with; see [`NONCE_BYTES`].
    pub nonce: Option<Bytes>,
    /// The evidence itself.
    pub raw_evidence: Option<RawEvidence>,
    /// Appraisals by name of the attester; at least one.
    pub submods: BTreeMap<String, Appraisal>,
    /// What the issuer says of the whole, if it does; never better than the worst appraisal. [`Profile::Veraison2023`] has no place
    /// for it.
    pub overall: Option<Tier>,
}

impl Ear {
    /// A result with one appraisal, by this verifier.
    pub fn new(issued_at: u64, attester: impl Into<String>, appraisal: Appraisal) -> Self {
        Self {
            profile: Profile::default(),
            issued_at,
            not_before: None,
            expires: None,
            verifier: VerifierId::this(),
            nonce: None,
            raw_evidence: None,
            submods: BTreeMap::from([(attester.into(), appraisal)]),
            overall: None,
        }
    }

    /// The worst of all appraisals, of their claims and of what is said of the whole; *none* rather than affirming if any of the
    /// statuses is none.
    pub fn status(&self) -> Tier {
        let statuses = || {
            self.submods
                .values()
                .map(|it| it.status)
                .chain(self.overall)
        };
        let claims = self.submods.values().map(|it| it.vector.worst());
        let worst = statuses().chain(claims).max().unwrap_or_default();
        if worst <= Tier::Affirming && statuses().any(|it| it == Tier::None) {
            return Tier::None;
        }
        worst
    }

    /// The JWT's payload: canonical JSON.
    ///
    /// # Errors
    /// [`Reject::Claim`], [`Reject::Vector`] or [`Reject::Status`] for a result that may not be said.
    pub fn payload(&self) -> Result<Vec<u8>, Reject> {
        Ok(claims::write(self)?.to_canonical().into_bytes())
    }

    /// keccak256 of the payload: the result's name on chain.
    ///
    /// # Errors
    /// As [`Ear::payload`].
    pub fn hash(&self) -> Result<B256, Reject> {
        self.payload().map(keccak256)
    }

    /// keccak256 of the appraisals alone: without verifier, times, nonce and evidence, so that verifiers with the same findings
    /// have the same hash.
    ///
    /// # Errors
    /// As [`Ear::payload`].
    pub fn appraisals_hash(&self) -> Result<B256, Reject> {
        claims::write_submods(self).map(|submods| keccak256(submods.to_canonical()))
    }

    /// [`Ear::appraisals_hash`] of each appraisal alone, in the names of draft 04 whatever the profile: that of an enrolment is on
    /// chain.
    ///
    /// # Errors
    /// As [`Ear::payload`].
    pub fn appraisal_hashes(&self) -> Result<BTreeMap<String, B256>, Reject> {
        let submods = self.submods.iter();
        let hashes = submods.map(|(attester, appraisal)| {
            let alone = Self::new(self.issued_at, attester, appraisal.clone());
            Ok((attester.clone(), alone.appraisals_hash()?))
        });
        hashes.collect()
    }
}

#[cfg(test)]
mod tests;
