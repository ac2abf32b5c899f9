//! Who got in, and who did not.

use std::{collections::HashSet, fs, net::Ipv4Addr, process::Command};

use alloy::primitives::U256;
use anyhow::Result;
use chain::types::NodeStatus;
use daemon::{config::to_toml, secret};

use super::{SPARE, Step, Story};
use crate::{
    network::{BOND, NODES, NodeSeat},
    ports::Port,
    process::{self, program},
    swtpm::{SwTpm, clone_state},
};

impl Story {
    pub(super) async fn enrolment(&mut self) -> Result<()> {
        let view = self.network.client.latest();
        let mut machines = HashSet::new();
        let mut active = 0;
        for node in 1..=NODES as u64 {
            let record = view.node(node).await?;
            machines.insert(record.hardwareId);
            active += usize::from(
                record.status == u8::from(NodeStatus::Active) && record.bond == U256::from(BOND),
            );
        }
        self.steps.compare(
            "six machines enrol with their TPMs, a quorum of oracles and a bond",
            format!("{NODES} active nodes on {NODES} machines"),
            format!("{active} active nodes on {} machines", machines.len()),
        );
        self.a_copied_tpm_is_refused().await
    }

    /// A seventh process with the secrets of node 6's TPM and an account of its own.
    async fn a_copied_tpm_is_refused(&mut self) -> Result<()> {
        let dir = self.network.dir.join("clone");
        let account = secret::load_or_create_chain_key(&dir.join("data/keys/chain.key"))?.address();
        self.network.give_gas_money(account).await?;
        self.network.mint(account, U256::from(BOND)).await?;
        let original = self.network.node(SPARE)?.tpm_state();
        clone_state(&original, &dir.join("tpm"))?;
        let tpm = SwTpm::start(&dir.join("tpm"))?;
        let [grpc, health] = [
            Port::any(Ipv4Addr::LOCALHOST.into())?,
            Port::any(Ipv4Addr::LOCALHOST.into())?,
        ];
        let at = |port: &Port| (Ipv4Addr::LOCALHOST, port.number()).into();
        let keys = self.network.dir.join("clone/proving-keys");
        let mut config = NodeSeat::example(
            &dir,
            &self.network.dir,
            &keys,
            &self.network.ca,
            at(&grpc),
            at(&health),
        );
        config.tpm.tcti = tpm.tcti();
        fs::write(dir.join("node.toml"), to_toml(&config)?)?;

        let mut command = Command::new(program("storage-node")?);
        command
            .arg("enrol")
            .arg("--config")
            .arg(dir.join("node.toml"))
            .args(["--bond", &BOND.to_string()]);
        let ran = process::run(command, &dir.join("log")).await?;
        let refused = ran.code == 1 && ran.message.contains("HardwareAlreadyEnrolled");
        self.steps.add(Step {
            name: format!("a seventh process with a copy of node {SPARE}'s TPM is refused"),
            expected: "exit 1, HardwareAlreadyEnrolled".into(),
            seen: if refused {
                "exit 1, HardwareAlreadyEnrolled".into()
            } else {
                format!("exit {}: {}", ran.code, ran.message)
            },
            ok: refused,
            reason: Some("HardwareAlreadyEnrolled".into()),
            evidence: Some(dir.join("log")),
            ..Step::default()
        });
        Ok(())
    }
}
