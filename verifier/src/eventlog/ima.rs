//! The kernel's measurement list (IMA): what was run, opened or loaded after boot, extended into PCR 10.
//!
//! Each entry has template data (the file's digest, its path, perhaps a signature) and the hash of that data, which the kernel
//! extends. [`parse`] reads `ascii_runtime_measurements` and `binary_runtime_measurements` with the templates ima, ima-ng and
//! ima-sig. The hash in the list is checked, and never relied on: what is extended is computed from the data again.
//!
//! **Banks other than SHA-1.** Until Linux 5.7 the kernel extends the SHA-1 template hash into every bank, filled up
//! with zeros; since 5.8 it extends each bank with the template data's hash in that bank's own algorithm. Both are
//! [`Extension`]s; the list looks the same, so the verifier is told which, or tries both.
//!
//! **Violations.** Where a file was open for writing while it was measured, the list has a hash of zeros and the kernel extends ones
//! (0xff), so that the PCR can never again be explained without it: all bytes of each bank's digest since 5.8, the first 20
//! with zeros after them before. The path beside a violation is covered by nothing.
//!
//! **Step by step.** The list only grows until the next boot, so a verifier keeps [`Progress`] — how many entries
//! it has verified and the PCR's value after them — and needs only what follows. The list is read after or before the quote, and
//! may hold entries that the quote does not cover yet: [`Progress::reach`] finds the entry at which the quoted value is met
//! and leaves the rest for the next time. Who is given the whole list again asks [`Progress::rest`], which refuses one that no
//! longer begins with what was verified. After a reset of the TPM (its reset counter says so) start anew; kexec goes on.
//!
//! Reference: Linux, `security/integrity/ima` and Documentation/security/IMA-templates.rst.

mod allow;
mod list;
mod progress;

#[cfg(test)]
mod tests;

use std::borrow::Cow;

pub use allow::AllowList;
pub use list::{MAX_ENTRIES, MAX_LIST_BYTES, parse};
pub use progress::{Extension, NotProgress, Progress};

use super::Reject;
use crate::tpm::wire::HashAlgorithm;

/// The PCR that measurements are extended into.
pub const IMA_PCR: u8 = 10;

/// The name of the first entry, which holds a hash over the boot PCRs.
const BOOT_AGGREGATE: &str = "boot_aggregate";

/// A template of the kernel's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Template {
    /// `ima`: a 20-byte digest and a name of up to 255 bytes.
    Ima,
    /// `ima-ng`: digest with its algorithm, and path.
    ImaNg,
    /// `ima-sig`: the same and a signature.
    ImaSig,
}

/// One measurement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry<'a> {
    /// Its template.
    pub template: Template,
    /// Template hash in the list; zeros for a violation. Not relied on.
    pub listed_hash: Cow<'a, [u8]>,
    /// What the template hash is over.
    pub hashed: Cow<'a, [u8]>,
    /// Algorithm of the file's digest, as the kernel names it.
    pub algorithm: String,
    /// Digest of the file's contents.
    pub digest: Vec<u8>,
    /// Path, or a name such as `boot_aggregate`. The kernel replaces spaces with underscores.
    pub path: String,
    /// The file's signature (security.ima); empty if none.
    pub signature: Vec<u8>,
}

impl Entry<'_> {
    /// Whether it records that a file could have changed while it was measured.
    pub fn is_violation(&self) -> bool {
        self.listed_hash.iter().all(|byte| *byte == 0)
    }

    /// Checks the listed template hash.
    ///
    /// # Errors
    /// [`Reject::ImaTemplateHash`] if it is not that of the data.
    pub fn check(&self, number: usize) -> Result<(), Reject> {
        let algorithm = [
            HashAlgorithm::Sha1,
            HashAlgorithm::Sha256,
            HashAlgorithm::Sha384,
            HashAlgorithm::Sha512,
        ]
        .into_iter()
        .find(|algorithm| algorithm.digest_len() == self.listed_hash.len());
        let fits = algorithm
            .is_some_and(|algorithm| algorithm.digest(&[&self.hashed]) == *self.listed_hash);
        if fits || self.is_violation() {
            Ok(())
        } else {
            Err(Reject::ImaTemplateHash {
                entry: number,
                path: self.path.clone(),
            })
        }
    }
}
