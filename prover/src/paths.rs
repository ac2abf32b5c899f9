//! The path service: opens cells of shards that lie in files, many at once.
//!
//! A shard's file holds its bytes and behind them its [stored tree](crate::stored_tree). To open a cell, two places of the
//! file are read, the 64 cells of its group (31,744 bytes) and the stored tree (2,304 bytes), and the group is hashed. Reads
//! are announced before they are made, some hundred at once, so that a disk works on all of them while the cores hash what is
//! there already.

use crate::{
    kernel::Kernel,
    stored_tree::{self, Damage, GROUP_BYTES, STORED_TREE_BYTES, StoredTree, Wanted, group_of},
    witness::OpenedCell,
};
use circuits::storage::{SHARD_BYTES, SHARD_CELLS};
use std::{
    fs::File,
    io::{self, Write},
};
use thiserror::Error;
use zeroize::Zeroizing;

/// Bytes of a shard's file.
pub const SHARD_FILE_BYTES: usize = SHARD_BYTES + STORED_TREE_BYTES;

/// Cells that are opened together: one for each of the kernel's lanes.
const TOGETHER: usize = 8;
/// Shards that are held open, and whose reads are announced, at once.
const ANNOUNCED: usize = 16 * TOGETHER;

/// A shard's file, or what stands for one, read at any place.
pub trait ReadAt {
    /// Fills `into` with the bytes from `at` on.
    ///
    /// # Errors
    /// What the operating system says; [`io::ErrorKind::UnexpectedEof`] where the file ends before.
    fn read_exact_at(&self, at: u64, into: &mut [u8]) -> io::Result<()>;

    /// Says that these bytes will be read soon. Does not wait for them; may do nothing.
    fn announce(&self, at: u64, length: usize) {
        let _ = (at, length);
    }
}

impl ReadAt for File {
    fn read_exact_at(&self, at: u64, into: &mut [u8]) -> io::Result<()> {
        std::os::unix::fs::FileExt::read_exact_at(self, into, at)
    }

    fn announce(&self, at: u64, length: usize) {
        // An advice: where it is not taken, the reads are just not ahead of time.
        #[cfg(target_os = "linux")]
        let _ = rustix::fs::fadvise(
            self,
            at,
            std::num::NonZeroU64::new(length as u64),
            rustix::fs::Advice::WillNeed,
        );
    }
}

impl ReadAt for [u8] {
    fn read_exact_at(&self, at: u64, into: &mut [u8]) -> io::Result<()> {
        let bytes = usize::try_from(at).ok().and_then(|at| self.get(at..));
        let bytes = bytes.and_then(|bytes| bytes.get(..into.len()));
        into.copy_from_slice(bytes.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }
}

impl<R: ReadAt + ?Sized> ReadAt for &R {
    fn read_exact_at(&self, at: u64, into: &mut [u8]) -> io::Result<()> {
        (**self).read_exact_at(at, into)
    }

