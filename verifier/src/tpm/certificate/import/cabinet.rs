//! Reads the files of a cabinet (.cab): stored, MSZIP and LZX.
//!
//! Only what a cabinet of certificates needs: one cabinet without predecessor or successor. A folder (a stream of blocks that
//! are compressed together) is unpacked once, its files are cut out of it. Nothing is allocated on the word of a header.
//! Microsoft's signature over the cabinet is not checked here; check it where you download.
//!
//! Reference: Microsoft, MS-CAB.

use miniz_oxide::inflate::{
    TINFLStatus,
    core::{
        DecompressorOxide, decompress, inflate_flags::TINFL_FLAG_USING_NON_WRAPPING_OUTPUT_BUF,
    },
};

use super::{SourceFile, StoreError};

/// How every cabinet begins.
pub(super) const SIGNATURE: &[u8] = b"MSCF";
/// All files of a cabinet together, unpacked.
const MAX_UNPACKED_BYTES: usize = 64 << 20;
const MAX_FILES: usize = 8_192;
const MAX_NAME_BYTES: usize = 512;
/// What one block unpacks to at most.
const BLOCK_BYTES: usize = 32_768;

const FLAG_PREVIOUS: u16 = 1;
const FLAG_NEXT: u16 = 2;
const FLAG_RESERVE: u16 = 4;
/// A file's folder number from here on means that it began or goes on in another cabinet.
const FIRST_CONTINUED: u16 = 0xfffd;

/// The files of a cabinet, in its order; `\` in their names is `/` here. `path` names the cabinet in errors.
///
/// # Errors
/// [`StoreError::Cabinet`] or [`StoreError::TooLarge`].
pub fn read_cabinet(path: &str, bytes: &[u8]) -> Result<Vec<SourceFile>, StoreError> {
    read(bytes).map_err(|why| match why {
        Why::Damaged(what) => StoreError::Cabinet {
            path: path.to_owned(),
            what,
        },
        Why::TooLarge(error) => error,
    })
}

enum Why {
    Damaged(&'static str),
    TooLarge(StoreError),
}

impl From<&'static str> for Why {
    fn from(what: &'static str) -> Self {
        Self::Damaged(what)
    }
}

impl From<StoreError> for Why {
    fn from(error: StoreError) -> Self {
        Self::TooLarge(error)
    }
}

/// CFFOLDER.
struct Folder {
    offset: usize,
    blocks: u16,
    compression: u16,
}

/// CFFILE.
struct Entry {
    size: usize,
    offset: usize,
    folder: u16,
    name: String,
}

fn read(bytes: &[u8]) -> Result<Vec<SourceFile>, Why> {
    let mut header = Reader(bytes);
    if header.take(4)? != SIGNATURE {
        return Err("it does not begin with MSCF".into());
    }
    header.take(12)?; // reserved, size of the cabinet, reserved
    let first_file = header.u32()? as usize;
    header.take(4)?;
    let [_minor, major] = header.u16()?.to_le_bytes();
    if major != 1 {
        return Err("its major version is not 1".into());
    }
    let folder_count = header.u16()?;
    let file_count = header.u16()?;
    let flags = header.u16()?;
    header.take(4)?; // set and index
    if flags & (FLAG_PREVIOUS | FLAG_NEXT) != 0 {
        return Err("it is one of several cabinets that belong together".into());
    }
    let (mut folder_reserve, mut block_reserve) = (0, 0);
    if flags & FLAG_RESERVE != 0 {
        let header_reserve = header.u16()?;
        [folder_reserve, block_reserve] = header.u16()?.to_le_bytes();
        header.take(header_reserve.into())?;
    }
    StoreError::limit("cabinet", "files", MAX_FILES, file_count.into())?;
    let mut folders = Vec::new();
    for _ in 0..folder_count {
        folders.push(Folder {
            offset: header.u32()? as usize,
            blocks: header.u16()?,
            compression: header.u16()?,
        });
        header.take(folder_reserve.into())?;
    }
    let entries = read_entries(bytes, first_file, file_count)?;

    let mut left = MAX_UNPACKED_BYTES;
    let mut unpacked = Vec::new();
    for folder in &folders {
        let content = unpack(bytes, folder, block_reserve.into(), left)?;
        left -= content.len();
        unpacked.push(content);
    }
    let mut copied = 0usize;
    entries
        .into_iter()
        .map(|entry| {
            if entry.folder >= FIRST_CONTINUED {
                return Err("a file goes on in another cabinet".into());
            }
            let content = unpacked
                .get(usize::from(entry.folder))
                .ok_or("a file is in a folder that is not there")?;
            let file = entry
                .offset
                .checked_add(entry.size)
                .and_then(|end| content.get(entry.offset..end))
                .ok_or("a file reaches beyond its folder")?;
            // Files may overlap, so that a small cabinet could claim a huge content.
            copied = copied.saturating_add(file.len());
            StoreError::limit(
                "content of the cabinet",
                "bytes",
                MAX_UNPACKED_BYTES,
                copied,
            )?;
            Ok(SourceFile {
                path: entry.name,
                bytes: file.to_vec(),
            })
        })
        .collect()
}

fn read_entries(bytes: &[u8], offset: usize, count: u16) -> Result<Vec<Entry>, Why> {
    const NAME_IS_UTF8: u16 = 0x80;
    let mut reader = Reader(
        bytes
            .get(offset..)
            .ok_or("its list of files is not there")?,
    );
    let mut entries = Vec::new();
    for _ in 0..count {
        let size = reader.u32()? as usize;
        let offset = reader.u32()? as usize;
        let folder = reader.u16()?;
        reader.take(4)?; // date and time
        let attributes = reader.u16()?;
        let name = reader.until_zero()?;
        let name = match std::str::from_utf8(name) {
            Ok(name) => name.to_owned(),
            Err(_) if attributes & NAME_IS_UTF8 != 0 => {
                return Err("a file's name is not UTF-8".into());
            }
            // In some code page: what is not ASCII does not matter for certificates.
            Err(_) => String::from_utf8_lossy(name).into_owned(),
        };
        entries.push(Entry {
            size,
            offset,
            folder,
            name: name.replace('\\', "/"),
        });
    }
    Ok(entries)
}

