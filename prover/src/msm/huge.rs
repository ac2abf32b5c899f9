//! Points on huge pages.
//!
//! Every window visits the points in another order, in effect at random. On pages of 4 KiB, which those of a mapped file are, a
//! set of them has more pages than the processor remembers addresses of, and each visit begins with a walk through the
//! page table. On pages of 2 MiB most of these walks are spared.

use super::bases::{LINE_BYTES, Line};
use memmap2::MmapMut;
use std::{
    ops::{Deref, DerefMut},
    sync::OnceLock,
};
use zerocopy::FromBytes;

/// Lines below which the processor remembers every page.
const FEWEST: usize = (4 << 20) / LINE_BYTES;

/// Lines, wherever they lie.
pub(super) enum Lines<'a> {
    /// In a file, say.
    Borrowed(&'a [Line]),
    /// Few of them, or on a system without huge pages.
    Own(Vec<Line>),
    /// On huge pages.
    Huge(MmapMut),
}

impl Lines<'static> {
    /// Lines to be filled.
    pub(super) fn zeros(count: usize) -> Self {
        Self::huge(count).map_or_else(|| Self::Own(vec![Line::default(); count]), Self::Huge)
    }

    fn huge(count: usize) -> Option<MmapMut> {
        if count < FEWEST {
            return None;
        }
        let memory = MmapMut::map_anon(count.checked_mul(LINE_BYTES)?).ok()?;
        #[cfg(target_os = "linux")]
        memory.advise(memmap2::Advice::HugePage).ok()?;
        Some(memory)
    }

    fn copy(lines: &[Line]) -> Self {
        let mut copy = Self::zeros(lines.len());
        copy.copy_from_slice(lines);
        copy
    }
}

impl Deref for Lines<'_> {
    type Target = [Line];

    fn deref(&self) -> &[Line] {
        match self {
            Self::Borrowed(lines) => lines,
            Self::Own(lines) => lines,
            // A map starts at a page and has whole lines.
            Self::Huge(memory) => <[Line]>::ref_from_bytes(memory).unwrap_or_default(),
        }
    }
}

impl DerefMut for Lines<'static> {
    fn deref_mut(&mut self) -> &mut [Line] {
        match self {
            Self::Borrowed(_) => &mut [],
            Self::Own(lines) => lines,
            Self::Huge(memory) => <[Line]>::mut_from_bytes(memory).unwrap_or_default(),
        }
    }
}

impl Clone for Lines<'_> {
    fn clone(&self) -> Self {
        match self {
            Self::Borrowed(lines) => Self::Borrowed(lines),
            lines => Lines::copy(lines),
        }
    }
}

/// Room for a copy of borrowed lines, which is made when they are first added up, and kept.
#[derive(Default)]
pub struct Kept(OnceLock<Lines<'static>>);

impl Kept {
    /// The copy of these lines, which must always be the same; themselves, if they are few.
    ///
    /// One thread makes it: one that shared this work with others might meet itself here.
    pub(super) fn of<'a>(&'a self, lines: &'a [Line]) -> &'a [Line] {
        if lines.len() < FEWEST {
            return lines;
        }
        self.0.get_or_init(|| Lines::copy(lines))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_and_many_lines_are_copied_whole_and_once() {
        for count in [0, 1, FEWEST - 1, FEWEST, FEWEST + 12_345] {
            let lines: Vec<Line> = (0..count as u64).map(|n| Line([n; 8])).collect();
            let copy = Kept::default();
            let first = copy.of(&lines);
            assert!(first == lines);
            assert_eq!(first.as_ptr(), copy.of(&lines).as_ptr());
            assert_eq!(first.as_ptr() == lines.as_ptr(), count < FEWEST);
            assert!(*Lines::copy(&lines) == lines[..]);
        }
    }
}
