//! The committee: oracle sets and quorums here, the messages of one epoch's agreement in a file of their own.
//!
//! n = 3f + 1 oracles tolerate f faulty ones; a quorum is 2f + 1. Protocol: sections 1 and 6.

mod messages;

pub use messages::*;

use alloy_primitives::{Address, B256, Bytes, keccak256};
use alloy_sol_types::SolStruct;
use minicbor::{Decode, Encode};
use serde::{Deserialize, Serialize};

use crate::cbor;
use crate::ids::Epoch;
use crate::typed_data::{self, SignatureError};

/// Where statements of a deployment hold: everything signed names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, Encode, Decode)]
#[cbor(array)]
pub struct Deployment {
    /// EIP-155 chain id.
    #[n(0)]
    pub chain_id: u64,
    /// The report hub.
    #[cbor(n(1), with = "crate::cbor::fixed")]
    pub hub: Address,
    /// The registry.
    #[cbor(n(2), with = "crate::cbor::fixed")]
    pub registry: Address,
}

impl Deployment {
    /// Digest of a statement the hub consumes.
    pub fn hub_digest<T: SolStruct>(&self, value: &T) -> B256 {
        typed_data::digest(value, self.chain_id, self.hub)
    }

    /// Digest of a statement the registry consumes.
    pub fn registry_digest<T: SolStruct>(&self, value: &T) -> B256 {
        typed_data::digest(value, self.chain_id, self.registry)
    }
}

/// A version of the oracle set, in the order of the registry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Encode, Decode)]
#[cbor(array)]
pub struct OracleSet {
    /// Version in the registry.
    #[n(0)]
    pub version: u32,
    /// Chain addresses by index.
    #[n(1)]
    members: Members,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Encode, Decode)]
#[serde(transparent)]
#[cbor(transparent)]
struct Members(#[n(0)] Vec<Member>);

#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, Encode, Decode,
)]
#[serde(transparent)]
#[cbor(transparent)]
struct Member(#[cbor(n(0), with = "crate::cbor::fixed")] Address);

/// A committee rule is broken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CommitteeError {
    /// A set is not 3f + 1 distinct oracles, or has more than 256.
    #[error("an oracle set has 3f + 1 distinct members, at most 256; this one has {0}")]
    Size(usize),
    /// The statement is for another deployment, epoch or set.
    #[error("the {what} is for {found} where {expected} is expected")]
    Context {
        /// The statement.
        what: &'static str,
        /// What it should name.
        expected: String,
        /// What it names.
        found: String,
    },
    /// A signature is broken.
    #[error("the {what}'s signature: {source}")]
    Signature {
        /// The statement.
        what: &'static str,
        /// What is wrong with it.
        source: SignatureError,
    },
    /// The signer is not a member, or not the one it should be.
    #[error("the {what} is signed by {signer}, {why}")]
    Signer {
        /// The statement.
        what: &'static str,
        /// Who signed.
        signer: Address,
        /// Why that is wrong.
        why: &'static str,
    },
    /// Too few distinct members.
    #[error("{actual} distinct signers where {needed} are needed")]
    TooFew {
        /// Signers needed.
        needed: usize,
        /// Signers found.
        actual: usize,
    },
    /// A reveal does not open its listed commitment.
    #[error("the reveal of {0} does not open its commitment")]
    NotCommitted(Address),
    /// The same member twice.
    #[error("{0} stands in the list twice")]
    Twice(Address),
    /// Bytes that are not canonical.
    #[error(transparent)]
    Malformed(#[from] cbor::Malformed),
}

impl OracleSet {
    /// A set of oracles.
    ///
    /// # Errors
    /// [`CommitteeError::Size`] unless there are 3f + 1 distinct members, at most 256.
    pub fn new(version: u32, members: Vec<Address>) -> Result<Self, CommitteeError> {
        let set = Self {
            version,
            members: Members(members.into_iter().map(Member).collect()),
        };
        set.validate()?;
        Ok(set)
    }

    /// Checks the size rule; a set that was decoded is validated before use.
    ///
    /// # Errors
    /// [`CommitteeError::Size`].
    pub fn validate(&self) -> Result<(), CommitteeError> {
        let mut distinct = self.members.0.clone();
        distinct.sort_unstable();
        distinct.dedup();
        let n = self.members.0.len();
        if n == 0 || n > 256 || n % 3 != 1 || distinct.len() != n {
            return Err(CommitteeError::Size(n));
        }
        Ok(())
    }

    /// Number of members n.
    pub fn size(&self) -> usize {
        self.members.0.len()
    }

    /// Faulty members tolerated f.
    pub fn faults(&self) -> usize {
        (self.size() - 1) / 3
    }

    /// Quorum 2f + 1.
    pub fn quorum(&self) -> usize {
        2 * self.faults() + 1
    }

    /// Members by index.
    pub fn members(&self) -> impl ExactSizeIterator<Item = Address> {
        self.members.0.iter().map(|member| member.0)
    }

    /// Index of a member.
    pub fn index_of(&self, account: Address) -> Option<usize> {
        self.members().position(|member| member == account)
    }

    /// keccak256 over the canonical encoding: what a trust file pins.
    pub fn digest(&self) -> B256 {
        keccak256(cbor::encode(self))
    }

    /// The leader of a view: the members in an order keyed by the epoch's beacon, taken in turn.
    pub fn leader(&self, beacon: B256, epoch: Epoch, view: u32) -> Address {
        let mut order: Vec<(B256, Address)> = self
            .members()
            .map(|member| {
                let mut input = Vec::with_capacity(60);
                input.extend_from_slice(beacon.as_slice());
                input.extend_from_slice(&epoch.0.to_be_bytes());
                input.extend_from_slice(member.as_slice());
                (keccak256(input), member)
            })
            .collect();
        order.sort_unstable();
        order[view as usize % order.len()].1
    }

    /// Recovers a member's signature over a digest.
    ///
    /// # Errors
    /// [`CommitteeError::Signature`] or [`CommitteeError::Signer`] if the signer is no member.
    pub fn member_signature(
        &self,
        what: &'static str,
        digest: &B256,
        signature: &[u8],
    ) -> Result<Address, CommitteeError> {
        let signer = typed_data::recover(digest, signature)
            .map_err(|source| CommitteeError::Signature { what, source })?;
        if self.index_of(signer).is_none() {
            return Err(CommitteeError::Signer {
                what,
                signer,
                why: "which is no member of the oracle set",
            });
        }
        Ok(signer)
    }

    /// Checks that at least a quorum of distinct members signed `digest`, every signature valid, even surplus ones.
    ///
    /// # Errors
    /// [`CommitteeError`] naming the first rule that is broken.
    pub fn check_quorum(
        &self,
        what: &'static str,
        digest: &B256,
        signatures: &[Bytes],
    ) -> Result<Vec<Address>, CommitteeError> {
        let mut signers = Vec::with_capacity(signatures.len().min(self.size()));
        for signature in signatures {
            let signer = self.member_signature(what, digest, signature)?;
            if signers.contains(&signer) {
                return Err(CommitteeError::Twice(signer));
            }
            signers.push(signer);
        }
        if signers.len() < self.quorum() {
            return Err(CommitteeError::TooFew {
                needed: self.quorum(),
                actual: signers.len(),
            });
        }
        Ok(signers)
    }
}
