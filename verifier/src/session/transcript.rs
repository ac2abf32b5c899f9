//! One answer with all that links it to a TPM, as the client that got it keeps it for somebody else.
//!
//! ```text
//! transcript = CBOR ["probity-transcript-1", node, answer, certification]
//! ```
//!
//! Shown by it, beside a bundle of the same node and epoch that was accepted: the session key that signed this answer was vouched for by the
//! node key for that epoch, and no earlier than in it if its anchor is compared; the node key was certified by the attestation key of the same TPM, and that TPM is of a maker the auditor trusts. The channel
//! binding is the client's word: only the two ends of a connection know theirs. A client cannot make up a binding for an answer that it did not get, for the
//! session key signed it; that the machine with the TPM was at the other end of *this* connection it alone has seen.

use alloy_primitives::{B256, Bytes, keccak256};
use minicbor::{Decode, Encode};

use super::{
    Anchor, ChainEvidence, ChainReject, ChainTrust, Reject, Served, Session, SessionCertificate,
    SessionContext, SessionStatement, Voucher, judge_chain,
};
use crate::Reason;
use crate::bundle::Bundle;
use crate::cbor::{self, Malformed};
use crate::ids::NodeId;
use crate::tpm::{EkCertificate, EnrolmentRequest};
use crate::trust::Trust;

/// First item of every transcript.
pub const TRANSCRIPT_TAG: &str = "probity-transcript-1";
/// Largest transcript that is read, bytes. Honest ones have about a kilobyte.
pub const MAX_TRANSCRIPT_BYTES: usize = 8 << 10;

/// An answer whose session key's signature held when it came.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(array)]
pub struct VouchedAnswer {
    /// What was asked for and what came.
    #[n(0)]
    pub served: Served,
    /// Channel binding of the client's connection.
    #[cbor(n(1), with = "crate::cbor::fixed")]
    pub binding: B256,
    /// [`SessionCertificate`] as CBOR.
    #[cbor(n(2), with = "crate::cbor::bytes")]
    pub certificate: Bytes,
    /// The session key's signature.
    #[cbor(n(3), with = "crate::cbor::bytes")]
    pub signature: Bytes,
}

impl VouchedAnswer {
    /// An answer that `session` has vouched for over one of the client's connections; `None` if it has over none.
    pub fn new(
        session: &Session,
        served: Served,
        bindings: &[[u8; 32]],
        voucher: Voucher,
    ) -> Option<Self> {
        let held = |binding: &&[u8; 32]| {
            let one = std::slice::from_ref(*binding);
            session
                .judge_response(&served, one, &voucher.signature)
                .is_ok()
        };
        let binding = bindings.iter().find(held)?;
        Some(Self {
            served,
            binding: B256::new(*binding),
            certificate: voucher.certificate.into(),
            signature: voucher.signature.into(),
        })
    }

    /// What the node key signed about the session.
    ///
    /// # Errors
    /// [`Malformed`].
    pub fn statement(&self) -> Result<SessionStatement, Malformed> {
        cbor::decode("session statement", &self.opened()?.statement)
    }

    /// keccak256 of the node key that signed it.
    ///
    /// # Errors
    /// [`Malformed`].
    pub fn node_key_hash(&self) -> Result<B256, Malformed> {
        Ok(keccak256(self.opened()?.node_key))
    }

    fn opened(&self) -> Result<SessionCertificate, Malformed> {
        cbor::decode("session certificate", &self.certificate)
    }
}

/// How an oracle saw the node key certified when the node enrolled.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(array)]
pub struct Certification {
    /// The oracle's random number.
    #[cbor(n(0), with = "crate::cbor::fixed")]
    pub nonce: B256,
    /// TPMS_ATTEST of type certify.
    #[cbor(n(1), with = "crate::cbor::bytes")]
    pub attest: Bytes,
    /// The attestation key's signature, 64 bytes r ‖ s.
    #[cbor(n(2), with = "crate::cbor::bytes")]
    pub signature: Bytes,
}

/// The file.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(array)]
pub struct Transcript {
    /// [`TRANSCRIPT_TAG`].
    #[n(0)]
    pub tag: String,
    /// The node that answered.
    #[n(1)]
    pub node: NodeId,
    /// Its answer.
    #[n(2)]
    pub answer: VouchedAnswer,
    /// From the node's attestation key to its node key.
    #[n(3)]
    pub certification: Certification,
}

