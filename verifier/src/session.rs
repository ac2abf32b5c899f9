//! Session keys: whether an answer comes from the machine whose TPM a node enrolled, over this client's own connection.
//!
//! A TPM is too slow to sign every answer. Once an epoch its node key signs a *session key*, which lives in the node's memory and
//! signs the rest. What it signs names the client's connection by its TLS channel binding (RFC 9266), so that whoever ends the
//! client's TLS connection without holding the session key has nothing to show for it:
//!
//! ```text
//! S           = CBOR ["probity-session-1", chainId, hub, node, epoch, anchor, sessionKey x ‖ y]
//! certificate = CBOR [bstr S, bstr nodeKey x ‖ y, bstr nodeSig]           nodeSig over SHA256(S)
//! R           = CBOR ["probity-response-1", SHA256(certificate), binding, transportRoot, firstLeaf, leaves, length,
//!                     BLAKE3(bytes served), nonce]
//! signature   by the session key over SHA256(R)
//! ```
//!
//! `anchor` is the hash of the epoch's first block: no certificate was made before its epoch began. `binding` is never sent: each
//! end of a connection knows its own. All signatures are P-256, 64 bytes r ‖ s with low s. Protocol: sections 1 and 9; why it is
//! so, and what it does not stop, is decision 16 in `docs/adr`.

mod chain;
mod key;
mod reject;
mod transcript;

use alloy_primitives::{Address, B256, Bytes, keccak256};
use minicbor::{Decode, Encode};

use crate::cbor;
use crate::envelope::sha256;
use crate::ids::{Epoch, NodeId};
use crate::tpm::verify_p256;

pub use chain::{ChainEvidence, ChainReject, ChainTrust, judge_chain};
pub use key::{SessionKey, fresh_nonce};
pub use reject::Reject;
pub use transcript::{
    Certification, MAX_TRANSCRIPT_BYTES, TRANSCRIPT_TAG, Transcript, VouchedAnswer,
    judge_transcript,
};

/// First item of every session statement.
pub const SESSION_TAG: &str = "probity-session-1";
/// First item of every response statement.
pub const RESPONSE_TAG: &str = "probity-response-1";
/// Largest certificate that is read, bytes. Honest ones have about 350.
pub const MAX_CERTIFICATE_BYTES: usize = 512;

/// What the node key signs once an epoch.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(array)]
pub struct SessionStatement {
    /// [`SESSION_TAG`].
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
    /// Hash of the epoch's first block.
    #[cbor(n(5), with = "crate::cbor::fixed")]
    pub anchor: B256,
    /// The session key's point, x ‖ y, 64 bytes.
    #[cbor(n(6), with = "crate::cbor::bytes")]
    pub session_key: Bytes,
}

impl SessionStatement {
    /// The bytes S.
    pub fn to_bytes(&self) -> Vec<u8> {
        cbor::encode(self)
    }

    /// What the node key signs: SHA256(S).
    pub fn signing_digest(&self) -> B256 {
        sha256(&self.to_bytes())
    }
}

/// A session key with the node key's signature.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(array)]
pub struct SessionCertificate {
    /// S.
    #[cbor(n(0), with = "crate::cbor::bytes")]
    pub statement: Bytes,
    /// The node key's point, x ‖ y, 64 bytes: the registry keeps only its hash.
    #[cbor(n(1), with = "crate::cbor::bytes")]
    pub node_key: Bytes,
    /// The node key's signature over SHA256(S), 64 bytes.
    #[cbor(n(2), with = "crate::cbor::bytes")]
    pub node_signature: Bytes,
}

impl SessionCertificate {
    /// The bytes that travel and that responses name.
    pub fn to_bytes(&self) -> Vec<u8> {
        cbor::encode(self)
    }
}

