//! The PCR values a log leads to.

use std::collections::BTreeMap;

use sha2::{Digest as _, Sha256};

use super::{Digest, Log, Reject, log::PCRS};
use crate::tpm::wire::HashAlgorithm;

/// PCR values of one bank, as a log or a TPM gives them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replay {
    /// The bank.
    pub bank: HashAlgorithm,
    /// Values of the PCRs that were extended; all others are as after a reset.
    pub values: BTreeMap<u8, Digest>,
}

impl Replay {
    /// The value of a PCR, extended or not.
    pub fn value(&self, pcr: u8) -> Digest {
        self.values
            .get(&pcr)
            .cloned()
            .unwrap_or_else(|| Digest::at_reset(self.bank, pcr))
    }

    /// What a quote signed with SHA-256 has as its PCR digest over these PCRs, in ascending order.
    pub fn quote_digest(&self, pcrs: &[u8]) -> [u8; 32] {
        pcrs.iter()
            .fold(Sha256::new(), |hash, pcr| {
                hash.chain_update(self.value(*pcr).as_bytes())
            })
            .finalize()
            .into()
    }

    /// The same with another value for one PCR.
    pub(super) fn quote_digest_with(&self, pcrs: &[u8], other: u8, value: &Digest) -> [u8; 32] {
        pcrs.iter()
            .fold(Sha256::new(), |hash, pcr| {
                if *pcr == other {
                    hash.chain_update(value.as_bytes())
                } else {
                    hash.chain_update(self.value(*pcr).as_bytes())
                }
            })
            .finalize()
            .into()
    }
}

impl Log<'_> {
    /// Replays every event into the PCRs of a bank.
    ///
    /// PCR 0 starts with the startup locality; the PCRs of a dynamic launch, 17 to 22, with zeros if the log extends them.
    ///
    /// # Errors
    /// [`Reject::NoSuchBank`].
    pub fn replay(&self, bank: HashAlgorithm) -> Result<Replay, Reject> {
        self.require_bank(bank)?;
        let mut values = BTreeMap::new();
        if self.startup_locality != 0 {
            values.insert(0, initial(self, bank, 0));
        }
        for event in self.events.iter().filter(|event| event.is_extended()) {
            let Some(digest) = event.digest(bank) else {
                continue;
            };
            let value = values
                .entry(event.pcr)
                .or_insert_with(|| initial(self, bank, event.pcr));
            *value = value.extended(bank, digest);
        }
        Ok(Replay { bank, values })
    }
}

/// What a PCR that the log extends holds before its first event.
pub(super) fn initial(log: &Log<'_>, bank: HashAlgorithm, pcr: u8) -> Digest {
    Digest::at_startup(bank, if pcr == 0 { log.startup_locality } else { 0 })
}

/// PCR indices, ascending and each once.
///
/// # Errors
/// [`Reject::PcrSelection`] for an index no PC-client TPM has.
pub(super) fn selection(pcrs: &[u8]) -> Result<Vec<u8>, Reject> {
    let mut pcrs = pcrs.to_vec();
    pcrs.sort_unstable();
    pcrs.dedup();
    match pcrs.last() {
        Some(&pcr) if pcr >= PCRS => Err(Reject::PcrSelection { pcr }),
        _ => Ok(pcrs),
    }
}
