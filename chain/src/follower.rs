//! The contracts' events, in order, each once, and only from blocks that are final.

use alloy::{
    eips::BlockNumberOrTag,
    primitives::B256,
    providers::Provider,
    rpc::{
        client::BatchRequest,
        types::{Block, Filter, Log, TransactionReceipt},
    },
};
use serde::{Deserialize, Serialize};

use crate::{ChainError, Client, Event};

/// Blocks a single `eth_getLogs` asks for; public endpoints limit it.
const CHUNK_BLOCKS: u64 = 1_000;

/// How far a follower has come. The caller stores it with what it made of the events, in one transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cursor {
    /// First block not yet followed.
    pub next_block: u64,
    /// Hash of the block before it, if it was followed.
    pub last_hash: Option<B256>,
}

impl Client {
    /// Every event in `from..=to`, in order. The caller sees to it that `to` is final.
    ///
    /// # Errors
    /// [`ChainError`]; [`ChainError::NoSuchBlock`] if the endpoint is not at `to` yet, instead of a list that ends early.
    pub async fn events(&self, from: u64, to: u64) -> Result<Vec<Event>, ChainError> {
        let mut events = Vec::new();
        let mut start = from;
        while start <= to {
            let end = to.min(start.saturating_add(CHUNK_BLOCKS - 1));
            events.extend(self.chunk(start, end, None).await?.0);
            start = end + 1;
        }
        Ok(events)
    }

    /// The events of the deployment's contracts in a transaction this process sent. They may be reorganised away.
    ///
    /// # Errors
    /// [`ChainError::Undecodable`], as [`Event::decode`].
    pub fn events_of(&self, receipt: &TransactionReceipt) -> Result<Vec<Event>, ChainError> {
        let deployment = self.deployment();
        let ours = [deployment.registry, deployment.deals, deployment.hub];
        let logs = receipt
            .inner
            .logs()
            .iter()
            .filter(|log| ours.contains(&log.address()));
        logs.map(|log| Event::decode(deployment, log)).collect()
    }

    /// The events of at most [`CHUNK_BLOCKS`] blocks and the hash of the last one.
    ///
    /// Logs and blocks are asked for in one batch, so that one endpoint answers all: an endpoint that is behind would answer the
    /// logs alone with a list that is too short and looks whole.
    async fn chunk(
        &self,
        from: u64,
        to: u64,
        parent: Option<B256>,
    ) -> Result<(Vec<Event>, B256), ChainError> {
        let deployment = self.deployment();
        let contracts = vec![deployment.registry, deployment.deals, deployment.hub];
        let filter = Filter::new()
            .address(contracts)
            .from_block(from)
            .to_block(to);
        let parent_block = from.saturating_sub(1);

        let unavailable = |error| ChainError::from_rpc("eth_getLogs", error);
        let mut batch = BatchRequest::new(self.rpc().provider().client());
        let block = |number: u64| (BlockNumberOrTag::Number(number), false);
        let logs = batch
            .add_call::<_, Vec<Log>>("eth_getLogs", &(&filter,))
            .map_err(unavailable)?;
        let last = batch
            .add_call::<_, Option<Block>>("eth_getBlockByNumber", &block(to))
            .map_err(unavailable)?;
        let before = batch
            .add_call::<_, Option<Block>>("eth_getBlockByNumber", &block(parent_block))
            .map_err(unavailable)?;
        batch.send().await.map_err(unavailable)?;

        let no_block = |number: u64| ChainError::NoSuchBlock {
            block: number.to_string(),
        };
        let last = last
            .await
            .map_err(unavailable)?
            .ok_or_else(|| no_block(to))?;
        let before = before
            .await
            .map_err(unavailable)?
            .ok_or_else(|| no_block(parent_block))?;
        if let Some(expected) = parent
            && before.header.hash != expected
        {
            return Err(ChainError::HistoryChanged {
                block: parent_block,
                expected,
                actual: before.header.hash,
            });
        }
        let logs = logs.await.map_err(unavailable)?;
        let mut events = logs
            .iter()
            .map(|log| Event::decode(deployment, log))
            .collect::<Result<Vec<_>, _>>()?;
        events.sort_by_key(Event::position);
        if let Some(outside) = events
            .iter()
            .find(|event| !(from..=to).contains(&event.block))
        {
            return Err(ChainError::Undecodable {
                what: "eth_getLogs".to_owned(),
                why: format!(
                    "asked for blocks {from} to {to}, got one of block {}",
                    outside.block
                ),
            });
        }
        Ok((events, last.header.hash))
    }
}

/// Follows the events of a deployment.
///
/// [`Follower::poll`] returns what became final since the last call. The caller handles the events, stores [`Follower::cursor`] in
/// the same transaction, and resumes from it after a restart: then every event is seen exactly once.
#[derive(Clone, Debug)]
pub struct Follower {
    client: Client,
    cursor: Cursor,
}

impl Follower {
    /// Follows from a block on; for the whole history that is the deployment's `deployment_block`.
    #[must_use]
    pub fn new(client: Client, next_block: u64) -> Self {
        Self::resume(
            client,
            Cursor {
                next_block,
                last_hash: None,
            },
        )
    }

    /// Goes on where a stored cursor ends.
    #[must_use]
    pub fn resume(client: Client, cursor: Cursor) -> Self {
        Self { client, cursor }
    }

    /// How far the events returned so far reach.
    #[must_use]
    pub fn cursor(&self) -> Cursor {
        self.cursor
    }

    /// First block not yet followed: everything before it has been returned.
    #[must_use]
    pub fn next_block(&self) -> u64 {
        self.cursor.next_block
    }

    /// The events of the next final blocks, at most 1,000 of them; empty if none is new or nothing happened in them. Whether more
    /// blocks wait shows in [`Follower::next_block`].
    ///
    /// # Errors
    /// [`ChainError`]; the cursor has not moved then. [`ChainError::HistoryChanged`] if a final block was replaced: what was built
    /// on the events is wrong, and only a person can say what to do.
    pub async fn poll(&mut self) -> Result<Vec<Event>, ChainError> {
        let finalized = match self.client.rpc().finalized().await {
            Ok(block) => block.number,
            // A young chain has none.
            Err(ChainError::NoSuchBlock { .. }) => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        let Cursor {
            next_block,
            last_hash,
        } = self.cursor;
        if finalized < next_block {
            return Ok(Vec::new());
        }
        let to = finalized.min(next_block.saturating_add(CHUNK_BLOCKS - 1));
        let (events, last_hash) = self.client.chunk(next_block, to, last_hash).await?;
        self.cursor = Cursor {
            next_block: to + 1,
            last_hash: Some(last_hash),
        };
        Ok(events)
    }
}
