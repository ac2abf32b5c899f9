//! Nodes in memory that can be down, lie, be relayed to, or be out of order for a while.

#![allow(clippy::unwrap_used)]

use std::{
    collections::{HashMap, HashSet},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
};

use alloy::primitives::{Address, B256, keccak256};
use async_trait::async_trait;
use p256::ecdsa::{Signature, SigningKey, signature::hazmat::PrehashSigner};
use verifier::session::{
    Anchor, SESSION_TAG, Served, SessionCertificate, SessionKey, SessionStatement, Voucher,
    fresh_nonce,
};
use verifier::transport::TransportTree;
use verifier::{DealId, Epoch, NodeId, Slot, Stripe};

use super::{Answer, LinkError, NodeLink, ShardName};
use crate::deals::NodeAddress;

/// Where sessions hold.
pub(crate) const CHAIN_ID: u64 = 31_337;
pub(crate) const HUB: Address = Address::repeat_byte(0x11);
/// The gateway's connection to every node.
const BINDING: [u8; 32] = [0xb1; 32];

/// The first block of an epoch.
pub(crate) fn anchor(epoch: u64) -> Anchor {
    Anchor {
        epoch: Epoch(epoch),
        hash: keccak256(epoch.to_be_bytes()),
    }
}

fn node_key(node: NodeId) -> SigningKey {
    SigningKey::from_slice(&[node.0.to_le_bytes()[0]; 32]).unwrap()
}

fn xy(key: &SigningKey) -> [u8; 64] {
    let point = key.verifying_key().to_encoded_point(false);
    point.as_bytes()[1..].try_into().unwrap()
}

/// keccak256 of a node's key, as the registry has it.
pub(crate) fn node_key_hash(node: NodeId) -> B256 {
    keccak256(xy(&node_key(node)))
}

/// A node's session certificate.
fn certify(node: NodeId, epoch: u64, key: &SessionKey) -> Vec<u8> {
    let statement = SessionStatement {
        tag: SESSION_TAG.into(),
        chain_id: CHAIN_ID,
        hub: HUB,
        node,
        epoch: Epoch(epoch),
        anchor: anchor(epoch).hash,
        session_key: key.xy().to_vec().into(),
    };
    let signer = node_key(node);
    let digest = statement.signing_digest();
    let signature: Signature = signer.sign_prehash(digest.as_slice()).unwrap();
    let signature = signature.normalize_s().unwrap_or(signature);
    SessionCertificate::new(
        statement.to_bytes(),
        &xy(&signer),
        &signature.to_bytes().into(),
    )
    .to_bytes()
}

/// What shows whose answer it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Vouching {
    /// Nothing: an old program, or somebody without the session key.
    Unsigned,
    /// Signed for the connection of somebody in between who ends TLS.
    Relayed,
    /// With a session of an epoch that is over.
    Expired,
    /// With a session that another node's TPM signed.
    Foreign,
}

type Stored = HashMap<(NodeId, ShardName), Arc<[u8]>>;

#[derive(Default)]
pub(crate) struct MemoryNodes {
    shards: Mutex<Stored>,
    down: Mutex<HashSet<NodeId>>,
    corrupt: Mutex<HashSet<NodeId>>,
    stalled: Mutex<HashSet<NodeId>>,
    vouching: Mutex<HashMap<NodeId, Vouching>>,
    /// The epoch that sessions are made in.
    pub(crate) epoch: AtomicU64,
    /// Calls to nodes that never answer.
    pub(crate) stalls: AtomicUsize,
    /// Puts that still fail before they succeed again.
    pub(crate) flaky_puts: AtomicUsize,
    pub(crate) puts: AtomicUsize,
    pub(crate) gets: AtomicUsize,
}

impl MemoryNodes {
    pub(crate) fn set_down(&self, node: u64, down: bool) {
        let mut set = self.down.lock().unwrap();
        if down {
            set.insert(NodeId(node))
        } else {
            set.remove(&NodeId(node))
        };
    }

