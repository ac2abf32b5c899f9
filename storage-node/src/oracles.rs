//! The edge to the oracles: evidence goes out, signed receipts come back.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use alloy::primitives::B256;
use async_trait::async_trait;
use daemon::tls::{Deadlines, connect_pinned, is_wrong_key};
use proto::v1::oracle_client::OracleClient;
use proto::v1::{
    BeginEnrolmentRequest, BeginEnrolmentResponse, FinishEnrolmentRequest, FinishEnrolmentResponse,
    PushEvidenceRequest,
};
use tonic::transport::Channel;
use tonic::{Code, Status};
use verifier::cbor;
use verifier::evidence::{Evidence, SignedReceipt};
use verifier::{Epoch, NodeId};

use crate::chain_view::Oracle;

/// Why an oracle gave no receipt.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LinkError {
    /// It cannot be reached, or is not the one the chain names. Worth another try.
    #[error("oracle {url} cannot be reached: {why}")]
    Unreachable {
        /// Its endpoint.
        url: String,
        /// What happened.
        why: String,
    },
    /// It answered no.
    #[error("oracle {url} refuses: {why}")]
    Refused {
        /// Its endpoint.
        url: String,
        /// Its reason.
        why: String,
    },
}

/// The edge to the oracles.
#[async_trait]
pub trait OracleLink: Send + Sync {
    /// Pushes evidence to one oracle and returns its receipt, which the caller checks.
    ///
    /// # Errors
    /// [`LinkError`].
    async fn push(
        &self,
        oracle: &Oracle,
        node: NodeId,
        epoch: Epoch,
        evidence: &Evidence,
    ) -> Result<SignedReceipt, LinkError>;
}

/// Oracles over gRPC, each pinned to the TLS key the chain names.
#[derive(Debug)]
pub struct GrpcOracles {
    deadlines: Deadlines,
    /// Channels by endpoint; a channel connects again by itself.
    channels: Mutex<HashMap<(String, B256), Channel>>,
}

impl GrpcOracles {
    /// Calls that give up after `timeout`.
    #[must_use]
    pub fn new(timeout: Duration) -> Self {
        Self {
            deadlines: Deadlines {
                connect: timeout,
                request: timeout,
            },
            channels: Mutex::default(),
        }
    }

    fn client(&self, oracle: &Oracle) -> Result<OracleClient<Channel>, LinkError> {
        let key = (oracle.url.clone(), oracle.tls_key_hash);
        let mut channels = self.channels.lock().unwrap_or_else(PoisonError::into_inner);
        let channel = match channels.get(&key) {
            Some(channel) => channel.clone(),
            None => {
                let channel = connect_pinned(&oracle.url, oracle.tls_key_hash.0, self.deadlines)
                    .map_err(|error| LinkError::Unreachable {
                        url: oracle.url.clone(),
                        why: error.to_string(),
                    })?;
                channels.insert(key, channel.clone());
                channel
            }
        };
        Ok(OracleClient::new(channel)
            .max_decoding_message_size(proto::MAX_MESSAGE_BYTES)
            .max_encoding_message_size(proto::MAX_MESSAGE_BYTES))
    }

    /// Starts an enrolment with one oracle.
    ///
    /// # Errors
    /// [`LinkError`].
    pub async fn begin_enrolment(
        &self,
        oracle: &Oracle,
        request: BeginEnrolmentRequest,
    ) -> Result<BeginEnrolmentResponse, LinkError> {
        let answer = self.client(oracle)?.begin_enrolment(request).await;
        answer
            .map(tonic::Response::into_inner)
            .map_err(|status| failed(oracle, &status))
    }

    /// Ends an enrolment with one oracle.
    ///
    /// # Errors
    /// [`LinkError`].
    pub async fn finish_enrolment(
        &self,
        oracle: &Oracle,
        request: FinishEnrolmentRequest,
    ) -> Result<FinishEnrolmentResponse, LinkError> {
        let answer = self.client(oracle)?.finish_enrolment(request).await;
        answer
            .map(tonic::Response::into_inner)
            .map_err(|status| failed(oracle, &status))
    }
}

#[async_trait]
impl OracleLink for GrpcOracles {
    async fn push(
        &self,
        oracle: &Oracle,
        node: NodeId,
        epoch: Epoch,
        evidence: &Evidence,
    ) -> Result<SignedReceipt, LinkError> {
        let request = PushEvidenceRequest {
            node: node.0,
            epoch: epoch.0,
            evidence: cbor::encode(evidence),
        };
        let answer = self
            .client(oracle)?
            .push_evidence(request)
            .await
            .map_err(|status| failed(oracle, &status))?;
        cbor::decode("receipt", &answer.into_inner().receipt).map_err(|error| LinkError::Refused {
            url: oracle.url.clone(),
            why: error.to_string(),
        })
    }
}

fn failed(oracle: &Oracle, status: &Status) -> LinkError {
    let url = oracle.url.clone();
    let text = daemon::exit::chain(status);
    if is_wrong_key(status) {
        return LinkError::Unreachable {
            url,
            why: format!("it has another TLS key than the chain names: {text}"),
        };
    }
    match status.code() {
        Code::Unavailable
        | Code::DeadlineExceeded
        | Code::Cancelled
        | Code::Unknown
        | Code::ResourceExhausted => LinkError::Unreachable { url, why: text },
        _ => LinkError::Refused {
            url,
            why: status.message().to_owned(),
        },
    }
}
