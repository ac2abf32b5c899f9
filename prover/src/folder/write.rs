//! Taking an object into a new folder.

use super::{
    manifest::{MANIFEST, MAX_SHARDS, Writer},
    shard_path,
};
use crate::{
    commit::{CommittedShard, ShardCommitment},
    erasure::Geometry,
    ingest::{self, IngestError, Place, Sink},
    paths::write_shard,
    stored_tree::StoredTree,
};
use std::{
    fs::{self, File},
    io::{self, BufWriter, Read},
    path::{Path, PathBuf},
};
use thiserror::Error;

/// Why a folder was not written. Nothing of it is left then.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum WriteError {
    /// There is something in its place.
    #[error("{} is there already", path.display())]
    Exists {
        /// The folder asked for.
        path: PathBuf,
    },
    /// The object has more shards than a folder.
    #[error("the object has more than {MAX_SHARDS} shards: cut it into several")]
    TooManyShards,
    /// A file or folder cannot be written.
    #[error("cannot write {}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
}

impl WriteError {
    fn at(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        |source| Self::File { path, source }
    }
}

/// What a folder was made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Written {
    /// Bytes of the object.
    pub object_bytes: u64,
    /// Stripes of it.
    pub stripes: u64,
}

/// Takes an object into a new folder at `path`, on all threads of the current rayon pool; `progress` is told after each
/// stripe how many bytes of the object have been read.
///
/// The folder is durable when this returns, and there is none after an error. A program that is killed leaves a folder
/// beside it whose name starts with that of `path` and ends in `.part`.
///
/// # Errors
/// [`IngestError`], with [`WriteError`] for what concerns the folder.
pub fn write(
    object: impl Read + Send,
    geometry: Geometry,
    path: &Path,
    progress: impl FnMut(u64) + Sync,
) -> Result<Written, IngestError<WriteError>> {
    let failed = IngestError::Shard;
    if path.symlink_metadata().is_ok() {
        let path = path.to_owned();
        return Err(failed(WriteError::Exists { path }));
    }
    let parent = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    // Removed again unless it is renamed.
    let part = tempfile::Builder::new()
        .prefix(&format!("{name}."))
        .suffix(".part")
        .tempdir_in(parent)
        .map_err(WriteError::at(path))
        .map_err(failed)?;
    let mut sink = FolderSink::new(part.path(), geometry, progress).map_err(failed)?;
    let object_bytes = ingest::ingest(object, geometry, &mut sink)?;
    let stripes = sink.finish(object_bytes).map_err(failed)?;
    (|| {
        // All files at once: one by one, the cores would wait for the disk.
        rustix::fs::syncfs(File::open(part.path())?)?;
        fs::rename(part.path(), path)?;
        File::open(parent)?.sync_all()
    })()
    .map_err(WriteError::at(path))
    .map_err(failed)?;
    // It is no longer there to be removed.
    let _ = part.keep();
    Ok(Written {
        object_bytes,
        stripes,
    })
}

struct FolderSink<'a, P> {
    folder: &'a Path,
    manifest: Writer<BufWriter<File>>,
    stripes: u64,
    slots: u64,
    progress: P,
}

impl<'a, P> FolderSink<'a, P> {
    fn new(folder: &'a Path, geometry: Geometry, progress: P) -> Result<Self, WriteError> {
        let manifest = folder.join(MANIFEST);
        let writer = File::create(&manifest)
            .and_then(|file| Writer::new(BufWriter::new(file), geometry))
            .map_err(WriteError::at(&manifest))?;
        for slot in 0..geometry.slots() {
            let slot = folder.join(slot.to_string());
            fs::create_dir(&slot).map_err(WriteError::at(&slot))?;
        }
        Ok(Self {
            folder,
            manifest: writer,
            stripes: 0,
            slots: geometry.slots() as u64,
            progress,
        })
    }

    fn finish(self, object_bytes: u64) -> Result<u64, WriteError> {
        self.manifest
            .finish(object_bytes)
            .map_err(WriteError::at(&self.folder.join(MANIFEST)))?;
        Ok(self.stripes)
    }
}

impl<P: FnMut(u64) + Sync> Sink for FolderSink<'_, P> {
    type Error = WriteError;

    fn shard(&self, place: Place, bytes: &[u8], shard: &CommittedShard) -> Result<(), WriteError> {
        if (place.stripe + 1) * self.slots > MAX_SHARDS {
            return Err(WriteError::TooManyShards);
        }
        let path = shard_path(self.folder, place);
        let tree = StoredTree::from_tree(&shard.storage);
        File::create(&path)
            .and_then(|file| write_shard(file, bytes, &tree))
            .map_err(WriteError::at(&path))
    }

    fn stripe(&mut self, _: u64, shards: &[ShardCommitment], read: u64) -> Result<(), WriteError> {
        let written = self.manifest.shards(shards);
        written.map_err(WriteError::at(&self.folder.join(MANIFEST)))?;
        self.stripes += 1;
        (self.progress)(read);
        Ok(())
    }
}
