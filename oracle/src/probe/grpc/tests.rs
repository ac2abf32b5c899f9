//! The prober against a server over real TLS that answers as it is told.
#![allow(clippy::unwrap_used, clippy::cast_possible_truncation)]

use alloy::primitives::{Address, keccak256};
use daemon::tls::{HandshakeLimits, Peer, TlsIdentity, bound_incoming};
use p256::ecdsa::signature::hazmat::PrehashSigner;
use p256::ecdsa::{Signature, SigningKey};
use proto::v1::storage_node_server::{StorageNode, StorageNodeServer};
use tokio::net::TcpListener;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Server;
use tonic::{Response, Streaming};
use verifier::inventory::ShardKey;
use verifier::session::{
    Anchor, SESSION_TAG, SessionCertificate, SessionContext, SessionKey, SessionStatement,
};
use verifier::transport::{LEAF_BYTES, TransportTree};
use verifier::{DealId, Epoch, NodeId, Slot, Stripe};

use super::*;

const NODE: NodeId = NodeId(3);
const EPOCH: Epoch = Epoch(7);
const ANCHOR: B256 = B256::repeat_byte(0xa7);
const HUB: Address = Address::repeat_byte(0x11);

/// What the server does with its answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Manner {
    Honest,
    /// Signs nothing.
    Unsigned,
    /// Signs for another connection, as a machine does that is asked through somebody who ends TLS.
    Relayed,
    /// Signs for another request, as somebody does who kept an answer.
    Replayed,
    /// Its session began with another block.
    Early,
    /// Honest about who it is, with other bytes.
    WrongBytes,
    /// Answers ranges, which it takes for probes, and turns readers away.
    RangesOnly,
    /// Sends a byte more than a shard has.
    TooMuch,
}

struct Node {
    manner: Manner,
    shard: Vec<u8>,
    node_key: SigningKey,
}

fn shard() -> Vec<u8> {
    let mut bytes = vec![0; SHARD_BYTES];
    for (number, leaf) in bytes.chunks_mut(LEAF_BYTES).enumerate() {
        leaf.fill(number as u8);
    }
    bytes
}

fn xy(key: &SigningKey) -> [u8; 64] {
    let point = key.verifying_key().to_encoded_point(false);
    point.as_bytes()[1..].try_into().unwrap()
}

impl Node {
    fn certify(&self, key: &SessionKey) -> Vec<u8> {
        let statement = SessionStatement {
            tag: SESSION_TAG.into(),
            chain_id: 31_337,
            hub: HUB,
            node: NODE,
            epoch: EPOCH,
            anchor: if self.manner == Manner::Early {
                B256::ZERO
            } else {
                ANCHOR
            },
            session_key: key.xy().to_vec().into(),
        };
        let digest = statement.signing_digest();
        let signature: Signature = self.node_key.sign_prehash(digest.as_slice()).unwrap();
        let signature = signature.normalize_s().unwrap_or(signature);
        let (bytes, node_key) = (statement.to_bytes(), xy(&self.node_key));
        SessionCertificate::new(bytes, &node_key, &signature.to_bytes().into()).to_bytes()
    }
}

#[tonic::async_trait]
impl StorageNode for Node {
    type GetShardStream = ReceiverStream<Result<v1::ShardChunk, Status>>;

    async fn put_shard(
        &self,
        _: Request<Streaming<v1::PutShardRequest>>,
    ) -> Result<Response<v1::PutShardResponse>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn get_range(
        &self,
        request: Request<v1::GetRangeRequest>,
    ) -> Result<Response<v1::GetRangeResponse>, Status> {
        let mut binding = request.extensions().get::<Peer>().unwrap().binding.0;
        let asked = request.into_inner();
        let mut nonce = B256::from_slice(&asked.nonce);
        match self.manner {
            Manner::Relayed => binding = [0; 32],
            Manner::Replayed => nonce = B256::ZERO,
            _ => {}
        }
        let (first, count) = (asked.first_leaf as usize, asked.leaves as usize);
        let tree = TransportTree::from_shard(&self.shard).unwrap();
        let lemmas = tree.prove_range(first, count).unwrap();
        let mut data = self.shard[first * LEAF_BYTES..(first + count) * LEAF_BYTES].to_vec();
        if self.manner == Manner::WrongBytes {
            data[0] ^= 1;
        }
        let served = Served::new(tree.root(), asked.first_leaf, asked.leaves, &data, nonce);
        let key = SessionKey::generate();
        let certificate = self.certify(&key);
        let signature = key.sign(&certificate, &binding, &served).unwrap().to_vec();
        let session = v1::SessionVoucher {
            certificate,
            signature,
        };
        Ok(Response::new(v1::GetRangeResponse {
            data,
            lemmas: lemmas.iter().map(|lemma| lemma.to_vec()).collect(),
            session: (self.manner != Manner::Unsigned).then_some(session),
        }))
    }

