//! PCR banks, and the digests in them.

use std::fmt;

use serde::{Serialize, Serializer};

use crate::tpm::wire::HashAlgorithm;

/// Banks that are replayed, by strength.
pub const BANKS: [HashAlgorithm; 4] = [
    HashAlgorithm::Sha1,
    HashAlgorithm::Sha256,
    HashAlgorithm::Sha384,
    HashAlgorithm::Sha512,
];

/// A bank's usual name: `sha1`, `sha256`, `sha384` or `sha512`.
pub fn bank_name(bank: HashAlgorithm) -> &'static str {
    match bank {
        HashAlgorithm::Sha1 => "sha1",
        HashAlgorithm::Sha256 => "sha256",
        HashAlgorithm::Sha384 => "sha384",
        HashAlgorithm::Sha512 => "sha512",
    }
}

/// The bank of that name, or nothing.
pub fn bank_by_name(name: &str) -> Option<HashAlgorithm> {
    BANKS.into_iter().find(|bank| bank_name(*bank) == name)
}

/// The place of a bank in [`BANKS`].
pub(super) fn slot(bank: HashAlgorithm) -> usize {
    match bank {
        HashAlgorithm::Sha1 => 0,
        HashAlgorithm::Sha256 => 1,
        HashAlgorithm::Sha384 => 2,
        HashAlgorithm::Sha512 => 3,
    }
}

/// A digest or a PCR's value, as long as its bank's digests; printed in hexadecimal.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest(Vec<u8>);

impl Digest {
    /// The bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The hash of `data` in a bank.
    pub fn of(bank: HashAlgorithm, data: &[u8]) -> Self {
        Self(bank.digest(&[data]))
    }

    /// What a PCR with this value becomes when `digest` is extended into it.
    #[must_use]
    pub fn extended(&self, bank: HashAlgorithm, digest: &[u8]) -> Self {
        Self(bank.digest(&[&self.0, digest]))
    }

    /// What a PCR of PC-client firmware holds after a TPM reset: zeros, but ones in the PCRs 17 to 22 of a dynamic launch.
    pub fn at_reset(bank: HashAlgorithm, pcr: u8) -> Self {
        let byte = if (17..=22).contains(&pcr) { 0xff } else { 0 };
        Self(vec![byte; bank.digest_len()])
    }

    /// Zeros, with the startup locality in the last byte.
    pub(super) fn at_startup(bank: HashAlgorithm, locality: u8) -> Self {
        let mut value = vec![0; bank.digest_len()];
        if let Some(last) = value.last_mut() {
            *last = locality;
        }
        Self(value)
    }
}

impl From<Vec<u8>> for Digest {
    fn from(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }
}

impl From<&[u8]> for Digest {
    fn from(bytes: &[u8]) -> Self {
        Self(bytes.to_vec())
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(&self.0))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Digest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
