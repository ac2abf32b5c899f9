//! A log against what a TPM says: PCR values, or the digest over them in a quote; and against an earlier log.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{
    Digest, EventRef, Log, Mismatch, Reject, Replay,
    bank::bank_name,
    cover::check_banks,
    diagnose::{Search, suspect},
    replay::selection,
};
use crate::tpm::wire::HashAlgorithm;

impl Log<'_> {
    /// Every PCR of `expected` that the log does not replay to, each with the event that explains it.
    ///
    /// # Errors
    /// [`Reject::NoSuchBank`], [`Reject::PcrSelection`].
    pub fn check_pcrs(
        &self,
        bank: HashAlgorithm,
        expected: &BTreeMap<u8, Digest>,
    ) -> Result<Vec<Mismatch>, Reject> {
        let replay = self.replay(bank)?;
        let pcrs: Vec<u8> = expected.keys().copied().collect();
        selection(&pcrs)?;
        let mut search = Search::new(self, bank);
        Ok(expected
            .iter()
            .filter(|(pcr, value)| replay.value(**pcr) != **value)
            .map(|(pcr, value)| Mismatch {
                bank: bank_name(bank),
                pcr: *pcr,
                expected: value.clone(),
                found: replay.value(*pcr),
                events: self.extended(*pcr).count(),
                cause: search
                    .repair(*pcr, &|found| found == value)
                    .unwrap_or_else(|| suspect(self, bank, &[*pcr])),
            })
            .collect())
    }

    /// Replays the log and checks it against the PCR digest of a quote signed with SHA-256.
    ///
    /// PCRs that are selected and not in the log count as they are after a reset.
    ///
    /// # Errors
    /// [`Reject::NoSuchBank`], [`Reject::PcrSelection`], [`Reject::QuoteMismatch`].
    pub fn check_quote(
        &self,
        bank: HashAlgorithm,
        pcrs: &[u8],
        pcr_digest: &[u8; 32],
    ) -> Result<Replay, Reject> {
        let replay = self.replay(bank)?;
        let pcrs = selection(pcrs)?;
        if replay.quote_digest(&pcrs) == *pcr_digest {
            return Ok(replay);
        }
        let mut search = Search::new(self, bank);
        let repaired = pcrs.iter().find_map(|pcr| {
            search.repair(*pcr, &|value| {
                replay.quote_digest_with(&pcrs, *pcr, value) == *pcr_digest
            })
        });
        Err(Reject::QuoteMismatch {
            cause: repaired.unwrap_or_else(|| suspect(self, bank, &pcrs)),
        })
    }

    /// Checks that no event's digest fits its data in one bank and not in another.
    ///
    /// A quote covers one bank; this says whether the others tell the same story. It needs no TPM's word.
    ///
    /// # Errors
    /// [`Reject::BanksDisagree`] for the first such event.
    pub fn check_banks(&self) -> Result<(), Reject> {
        self.events
            .iter()
            .filter(|event| event.is_extended())
            .try_for_each(|event| check_banks(event, &self.banks))
    }

    /// The first event of each PCR in which this log differs from an earlier one that was verified, in a bank both have.
    ///
    /// This is how a change from one boot to the next is named exactly, also where digests cover nothing in the log.
    ///
    /// # Errors
    /// [`Reject::NoSuchBank`].
    pub fn differences(
        &self,
        earlier: &Log<'_>,
        bank: HashAlgorithm,
    ) -> Result<Vec<Difference>, Reject> {
        self.require_bank(bank)?;
        earlier.require_bank(bank)?;
        let mut differences = vec![];
        for pcr in 0..super::log::PCRS {
            let mut before = earlier.extended(pcr);
            let mut now = self.extended(pcr);
            let differs = loop {
                match (before.next(), now.next()) {
                    (None, None) => break None,
                    (a, b) if a.map(|e| e.digest(bank)) == b.map(|e| e.digest(bank)) => {}
                    (a, b) => break Some((a, b)),
                }
            };
            if let Some((before, now)) = differs {
                differences.push(Difference {
                    pcr,
                    before: before.map(super::Event::reference),
                    now: now.map(super::Event::reference),
                });
            }
        }
        Ok(differences)
    }
}

/// Where a PCR's events part from those of an earlier log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// The PCR.
    pub pcr: u8,
    /// The first event that is not repeated; none if the earlier log ends there.
    pub before: Option<EventRef>,
    /// The first event that is new; none if this log ends there.
    pub now: Option<EventRef>,
}
