//! Replaying PCR 10, from the start or from where the last verification ended.

use super::{Entry, Reject};
use crate::eventlog::Digest;
use crate::tpm::wire::HashAlgorithm;

/// How a kernel extends a bank other than SHA-1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extension {
    /// With the template data's hash in the bank's algorithm: Linux 5.8 and later.
    PerBank,
    /// With the SHA-1 template hash, zeros after it: Linux until 5.7.
    PaddedSha1,
}

/// How far a measurement list was verified: all a verifier keeps of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Progress {
    /// The bank.
    pub bank: HashAlgorithm,
    /// How the kernel extends it.
    pub extension: Extension,
    /// Entries verified since boot.
    pub count: u64,
    /// PCR 10 after them.
    pub value: Digest,
}

impl Progress {
    /// Before the first entry.
    pub fn start(bank: HashAlgorithm, extension: Extension) -> Self {
        Self {
            bank,
            extension,
            count: 0,
            value: Digest::at_reset(bank, super::IMA_PCR),
        }
    }

    /// After one more entry.
    #[must_use]
    pub fn after(&self, entry: &Entry<'_>) -> Self {
        Self {
            count: self.count + 1,
            value: self.value.extended(self.bank, &self.extended_digest(entry)),
            ..self.clone()
        }
    }

    /// Follows `entries` until `met` holds for the value of PCR 10; gives where that is and how many entries it took.
    ///
    /// No entry at all may be needed. Entries beyond are not verified: they come again next time.
    ///
    /// # Errors
    /// [`Reject::ImaTemplateHash`] for the first entry whose listed hash is not that of its data, up to where the value is met,
    /// then [`Reject::ImaNotReached`].
    pub fn reach(
        &self,
        entries: &[Entry<'_>],
        met: impl Fn(&Digest) -> bool,
    ) -> Result<(Self, usize), Reject> {
        let mut progress = self.clone();
        for (used, entry) in entries.iter().enumerate() {
            if met(&progress.value) {
                return Ok((progress, used));
            }
            entry.check(used)?;
            progress = progress.after(entry);
        }
        if met(&progress.value) {
            Ok((progress, entries.len()))
        } else {
            Err(Reject::ImaNotReached {
                from: self.count,
                entries: entries.len(),
            })
        }
    }

    fn extended_digest(&self, entry: &Entry<'_>) -> Vec<u8> {
        let algorithm = match self.extension {
            Extension::PerBank => self.bank,
            Extension::PaddedSha1 => HashAlgorithm::Sha1,
        };
        let mut digest = if entry.is_violation() {
            vec![0xff; algorithm.digest_len()]
        } else {
            algorithm.digest(&[&entry.hashed])
        };
        digest.resize(self.bank.digest_len(), 0);
        digest
    }
}
