//! Sums of many lists of points, by affine additions that share their inversions.
//!
//! A sum of two points needs 1 / (x2 - x1). [`Adder`] works on hundreds of vectors at once, of eight lists each: every round
//! adds the next point of each list to what the list has so far, with one inversion for all of them by Montgomery's trick.
//! With s = (y2 - y1) / (x2 - x1), x3 = s² - x1 - x2 and y3 = s (x1 - x3) - y1, a sum is five products and a square.
//! A vector whose lists have ended is written out and makes room for the next, so that rounds stay full.
//!
//! Every input is allowed. Where the formula does not hold, a lane goes its own way in the same round:
//!
//! - a point is added to itself: s = 3 x1² / 2 y1 and x3 = s² - 2 x1;
//! - a point is added to its opposite: the sum is infinity, which the slot notes;
//! - a point is added to infinity: the sum is the point;
//! - the list has ended before those of other lanes: the sum stays.
//!
//! In the last three, 1 takes the place of x2 - x1 among the inversions.

use super::{
    bases::Line,
    curve::{Coordinate, Curve},
    make_room,
    plan::{Group, NEGATIVE, NOTHING, Plan, Split, Target},
};
use crate::kernel::{FieldLanes, LANES, Words};
use zeroize::{Zeroize, ZeroizeOnDrop};

/// Groups whose first points are fetched ahead of their start.
const GROUPS_AHEAD: usize = 4;
/// Slots whose points are fetched ahead of their turn, a second time: into the first-level cache, for which a round is too
/// long, or from wherever they are, if the second level lost them.
const SLOTS_AHEAD: usize = 8;
/// Vectors that an inversion should serve.
const ENOUGH_SLOTS: usize = 256;
/// Longest segments; lists of random digits are shorter.
const LONGEST: usize = 64;
/// Shortest segments that lists are cut into, for want of enough lists.
const SHORTEST: usize = 4;

/// Evidence that also compiles for the instructions it stands for, and brings memory into the cache ahead of its use.
pub trait Backend: Copy {
    /// Runs a task, which must be inlined.
    fn run<R>(self, task: impl FnOnce() -> R) -> R;
    /// Brings a line into the cache.
    fn fetch(self, line: &Line);
}

#[cfg(target_arch = "x86_64")]
impl Backend for crate::kernel::Ifma {
    #[inline(always)]
    fn run<R>(self, task: impl FnOnce() -> R) -> R {
        Self::run(self, task)
    }

    #[inline(always)]
    fn fetch(self, line: &Line) {
        self.prefetch(line);
    }
}

/// The longest segments for so many points: short enough for all slots to have something to do.
pub(super) fn longest(points: usize) -> u32 {
    let even = points / (ENOUGH_SLOTS * LANES);
    // It is at most LONGEST.
    u32::try_from(even.clamp(SHORTEST, LONGEST)).unwrap_or(u32::MAX)
}

/// Points, of which some are infinity. Wiped when dropped: which were added tells digits of scalars.
#[derive(Debug, Default, ZeroizeOnDrop)]
pub(super) struct Points {
    /// Lines of every point, with coordinates below 2^256.
    pub(super) lines: Vec<Line>,
    /// Whether it is a point at all, or infinity.
    pub(super) finite: Vec<bool>,
}

impl Points {
    /// So many points at infinity.
    fn reset<C: Curve>(&mut self, points: usize) {
        make_room(&mut self.lines, points * C::LINES);
        self.lines.resize(points * C::LINES, Line::default());
        self.finite.clear();
        make_room(&mut self.finite, points);
        self.finite.resize(points, false);
    }
}

/// Eight sums, and what one round keeps of them between its passes. `F` is eight coordinates.
#[derive(Clone, Copy, Zeroize)]
struct Slot<F> {
    /// The sums so far; reduced, and anything where they are infinite.
    x: F,
    y: F,
    /// The divisor of the slope.
    difference: F,
    /// Its dividend.
    rise: F,
    /// The product of the divisors before.
    prefix: F,
    /// Entries of the next step, of the end, and of the first step at which a list has ended already.
    at: usize,
    end: usize,
    even: usize,
    /// The plan's group.
    group: usize,
    /// Lanes whose sum is infinity.
    infinite: u8,
    /// Lanes whose sum stays in this round.
    keep: u8,
    /// Lanes whose sum is doubled in this round.
    double: u8,
}

