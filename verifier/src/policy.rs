//! The attestation policy a committee judges with; its hash, root store included, is on chain.

use alloy_primitives::{B256, keccak256};
use minicbor::{Decode, Encode};
use serde::{Deserialize, Serialize};

use crate::cbor;
use crate::ids::LatencyMs;
use crate::tpm::{PcrPolicy, RootStore, wire::HashAlgorithm};

/// What a node's machine and service must show.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Encode, Decode)]
#[serde(deny_unknown_fields)]
#[cbor(array)]
pub struct Policy {
    /// PCRs of the SHA-256 bank that every quote covers, no more and no less.
    #[n(0)]
    pub pcrs: Vec<u8>,
    /// Accepted digests over those PCRs; empty accepts any state, as long as it is quoted.
    #[n(1)]
    #[serde(default)]
    pub accepted_digests: Vec<Digest>,
    /// A probe that takes longer to its first byte is slow.
    #[n(2)]
    pub slow_after: LatencyMs,
}

/// A SHA-256 digest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, Encode, Decode)]
#[serde(transparent)]
#[cbor(transparent)]
pub struct Digest(#[cbor(n(0), with = "crate::cbor::fixed")] pub B256);

impl Policy {
    /// keccak256 over the policy and the root store it is used with.
    pub fn hash(&self, roots: &RootStore) -> B256 {
        let mut input = cbor::encode(self);
        input.extend_from_slice(roots.hash().as_ref());
        keccak256(input)
    }

    /// The part that quotes are judged by.
    pub fn pcr_policy(&self) -> PcrPolicy {
        PcrPolicy {
            bank: HashAlgorithm::Sha256,
            pcrs: self.pcrs.clone(),
            accepted_digests: self
                .accepted_digests
                .iter()
                .map(|digest| digest.0.0)
                .collect(),
        }
    }
}
