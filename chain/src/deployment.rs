//! Where the contracts are: the file every daemon reads.

use std::{
    fs,
    path::{Path, PathBuf},
};

use alloy::primitives::{Address, B256};
use serde::{Deserialize, Serialize};

/// Largest deployment file that is read, bytes.
const MAX_FILE_BYTES: u64 = 1024 * 1024;

/// One deployment of the contracts on one chain. In JSON or TOML; `network.json` has it under "deployment".
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Deployment {
    /// EIP-155 id of the chain; an endpoint of another chain is not used.
    pub chain_id: u64,
    /// JSON-RPC endpoints, in order of preference.
    pub rpc: Vec<String>,
    /// Registry of nodes and oracle sets.
    pub registry: Address,
    /// Deals and inventories.
    pub deals: Address,
    /// Epochs, reports and settlement.
    pub hub: Address,
    /// The ERC-20 that escrow, bonds and pay are in.
    pub token: Address,
    /// Storage-proof verifier.
    pub verifier: Address,
    /// Block of the first contract: nothing of interest happened before it.
    pub deployment_block: u64,
    /// Hash of the first attestation policy and root store (P5), in force from epoch 0.
    pub policy_hash: B256,
}

/// Why a deployment file was not used.
#[derive(Debug, thiserror::Error)]
pub enum DeploymentError {
    /// It could not be read.
    #[error("cannot read deployment file {path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// It holds something else.
    #[error("{path} is no deployment file: {why}")]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong, and where.
        why: String,
    },
}

impl Deployment {
    /// Reads a JSON file that is a deployment, or that has one under "deployment".
    ///
    /// # Errors
    /// [`DeploymentError`], naming the file.
    pub fn load(path: &Path) -> Result<Self, DeploymentError> {
        let io = |source| DeploymentError::Io {
            path: path.to_owned(),
            source,
        };
        let malformed = |why: String| DeploymentError::Malformed {
            path: path.to_owned(),
            why,
        };
        if fs::metadata(path).map_err(io)?.len() > MAX_FILE_BYTES {
            return Err(malformed(format!(
                "it is larger than {MAX_FILE_BYTES} bytes"
            )));
        }
        Self::from_json(&fs::read_to_string(path).map_err(io)?)
            .map_err(|error| malformed(error.to_string()))
    }

    /// Reads JSON text that is a deployment, or that has one under "deployment".
    ///
    /// # Errors
    /// What serde finds wrong.
    pub fn from_json(text: &str) -> Result<Self, serde_json::Error> {
        let mut value: serde_json::Value = serde_json::from_str(text)?;
        let inner = value.get_mut("deployment").map(serde_json::Value::take);
        serde_json::from_value(inner.unwrap_or(value))
    }
}

#[cfg(test)]
pub(crate) mod tests {
    #![allow(clippy::unwrap_used, clippy::cast_possible_truncation)]

    use super::*;

    #[test]
    fn a_deployment_reads_back_bare_or_inside_a_network_file() {
        let deployment = Deployment {
            chain_id: 31_337,
            rpc: vec!["http://127.0.0.1:8545".to_owned()],
            registry: Address::repeat_byte(1),
            deals: Address::repeat_byte(2),
            hub: Address::repeat_byte(3),
            token: Address::repeat_byte(4),
            verifier: Address::repeat_byte(5),
            deployment_block: 7,
            policy_hash: B256::repeat_byte(6),
        };
        let bare = serde_json::to_string(&deployment).unwrap();
        assert_eq!(Deployment::from_json(&bare).unwrap(), deployment);
        let network = format!(r#"{{"oracles": [], "deployment": {bare}}}"#);
        assert_eq!(Deployment::from_json(&network).unwrap(), deployment);
    }

    #[test]
    fn a_file_that_is_no_deployment_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("network.json");
        let missing = Deployment::load(&path).unwrap_err().to_string();
        assert!(missing.contains("network.json"), "{missing}");
        fs::write(&path, r#"{"deployment": {"chain_id": 1}}"#).unwrap();
        let malformed = Deployment::load(&path).unwrap_err().to_string();
        assert!(
            malformed.contains("network.json") && malformed.contains("missing field"),
            "{malformed}"
        );
    }
}
