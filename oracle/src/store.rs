//! What the oracle remembers: SQLite, in WAL mode, every write durable before its effect leaves the process.
//!
//! One connection writes, so that a read and the write that depends on it are never torn; others only read.

use std::path::Path;
use std::time::Duration;

use alloy::primitives::{Address, B256};
use sqlx::SqlitePool;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use verifier::cbor::Malformed;
use verifier::committee::Deployment;

mod agreement;
mod apply;
mod chain;
mod evidence;
mod judgements;
mod notices;
mod pages;

pub use agreement::LedView;
pub use chain::{LogEntry, MachineRow, NodeRow, WorkItem};
pub use evidence::{EnrolmentRow, EvidenceName, EvidenceRow};
pub use judgements::{JudgementRow, KnownClock};
pub use pages::{EpochPage, NodePage, VerdictPage};

/// The database does not work, or holds what this program never wrote.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// SQLite says no.
    #[error("database: {0}")]
    Sql(#[from] sqlx::Error),
    /// The schema cannot be brought up to date.
    #[error("database schema: {0}")]
    Migration(#[from] sqlx::migrate::MigrateError),
    /// A stored value is not one.
    #[error("database holds a broken {what}: {why}")]
    Corrupt {
        /// Column or structure.
        what: &'static str,
        /// What is wrong.
        why: String,
    },
    /// Another report was signed in this view already.
    #[error(
        "this oracle has signed another report for epoch {epoch}, view {view}; signing two would be equivocation"
    )]
    Equivocation {
        /// The epoch.
        epoch: u64,
        /// The view.
        view: u32,
    },
    /// The database belongs to another deployment.
    #[error(
        "the database belongs to {found}, the configuration names {expected}; use another data_dir"
    )]
    OtherDeployment {
        /// Of the database.
        found: String,
        /// Of the configuration.
        expected: String,
    },
}

impl From<Malformed> for StoreError {
    fn from(error: Malformed) -> Self {
        Self::Corrupt {
            what: error.what,
            why: error.why,
        }
    }
}

/// The oracle's database. Clones are the same one.
#[derive(Clone, Debug)]
pub struct Store {
    write: SqlitePool,
    read: SqlitePool,
}

impl Store {
    /// Opens or creates the database in a file and brings its schema up to date.
    ///
    /// # Errors
    /// [`StoreError`] if the file cannot be used.
    pub async fn open(path: &Path) -> Result<Self, StoreError> {
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            // In WAL mode only FULL syncs the log at every commit; what was signed must survive a power loss.
            .synchronous(SqliteSynchronous::Full)
            .busy_timeout(Duration::from_secs(10));
        let write = SqlitePoolOptions::new()
            .max_connections(1)
            .connect_with(options.clone())
            .await?;
        sqlx::migrate!().run(&write).await?;
        let read = SqlitePoolOptions::new()
            .max_connections(4)
            .connect_with(options.read_only(true))
            .await?;
        Ok(Self { write, read })
    }

    /// Ties the database to a deployment the first time, and checks it ever after.
    ///
    /// # Errors
    /// [`StoreError::OtherDeployment`].
    pub async fn bind_deployment(&self, deployment: &Deployment) -> Result<(), StoreError> {
        let ours = verifier::cbor::encode(deployment);
        sqlx::query(
            "INSERT INTO meta (key, value) VALUES ('deployment', ?) ON CONFLICT DO NOTHING",
        )
        .bind(&ours)
        .execute(&self.write)
        .await?;
        let stored: Vec<u8> = sqlx::query_scalar("SELECT value FROM meta WHERE key = 'deployment'")
            .fetch_one(&self.write)
            .await?;
        if stored == ours {
            return Ok(());
        }
        let other: Deployment = verifier::cbor::decode("deployment", &stored)?;
        let name = |it: &Deployment| format!("chain {}, hub {}", it.chain_id, it.hub);
        Err(StoreError::OtherDeployment {
            found: name(&other),
            expected: name(deployment),
        })
    }

    /// Waits for open statements and closes the files.
    pub async fn close(&self) {
        self.read.close().await;
        self.write.close().await;
    }
}

/// An unsigned number as the integer with the same bits.
fn int(value: u64) -> i64 {
    value.cast_signed()
}

/// The unsigned number an integer stands for.
fn uint(value: i64) -> u64 {
    value.cast_unsigned()
}

fn small(what: &'static str, value: i64) -> Result<u32, StoreError> {
    u32::try_from(value).map_err(|_| StoreError::Corrupt {
        what,
        why: format!("{value} is out of range"),
    })
}

fn hash(what: &'static str, bytes: &[u8]) -> Result<B256, StoreError> {
    B256::try_from(bytes).map_err(|_| StoreError::Corrupt {
        what,
        why: format!("{} bytes, not 32", bytes.len()),
    })
}

fn address(what: &'static str, bytes: &[u8]) -> Result<Address, StoreError> {
    Address::try_from(bytes).map_err(|_| StoreError::Corrupt {
        what,
        why: format!("{} bytes, not 20", bytes.len()),
    })
}
