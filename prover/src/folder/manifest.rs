//! The manifest: written one stripe at a time, read with nothing taken for granted.

use crate::{
    commit::ShardCommitment,
    erasure::{ErasureError, Geometry},
};
use circuits::{StorageRoot, storage::StorageError};
use serde::Deserialize;
use std::io::{self, Read, Write};
use thiserror::Error;
use verifier::inventory::ShardRoots;

/// Name of the manifest in its folder.
pub const MANIFEST: &str = "manifest.json";
/// The first field of every manifest.
pub const FORMAT: &str = "probity-shards-1";
/// Shards a folder may have: 8.5 TB of them.
pub const MAX_SHARDS: u64 = 1 << 22;

/// More than a shard's three names take as JSON.
const MAX_ENTRY_BYTES: u64 = 320;
const MAX_BYTES: u64 = 1024 + MAX_SHARDS * MAX_ENTRY_BYTES;

/// What can be wrong with a manifest.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ManifestError {
    /// It is not the JSON that is expected, or cannot be read.
    #[error("not a manifest: {0}")]
    Json(#[from] serde_json::Error),
    /// Another format, or another version of it.
    #[error("the format is {found:?}, expected {FORMAT:?}")]
    Format {
        /// What was found.
        found: String,
    },
    /// Numbers that the code does not have.
    #[error(transparent)]
    Geometry(#[from] ErasureError),
    /// The numbers of bytes and of shards do not belong together.
    #[error("an object of {object_bytes} bytes has {expected} shards, found {found}")]
    ShardCount {
        /// Bytes of the object.
        object_bytes: u64,
        /// Shards of such an object.
        expected: u64,
        /// Shards listed.
        found: u64,
    },
    /// A storage root is none.
    #[error("shard {shard}: {source}")]
    Root {
        /// Index of the shard.
        shard: u64,
        /// What is wrong with its root.
        #[source]
        source: StorageError,
    },
}

/// What a manifest says, checked.
#[derive(Clone, Debug)]
pub(super) struct Manifest {
    pub(super) geometry: Geometry,
    pub(super) object_bytes: u64,
    pub(super) shards: Vec<ShardRoots>,
    pub(super) storage_roots: Vec<StorageRoot>,
}

/// A manifest as it is written; [`Writer`] writes the same field by field.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Fields {
    format: String,
    data: usize,
    parity: usize,
    shards: Vec<ShardRoots>,
    object_bytes: u64,
}

impl Manifest {
    pub(super) fn read(file: impl Read) -> Result<Self, ManifestError> {
        let reader = io::BufReader::new(file.take(MAX_BYTES));
        let fields: Fields = serde_json::from_reader(reader)?;
        if fields.format != FORMAT {
            return Err(ManifestError::Format {
                found: fields.format.chars().take(40).collect(),
            });
        }
        let geometry = Geometry::new(fields.data, fields.parity)?;
        let object_bytes = fields.object_bytes;
        let expected = geometry.stripes(object_bytes) * geometry.slots() as u64;
        let found = fields.shards.len() as u64;
        if found != expected || found == 0 || found > MAX_SHARDS {
            return Err(ManifestError::ShardCount {
                object_bytes,
                expected,
                found,
            });
        }
        let roots = (0..).zip(&fields.shards).map(|(shard, roots)| {
            StorageRoot::from_bytes(&roots.storage_root.0)
                .map_err(|source| ManifestError::Root { shard, source })
        });
        Ok(Self {
            geometry,
            object_bytes,
            storage_roots: roots.collect::<Result<_, _>>()?,
            shards: fields.shards,
        })
    }
}

/// Writes a manifest without holding it.
pub(super) struct Writer<W> {
    file: W,
    shards: u64,
}

impl<W: Write> Writer<W> {
    pub(super) fn new(mut file: W, geometry: Geometry) -> io::Result<Self> {
        let (data, parity) = (geometry.data(), geometry.parity());
        write!(
            file,
            "{{\n  \"format\": \"{FORMAT}\",\n  \"data\": {data},\n  \"parity\": {parity},\n  \"shards\": ["
        )?;
        Ok(Self { file, shards: 0 })
    }

    pub(super) fn shards(&mut self, shards: &[ShardCommitment]) -> io::Result<()> {
        for shard in shards {
            let comma = if self.shards == 0 { "" } else { "," };
            write!(self.file, "{comma}\n    ")?;
            serde_json::to_writer(&mut self.file, &ShardRoots::from(*shard))?;
            self.shards += 1;
        }
        Ok(())
    }

    pub(super) fn finish(mut self, object_bytes: u64) -> io::Result<W> {
        write!(
            self.file,
            "\n  ],\n  \"object_bytes\": {object_bytes}\n}}\n"
        )?;
        self.file.flush()?;
        Ok(self.file)
    }
}
