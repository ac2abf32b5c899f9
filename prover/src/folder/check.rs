//! Reading a whole folder again.

use super::{FindError, ShardFolder};
use crate::{
    commit::{CommitError, commit_with_trees},
    ingest::Place,
    kernel::Kernel,
    paths::SHARD_FILE_BYTES,
    stored_tree::{Damage, StoredTree},
};
use circuits::storage::SHARD_BYTES;
use rayon::prelude::*;
use std::{
    fmt,
    fs::File,
    io::{self, Read},
};
use thiserror::Error;
use verifier::inventory::ShardRoots;

/// The first thing in a folder that is not as the manifest says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// The shard.
    pub place: Place,
    /// What is different about it.
    pub what: String,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Place { stripe, slot } = self.place;
        write!(f, "slot {slot}, stripe {stripe}: {}", self.what)
    }
}

/// Why a check came to no answer, or to which.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum CheckError {
    /// The folder is not what its manifest says.
    #[error("{0}")]
    Different(Difference),
    /// A file cannot be read.
    #[error(transparent)]
    File(#[from] FindError),
    /// A shard cannot be committed to.
    #[error(transparent)]
    Commit(#[from] CommitError),
}

impl ShardFolder {
    /// Reads every shard and compares it, its three names and its stored tree with the manifest, on all threads of the
    /// current rayon pool; `progress` is called after each shard.
    ///
    /// # Errors
    /// [`CheckError`] of the first shard that has one.
    pub fn check(&self, kernel: Kernel, progress: impl Fn() + Sync) -> Result<(), CheckError> {
        // By stripe, so that what is found first is soon known to be the first.
        for (stripe, roots) in (0..).zip(self.roots().chunks(self.geometry().slots())) {
            let failed = roots
                .par_iter()
                .enumerate()
                .find_map_first(|(slot, roots)| {
                    let found = self.check_shard(kernel, Place { stripe, slot }, roots);
                    progress();
                    found.err()
                });
            if let Some(error) = failed {
                return Err(error);
            }
        }
        Ok(())
    }

    fn check_shard(
        &self,
        kernel: Kernel,
        place: Place,
        roots: &ShardRoots,
    ) -> Result<(), CheckError> {
        let different = |what| CheckError::Different(Difference { place, what });
        let path = self.shard_path(place);
        let mut bytes = Vec::with_capacity(SHARD_FILE_BYTES + 1);
        let read = File::open(&path).and_then(|file| {
            file.take(SHARD_FILE_BYTES as u64 + 1)
                .read_to_end(&mut bytes)
        });
        match read {
            Ok(SHARD_FILE_BYTES) => {}
            Ok(found) => {
                let more = if found > SHARD_FILE_BYTES {
                    " or more"
                } else {
                    ""
                };
                return Err(different(format!(
                    "a shard's file has {SHARD_FILE_BYTES} bytes, found {found}{more}"
                )));
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(different("the shard is missing".to_owned()));
            }
            Err(source) => return Err(FindError::File { path, source }.into()),
        }
        let (bytes, tree) = bytes.split_at(SHARD_BYTES);
        let shard = commit_with_trees(bytes)?;
        let found = ShardRoots::from(shard.commitment);
        for (name, expected, found) in [
            ("storage root", roots.storage_root, found.storage_root),
            ("transport root", roots.transport_root, found.transport_root),
            ("content id", roots.content_id, found.content_id),
        ] {
            if expected != found {
                let stored = StoredTree::from_bytes(kernel, tree)
                    .and_then(|stored| stored.compare(&shard.storage));
                let cells = match stored {
                    Err(damage @ Damage::Cells { .. }) => format!(" ({damage})"),
                    _ => String::new(),
                };
                return Err(different(format!(
                    "{name} {found}, the manifest says {expected}{cells}"
                )));
            }
        }
        if tree != StoredTree::from_tree(&shard.storage).to_bytes() {
            let what = "the stored tree is not that of the shard".to_owned();
            return Err(different(what));
        }
        Ok(())
    }
}
