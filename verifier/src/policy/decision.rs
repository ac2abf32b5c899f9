//! Judging facts by a policy.

use std::collections::BTreeMap;

use alloy_primitives::B256;
use sha2::{Digest as _, Sha256};

use super::boot::{BOOT_FILES, BOOT_LOADERS};
use super::{
    BootFacts, Digest, Facts, FirmwareVersion, MachineFacts, Moment, Policy, Retiring, StateFacts,
    TpmClass, vendor,
};
use crate::tee::GuestFacts;
use crate::tpm::EndorsementKey;
use crate::{snp, tdx};

/// Why a policy denies; [`Denial::code`] is the permanent name of each.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Denial {
    /// There is no policy.
    #[error("there is no policy, so everything is denied; write one and name it")]
    Absent,
    /// The policy quotes no PCR.
    #[error("the policy names no PCR to quote, so everything is denied; list them in `pcrs`")]
    Empty,
    /// The policy contradicts itself.
    #[error("the policy contradicts itself, so everything is denied: {0}")]
    Unsound(String),
    /// The policy asks for a fact that the evidence does not show.
    #[error("the policy asks for {0}, which the evidence does not show")]
    Unknown(&'static str),
    /// The quote covers other PCRs.
    #[error("the quote covers PCRs {found:?}, the policy asks for {expected:?}")]
    PcrSelection {
        /// Those of the policy, ascending.
        expected: Vec<u8>,
        /// Those quoted.
        found: Vec<u8>,
    },
    /// The PCRs' digest is not accepted at this moment.
    #[error("the PCRs' digest {found} is none of the {accepted} accepted now")]
    PcrState {
        /// What was quoted.
        found: B256,
        /// How many digests are accepted.
        accepted: usize,
    },
    /// The PCRs' digest was accepted until its end.
    #[error(
        "the PCRs' digest {found} was accepted before a planned update, and its time has ended"
    )]
    PcrStateEnded {
        /// What was quoted.
        found: B256,
    },
    /// A single PCR's value is not accepted.
    #[error("PCR {pcr} is {found}, which is not accepted")]
    PcrValue {
        /// The PCR.
        pcr: u8,
        /// Its value.
        found: B256,
    },
    /// Secure Boot is off.
    #[error("Secure Boot was off; turn it on in the firmware's settings and reboot")]
    SecureBoot,
    /// A debugger was enabled.
    #[error(
        "a debugger was enabled before the operating system; turn it off in the firmware's settings"
    )]
    Debugger,
    /// A boot loader is not accepted.
    #[error("boot loader {0} is not accepted")]
    BootLoader(B256),
    /// A kernel is not accepted.
    #[error("kernel {0} is not accepted")]
    Kernel(B256),
    /// TPMs of this class are not accepted.
    #[error("a {} TPM is not accepted", .0.name())]
    TpmClass(TpmClass),
    /// The machine is on the policy's list of those that are out.
    #[error("machine {0} is denied by the policy, whatever it shows; ask the committee why")]
    TpmDenied(B256),
    /// TPMs of this manufacturer are not accepted.
    #[error("TPMs of {0} are not accepted: the policy lists the makers it accepts")]
    TpmManufacturer(String),
    /// The machine enrols with another endorsement key than its maker's TPMs do.
    #[error(
        "TPMs of {manufacturer} enrol with their {expected} endorsement key, this is {found}: with each of its keys one TPM would be \
         another machine; set `tpm.endorsement_key`"
    )]
    TpmEndorsementKey {
        /// The maker.
        manufacturer: String,
        /// The key that counts.
        expected: EndorsementKey,
        /// The key shown.
        found: EndorsementKey,
    },
    /// The TPM's firmware is too old.
    #[error("firmware {found} of a TPM of {manufacturer} is below {minimum}; update it")]
    TpmFirmware {
        /// The maker.
        manufacturer: String,
        /// The lowest version accepted.
        minimum: FirmwareVersion,
        /// The version found.
        found: FirmwareVersion,
    },
    /// The SEV-SNP report is not accepted.
    #[error("SEV-SNP: {0}")]
    Snp(snp::Reject),
    /// The TDX quote is not accepted.
    #[error("TDX: {0}")]
    Tdx(tdx::Reject),
}

