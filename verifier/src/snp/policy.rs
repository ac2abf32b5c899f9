//! Which reports are acceptable: the section `[snp]` of a [policy](crate::policy), in which everything that is not written
//! is refused.

use std::collections::BTreeMap;

use alloy_primitives::{B256, FixedBytes};
use minicbor::{Decode, Encode};
use serde::{Deserialize, Serialize};

use super::{EndorsementKey, Firmware, KeyKind, Product, Reject, Report, TcbVersion};
use crate::tee::Allowed;

/// Highest privilege level number of a guest; reports of the host itself have `u32::MAX`.
const MAX_VMPL: u32 = 3;

/// What a guest, its platform and its firmware must be. Debugging is never accepted.
///
/// ```toml
/// [snp]
/// measurements = ["<96 hex digits>"]
///
/// [snp.products.milan]
/// minimum_tcb = { bootloader = 4, tee = 0, snp = 24, microcode = 219 }
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Encode, Decode)]
#[serde(deny_unknown_fields)]
#[cbor(array)]
pub struct Policy {
    /// Accepted launch measurements; at least one.
    #[cbor(n(0), with = "crate::cbor::fixed_list")]
    pub measurements: Vec<FixedBytes<48>>,
    /// Accepted product lines, each with its minimum TCB; at least one.
    #[n(1)]
    pub products: BTreeMap<Product, ProductPolicy>,
    /// Highest privilege level number taken, 0 to 3: 0 is the most privileged.
    #[n(2)]
    #[serde(default)]
    pub maximum_vmpl: u32,
    /// Lowest guest SVN.
    #[n(3)]
    #[serde(default)]
    pub minimum_guest_svn: u32,
    /// Lowest ABI that the guest's own policy must insist on, as `[major, minor]`.
    #[n(4)]
    #[serde(default)]
    pub minimum_policy_abi: [u8; 2],
    /// Lowest SNP firmware, running and committed.
    #[n(5)]
    #[serde(default)]
    pub minimum_firmware: Option<Firmware>,
    /// Accepted family ids; zeros if left out.
    #[n(6)]
    #[serde(default)]
    pub family_ids: Allowed<16>,
    /// Accepted image ids; zeros if left out.
    #[n(7)]
    #[serde(default)]
    pub image_ids: Allowed<16>,
    /// Accepted host data; zeros if left out.
    #[n(8)]
    #[serde(default)]
    pub host_data: Allowed<32>,
    /// Accepted ID keys, by SHA-384; zeros (no ID block) if left out.
    #[n(9)]
    #[serde(default)]
    pub id_keys: Allowed<48>,
    /// Accepted author keys, by SHA-384; zeros (none) if left out.
    #[n(10)]
    #[serde(default)]
    pub author_keys: Allowed<48>,
    /// Cloud providers whose VLEK is taken; a VLEK hides the chip, so none if left out.
    #[n(11)]
    #[serde(default)]
    pub vlek_providers: Vec<String>,
    /// Whether the guest may have a migration agent.
    #[n(12)]
    #[serde(default)]
    pub allow_migration_agent: bool,
    /// Whether the guest may run beside sibling threads.
    #[n(13)]
    #[serde(default)]
    pub allow_smt: bool,
    /// Whether the guest may span sockets.
    #[n(14)]
    #[serde(default)]
    pub allow_multi_socket: bool,
    /// Whether CXL devices may be present.
    #[n(15)]
    #[serde(default)]
    pub allow_cxl: bool,
    /// Whether firmware that is not committed is taken: the host can roll it back, never below the minimums.
    #[n(16)]
    #[serde(default)]
    pub allow_provisional_firmware: bool,
    /// Protections that the platform must have on.
    #[n(17)]
    #[serde(default)]
    pub required: Vec<Protection>,
    /// Mitigation bits that must be set at launch and now; reports before version 5 have none.
    #[n(18)]
    #[serde(default)]
    pub required_mitigations: u64,
    /// Chips never taken.
    #[cbor(n(19), with = "crate::cbor::fixed_list")]
    #[serde(default)]
    pub denied_chips: Vec<FixedBytes<64>>,
    /// Certificates never taken, by SHA-256 of their DER.
    #[cbor(n(20), with = "crate::cbor::fixed_list")]
    #[serde(default)]
    pub denied_certificates: Vec<B256>,
}

