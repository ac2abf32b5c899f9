//! Ingest: from an object's bytes, read once, to shards and everything a deal says about them.
//!
//! Stripe by stripe: while the shards of one are encoded, committed to and handed on by the threads of the current rayon
//! pool, another thread reads the data of the next. Memory does not depend on the size of the object, and hardly on the
//! geometry: [`BUFFER_LIMIT`] holds one stripe and the next one's data (as of 10 + 4), or only the one stripe, or, of wide
//! stripes, all parity and a few data shards at a time, whose contributions to the parity add up. What comes out is the same.
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

/// Bytes of buffers that are enough for every geometry of up to 22 parity shards. Others need all of these and two data shards:
/// [`buffer_bytes`] tells.
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
    let Window { data, next } = Window::of(geometry);
    (data + next + geometry.parity()) * SHARD_BYTES
}

/// Data shards that are in memory at once, beside all parity shards.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Window {
    /// Those that are worked on.
    data: usize,
    /// Those that are read meanwhile; none where they are read into the same buffers, after these were worked on.
    next: usize,
}

impl Window {
    const fn of(geometry: Geometry) -> Self {
        let most = BUFFER_LIMIT / SHARD_BYTES;
        let (data, slots) = (geometry.data(), geometry.slots());
        if slots + data <= most {
            Self { data, next: data }
        } else if slots <= most {
            Self { data, next: 0 }
        } else {
            let half = most.saturating_sub(geometry.parity()) / 2;
            let half = if half == 0 { 1 } else { half };
            let half = if half < data { half } else { data };
            Self {
                data: half,
                next: half,
            }
        }
    }
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
    let mut object = Object::new(object);
    let mut buffers = Buffers::new(geometry);
    let mut part = Part::first(geometry);
    if object.fill(&mut buffers.data[..part.count])? == 0 {
        return Err(IngestError::Empty);
    }
    let mut shards = Vec::with_capacity(geometry.slots());
    loop {
        let read = object.read;
        let following = part.following();
        let (data, parity) = (&buffers.data[..part.count], &mut buffers.parity);
        let mut work = || part.work(&code, data, parity, &*sink);
        let (made, filled) = if part.is_last() && object.ended {
            (work()?, 0)
        } else if buffers.next.is_empty() {
            let made = work()?;
            (made, object.fill(&mut buffers.data[..following.count])?)
        } else {
            let next = &mut buffers.next[..following.count];
            let (made, filled) = thread::scope(|scope| {
                let reader = scope.spawn(|| object.fill(next));
                let made = work();
                // A panic over there is a panic here.
                let filled = reader.join();
                (
                    made,
                    filled.unwrap_or_else(|panic| std::panic::resume_unwind(panic)),
                )
            });
            let both = (made?, filled?);
            std::mem::swap(&mut buffers.data, &mut buffers.next);
            both
        };
        shards.extend(made);
        if part.is_last() {
            sink.stripe(part.stripe, &shards, read)
                .map_err(IngestError::Shard)?;
            shards.clear();
            if filled == 0 {
                return Ok(object.read);
            }
        }
        part = following;
    }
}

/// Consecutive data shards of a stripe: all of them, or as many as the window holds.
#[derive(Clone, Copy, Debug)]
struct Part {
    geometry: Geometry,
    stripe: u64,
    /// The slot of the first.
    first: usize,
    count: usize,
}

impl Part {
    const fn first(geometry: Geometry) -> Self {
        Self {
            geometry,
            stripe: 0,
            first: 0,
            count: Window::of(geometry).data,
        }
    }

    /// Whether the stripe ends with it.
    const fn is_last(&self) -> bool {
        self.first + self.count == self.geometry.data()
    }

    fn following(&self) -> Self {
        if self.is_last() {
            return Self {
                stripe: self.stripe + 1,
                ..Self::first(self.geometry)
            };
        }
        let first = self.first + self.count;
        let count = Window::of(self.geometry).data;
        Self {
            first,
            count: count.min(self.geometry.data() - first),
            ..*self
        }
    }

    /// Encodes the shards, commits to them and hands them on; those of parity too where the stripe ends.
    fn work<S: Sink>(
        &self,
        code: &Code,
        data: &[Vec<u8>],
        parity: &mut [Vec<u8>],
        sink: &S,
    ) -> Result<Vec<ShardCommitment>, IngestError<S::Error>> {
        let data: Vec<&[u8]> = data.iter().map(Vec::as_slice).collect();
        if self.first == 0 && !self.is_last() {
            parity.iter_mut().for_each(|shard| shard.fill(0));
        }
        let mut places: Vec<&mut [u8]> = parity.iter_mut().map(Vec::as_mut_slice).collect();
        if self.count == self.geometry.data() {
            code.encode(&data, &mut places)?;
        } else {
            code.add(self.first, &data, &mut places)?;
        }
        let parity = parity.iter().map(Vec::as_slice);
        let made: Vec<&[u8]> = if self.is_last() {
            data.into_iter().chain(parity).collect()
        } else {
            data
        };
        made.into_par_iter()
            .enumerate()
            .map(|(at, bytes)| {
                let shard = commit_with_trees(bytes)?;
                let place = Place {
                    stripe: self.stripe,
                    slot: self.first + at,
                };
                sink.shard(place, bytes, &shard)
                    .map_err(IngestError::Shard)?;
                Ok(shard.commitment)
            })
            .collect()
    }
}

/// Every shard that is in memory.
struct Buffers {
    data: Vec<Vec<u8>>,
    parity: Vec<Vec<u8>>,
    next: Vec<Vec<u8>>,
}

impl Buffers {
    fn new(geometry: Geometry) -> Self {
        let shards = |count| vec![vec![0; SHARD_BYTES]; count];
        let Window { data, next } = Window::of(geometry);
        Self {
            data: shards(data),
            parity: shards(geometry.parity()),
            next: shards(next),
        }
    }
}

struct Object<R> {
    object: R,
    /// Bytes so far.
    read: u64,
    /// Whether there are no more: it is not asked again.
    ended: bool,
}

impl<R: Read> Object<R> {
    const fn new(object: R) -> Self {
        Self {
            object,
            read: 0,
            ended: false,
        }
    }

    /// Reads into one shard after the other, zeros where the object has ended, and tells how many bytes there were.
    fn fill<E>(&mut self, shards: &mut [Vec<u8>]) -> Result<usize, IngestError<E>> {
        let mut total = 0;
        for shard in shards {
            let mut filled = 0;
            if !self.ended {
                filled = self.fill_one(shard).map_err(IngestError::Read)?;
                self.ended = filled < shard.len();
            }
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
