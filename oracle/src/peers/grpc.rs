//! Other oracles over gRPC with pinned TLS.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use alloy::primitives::B256;
use async_trait::async_trait;
use daemon::tls::{Deadlines, connect_pinned};
use proto::v1;
use proto::v1::committee_client::CommitteeClient;
use proto::v1::oracle_client::OracleClient;
use proto::v1::propose_response::Outcome;
use tonic::transport::Channel;
use tonic::{Code, Status};
use verifier::cbor;
use verifier::committee::{Reveal, SignedCommitment, SignedCommitmentList, SignedProposal};
use verifier::evidence::Evidence;
use verifier::{Epoch, NodeId};

use super::{Answer, Links, Peer, PeerError};
use crate::intake::EvidencePage;
use crate::onchain::OracleMember;

/// Dials oracles by the endpoints the registry has for them, and keeps the channels.
#[derive(Debug)]
pub struct GrpcLinks {
    deadlines: Deadlines,
    channels: Mutex<HashMap<(String, B256), Channel>>,
}

impl GrpcLinks {
    /// Links with these deadlines.
    #[must_use]
    pub fn new(deadlines: Deadlines) -> Self {
        Self {
            deadlines,
            channels: Mutex::default(),
        }
    }
}

impl Links for GrpcLinks {
    fn peer(&self, member: &OracleMember) -> Arc<dyn Peer> {
        let key = (member.endpoint.url.clone(), member.endpoint.tls_key_hash);
        let mut channels = self.channels.lock().unwrap_or_else(PoisonError::into_inner);
        let channel = match channels.get(&key) {
            Some(channel) => Ok(channel.clone()),
            None => connect_pinned(&key.0, key.1.0, self.deadlines)
                .inspect(|channel| {
                    channels.insert(key.clone(), channel.clone());
                })
                .map_err(|error| PeerError::Unreachable(error.to_string())),
        };
        Arc::new(GrpcPeer { channel })
    }
}

struct GrpcPeer {
    channel: Result<Channel, PeerError>,
}

impl GrpcPeer {
    fn committee(&self) -> Result<CommitteeClient<Channel>, PeerError> {
        Ok(CommitteeClient::new(self.channel.clone()?)
            .max_decoding_message_size(proto::MAX_MESSAGE_BYTES)
            .max_encoding_message_size(proto::MAX_MESSAGE_BYTES))
    }

    fn oracle(&self) -> Result<OracleClient<Channel>, PeerError> {
        Ok(OracleClient::new(self.channel.clone()?)
            .max_decoding_message_size(proto::MAX_MESSAGE_BYTES))
    }
}

fn failed(status: Status) -> PeerError {
    let message: String = status.message().chars().take(300).collect();
    match status.code() {
        Code::Unavailable | Code::DeadlineExceeded | Code::Cancelled | Code::Unknown => {
            PeerError::Unreachable(message)
        }
        _ => PeerError::Refused(message),
    }
}

fn items(
    items: Vec<v1::fetch_evidence_response::Item>,
) -> Result<Vec<(NodeId, Evidence)>, PeerError> {
    items
        .into_iter()
        .map(|item| {
            let evidence = cbor::decode("evidence", &item.evidence)
                .map_err(|error| PeerError::Malformed(error.to_string()))?;
            Ok((NodeId(item.node), evidence))
        })
        .collect()
}

#[async_trait]
impl Peer for GrpcPeer {
    async fn commit(&self, commitment: &SignedCommitment) -> Result<(), PeerError> {
        let request = v1::CommitRequest {
            commitment: cbor::encode(commitment),
        };
        self.committee()?
            .commit(request)
            .await
            .map(|_| ())
            .map_err(failed)
    }

    async fn reveal(&self, list: &SignedCommitmentList) -> Result<Reveal, PeerError> {
        let request = v1::RevealRequest {
            list: cbor::encode(list),
        };
        let answer = self
            .committee()?
            .reveal(request)
            .await
            .map_err(failed)?
            .into_inner();
        cbor::decode("reveal", &answer.reveal)
            .map_err(|error| PeerError::Malformed(error.to_string()))
    }

    async fn propose(&self, proposal: &SignedProposal) -> Result<Answer, PeerError> {
        let request = v1::ProposeRequest {
            proposal: cbor::encode(proposal),
        };
        let answer = self
            .committee()?
            .propose(request)
            .await
            .map_err(failed)?
            .into_inner();
        match answer.outcome {
            Some(Outcome::Signature(signature)) => Ok(Answer::Signature(signature.into())),
            Some(Outcome::Refusal(refusal)) => Ok(Answer::Refusal {
                reason: refusal.reason.chars().take(500).collect(),
                evidence: items(refusal.evidence)?,
            }),
            None => Err(PeerError::Malformed("neither signature nor refusal".into())),
        }
    }

    async fn evidence(
        &self,
        epoch: Epoch,
        after: Option<(NodeId, B256)>,
    ) -> Result<EvidencePage, PeerError> {
        let (after_node, after_envelope) = after
            .map(|(node, envelope)| (node.0, envelope.to_vec()))
            .unwrap_or_default();
        let request = v1::FetchEvidenceRequest {
            epoch: epoch.0,
            node: 0,
            after_node,
            after_envelope,
        };
        let answer = self
            .oracle()?
            .fetch_evidence(request)
            .await
            .map_err(failed)?
            .into_inner();
        Ok(EvidencePage {
            items: items(answer.items)?,
            more: answer.more,
        })
    }

    async fn proposal(&self, epoch: Epoch) -> Result<SignedProposal, PeerError> {
        let answer = self
            .committee()?
            .fetch_proposal(v1::FetchProposalRequest { epoch: epoch.0 })
            .await
            .map_err(failed)?
            .into_inner();
        cbor::decode("proposal", &answer.proposal)
            .map_err(|error| PeerError::Malformed(error.to_string()))
    }
}
