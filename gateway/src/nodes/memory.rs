//! Nodes in memory that can be down, lie, or be out of order for a while.

#![allow(clippy::unwrap_used)]

use std::{
    collections::{HashMap, HashSet},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use async_trait::async_trait;
use verifier::{DealId, NodeId, Slot, Stripe};

use super::{LinkError, NodeLink, ShardName};
use crate::deals::NodeAddress;

type Stored = HashMap<(NodeId, ShardName), Arc<[u8]>>;

#[derive(Default)]
pub(crate) struct MemoryNodes {
    shards: Mutex<Stored>,
    down: Mutex<HashSet<NodeId>>,
    corrupt: Mutex<HashSet<NodeId>>,
    stalled: Mutex<HashSet<NodeId>>,
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

    async fn get_shard(&self, node: &NodeAddress, name: ShardName) -> Result<Vec<u8>, LinkError> {
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
        Ok(bytes)
    }
}
