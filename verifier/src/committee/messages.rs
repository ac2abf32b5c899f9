//! What oracles send one another in an epoch: observations, commitments, lists, reveals and proposals.
//!
//! Protocol: section 6.4 to 6.6.

use std::collections::BTreeMap;

use alloy_primitives::{Address, B256, Bytes, keccak256};
use minicbor::{Decode, Encode};
use serde::{Deserialize, Serialize};

use super::{CommitteeError, Deployment, OracleSet};
use crate::cbor;
use crate::ids::{Availability, Epoch, LatencyMs, NodeId, Throughput};
use crate::typed_data;

/// What an oracle's probes of one node came to, or what it holds against the node's machine.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, Encode, Decode,
)]
#[cbor(index_only)]
#[serde(rename_all = "snake_case")]
pub enum Reachability {
    /// The oracle's own network or chain endpoint was down, or it had nothing to probe: no statement.
    #[n(0)]
    NotChecked,
    /// Ranges were served and proven.
    #[n(1)]
    Reachable,
    /// Ranges were served, slower than the service level allows.
    #[n(2)]
    Slow,
    /// Not one range was served.
    #[n(3)]
    Unreachable,
    /// A revocation notice of this oracle's names the node's machine: whatever it serves, it does not count.
    #[n(4)]
    Revoked,
}

/// One oracle's statement on one node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Encode, Decode)]
#[cbor(array)]
pub struct NodeStatement {
    /// The node.
    #[n(0)]
    pub node: NodeId,
    /// Outcome of the probes.
    #[n(1)]
    pub reachability: Reachability,
    /// Share of probes answered in time.
    #[n(2)]
    pub availability: Availability,
    /// 95th percentile of time to first byte.
    #[n(3)]
    pub latency_p95: LatencyMs,
    /// Throughput over the probed ranges.
    #[n(4)]
    pub throughput: Throughput,
    /// keccak256 of the oracle's probe records of this node and epoch, zero without probes.
    #[cbor(n(5), with = "crate::cbor::fixed")]
    pub probes_hash: B256,
    /// Reason code the oracle's own judgement of the evidence came to. Never voted: a report is recomputed from evidence.
    #[n(6)]
    pub reason: u8,
    /// Hash of the envelope it judged, zero if it has none.
    #[cbor(n(7), with = "crate::cbor::fixed")]
    pub envelope_hash: B256,
}

/// What one oracle saw in an epoch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Encode, Decode)]
#[cbor(array)]
pub struct Observation {
    /// Where it holds.
    #[n(0)]
    pub deployment: Deployment,
    /// The epoch.
    #[n(1)]
    pub epoch: Epoch,
    /// Version of the oracle set.
    #[n(2)]
    pub set_version: u32,
    /// The oracle.
    #[cbor(n(3), with = "crate::cbor::fixed")]
    pub oracle: Address,
    /// One statement a node of the work list, ascending by node.
    #[n(4)]
    pub statements: Vec<NodeStatement>,
}

impl Observation {
    /// The oracle's statement on a node.
    pub fn statement(&self, node: NodeId) -> Option<&NodeStatement> {
        self.statements
            .binary_search_by_key(&node, |statement| statement.node)
            .ok()
            .map(|at| &self.statements[at])
    }
}

/// An observation with its oracle's signature.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Encode, Decode)]
#[cbor(array)]
pub struct SignedObservation {
    /// [`Observation`] as CBOR: the bytes that are hashed.
    #[cbor(n(0), with = "crate::cbor::bytes")]
    pub observation: Bytes,
    /// 65 bytes over the EIP-712 `Observation`.
    #[cbor(n(1), with = "crate::cbor::bytes")]
    pub signature: Bytes,
}

impl SignedObservation {
    /// What an oracle signs for these observation bytes.
    pub fn digest(
        deployment: &Deployment,
        epoch: Epoch,
        set_version: u32,
        observation: &[u8],
    ) -> B256 {
        deployment.hub_digest(&typed_data::Observation {
            epoch: epoch.0,
            setVersion: set_version,
            observationHash: keccak256(observation),
        })
    }

