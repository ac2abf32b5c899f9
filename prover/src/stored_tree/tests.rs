#![allow(clippy::unwrap_used, clippy::cast_possible_truncation)]
use super::*;
use crate::kernel::tests::kernels;
use circuits::{
    storage::{SHARD_BYTES, cell_digest},
    tree::fold,
};
use std::sync::LazyLock;

struct Shard {
    bytes: Vec<u8>,
    tree: StorageTree,
}

fn shard(seed: u8) -> Shard {
    let mut bytes = vec![0; SHARD_BYTES];
    blake3::Hasher::new()
        .update(&[seed])
        .finalize_xof()
        .fill(&mut bytes);
    let tree = storage::storage_tree(Kernel::detect(), &bytes).unwrap();
    Shard { bytes, tree }
}

static SHARD: LazyLock<Shard> = LazyLock::new(|| shard(1));

impl Shard {
    fn stored(&self) -> StoredTree {
        StoredTree::from_tree(&self.tree)
    }

    fn encoded(&self) -> [u8; STORED_TREE_BYTES] {
        self.stored().to_bytes().try_into().unwrap()
    }

    fn group(&self, cell: u16) -> [u8; GROUP_BYTES] {
        let (groups, _) = self.bytes.as_chunks::<GROUP_BYTES>();
        groups[group_of(cell)]
    }
}

fn open_one(
    wanted: Wanted,
    group: [u8; GROUP_BYTES],
    tree: [u8; STORED_TREE_BYTES],
) -> Result<OpenedCell, Damage> {
    open_all(Kernel::detect(), &[wanted], &[group], &[tree]).remove(0)
}

#[test]
fn cells_of_every_group_open_to_the_path_of_the_whole_tree() {
    let shard = &*SHARD;
    let encoded = shard.encoded();
    let stored = StoredTree::from_bytes(Kernel::detect(), &encoded).unwrap();
    assert_eq!(stored, shard.stored());
    assert_eq!(stored.root(), shard.tree.root());
    // One cell of each group, each at another place in it.
    let cells: Vec<u16> = (0..GROUPS as u16).map(|group| group * 65).collect();
    let wanted: Vec<Wanted> = cells
        .iter()
        .map(|cell| Wanted {
            root: shard.tree.root(),
            cell: *cell,
        })
        .collect();
    let groups: Vec<_> = cells.iter().map(|cell| shard.group(*cell)).collect();
    let trees = vec![encoded; GROUPS];
    let opened = open_all(Kernel::detect(), &wanted, &groups, &trees);
    assert_eq!(opened.len(), GROUPS);
    for ((cell, group), opened) in cells.into_iter().zip(&groups).zip(opened) {
        let expected = OpenedCell::from_shard(&shard.bytes, &shard.tree, cell).unwrap();
        assert!(opened.unwrap() == expected, "cell {cell}");
        let alone = stored.open(Kernel::detect(), cell, group).unwrap();
        assert!(alone == expected, "cell {cell}, alone");
        let root = fold(cell_digest(&alone.bytes), u64::from(cell), &alone.path);
        assert_eq!(root, shard.tree.root().as_field());
    }
}

#[test]
fn every_kernel_opens_alike() {
    let shard = &*SHARD;
    for kernel in kernels("every_kernel_opens_alike") {
        let stored = StoredTree::from_bytes(kernel, &shard.encoded()).unwrap();
        let opened = stored.open(kernel, 777, &shard.group(777)).unwrap();
        let expected = OpenedCell::from_shard(&shard.bytes, &shard.tree, 777).unwrap();
        assert!(opened == expected, "{kernel}");
    }
}

#[test]
fn a_stored_tree_takes_less_than_two_thousandths_of_the_shard() {
    let stored = SHARD.stored().to_bytes();
    assert_eq!(stored.len(), STORED_TREE_BYTES);
    assert!(stored.len() * 1000 < SHARD_BYTES * 2);
}

#[test]
fn a_flipped_byte_in_any_cell_of_the_group_is_named() {
    let shard = &*SHARD;
    let wanted = Wanted {
        root: shard.tree.root(),
        cell: 130,
    };
    let named = Damage::Cells {
        first: 128,
        last: 191,
    };
    for at in [0, 2 * CELL_BYTES, GROUP_BYTES - 1] {
        let mut group = shard.group(130);
        group[at] ^= 1;
        assert_eq!(
            open_one(wanted, group, shard.encoded()).err(),
            Some(named),
            "byte {at}"
        );
        let alone = shard.stored().open(Kernel::detect(), 130, &group);
        assert_eq!(alone.err(), Some(named), "byte {at}, alone");
    }
}

