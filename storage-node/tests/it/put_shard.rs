//! The gRPC service of a whole running node, over real TLS, with the chain in memory.
#![allow(clippy::unwrap_used, clippy::cast_possible_truncation)]

use std::time::Duration;

use alloy::primitives::B256;
use daemon::tls::{Deadlines, TlsIdentity, connect_pinned, is_wrong_key};
use proto::v1::put_shard_request::Part;
use proto::v1::storage_node_client::StorageNodeClient;
use proto::v1::{GetNodeStatusRequest, GetRangeRequest, GetShardRequest, PutShardRequest, ShardId};
use storage_node::service::REASON_KEY;
use storage_node::shard::SlotId;
use tonic::transport::Channel;
use tonic::{Code, Status};
use verifier::NodeId;
use verifier::transport::{LEAF_BYTES, verify_range};

use crate::support::{NODE, Running, id, shard_bytes, slot_shards};

const SLOT: SlotId = SlotId::new(4, 1);

fn reason(status: &Status) -> &str {
    status
        .metadata()
        .get(REASON_KEY)
        .map_or("", |value| value.to_str().unwrap())
}

#[tokio::test]
async fn a_shard_that_is_put_is_accepted_on_chain_and_served_with_proofs() {
    let mut node = Running::start().await;
    let roots = *slot_shards(&[1])[0].roots();
    node.chain.offer(SLOT, NODE, &[roots]);
    let bytes = shard_bytes(1);
    let answer = node.put(id(SLOT, 0), &bytes).await.unwrap();
    assert_eq!(answer.storage_root, roots.storage_root.to_vec());
    node.put(id(SLOT, 0), &bytes).await.unwrap();

    let shard = Some(id(SLOT, 0));
    let range = node
        .client
        .get_range(GetRangeRequest {
            shard,
            first_leaf: 200,
            leaves: 3,
            nonce: Vec::new(),
        })
        .await
        .unwrap()
        .into_inner();
    let lemmas: Vec<B256> = range
        .lemmas
        .iter()
        .map(|lemma| B256::from_slice(lemma))
        .collect();
    verify_range(&roots.transport_root, 200, 3, &range.data, &lemmas).unwrap();
    assert_eq!(range.data, bytes[200 * LEAF_BYTES..203 * LEAF_BYTES]);

    let mut stream = node
        .client
        .get_shard(GetShardRequest {
            shard,
            nonce: Vec::new(),
        })
        .await
        .unwrap()
        .into_inner();
    let mut whole = Vec::new();
    while let Some(chunk) = stream.message().await.unwrap() {
        whole.extend(chunk.data);
    }
    assert_eq!(whole, bytes);

    for _ in 0..100 {
        node.chain.mine(1);
        if node.chain.with(|world| world.is_held(SLOT, NODE)) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(
        node.chain.with(|world| world.is_held(SLOT, NODE)),
        "the slot is whole and is accepted"
    );
    let status = node
        .client
        .get_status(GetNodeStatusRequest {})
        .await
        .unwrap()
        .into_inner();
    assert_eq!((status.node, status.shards), (NODE.0, 1));
    node.stop().await;
}

#[tokio::test]
async fn a_shard_nobody_proposed_to_this_node_is_refused() {
    let mut node = Running::start().await;
    let roots = *slot_shards(&[1])[0].roots();
    let bytes = shard_bytes(1);

    let status = node
        .put(id(SlotId::new(99, 0), 0), &bytes)
        .await
        .unwrap_err();
    assert_eq!(
        (status.code(), reason(&status)),
        (Code::NotFound, "NO_PROPOSAL")
    );
    node.chain.propose(SLOT, NODE, &[roots]);
    let status = node.put(id(SLOT, 0), &bytes).await.unwrap_err();
    assert_eq!(
        (status.code(), reason(&status)),
        (Code::NotFound, "NO_PROPOSAL"),
        "not sealed"
    );
    assert!(status.message().contains("not sealed"), "{status}");
    let other = SlotId::new(5, 0);
    node.chain.offer(other, NodeId(9), &[roots]);
    let status = node.put(id(other, 0), &bytes).await.unwrap_err();
    assert_eq!(
        (status.code(), reason(&status)),
        (Code::FailedPrecondition, "NO_PROPOSAL")
    );
    let ours = SlotId::new(6, 0);
    node.chain.offer(ours, NODE, &[roots]);
    let status = node.put(id(ours, 1), &bytes).await.unwrap_err();
    assert_eq!(
        (status.code(), reason(&status)),
        (Code::NotFound, "NO_PROPOSAL"),
        "no such stripe"
    );
    let status = node
        .put(
            ShardId {
                deal: 6,
                slot: 70_000,
                stripe: 0,
            },
            &bytes,
        )
        .await
        .unwrap_err();
    assert_eq!(
        (status.code(), reason(&status)),
        (Code::InvalidArgument, "MALFORMED")
    );
    node.stop().await;
}

#[tokio::test]
async fn bytes_that_are_not_the_deals_are_refused_and_not_stored() {
    let mut node = Running::start().await;
    let roots = *slot_shards(&[1])[0].roots();
    node.chain.offer(SLOT, NODE, &[roots]);
    let mut bytes = shard_bytes(1);
    *bytes.last_mut().unwrap() ^= 1;
    let status = node.put(id(SLOT, 0), &bytes).await.unwrap_err();
    assert_eq!(
        (status.code(), reason(&status)),
        (Code::InvalidArgument, "TRANSPORT_MISMATCH"),
        "{status:?}"
    );

    for wrong in [&bytes[1..], &[&bytes[..], &[0]].concat(), &[]] {
        let status = node.put(id(SLOT, 0), wrong).await.unwrap_err();
        assert_eq!(
            (status.code(), reason(&status)),
            (Code::InvalidArgument, "MALFORMED"),
            "{} bytes",
            wrong.len()
        );
    }
    let only_data = vec![PutShardRequest {
        part: Some(Part::Data(vec![0; 10])),
    }];
    let status = node
        .client
        .put_shard(tokio_stream::iter(only_data))
        .await
        .unwrap_err();
    assert_eq!(
        (status.code(), reason(&status)),
        (Code::InvalidArgument, "MALFORMED")
    );
    let status = node
        .client
        .get_shard(GetShardRequest {
            shard: Some(id(SLOT, 0)),
            nonce: Vec::new(),
        })
        .await
        .unwrap_err();
    assert_eq!(status.code(), Code::NotFound, "nothing was stored");
    node.stop().await;
}

#[tokio::test]
async fn ranges_outside_a_shard_and_shards_not_stored_are_refused() {
    let mut node = Running::start().await;
    for (first_leaf, leaves) in [(0, 0), (256, 1), (255, 2), (u32::MAX, u32::MAX)] {
        let request = GetRangeRequest {
            shard: Some(id(SLOT, 0)),
            first_leaf,
            leaves,
            nonce: Vec::new(),
        };
        assert_eq!(
            node.client.get_range(request).await.unwrap_err().code(),
            Code::InvalidArgument
        );
    }
    let request = GetRangeRequest {
        shard: None,
        first_leaf: 0,
        leaves: 1,
        nonce: Vec::new(),
    };
    assert_eq!(
        node.client.get_range(request).await.unwrap_err().code(),
        Code::InvalidArgument
    );
    let request = GetRangeRequest {
        shard: Some(id(SLOT, 0)),
        first_leaf: 0,
        leaves: 1,
        nonce: Vec::new(),
    };
    assert_eq!(
        node.client.get_range(request).await.unwrap_err().code(),
        Code::NotFound
    );
    node.stop().await;
}

#[tokio::test]
async fn a_client_that_expects_another_tls_key_does_not_talk_to_the_node() {
    let node = Running::start().await;
    let channel = connect_pinned(&node.config.grpc.url, [7; 32], Deadlines::default()).unwrap();
    let status = StorageNodeClient::new(channel)
        .get_status(GetNodeStatusRequest {})
        .await
        .unwrap_err();
    assert!(is_wrong_key(&status), "{status:?}");
    node.stop().await;
}

#[tokio::test]
async fn the_registry_learns_where_the_node_is_served() {
    let node = Running::start().await;
    assert_eq!(
        node.chain.with(|world| world.url.clone()),
        node.config.grpc.url
    );
    assert_ne!(node.chain.with(|world| world.tls_key_hash), B256::ZERO);
    node.stop().await;
}

/// Another client of the node, on a connection of its own.
fn stranger(node: &Running) -> StorageNodeClient<Channel> {
    let key = TlsIdentity::load_or_create(&node.config.tls_dir())
        .unwrap()
        .key_hash();
    let channel = connect_pinned(&node.config.grpc.url, key, Deadlines::default()).unwrap();
    StorageNodeClient::new(channel)
}

#[tokio::test]
async fn readers_that_stall_keep_no_probe_out_and_lose_their_places() {
    let mut node = Running::start().await;
    let roots = *slot_shards(&[1])[0].roots();
    node.chain.offer(SLOT, NODE, &[roots]);
    node.put(id(SLOT, 0), &shard_bytes(1)).await.unwrap();
    // The attack: more readers than the node answers at once, none of which reads. They share a connection, the window of
    // which is full after three.
    let mut client = stranger(&node);
    let mut stalled = Vec::new();
    for _ in 0..node.config.grpc.max_reads + 3 {
        let shard = Some(id(SLOT, 0));
        let stream = client
            .get_shard(GetShardRequest {
                shard,
                nonce: Vec::new(),
            })
            .await
            .unwrap();
        stalled.push(stream.into_inner());
    }
    let request = GetRangeRequest {
        shard: Some(id(SLOT, 0)),
        first_leaf: 0,
        leaves: 1,
        nonce: Vec::new(),
    };
    let probe = tokio::time::timeout(Duration::from_secs(2), node.client.get_range(request));
    probe.await.unwrap().unwrap();
    // Their deadline is seven seconds, the patience of the one who comes after them ten.
    let shard = Some(id(SLOT, 0));
    let whole = node
        .client
        .get_shard(GetShardRequest {
            shard,
            nonce: Vec::new(),
        })
        .await;
    let mut stream = whole.unwrap().into_inner();
    let mut bytes = 0;
    while let Some(chunk) = stream.message().await.unwrap() {
        bytes += chunk.data.len();
    }
    assert_eq!(bytes, shard_bytes(1).len());
    node.stop().await;
}

#[tokio::test]
async fn puts_that_name_no_offer_or_send_nothing_hold_no_place() {
    let mut node = Running::start().await;
    let roots = *slot_shards(&[1])[0].roots();
    node.chain.offer(SLOT, NODE, &[roots]);
    // The attack: more open puts than are received at once, that never name a shard.
    let mut open = Vec::new();
    for _ in 0..3 * node.config.grpc.max_puts {
        let (sender, receiver) = tokio::sync::mpsc::channel::<PutShardRequest>(1);
        let mut client = node.client.clone();
        let stream = tokio_stream::wrappers::ReceiverStream::new(receiver);
        let put = tokio::spawn(async move { client.put_shard(stream).await });
        open.push((sender, put));
    }
    let bytes = shard_bytes(1);
    let put = node.put(id(SLOT, 0), &bytes);
    // Within the deadline of seven seconds those others have, at the end of which they would make room.
    tokio::time::timeout(Duration::from_secs(6), put)
        .await
        .unwrap()
        .unwrap();
    node.stop().await;
}

#[tokio::test]
async fn shards_of_deals_this_node_does_not_want_are_refused_before_they_are_sent() {
    let mut node = Running::start().await;
    let roots = *slot_shards(&[1])[0].roots();
    node.chain.offer(SLOT, NODE, &[roots]);
    let refused = |status: Status, code: Code, why: &str| {
        assert_eq!(status.code(), code, "{status:?}");
        assert!(status.message().contains(why), "{status:?}");
    };
    let bytes = shard_bytes(1);
    let change = |node: &Running, change: fn(&mut storage_node::chain_view::DealTerms)| {
        node.chain
            .with(|world| change(world.deals.get_mut(&SLOT.deal).unwrap()));
    };
    change(&node, |deal| deal.rate = 0);
    let status = node.put(id(SLOT, 0), &bytes).await.unwrap_err();
    refused(status, Code::FailedPrecondition, "token units");
    change(&node, |deal| (deal.rate, deal.stripes) = (1, 65));
    let status = node.put(id(SLOT, 0), &bytes).await.unwrap_err();
    refused(status, Code::ResourceExhausted, "of the 64 shards");
    change(&node, |deal| {
        (deal.stripes, deal.end) = (1, verifier::Epoch(1));
    });
    let status = node.put(id(SLOT, 0), &bytes).await.unwrap_err();
    refused(status, Code::FailedPrecondition, "last epoch");
    node.stop().await;
}
