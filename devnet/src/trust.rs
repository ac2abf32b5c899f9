//! What the committee judges by, and the auditor's own copy of it.

use std::{fs, path::Path};

use alloy::primitives::B256;
use anyhow::{Context as _, Result};
use chain::{Deployment, types::Schedule};
use circuits::{Profile, keys::Manifest};
use verifier::{
    Epoch, LatencyMs,
    committee::OracleSet,
    envelope::sha256,
    policy::Policy,
    tpm::RootStore,
    trust::{TrustFile, TrustFilePolicy, TrustedSchedule},
};

use crate::{deploy::QuoteTerms, network::OracleSeat, swtpm::Ca};

/// The attestation policy of a development network: PCRs 0 to 7 are quoted, any state is accepted, and slow is what no
/// machine is by accident, however busy.
#[must_use]
pub fn policy() -> Policy {
    Policy {
        pcrs: (0..8).collect(),
        accepted_digests: Vec::new(),
        slow_after: LatencyMs(4_000),
        ..Policy::default()
    }
}

/// The policy that follows it in the story: what counts as slow is a little less.
#[must_use]
pub fn next_policy() -> Policy {
    let policy = policy();
    Policy {
        slow_after: LatencyMs(policy.slow_after.0 - 500),
        ..policy
    }
}

/// What the registry's contract asks of a machine that enrols: the same PCRs, in the state of a software TPM, which measures nothing.
#[must_use]
pub fn quotes() -> QuoteTerms {
    let pcrs = policy().pcrs;
    QuoteTerms {
        states: vec![sha256(&vec![0; 32 * pcrs.len()])],
        pcrs,
        max_age: 256,
        roster: B256::ZERO,
    }
}

/// The roots trusted to certify TPMs: the one local maker.
///
/// # Errors
/// If no TPM was made yet.
pub fn roots(ca: &Ca) -> Result<RootStore> {
    let pem =
        fs::read_to_string(ca.root_pem()).context("the TPM maker has no root certificate yet")?;
    RootStore::from_pem(&pem).map_err(|error| anyhow::anyhow!("the TPM maker's root: {error}"))
}

/// Writes the auditor's trust file.
///
/// # Errors
/// If the oracle set is no committee, or the disk fails.
pub fn write(
    path: &Path,
    deployment: &Deployment,
    schedule: &Schedule,
    oracles: &[OracleSeat],
    policies: &[(Epoch, Policy)],
    ca: &Ca,
) -> Result<()> {
    let ek_roots = fs::read_to_string(ca.root_pem())?;
    let set = OracleSet::new(1, oracles.iter().map(|oracle| oracle.account).collect())?;
    let manifest =
        Manifest::committed(&Profile::DEV).context("no committed manifest of profile dev")?;
    let file = TrustFile {
        deployment: verifier::committee::Deployment {
            chain_id: deployment.chain_id,
            hub: deployment.hub,
            registry: deployment.registry,
        },
        committee_digest: set.digest(),
        faults: set.faults(),
        circuit: manifest.id().into(),
        schedule: TrustedSchedule {
            genesis_block: schedule.genesisBlock,
            epoch_blocks: schedule.epochBlocks,
            deadline_block: schedule.deadlineBlock,
        },
        policies: policies
            .iter()
            .map(|(from_epoch, policy)| TrustFilePolicy {
                from_epoch: *from_epoch,
                ek_roots: ek_roots.clone(),
                policy: policy.clone(),
            })
            .collect(),
    };
    fs::write(path, toml::to_string(&file)?)?;
    Ok(())
}