#[test]
fn a_flipped_byte_in_the_stored_tree_is_the_trees_fault() {
    let shard = &*SHARD;
    let cell = 130;
    let wanted = Wanted {
        root: shard.tree.root(),
        cell,
    };
    let whole = shard.encoded();
    let last_digest = STORED_TREE_BYTES - 1;
    // The group's own digest, one beside it, and one of the level above.
    for at in [2 * 32 + 31, 7 * 32 + 31, last_digest] {
        let mut tree = whole;
        tree[at] ^= 1;
        let found = open_one(wanted, shard.group(cell), tree);
        assert_eq!(found.err(), Some(Damage::Torn), "byte {at}");
        assert_eq!(
            StoredTree::from_bytes(Kernel::detect(), &tree),
            Err(Damage::Torn)
        );
    }
    let mut tree = whole;
    tree[2 * 32] = 0xff;
    assert_eq!(
        open_one(wanted, shard.group(cell), tree).err(),
        Some(Damage::NotCanonical)
    );
    // What does not lie on the way is not looked at when a cell is opened, but when the tree is read.
    let mut tree = whole;
    tree[63 * 32 + 31] ^= 1;
    assert!(open_one(wanted, shard.group(cell), tree).is_ok());
    assert_eq!(
        StoredTree::from_bytes(Kernel::detect(), &tree),
        Err(Damage::Torn)
    );
}

#[test]
fn another_shards_cells_or_tree_are_told_apart() {
    let (shard, other) = (&*SHARD, shard(2));
    let (cell, root) = (4095, shard.tree.root());
    let wanted = Wanted { root, cell };
    assert_eq!(
        open_one(wanted, shard.group(cell), other.encoded()).err(),
        Some(Damage::Tree {
            expected: root,
            found: other.tree.root()
        })
    );
    let cells = Damage::Cells {
        first: 4032,
        last: 4095,
    };
    assert_eq!(
        open_one(wanted, other.group(cell), shard.encoded()).err(),
        Some(cells)
    );
    // A whole tree and its own cells, but not the shard that was asked for.
    assert_eq!(
        open_one(wanted, other.group(cell), other.encoded()).err(),
        Some(Damage::Tree {
            expected: root,
            found: other.tree.root()
        })
    );
    assert_eq!(
        shard.stored().compare(&other.tree),
        Err(Damage::Cells { first: 0, last: 63 })
    );
    assert_eq!(shard.stored().compare(&shard.tree), Ok(()));
}

#[test]
fn one_damaged_cell_among_many_does_not_spoil_the_others() {
    let shard = &*SHARD;
    let cells = [5u16, 700, 701, 4000, 5, 64, 63, 1, 2, 3];
    let wanted: Vec<Wanted> = cells
        .iter()
        .map(|cell| Wanted {
            root: shard.tree.root(),
            cell: *cell,
        })
        .collect();
    let mut groups: Vec<_> = cells.iter().map(|cell| shard.group(*cell)).collect();
    groups[3][17] ^= 4;
    let trees = vec![shard.encoded(); cells.len()];
    let opened = open_all(Kernel::detect(), &wanted, &groups, &trees);
    for (index, (cell, opened)) in cells.into_iter().zip(opened).enumerate() {
        match opened {
            Ok(opened) => {
                let expected = OpenedCell::from_shard(&shard.bytes, &shard.tree, cell);
                assert!(opened == expected.unwrap());
                assert_ne!(index, 3);
            }
            Err(damage) => {
                assert_eq!(index, 3);
                let (first, last) = (3968, 4031);
                assert_eq!(damage, Damage::Cells { first, last });
            }
        }
    }
}

#[test]
fn bytes_of_another_length_are_no_stored_tree() {
    for length in [0, STORED_TREE_BYTES - 1, STORED_TREE_BYTES + 1] {
        assert_eq!(
            StoredTree::from_bytes(Kernel::detect(), &vec![0; length]),
            Err(Damage::Length { found: length })
        );
    }
    // Zeros are field elements, but not each other's digests.
    assert_eq!(
        StoredTree::from_bytes(Kernel::detect(), &[0; STORED_TREE_BYTES]),
        Err(Damage::Torn)
    );
}
