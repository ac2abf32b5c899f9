//! One storage node of the network: a machine with a TPM, a folder, keys, ports and a process.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Command,
};

use alloy::primitives::Address;
use anyhow::{Context as _, Result};
use circuits::Profile;
use daemon::{config::to_toml, secret};
use storage_node::config::{Config, DutyConfig, Enrol, Grpc, Health, ProverConfig, TpmConfig};
use verifier::tpm::EndorsementKey;

use super::{BOND, Options};
use crate::{
    ports::Port,
    process::{self, Process, Ran, program},
    swtpm::{Ca, SwTpm},
};

const GRPC_PORT: u16 = 7300;
const HEALTH_PORT: u16 = 7400;

/// A storage node's place in the network.
pub struct NodeSeat {
    /// From 1; also its id in the registry.
    pub number: u64,
    /// Its chain account.
    pub account: Address,
    dir: PathBuf,
    grpc: SocketAddr,
    health: SocketAddr,
    _ports: [Port; 2],
    config: Option<Config>,
    process: Option<Process>,
    tpm: Option<SwTpm>,
}

/// Where a node's TPM keeps its state.
pub(super) fn tpm_dir(network: &Path, number: u64) -> PathBuf {
    network.join(format!("node-{number}/tpm"))
}

impl NodeSeat {
    /// Makes its folder and account.
    pub(super) fn prepare(network: &Path, number: u64, options: &Options) -> Result<Self> {
        let dir = network.join(format!("node-{number}"));
        fs::create_dir_all(dir.join("data/keys"))?;
        let offset = u16::try_from(number)?;
        let port = |first: u16| {
            if options.fixed_ports {
                Ok(Port::fixed(first + offset))
            } else {
                Port::any(options.bind)
            }
        };
        let ports = [port(GRPC_PORT)?, port(HEALTH_PORT)?];
        Ok(Self {
            number,
            account: secret::load_or_create_chain_key(&dir.join("data/keys/chain.key"))?.address(),
            grpc: SocketAddr::new(options.bind, ports[0].number()),
            health: SocketAddr::new(options.bind, ports[1].number()),
            _ports: ports,
            config: None,
            process: None,
            tpm: None,
            dir,
        })
    }

    /// `https://host:port` of its gRPC service.
    #[must_use]
    pub fn url(&self) -> String {
        format!("https://{}", self.grpc)
    }

    /// Where it says whether it is ready.
    #[must_use]
    pub fn ready_url(&self) -> String {
        format!("http://{}/readyz", self.health)
    }

    /// The fault file it follows, if it is built to.
    #[must_use]
    pub fn fault_file(&self) -> PathBuf {
        self.dir.join("faults.toml")
    }

    /// Where its TPM keeps its state.
    #[must_use]
    pub fn tpm_state(&self) -> PathBuf {
        self.dir.join("tpm")
    }

