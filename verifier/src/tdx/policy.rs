//! Which quotes are acceptable: the section `[tdx]` of a [policy](crate::policy), in which everything that is not written
//! is refused.

use alloy_primitives::FixedBytes;
use minicbor::{Decode, Encode};
use serde::{Deserialize, Serialize};

use super::{Facts, Reject};
use crate::ids::Epoch;
use crate::policy::Moment;
use crate::tee::Allowed;

/// What Intel calls a platform without known weaknesses.
const UP_TO_DATE: &str = "UpToDate";
/// Statuses that an exception may name; a revoked platform is never taken.
const STATUSES: [&str; 7] = [
    "SWHardeningNeeded",
    "ConfigurationNeeded",
    "ConfigurationAndSWHardeningNeeded",
    "OutOfDate",
    "OutOfDateConfigurationNeeded",
    "TDRelaunchAdvised",
    "TDRelaunchAdvisedConfigurationNeeded",
];
/// Debugging and profiling, bits 0 to 7: any of them makes a TD untrusted.
const UNTRUSTED_ATTRIBUTES: u64 = 0xff;
/// SEPT_VE_DISABLE, which every acceptable TD has.
const SEPT_VE_DISABLE: u64 = 1 << 28;
/// x87, SSE, AVX, AVX-512, PKRU, CET and AMX: state of the guest that the module keeps from the host.
const COMMON_XFAM: u64 = 0x0006_1ae7;

/// What a guest and its platform must be. Debugging and migration are never accepted.
///
/// ```toml
/// [tdx]
/// mr_td = ["<96 hex digits>"]
/// rt_mr0 = "any"
/// rt_mr1 = ["<96 hex digits>"]
/// rt_mr2 = ["<96 hex digits>"]
/// rt_mr3 = "any"
///
/// [[tdx.exceptions]]
/// status = "SWHardeningNeeded"
/// advisories = ["INTEL-SA-00615"]
/// until_epoch = 900                   # or `until = "2026-12-31T00:00:00Z"`
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Encode, Decode)]
#[serde(deny_unknown_fields)]
#[cbor(array)]
pub struct Policy {
    /// Accepted initial measurements; at least one.
    #[cbor(n(0), with = "crate::cbor::fixed_list")]
    pub mr_td: Vec<FixedBytes<48>>,
    /// Accepted run-time registers. What the firmware loaded is in these only, so each must be decided.
    #[n(1)]
    pub rt_mr0: Allowed<48>,
    /// As `rt_mr0`.
    #[n(2)]
    pub rt_mr1: Allowed<48>,
    /// As `rt_mr0`.
    #[n(3)]
    pub rt_mr2: Allowed<48>,
    /// As `rt_mr0`.
    #[n(4)]
    pub rt_mr3: Allowed<48>,
    /// Accepted configurations; zeros if left out.
    #[n(5)]
    #[serde(default)]
    pub mr_config_id: Allowed<48>,
    /// Accepted owners; zeros if left out.
    #[n(6)]
    #[serde(default)]
    pub mr_owner: Allowed<48>,
    /// Accepted owners' configurations; zeros if left out.
    #[n(7)]
    #[serde(default)]
    pub mr_owner_config: Allowed<48>,
    /// Accepted service TDs, at creation and now; zeros (none) if left out.
    #[n(8)]
    #[serde(default)]
    pub mr_service_td: Allowed<48>,
    /// Accepted TDX modules; any if left out, because Intel's TCB status judges the module.
    #[n(9)]
    #[serde(default = "any")]
    pub mr_seam: Allowed<48>,
    /// Statuses other than `UpToDate` that are taken for a while.
    #[n(10)]
    #[serde(default)]
    pub exceptions: Vec<Exception>,
    /// Advisories that must not apply, whatever the status.
    #[n(11)]
    #[serde(default)]
    pub denied_advisories: Vec<String>,
    /// Lowest TCB evaluation number of the collateral.
    #[n(12)]
    #[serde(default)]
    pub minimum_tcb_evaluation: u32,
    /// Lowest security versions of the TDX module, byte for byte.
    #[cbor(n(13), with = "crate::cbor::fixed")]
    #[serde(default)]
    pub minimum_tee_tcb_svn: FixedBytes<16>,
    /// Lowest security version of the provisioning enclave.
    #[n(14)]
    #[serde(default)]
    pub minimum_pce_svn: u16,
    /// Lowest security version of the quoting enclave.
    #[n(15)]
    #[serde(default)]
    pub minimum_qe_svn: u16,
    /// Attributes the TD may have beside SEPT_VE_DISABLE.
    #[n(16)]
    #[serde(default)]
    pub attributes: Vec<Attribute>,
    /// Extended features the TD may use, as a mask; x87 to AMX if left out.
    #[n(17)]
    #[serde(default = "common_xfam")]
    pub xfam: u64,
    /// Whether multithreading may be on.
    #[n(18)]
    #[serde(default)]
    pub allow_smt: bool,
    /// Whether packages may be added to the platform.
    #[n(19)]
    #[serde(default)]
    pub allow_dynamic_platform: bool,
    /// Whether Intel may keep the platform's keys.
    #[n(20)]
    #[serde(default)]
    pub allow_cached_keys: bool,
    /// Platforms never taken, by PPID.
    #[cbor(n(21), with = "crate::cbor::fixed_list")]
    #[serde(default)]
    pub denied_platforms: Vec<FixedBytes<16>>,
}

