#![allow(clippy::unwrap_used, clippy::cast_possible_truncation)]
use super::*;
use crate::commit::{CommittedShard, commit_with_trees};
use circuits::StorageRoot;
use std::{convert::Infallible, fs, sync::LazyLock};
use tempfile::TempDir;

struct Set {
    folder: TempDir,
    shards: Vec<(Vec<u8>, CommittedShard)>,
}

/// Three shards on disk.
static SET: LazyLock<Set> = LazyLock::new(|| {
    let folder = tempfile::tempdir().unwrap();
    let shards: Vec<_> = (0..3u8)
        .map(|n| {
            let mut bytes = vec![0; SHARD_BYTES];
            blake3::Hasher::new()
                .update(&[n])
                .finalize_xof()
                .fill(&mut bytes);
            let committed = commit_with_trees(&bytes).unwrap();
            let tree = StoredTree::from_tree(&committed.storage);
            let file = File::create(folder.path().join(n.to_string())).unwrap();
            write_shard(file, &bytes, &tree).unwrap();
            (bytes, committed)
        })
        .collect();
    Set { folder, shards }
});

impl Set {
    fn root(&self, shard: usize) -> StorageRoot {
        self.shards[shard].1.commitment.storage_root
    }

    fn bytes(&self, shard: usize) -> Vec<u8> {
        fs::read(self.folder.path().join(shard.to_string())).unwrap()
    }
}

fn kernel() -> Kernel {
    Kernel::detect()
}

#[test]
fn cells_of_many_shards_are_opened_in_the_order_in_which_they_are_wanted() {
    let set = &*SET;
    // More than are announced at once, and no multiple of what is opened together.
    let places: Vec<(usize, u16)> = (0..ANNOUNCED + 13)
        .map(|n| (n * 7 % 3, (n * 1021 % SHARD_CELLS) as u16))
        .collect();
    let wanted: Vec<Wanted> = places
        .iter()
        .map(|(shard, cell)| Wanted {
            root: set.root(*shard),
            cell: *cell,
        })
        .collect();
    let opened = open_cells(kernel(), &wanted, |n| {
        File::open(set.folder.path().join(places[n].0.to_string()))
    });
    assert_eq!(opened.len(), places.len());
    for ((shard, cell), opened) in places.into_iter().zip(opened) {
        let (bytes, committed) = &set.shards[shard];
        let expected = OpenedCell::from_shard(bytes, &committed.storage, cell).unwrap();
        assert!(opened.unwrap() == expected, "cell {cell} of shard {shard}");
    }
}

#[test]
fn a_file_is_the_shard_and_its_tree() {
    let set = &*SET;
    let bytes = set.bytes(1);
    assert_eq!(bytes.len(), SHARD_FILE_BYTES);
    assert_eq!(bytes[..SHARD_BYTES], set.shards[1].0);
    let tree = read_tree::<Infallible>(kernel(), &bytes.as_slice()).unwrap();
    assert_eq!(tree.root(), set.root(1));
}

#[test]
fn each_cell_that_cannot_be_opened_has_its_own_reason() {
    let set = &*SET;
    let mut files: Vec<Vec<u8>> = [0, 0, 0, 0, 0, 1].map(|n| set.bytes(n)).into();
    files[1][3 * CELL] ^= 1;
    files[2].truncate(SHARD_BYTES + STORED_TREE_BYTES - 1);
    files[3].truncate(100);
    files[4][SHARD_BYTES + 31] ^= 1;
    const CELL: usize = circuits::storage::CELL_BYTES;
    let root = set.root(0);
    let mut wanted = vec![Wanted { root, cell: 9 }; 8];
    wanted[6].cell = SHARD_CELLS as u16;
    let opened = open_cells(kernel(), &wanted, |n| match n {
        0..6 => Ok(files[n].as_slice()),
        6 => Ok(files[0].as_slice()),
        _ => Err("no such shard"),
    });
    let reasons: Vec<String> = opened
        .iter()
        .map(|opened| match opened {
            Ok(_) => "opened".to_owned(),
            Err(error) => error.to_string(),
        })
        .collect();
    let other = set.root(1);
    assert_eq!(
        reasons,
        [
            "opened".to_owned(),
            "cells 0 to 63 do not hash to their stored digest".to_owned(),
            "cannot read the shard's file: unexpected end of file".to_owned(),
            "cannot read the shard's file: unexpected end of file".to_owned(),
            "the stored tree is not a tree: a digest is not that of the eight below it".to_owned(),
            format!("the stored tree leads to storage root {other}, expected {root}"),
            "there is no cell 4096: a shard has 4096".to_owned(),
            "no such shard".to_owned(),
        ]
    );
}

#[test]
fn nothing_wanted_is_nothing_opened() {
    let opened = open_cells(kernel(), &[], |_| Ok::<&[u8], Infallible>(&[]));
    assert!(opened.is_empty());
}
