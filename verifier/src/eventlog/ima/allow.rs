//! Which files may have been measured.

use std::collections::{BTreeMap, BTreeSet};

use super::{BOOT_AGGREGATE, Entry, Reject};

/// Most lines read.
const MAX_LINES: usize = 1 << 20;

/// Paths and the digests each may have.
///
/// Text, one file a line: `sha256:HEX PATH`, as many lines for a path as it may have digests. Empty lines and those that start with
/// `#` are skipped; spaces in paths become underscores, as in the kernel's list. SHA-256, SHA-384 and SHA-512 are read, and SHA-1
/// for the template `ima`, which knows nothing better: whoever can write files can make two with one SHA-1.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AllowList {
    files: BTreeMap<String, BTreeSet<(String, Vec<u8>)>>,
}

impl AllowList {
    /// Reads a list.
    ///
    /// # Errors
    /// [`Reject::AllowList`] with the line at fault.
    pub fn parse(text: &str) -> Result<Self, Reject> {
        let mut list = Self::default();
        for (at, line) in text.lines().enumerate() {
            let refuse = |why| Reject::AllowList { line: at + 1, why };
            if at >= MAX_LINES {
                return Err(refuse("too many lines"));
            }
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let (digest, path) = line
                .split_once(char::is_whitespace)
                .ok_or_else(|| refuse("expected `sha256:HEX PATH`"))?;
            let (algorithm, digest) = digest
                .split_once(':')
                .ok_or_else(|| refuse("expected the digest as `sha256:HEX`"))?;
            let expected = crate::eventlog::bank_by_name(algorithm)
                .ok_or_else(|| refuse("expected sha1, sha256, sha384 or sha512"))?
                .digest_len();
            let digest = hex::decode(digest).map_err(|_| refuse("digest is not hexadecimal"))?;
            if digest.len() != expected {
                return Err(refuse("digest is not as long as its algorithm's"));
            }
            list.files
                .entry(path.trim().replace(' ', "_"))
                .or_default()
                .insert((algorithm.to_owned(), digest));
        }
        Ok(list)
    }

    /// Checks one measurement; `number` counts from the start of the boot.
    ///
    /// The very first may be `boot_aggregate`, whose digest is that of the boot PCRs and of no file.
    ///
    /// # Errors
    /// [`Reject::ImaNotAllowed`].
    pub fn check(&self, entry: &Entry<'_>, number: u64) -> Result<(), Reject> {
        let refuse = |why| {
            Err(Reject::ImaNotAllowed {
                entry: number,
                path: entry.path.clone(),
                why,
            })
        };
        if entry.is_violation() {
            return refuse("a violation: the file could be written while it was measured");
        }
        if number == 0 && entry.path == BOOT_AGGREGATE {
            return Ok(());
        }
        match self.files.get(&entry.path) {
            None => refuse("the allow list does not have its path"),
            Some(digests) => {
                let measured = (entry.algorithm.clone(), entry.digest.clone());
                if digests.contains(&measured) {
                    Ok(())
                } else {
                    refuse("the allow list has its path with other digests")
                }
            }
        }
    }
}
