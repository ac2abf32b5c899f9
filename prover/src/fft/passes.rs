//! A transform as three passes over memory.
//!
//! Element i of n stands in vector `i mod (n/8)`, lane `i / (n/8)`. So the first three layers of an interpolation are
//! between lanes, and all others between vectors, eight transforms of size n/8 in lockstep. The vectors are a matrix whose
//! rows are as long as a *part* of them that the second-level cache holds:
//!
//! 1. *Tiles*: eight columns of the matrix. The layers across lanes, and the layers between rows.
//! 2. *Parts*: the rows. All other layers.
//!
//! Evaluation does the same backwards. Moving from the places of one domain to those of another is an interpolation and an
//! evaluation whose work on a part is done in one go: three passes instead of four.
//!
//! What is stored is below 33/32 p.

use super::{
    butterfly::{join_four, join_lanes, join_two, split_four, split_lanes, split_two},
    engine::Engine,
    packed::Packed,
    roots::Roots,
};
use crate::kernel::{LANES, Lanes, Words, modulus::Limbs};
use ark_bn254::Fr;
use rayon::prelude::*;
use zeroize::ZeroizeOnDrop;

/// Vectors of the longest part: 640 KiB while they are worked on.
const LONGEST_PART: usize = 1 << 11;
/// Vectors that the first-level cache holds.
const SMALL_PART: usize = 1 << 7;

/// Values to coefficients, whose order is that of reversed bits.
pub(super) fn interpolate<E: Engine>(engine: E, data: &mut [Packed], roots: &Roots) {
    for_each_tile(
        engine,
        data,
        #[inline(always)]
        |backend, tile| tile.split(backend, roots),
    );
    for_each_part(
        engine,
        data,
        #[inline(always)]
        |backend, part| split_part(backend, part, roots),
    );
}

/// The inverse of [`interpolate`].
pub(super) fn evaluate<E: Engine>(engine: E, data: &mut [Packed], roots: &Roots) {
    for_each_part(
        engine,
        data,
        #[inline(always)]
        |backend, part| join_part(backend, part, roots),
    );
    for_each_tile(
        engine,
        data,
        #[inline(always)]
        |backend, tile| tile.join(backend, roots),
    );
}

/// Values at the places of `from` to those at the places of `to`.
pub(super) fn extend<E: Engine>(engine: E, data: &mut [Packed], from: &Roots, to: &Roots) {
    for_each_tile(
        engine,
        data,
        #[inline(always)]
        |backend, tile| tile.split(backend, from),
    );
    for_each_part(
        engine,
        data,
        #[inline(always)]
        |backend, part| {
            split_part(backend, part, from);
            join_part(backend, part, to);
        },
    );
    for_each_tile(
        engine,
        data,
        #[inline(always)]
        |backend, tile| tile.join(backend, to),
    );
}

/// Vectors of a part, for so many in all: eight parts at least where that many can be, so that threads have work.
fn part_length(vectors: usize) -> usize {
    (vectors / 8).clamp(LANES, LONGEST_PART).min(vectors)
}

/// Splits a matrix with rows of this length into strips of up to `width` columns: of each strip, its rows.
pub(super) fn strips<T>(matrix: &mut [T], row: usize, width: usize) -> Vec<Vec<&mut [T]>> {
    let mut rows: Vec<_> = matrix
        .chunks_mut(row)
        .map(|row| row.chunks_mut(width))
        .collect();
    (0..row.div_ceil(width))
        .map(|_| rows.iter_mut().filter_map(Iterator::next).collect())
        .collect()
}

/// Numbers that are worked on, wiped when dropped.
#[derive(ZeroizeOnDrop)]
struct Scratch<W: Words>(Vec<Lanes<Fr, W>>);

crate::wiped::wiped_on_drop!(<W: Words> Scratch<W>);

impl<W: Words> Scratch<W> {
    fn new(backend: W::Backend, vectors: usize) -> Self {
        Self(vec![Lanes::zero(backend); vectors])
    }
}

#[inline(always)]
fn load<W: Words>(backend: W::Backend, to: &mut [Lanes<Fr, W>], from: &[Packed]) {
    for (to, from) in to.iter_mut().zip(from) {
        *to = from.load(backend);
    }
}

#[inline(always)]
fn store<W: Words>(to: &mut [Packed], from: &[Lanes<Fr, W>]) {
    for (to, from) in to.iter_mut().zip(from) {
        to.store(&from.reduce());
    }
}

