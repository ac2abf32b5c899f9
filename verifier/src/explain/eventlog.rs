//! Codes of event logs and measurement lists.

use super::{Entry, entry};

const LOG: &str = "protocol, section 5; TCG PC Client Platform Firmware Profile";
const IMA: &str = "protocol, section 5; Linux, Integrity Measurement Architecture";
/// What to do about a log that was not read whole.
const AGAIN: &str = "Read the log again, whole and unchanged.";

#[rustfmt::skip]
pub(super) const ENTRIES: &[Entry] = &[
    entry("EVENTLOG_TOO_LARGE", "An event log or measurement list is larger than any that is judged.", "Measure less, or judge a measurement list in parts.", LOG),
    entry("EVENTLOG_TRUNCATED", "An event log ends within an event, or goes on after its last.", AGAIN, LOG),
    entry("EVENTLOG_HEADER", "The event that names a log's algorithms breaks the profile.", AGAIN, LOG),
    entry("EVENTLOG_DIGESTS", "An event has not exactly one digest for each of the log's algorithms.", AGAIN, LOG),
    entry("EVENTLOG_PCR_INDEX", "An event names a PCR that no TPM of a PC has.", AGAIN, LOG),
    entry("EVENTLOG_NO_ACTION_DIGEST", "An event that extends nothing has a digest.", AGAIN, LOG),
    entry("EVENTLOG_STARTUP_LOCALITY", "The event that tells the TPM's locality at its start is malformed, misplaced or there twice.", AGAIN, LOG),
    entry("EVENTLOG_NO_SUCH_BANK", "The log has no digests in the bank that is asked for.", "Turn the bank on in the firmware's settings and reboot.", LOG),
    entry("EVENTLOG_BANKS_DISAGREE", "An event's digest fits its data in one bank and not in another: somebody changed the log or extended one bank alone.", "Trust neither bank of this boot; reboot and look again.", LOG),
    entry("EVENTLOG_PCR_MISMATCH", "The log does not lead to a PCR's value; the event named explains it.", "Compare with the log of an earlier boot (--earlier). Something was measured that is not in the log, or the log was changed.", LOG),
    entry("EVENTLOG_QUOTE_MISMATCH", "The log does not lead to the PCRs that the TPM quoted.", "Send the log of the boot that is quoted, whole; see `verifier eventlog`.", LOG),
    entry("EVENTLOG_PCR_SELECTION", "A PCR is asked for that no TPM of a PC has.", "Name PCRs from 0 to 23.", LOG),
    entry("IMA_NOT_SELECTED", "Measurements are to be judged by a quote that does not cover PCR 10.", "Quote PCR 10, too.", IMA),
    entry("IMA_MALFORMED", "A measurement is not of the kernel's form.", "Read the list again, whole and unchanged.", IMA),
    entry("IMA_TEMPLATE", "A measurement uses a template that is not judged.", "Set the kernel's ima_template to ima-ng or ima-sig.", IMA),
    entry("IMA_PCR", "A measurement was extended into another PCR than 10.", "Leave the kernel's default.", IMA),
    entry("IMA_TEMPLATE_HASH", "A measurement's hash is not that of its data: the list was changed.", "Trust nothing that this list says.", IMA),
    entry("IMA_NOT_REACHED", "No part of the list leads to the value that was quoted.", "Send the list of this boot, from the last verified entry on.", IMA),
    entry("IMA_HEAD_CHANGED", "The list does not begin with the measurements that were verified before.", "If the machine was reset, start anew without `--ima-from`; otherwise the list was changed: trust nothing that it says.", IMA),
    entry("IMA_NOT_ALLOWED", "A file was measured that the allow list does not have.", "Find out what it is; add it to the list if it belongs there.", IMA),
    entry("IMA_ALLOW_LIST", "The allow list cannot be read.", "Write one file a line: `sha256:HEX PATH`.", IMA),
];
