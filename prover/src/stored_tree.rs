//! What is kept of a shard's storage tree, and how paths are opened from it.
//!
//! A stored tree has the upper two levels below the root: 64 digests, each over a *group* of 64 consecutive cells, and the
//! 8 digests above them. That is 2,304 bytes for the 2,031,616 of a shard, 0.113%. The lower two levels of a path are hashed
//! again from the 64 cells of the group. Whatever is opened has been hashed up to the storage root that the caller expects,
//! so damage never becomes an answer; [`Damage`] says whether it is in the cells or in the stored tree.
//!
//! Cells are opened many at a time because the kernel computes eight permutations at once: eight groups fill its lanes up to
//! the root. [`crate::paths`] reads what is opened here from files.
//!
//! Protocol: section 2.

use crate::{
    kernel::{Kernel, storage},
    witness::OpenedCell,
};
use circuits::{
    Fr, StorageRoot,
    field::{self, ENCODED_BYTES},
    storage::{CELL_BYTES, SHARD_CELLS, StorageTree},
    tree::{ARITY, Siblings},
};
use std::{array, fmt};
use thiserror::Error;

/// Cells under one digest of the lower stored level: they are read and hashed to open one of them.
pub const GROUP_CELLS: usize = ARITY * ARITY;
/// Bytes of a group.
pub const GROUP_BYTES: usize = GROUP_CELLS * CELL_BYTES;
/// Groups of a shard.
pub const GROUPS: usize = SHARD_CELLS / GROUP_CELLS;
/// Bytes of a stored tree.
pub const STORED_TREE_BYTES: usize = (GROUPS + ARITY) * ENCODED_BYTES;

const _: () = assert!(GROUPS == ARITY * ARITY);
const _: () = assert!(STORED_TREE_BYTES * 500 < circuits::storage::SHARD_BYTES);

/// Where a shard or its stored tree is not what it was.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum Damage {
    /// Cells do not hash to their stored digest, which belongs to the shard.
    #[error("cells {first} to {last} do not hash to their stored digest")]
    Cells {
        /// First cell of the group.
        first: u16,
        /// Last cell of the group.
        last: u16,
    },
    /// The stored digests do not lead to the shard's storage root: they are damaged, or another shard's.
    #[error("the stored tree leads to storage root {found}, expected {expected}")]
    Tree {
        /// The root of the shard that is asked for.
        expected: StorageRoot,
        /// The root of the digests.
        found: StorageRoot,
    },
    /// The stored digests do not fit each other.
    #[error("the stored tree is not a tree: a digest is not that of the eight below it")]
    Torn,
    /// A stored digest is no field element.
    #[error("the stored tree holds a number that is not below the group order of BN254")]
    NotCanonical,
    /// A stored tree has one size only.
    #[error("a stored tree has {STORED_TREE_BYTES} bytes, found {found}")]
    Length {
        /// Bytes found.
        found: usize,
    },
}

/// The group of a cell.
#[must_use]
pub const fn group_of(cell: u16) -> usize {
    cell as usize / GROUP_CELLS
}

/// The upper levels of one shard's storage tree, which fit each other.
#[derive(Clone, PartialEq, Eq)]
pub struct StoredTree {
    /// Digests of groups, 64 of them.
    groups: Box<[Fr]>,
    /// Digests of eight groups each.
    upper: [Fr; ARITY],
    root: StorageRoot,
}

impl fmt::Debug for StoredTree {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoredTree")
            .field("root", &self.root)
            .finish_non_exhaustive()
    }
}

impl StoredTree {
    /// What is to be kept of a tree.
    #[must_use]
    pub fn from_tree(tree: &StorageTree) -> Self {
        let upper = tree.level(3);
        Self {
            groups: tree.level(2).into(),
            upper: array::from_fn(|node| upper[node]),
            root: tree.root(),
        }
    }

