#![allow(clippy::unwrap_used, clippy::cast_possible_truncation)]
use super::*;
use crate::{commit::commit, erasure::Codec, ingest::IngestError, paths::SHARD_FILE_BYTES};
use circuits::{
    storage::{CELL_BYTES, SHARD_BYTES, SHARD_CELLS, cell_digest},
    tree::fold,
};
use serde_json::Value;
use std::{fs, sync::Mutex};
use tempfile::TempDir;

fn geometry() -> Geometry {
    Geometry::new(2, 1).unwrap()
}

fn object() -> Vec<u8> {
    let mut object = vec![0; geometry().stripe_bytes() + 1];
    blake3::Hasher::new().finalize_xof().fill(&mut object);
    object
}

/// A folder of two stripes of 2 + 1 shards.
fn folder() -> (TempDir, PathBuf) {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("object");
    let told = Mutex::new(Vec::new());
    let written = write(&object()[..], geometry(), &path, |read| {
        told.lock().unwrap().push(read);
    })
    .unwrap();
    let length = object().len() as u64;
    assert_eq!(told.into_inner().unwrap(), [length - 1, length]);
    let expected = Written {
        object_bytes: length,
        stripes: 2,
    };
    assert_eq!(written, expected);
    (home, path)
}

/// Why the folder does not pass.
fn difference(path: &Path) -> Option<String> {
    let folder = ShardFolder::open(path).unwrap();
    match folder.check(Kernel::detect(), || {}) {
        Ok(()) => None,
        Err(CheckError::Different(difference)) => Some(difference.to_string()),
        Err(error) => panic!("{error}"),
    }
}

fn edit(path: &Path, change: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = fs::read(path).unwrap();
    change(&mut bytes);
    fs::write(path, bytes).unwrap();
}

#[test]
fn a_folder_has_the_roots_of_its_objects_shards_and_opens_their_cells() {
    let (home, path) = folder();
    let folder = ShardFolder::open(&path).unwrap();
    assert_eq!(folder.geometry(), geometry());
    assert_eq!(folder.object_bytes(), object().len() as u64);
    let codec = Codec::new(geometry()).unwrap();
    let object = object();
    let shards: Vec<Vec<u8>> = codec
        .stripes(&object[..])
        .flat_map(Result::unwrap)
        .collect();
    let expected: Vec<ShardRoots> = shards
        .iter()
        .map(|shard| commit(shard).unwrap().into())
        .collect();
    assert_eq!(folder.roots(), expected);
    let roots: Vec<StorageRoot> = folder.storage_roots().collect();

    let samples: Vec<Sample> = (0..20)
        .map(|n| Sample {
            shard: n % 6,
            cell: (n * 205) as u16,
        })
        .collect();
    let opened = folder.open_cells(Kernel::detect(), &samples);
    for (sample, opened) in samples.iter().zip(opened) {
        let opened = opened.unwrap();
        let at = usize::from(sample.cell) * CELL_BYTES;
        let shard = &shards[sample.shard as usize];
        assert!(opened.bytes == shard[at..at + CELL_BYTES]);
        let root = fold(cell_digest(&opened.bytes), sample.cell.into(), &opened.path);
        assert_eq!(root, roots[sample.shard as usize].as_field());
    }
    let nowhere = [
        Sample { shard: 6, cell: 0 },
        Sample {
            shard: u64::MAX,
            cell: 0,
        },
        Sample {
            shard: 0,
            cell: SHARD_CELLS as u16,
        },
    ];
    let refused = folder.open_cells(Kernel::detect(), &nowhere);
    assert!(refused.iter().all(Result::is_err));
    assert_eq!(difference(&path), None);
    assert_eq!(
        fs::read_dir(home.path()).unwrap().count(),
        1,
        "nothing is left beside it"
    );
}

#[test]
fn the_first_difference_is_named() {
    let (_home, path) = folder();
    let shard = |stripe, slot| shard_path(&path, Place { stripe, slot });
    edit(&shard(1, 2), |bytes| bytes[SHARD_BYTES + 40] ^= 1);
    assert_eq!(
        difference(&path).unwrap(),
        "slot 2, stripe 1: the stored tree is not that of the shard"
    );
    edit(&shard(1, 0), |bytes| bytes[200 * CELL_BYTES] ^= 1);
    let found = difference(&path).unwrap();
    assert!(
        found.starts_with("slot 0, stripe 1: storage root 0x"),
        "{found}"
    );
    assert!(
        found.ends_with("(cells 192 to 255 do not hash to their stored digest)"),
        "{found}"
    );
    edit(&shard(0, 2), |bytes| bytes.truncate(5));
    assert_eq!(
        difference(&path).unwrap(),
        format!("slot 2, stripe 0: a shard's file has {SHARD_FILE_BYTES} bytes, found 5")
    );
    edit(&shard(0, 1), |bytes| bytes.resize(3 * SHARD_BYTES, 0));
    let found = difference(&path).unwrap();
    assert!(found.starts_with("slot 1, stripe 0: a shard's file has "));
    fs::remove_file(shard(0, 0)).unwrap();
    assert_eq!(
        difference(&path).unwrap(),
        "slot 0, stripe 0: the shard is missing"
    );
}

