//! The envelope a node makes every epoch: its statement, quoted by its TPM, signed by its node key.
//!
//! ```text
//! S        = CBOR ["probity-env-1", chainId, hub, node, epoch, root, count, SHA256(proof256), SHA256(eventLog)]
//! quote    : TPMS_ATTEST over the policy's PCRs, extraData = SHA256(S)
//! B        = CBOR [bstr S, bstr attest, bstr akSig]
//! envelope = CBOR [bstr B, bstr nodeSig]      nodeSig over SHA256(B);  envelopeHash = keccak256(B)
//! ```
//!
//! What is not in such an envelope was not received. Protocol: section 5.

use alloy_primitives::{Address, B256, Bytes, keccak256};
use minicbor::{Decode, Encode};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::cbor::{self, Malformed};
use crate::committee::Deployment;
use crate::ids::{Epoch, NodeId};

/// First item of every statement.
pub const STATEMENT_TAG: &str = "probity-env-1";

/// What a node states in an epoch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Encode, Decode)]
#[cbor(array)]
pub struct EnvelopeStatement {
    /// [`STATEMENT_TAG`].
    #[n(0)]
    pub tag: String,
    /// EIP-155 chain id.
    #[n(1)]
    pub chain_id: u64,
    /// The report hub.
    #[cbor(n(2), with = "crate::cbor::fixed")]
    pub hub: Address,
    /// The node.
    #[n(3)]
    pub node: NodeId,
    /// The epoch.
    #[n(4)]
    pub epoch: Epoch,
    /// Inventory root, 32 bytes big-endian.
    #[cbor(n(5), with = "crate::cbor::fixed")]
    pub root: B256,
    /// Shards in the inventory.
    #[n(6)]
    pub count: u64,
    /// SHA-256 of the proof's 256-byte encoding.
    #[cbor(n(7), with = "crate::cbor::fixed")]
    pub proof_hash: B256,
    /// SHA-256 of the event log, of nothing if there is none.
    #[cbor(n(8), with = "crate::cbor::fixed")]
    pub event_log_hash: B256,
}

/// What goes into a node's statement besides where and when it holds.
#[derive(Clone, Copy, Debug)]
pub struct Claim<'a> {
    /// The node.
    pub node: NodeId,
    /// The epoch.
    pub epoch: Epoch,
    /// Inventory root.
    pub root: B256,
    /// Shards in the inventory.
    pub count: u64,
    /// The storage proof, 256 bytes.
    pub proof: &'a [u8],
    /// The firmware's event log, empty if none is sent.
    pub event_log: &'a [u8],
}

/// SHA-256.
pub fn sha256(bytes: &[u8]) -> B256 {
    B256::new(Sha256::digest(bytes).into())
}

impl EnvelopeStatement {
    /// The statement a node makes.
    pub fn new(deployment: &Deployment, claim: &Claim<'_>) -> Self {
        Self {
            tag: STATEMENT_TAG.into(),
            chain_id: deployment.chain_id,
            hub: deployment.hub,
            node: claim.node,
            epoch: claim.epoch,
            root: claim.root,
            count: claim.count,
            proof_hash: sha256(claim.proof),
            event_log_hash: sha256(claim.event_log),
        }
    }

    /// The bytes S.
    pub fn to_bytes(&self) -> Vec<u8> {
        cbor::encode(self)
    }

    /// The quote's extraData: SHA256(S).
    pub fn extra_data(&self) -> B256 {
        sha256(&self.to_bytes())
    }
}

/// B: the statement with the TPM's quote over it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Encode, Decode)]
#[cbor(array)]
pub struct EnvelopeBody {
    /// S.
    #[cbor(n(0), with = "crate::cbor::bytes")]
    pub statement: Bytes,
    /// TPMS_ATTEST.
    #[cbor(n(1), with = "crate::cbor::bytes")]
    pub attest: Bytes,
    /// The attestation key's signature, 64 bytes r ‖ s, low-s.
    #[cbor(n(2), with = "crate::cbor::bytes")]
    pub ak_signature: Bytes,
}

/// The envelope: B with the node key's signature.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Encode, Decode)]
#[cbor(array)]
pub struct Envelope {
    /// B.
    #[cbor(n(0), with = "crate::cbor::bytes")]
    pub body: Bytes,
    /// The node key's signature over SHA256(B), 64 bytes r ‖ s, low-s.
    #[cbor(n(1), with = "crate::cbor::bytes")]
    pub node_signature: Bytes,
}

impl EnvelopeBody {
    /// The bytes B.
    pub fn to_bytes(&self) -> Vec<u8> {
        cbor::encode(self)
    }

    /// What the node key signs: SHA256(B).
    pub fn signing_digest(&self) -> B256 {
        sha256(&self.to_bytes())
    }
}

impl Envelope {
    /// keccak256(B): the name of the envelope everywhere. The signature is left out, for it is not unique.
    pub fn hash(&self) -> B256 {
        keccak256(&self.body)
    }

    /// Decodes body and statement.
    ///
    /// # Errors
    /// [`Malformed`] unless both are canonical.
    pub fn open(&self) -> Result<(EnvelopeBody, EnvelopeStatement), Malformed> {
        let body: EnvelopeBody = cbor::decode("envelope body", &self.body)?;
        let statement: EnvelopeStatement = cbor::decode("envelope statement", &body.statement)?;
        if statement.tag != STATEMENT_TAG {
            return Err(Malformed {
                what: "envelope statement",
                why: format!("tag {:?}", statement.tag),
            });
        }
        Ok((body, statement))
    }
}
