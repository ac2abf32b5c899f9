//! The attestation policy a committee judges with; its hash, root store included, is on chain.
//!
//! A policy is declarative TOML and fails closed. No policy is a denial, and so is one that quotes no PCR; what a policy
//! asks for and evidence does not show is denied as *unknown*, never passed over. A section that is present asks for the
//! strict thing unless it says otherwise.
//!
//! ```toml
//! pcrs = [0, 1, 2, 3, 4, 5, 6, 7]     # quoted, at least
//! accepted_digests = ["0x…"]          # over those PCRs; leave out to accept any state, as long as it is quoted
//! slow_after = 2000                   # milliseconds
//!
//! [[retiring]]                        # a planned update: the state before it, accepted until its end
//! digest = "0x…"
//! until_epoch = 900                   # last epoch; `until` is Unix seconds
//!
//! [[values]]                          # single PCRs, where values are at hand
//! pcr = 7
//! accepted = ["0x…"]
//!
//! [boot]                              # facts from the event log: Secure Boot on, no debugger
//! boot_loaders = ["0x…"]
//! kernels = ["0x…"]
//!
//! [tpm]
//! classes = ["discrete", "firmware"]
//! denied = ["0x…"]                    # machines that are out, by hardware id: they neither enrol nor pass an epoch
//! [[tpm.minimum_firmware]]
//! manufacturer = "IFX"
//! version = "7.85"
//! [[tpm.endorsement_keys]]            # makers whose TPMs enrol with another key than RSA-2048
//! manufacturer = "STM"
//! key = "ecc-p384"
//!
//! [snp]                               # an AMD SEV-SNP guest: see `snp::Policy`
//! measurements = ["0x…"]
//! [snp.products.milan]
//! minimum_tcb = { bootloader = 4, tee = 0, snp = 24, microcode = 219 }
//!
//! [tdx]                               # an Intel TDX guest: see `tdx::Policy`
//! mr_td = ["0x…"]
//! rt_mr0 = "any"                      # and the other three
//! ```
//!
//! [`Policy::judge_machine`] and [`Policy::judge_guest`] are asked by each oracle when a machine enrols, where there is a clock for
//! certificates and collateral; [`Policy::judge_state`] every epoch. A machine that
//! enrolled before a policy came stays: ask [`simulate`] which those are. So does one whose firmware falls below the minimum, for an
//! epoch's evidence names no maker: an audit remarks it ([`crate::bundle::Remark`]). Protocol: section 5.

mod boot;
mod decision;
mod facts;
mod firmware;
mod requirements;
pub mod simulate;

use std::collections::BTreeSet;

use alloy_primitives::{B256, keccak256};
use minicbor::{Decode, Encode};
use serde::{Deserialize, Deserializer, Serialize, de};

pub use decision::{Denial, judge};
pub use facts::{BootFacts, Facts, MachineFacts, Moment, QuotedState, StateFacts};
pub use firmware::{FirmwareVersion, vendor};
pub use requirements::{
    BootPolicy, EndorsementKeyOf, MinimumFirmware, PcrValues, Retiring, TpmPolicy,
};

use crate::cbor;
use crate::ids::LatencyMs;
use crate::tpm::RootStore;
pub use crate::tpm::TpmClass;
use crate::{snp, tdx};

/// First item of a policy's hashed encoding. Version 1 had no tag and the first three fields.
pub const POLICY_TAG: &str = "probity-policy-2";
/// Largest policy file read, bytes.
pub const MAX_POLICY_BYTES: usize = 1 << 20;
/// Highest PCR of a PC-client TPM.
pub const MAX_PCR: u8 = 23;

