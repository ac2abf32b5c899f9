//! The container that iden3's files share: magic, version, and numbered sections of a known length.

use super::error::{CeremonyError, FileKind};
use std::io::{self, Read, Seek, SeekFrom, Write};

/// More than any of the formats has.
const MAX_SECTIONS: u32 = 32;
const HEADER_BYTES: u64 = 12;

/// A section's place in the file.
#[derive(Clone, Copy, Debug)]
pub(super) struct Section {
    pub(super) id: u32,
    start: u64,
    pub(super) size: u64,
}

/// A file whose table of sections has been read; no section reaches beyond the file's end.
pub(super) struct Container<R> {
    file: FileKind,
    reader: R,
    sections: Vec<Section>,
}

impl<R: Read + Seek> Container<R> {
    pub(super) fn open(mut reader: R, file: FileKind) -> Result<Self, CeremonyError> {
        let io = CeremonyError::io(file);
        let length = reader.seek(SeekFrom::End(0)).map_err(&io)?;
        let truncated = |expected| CeremonyError::Length {
            file,
            expected,
            found: length,
        };
        if length < HEADER_BYTES {
            return Err(truncated(HEADER_BYTES));
        }
        reader.seek(SeekFrom::Start(0)).map_err(&io)?;
        let mut found = [0; 4];
        reader.read_exact(&mut found).map_err(&io)?;
        if found != file.magic() {
            return Err(CeremonyError::Magic { file, found });
        }
        let found = read_u32(&mut reader).map_err(&io)?;
        let expected = file.version();
        if found != expected {
            return Err(CeremonyError::Version {
                file,
                expected,
                found,
            });
        }
        let count = read_u32(&mut reader).map_err(&io)?;
        if count > MAX_SECTIONS {
            return Err(CeremonyError::TooManySections {
                file,
                limit: MAX_SECTIONS,
                found: count,
            });
        }
        let mut sections: Vec<Section> = Vec::new();
        let mut at = HEADER_BYTES;
        for _ in 0..count {
            let start = at + 12;
            if start > length {
                return Err(truncated(start));
            }
            reader.seek(SeekFrom::Start(at)).map_err(&io)?;
            let id = read_u32(&mut reader).map_err(&io)?;
            let mut size = [0; 8];
            reader.read_exact(&mut size).map_err(&io)?;
            let size = u64::from_le_bytes(size);
            at = start.saturating_add(size);
            if at > length {
                return Err(truncated(at));
            }
            if sections.iter().any(|known| known.id == id) {
                return Err(CeremonyError::DuplicateSection { file, section: id });
            }
            sections.push(Section { id, start, size });
        }
        if at != length {
            return Err(truncated(at));
        }
        Ok(Self {
            file,
            reader,
            sections,
        })
    }

    pub(super) fn sections(&self) -> &[Section] {
        &self.sections
    }

    pub(super) fn section(&self, id: u32) -> Result<Section, CeremonyError> {
        let found = self.sections.iter().find(|section| section.id == id);
        found.copied().ok_or(CeremonyError::MissingSection {
            file: self.file,
            section: id,
        })
    }

    /// Refuses a section that has another size.
    pub(super) fn expect_size(&self, id: u32, expected: u64) -> Result<(), CeremonyError> {
        let found = self.section(id)?.size;
        if found == expected {
            return Ok(());
        }
        Err(CeremonyError::SectionSize {
            file: self.file,
            section: id,
            expected,
            found,
        })
    }

    /// Part of a section.
    pub(super) fn read(
        &mut self,
        id: u32,
        offset: u64,
        length: usize,
    ) -> Result<Vec<u8>, CeremonyError> {
        let section = self.section(id)?;
        let end = offset.saturating_add(length as u64);
        if end > section.size {
            return Err(CeremonyError::SectionSize {
                file: self.file,
                section: id,
                expected: end,
                found: section.size,
            });
        }
        let io = CeremonyError::io(self.file);
        let start = SeekFrom::Start(section.start + offset);
        self.reader.seek(start).map_err(&io)?;
        let mut bytes = vec![0; length];
        self.reader.read_exact(&mut bytes).map_err(&io)?;
        Ok(bytes)
    }

    /// A whole section, if it has exactly this size.
    pub(super) fn read_exactly(&mut self, id: u32, size: usize) -> Result<Vec<u8>, CeremonyError> {
        self.expect_size(id, size as u64)?;
        self.read(id, 0, size)
    }
}

fn read_u32(reader: &mut impl Read) -> io::Result<u32> {
    let mut bytes = [0; 4];
    reader.read_exact(&mut bytes)?;
    Ok(u32::from_le_bytes(bytes))
}

