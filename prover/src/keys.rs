//! The proving key on disk: a cache of what the published seed gives, or what a ceremony gave, checked every time it is
//! read.
//!
//! Protocol: section 4; decision: `docs/adr/0003-development-keys.md`; ceremonies: `docs/runbooks/ceremony.md`.

use crate::{ceremony::finalize::Finalized, qap::QuotientBasis};
use ark_serialize::{CanonicalDeserialize, CanonicalSerialize};
use circuits::{
    Profile,
    circuit::{Circuit, INSTANCE_VARIABLES},
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
    /// The proving key's bytes are not those that were written, or are of another circuit or verifying key.
    #[error("proving key {0} is damaged or belongs to other keys")]
    Damaged(PathBuf),
    /// Development keys where keys of a ceremony were asked for.
    #[error("the manifest in {0} is of development keys, not of a ceremony")]
    NoCeremony(PathBuf),
    /// Keys of a ceremony are there already.
    #[error("{0} exists already: keys of a ceremony are never overwritten")]
    Exists(PathBuf),
}

/// Where a proving key came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// It was read from the cache.
    Cached,
    /// It was made, and written to the cache.
    Created,
    /// A ceremony made it.
    Ceremony,
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
    /// What the proving key's H stands for.
    pub basis: QuotientBasis,
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
    let cached = match read(&path) {
        Some(proving) if describes(&committed, &circuit, &proving)? => {
            basis(&circuit, &proving).map(|basis| (proving, basis))
        }
        _ => None,
    };
    let (proving, basis, origin) = if let Some((proving, basis)) = cached {
        (proving, basis, Origin::Cached)
    } else {
        let proving = insecure_dev_setup(&circuit);
        let basis = basis(&circuit, &proving).ok_or_else(|| KeyFileError::Damaged(path.clone()))?;
        write(&path, &proving)?;
        (proving, basis, Origin::Created)
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
        basis,
    })
}

/// Reads the keys of a ceremony from the folder that [`store`] wrote.
///
/// The folder's manifest says which ceremony they come from: compare its [`Manifest::id`] with the published one.
///
/// # Errors
/// [`KeyFileError::Manifest`] if circuit or keys are not those of the folder's manifest; [`KeyFileError::NoCeremony`] if
/// it describes development keys; [`KeyFileError::Damaged`].
pub fn load(circuit: Circuit, folder: &Path) -> Result<Keys, KeyFileError> {
    let (verifying, manifest) = load_verifying(&circuit, folder)?;
    let path = path(&manifest, folder);
    let damaged = || KeyFileError::Damaged(path.clone());
    let proving = read(&path).ok_or_else(damaged)?;
    if proving.vk != *verifying.points() {
        return Err(damaged());
    }
    let basis = basis(&circuit, &proving).ok_or_else(damaged)?;
    Ok(Keys {
        circuit,
        proving,
        verifying,
        manifest,
        origin: Origin::Ceremony,
        basis,
    })
}

/// Reads verifying key and manifest of a ceremony, as [`load`] does.
///
/// # Errors
/// Those of [`load`].
pub fn load_verifying(
    circuit: &Circuit,
    folder: &Path,
) -> Result<(VerifyingKey, Manifest), KeyFileError> {
    let read_file =
        |path: PathBuf| fs::read(&path).map_err(|source| KeyFileError::File { path, source });
    let name = circuit.profile().name();
    let text = read_file(manifest_path(name, folder))?;
    let manifest = Manifest::parse(&String::from_utf8_lossy(&text))?;
    if manifest.insecure_dev {
        return Err(KeyFileError::NoCeremony(folder.to_owned()));
    }
    let bytes = read_file(verifying_path(name, folder))?;
    let verifying = VerifyingKey::from_bytes(circuit.profile(), &bytes, false)?;
    let found = Manifest {
        ceremony: manifest.ceremony.clone(),
        ..Manifest::describe(circuit, Some(&verifying))
    };
    manifest.check(&found)?;
    Ok((verifying, manifest))
}

/// Writes the keys of a ceremony: proving key, verifying key and manifest.
///
/// # Errors
/// [`KeyFileError::Exists`] if the folder holds keys of a ceremony for this profile, or [`KeyFileError::File`].
pub fn store(keys: &Finalized, folder: &Path) -> Result<(), KeyFileError> {
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| KeyFileError::File { path, source }
    };
    fs::create_dir_all(folder).map_err(failed(folder))?;
    let profile = keys.verifying.profile();
    expect_none(profile, folder)?;
    write(&path(&keys.manifest, folder), &keys.proving)?;
    let verifying = verifying_path(profile.name(), folder);
    replace(&verifying, &keys.verifying.to_bytes()).map_err(failed(&verifying))?;
    // The manifest comes last: where it stands, everything stands.
    let manifest = manifest_path(profile.name(), folder);
    replace(&manifest, keys.manifest.to_json().as_bytes()).map_err(failed(&manifest))
}

/// Refuses a folder that holds a manifest of this profile.
///
/// # Errors
/// [`KeyFileError::Exists`].
pub fn expect_none(profile: &Profile, folder: &Path) -> Result<(), KeyFileError> {
    let manifest = manifest_path(profile.name(), folder);
    if manifest.exists() {
        return Err(KeyFileError::Exists(manifest));
    }
    Ok(())
}

fn manifest_path(profile: &str, folder: &Path) -> PathBuf {
    folder.join(format!("{profile}.manifest.json"))
}

fn verifying_path(profile: &str, folder: &Path) -> PathBuf {
    folder.join(format!("{profile}.vk"))
}

fn basis(circuit: &Circuit, key: &ProvingKey) -> Option<QuotientBasis> {
    QuotientBasis::of(key, circuit.constraints(), INSTANCE_VARIABLES)
}

/// The file that holds a manifest's proving key: `insecure-dev` or `ceremony`, profile, and hash of the verifying key, or
/// of the constraint system where no verifying key is committed.
#[must_use]
pub fn path(manifest: &Manifest, folder: &Path) -> PathBuf {
    let hash = manifest
        .verifying_key
        .as_ref()
        .unwrap_or(&manifest.constraint_system);
    let short: String = hash.chars().take(16).collect();
    let origin = if manifest.insecure_dev {
        INSECURE_DEV
    } else {
        "ceremony"
    };
    folder.join(format!("{origin}-{}-{short}.pk", manifest.profile))
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
