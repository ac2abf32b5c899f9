//! One oracle of the network: its folder, keys, ports and process.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Command,
};

use alloy::primitives::{Address, B256};
use anyhow::{Context as _, Result};
use chain::types::OracleInfo;
use daemon::{config::to_toml, secret, tls::TlsIdentity};
use oracle::config::{Config, PolicyFiles};

use super::Options;
use crate::{
    ports::Port,
    process::{self, Process, Ran, program},
};

const GRPC_PORT: u16 = 7100;
const HTTP_PORT: u16 = 7200;

/// An oracle's place in the network.
pub struct OracleSeat {
    /// Its index in the set.
    pub index: usize,
    /// Its chain account.
    pub account: Address,
    /// SHA-256 of its TLS public key.
    pub tls_key_hash: B256,
    dir: PathBuf,
    grpc: SocketAddr,
    http: SocketAddr,
    _ports: [Port; 2],
    process: Option<Process>,
}

impl OracleSeat {
    /// Makes its folder and keys.
    pub(super) fn prepare(network: &Path, index: usize, options: &Options) -> Result<Self> {
        let dir = network.join(format!("oracle-{index}"));
        fs::create_dir_all(&dir)?;
        let offset = u16::try_from(index)?;
        let port = |first: u16| {
            if options.fixed_ports {
                Ok(Port::fixed(first + offset))
            } else {
                Port::any(options.bind)
            }
        };
        let ports = [port(GRPC_PORT)?, port(HTTP_PORT)?];
        Ok(Self {
            index,
            account: secret::load_or_create_chain_key(&dir.join("chain.key"))?.address(),
            tls_key_hash: TlsIdentity::load_or_create(&dir.join("tls"))?
                .key_hash()
                .into(),
            grpc: SocketAddr::new(options.bind, ports[0].number()),
            http: SocketAddr::new(options.bind, ports[1].number()),
            _ports: ports,
            dir,
            process: None,
        })
    }

    /// `https://host:port` of its gRPC services.
    #[must_use]
    pub fn url(&self) -> String {
        format!("https://{}", self.grpc)
    }

    /// `http://host:port` of its pages.
    #[must_use]
    pub fn http_url(&self) -> String {
        format!("http://{}", self.http)
    }

    /// Where it says whether it is ready.
    #[must_use]
    pub fn ready_url(&self) -> String {
        format!("{}/readyz", self.http_url())
    }

    /// Its entry in the oracle set.
    #[must_use]
    pub fn info(&self) -> OracleInfo {
        OracleInfo {
            account: self.account,
            url: self.url(),
            tlsKeyHash: self.tls_key_hash,
        }
    }

    /// The fault file it follows; only one oracle of the network reads one.
    #[must_use]
    pub fn fault_file(&self) -> PathBuf {
        self.dir.join("faults.toml")
    }

    /// Its process id, while it runs.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.process.as_ref().map(Process::id)
    }

    /// Its log.
    #[must_use]
    pub fn log(&self) -> PathBuf {
        self.dir.join("log")
    }

    /// Whether this is the oracle that is built to follow a fault file.
    #[must_use]
    pub fn may_be_faulty(&self) -> bool {
        self.index == 2
    }

    fn config_file(&self) -> PathBuf {
        self.dir.join("oracle.toml")
    }

    /// Writes its configuration, with some of the network's policies on file.
    ///
    /// # Errors
    /// If the disk fails.
    pub fn configure(&self, network: &Path, policies: &[&str]) -> Result<()> {
        let config = Config {
            data_dir: "data".into(),
            listen: self.grpc,
            http_listen: self.http,
            public_url: self.url(),
            deployment: network.join("deployment.json"),
            policies: policies
                .iter()
                .map(|policy| PolicyFiles {
                    policy: network.join(policy),
                    ek_roots: vec![network.join("ek-roots.pem")],
                })
                .collect(),
            ..Config::default()
        };
        fs::write(self.config_file(), to_toml(&config)?)?;
        Ok(())
    }

    /// Starts its process.
    ///
    /// # Errors
    /// If the program is missing.
    pub fn start(&mut self) -> Result<()> {
        let name = if self.may_be_faulty() {
            "faulty-oracle"
        } else {
            "oracle"
        };
        let mut command = Command::new(program(name)?);
        command.arg("run").arg("--config").arg(self.config_file());
        if self.may_be_faulty() {
            command.env("DEVNET_FAULTS", self.fault_file());
        }
        let process = Process::start(&format!("oracle {}", self.index), &mut command, &self.log());
        self.process = Some(process.context("starting an oracle")?);
        Ok(())
    }

    /// What its operator is told of it.
    ///
    /// # Errors
    /// If the program is missing.
    pub async fn status(&self) -> Result<Ran> {
        let mut command = Command::new(program("oracle")?);
        command
            .args(["status", "--output", "json", "--config"])
            .arg(self.config_file());
        process::run(command, &self.log()).await
    }

    /// Has its operator revoke a machine.
    ///
    /// # Errors
    /// If the program is missing.
    pub async fn revoke(&self, hardware_id: B256, reason: &str) -> Result<Ran> {
        let mut command = Command::new(program("oracle")?);
        command
            .args(["notice", "issue", &format!("hardware:{hardware_id}")])
            .args(["--reason", reason, "--text", "taken out of its machine"])
            .arg("--config")
            .arg(self.config_file());
        process::run(command, &self.log()).await
    }

    /// Stops its process, if it runs, and waits for its end.
    pub fn shut_down(&mut self) {
        self.process = None;
    }

    pub(super) fn signal_stop(&mut self) -> Result<()> {
        self.process.as_mut().map_or(Ok(()), Process::signal_stop)
    }

    pub(super) fn check_running(&mut self) -> Result<()> {
        self.process.as_mut().map_or(Ok(()), Process::check_running)
    }
}
