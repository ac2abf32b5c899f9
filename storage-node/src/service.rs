//! The gRPC service: owners put shards, everybody reads them.

use std::sync::Arc;
use std::time::Duration;

use circuits::storage::SHARD_BYTES;
use proto::v1::{
    Chunk, GetNodeStatusRequest, GetRangeRequest, GetRangeResponse, GetShardRequest, NodeStatus,
    PutShardRequest, PutShardResponse, put_shard_request::Part, storage_node_server::StorageNode,
};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Request, Response, Status, Streaming, metadata::MetadataValue};
use verifier::inventory::ShardRoots;
use verifier::transport::LEAVES;
use verifier::{EvidenceReason, NodeId};

use crate::chain_view::{ChainError, ChainView, epoch_at};
use crate::shard::{CommittedShard, ShardId, SlotId};
use crate::slots::{SlotBook, SlotError};
use crate::state::{ShardRecord, State, StateError};
use crate::store::{ShardStore, StoreError};

/// Metadata key under which an error carries its reason's name.
pub const REASON_KEY: &str = "probity-reason";

/// How long a read waits for its turn.
const READ_PATIENCE: Duration = Duration::from_secs(10);

/// What a node takes on at once.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Shards received at once; each holds 2 MB.
    pub puts: usize,
    /// Reads at once; each holds 2 MB.
    pub reads: usize,
    /// Time for one whole put.
    pub put_deadline: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            puts: 8,
            reads: 32,
            put_deadline: Duration::from_secs(60),
        }
    }
}

/// The service.
pub struct NodeService {
    node: NodeId,
    chain: Arc<dyn ChainView>,
    state: State,
    store: Arc<dyn ShardStore>,
    slots: SlotBook,
    /// Rung when a shard was stored, for the loop that accepts slots.
    stored: Arc<Notify>,
    limits: Limits,
    puts: Semaphore,
    reads: Arc<Semaphore>,
}

impl NodeService {
    /// A service over the edges. `stored` is rung after every shard that was stored.
    #[must_use]
    pub fn new(
        node: NodeId,
        chain: Arc<dyn ChainView>,
        state: State,
        store: Arc<dyn ShardStore>,
        stored: Arc<Notify>,
        limits: Limits,
    ) -> Self {
        let slots = SlotBook::new(chain.clone(), state.clone(), node);
        let (puts, reads) = (
            Semaphore::new(limits.puts),
            Arc::new(Semaphore::new(limits.reads)),
        );
        Self {
            node,
            chain,
            state,
            store,
            slots,
            stored,
            limits,
            puts,
            reads,
        }
    }

    async fn put(&self, mut parts: Streaming<PutShardRequest>) -> Result<PutShardResponse, Status> {
        let Some(Part::Shard(id)) = parts.message().await?.and_then(|first| first.part) else {
            return Err(refuse(
                Code::InvalidArgument,
                EvidenceReason::Malformed,
                "a put starts with the shard's id",
            ));
        };
        let id = shard_id(Some(id))?;
        let record = self.slots.shard_for_put(id).await.map_err(slot_status)?;
        // The chain has the last word on whose the slot is, for it may have moved since we learnt of it.
        let holder = self
            .chain
            .assignments(id.slot)
            .await
            .map_err(SlotError::from)
            .map_err(slot_status)?;
        let actual = holder
            .last()
            .map_or(NodeId(0), |assignment| assignment.node);
        if actual != self.node {
            return Err(slot_status(SlotError::NotOurs {
                slot: id.slot,
                expected: self.node,
                actual,
            }));
        }
        let bytes = receive(&mut parts).await?;
        let shard = commit(bytes).await?;
        check_roots(id, &record.roots, shard.roots())?;
        if !self.is_whole(id, &record).await {
            self.store
                .put(id, Arc::new(shard))
                .await
                .map_err(store_status)?;
            self.state
                .set_stored(id, true)
                .await
                .map_err(state_status)?;
            metrics::counter!("storage_node_shards_received_total").increment(1);
        }
        self.stored.notify_one();
        let roots = record.roots;
        Ok(PutShardResponse {
            storage_root: roots.storage_root.to_vec(),
            transport_root: roots.transport_root.to_vec(),
            content_id: roots.content_id.to_vec(),
        })
    }

