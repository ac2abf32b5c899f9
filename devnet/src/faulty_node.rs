//! A storage node that cheats or is cut off, built on the daemon's own library by exchanging two of its edges.

use std::{
    collections::HashMap,
    fs::OpenOptions,
    io::{Seek, SeekFrom, Write},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use anyhow::Result;
use async_trait::async_trait;
use circuits::{
    Private, SampleWitness,
    field::Fr,
    select,
    storage::{CELL_BYTES, CELL_ELEMENTS, SHARD_CELLS, SHARD_LEVELS},
    tree::Siblings,
};
use daemon::exit::Failure;
use prover::Prover;
use storage_node::{
    chain_view::Oracle,
    edges::Edges,
    oracles::{LinkError, OracleLink},
    proof::{CellReader, Challenge, Groth16Source, Proof256, ProofError, ProofSource},
};
use verifier::{
    Epoch, NodeId,
    evidence::{Evidence, SignedReceipt},
};

use crate::faults::{self, NodeFaults};

/// Of ten cells this many are lost.
const LOST_OF_TEN: usize = 3;

/// Exchanges what a faulty node does differently; everything else is the honest node's.
#[must_use]
pub fn wrap(edges: Edges, honest: &Groth16Source, faults: &Path, shards: &Path) -> Edges {
    let proofs = FaultyProofs {
        honest: edges.proofs.clone(),
        prover: honest.prover().clone(),
        faults: faults.to_owned(),
        shards: shards.to_owned(),
        made: Mutex::default(),
    };
    let oracles = CutOff {
        real: edges.oracles.clone(),
        chain: edges.chain.clone(),
        faults: faults.to_owned(),
    };
    Edges {
        proofs: Arc::new(proofs),
        oracles: Arc::new(oracles),
        ..edges
    }
}

fn read(faults: &Path) -> Result<NodeFaults, String> {
    faults::read(faults).map_err(|error| format!("{error:#}"))
}

/// Proves zeroes in place of lost cells, or sends an old proof again.
struct FaultyProofs {
    honest: Arc<dyn ProofSource>,
    prover: Arc<Prover>,
    faults: PathBuf,
    shards: PathBuf,
    made: Mutex<HashMap<Epoch, Proof256>>,
}

#[async_trait]
impl ProofSource for FaultyProofs {
    async fn prove(
        &self,
        challenge: &Challenge,
        cells: &dyn CellReader,
    ) -> Result<Proof256, ProofError> {
        let faults = read(&self.faults).map_err(ProofError::Prover)?;
        let epoch = challenge.epoch;
        let is_now =
            |epochs: Option<faults::Epochs>| epochs.is_some_and(|epochs| epochs.contains(epoch.0));
        if is_now(faults.zeroes) {
            lose_cells(&self.shards).map_err(|error| ProofError::Prover(format!("{error:#}")))?;
            return self.prove_zeroes(challenge, cells).await;
        }
        if is_now(faults.replay) {
            let made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(proof) = made.get(&Epoch(epoch.0.saturating_sub(1))) {
                tracing::warn!(%epoch, "fault: sending the proof of the epoch before");
                return Ok(*proof);
            }
        }
        let proof = self.honest.prove(challenge, cells).await?;
        self.made
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(epoch, proof);
        Ok(proof)
    }
}

impl FaultyProofs {
    /// A proof over whatever is left. No verifier accepts it: the assignment breaks the circuit's constraints.
    async fn prove_zeroes(
        &self,
        challenge: &Challenge,
        cells: &dyn CellReader,
    ) -> Result<Proof256, ProofError> {
        let public = challenge.public;
        let samples = select(public.seed, public.shard_count, self.prover.profile());
        let opened = cells.open(&samples).await.into_iter();
        let mut lost = 0_usize;
        // Every path needs cells around its own, some of which are lost: not one is left that opens.
        let left_or_zeroes = |opened: Result<SampleWitness, ProofError>| {
            opened.unwrap_or_else(|_| {
                lost += 1;
                self.zeroes()
            })
        };
        let private = Private {
            samples: opened.map(left_or_zeroes).collect(),
        };
        tracing::warn!(epoch = %challenge.epoch, lost, "fault: proving zeroes in place of lost cells");
        let prover = self.prover.clone();
        let failed = |error: &dyn std::fmt::Display| ProofError::Prover(error.to_string());
        tokio::task::spawn_blocking(move || {
            let assignment = circuits::circuit::assignment(prover.profile(), &public, &private)
                .map_err(|error| failed(&error))?;
            prover
                .prove_assignment(&assignment)
                .map(|proof| proof.to_proof256())
                .map_err(|error| failed(&error))
        })
        .await
        .map_err(|error| failed(&error))?
    }

    fn zeroes(&self) -> SampleWitness {
        let zero = Fr::from(0_u64);
        SampleWitness {
            cell: [zero; CELL_ELEMENTS],
            shard_path: [[zero; 7] as Siblings; SHARD_LEVELS],
            inventory_path: vec![[zero; 7] as Siblings; self.prover.profile().depth()],
        }
    }
}

/// Overwrites three cells of ten in every shard file with zeroes. Doing it again changes nothing.
///
/// # Errors
/// If the disk fails.
pub fn lose_cells(shards: &Path) -> Result<usize> {
    let mut lost = 0;
    let mut folders = vec![shards.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder)? {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
            } else if path
                .extension()
                .is_some_and(|extension| extension == "shard")
            {
                let mut file = OpenOptions::new().write(true).open(&path)?;
                for cell in (0..SHARD_CELLS).filter(|cell| cell % 10 < LOST_OF_TEN) {
                    file.seek(SeekFrom::Start((cell * CELL_BYTES) as u64))?;
                    file.write_all(&[0; CELL_BYTES])?;
                    lost += 1;
                }
                file.sync_all()?;
            }
        }
    }
    Ok(lost)
}

