//! Codes of SEV-SNP reports.

use super::{Entry, entry};

const PLACE: &str = "protocol, section 5; AMD, SEV-SNP firmware ABI (56860)";
const POLICY: &str = "protocol, section 5 (policy); AMD, SEV-SNP firmware ABI (56860)";

#[rustfmt::skip]
pub(super) const ENTRIES: &[Entry] = &[
    entry("SNP_LENGTH", "Not the size of a report.", "Take report and certificates of one platform, whole and unchanged; what stays refused is forged or not known here.", PLACE),
    entry("SNP_VERSION", "A format this verifier does not know.", "Take report and certificates of one platform, whole and unchanged; what stays refused is forged or not known here.", PLACE),
    entry("SNP_SIGNATURE_ALGORITHM", "Not ECDSA P-384 with SHA-384.", "Take report and certificates of one platform, whole and unchanged; what stays refused is forged or not known here.", PLACE),
    entry("SNP_RESERVED", "Bytes or bits that this version of the report leaves reserved are set, so that their meaning is unknown.", "Take report and certificates of one platform, whole and unchanged; what stays refused is forged or not known here.", PLACE),
    entry("SNP_SIGNATURE_MALFORMED", "r or s is zero, not below the group order, or padded with something else than zeros.", "Take report and certificates of one platform, whole and unchanged; what stays refused is forged or not known here.", PLACE),
    entry("SNP_SIGNATURE", "The signature does not verify.", "Take report and certificates of one platform, whole and unchanged; what stays refused is forged or not known here.", PLACE),
    entry("SNP_UNSIGNED", "The hypervisor keeps the firmware from signing.", "Ask the host to unmask the chip's key.", PLACE),
    entry("SNP_SIGNING_KEY", "Another kind of key signed than the certificate is for.", "Take report and certificates of one platform, whole and unchanged; what stays refused is forged or not known here.", PLACE),
    entry("SNP_CHIP_ID", "The certificate is another chip's.", "Take report and certificates of one platform, whole and unchanged; what stays refused is forged or not known here.", PLACE),
    entry("SNP_TCB_MISMATCH", "The certificate is for another firmware level.", "Take report and certificates of one platform, whole and unchanged; what stays refused is forged or not known here.", PLACE),
    entry("SNP_PRODUCT_MISMATCH", "The report is from another product line than the certificates.", "Take report and certificates of one platform, whole and unchanged; what stays refused is forged or not known here.", PLACE),
    entry("SNP_CHAIN_LENGTH", "Not two CA certificates.", "Take report and certificates of one platform, whole and unchanged; what stays refused is forged or not known here.", PLACE),
    entry("SNP_UNTRUSTED_ROOT", "No certificate of the chain holds a pinned root key.", "Take report and certificates of one platform, whole and unchanged; what stays refused is forged or not known here.", PLACE),
    entry("SNP_CERTIFICATE_NAME", "A certificate has another name than its place in the chain demands.", "Take report and certificates of one platform, whole and unchanged; what stays refused is forged or not known here.", PLACE),
    entry("SNP_CERTIFICATE_EXTENSION", "An extension of the VCEK or VLEK is missing or has an impossible value.", "Take report and certificates of one platform, whole and unchanged; what stays refused is forged or not known here.", PLACE),
    entry("SNP_NO_POLICY", "There is no policy, or it has no section [snp]; that is a denial.", "Write a policy with a section [snp] and name it.", PLACE),
    entry("SNP_NO_BINDING", "Nobody said which node the report must be bound to; that is a denial.", "Say which node key the evidence must be bound to.", PLACE),
    entry("SNP_REPORT_DATA", "The report was not made for this node.", "Have the report made for this node's key.", PLACE),
    entry("SNP_PRODUCT", "The policy has no table for the product line.", "Change the platform's or the guest's configuration, or the policy if this is meant to be accepted.", PLACE),
    entry("SNP_TCB_TOO_OLD", "Firmware or microcode is too old.", "Update firmware, microcode or guest.", PLACE),
    entry("SNP_PROVISIONAL_FIRMWARE", "The firmware that runs can still be rolled back.", "Update firmware, microcode or guest.", PLACE),
    entry("SNP_DEBUG", "The guest's memory can be read by the host.", "Change the platform's or the guest's configuration, or the policy if this is meant to be accepted.", PLACE),
    entry("SNP_MIGRATION_AGENT", "The guest can be moved by a migration agent.", "Change the platform's or the guest's configuration, or the policy if this is meant to be accepted.", PLACE),
    entry("SNP_SMT", "Sibling threads may run other code.", "Change the platform's or the guest's configuration, or the policy if this is meant to be accepted.", PLACE),
    entry("SNP_MULTI_SOCKET", "The guest may span sockets.", "Change the platform's or the guest's configuration, or the policy if this is meant to be accepted.", PLACE),
    entry("SNP_CXL", "CXL memory may be present.", "Change the platform's or the guest's configuration, or the policy if this is meant to be accepted.", PLACE),
    entry("SNP_VMPL", "The report was asked for at a less privileged level.", "Change the platform's or the guest's configuration, or the policy if this is meant to be accepted.", PLACE),
    entry("SNP_GUEST_SVN", "The guest's image is too old.", "Update firmware, microcode or guest.", PLACE),
    entry("SNP_POLICY_ABI", "The guest would run on too old a firmware interface.", "Update firmware, microcode or guest.", PLACE),
    entry("SNP_FIRMWARE", "The SNP firmware is too old.", "Update firmware, microcode or guest.", PLACE),
    entry("SNP_MEASUREMENT", "The guest's initial memory is not an accepted one.", "Change the platform's or the guest's configuration, or the policy if this is meant to be accepted.", PLACE),
    entry("SNP_VALUE", "A value the guest's owner or the host gave is not an accepted one.", "Change the platform's or the guest's configuration, or the policy if this is meant to be accepted.", PLACE),
    entry("SNP_AUTHOR_KEY", "Who signed the guest's identity does not fit together.", "Change the platform's or the guest's configuration, or the policy if this is meant to be accepted.", PLACE),
    entry("SNP_PLATFORM", "A protection the policy demands of the platform is off.", "Change the platform's or the guest's configuration, or the policy if this is meant to be accepted.", PLACE),
    entry("SNP_MITIGATION", "A known weakness is not mitigated.", "Update firmware, microcode or guest.", PLACE),
    entry("SNP_PROVIDER", "A VLEK of a provider that the policy does not list.", "Change the platform's or the guest's configuration, or the policy if this is meant to be accepted.", PLACE),
    entry("SNP_DENIED_CHIP", "The chip is denied.", "Use another platform; who keeps the policy knows why.", PLACE),
    entry("SNP_DENIED_CERTIFICATE", "The endorsement key's certificate, or its CA's, is denied.", "Use another platform; who keeps the policy knows why.", PLACE),
    entry("SNP_POLICY_EMPTY", "A policy's section [snp] accepts no measurement or no product line, and so no report.", "Name what is accepted.", POLICY),
    entry("SNP_POLICY_FMC", "A policy's section [snp] gives a product line a security version that it does not have, or leaves one out.", "Give `fmc` in the minimum TCB of Turin, and of no other.", POLICY),
    entry("SNP_POLICY_VMPL", "A policy's section [snp] accepts a privilege level that guests do not have, and with it reports of the host.", "Give `maximum_vmpl` from 0 to 3.", POLICY),
];
