//! Finding shards again that are on disk and that the database does not know to be there: it was lost, restored from an older
//! copy, or the node was killed between a file and its note.
//!
//! Which slots are this node's is learnt from the chain, as always. What lies under a shard's name is believed only if it is
//! the shard the deal names; anything else waits to be put again.

use std::collections::HashSet;
use std::sync::Arc;

use verifier::inventory::ShardRoots;

use crate::shard::{ShardId, SlotId};
use crate::state::{State, StateError};
use crate::store::{ShardStore, StoreError};

/// Why it is not known whether a shard is on disk.
#[derive(Debug, thiserror::Error)]
pub enum ReclaimError {
    /// The database failed.
    #[error(transparent)]
    State(#[from] StateError),
    /// The disk failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Compares the shard store with the database. Clones do not share what they have seen.
#[derive(Clone)]
pub struct Reclaimer {
    state: State,
    store: Arc<dyn ShardStore>,
    /// Slots that were compared since the start.
    seen: HashSet<SlotId>,
}

impl Reclaimer {
    /// One that has seen nothing yet.
    #[must_use]
    pub fn new(state: State, store: Arc<dyn ShardStore>) -> Self {
        Self {
            state,
            store,
            seen: HashSet::new(),
        }
    }

    /// Looks once, and not again, at every slot the database knows, and notes the shards that are there after all. Returns how
    /// many. What no epoch asks for any more is noted too: the housekeeper then deletes it by its own rules.
    ///
    /// # Errors
    /// [`ReclaimError`], after the slots it does not concern were looked at; the next call looks at the others again.
    pub async fn pass(&mut self) -> Result<u64, ReclaimError> {
        let (mut found, mut failed) = (0, None);
        for slot in self.state.slots().await? {
            if self.seen.contains(&slot) {
                continue;
            }
            let (mut here, mut whole) = (0u64, true);
            for shard in self.state.unstored_of(slot).await? {
                match self.shard(shard).await {
                    Ok(there) => here += u64::from(there),
                    // One bad spot on the disk must not hide the rest of it.
                    Err(error @ ReclaimError::Store(_)) => (whole, failed) = (false, Some(error)),
                    Err(error) => return Err(error),
                }
            }
            if here > 0 {
                tracing::info!(%slot, shards = here, "found on disk what the database did not know of");
            }
            found += here;
            if whole {
                self.seen.insert(slot);
            }
        }
        // What was found is told first; the slots that failed are looked at again anyway.
        match failed {
            Some(error) if found == 0 => Err(error),
            Some(error) => {
                tracing::warn!(%error, "not every shard could be looked at");
                Ok(found)
            }
            None => Ok(found),
        }
    }

    /// Whether a shard this node should have is there after all; it is noted then.
    ///
    /// # Errors
    /// [`ReclaimError`].
    pub async fn shard(&self, shard: ShardId) -> Result<bool, ReclaimError> {
        // Most shards that are not stored have no file: that is seen without the lock, which a put may hold for long.
        if !self.store.missing(vec![shard]).await?.is_empty() {
            return Ok(false);
        }
        let _guard = self.state.lock_slot(shard.slot).await;
        let Some(record) = self.state.shard(shard).await? else {
            return Ok(false);
        };
        if record.stored {
            return Ok(true);
        }
        if !self.is_whole(shard, &record.roots).await? {
            return Ok(false);
        }
        self.state.set_stored(shard, true).await?;
        Ok(true)
    }

    async fn is_whole(&self, shard: ShardId, roots: &ShardRoots) -> Result<bool, ReclaimError> {
        match self.store.check(shard, roots).await {
            Ok(()) => Ok(true),
            Err(StoreError::NotFound(_)) => Ok(false),
            Err(error @ StoreError::Damaged { .. }) => {
                tracing::warn!(%error, "a file that the database does not know of is not the deal's shard; it must be put again");
                Ok(false)
            }
            Err(error) => Err(error.into()),
        }
    }
}
