//! Provers in memory.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use circuits::keys::Manifest;
use circuits::{Private, Profile, native, select};
use prover::prove::SetupError;
use storage_node::proof::{
    CellReader, Challenge, Groth16Source, Proof256, ProofError, ProofSource,
};

/// Where the tests keep the development keys.
pub fn keys_dir() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("keys")
}

/// The id of the dev circuit with development keys.
pub fn dev_circuit() -> [u8; 32] {
    Manifest::committed(&Profile::DEV).unwrap().id()
}

/// The real prover for the dev profile, with the keys in `folder` of the circuit of this id.
pub async fn prover_for(folder: PathBuf, circuit: [u8; 32]) -> Result<Groth16Source, SetupError> {
    let load = move || Groth16Source::load(&Profile::DEV, &folder, &circuit, None);
    tokio::task::spawn_blocking(load).await.unwrap()
}

/// The real prover with development keys.
pub async fn real_prover() -> Arc<Groth16Source> {
    Arc::new(prover_for(keys_dir(), dev_circuit()).await.unwrap())
}

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
        let samples = select(
            challenge.public.seed,
            challenge.public.shard_count,
            &Profile::DEV,
        );
        let opened = cells.open(&samples).await.into_iter();
        let private = Private {
            samples: opened.collect::<Result<_, _>>()?,
        };
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
