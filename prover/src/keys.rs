//! Keys on disk: a cache of what the published seed gives, or what a ceremony gave. The proving key lies in a packed file
//! ([`PackedKeyError`] tells what may be wrong with one) that is mapped where it is used, so that opening it takes
//! milliseconds.
//!
//! Opening checks everything but the points and the hash of the content, which [`Keys::check`] does; a key is checked when
//! it is made. A proof from a key that was damaged since then does not hold, which [`Prover::prove`](crate::Prover::prove)
//! sees before anybody else does.
//!
//! Protocol: section 4; decisions: `docs/adr/0003-development-keys.md`, `docs/adr/0013-packed-keys.md`; ceremonies:
//! `docs/runbooks/ceremony.md`.

mod header;
mod map;
mod packed;

#[cfg(test)]
mod tests;

pub use packed::PackedKeyError;

use crate::{
    ceremony::finalize::Finalized,
    fft::Domain,
    groth16::{PrepareError, PreparedKey},
    kernel::Kernel,
};
use circuits::{
    Profile,
    circuit::Circuit,
    keys::{
        INSECURE_DEV, KeyError, Manifest, ManifestError, ProvingKey, VerifyingKey,
        insecure_dev_setup,
    },
};
use map::Map;
use packed::PackedKey;
use std::{
    fs::{self, File},
    io::{self, Read, Write},
    path::{Path, PathBuf},
    process,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};
use thiserror::Error;

/// Most bytes of a manifest or verifying key that are read.
const MAX_SMALL_FILE: u64 = 64 * 1024;

/// Why there are no keys.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum KeyFileError {
    /// The disk.
    #[error("keys: {path}: {source}")]
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
    /// The key that was made does not belong to the circuit.
    #[error(transparent)]
    Prepare(#[from] PrepareError),
    /// The profile has no committed manifest.
    #[error("profile {0} has no manifest in circuits/keys")]
    NoManifest(String),
    /// The proving key's bytes are not those that were written, or are of another circuit or verifying key.
    #[error("proving key {path}: {source}")]
    Unusable {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: PackedKeyError,
    },
    /// Development keys where keys of a ceremony were asked for.
    #[error("the manifest in {0} is of development keys, not of a ceremony")]
    NoCeremony(PathBuf),
    /// Keys of a ceremony are there already.
    #[error("{0} exists already: keys of a ceremony are never overwritten")]
    Exists(PathBuf),
    /// The keys at hand are not those whose proofs are accepted.
    #[error(
        "proofs are wanted of circuit 0x{wanted}; the committed manifest of profile {profile} is 0x{committed}, \
         and {manifest} {}: put the files of that circuit's ceremony there, or choose its profile",
        found.as_ref().map_or_else(|| "is not there".to_owned(), |id| format!("is of 0x{id}"))
    )]
    OtherCircuit {
        /// The profile whose keys were looked for.
        profile: &'static str,
        /// The id asked for, in hexadecimal.
        wanted: String,
        /// The id of the committed manifest.
        committed: String,
        /// The manifest that was looked for.
        manifest: PathBuf,
        /// Its id, if it is there.
        found: Option<String>,
    },
}

/// Where a proving key came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// It was there already.
    Cached,
    /// It was made, and written to the cache.
    Created,
    /// A ceremony made it.
    Ceremony,
}

/// Keys of a profile: the proving key mapped from its file, the verifying key, and what describes both.
pub struct Keys {
    packed: PackedKey,
    profile: Profile,
    verifying: VerifyingKey,
    manifest: Manifest,
    origin: Origin,
    path: PathBuf,
}

impl Keys {
    fn open(
        profile: &Profile,
        manifest: &Manifest,
        folder: &Path,
        origin: Origin,
    ) -> Result<Self, KeyFileError> {
        let path = path(manifest, folder);
        let map = Map::open(&path).map_err(file_error(&path))?;
        let (packed, verifying) =
            PackedKey::new(map, profile, manifest).map_err(|source| unusable(&path, source))?;
        Ok(Self {
            packed,
            profile: *profile,
            verifying,
            manifest: manifest.clone(),
            origin,
            path,
        })
    }

    /// The profile they prove for.
    #[must_use]
    pub const fn profile(&self) -> &Profile {
        &self.profile
    }

    /// The key that checks proofs.
    #[must_use]
    pub const fn verifying(&self) -> &VerifyingKey {
        &self.verifying
    }

    /// What describes circuit and keys.
    #[must_use]
    pub const fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Where the proving key came from.
    #[must_use]
    pub const fn origin(&self) -> Origin {
        self.origin
    }

    /// The file of the proving key.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Checks everything that opening does not: the hash of the file's content, every point, and that its matrices and the
    /// manifest are those of the circuit. Takes seconds for the standard profile, on the threads of the current rayon pool.
    ///
    /// # Errors
    /// [`KeyFileError::Unusable`] or [`KeyFileError::Manifest`].
    pub fn check(&self) -> Result<(), KeyFileError> {
        self.check_of(&Circuit::new(&self.profile))
    }