/// What was asked for and what came, as the client knows it without believing anybody.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(array)]
pub struct Served {
    /// Transport root of the shard in its deal.
    #[cbor(n(0), with = "crate::cbor::fixed")]
    pub transport_root: B256,
    /// First transport leaf.
    #[n(1)]
    pub first_leaf: u32,
    /// Number of leaves; 256 for a whole shard.
    #[n(2)]
    pub leaves: u32,
    /// Bytes that came.
    #[n(3)]
    pub length: u64,
    /// BLAKE3 of the bytes that came.
    #[cbor(n(4), with = "crate::cbor::fixed")]
    pub content: B256,
    /// The client's random number in its request.
    #[cbor(n(5), with = "crate::cbor::fixed")]
    pub nonce: B256,
}

impl Served {
    /// Of the bytes themselves.
    pub fn new(
        transport_root: B256,
        first_leaf: u32,
        leaves: u32,
        bytes: &[u8],
        nonce: B256,
    ) -> Self {
        Self {
            transport_root,
            first_leaf,
            leaves,
            length: bytes.len() as u64,
            content: B256::new(*blake3::hash(bytes).as_bytes()),
            nonce,
        }
    }

    /// SHA256(R): what the session key signs about this answer over one connection.
    pub fn signing_digest(&self, certificate_hash: B256, binding: &[u8; 32]) -> B256 {
        sha256(&self.statement(certificate_hash, binding))
    }

    /// The bytes R.
    fn statement(&self, certificate_hash: B256, binding: &[u8; 32]) -> Vec<u8> {
        cbor::encode(&ResponseStatement {
            tag: RESPONSE_TAG.into(),
            certificate_hash,
            binding: B256::new(*binding),
            transport_root: self.transport_root,
            first_leaf: self.first_leaf,
            leaves: self.leaves,
            length: self.length,
            content: self.content,
            nonce: self.nonce,
        })
    }
}

/// R. It never travels: both sides know each field.
#[derive(Encode)]
#[cbor(array)]
struct ResponseStatement {
    #[n(0)]
    tag: String,
    #[cbor(n(1), with = "crate::cbor::fixed")]
    certificate_hash: B256,
    #[cbor(n(2), with = "crate::cbor::fixed")]
    binding: B256,
    #[cbor(n(3), with = "crate::cbor::fixed")]
    transport_root: B256,
    #[n(4)]
    first_leaf: u32,
    #[n(5)]
    leaves: u32,
    #[n(6)]
    length: u64,
    #[cbor(n(7), with = "crate::cbor::fixed")]
    content: B256,
    #[cbor(n(8), with = "crate::cbor::fixed")]
    nonce: B256,
}

/// The first block of an epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Anchor {
    /// The epoch.
    pub epoch: Epoch,
    /// Hash of its first block.
    pub hash: B256,
}

/// Where and when sessions are judged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionContext {
    /// EIP-155 chain id.
    pub chain_id: u64,
    /// The report hub.
    pub hub: Address,
    /// Epochs whose sessions are accepted: the present one and the one before it, for a TPM may be busy when an epoch begins.
    pub anchors: Vec<Anchor>,
}

/// Whose session is expected.
#[derive(Clone, Copy, Debug)]
pub struct Expected<'a> {
    /// Where and when.
    pub context: &'a SessionContext,
    /// The node.
    pub node: NodeId,
    /// keccak256 of its node key's x ‖ y, from the registry.
    pub node_key_hash: B256,
}

/// What came with an answer to show who gave it; both empty if nothing came.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Voucher {
    /// [`SessionCertificate`] as CBOR.
    pub certificate: Vec<u8>,
    /// The session key's signature over the answer.
    pub signature: Vec<u8>,
}

/// An accepted session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// Its epoch.
    pub epoch: Epoch,
    /// SHA-256 of its certificate.
    pub certificate_hash: B256,
    /// Its key's point, x ‖ y.
    pub key: [u8; 64],
}

