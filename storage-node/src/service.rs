//! The gRPC service: owners put shards, everybody reads them.

use std::sync::Arc;
use std::time::Duration;

use alloy::primitives::B256;
use circuits::storage::SHARD_BYTES;
use daemon::tls::{ChannelBinding, Peer};
use proto::v1::{
    GetNodeStatusRequest, GetRangeRequest, GetRangeResponse, GetShardRequest, NodeStatus,
    PutShardRequest, PutShardResponse, SessionVoucher, ShardChunk, put_shard_request::Part,
    storage_node_server::StorageNode,
};
use tokio::sync::{AcquireError, Notify, Semaphore, SemaphorePermit, mpsc};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Request, Response, Status, Streaming, metadata::MetadataValue};
use verifier::inventory::ShardRoots;
use verifier::session::Served;
use verifier::transport::LEAVES;
use verifier::{Epoch, EvidenceReason, NodeId};

use crate::acceptance::{Acceptance, Refused};
use crate::chain_view::{Assignment, ChainError, ChainView, DealTerms, epoch_at};
use crate::reclaim::{ReclaimError, Reclaimer};
use crate::sessions::Sessions;
use crate::shard::{CommittedShard, ShardId, SlotId};
use crate::slots::{SlotBook, SlotError};
use crate::state::{ShardRecord, State, StateError, TenureState};
use crate::store::{FILE_BYTES, ShardStore, StoreError};

/// Metadata key under which an error carries its reason's name.
pub const REASON_KEY: &str = "probity-reason";

/// How long a read waits for its turn.
const READ_PATIENCE: Duration = Duration::from_secs(10);

/// How long the other side of a stream may be silent, or not listen.
const IDLE: Duration = Duration::from_secs(10);

/// First and number, as a whole shard's range.
#[expect(clippy::cast_possible_truncation, reason = "256")]
const ALL_LEAVES: (u32, u32) = (0, LEAVES as u32);

/// Puts whose offer is looked up on chain at once, for each that is received at once.
const LOOKUPS: usize = 4;

/// What a node takes on at once.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Shards received at once; each holds 2 MB.
    pub puts: usize,
    /// Whole shards sent at once, and as many ranges beside them; each holds 2 MB.
    pub reads: usize,
    /// Time for one whole put, or for one whole shard to be sent.
    pub deadline: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            puts: 8,
            reads: 32,
            deadline: Duration::from_secs(60),
        }
    }
}

/// What a node takes on, and how much of it at once.
#[derive(Clone, Copy, Debug)]
pub struct Conditions {
    /// At once.
    pub limits: Limits,
    /// At all.
    pub acceptance: Acceptance,
    /// Shards an inventory holds.
    pub capacity: u64,
}

/// The service.
pub struct NodeService {
    node: NodeId,
    chain: Arc<dyn ChainView>,
    state: State,
    store: Arc<dyn ShardStore>,
    slots: SlotBook,
    reclaimer: Reclaimer,
    sessions: Sessions,
    /// Rung when a shard was stored, for the loop that accepts slots.
    stored: Arc<Notify>,
    conditions: Conditions,
    lookups: Semaphore,
    puts: Semaphore,
    /// Whole shards, sent at the reader's pace.
    sends: Arc<Semaphore>,
    /// Ranges, which are what the oracles probe: no reader of whole shards is in their way.
    ranges: Semaphore,
}

impl NodeService {
    /// A service over the edges. `stored` is rung after every shard that was stored; what is served is signed with `sessions`.
    #[must_use]
    pub fn new(
        node: NodeId,
        chain: Arc<dyn ChainView>,
        state: State,
        store: Arc<dyn ShardStore>,
        sessions: Sessions,
        stored: Arc<Notify>,
        conditions: Conditions,
    ) -> Self {
        let slots = SlotBook::new(chain.clone(), state.clone(), node);
        let reclaimer = Reclaimer::new(state.clone(), store.clone());
        let Limits { puts, reads, .. } = conditions.limits;
        Self {
            node,
            chain,
            state,
            store,
            slots,
            reclaimer,
            sessions,
            stored,
            conditions,
            lookups: Semaphore::new(puts.saturating_mul(LOOKUPS)),
            puts: Semaphore::new(puts),
            sends: Arc::new(Semaphore::new(reads)),
            ranges: Semaphore::new(reads),
        }
    }

