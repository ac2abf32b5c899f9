//! What evidence showed, as a policy is asked about it. Everything here was verified before: a fact that could not be
//! verified is absent, and absent is denied by a policy that asks for it.

use std::collections::BTreeMap;

use alloy_primitives::B256;
use serde::{Deserialize, Serialize};

use super::{FirmwareVersion, TpmClass};
use crate::ids::Epoch;
use crate::tee::GuestFacts;
use crate::tpm::wire::{Attested, HashAlgorithm};
use crate::tpm::{Attest, EkCertificate, EndorsementKey, Reject};

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

    /// Whether it lies within both ends. An end in a time that is not known here is past, and no end at all holds nothing.
    pub fn is_within(self, until_epoch: Option<Epoch>, until: Option<u64>) -> bool {
        let epoch = until_epoch.is_none_or(|end| self.epoch.is_some_and(|now| now <= end));
        let time = until.is_none_or(|end| self.unix.is_some_and(|now| now <= end));
        epoch && time && (until_epoch.is_some() || until.is_some())
    }
}

/// What a policy is asked about.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Facts {
    /// The TPM itself.
    pub machine: Option<MachineFacts>,
    /// What ran and runs on the machine.
    pub state: StateFacts,
    /// The confidential guest that it enrolled from, and the time at which its evidence was judged.
    pub guest: Option<(GuestFacts, u64)>,
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
    /// A TPM that was judged, and the firmware version that it signs, where one is at hand.
    #[must_use]
    pub fn of(
        certificate: &EkCertificate,
        endorsement_key: EndorsementKey,
        firmware: Option<FirmwareVersion>,
    ) -> Self {
        Self {
            endorsement_key,
            class: Some(certificate.class),
            manufacturer: certificate.manufacturer.clone(),
            firmware,
        }
    }
}

/// What a machine showed in an epoch.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct StateFacts {
    /// The machine: keccak256 of its endorsement key's SubjectPublicKeyInfo.
    #[serde(default)]
    pub hardware_id: Option<B256>,
    /// The quote.
    pub quote: Option<QuotedState>,
    /// PCR values whose digest is the quoted one.
    pub values: Option<BTreeMap<u8, B256>>,
    /// From an event log that replays to the quoted PCRs.
    pub boot: Option<BootFacts>,
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

impl QuotedState {
    /// What a TPM quoted of the SHA-256 bank; whose quote it is, the caller has checked.
    ///
    /// # Errors
    /// [`Reject::WrongAttestationType`]; [`Reject::PcrSelection`] for another bank or several, [`Reject::PcrDigest`] for a digest of
    /// another length.
    pub fn of(attest: &Attest) -> Result<Self, Reject> {
        let Attested::Quote {
            selections,
            pcr_digest,
        } = &attest.attested
        else {
            return Err(Reject::WrongAttestationType("quote"));
        };
        let [selection] = selections.as_slice() else {
            return Err(Reject::PcrSelection);
        };
        if selection.bank != HashAlgorithm::Sha256 {
            return Err(Reject::PcrSelection);
        }
        let digest = B256::try_from(pcr_digest.as_slice()).map_err(|_| Reject::PcrDigest)?;
        Ok(Self {
            pcrs: selection.pcrs.clone(),
            digest,
        })
    }
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