    /// Whether the shard is on disk and undamaged: then putting it again changes nothing.
    async fn is_whole(&self, id: ShardId, record: &ShardRecord) -> bool {
        record.stored
            && self.store.range(id, &record.roots, 0, 1).await.is_ok()
            && self.store.cell(id, &record.roots, 0).await.is_ok()
    }

    async fn stored_record(&self, id: ShardId) -> Result<ShardRecord, Status> {
        let record = self.state.shard(id).await.map_err(state_status)?;
        record
            .filter(|record| record.stored)
            .ok_or_else(|| Status::not_found(format!("this node does not store {id}")))
    }

    /// A place among the reads; waits its turn, for a while.
    async fn read_permit(&self) -> Result<OwnedSemaphorePermit, Status> {
        match tokio::time::timeout(READ_PATIENCE, self.reads.clone().acquire_owned()).await {
            Ok(Ok(permit)) => Ok(permit),
            _ => Err(Status::resource_exhausted(
                "too many reads at once; try again",
            )),
        }
    }
}

#[tonic::async_trait]
impl StorageNode for NodeService {
    async fn put_shard(
        &self,
        request: Request<Streaming<PutShardRequest>>,
    ) -> Result<Response<PutShardResponse>, Status> {
        // Waiting for a place counts: nothing is received before, so nothing is held.
        let put = async {
            let _permit = self
                .puts
                .acquire()
                .await
                .map_err(|error| internal(&error))?;
            self.put(request.into_inner()).await
        };
        match tokio::time::timeout(self.limits.put_deadline, put).await {
            Ok(done) => done.map(Response::new),
            Err(_) => Err(Status::deadline_exceeded(format!(
                "the shard was not complete after {} s",
                self.limits.put_deadline.as_secs()
            ))),
        }
    }

    async fn get_range(
        &self,
        request: Request<GetRangeRequest>,
    ) -> Result<Response<GetRangeResponse>, Status> {
        let request = request.into_inner();
        let id = shard_id(request.shard)?;
        let (first, count) = (request.first_leaf as usize, request.leaves as usize);
        if count == 0 || first >= LEAVES || count > LEAVES - first {
            let why =
                format!("leaves {first} and {count} on are no range of a shard's {LEAVES} leaves");
            return Err(refuse(
                Code::InvalidArgument,
                EvidenceReason::Malformed,
                why,
            ));
        }
        let _permit = self.read_permit().await?;
        let record = self.stored_record(id).await?;
        let range = self
            .store
            .range(id, &record.roots, first, count)
            .await
            .map_err(store_status)?;
        metrics::counter!("storage_node_bytes_served_total").increment(range.data.len() as u64);
        let lemmas = range.lemmas.iter().map(|lemma| lemma.to_vec()).collect();
        Ok(Response::new(GetRangeResponse {
            data: range.data,
            lemmas,
        }))
    }

    type GetShardStream = ReceiverStream<Result<Chunk, Status>>;

    async fn get_shard(
        &self,
        request: Request<GetShardRequest>,
    ) -> Result<Response<Self::GetShardStream>, Status> {
        let id = shard_id(request.into_inner().shard)?;
        let permit = self.read_permit().await?;
        let record = self.stored_record(id).await?;
        let whole = self
            .store
            .range(id, &record.roots, 0, LEAVES)
            .await
            .map_err(store_status)?;
        metrics::counter!("storage_node_bytes_served_total").increment(whole.data.len() as u64);
        let (sender, receiver) = tokio::sync::mpsc::channel(2);
        tokio::spawn(async move {
            let _permit = permit;
            for chunk in whole.data.chunks(proto::MAX_CHUNK_BYTES / 4) {
                // A reader that went away wants no more.
                if sender
                    .send(Ok(Chunk {
                        data: chunk.to_vec(),
                    }))
                    .await
                    .is_err()
                {
                    return;
                }
            }
        });
        Ok(Response::new(ReceiverStream::new(receiver)))
    }

    async fn get_status(
        &self,
        _: Request<GetNodeStatusRequest>,
    ) -> Result<Response<NodeStatus>, Status> {
        let head = self.chain.head().await.map_err(chain_status)?;
        Ok(Response::new(NodeStatus {
            node: self.node.0,
            epoch: epoch_at(self.chain.clock(), head.latest).0,
            shards: self.state.stored_shards().await.map_err(state_status)?,
            last_proven_epoch: self
                .state
                .last_proven()
                .await
                .map_err(state_status)?
                .unwrap_or_default()
                .0,
            version: env!("CARGO_PKG_VERSION").to_owned(),
        }))
    }
}

