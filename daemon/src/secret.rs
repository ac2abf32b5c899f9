//! Key files. A configuration holds only their paths; the keys themselves never pass a command line, a log or an output.

use std::{
    fs::{self, File, OpenOptions},
    io::{ErrorKind, Read, Write},
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use alloy::{primitives::B256, signers::local::PrivateKeySigner};
use zeroize::{Zeroize, Zeroizing};

use crate::exit::Failure;

/// Longest chain-key file that is read, bytes: `0x`, 64 digits and some white space.
const MAX_CHAIN_KEY_BYTES: usize = 128;

/// Why a key file was not used.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// There is no such file.
    #[error("no key file at {path}; create it with `init`")]
    Missing {
        /// The file.
        path: PathBuf,
    },
    /// Somebody besides the owner may read or write it.
    #[error(
        "key file {path} has mode {mode:04o}, expected 0600: others could read it; run `chmod 600 {path}`"
    )]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The contents are no key. They are not quoted.
    #[error("key file {path} holds no {expected}")]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What should be in it.
        expected: &'static str,
    },
    /// There is a file already; keys are never overwritten.
    #[error("{path} exists already and is not overwritten")]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// The file could not be read or written.
    #[error("cannot use key file {path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
}

impl From<SecretError> for Failure {
    fn from(error: SecretError) -> Self {
        Self::usage(error.to_string())
    }
}

/// The account key in `path`: 32 bytes in hexadecimal.
///
/// # Errors
/// [`SecretError`]; a file that group or others can access is refused.
pub fn load_chain_key(path: &Path) -> Result<PrivateKeySigner, SecretError> {
    let text = read_secret_file(path, MAX_CHAIN_KEY_BYTES)?;
    let malformed = || SecretError::Malformed {
        path: path.to_owned(),
        expected: "chain key of 64 hexadecimal digits",
    };
    let digits = text.trim_ascii();
    let digits = digits.strip_prefix(b"0x").unwrap_or(digits);
    let mut key = Zeroizing::new([0; 32]);
    hex::decode_to_slice(digits, key.as_mut_slice()).map_err(|_| malformed())?;
    let mut scalar = B256::from(*key);
    let signer = PrivateKeySigner::from_bytes(&scalar).map_err(|_| malformed());
    scalar.0.zeroize();
    signer
}

/// The account key in `path`; a new random one is written there first if there is none.
///
/// # Errors
/// As [`load_chain_key`], and if the file cannot be written.
pub fn load_or_create_chain_key(path: &Path) -> Result<PrivateKeySigner, SecretError> {
    match store_chain_key(path, &PrivateKeySigner::random()) {
        Ok(()) | Err(SecretError::Exists { .. }) => load_chain_key(path),
        Err(error) => Err(error),
    }
}

/// Writes an account key to a new file with mode 0600.
///
/// # Errors
/// [`SecretError::Exists`] if there is a file; [`SecretError::Io`] if it cannot be written.
pub fn store_chain_key(path: &Path, key: &PrivateKeySigner) -> Result<(), SecretError> {
    let scalar = Zeroizing::new(key.to_bytes().0);
    let mut text = Zeroizing::new([0; 65]);
    if hex::encode_to_slice(scalar.as_slice(), &mut text[..64]).is_err() {
        unreachable!("64 digits hold 32 bytes");
    }
    text[64] = b'\n';
    create_secret_file(path, text.as_slice())
}

/// Reads a secret of at most `max_bytes`, provided that only its owner can.
///
/// # Errors
/// [`SecretError`]; more than `max_bytes` is malformed.
pub fn read_secret_file(path: &Path, max_bytes: usize) -> Result<Zeroizing<Vec<u8>>, SecretError> {
    let io = |source| SecretError::Io {
        path: path.to_owned(),
        source,
    };
    let file = File::open(path).map_err(|error| match error.kind() {
        ErrorKind::NotFound => SecretError::Missing {
            path: path.to_owned(),
        },
        _ => io(error),
    })?;
    // Asked of the open file: the path could name another one by now.
    let mode = file.metadata().map_err(io)?.mode() & 0o7777;
    if mode & 0o077 != 0 {
        return Err(SecretError::Exposed {
            path: path.to_owned(),
            mode,
        });
    }
    // Whole capacity at once: a growing vector would leave copies behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(max_bytes + 1));
    file.take(max_bytes as u64 + 1)
        .read_to_end(&mut bytes)
        .map_err(io)?;
    if bytes.len() > max_bytes {
        return Err(SecretError::Malformed {
            path: path.to_owned(),
            expected: "key of that size",
        });
    }
    Ok(bytes)
}

