//! The node's configuration. `init` writes [`EXAMPLE`]; every key is explained there.

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::time::Duration;

use alloy::primitives::{B256, U256};
use circuits::Profile;
use daemon::config::Layers;
use daemon::exit::Failure;
use serde::{Deserialize, Serialize};

use verifier::tpm::EndorsementKey;
use verifier::tpm::roster::Roster;

use crate::acceptance::Acceptance;
use crate::guest::GuestConfig;

/// A whole configuration with every key, its default and what it means.
pub const EXAMPLE: &str = include_str!("../node.example.toml");

/// The configuration of a storage node. Paths are relative to the working directory unless absolute.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Everything the node keeps: database, shards, keys.
    pub data_dir: PathBuf,
    /// The deployment file (JSON): chain id, endpoints, contract addresses.
    pub deployment: PathBuf,
    /// gRPC, with TLS.
    pub grpc: Grpc,
    /// `/livez`, `/readyz`, `/metrics`.
    #[serde(default)]
    pub health: Health,
    /// The TPM.
    pub tpm: TpmConfig,
    /// The confidential guest that the node enrols from, for committees whose policy asks for one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub guest: Option<GuestConfig>,
    /// The prover.
    #[serde(default)]
    pub prover: ProverConfig,
    /// Enrolment.
    #[serde(default)]
    pub enrol: Enrol,
    /// The epoch duty.
    #[serde(default)]
    pub duty: DutyConfig,
}

/// Where clients reach the node.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Grpc {
    /// Address to listen on.
    pub listen: SocketAddr,
    /// What the registry tells clients: `https://host:port`.
    pub url: String,
    /// Shards received at once.
    #[serde(default = "Grpc::puts")]
    pub max_puts: usize,
    /// Whole shards sent at once, and as many ranges beside them.
    #[serde(default = "Grpc::reads")]
    pub max_reads: usize,
    /// Seconds one whole put, or one whole read, may take.
    #[serde(default = "Grpc::put_seconds")]
    pub put_seconds: u64,
}

impl Grpc {
    const fn puts() -> usize {
        8
    }

    const fn reads() -> usize {
        32
    }

    const fn put_seconds() -> u64 {
        60
    }
}

/// The health server.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Health {
    /// Address to listen on.
    pub listen: SocketAddr,
}

impl Default for Health {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 7390)),
        }
    }
}

/// The TPM.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct TpmConfig {
    /// How to reach it: `device:/dev/tpmrm0`, `swtpm:host=127.0.0.1,port=2321`.
    pub tcti: String,
    /// Which of its endorsement keys the machine enrols with: the one the committee's policy names for its maker.
    #[serde(default)]
    pub endorsement_key: EndorsementKey,
    /// PEM files with the certificates between the TPM's own and its maker's root, at least the one that issued it.
    #[serde(default)]
    pub intermediates: Vec<PathBuf>,
    /// PCRs each quote covers: those of the committee's policy, at least.
    #[serde(default = "TpmConfig::pcrs")]
    pub pcrs: Vec<u8>,
    /// PCRs of policies that are announced, where they are others.
    #[serde(default)]
    pub planned: Vec<PlannedPcrs>,
    /// The firmware's event log, sent with each quote: for committees whose policy asks for facts about the boot.
    #[serde(default)]
    pub event_log: Option<PathBuf>,
}

/// PCRs that quotes cover in the epochs of a policy.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct PlannedPcrs {
    /// Hash of the policy that wants them, as the hub has it.
    pub policy_hash: B256,
    /// The PCRs.
    pub pcrs: Vec<u8>,
}

impl TpmConfig {
    fn pcrs() -> Vec<u8> {
        (0..8).collect()
    }

    /// PCRs that a quote covers under a policy. By hash and not by epoch: an announcement may be moved, or withdrawn.
    #[must_use]
    pub fn pcrs_under(&self, policy_hash: B256) -> &[u8] {
        let planned = self.planned.iter().find(|it| it.policy_hash == policy_hash);
        planned.map_or(&self.pcrs, |it| &it.pcrs)
    }
}

/// The prover.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct ProverConfig {
    /// The circuit's profile; must be the one the deployment verifies.
    pub profile: String,
    /// Folder of the keys: the files of the ceremony whose circuit the contracts name, or development keys, made there if
    /// they are missing.
    pub keys_dir: PathBuf,
    /// Threads a proof may use; 0 is every core.
    pub threads: usize,
}

impl Default for ProverConfig {
    fn default() -> Self {
        Self {
            profile: Profile::STANDARD.name().to_owned(),
            keys_dir: PathBuf::from("keys"),
            threads: 0,
        }
    }
}

/// Enrolment.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Enrol {
    /// Bond in token units; absent: `run` refuses to start before `enrol` was called.
    pub bond: Option<String>,
    /// The roster that this machine is on, for registries whose quote policy has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub roster: Option<PathBuf>,
}

