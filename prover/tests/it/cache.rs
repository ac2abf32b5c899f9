//! The proving key on disk.

use crate::pipeline::{key_folder, small_statement};
use circuits::{Profile, keys::Manifest};
use prover::{
    ProveError, Prover,
    keys::{KeyFileError, Origin, check_or_create, load_for, load_or_create, path},
};
use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

fn manifest() -> Manifest {
    Manifest::committed(&Profile::DEV).unwrap()
}

fn key_file(folder: &Path) -> PathBuf {
    path(&manifest(), folder)
}

/// A folder of one's own with the key that the shared cache holds.
fn copied() -> tempfile::TempDir {
    drop(load_or_create(&Profile::DEV, &key_folder()).unwrap());
    let folder = tempfile::tempdir().unwrap();
    fs::copy(key_file(&key_folder()), key_file(folder.path())).unwrap();
    folder
}

#[test]
fn a_key_is_made_once_and_opened_from_then_on() {
    let folder = copied();
    let keys = load_or_create(&Profile::DEV, folder.path()).unwrap();
    assert_eq!(keys.origin(), Origin::Cached);
    let name = keys.path().file_name().unwrap().to_string_lossy();
    let hash = manifest().verifying_key.unwrap();
    assert_eq!(name, format!("insecure-dev-dev-{}.pk", &hash[..16]));
}

#[test]
fn what_opening_shows_to_be_damaged_is_made_again_the_same() {
    let folder = copied();
    let file = key_file(folder.path());
    let whole = fs::read(&file).unwrap();
    fs::write(&file, &whole[..1000]).unwrap();
    let open = || {
        load_or_create(&Profile::DEV, folder.path())
            .unwrap()
            .origin()
    };
    assert_eq!(open(), Origin::Created);
    assert!(
        fs::read(&file).unwrap() == whole,
        "the published seed gives the same bytes"
    );
    assert_eq!(open(), Origin::Cached);
}

#[test]
fn damage_among_the_points_gives_no_proof_and_setup_makes_the_key_again() {
    let folder = copied();
    let file = key_file(folder.path());
    let mut damaged = fs::read(&file).unwrap();
    // One bit of the first kilobytes of points: they belong to the first variables.
    damaged[9_000] ^= 1;
    fs::write(&file, &damaged).unwrap();

    let prover = Prover::load_or_create(&Profile::DEV, folder.path(), None).unwrap();
    assert_eq!(prover.keys().origin(), Origin::Cached);
    let (public, private) = small_statement();
    let refused = prover.prove(&public, &private).unwrap_err();
    assert!(
        matches!(&refused, ProveError::Invalid(path) if *path == file),
        "{refused}"
    );

    let made = check_or_create(&Profile::DEV, folder.path()).unwrap();
    assert_eq!(made.origin(), Origin::Created);
    let prover = Prover::with_keys(made, None).unwrap();
    prover.prove(&public, &private).unwrap();
    let again = check_or_create(&Profile::DEV, folder.path()).unwrap();
    assert_eq!(again.origin(), Origin::Cached);
}

#[test]
fn two_processes_make_the_cache_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let setup = || {
        Command::new(env!("CARGO_BIN_EXE_prover"))
            .args(["setup", "--profile", "dev", "--dir"])
            .arg(folder.path())
            .stdout(Stdio::null())
            .spawn()
            .unwrap()
    };
    let processes: [Child; 2] = [setup(), setup()];
    for mut process in processes {
        assert!(process.wait().unwrap().success());
    }
    let keys = load_or_create(&Profile::DEV, folder.path()).unwrap();
    assert_eq!(keys.origin(), Origin::Cached);
    keys.check().unwrap();
    let left = fs::read_dir(folder.path()).unwrap().count();
    assert_eq!(left, 1, "one file, and nothing half written");
}

#[test]
fn only_keys_of_the_circuit_that_is_asked_for_are_opened() {
    let folder = copied();
    let keys = load_for(&Profile::DEV, folder.path(), &manifest().id()).unwrap();
    assert_eq!(keys.origin(), Origin::Cached);

    let wanted = [7; 32];
    let refused = |folder: &Path| match load_for(&Profile::DEV, folder, &wanted) {
        Err(error @ KeyFileError::OtherCircuit { .. }) => error.to_string(),
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("keys of another circuit were opened"),
    };
    let text = refused(folder.path());
    for part in [
        hex::encode(wanted),
        hex::encode(manifest().id()),
        "dev.manifest.json is not there".to_owned(),
    ] {
        assert!(text.contains(&part), "{text}");
    }

    // A manifest of yet another ceremony.
    let other = Manifest {
        ceremony: "another".to_owned(),
        insecure_dev: false,
        ..manifest()
    };
    let at = folder.path().join("dev.manifest.json");
    fs::write(&at, other.to_json()).unwrap();
    let text = refused(folder.path());
    assert!(text.contains(&hex::encode(other.id())), "{text}");

    // The right id, and nothing else of that ceremony.
    let missing = load_for(&Profile::DEV, folder.path(), &other.id());
    assert!(matches!(missing, Err(KeyFileError::File { path, .. }) if path.ends_with("dev.vk")));

    // Nothing was made that nobody can use.
    let empty = tempfile::tempdir().unwrap();
    refused(empty.path());
    assert_eq!(fs::read_dir(empty.path()).unwrap().count(), 0);
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
