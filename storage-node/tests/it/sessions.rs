//! Session keys of a running node: what its answers show, and to whom.
#![allow(clippy::unwrap_used, clippy::cast_possible_truncation)]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use alloy::primitives::{B256, keccak256};
use daemon::tls::{
    BoundChannel, ChannelBinding, Deadlines, HandshakeLimits, TlsIdentity, bound_incoming,
    connect_bound,
};
use proto::v1::storage_node_client::StorageNodeClient;
use proto::v1::storage_node_server::{StorageNode, StorageNodeServer};
use proto::v1::{
    GetNodeStatusRequest, GetRangeRequest, GetRangeResponse, GetShardRequest, NodeStatus,
    PutShardRequest, PutShardResponse, ShardChunk,
};
use storage_node::chain_view::ChainView;
use storage_node::evidence::NodeKeys;
use storage_node::sessions::{SessionError, SessionMaker, Sessions};
use storage_node::shard::SlotId;
use storage_node::tpm::{Attestation, Tpm, TpmError, TpmHandle, TpmIdentity};
use tokio::net::{TcpListener, TcpStream};
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::{Channel, Server};
use tonic::{Code, Request, Response, Status, Streaming};
use verifier::Epoch;
use verifier::session::{
    Anchor, Expected, Reject, Served, Session, SessionContext, Voucher, fresh_nonce, judge,
};
use zeroize::Zeroizing;

use crate::support::{
    MemoryChain, MemoryOracles, NODE, Running, SoftTpm, block_hash, deployment, id, shard_bytes,
    slot_shards,
};

const SLOT: SlotId = SlotId::new(4, 1);
/// First and number.
const RANGE: (u32, u32) = (200, 3);

/// Epochs 0 to 3, as the chain in memory begins them.
fn context(epochs: &[u64]) -> SessionContext {
    let anchor = |epoch: &u64| Anchor {
        epoch: Epoch(*epoch),
        hash: block_hash(0, epoch * 40),
    };
    SessionContext {
        chain_id: deployment().chain_id,
        hub: deployment().hub,
        anchors: epochs.iter().map(anchor).collect(),
    }
}

fn judged(served: &Served, bindings: &[[u8; 32]], voucher: &Voucher) -> Result<Session, Reject> {
    let (_, node_key_hash) = SoftTpm::key_hashes();
    let expected = Expected {
        context: &context(&[1]),
        node: NODE,
        node_key_hash,
    };
    judge(&expected, served, bindings, voucher)
}

/// What a client makes of a range that it fetches, as gateway and oracle do.
async fn read_range(url: &str, key_hash: [u8; 32]) -> Result<Session, Reject> {
    let BoundChannel { channel, bindings } =
        connect_bound(url, key_hash, Deadlines::default()).unwrap();
    let mut client =
        StorageNodeClient::new(channel).max_decoding_message_size(proto::MAX_MESSAGE_BYTES);
    let nonce = fresh_nonce();
    let request = GetRangeRequest {
        shard: Some(id(SLOT, 0)),
        first_leaf: RANGE.0,
        leaves: RANGE.1,
        nonce: nonce.to_vec(),
    };
    let answer = client.get_range(request).await.unwrap().into_inner();
    let root = slot_shards(&[1])[0].roots().transport_root;
    let served = Served::new(root, RANGE.0, RANGE.1, &answer.data, nonce);
    let voucher = answer.session.map_or_else(Voucher::default, |it| Voucher {
        certificate: it.certificate,
        signature: it.signature,
    });
    judged(&served, &bindings.recent(), &voucher)
}

/// The same with a whole shard.
async fn read_shard(url: &str, key_hash: [u8; 32]) -> Result<Session, Reject> {
    let BoundChannel { channel, bindings } =
        connect_bound(url, key_hash, Deadlines::default()).unwrap();
    let mut client =
        StorageNodeClient::new(channel).max_decoding_message_size(proto::MAX_MESSAGE_BYTES);
    let nonce = fresh_nonce();
    let request = GetShardRequest {
        shard: Some(id(SLOT, 0)),
        nonce: nonce.to_vec(),
    };
    let mut stream = client.get_shard(request).await.unwrap().into_inner();
    let (mut bytes, mut voucher) = (Vec::new(), Voucher::default());
    while let Some(chunk) = stream.message().await.unwrap() {
        bytes.extend(chunk.data);
        if let Some(session) = chunk.session {
            voucher = Voucher {
                certificate: session.certificate,
                signature: session.signature,
            };
        }
    }
    assert_eq!(bytes, shard_bytes(1));
    let root = slot_shards(&[1])[0].roots().transport_root;
    judged(
        &Served::new(root, 0, 256, &bytes, nonce),
        &bindings.recent(),
        &voucher,
    )
}

