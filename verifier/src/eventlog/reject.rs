//! Why an event log or a measurement list is refused.

use super::{Cause, Mismatch};

/// The reason for refusing a log; [`Reject::code`] is the permanent name of each.
///
/// Events are numbered from 0 in the order of the file; in a crypto-agile log event 0 is the Spec ID event.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Reject {
    /// A log or list is longer than any that is judged.
    #[error("{what} has {actual} {unit}, at most {limit} are read")]
    TooLarge {
        /// What is too large.
        what: &'static str,
        /// What is counted.
        unit: &'static str,
        /// Limit.
        limit: usize,
        /// Found.
        actual: usize,
    },
    /// The bytes end, or an entry claims more than there are: a cut log, or surplus bytes after it.
    #[error(
        "event {event} (byte {offset}) is cut short in its {field}: the log was cut, or bytes follow its last event"
    )]
    Truncated {
        /// Event number.
        event: usize,
        /// Where the event starts, bytes from the start of the log.
        offset: usize,
        /// Field that is not there.
        field: &'static str,
    },
    /// The Spec ID event breaks the profile.
    #[error("the log's Spec ID event is malformed: {0}")]
    Header(&'static str),
    /// An event has not exactly one digest for each algorithm of the Spec ID event.
    #[error(
        "event {event} must have one digest for each of the {expected} algorithms of the Spec ID event; {found}"
    )]
    Digests {
        /// Event number.
        event: usize,
        /// Algorithms of the Spec ID event.
        expected: usize,
        /// What is there instead.
        found: String,
    },
    /// An event names a PCR that no PC-client TPM has.
    #[error("event {event} extends PCR {pcr}; a PC-client TPM has PCRs 0 to 23")]
    PcrIndex {
        /// Event number.
        event: usize,
        /// Index found.
        pcr: u32,
    },
    /// EV_NO_ACTION extends nothing and so has digests of zeros.
    #[error("event {event} is EV_NO_ACTION and must have digests of zeros")]
    NoActionDigest {
        /// Event number.
        event: usize,
    },
    /// A StartupLocality event that cannot be honoured.
    #[error("StartupLocality in event {event} {why}")]
    StartupLocality {
        /// Event number.
        event: usize,
        /// What is wrong.
        why: &'static str,
    },
    /// The log has no digests in the bank asked for.
    #[error("the log has no digests for bank {bank}; it has {has}")]
    NoSuchBank {
        /// Bank asked for.
        bank: &'static str,
        /// Banks of the log.
        has: String,
    },
    /// An event's digest fits its data in one bank and not in another.
    #[error(
        "event {event} ({kind}, PCR {pcr}): its {fits} digest is that of its data, its {differs} digest is not"
    )]
    BanksDisagree {
        /// Event number.
        event: usize,
        /// Its type.
        kind: String,
        /// Its PCR.
        pcr: u8,
        /// Bank that fits.
        fits: &'static str,
        /// First bank that does not.
        differs: &'static str,
    },
    /// The log does not replay to a PCR's value.
    #[error(transparent)]
    PcrMismatch(Box<Mismatch>),
    /// The log does not replay to what a quote covers.
    #[error("the log does not replay to the quote's PCR digest: {cause}")]
    QuoteMismatch {
        /// The first event that explains it.
        cause: Cause,
    },
    /// A PCR is asked for that no PC-client TPM has.
    #[error("PCR {pcr} is selected; a PC-client TPM has PCRs 0 to 23")]
    PcrSelection {
        /// Index asked for.
        pcr: u8,
    },
    /// Measurements are to be checked against a quote that does not cover them.
    #[error("PCR 10 is not selected, so the quote says nothing of measurements")]
    ImaNotSelected,

    /// An entry of a measurement list is not of the kernel's form.
    #[error("measurement {entry} is malformed: {why}")]
    ImaMalformed {
        /// Entry number, from 0 at the start of these bytes.
        entry: usize,
        /// What is wrong.
        why: &'static str,
    },
    /// A measurement uses a template that is not known here.
    #[error("measurement {entry} uses template `{name}`; ima, ima-ng and ima-sig are judged")]
    ImaTemplate {
        /// Entry number.
        entry: usize,
        /// Its name.
        name: String,
    },
    /// A measurement was extended into another PCR.
    #[error("measurement {entry} is for PCR {pcr}; measurements in PCR 10 are judged")]
    ImaPcr {
        /// Entry number.
        entry: usize,
        /// PCR found.
        pcr: u32,
    },
    /// A measurement's template hash is not that of its data.
    #[error("measurement {entry} (`{path}`): its template hash is not that of its data")]
    ImaTemplateHash {
        /// Entry number.
        entry: usize,
        /// Its path.
        path: String,
    },
    /// No part of the list replays to the value quoted.
    #[error(
        "after none of the {entries} measurements that follow entry {from} does PCR 10 have its quoted value: entries are missing or were changed together with their hashes, the list is of another boot, or the kernel extends this bank in the other way (per bank, or SHA-1 padded)"
    )]
    ImaNotReached {
        /// Entries verified before.
        from: u64,
        /// Entries tried.
        entries: usize,
    },
    /// The list does not begin with what was verified before.
    #[error(
        "the list of {entries} does not begin with the {verified} measurements verified before: entries were changed or taken out, or the list is of another boot; after a reset start anew"
    )]
    ImaHeadChanged {
        /// Entries verified before.
        verified: u64,
        /// Entries of the list.
        entries: usize,
    },
    /// A measured file is not one of the allow list.
    #[error("measurement {entry} (`{path}`) is not allowed: {why}")]
    ImaNotAllowed {
        /// Entry number, from the start of the boot.
        entry: u64,
        /// Its path.
        path: String,
        /// Why.
        why: &'static str,
    },
    /// An allow list cannot be read.
    #[error("allow list line {line}: {why}")]
    AllowList {
        /// Line, from 1.
        line: usize,
        /// What is wrong.
        why: &'static str,
    },
}

