//! Codes of `tpm::standing`.

use super::{Entry, entry};

const STANDING: &str = "protocol, section 5 (standing)";

#[rustfmt::skip]
pub(super) const ENTRIES: &[Entry] = &[
    entry("STANDING_QUOTE_MISSING", "A machine sent no quote in an epoch.", "One accepted quote makes it good; after three epochs it must enrol again.", STANDING),
    entry("STANDING_STATE_CHANGED", "A machine quoted a state that the policy does not accept and nobody announced.", "Undo the change, or have the policy accept the new state; after three epochs it must enrol again.", STANDING),
    entry("STANDING_COUNTERS_BACKWARDS", "A TPM's counters ran backwards: it was cleared, or its state was copied or rolled back.", "Enrol again with the same endorsement key; only the TPM itself can.", STANDING),
    entry("STANDING_FORGED", "Evidence was forged in a machine's name.", "None: the machine is out for good.", STANDING),
    entry("STANDING_NOTICE", "A revocation notice names the machine.", "See the notice; its issuer can reinstate what is not permanent.", STANDING),
    entry("STANDING_REINSTATED", "A revocation was undone, and the machine has not enrolled again since.", "Enrol again with the same endorsement key.", STANDING),
    entry("STANDING_REPLACED", "Another machine took this one's place.", "Enrol the successor; it has a standing of its own.", STANDING),
    entry("REPLACEMENT_SIGNATURE", "A replacement's signature is none.", "Have the operator sign again.", STANDING),
    entry("REPLACEMENT_SIGNER", "A replacement is signed by somebody else than the node's operator.", "Sign with the node's chain key.", STANDING),
    entry("REPLACEMENT_HARDWARE", "A replacement names another machine than the one in question.", "Name the hardware id the registry has for the node.", STANDING),
    entry("REPLACEMENT_ITSELF", "A machine is said to replace itself.", "A TPM that was cleared enrols again; nothing is replaced.", STANDING),
];
