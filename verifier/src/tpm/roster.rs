//! A roster: machines that somebody vouches for by name, so that they register on chain without an oracle.
//!
//! A quote policy with a roster has the root of the tree over its entries. Who keeps it judges each machine's certificates and keys as an oracle
//! does, credential activation included, in files: [`MachineFile`] from the machine, [`Challenge`] to it, [`ChallengeAnswer`] back. The keeper
//! compares with a challenge of its own keeping: one that came back with the answer could be anybody's.
//! What the contract then checks itself is the quote and the certification of the node key (EIP-7951).

use alloy_primitives::{B256, Bytes, keccak256};
use alloy_sol_types::SolValue as _;
use rand_core::{OsRng, RngCore as _};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use super::{
    EnrolmentFacts, EnrolmentRequest, Reject, RootStore, TpmClass, judge_request, make_credential,
};
use crate::sorted_tree::SortedTree;

/// Largest file of a roster, a machine, a challenge or an answer, bytes.
pub const MAX_ROSTER_FILE_BYTES: usize = 16 << 20;

/// What a machine shows of itself, as `storage-node identity` prints it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MachineFile {
    /// X.509 DER.
    pub ek_certificate: Bytes,
    /// Certificates between it and a root, DER.
    pub intermediates: Vec<Bytes>,
    /// TPMT_PUBLIC of the endorsement key.
    pub ek_public: Bytes,
    /// TPMT_PUBLIC of the attestation key.
    pub ak_public: Bytes,
    /// TPMT_PUBLIC of the node key.
    pub node_key_public: Bytes,
}

impl MachineFile {
    /// Judges certificates and keys at a time (Unix seconds), as an oracle does at an enrolment.
    ///
    /// # Errors
    /// As [`judge_request`].
    pub fn judge(&self, roots: &RootStore, now: u64) -> Result<EnrolmentFacts, Reject> {
        let request = EnrolmentRequest {
            // A roster names machines, whatever chain and account they register with.
            chain_id: 0,
            registry: [0; 20],
            address: [0; 20],
            ek_certificate: self.ek_certificate.to_vec(),
            intermediates: self.intermediates.iter().map(|it| it.to_vec()).collect(),
            ek_public: self.ek_public.to_vec(),
            ak_public: self.ak_public.to_vec(),
            node_key_public: self.node_key_public.to_vec(),
            expiry: now.saturating_add(1),
            guest: None,
        };
        judge_request(&request, roots, now)
    }
}

/// A credential that only the machine's TPM opens, and what it holds, hashed: the file gives nothing away.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Challenge {
    /// keccak256 of the attestation key's public area.
    pub ak_hash: B256,
    /// Hash of what the machine's certificates and keys showed: the answer is no other machine's, nor with another certificate.
    pub result_hash: B256,
    /// Contents of TPM2B_ID_OBJECT.
    pub id_object: Bytes,
    /// Contents of TPM2B_ENCRYPTED_SECRET.
    pub encrypted_secret: Bytes,
    /// SHA-256 of the secret.
    pub secret_hash: B256,
}

/// What a machine found in a challenge, as `storage-node activate` prints it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChallengeAnswer {
    /// The secret; of no use to anybody else.
    pub secret: Bytes,
}

impl Challenge {
    /// A challenge for a machine whose certificates and keys were judged.
    ///
    /// # Errors
    /// As [`make_credential`].
    pub fn new(facts: &EnrolmentFacts) -> Result<Self, Reject> {
        let mut secret = Zeroizing::new([0; 32]);
        OsRng.fill_bytes(secret.as_mut_slice());
        let credential = make_credential(&facts.ek, &facts.ak.name(), &secret)?;
        Ok(Self {
            ak_hash: facts.ak_hash,
            result_hash: facts.result_hash,
            id_object: credential.id_object.into(),
            encrypted_secret: credential.encrypted_secret.into(),
            secret_hash: sha256(secret.as_slice()),
        })
    }