/// Adds lists of points, and keeps the memory for it, which is wiped when it is dropped.
#[derive(ZeroizeOnDrop)]
pub(super) struct Adder<C: Curve, W: Words> {
    #[zeroize(skip)]
    backend: W::Backend,
    slots: Vec<Slot<C::Coordinate<W>>>,
    /// The sum of each list.
    sums: Points,
    /// Sums of segments of lists that were cut, and of those that are added next.
    segments: [Points; 2],
    /// How segments' sums are added.
    again: Plan,
    counts: Vec<u32>,
    splits: Vec<Split>,
}

impl<C: Curve, W: Words<Backend: Backend>> Adder<C, W> {
    pub(super) fn new(backend: W::Backend) -> Self {
        Self {
            backend,
            slots: Vec::new(),
            sums: Points::default(),
            segments: [Points::default(), Points::default()],
            again: Plan::default(),
            counts: Vec::new(),
            splits: Vec::new(),
        }
    }

    /// The sums of what is on a plan's lists, of which there are `lists`.
    pub(super) fn add(&mut self, lines: &[Line], plan: &Plan, lists: usize) {
        self.sums.reset::<C>(lists);
        let [fresh, _] = &mut self.segments;
        fresh.reset::<C>(plan.segments());
        Rounds::<C, W>::new(self.backend, lines, plan, &mut self.sums, fresh).run(&mut self.slots);
        self.splits.clear();
        make_room(&mut self.splits, plan.splits().len());
        self.splits.extend_from_slice(plan.splits());
        while !self.splits.is_empty() {
            self.add_segments();
        }
    }

    /// Adds the sums of segments, list by list.
    fn add_segments(&mut self) {
        let [old, fresh] = &mut self.segments;
        let of = |split: &Split| split.first as usize..(split.first + split.count) as usize;
        self.counts.clear();
        make_room(&mut self.counts, self.splits.len());
        let mut total = 0;
        for split in &self.splits {
            let finite = old.finite[of(split)].iter().filter(|finite| **finite);
            let count = finite.count();
            total += count;
            // There are fewer segments than points.
            self.counts.push(u32::try_from(count).unwrap_or(u32::MAX));
        }
        let splits = &self.splits;
        self.again
            .lay_out(&self.counts, longest(total), |i| splits[i].list);
        for (list, split) in splits.iter().enumerate() {
            for segment in split.first..split.first + split.count {
                if old.finite[segment as usize] {
                    self.again.push(list, segment);
                }
            }
        }
        fresh.reset::<C>(self.again.segments());
        let rounds =
            Rounds::<C, W>::new(self.backend, &old.lines, &self.again, &mut self.sums, fresh);
        rounds.run(&mut self.slots);
        self.splits.clear();
        make_room(&mut self.splits, self.again.splits().len());
        self.splits.extend_from_slice(self.again.splits());
        self.segments.swap(0, 1);
    }

    /// The sums of the lists that were added last.
    pub(super) fn sums(&self) -> &Points {
        &self.sums
    }

    /// Takes the sums away, to be added again in other lists, and gives memory for the next ones.
    pub(super) fn swap_sums(&mut self, other: &mut Points) {
        std::mem::swap(&mut self.sums, other);
    }
}

crate::wiped::wiped_on_drop!(Points);
crate::wiped::wiped_on_drop!(<C: Curve, W: Words> Adder<C, W>);

impl<F: Copy> Slot<F> {
    fn new(zero: F) -> Self {
        Self {
            x: zero,
            y: zero,
            difference: zero,
            rise: zero,
            prefix: zero,
            at: 0,
            end: 0,
            even: 0,
            group: 0,
            infinite: 0,
            keep: 0,
            double: 0,
        }
    }
}

/// One pass over a plan.
struct Rounds<'a, C: Curve, W: Words> {
    backend: W::Backend,
    lines: &'a [Line],
    entries: &'a [[u32; LANES]],
    groups: &'a [Group],
    plan: &'a Plan,
    sums: &'a mut Points,
    segments: &'a mut Points,
    /// The next group to start.
    next: usize,
    curve: std::marker::PhantomData<C>,
}

impl<'a, C: Curve, W: Words<Backend: Backend>> Rounds<'a, C, W> {
    fn new(
        backend: W::Backend,
        lines: &'a [Line],
        plan: &'a Plan,
        sums: &'a mut Points,
        segments: &'a mut Points,
    ) -> Self {
        Self {
            backend,
            lines,
            entries: plan.entries(),
            groups: plan.groups(),
            plan,
            sums,
            segments,
            next: 0,
            curve: std::marker::PhantomData,
        }
    }

