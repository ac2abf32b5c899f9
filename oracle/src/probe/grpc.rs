//! Probing over gRPC, through the call clients read with.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use alloy::primitives::B256;
use async_trait::async_trait;
use circuits::storage::SHARD_BYTES;
use daemon::tls::{BoundChannel, ConnectError, Deadlines, connect_bound};
use proto::v1;
use proto::v1::storage_node_client::StorageNodeClient;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::transport::Channel;
use tonic::{Code, Request, Status};
use tonic_prost::ProstCodec;
use verifier::LatencyMs;
use verifier::session::{self, Expected, Served, VouchedAnswer, Voucher};
use verifier::transport::{LEAVES, verify_range};

use super::{ProbeOutcome, ProbeRecord, ProbeTarget, Prober};
use crate::onchain::Endpoint;

/// `StorageNode.GetRange`, called as a stream of one answer: its headers tell the first byte from the last.
const GET_RANGE: &str = "/probity.v1.StorageNode/GetRange";

/// Most endpoints whose channels are kept.
const MAX_CHANNELS: usize = 4096;

/// Probes nodes over pinned TLS.
#[derive(Debug)]
pub struct GrpcProber {
    deadlines: Deadlines,
    channels: Mutex<HashMap<(String, B256), BoundChannel>>,
}

impl GrpcProber {
    /// A prober that waits this long for an answer.
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

    /// Channels are kept for as many endpoints as a large network has; beyond, all are opened anew.
    fn channel(&self, endpoint: &Endpoint) -> Result<BoundChannel, ConnectError> {
        let mut channels = self.channels.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (endpoint.url.clone(), endpoint.tls_key_hash);
        if let Some(channel) = channels.get(&key) {
            return Ok(channel.clone());
        }
        let channel = connect_bound(&endpoint.url, endpoint.tls_key_hash.0, self.deadlines)?;
        if channels.len() >= MAX_CHANNELS {
            channels.clear();
        }
        channels.insert(key, channel.clone());
        Ok(channel)
    }
}

/// An answer with its times.
struct Answer {
    data: Vec<u8>,
    /// Proof of a range; a whole shard needs none.
    lemmas: Vec<Vec<u8>>,
    session: Option<v1::SessionVoucher>,
    first_byte: Duration,
    elapsed: Duration,
}

/// Asks for what clients ask for, in their words: for a whole shard or for a range of it.
async fn fetch(channel: Channel, request: v1::GetRangeRequest) -> Result<Answer, Status> {
    if request.leaves as usize == LEAVES {
        whole(channel, request).await
    } else {
        range(channel, request).await
    }
}

async fn range(channel: Channel, request: v1::GetRangeRequest) -> Result<Answer, Status> {
    let started = Instant::now();
    let mut client =
        tonic::client::Grpc::new(channel).max_decoding_message_size(proto::MAX_MESSAGE_BYTES);
    client
        .ready()
        .await
        .map_err(|error| Status::unavailable(error.to_string()))?;
    let codec: ProstCodec<v1::GetRangeRequest, v1::GetRangeResponse> = ProstCodec::default();
    let mut stream = client
        .server_streaming(
            Request::new(request),
            PathAndQuery::from_static(GET_RANGE),
            codec,
        )
        .await?
        .into_inner();
    let first_byte = started.elapsed();
    let range = stream
        .message()
        .await?
        .ok_or_else(|| Status::internal("an empty answer"))?;
    Ok(Answer {
        data: range.data,
        lemmas: range.lemmas,
        session: range.session,
        first_byte,
        elapsed: started.elapsed(),
    })
}

