//! From an object's bytes to an accepted proof, and what a dishonest prover gets.

use circuits::{
    Fr, Private, Profile, Public, Sample, StorageRoot,
    inventory::InventoryTree,
    native::Violation,
    proof::{self, Reject},
};
use prover::{
    Codec, Geometry, OpenedCell, ProveError, Prover,
    commit::{CommittedShard, commit_with_trees},
    witness::{WitnessError, witness},
};
use std::{convert::Infallible, num::NonZeroUsize, path::PathBuf, sync::LazyLock};

/// The cache that all tests and the devnet share: the key costs seconds to make.
pub fn key_folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../target/keys")
}

struct Node {
    prover: Prover,
    shards: Vec<(Vec<u8>, CommittedShard)>,
    inventory: InventoryTree,
    public: Public,
}

static NODE: LazyLock<Node> = LazyLock::new(|| {
    let prover =
        Prover::load_or_create(&Profile::DEV, &key_folder(), NonZeroUsize::new(2)).unwrap();
    let codec = Codec::new(Geometry::new(2, 1).unwrap()).unwrap();
    let mut object = vec![0; codec.geometry().stripe_bytes() - 77];
    blake3::Hasher::new()
        .update(b"object")
        .finalize_xof()
        .fill(&mut object);
    let shards: Vec<_> = codec
        .stripes(&object[..])
        .flat_map(Result::unwrap)
        .map(|shard| {
            let committed = commit_with_trees(&shard).unwrap();
            (shard, committed)
        })
        .collect();
    let roots: Vec<StorageRoot> = shards
        .iter()
        .map(|(_, c)| c.commitment.storage_root)
        .collect();
    let inventory = InventoryTree::from_roots(&Profile::DEV, &roots).unwrap();
    let public = Public {
        inventory_root: inventory.root(),
        shard_count: inventory.count(),
        seed: circuits::epoch_seed([9; 32], 31337, [1; 20], 4, 17),
    };
    Node {
        prover,
        shards,
        inventory,
        public,
    }
});

impl Node {
    fn open(&self, Sample { shard, cell }: Sample) -> OpenedCell {
        let (bytes, committed) = &self.shards[shard as usize];
        OpenedCell::from_shard(bytes, &committed.storage, cell).unwrap()
    }

    fn witness(&self) -> Private {
        let open = |sample, _| Ok::<_, Infallible>(self.open(sample));
        witness(&Profile::DEV, &self.public, &self.inventory, open).unwrap()
    }
}

/// A true statement of the dev profile, and its witness.
pub fn small_statement() -> (Public, Private) {
    (NODE.public, NODE.witness())
}

#[test]
fn an_honest_node_is_accepted_and_its_proof_fits_no_other_statement() {
    let node = &*NODE;
    let proof = node.prover.prove(&node.public, &node.witness()).unwrap();
    let key = node.prover.verifying_key();
    assert_eq!(proof::verify(key, &node.public, &proof), Ok(()));
    let committed = circuits::keys::VerifyingKey::committed(&Profile::DEV).unwrap();
    assert_eq!(proof::verify(committed, &node.public, &proof), Ok(()));
    for other in [
        Public {
            seed: circuits::epoch_seed([9; 32], 31337, [1; 20], 4, 18),
            ..node.public
        },
        Public {
            seed: circuits::epoch_seed([9; 32], 31337, [1; 20], 5, 17),
            ..node.public
        },
        Public {
            shard_count: 2,
            ..node.public
        },
        Public {
            inventory_root: Fr::from(1u64),
            ..node.public
        },
    ] {
        assert_eq!(
            proof::verify(key, &other, &proof),
            Err(Reject::FalseStatement)
        );
    }
}

#[test]
fn zeros_in_place_of_a_lost_cell_are_not_proven_and_a_forced_proof_is_refused() {
    let node = &*NODE;
    let mut private = node.witness();
    private.samples[4].cell = [Fr::from(0u64); 16];
    let refused = node.prover.prove(&node.public, &private).unwrap_err();
    assert!(
        matches!(
            refused,
            ProveError::False(Violation::NotInInventory { sample: 4, .. })
        ),
        "{refused}"
    );
    let assignment = circuits::circuit::assignment(&Profile::DEV, &node.public, &private).unwrap();
    let forced = node.prover.prove_assignment(&assignment).unwrap();
    let answer = proof::verify(node.prover.verifying_key(), &node.public, &forced);
    assert_eq!(answer, Err(Reject::FalseStatement));
}

#[test]
fn an_assignment_of_another_circuit_is_refused() {
    let node = &*NODE;
    let other = Profile::new("other", 1, 1);
    let mut private = node.witness();
    private.samples.truncate(1);
    private.samples[0].inventory_path.truncate(1);
    let assignment = circuits::circuit::assignment(&other, &node.public, &private).unwrap();
    let refused = node.prover.prove_assignment(&assignment);
    assert!(matches!(refused, Err(ProveError::OtherCircuit { .. })));
}

#[test]
fn there_is_no_witness_for_an_inventory_of_another_time() {
    let node = &*NODE;
    let open = |sample, _| Ok::<_, Infallible>(node.open(sample));
    let mut later = node.inventory.clone();
    later.append(StorageRoot::new(Fr::from(5u64))).unwrap();
    let refused = witness(&Profile::DEV, &node.public, &later, open);
    assert!(matches!(refused, Err(WitnessError::OtherInventory)));
    let nothing = Public {
        shard_count: 0,
        ..node.public
    };
    let refused = witness(
        &Profile::DEV,
        &nothing,
        &InventoryTree::new(&Profile::DEV),
        open,
    );
    assert!(matches!(refused, Err(WitnessError::Count(_))));
}

#[test]
fn a_cell_that_cannot_be_read_is_named() {
    let node = &*NODE;
    let refused = witness(&Profile::DEV, &node.public, &node.inventory, |_, _| {
        Err("disk")
    });
    let Err(WitnessError::Cell { source, .. }) = refused else {
        panic!("the disk failed")
    };
    assert_eq!(source, "disk");
}

#[test]
fn the_reader_is_told_which_shard_it_opens() {
    let node = &*NODE;
    let open = |sample: Sample, root| {
        let (_, committed) = &node.shards[sample.shard as usize];
        assert_eq!(committed.commitment.storage_root, root);
        Ok::<_, Infallible>(node.open(sample))
    };
    assert!(witness(&Profile::DEV, &node.public, &node.inventory, open).is_ok());
}

#[test]
fn a_cell_beyond_the_shard_is_not_opened() {
    let (bytes, committed) = &NODE.shards[0];
    assert!(OpenedCell::from_shard(bytes, &committed.storage, 4095).is_some());
    assert!(OpenedCell::from_shard(bytes, &committed.storage, 4096).is_none());
    assert!(OpenedCell::from_shard(&bytes[..100], &committed.storage, 0).is_none());
}
