//! Which instructions do the work, and how it is spread over the cores.

use std::{env, ffi::OsStr};

use rayon::prelude::*;
use reed_solomon_erasure::galois_8::{mul_slice, mul_slice_xor};

#[cfg(target_arch = "x86_64")]
use super::gfni;
use crate::kernel::KERNEL_VARIABLE;

/// Bytes of a shard that one thread works on before it takes the next piece.
pub(super) const PIECE: usize = 64 << 10;
/// Bytes of sums that a thread makes before it adds them to what they belong to: they stay in its caches.
const SUMS: usize = 256 << 10;
/// Bytes of a shard after which the portable engine begins the next: they stay in the first caches.
const TILE: usize = 4 << 10;

/// Arithmetic in GF(2^8). Both give the same bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Engine {
    /// Our own, on GFNI and AVX-512.
    Gfni,
    /// That of `reed-solomon-erasure`, with what its build found.
    Portable,
}

impl Engine {
    /// The faster one of what is [`available`](Self::available), unless the environment says `PROBITY_KERNEL=scalar`.
    #[must_use]
    pub fn detect() -> Self {
        Self::choose(env::var_os(KERNEL_VARIABLE).as_deref(), &Self::available())
    }

    /// What this processor has, the faster first.
    #[must_use]
    pub fn available() -> Vec<Self> {
        #[cfg(target_arch = "x86_64")]
        if gfni::Gfni::detect().is_some() {
            return vec![Self::Gfni, Self::Portable];
        }
        vec![Self::Portable]
    }

    fn choose(variable: Option<&OsStr>, available: &[Self]) -> Self {
        match available.first() {
            Some(fastest) if variable != Some(OsStr::new("scalar")) => *fastest,
            _ => Self::Portable,
        }
    }
}

/// A linear map from shards to shards: output i is the sum of all inputs j, each times `rows[i][j]`.
#[derive(Debug)]
pub(super) enum Plan {
    #[cfg(target_arch = "x86_64")]
    Gfni(gfni::Plan),
    Portable(Vec<Vec<u8>>),
}

impl Plan {
    /// Prepares a map, for the portable engine where the processor has not the other one.
    pub(super) fn new(engine: Engine, rows: Vec<Vec<u8>>) -> Self {
        #[cfg(target_arch = "x86_64")]
        if engine == Engine::Gfni
            && let Some(processor) = gfni::Gfni::detect()
        {
            return Self::Gfni(processor.plan(&rows));
        }
        #[cfg(not(target_arch = "x86_64"))]
        let _ = engine;
        Self::Portable(rows)
    }

    /// What works.
    pub(super) const fn engine(&self) -> Engine {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Gfni(_) => Engine::Gfni,
            Self::Portable(_) => Engine::Portable,
        }
    }

    /// Overwrites the outputs, with all threads of the pool. All slices have one length.
    pub(super) fn run(&self, inputs: &[&[u8]], outputs: &mut [&mut [u8]]) {
        let length = inputs.first().map_or(0, |input| input.len());
        if length <= PIECE {
            return self.run_piece(inputs, outputs);
        }
        pieces(outputs, PIECE)
            .into_par_iter()
            .enumerate()
            .for_each(|(number, mut outputs)| {
                self.run_piece(&piece(inputs, number * PIECE, PIECE), &mut outputs);
            });
    }

    /// Adds to the outputs what [`run`](Self::run) would write there, with all threads of the pool.
    pub(super) fn add(&self, inputs: &[&[u8]], outputs: &mut [&mut [u8]]) {
        let length = (SUMS / outputs.len().max(1)).next_multiple_of(TILE);
        pieces(outputs, length)
            .into_par_iter()
            .enumerate()
            .for_each(|(number, mut outputs)| {
                let mut sums: Vec<Vec<u8>> =
                    outputs.iter().map(|output| vec![0; output.len()]).collect();
                let mut places: Vec<&mut [u8]> = sums.iter_mut().map(Vec::as_mut_slice).collect();
                self.run_piece(&piece(inputs, number * length, length), &mut places);
                for (output, sum) in outputs.iter_mut().zip(&sums) {
                    for (byte, more) in output.iter_mut().zip(sum) {
                        *byte ^= more;
                    }
                }
            });
    }

    /// As [`run`](Self::run), on this thread.
    pub(super) fn run_piece(&self, inputs: &[&[u8]], outputs: &mut [&mut [u8]]) {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Gfni(plan) => plan.apply(inputs, outputs),
            Self::Portable(rows) => portable(rows, inputs, outputs),
        }
    }
}