    async fn put(&self, mut parts: Streaming<PutShardRequest>) -> Result<PutShardResponse, Status> {
        let Some(Part::Shard(id)) = next(&mut parts).await?.and_then(|first| first.part) else {
            return Err(refuse(
                Code::InvalidArgument,
                EvidenceReason::Malformed,
                "a put starts with the shard's id",
            ));
        };
        let id = shard_id(Some(id))?;
        let record = {
            let _turn = turn(&self.lookups).await?;
            self.admit(id).await?
        };
        // A place is for those who were asked to come: before this nothing is received, and nothing held.
        let _place = turn(&self.puts).await?;
        let bytes = receive(&mut parts).await?;
        let bytes = check_content(id, bytes, record.roots.content_id).await?;
        if !self.is_whole(id, &record).await {
            let shard = commit(id, bytes, record.roots).await?;
            self.keep(id, record.roots, shard).await?;
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

    /// The record of a shard that this node takes: its slot is this node's, and on terms the operator wants.
    async fn admit(&self, id: ShardId) -> Result<ShardRecord, Status> {
        let slot = id.slot;
        let deal = self.chain.deal(slot.deal).await.map_err(chain_status)?;
        let Some(deal) = deal.filter(|deal| deal.sealed) else {
            let hint = match deal {
                None => "",
                Some(deal) if deal.closed => " (the deal is closed)",
                Some(_) => " (the deal is not sealed)",
            };
            return Err(slot_status(SlotError::NoProposal { slot, hint }));
        };
        if slot.slot.0 >= deal.slots {
            let hint = " (the deal has fewer slots)";
            return Err(slot_status(SlotError::NoProposal { slot, hint }));
        }
        // The chain has the last word on whose the slot is, for it may have moved since we learnt of it.
        let assignments = self.chain.assignments(slot).await.map_err(chain_status)?;
        let Some(tenure) = assignments.last().filter(|last| last.node == self.node) else {
            let actual = assignments.last().map_or(NodeId(0), |last| last.node);
            let expected = self.node;
            return Err(slot_status(SlotError::NotOurs {
                slot,
                expected,
                actual,
            }));
        };
        let head = self.chain.head().await.map_err(chain_status)?;
        let epoch = epoch_at(self.chain.clock(), head.latest);
        self.weigh(&deal, tenure, epoch)
            .await?
            .map_err(|refused| slot_status(SlotError::Refused { slot, refused }))?;
        self.slots
            .note(slot, &assignments)
            .await
            .map_err(slot_status)?;
        self.slots.shard_for_put(id).await.map_err(slot_status)
    }

    /// Whether a shard of a slot is wanted. What was accepted is always taken, for it may be a lost shard that comes back.
    async fn weigh(
        &self,
        deal: &DealTerms,
        tenure: &Assignment,
        epoch: Epoch,
    ) -> Result<Result<(), Refused>, Status> {
        let Conditions {
            acceptance,
            capacity,
            ..
        } = &self.conditions;
        if tenure.from != Epoch(0) {
            let end = tenure.to;
            let over = tenure.dropped || epoch > end;
            return Ok(if over {
                Err(Refused::Over { end, epoch })
            } else {
                Ok(())
            });
        }
        if let Err(refused) = acceptance.judge(deal, epoch) {
            return Ok(Err(refused));
        }
        let held = self.chain.inventory(self.node).await;
        let held = held.map_err(chain_status)?.count;
        if let Err(refused) = Acceptance::fits(*capacity, held, deal.stripes) {
            return Ok(Err(refused));
        }
        let unaccepted = self.state.unaccepted_shards().await.map_err(state_status)?;
        let free = self.store.free_bytes().await.map_err(store_status)?;
        Ok(acceptance.room(FILE_BYTES, unaccepted.saturating_mul(FILE_BYTES), free))
    }

    /// Writes a shard, unless its slot has gone while its bytes came. Goes on to the end even if the owner hangs up: what is
    /// half noted would be neither served nor deleted.
    async fn keep(
        &self,
        id: ShardId,
        roots: ShardRoots,
        shard: CommittedShard,
    ) -> Result<(), Status> {
        let (state, store) = (self.state.clone(), self.store.clone());
        let kept = tokio::spawn(async move {
            let _guard = state.lock_slot(id.slot).await;
            let known = state.shard(id).await.map_err(state_status)?;
            let tenures = state.tenures_of(id.slot).await.map_err(state_status)?;
            let wanted = tenures
                .iter()
                .any(|tenure| matches!(tenure.state, TenureState::Offered | TenureState::Accepted));
            if !wanted || known.is_none_or(|known| known.roots != roots) {
                let (slot, hint) = (id.slot, " (it was withdrawn meanwhile)");
                return Err(slot_status(SlotError::NoProposal { slot, hint }));
            }
            store.put(id, Arc::new(shard)).await.map_err(store_status)?;
            state.set_stored(id, true).await.map_err(state_status)
        });
        kept.await.map_err(|error| internal(&error))?
    }

    /// Whether the shard is on disk and undamaged: then putting it again changes nothing.
    async fn is_whole(&self, id: ShardId, record: &ShardRecord) -> bool {
        record.stored
            && self.store.range(id, &record.roots, 0, 1).await.is_ok()
            && self.store.cell(id, &record.roots, 0).await.is_ok()
    }

    /// Signs what is about to be served, if the client asked for that.
    async fn vouch(
        &self,
        asker: Option<Asker>,
        transport_root: B256,
        (first_leaf, leaves): (u32, u32),
        data: Vec<u8>,
    ) -> Result<(Vec<u8>, Option<SessionVoucher>), Status> {
        let Some(Asker { binding, nonce }) = asker else {
            return Ok((data, None));
        };
        let (data, served) = tokio::task::spawn_blocking(move || {
            let served = Served::new(transport_root, first_leaf, leaves, &data, nonce);
            (data, served)
        })
        .await
        .map_err(|error| internal(&error))?;
        let session = self.sessions.vouch(binding, &served).await;
        Ok((data, session.map_err(|error| internal(&error))?))
    }

    async fn stored_record(&self, id: ShardId) -> Result<ShardRecord, Status> {
        let record = self.state.shard(id).await.map_err(state_status)?;
        if let Some(record) = record {
            // After the loss of the database what is asked for is looked at first.
            if record.stored || self.reclaimer.shard(id).await.map_err(reclaim_status)? {
                return Ok(record);
            }
        }
        Err(Status::not_found(format!("this node does not store {id}")))
    }
}

#[tonic::async_trait]
impl StorageNode for NodeService {
    async fn put_shard(
        &self,
        request: Request<Streaming<PutShardRequest>>,
    ) -> Result<Response<PutShardResponse>, Status> {
        let deadline = self.conditions.limits.deadline;
        // Waiting for a place counts.
        match tokio::time::timeout(deadline, self.put(request.into_inner())).await {
            Ok(done) => done.map(Response::new),
            Err(_) => Err(Status::deadline_exceeded(format!(
                "the shard was not complete after {} s",
                deadline.as_secs()
            ))),
        }
    }

    async fn get_range(
        &self,
        request: Request<GetRangeRequest>,
    ) -> Result<Response<GetRangeResponse>, Status> {
        let asked_by = Asker::of(&request, &request.get_ref().nonce)?;
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
        let _permit = patient(self.ranges.acquire()).await?;
        let record = self.stored_record(id).await?;
        let range = self
            .store
            .range(id, &record.roots, first, count)
            .await
            .map_err(store_status)?;
        metrics::counter!("storage_node_bytes_served_total").increment(range.data.len() as u64);
        let lemmas = range.lemmas.iter().map(|lemma| lemma.to_vec()).collect();
        let leaves = (request.first_leaf, request.leaves);
        let root = record.roots.transport_root;
        let (data, session) = self.vouch(asked_by, root, leaves, range.data).await?;
        Ok(Response::new(GetRangeResponse {
            data,
            lemmas,
            session,
        }))
    }

    type GetShardStream = ReceiverStream<Result<ShardChunk, Status>>;

    async fn get_shard(
        &self,
        request: Request<GetShardRequest>,
    ) -> Result<Response<Self::GetShardStream>, Status> {
        let asked_by = Asker::of(&request, &request.get_ref().nonce)?;
        let id = shard_id(request.into_inner().shard)?;
        let permit = patient(self.sends.clone().acquire_owned()).await?;
        let record = self.stored_record(id).await?;
        let whole = self
            .store
            .range(id, &record.roots, 0, LEAVES)
            .await
            .map_err(store_status)?;
        metrics::counter!("storage_node_bytes_served_total").increment(whole.data.len() as u64);
        let root = record.roots.transport_root;
        let (data, session) = self.vouch(asked_by, root, ALL_LEAVES, whole.data).await?;
        let (sender, receiver) = tokio::sync::mpsc::channel(2);
        let deadline = self.conditions.limits.deadline;
        tokio::spawn(async move {
            // A reader that does not read gives its place back, however it came by it.
            let _permit = permit;
            let _ = tokio::time::timeout(deadline, send(data, session, sender)).await;
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

/// Who wants a signed answer, and over which connection.
#[derive(Clone, Copy, Debug)]
struct Asker {
    binding: ChannelBinding,
    nonce: B256,
}

impl Asker {
    /// `None` for a client that sent no nonce. The binding is this end's own: what a client says of its connection would be
    /// what a relay wants signed.
    fn of<T>(request: &Request<T>, nonce: &[u8]) -> Result<Option<Self>, Status> {
        if nonce.is_empty() {
            return Ok(None);
        }
        let nonce = B256::try_from(nonce).map_err(|_| {
            let why = format!("a nonce has 32 bytes, not {}", nonce.len());
            refuse(Code::InvalidArgument, EvidenceReason::Malformed, why)
        })?;
        let peer = request.extensions().get::<Peer>();
        Ok(peer.map(|peer| Self {
            binding: peer.binding,
            nonce,
        }))
    }
}

/// A place among those that do something at once.
async fn turn(places: &Semaphore) -> Result<SemaphorePermit<'_>, Status> {
    places.acquire().await.map_err(|error| internal(&error))
}

/// A place among the reads; waits for it, for a while.
async fn patient<P>(place: impl Future<Output = Result<P, AcquireError>>) -> Result<P, Status> {
    match tokio::time::timeout(READ_PATIENCE, place).await {
        Ok(Ok(permit)) => Ok(permit),
        _ => Err(Status::resource_exhausted(
            "too many reads at once; try again",
        )),
    }
}

/// Sends a shard to a reader that keeps reading; what shows who sends it comes with the first chunk.
async fn send(
    data: Vec<u8>,
    mut session: Option<SessionVoucher>,
    sender: mpsc::Sender<Result<ShardChunk, Status>>,
) {
    for chunk in data.chunks(proto::MAX_CHUNK_BYTES / 4) {
        let chunk = ShardChunk {
            data: chunk.to_vec(),
            session: session.take(),
        };
        // A reader that went away wants no more.
        if sender.send_timeout(Ok(chunk), IDLE).await.is_err() {
            return;
        }
    }
}

/// The next part of a put, from a sender that keeps sending.
async fn next(parts: &mut Streaming<PutShardRequest>) -> Result<Option<PutShardRequest>, Status> {
    match tokio::time::timeout(IDLE, parts.message()).await {
        Ok(part) => part,
        Err(_) => Err(Status::deadline_exceeded(format!(
            "nothing came for {} s",
            IDLE.as_secs()
        ))),
    }
}

/// Collects exactly one shard; nothing is allocated on the sender's word.
async fn receive(parts: &mut Streaming<PutShardRequest>) -> Result<Vec<u8>, Status> {
    let malformed = |why: String| refuse(Code::InvalidArgument, EvidenceReason::Malformed, why);
    let mut bytes = Vec::with_capacity(SHARD_BYTES);
    while let Some(part) = next(parts).await? {
        let Some(Part::Data(data)) = part.part else {
            return Err(malformed(
                "a put names one shard, then only data follows".to_owned(),
            ));
        };
        if data.is_empty() {
            return Err(malformed("a part without data".to_owned()));
        }
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

/// Compares the bytes with the cheapest commitment: other ones cost a millisecond, not a proof's hashes.
async fn check_content(id: ShardId, bytes: Vec<u8>, published: B256) -> Result<Vec<u8>, Status> {
    tokio::task::spawn_blocking(move || {
        let content = B256::new(*blake3::hash(&bytes).as_bytes());
        compare(id, "content id", published, content).map(|()| bytes)
    })
    .await
    .map_err(|error| internal(&error))?
}

/// Recomputes every commitment from the bytes and compares it with the deal's.
async fn commit(
    id: ShardId,
    bytes: Vec<u8>,
    published: ShardRoots,
) -> Result<CommittedShard, Status> {
    tokio::task::spawn_blocking(move || {
        let shard = CommittedShard::new(bytes).map_err(|error| internal(&error))?;
        check_roots(id, &published, shard.roots()).map(|()| shard)
    })
    .await
    .map_err(|error| internal(&error))?
}

fn check_roots(id: ShardId, published: &ShardRoots, found: &ShardRoots) -> Result<(), Status> {
    compare(id, "content id", published.content_id, found.content_id)?;
    compare(
        id,
        "transport root",
        published.transport_root,
        found.transport_root,
    )?;
    compare(
        id,
        "storage root",
        published.storage_root,
        found.storage_root,
    )
}

fn compare(id: ShardId, what: &str, expected: B256, actual: B256) -> Result<(), Status> {
    if expected == actual {
        return Ok(());
    }
    let why = format!("{id}: the bytes have {what} {actual}, the deal names {expected}");
    Err(refuse(
        Code::InvalidArgument,
        EvidenceReason::TransportMismatch,
        why,
    ))
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

fn reclaim_status(error: ReclaimError) -> Status {
    match error {
        ReclaimError::State(error) => state_status(error),
        ReclaimError::Store(error) => store_status(error),
    }
}

fn chain_status(error: ChainError) -> Status {
    SlotError::Chain(error).into()
}

fn internal(error: &dyn std::fmt::Display) -> Status {
    tracing::error!(%error, "request failed");
    Status::internal("internal error; see the node's log")
}