    fn check_of(&self, circuit: &Circuit) -> Result<(), KeyFileError> {
        let circuit_as_it_is = Manifest::describe(circuit, None);
        self.manifest
            .check(&with_keys_of(&circuit_as_it_is, &self.manifest))?;
        self.packed
            .check(circuit)
            .map_err(|source| self.unusable(source))
    }

    /// The domain of the circuit.
    pub(crate) fn domain(&self, kernel: Kernel) -> Result<Arc<Domain>, KeyFileError> {
        let domain = self.packed.domain(kernel);
        domain.map_err(|error| self.unusable(error.into()))
    }

    /// The proving key as it is used.
    pub(crate) fn prepare(&self, domain: &Arc<Domain>) -> Result<PreparedKey<'_>, KeyFileError> {
        let prepared = self.packed.prepare(domain);
        prepared.map_err(|source| self.unusable(source))
    }

    fn unusable(&self, source: PackedKeyError) -> KeyFileError {
        unusable(&self.path, source)
    }
}

fn unusable(path: &Path, source: PackedKeyError) -> KeyFileError {
    let path = path.to_owned();
    KeyFileError::Unusable { path, source }
}

fn file_error(path: &Path) -> impl FnOnce(io::Error) -> KeyFileError {
    let path = path.to_owned();
    move |source| KeyFileError::File { path, source }
}

/// Opens a profile's development keys in `folder`, or makes them and writes them there.
///
/// A file that is damaged, as far as opening it shows, or of another version or other keys is made again.
///
/// # Errors
/// [`KeyFileError::Manifest`] if circuit or keys are not those of the committed manifest.
pub fn load_or_create(profile: &Profile, folder: &Path) -> Result<Keys, KeyFileError> {
    find_or_create(profile, folder, |_| Ok(()))
}

/// [`load_or_create`], and a key that was there is [checked](Keys::check) in full, and made again if it is damaged.
///
/// # Errors
/// Those of [`load_or_create`].
pub fn check_or_create(profile: &Profile, folder: &Path) -> Result<Keys, KeyFileError> {
    find_or_create(profile, folder, Keys::check)
}

fn find_or_create(
    profile: &Profile,
    folder: &Path,
    check: impl FnOnce(&Keys) -> Result<(), KeyFileError>,
) -> Result<Keys, KeyFileError> {
    let manifest = committed(profile)?;
    if !manifest.insecure_dev {
        // Those of that ceremony, which nobody can make.
        return load_for(profile, folder, &manifest.id());
    }
    // Making a key takes long: first see whether it could be kept.
    fs::create_dir_all(folder).map_err(file_error(folder))?;
    if let Ok(keys) = Keys::open(profile, &manifest, folder, Origin::Cached)
        && check(&keys).is_ok()
    {
        return Ok(keys);
    }
    let circuit = Circuit::new(profile);
    let proving = insecure_dev_setup(&circuit);
    let verifying = VerifyingKey::new(profile, &proving.vk, true)?;
    let pinned = manifest.verifying_key.is_some();
    manifest.check(&Manifest::describe(&circuit, pinned.then_some(&verifying)))?;
    write(&circuit, &proving, &verifying, &manifest, folder)?;
    drop(proving);
    let keys = Keys::open(profile, &manifest, folder, Origin::Created)?;
    keys.check_of(&circuit)?;
    Ok(keys)
}