/// The piece of every shard that begins at `from` and has `length` bytes, or what is left.
pub(super) fn piece<'a>(shards: &[&'a [u8]], from: usize, length: usize) -> Vec<&'a [u8]> {
    shards
        .iter()
        .map(|shard| &shard[from..(from + length).min(shard.len())])
        .collect()
}

/// All shards, piece by piece.
fn pieces<'a>(shards: &'a mut [&mut [u8]], length: usize) -> Vec<Vec<&'a mut [u8]>> {
    let bytes = shards.first().map_or(0, |shard| shard.len());
    let mut pieces: Vec<Vec<&mut [u8]>> = Vec::new();
    pieces.resize_with(bytes.div_ceil(length), || Vec::with_capacity(shards.len()));
    for shard in shards {
        for (piece, part) in pieces.iter_mut().zip(shard.chunks_mut(length)) {
            piece.push(part);
        }
    }
    pieces
}

fn portable(rows: &[Vec<u8>], inputs: &[&[u8]], outputs: &mut [&mut [u8]]) {
    let length = inputs.first().map_or(0, |input| input.len());
    for from in (0..length).step_by(TILE) {
        let range = from..(from + TILE).min(length);
        for (row, output) in rows.iter().zip(outputs.iter_mut()) {
            let output = &mut output[range.clone()];
            for (column, (coefficient, input)) in row.iter().zip(inputs).enumerate() {
                let multiply = if column == 0 {
                    mul_slice
                } else {
                    mul_slice_xor
                };
                multiply(*coefficient, &input[range.clone()], output);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::cast_possible_truncation)]
    use super::*;
    use crate::erasure::differential::engines;
    use reed_solomon_erasure::galois_8::mul;

    #[test]
    fn every_product_of_the_field_is_right() {
        let bytes: Vec<u8> = (0..=255).collect();
        for engine in engines("every_product_of_the_field_is_right") {
            let rows: Vec<Vec<u8>> = bytes.iter().map(|coefficient| vec![*coefficient]).collect();
            let plan = Plan::new(engine, rows);
            assert_eq!(plan.engine(), engine);
            let mut products = vec![vec![0xFF; 256]; 256];
            let mut outputs: Vec<&mut [u8]> = products.iter_mut().map(Vec::as_mut_slice).collect();
            plan.run(&[&bytes], &mut outputs);
            for (coefficient, products) in bytes.iter().zip(&products) {
                for (byte, product) in bytes.iter().zip(products) {
                    let expected = mul(*coefficient, *byte);
                    assert_eq!(*product, expected, "{engine:?} {coefficient} {byte}");
                }
            }
        }
    }

    #[test]
    fn bytes_around_the_outputs_are_left_alone() {
        for engine in engines("bytes_around_the_outputs_are_left_alone") {
            for rows in 1..=11 {
                let plan = Plan::new(engine, vec![vec![1, 1, 1]; rows]);
                for length in [1, 5, 64, 255, 256, 257, 700] {
                    let input = vec![0x5A; length];
                    let mut framed = vec![vec![0xEE; length + 96]; rows];
                    let mut outputs: Vec<&mut [u8]> = framed
                        .iter_mut()
                        .map(|bytes| &mut bytes[37..37 + length])
                        .collect();
                    plan.run(&[input.as_slice(); 3], &mut outputs);
                    for bytes in &framed {
                        assert!(bytes[..37].iter().all(|byte| *byte == 0xEE));
                        assert!(bytes[37..][..length].iter().all(|byte| *byte == 0x5A));
                        assert!(bytes[37 + length..].iter().all(|byte| *byte == 0xEE));
                    }
                }
            }
        }
    }

    #[test]
    fn the_environment_can_only_take_the_fast_engine_away() {
        let both = [Engine::Gfni, Engine::Portable];
        let scalar = Some(OsStr::new("scalar"));
        for variable in [None, Some(OsStr::new("auto")), Some(OsStr::new("ifma"))] {
            assert_eq!(Engine::choose(variable, &both), Engine::Gfni);
            assert_eq!(Engine::choose(variable, &both[1..]), Engine::Portable);
        }
        assert_eq!(Engine::choose(scalar, &both), Engine::Portable);
        assert_eq!(Engine::choose(scalar, &both[1..]), Engine::Portable);
    }
}
