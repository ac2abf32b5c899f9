//! AR4SI's trustworthiness claims (draft-ietf-rats-ar4si, section 2.3).

use std::fmt;

use serde::{Serialize, Serializer};

/// How far a claim, or a whole appraisal, is to be trusted. Later ones are worse.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Tier {
    /// Nothing is said.
    #[default]
    None,
    /// It is as it should be.
    Affirming,
    /// There are doubts.
    Warning,
    /// It is not to be trusted.
    Contraindicated,
}

impl Tier {
    /// Every tier, the best first.
    pub const ALL: [Self; 4] = [
        Self::None,
        Self::Affirming,
        Self::Warning,
        Self::Contraindicated,
    ];

    /// Its word in a token.
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Affirming => "affirming",
            Self::Warning => "warning",
            Self::Contraindicated => "contraindicated",
        }
    }

    /// The tier with this word.
    pub fn by_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|tier| tier.name() == name)
    }

    /// The tier of this number: 0, 2, 32 or 96, as some issuers write a status.
    pub fn by_number(number: i64) -> Option<Self> {
        match number {
            0 => Some(Self::None),
            2 => Some(Self::Affirming),
            32 => Some(Self::Warning),
            96 => Some(Self::Contraindicated),
            _ => None,
        }
    }
}

impl fmt::Display for Tier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Serialize for Tier {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

/// The value of a claim.
///
/// Values that every claim has are named here; those of single claims are in [`Findings`](super::Findings), where they are given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct Claim(pub i8);

impl Claim {
    /// Nothing is said.
    pub const NONE: Self = Self(0);
    /// As it should be.
    pub const AFFIRMING: Self = Self(2);
    /// In doubt.
    pub const WARNING: Self = Self(32);
    /// Not to be trusted.
    pub const CONTRAINDICATED: Self = Self(96);
    /// Not recognised, although it should be.
    pub const UNRECOGNISED: Self = Self(97);
    /// A cryptographic check failed.
    pub const CRYPTO_FAILED: Self = Self(99);

    /// The tier of the value: −1 to 1 none, to ±31 (−32) affirming, to ±95 (−96) warning, beyond contraindicated.
    pub fn tier(self) -> Tier {
        match self.0 {
            -1..=1 => Tier::None,
            -32..=31 => Tier::Affirming,
            -96..=95 => Tier::Warning,
            _ => Tier::Contraindicated,
        }
    }
}

/// Names of the claims, in the order of their numbers.
pub const CLAIMS: [&str; 8] = [
    "instance-identity",
    "configuration",
    "executables",
    "file-system",
    "hardware",
    "runtime-opaque",
    "storage-opaque",
    "sourced-data",
];

/// Trustworthiness, claim by claim. A claim that is absent was not looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TrustVector([Option<Claim>; 8]);

impl TrustVector {
    /// A claim by name.
    pub fn get(&self, name: &str) -> Option<Claim> {
        CLAIMS
            .iter()
            .zip(self.0)
            .find_map(|(it, claim)| (*it == name).then_some(claim))?
    }

    /// Sets a claim by name; `false` if there is none of that name.
    pub fn set(&mut self, name: &str, claim: Option<Claim>) -> bool {
        let slot = CLAIMS.iter().zip(&mut self.0).find(|(it, _)| **it == name);
        match slot {
            Some((_, slot)) => {
                *slot = claim;
                true
            }
            None => false,
        }
    }

    /// The claims that are set, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, Claim)> {
        CLAIMS
            .into_iter()
            .zip(self.0)
            .filter_map(|(name, claim)| Some((name, claim?)))
    }

    /// The worst tier of all claims.
    pub fn worst(&self) -> Tier {
        self.iter()
            .map(|(_, claim)| claim.tier())
            .max()
            .unwrap_or_default()
    }
}

impl Serialize for TrustVector {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.iter())
    }
}