/// The epoch duty.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct DutyConfig {
    /// Milliseconds between two looks at the chain.
    pub poll_ms: u64,
    /// Blocks after an epoch's first before its beacon is built on.
    pub beacon_confirmations: u64,
    /// Most milliseconds before a missing beacon is recorded; each node waits a random part of it.
    pub beacon_delay_ms: u64,
    /// Milliseconds one push to an oracle may take.
    pub push_timeout_ms: u64,
    /// Milliseconds before an oracle that gave no receipt is tried again.
    pub push_retry_ms: u64,
    /// Epochs between claims of pay; 0 never claims.
    pub claim_every_epochs: u64,
    /// Which deals the node takes on.
    pub accept: Accept,
}

/// Which deals a node takes on, and what of them before they are accepted.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Accept {
    /// Least pay a slot an epoch, token units, decimal.
    pub min_rate: String,
    /// Most epochs a deal may still run.
    pub max_epochs: u64,
    /// Most stripes of a deal.
    pub max_stripes: u32,
    /// Least a claim may bring, token units, decimal.
    pub min_claim: String,
    /// Most bytes stored for slots that are not accepted yet.
    pub max_unaccepted_bytes: u64,
    /// Bytes of the disk that shards leave free.
    pub min_free_bytes: u64,
}

impl Default for Accept {
    fn default() -> Self {
        Self {
            min_rate: "1".to_owned(),
            max_epochs: 8_760,
            max_stripes: 65_536,
            min_claim: "1".to_owned(),
            max_unaccepted_bytes: 256 << 30,
            min_free_bytes: 1 << 30,
        }
    }
}

impl Accept {
    /// The conditions.
    ///
    /// # Errors
    /// Usage for what is no amount.
    pub fn conditions(&self) -> Result<Acceptance, Failure> {
        let named = |key: &str, failure: Failure| {
            Failure::usage(format!(
                "configuration: duty.accept.{key}: {}",
                failure.message
            ))
        };
        let rate = parse_amount(&self.min_rate).and_then(|rate| {
            u128::try_from(rate).map_err(|_| Failure::usage("a rate has at most 128 bits"))
        });
        Ok(Acceptance {
            min_rate: rate.map_err(|failure| named("min_rate", failure))?,
            max_epochs: self.max_epochs,
            max_stripes: self.max_stripes,
            min_claim: parse_amount(&self.min_claim)
                .map_err(|failure| named("min_claim", failure))?,
            max_unaccepted_bytes: self.max_unaccepted_bytes,
            min_free_bytes: self.min_free_bytes,
        })
    }
}

impl Default for DutyConfig {
    fn default() -> Self {
        Self {
            poll_ms: 500,
            beacon_confirmations: 2,
            beacon_delay_ms: 2_000,
            push_timeout_ms: 5_000,
            push_retry_ms: 2_000,
            claim_every_epochs: 1,
            accept: Accept::default(),
        }
    }
}

impl Config {
    /// Reads file and environment.
    ///
    /// # Errors
    /// Usage, naming what is wrong.
    pub fn load(path: &Path) -> Result<Self, Failure> {
        let config: Self = Layers::new().file(path)?.environment().build()?;
        config.check()?;
        Ok(config)
    }

    fn check(&self) -> Result<(), Failure> {
        self.profile()?;
        self.bond()?;
        self.duty.accept.conditions()?;
        let planned = self.tpm.planned.iter().map(|it| &it.pcrs);
        for pcrs in std::iter::once(&self.tpm.pcrs).chain(planned) {
            if pcrs.is_empty() || pcrs.iter().any(|pcr| *pcr > 23) {
                return Err(Failure::usage(
                    "configuration: tpm.pcrs, and those of each tpm.planned, must name at least one PCR of 0 to 23",
                ));
            }
        }
        if !self.grpc.url.starts_with("https://") {
            return Err(Failure::usage(format!(
                "configuration: grpc.url is {:?}, expected https://host:port as clients reach the node",
                self.grpc.url
            )));
        }
        if self.duty.poll_ms == 0 || self.grpc.max_puts == 0 || self.grpc.max_reads == 0 {
            return Err(Failure::usage(
                "configuration: duty.poll_ms, grpc.max_puts and grpc.max_reads must not be 0",
            ));
        }
        Ok(())
    }

    /// The circuit's profile.
    ///
    /// # Errors
    /// Usage for a name that is none.
    pub fn profile(&self) -> Result<Profile, Failure> {
        let name = &self.prover.profile;
        Profile::by_name(name).ok_or_else(|| {
            let known = Profile::ALL.map(|profile| profile.name()).join(", ");
            Failure::usage(format!(
                "configuration: prover.profile is {name:?}, known are {known}"
            ))
        })
    }

