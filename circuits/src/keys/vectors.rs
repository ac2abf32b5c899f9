//! What a statement means outside its constraint system, pinned by examples.
//!
//! The constraint system says nothing of how bytes become elements, cells and shards, what an empty leaf is, how an inventory
//! changes, which places a seed selects, or where a seed comes from. Whoever changes one of these makes every root on chain
//! unprovable, so a hash over examples of all of them is part of the manifest and of the circuit's id.

use crate::{
    field::{self, Fr},
    inventory::InventoryTree,
    profile::Profile,
    sampling::select,
    seed::epoch_seed,
    storage::{SHARD_BYTES, StorageRoot, StorageTree},
};
use std::sync::LazyLock;

/// The storage root of the shard that is BLAKE3's output stream of the empty string.
static STORAGE_ROOT: LazyLock<StorageRoot> = LazyLock::new(|| {
    let mut shard = vec![0; SHARD_BYTES];
    blake3::Hasher::new().finalize_xof().fill(&mut shard);
    StorageTree::from_shard(&shard)
        .expect("a whole shard")
        .root()
});

/// BLAKE3 over, for a profile: a shard's storage root; inventory roots of no shards, of one, of nine with the numbers 1 to
/// 9 for storage roots, and of these after shard 2 was removed; an epoch's seed; the places it selects among 1 shard, 3,
/// and as many as there can be, shard and cell as 64-bit little-endian numbers. Elements are 32 bytes big-endian.
pub(super) fn digest(profile: &Profile) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new_derive_key("probity statement vectors v1");
    let mut element = |value: Fr| {
        hasher.update(&field::to_be_bytes(&value));
    };
    element(STORAGE_ROOT.as_field());
    let mut inventory = InventoryTree::new(profile);
    element(inventory.root());
    for n in 1..=9u64.min(inventory.capacity()) {
        let appended = inventory.append(StorageRoot::new(Fr::from(n)));
        appended.expect("there is room");
        if n == 1 {
            element(inventory.root());
        }
    }
    element(inventory.root());
    inventory.remove(2).expect("it is there");
    element(inventory.root());
    let seed = epoch_seed([1; 32], 2, [3; 20], 4, 5);
    element(seed);
    for count in [1, 3, profile.capacity()] {
        for sample in select(seed, count, profile) {
            hasher.update(&sample.shard.to_le_bytes());
            hasher.update(&u64::from(sample.cell).to_le_bytes());
        }
    }
    *hasher.finalize().as_bytes()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::keys::Manifest;

    #[test]
    fn profiles_have_vectors_of_their_own_which_their_manifests_pin() {
        let digests = Profile::ALL.map(|profile| {
            let digest = digest(&profile);
            let manifest = Manifest::committed(&profile).unwrap();
            assert_eq!(manifest.vectors, hex::encode(digest), "{}", profile.name());
            digest
        });
        assert_ne!(digests[0], digests[1]);
        let tiny = Profile::new("tiny", 1, 1);
        assert_ne!(digest(&tiny), digests[0], "fewer leaves than examples");
    }
}