impl Transcript {
    /// Of an answer.
    pub fn new(node: NodeId, answer: VouchedAnswer, certification: Certification) -> Self {
        Self {
            tag: TRANSCRIPT_TAG.into(),
            node,
            answer,
            certification,
        }
    }

    /// The file's bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        cbor::encode(self)
    }

    /// Decodes a transcript.
    ///
    /// # Errors
    /// [`Malformed`] for anything but canonical bytes.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Malformed> {
        let malformed = |why: String| Malformed {
            what: "transcript",
            why,
        };
        if bytes.len() > MAX_TRANSCRIPT_BYTES {
            let actual = bytes.len();
            return Err(malformed(format!(
                "{actual} bytes, at most {MAX_TRANSCRIPT_BYTES} are read"
            )));
        }
        let transcript: Self = cbor::decode("transcript", bytes)?;
        if transcript.tag == TRANSCRIPT_TAG {
            Ok(transcript)
        } else {
            Err(malformed(format!("tag {:?}", transcript.tag)))
        }
    }

    /// Judges every link from a TPM maker's root to the answer, with what the node enrolled with.
    ///
    /// # Errors
    /// [`ChainReject`], the first link that does not hold; a transcript that says to be of another node is [`Reject::WrongContext`].
    pub fn judge(
        &self,
        request: &EnrolmentRequest,
        trust: &ChainTrust<'_>,
    ) -> Result<Session, ChainReject> {
        if self.node != trust.node {
            let said = self.said()?;
            return Err(ChainReject::Session(Reject::WrongContext {
                chain_id: said.chain_id,
                hub: said.hub,
                node: self.node,
            }));
        }
        let evidence = ChainEvidence {
            request,
            oracle_nonce: &self.certification.nonce.0,
            certify_attest: &self.certification.attest,
            certify_signature: &self.certification.signature,
            voucher: &Voucher {
                certificate: self.answer.certificate.to_vec(),
                signature: self.answer.signature.to_vec(),
            },
            served: &self.answer.served,
            bindings: &[self.answer.binding.0],
        };
        judge_chain(&evidence, trust)
    }

    fn said(&self) -> Result<SessionStatement, ChainReject> {
        let malformed =
            |error: Malformed| ChainReject::Session(Reject::malformed(error.to_string()));
        self.answer.statement().map_err(malformed)
    }
}

/// Judges every link from a TPM maker's root to the answer, with the enrolment and the registry's record that an accepted `bundle` of the same
/// node and epoch holds. [`audit`](crate::bundle::audit) it first: nothing of it is judged here.
///
/// `anchor` is the hash of the epoch's first block. Without it the session's own word is taken, and nothing shows that its certificate was not made before
/// the epoch began.
///
/// Returns the session, and what the TPM's maker certified.
///
/// # Errors
/// [`ChainReject`], the first link that does not hold.
pub fn judge_transcript(
    transcript: &Transcript,
    bundle: &Bundle,
    trust: &Trust,
    anchor: Option<B256>,
) -> Result<(Session, EkCertificate), ChainReject> {
    let reason = bundle.verdict.reason;
    if matches!(
        reason,
        Reason::AttestationFailed | Reason::AttestationForged
    ) {
        return Err(ChainReject::Condemned(reason));
    }
    let anchor = match anchor {
        Some(hash) => hash,
        None => transcript.said()?.anchor,
    };
    let (deployment, record) = (&trust.deployment, &bundle.enrolment);
    let context = SessionContext {
        chain_id: deployment.chain_id,
        hub: deployment.hub,
        anchors: vec![Anchor {
            epoch: bundle.verdict.epoch,
            hash: anchor,
        }],
    };
    let enrolled = bundle.enrolled(trust).map_err(ChainReject::NotEnrolled)?;
    let judge = ChainTrust {
        roots: enrolled.policy.roots(),
        // The last second at which the enrolment could register, as the audit takes it.
        enrolled_at: record.expiry.saturating_sub(1),
        identity: &bundle.identity,
        registry: deployment.registry,
        node: bundle.verdict.node,
        context: &context,
    };
    let request = record.request(deployment, bundle.identity.account);
    let session = transcript.judge(&request, &judge)?;
    Ok((session, enrolled.facts.certificate))
}
