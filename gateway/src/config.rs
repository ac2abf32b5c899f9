//! Configuration: where the network is described, whose key pays, where manifests live.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// `gateway.toml`. Relative paths are relative to the file's folder.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Deployment file: chain id, endpoints, contract addresses.
    pub deployment: PathBuf,
    /// File with the owner's chain key.
    #[serde(default = "default_key_file")]
    pub key_file: PathBuf,
    /// Folder of manifests: without them objects cannot be read back.
    #[serde(default = "default_data_dir")]
    pub data_dir: PathBuf,
    /// Seconds to go on trying to give a node one shard.
    #[serde(default = "default_shard_patience")]
    pub shard_patience_s: u64,
    /// Seconds to wait for nodes to accept on chain.
    #[serde(default = "default_acceptance_patience")]
    pub acceptance_patience_s: u64,
}

fn default_key_file() -> PathBuf {
    "owner.key".into()
}

fn default_data_dir() -> PathBuf {
    "manifests".into()
}

fn default_shard_patience() -> u64 {
    120
}

fn default_acceptance_patience() -> u64 {
    300
}

impl Config {
    /// A configuration with every default.
    #[must_use]
    pub fn new(deployment: PathBuf) -> Self {
        Self {
            deployment,
            key_file: default_key_file(),
            data_dir: default_data_dir(),
            shard_patience_s: default_shard_patience(),
            acceptance_patience_s: default_acceptance_patience(),
        }
    }

    /// The same with paths that hold from any working folder; `file` is where the configuration was read from.
    #[must_use]
    pub fn relative_to(self, file: &Path) -> Self {
        let folder = file.parent().unwrap_or(Path::new(""));
        Self {
            deployment: folder.join(self.deployment),
            key_file: folder.join(self.key_file),
            data_dir: folder.join(self.data_dir),
            ..self
        }
    }
}