    /// The bond `run` enrols with, token units.
    ///
    /// # Errors
    /// Usage for what is no amount.
    pub fn bond(&self) -> Result<Option<U256>, Failure> {
        self.enrol.bond.as_deref().map(parse_amount).transpose()
    }

    /// The roster that this machine is on.
    ///
    /// # Errors
    /// Usage for a file that is none.
    pub fn roster(&self) -> Result<Option<Roster>, Failure> {
        let Some(path) = &self.enrol.roster else {
            return Ok(None);
        };
        let refuse = |why: String| Failure::usage(format!("roster {}: {why}", path.display()));
        let text = std::fs::read_to_string(path).map_err(|why| refuse(why.to_string()))?;
        let roster = Roster::parse(&text).map_err(|why| refuse(why.to_string()))?;
        Ok(Some(roster))
    }

    /// The account's key file.
    #[must_use]
    pub fn chain_key(&self) -> PathBuf {
        self.data_dir.join("keys/chain.key")
    }

    /// The folder of the TLS identity.
    #[must_use]
    pub fn tls_dir(&self) -> PathBuf {
        self.data_dir.join("keys")
    }

    /// The folder of the keys the TPM wrapped.
    #[must_use]
    pub fn tpm_dir(&self) -> PathBuf {
        self.data_dir.join("keys/tpm")
    }

    /// The database.
    #[must_use]
    pub fn database(&self) -> PathBuf {
        self.data_dir.join("node.sqlite")
    }

    /// The folder of the shards.
    #[must_use]
    pub fn shards(&self) -> PathBuf {
        self.data_dir.join("shards")
    }

    /// Threads of the prover.
    #[must_use]
    pub const fn threads(&self) -> Option<NonZeroUsize> {
        NonZeroUsize::new(self.prover.threads)
    }

    /// How long between two looks at the chain.
    #[must_use]
    pub const fn poll(&self) -> Duration {
        Duration::from_millis(self.duty.poll_ms)
    }
}

/// An amount in token units, decimal.
///
/// # Errors
/// Usage.
pub fn parse_amount(text: &str) -> Result<U256, Failure> {
    U256::from_str_radix(text, 10).map_err(|_| {
        Failure::usage(format!(
            "{text:?} is no amount; give the token's smallest units, decimal"
        ))
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::cast_possible_truncation)]

    use super::*;

    fn example() -> Config {
        Layers::new()
            .text(EXAMPLE, "example")
            .unwrap()
            .build()
            .unwrap()
    }

    #[test]
    fn the_example_is_a_valid_configuration_that_states_the_defaults() {
        let config = example();
        config.check().unwrap();
        assert_eq!(config.health, Health::default());
        assert_eq!(config.prover, ProverConfig::default());
        assert_eq!(config.duty, DutyConfig::default());
        assert_eq!(config.enrol, Enrol::default());
        assert_eq!(config.tpm.pcrs, TpmConfig::pcrs());
    }

    #[test]
    fn a_configuration_that_is_written_out_reads_back_the_same() {
        let config = example();
        let text = daemon::config::to_toml(&config).unwrap();
        let again: Config = Layers::new()
            .text(&text, "written")
            .unwrap()
            .build()
            .unwrap();
        assert_eq!(again, config);
    }

    #[test]
    fn wrong_values_are_named() {
        let mut config = example();
        config.prover.profile = "huge".to_owned();
        assert!(config.check().unwrap_err().message.contains("huge"));
        let mut config = example();
        config.enrol.bond = Some("1.5".to_owned());
        assert!(config.check().unwrap_err().message.contains("1.5"));
        let mut config = example();
        config.duty.accept.min_rate = "-1".to_owned();
        assert!(config.check().unwrap_err().message.contains("min_rate"));
        let mut config = example();
        config.tpm.pcrs = vec![24];
        assert!(config.check().unwrap_err().message.contains("tpm.pcrs"));
        config.tpm.pcrs = vec![0];
        let planned = |policy, pcrs: &[u8]| PlannedPcrs {
            policy_hash: B256::repeat_byte(policy),
            pcrs: pcrs.to_vec(),
        };
        config.tpm.planned = vec![planned(9, &[0, 7]), planned(5, &[7])];
        config.check().unwrap();
        let quoted = [4, 5, 9].map(|policy| config.tpm.pcrs_under(B256::repeat_byte(policy)));
        assert_eq!(quoted, [&[0][..], &[7], &[0, 7]]);
        config.tpm.planned = vec![planned(5, &[])];
        assert!(config.check().unwrap_err().message.contains("tpm.planned"));
        let mut config = example();
        config.grpc.url = "http://x:1".to_owned();
        assert!(config.check().unwrap_err().message.contains("grpc.url"));
    }
}
