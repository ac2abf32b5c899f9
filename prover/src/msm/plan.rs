//! In which order points of many lists are added.
//!
//! Eight lists are added at a time, one a lane, from their first point to their last. So that lanes do not wait for each
//! other, lists are put in order of their length, and long ones are cut into segments, whose sums make new lists.

use super::make_room;
use crate::kernel::LANES;
use zeroize::{Zeroize, ZeroizeOnDrop};

/// Sign of an entry: the point is subtracted.
pub(super) const NEGATIVE: u32 = 1 << 31;
/// An entry of a lane that has no more points.
pub(super) const NOTHING: u32 = u32::MAX;

/// Mark of a list that was cut.
const CUT: u32 = 1 << 31;
/// Mark of a target among the sums of segments.
const SEGMENT: u32 = 1 << 31;

/// Where a sum is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Target {
    /// Nowhere: the lane has no list.
    None,
    /// It is the sum of a whole list.
    List(usize),
    /// It is the sum of a segment.
    Segment(usize),
}

/// Eight lists of about one length.
#[derive(Clone, Copy, Debug, Default, Zeroize)]
pub(super) struct Group {
    /// Their entries, eight for each step: which of the plan's.
    pub(super) start: u32,
    /// Steps of the longest.
    pub(super) len: u32,
    /// Steps of the shortest.
    pub(super) even: u32,
}

/// A list that was cut, and how far it is filled.
#[derive(Clone, Copy, Debug, Zeroize)]
struct Cut {
    /// Its first segment's place among `segments`, then the one that is being filled.
    segment: u32,
    /// Where the next entry goes.
    next: u32,
    /// Entries that the segment still takes.
    left: u32,
}

/// A list whose segments' sums are to be added.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Zeroize)]
pub(super) struct Split {
    /// The list.
    pub(super) list: u32,
    /// Its segments: the first, and how many.
    pub(super) first: u32,
    pub(super) count: u32,
}

/// Entries of many lists in the order in which they are added. They tell digits of scalars. Wiped when
/// dropped, in what memory is kept too.
#[derive(Debug, Default, ZeroizeOnDrop)]
pub(super) struct Plan {
    entries: Vec<[u32; LANES]>,
    groups: Vec<Group>,
    targets: Vec<[u32; LANES]>,
    splits: Vec<Split>,
    segments: u32,
    /// For each list, where its next entry goes; or which of `cuts` it is, with its mark.
    next: Vec<u32>,
    cuts: Vec<Cut>,
    /// First place and length of each segment of cut lists.
    pieces: Vec<(u32, u32)>,
    /// For each length, lists and segments that are longer; then places that are taken.
    places: Vec<u32>,
}

impl Plan {
    /// Lays out lists of these lengths, in segments of at most `longest` points. The sum of list i is that of list
    /// `name(i)` for who reads the sums.
    ///
    /// All entries must then be [`Plan::push`]ed.
    pub(super) fn lay_out(&mut self, counts: &[u32], longest: u32, name: impl Fn(usize) -> u32) {
        self.groups.clear();
        self.targets.clear();
        self.splits.clear();
        self.next.clear();
        self.cuts.clear();
        self.pieces.clear();
        self.segments = 0;
        let total = self.count_lengths(counts, longest);
        self.make_room(counts, total, longest);
        self.make_groups(total, longest);
        for (list, &count) in counts.iter().enumerate() {
            if count <= longest {
                let place = if count == 0 {
                    0
                } else {
                    self.place(count, name(list))
                };
                self.next.push(place);
            } else {
                self.cut(count, longest, name(list));
            }
        }
        self.pad();
    }

    /// So that nothing is moved while lists are laid out: see [`make_room`].
    fn make_room(&mut self, counts: &[u32], pieces: u32, longest: u32) {
        let cut = || counts.iter().filter(|count| **count > longest);
        let segments = cut().map(|count| count.div_ceil(longest) as usize).sum();
        let groups = (pieces as usize).div_ceil(LANES);
        make_room(&mut self.groups, groups);
        make_room(&mut self.targets, groups);
        make_room(&mut self.next, counts.len());
        make_room(&mut self.splits, cut().count());
        make_room(&mut self.cuts, cut().count());
        make_room(&mut self.pieces, segments);
    }

