//! The oracle's configuration. Paths are relative to the folder of the configuration file.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use alloy::primitives::B256;
use circuits::Profile;
use circuits::keys::{Manifest, VerifyingKey};
use daemon::config::Layers;
use daemon::exit::Failure;
use serde::{Deserialize, Serialize};
use verifier::policy::{Policy, PolicyError};
use verifier::tpm::RootStore;

use crate::agreement::Timing;
use crate::rules::PolicyOnFile;

/// Largest policy, roots or deployment file that is read, bytes.
const MAX_FILE_BYTES: u64 = 4 << 20;

/// Everything an oracle is told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Where the database is.
    pub data_dir: PathBuf,
    /// gRPC address.
    pub listen: SocketAddr,
    /// Address of the web page, JSON, health and metrics.
    pub http_listen: SocketAddr,
    /// `https://host:port` under which nodes and oracles reach this oracle: what the registry has.
    pub public_url: String,
    /// The deployment file.
    pub deployment: PathBuf,
    /// File with the chain key.
    pub chain_key: PathBuf,
    /// Folder with the TLS key and certificate.
    pub tls_dir: PathBuf,
    /// Attestation policies with their roots; the hub says which one is in force in an epoch.
    pub policies: Vec<PolicyFiles>,
    /// Profile of the circuit.
    pub profile: String,
    /// How long things may take.
    pub timing: TimingConfig,
    /// Probes.
    pub probes: ProbesConfig,
    /// The settlement keeper.
    pub settlement: SettlementConfig,
}

/// An attestation policy with the roots it is used with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PolicyFiles {
    /// The policy, TOML.
    pub policy: PathBuf,
    /// Roots trusted to certify TPMs: root stores as `verifier roots import` writes them, or PEM files of bare roots.
    pub ek_roots: Vec<PathBuf>,
}

/// How long things may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TimingConfig {
    /// How often the chain is looked at, milliseconds.
    pub poll_ms: u64,
    /// How long a leader waits for the commitments of all, milliseconds.
    pub commit_wait_ms: u64,
    /// How long an oracle waits for another's answer, milliseconds.
    pub answer_wait_ms: u64,
    /// How long a follower waits until an anchor is final for it too, milliseconds.
    pub anchor_wait_ms: u64,
    /// Final blocks after an epoch's end until the next view's leader takes over.
    pub view_blocks: u64,
}

/// Probes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ProbesConfig {
    /// Probes of each node in an epoch.
    pub per_epoch: usize,
    /// How long a node may take to answer, milliseconds.
    pub timeout_ms: u64,
}

/// The settlement keeper.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SettlementConfig {
    /// Whether this oracle settles.
    pub enabled: bool,
    /// Blocks by which each oracle lets the one before it in the set go first.
    pub stagger_blocks: u64,
    /// How often it looks, milliseconds.
    pub poll_ms: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            data_dir: "data".into(),
            listen: SocketAddr::from(([127, 0, 0, 1], 7100)),
            http_listen: SocketAddr::from(([127, 0, 0, 1], 7200)),
            public_url: "https://127.0.0.1:7100".into(),
            deployment: "deployment.json".into(),
            chain_key: "chain.key".into(),
            tls_dir: "tls".into(),
            policies: vec![PolicyFiles {
                policy: "policy.toml".into(),
                ek_roots: vec!["ek-roots.pem".into()],
            }],
            profile: Profile::DEV.name().into(),
            timing: TimingConfig::default(),
            probes: ProbesConfig::default(),
            settlement: SettlementConfig::default(),
        }
    }
}

impl Default for TimingConfig {
    fn default() -> Self {
        let ms = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let timing = Timing::default();
        Self {
            poll_ms: 300,
            commit_wait_ms: ms(timing.commit_wait),
            answer_wait_ms: ms(timing.answer_wait),
            anchor_wait_ms: ms(timing.anchor_wait),
            view_blocks: timing.view_blocks,
        }
    }
}

