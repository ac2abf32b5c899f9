//! Groth16 keys: how they are made, what describes them, and the verifying keys that are part of this crate.
//!
//! Development keys come from a published seed: anybody can make them again bit for bit, and anybody can forge proofs
//! with them. They carry `insecure-dev` in their name and are refused on every chain but the development one.
//! Decision: `docs/adr/0003-development-keys.md`.
//!
//! Protocol: section 4.

mod manifest;
mod vectors;

pub use manifest::{CIRCUIT_NAME, Manifest, ManifestError};

use crate::{circuit::Circuit, field::Fr, profile::Profile};
use ark_bn254::Bn254;
use ark_groth16::{Groth16, PreparedVerifyingKey, prepare_verifying_key};
use ark_serialize::{CanonicalDeserialize, CanonicalSerialize, SerializationError};
use rand::SeedableRng;
use rand_chacha::ChaCha20Rng;
use std::sync::LazyLock;
use thiserror::Error;

/// The key that makes proofs.
pub type ProvingKey = ark_groth16::ProvingKey<Bn254>;

/// Name of the ceremony behind development keys, and what their files are called after.
pub const INSECURE_DEV: &str = "insecure-dev";
/// What the seed of development keys is derived from, together with the profile's name.
pub const INSECURE_DEV_CONTEXT: &str = "probity insecure-dev 1";
/// The only chain on which development keys are accepted: that of a local development node.
pub const DEVELOPMENT_CHAIN: u64 = 31337;

/// What is wrong with a verifying key.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum KeyError {
    /// Not the encoding of a key.
    #[error("verifying key does not decode: {0}")]
    Malformed(SerializationError),
    /// A key for a statement with another number of public inputs.
    #[error("verifying key is for {found} public inputs, the statement has {expected}")]
    PublicInputs {
        /// Inputs of the statement.
        expected: usize,
        /// Inputs of the key.
        found: usize,
    },
    /// Whoever knows the published seed forges proofs.
    #[error("{INSECURE_DEV} keys on chain {chain}: they are for chain {DEVELOPMENT_CHAIN} only")]
    InsecureOnChain {
        /// The chain they were to be used on.
        chain: u64,
    },
}

/// Makes the development keys of a circuit; the same ones every time and everywhere.
///
/// # Panics
/// If the circuit does not fit an FFT domain of BN254 (2^28 constraints), which no profile comes near.
#[must_use]
pub fn insecure_dev_setup(circuit: &Circuit) -> ProvingKey {
    let seed = blake3::derive_key(INSECURE_DEV_CONTEXT, circuit.profile().name().as_bytes());
    let mut rng = ChaCha20Rng::from_seed(seed);
    Groth16::<Bn254>::generate_random_parameters_with_reduction(circuit, &mut rng)
        .expect("a circuit of fewer than 2^28 constraints has parameters")
}

/// A verifying key, prepared for use, with the profile that bounds its public inputs.
#[derive(Clone, Debug)]
pub struct VerifyingKey {
    profile: Profile,
    prepared: PreparedVerifyingKey<Bn254>,
    insecure_dev: bool,
}

impl VerifyingKey {
    /// Prepares a key.
    ///
    /// # Errors
    /// [`KeyError::PublicInputs`].
    pub fn new(
        profile: &Profile,
        key: &ark_groth16::VerifyingKey<Bn254>,
        insecure_dev: bool,
    ) -> Result<Self, KeyError> {
        let expected = crate::statement::PUBLIC_INPUTS.len();
        let found = key.gamma_abc_g1.len().saturating_sub(1);
        if found != expected {
            return Err(KeyError::PublicInputs { expected, found });
        }
        Ok(Self {
            profile: *profile,
            prepared: prepare_verifying_key(key),
            insecure_dev,
        })
    }

    /// Decodes a key and checks its points.
    ///
    /// # Errors
    /// [`KeyError::Malformed`] or [`KeyError::PublicInputs`].
    pub fn from_bytes(
        profile: &Profile,
        bytes: &[u8],
        insecure_dev: bool,
    ) -> Result<Self, KeyError> {
        let malformed = || KeyError::Malformed(SerializationError::InvalidData);
        let mut rest = bytes;
        // The only length prefix in the encoding is the number of points for public inputs.
        let key = if bytes.len() == ENCODED_BYTES {
            CanonicalDeserialize::deserialize_compressed(&mut rest).map_err(KeyError::Malformed)?
        } else {
            return Err(malformed());
        };
        let key = Self::new(profile, &key, insecure_dev)?;
        if key.to_bytes() == bytes {
            Ok(key)
        } else {
            Err(malformed())
        }
    }

