//! The proving key on disk.

use crate::pipeline::key_folder;
use circuits::{Profile, keys::Manifest};
use prover::keys::{KeyFileError, Origin, load_or_create, path};
use std::{fs, path::Path};

/// A folder of one's own with the key that the shared cache holds.
fn copied() -> tempfile::TempDir {
    drop(load_or_create(&Profile::DEV, &key_folder()).unwrap());
    let folder = tempfile::tempdir().unwrap();
    let shared = path(&Manifest::committed(&Profile::DEV).unwrap(), &key_folder());
    let name = shared.file_name().unwrap().to_str().unwrap();
    for file in [name.to_owned(), format!("{name}.blake3")] {
        fs::copy(key_folder().join(&file), folder.path().join(file)).unwrap();
    }
    folder
}

fn key_file(folder: &Path) -> std::path::PathBuf {
    path(&Manifest::committed(&Profile::DEV).unwrap(), folder)
}

#[test]
fn a_key_is_made_once_and_read_from_then_on() {
    let folder = copied();
    let keys = load_or_create(&Profile::DEV, folder.path()).unwrap();
    assert_eq!(keys.origin, Origin::Cached);
    let name = key_file(folder.path())
        .file_name()
        .unwrap()
        .to_string_lossy()
        .into_owned();
    let hash = Manifest::committed(&Profile::DEV)
        .unwrap()
        .verifying_key
        .unwrap();
    assert_eq!(name, format!("insecure-dev-dev-{}.pk", &hash[..16]));
}

#[test]
fn a_damaged_or_truncated_key_is_made_again() {
    let folder = copied();
    let file = key_file(folder.path());
    let whole = fs::read(&file).unwrap();
    let mut damaged = whole.clone();
    damaged[5_000_000] ^= 1;
    fs::write(&file, &damaged).unwrap();
    assert_eq!(
        load_or_create(&Profile::DEV, folder.path()).unwrap().origin,
        Origin::Created
    );
    assert!(
        fs::read(&file).unwrap() == whole,
        "the published seed gives the same bytes"
    );
    fs::write(&file, &whole[..1000]).unwrap();
    assert_eq!(
        load_or_create(&Profile::DEV, folder.path()).unwrap().origin,
        Origin::Created
    );
    assert_eq!(
        load_or_create(&Profile::DEV, folder.path()).unwrap().origin,
        Origin::Cached
    );
}

#[test]
fn a_folder_that_cannot_be_written_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "").unwrap();
    let Err(KeyFileError::File { path, .. }) = load_or_create(&Profile::DEV, &file.join("keys"))
    else {
        panic!("a file is no folder");
    };
    assert!(path.starts_with(&file));
}

#[test]
fn a_profile_without_manifest_has_no_keys() {
    let other = Profile::new("other", 1, 1);
    let refused = load_or_create(&other, &key_folder());
    assert!(matches!(refused, Err(KeyFileError::NoManifest(name)) if name == "other"));
}
