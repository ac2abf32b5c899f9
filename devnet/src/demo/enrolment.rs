//! Who got in, and who did not.

use std::{
    collections::HashSet,
    fs,
    net::Ipv4Addr,
    path::{Path, PathBuf},
    process::Command,
};

use alloy::primitives::{B256, U256};
use anyhow::{Result, ensure};
use chain::{bindings::Registry, types::NodeStatus};
use daemon::{config::to_toml, secret};
use storage_node::config::Config;

use super::{DARK, SPARE, Step, Story};
use crate::{
    network::{BOND, NODES, NodeSeat},
    ports::Port,
    process::{self, Ran, program},
    swtpm::{SwTpm, clone_state},
    trust,
};

impl Story {
    pub(super) async fn enrolment(&mut self) -> Result<()> {
        let mut machines = HashSet::new();
        let (mut active, mut quoted) = (0, 0);
        for node in 1..=NODES as u64 {
            let record = self.network.client.latest().node(node).await?;
            machines.insert(record.hardwareId);
            active += usize::from(
                record.status == u8::from(NodeStatus::Active) && record.bond == U256::from(BOND),
            );
            quoted += usize::from(self.is_quoted(node).await?);
        }
        self.steps.compare(
            "six machines enrol with their TPMs, a quorum of oracles and a bond; a contract judges each one's quote itself",
            format!("{NODES} active nodes on {NODES} machines, {NODES} quotes on chain"),
            format!(
                "{active} active nodes on {} machines, {quoted} quotes on chain",
                machines.len()
            ),
        );
        self.a_machine_in_another_state_is_refused().await?;
        self.a_copied_tpm_is_refused().await
    }

    /// Whether the contract has judged a quote of a node's present TPM, in the accepted state.
    pub(super) async fn is_quoted(&self, node: u64) -> Result<bool> {
        let client = &self.network.client;
        let call = Registry::attestationOfCall { node };
        let found = client
            .latest()
            .read(client.deployment().registry, &call)
            .await?;
        Ok(found.node == node && trust::quotes().states.contains(&found.pcrDigest))
    }

    /// The dark node comes back with another TPM: bond, deal and reputation stay, the machine is in force from the next epoch on.
    pub(super) async fn another_tpm(&mut self) -> Result<()> {
        let before = self.network.client.latest().node(DARK).await?;
        let ca = self.network.ca.clone();
        let ran = self.network.node(DARK)?.replace_tpm(&ca).await?;
        let after = self.network.client.latest().node(DARK).await?;
        let changed = before.hardwareId != after.hardwareId && before.akHash != after.akHash;
        let quoted = self.is_quoted(DARK).await?;
        let ok = ran.code == 0
            && changed
            && quoted
            && (before.bond, before.account) == (after.bond, after.account)
            && after.identityFrom == self.first + 3;
        let expected = format!("in force from epoch {}", self.first + 3);
        self.steps.add(Step {
            name: format!("node {DARK}'s TPM is replaced; a quorum of oracles and the contract judge the new one, and the node keeps bond and deal"),
            seen: if ok {
                expected.clone()
            } else {
                format!(
                    "exit {}: {}; machine changed: {changed}, quoted: {quoted}, in force from epoch {}",
                    ran.code, ran.message, after.identityFrom
                )
            },
            expected,
            ok,
            evidence: Some(self.network.node(DARK)?.log()),
            ..Step::default()
        });
        self.a_revoked_tpm_enrols_nowhere(before.hardwareId).await
    }

    /// A TPM that was taken out comes back under another account: two oracles have revoked it, and the other two are no quorum.
    pub(super) async fn a_revoked_tpm_enrols_nowhere(&mut self, hardware_id: B256) -> Result<()> {
        let faults = 1;
        for oracle in &self.network.oracles[..=faults] {
            let ran = oracle.revoke(hardware_id, "key-compromise").await?;
            ensure!(ran.code == 0, "oracle {}: {}", oracle.index, ran.message);
        }
        let state = self.network.node(DARK)?.taken_out();
        let (ran, log) = self.stranger("revoked", &state, |_| Ok(())).await?;
        let name = format!(
            "{} oracles revoke the TPM that was taken out; with another account it enrols no more",
            faults + 1
        );
        self.refused(name, "REVOKED_HARDWARE", "2 of 4 oracles signed", &ran, log);
        Ok(())
    }

    /// Another process with the secrets of a TPM and an account of its own tries to enrol.
    async fn stranger(
        &mut self,
        name: &str,
        state: &Path,
        prepare: impl FnOnce(&SwTpm) -> Result<()>,
    ) -> Result<(Ran, PathBuf)> {
        let newcomer = self.at_the_door(name, state).await?;
        prepare(&newcomer.tpm)?;
        Ok((newcomer.enrol().await?, newcomer.log()))
    }

    /// A machine with a new TPM of the accepted maker, and an account of its own.
    pub(super) async fn newcomer(&mut self, name: &str) -> Result<Newcomer> {
        let made = self.network.dir.join(format!("{name}-tpm"));
        self.network.ca.manufacture(&made, name)?;
        self.at_the_door(name, &made).await
    }