impl Denial {
    /// Permanent name of the reason; that of a report or quote keeps its own.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Absent => "POLICY_ABSENT",
            Self::Empty => "POLICY_EMPTY",
            Self::Unsound(_) => "POLICY_UNSOUND",
            Self::Unknown(_) => "POLICY_FACT_UNKNOWN",
            Self::PcrSelection { .. } => "POLICY_PCR_SELECTION",
            Self::PcrState { .. } => "POLICY_PCR_STATE",
            Self::PcrStateEnded { .. } => "POLICY_PCR_STATE_ENDED",
            Self::PcrValue { .. } => "POLICY_PCR_VALUE",
            Self::SecureBoot => "POLICY_SECURE_BOOT",
            Self::Debugger => "POLICY_DEBUGGER",
            Self::BootLoader(_) => "POLICY_BOOT_LOADER",
            Self::Kernel(_) => "POLICY_KERNEL",
            Self::TpmClass(_) => "POLICY_TPM_CLASS",
            Self::TpmDenied(_) => "POLICY_TPM_DENIED",
            Self::TpmManufacturer(_) => "POLICY_TPM_MANUFACTURER",
            Self::TpmEndorsementKey { .. } => "POLICY_TPM_ENDORSEMENT_KEY",
            Self::TpmFirmware { .. } => "POLICY_TPM_FIRMWARE",
            Self::Snp(why) => why.code(),
            Self::Tdx(why) => why.code(),
        }
    }
}

/// Judges facts by a policy that may be absent. No denial means accepted; an absent policy denies.
pub fn judge(policy: Option<&Policy>, facts: &Facts, at: Moment) -> Vec<Denial> {
    match policy {
        Some(policy) => policy.judge(facts, at),
        None => vec![Denial::Absent],
    }
}

impl Policy {
    /// Everything the policy denies in these facts; none means accepted.
    pub fn judge(&self, facts: &Facts, at: Moment) -> Vec<Denial> {
        if let Err(denial) = self.usable() {
            return vec![denial];
        }
        let mut denials = self.judge_machine(facts.machine.as_ref());
        let (guest, enrolled_at) = match &facts.guest {
            Some((guest, at)) => (Some(guest), *at),
            None => (None, 0),
        };
        denials.extend(self.judge_guest(guest, enrolled_at));
        denials.extend(self.judge_state(&facts.state, at));
        denials
    }

    /// Judges the TPM: its endorsement key, class, maker and firmware.
    pub fn judge_machine(&self, machine: Option<&MachineFacts>) -> Vec<Denial> {
        if let Err(denial) = self.usable() {
            return vec![denial];
        }
        let Some(machine) = machine else {
            return match &self.tpm {
                Some(_) => vec![Denial::Unknown("the TPM's certificate")],
                None => Vec::new(),
            };
        };
        let mut denials = self.judge_maker(machine);
        denials.extend(self.judge_firmware(machine));
        denials
    }

    /// Judges what of a TPM its certificate shows: its endorsement key, class and maker.
    pub fn judge_maker(&self, machine: &MachineFacts) -> Vec<Denial> {
        let manufacturer = vendor(&machine.manufacturer);
        let mut denials = Vec::new();
        let expected = self
            .tpm
            .as_ref()
            .map_or_else(EndorsementKey::default, |it| {
                it.endorsement_key(&manufacturer)
            });
        if machine.endorsement_key != expected {
            denials.push(Denial::TpmEndorsementKey {
                manufacturer: manufacturer.clone(),
                expected,
                found: machine.endorsement_key,
            });
        }
        let Some(policy) = &self.tpm else {
            return denials;
        };
        match machine.class {
            // A policy that accepts every class has nothing to ask.
            None if TpmClass::ALL.iter().all(|it| policy.classes.contains(it)) => {}
            None => denials.push(Denial::Unknown("the class of the TPM's root")),
            Some(class) if policy.classes.contains(&class) => {}
            Some(class) => denials.push(Denial::TpmClass(class)),
        }
        if policy.only_listed_manufacturers && self.minimum_firmware(&manufacturer).is_none() {
            denials.push(Denial::TpmManufacturer(manufacturer));
        }
        denials
    }

    /// The lowest firmware version it takes of a TPM's maker, if it names one.
    pub fn minimum_firmware(&self, manufacturer: &str) -> Option<FirmwareVersion> {
        let manufacturer = vendor(manufacturer);
        let mut listed = self.tpm.iter().flat_map(|it| &it.minimum_firmware);
        listed
            .find(|it| vendor(&it.manufacturer) == manufacturer)
            .map(|it| it.version)
    }

