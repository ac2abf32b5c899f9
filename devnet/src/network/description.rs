//! `network.json`: what a person or a program needs to know of a running network.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::Result;
use chain::Deployment;
use serde::{Deserialize, Serialize};

use super::Network;
use crate::process;

/// Everything about a running network. Daemons and the gateway read the deployment in it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Description {
    /// Chain and contracts.
    pub deployment: Deployment,
    /// Process id of the chain.
    pub anvil_pid: Option<u32>,
    /// The auditor's trust file.
    pub trust: PathBuf,
    /// Oracles, in the order of the set.
    pub oracles: Vec<OracleDescription>,
    /// Storage nodes.
    pub nodes: Vec<NodeDescription>,
}

/// One oracle.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct OracleDescription {
    /// Index in the set.
    pub index: usize,
    /// Chain account.
    pub account: String,
    /// gRPC endpoint.
    pub grpc: String,
    /// Web page, JSON, health and metrics.
    pub http: String,
    /// Process id.
    pub pid: Option<u32>,
    /// Log file.
    pub log: PathBuf,
}

/// One storage node.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct NodeDescription {
    /// Id in the registry.
    pub node: u64,
    /// Chain account.
    pub account: String,
    /// gRPC endpoint.
    pub grpc: String,
    /// Readiness.
    pub ready: String,
    /// Configuration file.
    pub config: PathBuf,
    /// Process id.
    pub pid: Option<u32>,
    /// Port of its software TPM.
    pub tpm_port: Option<u16>,
    /// Log file.
    pub log: PathBuf,
}

impl Network {
    /// Describes the network as it is now.
    #[must_use]
    pub fn describe(&self) -> Description {
        Description {
            deployment: self.deployment().clone(),
            anvil_pid: self.anvil_pid(),
            trust: self.trust_file(),
            oracles: self
                .oracles
                .iter()
                .map(|oracle| OracleDescription {
                    index: oracle.index,
                    account: oracle.account.to_string(),
                    grpc: oracle.url(),
                    http: oracle.http_url(),
                    pid: oracle.pid(),
                    log: oracle.log(),
                })
                .collect(),
            nodes: self
                .nodes
                .iter()
                .map(|node| NodeDescription {
                    node: node.number,
                    account: node.account.to_string(),
                    grpc: node.url(),
                    ready: node.ready_url(),
                    config: node.config_file(),
                    pid: node.pid(),
                    tpm_port: node.tpm_port(),
                    log: node.log(),
                })
                .collect(),
        }
    }

    /// Writes `network.json`.
    ///
    /// # Errors
    /// If the disk fails.
    pub fn write_description(&self) -> Result<()> {
        let path = self.dir.join("network.json");
        let temporary = path.with_extension("tmp");
        fs::write(&temporary, serde_json::to_vec_pretty(&self.describe())?)?;
        fs::rename(temporary, path)?;
        Ok(())
    }
}

/// Ends what a network that was killed has left running: every process it described that still names its folder, or its port.
///
/// Process ids are reused, so an id alone is no reason to end anything.
pub(super) fn end_leftovers(dir: &Path) {
    let Ok(text) = fs::read(dir.join("network.json")) else {
        return;
    };
    let Ok(left) = serde_json::from_slice::<Description>(&text) else {
        return;
    };
    let folder = dir.to_string_lossy().into_owned();
    let port = left
        .deployment
        .rpc
        .first()
        .and_then(|url| url.rsplit(':').next())
        .unwrap_or("none")
        .to_owned();
    let daemons = left
        .oracles
        .iter()
        .map(|it| it.pid)
        .chain(left.nodes.iter().map(|it| it.pid));
    for pid in daemons.flatten() {
        process::kill_if(pid, |argument| argument.starts_with(&folder));
    }
    if let Some(pid) = left.anvil_pid {
        process::kill_if(pid, |argument| argument == port);
    }
}