impl From<TimingConfig> for Timing {
    fn from(config: TimingConfig) -> Self {
        Self {
            commit_wait: Duration::from_millis(config.commit_wait_ms),
            answer_wait: Duration::from_millis(config.answer_wait_ms),
            anchor_wait: Duration::from_millis(config.anchor_wait_ms),
            view_blocks: config.view_blocks,
        }
    }
}

impl Default for ProbesConfig {
    fn default() -> Self {
        Self {
            per_epoch: 4,
            timeout_ms: 5_000,
        }
    }
}

impl Default for SettlementConfig {
    fn default() -> Self {
        Self {
            enabled: true,
            stagger_blocks: 2,
            poll_ms: 1_000,
        }
    }
}

impl Config {
    /// Reads a configuration file, the environment over it, and makes its paths absolute.
    ///
    /// # Errors
    /// Usage, naming the key.
    pub fn load(file: &Path) -> Result<Self, Failure> {
        let config: Self = Layers::new().file(file)?.environment().build()?;
        let folder = file.parent().unwrap_or(Path::new("."));
        let config = config.relative_to(folder);
        config.check()?;
        Ok(config)
    }

    fn relative_to(mut self, folder: &Path) -> Self {
        for path in [
            &mut self.data_dir,
            &mut self.deployment,
            &mut self.chain_key,
            &mut self.tls_dir,
        ]
        .into_iter()
        .chain(self.policies.iter_mut().flat_map(PolicyFiles::paths))
        {
            *path = folder.join(&*path);
        }
        self
    }

    fn check(&self) -> Result<(), Failure> {
        let positive = [
            ("timing.poll_ms", self.timing.poll_ms),
            ("timing.answer_wait_ms", self.timing.answer_wait_ms),
            ("timing.view_blocks", self.timing.view_blocks),
            ("probes.timeout_ms", self.probes.timeout_ms),
            ("settlement.poll_ms", self.settlement.poll_ms),
        ];
        match positive.into_iter().find(|(_, value)| *value == 0) {
            Some((key, _)) => Err(Failure::usage(format!(
                "configuration: `{key}` is 0, expected at least 1"
            ))),
            None => Ok(()),
        }
    }

    /// The deployment file's content.
    ///
    /// # Errors
    /// Usage.
    pub fn deployment(&self) -> Result<chain::Deployment, Failure> {
        chain::Deployment::load(&self.deployment).map_err(|error| Failure::usage(error.to_string()))
    }

    /// Every attestation policy with its roots.
    ///
    /// # Errors
    /// Usage, naming the file.
    pub fn policies_on_file(&self) -> Result<Vec<PolicyOnFile>, Failure> {
        self.policies
            .iter()
            .map(|files| Ok(PolicyOnFile::new(files.policy()?, files.roots()?)))
            .collect()
    }

    /// The verifying key of the profile, which must be of the circuit whose proofs the contracts accept; development keys on the
    /// development chain only.
    ///
    /// A quorum with another key than the contracts' would find every true proof false.
    ///
    /// # Errors
    /// Usage.
    pub fn verifying_key(&self, chain_id: u64, circuit: B256) -> Result<VerifyingKey, Failure> {
        let profile = Profile::by_name(&self.profile).ok_or_else(|| {
            Failure::usage(format!(
                "configuration: `profile`: no profile {:?}",
                self.profile
            ))
        })?;
        let key = VerifyingKey::committed(&profile).ok_or_else(|| {
            Failure::usage(format!(
                "configuration: `profile`: this build has no verifying key for {:?}",
                self.profile
            ))
        })?;
        key.check_chain(chain_id)
            .map_err(|error| Failure::usage(error.to_string()))?;
        let own = Manifest::committed(&profile).map(|manifest| B256::from(manifest.id()));
        if own != Some(circuit) {
            return Err(Failure::usage(format!(
                "configuration: `profile`: the contracts accept proofs of circuit {circuit}, {} is {}: this oracle abstains",
                self.profile,
                own.unwrap_or_default()
            )));
        }
        Ok(key.clone())
    }