/// A status other than `UpToDate` that is taken until an end.
///
/// The rule is that of [`Retiring`](crate::policy::Retiring): of two ends the earlier one counts, and an end in a time that
/// is not known where the judgement takes place is past.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Encode, Decode)]
#[serde(deny_unknown_fields)]
#[cbor(array)]
pub struct Exception {
    /// Intel's word.
    #[n(0)]
    pub status: String,
    /// Advisories that may apply; any other one makes the exception void.
    #[n(1)]
    pub advisories: Vec<String>,
    /// Last epoch at which it holds.
    #[n(2)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until_epoch: Option<Epoch>,
    /// Last second at which it holds, Unix time; RFC 3339 in the file.
    #[n(3)]
    #[serde(default, skip_serializing_if = "Option::is_none", with = "time")]
    pub until: Option<u64>,
}

/// An attribute of a TD that a policy may allow (TDX module ABI, table "TD_ATTRIBUTES").
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, Encode, Decode)]
#[serde(rename_all = "kebab-case")]
#[cbor(index_only)]
pub enum Attribute {
    /// Defence against single stepping by instruction count.
    #[n(0)]
    Icssd,
    /// Service TDs' data in the report.
    #[n(1)]
    ServtdExt,
    /// Linear address space separation.
    #[n(2)]
    Lass,
    /// Supervisor protection keys.
    #[n(3)]
    Pks,
    /// Key Locker.
    #[n(4)]
    KeyLocker,
    /// TDX Connect provisioning agent.
    #[n(5)]
    Tpa,
    /// Performance monitoring.
    #[n(6)]
    Perfmon,
}

impl Attribute {
    fn bit(self) -> u32 {
        match self {
            Self::Icssd => 16,
            Self::ServtdExt => 17,
            Self::Lass => 27,
            Self::Pks => 30,
            Self::KeyLocker => 31,
            Self::Tpa => 62,
            Self::Perfmon => 63,
        }
    }
}

/// Whether attributes give the host a view into the guest.
pub(super) fn is_untrusted(attributes: u64) -> bool {
    attributes & UNTRUSTED_ATTRIBUTES != 0
}

fn any() -> Allowed<48> {
    Allowed::ANY
}

fn common_xfam() -> u64 {
    COMMON_XFAM
}

/// Unix seconds, as RFC 3339 in a file.
mod time {
    use std::time::Duration;