    fn announce(&self, at: u64, length: usize) {
        (**self).announce(at, length);
    }
}

/// Why a cell cannot be opened; `E` is what finding its shard can fail with.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum OpenError<E> {
    /// The shard cannot be found.
    #[error(transparent)]
    Shard(E),
    /// A shard has fewer cells.
    #[error("there is no cell {0}: a shard has {SHARD_CELLS}")]
    NoSuchCell(u16),
    /// The file cannot be read, or is too short.
    #[error("cannot read the shard's file: {0}")]
    Read(#[source] io::Error),
    /// The file does not hold the shard that was asked for.
    #[error(transparent)]
    Damaged(#[from] Damage),
}

/// Writes a shard's file: `shard`, then its stored tree.
///
/// # Errors
/// Those of `file`.
pub fn write_shard(mut file: impl Write, shard: &[u8], tree: &StoredTree) -> io::Result<()> {
    file.write_all(shard)?;
    file.write_all(&tree.to_bytes())
}

/// Reads the stored tree of a shard's file, whosever it is.
///
/// # Errors
/// [`OpenError::Read`] or [`OpenError::Damaged`].
pub fn read_tree<E>(kernel: Kernel, file: &impl ReadAt) -> Result<StoredTree, OpenError<E>> {
    let mut bytes = [0; STORED_TREE_BYTES];
    file.read_exact_at(SHARD_BYTES as u64, &mut bytes)
        .map_err(OpenError::Read)?;
    Ok(StoredTree::from_bytes(kernel, &bytes)?)
}

/// Opens all cells that are wanted, in their order, on all threads of the current rayon pool.
///
/// `shard` finds the file of the cell with the given place in `wanted`. At most 128 files are held open. What was read of the
/// cells around those that are wanted is wiped.
///
/// Every cell has an answer of its own, so that a caller learns of all damage at once.
pub fn open_cells<R: ReadAt + Send + Sync, E: Send>(
    kernel: Kernel,
    wanted: &[Wanted],
    shard: impl Fn(usize) -> Result<R, E>,
) -> Vec<Result<OpenedCell, OpenError<E>>> {
    let mut answers: Vec<_> = wanted.iter().map(|_| None).collect();
    for (part, (wanted, answers)) in wanted
        .chunks(ANNOUNCED)
        .zip(answers.chunks_mut(ANNOUNCED))
        .enumerate()
    {
        rayon::in_place_scope(|scope| {
            let together = wanted.chunks(TOGETHER).zip(answers.chunks_mut(TOGETHER));
            for (n, (wanted, answers)) in together.enumerate() {
                let first = part * ANNOUNCED + n * TOGETHER;
                let found: Vec<Result<R, OpenError<E>>> = (first..)
                    .zip(wanted)
                    .map(|(place, wanted)| announced(wanted, || shard(place)))
                    .collect();
                scope.spawn(move |_| {
                    for (place, answer) in answers.iter_mut().zip(open(kernel, wanted, found)) {
                        *place = Some(answer);
                    }
                });
            }
        });
    }
    answers.into_iter().flatten().collect()
}

/// Where in its file a cell's group begins.
const fn group_at(cell: u16) -> u64 {
    (group_of(cell) * GROUP_BYTES) as u64
}

/// A cell's shard, its reads announced.
fn announced<R: ReadAt, E>(
    wanted: &Wanted,
    shard: impl FnOnce() -> Result<R, E>,
) -> Result<R, OpenError<E>> {
    if usize::from(wanted.cell) >= SHARD_CELLS {
        return Err(OpenError::NoSuchCell(wanted.cell));
    }
    let shard = shard().map_err(OpenError::Shard)?;
    shard.announce(group_at(wanted.cell), GROUP_BYTES);
    shard.announce(SHARD_BYTES as u64, STORED_TREE_BYTES);
    Ok(shard)
}

/// Reads and opens a few cells.
fn open<R: ReadAt, E>(
    kernel: Kernel,
    wanted: &[Wanted],
    found: Vec<Result<R, OpenError<E>>>,
) -> Vec<Result<OpenedCell, OpenError<E>>> {
    let mut groups = Zeroizing::new(vec![[0; GROUP_BYTES]; wanted.len()]);
    let mut trees = vec![[0; STORED_TREE_BYTES]; wanted.len()];
    // What was read moves to the front, so that only that is hashed.
    let mut read = Vec::with_capacity(wanted.len());
    let mut answers: Vec<Result<(), OpenError<E>>> = Vec::with_capacity(wanted.len());
    for (wanted, file) in wanted.iter().zip(found) {
        let at = read.len();
        let bytes = file.and_then(|file| {
            file.read_exact_at(group_at(wanted.cell), &mut groups[at])
                .and_then(|()| file.read_exact_at(SHARD_BYTES as u64, &mut trees[at]))
                .map_err(OpenError::Read)
        });
        if bytes.is_ok() {
            read.push(*wanted);
        }
        answers.push(bytes);
    }
    let count = read.len();
    let opened = stored_tree::open_all(kernel, &read, &groups[..count], &trees[..count]);
    let mut opened = opened.into_iter();
    answers
        .into_iter()
        .filter_map(|answer| match answer {
            Ok(()) => opened.next().map(|cell| cell.map_err(OpenError::Damaged)),
            Err(error) => Some(Err(error)),
        })
        .collect()
}

#[cfg(test)]
mod tests;