/// What a node's machine and service must show. The default denies everything.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, Encode, Decode)]
#[serde(deny_unknown_fields)]
#[cbor(array)]
pub struct Policy {
    /// PCRs of the SHA-256 bank that every quote covers, at least. Empty denies.
    #[n(0)]
    #[serde(deserialize_with = "some_pcrs")]
    pub pcrs: Vec<u8>,
    /// Accepted digests over those PCRs; empty accepts any state, as long as it is quoted. Of a quote over more PCRs they are judged where an event
    /// log shows the values.
    #[n(1)]
    #[serde(default)]
    pub accepted_digests: Vec<Digest>,
    /// A probe that takes longer to its first byte is slow.
    #[n(2)]
    pub slow_after: LatencyMs,
    /// More accepted digests, each until its end: what machines showed before a planned update.
    #[n(3)]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub retiring: Vec<Retiring>,
    /// Accepted values of single PCRs.
    #[n(4)]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub values: Vec<PcrValues>,
    /// Facts an event log must show.
    #[n(5)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub boot: Option<BootPolicy>,
    /// TPMs that may enrol.
    #[n(6)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tpm: Option<TpmPolicy>,
    /// What AMD SEV-SNP must show.
    #[n(7)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub snp: Option<snp::Policy>,
    /// What Intel TDX must show.
    #[n(8)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tdx: Option<tdx::Policy>,
}

/// A SHA-256 digest.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, Encode, Decode,
)]
#[serde(transparent)]
#[cbor(transparent)]
pub struct Digest(#[cbor(n(0), with = "crate::cbor::fixed")] pub B256);

/// A policy file cannot be used; [`PolicyError::code`] is the permanent name of each reason.
#[derive(Debug, thiserror::Error)]
pub enum PolicyError {
    /// Not TOML of the expected form.
    #[error("policy: {0}")]
    Syntax(Box<toml::de::Error>),
    /// It contradicts itself.
    #[error("policy: {0}; a policy that contradicts itself denies everything")]
    Unsound(String),
    /// Its section `[snp]` could not mean what it says.
    #[error("policy: {0}")]
    Snp(#[from] snp::PolicyError),
    /// Its section `[tdx]` could not mean what it says.
    #[error("policy: {0}")]
    Tdx(#[from] tdx::PolicyError),
}

impl PolicyError {
    /// Permanent name of the reason; that of a section keeps its own.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Syntax(_) => "POLICY_SYNTAX",
            Self::Unsound(_) => "POLICY_UNSOUND",
            Self::Snp(why) => why.code(),
            Self::Tdx(why) => why.code(),
        }
    }
}

fn some_pcrs<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
    let pcrs = Vec::<u8>::deserialize(deserializer)?;
    if pcrs.is_empty() {
        return Err(de::Error::custom(
            "`pcrs` is empty, so every machine is denied; name the PCRs a quote covers, 0 to 23",
        ));
    }
    match pcrs.iter().find(|pcr| **pcr > MAX_PCR) {
        Some(pcr) => Err(de::Error::custom(format!(
            "`pcrs` names PCR {pcr}, expected 0 to {MAX_PCR}"
        ))),
        None => Ok(pcrs),
    }
}

impl Policy {
    /// Parses a policy file's text and checks that it does not contradict itself.
    ///
    /// # Errors
    /// [`PolicyError`], with the key.
    pub fn parse(text: &str) -> Result<Self, PolicyError> {
        let policy: Self =
            toml::from_str(text).map_err(|error| PolicyError::Syntax(Box::new(error)))?;
        policy.validate()?;
        Ok(policy)
    }

    /// keccak256 over the policy and the root store it is used with: CBOR [[`POLICY_TAG`], policy], then the store's hash.
    pub fn hash(&self, roots: &RootStore) -> B256 {
        let mut input = self.to_bytes();
        input.extend_from_slice(roots.hash().as_ref());
        keccak256(input)
    }

    /// The policy's one encoding: deterministic CBOR with its version.
    pub fn to_bytes(&self) -> Vec<u8> {
        cbor::encode(&(POLICY_TAG, self))
    }

