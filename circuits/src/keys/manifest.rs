//! The description of a circuit and its keys that everybody can compare.

use super::{INSECURE_DEV, INSECURE_DEV_CONTEXT, VerifyingKey};
use crate::{
    circuit::Circuit,
    poseidon2::{self, grain},
    profile::Profile,
    statement::PUBLIC_INPUTS,
};
use alloy_primitives::keccak256;
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Name and version of the statement.
pub const CIRCUIT_NAME: &str = "probity-storage-1";

/// Why two manifests do not describe the same keys.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ManifestError {
    /// Not a manifest.
    #[error("manifest does not parse: {0}")]
    Malformed(#[from] serde_json::Error),
    /// A field differs.
    #[error("manifest of profile {profile}: {field} is {found}, expected {expected}")]
    Differs {
        /// The profile.
        profile: String,
        /// Name of the field.
        field: &'static str,
        /// The value committed to.
        expected: String,
        /// The value found.
        found: String,
    },
}

/// Names a circuit, its profile, the hashes of its constraint system and verifying key, and the ceremony.
///
/// Hashes are lower-case hexadecimal BLAKE3.
///
/// Protocol: section 4.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Name and version of the statement: [`CIRCUIT_NAME`].
    pub circuit: String,
    /// Name of the profile.
    pub profile: String,
    /// Where the keys come from.
    pub ceremony: String,
    /// Whether anybody can forge proofs for these keys.
    pub insecure_dev: bool,
    /// Levels of the inventory tree.
    pub depth: usize,
    /// Shards the inventory tree can hold.
    pub capacity: u64,
    /// Cells that one proof opens.
    pub samples: usize,
    /// Names of the public inputs in their order.
    pub public_inputs: Vec<String>,
    /// Number of constraints.
    pub constraints: usize,
    /// Number of variables, the constant one and the public inputs included.
    pub variables: usize,
    /// Hash over examples of what the constraint system leaves open: packing, trees, seeds, places.
    pub vectors: String,
    /// Hash over parameters and constants of Poseidon2 of width 16 and of width 8.
    pub poseidon2: [String; 2],
    /// Hash of the constraint system: [`Circuit::digest`].
    pub constraint_system: String,
    /// Hash of the verifying key's compressed encoding, where keys have been made.
    pub verifying_key: Option<String>,
}

impl Manifest {
    /// Describes a circuit and, where there is one, its verifying key.
    #[must_use]
    pub fn describe(circuit: &Circuit, key: Option<&VerifyingKey>) -> Self {
        let profile = circuit.profile();
        let insecure_dev = key.is_none_or(VerifyingKey::is_insecure_dev);
        Self {
            circuit: CIRCUIT_NAME.to_owned(),
            profile: profile.name().to_owned(),
            ceremony: format!(
                "{INSECURE_DEV}: ChaCha20 from BLAKE3 derive_key(\"{INSECURE_DEV_CONTEXT}\", profile)"
            ),
            insecure_dev,
            depth: profile.depth(),
            capacity: profile.capacity(),
            samples: profile.samples(),
            public_inputs: PUBLIC_INPUTS.map(str::to_owned).to_vec(),
            constraints: circuit.constraints(),
            variables: circuit.variables(),
            vectors: hex::encode(super::vectors::digest(profile)),
            poseidon2: [
                hex::encode(grain::fingerprint(poseidon2::width_16())),
                hex::encode(grain::fingerprint(poseidon2::width_8())),
            ],
            constraint_system: hex::encode(circuit.digest()),
            verifying_key: key.map(|key| hex::encode(key.digest())),
        }
    }

    /// The manifest that is committed in this repository, where the profile has one.
    ///
    /// # Panics
    /// If the committed file is damaged, which the tests of this crate exclude.
    #[must_use]
    pub fn committed(profile: &Profile) -> Option<Self> {
        let text = match *profile {
            Profile::DEV => include_str!("../../keys/dev.manifest.json"),
            Profile::STANDARD => include_str!("../../keys/standard.manifest.json"),
            _ => return None,
        };
        Some(Self::parse(text).expect("the committed manifest is whole"))
    }

