//! The edge to the other oracles: what one asks of another, as one trait with a gRPC implementation.

use std::sync::Arc;

use alloy::primitives::{B256, Bytes};
use async_trait::async_trait;
use verifier::committee::{Reveal, SignedCommitment, SignedCommitmentList, SignedProposal};
use verifier::evidence::Evidence;
use verifier::{Epoch, NodeId};

use crate::intake::EvidencePage;
use crate::onchain::OracleMember;

mod grpc;

pub use grpc::GrpcLinks;

/// A peer did not do as asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PeerError {
    /// It was not reached, or did not answer in time.
    #[error("not reached: {0}")]
    Unreachable(String),
    /// It refused.
    #[error("refused: {0}")]
    Refused(String),
    /// Its answer is not what it should be.
    #[error("malformed answer: {0}")]
    Malformed(String),
}

/// What a follower says to a proposal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It signs: 65 bytes over the EIP-712 `Report`.
    Signature(Bytes),
    /// It does not.
    Refusal {
        /// Why.
        reason: String,
        /// What the leader lacked.
        evidence: Vec<(NodeId, Evidence)>,
    },
}

/// Another oracle.
#[async_trait]
pub trait Peer: Send + Sync {
    /// Hands it this oracle's commitment.
    async fn commit(&self, commitment: &SignedCommitment) -> Result<(), PeerError>;
    /// Shows it a list as its leader, and gets its observation.
    async fn reveal(&self, list: &SignedCommitmentList) -> Result<Reveal, PeerError>;
    /// Proposes a report to it.
    async fn propose(&self, proposal: &SignedProposal) -> Result<Answer, PeerError>;
    /// Evidence it holds for an epoch, with receipts, after a piece it has sent before: node and envelope.
    async fn evidence(
        &self,
        epoch: Epoch,
        after: Option<(NodeId, B256)>,
    ) -> Result<EvidencePage, PeerError>;
    /// The proposal with which it came to the verdicts of an epoch's accepted report.
    async fn proposal(&self, epoch: Epoch) -> Result<SignedProposal, PeerError>;
}

/// The way to other oracles.
pub trait Links: Send + Sync + 'static {
    /// The oracle behind an entry of the set.
    fn peer(&self, member: &OracleMember) -> Arc<dyn Peer>;
}