    fn run(mut self, slots: &mut Vec<Slot<C::Coordinate<W>>>) {
        slots.resize(C::SLOTS, Slot::new(C::Coordinate::<W>::zero(self.backend)));
        let mut active = 0;
        while active < C::SLOTS && self.start(&mut slots[active]) {
            active += 1;
        }
        while active > 0 {
            self.round(slots, active);
            let mut i = 0;
            while i < active {
                if slots[i].at == slots[i].end {
                    self.finish(&slots[i]);
                    if !self.start(&mut slots[i]) {
                        active -= 1;
                        slots.swap(i, active);
                        continue;
                    }
                }
                i += 1;
            }
        }
    }

    /// Puts the first points of the next group that has more than those into a slot, and tells whether there was one.
    #[inline(never)]
    fn start(&mut self, slot: &mut Slot<C::Coordinate<W>>) -> bool {
        while let Some(group) = self.groups.get(self.next) {
            if let Some(soon) = self.groups.get(self.next + GROUPS_AHEAD) {
                self.fetch(soon.start as usize);
            }
            let start = group.start as usize;
            let entry = &self.entries[start];
            self.backend.run(
                #[inline(always)]
                || {
                    let (x, y, negative) = self.points(entry);
                    (slot.x, slot.y) = (x, y.signed(negative));
                },
            );
            slot.infinite = if group.even == 0 { ended(entry) } else { 0 };
            slot.group = self.next;
            slot.at = start + 1;
            slot.end = start + group.len as usize;
            slot.even = start + group.even as usize;
            self.next += 1;
            if slot.at < slot.end {
                return true;
            }
            self.finish(slot);
        }
        false
    }

    /// Writes the sums of a slot.
    #[inline(never)]
    fn finish(&mut self, slot: &Slot<C::Coordinate<W>>) {
        let mut lists = [None; LANES];
        let mut segments = [None; LANES];
        for (lane, target) in self.plan.targets(slot.group).into_iter().enumerate() {
            if slot.infinite >> lane & 1 == 1 {
                continue;
            }
            match target {
                Target::None => {}
                Target::List(list) => {
                    self.sums.finite[list] = true;
                    lists[lane] = Some(list);
                }
                Target::Segment(segment) => {
                    self.segments.finite[segment] = true;
                    segments[lane] = Some(segment);
                }
            }
        }
        for (places, points) in [(lists, &mut *self.sums), (segments, &mut *self.segments)] {
            if places != [None; LANES] {
                self.backend.run(
                    #[inline(always)]
                    || C::store(&slot.x, &slot.y, &mut points.lines, places),
                );
            }
        }
    }

    /// Adds one point to each sum of the first so many slots.
    #[inline(never)]
    fn round(&self, slots: &mut [Slot<C::Coordinate<W>>], active: usize) {
        self.backend.run(
            #[inline(always)]
            || {
                let one = C::Coordinate::<W>::one(self.backend);
                // Two products that do not wait for each other.
                let mut products = [one; 2];
                for i in 0..active {
                    if let Some(soon) = slots.get(i + SLOTS_AHEAD) {
                        self.fetch(soon.at);
                    }
                    self.forward(&mut slots[i], &mut products[i % 2]);
                }
                if active % 2 == 1 {
                    // Its partner divides by one, to no effect.
                    let partner = &mut slots[active];
                    (partner.difference, partner.rise, partner.prefix) = (one, one, one);
                    (partner.keep, partner.double) = (u8::MAX, 0);
                }
                let inverse = products[0].mul(&products[1]).inverse_of_units();
                let mut inverses = [inverse.mul(&products[1]), inverse.mul(&products[0])];
                let (pairs, _) = slots[..active.next_multiple_of(2)].as_chunks_mut();
                for pair in pairs.iter_mut().rev() {
                    self.backward(pair, &mut inverses);
                }
            },
        );
    }

    /// Works out the divisors and dividends of a slot's slopes.
    #[inline(always)]
    fn forward(&self, slot: &mut Slot<C::Coordinate<W>>, product: &mut C::Coordinate<W>) {
        let entry = &self.entries[slot.at];
        let (x, y, negative) = self.points(entry);
        let mut difference = x.difference(&slot.x);
        slot.rise = y.signed_difference(negative, &slot.y);
        let ended = if slot.at < slot.even { 0 } else { ended(entry) };
        slot.keep = 0;
        slot.double = 0;
        if slot.infinite | ended | difference.may_be_zero() != 0 {
            // Copies, so that the originals need not be in memory.
            let point = (x, y.signed(negative));
            slot.difference = difference;
            exception::<C, W>(slot, &point, ended);
            difference = slot.difference;
        }
        slot.at += 1;
        slot.prefix = *product;
        slot.difference = difference;
        *product = product.mul(&difference);
    }