    /// From now on the node takes calls and never answers.
    pub(crate) fn set_stalled(&self, node: u64) {
        self.stalled.lock().unwrap().insert(NodeId(node));
    }

    /// From now on the node's answers are not what they should be.
    pub(crate) fn set_vouching(&self, node: u64, vouching: Vouching) {
        self.vouching.lock().unwrap().insert(NodeId(node), vouching);
    }

    fn vouch(&self, node: NodeId, bytes: &[u8], nonce: B256) -> Voucher {
        let how = self.vouching.lock().unwrap().get(&node).copied();
        let now = self.epoch.load(Ordering::SeqCst);
        let (signer, epoch, binding) = match how {
            None => (node, now, BINDING),
            Some(Vouching::Unsigned) => return Voucher::default(),
            Some(Vouching::Relayed) => (node, now, [0xb2; 32]),
            Some(Vouching::Expired) => (node, now - 2, BINDING),
            Some(Vouching::Foreign) => (NodeId(node.0 + 1), now, BINDING),
        };
        let key = SessionKey::generate();
        let certificate = certify(signer, epoch, &key);
        let root = TransportTree::from_shard(bytes).unwrap().root();
        let served = Served::new(root, 0, 256, bytes, nonce);
        let signature = key.sign(&certificate, &binding, &served).unwrap().to_vec();
        Voucher {
            certificate,
            signature,
        }
    }

    pub(crate) fn set_corrupt(&self, node: u64) {
        self.corrupt.lock().unwrap().insert(NodeId(node));
    }

    pub(crate) fn count(&self, node: u64) -> usize {
        self.shards
            .lock()
            .unwrap()
            .keys()
            .filter(|(holder, _)| holder.0 == node)
            .count()
    }

    pub(crate) fn overwrite(&self, node: u64, name: ShardName, bytes: Vec<u8>) {
        self.shards
            .lock()
            .unwrap()
            .insert((NodeId(node), name), bytes.into());
    }

    pub(crate) fn has(&self, node: NodeId, deal: DealId, slot: Slot, stripe: Stripe) -> bool {
        self.shards
            .lock()
            .unwrap()
            .contains_key(&(node, ShardName { deal, slot, stripe }))
    }

    async fn check(&self, node: NodeId) -> Result<(), LinkError> {
        if self.stalled.lock().unwrap().contains(&node) {
            self.stalls.fetch_add(1, Ordering::SeqCst);
            std::future::pending::<()>().await;
        }
        if self.down.lock().unwrap().contains(&node) {
            return Err(LinkError::Transient("connection refused".into()));
        }
        Ok(())
    }
}

#[async_trait]
impl NodeLink for MemoryNodes {
    async fn put_shard(
        &self,
        node: &NodeAddress,
        name: ShardName,
        bytes: Arc<[u8]>,
    ) -> Result<(), LinkError> {
        self.check(node.node).await?;
        if self
            .flaky_puts
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| {
                left.checked_sub(1)
            })
            .is_ok()
        {
            return Err(LinkError::Transient("not that far yet".into()));
        }
        self.puts.fetch_add(1, Ordering::SeqCst);
        self.shards.lock().unwrap().insert((node.node, name), bytes);
        Ok(())
    }

    async fn get_shard(&self, node: &NodeAddress, name: ShardName) -> Result<Answer, LinkError> {
        self.check(node.node).await?;
        self.gets.fetch_add(1, Ordering::SeqCst);
        let shards = self.shards.lock().unwrap();
        let mut bytes = shards
            .get(&(node.node, name))
            .ok_or_else(|| LinkError::Transient("no such shard".into()))?
            .to_vec();
        if self.corrupt.lock().unwrap().contains(&node.node) {
            bytes[17] ^= 1;
        }
        drop(shards);
        let nonce = fresh_nonce();
        Ok(Answer {
            voucher: self.vouch(node.node, &bytes, nonce),
            bytes,
            nonce,
            bindings: vec![BINDING],
        })
    }
}
