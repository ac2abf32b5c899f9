//! Buckets of a window: the sum of the points of each digit, and what the digits make of these.
//!
//! The sum of magnitude · bucket over all buckets goes by rows and columns: with magnitude = `columns` · row + column it is
//! `columns` · Σ row · (sum of the row) + Σ column · (sum of the column), for two additions a bucket, all of them batched.

use super::{
    bases::{Line, PackedBases},
    curve::Curve,
    digits::{Digits, Windows},
    make_room,
    plan::{NEGATIVE, Plan},
    sums::{Adder, Backend, Points, longest},
};
use crate::kernel::Words;
use ark_ec::short_weierstrass::{Affine, Projective};
use ark_ff::AdditiveGroup;
use std::ops::Range;
use zeroize::ZeroizeOnDrop;

/// Lists that are enough to keep an [`Adder`] busy.
const ENOUGH_LISTS: usize = 1 << 14;

/// A part of the work: some windows of some blocks of scalars.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Task {
    pub(super) windows: Range<usize>,
    pub(super) blocks: Range<usize>,
}

/// Cuts the work for so many threads.
///
/// A task has several windows if they have few buckets, and few of the points if there are more threads than windows.
pub(super) fn tasks(windows: Windows, blocks: usize, threads: usize) -> Vec<Task> {
    let enough = ENOUGH_LISTS.div_ceil(windows.buckets());
    let share = windows.count.div_ceil(threads.max(1));
    let at_once = enough.min(share).max(1);
    let chunks = threads
        .div_ceil(windows.count.div_ceil(at_once))
        .clamp(1, blocks.max(1));
    let blocks_at_once = blocks.div_ceil(chunks).max(1);
    let mut tasks = Vec::new();
    for start in (0..windows.count).step_by(at_once) {
        for block in (0..blocks).step_by(blocks_at_once) {
            tasks.push(Task {
                windows: start..(start + at_once).min(windows.count),
                blocks: block..(block + blocks_at_once).min(blocks),
            });
        }
    }
    tasks
}

/// Points in order of their digits, for a task. Tells digits of scalars, and is wiped when it is dropped.
#[derive(Default, ZeroizeOnDrop)]
pub(super) struct Sorted {
    counts: Vec<u32>,
    plan: Plan,
    lists: usize,
}

crate::wiped::wiped_on_drop!(Sorted);

impl Sorted {
    /// Sorts the points of a task into buckets, each window's having `buckets + 1` lists of which the first stays empty.
    pub(super) fn sort<C: Curve>(
        &mut self,
        digits: &Digits,
        bases: &PackedBases<'_, C>,
        task: &Task,
    ) {
        let lists = digits.windows().buckets() + 1;
        self.lists = lists * task.windows.len();
        self.counts.clear();
        make_room(&mut self.counts, self.lists);
        self.counts.resize(self.lists, 0);
        for (i, window) in task.windows.clone().enumerate() {
            let counts = &mut self.counts[i * lists..(i + 1) * lists];
            digits.visit(bases, task.blocks.clone(), window, |_, digit| {
                counts[usize::from(digit.unsigned_abs())] += 1;
            });
            counts[0] = 0;
        }
        let total: usize = self.counts.iter().map(|count| *count as usize).sum();
        self.plan.lay_out(&self.counts, longest(total), list_name);
        for (i, window) in task.windows.clone().enumerate() {
            digits.visit(bases, task.blocks.clone(), window, |point, digit| {
                if digit != 0 {
                    let sign = if digit < 0 { NEGATIVE } else { 0 };
                    let bucket = usize::from(digit.unsigned_abs());
                    self.plan.push(i * lists + bucket, point | sign);
                }
            });
        }
    }
}

/// A list's own number is its name.
#[expect(
    clippy::cast_possible_truncation,
    reason = "a task has at most a few ten thousand lists"
)]
fn list_name(list: usize) -> u32 {
    list as u32
}