    /// The arkworks compressed encoding.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(ENCODED_BYTES);
        self.prepared
            .vk
            .serialize_compressed(&mut bytes)
            .expect("a vector takes every byte");
        bytes
    }

    /// The key that is committed in this repository, where the profile has one.
    ///
    /// # Panics
    /// If the committed file is damaged, which the tests of this crate exclude.
    #[must_use]
    pub fn committed(profile: &Profile) -> Option<&'static Self> {
        static DEV: LazyLock<VerifyingKey> = LazyLock::new(|| {
            let bytes = include_bytes!("../keys/dev.vk");
            VerifyingKey::from_bytes(&Profile::DEV, bytes, true).expect("keys/dev.vk is whole")
        });
        (*profile == Profile::DEV).then(|| &*DEV)
    }

    /// The profile it verifies proofs of.
    #[must_use]
    pub const fn profile(&self) -> &Profile {
        &self.profile
    }

    /// The points themselves.
    #[must_use]
    pub const fn points(&self) -> &ark_groth16::VerifyingKey<Bn254> {
        &self.prepared.vk
    }

    /// The points and what pairings need of them.
    #[must_use]
    pub const fn prepared(&self) -> &PreparedVerifyingKey<Bn254> {
        &self.prepared
    }

    /// BLAKE3 of the encoding.
    #[must_use]
    pub fn digest(&self) -> [u8; 32] {
        *blake3::hash(&self.to_bytes()).as_bytes()
    }

    /// Whether anybody can forge proofs for this key.
    #[must_use]
    pub const fn is_insecure_dev(&self) -> bool {
        self.insecure_dev
    }

    /// Refuses development keys anywhere but on the development chain.
    ///
    /// # Errors
    /// [`KeyError::InsecureOnChain`].
    pub const fn check_chain(&self, chain: u64) -> Result<(), KeyError> {
        if self.insecure_dev && chain != DEVELOPMENT_CHAIN {
            return Err(KeyError::InsecureOnChain { chain });
        }
        Ok(())
    }

    /// The combination of the key's points that stands for public inputs.
    pub(crate) fn input_point(&self, inputs: &[Fr]) -> ark_bn254::G1Projective {
        let points = &self.prepared.vk.gamma_abc_g1;
        inputs
            .iter()
            .zip(&points[1..])
            .fold(points[0].into(), |sum, (input, point)| sum + *point * input)
    }
}

/// alpha in G1, beta, gamma, delta in G2, a 64-bit count, and a point in G1 for the constant and each input.
const ENCODED_BYTES: usize = 32 + 3 * 64 + 8 + 32 * (1 + crate::statement::PUBLIC_INPUTS.len());

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::cast_possible_truncation)]
    use super::*;

    #[test]
    fn the_committed_key_decodes_and_is_for_the_development_chain_only() {
        let key = VerifyingKey::committed(&Profile::DEV).unwrap();
        assert!(key.is_insecure_dev());
        assert!(key.check_chain(DEVELOPMENT_CHAIN).is_ok());
        assert!(matches!(
            key.check_chain(1),
            Err(KeyError::InsecureOnChain { chain: 1 })
        ));
        assert!(VerifyingKey::committed(&Profile::new("other", 1, 1)).is_none());
    }

    #[test]
    fn a_damaged_key_is_refused() {
        let bytes = VerifyingKey::committed(&Profile::DEV).unwrap().to_bytes();
        let refused = |bytes: &[u8]| VerifyingKey::from_bytes(&Profile::DEV, bytes, true).is_err();
        assert!(!refused(&bytes));
        assert!(refused(&bytes[..bytes.len() - 1]));
        assert!(refused(&[]));
        let count_at = 32 + 3 * 64;
        for count in [0u64, 3, 5, u64::MAX] {
            let mut damaged = bytes.clone();
            damaged[count_at..count_at + 8].copy_from_slice(&count.to_le_bytes());
            assert!(refused(&damaged), "count {count}");
        }
        let mut damaged = bytes.clone();
        damaged[..32].fill(0xff);
        assert!(refused(&damaged));
    }

    #[test]
    fn the_setup_is_the_same_every_time_and_differs_by_profile() {
        let key = |name| {
            let circuit = Circuit::new(&Profile::new(name, 1, 1));
            let key = insecure_dev_setup(&circuit).vk;
            VerifyingKey::new(circuit.profile(), &key, true)
                .unwrap()
                .digest()
        };
        assert_eq!(key("a"), key("a"));
        assert_ne!(key("a"), key("b"));
    }
}
