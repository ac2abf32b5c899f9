//! Measured boot: what the firmware's event log and the kernel's measurement list say, judged from bytes alone.
//!
//! While a machine boots, each stage hashes the next into a PCR of the TPM and writes an event beside it. The TPM
//! signs the PCRs; nobody signs the log. A log that replays to the signed PCRs proves this much and no more:
//!
//! - these digests, and no others, were extended into each PCR quoted, in this order within each PCR;
//! - where an event's digest is the hash of (part of) its data, that part of the data is what was measured ([`covered`]).
//!
//! It does **not** prove an event's type, the order of events of different PCRs, anything about PCRs that were not quoted, or data
//! that no digest covers: a device path beside an image's digest, GRUB's label before a text or a file's name beside its
//! digest, the whole of EV_NO_ACTION. Who runs the machine can rewrite those, and can extend any PCR further once it runs,
//! though never take an event away. So [`Facts`] holds only what is proven, calls what is not `claimed`, finds
//! what matters for safety by its digest where it can, and keeps everything in order: a policy must ask that *all* entries of a list
//! are allowed, never that one is there.
//!
//! [`explain`] is the one call for a quote: log and PCR digest in, facts out. [`Log::check_pcrs`] compares PCR values one by
//! one, and names for each the event that explains a mismatch. [`ima`] continues PCR 10 where firmware ends. Structures: TCG PC Client
//! Platform Firmware Profile 1.05, section 10; protocol: section 5.

mod bank;
mod check;
mod cover;
mod diagnose;
mod facts;
pub mod ima;
mod kind;
mod log;
mod reject;
mod replay;
mod values;

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::cast_possible_truncation)]
pub(crate) mod fixture;
#[cfg(test)]
mod tests;

pub use bank::{BANKS, Digest, bank_by_name, bank_name};
pub use check::Difference;
pub use cover::{Form, covered};
pub use diagnose::{Cause, EventRef, Mismatch};
pub use facts::{
    Authority, BootText, Facts, Measured, SecureBoot, SecureBootState, SeparatorKind, Signatures,
};
pub use kind::EventKind;
pub use log::{Event, Log, MAX_EVENTS, MAX_LOG_BYTES, PCRS};
pub use reject::Reject;
pub use replay::Replay;
pub use values::{BankValues, NotPcrValues, parse_pcr_values};

use crate::tpm::wire::HashAlgorithm;

/// What a log proves, given that a TPM quoted `pcr_digest` over `pcrs` of `bank`.
///
/// The quote itself must have been verified, with a key that signs with SHA-256. PCRs that are selected and
/// that the log does not extend count as they are after a reset; facts are taken from events of selected PCRs only.
///
/// # Errors
/// Reasons in this order: the log's form, the bank, the selection, then [`Reject::QuoteMismatch`], which names the first event that
/// explains it.
pub fn explain(
    log: &[u8],
    bank: HashAlgorithm,
    pcrs: &[u8],
    pcr_digest: [u8; 32],
) -> Result<Facts, Reject> {
    let log = Log::parse(log)?;
    log.check_quote(bank, pcrs, &pcr_digest)?;
    Facts::of(&log, bank, pcrs)
}

/// What a log and a measurement list prove, given that a TPM quoted `pcr_digest` over `pcrs` of `progress`' bank, PCR 10 among them.
///
/// `measurements` are those that follow `progress`. Gives the facts of the log, how far the list is verified now, and how many of
/// these measurements that took; those beyond were made after the quote.
///
/// # Errors
/// Reasons in this order: the log's form, the list's, the bank, the selection, then [`Reject::ImaTemplateHash`] or
/// [`Reject::ImaNotReached`] if no part of the list together with the log gives the digest. If PCRs other than 10 are in
/// doubt, have them quoted apart and ask [`explain`].
pub fn explain_with_measurements(
    log: &[u8],
    measurements: &[u8],
    progress: &ima::Progress,
    pcrs: &[u8],
    pcr_digest: [u8; 32],
) -> Result<(Facts, ima::Progress, usize), Reject> {
    let log = Log::parse(log)?;
    let entries = ima::parse(measurements)?;
    let replay = log.replay(progress.bank)?;
    let pcrs = replay::selection(pcrs)?;
    if !pcrs.contains(&ima::IMA_PCR) {
        return Err(Reject::ImaNotSelected);
    }
    let (reached, used) = progress.reach(&entries, |value| {
        replay.quote_digest_with(&pcrs, ima::IMA_PCR, value) == pcr_digest
    })?;
    let others: Vec<u8> = pcrs
        .into_iter()
        .filter(|pcr| *pcr != ima::IMA_PCR)
        .collect();
    let mut facts = Facts::of(&log, progress.bank, &others)?;
    facts.pcrs.insert(ima::IMA_PCR, reached.value.clone());
    Ok((facts, reached, used))
}
