//! Points on huge pages, while they are added up.
//!
//! Every window visits the points in another order, in effect at random. A key's points lie in a mapped file, whose pages have
//! 4 KiB: a set of them has more pages than the processor remembers addresses of, and each visit begins with a walk through the
//! page table. A copy on pages of 2 MiB costs one read in order, and spares most of these walks.

use super::bases::{LINE_BYTES, Line};
use memmap2::MmapMut;
use rayon::prelude::*;
use std::ops::Deref;
use zerocopy::{FromBytes, IntoBytes};

/// Lines below which the processor remembers every page.
const FEWEST: usize = (4 << 20) / LINE_BYTES;
/// Lines that a thread copies at a time: a huge page of them.
const AT_ONCE: usize = (2 << 20) / LINE_BYTES;

/// Lines as they are, or a copy of them.
pub(super) enum Lines<'a> {
    Borrowed(&'a [Line]),
    Copied(MmapMut),
}

impl<'a> Lines<'a> {
    /// Copies lines, if they are many and this system has huge pages; on the threads of the current rayon pool.
    pub(super) fn new(lines: &'a [Line]) -> Self {
        Self::copy(lines).map_or(Self::Borrowed(lines), Self::Copied)
    }

    fn copy(lines: &[Line]) -> Option<MmapMut> {
        if lines.len() < FEWEST {
            return None;
        }
        let mut memory = MmapMut::map_anon(size_of_val(lines)).ok()?;
        #[cfg(target_os = "linux")]
        memory.advise(memmap2::Advice::HugePage).ok()?;
        memory
            .par_chunks_mut(AT_ONCE * LINE_BYTES)
            .zip(lines.par_chunks(AT_ONCE))
            .for_each(|(to, from)| to.copy_from_slice(from.as_bytes()));
        Some(memory)
    }
}

impl Deref for Lines<'_> {
    type Target = [Line];

    fn deref(&self) -> &[Line] {
        match self {
            Self::Borrowed(lines) => lines,
            // A map starts at a page and has whole lines.
            Self::Copied(memory) => <[Line]>::ref_from_bytes(memory).unwrap_or_default(),
        }
    }
}