async fn whole(channel: Channel, request: v1::GetRangeRequest) -> Result<Answer, Status> {
    let started = Instant::now();
    let mut client =
        StorageNodeClient::new(channel).max_decoding_message_size(proto::MAX_MESSAGE_BYTES);
    let request = v1::GetShardRequest {
        shard: request.shard,
        nonce: request.nonce,
    };
    let mut stream = client.get_shard(request).await?.into_inner();
    let first_byte = started.elapsed();
    let (mut data, mut session) = (Vec::with_capacity(SHARD_BYTES), None);
    while let Some(chunk) = stream.message().await? {
        // One more byte than there are makes it wrong; nobody needs the rest.
        let room = (SHARD_BYTES + 1).saturating_sub(data.len());
        data.extend(chunk.data.into_iter().take(room));
        session = session.or(chunk.session);
        if data.len() > SHARD_BYTES {
            break;
        }
    }
    Ok(Answer {
        data,
        lemmas: Vec::new(),
        session,
        first_byte,
        elapsed: started.elapsed(),
    })
}

/// Whether the node itself said no, or nothing of it was heard.
fn outcome_of(status: &Status) -> ProbeOutcome {
    match status.code() {
        Code::Unavailable | Code::DeadlineExceeded | Code::Cancelled | Code::Unknown => {
            ProbeOutcome::NoAnswer
        }
        _ => ProbeOutcome::Refused,
    }
}

#[async_trait]
impl Prober for GrpcProber {
    async fn probe(&self, target: &ProbeTarget) -> ProbeRecord {
        let BoundChannel { channel, bindings } = match self.channel(&target.endpoint) {
            Ok(bound) => bound,
            Err(error) => {
                return ProbeRecord::failed(target, ProbeOutcome::NoAnswer, error.to_string());
            }
        };
        let nonce = session::fresh_nonce();
        let blank = ProbeRecord::failed(target, ProbeOutcome::Served, "");
        let request = v1::GetRangeRequest {
            shard: Some(v1::ShardId {
                deal: target.shard.deal.0,
                slot: target.shard.slot.0.into(),
                stripe: target.shard.stripe.0,
            }),
            first_leaf: blank.first_leaf,
            leaves: blank.leaves,
            nonce: nonce.to_vec(),
        };
        let waited = tokio::time::timeout(self.deadlines.request, fetch(channel, request)).await;
        let answer = match waited {
            Ok(Ok(answer)) => answer,
            Ok(Err(status)) => {
                let detail: String = status.message().chars().take(200).collect();
                return ProbeRecord::failed(
                    target,
                    outcome_of(&status),
                    format!("{:?}: {detail}", status.code()),
                );
            }
            Err(_) => {
                return ProbeRecord::failed(target, ProbeOutcome::NoAnswer, "no answer in time");
            }
        };
        let lemmas: Result<Vec<B256>, _> = answer
            .lemmas
            .iter()
            .map(|lemma| B256::try_from(lemma.as_slice()))
            .collect();
        let Ok(lemmas) = lemmas else {
            return ProbeRecord::failed(
                target,
                ProbeOutcome::WrongBytes,
                "a proof node has not 32 bytes",
            );
        };
        let data = &answer.data;
        if let Err(error) = verify_range(
            &target.transport_root,
            target.first_leaf,
            target.leaves,
            data,
            &lemmas,
        ) {
            return ProbeRecord::failed(target, ProbeOutcome::WrongBytes, error.to_string());
        }
        let served = Served::new(
            target.transport_root,
            blank.first_leaf,
            blank.leaves,
            data,
            nonce,
        );
        let voucher = answer.session.map_or_else(Voucher::default, |it| Voucher {
            certificate: it.certificate,
            signature: it.signature,
        });
        let expected = Expected {
            context: &target.sessions,
            node: target.node,
            node_key_hash: target.node_key_hash,
        };
        let bindings = bindings.recent();
        match session::judge(&expected, &served, &bindings, &voucher) {
            Err(reject) => ProbeRecord::failed(
                target,
                ProbeOutcome::Unvouched,
                format!("{}: {reject}", reject.code()),
            ),
            Ok(session) => ProbeRecord {
                first_byte: LatencyMs(
                    u32::try_from(answer.first_byte.as_millis()).unwrap_or(u32::MAX),
                ),
                elapsed_us: u64::try_from(answer.elapsed.as_micros()).unwrap_or(u64::MAX),
                bytes: data.len() as u64,
                answer: VouchedAnswer::new(&session, served, &bindings, voucher),
                ..blank
            },
        }
    }
}

#[cfg(test)]
mod tests;