/// Collects exactly one shard; nothing is allocated on the sender's word.
async fn receive(parts: &mut Streaming<PutShardRequest>) -> Result<Vec<u8>, Status> {
    let malformed = |why: String| refuse(Code::InvalidArgument, EvidenceReason::Malformed, why);
    let mut bytes = Vec::with_capacity(SHARD_BYTES);
    while let Some(part) = parts.message().await? {
        let Some(Part::Data(data)) = part.part else {
            return Err(malformed(
                "a put names one shard, then only data follows".to_owned(),
            ));
        };
        if data.len() > SHARD_BYTES - bytes.len() {
            return Err(malformed(format!(
                "more than the {SHARD_BYTES} bytes of a shard"
            )));
        }
        bytes.extend_from_slice(&data);
    }
    if bytes.len() == SHARD_BYTES {
        Ok(bytes)
    } else {
        Err(malformed(format!(
            "{} bytes, a shard has {SHARD_BYTES}",
            bytes.len()
        )))
    }
}

async fn commit(bytes: Vec<u8>) -> Result<CommittedShard, Status> {
    tokio::task::spawn_blocking(move || CommittedShard::new(bytes))
        .await
        .map_err(|error| internal(&error))?
        .map_err(|error| internal(&error))
}

fn check_roots(id: ShardId, published: &ShardRoots, found: &ShardRoots) -> Result<(), Status> {
    let pairs = [
        ("content id", published.content_id, found.content_id),
        (
            "transport root",
            published.transport_root,
            found.transport_root,
        ),
        ("storage root", published.storage_root, found.storage_root),
    ];
    match pairs
        .into_iter()
        .find(|(_, expected, actual)| expected != actual)
    {
        None => Ok(()),
        Some((what, expected, actual)) => {
            let why = format!("{id}: the bytes have {what} {actual}, the deal names {expected}");
            Err(refuse(
                Code::InvalidArgument,
                EvidenceReason::TransportMismatch,
                why,
            ))
        }
    }
}

fn shard_id(id: Option<proto::v1::ShardId>) -> Result<ShardId, Status> {
    let malformed = |why: String| refuse(Code::InvalidArgument, EvidenceReason::Malformed, why);
    let id = id.ok_or_else(|| malformed("the shard's id is missing".to_owned()))?;
    let slot = u16::try_from(id.slot)
        .map_err(|_| malformed(format!("slot {} is above 65535", id.slot)))?;
    Ok(SlotId::new(id.deal, slot).shard(id.stripe))
}

fn refuse(code: Code, reason: EvidenceReason, why: impl std::fmt::Display) -> Status {
    with_reason(Status::new(code, format!("{reason}: {why}")), reason)
}

fn with_reason(mut status: Status, reason: EvidenceReason) -> Status {
    status
        .metadata_mut()
        .insert(REASON_KEY, MetadataValue::from_static(reason.name()));
    status
}

fn slot_status(error: SlotError) -> Status {
    let refused = matches!(
        error,
        SlotError::NoProposal { .. } | SlotError::NotOurs { .. } | SlotError::NoSuchStripe { .. }
    );
    let status = Status::from(error);
    if refused {
        with_reason(status, EvidenceReason::NoProposal)
    } else {
        status
    }
}

fn store_status(error: StoreError) -> Status {
    match error {
        StoreError::NotFound(id) => Status::not_found(format!("this node does not store {id}")),
        StoreError::Damaged { .. } => {
            tracing::error!(%error, "a stored shard is damaged");
            metrics::counter!("storage_node_damaged_reads_total").increment(1);
            Status::data_loss(error.to_string())
        }
        StoreError::Range(_) => refuse(Code::InvalidArgument, EvidenceReason::Malformed, error),
        StoreError::Io { .. } => internal(&error),
    }
}

fn state_status(error: StateError) -> Status {
    SlotError::State(error).into()
}

fn chain_status(error: ChainError) -> Status {
    SlotError::Chain(error).into()
}

fn internal(error: &dyn std::fmt::Display) -> Status {
    tracing::error!(%error, "request failed");
    Status::internal("internal error; see the node's log")
}
