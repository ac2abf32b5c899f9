//! Which reports are acceptable: a TOML table in which everything that is not written is refused.

use std::collections::BTreeMap;

use alloy_primitives::{B256, FixedBytes};
use serde::{Deserialize, Serialize};

use super::{EndorsementKey, Firmware, KeyKind, Product, Reject, Report, TcbVersion};
use crate::tee::Allowed;

/// What a guest, its platform and its firmware must be. Debugging is never accepted.
///
/// ```toml
/// measurements = ["<96 hex digits>"]
///
/// [products.milan]
/// minimum_tcb = { bootloader = 4, tee = 0, snp = 24, microcode = 219 }
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Policy {
    /// Accepted launch measurements; at least one.
    pub measurements: Vec<FixedBytes<48>>,
    /// Accepted product lines, each with its minimum TCB; at least one.
    pub products: BTreeMap<Product, ProductPolicy>,
    /// Highest privilege level number taken: 0 is the most privileged.
    #[serde(default)]
    pub maximum_vmpl: u32,
    /// Lowest guest SVN.
    #[serde(default)]
    pub minimum_guest_svn: u32,
    /// Lowest ABI that the guest's own policy must insist on, as `[major, minor]`.
    #[serde(default)]
    pub minimum_policy_abi: [u8; 2],
    /// Lowest SNP firmware, running and committed.
    #[serde(default)]
    pub minimum_firmware: Option<Firmware>,
    /// Accepted family ids; zeros if left out.
    #[serde(default)]
    pub family_ids: Allowed<16>,
    /// Accepted image ids; zeros if left out.
    #[serde(default)]
    pub image_ids: Allowed<16>,
    /// Accepted host data; zeros if left out.
    #[serde(default)]
    pub host_data: Allowed<32>,
    /// Accepted ID keys, by SHA-384; zeros (no ID block) if left out.
    #[serde(default)]
    pub id_keys: Allowed<48>,
    /// Accepted author keys, by SHA-384; zeros (none) if left out.
    #[serde(default)]
    pub author_keys: Allowed<48>,
    /// Cloud providers whose VLEK is taken; a VLEK hides the chip, so none if left out.
    #[serde(default)]
    pub vlek_providers: Vec<String>,
    /// Whether the guest may have a migration agent.
    #[serde(default)]
    pub allow_migration_agent: bool,
    /// Whether the guest may run beside sibling threads.
    #[serde(default)]
    pub allow_smt: bool,
    /// Whether the guest may span sockets.
    #[serde(default)]
    pub allow_multi_socket: bool,
    /// Whether CXL devices may be present.
    #[serde(default)]
    pub allow_cxl: bool,
    /// Whether firmware that is not committed, which the host can roll back, is taken.
    #[serde(default)]
    pub allow_provisional_firmware: bool,
    /// Protections that the platform must have on.
    #[serde(default)]
    pub required: Vec<Protection>,
    /// Mitigation bits that must be set at launch and now; reports before version 5 have none.
    #[serde(default)]
    pub required_mitigations: u64,
    /// Chips never taken.
    #[serde(default)]
    pub denied_chips: Vec<FixedBytes<64>>,
    /// Certificates never taken, by SHA-256 of their DER.
    #[serde(default)]
    pub denied_certificates: Vec<B256>,
}

/// What is asked of one product line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProductPolicy {
    /// Lowest security version numbers of the reported, running, committed and launch TCB.
    pub minimum_tcb: TcbVersion,
}

/// Something the platform can have on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Protection {
    /// Memory was checked for aliased addresses since the last reset; from version 3 on.
    AliasCheck,
    /// Ciphertext is hidden from the host.
    CiphertextHiding,
    /// Error-correcting memory.
    Ecc,
    /// Power measurement is off.
    RaplDisabled,
    /// Multithreading is off on the platform.
    SmtDisabled,
    /// Memory of the host is encrypted as well.
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

/// The policy cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PolicyError {
    /// Not TOML of the expected form.
    #[error("SNP policy: {0}")]
    Syntax(Box<toml::de::Error>),
    /// Accepts nothing.
    #[error("SNP policy: `{0}` is empty, so that no report could be accepted")]
    Empty(&'static str),
    /// A minimum TCB with, or without, the component that only Turin has.
    #[error("SNP policy: `fmc` belongs into the minimum TCB of Turin, and into no other ({0})")]
    Fmc(Product),
}

impl Policy {
    /// Parses a policy's text.
    ///
    /// # Errors
    /// [`PolicyError`].
    pub fn parse(text: &str) -> Result<Self, PolicyError> {
        let policy: Self =
            toml::from_str(text).map_err(|error| PolicyError::Syntax(Box::new(error)))?;
        if policy.measurements.is_empty() {
            return Err(PolicyError::Empty("measurements"));
        }
        if policy.products.is_empty() {
            return Err(PolicyError::Empty("products"));
        }
        for (product, table) in &policy.products {
            if (*product == Product::Turin) != table.minimum_tcb.fmc.is_some() {
                return Err(PolicyError::Fmc(*product));
            }
        }
        Ok(policy)
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
        let committed =
            (!self.allow_provisional_firmware).then_some(("committed", &report.committed_tcb));
        for (which, tcb) in [
            ("reported", &report.reported_tcb),
            ("current", &report.current_tcb),
            ("launch", &report.launch_tcb),
        ]
        .into_iter()
        .chain(committed)
        {
            if let Some((component, minimum, found)) = tcb.shortfall(minimum) {
                return Err(Reject::TcbTooOld {
                    which,
                    component,
                    minimum,
                    found,
                });
            }
        }
        match self.minimum_firmware {
            Some(minimum) if report.current_firmware < minimum => Err(Reject::Firmware {
                found: report.current_firmware.to_string(),
                minimum: minimum.to_string(),
            }),
            _ => Ok(()),
        }
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