/// A running node with one shard, and the hash of its TLS key.
async fn serving() -> (Running, [u8; 32]) {
    let mut node = Running::start().await;
    let roots = *slot_shards(&[1])[0].roots();
    node.chain.offer(SLOT, NODE, &[roots]);
    node.put(id(SLOT, 0), &shard_bytes(1)).await.unwrap();
    let tls = TlsIdentity::load_or_create(&node.config.tls_dir()).unwrap();
    (node, tls.key_hash())
}

#[tokio::test]
async fn ranges_and_whole_shards_are_signed_for_the_clients_own_connection() {
    let (node, key) = serving().await;
    let url = node.config.grpc.url.clone();
    let range = read_range(&url, key).await.unwrap();
    let whole = read_shard(&url, key).await.unwrap();
    assert_eq!(range.epoch, Epoch(1));
    assert_eq!(range, whole, "one session for all answers of an epoch");
    node.stop().await;
}

#[tokio::test]
async fn a_nonce_of_another_length_is_malformed_and_without_one_nothing_is_signed() {
    let (mut node, _) = serving().await;
    let request = |nonce| GetRangeRequest {
        shard: Some(id(SLOT, 0)),
        first_leaf: 0,
        leaves: 1,
        nonce,
    };
    for length in [1, 31, 33] {
        let status = node.client.get_range(request(vec![0; length])).await;
        assert_eq!(status.unwrap_err().code(), Code::InvalidArgument);
        let shard = Some(id(SLOT, 0));
        let nonce = vec![0; length];
        let status = node
            .client
            .get_shard(GetShardRequest { shard, nonce })
            .await;
        assert_eq!(status.unwrap_err().code(), Code::InvalidArgument);
    }
    let plain = node.client.get_range(request(Vec::new())).await.unwrap();
    assert_eq!(plain.into_inner().session, None);
    node.stop().await;
}

/// Somebody in the middle with a TLS key of its own, which the registry names, and a machine elsewhere that does the work.
struct Relay {
    machine: StorageNodeClient<Channel>,
}

#[tonic::async_trait]
impl StorageNode for Relay {
    type GetShardStream = ReceiverStream<Result<ShardChunk, Status>>;

    async fn put_shard(
        &self,
        _: Request<Streaming<PutShardRequest>>,
    ) -> Result<Response<PutShardResponse>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn get_range(
        &self,
        request: Request<GetRangeRequest>,
    ) -> Result<Response<GetRangeResponse>, Status> {
        self.machine.clone().get_range(request.into_inner()).await
    }

    async fn get_shard(
        &self,
        request: Request<GetShardRequest>,
    ) -> Result<Response<Self::GetShardStream>, Status> {
        let mut machine = self.machine.clone();
        let mut stream = machine.get_shard(request.into_inner()).await?.into_inner();
        let (sender, receiver) = tokio::sync::mpsc::channel(4);
        tokio::spawn(async move {
            while let Some(chunk) = stream.message().await.transpose() {
                if sender.send(chunk).await.is_err() {
                    break;
                }
            }
        });
        Ok(Response::new(ReceiverStream::new(receiver)))
    }

    async fn get_status(
        &self,
        _: Request<GetNodeStatusRequest>,
    ) -> Result<Response<NodeStatus>, Status> {
        Err(Status::unimplemented(""))
    }
}

