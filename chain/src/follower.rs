//! The contracts' events, in order, each once, and only from blocks that are final.

use alloy::{
    primitives::B256,
    rpc::types::{Filter, TransactionReceipt},
};
use serde::{Deserialize, Serialize};

use crate::{
    ChainError, Client, Event,
    logs::{Page, PageSize},
};

/// Blocks a single `eth_getLogs` asks for to begin with; public endpoints limit it.
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
        let mut size = PageSize::new(CHUNK_BLOCKS);
        let mut all = Vec::new();
        let mut start = from;
        while start <= to {
            let (events, page) = self.first_events(start, to, &mut size).await?;
            all.extend(events);
            start = page.to + 1;
        }
        Ok(all)
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

    /// The events of the first blocks of `from..=to`, how far they reach, and the hash of the last one.
    async fn first_events(
        &self,
        from: u64,
        to: u64,
        size: &mut PageSize,
    ) -> Result<(Vec<Event>, Page), ChainError> {
        let deployment = self.deployment();
        let contracts = vec![deployment.registry, deployment.deals, deployment.hub];
        let filter = Filter::new().address(contracts);
        let page = self.first_page(&filter, from, to, size).await?;
        let events = page
            .logs
            .iter()
            .map(|log| Event::decode(deployment, log))
            .collect::<Result<Vec<_>, _>>()?;
        Ok((events, page))
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
    size: PageSize,
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
        Self {
            client,
            cursor,
            size: PageSize::new(CHUNK_BLOCKS),
        }
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
        let (events, page) = self
            .client
            .first_events(next_block, finalized, &mut self.size)
            .await?;
        if let Some(expected) = last_hash
            && page.parent_hash != expected
        {
            return Err(ChainError::HistoryChanged {
                block: page.from.saturating_sub(1),
                expected,
                actual: page.parent_hash,
            });
        }
        self.cursor = Cursor {
            next_block: page.to + 1,
            last_hash: Some(page.last_hash),
        };
        Ok(events)
    }
}
