//! The auditor: every bundle judged again with the network stopped, and damaged ones refused.

use std::{collections::BTreeMap, fs, path::Path, process::Command};

use anyhow::Result;

use super::{SLANDERED, Step, Story};
use crate::process::{self, Ran, program};

/// Where in a bundle a byte is changed: shares of its length, in thousandths.
const DAMAGED_AT: [usize; 9] = [0, 3, 111, 250, 400, 555, 700, 850, 999];

impl Story {
    pub(super) async fn audit(&mut self) -> Result<()> {
        let pids: Vec<u32> = self
            .network
            .nodes
            .iter()
            .filter_map(|node| node.pid())
            .chain(
                self.network
                    .oracles
                    .iter()
                    .filter_map(|oracle| oracle.pid()),
            )
            .chain(self.network.anvil_pid())
            .collect();
        self.network
            .narrator
            .say("the network is stopped; the auditor is alone");
        self.network.stop()?;
        let alive = pids
            .iter()
            .filter(|pid| Path::new(&format!("/proc/{pid}")).exists())
            .count();
        self.steps.compare(
            "every process of the network is stopped",
            format!("0 of {} run", pids.len()),
            format!("{alive} of {} run", pids.len()),
        );

        let trust = self.network.trust_file();
        for path in self.bundles.clone() {
            let name = path
                .file_stem()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned();
            let ran = self.verify(&path, Some(&trust)).await?;
            self.steps.add(judged(
                format!("the auditor repeats the verdict of bundle {name}"),
                0,
                &ran,
                &path,
            ));
        }
        self.standings(&trust).await?;
        self.an_answer_is_the_machines_own(&trust).await?;
        let honest = self.bundle_path("honest");
        let ran = self.verify(&honest, None).await?;
        self.steps.add(judged(
            "without a trust file nothing can be checked".into(),
            3,
            &ran,
            &honest,
        ));

        let later = self.bundle_path("lied-about");
        let ran = self.verify(&later, Some(&self.old_trust_file())).await?;
        self.steps.add(judged(
            "an auditor who missed the change of policy does not accept what was judged by it"
                .into(),
            1,
            &ran,
            &later,
        ));

        let bytes = fs::read(&honest)?;
        let damaged = self.network.dir.join("evidence/damaged.probity");
        let mut refused = 0;
        let mut reasons = Vec::new();
        for at in DAMAGED_AT {
            let mut changed = bytes.clone();
            let at = at * (bytes.len() - 1) / 999;
            changed[at] ^= 1;
            fs::write(&damaged, changed)?;
            let ran = self.verify(&damaged, Some(&trust)).await?;
            refused += usize::from(ran.code == 1);
            reasons.push(format!("byte {at}: exit {}", ran.code));
        }
        let expected = format!("{0} of {0} refused with exit 1", DAMAGED_AT.len());
        let ok = refused == DAMAGED_AT.len();
        self.steps.add(Step {
            name: "a bundle with one byte changed is refused, wherever the byte is".into(),
            seen: if ok {
                expected.clone()
            } else {
                reasons.join(", ")
            },
            expected,
            ok,
            evidence: Some(damaged),
            ..Step::default()
        });
        Ok(())
    }

    /// All bundles together, and the notices of an oracle.
    async fn standings(&mut self, trust: &Path) -> Result<()> {
        let issuer = self.network.oracles[0].account;
        let mut command = Command::new(program("verifier")?);
        command
            .args(["standing", "--output", "json", "--block-ms", "1000"])
            .arg("--trust")
            .arg(trust)
            .arg("--notices")
            .arg(format!("{issuer}={}", self.feed().display()))
            .args(&self.bundles);
        let ran = process::run(command, &self.network.dir.join("logs/auditor.log")).await?;
        let read: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap_or_default();
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        for machine in read["machines"].as_array().into_iter().flatten() {
            let standing = machine["state"]["standing"].as_str();
            *counts.entry(standing.unwrap_or("unknown")).or_default() += 1;
        }
        let counts: Vec<String> = counts
            .iter()
            .map(|(standing, count)| format!("{count} {standing}"))
            .collect();
        self.steps.compare(
            "the auditor folds the bundles and an oracle's notices into every machine's standing",
            "exit 1: 6 attested, 1 revoked",
            format!("exit {}: {}", ran.code, counts.join(", ")),
        );
        Ok(())
    }

    /// From the maker of a TPM to bytes that a probe was served, and not from another machine.
    async fn an_answer_is_the_machines_own(&mut self, trust: &Path) -> Result<()> {
        for (bundle, code, seen) in [
            ("honest", 0, "every link holds"),
            ("cut-off", 3, "of the same node and epoch"),
        ] {
            let mut command = Command::new(program("verifier")?);
            command
                .arg("chain")
                .arg(self.transcript())
                .arg("--bundle")
                .arg(self.bundle_path(bundle))
                .arg("--trust")
                .arg(trust);
            let ran = process::run(command, &self.network.dir.join("logs/auditor.log")).await?;
            let said = ran.stdout.contains(seen) || ran.message.contains(seen);
            self.steps.compare(
                format!(
                    "the auditor follows an answer of node {SLANDERED} back to its TPM's maker, with bundle {bundle}"
                ),
                format!("exit {code}: {seen}"),
                if said {
                    format!("exit {}: {seen}", ran.code)
                } else {
                    format!("exit {}: {} {}", ran.code, ran.message, ran.stdout)
                },
            );
        }
        Ok(())
    }

    async fn verify(&self, bundle: &Path, trust: Option<&Path>) -> Result<Ran> {
        let mut command = Command::new(program("verifier")?);
        command.arg("bundle").arg(bundle);
        if let Some(trust) = trust {
            command.arg("--trust").arg(trust);
        }
        process::run(command, &self.network.dir.join("logs/auditor.log")).await
    }
}

fn judged(name: String, expected: i32, ran: &Ran, bundle: &Path) -> Step {
    let ok = ran.code == expected;
    let expected = format!("exit {expected}");
    Step {
        name,
        seen: if ok {
            expected.clone()
        } else {
            format!("exit {}: {} {}", ran.code, ran.message, ran.stdout)
        },
        expected,
        ok,
        evidence: Some(bundle.to_owned()),
        ..Step::default()
    }
}
