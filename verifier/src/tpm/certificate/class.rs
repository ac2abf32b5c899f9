//! What kind of TPM a maker's root certifies.

use std::{fmt, str::FromStr};

use minicbor::{Decode, Encode};
use serde::{Deserialize, Serialize};

/// The kind of TPM that the roots of a maker stand for, from the most to the least separate.
///
/// A root certifies one kind: makers of several have a root for each. What a policy grants to a class is the
/// policy's affair; here a path only tells the class of the root it reached.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    Encode,
    Decode,
)]
#[serde(rename_all = "lowercase")]
#[cbor(index_only)]
pub enum TpmClass {
    /// A chip of its own.
    #[n(0)]
    Discrete,
    /// Firmware of the processor or chipset.
    #[n(1)]
    Firmware,
    /// Software of a hypervisor or of a cloud; as many as its owner likes. What nobody classified counts as this.
    #[default]
    #[n(2)]
    Virtual,
}

impl TpmClass {
    /// All classes.
    pub const ALL: [Self; 3] = [Self::Discrete, Self::Firmware, Self::Virtual];

    /// The name in files and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Discrete => "discrete",
            Self::Firmware => "firmware",
            Self::Virtual => "virtual",
        }
    }

    /// The number in hashes and on chain.
    pub fn number(self) -> u8 {
        match self {
            Self::Discrete => 1,
            Self::Firmware => 2,
            Self::Virtual => 3,
        }
    }
}

impl fmt::Display for TpmClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for TpmClass {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL
            .into_iter()
            .find(|class| class.name() == text)
            .ok_or_else(|| format!("`{text}` is no TPM class; write discrete, firmware or virtual"))
    }
}
