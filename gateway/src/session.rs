//! Whether an answer is the node's own: signed by a session of its TPM, over this gateway's connection.
//!
//! The bytes of an answer are checked against the deal anyway. This says who served them: an owner pays for storage on a machine
//! that was attested, and a node whose answers come from elsewhere does not count as a holder for the read.

use verifier::inventory::ShardRoots;
use verifier::session::{Expected, Served, SessionContext, judge};
use verifier::transport::LEAVES;

use crate::{
    deals::{DealBook, NodeAddress},
    nodes::{Answer, LinkError},
};

/// Checks who gave a whole shard, whose bytes were found to be the deal's.
///
/// Before the first epoch has begun nobody can have a session, and every answer is taken.
///
/// # Errors
/// [`LinkError::Unvouched`] with the reason; [`LinkError::Transient`] if the chain cannot be asked for the present epoch.
pub(crate) async fn check(
    deals: &dyn DealBook,
    node: &NodeAddress,
    roots: &ShardRoots,
    answer: &Answer,
) -> Result<(), LinkError> {
    let leaves = u32::try_from(LEAVES).unwrap_or(u32::MAX);
    let served = Served {
        transport_root: roots.transport_root,
        first_leaf: 0,
        leaves,
        length: answer.bytes.len() as u64,
        content: roots.content_id,
        nonce: answer.nonce,
    };
    let judge_with = |context: &SessionContext| {
        let expected = Expected {
            context,
            node: node.node,
            node_key_hash: node.node_key_hash,
        };
        judge(&expected, &served, &answer.bindings, &answer.voucher)
    };
    let context = read(deals, false).await?;
    if context.anchors.is_empty() {
        return Ok(());
    }
    match judge_with(&context) {
        // Our view of the chain may be the one that is behind.
        Err(reject) if reject.hangs_on_the_chain() => judge_with(&read(deals, true).await?),
        judged => judged,
    }
    .map(|_| ())
    .map_err(|reject| LinkError::Unvouched { reject })
}

async fn read(deals: &dyn DealBook, fresh: bool) -> Result<SessionContext, LinkError> {
    deals.session_context(fresh).await.map_err(|error| {
        LinkError::Transient(format!("whose answer it is could not be checked: {error}"))
    })
}