    use der::DateTime;
    use serde::{Deserialize as _, Deserializer, Serializer, de, ser};

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Option<u64>, D::Error> {
        String::deserialize(d)?
            .parse::<DateTime>()
            .map(|time| Some(time.unix_duration().as_secs()))
            .map_err(|_| de::Error::custom("write a time as 2026-12-31T00:00:00Z"))
    }

    pub(super) fn serialize<S: Serializer>(seconds: &Option<u64>, s: S) -> Result<S::Ok, S::Error> {
        match seconds {
            None => s.serialize_none(),
            Some(seconds) => DateTime::from_unix_duration(Duration::from_secs(*seconds))
                .map_err(ser::Error::custom)
                .and_then(|time| s.collect_str(&time)),
        }
    }
}

/// A policy that could not mean what it says; [`PolicyError::code`] is the permanent name of each.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PolicyError {
    /// Accepts nothing.
    #[error("`tdx.mr_td` is empty, so that no quote could be accepted")]
    Empty,
    /// Not a status that an exception can be made for.
    #[error("`tdx.exceptions`: none can be made for the status `{0}`")]
    Status(String),
    /// An exception for ever.
    #[error("`tdx.exceptions`: that for `{0}` has no end; give `until_epoch` or `until`")]
    Endless(String),
}

impl PolicyError {
    /// Permanent name of the reason.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Empty => "TDX_POLICY_EMPTY",
            Self::Status(_) => "TDX_POLICY_STATUS",
            Self::Endless(_) => "TDX_POLICY_ENDLESS",
        }
    }
}

impl Exception {
    /// Whether it holds at a moment, for a platform with these advisories and one of this status.
    fn covers(&self, status: &str, advisories: &[String], at: Moment) -> bool {
        self.status == status
            && at.is_within(self.until_epoch, self.until)
            && advisories.iter().all(|id| self.advisories.contains(id))
    }
}

impl Policy {
    /// Looks for what cannot be meant, in a policy from anywhere.
    ///
    /// # Errors
    /// [`PolicyError`].
    pub fn validate(&self) -> Result<(), PolicyError> {
        if self.mr_td.is_empty() {
            return Err(PolicyError::Empty);
        }
        for exception in &self.exceptions {
            if !STATUSES.contains(&exception.status.as_str()) {
                return Err(PolicyError::Status(exception.status.clone()));
            }
            if exception.until_epoch.is_none() && exception.until.is_none() {
                return Err(PolicyError::Endless(exception.status.clone()));
            }
        }
        Ok(())
    }

    /// Judges what an authentic quote says at a moment, `report_data` apart.
    ///
    /// # Errors
    /// The first [`Reject`] that applies: debugging, TCB, versions, platform, attributes, measurements.
    pub fn check(&self, facts: &Facts, at: Moment) -> Result<(), Reject> {
        if is_untrusted(facts.attributes) {
            return Err(Reject::Debug);
        }
        self.check_tcb(facts, at)?;
        self.check_versions(facts)?;
        self.check_platform(facts)?;
        self.check_attributes(facts)?;
        self.check_measurements(facts)
    }

    fn check_tcb(&self, facts: &Facts, at: Moment) -> Result<(), Reject> {
        if let Some(denied) = facts
            .advisories
            .iter()
            .find(|id| self.denied_advisories.contains(id))
        {
            return Err(Reject::DeniedAdvisory(denied.clone()));
        }
        // Both must do: a guest launched on a good module may run on another one by now.
        for status in [Some(&facts.tcb_status), facts.current_tcb_status.as_ref()]
            .into_iter()
            .flatten()
        {
            let excepted = self
                .exceptions
                .iter()
                .any(|exception| exception.covers(status, &facts.advisories, at));
            if status != UP_TO_DATE && !excepted {
                return Err(Reject::TcbStatus {
                    status: status.clone(),
                    advisories: if facts.advisories.is_empty() {
                        "no advisory".into()
                    } else {
                        facts.advisories.join(", ")
                    },
                });
            }
        }
        Ok(())
    }