    /// Finishes the sums of two slots, which wait for their own results and not for each other's.
    ///
    /// Meanwhile memory is idle, so this is when the points of the next round are fetched. They stay in the second-level
    /// cache until then.
    #[inline(always)]
    fn backward(
        &self,
        slots: &mut [Slot<C::Coordinate<W>>; 2],
        inverses: &mut [C::Coordinate<W>; 2],
    ) {
        self.fetch(slots[0].at);
        let mut slopes = *inverses;
        for k in 0..2 {
            slopes[k] = slopes[k].mul(&slots[k].prefix);
        }
        for k in 0..2 {
            inverses[k] = inverses[k].mul(&slots[k].difference);
        }
        for k in 0..2 {
            slopes[k] = slopes[k].mul(&slots[k].rise);
        }
        self.fetch(slots[1].at);
        let mut x = slopes;
        for k in 0..2 {
            let slot = &slots[k];
            let mut shift = slot.difference;
            if slot.double != 0 {
                let zero = C::Coordinate::<W>::zero(shift.backend());
                shift = C::Coordinate::<W>::select(slot.double, &zero, &shift);
            }
            x[k] = C::Coordinate::<W>::third_abscissa(&slopes[k], &slot.x, &shift);
        }
        for k in 0..2 {
            let slot = &mut slots[k];
            let mut y = C::Coordinate::<W>::third_ordinate(&slopes[k], &slot.x, &x[k], &slot.y);
            if slot.keep != 0 {
                x[k] = C::Coordinate::<W>::select(slot.keep, &slot.x, &x[k]);
                y = C::Coordinate::<W>::select(slot.keep, &slot.y, &y);
            }
            (slot.x, slot.y) = (x[k], y);
        }
    }

    /// The points of an entry, and the lanes that are to be subtracted.
    #[inline(always)]
    fn points(&self, entry: &[u32; LANES]) -> (C::Coordinate<W>, C::Coordinate<W>, u8) {
        let wide = entry.map(u64::from);
        let signs = W::load(self.backend, &wide).shr(31);
        let negative = signs.equal(W::splat(self.backend, 1));
        // A lane without a point takes the first and does not use it.
        let at = entry.map(|entry| {
            if entry == NOTHING {
                0
            } else {
                (entry & !NEGATIVE) as usize
            }
        });
        let (x, y) = C::load(self.backend, self.lines, at);
        (x, y, negative)
    }

    /// Brings the points of an entry into the cache, if there is such an entry.
    #[inline(always)]
    fn fetch(&self, at: usize) {
        let Some(entry) = self.entries.get(at) else {
            return;
        };
        for entry in entry {
            let first = (entry & !NEGATIVE) as usize * C::LINES;
            for line in first..first + C::LINES {
                if let Some(line) = self.lines.get(line) {
                    self.backend.fetch(line);
                }
            }
        }
    }
}

/// Lanes that have no point in this step.
#[inline(always)]
fn ended(entry: &[u32; LANES]) -> u8 {
    let bits = entry.iter().enumerate();
    bits.fold(0, |mask, (lane, entry)| {
        mask | u8::from(*entry == NOTHING) << lane
    })
}

/// Treats the lanes of a slot to which the formula does not apply: changes what is divided in their slopes.
#[cold]
#[inline(never)]
fn exception<C: Curve, W: Words<Backend: Backend>>(
    slot: &mut Slot<C::Coordinate<W>>,
    (x, y): &(C::Coordinate<W>, C::Coordinate<W>),
    ended: u8,
) {
    x.backend().run(
        #[inline(always)]
        || {
            let select = C::Coordinate::<W>::select;
            let infinite = slot.infinite;
            let first = infinite & !ended;
            let same = slot.difference.is_zero() & !infinite & !ended;
            // A point of order two would be its own opposite; the groups have none, but a key may be wrong.
            slot.double = same & slot.rise.is_zero() & !slot.y.is_zero();
            let opposite = same & !slot.double;
            slot.keep = infinite | ended | opposite;
            slot.infinite = infinite & ended | opposite;
            let square = slot.x.square();
            let slope = square.double().add(&square);
            slot.rise = select(slot.double, &slope, &slot.rise);
            let one = C::Coordinate::<W>::one(x.backend());
            let divisor = select(slot.double, &slot.y.double(), &slot.difference);
            slot.difference = select(slot.keep, &one, &divisor);
            slot.x = select(first, x, &slot.x);
            slot.y = select(first, y, &slot.y);
        },
    );
}
