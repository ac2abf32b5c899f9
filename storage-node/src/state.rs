//! What the node remembers: one SQLite database in its data directory.
//!
//! Every effect on the outside is either derivable from the chain or written here before it happens, and doing a step twice
//! changes nothing. Queries are checked at run time, so that another database may follow.

mod epochs;
mod identity;
mod locks;
mod slots;

use std::path::Path;
use std::time::Duration;

use alloy::primitives::B256;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{Sqlite, SqlitePool, Transaction};
use tokio::sync::OwnedMutexGuard;

pub use epochs::{EpochRecord, Outcome};
pub use slots::{ShardRecord, Tenure, TenureState};

use crate::shard::SlotId;
use locks::SlotLocks;

/// The database failed, or holds what cannot be.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// SQLite says no.
    #[error("database: {0}")]
    Sql(#[from] sqlx::Error),
    /// A migration failed.
    #[error("database schema: {0}")]
    Schema(#[from] sqlx::migrate::MigrateError),
    /// A value that this program never writes.
    #[error(
        "database: {0} is damaged; restore it from a backup, or delete it and let the node learn from the chain again"
    )]
    Damaged(&'static str),
}

/// The database.
#[derive(Clone, Debug)]
pub struct State {
    pool: SqlitePool,
    locks: SlotLocks,
}

impl State {
    /// Opens the database, makes it if there is none, and brings its schema up to date.
    ///
    /// # Errors
    /// [`StateError`].
    pub async fn open(path: &Path) -> Result<Self, StateError> {
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .foreign_keys(true)
            .busy_timeout(Duration::from_secs(10))
            .journal_mode(SqliteJournalMode::Wal)
            // What was committed must survive a power loss: an envelope is sent right after it was written.
            .synchronous(SqliteSynchronous::Full);
        let pool = SqlitePoolOptions::new()
            .max_connections(4)
            .connect_with(options)
            .await?;
        sqlx::migrate!("./migrations").run(&pool).await?;
        Ok(Self {
            pool,
            locks: SlotLocks::default(),
        })
    }

    /// The slot's files, to write or to delete them, until the guard is gone. Clones of a state share the locks.
    pub async fn lock_slot(&self, slot: SlotId) -> OwnedMutexGuard<()> {
        self.locks.lock(slot).await
    }

    /// A transaction that writes. It takes the write lock at once: one that reads first and writes later would fail, not
    /// wait, if another one wrote in between.
    async fn begin(&self) -> Result<Transaction<'static, Sqlite>, StateError> {
        Ok(self.pool.begin_with("BEGIN IMMEDIATE").await?)
    }

    /// The next block whose events are to be applied; `None` before the first.
    ///
    /// # Errors
    /// [`StateError`].
    pub async fn next_block(&self) -> Result<Option<u64>, StateError> {
        let row: Option<(i64,)> = sqlx::query_as("SELECT next_block FROM chain_cursor")
            .fetch_optional(&self.pool)
            .await?;
        Ok(row.map(|(block,)| block.cast_unsigned()))
    }
}

fn hash(what: &'static str, bytes: &[u8]) -> Result<B256, StateError> {
    B256::try_from(bytes).map_err(|_| StateError::Damaged(what))
}