/// Writes a container section by section, without going back: every size is known beforehand.
pub(super) struct Writer<W> {
    inner: W,
    /// Bytes that the open section still lacks.
    open: u64,
}

impl<W: Write> Writer<W> {
    pub(super) fn new(mut inner: W, file: FileKind, sections: u32) -> io::Result<Self> {
        inner.write_all(&file.magic())?;
        inner.write_all(&file.version().to_le_bytes())?;
        inner.write_all(&sections.to_le_bytes())?;
        Ok(Self { inner, open: 0 })
    }

    /// Begins the next section.
    pub(super) fn section(&mut self, id: u32, size: u64) -> io::Result<()> {
        self.expect_closed()?;
        self.inner.write_all(&id.to_le_bytes())?;
        self.inner.write_all(&size.to_le_bytes())?;
        self.open = size;
        Ok(())
    }

    pub(super) fn finish(mut self) -> io::Result<()> {
        self.expect_closed()?;
        self.inner.flush()
    }

    fn expect_closed(&self) -> io::Result<()> {
        if self.open == 0 {
            return Ok(());
        }
        Err(io::Error::other("a section was left unfinished"))
    }
}

impl<W: Write> Write for Writer<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if bytes.len() as u64 > self.open {
            return Err(io::Error::other("a section is longer than announced"));
        }
        let written = self.inner.write(bytes)?;
        self.open -= written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::cast_possible_truncation)]
    use super::*;
    use std::io::Cursor;

    fn file(sections: &[(u32, &[u8])]) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut writer = Writer::new(&mut bytes, FileKind::Zkey, sections.len() as u32).unwrap();
        for (id, contents) in sections {
            writer.section(*id, contents.len() as u64).unwrap();
            writer.write_all(contents).unwrap();
        }
        writer.finish().unwrap();
        bytes
    }

    fn open(bytes: &[u8]) -> Result<Container<Cursor<&[u8]>>, CeremonyError> {
        Container::open(Cursor::new(bytes), FileKind::Zkey)
    }

    #[test]
    fn what_was_written_is_read_back() {
        let bytes = file(&[(2, b"two"), (1, b""), (7, b"seventh")]);
        let mut container = open(&bytes).unwrap();
        assert_eq!(container.read_exactly(7, 7).unwrap(), b"seventh");
        assert_eq!(container.read(2, 1, 2).unwrap(), b"wo");
        assert_eq!(container.section(1).unwrap().size, 0);
        assert!(matches!(
            container.read(2, 2, 2),
            Err(CeremonyError::SectionSize {
                section: 2,
                expected: 4,
                found: 3,
                ..
            })
        ));
        assert!(matches!(
            container.section(3),
            Err(CeremonyError::MissingSection { section: 3, .. })
        ));
    }

    #[test]
    fn a_truncated_or_prolonged_file_is_refused() {
        let bytes = file(&[(1, b"abc"), (2, b"defg")]);
        for length in 0..bytes.len() {
            assert!(
                matches!(open(&bytes[..length]), Err(CeremonyError::Length { .. })),
                "{length}"
            );
        }
        let longer = [&bytes[..], b"x"].concat();
        assert!(matches!(open(&longer), Err(CeremonyError::Length { .. })));
    }

    #[test]
    fn each_damage_of_the_table_has_its_name() {
        let bytes = file(&[(1, b"abc"), (2, b"defg")]);
        let changed = |at: usize, with: &[u8]| {
            let mut changed = bytes.clone();
            changed[at..at + with.len()].copy_from_slice(with);
            open(&changed).err().unwrap()
        };
        assert!(matches!(changed(0, b"ptau"), CeremonyError::Magic { .. }));
        assert!(matches!(
            changed(4, &[9]),
            CeremonyError::Version { found: 9, .. }
        ));
        assert!(matches!(
            changed(8, &u32::MAX.to_le_bytes()),
            CeremonyError::TooManySections {
                found: u32::MAX,
                ..
            }
        ));
        assert!(matches!(
            changed(16, &u64::MAX.to_le_bytes()),
            CeremonyError::Length { .. }
        ));
        assert!(matches!(
            changed(12, &2u32.to_le_bytes()),
            CeremonyError::DuplicateSection { section: 2, .. }
        ));
    }

    #[test]
    fn a_section_of_another_length_than_announced_is_not_written() {
        let mut writer = Writer::new(Vec::new(), FileKind::Wtns, 1).unwrap();
        writer.section(1, 2).unwrap();
        assert!(writer.write_all(b"abc").is_err());
        assert!(writer.finish().is_err());
    }
}
