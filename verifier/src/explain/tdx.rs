//! Codes of TDX quotes.

use super::{Entry, entry};

const PLACE: &str = "protocol, section 5; Intel, TDX DCAP quote format";
const POLICY: &str = "protocol, section 5 (policy); Intel, TDX DCAP quote format";

#[rustfmt::skip]
pub(super) const ENTRIES: &[Entry] = &[
    entry("TDX_TOO_LARGE", "Longer than any honest one.", "Take report and certificates of one platform, whole and unchanged; what stays refused is forged or not known here.", PLACE),
    entry("TDX_TRUNCATED", "A structure ends before its last field.", "Take report and certificates of one platform, whole and unchanged; what stays refused is forged or not known here.", PLACE),
    entry("TDX_TRAILING_BYTES", "Bytes follow the last field of a structure: nobody vouches for them.", "Take report and certificates of one platform, whole and unchanged; what stays refused is forged or not known here.", PLACE),
    entry("TDX_VERSION", "A quote of a format not taken here.", "Take report and certificates of one platform, whole and unchanged; what stays refused is forged or not known here.", PLACE),
    entry("TDX_TEE_TYPE", "Not a TDX quote.", "Take report and certificates of one platform, whole and unchanged; what stays refused is forged or not known here.", PLACE),
    entry("TDX_KEY_TYPE", "Not ECDSA P-256.", "Take report and certificates of one platform, whole and unchanged; what stays refused is forged or not known here.", PLACE),
    entry("TDX_BODY", "Not a TD report.", "Take report and certificates of one platform, whole and unchanged; what stays refused is forged or not known here.", PLACE),
    entry("TDX_CERTIFICATION_DATA", "Another kind of certification data than a certificate chain in the quote itself.", "Take report and certificates of one platform, whole and unchanged; what stays refused is forged or not known here.", PLACE),
    entry("TDX_CERTIFICATE_CHAIN", "The certificate chain in the quote is not the one canonical text.", "Take report and certificates of one platform, whole and unchanged; what stays refused is forged or not known here.", PLACE),
    entry("TDX_COLLATERAL_MALFORMED", "The collateral is not JSON of the expected form.", "Fetch the collateral again.", PLACE),
    entry("TDX_COLLATERAL_NOT_YET_VALID", "The collateral is not valid yet.", "Fetch current collateral, or give the time it is for.", PLACE),
    entry("TDX_COLLATERAL_EXPIRED", "The collateral has expired.", "Fetch current collateral, or give the time it is for.", PLACE),
    entry("TDX_NOT_AUTHENTIC", "A signature, certificate or match fails.", "Take report and certificates of one platform, whole and unchanged; what stays refused is forged or not known here.", PLACE),
    entry("TDX_BELOW_TCB_LEVELS", "Older than anything Intel's collateral still lists.", "Update firmware, microcode or guest.", PLACE),
    entry("TDX_REVOKED", "Intel has revoked the platform's TCB level.", "Use another platform; who keeps the policy knows why.", PLACE),
    entry("TDX_ATTRIBUTES", "The guest's attributes are not acceptable whatever the policy.", "Change the platform's or the guest's configuration, or the policy if this is meant to be accepted.", PLACE),
    entry("TDX_NO_POLICY", "There is no policy, or it has no section [tdx]; that is a denial.", "Write a policy with a section [tdx] and name it.", PLACE),
    entry("TDX_NO_BINDING", "Nobody said which node the quote must be bound to; that is a denial.", "Say which node key the evidence must be bound to.", PLACE),
    entry("TDX_REPORT_DATA", "The quote was not made for this node.", "Have the report made for this node's key.", PLACE),
    entry("TDX_DEBUG", "The host can look into the guest.", "Change the platform's or the guest's configuration, or the policy if this is meant to be accepted.", PLACE),
    entry("TDX_ATTRIBUTE", "An attribute the policy does not list.", "Change the platform's or the guest's configuration, or the policy if this is meant to be accepted.", PLACE),
    entry("TDX_XFAM", "An extended feature the policy does not list.", "Change the platform's or the guest's configuration, or the policy if this is meant to be accepted.", PLACE),
    entry("TDX_TCB_STATUS", "The TCB level is not up to date, and no exception applies.", "Update firmware, microcode or guest.", PLACE),
    entry("TDX_DENIED_ADVISORY", "An advisory that the policy names.", "Use another platform; who keeps the policy knows why.", PLACE),
    entry("TDX_TCB_EVALUATION", "The collateral's knowledge is too old.", "Update firmware, microcode or guest.", PLACE),
    entry("TDX_SVN", "A security version is too low.", "Update firmware, microcode or guest.", PLACE),
    entry("TDX_MEASUREMENT", "The guest's initial memory is not an accepted one.", "Change the platform's or the guest's configuration, or the policy if this is meant to be accepted.", PLACE),
    entry("TDX_VALUE", "A register is not an accepted one.", "Change the platform's or the guest's configuration, or the policy if this is meant to be accepted.", PLACE),
    entry("TDX_PARTITION", "The quote is about a nested virtual machine.", "Change the platform's or the guest's configuration, or the policy if this is meant to be accepted.", PLACE),
    entry("TDX_PLATFORM", "A property of the platform that the policy does not allow.", "Change the platform's or the guest's configuration, or the policy if this is meant to be accepted.", PLACE),
    entry("TDX_DENIED_PLATFORM", "The platform is denied.", "Use another platform; who keeps the policy knows why.", PLACE),
    entry("TDX_POLICY_EMPTY", "A policy's section [tdx] accepts no initial measurement, and so no quote.", "Name what is accepted in `mr_td`.", POLICY),
    entry("TDX_POLICY_STATUS", "A policy's section [tdx] makes an exception for a TCB status that is always or never taken, or that Intel does not use.", "Name a status that Intel uses, other than `UpToDate` and `Revoked`.", POLICY),
    entry("TDX_POLICY_ENDLESS", "A policy's section [tdx] makes an exception without an end.", "Give it `until_epoch`, or `until` where there is a clock.", POLICY),
];
