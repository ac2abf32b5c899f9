//! The whole chain, from a maker's root to one answer: EK → AK → node key → session key → response.

use alloy_primitives::{Address, B256};

use super::{Expected, Reject, Served, Session, SessionContext, Voucher, judge};
use crate::Reason;
use crate::bundle::enrolled::NotEnrolled;
use crate::ids::NodeId;
use crate::report::Identity;
use crate::tpm::{
    self, EnrolmentRequest, RootStore, judge_certify, judge_request, qualifying_data,
};

/// Everything that links one answer to one TPM, as bytes.
#[derive(Clone, Copy, Debug)]
pub struct ChainEvidence<'a> {
    /// What the node enrolled with.
    pub request: &'a EnrolmentRequest,
    /// Nonce of the oracle that the node key was certified for.
    pub oracle_nonce: &'a [u8; 32],
    /// TPMS_ATTEST of the certification.
    pub certify_attest: &'a [u8],
    /// The attestation key's signature over it.
    pub certify_signature: &'a [u8],
    /// What came with the answer.
    pub voucher: &'a Voucher,
    /// The answer.
    pub served: &'a Served,
    /// Channel bindings of the client's connections.
    pub bindings: &'a [[u8; 32]],
}

/// What the judge knows without the node.
#[derive(Clone, Copy, Debug)]
pub struct ChainTrust<'a> {
    /// Roots of TPM makers.
    pub roots: &'a RootStore,
    /// Time of the enrolment, Unix seconds: certificates must have been valid then.
    pub enrolled_at: u64,
    /// The registry's record. That endorsement key and attestation key live in one TPM is what the quorum that signed it saw for
    /// itself, by credential activation; no transcript shows that to somebody else.
    pub identity: &'a Identity,
    /// The registry contract.
    pub registry: Address,
    /// The node.
    pub node: NodeId,
    /// Where and when sessions count.
    pub context: &'a SessionContext,
}

/// The first link of the chain that does not hold.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChainReject {
    /// From the maker's root to the node key.
    #[error("enrolment: {0}")]
    Enrolment(#[from] tpm::Reject),
    /// No policy the auditor trusts for that time takes the machine.
    #[error("enrolment: {0}")]
    NotEnrolled(NotEnrolled),
    /// The evidence is about another machine than the registry has for the node.
    #[error("the enrolment's {what} is {found}, the registry has {expected}")]
    Identity {
        /// Which field.
        what: &'static str,
        /// In the registry.
        expected: B256,
        /// In the evidence.
        found: B256,
    },
    /// The committee's verdict on the epoch is that the machine's attestation does not hold.
    #[error("the bundle's verdict is {0}: this machine's attestation does not hold")]
    Condemned(Reason),
    /// From the node key to the answer.
    #[error("session: {0}")]
    Session(#[from] Reject),
}

impl ChainReject {
    /// Permanent name of the reason.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Enrolment(reject) => reject.code(),
            Self::NotEnrolled(NotEnrolled::Rejected(reject)) => reject.code(),
            Self::NotEnrolled(_) => "CHAIN_NOT_ENROLLED",
            Self::Identity { .. } => "CHAIN_OTHER_MACHINE",
            Self::Condemned(reason) => reason.name(),
            Self::Session(reject) => reject.code(),
        }
    }
}

/// Judges every link from a TPM maker's root to one answer.
///
/// # Errors
/// [`ChainReject`], the first link that does not hold.
///
/// Protocol: sections 1 and 5.
pub fn judge_chain(
    evidence: &ChainEvidence<'_>,
    trust: &ChainTrust<'_>,
) -> Result<Session, ChainReject> {
    let request = evidence.request;
    let facts = judge_request(request, trust.roots, trust.enrolled_at)?;
    let identity = trust.identity;
    let pairs = [
        (
            "account",
            identity.account.into_word(),
            Address::from(request.address).into_word(),
        ),
        ("hardware id", identity.hardware_id, facts.hardware_id),
        ("attestation key hash", identity.ak_hash, facts.ak_hash),
        ("node key hash", identity.node_key_hash, facts.node_key_hash),
    ];
    for (what, expected, found) in pairs {
        if expected != found {
            return Err(ChainReject::Identity {
                what,
                expected,
                found,
            });
        }
    }
    // From the judge's own side: what was certified for another registry is refused.
    let qualifying = qualifying_data(
        trust.context.chain_id,
        &trust.registry.into_array(),
        &identity.account.into_array(),
        evidence.oracle_nonce,
    );
    judge_certify(
        &facts,
        &qualifying,
        evidence.certify_attest,
        evidence.certify_signature,
    )?;
    let expected = Expected {
        context: trust.context,
        node: trust.node,
        node_key_hash: facts.node_key_hash,
    };
    Ok(judge(
        &expected,
        evidence.served,
        evidence.bindings,
        evidence.voucher,
    )?)
}
