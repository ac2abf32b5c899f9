//! A node's inventory: an arity-8 Poseidon2 tree of fixed depth over storage roots, in the order of the node's log.
//!
//! Only the occupied prefix is kept; everything to its right is an empty subtree whose root depends on its height alone.
//!
//! Protocol: section 2.

use crate::{
    field::Fr,
    profile::Profile,
    storage::StorageRoot,
    tree::{self, ARITY, Siblings},
};
use thiserror::Error;

/// Why the inventory refuses a change.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum InventoryError {
    /// Every leaf is taken.
    #[error("the inventory is full: it holds {capacity} shards")]
    Full {
        /// 8^depth.
        capacity: u64,
    },
    /// There is no shard at that place.
    #[error("no shard at index {index}: the inventory holds {count}")]
    NoSuchShard {
        /// The index asked for.
        index: u64,
        /// Shards held.
        count: u64,
    },
}

/// The tree over a node's storage roots.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InventoryTree {
    /// Occupied nodes of each level, leaves first, the root's children last.
    levels: Vec<Vec<Fr>>,
    /// Root of an empty subtree of each height, 0 for an empty leaf.
    empty: Vec<Fr>,
    root: Fr,
}

impl InventoryTree {
    /// An inventory without shards.
    #[must_use]
    pub fn new(profile: &Profile) -> Self {
        let depth = profile.depth();
        let mut empty = vec![Fr::default()];
        for height in 0..depth {
            empty.push(tree::parent(&[], empty[height]));
        }
        Self {
            levels: vec![Vec::new(); depth],
            root: empty[depth],
            empty,
        }
    }

    /// An inventory that holds `roots` in this order.
    ///
    /// # Errors
    /// [`InventoryError::Full`] if there are more roots than leaves.
    pub fn from_roots(profile: &Profile, roots: &[StorageRoot]) -> Result<Self, InventoryError> {
        let mut inventory = Self::new(profile);
        if roots.len() as u64 > inventory.capacity() {
            return Err(InventoryError::Full {
                capacity: inventory.capacity(),
            });
        }
        let mut level: Vec<Fr> = roots.iter().map(StorageRoot::as_field).collect();
        for height in 0..inventory.levels.len() {
            let next = tree::parents(&level, inventory.empty[height]);
            inventory.levels[height] = std::mem::replace(&mut level, next);
        }
        if let Some(root) = level.first() {
            inventory.root = *root;
        }
        Ok(inventory)
    }

    /// Shards the tree can hold.
    #[must_use]
    pub fn capacity(&self) -> u64 {
        1 << (3 * self.levels.len())
    }