    /// Counts pieces by length; leaves in `places` where pieces of each length begin in order of falling length.
    fn count_lengths(&mut self, counts: &[u32], longest: u32) -> u32 {
        self.places.clear();
        make_room(&mut self.places, longest as usize + 1);
        self.places.resize(longest as usize + 1, 0);
        for &count in counts {
            if count <= longest {
                self.places[count as usize] += 1;
            } else {
                self.places[longest as usize] += count / longest;
                self.places[(count % longest) as usize] += 1;
            }
        }
        self.places[0] = 0;
        let mut total = 0;
        for places in self.places.iter_mut().rev() {
            let here = *places;
            *places = total;
            total += here;
        }
        total
    }

    /// Makes a group of every eight pieces in order of falling length.
    fn make_groups(&mut self, total: u32, longest: u32) {
        let mut start = 0;
        let (mut first, mut last) = (longest, longest);
        // Pieces of one length end where those of the next shorter begin.
        let shrink = |length: &mut u32, place: u32| {
            while *length > 1 && self.places[*length as usize - 1] <= place {
                *length -= 1;
            }
        };
        for place in (0..total).step_by(LANES) {
            shrink(&mut first, place);
            let full = place + 8 <= total;
            shrink(&mut last, (place + 7).min(total - 1));
            self.groups.push(Group {
                start,
                len: first,
                even: if full { last } else { 0 },
            });
            self.targets.push([NOTHING; LANES]);
            start += first;
        }
        make_room(&mut self.entries, start as usize);
        self.entries.resize(start as usize, [NOTHING; LANES]);
    }

    /// Gives a piece its place, and tells where its first entry goes.
    fn place(&mut self, length: u32, target: u32) -> u32 {
        let place = &mut self.places[length as usize];
        let (group, lane) = (*place / 8, *place % 8);
        *place += 1;
        self.targets[group as usize][lane as usize] = target;
        let first = self.groups[group as usize].start * 8 + lane;
        // The lane waits where the group goes on.
        for step in length..self.groups[group as usize].len {
            self.entries.as_flattened_mut()[(first + step * 8) as usize] = NOTHING;
        }
        first
    }

    /// Gives the segments of a list their places.
    fn cut(&mut self, count: u32, longest: u32, name: u32) {
        let segment = self.pieces.len();
        let first = self.segments;
        let mut left = count;
        while left > 0 {
            let length = left.min(longest);
            let place = self.place(length, SEGMENT | self.segments);
            self.pieces.push((place, length));
            self.segments += 1;
            left -= length;
        }
        self.splits.push(Split {
            list: name,
            first,
            count: self.segments - first,
        });
        let (next, length) = self.pieces[segment];
        self.next.push(CUT | index(self.cuts.len()));
        self.cuts.push(Cut {
            segment: index(segment),
            next,
            left: length,
        });
    }

    /// Marks the lanes of the last group that have no list.
    fn pad(&mut self) {
        let (Some(group), Some(targets)) = (self.groups.last(), self.targets.last()) else {
            return;
        };
        let (start, end) = (group.start as usize, (group.start + group.len) as usize);
        for lane in (0..LANES).filter(|lane| targets[*lane] == NOTHING) {
            for entry in &mut self.entries[start..end] {
                entry[lane] = NOTHING;
            }
        }
    }

    /// Puts a point on a list: which point, perhaps [`NEGATIVE`].
    #[inline(always)]
    pub(super) fn push(&mut self, list: usize, entry: u32) {
        let next = &mut self.next[list];
        let at = if *next & CUT == 0 {
            let at = *next;
            *next += 8;
            at
        } else {
            let cut = &mut self.cuts[(*next & !CUT) as usize];
            if cut.left == 0 {
                cut.segment += 1;
                (cut.next, cut.left) = self.pieces[cut.segment as usize];
            }
            let at = cut.next;
            cut.next += 8;
            cut.left -= 1;
            at
        };
        self.entries.as_flattened_mut()[at as usize] = entry;
    }

    /// Entries, eight for each step of each group.
    pub(super) fn entries(&self) -> &[[u32; LANES]] {
        &self.entries
    }