    /// Decodes the observation and checks that its oracle signed it, for this deployment, epoch and set.
    ///
    /// # Errors
    /// [`CommitteeError`] naming what does not fit.
    pub fn open(
        &self,
        deployment: &Deployment,
        epoch: Epoch,
        set: &OracleSet,
    ) -> Result<Observation, CommitteeError> {
        let what = "observation";
        let observation: Observation = cbor::decode(what, &self.observation)?;
        let digest = Self::digest(deployment, epoch, set.version, &self.observation);
        let signer = set.member_signature(what, &digest, &self.signature)?;
        if signer != observation.oracle {
            return Err(CommitteeError::Signer {
                what,
                signer,
                why: "not by the oracle it names",
            });
        }
        if observation.deployment != *deployment
            || observation.epoch != epoch
            || observation.set_version != set.version
        {
            return Err(CommitteeError::Context {
                what,
                expected: format!("epoch {epoch}, set {}, hub {}", set.version, deployment.hub),
                found: format!(
                    "epoch {}, set {}, hub {}",
                    observation.epoch, observation.set_version, observation.deployment.hub
                ),
            });
        }
        if !observation.statements.is_sorted_by(|a, b| a.node < b.node) {
            return Err(CommitteeError::Malformed(cbor::Malformed {
                what,
                why: "statements are not in ascending order of node".into(),
            }));
        }
        Ok(observation)
    }
}

/// Commitment of an oracle to its observation: H(domain, deployment, epoch, oracle, salt, observation).
pub fn commitment(
    deployment: &Deployment,
    epoch: Epoch,
    oracle: Address,
    salt: &B256,
    observation: &[u8],
) -> B256 {
    let mut input = Vec::with_capacity(160);
    input.extend_from_slice(keccak256(b"probity-commit-1").as_slice());
    input.extend_from_slice(&cbor::encode(deployment));
    input.extend_from_slice(&epoch.0.to_be_bytes());
    input.extend_from_slice(oracle.as_slice());
    input.extend_from_slice(salt.as_slice());
    input.extend_from_slice(keccak256(observation).as_slice());
    keccak256(input)
}

/// An oracle's signed commitment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Encode, Decode)]
#[cbor(array)]
pub struct SignedCommitment {
    /// The epoch.
    #[n(0)]
    pub epoch: Epoch,
    /// See [`commitment`].
    #[cbor(n(1), with = "crate::cbor::fixed")]
    pub commitment: B256,
    /// 65 bytes over the EIP-712 `Commitment`.
    #[cbor(n(2), with = "crate::cbor::bytes")]
    pub signature: Bytes,
}

impl SignedCommitment {
    /// What an oracle signs.
    pub fn digest(
        deployment: &Deployment,
        epoch: Epoch,
        set_version: u32,
        commitment: B256,
    ) -> B256 {
        deployment.hub_digest(&typed_data::Commitment {
            epoch: epoch.0,
            setVersion: set_version,
            commitment,
        })
    }

    /// The member that committed.
    ///
    /// # Errors
    /// [`CommitteeError`] if no member of the set did.
    pub fn signer(
        &self,
        deployment: &Deployment,
        set: &OracleSet,
    ) -> Result<Address, CommitteeError> {
        let digest = Self::digest(deployment, self.epoch, set.version, self.commitment);
        set.member_signature("commitment", &digest, &self.signature)
    }
}

/// The leader's list of commitments for a view.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Encode, Decode)]
#[cbor(array)]
pub struct CommitmentList {
    /// The epoch.
    #[n(0)]
    pub epoch: Epoch,
    /// The view.
    #[n(1)]
    pub view: u32,
    /// At least a quorum of commitments.
    #[n(2)]
    pub entries: Vec<SignedCommitment>,
}

/// The list with its leader's signature.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Encode, Decode)]
#[cbor(array)]
pub struct SignedCommitmentList {
    /// The list.
    #[n(0)]
    pub list: CommitmentList,
    /// 65 bytes over the EIP-712 `CommitmentList`.
    #[cbor(n(1), with = "crate::cbor::bytes")]
    pub signature: Bytes,
}

impl SignedCommitmentList {
    /// What the leader signs.
    pub fn digest(deployment: &Deployment, list: &CommitmentList) -> B256 {
        deployment.hub_digest(&typed_data::CommitmentList {
            epoch: list.epoch.0,
            view: list.view,
            listHash: keccak256(cbor::encode(list)),
        })
    }

