//! What names an object's content.

use std::{fs::File, io::Read, path::Path};

use crate::error::GatewayError;

/// Bytes read at once where only the hash is wanted.
const HASH_BUFFER_BYTES: usize = 1 << 20;

/// An object's length and BLAKE3.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Content {
    /// Bytes.
    pub length: u64,
    /// BLAKE3 over them.
    pub hash: blake3::Hash,
}

impl Content {
    /// Reads a whole file in constant memory.
    ///
    /// # Errors
    /// [`GatewayError::File`].
    pub fn of_file(path: &Path) -> Result<Self, GatewayError> {
        let mut file = File::open(path).map_err(GatewayError::file("read", path))?;
        let mut hasher = blake3::Hasher::new();
        let mut buffer = vec![0; HASH_BUFFER_BYTES];
        loop {
            match file
                .read(&mut buffer)
                .map_err(GatewayError::file("read", path))?
            {
                0 => break,
                read => hasher.update(&buffer[..read]),
            };
        }
        Ok(Self {
            length: hasher.count(),
            hash: hasher.finalize(),
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::cast_possible_truncation)]
    use super::*;

    #[test]
    fn content_is_length_and_hash_whatever_the_buffer() {
        for length in [
            0,
            1,
            HASH_BUFFER_BYTES,
            HASH_BUFFER_BYTES + 1,
            3 * HASH_BUFFER_BYTES - 7,
        ] {
            let bytes = vec![42; length];
            let file = tempfile::NamedTempFile::new().unwrap();
            std::fs::write(file.path(), &bytes).unwrap();
            let expected = Content {
                length: length as u64,
                hash: blake3::hash(&bytes),
            };
            assert_eq!(Content::of_file(file.path()).unwrap(), expected);
        }
    }
}
