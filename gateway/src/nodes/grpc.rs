//! The real link: gRPC over TLS 1.3, pinned to the key the registry names.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use async_trait::async_trait;
use circuits::storage::SHARD_BYTES;
use daemon::tls::{self, Bindings, BoundChannel, Deadlines};
use proto::{
    MAX_CHUNK_BYTES, MAX_MESSAGE_BYTES,
    v1::{
        GetShardRequest, PutShardRequest, ShardId, put_shard_request::Part,
        storage_node_client::StorageNodeClient,
    },
};
use tonic::{Code, Status, transport::Channel};
use verifier::{
    NodeId,
    session::{Voucher, fresh_nonce},
};

use super::{Answer, CallDeadline, LinkError, NodeLink, ShardName};
use crate::deals::NodeAddress;

/// Bytes sent in one message: small enough that several shards share a connection fairly.
const SEND_CHUNK_BYTES: usize = MAX_CHUNK_BYTES / 4;

/// Channels to storage nodes, one each, opened at the first call. Callers set a deadline around each whole call.
#[derive(Default)]
pub struct GrpcLink {
    channels: Mutex<HashMap<NodeId, (NodeAddress, BoundChannel)>>,
}

impl GrpcLink {
    /// No channel is open yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn client(
        &self,
        node: &NodeAddress,
    ) -> Result<(StorageNodeClient<Channel>, Bindings), LinkError> {
        let mut channels = self.channels.lock().unwrap_or_else(PoisonError::into_inner);
        let BoundChannel { channel, bindings } = match channels.get(&node.node) {
            // The registry may have changed since.
            Some((address, channel)) if address == node => channel.clone(),
            _ => {
                let deadlines = Deadlines {
                    // The answer to a put begins only when all of the shard is there.
                    request: CallDeadline::default().of(SHARD_BYTES),
                    ..Deadlines::default()
                };
                let channel = tls::connect_bound(&node.url, node.tls_key_hash.0, deadlines)
                    .map_err(|error| LinkError::Refused(error.to_string()))?;
                channels.insert(node.node, (node.clone(), channel.clone()));
                channel
            }
        };
        let client = StorageNodeClient::new(channel).max_decoding_message_size(MAX_MESSAGE_BYTES);
        Ok((client, bindings))
    }
}

fn shard_id(name: ShardName) -> ShardId {
    ShardId {
        deal: name.deal.0,
        slot: u32::from(name.slot.0),
        stripe: name.stripe.0,
    }
}

fn link_error(status: &Status) -> LinkError {
    let text = if tls::is_wrong_key(status) {
        "the server's TLS key is not the one in the registry".to_owned()
    } else {
        format!(
            "{:?}: {}",
            status.code(),
            status.message().chars().take(300).collect::<String>()
        )
    };
    match status.code() {
        Code::InvalidArgument
        | Code::PermissionDenied
        | Code::Unauthenticated
        | Code::Unimplemented
        | Code::DataLoss => LinkError::Refused(text),
        // NOT_FOUND and FAILED_PRECONDITION too: a node a few blocks behind does not know the deal, its seal or its move yet.
        _ => LinkError::Transient(text),
    }
}

#[async_trait]
impl NodeLink for GrpcLink {
    async fn put_shard(
        &self,
        node: &NodeAddress,
        name: ShardName,
        bytes: Arc<[u8]>,
    ) -> Result<(), LinkError> {
        let (mut client, _) = self.client(node)?;
        let first = PutShardRequest {
            part: Some(Part::Shard(shard_id(name))),
        };
        let chunks = (0..bytes.len()).step_by(SEND_CHUNK_BYTES).map(move |from| {
            let to = bytes.len().min(from + SEND_CHUNK_BYTES);
            PutShardRequest {
                part: Some(Part::Data(bytes[from..to].to_vec())),
            }
        });
        let stream = tokio_stream::iter(std::iter::once(first).chain(chunks));
        match client.put_shard(stream).await {
            Ok(_) => Ok(()),
            Err(status) => Err(link_error(&status)),
        }
    }

    async fn get_shard(&self, node: &NodeAddress, name: ShardName) -> Result<Answer, LinkError> {
        let (mut client, bindings) = self.client(node)?;
        let nonce = fresh_nonce();
        let request = GetShardRequest {
            shard: Some(shard_id(name)),
            nonce: nonce.to_vec(),
        };
        let mut stream = client
            .get_shard(request)
            .await
            .map_err(|status| link_error(&status))?
            .into_inner();
        let mut bytes = Vec::with_capacity(SHARD_BYTES);
        let mut voucher = Voucher::default();
        while let Some(chunk) = stream
            .message()
            .await
            .map_err(|status| link_error(&status))?
        {
            if bytes.len() + chunk.data.len() > SHARD_BYTES {
                return Err(LinkError::Malformed(format!(
                    "more than the {SHARD_BYTES} bytes of a shard"
                )));
            }
            bytes.extend_from_slice(&chunk.data);
            if let Some(session) = chunk.session {
                voucher = Voucher {
                    certificate: session.certificate,
                    signature: session.signature,
                };
            }
        }
        if bytes.len() != SHARD_BYTES {
            return Err(LinkError::Malformed(format!(
                "{} bytes where a shard has {SHARD_BYTES}",
                bytes.len()
            )));
        }
        Ok(Answer {
            bytes,
            voucher,
            nonce,
            bindings: bindings.recent(),
        })
    }
}