    /// Judges the firmware version that a TPM signed, in an enrolment or in any quote since.
    pub fn judge_firmware(&self, machine: &MachineFacts) -> Option<Denial> {
        let minimum = self.minimum_firmware(&machine.manufacturer)?;
        match machine.firmware {
            None => Some(Denial::Unknown("the TPM's firmware version")),
            Some(found) if found < minimum => Some(Denial::TpmFirmware {
                manufacturer: vendor(&machine.manufacturer),
                minimum,
                found,
            }),
            Some(_) => None,
        }
    }

    /// Judges whether the machine is one of those that are out.
    pub fn judge_hardware(&self, hardware_id: Option<B256>) -> Vec<Denial> {
        let denied = self.tpm.iter().flat_map(|it| &it.denied);
        match hardware_id {
            None if denied.clone().next().is_some() => vec![Denial::Unknown("which machine it is")],
            None => Vec::new(),
            Some(id) => denied
                .filter(|it| it.0 == id)
                .map(|it| Denial::TpmDenied(it.0))
                .collect(),
        }
    }

    /// Judges the confidential guest that a machine enrols from, at a time (Unix seconds).
    ///
    /// No machine is of both kinds: where a policy has both sections, either one's evidence suffices. Of a policy that has neither nothing is
    /// asked.
    pub fn judge_guest(&self, guest: Option<&GuestFacts>, at: u64) -> Vec<Denial> {
        if let Err(denial) = self.usable() {
            return vec![denial];
        }
        let denial = match (guest, &self.snp, &self.tdx) {
            (Some(GuestFacts::Snp(facts)), Some(policy), _) => policy
                .check(&facts.report, &facts.endorsement)
                .err()
                .map(Denial::Snp),
            (Some(GuestFacts::Tdx(facts)), _, Some(policy)) => {
                policy.check(facts, Moment::unix(at)).err().map(Denial::Tdx)
            }
            (_, None, None) => None,
            (_, Some(_), None) => Some(Denial::Unknown("a SEV-SNP report")),
            (_, None, Some(_)) => Some(Denial::Unknown("a TDX quote")),
            (_, Some(_), Some(_)) => Some(Denial::Unknown("a SEV-SNP report or a TDX quote")),
        };
        denial.into_iter().collect()
    }

    /// Judges what a machine showed in an epoch.
    pub fn judge_state(&self, state: &StateFacts, at: Moment) -> Vec<Denial> {
        if let Err(denial) = self.usable() {
            return vec![denial];
        }
        let mut denials = self.judge_hardware(state.hardware_id);
        denials.extend(self.judge_pcrs(state, at));
        if let Some(boot) = &self.boot {
            match &state.boot {
                None => denials.push(Denial::Unknown("an event log")),
                Some(facts) => denials.extend(judge_boot(boot, facts, at)),
            }
        }
        denials
    }

    /// How many of the boot loaders and kernels that an event log shows the policy names, one by one or by the PCRs they were
    /// measured into, and how many it does not; nothing if none is shown.
    pub fn known_images(&self, state: &StateFacts, at: Moment) -> Option<(usize, usize)> {
        let facts = state.boot.as_ref()?;
        let pcrs_hold = self.judge_pcrs(state, at).is_empty();
        let boot = self.boot.as_ref();
        let listed = |accepted: &[Digest], it: &B256| {
            boot.is_some_and(|boot| holds(accepted, &boot.retiring, &Digest(*it), at))
        };
        let count = |pcr: u8, accepted: Option<&Vec<Digest>>, found: &[B256]| {
            // Accepted digests are over the policy's PCRs, whatever else is quoted.
            let in_digest = !self.accepted_digests.is_empty() && self.pcrs.contains(&pcr);
            let named = in_digest || self.values.iter().any(|it| it.pcr == pcr);
            let accepted = accepted.map_or(&[][..], Vec::as_slice);
            let known =
                |it: &&B256| pcrs_hold && named || !accepted.is_empty() && listed(accepted, it);
            found.iter().filter(known).count()
        };
        let known = count(
            BOOT_LOADERS,
            boot.map(|it| &it.boot_loaders),
            &facts.boot_loaders,
        ) + count(BOOT_FILES, boot.map(|it| &it.kernels), &facts.kernels);
        let shown = facts.boot_loaders.len() + facts.kernels.len();
        // What went into a PCR that is not quoted is anybody's guess.
        let unquoted = |pcr: &&u8| !state.quote.as_ref().is_some_and(|it| it.pcrs.contains(pcr));
        let unseen = [BOOT_LOADERS, BOOT_FILES].iter().filter(unquoted).count();
        (shown > 0).then(|| (known, shown - known + unseen))
    }