    pub(super) fn groups(&self) -> &[Group] {
        &self.groups
    }

    /// Where the sums of a group's lanes go.
    pub(super) fn targets(&self, group: usize) -> [Target; LANES] {
        self.targets[group].map(|target| match target {
            NOTHING => Target::None,
            target if target & SEGMENT == 0 => Target::List(target as usize),
            target => Target::Segment((target & !SEGMENT) as usize),
        })
    }

    /// Segments whose sums must be added.
    pub(super) fn segments(&self) -> usize {
        self.segments as usize
    }

    /// Lists whose segments' sums must be added.
    pub(super) fn splits(&self) -> &[Split] {
        &self.splits
    }
}

crate::wiped::wiped_on_drop!(Plan);

/// A count of lists or segments, which are fewer than points.
#[expect(
    clippy::cast_possible_truncation,
    reason = "there are at most as many as points, whose indices have 31 bits"
)]
fn index(count: usize) -> u32 {
    count as u32
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::cast_possible_truncation)]
    use super::*;
    use proptest::{collection::vec, prelude::*};
    use std::collections::BTreeMap;

    /// What is on each list by a plan: the entries of its segments, one after the other.
    fn read(plan: &Plan) -> BTreeMap<u32, Vec<Vec<u32>>> {
        let mut lists: BTreeMap<u32, Vec<Vec<u32>>> = BTreeMap::new();
        let mut segments = BTreeMap::new();
        for (i, group) in plan.groups().iter().enumerate() {
            let steps = &plan.entries()[group.start as usize..(group.start + group.len) as usize];
            for (lane, target) in plan.targets(i).into_iter().enumerate() {
                let column: Vec<u32> = steps.iter().map(|step| step[lane]).collect();
                let len = column.iter().position(|entry| *entry == NOTHING);
                let (entries, rest) = column.split_at(len.unwrap_or(column.len()));
                assert!(rest.iter().all(|entry| *entry == NOTHING));
                assert!(entries.len() >= group.even as usize);
                match target {
                    Target::None => assert!(entries.is_empty()),
                    Target::List(list) => {
                        lists.entry(list as u32).or_default().push(entries.to_vec());
                    }
                    Target::Segment(segment) => {
                        assert!(segments.insert(segment as u32, entries.to_vec()).is_none());
                    }
                }
            }
        }
        assert_eq!(segments.len(), plan.segments());
        for split in plan.splits() {
            for segment in split.first..split.first + split.count {
                let entries = segments.remove(&segment).unwrap();
                lists.entry(split.list).or_default().push(entries);
            }
        }
        assert!(segments.is_empty());
        lists
    }

    proptest! {
        /// Memory of an earlier plan is reused, and must leave nothing behind.
        #[test]
        fn every_entry_is_in_its_list_once_and_no_segment_is_too_long(
            plans in vec((vec(prop_oneof![0_u32..4, 0_u32..90], 0..60), 1_u32..70), 1..4),
        ) {
            let mut plan = Plan::default();
            for (counts, longest) in plans {
                plan.lay_out(&counts, longest, |list| 1000 + list as u32);
                // Turn by turn, as digits come.
                let turns = counts.iter().max().copied().unwrap_or_default();
                for turn in 0..turns {
                    for (list, count) in counts.iter().enumerate() {
                        if turn < *count {
                            plan.push(list, list as u32 * 100 + turn);
                        }
                    }
                }
                let mut lists = read(&plan);
                for (list, count) in counts.iter().enumerate() {
                    let segments = lists.remove(&(1000 + list as u32)).unwrap_or_default();
                    prop_assert!(segments.iter().all(|segment| segment.len() <= longest as usize));
                    prop_assert_eq!(segments.len(), count.div_ceil(longest) as usize);
                    let entries: Vec<u32> = segments.concat();
                    let expected: Vec<u32> = (0..*count).map(|k| list as u32 * 100 + k).collect();
                    prop_assert_eq!(entries, expected);
                }
                prop_assert!(lists.is_empty());
                let lengths = plan.groups().iter().map(|group| group.len);
                prop_assert!(lengths.is_sorted_by(|a, b| a >= b));
            }
        }
    }
}