    /// The digests of groups, then those above them, 32 bytes big-endian each.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let digests = self.groups.iter().chain(&self.upper);
        digests.flat_map(field::to_be_bytes).collect()
    }

    /// Reads a stored tree and checks that it is one; whose it is, its [`root`](Self::root) says.
    ///
    /// # Errors
    /// [`Damage::Length`], [`Damage::NotCanonical`] or [`Damage::Torn`].
    pub fn from_bytes(kernel: Kernel, bytes: &[u8]) -> Result<Self, Damage> {
        let length = Damage::Length { found: bytes.len() };
        let encoded = Encoded(bytes.try_into().map_err(|_| length)?);
        let groups: Vec<Fr> = (0..GROUPS)
            .map(|group| encoded.digest(group))
            .collect::<Result<_, _>>()?;
        let upper = encoded.children(GROUPS)?;
        if storage::parents(kernel, &groups) != upper {
            return Err(Damage::Torn);
        }
        Ok(Self {
            groups: groups.into(),
            root: StorageRoot::new(storage::parents(kernel, &upper)[0]),
            upper,
        })
    }

    /// The storage root of the shard.
    #[must_use]
    pub const fn root(&self) -> StorageRoot {
        self.root
    }

    /// Compares the stored digests with those of a shard's whole tree.
    ///
    /// # Errors
    /// [`Damage::Cells`] for the first group that differs.
    pub fn compare(&self, tree: &StorageTree) -> Result<(), Damage> {
        let mut pairs = self.groups.iter().zip(tree.level(2));
        pairs
            .position(|(stored, found)| stored != found)
            .map_or(Ok(()), |group| Err(cells_of(group)))
    }

    /// Opens a cell with the bytes of its group.
    ///
    /// # Errors
    /// [`Damage::Cells`] if they do not hash to the stored digest.
    ///
    /// # Panics
    /// If there is no such cell.
    pub fn open(
        &self,
        kernel: Kernel,
        cell: u16,
        group: &[u8; GROUP_BYTES],
    ) -> Result<OpenedCell, Damage> {
        assert!(usize::from(cell) < SHARD_CELLS, "no cell {cell}");
        let lower = LowerLevels::new(kernel, group);
        let (digest, number) = (lower.groups[0], group_of(cell));
        if digest != self.groups[number] {
            return Err(cells_of(number));
        }
        let eighth = &self.groups[number - number % ARITY..][..ARITY];
        Ok(opened(cell, group, &lower, 0, eighth, &self.upper))
    }
}

fn cells_of(group: usize) -> Damage {
    let cell = |cell: usize| u16::try_from(cell).unwrap_or(u16::MAX);
    Damage::Cells {
        first: cell(group * GROUP_CELLS),
        last: cell(group * GROUP_CELLS + GROUP_CELLS - 1),
    }
}

/// A stored tree as it was read.
struct Encoded<'a>(&'a [u8; STORED_TREE_BYTES]);

impl Encoded<'_> {
    fn digest(&self, index: usize) -> Result<Fr, Damage> {
        let (digests, _) = self.0.as_chunks::<ENCODED_BYTES>();
        field::from_be_bytes(&digests[index]).ok_or(Damage::NotCanonical)
    }

    /// Eight digests that have one parent.
    fn children(&self, first: usize) -> Result<[Fr; ARITY], Damage> {
        let mut children = [Fr::default(); ARITY];
        for (place, child) in children.iter_mut().enumerate() {
            *child = self.digest(first + place)?;
        }
        Ok(children)
    }
}

/// The digests below the stored ones, of one group after the other.
struct LowerLevels {
    cells: Vec<Fr>,
    nodes: Vec<Fr>,
    groups: Vec<Fr>,
}

impl LowerLevels {
    fn new(kernel: Kernel, groups: &[u8]) -> Self {
        let cells = storage::cell_digests(kernel, groups);
        let nodes = storage::parents(kernel, &cells);
        let groups = storage::parents(kernel, &nodes);
        Self {
            cells,
            nodes,
            groups,
        }
    }
}

