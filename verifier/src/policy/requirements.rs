//! The sections of a policy, as data.

use minicbor::{Decode, Encode};
use serde::{Deserialize, Serialize};

use super::{Digest, FirmwareVersion, Moment, TpmClass};
use crate::ids::Epoch;
use crate::tpm::EndorsementKey;

fn yes() -> bool {
    true
}

/// A digest that is accepted until an end: the state before a planned update, beside the state after it.
///
/// Where both ends are given, the earlier one counts. A judgement that does not know the time an end is in takes it as
/// past: oracles judge epochs without a clock, so `until_epoch` is the one for them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Encode, Decode)]
#[serde(deny_unknown_fields)]
#[cbor(array)]
pub struct Retiring {
    /// The digest.
    #[n(0)]
    pub digest: Digest,
    /// Last epoch at which it is accepted.
    #[n(1)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until_epoch: Option<Epoch>,
    /// Last second at which it is accepted, Unix time.
    #[n(2)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<u64>,
}

impl Retiring {
    /// Whether it is still accepted at a moment.
    pub fn holds(&self, at: Moment) -> bool {
        at.is_within(self.until_epoch, self.until)
    }

    pub(super) fn check(&self, key: &str) -> Result<(), String> {
        if self.until_epoch.is_none() && self.until.is_none() {
            return Err(format!(
                "`{key}` has a digest without an end; give `until_epoch`, or list it as accepted"
            ));
        }
        Ok(())
    }
}

/// Accepted values of one PCR. Judged where values are at hand whose digest the quote signs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Encode, Decode)]
#[serde(deny_unknown_fields)]
#[cbor(array)]
pub struct PcrValues {
    /// The PCR, 0 to 23, among those that are quoted.
    #[n(0)]
    pub pcr: u8,
    /// Accepted values; at least one.
    #[n(1)]
    pub accepted: Vec<Digest>,
    /// Values accepted until an end.
    #[n(2)]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub retiring: Vec<Retiring>,
}

/// Facts that an event log, replayed to the quoted PCRs, must show.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Encode, Decode)]
#[serde(deny_unknown_fields)]
#[cbor(array)]
pub struct BootPolicy {
    /// Secure Boot must be on; true unless said otherwise.
    #[n(0)]
    #[serde(default = "yes")]
    pub secure_boot: bool,
    /// No debugger may have been enabled before the operating system; true unless said otherwise.
    #[n(1)]
    #[serde(default = "yes")]
    pub no_debugger: bool,
    /// Accepted boot loaders by Authenticode SHA-256; empty accepts any.
    #[n(2)]
    #[serde(default)]
    pub boot_loaders: Vec<Digest>,
    /// Accepted kernels by SHA-256 as measured; empty accepts any.
    #[n(3)]
    #[serde(default)]
    pub kernels: Vec<Digest>,
    /// Boot loaders and kernels accepted until an end.
    #[n(4)]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub retiring: Vec<Retiring>,
}

impl Default for BootPolicy {
    fn default() -> Self {
        Self {
            secure_boot: true,
            no_debugger: true,
            boot_loaders: Vec::new(),
            kernels: Vec::new(),
            retiring: Vec::new(),
        }
    }
}

impl BootPolicy {
    pub(super) fn check(&self) -> Result<(), String> {
        if !self.retiring.is_empty() && self.boot_loaders.is_empty() && self.kernels.is_empty() {
            return Err(
                "`boot.retiring` without `boot_loaders` or `kernels`: any would be accepted anyway"
                    .into(),
            );
        }
        self.retiring
            .iter()
            .try_for_each(|it| it.check("boot.retiring"))
    }
}

/// TPMs that may enrol.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Encode, Decode)]
#[serde(deny_unknown_fields)]
#[cbor(array)]
pub struct TpmPolicy {
    /// Accepted classes; at least one.
    #[n(0)]
    pub classes: Vec<TpmClass>,
    /// Lowest firmware version of each manufacturer.
    #[n(1)]
    #[serde(default)]
    pub minimum_firmware: Vec<MinimumFirmware>,
    /// Whether manufacturers not listed there are denied.
    #[n(2)]
    #[serde(default)]
    pub only_listed_manufacturers: bool,
    /// Makers whose TPMs enrol with another endorsement key than RSA-2048.
    #[n(3)]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub endorsement_keys: Vec<EndorsementKeyOf>,
    /// Machines that neither enrol nor pass an epoch, by hardware id: those whose keys are known to be out.
    #[n(4)]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub denied: Vec<Digest>,
}

/// The one endorsement key that TPMs of a manufacturer enrol with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Encode, Decode)]
#[serde(deny_unknown_fields)]
#[cbor(array)]
pub struct EndorsementKeyOf {
    /// TCG vendor id, as in [`MinimumFirmware`].
    #[n(0)]
    pub manufacturer: String,
    /// Its algorithm.
    #[n(1)]
    pub key: EndorsementKey,
}

/// The lowest firmware version accepted of a manufacturer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Encode, Decode)]
#[serde(deny_unknown_fields)]
#[cbor(array)]
pub struct MinimumFirmware {
    /// TCG vendor id: as text (`IFX`) or as certificates spell it (`id:49465800`).
    #[n(0)]
    pub manufacturer: String,
    /// The version, as quotes carry it.
    #[n(1)]
    pub version: FirmwareVersion,
}

impl TpmPolicy {
    pub(super) fn check(&self) -> Result<(), String> {
        if self.classes.is_empty() {
            return Err("`tpm.classes` is empty, so no TPM is accepted".into());
        }
        if self.only_listed_manufacturers && self.minimum_firmware.is_empty() {
            return Err(
                "`tpm.only_listed_manufacturers` with no manufacturer in `tpm.minimum_firmware`"
                    .into(),
            );
        }
        let firmware = self.minimum_firmware.iter().map(|it| &it.manufacturer);
        check_makers("tpm.minimum_firmware", firmware)?;
        let keys = self.endorsement_keys.iter().map(|it| &it.manufacturer);
        check_makers("tpm.endorsement_keys", keys)
    }

    /// The endorsement key that TPMs of a maker enrol with.
    pub(super) fn endorsement_key(&self, maker: &str) -> EndorsementKey {
        let rule = self
            .endorsement_keys
            .iter()
            .find(|it| super::vendor(&it.manufacturer) == maker);
        rule.map_or_else(EndorsementKey::default, |it| it.key)
    }
}

/// Each maker once, by a vendor id that a certificate can have: a rule for a misspelt one would bind nobody.
fn check_makers<'a>(key: &str, makers: impl Iterator<Item = &'a String>) -> Result<(), String> {
    let mut seen = std::collections::BTreeSet::new();
    for maker in makers {
        let id = super::vendor(maker);
        let is_text = (1..=4).contains(&id.len())
            && id
                .bytes()
                .all(|it| it.is_ascii_uppercase() || it.is_ascii_digit());
        let is_number = id.strip_prefix("id:").is_some_and(|digits| {
            digits.len() == 8 && digits.bytes().all(|it| it.is_ascii_hexdigit())
        });
        if !is_text && !is_number {
            return Err(format!(
                "`{key}` names `{maker}`, which is no TCG vendor id; write `IFX` or `id:49465800`"
            ));
        }
        if !seen.insert(id) {
            return Err(format!("`{key}` names {maker} twice"));
        }
    }
    Ok(())
}
