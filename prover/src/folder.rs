//! A folder of shards: what `prover ingest` writes and what is proven from.
//!
//! ```text
//! manifest.json                geometry, length of the object, roots of all shards
//! <slot>/<stripe>.shard        a shard and its stored tree (see `paths`)
//! ```
//!
//! The folder is written beside its place and renamed, so that it is whole or not there. Shards are counted stripe by stripe:
//! shard `stripe · (k + m) + slot`. The manifest is believed only as far as it agrees with itself; what is read of the shards
//! is hashed up to its roots.

mod check;
mod manifest;
mod write;

pub use check::{CheckError, Difference};
pub use manifest::{FORMAT, MANIFEST, MAX_SHARDS, ManifestError};
pub use write::{WriteError, Written, write};

use crate::{
    erasure::Geometry,
    ingest::Place,
    kernel::Kernel,
    paths::{OpenError, open_cells},
    stored_tree::Wanted,
    witness::OpenedCell,
};
use circuits::{Sample, StorageRoot};
use manifest::Manifest;
use std::{
    fs::File,
    io,
    path::{Path, PathBuf},
};
use thiserror::Error;
use verifier::inventory::ShardRoots;

/// Why a folder cannot be opened.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum FolderError {
    /// A file cannot be read.
    #[error("cannot read {}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
    /// The manifest is none.
    #[error("{}: {source}", path.display())]
    Manifest {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: ManifestError,
    },
}

/// Why the shard of a sample cannot be opened.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum FindError {
    /// The folder has fewer shards.
    #[error("there is no shard {shard}: the folder has {count}")]
    NoSuchShard {
        /// The shard asked for.
        shard: u64,
        /// Shards of the folder.
        count: u64,
    },
    /// Its file cannot be opened.
    #[error("cannot open {}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
}

/// A folder of shards, ready to be proven from.
#[derive(Clone, Debug)]
pub struct ShardFolder {
    path: PathBuf,
    manifest: Manifest,
}

impl ShardFolder {
    /// Reads and checks the manifest of a folder. The shards are not looked at: [`ShardFolder::check`] does.
    ///
    /// # Errors
    /// [`FolderError`].
    pub fn open(path: &Path) -> Result<Self, FolderError> {
        let file = path.join(MANIFEST);
        let manifest = match File::open(&file) {
            Ok(reader) => Manifest::read(reader),
            Err(source) => return Err(FolderError::File { path: file, source }),
        };
        Ok(Self {
            path: path.to_owned(),
            manifest: manifest.map_err(|source| FolderError::Manifest { path: file, source })?,
        })
    }

    /// Data and parity shards of a stripe.
    #[must_use]
    pub const fn geometry(&self) -> Geometry {
        self.manifest.geometry
    }

    /// Bytes of the object.
    #[must_use]
    pub const fn object_bytes(&self) -> u64 {
        self.manifest.object_bytes
    }

    /// The names of all shards, stripe by stripe.
    #[must_use]
    pub fn roots(&self) -> &[ShardRoots] {
        &self.manifest.shards
    }

    /// The storage roots of all shards, stripe by stripe: the leaves of the inventory of a node that holds them all.
    pub fn storage_roots(&self) -> impl ExactSizeIterator<Item = StorageRoot> + '_ {
        self.manifest.storage_roots.iter().copied()
    }

    /// Where a shard is in the object.
    #[must_use]
    pub const fn place(&self, shard: usize) -> Place {
        let slots = self.geometry().slots();
        Place {
            stripe: (shard / slots) as u64,
            slot: shard % slots,
        }
    }

    /// The file of a shard.
    #[must_use]
    pub fn shard_path(&self, place: Place) -> PathBuf {
        shard_path(&self.path, place)
    }

    /// Opens all samples, in their order, on all threads of the current rayon pool. Each has an answer of its own.
    pub fn open_cells(
        &self,
        kernel: Kernel,
        samples: &[Sample],
    ) -> Vec<Result<OpenedCell, OpenError<FindError>>> {
        let nothing = StorageRoot::new(circuits::Fr::default());
        let roots = &self.manifest.storage_roots;
        let find = |shard: u64| usize::try_from(shard).ok().filter(|n| *n < roots.len());
        let wanted: Vec<Wanted> = samples
            .iter()
            .map(|sample| Wanted {
                root: find(sample.shard).map_or(nothing, |shard| roots[shard]),
                cell: sample.cell,
            })
            .collect();
        open_cells(kernel, &wanted, |place| {
            let shard = samples[place].shard;
            let Some(shard) = find(shard) else {
                let count = roots.len() as u64;
                return Err(FindError::NoSuchShard { shard, count });
            };
            let path = self.shard_path(self.place(shard));
            File::open(&path).map_err(|source| FindError::File { path, source })
        })
    }
}

/// The file of a shard in a folder.
fn shard_path(folder: &Path, place: Place) -> PathBuf {
    folder
        .join(place.slot.to_string())
        .join(format!("{}.shard", place.stripe))
}

#[cfg(test)]
mod tests;
