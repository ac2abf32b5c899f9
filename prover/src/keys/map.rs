//! A file's bytes as memory, read where and when they are used.
#![allow(
    unsafe_code,
    reason = "a memory map has no safe interface: what it borrows from is a file"
)]

use memmap2::{Mmap, MmapOptions};
use std::{fs::File, io, ops::Deref, path::Path};

/// A file, mapped for reading. It starts at a page of memory.
pub(super) struct Map(Mmap);

impl Map {
    /// Maps the whole of a file.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        // SAFETY: what the compiler may rely on is that the bytes of a `&[u8]` do not change while it lives. This process
        // never changes them: the file is opened and mapped for reading only, privately, and nothing hands out another
        // reference to the memory. No program of this project does, either: `super::replace` writes another file and renames
        // it, which leaves the mapped one as it is until the last map of it is gone.
        //
        // What cannot be excluded from here is that a program with the right to write to the key's folder changes or
        // shortens the mapped file itself. Such a program is trusted not to, as it is trusted not to replace this program;
        // the folder must belong to whoever runs the prover. Should it happen all the same: every bit pattern is a valid
        // value of what is read from the map (words, points as words), every index read from it is used through slices
        // that check it, and a proof made from it is verified before it is handed out, so it comes to an error or a
        // panic; a page that is no longer there ends the process (SIGBUS).
        let map = unsafe { MmapOptions::new().map_copy_read_only(&file)? };
        Ok(Self(map))
    }
}

impl Deref for Map {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}