    /// Port of its TPM, while it is powered on.
    #[must_use]
    pub fn tpm_port(&self) -> Option<u16> {
        self.tpm.as_ref().map(SwTpm::port)
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

    /// Its configuration file.
    #[must_use]
    pub fn config_file(&self) -> PathBuf {
        self.dir.join("node.toml")
    }

    /// Whether this node is built to follow a fault file: the loser of cells, the replayer and the one that is cut off.
    #[must_use]
    pub fn may_be_faulty(&self) -> bool {
        matches!(self.number, 1 | 3 | 4)
    }

    /// What a node of this network is configured with; the TPM's address is filled in when it is powered on.
    pub(crate) fn example(
        dir: &Path,
        network: &Path,
        keys_dir: &Path,
        ca: &Ca,
        grpc: SocketAddr,
        health: SocketAddr,
    ) -> Config {
        Config {
            data_dir: dir.join("data"),
            deployment: network.join("deployment.json"),
            grpc: Grpc {
                listen: grpc,
                url: format!("https://{grpc}"),
                max_puts: 4,
                max_reads: 16,
                put_seconds: 120,
            },
            health: Health { listen: health },
            tpm: TpmConfig {
                endorsement_key: EndorsementKey::default(),
                tcti: String::new(),
                intermediates: vec![ca.issuer_pem()],
                pcrs: crate::trust::policy().pcrs,
                planned: Vec::new(),
                event_log: None,
            },
            // One prover thread a node: six nodes share a machine.
            guest: None,
            prover: ProverConfig {
                profile: Profile::DEV.name().to_owned(),
                keys_dir: keys_dir.to_owned(),
                threads: 1,
            },
            enrol: Enrol {
                bond: Some(BOND.to_string()),
                roster: None,
            },
            duty: DutyConfig::default(),
        }
    }

    pub(super) fn configure(&mut self, network: &Path, keys_dir: &Path, ca: &Ca) -> Result<()> {
        self.config = Some(Self::example(
            &self.dir,
            network,
            keys_dir,
            ca,
            self.grpc,
            self.health,
        ));
        Ok(())
    }

    /// Powers on the machine: TPM, then daemon.
    ///
    /// # Errors
    /// If a program is missing or the TPM does not come up.
    pub fn power_on(&mut self) -> Result<()> {
        self.power_on_tpm()?;
        let mut command = Command::new(program(if self.may_be_faulty() {
            "faulty-node"
        } else {
            "storage-node"
        })?);
        if self.may_be_faulty() {
            command.arg("--faults").arg(self.fault_file());
        } else {
            command.arg("run");
        }
        command.arg("--config").arg(self.config_file());
        self.process = Some(Process::start(
            &format!("node {}", self.number),
            &mut command,
            &self.log(),
        )?);
        Ok(())
    }

    fn power_on_tpm(&mut self) -> Result<()> {
        let tpm = SwTpm::start(&self.tpm_state())?;
        let file = self.config_file();
        if let Some(config) = &mut self.config {
            config.tpm.tcti = tpm.tcti();
            fs::write(file, to_toml(config)?)?;
        }
        self.tpm = Some(tpm);
        Ok(())
    }

    /// Where the state of a TPM lies that was taken out of the machine.
    #[must_use]
    pub fn taken_out(&self) -> PathBuf {
        self.dir.join("tpm-taken-out")
    }

    /// Puts a new TPM into the machine, which is off, and tells the registry; the wrapped keys of the old one are worth nothing now.
    ///
    /// # Errors
    /// If the TPM cannot be made, or a program is missing.
    pub async fn replace_tpm(&mut self, ca: &Ca) -> Result<Ran> {
        self.power_off();
        let config = self.config.as_ref().context("the node is configured")?;
        fs::remove_dir_all(config.tpm_dir())?;
        fs::rename(self.tpm_state(), self.taken_out())?;
        ca.manufacture(&self.tpm_state(), &format!("node-{}-again", self.number))?;
        self.power_on_tpm()?;
        let mut command = Command::new(program("storage-node")?);
        command
            .arg("reenrol")
            .arg("--config")
            .arg(self.config_file());
        let ran = process::run(command, &self.log()).await;
        self.tpm = None;
        ran
    }

    /// Stops the daemon in order, then the TPM.
    pub fn power_off(&mut self) {
        self.process = None;
        self.tpm = None;
    }

    /// Cuts the power: daemon and TPM are killed at once.
    ///
    /// # Errors
    /// If the operating system refuses.
    pub fn cut_power(&mut self) -> Result<()> {
        self.tpm = None;
        self.process.take().map_or(Ok(()), Process::kill)
    }

    pub(super) fn signal_stop(&mut self) -> Result<()> {
        self.process.as_mut().map_or(Ok(()), Process::signal_stop)
    }

    pub(super) fn check_running(&mut self) -> Result<()> {
        self.process.as_mut().map_or(Ok(()), Process::check_running)
    }
}