/// Works on each part, on all threads.
fn for_each_part<E: Engine>(
    engine: E,
    data: &mut [Packed],
    work: impl Fn(E, &mut [Lanes<Fr, E::Words>]) + Sync,
) {
    let length = part_length(data.len());
    data.par_chunks_mut(length).for_each_init(
        || Scratch::new(engine, length),
        |scratch, part| {
            engine.run(
                #[inline(always)]
                || {
                    load(engine, &mut scratch.0, part);
                    work(engine, &mut scratch.0);
                    store(part, &scratch.0);
                },
            );
        },
    );
}

/// Eight columns of the matrix of vectors.
struct Tile<'a, W> {
    /// Rows one after the other, eight vectors each.
    vectors: &'a mut [[Lanes<Fr, W>; LANES]],
    /// The first column.
    column: usize,
    /// Columns of the matrix.
    columns: usize,
}

/// Works on each tile, on all threads.
fn for_each_tile<E: Engine>(
    engine: E,
    data: &mut [Packed],
    work: impl Fn(E, &mut Tile<'_, E::Words>) + Sync,
) {
    let columns = part_length(data.len());
    let rows = data.len() / columns;
    let strips = strips(data, columns, LANES);
    strips.into_par_iter().enumerate().for_each_init(
        || Scratch::new(engine, rows * LANES),
        |scratch, (strip, mut parts)| {
            engine.run(
                #[inline(always)]
                || {
                    let (vectors, _) = scratch.0.as_chunks_mut::<LANES>();
                    for (vectors, part) in vectors.iter_mut().zip(&parts) {
                        load(engine, vectors, part);
                    }
                    work(
                        engine,
                        &mut Tile {
                            vectors,
                            column: strip * LANES,
                            columns,
                        },
                    );
                    for (part, vectors) in parts.iter_mut().zip(vectors) {
                        store(part, vectors);
                    }
                },
            );
        },
    );
}

impl<W: Words> Tile<'_, W> {
    /// The first layers of an interpolation.
    #[inline(always)]
    fn split(&mut self, backend: W::Backend, roots: &Roots) {
        for (row, vectors) in self.vectors.iter_mut().enumerate() {
            split_lanes(
                backend,
                vectors,
                roots,
                (row * self.columns + self.column) / LANES,
            );
        }
        let mut m = self.vectors.len();
        while m >= 4 {
            self.fours(
                m,
                roots,
                #[inline(always)]
                |quarters, upper, lower| split_four(backend, quarters, upper, lower),
            );
            m /= 4;
        }
        if m == 2 {
            self.twos(
                roots,
                #[inline(always)]
                |halves, roots| split_two(backend, halves, roots),
            );
        }
    }

    /// The last layers of an evaluation.
    #[inline(always)]
    fn join(&mut self, backend: W::Backend, roots: &Roots) {
        let rows = self.vectors.len();
        let mut m = 1;
        if rows.ilog2() % 2 == 1 {
            self.twos(
                roots,
                #[inline(always)]
                |halves, roots| join_two(backend, halves, roots),
            );
            m = 2;
        }
        while m < rows {
            m *= 4;
            self.fours(
                m,
                roots,
                #[inline(always)]
                |quarters, upper, lower| join_four(backend, quarters, upper, lower),
            );
        }
        for (row, vectors) in self.vectors.iter_mut().enumerate() {
            join_lanes(
                backend,
                vectors,
                roots,
                (row * self.columns + self.column) / LANES,
            );
        }
    }

    /// Two layers between rows: those of parts of m rows, and of half as many.
    #[inline(always)]
    fn fours(
        &mut self,
        m: usize,
        roots: &Roots,
        work: impl Fn([&mut [Lanes<Fr, W>]; 4], [&[Limbs]; 2], &[Limbs]),
    ) {
        let upper = roots.layer(m * self.columns);
        let lower = roots.layer(m / 2 * self.columns);
        for part in self.vectors.chunks_exact_mut(m) {
            let quarters = quarters(part);
            for (row, [q0, q1, q2, q3]) in rows_of(quarters).enumerate() {
                let at = row * self.columns + self.column;
                let later = at + m / 4 * self.columns;
                work(
                    [q0, q1, q2, q3],
                    [&upper[at..at + LANES], &upper[later..later + LANES]],
                    &lower[at..at + LANES],
                );
            }
        }
    }

    /// The layer between neighbouring rows.
    #[inline(always)]
    fn twos(&mut self, roots: &Roots, work: impl Fn([&mut [Lanes<Fr, W>]; 2], &[Limbs])) {
        let roots = &roots.layer(2 * self.columns)[self.column..self.column + LANES];
        let (pairs, _) = self.vectors.as_chunks_mut::<2>();
        for [low, high] in pairs {
            work([low, high], roots);
        }
    }
}

