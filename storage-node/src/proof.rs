//! The edge to the prover: from an epoch's challenge to the 256 bytes of a storage proof.

mod cells;
mod groth16;

use async_trait::async_trait;
use circuits::{Public, Sample, SampleWitness};
use verifier::evidence::PROOF_BYTES;
use verifier::{Epoch, NodeId};

pub use cells::InventoryCells;
pub use groth16::Groth16Source;

use crate::shard::ShardId;
use crate::store::StoreError;

/// A proof in its one encoding. Protocol: section 1.
pub type Proof256 = [u8; PROOF_BYTES];

/// Why there is no proof.
#[derive(Debug, thiserror::Error)]
pub enum ProofError {
    /// A sampled cell cannot be read: the node lost data it is paid for. It stays silent rather than prove a falsehood, for a
    /// miss costs less than a bad proof.
    #[error(
        "cannot prove: cell {cell} of {shard} is lost ({source}); restore the shard from its deal's other slots"
    )]
    Lost {
        /// The shard.
        shard: ShardId,
        /// The cell.
        cell: u16,
        /// What the store says.
        source: StoreError,
    },
    /// The challenge names a shard the inventory does not have.
    #[error("the challenge names shard {0}, which the inventory does not have")]
    OutOfRange(u64),
    /// The prover refuses or fails.
    #[error("prover: {0}")]
    Prover(String),
}

/// What must be proven.
#[derive(Clone, Copy, Debug)]
pub struct Challenge {
    /// The node.
    pub node: NodeId,
    /// The epoch.
    pub epoch: Epoch,
    /// The statement.
    pub public: Public,
}

/// Reads sampled cells with their paths to the inventory root.
#[async_trait]
pub trait CellReader: Send + Sync {
    /// Opens samples, all at once. Each has an answer of its own, in their order: [`ProofError::Lost`] if the cell cannot be
    /// read whole.
    async fn open(&self, samples: &[Sample]) -> Vec<Result<SampleWitness, ProofError>>;
}

/// The edge to the prover.
#[async_trait]
pub trait ProofSource: Send + Sync {
    /// Proves that the challenge's cells are held.
    ///
    /// # Errors
    /// [`ProofError`]; a lost cell is never papered over.
    async fn prove(
        &self,
        challenge: &Challenge,
        cells: &dyn CellReader,
    ) -> Result<Proof256, ProofError>;
}
