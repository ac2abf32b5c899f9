//! The whole network: a chain, its contracts, oracles and storage nodes, each a process of its own.

use std::{
    fs,
    fs::File,
    net::IpAddr,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use alloy::primitives::{Address, U256};
use anyhow::{Context as _, Result, bail, ensure};
use chain::{
    Client, Deployment, EpochClock, Sender,
    anvil::{Anvil, AnvilOptions},
    bindings::{Hub, ProbityToken},
    types::Schedule,
};
use circuits::Profile;
use daemon::exit::Failure;
use verifier::Epoch;

use crate::{
    deploy::{self, QuoteTerms},
    narrator::Narrator,
    ports::Port,
    swtpm, trust,
};

pub mod description;
pub mod node;
pub mod oracle;
pub mod owner;

pub use node::NodeSeat;
pub use oracle::OracleSeat;

/// Oracles of a development network: the smallest committee that tolerates one faulty member.
pub const ORACLES: usize = 4;
/// Storage nodes: five for a 3+2 deal and a spare.
pub const NODES: usize = 6;

/// Least bond, token units. Odd, so that every division of it leaves a remainder that somebody has to account for.
pub const BOND: u128 = 1_000_000_000_000_000_007;
/// Nodes that may be enrolled at a time: each has a software TPM. Some enrol again in the story.
pub const VIRTUAL_CAP: u64 = 2 * NODES as u64;
/// The policy in force at first, and the one to come.
pub const POLICY_FILES: [&str; 2] = ["policy.toml", "policy-next.toml"];
/// What the owner begins with, token units.
pub const OWNER_TOKENS: u128 = 1_000_000_000_000_000_000_000_000;
/// Gas money of every account, wei.
const GAS_MONEY: &str = "0x3635c9adc5dea00000";
/// First ports with [`Options::fixed_ports`].
const ANVIL_PORT: u16 = 8545;
/// How long a process may take until it is ready.
const START: Duration = Duration::from_secs(90);

/// What a network is started with.
#[derive(Clone, Debug)]
pub struct Options {
    /// Everything it writes goes here; wiped if an earlier network left something.
    pub dir: PathBuf,
    /// Proving keys, kept between networks.
    pub keys_dir: PathBuf,
    /// 8545, 7100+i, 7200+i, 7300+i instead of free ports.
    pub fixed_ports: bool,
    /// Interface of oracles and nodes.
    pub bind: IpAddr,
}

/// The demo's schedule: epochs of 40 blocks of a second.
#[must_use]
pub fn schedule(genesis_block: u64) -> Schedule {
    Schedule {
        genesisBlock: genesis_block,
        epochBlocks: 40,
        fallbackBlock: 16,
        deadlineBlock: 24,
        reportWindowEpochs: 2,
        disputeBlocks: 40,
        eraEpochs: 720,
        unbondingEpochs: 8,
        vettingEpochs: 2,
    }
}

/// A running network. Dropping it stops every process.
pub struct Network {
    /// Storage nodes, by number from 1: seat `n` is at index `n - 1` and has node id `n`.
    pub nodes: Vec<NodeSeat>,
    /// Oracles, in the order of the set.
    pub oracles: Vec<OracleSeat>,
    /// The contracts.
    pub client: Client,
    /// Deployer, minter and registry owner.
    pub deployer: Sender,
    /// Epoch arithmetic.
    pub clock: EpochClock,
    /// Where everything is.
    pub dir: PathBuf,
    /// The maker of its TPMs.
    pub ca: swtpm::Ca,
    /// What happened is told here.
    pub narrator: Narrator,
    anvil: Option<Anvil>,
    _lock: File,
}

impl Network {
    /// Starts a network and waits until every oracle is ready and every node enrolled.
    ///
    /// # Errors
    /// If a part does not come up; what was started is stopped again.
    pub async fn start(options: &Options, narrator: Narrator) -> Result<Self> {
        let (dir, lock) = fresh_dir(&options.dir)?;
        narrator.say(format_args!("network in {}", dir.display()));

        let keys_dir = absolute(&options.keys_dir)?;
        let keys = {
            let keys_dir = keys_dir.clone();
            tokio::task::spawn_blocking(move || {
                prover::keys::load_or_create(&Profile::DEV, &keys_dir).map(|_| ())
            })
        };
        narrator.say(format_args!(
            "making {NODES} TPMs with endorsement certificates"
        ));
        let ca = manufacture(&dir).await?;
        keys.await??;

        let anvil = Anvil::spawn(&AnvilOptions {
            port: if options.fixed_ports {
                ANVIL_PORT
            } else {
                Port::any(options.bind)?.number()
            },
            block_time: Some(1),
            log: Some(dir.join("logs/anvil.log")),
            ..AnvilOptions::default()
        })?;
        let rpc = anvil.rpc().await?;
        let key = anvil
            .keys()
            .first()
            .context("anvil has no accounts")?
            .clone();
        let deployer = Sender::new(rpc.clone(), key);
        narrator.say(format_args!("chain at {}", anvil.url()));

        let oracles = (0..ORACLES)
            .map(|index| OracleSeat::prepare(&dir, index, options))
            .collect::<Result<Vec<_>>>()?;
        let nodes = (1..=NODES as u64)
            .map(|number| NodeSeat::prepare(&dir, number, options))
            .collect::<Result<Vec<_>>>()?;
        let policy = trust::policy();
        let roots = trust::roots(&ca)?;
        let schedule = schedule(rpc.head().await?.number);
        let terms = deploy::Terms {
            rpc: anvil.url(),
            oracles: oracles.iter().map(OracleSeat::info).collect(),
            minimum_bond: U256::from(BOND),
            policy_hash: policy.hash(&roots),
            schedule: schedule.clone(),
            virtual_cap: VIRTUAL_CAP,
            quotes: trust::quotes(),
        };
        let deployment = deploy::deploy(&deployer, terms).await?;
        narrator.say(format_args!(
            "contracts deployed, hub at {}",
            deployment.hub
        ));
        fs::write(
            dir.join("deployment.json"),
            serde_json::to_vec_pretty(&deployment)?,
        )?;
        fs::copy(ca.root_pem(), dir.join("ek-roots.pem"))?;
        fs::write(dir.join(POLICY_FILES[0]), toml::to_string(&policy)?)?;
        let next = trust::next_policy();
        fs::write(dir.join(POLICY_FILES[1]), toml::to_string(&next)?)?;
        trust::write(
            &dir.join("trust.toml"),
            &deployment,
            &schedule,
            &oracles,
            &[(Epoch(0), policy)],
            &ca,
        )?;

        let mut network = Self {
            nodes,
            oracles,
            client: Client::connect(deployment).await?,
            deployer,
            clock: EpochClock::new(schedule)?,
            dir,
            ca,
            narrator,
            anvil: Some(anvil),
            _lock: lock,
        };
        network.come_up(&keys_dir).await?;
        Ok(network)
    }

    async fn come_up(&mut self, keys_dir: &Path) -> Result<()> {
        let accounts: Vec<Address> = self
            .oracles
            .iter()
            .map(|oracle| oracle.account)
            .chain(self.nodes.iter().map(|node| node.account))
            .collect();
        for account in accounts {
            self.give_gas_money(account).await?;
        }
        for oracle in &mut self.oracles {
            // The last one is told of another policy only when it comes.
            let known = if oracle.index + 1 == ORACLES { 1 } else { 2 };
            oracle.configure(&self.dir, &POLICY_FILES[..known])?;
            oracle.start()?;
        }
        for index in 0..self.nodes.len() {
            self.mint(self.nodes[index].account, U256::from(BOND))
                .await?;
            self.nodes[index].configure(&self.dir, keys_dir, &self.ca)?;
        }
        self.wait_for_oracles().await?;
        self.narrator
            .say(format_args!("{ORACLES} oracles are ready"));
        // One after the other, so that node n has id n.
        for index in 0..self.nodes.len() {
            self.nodes[index].power_on()?;
            self.wait_for_node(index).await?;
            let id = self
                .client
                .latest()
                .node_id(self.nodes[index].account)
                .await?;
            let number = self.nodes[index].number;
            ensure!(id == number, "node {number} was registered as {id}");
            self.narrator.say(format_args!(
                "node {id} enrolled its TPM and posted its bond"
            ));
        }
        self.write_description()
    }

    /// Announces that the committee judges by [`trust::next_policy`] from an epoch on, and writes it into the auditor's trust file.
    ///
    /// # Errors
    /// If the chain does not answer, or the disk fails.
    pub async fn announce_policy(&self, from_epoch: u64) -> Result<()> {
        let next = trust::next_policy();
        let announcement = Hub::setPolicyCall {
            policyHash: next.hash(&trust::roots(&self.ca)?),
            fromEpoch: from_epoch,
        };
        self.deployer
            .send(self.deployment().hub, &announcement)
            .await?;
        trust::write(
            &self.trust_file(),
            self.deployment(),
            self.clock.schedule(),
            &self.oracles,
            &[(Epoch(0), trust::policy()), (Epoch(from_epoch), next)],
            &self.ca,
        )
    }

    /// Puts another quote policy in force in the registry.
    ///
    /// # Errors
    /// If the chain does not answer.
    pub async fn set_quote_policy(&self, terms: &QuoteTerms) -> Result<()> {
        deploy::set_quote_policy(&self.deployer, self.deployment().registry, terms).await
    }

    /// A node by its number.
    ///
    /// # Errors
    /// If there is no such node.
    pub fn node(&mut self, number: u64) -> Result<&mut NodeSeat> {
        self.nodes
            .iter_mut()
            .find(|node| node.number == number)
            .with_context(|| format!("there is no node {number}"))
    }

    /// The deployment.
    #[must_use]
    pub fn deployment(&self) -> &Deployment {
        self.client.deployment()
    }

    /// The trust file an auditor would keep.
    #[must_use]
    pub fn trust_file(&self) -> PathBuf {
        self.dir.join("trust.toml")
    }

    /// The chain's endpoint.
    #[must_use]
    pub fn rpc_url(&self) -> &str {
        self.deployment().rpc.first().map_or("", String::as_str)
    }

    /// Process id of the chain.
    #[must_use]
    pub fn anvil_pid(&self) -> Option<u32> {
        self.anvil.as_ref().map(Anvil::process_id)
    }

    /// Gives an account what it needs for gas.
    ///
    /// # Errors
    /// If the chain does not answer.
    pub async fn give_gas_money(&self, account: Address) -> Result<()> {
        let parameters = serde_json::json!([account, GAS_MONEY]);
        let _: serde_json::Value =
            chain::anvil::raw(self.client.rpc(), "anvil_setBalance", parameters).await?;
        Ok(())
    }

    /// Mints tokens.
    ///
    /// # Errors
    /// If the chain does not answer.
    pub async fn mint(&self, to: Address, amount: U256) -> Result<()> {
        self.deployer
            .send(
                self.deployment().token,
                &ProbityToken::mintCall { to, amount },
            )
            .await?;
        Ok(())
    }

    /// Latest block.
    ///
    /// # Errors
    /// If the chain does not answer.
    pub async fn head(&self) -> Result<u64> {
        Ok(self.client.rpc().head().await?.number)
    }

    /// Epoch of the latest block.
    ///
    /// # Errors
    /// If the chain does not answer.
    pub async fn epoch(&self) -> Result<u64> {
        Ok(self.clock.epoch_of(self.head().await?).unwrap_or(0))
    }

    /// Waits for a block, watching over every process meanwhile.
    ///
    /// # Errors
    /// If a process ends by itself.
    pub async fn wait_for_block(&mut self, block: u64) -> Result<()> {
        loop {
            self.check_running()?;
            if self.head().await? >= block {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    /// Fails if a process that should run has ended.
    ///
    /// # Errors
    /// See above, with the end of its log.
    pub fn check_running(&mut self) -> Result<()> {
        self.oracles
            .iter_mut()
            .try_for_each(OracleSeat::check_running)?;
        self.nodes.iter_mut().try_for_each(NodeSeat::check_running)
    }

    /// Waits until an oracle or node says that it is ready.
    ///
    /// # Errors
    /// If it ends, or takes too long.
    pub async fn wait_for_node(&mut self, index: usize) -> Result<()> {
        let url = self.nodes[index].ready_url();
        wait_ready(&url, || self.nodes[index].check_running()).await
    }

    /// Waits until every oracle is ready.
    ///
    /// # Errors
    /// As [`Network::wait_for_node`].
    pub async fn wait_for_oracles(&mut self) -> Result<()> {
        for oracle in &mut self.oracles {
            let url = oracle.ready_url();
            wait_ready(&url, || oracle.check_running()).await?;
        }
        Ok(())
    }

    /// Stops every process, all at once, the chain last.
    ///
    /// # Errors
    /// If the operating system refuses.
    pub fn stop(&mut self) -> Result<()> {
        for node in &mut self.nodes {
            node.signal_stop()?;
        }
        for oracle in &mut self.oracles {
            oracle.signal_stop()?;
        }
        self.nodes.iter_mut().for_each(NodeSeat::power_off);
        self.oracles.iter_mut().for_each(OracleSeat::shut_down);
        self.anvil = None;
        Ok(())
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        let _ = self.stop();
    }
}

/// Waits for `200 OK` at a readiness URL.
async fn wait_ready(url: &str, mut check: impl FnMut() -> Result<()>) -> Result<()> {
    let http = reqwest::Client::builder()
        .timeout(Duration::from_secs(2))
        .build()?;
    let started = Instant::now();
    let mut last = String::from("no answer");
    while started.elapsed() < START {
        check()?;
        match http.get(url).send().await {
            Ok(answer) if answer.status().is_success() => return Ok(()),
            Ok(answer) => last = answer.text().await.unwrap_or_default(),
            Err(error) => last = error.to_string(),
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    bail!(
        "{url} does not say ready after {START:?}; it says: {}",
        last.trim()
    )
}

/// An empty folder that no other network uses.
fn fresh_dir(dir: &Path) -> Result<(PathBuf, File)> {
    const MARK: &str = ".probity-devnet";
    fs::create_dir_all(dir)?;
    let dir = dir.canonicalize()?;
    let lock = File::create(dir.with_extension("lock"))?;
    if lock.try_lock().is_err() {
        let shown = dir.display();
        bail!(Failure::usage(format!(
            "another network runs in {shown}; stop it, or choose another with --dir"
        )));
    }
    let empty = fs::read_dir(&dir)?.next().is_none();
    if !empty && !dir.join(MARK).exists() {
        let shown = dir.display();
        bail!(Failure::usage(format!(
            "{shown} is not empty and was not made by devnet; choose another with --dir"
        )));
    }
    description::end_leftovers(&dir);
    fs::remove_dir_all(&dir)?;
    fs::create_dir_all(dir.join("logs"))?;
    fs::write(dir.join(MARK), "devnet wipes this folder\n")?;
    Ok((dir, lock))
}

fn absolute(path: &Path) -> Result<PathBuf> {
    fs::create_dir_all(path)?;
    Ok(path.canonicalize()?)
}

/// Makes the TPMs side by side: each takes a second of a core for its RSA key.
async fn manufacture(dir: &Path) -> Result<swtpm::Ca> {
    let ca = swtpm::Ca::new(&dir.join("tpm-ca"))?;
    let mut makers = tokio::task::JoinSet::new();
    for number in 1..=NODES as u64 {
        let (ca, state) = (ca.clone(), node::tpm_dir(dir, number));
        let name = format!("node-{number}");
        // The first one makes the CA's own keys; two at a time would make two.
        if number == 1 {
            tokio::task::spawn_blocking(move || ca.manufacture(&state, &name)).await??;
        } else {
            makers.spawn_blocking(move || ca.manufacture(&state, &name));
        }
    }
    while let Some(made) = makers.join_next().await {
        made??;
    }
    Ok(ca)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_folder_is_wiped_only_if_a_network_made_it_and_used_by_one_at_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let foreign = folder.path().join("foreign");
        fs::create_dir(&foreign).unwrap();
        fs::write(foreign.join("thesis.tex"), "years of work").unwrap();
        assert!(fresh_dir(&foreign).is_err());
        assert!(foreign.join("thesis.tex").exists());

        let own = folder.path().join("own");
        let (dir, lock) = fresh_dir(&own).unwrap();
        fs::write(dir.join("left"), "over").unwrap();
        let error = fresh_dir(&own).unwrap_err().to_string();
        assert!(error.contains("another network"), "{error}");
        drop(lock);
        fresh_dir(&own).unwrap();
        assert!(!dir.join("left").exists());
    }
}
