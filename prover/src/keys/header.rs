//! What a packed key begins with: whose it is, where its parts are, and hashes.

use super::packed::PackedKeyError;
use crate::msm::bases::LINE_BYTES;
use std::ops::Range;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// What a packed key begins with. The first byte is no text, the others tell a transfer that changed line ends.
const MAGIC: [u8; 8] = *b"\xffPBK\r\n\x1a\n";
/// The version of the format. Others are not read.
pub(super) const VERSION: u64 = 2;
/// Parts of a packed key.
pub(super) const SECTIONS: usize = 6;
/// Bytes of a [`Header`].
pub(super) const HEADER_BYTES: usize = size_of::<Header>();
/// Bytes of a [`Header`] that its own hash covers.
const SEALED_BYTES: usize = HEADER_BYTES - size_of::<Hash>();

type Hash = [u8; 32];

/// The first 256 bytes. Numbers are little-endian, hashes BLAKE3 unless it says otherwise.
#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub(super) struct Header {
    magic: [u8; 8],
    pub(super) version: u64,
    /// The first letters of the profile's name, for whoever looks at the file.
    profile: [u8; 16],
    /// keccak256 of the manifest.
    pub(super) circuit: Hash,
    /// Hash of the verifying key's encoding.
    pub(super) verifying_key: Hash,
    /// Bytes of each section. A section starts where the one before it ends, rounded up to a multiple of 64, so that there
    /// is nothing to be said about where it starts, and nothing overlaps.
    pub(super) lengths: [u64; SECTIONS],
    zeros: [u64; 6],
    /// Hash of everything behind the header.
    pub(super) content: Hash,
    /// Hash of everything before it, and so of the whole file.
    seal: Hash,
}

const _: () = assert!(HEADER_BYTES == 256 && HEADER_BYTES.is_multiple_of(LINE_BYTES));

impl Header {
    /// The header of a file with these sections.
    pub(super) fn new(
        profile: &str,
        circuit: Hash,
        verifying_key: Hash,
        lengths: [u64; SECTIONS],
        content: Hash,
    ) -> Self {
        let mut label = [0; 16];
        for (to, from) in label.iter_mut().zip(profile.bytes()) {
            *to = from;
        }
        let mut header = Self {
            magic: MAGIC,
            version: VERSION,
            profile: label,
            circuit,
            verifying_key,
            lengths,
            zeros: [0; 6],
            content,
            seal: Hash::default(),
        };
        header.seal = header.seal();
        header
    }

    /// Another header, with its own seal: what somebody could write who means harm.
    #[cfg(test)]
    pub(super) fn forged(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self.seal = self.seal();
        self
    }

    fn seal(&self) -> Hash {
        *blake3::hash(&self.as_bytes()[..SEALED_BYTES]).as_bytes()
    }

    /// Reads the header of a whole file, and where its sections are.
    pub(super) fn read(file: &[u8]) -> Result<(Self, [Range<usize>; SECTIONS]), PackedKeyError> {
        let (header, _) = Self::read_from_prefix(file).map_err(|_| PackedKeyError::NoKey)?;
        if header.magic != MAGIC {
            return Err(PackedKeyError::NoKey);
        }
        if header.version != VERSION {
            let found = header.version;
            return Err(PackedKeyError::Version { found });
        }
        if header.seal != header.seal() || header.zeros != [0; 6] {
            return Err(PackedKeyError::Header);
        }
        let mut end = HEADER_BYTES as u64;
        let mut starts = [0; SECTIONS];
        for (start, length) in starts.iter_mut().zip(header.lengths) {
            *start = end;
            end = end
                .checked_add(length)
                .and_then(|end| end.checked_next_multiple_of(LINE_BYTES as u64))
                .ok_or(PackedKeyError::Header)?;
        }
        if end != file.len() as u64 {
            let (expected, found) = (end, file.len() as u64);
            return Err(PackedKeyError::Length { expected, found });
        }
        // Everything ends within the file, whose length is a usize.
        let at = |number: u64| usize::try_from(number).map_err(|_| PackedKeyError::Header);
        let mut sections = [const { 0..0 }; SECTIONS];
        for ((section, start), length) in sections.iter_mut().zip(starts).zip(header.lengths) {
            *section = at(start)?..at(start + length)?;
        }
        Ok((header, sections))
    }
}