impl Reject {
    /// Permanent name of the reason, for logs, reports and bundles.
    pub fn code(&self) -> &'static str {
        match self {
            Self::TooLarge { .. } => "EVENTLOG_TOO_LARGE",
            Self::Truncated { .. } => "EVENTLOG_TRUNCATED",
            Self::Header(_) => "EVENTLOG_HEADER",
            Self::Digests { .. } => "EVENTLOG_DIGESTS",
            Self::PcrIndex { .. } => "EVENTLOG_PCR_INDEX",
            Self::NoActionDigest { .. } => "EVENTLOG_NO_ACTION_DIGEST",
            Self::StartupLocality { .. } => "EVENTLOG_STARTUP_LOCALITY",
            Self::NoSuchBank { .. } => "EVENTLOG_NO_SUCH_BANK",
            Self::BanksDisagree { .. } => "EVENTLOG_BANKS_DISAGREE",
            Self::PcrMismatch(_) => "EVENTLOG_PCR_MISMATCH",
            Self::QuoteMismatch { .. } => "EVENTLOG_QUOTE_MISMATCH",
            Self::PcrSelection { .. } => "EVENTLOG_PCR_SELECTION",
            Self::ImaNotSelected => "IMA_NOT_SELECTED",
            Self::ImaMalformed { .. } => "IMA_MALFORMED",
            Self::ImaTemplate { .. } => "IMA_TEMPLATE",
            Self::ImaPcr { .. } => "IMA_PCR",
            Self::ImaTemplateHash { .. } => "IMA_TEMPLATE_HASH",
            Self::ImaNotReached { .. } => "IMA_NOT_REACHED",
            Self::ImaHeadChanged { .. } => "IMA_HEAD_CHANGED",
            Self::ImaNotAllowed { .. } => "IMA_NOT_ALLOWED",
            Self::AllowList { .. } => "IMA_ALLOW_LIST",
        }
    }
}
