//! `status`: what the node knows of itself, from its database and the chain. Works while the daemon runs.

use daemon::exit::Failure;
use serde::Serialize;

use crate::chain_view::{ChainView, epoch_at};
use crate::config::Config;
use crate::edges::real_chain;
use crate::run::open_state;
use crate::state::{Outcome, State, StateError, TenureState};

/// Epochs shown.
const RECENT: u32 = 10;

/// A node's status.
#[derive(Clone, Debug, Serialize)]
pub struct Status {
    /// Its chain address.
    pub account: String,
    /// Its id; absent while it is not enrolled.
    pub node: Option<u64>,
    /// Where clients reach it, by the registry.
    pub url: Option<String>,
    /// Present epoch.
    pub epoch: u64,
    /// Latest block.
    pub block: u64,
    /// Shards on disk.
    pub shards: u64,
    /// Slots accepted and not dropped.
    pub slots: u64,
    /// Shards in the inventory on chain.
    pub inventory: u64,
    /// Last epoch proven in time.
    pub last_proven_epoch: Option<u64>,
    /// The last epochs, newest first.
    pub epochs: Vec<EpochStatus>,
}

/// One epoch's duty.
#[derive(Clone, Debug, Serialize)]
pub struct EpochStatus {
    /// The epoch.
    pub epoch: u64,
    /// How it ended; absent while it is open.
    pub outcome: Option<Outcome>,
    /// Receipts of oracles.
    pub receipts: u64,
    /// Its envelope.
    pub envelope: Option<String>,
    /// The transaction that submitted it on chain.
    pub submission: Option<String>,
    /// Why it ended so.
    pub detail: String,
}

/// Reads a node's status.
///
/// # Errors
/// Usage or unavailable, as configuration and chain have it.
pub async fn status(config: &Config) -> Result<Status, Failure> {
    let chain = real_chain(config).await?;
    let state = open_state(config).await?;
    let head = chain.head().await?;
    let record = chain.node().await?;
    let inventory = match &record {
        Some(record) => chain.inventory(record.node).await?.count,
        None => 0,
    };
    let damaged = |error: StateError| Failure::unavailable(error.to_string());
    let tenures = state.tenures().await.map_err(damaged)?;
    let held = tenures
        .iter()
        .filter(|tenure| tenure.state == TenureState::Accepted)
        .count();
    Ok(Status {
        account: chain.account().to_string(),
        node: record.as_ref().map(|record| record.node.0),
        url: record.map(|record| record.url),
        epoch: epoch_at(chain.clock(), head.latest).0,
        block: head.latest,
        shards: state.stored_shards().await.map_err(damaged)?,
        slots: held as u64,
        inventory,
        last_proven_epoch: state
            .last_proven()
            .await
            .map_err(damaged)?
            .map(|epoch| epoch.0),
        epochs: epochs(&state).await.map_err(damaged)?,
    })
}

async fn epochs(state: &State) -> Result<Vec<EpochStatus>, StateError> {
    let mut epochs = Vec::new();
    for (epoch, record) in state.recent_epochs(RECENT).await? {
        epochs.push(EpochStatus {
            epoch: epoch.0,
            outcome: record.outcome,
            receipts: state.receipts(epoch).await?.len() as u64,
            envelope: record.envelope_hash.map(|hash| hash.to_string()),
            submission: record.submission_tx.map(|hash| hash.to_string()),
            detail: record.detail,
        });
    }
    Ok(epochs)
}