#[tokio::test]
async fn a_relay_that_ends_tls_passes_on_bytes_but_no_session() {
    let (node, key) = serving().await;
    let url = node.config.grpc.url.clone();
    let folder = tempfile::tempdir().unwrap();
    let identity = TlsIdentity::load_or_create(folder.path()).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let relay = format!("https://{}", listener.local_addr().unwrap());
    let machine = connect_bound(&url, key, Deadlines::default()).unwrap();
    let machine =
        StorageNodeClient::new(machine.channel).max_decoding_message_size(proto::MAX_MESSAGE_BYTES);
    let incoming = bound_incoming(listener, &identity, HandshakeLimits::default()).unwrap();
    let service = StorageNodeServer::new(Relay { machine })
        .max_encoding_message_size(proto::MAX_MESSAGE_BYTES);
    let server = Server::builder()
        .add_service(service)
        .serve_with_incoming(incoming);
    let serving = tokio::spawn(server);

    // The relay has the pinned key, the node's session vouches for the bytes, and still: not over this connection.
    for refused in [
        read_range(&relay, identity.key_hash()).await.unwrap_err(),
        read_shard(&relay, identity.key_hash()).await.unwrap_err(),
    ] {
        assert_eq!(refused.code(), "SESSION_RESPONSE_SIGNATURE", "{refused}");
    }
    // The same machine, asked directly.
    read_range(&url, key).await.unwrap();
    serving.abort();
    node.stop().await;
}