/// Adds up buckets of one group, and keeps the memory for it, which is wiped when it is dropped.
#[derive(ZeroizeOnDrop)]
pub(super) struct Buckets<C: Curve, W: Words> {
    adder: Adder<C, W>,
    buckets: Points,
    counts: Vec<u32>,
    plan: Plan,
}

crate::wiped::wiped_on_drop!(<C: Curve, W: Words> Buckets<C, W>);

impl<C: Curve, W: Words<Backend: Backend>> Buckets<C, W> {
    pub(super) fn new(backend: W::Backend) -> Self {
        Self {
            adder: Adder::new(backend),
            buckets: Points::default(),
            counts: Vec::new(),
            plan: Plan::default(),
        }
    }

    /// For each window of a task, the sum of its points times their digits.
    pub(super) fn add(
        &mut self,
        lines: &[Line],
        windows: Windows,
        sorted: &Sorted,
    ) -> Vec<Projective<C>> {
        self.adder.add(lines, &sorted.plan, sorted.lists);
        self.adder.swap_sums(&mut self.buckets);
        // For each window the rows, then the columns; the first of each counts nothing and stays empty.
        let (rows, columns) = (windows.rows(), windows.columns());
        let lists_of_window = rows + columns;
        let lists = sorted.lists / (windows.buckets() + 1) * lists_of_window;
        let place = |bucket: usize| {
            let magnitude = bucket % (windows.buckets() + 1);
            let first = bucket / (windows.buckets() + 1) * lists_of_window;
            let (row, column) = (magnitude / columns, magnitude % columns);
            let row = (row > 0).then_some(first + row);
            let column = (column > 0).then_some(first + rows + column);
            [row, column].into_iter().flatten()
        };
        self.counts.clear();
        make_room(&mut self.counts, lists);
        self.counts.resize(lists, 0);
        let mut total = 0;
        for (bucket, finite) in self.buckets.finite.iter().enumerate() {
            for list in place(bucket).filter(|_| *finite) {
                self.counts[list] += 1;
                total += 1;
            }
        }
        self.plan.lay_out(&self.counts, longest(total), list_name);
        for (bucket, finite) in self.buckets.finite.iter().enumerate() {
            for list in place(bucket).filter(|_| *finite) {
                self.plan.push(list, list_name(bucket));
            }
        }
        self.adder.add(&self.buckets.lines, &self.plan, lists);
        let sums = self.adder.sums();
        let point = |list: usize| {
            sums.finite[list].then(|| C::unpack(&sums.lines[list * C::LINES..][..C::LINES]))
        };
        (0..lists)
            .step_by(lists_of_window)
            .map(|first| {
                let mut sum = weighted((first..first + rows).map(point));
                for _ in 0..columns.trailing_zeros() {
                    sum.double_in_place();
                }
                sum + weighted((first + rows..first + lists_of_window).map(point))
            })
            .collect()
    }
}

/// Σ i · `points[i]`.
fn weighted<C: Curve>(
    points: impl DoubleEndedIterator<Item = Option<Affine<C>>> + ExactSizeIterator,
) -> Projective<C> {
    let (mut running, mut sum) = (Projective::<C>::ZERO, Projective::<C>::ZERO);
    for point in points.skip(1).rev() {
        if let Some(point) = point {
            running += point;
        }
        sum += running;
    }
    sum
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::cast_possible_truncation)]
    use super::*;

    #[test]
    fn every_window_of_every_block_is_in_one_task_and_threads_have_enough_of_them() {
        for windows in Windows::BITS.map(Windows::of) {
            for (blocks, threads) in [(0, 2), (1, 1), (1, 64), (3, 2), (64, 1), (64, 2), (64, 100)]
            {
                let tasks = tasks(windows, blocks, threads);
                let mut times = vec![0; windows.count * blocks];
                for task in &tasks {
                    for window in task.windows.clone() {
                        for block in task.blocks.clone() {
                            times[window * blocks + block] += 1;
                        }
                    }
                }
                assert!(
                    times.iter().all(|times| *times == 1),
                    "{windows:?} {blocks} {threads}"
                );
                assert!(tasks.len() >= threads.min(windows.count * blocks) / 2);
            }
        }
    }
}
