//! The code on shards of any one length, in buffers of the caller's.

use rayon::prelude::*;

use super::{
    ErasureError, Geometry,
    engine::{Engine, PIECE, Plan, piece},
    interpolation::interpolation,
};

/// Reed–Solomon of one geometry over GF(2^8) modulo 0x11D, byte for byte that of `reed-solomon-erasure`.
#[derive(Debug)]
pub struct Code {
    geometry: Geometry,
    /// What each data shard counts in each parity shard.
    rows: Vec<Vec<u8>>,
    parity: Plan,
}

/// What is in one slot when a stripe is rebuilt.
#[derive(Debug)]
pub enum Place<'a> {
    /// A shard that is there.
    Present(&'a [u8]),
    /// A shard that is not there, and where it is to be written.
    Wanted(&'a mut [u8]),
    /// A shard that is not there, and need not be.
    Lost,
}

impl Code {
    /// Prepares the code for this processor; see [`Engine::detect`].
    #[must_use]
    pub fn new(geometry: Geometry) -> Self {
        Self::with_engine(geometry, Engine::detect())
    }

    /// Prepares the code for one engine, or the portable one where it is not available.
    #[must_use]
    pub fn with_engine(geometry: Geometry, engine: Engine) -> Self {
        let slots: Vec<u8> = (0..=u8::MAX).take(geometry.slots()).collect();
        let (data, parity) = slots.split_at(geometry.data());
        let rows = interpolation(data, parity);
        Self {
            geometry,
            parity: Plan::new(engine, rows.clone()),
            rows,
        }
    }

    /// What does the work.
    #[must_use]
    pub const fn engine(&self) -> Engine {
        self.parity.engine()
    }

    /// Overwrites the m parity shards with those of k data shards.
    ///
    /// # Errors
    /// [`ErasureError::ShardCount`] or [`ErasureError::UnevenShards`], and nothing is written.
    pub fn encode(&self, data: &[&[u8]], parity: &mut [&mut [u8]]) -> Result<(), ErasureError> {
        let lengths = data.iter().map(|shard| shard.len());
        self.check_count(data.len() + parity.len())?;
        if data.len() != self.geometry.data() {
            return Err(ErasureError::ShardCount {
                expected: self.geometry.data(),
                found: data.len(),
            });
        }
        check_lengths(
            lengths
                .chain(parity.iter().map(|shard| shard.len()))
                .enumerate(),
        )?;
        self.parity.run(data, parity);
        Ok(())
    }

    /// Adds to the m parity shards what some data shards contribute, the first of which is in slot `first`. When zeros have
    /// got those of all k, they are what [`Code::encode`] writes: so parity is made of data that is never in memory at once.
    ///
    /// # Errors
    /// [`ErasureError::ShardCount`] or [`ErasureError::UnevenShards`], and nothing is changed.
    pub fn add(
        &self,
        first: usize,
        data: &[&[u8]],
        parity: &mut [&mut [u8]],
    ) -> Result<(), ErasureError> {
        let (expected, end) = (self.geometry.data(), first.saturating_add(data.len()));
        if data.is_empty() || end > expected {
            let found = end;
            return Err(ErasureError::ShardCount { expected, found });
        }
        self.check_count(expected + parity.len())?;
        let lengths = data.iter().map(|shard| shard.len());
        check_lengths(
            (first..)
                .zip(lengths)
                .chain((expected..).zip(parity.iter().map(|shard| shard.len()))),
        )?;
        let rows = self.rows.iter().map(|row| row[first..end].to_vec());
        Plan::new(self.engine(), rows.collect()).add(data, parity);
        Ok(())
    }

    /// Whether the parity shards, behind the data shards, are theirs.
    ///
    /// # Errors
    /// [`ErasureError::ShardCount`] or [`ErasureError::UnevenShards`].
    pub fn verify(&self, shards: &[&[u8]]) -> Result<bool, ErasureError> {
        self.check_count(shards.len())?;
        check_lengths(shards.iter().map(|shard| shard.len()).enumerate())?;
        let pieces: Vec<usize> = (0..shards[0].len()).step_by(PIECE).collect();
        Ok(pieces.into_par_iter().all(|from| {
            let shards = piece(shards, from, PIECE);
            let (data, parity) = shards.split_at(self.geometry.data());
            let mut expected = vec![vec![0; data[0].len()]; parity.len()];
            let mut outputs: Vec<&mut [u8]> = expected.iter_mut().map(Vec::as_mut_slice).collect();
            self.parity.run_piece(data, &mut outputs);
            expected == parity
        }))
    }

    /// Writes what is wanted, from the first k shards that are present. Does not notice wrong ones.
    ///
    /// # Errors
    /// [`ErasureError::ShardCount`], [`ErasureError::UnevenShards`] or [`ErasureError::TooFewShards`], and nothing is written.
    pub fn rebuild(&self, places: &mut [Place<'_>]) -> Result<(), ErasureError> {
        self.check_count(places.len())?;
        check_lengths(places.iter().enumerate().filter_map(|(slot, place)| {
            let length = match place {
                Place::Present(shard) => shard.len(),
                Place::Wanted(shard) => shard.len(),
                Place::Lost => return None,
            };
            Some((slot, length))
        }))?;
        let (mut points, mut inputs) = (Vec::new(), Vec::new());
        let (mut targets, mut outputs) = (Vec::new(), Vec::new());
        for (slot, place) in (0..=u8::MAX).zip(places) {
            match place {
                Place::Present(shard) => {
                    points.push(slot);
                    inputs.push(*shard);
                }
                Place::Wanted(shard) => {
                    targets.push(slot);
                    outputs.push(&mut **shard);
                }
                Place::Lost => {}
            }
        }
        let needed = self.geometry.data();
        if points.len() < needed {
            return Err(ErasureError::TooFewShards {
                needed,
                found: points.len(),
            });
        }
        points.truncate(needed);
        inputs.truncate(needed);
        if !targets.is_empty() {
            Plan::new(self.engine(), interpolation(&points, &targets)).run(&inputs, &mut outputs);
        }
        Ok(())
    }

    fn check_count(&self, found: usize) -> Result<(), ErasureError> {
        let expected = self.geometry.slots();
        if found == expected {
            Ok(())
        } else {
            Err(ErasureError::ShardCount { expected, found })
        }
    }
}

/// All lengths are that of the first.
fn check_lengths(mut lengths: impl Iterator<Item = (usize, usize)>) -> Result<(), ErasureError> {
    let Some((_, expected)) = lengths.next() else {
        return Ok(());
    };
    match lengths.find(|(_, found)| *found != expected) {
        None => Ok(()),
        Some((slot, found)) => Err(ErasureError::UnevenShards {
            slot,
            expected,
            found,
        }),
    }
}