    /// Checks the list: signed by the leader of its view, at least a quorum of distinct members, one epoch.
    ///
    /// # Errors
    /// [`CommitteeError`] naming what does not fit.
    pub fn open(
        &self,
        deployment: &Deployment,
        epoch: Epoch,
        set: &OracleSet,
        beacon: B256,
    ) -> Result<BTreeMap<Address, B256>, CommitteeError> {
        let what = "commitment list";
        let signer =
            set.member_signature(what, &Self::digest(deployment, &self.list), &self.signature)?;
        if signer != set.leader(beacon, epoch, self.list.view) {
            return Err(CommitteeError::Signer {
                what,
                signer,
                why: "not by the leader of its view",
            });
        }
        let mut commitments = BTreeMap::new();
        for entry in &self.list.entries {
            if entry.epoch != epoch || self.list.epoch != epoch {
                return Err(CommitteeError::Context {
                    what,
                    expected: format!("epoch {epoch}"),
                    found: format!("epoch {}", entry.epoch),
                });
            }
            let member = entry.signer(deployment, set)?;
            if commitments.insert(member, entry.commitment).is_some() {
                return Err(CommitteeError::Twice(member));
            }
        }
        if commitments.len() < set.quorum() {
            return Err(CommitteeError::TooFew {
                needed: set.quorum(),
                actual: commitments.len(),
            });
        }
        Ok(commitments)
    }
}

/// An observation with the salt of its commitment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Encode, Decode)]
#[cbor(array)]
pub struct Reveal {
    /// 32 random bytes.
    #[cbor(n(0), with = "crate::cbor::fixed")]
    pub salt: B256,
    /// The observation.
    #[n(1)]
    pub observation: SignedObservation,
}

impl Reveal {
    /// Checks that the reveal opens the commitment its oracle has in the list, and decodes it.
    ///
    /// # Errors
    /// [`CommitteeError`] naming what does not fit.
    pub fn open(
        &self,
        deployment: &Deployment,
        epoch: Epoch,
        set: &OracleSet,
        commitments: &BTreeMap<Address, B256>,
    ) -> Result<Observation, CommitteeError> {
        let observation = self.observation.open(deployment, epoch, set)?;
        let opened = commitment(
            deployment,
            epoch,
            observation.oracle,
            &self.salt,
            &self.observation.observation,
        );
        if commitments.get(&observation.oracle) != Some(&opened) {
            return Err(CommitteeError::NotCommitted(observation.oracle));
        }
        Ok(observation)
    }
}

/// What the leader proposes to its followers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Encode, Decode)]
#[cbor(array)]
pub struct Proposal {
    /// The commitments that were revealed against.
    #[n(0)]
    pub list: SignedCommitmentList,
    /// At least a quorum of reveals.
    #[n(1)]
    pub reveals: Vec<Reveal>,
    /// The report to sign.
    #[n(2)]
    pub report: crate::report::Report,
}

/// The proposal with its leader's signature.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Encode, Decode)]
#[cbor(array)]
pub struct SignedProposal {
    /// The proposal.
    #[n(0)]
    pub proposal: Proposal,
    /// 65 bytes over the EIP-712 `Proposal`.
    #[cbor(n(1), with = "crate::cbor::bytes")]
    pub signature: Bytes,
}

impl SignedProposal {
    /// What the leader signs.
    pub fn digest(deployment: &Deployment, proposal: &Proposal) -> B256 {
        deployment.hub_digest(&typed_data::Proposal {
            epoch: proposal.report.epoch.0,
            view: proposal.report.view,
            proposalHash: keccak256(cbor::encode(proposal)),
        })
    }

    /// Checks signature, list and reveals; returns the observations by oracle.
    ///
    /// # Errors
    /// [`CommitteeError`] naming what does not fit.
    pub fn open(
        &self,
        deployment: &Deployment,
        epoch: Epoch,
        set: &OracleSet,
        beacon: B256,
    ) -> Result<Observations, CommitteeError> {
        let what = "proposal";
        let report = &self.proposal.report;
        if report.epoch != epoch || self.proposal.list.list.view != report.view {
            return Err(CommitteeError::Context {
                what,
                expected: format!("epoch {epoch}, view {}", self.proposal.list.list.view),
                found: format!("epoch {}, view {}", report.epoch, report.view),
            });
        }
        let signer = set.member_signature(
            what,
            &Self::digest(deployment, &self.proposal),
            &self.signature,
        )?;
        if signer != set.leader(beacon, epoch, report.view) {
            return Err(CommitteeError::Signer {
                what,
                signer,
                why: "not by the leader of its view",
            });
        }
        let commitments = self.proposal.list.open(deployment, epoch, set, beacon)?;
        let mut observations = Observations::new();
        for reveal in &self.proposal.reveals {
            let observation = reveal.open(deployment, epoch, set, &commitments)?;
            let oracle = observation.oracle;
            if observations.insert(oracle, observation).is_some() {
                return Err(CommitteeError::Twice(oracle));
            }
        }
        if observations.len() < set.quorum() {
            return Err(CommitteeError::TooFew {
                needed: set.quorum(),
                actual: observations.len(),
            });
        }
        Ok(observations)
    }
}

/// Revealed observations by oracle.
pub type Observations = BTreeMap<Address, Observation>;