    /// A machine with the secrets of a TPM and an account of its own.
    async fn at_the_door(&mut self, name: &str, state: &Path) -> Result<Newcomer> {
        let dir = self.network.dir.join(name);
        let account = secret::load_or_create_chain_key(&dir.join("data/keys/chain.key"))?.address();
        self.strangers.push(account);
        self.network.give_gas_money(account).await?;
        self.network.mint(account, U256::from(BOND)).await?;
        clone_state(state, &dir.join("tpm"))?;
        let tpm = SwTpm::start(&dir.join("tpm"))?;
        let ports = [
            Port::any(Ipv4Addr::LOCALHOST.into())?,
            Port::any(Ipv4Addr::LOCALHOST.into())?,
        ];
        let [grpc, health] = ports
            .each_ref()
            .map(|port| (Ipv4Addr::LOCALHOST, port.number()).into());
        let mut config = NodeSeat::example(
            &dir,
            &self.network.dir,
            &dir.join("proving-keys"),
            &self.network.ca,
            grpc,
            health,
        );
        config.tpm.tcti = tpm.tcti();
        let newcomer = Newcomer {
            dir,
            tpm,
            config,
            _ports: ports,
        };
        newcomer.configure(|_| ())?;
        Ok(newcomer)
    }

    /// A step that holds if the command ended with exit code 1, the reason and what else it must say.
    pub(super) fn refused(
        &mut self,
        name: String,
        reason: &str,
        says: &str,
        ran: &Ran,
        log: PathBuf,
    ) {
        let ok = ran.code == 1 && ran.message.contains(reason) && ran.message.contains(says);
        let expected = format!("exit 1, {reason}, {says}");
        self.steps.add(Step {
            name,
            seen: if ok {
                expected.clone()
            } else {
                format!("exit {}: {}", ran.code, ran.message)
            },
            expected,
            ok,
            reason: Some(reason.into()),
            evidence: Some(log),
            ..Step::default()
        });
    }

    /// A machine with a TPM of the accepted maker, whose firmware has measured what no accepted one does.
    async fn a_machine_in_another_state_is_refused(&mut self) -> Result<()> {
        let made = self.network.dir.join("changed-tpm");
        self.network.ca.manufacture(&made, "changed")?;
        let measure = |tpm: &SwTpm| tpm.extend(7, [0x5a; 32]);
        let (ran, log) = self.stranger("changed", &made, measure).await?;
        let name = "a machine whose PCR 7 holds another measurement is refused by the quote policy";
        self.refused(
            name.into(),
            "QUOTE_PCR_DIGEST",
            "quote policy refuses",
            &ran,
            log,
        );
        Ok(())
    }

    /// A seventh process with the secrets of node 6's TPM.
    async fn a_copied_tpm_is_refused(&mut self) -> Result<()> {
        let original = self.network.node(SPARE)?.tpm_state();
        let (ran, log) = self.stranger("clone", &original, |_| Ok(())).await?;
        let name = format!("a seventh process with a copy of node {SPARE}'s TPM is refused");
        self.refused(
            name,
            "HardwareAlreadyEnrolled",
            "refused by the contract",
            &ran,
            log,
        );
        Ok(())
    }
}

/// A machine that is about to enrol, with its TPM running.
pub(super) struct Newcomer {
    dir: PathBuf,
    tpm: SwTpm,
    config: Config,
    _ports: [Port; 2],
}

impl Newcomer {
    /// Writes its configuration, changed.
    pub(super) fn configure(&self, change: impl FnOnce(&mut Config)) -> Result<()> {
        let mut config = self.config.clone();
        change(&mut config);
        Ok(fs::write(self.config_file(), to_toml(&config)?)?)
    }

    fn config_file(&self) -> PathBuf {
        self.dir.join("node.toml")
    }

    /// What its commands said.
    pub(super) fn log(&self) -> PathBuf {
        self.dir.join("log")
    }

    fn storage_node(&self, arguments: &[&str]) -> Result<Command> {
        let mut command = Command::new(program("storage-node")?);
        command.args(["--output", "json"]).args(arguments);
        command.arg("--config").arg(self.config_file());
        Ok(command)
    }

    /// Tries to enrol.
    pub(super) async fn enrol(&self) -> Result<Ran> {
        self.run(&["enrol", "--bond", &BOND.to_string()]).await
    }

    /// Runs a command, however it ends.
    pub(super) async fn run(&self, arguments: &[&str]) -> Result<Ran> {
        process::run(self.storage_node(arguments)?, &self.log()).await
    }

    /// Runs a command that must succeed; returns what it printed.
    pub(super) async fn command(&self, arguments: &[&str]) -> Result<String> {
        process::run_ok(self.storage_node(arguments)?, &self.log()).await
    }

    /// Whether an oracle has answered it: each answer is told in its log.
    pub(super) fn asked_oracles(&self) -> Result<bool> {
        let log = fs::read_to_string(self.log())?;
        Ok(log.contains("enrolment signed") || log.contains("enrolment not signed"))
    }
}
