//! Codes of `policy::Denial` and `policy::PolicyError`.

use super::{Entry, entry};

const POLICY: &str = "protocol, section 5 (policy)";
const LOG: &str = "protocol, section 5 (policy); TCG PC Client Platform Firmware Profile";

#[rustfmt::skip]
pub(super) const ENTRIES: &[Entry] = &[
    entry("POLICY_ABSENT", "There is no policy, and without one everything is denied.", "Write a policy, check it with `verifier policy check`, and name it.", POLICY),
    entry("POLICY_EMPTY", "The policy names no PCR to quote, so everything is denied.", "List the PCRs in `pcrs`.", POLICY),
    entry("POLICY_UNSOUND", "The policy contradicts itself, so everything is denied.", "Run `verifier policy check` and mend what it names.", POLICY),
    entry("POLICY_SYNTAX", "A policy is not TOML of the expected form, or has a key that nobody knows.", "Mend what the message names.", POLICY),
    entry("POLICY_FACT_UNKNOWN", "The policy asks for something that the evidence does not show.", "Send what the policy asks for (event log, report, PCR values), or use a policy that does not ask for it.", POLICY),
    entry("POLICY_PCR_SELECTION", "The quote does not cover the PCRs that the policy names, or more of them and no event log shows the values.", "Set `tpm.pcrs` of the node to the policy's `pcrs`, or send the event log.", POLICY),
    entry("POLICY_PCR_STATE", "The PCRs' digest is not accepted.", "Undo the change of firmware or boot chain, or have the policy accept the new state before it is used.", POLICY),
    entry("POLICY_PCR_STATE_ENDED", "The PCRs' digest was accepted before a planned update, whose time has ended.", "Update the machine; its state is one of before the update.", POLICY),
    entry("POLICY_PCR_VALUE", "The value of a single PCR is not accepted.", "See what the event log measured into this PCR.", POLICY),
    entry("POLICY_SECURE_BOOT", "Secure Boot was off.", "Turn it on in the firmware's settings and reboot.", LOG),
    entry("POLICY_DEBUGGER", "A debugger was enabled before the operating system.", "Turn it off in the firmware's settings and reboot.", LOG),
    entry("POLICY_BOOT_LOADER", "A boot loader ran that is not accepted.", "Install an accepted one, or have the policy accept this one's digest.", LOG),
    entry("POLICY_KERNEL", "A kernel ran that is not accepted.", "Boot an accepted one, or have the policy accept this one's digest.", LOG),
    entry("POLICY_TPM_CLASS", "TPMs of this class (discrete, firmware or virtual) are not accepted.", "Use a machine with an accepted TPM.", POLICY),
    entry("POLICY_TPM_MANUFACTURER", "The policy lists the makers it accepts, and this one is not among them.", "Use another TPM, or have the policy list the maker with a minimum firmware version.", POLICY),
    entry("POLICY_TPM_DENIED", "The committee's policy names this machine as one that is out: its keys are known to be elsewhere, or evidence was forged with it.", "Ask the committee; a machine comes back when the policy no longer names it.", POLICY),
    entry("POLICY_TPM_ENDORSEMENT_KEY", "The machine enrols with another endorsement key than TPMs of its maker do under this policy.", "Set `tpm.endorsement_key` of the node to the one that is named.", POLICY),
    entry("POLICY_TPM_FIRMWARE", "The TPM's firmware is older than the policy accepts of its maker.", "Update the TPM's firmware.", POLICY),
];