/// The cell, with its path through the `index`th group of `lower` and what is stored above it.
fn opened(
    cell: u16,
    group: &[u8; GROUP_BYTES],
    lower: &LowerLevels,
    index: usize,
    eighth: &[Fr],
    upper: &[Fr],
) -> OpenedCell {
    let cell = usize::from(cell);
    let within = cell % GROUP_CELLS;
    let node = within / ARITY;
    let cells = &lower.cells[index * GROUP_CELLS + node * ARITY..];
    let nodes = &lower.nodes[index * ARITY..];
    let (bytes, _) = group.as_chunks::<CELL_BYTES>();
    OpenedCell {
        bytes: bytes[within],
        path: [
            siblings(cells, within),
            siblings(nodes, node),
            siblings(eighth, cell / GROUP_CELLS),
            siblings(upper, cell / (ARITY * GROUP_CELLS)),
        ],
    }
}

/// The first eight of `children` without the one at `position`, which is taken modulo 8.
fn siblings(children: &[Fr], position: usize) -> Siblings {
    array::from_fn(|i| children[i + usize::from(i >= position % ARITY)])
}

/// A cell that is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// The storage root of its shard, as the caller knows it.
    pub root: StorageRoot,
    /// Its index in the shard, below [`SHARD_CELLS`].
    pub cell: u16,
}

/// Opens as many cells as there are groups and stored trees, which were read for them and not looked at yet.
///
/// Each answer is hashed up to its root, one vector of the kernel's lanes for eight cells; of a stored tree only the digests
/// on the way are looked at.
///
/// # Panics
/// If there is no such cell, or not one group and one stored tree for each.
pub(crate) fn open_all(
    kernel: Kernel,
    wanted: &[Wanted],
    groups: &[[u8; GROUP_BYTES]],
    trees: &[[u8; STORED_TREE_BYTES]],
) -> Vec<Result<OpenedCell, Damage>> {
    assert!(wanted.len() == groups.len() && wanted.len() == trees.len());
    let lower = LowerLevels::new(kernel, groups.as_flattened());
    let zeros = [Fr::default(); ARITY];
    // What cannot be read takes part as zeros, which lead nowhere: `diagnosis` says then what it was.
    let on_the_way = |at: &dyn Fn(&Wanted) -> usize| -> Vec<[Fr; ARITY]> {
        let read = wanted.iter().zip(trees);
        read.map(|(wanted, tree)| Encoded(tree).children(at(wanted)).unwrap_or(zeros))
            .collect()
    };
    let eighths = on_the_way(&|wanted| group_of(wanted.cell) / ARITY * ARITY);
    let uppers = on_the_way(&|_| GROUPS);
    let above = storage::parents(kernel, eighths.as_flattened());
    let roots = storage::parents(kernel, uppers.as_flattened());
    let open = |(index, wanted): (usize, &Wanted)| {
        let group = group_of(wanted.cell);
        let leads = lower.groups[index] == eighths[index][group % ARITY]
            && above[index] == uppers[index][group / ARITY]
            && roots[index] == wanted.root.as_field();
        if !leads {
            return Err(diagnosis(kernel, wanted, &trees[index]));
        }
        let (eighth, upper) = (&eighths[index], &uppers[index]);
        let cell = wanted.cell;
        Ok(opened(cell, &groups[index], &lower, index, eighth, upper))
    };
    wanted.iter().enumerate().map(open).collect()
}

/// Why a cell does not lead to its root.
fn diagnosis(kernel: Kernel, wanted: &Wanted, tree: &[u8]) -> Damage {
    let expected = wanted.root;
    match StoredTree::from_bytes(kernel, tree).map(|tree| tree.root()) {
        Err(damage) => damage,
        Ok(found) if found != expected => Damage::Tree { expected, found },
        Ok(_) => cells_of(group_of(wanted.cell)),
    }
}

#[cfg(test)]
mod tests;
