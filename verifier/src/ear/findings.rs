//! What was checked about a machine, and what AR4SI calls it.
//!
//! | claim | value | when |
//! |---|---|---|
//! | instance-identity | 2 | certificate to a trusted root, key activated, quote by that key, clock not backwards |
//! | | 96 | revoked, or the TPM's counters ran backwards: a copy, or state that was rolled back |
//! | | 97 | no trusted root leads to the certificate |
//! | | 99 | a signature, the activation or the quote failed |
//! | | absent | any of the four was not looked at |
//! | hardware | 2 | discrete or firmware TPM of a trusted maker, firmware up to the policy |
//! | | 32 | virtual TPM; firmware older than the policy asks |
//! | | 96 | revoked |
//! | | 97 | the certificate leads to no trusted root |
//! | | 99 | the certificate fails otherwise |
//! | configuration | 2 | the policy accepts, and either names the states it accepts, whatever they are, or Secure Boot was on |
//! | | 32 | the policy accepts any state, and Secure Boot was off or a debugger enabled |
//! | | 36 | the policy accepts any state, and nothing shows which one it is |
//! | | 96 | the policy denies, or there is none |
//! | | absent | nothing was shown that it could be asked about |
//! | executables | 2 | every boot event and every run-time measurement is known |
//! | | 3 | every boot event is known; nothing is said of run time |
//! | | 33 | some are unknown |
//! | | 96 | some are known to be bad |
//! | | 99 | a log does not replay to the quoted PCRs |
//! | file-system | 2, 32, 96, 99 | the same for files measured at run time: known, unknown, bad, log does not replay |
//! | runtime-opaque | absent | no epoch shows it: the result of an enrolment says it of a confidential guest |
//! | storage-opaque, sourced-data | absent | nothing here looks at them |
//!
//! The status is the worst of these, and *none* while instance-identity is absent: a machine nobody identified is nobody's.

use std::collections::BTreeMap;

use alloy_primitives::B256;

use super::{Appraisal, Claim, Json, Tier, TrustVector};
use crate::policy::{Denial, FirmwareVersion, TpmClass, vendor};

/// What came of one check.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Check {
    /// It was not made, for there was nothing to check.
    #[default]
    NotMade,
    /// It holds.
    Passed,
    /// It does not; the permanent code says why.
    Failed(String),
}

impl Check {
    /// The outcome of a check whose failure has a code.
    pub fn of<T, E>(outcome: &Result<T, E>, code: impl Fn(&E) -> &'static str) -> Self {
        match outcome {
            Ok(_) => Self::Passed,
            Err(error) => Self::Failed(code(error).into()),
        }
    }

    fn code(&self) -> Option<&str> {
        match self {
            Self::Failed(code) => Some(code),
            Self::NotMade | Self::Passed => None,
        }
    }
}

/// A certificate that leads to a trusted root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrustedEndorsement {
    /// Class of the root, if the root store says.
    pub class: Option<TpmClass>,
    /// Manufacturer as certified.
    pub manufacturer: String,
    /// Model as certified.
    pub model: String,
    /// SHA-256 of the root's certificate.
    pub root: B256,
}

/// What is known of the endorsement key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Endorsement {
    /// No certificate was shown.
    #[default]
    NotShown,
    /// It leads to a trusted root.
    Trusted(TrustedEndorsement),
    /// It leads to none.
    UnknownRoot,
    /// It fails otherwise; the permanent code says why.
    Failed(String),
}

/// How much of what was measured is known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Measured {
    /// No log was shown.
    #[default]
    NotShown,
    /// The log does not replay to the quoted PCRs; the permanent code says why.
    Failed(String),
    /// It replays.
    Replayed {
        /// Events whose digest is on a list of good ones, or that measure no code.
        known: u32,
        /// Events on no list.
        unknown: u32,
        /// Events on a list of bad ones.
        contraindicated: u32,
    },
}

impl Measured {
    fn claim(&self, good: Claim, unknown_value: Claim) -> Option<Claim> {
        match *self {
            Self::NotShown => None,
            Self::Failed(_) => Some(Claim::CRYPTO_FAILED),
            Self::Replayed {
                contraindicated: 1..,
                ..
            } => Some(Claim::CONTRAINDICATED),
            Self::Replayed { unknown: 1.., .. } => Some(unknown_value),
            Self::Replayed { .. } => Some(good),
        }
    }

    fn code(&self) -> Option<&str> {
        match self {
            Self::Failed(code) => Some(code),
            Self::NotShown | Self::Replayed { .. } => None,
        }
    }
}

