//! The committee's policy changes while the network runs.

use std::{collections::BTreeMap, fs, path::PathBuf};

use anyhow::Result;
use serde_json::Value;
use verifier::{Epoch, bundle::Bundle, cbor};

use super::{DOWN, Story};
use crate::{network::POLICY_FILES, trust};

impl Story {
    /// The owner announces another policy; the oracle that lacks it is told.
    pub(super) async fn another_policy(&mut self) -> Result<()> {
        let from_epoch = self.policy_from();
        fs::copy(self.network.trust_file(), self.old_trust_file())?;
        self.network.announce_policy(from_epoch).await?;
        let mut seen = Vec::new();
        for oracle in &self.network.oracles {
            let ran = oracle.status().await?;
            let status: Value = serde_json::from_str(&ran.stdout).unwrap_or_default();
            let policies = status["policies"].as_array();
            let on_file = policies.into_iter().flatten().map(|it| {
                let known = it["on_file"] == true;
                format!(
                    "{}{}",
                    it["from_epoch"],
                    if known { "" } else { " missing" }
                )
            });
            seen.push(on_file.collect::<Vec<_>>().join(" and "));
        }
        let both = format!("0 and {from_epoch}");
        self.steps.compare(
            format!("another policy is announced for epoch {from_epoch}; oracle {DOWN} learns that it lacks the file"),
            [both.as_str(), &both, &both, &format!("{both} missing")].join(", "),
            seen.join(", "),
        );
        Ok(())
    }

    /// First epoch of the other policy.
    fn policy_from(&self) -> u64 {
        self.first + 4
    }

    /// What an auditor has who missed the announcement.
    pub(super) fn old_trust_file(&self) -> PathBuf {
        self.network.dir.join("trust-before.toml")
    }

    pub(super) fn policy_on_file_of_the_oracle_that_lacks_it(&self) -> Result<()> {
        self.network.oracles[DOWN].configure(&self.network.dir, &POLICY_FILES)
    }

    /// Each bundle's report names the policy of its epoch.
    pub(super) fn each_epoch_has_its_policy(&mut self) -> Result<()> {
        let from_epoch = Epoch(self.policy_from());
        let roots = trust::roots(&self.network.ca)?;
        let hashes = [
            (trust::policy().hash(&roots), "the first"),
            (trust::next_policy().hash(&roots), "the second"),
        ];
        let mut seen: BTreeMap<Epoch, &str> = BTreeMap::new();
        for path in &self.bundles {
            let bundle: Bundle = cbor::decode("bundle", &fs::read(path)?)?;
            let found = hashes.iter().find(|it| it.0 == bundle.report.policy_hash);
            seen.insert(bundle.report.epoch, found.map_or("neither", |it| it.1));
        }
        let shown = |of: &dyn Fn(Epoch, &str) -> String| {
            let epochs = seen.iter().map(|(epoch, policy)| of(*epoch, policy));
            epochs.collect::<Vec<_>>().join(", ")
        };
        let expected = shown(&|epoch, _| {
            let policy = hashes[usize::from(epoch >= from_epoch)].1;
            format!("epoch {epoch}: {policy}")
        });
        let found = shown(&|epoch, policy| format!("epoch {epoch}: {policy}"));
        self.steps.compare(
            "each epoch was judged by the policy in force in it, and the hub took the reports",
            expected,
            found,
        );
        Ok(())
    }
}