    /// The same answer in chunks.
    async fn get_shard(
        &self,
        request: Request<v1::GetShardRequest>,
    ) -> Result<Response<Self::GetShardStream>, Status> {
        if self.manner == Manner::RangesOnly {
            return Err(Status::resource_exhausted("too many readers"));
        }
        let peer = *request.extensions().get::<Peer>().unwrap();
        let asked = request.into_inner();
        let mut request = Request::new(v1::GetRangeRequest {
            shard: asked.shard,
            first_leaf: 0,
            leaves: LEAVES as u32,
            nonce: asked.nonce,
        });
        request.extensions_mut().insert(peer);
        let answer = self.get_range(request).await?.into_inner();
        let (sender, receiver) = tokio::sync::mpsc::channel(2);
        let mut data = answer.data;
        if self.manner == Manner::TooMuch {
            data.push(0);
        }
        tokio::spawn(async move {
            for (number, chunk) in data.chunks(1 << 20).enumerate() {
                let chunk = v1::ShardChunk {
                    data: chunk.to_vec(),
                    session: answer.session.clone().filter(|_| number == 0),
                };
                if sender.send(Ok(chunk)).await.is_err() {
                    return;
                }
            }
        });
        Ok(Response::new(ReceiverStream::new(receiver)))
    }

    async fn get_status(
        &self,
        _: Request<v1::GetNodeStatusRequest>,
    ) -> Result<Response<v1::NodeStatus>, Status> {
        Err(Status::unimplemented(""))
    }
}

/// Probes a node of this manner once.
async fn probe(manner: Manner) -> ProbeRecord {
    probe_for(manner, 30, 2).await
}

async fn probe_for(manner: Manner, first_leaf: usize, leaves: usize) -> ProbeRecord {
    let folder = tempfile::tempdir().unwrap();
    let identity = TlsIdentity::load_or_create(folder.path()).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://{}", listener.local_addr().unwrap());
    let incoming = bound_incoming(listener, &identity, HandshakeLimits::default()).unwrap();
    let node_key = SigningKey::from_slice(&[5; 32]).unwrap();
    let target = ProbeTarget {
        epoch: EPOCH,
        node: NODE,
        endpoint: Endpoint {
            url,
            tls_key_hash: B256::new(identity.key_hash()),
        },
        shard: ShardKey {
            deal: DealId(1),
            slot: Slot(0),
            stripe: Stripe(0),
        },
        transport_root: TransportTree::from_shard(&shard()).unwrap().root(),
        node_key_hash: keccak256(xy(&node_key)),
        sessions: SessionContext {
            chain_id: 31_337,
            hub: HUB,
            anchors: vec![Anchor {
                epoch: EPOCH,
                hash: ANCHOR,
            }],
        },
        first_leaf,
        leaves,
    };
    let node = Node {
        manner,
        shard: shard(),
        node_key,
    };
    let server = Server::builder()
        .add_service(StorageNodeServer::new(node))
        .serve_with_incoming(incoming);
    let serving = tokio::spawn(server);
    let record = GrpcProber::new(Duration::from_secs(10))
        .probe(&target)
        .await;
    serving.abort();
    record
}

#[tokio::test]
async fn a_range_that_the_nodes_session_signed_over_this_connection_is_served() {
    let record = probe(Manner::Honest).await;
    assert_eq!(
        (record.outcome, record.bytes),
        (ProbeOutcome::Served, 2 * LEAF_BYTES as u64),
        "{}",
        record.detail
    );
    // What the oracle keeps of it shows the same to others.
    let answer = record.answer.unwrap();
    let served = &answer.served;
    assert_eq!((served.first_leaf, served.leaves), (30, 2));
    assert_eq!(answer.statement().unwrap().epoch, EPOCH);
}

#[tokio::test]
async fn right_bytes_from_somebody_elses_machine_are_not_served_and_the_record_says_why() {
    for (manner, code) in [
        (Manner::Unsigned, "SESSION_UNSIGNED"),
        (Manner::Relayed, "SESSION_RESPONSE_SIGNATURE"),
        (Manner::Replayed, "SESSION_RESPONSE_SIGNATURE"),
        (Manner::Early, "SESSION_ANCHOR"),
    ] {
        let record = probe(manner).await;
        assert_eq!(record.outcome, ProbeOutcome::Unvouched, "{manner:?}");
        assert!(
            record.detail.starts_with(&format!("{code}: ")),
            "{}",
            record.detail
        );
        assert_eq!(record.bytes, 0);
    }
}

#[tokio::test]
async fn wrong_bytes_are_wrong_whoever_signs_them() {
    assert_eq!(
        probe(Manner::WrongBytes).await.outcome,
        ProbeOutcome::WrongBytes
    );
}

#[tokio::test]
async fn a_whole_shard_is_judged_as_a_range_is_and_who_serves_ranges_only_refuses() {
    let whole = |manner| probe_for(manner, 0, LEAVES);
    let record = whole(Manner::Honest).await;
    assert_eq!(
        (record.outcome, record.bytes),
        (ProbeOutcome::Served, SHARD_BYTES as u64),
        "{}",
        record.detail
    );
    assert!(record.elapsed_us > 0);
    for (manner, outcome) in [
        (Manner::Unsigned, ProbeOutcome::Unvouched),
        (Manner::Relayed, ProbeOutcome::Unvouched),
        (Manner::WrongBytes, ProbeOutcome::WrongBytes),
        (Manner::TooMuch, ProbeOutcome::WrongBytes),
        (Manner::RangesOnly, ProbeOutcome::Refused),
    ] {
        assert_eq!(whole(manner).await.outcome, outcome, "{manner:?}");
    }
    let range = probe(Manner::RangesOnly).await;
    assert_eq!(range.outcome, ProbeOutcome::Served);
}