    /// Whether the policy can accept anything at all.
    ///
    /// # Errors
    /// [`Denial::Empty`], [`Denial::Unsound`].
    pub fn usable(&self) -> Result<(), Denial> {
        if self.pcrs.is_empty() {
            return Err(Denial::Empty);
        }
        self.validate().map_err(|error| {
            Denial::Unsound(match error {
                PolicyError::Syntax(why) => why.to_string(),
                PolicyError::Unsound(why) => why,
                PolicyError::Snp(why) => why.to_string(),
                PolicyError::Tdx(why) => why.to_string(),
            })
        })
    }

    /// Looks for what cannot be meant, in a policy from anywhere.
    fn validate(&self) -> Result<(), PolicyError> {
        self.check().map_err(PolicyError::Unsound)?;
        if let Some(snp) = &self.snp {
            snp.validate()?;
        }
        if let Some(tdx) = &self.tdx {
            tdx.validate()?;
        }
        Ok(())
    }

    fn check(&self) -> Result<(), String> {
        if let Some(pcr) = self.pcrs.iter().find(|pcr| **pcr > MAX_PCR) {
            return Err(format!("`pcrs` names PCR {pcr}, expected 0 to {MAX_PCR}"));
        }
        if self.accepted_digests.is_empty() && !self.retiring.is_empty() {
            // Else the last end would open the policy to any state.
            return Err(
                "`retiring` without `accepted_digests`: name what is accepted afterwards".into(),
            );
        }
        for it in &self.retiring {
            it.check("retiring")?;
        }
        let mut seen = BTreeSet::new();
        for it in &self.values {
            if !self.pcrs.contains(&it.pcr) {
                return Err(format!(
                    "`values` names PCR {}, which is not among the quoted `pcrs`",
                    it.pcr
                ));
            }
            if !seen.insert(it.pcr) {
                return Err(format!("`values` names PCR {} twice", it.pcr));
            }
            if it.accepted.is_empty() {
                return Err(format!(
                    "`values` for PCR {} accepts nothing; name a value in `accepted`",
                    it.pcr
                ));
            }
            for retiring in &it.retiring {
                retiring.check("values.retiring")?;
            }
        }
        self.boot.as_ref().map_or(Ok(()), BootPolicy::check)?;
        self.tpm.as_ref().map_or(Ok(()), TpmPolicy::check)
    }

    /// What a sound policy leaves open, for the person who wrote it.
    pub fn remarks(&self) -> Vec<&'static str> {
        let mut remarks = Vec::new();
        if self.accepted_digests.is_empty() && self.values.is_empty() {
            remarks.push("any state of the PCRs is accepted, as long as it is quoted: no `accepted_digests`, no `values`");
        }
        let ends = self
            .retiring
            .iter()
            .chain(self.values.iter().flat_map(|it| &it.retiring))
            .chain(self.boot.iter().flat_map(|it| &it.retiring))
            .map(|it| it.until_epoch);
        if ends.into_iter().any(|epoch| epoch.is_none()) {
            remarks.push("`until` alone: epochs are judged without a clock, where such a value counts as ended; use `until_epoch`");
        }
        let mut exceptions = self.tdx.iter().flat_map(|it| &it.exceptions);
        if exceptions.any(|it| it.until_epoch.is_some()) {
            remarks.push("`tdx.exceptions` with `until_epoch`: machines enrol at a time, where such an exception counts as ended; use `until` alone");
        }
        match &self.tpm {
            None => remarks.push("TPMs of every class may enrol, virtual ones too: no [tpm]"),
            Some(tpm) if tpm.minimum_firmware.is_empty() => {
                remarks.push("no minimum firmware version: no [[tpm.minimum_firmware]]");
            }
            Some(tpm) if !tpm.only_listed_manufacturers => remarks.push(
                "manufacturers without a minimum firmware version are accepted at any version",
            ),
            Some(_) => {}
        }
        if self.boot.is_none() {
            remarks.push("event logs are not asked for: no [boot]");
        }
        remarks
    }
}

#[cfg(test)]
mod tests;