    /// Reads a manifest.
    ///
    /// # Errors
    /// [`ManifestError::Malformed`].
    pub fn parse(text: &str) -> Result<Self, ManifestError> {
        Ok(serde_json::from_str(text)?)
    }

    /// The file as it is committed: indented JSON and a line end.
    ///
    /// # Panics
    /// Never: a manifest consists of text and numbers.
    #[must_use]
    pub fn to_json(&self) -> String {
        let mut text = serde_json::to_string_pretty(self).expect("text and numbers");
        text.push('\n');
        text
    }

    /// keccak256 of the committed file: names circuit and keys on chain.
    #[must_use]
    pub fn id(&self) -> [u8; 32] {
        keccak256(self.to_json()).0
    }

    /// Compares with what was made here.
    ///
    /// # Errors
    /// [`ManifestError::Differs`] with the first field that differs.
    pub fn check(&self, found: &Self) -> Result<(), ManifestError> {
        let fields = |m: &Self| {
            [
                ("circuit", m.circuit.clone()),
                ("profile", m.profile.clone()),
                ("ceremony", m.ceremony.clone()),
                ("insecure_dev", m.insecure_dev.to_string()),
                ("depth", m.depth.to_string()),
                ("capacity", m.capacity.to_string()),
                ("samples", m.samples.to_string()),
                ("public_inputs", m.public_inputs.join(", ")),
                ("constraints", m.constraints.to_string()),
                ("variables", m.variables.to_string()),
                ("vectors", m.vectors.clone()),
                ("poseidon2", m.poseidon2.join(", ")),
                ("constraint_system", m.constraint_system.clone()),
                (
                    "verifying_key",
                    m.verifying_key.clone().unwrap_or_else(|| "none".to_owned()),
                ),
            ]
        };
        for ((field, expected), (_, found)) in fields(self).into_iter().zip(fields(found)) {
            if expected != found {
                let profile = self.profile.clone();
                return Err(ManifestError::Differs {
                    profile,
                    field,
                    expected,
                    found,
                });
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::cast_possible_truncation)]
    use super::*;

    #[test]
    fn the_committed_manifest_describes_the_circuit_and_the_committed_key() {
        let circuit = Circuit::new(&Profile::DEV);
        let committed = Manifest::committed(&Profile::DEV).unwrap();
        let key = VerifyingKey::committed(&Profile::DEV);
        committed.check(&Manifest::describe(&circuit, key)).unwrap();
        assert_eq!(
            committed.to_json(),
            include_str!("../../keys/dev.manifest.json")
        );
        assert!(committed.insecure_dev && committed.ceremony.starts_with(INSECURE_DEV));
    }

    #[test]
    fn the_committed_manifest_of_the_standard_profile_has_its_sizes() {
        let committed = Manifest::committed(&Profile::STANDARD).unwrap();
        assert_eq!(
            committed.to_json(),
            include_str!("../../keys/standard.manifest.json")
        );
        assert_eq!(committed.samples, Profile::STANDARD.samples());
        assert_eq!(committed.capacity, Profile::STANDARD.capacity());
        // The domain is filled: one more sample does not fit.
        let rows = committed.constraints + 1 + PUBLIC_INPUTS.len();
        assert!(rows <= 1 << 19 && rows + committed.constraints / committed.samples > 1 << 19);
        assert!(committed.constraints <= 5_240 * committed.samples);
    }

    #[test]
    fn a_difference_is_named() {
        let committed = Manifest::committed(&Profile::DEV).unwrap();
        let mut other = committed.clone();
        other.verifying_key = None;
        let Err(ManifestError::Differs { field, found, .. }) = committed.check(&other) else {
            panic!("a missing key is a difference");
        };
        assert_eq!((field, found.as_str()), ("verifying_key", "none"));
        assert_ne!(committed.id(), other.id());
    }

    #[test]
    fn unknown_fields_are_refused() {
        let text = Manifest::committed(&Profile::DEV).unwrap().to_json();
        assert!(Manifest::parse(&text.replacen('{', "{\"trusted\": true,", 1)).is_err());
        assert!(Manifest::parse("{}").is_err());
    }
}
