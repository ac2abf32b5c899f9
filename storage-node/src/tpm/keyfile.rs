//! A TPM-wrapped key on disk: TPM2B_PUBLIC followed by TPM2B_PRIVATE.
//!
//! The private part is encrypted by the TPM under its endorsement key: the file is useless elsewhere, but losing
//! it loses the node's identity. It is written once, whole or not at all.

use std::{
    fs::{self, File},
    io::{self, Read, Write},
    path::Path,
};

use tss_esapi::{
    structures::{Private, Public},
    traits::{Marshall, UnMarshall},
};

use super::TpmError;

/// Both parts of a P-256 key are well under this.
const MAX_KEY_FILE_BYTES: u64 = 4096;

/// A key as TPM2_Create returns it and TPM2_Load takes it.
pub(super) struct WrappedKey {
    pub(super) public: Public,
    pub(super) private: Private,
}

impl WrappedKey {
    /// Reads a key; `None` if there is no such file.
    pub(super) fn read(path: &Path) -> Result<Option<Self>, TpmError> {
        let failed = |source| TpmError::KeyFile {
            path: path.to_owned(),
            source,
        };
        let file = match File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed(error)),
        };
        let mut bytes = Vec::new();
        file.take(MAX_KEY_FILE_BYTES)
            .read_to_end(&mut bytes)
            .map_err(failed)?;
        Self::decode(&bytes)
            .map(Some)
            .ok_or_else(|| TpmError::DamagedKeyFile(path.to_owned()))
    }

    /// Writes the key so that after a crash there is either the whole file or none.
    pub(super) fn write(&self, path: &Path) -> Result<(), TpmError> {
        let write = || -> io::Result<()> {
            let directory = path.parent().unwrap_or(Path::new("."));
            fs::create_dir_all(directory)?;
            let bytes = self.encode().map_err(io::Error::other)?;
            // Created with mode 0600.
            let mut file = tempfile::NamedTempFile::new_in(directory)?;
            file.write_all(&bytes)?;
            file.as_file().sync_all()?;
            file.persist_noclobber(path)?;
            File::open(directory)?.sync_all()
        };
        write().map_err(|source| TpmError::KeyFile {
            path: path.to_owned(),
            source,
        })
    }

    fn encode(&self) -> Result<Vec<u8>, tss_esapi::Error> {
        let mut bytes = Vec::new();
        for part in [&self.public.marshall()?[..], self.private.value()] {
            let size = u16::try_from(part.len()).map_err(|_| {
                tss_esapi::Error::WrapperError(tss_esapi::WrapperErrorKind::WrongParamSize)
            })?;
            bytes.extend(size.to_be_bytes());
            bytes.extend_from_slice(part);
        }
        Ok(bytes)
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let (public, rest) = sized(bytes)?;
        let (private, rest) = sized(rest)?;
        // Our own parser goes first: it bounds and checks what the C library is then given.
        verifier::tpm::Public::parse(public).ok()?;
        let key = Self {
            public: Public::unmarshall(public).ok()?,
            private: Private::try_from(private).ok()?,
        };
        rest.is_empty().then_some(key)
    }
}

fn sized(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (size, rest) = bytes.split_first_chunk::<2>()?;
    rest.split_at_checked(usize::from(u16::from_be_bytes(*size)))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::cast_possible_truncation)]

    use std::os::unix::fs::PermissionsExt;

    use super::*;

    /// The P-256 generator as a signing key's public area, and stand-in wrapped bytes.
    fn key() -> WrappedKey {
        let mut area = vec![0x00, 0x23, 0x00, 0x0b, 0x00, 0x04, 0x04, 0x72, 0, 0];
        area.extend([0x00, 0x10, 0x00, 0x18, 0x00, 0x0b, 0x00, 0x03, 0x00, 0x10]);
        for coordinate in [
            "6b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296",
            "4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5",
        ] {
            area.extend([0, 32]);
            area.extend(hex::decode(coordinate).unwrap());
        }
        WrappedKey {
            public: Public::unmarshall(&area).unwrap(),
            private: Private::try_from(vec![7; 126]).unwrap(),
        }
    }

    #[test]
    fn a_key_is_read_back_as_written_and_only_its_owner_may_read_it() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("keys/ak.tpm");
        assert!(WrappedKey::read(&path).unwrap().is_none());
        key().write(&path).unwrap();
        let read = WrappedKey::read(&path).unwrap().unwrap();
        assert_eq!(read.public, key().public);
        assert_eq!(read.private, key().private);
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
    }

    #[test]
    fn an_existing_key_is_never_overwritten() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("ak.tpm");
        key().write(&path).unwrap();
        assert!(matches!(key().write(&path), Err(TpmError::KeyFile { .. })));
    }

    #[test]
    fn a_truncated_or_padded_key_file_is_damaged_not_replaced() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("ak.tpm");
        let whole = key().encode().unwrap();
        let longer = [&whole[..], &[0]].concat();
        let damaged = (0..whole.len())
            .map(|n| whole[..n].to_vec())
            .chain([longer, vec![0xff; 1 << 16]]);
        for bytes in damaged {
            fs::write(&path, &bytes).unwrap();
            assert!(matches!(
                WrappedKey::read(&path),
                Err(TpmError::DamagedKeyFile(_))
            ));
        }
    }
}