    fn check_versions(&self, facts: &Facts) -> Result<(), Reject> {
        if facts.tcb_evaluation < self.minimum_tcb_evaluation {
            return Err(Reject::TcbEvaluation {
                found: facts.tcb_evaluation,
                minimum: self.minimum_tcb_evaluation,
            });
        }
        let enclaves = [
            ("the PCE".to_owned(), facts.pce_svn, self.minimum_pce_svn),
            ("the QE".to_owned(), facts.qe_svn, self.minimum_qe_svn),
        ];
        let module = facts
            .tee_tcb_svn
            .iter()
            .zip(self.minimum_tee_tcb_svn)
            .enumerate()
            .map(|(i, (found, minimum))| {
                (
                    format!("TEE_TCB_SVN[{i}]"),
                    u16::from(*found),
                    u16::from(minimum),
                )
            });
        match enclaves
            .into_iter()
            .chain(module)
            .find(|(_, found, minimum)| found < minimum)
        {
            Some((component, found, minimum)) => Err(Reject::Svn {
                component,
                found,
                minimum,
            }),
            None => Ok(()),
        }
    }

    fn check_platform(&self, facts: &Facts) -> Result<(), Reject> {
        if self.denied_platforms.contains(&facts.platform_id) {
            return Err(Reject::DeniedPlatform(facts.platform_id.to_string()));
        }
        for (has, allowed, what) in [
            (facts.smt, self.allow_smt, "has multithreading on"),
            (
                facts.dynamic_platform,
                self.allow_dynamic_platform,
                "is dynamic: packages may be added to it",
            ),
            (
                facts.cached_keys,
                self.allow_cached_keys,
                "has its keys kept by Intel",
            ),
        ] {
            // Certificates of single-package platforms do not say; what they do not say is not so.
            if has == Some(true) && !allowed {
                return Err(Reject::Platform(what));
            }
        }
        Ok(())
    }

    fn check_attributes(&self, facts: &Facts) -> Result<(), Reject> {
        let allowed = self
            .attributes
            .iter()
            .fold(SEPT_VE_DISABLE, |mask, attribute| {
                mask | 1 << attribute.bit()
            });
        let surplus = facts.attributes & !allowed;
        if surplus != 0 {
            return Err(Reject::Attribute(format!("{surplus:#x}")));
        }
        if facts.xfam & !self.xfam != 0 {
            return Err(Reject::Xfam {
                found: facts.xfam,
                allowed: self.xfam,
            });
        }
        if facts.partition != 0 {
            return Err(Reject::Partition(facts.partition));
        }
        Ok(())
    }

    fn check_measurements(&self, facts: &Facts) -> Result<(), Reject> {
        if !self.mr_td.contains(&facts.mr_td) {
            return Err(Reject::Measurement(facts.mr_td.to_string()));
        }
        let [rt_mr0, rt_mr1, rt_mr2, rt_mr3] = &facts.rt_mr;
        let none = FixedBytes::ZERO;
        for (register, allowed, found) in [
            ("RTMR0", &self.rt_mr0, rt_mr0),
            ("RTMR1", &self.rt_mr1, rt_mr1),
            ("RTMR2", &self.rt_mr2, rt_mr2),
            ("RTMR3", &self.rt_mr3, rt_mr3),
            ("MRCONFIGID", &self.mr_config_id, &facts.mr_config_id),
            ("MROWNER", &self.mr_owner, &facts.mr_owner),
            (
                "MROWNERCONFIG",
                &self.mr_owner_config,
                &facts.mr_owner_config,
            ),
            ("MRSEAM", &self.mr_seam, &facts.mr_seam),
            (
                "MRSERVICETD",
                &self.mr_service_td,
                facts.mr_service_td.as_ref().unwrap_or(&none),
            ),
        ]
        .into_iter()
        .chain(
            facts
                .current_service_td
                .as_ref()
                .map(|current| ("CURR_SERVTD_HASH", &self.mr_service_td, current)),
        ) {
            if !allowed.admits(found) {
                return Err(Reject::Value {
                    register,
                    found: found.to_string(),
                });
            }
        }
        Ok(())
    }
}