/// Lets pushes through to the first oracle of the set only.
struct CutOff {
    real: Arc<dyn OracleLink>,
    chain: Arc<dyn storage_node::chain_view::ChainView>,
    faults: PathBuf,
}

#[async_trait]
impl OracleLink for CutOff {
    async fn push(
        &self,
        oracle: &Oracle,
        node: NodeId,
        epoch: Epoch,
        evidence: &Evidence,
    ) -> Result<SignedReceipt, LinkError> {
        let unreachable = |why: String| LinkError::Unreachable {
            url: oracle.url.clone(),
            why,
        };
        let faults = read(&self.faults).map_err(unreachable)?;
        if faults
            .cut_off
            .is_some_and(|epochs| epochs.contains(epoch.0))
        {
            let committee = self
                .chain
                .committee(epoch)
                .await
                .map_err(|error| unreachable(error.to_string()))?;
            if committee
                .oracles
                .first()
                .is_none_or(|first| first.account != oracle.account)
            {
                return Err(unreachable("fault: cut off".to_owned()));
            }
        }
        self.real.push(oracle, node, epoch, evidence).await
    }
}

/// The real edges with the faults of a file in them.
///
/// # Errors
/// As [`Edges::real`].
pub async fn edges(config: &storage_node::config::Config, faults: &Path) -> Result<Edges, Failure> {
    let chain = storage_node::edges::real_chain(config).await?;
    let honest = storage_node::edges::real_prover(config, &chain).await?;
    let edges = Edges::real(config).await?;
    Ok(wrap(edges, &honest, faults, &config.shards()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn three_of_ten_cells_of_every_shard_are_lost_and_the_rest_stays() {
        let folder = tempfile::tempdir().unwrap();
        let slot = folder.path().join("1/0");
        std::fs::create_dir_all(&slot).unwrap();
        let path = slot.join("0.shard");
        std::fs::write(&path, vec![7; SHARD_CELLS * CELL_BYTES + 100]).unwrap();
        std::fs::write(slot.join("other"), [7]).unwrap();
        let lost = lose_cells(folder.path()).unwrap();
        let bytes = std::fs::read(&path).unwrap();
        let zeroed = bytes
            .chunks(CELL_BYTES)
            .filter(|cell| cell.iter().all(|byte| *byte == 0))
            .count();
        assert_eq!(zeroed, lost);
        assert_eq!(lost * 10 / SHARD_CELLS, LOST_OF_TEN);
        assert!(
            bytes[SHARD_CELLS * CELL_BYTES..]
                .iter()
                .all(|byte| *byte == 7)
        );
        assert_eq!(std::fs::read(slot.join("other")).unwrap(), [7]);
    }
}
