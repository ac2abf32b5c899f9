//! Whose memory the database is. A machine that withdrew and enrolled again has another id, and another log on chain.

use verifier::NodeId;
use verifier::committee::Deployment;

use super::{State, StateError};

/// Everything that was learnt for one node of one deployment.
const BELONGINGS: [&str; 8] = [
    "DELETE FROM receipts",
    "DELETE FROM epochs",
    "DELETE FROM inventory_log",
    "DELETE FROM chain_cursor",
    "DELETE FROM offers",
    "DELETE FROM shards",
    "DELETE FROM tenures",
    "DELETE FROM slots",
];

impl State {
    /// Binds the database to a node of a deployment. What another node, or the node of another deployment, left in it is
    /// forgotten; whether that was so is the answer. A database that is not bound yet becomes this node's as it is.
    ///
    /// # Errors
    /// [`StateError`].
    pub async fn bind_to(&self, deployment: &Deployment, node: NodeId) -> Result<bool, StateError> {
        let (chain, hub, node) = (
            deployment.chain_id.cast_signed(),
            deployment.hub.to_vec(),
            node.0.cast_signed(),
        );
        let mut tx = self.begin().await?;
        let known: Option<(i64, Vec<u8>, i64)> =
            sqlx::query_as("SELECT chain_id, hub, node FROM identity")
                .fetch_optional(&mut *tx)
                .await?;
        let present = (chain, hub, node);
        let foreign = known.is_some_and(|known| known != present);
        if foreign {
            for belongings in BELONGINGS {
                sqlx::query(belongings).execute(&mut *tx).await?;
            }
        }
        sqlx::query(
            "INSERT INTO identity (id, chain_id, hub, node) VALUES (0, ?, ?, ?)
             ON CONFLICT (id) DO UPDATE SET chain_id = excluded.chain_id, hub = excluded.hub, node = excluded.node",
        )
        .bind(present.0)
        .bind(present.1)
        .bind(present.2)
        .execute(&mut *tx)
        .await?;
        tx.commit().await?;
        Ok(foreign)
    }
}
