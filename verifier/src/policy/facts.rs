//! What evidence showed, as a policy is asked about it. Everything here was verified before: a fact that could not be
//! verified is absent, and absent is denied by a policy that asks for it.

use std::collections::BTreeMap;

use alloy_primitives::B256;
use minicbor::{Decode, Encode};
use serde::{Deserialize, Serialize};

use super::{FirmwareVersion, Measurement, TpmClass};
use crate::ids::Epoch;
use crate::tpm::{EkCertificate, EndorsementKey};

/// When a judgement takes place, in the terms that are known there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Moment {
    /// The epoch.
    #[serde(default)]
    pub epoch: Option<Epoch>,
    /// Unix seconds.
    #[serde(default)]
    pub unix: Option<u64>,
}

impl Moment {
    /// In an epoch, with no clock: what oracles agree on.
    pub fn epoch(epoch: Epoch) -> Self {
        Self {
            epoch: Some(epoch),
            unix: None,
        }
    }

    /// At a time, in no epoch.
    pub fn unix(seconds: u64) -> Self {
        Self {
            epoch: None,
            unix: Some(seconds),
        }
    }
}

/// What a policy is asked about.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Facts {
    /// The TPM itself.
    #[serde(default)]
    pub machine: Option<MachineFacts>,
    /// What ran and runs on the machine.
    #[serde(default)]
    pub state: StateFacts,
}

/// A TPM as its certificate and its own words have it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MachineFacts {
    /// Class of the root its certificate leads to, if the root store says.
    #[serde(default)]
    pub class: Option<TpmClass>,
    /// Manufacturer as certified.
    pub manufacturer: String,
    /// Firmware version as the TPM quotes it.
    #[serde(default)]
    pub firmware: Option<FirmwareVersion>,
    /// Endorsement key that it enrolled with.
    #[serde(default)]
    pub endorsement_key: EndorsementKey,
}

impl MachineFacts {
    /// A TPM that was judged, and the firmware version that it signs.
    #[must_use]
    pub fn of(
        certificate: &EkCertificate,
        endorsement_key: EndorsementKey,
        firmware: FirmwareVersion,
    ) -> Self {
        Self {
            endorsement_key,
            class: Some(certificate.class),
            manufacturer: certificate.manufacturer.clone(),
            firmware: Some(firmware),
        }
    }
}

/// What a machine showed in an epoch.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StateFacts {
    /// The quote.
    #[serde(default)]
    pub quote: Option<QuotedState>,
    /// PCR values whose digest is the quoted one.
    #[serde(default)]
    pub values: Option<BTreeMap<u8, B256>>,
    /// From an event log that replays to the quoted PCRs.
    #[serde(default)]
    pub boot: Option<BootFacts>,
    /// From a verified SEV-SNP report.
    #[serde(default)]
    pub snp: Option<SnpFacts>,
    /// From a verified TDX quote.
    #[serde(default)]
    pub tdx: Option<TdxFacts>,
}

/// PCRs under an attestation key's signature.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct QuotedState {
    /// PCRs of the SHA-256 bank, ascending.
    pub pcrs: Vec<u8>,
    /// SHA-256 over their values.
    pub digest: B256,
}

/// Facts from an event log.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BootFacts {
    /// Whether Secure Boot was on.
    #[serde(default)]
    pub secure_boot: Option<bool>,
    /// Whether a debugger was enabled before the operating system.
    #[serde(default)]
    pub debugger: Option<bool>,
    /// Boot loaders that ran, by Authenticode SHA-256.
    #[serde(default)]
    pub boot_loaders: Vec<B256>,
    /// Kernels that were measured.
    #[serde(default)]
    pub kernels: Vec<B256>,
}

/// AMD's security versions, component by component.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, Encode, Decode)]
#[serde(deny_unknown_fields, default)]
#[cbor(array)]
pub struct TcbVersion {
    /// Boot loader of the secure processor.
    #[n(0)]
    pub bootloader: u8,
    /// Its operating system.
    #[n(1)]
    pub tee: u8,
    /// SNP firmware.
    #[n(2)]
    pub snp: u8,
    /// Processor microcode.
    #[n(3)]
    pub microcode: u8,
}

impl TcbVersion {
    /// Whether every component is at least that of `minimum`.
    pub fn meets(&self, minimum: &Self) -> bool {
        self.bootloader >= minimum.bootloader
            && self.tee >= minimum.tee
            && self.snp >= minimum.snp
            && self.microcode >= minimum.microcode
    }
}

/// Facts from a SEV-SNP report.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SnpFacts {
    /// Launch measurement.
    pub measurement: Measurement,
    /// TCB the report's key is bound to.
    pub tcb: TcbVersion,
    /// Privilege level it was asked from.
    pub vmpl: u8,
    /// Whether the host may debug the guest.
    pub debug: bool,
    /// Whether a migration agent is allowed.
    pub migration: bool,
    /// Whether it is signed by a provider's key (VLEK).
    pub vlek: bool,
}

/// Facts from a TDX quote.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TdxFacts {
    /// MRTD.
    pub mr_td: Measurement,
    /// Status of its TCB by Intel's collateral.
    pub tcb_status: String,
    /// Whether the host may debug the guest.
    pub debug: bool,
}
