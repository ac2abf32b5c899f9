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
    /// Attestation policies in the order of their first epochs, as the hub announced them.
    pub policies: Vec<TrustFilePolicy>,
}

/// An attestation policy in the file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrustFilePolicy {
    /// First epoch judged by it.
    pub from_epoch: Epoch,
    /// Roots trusted to certify TPMs: the text of a root store, or PEM.
    pub ek_roots: String,
    /// The policy.
    pub policy: Policy,
}

/// An attestation policy that is trusted from an epoch on, until the next one's.
#[derive(Debug)]
pub struct TrustedPolicy {
    /// First epoch judged by it.
    pub from_epoch: Epoch,
    /// The policy.
    pub policy: Policy,
    roots: RootStore,
    hash: OnceLock<B256>,
}

impl TrustedPolicy {
    fn new(file: TrustFilePolicy) -> Result<Self, TrustError> {
        let from_epoch = file.from_epoch;
        file.policy
            .usable()
            .map_err(|denial| TrustError::Policy(from_epoch, denial))?;
        Ok(Self {
            from_epoch,
            policy: file.policy,
            roots: RootStore::from_text(&file.ek_roots)
                .map_err(|error| TrustError::Roots(from_epoch, error))?,
            hash: OnceLock::new(),
        })
    }

    /// The trusted endorsement roots.
    pub fn roots(&self) -> &RootStore {
        &self.roots
    }

    /// Hash of policy and roots, as a report carries it.
    pub fn hash(&self) -> B256 {
        *self.hash.get_or_init(|| self.policy.hash(&self.roots))
    }
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
    policies: Vec<TrustedPolicy>,
}

/// The trust file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TrustError {
    /// Not TOML of the expected form.
    #[error("trust file: {0}")]
    Syntax(Box<toml::de::Error>),
    /// The roots cannot be used.
    #[error("trust file, policy from epoch {0}, ek_roots: {1}")]
    Roots(Epoch, StoreError),
    /// No circuit of this verifier has that manifest hash.
    #[error("no circuit with manifest {0} is built into this verifier")]
    UnknownCircuit(B256),
    /// The policy contradicts itself, or names nothing to quote.
    #[error("trust file, policy from epoch {0}: {1}")]
    Policy(Epoch, Denial),
    /// No policy, or two of them in the wrong order.
    #[error("trust file, policies: {0}")]
    Policies(&'static str),
    /// A development key on another chain.
    #[error(transparent)]
    Key(#[from] KeyError),
}

impl Trust {
    /// Parses a trust file's text.
    ///
    /// # Errors
    /// [`TrustError::Syntax`], or as [`Trust::from_file`].
    pub fn parse(text: &str) -> Result<Self, TrustError> {
        let file: TrustFile =
            toml::from_str(text).map_err(|error| TrustError::Syntax(Box::new(error)))?;
        Self::from_file(file)
    }

    /// Checks a trust file's content.
    ///
    /// # Errors
    /// [`TrustError::Policies`], [`TrustError::Policy`] or [`TrustError::Roots`].
    pub fn from_file(file: TrustFile) -> Result<Self, TrustError> {
        if file.policies.is_empty() {
            return Err(TrustError::Policies("there is none, so nothing is trusted"));
        }
        let mut pairs = file.policies.windows(2);
        if pairs.any(|pair| pair[0].from_epoch >= pair[1].from_epoch) {
            return Err(TrustError::Policies(
                "`from_epoch` does not ascend; list them in the order in which they came into force",
            ));
        }
        let mut policies = file
            .policies
            .into_iter()
            .map(TrustedPolicy::new)
            .collect::<Result<Vec<_>, _>>()?;
        // Revocation lists are no part of a store's hash, and only ever take trust away: what the auditor knows by one store counts
        // for all, or a policy of former days would give back what a list has taken.
        let lists: Vec<_> = policies
            .iter()
            .flat_map(|it| it.roots.crls().to_vec())
            .collect();
        for policy in &mut policies {
            policy.roots.add_crls(lists.iter().cloned());
        }
        Ok(Self {
            deployment: file.deployment,
            committee_digest: file.committee_digest,
            faults: file.faults,
            circuit: file.circuit,
            schedule: file.schedule,
            policies,
        })
    }

    /// The same trust with processors of a test's own makers.
    #[cfg(test)]
    pub(crate) fn with_processors(mut self, processors: &crate::tee::Processors) -> Self {
        for policy in &mut self.policies {
            policy.roots = std::mem::take(&mut policy.roots).with_processors(processors.clone());
        }
        self
    }

    /// Every policy that has begun by an epoch, the one in force first.
    pub fn policies_until(&self, epoch: Epoch) -> impl Iterator<Item = &TrustedPolicy> {
        self.policies
            .iter()
            .rev()
            .filter(move |it| it.from_epoch <= epoch)
    }

    /// The policy in force in an epoch; `None` before the first one trusted.
    pub fn policy_at(&self, epoch: Epoch) -> Option<&TrustedPolicy> {
        self.policies_until(epoch).next()
    }

    /// Every policy, ascending by first epoch.
    pub fn policies(&self) -> &[TrustedPolicy] {
        &self.policies
    }

    /// The latest policy, in force or announced.
    pub fn latest_policy(&self) -> Option<&TrustedPolicy> {
        self.policies.last()
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
