//! Where shards lie. Whatever comes back from a store is checked against the deal's roots before anybody sees it.

mod dir;

use std::sync::Arc;

use alloy::primitives::B256;
use async_trait::async_trait;

pub use dir::{DirStore, FILE_BYTES};
pub use prover::OpenedCell;

use verifier::inventory::ShardRoots;

use crate::shard::{CommittedShard, ShardId};

/// Why a store did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// There is no such shard.
    #[error("{0} is not in the shard store")]
    NotFound(ShardId),
    /// The bytes are not the ones that were stored.
    #[error("{shard} is damaged: {what}; restore it from the other slots of its deal")]
    Damaged {
        /// The shard.
        shard: ShardId,
        /// The check that failed.
        what: String,
    },
    /// The range does not lie within a shard.
    #[error(transparent)]
    Range(#[from] verifier::transport::TransportError),
    /// The disk failed.
    #[error("shard store, {what}: {source}")]
    Io {
        /// What was being done.
        what: String,
        /// What the operating system said.
        source: std::io::Error,
    },
}

/// Consecutive transport leaves with the proof that leads them to the transport root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProvenRange {
    /// The bytes.
    pub data: Vec<u8>,
    /// Sibling hashes in the order of [`verifier::transport::verify_range`].
    pub lemmas: Vec<B256>,
}

/// A cell that is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CellOf {
    /// Its shard.
    pub shard: ShardId,
    /// The shard's storage root, as the deal names it.
    pub storage_root: B256,
    /// Its index in the shard.
    pub cell: u16,
}

/// The edge to the disk.
///
/// A put is durable when it returns and atomic: a crash leaves the whole shard or nothing. Reads compare what they find
/// with `roots`, so that a flipped bit is [`StoreError::Damaged`] and never an answer.
#[async_trait]
pub trait ShardStore: Send + Sync {
    /// Stores a shard; again the same shard is no error.
    async fn put(&self, id: ShardId, shard: Arc<CommittedShard>) -> Result<(), StoreError>;
    /// Transport leaves `first .. first + count`, with their proof.
    async fn range(
        &self,
        id: ShardId,
        roots: &ShardRoots,
        first: usize,
        count: usize,
    ) -> Result<ProvenRange, StoreError>;
    /// Opens cells with their paths to the storage roots, all at once; each has an answer of its own, in their order.
    async fn cells(&self, cells: Vec<CellOf>) -> Vec<Result<OpenedCell, StoreError>>;
    /// One cell.
    async fn cell(
        &self,
        id: ShardId,
        roots: &ShardRoots,
        cell: u16,
    ) -> Result<OpenedCell, StoreError> {
        let cell = CellOf {
            shard: id,
            storage_root: roots.storage_root,
            cell,
        };
        let mut opened = self.cells(vec![cell]).await;
        opened.pop().unwrap_or(Err(StoreError::NotFound(id)))
    }
    /// Reads a whole shard and compares it with all its roots.
    async fn check(&self, id: ShardId, roots: &ShardRoots) -> Result<(), StoreError>;
    /// Those of the shards that are not there, or not in their full length. Their bytes are not read.
    async fn missing(&self, ids: Vec<ShardId>) -> Result<Vec<ShardId>, StoreError>;
    /// Bytes that may still be written.
    async fn free_bytes(&self) -> Result<u64, StoreError>;
    /// Forgets a shard; one that is not there is no error.
    async fn delete(&self, id: ShardId) -> Result<(), StoreError>;
}
