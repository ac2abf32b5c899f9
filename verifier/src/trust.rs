//! The trust file: what an auditor takes as given, written at deployment and kept by the auditor.
//!
//! It is never taken from the bundle that is judged. Protocol: section 8.

use std::sync::OnceLock;

use alloy_primitives::B256;
use circuits::Profile;
use circuits::keys::{KeyError, Manifest, VerifyingKey};
use serde::{Deserialize, Serialize};

use crate::committee::Deployment;
use crate::ids::{BlockNumber, Epoch};
use crate::policy::{Denial, Policy};
use crate::tpm::{RootStore, certificate::StoreError};

/// When epochs begin, and until when evidence is timely.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrustedSchedule {
    /// First block of epoch 0.
    pub genesis_block: u64,
    /// Blocks of an epoch.
    pub epoch_blocks: u64,
    /// Offset of the last block at which evidence is timely.
    pub deadline_block: u64,
}

impl TrustedSchedule {
    /// First block of an epoch: the one that sessions are anchored to.
    pub fn start(&self, epoch: Epoch) -> BlockNumber {
        BlockNumber(
            self.genesis_block
                .saturating_add(epoch.0.saturating_mul(self.epoch_blocks)),
        )
    }

    /// Last block at which an epoch's evidence is timely.
    pub fn deadline(&self, epoch: Epoch) -> BlockNumber {
        BlockNumber(
            self.genesis_block
                .saturating_add(epoch.0.saturating_mul(self.epoch_blocks))
                .saturating_add(self.deadline_block),
        )
    }
}

/// The file as it stands on disk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrustFile {
    /// Chain and contracts.
    pub deployment: Deployment,
    /// keccak256 of the oracle set's canonical encoding.
    pub committee_digest: B256,
    /// Faulty oracles the committee tolerates.
    pub faults: usize,
    /// Hash of the circuit's manifest.
    pub circuit: B256,
    /// The schedule on chain.
    pub schedule: TrustedSchedule,
    /// The attestation policy.
    pub policy: Policy,
    /// Roots trusted to certify TPMs: the text of a root store, or PEM.
    pub ek_roots: String,
}

/// A trust file that was read and checked.
#[derive(Debug)]
pub struct Trust {
    /// Chain and contracts.
    pub deployment: Deployment,
    /// keccak256 of the oracle set's canonical encoding.
    pub committee_digest: B256,
    /// Faulty oracles the committee tolerates.
    pub faults: usize,
    /// Hash of the circuit's manifest.
    pub circuit: B256,
    /// The schedule on chain.
    pub schedule: TrustedSchedule,
    /// The attestation policy.
    pub policy: Policy,
    roots: RootStore,
    policy_hash: OnceLock<B256>,
}

/// The trust file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TrustError {
    /// Not TOML of the expected form.
    #[error("trust file: {0}")]
    Syntax(Box<toml::de::Error>),
    /// The roots cannot be used.
    #[error("trust file, ek_roots: {0}")]
    Roots(StoreError),
    /// No circuit of this verifier has that manifest hash.
    #[error("no circuit with manifest {0} is built into this verifier")]
    UnknownCircuit(B256),
    /// The policy contradicts itself, or names nothing to quote.
    #[error("trust file, policy: {0}")]
    Policy(Denial),
    /// A development key on another chain.
    #[error(transparent)]
    Key(#[from] KeyError),
}

impl Trust {
    /// Parses a trust file's text.
    ///
    /// # Errors
    /// [`TrustError::Syntax`], [`TrustError::Policy`] or [`TrustError::Roots`].
    pub fn parse(text: &str) -> Result<Self, TrustError> {
        let file: TrustFile =
            toml::from_str(text).map_err(|error| TrustError::Syntax(Box::new(error)))?;
        Self::from_file(file)
    }

    /// Checks a trust file's content.
    ///
    /// # Errors
    /// [`TrustError::Policy`] or [`TrustError::Roots`].
    pub fn from_file(file: TrustFile) -> Result<Self, TrustError> {
        file.policy.usable().map_err(TrustError::Policy)?;
        Ok(Self {
            deployment: file.deployment,
            committee_digest: file.committee_digest,
            faults: file.faults,
            circuit: file.circuit,
            schedule: file.schedule,
            policy: file.policy,
            roots: RootStore::from_text(&file.ek_roots).map_err(TrustError::Roots)?,
            policy_hash: OnceLock::new(),
        })
    }

    /// The trusted endorsement roots.
    pub fn roots(&self) -> &RootStore {
        &self.roots
    }

    /// Hash of policy and roots, as a report carries it.
    pub fn policy_hash(&self) -> B256 {
        *self
            .policy_hash
            .get_or_init(|| self.policy.hash(&self.roots))
    }

    /// The verifying key of the trusted circuit.
    ///
    /// # Errors
    /// [`TrustError::UnknownCircuit`], or [`TrustError::Key`] for a development key on another chain.
    pub fn verifying_key(&self) -> Result<&'static VerifyingKey, TrustError> {
        let key = Profile::ALL
            .iter()
            .filter(|profile| {
                Manifest::committed(profile).is_some_and(|manifest| manifest.id() == self.circuit.0)
            })
            .find_map(VerifyingKey::committed)
            .ok_or(TrustError::UnknownCircuit(self.circuit))?;
        key.check_chain(self.deployment.chain_id)?;
        Ok(key)
    }
}