/// Writes a secret to a new file with mode 0600, whole or not at all; makes its folder (mode 0700) if there is none.
///
/// # Errors
/// [`SecretError::Exists`] if there is a file; [`SecretError::Io`] if it cannot be written.
pub fn create_secret_file(path: &Path, bytes: &[u8]) -> Result<(), SecretError> {
    let io = |source| SecretError::Io {
        path: path.to_owned(),
        source,
    };
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    create_private_folder(folder).map_err(io)?;
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(format!(".{}.{:016x}.new", std::process::id(), unique()));
    let temporary = PathBuf::from(temporary);
    let write = || {
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&temporary)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        // A hard link, unlike a rename, does not replace a file that is there.
        fs::hard_link(&temporary, path)?;
        File::open(folder)?.sync_all()
    };
    let written = write();
    let removed = fs::remove_file(&temporary);
    match written {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Err(SecretError::Exists {
            path: path.to_owned(),
        }),
        Err(error) => Err(io(error)),
        Ok(()) => removed.map_err(io),
    }
}

/// A folder and its missing parents, readable by the owner only where new.
pub(crate) fn create_private_folder(folder: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)
}

/// Differs between the calls of one process, so that two of its tasks do not share a temporary file.
fn unique() -> u64 {
    use std::sync::atomic::{AtomicU64, Ordering};
    static NEXT: AtomicU64 = AtomicU64::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::cast_possible_truncation)]

    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_created_key_is_private_and_loads_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep").join("chain.key");
        let key = load_or_create_chain_key(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        assert_eq!(
            load_or_create_chain_key(&path).unwrap().address(),
            key.address()
        );
        assert_eq!(load_chain_key(&path).unwrap().address(), key.address());
        assert_eq!(
            fs::read_dir(path.parent().unwrap()).unwrap().count(),
            1,
            "no temporary file stays"
        );
    }

    #[test]
    fn a_key_others_can_read_is_refused_with_the_command_that_helps() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("chain.key");
        load_or_create_chain_key(&path).unwrap();
        for mode in [0o640, 0o604, 0o620, 0o666] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            let error = load_or_create_chain_key(&path).unwrap_err();
            assert!(matches!(error, SecretError::Exposed { .. }), "{mode:o}");
            assert!(error.to_string().contains("chmod 600"), "{error}");
        }
    }

    #[test]
    fn what_is_no_key_is_refused_without_being_quoted() {
        let folder = tempfile::tempdir().unwrap();
        let secret = "ab".repeat(31);
        for (name, text) in [
            ("short", secret.clone()),
            ("zero", "00".repeat(32)),
            ("long", "ab".repeat(4000)),
        ] {
            let path = folder.path().join(name);
            create_secret_file(&path, text.as_bytes()).unwrap();
            let error = load_chain_key(&path).unwrap_err();
            assert!(matches!(error, SecretError::Malformed { .. }), "{name}");
            assert!(!error.to_string().contains(&secret), "{error}");
        }
    }

    #[test]
    fn a_key_is_never_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("chain.key");
        let first = PrivateKeySigner::random();
        store_chain_key(&path, &first).unwrap();
        let again = store_chain_key(&path, &PrivateKeySigner::random());
        assert!(matches!(again, Err(SecretError::Exists { .. })));
        assert_eq!(load_chain_key(&path).unwrap().address(), first.address());
    }

    #[test]
    fn a_missing_key_names_its_path() {
        let error = load_chain_key(Path::new("/nowhere/chain.key")).unwrap_err();
        assert!(error.to_string().contains("/nowhere/chain.key"), "{error}");
    }
}
