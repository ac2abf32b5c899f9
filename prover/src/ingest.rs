//! Ingest: from an object's bytes, read once, to shards and everything a deal says about them.
//!
//! Stripe by stripe: while the shards of one are encoded, committed to and handed on by the threads of the current rayon
//! pool, another thread reads the data of the next. Memory does not depend on the size of the object: it is one stripe, and
//! the next one's data where both fit into [`BUFFER_LIMIT`], which 10 + 4 does.
//!
//! Protocol: section 2.

use crate::{
    commit::{CommitError, CommittedShard, ShardCommitment, commit_with_trees},
    erasure::{Code, ErasureError, Geometry},
};
use circuits::storage::SHARD_BYTES;
use rayon::prelude::*;
use std::{
    io::{self, Read},
    thread,
};
use thiserror::Error;

/// Bytes of buffers up to which the next stripe is read while one is worked on. A single stripe of a wide geometry may need
/// more: [`buffer_bytes`] tells.
pub const BUFFER_LIMIT: usize = 50_000_000;

/// Why an object was not taken in; `E` is what handing a shard on can fail with.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum IngestError<E> {
    /// The object cannot be read.
    #[error("cannot read the object: {0}")]
    Read(#[source] io::Error),
    /// An object without bytes has no shards.
    #[error("the object is empty: there is nothing to store")]
    Empty,
    /// The shards cannot be committed to.
    #[error(transparent)]
    Commit(#[from] CommitError),
    /// The shards cannot be encoded.
    #[error(transparent)]
    Erasure(#[from] ErasureError),
    /// A shard cannot be handed on.
    #[error(transparent)]
    Shard(E),
}

/// A shard's place in its object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The stripe.
    pub stripe: u64,
    /// The place in the stripe: data first.
    pub slot: usize,
}

/// Who takes what comes out.
pub trait Sink: Sync {
    /// What taking can fail with.
    type Error: Send;

    /// Takes a shard. Shards of one stripe come in any order, and several at once.
    ///
    /// # Errors
    /// Ends the ingest.
    fn shard(&self, place: Place, bytes: &[u8], shard: &CommittedShard) -> Result<(), Self::Error>;

    /// Takes the names of a stripe's shards, in order of their slots, after all of them were taken. Stripes come in order.
    /// `read` is how many bytes of the object have been read so far.
    ///
    /// # Errors
    /// Ends the ingest.
    fn stripe(
        &mut self,
        stripe: u64,
        shards: &[ShardCommitment],
        read: u64,
    ) -> Result<(), Self::Error>;
}

/// Bytes of buffers that a geometry needs.
#[must_use]
pub const fn buffer_bytes(geometry: Geometry) -> usize {
    let one = geometry.slots() * SHARD_BYTES;
    let both = one + geometry.stripe_bytes();
    if both <= BUFFER_LIMIT { both } else { one }
}

/// Takes in an object, and tells how many bytes it has.
///
/// # Errors
/// [`IngestError`]. What was handed on until then is the caller's to remove.
pub fn ingest<S: Sink>(
    object: impl Read + Send,
    geometry: Geometry,
    sink: &mut S,
) -> Result<u64, IngestError<S::Error>> {
    let code = Code::new(geometry);
    let mut object = Object { object, read: 0 };
    let mut buffers = Buffers::new(geometry);
    let mut filled = object.fill(&mut buffers.data)?;
    if filled == 0 {
        return Err(IngestError::Empty);
    }
    let mut stripe = 0;
    while filled > 0 {
        let read = object.read;
        let (data, parity) = (&buffers.data, &mut buffers.parity);
        let mut work = || stripe_of(&code, stripe, data, parity, &*sink);
        let (shards, next) = if filled < geometry.stripe_bytes() {
            (work()?, 0)
        } else if buffers.next.is_empty() {
            let shards = work()?;
            (shards, object.fill(&mut buffers.data)?)
        } else {
            let next = &mut buffers.next;
            let (shards, next) = thread::scope(|scope| {
                let reader = scope.spawn(|| object.fill(next));
                let shards = work();
                // A panic over there is a panic here.
                let next = reader.join();
                (
                    shards,
                    next.unwrap_or_else(|panic| std::panic::resume_unwind(panic)),
                )
            });
            let both = (shards?, next?);
            std::mem::swap(&mut buffers.data, &mut buffers.next);
            both
        };
        sink.stripe(stripe, &shards, read)
            .map_err(IngestError::Shard)?;
        filled = next;
        stripe += 1;
    }
    Ok(object.read)
}

/// Encodes a stripe, commits to its shards and hands them on.
fn stripe_of<S: Sink>(
    code: &Code,
    stripe: u64,
    data: &[Vec<u8>],
    parity: &mut [Vec<u8>],
    sink: &S,
) -> Result<Vec<ShardCommitment>, IngestError<S::Error>> {
    let data: Vec<&[u8]> = data.iter().map(Vec::as_slice).collect();
    let mut places: Vec<&mut [u8]> = parity.iter_mut().map(Vec::as_mut_slice).collect();
    code.encode(&data, &mut places)?;
    let shards: Vec<&[u8]> = data
        .into_iter()
        .chain(parity.iter().map(Vec::as_slice))
        .collect();
    shards
        .into_par_iter()
        .enumerate()
        .map(|(slot, bytes)| {
            let shard = commit_with_trees(bytes)?;
            sink.shard(Place { stripe, slot }, bytes, &shard)
                .map_err(IngestError::Shard)?;
            Ok(shard.commitment)
        })
        .collect()
}

/// Every shard that is in memory.
struct Buffers {
    data: Vec<Vec<u8>>,
    parity: Vec<Vec<u8>>,
    /// The next stripe's data; none where they are read into `data`, after it was worked on.
    next: Vec<Vec<u8>>,
}

impl Buffers {
    fn new(geometry: Geometry) -> Self {
        let shards = |count| vec![vec![0; SHARD_BYTES]; count];
        let all = buffer_bytes(geometry) / SHARD_BYTES;
        Self {
            data: shards(geometry.data()),
            parity: shards(geometry.parity()),
            next: shards(all - geometry.slots()),
        }
    }
}

struct Object<R> {
    object: R,
    /// Bytes so far.
    read: u64,
}

impl<R: Read> Object<R> {
    /// Reads into one shard after the other, zeros where the object has ended, and tells how many bytes there were.
    fn fill<E>(&mut self, shards: &mut [Vec<u8>]) -> Result<usize, IngestError<E>> {
        let mut total = 0;
        for shard in shards {
            let filled = self.fill_one(shard).map_err(IngestError::Read)?;
            shard[filled..].fill(0);
            total += filled;
        }
        self.read += total as u64;
        Ok(total)
    }

    fn fill_one(&mut self, shard: &mut [u8]) -> io::Result<usize> {
        let mut filled = 0;
        while filled < shard.len() {
            match self.object.read(&mut shard[filled..]) {
                Ok(0) => break,
                Ok(more) => filled += more,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(filled)
    }
}

#[cfg(test)]
mod tests;