    /// The database file.
    #[must_use]
    pub fn database(&self) -> PathBuf {
        self.data_dir.join("oracle.sqlite")
    }
}

impl PolicyFiles {
    fn paths(&mut self) -> impl Iterator<Item = &mut PathBuf> {
        std::iter::once(&mut self.policy).chain(&mut self.ek_roots)
    }

    /// The attestation policy.
    ///
    /// # Errors
    /// Usage.
    fn policy(&self) -> Result<Policy, Failure> {
        let text = read("policy", &self.policy)?;
        let refuse =
            |what: &str| Failure::usage(format!("policy file {}: {what}", self.policy.display()));
        let policy = Policy::parse(&text).map_err(|error| match &error {
            PolicyError::Syntax(error) => refuse(error.message()),
            _ => refuse(&error.to_string()),
        })?;
        Ok(policy)
    }

    /// The roots trusted to certify TPMs: root stores as `verifier roots import` writes them, or PEM files of bare roots; several
    /// are one, under the strictest of their policies.
    ///
    /// # Errors
    /// Usage.
    fn roots(&self) -> Result<RootStore, Failure> {
        let mut all: Option<RootStore> = None;
        for file in &self.ek_roots {
            let text = read("EK roots", file)?;
            let failed =
                |error| Failure::usage(format!("EK roots file {}: {error}", file.display()));
            let store = RootStore::from_text(&text).map_err(failed)?;
            all = Some(match all {
                Some(before) => before.merge(store).map_err(failed)?,
                None => store,
            });
        }
        all.filter(|store| !store.roots().is_empty())
            .ok_or_else(|| {
                Failure::usage(
                    "configuration: `ek_roots` holds no certificate; no machine could ever enrol",
                )
            })
    }
}

fn read(what: &str, path: &Path) -> Result<String, Failure> {
    let cannot = |error: std::io::Error| {
        Failure::usage(format!(
            "cannot read {what} file {}: {error}",
            path.display()
        ))
    };
    if std::fs::metadata(path).map_err(cannot)?.len() > MAX_FILE_BYTES {
        return Err(Failure::usage(format!(
            "{what} file {} is larger than {MAX_FILE_BYTES} bytes",
            path.display()
        )));
    }
    std::fs::read_to_string(path).map_err(cannot)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::cast_possible_truncation)]
    use super::*;

    #[test]
    fn what_init_writes_reads_back_with_paths_beside_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("oracle.toml");
        std::fs::write(&file, daemon::config::to_toml(&Config::default()).unwrap()).unwrap();
        let config = Config::load(&file).unwrap();
        assert_eq!(config.chain_key, folder.path().join("chain.key"));
        assert_eq!(config.timing, TimingConfig::default());
    }

    #[test]
    fn a_zero_that_would_never_end_is_refused_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("oracle.toml");
        std::fs::write(&file, "[timing]\nview_blocks = 0\n").unwrap();
        assert!(
            Config::load(&file)
                .unwrap_err()
                .message
                .contains("timing.view_blocks")
        );
    }

    #[test]
    fn development_keys_are_refused_on_any_other_chain() {
        let config = Config::default();
        let circuit = Manifest::committed(&Profile::DEV).unwrap().id().into();
        assert!(config.verifying_key(31_337, circuit).is_ok());
        let refused = config.verifying_key(1, circuit).unwrap_err();
        assert!(refused.message.contains("insecure-dev"));
    }

    #[test]
    fn another_circuit_than_the_contracts_is_refused_and_both_are_named() {
        let config = Config::default();
        let other = B256::repeat_byte(7);
        let refused = config.verifying_key(31_337, other).unwrap_err();
        let own = B256::from(Manifest::committed(&Profile::DEV).unwrap().id());
        for named in [other, own] {
            assert!(refused.message.contains(&named.to_string()));
        }
    }
}
