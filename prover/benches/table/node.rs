//! A node with three shards, and what it has to prove.

use super::root::bytes;
use circuits::{
    Fr, Private, Profile, Public, StorageTree,
    circuit::{self, Assignment},
    inventory::InventoryTree,
    storage::SHARD_BYTES,
};
use prover::{
    OpenedCell,
    kernel::{self, storage},
    witness,
};
use std::{
    convert::Infallible,
    path::{Path, PathBuf},
};

/// Shards and the trees over them.
pub struct Node {
    profile: Profile,
    shards: Vec<(Vec<u8>, StorageTree)>,
    inventory: InventoryTree,
}

impl Node {
    pub fn new(profile: &Profile) -> Self {
        let kernel = kernel::active().unwrap();
        let shards: Vec<(Vec<u8>, StorageTree)> = bytes(3 * SHARD_BYTES)
            .chunks(SHARD_BYTES)
            .map(|shard| {
                let tree = storage::storage_tree(kernel, shard).unwrap();
                (shard.to_vec(), tree)
            })
            .collect();
        let roots: Vec<_> = shards.iter().map(|(_, tree)| tree.root()).collect();
        Self {
            profile: *profile,
            shards,
            inventory: InventoryTree::from_roots(profile, &roots).unwrap(),
        }
    }

    /// The statement of an epoch, and its witness.
    pub fn statement(&self, epoch: u64) -> (Public, Private) {
        let public = Public {
            inventory_root: self.inventory.root(),
            shard_count: self.inventory.count(),
            seed: Fr::from(epoch),
        };
        let private = witness(&self.profile, &public, &self.inventory, |sample, _| {
            let (bytes, tree) = &self.shards[usize::try_from(sample.shard).unwrap()];
            Ok::<_, Infallible>(OpenedCell::from_shard(bytes, tree, sample.cell).unwrap())
        });
        (public, private.unwrap())
    }

    /// The statement of an epoch, and the values of all variables.
    pub fn assignment(&self, epoch: u64) -> (Public, Assignment) {
        let (public, private) = self.statement(epoch);
        let assignment = circuit::assignment(&self.profile, &public, &private).unwrap();
        (public, assignment)
    }
}

/// The folder where cached keys are.
pub fn keys() -> PathBuf {
    target().join("keys")
}

/// The folder of everything that is built.
pub fn target() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../target")
}