/// What is asked of one product line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, Encode, Decode)]
#[serde(deny_unknown_fields)]
#[cbor(array)]
pub struct ProductPolicy {
    /// Lowest security version numbers of the reported, running, committed and launch TCB.
    #[n(0)]
    pub minimum_tcb: TcbVersion,
}

/// Something the platform can have on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, Encode, Decode)]
#[serde(rename_all = "kebab-case")]
#[cbor(index_only)]
pub enum Protection {
    /// Memory was checked for aliased addresses since the last reset; from version 3 on.
    #[n(0)]
    AliasCheck,
    /// Ciphertext is hidden from the host.
    #[n(1)]
    CiphertextHiding,
    /// Error-correcting memory.
    #[n(2)]
    Ecc,
    /// Power measurement is off.
    #[n(3)]
    RaplDisabled,
    /// Multithreading is off on the platform.
    #[n(4)]
    SmtDisabled,
    /// Memory of the host is encrypted as well.
    #[n(5)]
    Tsme,
}

impl Protection {
    fn name(self) -> &'static str {
        match self {
            Self::AliasCheck => "a completed alias check",
            Self::CiphertextHiding => "ciphertext hiding",
            Self::Ecc => "ECC memory",
            Self::RaplDisabled => "RAPL disabled",
            Self::SmtDisabled => "multithreading disabled",
            Self::Tsme => "transparent memory encryption",
        }
    }

    fn is_on(self, report: &Report) -> bool {
        let platform = report.platform;
        match self {
            Self::AliasCheck => platform.alias_check(),
            Self::CiphertextHiding => platform.ciphertext_hiding(),
            Self::Ecc => platform.ecc(),
            Self::RaplDisabled => platform.rapl_disabled(),
            Self::SmtDisabled => !platform.smt(),
            Self::Tsme => platform.tsme(),
        }
    }
}

/// A policy that could not mean what it says; [`PolicyError::code`] is the permanent name of each.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PolicyError {
    /// Accepts nothing.
    #[error("`snp.{0}` is empty, so that no report could be accepted")]
    Empty(&'static str),
    /// A minimum TCB with, or without, the component that only Turin has.
    #[error("`fmc` belongs into the minimum TCB of Turin, and into no other (`snp.products`: {0})")]
    Fmc(Product),
    /// Not a privilege level of a guest: it would let reports of the host through.
    #[error("`snp.maximum_vmpl` is {0}, expected 0 to {MAX_VMPL}")]
    Vmpl(u32),
}

impl PolicyError {
    /// Permanent name of the reason.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Empty(_) => "SNP_POLICY_EMPTY",
            Self::Fmc(_) => "SNP_POLICY_FMC",
            Self::Vmpl(_) => "SNP_POLICY_VMPL",
        }
    }
}

impl Policy {
    /// Looks for what cannot be meant, in a policy from anywhere.
    ///
    /// # Errors
    /// [`PolicyError`].
    pub fn validate(&self) -> Result<(), PolicyError> {
        if self.measurements.is_empty() {
            return Err(PolicyError::Empty("measurements"));
        }
        if self.products.is_empty() {
            return Err(PolicyError::Empty("products"));
        }
        for (product, table) in &self.products {
            if (*product == Product::Turin) != table.minimum_tcb.fmc.is_some() {
                return Err(PolicyError::Fmc(*product));
            }
        }
        if self.maximum_vmpl > MAX_VMPL {
            return Err(PolicyError::Vmpl(self.maximum_vmpl));
        }
        Ok(())
    }

    /// Judges what a verified report says, `report_data` apart.
    ///
    /// # Errors
    /// The first [`Reject`] that applies: endorsement, TCB, guest policy, identity, platform.
    pub fn check(&self, report: &Report, key: &EndorsementKey) -> Result<(), Reject> {
        self.check_key(report, key)?;
        self.check_tcb(report, key.product)?;
        self.check_guest_policy(report)?;
        self.check_identity(report)?;
        self.check_platform(report)
    }

    fn check_key(&self, report: &Report, key: &EndorsementKey) -> Result<(), Reject> {
        if let Some(denied) = key
            .certificates
            .iter()
            .find(|certificate| self.denied_certificates.contains(certificate))
        {
            return Err(Reject::DeniedCertificate(denied.to_string()));
        }
        // Under a VLEK the report may name the chip all the same.
        if self.denied_chips.contains(&report.chip_id) {
            return Err(Reject::DeniedChip(report.chip_id.to_string()));
        }
        match (key.kind, &key.provider) {
            (KeyKind::Vcek, _) => Ok(()),
            (KeyKind::Vlek, Some(provider)) if self.vlek_providers.contains(provider) => Ok(()),
            (KeyKind::Vlek, provider) => Err(Reject::Provider(
                provider.clone().unwrap_or_else(|| "unknown".into()),
            )),
        }
    }