    /// Whether a machine's attestation key lives beside its endorsement key: the TPM opened the credential.
    ///
    /// # Errors
    /// [`RosterError::Answer`].
    pub fn accept(
        &self,
        facts: &EnrolmentFacts,
        answer: &ChallengeAnswer,
    ) -> Result<(), RosterError> {
        let same = (facts.ak_hash, facts.result_hash) == (self.ak_hash, self.result_hash);
        if same && sha256(&answer.secret) == self.secret_hash {
            Ok(())
        } else {
            Err(RosterError::Answer)
        }
    }
}

fn sha256(bytes: &[u8]) -> B256 {
    let hash: [u8; 32] = Sha256::digest(bytes).into();
    hash.into()
}

/// A machine on a roster.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RosterEntry {
    /// keccak256 of the endorsement key's SubjectPublicKeyInfo.
    pub hardware_id: B256,
    /// keccak256 of the attestation key's public area.
    pub ak_hash: B256,
    /// keccak256 of the attestation result's appraisals.
    pub result_hash: B256,
    /// Class of its root in the store that it was judged with.
    pub tpm_class: TpmClass,
}

impl RosterEntry {
    /// The entry of a machine that was judged.
    #[must_use]
    pub fn of(facts: &EnrolmentFacts) -> Self {
        Self {
            hardware_id: facts.hardware_id,
            ak_hash: facts.ak_hash,
            result_hash: facts.result_hash,
            tpm_class: facts.certificate.class,
        }
    }

    /// Its leaf, as `QuotePolicy.checkRoster` has it.
    #[must_use]
    pub fn leaf(&self) -> B256 {
        let class = u64::from(self.tpm_class.number());
        let encoded = (self.hardware_id, self.ak_hash, self.result_hash, class).abi_encode();
        keccak256(keccak256(encoded))
    }
}

/// A roster, or an entry of one, cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RosterError {
    /// The machine has not shown that its keys are in one TPM.
    #[error(
        "the answer does not open this machine's challenge: the attestation key is not beside this endorsement key, or it is another machine's"
    )]
    Answer,
    /// A machine would be there twice.
    #[error("machine {0} is on the roster already; take its entry out first")]
    Twice(B256),
    /// It has no machine. Zero for a root would leave admission to the oracles.
    #[error(
        "a roster without a machine has no root, and a quote policy without a root has no roster: oracles admit machines then"
    )]
    Empty,
    /// Not JSON of the expected form.
    #[error("{0}")]
    Syntax(String),
}

/// Machines, each once.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Roster {
    machines: Vec<RosterEntry>,
}

impl Roster {
    /// Reads a roster's file.
    ///
    /// # Errors
    /// [`RosterError::Syntax`], [`RosterError::Twice`], [`RosterError::Empty`].
    pub fn parse(text: &str) -> Result<Self, RosterError> {
        let read: Self =
            serde_json::from_str(text).map_err(|why| RosterError::Syntax(why.to_string()))?;
        let mut roster = Self::default();
        for entry in read.machines {
            roster.add(entry)?;
        }
        if roster.machines.is_empty() {
            return Err(RosterError::Empty);
        }
        Ok(roster)
    }

    /// Its machines, ascending.
    #[must_use]
    pub fn machines(&self) -> &[RosterEntry] {
        &self.machines
    }

    /// Adds a machine.
    ///
    /// # Errors
    /// [`RosterError::Twice`] whatever its keys: which of two a machine has now, a roster does not tell.
    pub fn add(&mut self, entry: RosterEntry) -> Result<(), RosterError> {
        let place = self
            .machines
            .binary_search_by_key(&entry.hardware_id, |it| it.hardware_id);
        match place {
            Ok(_) => Err(RosterError::Twice(entry.hardware_id)),
            Err(place) => {
                self.machines.insert(place, entry);
                Ok(())
            }
        }
    }

    /// The root that a quote policy on chain has; zero of an empty roster, which no file is.
    #[must_use]
    pub fn root(&self) -> B256 {
        self.tree().root()
    }

    /// What shows the contract that a machine is on the roster, if it is.
    #[must_use]
    pub fn proof(&self, entry: &RosterEntry) -> Option<Vec<B256>> {
        self.tree().proof(entry.leaf())
    }

    fn tree(&self) -> SortedTree {
        SortedTree::new(self.machines.iter().map(RosterEntry::leaf))
    }
}

#[cfg(test)]
mod tests;
