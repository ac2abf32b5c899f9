//! Calls that end: whatever a node or a link does, an answer or an error is there at the deadline.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use circuits::storage::SHARD_BYTES;

use super::{Answer, CallDeadline, LinkError, NodeLink, ShardName};
use crate::deals::NodeAddress;

/// A link with a deadline around each whole call.
#[derive(Clone, Copy)]
pub(crate) struct Bounded<'a> {
    link: &'a dyn NodeLink,
    deadline: CallDeadline,
}

impl<'a> Bounded<'a> {
    pub(crate) fn new(link: &'a dyn NodeLink, deadline: CallDeadline) -> Self {
        Self { link, deadline }
    }
}

async fn within<T>(
    deadline: Duration,
    what: &str,
    call: impl Future<Output = Result<T, LinkError>>,
) -> Result<T, LinkError> {
    tokio::time::timeout(deadline, call)
        .await
        .unwrap_or_else(|_| {
            Err(LinkError::Transient(format!(
                "did not {what} a shard within {:.1} s",
                deadline.as_secs_f32()
            )))
        })
}

#[async_trait]
impl NodeLink for Bounded<'_> {
    async fn put_shard(
        &self,
        node: &NodeAddress,
        name: ShardName,
        bytes: Arc<[u8]>,
    ) -> Result<(), LinkError> {
        let deadline = self.deadline.of(bytes.len());
        within(deadline, "take", self.link.put_shard(node, name, bytes)).await
    }

    async fn get_shard(&self, node: &NodeAddress, name: ShardName) -> Result<Answer, LinkError> {
        let deadline = self.deadline.of(SHARD_BYTES);
        within(deadline, "give", self.link.get_shard(node, name)).await
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::cast_possible_truncation)]

    use alloy::primitives::B256;
    use tokio::net::TcpListener;
    use verifier::{DealId, NodeId, Slot, Stripe};

    use super::*;
    use crate::nodes::grpc::GrpcLink;

    #[tokio::test]
    async fn a_node_that_takes_the_connection_and_says_nothing_is_left_at_the_deadline() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let node = NodeAddress {
            node: NodeId(1),
            url: format!("https://{}", listener.local_addr().unwrap()),
            tls_key_hash: B256::ZERO,
            node_key_hash: B256::ZERO,
        };
        let name = ShardName {
            deal: DealId(1),
            slot: Slot(0),
            stripe: Stripe(0),
        };
        let link = GrpcLink::new();
        let deadline = CallDeadline {
            floor: Duration::from_millis(200),
            bytes_per_second: u32::MAX,
        };
        let bounded = Bounded::new(&link, deadline);
        let given = bounded.get_shard(&node, name).await.unwrap_err();
        assert!(given.is_transient(), "{given}");
        assert!(given.to_string().contains("did not give"), "{given}");
        let taken = bounded.put_shard(&node, name, vec![0; 9].into()).await;
        let taken = taken.unwrap_err();
        assert!(taken.is_transient(), "{taken}");
        assert!(taken.to_string().contains("did not take"), "{taken}");
    }
}