/// Judges a session certificate: made by the node's TPM, for this deployment, in an epoch that is accepted.
///
/// # Errors
/// In this order: [`Reject::Unsigned`], [`Reject::Malformed`], [`Reject::WrongContext`], [`Reject::Epoch`], [`Reject::Anchor`],
/// [`Reject::NodeKey`], [`Reject::CertificateSignature`], [`Reject::SessionKey`].
pub fn judge_certificate(expected: &Expected<'_>, certificate: &[u8]) -> Result<Session, Reject> {
    if certificate.is_empty() {
        return Err(Reject::Unsigned);
    }
    if certificate.len() > MAX_CERTIFICATE_BYTES {
        let actual = certificate.len();
        return Err(Reject::malformed(format!(
            "{actual} bytes, at most {MAX_CERTIFICATE_BYTES} are read"
        )));
    }
    let malformed = |error: cbor::Malformed| Reject::malformed(error.to_string());
    let opened: SessionCertificate =
        cbor::decode("session certificate", certificate).map_err(malformed)?;
    let statement: SessionStatement =
        cbor::decode("session statement", &opened.statement).map_err(malformed)?;
    if statement.tag != SESSION_TAG {
        return Err(Reject::malformed(format!(
            "the statement's tag is not {SESSION_TAG:?}"
        )));
    }
    let SessionContext {
        chain_id,
        hub,
        anchors,
    } = expected.context;
    if (statement.chain_id, statement.hub, statement.node) != (*chain_id, *hub, expected.node) {
        return Err(Reject::WrongContext {
            chain_id: statement.chain_id,
            hub: statement.hub,
            node: statement.node,
        });
    }
    let mut of_epoch = anchors.iter().filter(|it| it.epoch == statement.epoch);
    let anchor = of_epoch.next().ok_or_else(|| Reject::Epoch {
        epoch: statement.epoch,
        accepted: anchors.iter().map(|it| it.epoch).collect(),
    })?;
    if anchor.hash != statement.anchor {
        return Err(Reject::Anchor {
            epoch: statement.epoch,
            expected: anchor.hash,
            found: statement.anchor,
        });
    }
    let found = keccak256(&opened.node_key);
    if found != expected.node_key_hash {
        return Err(Reject::NodeKey {
            expected: expected.node_key_hash,
            found,
        });
    }
    let node_key: &[u8; 64] = point(&opened.node_key, "node key")?;
    verify_p256(node_key, &opened.statement, &opened.node_signature)
        .map_err(Reject::CertificateSignature)?;
    let key = *point(&statement.session_key, "session key")?;
    key::check_point(&key)?;
    Ok(Session {
        epoch: statement.epoch,
        certificate_hash: sha256(certificate),
        key,
    })
}

fn point<'a>(bytes: &'a Bytes, what: &str) -> Result<&'a [u8; 64], Reject> {
    bytes
        .as_ref()
        .try_into()
        .map_err(|_| Reject::malformed(format!("{} bytes where a {what} has 64", bytes.len())))
}

impl Session {
    /// Judges the session key's signature over an answer that came over one of these connections.
    ///
    /// `bindings` are channel bindings of connections that the client itself opened: a client that reconnects has several.
    ///
    /// # Errors
    /// [`Reject::Unbound`] without any binding; [`Reject::ResponseSignature`] if the signature holds under none of them.
    pub fn judge_response(
        &self,
        served: &Served,
        bindings: &[[u8; 32]],
        signature: &[u8],
    ) -> Result<(), Reject> {
        let mut refused = None;
        for binding in bindings {
            let statement = served.statement(self.certificate_hash, binding);
            match verify_p256(&self.key, &statement, signature) {
                Ok(()) => return Ok(()),
                Err(error) => refused = Some(error),
            }
        }
        Err(
            refused.map_or(Reject::Unbound, |source| Reject::ResponseSignature {
                connections: bindings.len(),
                source,
            }),
        )
    }
}

/// Judges what came with an answer: certificate and signature.
///
/// # Errors
/// As [`judge_certificate`] and [`Session::judge_response`].
pub fn judge(
    expected: &Expected<'_>,
    served: &Served,
    bindings: &[[u8; 32]],
    voucher: &Voucher,
) -> Result<Session, Reject> {
    let session = judge_certificate(expected, &voucher.certificate)?;
    session.judge_response(served, bindings, &voucher.signature)?;
    Ok(session)
}

#[cfg(test)]
mod tests;
