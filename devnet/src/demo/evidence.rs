//! Bundles out of the oracles' archive, and what can be seen in them while the chain still runs.

use std::{fs, path::PathBuf, time::Duration};

use alloy::primitives::U256;
use anyhow::{Context as _, Result, bail};
use chain::bindings::StorageProofVerifier;
use verifier::{NodeId, bundle::Bundle, cbor};

use super::{CUT_OFF, DARK, LIAR, LOSER, REPLAYER, SLANDERED, SPARE, Step, Story};
use crate::faulty_oracle::LIED_LATENCY;

impl Story {
    /// Exports one bundle for each thing the story is about.
    pub(super) async fn collect_evidence(&mut self) -> Result<()> {
        let first = self.first;
        let wanted = [
            ("honest", SLANDERED, first),
            ("without-power", DARK, first + 2),
            ("cut-off", CUT_OFF, first + 2),
            ("another-tpm", DARK, first + 3),
            ("zeroes", LOSER, first + 2),
            ("replay", REPLAYER, first + 4),
            ("lied-about", SLANDERED, first + 4),
            ("repaired", SPARE, self.spare_from),
        ];
        fs::create_dir_all(self.network.dir.join("evidence"))?;
        for (name, node, epoch) in wanted {
            let bundle = self.export("bundle", node, epoch).await?;
            let path = self.network.dir.join(format!("evidence/{name}.probity"));
            fs::write(&path, bundle)?;
            self.bundles.push(path);
        }
        let transcript = self
            .export("transcript", SLANDERED, first)
            .await
            .context("an answer of an honest node")?;
        fs::write(self.transcript(), transcript)?;
        let feed = self.network.oracles[0].http_url() + "/api/v1/notices";
        let answer = reqwest::get(feed).await?.error_for_status()?;
        fs::write(self.feed(), answer.bytes().await?)?;
        self.steps.attach_evidence(
            &[
                ("honest epochs", "honest"),
                ("without power", "without-power"),
                ("cut off submits", "cut-off"),
                ("with its new TPM", "another-tpm"),
                ("proves zeroes", "zeroes"),
                ("replays its last proof", "replay"),
                ("lies about is paid", "lied-about"),
                ("paid for the repaired slot", "repaired"),
            ],
            &self.network.dir.join("evidence"),
        );
        self.each_epoch_has_its_policy()?;
        self.the_median_stays_honest()?;
        self.the_deployed_contract_agrees().await
    }

    /// A bundle or transcript from whichever oracle has all of it.
    async fn export(&self, what: &str, node: u64, epoch: u64) -> Result<Vec<u8>> {
        let http = reqwest::Client::builder()
            .timeout(Duration::from_secs(20))
            .build()?;
        let mut refusals = Vec::new();
        for oracle in &self.network.oracles {
            let answer = http
                .get(format!(
                    "{}/api/v1/{what}/{node}/{epoch}",
                    oracle.http_url()
                ))
                .send()
                .await?;
            if answer.status().is_success() {
                return Ok(answer.bytes().await?.to_vec());
            }
            refusals.push(format!(
                "oracle {}: {}",
                oracle.index,
                answer.text().await.unwrap_or_default()
            ));
        }
        bail!(
            "no oracle exports a {what} of node {node} in epoch {epoch}: {}",
            refusals.join("; ")
        )
    }

    /// What links an answer of an honest node to its TPM.
    pub(super) fn transcript(&self) -> PathBuf {
        self.network.dir.join("evidence/honest.transcript")
    }

    /// The revocation notices of oracle 0.
    pub(super) fn feed(&self) -> PathBuf {
        self.network.dir.join("evidence/oracle-0.feed")
    }

    fn bundle(&self, name: &str) -> Result<Bundle> {
        let bytes = fs::read(self.bundle_path(name))?;
        cbor::decode("bundle", &bytes).with_context(|| format!("bundle {name}"))
    }

    pub(super) fn bundle_path(&self, name: &str) -> PathBuf {
        self.network.dir.join(format!("evidence/{name}.probity"))
    }

    /// One oracle's lie is in the bundle, and the verdict's figures lie within what the honest oracles saw.
    fn the_median_stays_honest(&mut self) -> Result<()> {
        let bundle = self.bundle("lied-about")?;
        let node = NodeId(SLANDERED);
        let liar = self.network.oracles[LIAR].account;
        let mut lied = false;
        let mut honest = Vec::new();
        for signed in &bundle.observations {
            let observation =
                signed.open(&bundle.deployment, bundle.report.epoch, &bundle.oracle_set)?;
            let Some(statement) = observation.statement(node) else {
                continue;
            };
            if observation.oracle == liar {
                lied = statement.latency_p95 == LIED_LATENCY;
            } else {
                honest.push((
                    statement.availability,
                    statement.latency_p95,
                    statement.throughput,
                ));
            }
        }
        let verdict = &bundle.verdict;
        let within = |low: u64, value: u64, high: u64| low <= value && value <= high;
        let range = |of: &dyn Fn(
            &(
                verifier::Availability,
                verifier::LatencyMs,
                verifier::Throughput,
            ),
        ) -> u64| {
            let values = honest.iter().map(of);
            (values.clone().min().unwrap_or(1), values.max().unwrap_or(0))
        };
        let latency = range(&|it| it.1.0.into());
        let availability = range(&|it| it.0.0.into());
        let throughput = range(&|it| it.2.0);
        let ok = lied
            && honest.len() >= bundle.oracle_set.quorum() - 1
            && within(latency.0, verdict.latency_p95.0.into(), latency.1)
            && within(
                availability.0,
                verdict.availability.0.into(),
                availability.1,
            )
            && within(throughput.0, verdict.throughput.0, throughput.1);
        let expected = "the lie is on record, and the median within the honest values".to_owned();
        self.steps.add(Step {
            name: format!("oracle {LIAR} says {LIED_LATENCY} ms of node {SLANDERED}"),
            seen: if ok {
                expected.clone()
            } else {
                format!(
                    "lie on record: {lied}; p95 {} of {latency:?}, availability {} of {availability:?}, throughput {} of {throughput:?}",
                    verdict.latency_p95, verdict.availability, verdict.throughput
                )
            },
            expected,
            ok,
            evidence: Some(self.bundle_path("lied-about")),
            ..Step::default()
        });
        Ok(())
    }

    /// The contract on chain judges an honest proof and the one over zeroes as the oracles did.
    async fn the_deployed_contract_agrees(&mut self) -> Result<()> {
        let mut seen = Vec::new();
        for name in ["honest", "zeroes", "replay"] {
            let bundle = self.bundle(name)?;
            let evidence = bundle.evidence.context("a bundle without evidence")?;
            let mut proof = [U256::ZERO; 8];
            for (word, bytes) in proof.iter_mut().zip(evidence.proof.chunks_exact(32)) {
                *word = U256::from_be_slice(bytes);
            }
            let view = self.network.client.latest();
            let statement = view
                .statement(bundle.verdict.node.0, bundle.report.epoch.0)
                .await?;
            let call = StorageProofVerifier::verifyCall {
                proof,
                publicInputs: statement,
            };
            let holds = view.read(self.network.deployment().verifier, &call).await?;
            seen.push(format!(
                "{name}: {}",
                if holds { "holds" } else { "does not hold" }
            ));
        }
        self.steps.compare(
            "the deployed verifier judges the same proofs",
            "honest: holds, zeroes: does not hold, replay: does not hold",
            seen.join(", "),
        );
        Ok(())
    }
}