#[tokio::test]
async fn a_relay_that_forwards_tcp_forwards_the_whole_data_path_and_passes() {
    let (node, key) = serving().await;
    let machine = node.config.grpc.listen;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let relay = format!("https://{}", listener.local_addr().unwrap());
    let forwarded = Arc::new(AtomicUsize::new(0));
    let counter = forwarded.clone();
    let forwarding = tokio::spawn(async move {
        loop {
            let (mut from, _) = listener.accept().await.unwrap();
            let counter = counter.clone();
            tokio::spawn(async move {
                let mut to = TcpStream::connect(machine).await.unwrap();
                if let Ok((_, back)) = tokio::io::copy_bidirectional(&mut from, &mut to).await {
                    counter.fetch_add(back as usize, Ordering::SeqCst);
                }
            });
        }
    });
    read_range(&relay, key).await.unwrap();
    read_shard(&relay, key).await.unwrap();
    // Its connections close when their channels are dropped.
    for _ in 0..100 {
        if forwarded.load(Ordering::SeqCst) > 2_031_616 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(
        forwarded.load(Ordering::SeqCst) > 2_031_616,
        "every byte went through it"
    );
    forwarding.abort();
    node.stop().await;
}

/// A TPM that can be busy.
struct BusyTpm {
    tpm: SoftTpm,
    busy: Arc<AtomicBool>,
    signed: Arc<AtomicUsize>,
}

impl Tpm for BusyTpm {
    fn identity(&mut self) -> Result<TpmIdentity, TpmError> {
        self.tpm.identity()
    }

    fn activate(&mut self, a: &[u8], b: &[u8]) -> Result<Zeroizing<Vec<u8>>, TpmError> {
        self.tpm.activate(a, b)
    }

    fn certify_node_key(&mut self, qualifying: [u8; 32]) -> Result<Attestation, TpmError> {
        self.tpm.certify_node_key(qualifying)
    }

    fn quote(&mut self, extra: [u8; 32], pcrs: &[u8]) -> Result<Attestation, TpmError> {
        self.tpm.quote(extra, pcrs)
    }

    fn sign(&mut self, digest: [u8; 32]) -> Result<[u8; 64], TpmError> {
        while self.busy.load(Ordering::SeqCst) {
            std::thread::sleep(Duration::from_millis(5));
        }
        self.signed.fetch_add(1, Ordering::SeqCst);
        self.tpm.sign(digest)
    }
}

struct Making {
    chain: Arc<MemoryChain>,
    busy: Arc<AtomicBool>,
    signed: Arc<AtomicUsize>,
    maker: Arc<SessionMaker>,
    sessions: Sessions,
}

/// A maker of sessions over a chain in epoch 1 that waits for two blocks.
fn making() -> Making {
    let oracles = MemoryOracles::new(deployment());
    let chain = Arc::new(MemoryChain::new(oracles.committee()));
    let (busy, signed) = (Arc::new(AtomicBool::new(false)), Arc::default());
    let mut tpm = BusyTpm {
        tpm: SoftTpm::new(),
        busy: busy.clone(),
        signed: Arc::clone(&signed),
    };
    let node_key = NodeKeys::of(&tpm.identity().unwrap()).unwrap().node_key;
    assert_eq!(keccak256(node_key), SoftTpm::key_hashes().1);
    let view: Arc<dyn ChainView> = chain.clone();
    let tpm = TpmHandle::spawn(tpm).unwrap();
    let maker = Arc::new(SessionMaker::new(view, tpm, NODE, node_key, 2));
    Making {
        sessions: maker.sessions(),
        maker,
        chain,
        busy,
        signed,
    }
}

impl Making {
    /// The session that an answer is signed with now, by what a client accepts.
    async fn answer(&self, accepted: &[u64]) -> Result<Session, Reject> {
        let served = Served::new(B256::ZERO, 0, 1, b"bytes", B256::ZERO);
        let voucher = self
            .sessions
            .vouch(ChannelBinding([7; 32]), &served)
            .await
            .unwrap();
        let voucher = voucher.map_or_else(Voucher::default, |it| Voucher {
            certificate: it.certificate,
            signature: it.signature,
        });
        let expected = Expected {
            context: &context(accepted),
            node: NODE,
            node_key_hash: SoftTpm::key_hashes().1,
        };
        judge(&expected, &served, &[[7; 32]], &voucher)
    }
}

#[tokio::test]
async fn the_tpm_signs_one_session_an_epoch_once_its_first_block_has_settled() {
    let making = making();
    making.chain.go_to(1, 5);
    for _ in 0..5 {
        making.maker.round().await.unwrap();
    }
    assert_eq!(making.signed.load(Ordering::SeqCst), 1);
    let first = making.answer(&[1]).await.unwrap();
    making.chain.go_to(2, 1);
    making.maker.round().await.unwrap();
    assert_eq!(making.answer(&[1, 2]).await.unwrap(), first, "not settled");
    making.chain.go_to(2, 2);
    making.maker.round().await.unwrap();
    let second = making.answer(&[1, 2]).await.unwrap();
    assert_eq!(
        (second.epoch, making.sessions.epoch()),
        (Epoch(2), Some(Epoch(2)))
    );
    assert_ne!(second.key, first.key);
    assert_eq!(making.signed.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn while_the_tpm_is_busy_answers_are_signed_with_the_session_before() {
    let making = making();
    making.chain.go_to(1, 5);
    making.maker.round().await.unwrap();
    let first = making.answer(&[1]).await.unwrap();
    making.busy.store(true, Ordering::SeqCst);
    making.chain.go_to(2, 5);
    let maker = making.maker.clone();
    let round = tokio::spawn(async move { maker.round().await });
    let answered = tokio::time::timeout(Duration::from_secs(1), making.answer(&[1, 2])).await;
    assert_eq!(answered.expect("no read waits for the TPM").unwrap(), first);
    assert!(!round.is_finished());
    making.busy.store(false, Ordering::SeqCst);
    round.await.unwrap().unwrap();
    assert_eq!(making.answer(&[2]).await.unwrap().epoch, Epoch(2));
}

#[tokio::test]
async fn an_epoch_whose_first_block_was_reorganised_gets_another_session() {
    let making = making();
    making.chain.go_to(1, 5);
    making.maker.round().await.unwrap();
    making.answer(&[1]).await.unwrap();
    making.chain.with(|world| world.fork = 1);
    making.maker.round().await.unwrap();
    assert_eq!(
        making.answer(&[1]).await.unwrap_err().code(),
        "SESSION_ANCHOR"
    );
    making.chain.with(|world| world.fork = 0);
    making.maker.round().await.unwrap();
    making.answer(&[1]).await.unwrap();
}

#[tokio::test]
async fn a_chain_out_of_reach_leaves_the_session_that_is_there() {
    let making = making();
    making.chain.go_to(1, 5);
    making.maker.round().await.unwrap();
    making.chain.with(|world| world.unreachable = true);
    let error = making.maker.round().await.unwrap_err();
    assert!(matches!(error, SessionError::Chain(_)), "{error}");
    making.answer(&[1]).await.unwrap();
}

#[tokio::test]
async fn before_the_first_session_an_answer_waits_a_little_and_goes_unsigned() {
    let making = making();
    assert_eq!(making.answer(&[1]).await.unwrap_err(), Reject::Unsigned);
    making.chain.go_to(1, 5);
    let maker = making.maker.clone();
    let round = tokio::spawn(async move {
        tokio::time::sleep(Duration::from_millis(200)).await;
        maker.round().await
    });
    making.answer(&[1]).await.unwrap();
    round.await.unwrap().unwrap();
}