/// A slice in four equal parts.
#[inline(always)]
fn quarters<T>(slice: &mut [T]) -> [&mut [T]; 4] {
    let quarter = slice.len() / 4;
    let (low, high) = slice.split_at_mut(2 * quarter);
    let (q0, q1) = low.split_at_mut(quarter);
    let (q2, q3) = high.split_at_mut(quarter);
    [q0, q1, q2, q3]
}

/// The rows of four quarters, side by side.
#[inline(always)]
fn rows_of<T>(quarters: [&mut [[T; LANES]]; 4]) -> impl Iterator<Item = [&mut [T]; 4]> {
    let [q0, q1, q2, q3] = quarters;
    q0.iter_mut()
        .zip(q1)
        .zip(q2.iter_mut().zip(q3))
        .map(|((r0, r1), (r2, r3))| [&mut r0[..], &mut r1[..], &mut r2[..], &mut r3[..]])
}

/// The vectors, at most [`SMALL_PART`] where layers come in twos, with which work on a part of this length goes down to
/// what the first-level cache holds.
#[inline(always)]
fn small_part(length: usize) -> usize {
    let mut small = length;
    while small > SMALL_PART {
        small /= 4;
    }
    small
}

/// The last layers of an interpolation.
#[inline(always)]
fn split_part<W: Words>(backend: W::Backend, part: &mut [Lanes<Fr, W>], roots: &Roots) {
    let small = small_part(part.len());
    let mut m = part.len();
    while m > small {
        part_fours(
            part,
            m,
            roots,
            #[inline(always)]
            |quarters, upper, lower| split_four(backend, quarters, upper, lower),
        );
        m /= 4;
    }
    for part in part.chunks_exact_mut(small) {
        let mut m = small;
        while m >= 4 {
            part_fours(
                part,
                m,
                roots,
                #[inline(always)]
                |quarters, upper, lower| split_four(backend, quarters, upper, lower),
            );
            m /= 4;
        }
        if m == 2 {
            part_twos(
                part,
                #[inline(always)]
                |halves| split_two(backend, halves, roots.layer(2)),
            );
        }
    }
}

/// The first layers of an evaluation.
#[inline(always)]
fn join_part<W: Words>(backend: W::Backend, part: &mut [Lanes<Fr, W>], roots: &Roots) {
    let (length, small) = (part.len(), small_part(part.len()));
    for part in part.chunks_exact_mut(small) {
        let mut m = 1;
        if small.ilog2() % 2 == 1 {
            part_twos(
                part,
                #[inline(always)]
                |halves| join_two(backend, halves, roots.layer(2)),
            );
            m = 2;
        }
        while m < small {
            m *= 4;
            part_fours(
                part,
                m,
                roots,
                #[inline(always)]
                |quarters, upper, lower| join_four(backend, quarters, upper, lower),
            );
        }
    }
    let mut m = small;
    while m < length {
        m *= 4;
        part_fours(
            part,
            m,
            roots,
            #[inline(always)]
            |quarters, upper, lower| join_four(backend, quarters, upper, lower),
        );
    }
}

/// Two layers between vectors: those of parts of m vectors, and of half as many.
#[inline(always)]
fn part_fours<W: Words>(
    vectors: &mut [Lanes<Fr, W>],
    m: usize,
    roots: &Roots,
    work: impl Fn([&mut [Lanes<Fr, W>]; 4], [&[Limbs]; 2], &[Limbs]),
) {
    let (early, late) = roots.layer(m).split_at(m / 4);
    let lower = roots.layer(m / 2);
    for part in vectors.chunks_exact_mut(m) {
        work(quarters(part), [early, late], lower);
    }
}

/// The layer between neighbouring vectors.
#[inline(always)]
fn part_twos<W: Words>(vectors: &mut [Lanes<Fr, W>], work: impl Fn([&mut [Lanes<Fr, W>]; 2])) {
    let (pairs, _) = vectors.as_chunks_mut::<2>();
    for [low, high] in pairs {
        work([std::slice::from_mut(low), std::slice::from_mut(high)]);
    }
}