/// Opens the keys whose proofs a contract accepts: the development keys, which are made if need be, if `circuit_id` is
/// theirs, else those of a ceremony in `folder`.
///
/// # Errors
/// [`KeyFileError::OtherCircuit`] if neither are those of this id; else as [`load_or_create`] or [`load`].
pub fn load_for(
    profile: &Profile,
    folder: &Path,
    circuit_id: &[u8; 32],
) -> Result<Keys, KeyFileError> {
    let committed = committed(profile)?;
    if committed.insecure_dev && committed.id() == *circuit_id {
        return load_or_create(profile, folder);
    }
    let other = |found: Option<[u8; 32]>| KeyFileError::OtherCircuit {
        profile: profile.name(),
        wanted: hex::encode(circuit_id),
        committed: hex::encode(committed.id()),
        manifest: manifest_path(profile.name(), folder),
        found: found.map(hex::encode),
    };
    match read_manifest(profile, folder) {
        Ok(manifest) if manifest.id() == *circuit_id => load(profile, &committed, folder),
        Ok(manifest) => Err(other(Some(manifest.id()))),
        Err(KeyFileError::File { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
            Err(other(None))
        }
        Err(error) => Err(error),
    }
}

/// Opens the keys of a ceremony in the folder that [`store`] wrote. `circuit` describes the circuit they must be of: a
/// committed manifest, or what [`Manifest::describe`] gives.
///
/// The folder's manifest says which ceremony they come from: compare its [`Manifest::id`] with the published one.
///
/// # Errors
/// [`KeyFileError::Manifest`] if circuit or keys are not those of the folder's manifest; [`KeyFileError::NoCeremony`] if
/// it describes development keys; [`KeyFileError::Unusable`].
pub fn load(profile: &Profile, circuit: &Manifest, folder: &Path) -> Result<Keys, KeyFileError> {
    let (verifying, manifest) = load_verifying(profile, circuit, folder)?;
    let keys = Keys::open(profile, &manifest, folder, Origin::Ceremony)?;
    if keys.verifying.points() != verifying.points() {
        return Err(keys.unusable(PackedKeyError::OtherVerifyingKey));
    }
    Ok(keys)
}

/// Reads verifying key and manifest of a ceremony, as [`load`] does.
///
/// # Errors
/// Those of [`load`].
pub fn load_verifying(
    profile: &Profile,
    circuit: &Manifest,
    folder: &Path,
) -> Result<(VerifyingKey, Manifest), KeyFileError> {
    let manifest = read_manifest(profile, folder)?;
    if manifest.insecure_dev {
        return Err(KeyFileError::NoCeremony(folder.to_owned()));
    }
    let bytes = read_small(&verifying_path(profile.name(), folder))?;
    let verifying = VerifyingKey::from_bytes(profile, &bytes, false)?;
    let found = Manifest {
        verifying_key: Some(hex::encode(verifying.digest())),
        ..with_keys_of(circuit, &manifest)
    };
    manifest.check(&found)?;
    Ok((verifying, manifest))
}

/// Writes the keys of a ceremony for this circuit: proving key, verifying key and manifest.
///
/// # Errors
/// [`KeyFileError::Exists`] if the folder holds keys of a ceremony for this profile, or [`KeyFileError::File`].
pub fn store(circuit: &Circuit, keys: &Finalized, folder: &Path) -> Result<(), KeyFileError> {
    fs::create_dir_all(folder).map_err(file_error(folder))?;
    let (profile, manifest) = (circuit.profile(), &keys.manifest);
    expect_none(profile, folder)?;
    write(circuit, &keys.proving, &keys.verifying, manifest, folder)?;
    Keys::open(profile, manifest, folder, Origin::Ceremony)?.check_of(circuit)?;
    let verifying = keys.verifying.to_bytes();
    let put = |path: &Path, bytes: &[u8]| {
        replace(path, |file| file.write_all(bytes)).map_err(file_error(path))
    };
    put(&verifying_path(profile.name(), folder), &verifying)?;
    // The manifest comes last: where it stands, everything stands.
    let text = manifest.to_json();
    put(&manifest_path(profile.name(), folder), text.as_bytes())
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

fn committed(profile: &Profile) -> Result<Manifest, KeyFileError> {
    Manifest::committed(profile).ok_or_else(|| KeyFileError::NoManifest(profile.name().to_owned()))
}

/// This circuit's description, with the keys of a manifest.
fn with_keys_of(circuit: &Manifest, manifest: &Manifest) -> Manifest {
    Manifest {
        ceremony: manifest.ceremony.clone(),
        insecure_dev: manifest.insecure_dev,
        verifying_key: manifest.verifying_key.clone(),
        ..circuit.clone()
    }
}

fn read_manifest(profile: &Profile, folder: &Path) -> Result<Manifest, KeyFileError> {
    let bytes = read_small(&manifest_path(profile.name(), folder))?;
    Ok(Manifest::parse(&String::from_utf8_lossy(&bytes))?)
}

fn manifest_path(profile: &str, folder: &Path) -> PathBuf {
    folder.join(format!("{profile}.manifest.json"))
}

fn verifying_path(profile: &str, folder: &Path) -> PathBuf {
    folder.join(format!("{profile}.vk"))
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

fn write(
    circuit: &Circuit,
    proving: &ProvingKey,
    verifying: &VerifyingKey,
    manifest: &Manifest,
    folder: &Path,
) -> Result<(), KeyFileError> {
    let key = PreparedKey::new(Kernel::Scalar, circuit, proving)?;
    let path = path(manifest, folder);
    replace(&path, |file| packed::write(file, manifest, verifying, &key)).map_err(file_error(&path))
}

/// Writes beside the file and renames, so that nobody ever reads half of it, and who has it open or mapped keeps what was
/// there.
fn replace(path: &Path, write: impl FnOnce(&mut File) -> io::Result<()>) -> io::Result<()> {
    static WRITTEN: AtomicU64 = AtomicU64::new(0);
    let own = (process::id(), WRITTEN.fetch_add(1, Ordering::Relaxed));
    let temporary = path.with_extension(format!("{}-{}.tmp", own.0, own.1));
    let written = File::create_new(&temporary).and_then(|mut file| {
        write(&mut file)?;
        file.sync_all()?;
        fs::rename(&temporary, path)
    });
    if written.is_err() {
        // Nothing is lost if it stays.
        let _ = fs::remove_file(&temporary);
    }
    written
}

fn read_small(path: &Path) -> Result<Vec<u8>, KeyFileError> {
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(MAX_SMALL_FILE + 1).read_to_end(&mut bytes))
        .and_then(|_| {
            if bytes.len() as u64 > MAX_SMALL_FILE {
                let why = format!("more than {MAX_SMALL_FILE} bytes");
                return Err(io::Error::new(io::ErrorKind::FileTooLarge, why));
            }
            Ok(())
        })
        .map_err(file_error(path))?;
    Ok(bytes)
}
