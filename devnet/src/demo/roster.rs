//! A quote policy with a roster: machines register without an oracle.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use alloy::primitives::B256;
use anyhow::{Context as _, Result};
use chain::types::NodeStatus;
use serde_json::Value;

use super::{Story, enrolment::Newcomer};
use crate::{
    process::{self, program},
    trust,
};

impl Story {
    /// The registry's owner puts a roster in the oracles' place; one machine is on it, and another is not.
    pub(super) async fn a_roster(&mut self) -> Result<()> {
        let listed = self.newcomer("on-roster").await?;
        let other = self.newcomer("off-roster").await?;
        let roster = self.network.dir.join("roster.json");
        let root = self.put_on_roster(&listed, &roster).await?;
        let challenge = self.roster_file("challenge");
        let ran = other
            .run(&["activate", &challenge.to_string_lossy()])
            .await?;
        self.refused(
            "another machine does not answer the challenge of the one that goes onto a roster"
                .into(),
            "another attestation key",
            "challenge",
            &ran,
            other.log(),
        );
        let terms = crate::deploy::QuoteTerms {
            roster: root,
            ..trust::quotes()
        };
        self.network.set_quote_policy(&terms).await?;
        // It holds from the next epoch on.
        let next = self.network.epoch().await? + 1;
        let begins = self.network.clock.start_block(next);
        self.network.wait_for_block(begins).await?;

        let configure =
            |it: &Newcomer| it.configure(|config| config.enrol.roster = Some(roster.clone()));
        configure(&listed)?;
        configure(&other)?;
        let ran = listed.enrol().await?;
        let enrolled: Value = serde_json::from_str(&ran.stdout).unwrap_or_default();
        let node = enrolled["node"].as_u64().unwrap_or_default();
        let quoted = node != 0 && self.is_quoted(node).await?;
        let active = node != 0
            && self.network.client.latest().node(node).await?.status
                == u8::from(NodeStatus::Active);
        let expected = "registered, its quote judged by the contract, no oracle asked";
        let ok = ran.code == 0 && quoted && active && !listed.asked_oracles()?;
        self.steps.compare(
            "a quote policy with a roster takes the oracles' place: a machine that its keeper judged registers by a proof and its TPM's quote",
            expected.to_owned(),
            if ok {
                expected.to_owned()
            } else {
                format!("exit {}: {}; quoted: {quoted}, active: {active}", ran.code, ran.message)
            },
        );
        let ran = other.enrol().await?;
        self.refused(
            "a machine that is not on the roster does not register, whatever oracles would say"
                .into(),
            "is not on the roster",
            "enrol.roster",
            &ran,
            other.log(),
        );
        Ok(())
    }

    fn roster_file(&self, name: &str) -> PathBuf {
        self.network.dir.join(format!("roster-{name}.json"))
    }

    /// What the roster's keeper does: judges the machine, has its TPM open a challenge, and adds it. Returns the roster's root.
    async fn put_on_roster(&self, machine: &Newcomer, roster: &Path) -> Result<B256> {
        let [shown, challenge, answer] =
            ["machine", "challenge", "answer"].map(|it| self.roster_file(it));
        let roots = self.network.dir.join("ek-roots.pem");
        let log = machine.log();
        let verifier = |arguments: &[&str]| -> Result<Command> {
            let mut command = Command::new(program("verifier")?);
            command.args(["--output", "json", "roster"]).args(arguments);
            command.arg("--roots").arg(&roots);
            Ok(command)
        };
        let text = |path: &PathBuf| path.to_string_lossy().into_owned();
        fs::write(&shown, machine.command(&["identity"]).await?)?;
        let judged = verifier(&["challenge", &text(&shown)])?;
        fs::write(&challenge, process::run_ok(judged, &log).await?)?;
        fs::write(
            &answer,
            machine.command(&["activate", &text(&challenge)]).await?,
        )?;
        let added = verifier(&[
            "add",
            &roster.to_string_lossy(),
            &text(&shown),
            "--challenge",
            &text(&challenge),
            "--answer",
            &text(&answer),
        ])?;
        let added: Value = serde_json::from_str(&process::run_ok(added, &log).await?)?;
        let root = added["root"].as_str().context("a roster without a root")?;
        Ok(root.parse()?)
    }
}