/// How a folder's blocks are compressed.
enum Packing {
    Stored,
    MsZip,
    Lzx(Box<lzxd::Lzxd>),
}

impl Packing {
    fn new(compression: u16) -> Result<Self, Why> {
        match compression & 0x0f {
            0 => Ok(Self::Stored),
            1 => Ok(Self::MsZip),
            3 => {
                let window = match compression >> 8 & 0x1f {
                    15 => lzxd::WindowSize::KB32,
                    16 => lzxd::WindowSize::KB64,
                    17 => lzxd::WindowSize::KB128,
                    18 => lzxd::WindowSize::KB256,
                    19 => lzxd::WindowSize::KB512,
                    20 => lzxd::WindowSize::MB1,
                    21 => lzxd::WindowSize::MB2,
                    _ => return Err("a folder has an LZX window of unknown size".into()),
                };
                Ok(Self::Lzx(Box::new(lzxd::Lzxd::new(window))))
            }
            _ => Err("a folder is compressed with neither MSZIP nor LZX".into()),
        }
    }

    /// Appends a block's content, `size` bytes, to what its folder holds so far.
    fn unpack(&mut self, packed: &[u8], size: usize, content: &mut Vec<u8>) -> Result<(), Why> {
        match self {
            Self::Stored if packed.len() == size => content.extend_from_slice(packed),
            Self::Stored => return Err("a stored block has two sizes".into()),
            Self::MsZip => {
                let deflated = packed
                    .strip_prefix(b"CK")
                    .ok_or("an MSZIP block does not begin with CK")?;
                let start = content.len();
                content.resize(start + size, 0);
                // A block may copy from the blocks before it.
                let (status, _, written) = decompress(
                    &mut DecompressorOxide::new(),
                    deflated,
                    content,
                    start,
                    TINFL_FLAG_USING_NON_WRAPPING_OUTPUT_BUF,
                );
                if status != TINFLStatus::Done || written != size {
                    return Err("an MSZIP block does not unpack to its size".into());
                }
            }
            Self::Lzx(state) => {
                // The decoder asserts what it should check: a block of no length ends in a panic.
                let unpack = std::panic::AssertUnwindSafe(|| {
                    state.decompress_next(packed, size).map(<[u8]>::to_vec)
                });
                match std::panic::catch_unwind(unpack) {
                    Ok(Ok(block)) if block.len() == size => content.extend(block),
                    _ => return Err("an LZX block does not unpack to its size".into()),
                }
            }
        }
        Ok(())
    }
}

/// Unpacks a folder to at most `limit` bytes.
fn unpack(
    bytes: &[u8],
    folder: &Folder,
    block_reserve: usize,
    limit: usize,
) -> Result<Vec<u8>, Why> {
    let mut packing = Packing::new(folder.compression)?;
    let mut blocks = Reader(bytes.get(folder.offset..).ok_or("a folder is not there")?);
    let mut content = Vec::new();
    for _ in 0..folder.blocks {
        let checksum = blocks.u32()?;
        let sizes = blocks.0.get(..4).ok_or("it ends too early")?;
        let packed_size = blocks.u16()?;
        let size = usize::from(blocks.u16()?);
        let reserve = blocks.take(block_reserve)?;
        let packed = blocks.take(packed_size.into())?;
        if checksum != 0 {
            let sum = self::checksum(packed) ^ self::checksum(&[sizes, reserve].concat());
            if sum != checksum {
                return Err("a block's checksum does not match".into());
            }
        }
        if size == 0 || size > BLOCK_BYTES {
            return Err(
                "a block is empty, longer than 32 kB, or goes on in another cabinet".into(),
            );
        }
        StoreError::limit(
            "content of the cabinet",
            "bytes",
            limit,
            content.len() + size,
        )?;
        packing.unpack(packed, size, &mut content)?;
    }
    Ok(content)
}

/// MS-CAB's checksum: four bytes at a time, the rest of a block in the opposite order.
fn checksum(bytes: &[u8]) -> u32 {
    let mut words = bytes.chunks_exact(4);
    let mut sum = 0;
    for word in &mut words {
        sum ^= word
            .iter()
            .rev()
            .fold(0, |value, byte| value << 8 | u32::from(*byte));
    }
    let rest = words.remainder().iter();
    sum ^ rest.fold(0, |value, byte| value << 8 | u32::from(*byte))
}

/// Takes fields off the front.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, len: usize) -> Result<&'a [u8], Why> {
        let (head, tail) = self.0.split_at_checked(len).ok_or("it ends too early")?;
        self.0 = tail;
        Ok(head)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Why> {
        let (head, tail) = self.0.split_first_chunk().ok_or("it ends too early")?;
        self.0 = tail;
        Ok(*head)
    }

    fn u16(&mut self) -> Result<u16, Why> {
        self.array().map(u16::from_le_bytes)
    }

    fn u32(&mut self) -> Result<u32, Why> {
        self.array().map(u32::from_le_bytes)
    }

    fn until_zero(&mut self) -> Result<&'a [u8], Why> {
        let end = self
            .0
            .iter()
            .take(MAX_NAME_BYTES)
            .position(|byte| *byte == 0);
        let text = self.take(end.ok_or("a file's name has no end")?)?;
        self.take(1)?;
        Ok(text)
    }
}