    fn check_tcb(&self, report: &Report, product: Product) -> Result<(), Reject> {
        let minimum = &self
            .products
            .get(&product)
            .ok_or(Reject::Product(product))?
            .minimum_tcb;
        if !self.allow_provisional_firmware
            && (report.committed_tcb != report.current_tcb
                || report.committed_firmware != report.current_firmware)
        {
            return Err(Reject::Provisional);
        }
        for (which, tcb) in [
            ("reported", &report.reported_tcb),
            ("current", &report.current_tcb),
            ("committed", &report.committed_tcb),
            ("launch", &report.launch_tcb),
        ] {
            if let Some((component, minimum, found)) = tcb.shortfall(minimum) {
                return Err(Reject::TcbTooOld {
                    which,
                    component,
                    minimum,
                    found,
                });
            }
        }
        for (which, found) in [
            ("running", report.current_firmware),
            ("committed", report.committed_firmware),
        ] {
            match self.minimum_firmware {
                Some(minimum) if found < minimum => {
                    return Err(Reject::Firmware {
                        which,
                        found: found.to_string(),
                        minimum: minimum.to_string(),
                    });
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn check_guest_policy(&self, report: &Report) -> Result<(), Reject> {
        let policy = report.policy;
        if policy.debug_allowed() {
            return Err(Reject::Debug);
        }
        // Without an agent the firmware fills its id with ones.
        let has_agent = report.report_id_ma != B256::repeat_byte(0xff);
        if !self.allow_migration_agent && (policy.migration_agent_allowed() || has_agent) {
            return Err(Reject::MigrationAgent);
        }
        if !self.allow_smt && policy.smt_allowed() {
            return Err(Reject::Smt);
        }
        if !self.allow_multi_socket && !policy.single_socket() {
            return Err(Reject::MultiSocket);
        }
        if !self.allow_cxl && policy.cxl_allowed() {
            return Err(Reject::Cxl);
        }
        let (major, minor) = policy.abi();
        if [major, minor] < self.minimum_policy_abi {
            let [minimum_major, minimum_minor] = self.minimum_policy_abi;
            return Err(Reject::PolicyAbi {
                found: format!("{major}.{minor}"),
                minimum: format!("{minimum_major}.{minimum_minor}"),
            });
        }
        Ok(())
    }

    fn check_identity(&self, report: &Report) -> Result<(), Reject> {
        if report.vmpl > self.maximum_vmpl {
            return Err(Reject::Vmpl {
                found: report.vmpl,
                maximum: self.maximum_vmpl,
            });
        }
        if !self.measurements.contains(&report.measurement) {
            return Err(Reject::Measurement(report.measurement.to_string()));
        }
        if report.guest_svn < self.minimum_guest_svn {
            return Err(Reject::GuestSvn {
                found: report.guest_svn,
                minimum: self.minimum_guest_svn,
            });
        }
        check_value("FAMILY_ID", &self.family_ids, &report.family_id)?;
        check_value("IMAGE_ID", &self.image_ids, &report.image_id)?;
        check_value("HOST_DATA", &self.host_data, &report.host_data)?;
        check_value("ID_KEY_DIGEST", &self.id_keys, &report.id_key_digest)?;
        check_value(
            "AUTHOR_KEY_DIGEST",
            &self.author_keys,
            &report.author_key_digest,
        )
    }

    fn check_platform(&self, report: &Report) -> Result<(), Reject> {
        if let Some(missing) = self.required.iter().find(|p| !p.is_on(report)) {
            return Err(Reject::Platform(missing.name()));
        }
        for (which, found) in [
            ("launch", report.launch_mitigations),
            ("current", report.current_mitigations),
        ] {
            let found = found.unwrap_or(0);
            if found & self.required_mitigations != self.required_mitigations {
                return Err(Reject::Mitigation {
                    which,
                    found,
                    required: self.required_mitigations,
                });
            }
        }
        Ok(())
    }
}

fn check_value<const N: usize>(
    field: &'static str,
    allowed: &Allowed<N>,
    found: &FixedBytes<N>,
) -> Result<(), Reject> {
    if allowed.admits(found) {
        Ok(())
    } else {
        Err(Reject::Value {
            field,
            found: found.to_string(),
        })
    }
}