    fn judge_digest(&self, digest: Digest, at: Moment) -> Option<Denial> {
        if holds(&self.accepted_digests, &self.retiring, &digest, at) {
            return None;
        }
        if self.retiring.iter().any(|it| it.digest == digest) {
            return Some(Denial::PcrStateEnded { found: digest.0 });
        }
        let retiring = self.retiring.iter().filter(|it| it.holds(at));
        Some(Denial::PcrState {
            found: digest.0,
            accepted: self.accepted_digests.len() + retiring.count(),
        })
    }

    fn judge_pcrs(&self, state: &StateFacts, at: Moment) -> Vec<Denial> {
        let Some(quote) = &state.quote else {
            return vec![Denial::Unknown("a quote")];
        };
        let mut denials = Vec::new();
        let mut expected = self.pcrs.clone();
        expected.sort_unstable();
        expected.dedup();
        let other = Denial::PcrSelection {
            expected: expected.clone(),
            found: quote.pcrs.clone(),
        };
        if !expected.iter().all(|it| quote.pcrs.contains(it)) {
            return vec![other];
        }
        let digest = if quote.pcrs == expected {
            Some(quote.digest)
        } else {
            // Over more PCRs: only their values tell what a quote over these would sign.
            state
                .values
                .as_ref()
                .and_then(|it| digest_of(it, &expected))
        };
        if !self.accepted_digests.is_empty() {
            let Some(digest) = digest.map(Digest) else {
                return vec![other];
            };
            denials.extend(self.judge_digest(digest, at));
        }
        for rule in &self.values {
            let value = state.values.as_ref().and_then(|it| it.get(&rule.pcr));
            match value {
                None => denials.push(Denial::Unknown("values of single PCRs")),
                Some(value) if holds(&rule.accepted, &rule.retiring, &Digest(*value), at) => {}
                Some(value) => denials.push(Denial::PcrValue {
                    pcr: rule.pcr,
                    found: *value,
                }),
            }
        }
        denials.dedup();
        denials
    }
}

/// What a quote over some of the PCRs would sign; nothing if the value of one is not known.
fn digest_of(values: &BTreeMap<u8, B256>, pcrs: &[u8]) -> Option<B256> {
    let mut hash = Sha256::new();
    for pcr in pcrs {
        hash.update(values.get(pcr)?);
    }
    Some(B256::new(hash.finalize().into()))
}

fn holds(accepted: &[Digest], retiring: &[Retiring], digest: &Digest, at: Moment) -> bool {
    accepted.contains(digest)
        || retiring
            .iter()
            .any(|it| it.digest == *digest && it.holds(at))
}

fn judge_boot(policy: &super::BootPolicy, facts: &BootFacts, at: Moment) -> Vec<Denial> {
    let mut denials = Vec::new();
    if policy.secure_boot {
        match facts.secure_boot {
            Some(true) => {}
            Some(false) => denials.push(Denial::SecureBoot),
            None => denials.push(Denial::Unknown("the state of Secure Boot")),
        }
    }
    if policy.no_debugger {
        match facts.debugger {
            Some(false) => {}
            Some(true) => denials.push(Denial::Debugger),
            None => denials.push(Denial::Unknown("whether a debugger was enabled")),
        }
    }
    let mut images =
        |accepted: &[Digest], found: &[B256], what: &'static str, denial: fn(B256) -> Denial| {
            if accepted.is_empty() {
                return;
            }
            if found.is_empty() {
                denials.push(Denial::Unknown(what));
            }
            denials.extend(
                found
                    .iter()
                    .filter(|it| !holds(accepted, &policy.retiring, &Digest(**it), at))
                    .map(|it| denial(*it)),
            );
        };
    images(
        &policy.boot_loaders,
        &facts.boot_loaders,
        "a measured boot loader",
        Denial::BootLoader,
    );
    images(
        &policy.kernels,
        &facts.kernels,
        "a measured kernel",
        Denial::Kernel,
    );
    denials
}
