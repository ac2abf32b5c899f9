//! Replaying PCR 10, from the start or from where the last verification ended.

use std::fmt;
use std::str::FromStr;

use super::{Entry, Reject};
use crate::eventlog::{Digest, bank_by_name, bank_name};
use crate::tpm::wire::HashAlgorithm;

/// How a kernel extends a bank other than SHA-1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extension {
    /// With the template data's hash in the bank's algorithm: Linux 5.8 and later.
    PerBank,
    /// With the SHA-1 template hash, zeros after it: Linux until 5.7.
    PaddedSha1,
}

impl Extension {
    /// Both ways.
    pub const ALL: [Self; 2] = [Self::PerBank, Self::PaddedSha1];

    /// Its name at the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::PerBank => "per-bank",
            Self::PaddedSha1 => "padded-sha1",
        }
    }
}

/// How far a measurement list was verified: all a verifier keeps of it.
///
/// As text it is `sha256:per-bank:COUNT:HEX`: bank, extension, entries and value.
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

    /// What follows the verified entries in a list that has all of them since boot.
    ///
    /// # Errors
    /// [`Reject::ImaTemplateHash`], [`Reject::ImaHeadChanged`] if the list does not begin with them.
    pub fn rest<'e, 'a>(&self, entries: &'e [Entry<'a>]) -> Result<&'e [Entry<'a>], Reject> {
        let changed = || Reject::ImaHeadChanged {
            verified: self.count,
            entries: entries.len(),
        };
        let (head, rest) = usize::try_from(self.count)
            .ok()
            .and_then(|count| entries.split_at_checked(count))
            .ok_or_else(changed)?;
        let mut progress = Self::start(self.bank, self.extension);
        for (number, entry) in head.iter().enumerate() {
            entry.check(number)?;
            progress = progress.after(entry);
        }
        if progress == *self {
            Ok(rest)
        } else {
            Err(changed())
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
        let before = usize::try_from(self.count).unwrap_or(usize::MAX);
        for (used, entry) in entries.iter().enumerate() {
            if met(&progress.value) {
                return Ok((progress, used));
            }
            entry.check(before.saturating_add(used))?;
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

impl fmt::Display for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (bank, extension) = (bank_name(self.bank), self.extension.name());
        write!(f, "{bank}:{extension}:{}:{}", self.count, self.value)
    }
}

/// Text is no progress.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no progress; give what was printed before, as in sha256:per-bank:12:HEX")]
pub struct NotProgress(String);

impl FromStr for Progress {
    type Err = NotProgress;

    fn from_str(text: &str) -> Result<Self, NotProgress> {
        let read = || {
            let parts: Vec<&str> = text.split(':').collect();
            let [bank, extension, count, value] = parts[..] else {
                return None;
            };
            let progress = Self {
                bank: bank_by_name(bank)?,
                extension: Extension::ALL
                    .into_iter()
                    .find(|it| it.name() == extension)?,
                count: count.parse().ok()?,
                value: hex::decode(value).ok()?.into(),
            };
            // One text for each, with a value of the bank's length.
            let fits = progress.value.as_bytes().len() == progress.bank.digest_len();
            (fits && progress.to_string() == text).then_some(progress)
        };
        read().ok_or_else(|| NotProgress(text.into()))
    }
}