#[test]
fn a_shard_in_anothers_place_is_a_difference() {
    let (_home, path) = folder();
    let shard = |slot| shard_path(&path, Place { stripe: 0, slot });
    fs::copy(shard(1), shard(0)).unwrap();
    let found = difference(&path).unwrap();
    assert!(
        found.starts_with("slot 0, stripe 0: storage root "),
        "{found}"
    );
    let folder = ShardFolder::open(&path).unwrap();
    let opened = folder.open_cells(Kernel::detect(), &[Sample { shard: 0, cell: 0 }]);
    assert!(matches!(
        opened[..],
        [Err(OpenError::Damaged(
            crate::stored_tree::Damage::Tree { .. }
        ))]
    ));
}

/// The manifest after a change of its JSON.
fn reopened(path: &Path, change: impl FnOnce(&mut Value)) -> Result<ShardFolder, FolderError> {
    let file = path.join(MANIFEST);
    let before = fs::read(&file).unwrap();
    let mut json: Value = serde_json::from_slice(&before).unwrap();
    change(&mut json);
    fs::write(&file, json.to_string()).unwrap();
    let opened = ShardFolder::open(path);
    fs::write(&file, before).unwrap();
    opened
}

#[test]
fn a_manifest_that_does_not_agree_with_itself_is_refused() {
    let (_home, path) = folder();
    assert!(reopened(&path, |_| {}).is_ok());
    let refused = |change: fn(&mut Value)| match reopened(&path, change).unwrap_err() {
        FolderError::Manifest { source, .. } => source,
        other => panic!("{other}"),
    };
    use ManifestError as Wrong;
    let wrong = refused(|json| json["format"] = "probity-shards-2".into());
    assert!(matches!(wrong, Wrong::Format { .. }));
    for (data, parity) in [(0, 1), (2, 0), (200, 100)] {
        let opened = reopened(&path, |json| {
            json["data"] = data.into();
            json["parity"] = parity.into();
        });
        assert!(matches!(
            opened,
            Err(FolderError::Manifest {
                source: Wrong::Geometry(_),
                ..
            })
        ));
    }
    for change in [
        (|json| json["data"] = 3.into()) as fn(&mut Value),
        |json| json["object_bytes"] = u64::MAX.into(),
        |json| json["object_bytes"] = 0.into(),
        |json| json["shards"] = Value::Array(Vec::new()),
        |json| {
            json["object_bytes"] = 0.into();
            json["shards"] = Value::Array(Vec::new());
        },
    ] {
        assert!(matches!(refused(change), Wrong::ShardCount { .. }));
    }
    let wrong = refused(|json| {
        json["shards"][4]["storage_root"] = format!("0x{}", "f".repeat(64)).into();
    });
    assert!(matches!(wrong, Wrong::Root { shard: 4, .. }));
    for change in [
        (|json| json["data"] = (-1).into()) as fn(&mut Value),
        |json| json["shards"][0]["content_id"] = "0x00".into(),
        |json| json["more"] = 1.into(),
        |json| *json = Value::Null,
    ] {
        assert!(matches!(refused(change), Wrong::Json(_)));
    }
    fs::remove_file(path.join(MANIFEST)).unwrap();
    let missing = ShardFolder::open(&path);
    assert!(matches!(missing, Err(FolderError::File { .. })));
}

#[test]
fn what_is_there_is_not_overwritten_and_what_fails_leaves_nothing() {
    let home = tempfile::tempdir().unwrap();
    let there = home.path().join("there");
    fs::create_dir(&there).unwrap();
    let refused = write(&[1u8][..], geometry(), &there, |_| {});
    assert!(matches!(
        refused,
        Err(IngestError::Shard(WriteError::Exists { .. }))
    ));
    let empty = write(io::empty(), geometry(), &home.path().join("new"), |_| {});
    assert!(matches!(empty, Err(IngestError::Empty)));
    let nowhere = home.path().join("no/such/folder");
    let refused = write(&[1u8][..], geometry(), &nowhere, |_| {});
    assert!(matches!(
        refused,
        Err(IngestError::Shard(WriteError::File { .. }))
    ));
    assert_eq!(fs::read_dir(home.path()).unwrap().count(), 1);
}
