//! Everything a node touches outside itself. A process that behaves differently is built by exchanging one of them.

#[cfg(feature = "tpm")]
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use chain::Deployment;
use daemon::exit::Failure;
use daemon::secret::load_chain_key;
use prover::keys::KeyFileError;
use prover::prove::SetupError;
#[cfg(feature = "tpm")]
use verifier::tpm::Certificate;

use crate::chain_view::{ChainActions, ChainError, ChainView, RealChain};
use crate::config::Config;
use crate::oracles::{GrpcOracles, OracleLink};
use crate::proof::{Groth16Source, ProofSource};
use crate::store::{DirStore, ShardStore};
#[cfg(feature = "tpm")]
use crate::tpm::EsysTpm;
use crate::tpm::TpmHandle;

/// Largest PEM file that is read, bytes.
#[cfg(feature = "tpm")]
const MAX_PEM_BYTES: u64 = 256 * 1024;

/// The edges of a node.
#[derive(Clone)]
pub struct Edges {
    /// Reads of the chain.
    pub chain: Arc<dyn ChainView>,
    /// Transactions.
    pub actions: Arc<dyn ChainActions>,
    /// The shard store.
    pub store: Arc<dyn ShardStore>,
    /// The TPM.
    pub tpm: TpmHandle,
    /// The prover.
    pub proofs: Arc<dyn ProofSource>,
    /// The oracles.
    pub oracles: Arc<dyn OracleLink>,
}

impl Edges {
    /// The real ones, as configured.
    ///
    /// # Errors
    /// Usage for what is configured wrongly, unavailable for what does not answer.
    pub async fn real(config: &Config) -> Result<Self, Failure> {
        let chain = Arc::new(real_chain(config).await?);
        let tpm = open_tpm(config).await?;
        let store = DirStore::open(&config.shards())
            .map_err(|error| Failure::unavailable(error.to_string()))?;
        let proofs = real_prover(config, &chain).await?;
        proofs
            .prover()
            .verifying_key()
            .check_chain(chain.deployment().chain_id)
            .map_err(|error| Failure::usage(error.to_string()))?;
        Ok(Self {
            actions: chain.clone(),
            chain,
            store: Arc::new(store),
            tpm,
            proofs: Arc::new(proofs),
            oracles: Arc::new(GrpcOracles::new(push_timeout(config))),
        })
    }
}

/// How long one call to an oracle may take.
#[must_use]
pub const fn push_timeout(config: &Config) -> Duration {
    Duration::from_millis(config.duty.push_timeout_ms)
}

/// The chain with this node's account.
///
/// # Errors
/// Usage for a wrong deployment or key file and for contracts of another version, unavailable if the chain does not answer.
pub async fn real_chain(config: &Config) -> Result<RealChain, Failure> {
    let deployment =
        Deployment::load(&config.deployment).map_err(|error| Failure::usage(error.to_string()))?;
    let key = load_chain_key(&config.chain_key())?;
    Ok(RealChain::connect(deployment, key).await?)
}

/// The prover with the keys of the circuit that the contracts accept proofs of: development keys, which are made if there
/// are none, or those of a ceremony.
///
/// # Errors
/// Usage if the configured folder and profile have no keys of that circuit; unavailable if keys can be neither read nor
/// made, or the chain does not answer.
pub async fn real_prover(config: &Config, chain: &RealChain) -> Result<Groth16Source, Failure> {
    let circuit = chain.circuit_id().await?.0;
    let (profile, folder, threads) = (
        config.profile()?,
        config.prover.keys_dir.clone(),
        config.threads(),
    );
    tokio::task::spawn_blocking(move || Groth16Source::load(&profile, &folder, &circuit, threads))
        .await
        .map_err(|error| Failure::internal(format!("loading the proving key: {error}")))?
        .map_err(no_keys)
}

fn no_keys(error: SetupError) -> Failure {
    let text = format!("configuration: prover.keys_dir: {error}");
    match error {
        SetupError::Keys(
            KeyFileError::OtherCircuit { .. }
            | KeyFileError::Manifest(_)
            | KeyFileError::NoCeremony(_)
            | KeyFileError::Unusable { .. },
        ) => Failure::usage(text),
        _ => Failure::unavailable(text),
    }
}

/// The configured TPM on a thread of its own.
///
/// # Errors
/// Usage: this program was built without the feature `tpm`.
#[cfg(not(feature = "tpm"))]
pub async fn open_tpm(_: &Config) -> Result<TpmHandle, Failure> {
    Err(Failure::usage(
        "this storage-node was built without the feature `tpm`, so it cannot open one; build it with libtss2",
    ))
}

/// The configured TPM on a thread of its own.
///
/// # Errors
/// Usage for an unreadable certificate, unavailable if no TPM answers.
#[cfg(feature = "tpm")]
pub async fn open_tpm(config: &Config) -> Result<TpmHandle, Failure> {
    let mut intermediates = Vec::new();
    for path in &config.tpm.intermediates {
        intermediates.extend(
            read_pem(path)?
                .iter()
                .map(|certificate| certificate.as_der().to_vec()),
        );
    }
    let (tcti, folder) = (config.tpm.tcti.clone(), config.tpm_dir());
    let key = config.tpm.endorsement_key;
    let open = move || EsysTpm::open(&tcti, key, folder, intermediates);
    let tpm = tokio::task::spawn_blocking(open)
        .await
        .map_err(|error| Failure::internal(format!("opening the TPM: {error}")))?
        .map_err(|error| Failure::unavailable(error.to_string()))?;
    TpmHandle::spawn(tpm)
        .map_err(|error| Failure::internal(format!("cannot start a thread for the TPM: {error}")))
}

#[cfg(feature = "tpm")]
fn read_pem(path: &Path) -> Result<Vec<Certificate>, Failure> {
    let shown = path.display();
    let cannot =
        |why: &dyn std::fmt::Display| Failure::usage(format!("certificate file {shown}: {why}"));
    let length = std::fs::metadata(path)
        .map_err(|error| cannot(&error))?
        .len();
    if length > MAX_PEM_BYTES {
        return Err(cannot(&format!(
            "{length} bytes, at most {MAX_PEM_BYTES} are read"
        )));
    }
    let text = std::fs::read_to_string(path).map_err(|error| cannot(&error))?;
    let certificates = Certificate::from_pem_chain(&text).map_err(|error| cannot(&error))?;
    if certificates.is_empty() {
        Err(cannot(&"it holds no certificate"))
    } else {
        Ok(certificates)
    }
}

impl From<ChainError> for Failure {
    fn from(error: ChainError) -> Self {
        let text = error.to_string();
        match error {
            ChainError::Reverted { .. } => Self::rejected(text),
            ChainError::Incompatible(_) => Self::usage(text),
            ChainError::Unavailable(_) | ChainError::Inconsistent(_) => Self::unavailable(text),
        }
    }
}