    /// Shards held; public input `shard_count`.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.levels[0].len() as u64
    }

    /// The root; public input `inventory_root`.
    #[must_use]
    pub const fn root(&self) -> Fr {
        self.root
    }

    /// The storage root at a place.
    #[must_use]
    pub fn get(&self, index: u64) -> Option<StorageRoot> {
        let index = usize::try_from(index).ok()?;
        self.levels[0].get(index).copied().map(StorageRoot::new)
    }

    /// The storage roots held, in order.
    pub fn roots(&self) -> impl ExactSizeIterator<Item = StorageRoot> + '_ {
        self.levels[0].iter().copied().map(StorageRoot::new)
    }

    /// Adds a shard behind the last one and returns its index.
    ///
    /// # Errors
    /// [`InventoryError::Full`].
    pub fn append(&mut self, root: StorageRoot) -> Result<u64, InventoryError> {
        let index = self.levels[0].len();
        if index as u64 == self.capacity() {
            return Err(InventoryError::Full {
                capacity: self.capacity(),
            });
        }
        self.levels[0].push(root.as_field());
        self.refresh(index);
        Ok(index as u64)
    }

    /// Takes a shard out; the last one moves into its place, so that the shards stay a prefix.
    ///
    /// # Errors
    /// [`InventoryError::NoSuchShard`].
    pub fn remove(&mut self, index: u64) -> Result<StorageRoot, InventoryError> {
        let place = self.place(index)?;
        let removed = self.levels[0].swap_remove(place);
        let last = self.levels[0].len();
        self.refresh(last);
        if place < last {
            self.refresh(place);
        }
        Ok(StorageRoot::new(removed))
    }

    /// The siblings on the way from a leaf to the root, leaf level first.
    ///
    /// # Errors
    /// [`InventoryError::NoSuchShard`].
    pub fn path(&self, index: u64) -> Result<Vec<Siblings>, InventoryError> {
        let place = self.place(index)?;
        let levels = self.levels.iter().zip(&self.empty).enumerate();
        Ok(levels
            .map(|(height, (level, empty))| tree::siblings(level, place >> (3 * height), *empty))
            .collect())
    }

    fn place(&self, index: u64) -> Result<usize, InventoryError> {
        let missing = InventoryError::NoSuchShard {
            index,
            count: self.count(),
        };
        match usize::try_from(index) {
            Ok(place) if place < self.levels[0].len() => Ok(place),
            _ => Err(missing),
        }
    }

    /// Recomputes the nodes above leaf `index`, which was changed, added, or cut off the end.
    fn refresh(&mut self, index: usize) {
        let mut parent = index / ARITY;
        for height in 0..self.levels.len() {
            let empty = self.empty[height];
            let level = &self.levels[height];
            let first = (parent * ARITY).min(level.len());
            let chunk = &level[first..level.len().min(first + ARITY)];
            let node = (!chunk.is_empty()).then(|| tree::parent(chunk, empty));
            let Some(above) = self.levels.get_mut(height + 1) else {
                self.root = node.unwrap_or(self.empty[height + 1]);
                return;
            };
            match node {
                Some(node) if parent < above.len() => above[parent] = node,
                Some(node) => above.push(node),
                None => above.truncate(parent),
            }
            parent /= ARITY;
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::cast_possible_truncation)]
    use super::*;

    const SMALL: Profile = Profile::new("small", 2, 1);

    fn root(n: u64) -> StorageRoot {
        StorageRoot::new(Fr::from(n + 1))
    }

    /// The tree written out in full, without any prefix or empty-subtree shortcut.
    fn plain_root(depth: usize, roots: &[StorageRoot]) -> Fr {
        let mut level = vec![Fr::default(); 1 << (3 * depth)];
        for (leaf, root) in level.iter_mut().zip(roots) {
            *leaf = root.as_field();
        }
        while level.len() > 1 {
            level = level
                .chunks(ARITY)
                .map(|chunk| tree::parent(chunk, Fr::default()))
                .collect();
        }
        level[0]
    }

    #[test]
    fn appending_equals_building_equals_the_full_tree() {
        let roots: Vec<_> = (0..64).map(root).collect();
        let mut grown = InventoryTree::new(&SMALL);
        assert_eq!(grown.root(), plain_root(2, &[]));
        for (i, r) in roots.iter().enumerate() {
            assert_eq!(grown.append(*r), Ok(i as u64));
            assert_eq!(grown.root(), plain_root(2, &roots[..=i]));
            assert_eq!(
                grown,
                InventoryTree::from_roots(&SMALL, &roots[..=i]).unwrap()
            );
        }
        assert_eq!(
            grown.append(root(0)),
            Err(InventoryError::Full { capacity: 64 })
        );
    }

    #[test]
    fn removing_fills_the_hole_with_the_last_leaf() {
        let mut roots: Vec<_> = (0..20).map(root).collect();
        let mut tree = InventoryTree::from_roots(&SMALL, &roots).unwrap();
        for index in [
            3u64, 18, 16, 0, 9, 7, 5, 12, 11, 10, 9, 8, 0, 0, 5, 0, 3, 1, 1, 0,
        ] {
            let expected = roots.swap_remove(index as usize);
            assert_eq!(tree.remove(index), Ok(expected));
            assert_eq!(tree, InventoryTree::from_roots(&SMALL, &roots).unwrap());
        }
        assert_eq!(tree, InventoryTree::new(&SMALL));
        assert_eq!(
            tree.remove(0),
            Err(InventoryError::NoSuchShard { index: 0, count: 0 })
        );
    }

    #[test]
    fn every_path_folds_to_the_root() {
        let roots: Vec<_> = (0..21).map(root).collect();
        let tree = InventoryTree::from_roots(&SMALL, &roots).unwrap();
        for (i, r) in roots.iter().enumerate() {
            let path = tree.path(i as u64).unwrap();
            assert_eq!(tree::fold(r.as_field(), i as u64, &path), tree.root());
        }
        assert_eq!(
            tree.path(21),
            Err(InventoryError::NoSuchShard {
                index: 21,
                count: 21
            })
        );
        assert!(tree.path(u64::MAX).is_err());
    }

    #[test]
    fn too_many_roots_are_refused() {
        let roots: Vec<_> = (0..65).map(root).collect();
        let full = Err(InventoryError::Full { capacity: 64 });
        assert_eq!(InventoryTree::from_roots(&SMALL, &roots), full);
    }
}
