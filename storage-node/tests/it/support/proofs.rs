//! Provers in memory.

use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use circuits::{Private, Profile, native, select};
use storage_node::proof::{CellReader, Challenge, Proof256, ProofError, ProofSource};

/// Opens every sampled cell and checks the whole statement natively; only the proof itself is left out.
#[derive(Default)]
pub struct EveryCell {
    pub calls: AtomicUsize,
}

#[async_trait]
impl ProofSource for EveryCell {
    async fn prove(
        &self,
        challenge: &Challenge,
        cells: &dyn CellReader,
    ) -> Result<Proof256, ProofError> {
        self.calls.fetch_add(1, Ordering::SeqCst);
        let mut private = Private {
            samples: Vec::new(),
        };
        for sample in select(
            challenge.public.seed,
            challenge.public.shard_count,
            &Profile::DEV,
        ) {
            private.samples.push(cells.open(sample).await?);
        }
        native::check(&Profile::DEV, &challenge.public, &private)
            .map_err(|error| ProofError::Prover(error.to_string()))?;
        Ok([7; 256])
    }
}

/// Must not be asked.
pub struct NoProver;

#[async_trait]
impl ProofSource for NoProver {
    async fn prove(
        &self,
        challenge: &Challenge,
        _: &dyn CellReader,
    ) -> Result<Proof256, ProofError> {
        panic!("asked to prove epoch {} again", challenge.epoch);
    }
}