/// What was measured from reset to now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Boot {
    /// Firmware, boot loader, kernel: the event log.
    pub events: Measured,
    /// Files at run time: the IMA log.
    pub files: Measured,
    /// Whether Secure Boot was on.
    pub secure_boot: Option<bool>,
    /// Whether a debugger was enabled before the operating system, if the log replays and says.
    pub debugger: Option<bool>,
}

/// What the policy made of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum PolicyFinding {
    /// No policy was given: a denial.
    #[default]
    Absent,
    /// It accepts.
    Accepted {
        /// Whether it lists the states it accepts, rather than any that is quoted.
        states_listed: bool,
    },
    /// It denies, for these permanent codes.
    Denied(Vec<String>),
    /// There is one, and nothing that it could be asked about.
    NotAsked,
}

impl PolicyFinding {
    /// What a policy's denials amount to.
    pub fn of(policy: Option<&crate::policy::Policy>, denials: &[Denial]) -> Self {
        match policy {
            None => Self::Absent,
            Some(policy) if denials.is_empty() => Self::Accepted {
                states_listed: !(policy.accepted_digests.is_empty() && policy.values.is_empty()),
            },
            Some(_) => Self::Denied(denials.iter().map(|it| it.code().to_owned()).collect()),
        }
    }
}

/// Everything that was checked about one attester.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Findings {
    /// Its machine, as on chain.
    pub hardware_id: Option<B256>,
    /// The endorsement key's certificate.
    pub endorsement: Endorsement,
    /// Whether the attestation key lives beside the endorsement key.
    pub activation: Check,
    /// Whether the attestation key quoted, over what was asked.
    pub quote: Check,
    /// Whether the TPM's counters did not run backwards.
    pub clock: Check,
    /// Firmware version as quoted.
    pub firmware: Option<FirmwareVersion>,
    /// The lowest version that the policy takes of this maker.
    pub minimum_firmware: Option<FirmwareVersion>,
    /// Hash of policy and roots.
    pub policy_hash: Option<B256>,
    /// What the policy made of it.
    pub policy: PolicyFinding,
    /// What was measured.
    pub boot: Boot,
    /// Whether a revocation notice names it; failed if one does.
    pub revocation: Check,
}

/// AR4SI, configuration: elements that matter are not at hand.
const CONFIGURATION_UNAVAILABLE: Claim = Claim(36);
/// AR4SI, executables: only what ran at boot is vouched for.
const APPROVED_BOOT: Claim = Claim(3);
/// AR4SI, executables: some are not recognised.
const UNRECOGNISED_EXECUTABLES: Claim = Claim(33);

impl Findings {
    /// The appraisal these findings amount to. Pure, and the same for the same findings.
    pub fn appraise(&self) -> Appraisal {
        let mut vector = TrustVector::default();
        for (name, claim) in [
            ("instance-identity", self.instance_identity()),
            ("configuration", self.configuration()),
            ("executables", self.executables()),
            (
                "file-system",
                self.boot.files.claim(Claim::AFFIRMING, Claim::WARNING),
            ),
            ("hardware", self.hardware()),
        ] {
            let known = vector.set(name, claim);
            debug_assert!(known, "{name} is a claim of AR4SI");
        }
        let status = match (vector.get("instance-identity"), vector.worst()) {
            (None, Tier::Affirming) => Tier::None,
            (_, worst) => worst,
        };
        Appraisal {
            status,
            vector,
            policy_ids: self
                .policy_hash
                .map(|hash| format!("urn:probity:policy:{hash}"))
                .into_iter()
                .collect(),
            claims: self.claims(),
        }
    }

    fn instance_identity(&self) -> Option<Claim> {
        if self.revocation.code().is_some() {
            return Some(Claim::CONTRAINDICATED);
        }
        match self.endorsement {
            Endorsement::UnknownRoot => return Some(Claim::UNRECOGNISED),
            Endorsement::Failed(_) => return Some(Claim::CRYPTO_FAILED),
            Endorsement::NotShown | Endorsement::Trusted(_) => {}
        }
        if self.activation.code().is_some() || self.quote.code().is_some() {
            return Some(Claim::CRYPTO_FAILED);
        }
        if self.clock.code().is_some() {
            return Some(Claim::CONTRAINDICATED);
        }
        let complete = matches!(self.endorsement, Endorsement::Trusted(_))
            && self.activation == Check::Passed
            && self.quote == Check::Passed
            && self.clock == Check::Passed;
        complete.then_some(Claim::AFFIRMING)
    }

