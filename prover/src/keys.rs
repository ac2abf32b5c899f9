//! The proving key on disk: a cache of what the published seed gives, checked every time it is read.
//!
//! Protocol: section 4; decision: `docs/adr/0003-development-keys.md`.

use ark_serialize::{CanonicalDeserialize, CanonicalSerialize};
use circuits::{
    Profile,
    circuit::Circuit,
    keys::{
        INSECURE_DEV, KeyError, Manifest, ManifestError, ProvingKey, VerifyingKey,
        insecure_dev_setup,
    },
};
use std::{
    fs, io,
    io::Write,
    path::{Path, PathBuf},
};
use thiserror::Error;

/// Why there is no proving key.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum KeyFileError {
    /// The disk.
    #[error("proving key {path}: {source}")]
    File {
        /// The file or folder.
        path: PathBuf,
        /// What the disk said.
        source: io::Error,
    },
    /// What was made here is not what is committed: another version of the circuit or of a library.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// The key that was made has another shape than the statement.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The profile has no committed manifest.
    #[error("profile {0} has no manifest in circuits/keys")]
    NoManifest(String),
}

/// Where a proving key came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// It was read from the cache.
    Cached,
    /// It was made, and written to the cache.
    Created,
}

/// Circuit and keys of a profile.
pub struct Keys {
    /// The constraint system.
    pub circuit: Circuit,
    /// The key that makes proofs.
    pub proving: ProvingKey,
    /// The key that checks them.
    pub verifying: VerifyingKey,
    /// What describes both.
    pub manifest: Manifest,
    /// Where the proving key came from.
    pub origin: Origin,
}

/// Reads a profile's keys from `folder`, or makes them and writes them there.
///
/// A file that is damaged, half written or made for other keys is made again.
///
/// # Errors
/// [`KeyFileError::Manifest`] if circuit or keys are not those of the committed manifest.
pub fn load_or_create(profile: &Profile, folder: &Path) -> Result<Keys, KeyFileError> {
    let committed = Manifest::committed(profile)
        .ok_or_else(|| KeyFileError::NoManifest(profile.name().to_owned()))?;
    // Making a key takes long: first see whether it could be kept.
    fs::create_dir_all(folder).map_err(|source| KeyFileError::File {
        path: folder.to_owned(),
        source,
    })?;
    let circuit = Circuit::new(profile);
    let path = path(&committed, folder);
    let (proving, origin) = match read(&path) {
        Some(proving) if describes(&committed, &circuit, &proving)? => (proving, Origin::Cached),
        _ => {
            let proving = insecure_dev_setup(&circuit);
            write(&path, &proving)?;
            (proving, Origin::Created)
        }
    };
    let verifying = VerifyingKey::new(profile, &proving.vk, true)?;
    let manifest = describe(&committed, &circuit, &verifying);
    committed.check(&manifest)?;
    Ok(Keys {
        circuit,
        proving,
        verifying,
        manifest,
        origin,
    })
}

/// The file that holds a manifest's proving key: `insecure-dev`, profile, and hash of the verifying key, or of the
/// constraint system where no verifying key is committed.
#[must_use]
pub fn path(manifest: &Manifest, folder: &Path) -> PathBuf {
    let hash = manifest
        .verifying_key
        .as_ref()
        .unwrap_or(&manifest.constraint_system);
    let short: String = hash.chars().take(16).collect();
    folder.join(format!("{INSECURE_DEV}-{}-{short}.pk", manifest.profile))
}

/// Describes what is at hand in as much detail as the committed manifest does.
fn describe(committed: &Manifest, circuit: &Circuit, key: &VerifyingKey) -> Manifest {
    Manifest::describe(circuit, committed.verifying_key.is_some().then_some(key))
}

fn describes(committed: &Manifest, circuit: &Circuit, key: &ProvingKey) -> Result<bool, KeyError> {
    let key = VerifyingKey::new(circuit.profile(), &key.vk, true)?;
    Ok(committed.check(&describe(committed, circuit, &key)).is_ok())
}

/// The cached key, if its bytes have the hash that stands beside them.
fn read(path: &Path) -> Option<ProvingKey> {
    let bytes = fs::read(path).ok()?;
    let expected = fs::read_to_string(hash_path(path)).ok()?;
    let found = blake3::hash(&bytes).to_hex();
    if expected.trim() != found.as_str() {
        return None;
    }
    // The hash stands for the bytes this program wrote, so the points need no second check.
    ProvingKey::deserialize_uncompressed_unchecked(&bytes[..]).ok()
}

fn write(path: &Path, key: &ProvingKey) -> Result<(), KeyFileError> {
    let failed = |path: &Path, source| KeyFileError::File {
        path: path.to_owned(),
        source,
    };
    let mut bytes = Vec::with_capacity(key.uncompressed_size());
    key.serialize_uncompressed(&mut bytes)
        .map_err(|e| failed(path, io::Error::other(e)))?;
    let hash_path = hash_path(path);
    replace(path, &bytes).map_err(|e| failed(path, e))?;
    let hash = blake3::hash(&bytes).to_hex();
    replace(&hash_path, hash.as_bytes()).map_err(|e| failed(&hash_path, e))
}

/// Writes beside the file and renames, so that nobody ever reads half of it.
fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let temporary = path.with_extension(format!("{}.tmp", std::process::id()));
    let mut file = fs::File::create(&temporary)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&temporary, path)
}

fn hash_path(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".blake3");
    name.into()
}
