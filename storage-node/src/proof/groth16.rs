//! The real prover.

use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use circuits::{Private, Profile, select};
use prover::Prover;
use prover::prove::SetupError;

use super::{CellReader, Challenge, Proof256, ProofError, ProofSource};

/// Proves with Groth16, on threads of its own.
#[derive(Clone)]
pub struct Groth16Source {
    prover: Arc<Prover>,
}

impl Groth16Source {
    /// Opens the keys in `folder` of the circuit whose manifest has this id: a ceremony's, or development keys, which are
    /// made if they are not there. Blocks; making takes up to minutes.
    ///
    /// # Errors
    /// [`SetupError`].
    pub fn load(
        profile: &Profile,
        folder: &Path,
        circuit_id: &[u8; 32],
        threads: Option<NonZeroUsize>,
    ) -> Result<Self, SetupError> {
        Ok(Self {
            prover: Arc::new(Prover::load_for(profile, folder, circuit_id, threads)?),
        })
    }

    /// The prover itself.
    #[must_use]
    pub fn prover(&self) -> &Arc<Prover> {
        &self.prover
    }
}

#[async_trait]
impl ProofSource for Groth16Source {
    async fn prove(
        &self,
        challenge: &Challenge,
        cells: &dyn CellReader,
    ) -> Result<Proof256, ProofError> {
        let public = challenge.public;
        let samples = select(public.seed, public.shard_count, self.prover.profile());
        let opened = cells.open(&samples).await.into_iter();
        let private = Private {
            samples: opened.collect::<Result<_, _>>()?,
        };
        let prover = self.prover.clone();
        let failed = |error: &dyn std::fmt::Display| ProofError::Prover(error.to_string());
        let proof = tokio::task::spawn_blocking(move || prover.prove(&public, &private))
            .await
            .map_err(|error| failed(&error))?
            .map_err(|error| failed(&error))?;
        Ok(proof.to_proof256())
    }
}