    fn hardware(&self) -> Option<Claim> {
        if self.revocation.code().is_some() {
            return Some(Claim::CONTRAINDICATED);
        }
        match &self.endorsement {
            Endorsement::NotShown => None,
            Endorsement::UnknownRoot => Some(Claim::UNRECOGNISED),
            Endorsement::Failed(_) => Some(Claim::CRYPTO_FAILED),
            Endorsement::Trusted(_) if self.is_firmware_old() => Some(Claim::WARNING),
            Endorsement::Trusted(it) => Some(match it.class {
                Some(TpmClass::Discrete | TpmClass::Firmware) => Claim::AFFIRMING,
                // Of a class nobody stated it could be virtual as well.
                Some(TpmClass::Virtual) | None => Claim::WARNING,
            }),
        }
    }

    fn is_firmware_old(&self) -> bool {
        self.firmware
            .zip(self.minimum_firmware)
            .is_some_and(|(found, minimum)| found < minimum)
    }

    fn configuration(&self) -> Option<Claim> {
        let states_listed = match self.policy {
            PolicyFinding::NotAsked => return None,
            PolicyFinding::Absent | PolicyFinding::Denied(_) => {
                return Some(Claim::CONTRAINDICATED);
            }
            PolicyFinding::Accepted { states_listed } => states_listed,
        };
        if states_listed {
            // Whether Secure Boot is on or off in it: a log that is left out must not say more than one that is shown.
            return Some(Claim::AFFIRMING);
        }
        Some(match self.boot.secure_boot {
            _ if self.boot.debugger == Some(true) => Claim::WARNING,
            Some(false) => Claim::WARNING,
            Some(true) => Claim::AFFIRMING,
            None => CONFIGURATION_UNAVAILABLE,
        })
    }

    fn executables(&self) -> Option<Claim> {
        let boot = self
            .boot
            .events
            .claim(Claim::AFFIRMING, UNRECOGNISED_EXECUTABLES);
        let run = self
            .boot
            .files
            .claim(Claim::AFFIRMING, UNRECOGNISED_EXECUTABLES);
        match (boot, run) {
            (Some(Claim::AFFIRMING), None) => Some(APPROVED_BOOT),
            // Run time without boot: whoever started it is not known.
            (None, Some(Claim::AFFIRMING)) => None,
            (boot, run) => boot.max(run),
        }
    }

    /// Every permanent code that was found, in the order of the checks.
    pub fn codes(&self) -> Vec<String> {
        let mut codes: Vec<String> = Vec::new();
        match &self.endorsement {
            Endorsement::UnknownRoot => codes.push("CERTIFICATE_UNTRUSTED_ISSUER".into()),
            Endorsement::Failed(code) => codes.push(code.clone()),
            Endorsement::NotShown | Endorsement::Trusted(_) => {}
        }
        let checks = [&self.activation, &self.quote, &self.clock];
        codes.extend(checks.iter().filter_map(|it| it.code()).map(str::to_owned));
        match &self.policy {
            PolicyFinding::Absent => codes.push(Denial::Absent.code().into()),
            PolicyFinding::Denied(denials) => codes.extend(denials.iter().cloned()),
            PolicyFinding::Accepted { .. } | PolicyFinding::NotAsked => {}
        }
        if self.is_firmware_old() {
            codes.push("POLICY_TPM_FIRMWARE".into());
        }
        let logs = [&self.boot.events, &self.boot.files];
        codes.extend(logs.iter().filter_map(|it| it.code()).map(str::to_owned));
        codes.extend(self.revocation.code().map(str::to_owned));
        codes
    }

    /// What a reader of the token wants to know beside the vector.
    fn claims(&self) -> BTreeMap<String, Json> {
        let mut claims = BTreeMap::new();
        let mut put = |name: &str, value: Json| claims.insert(name.to_owned(), value);
        if let Some(id) = self.hardware_id {
            put("hardware-id", id.to_string().into());
        }
        if let Endorsement::Trusted(it) = &self.endorsement {
            put("tpm-manufacturer", vendor(&it.manufacturer).into());
            put("tpm-model", it.model.as_str().into());
            put("tpm-root", it.root.to_string().into());
            if let Some(class) = it.class {
                put("tpm-class", class.name().into());
            }
        }
        if let Some(firmware) = self.firmware {
            put("tpm-firmware", firmware.to_string().into());
        }
        if let Some(on) = self.boot.secure_boot {
            put("secure-boot", on.into());
        }
        if let Some(on) = self.boot.debugger {
            put("debugger", on.into());
        }
        let codes = self.codes();
        if !codes.is_empty() {
            put("reasons", codes.into());
        }
        claims
    }
}
