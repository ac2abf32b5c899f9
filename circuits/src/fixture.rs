//! Shards, inventory and an honest witness for tests.

use crate::{
    field::Fr,
    inventory::InventoryTree,
    profile::Profile,
    sampling::{Sample, select},
    statement::{Private, Public, SampleWitness},
    storage::{
        CELL_BYTES, SHARD_BYTES, SHARD_CELLS, StorageRoot, StorageTree, cell_digests, cell_elements,
    },
};

/// Cells of a fixture's shard before they repeat: few, so that tests start quickly; a prime, so that no cell that
/// differs from another in one position of its path holds the same bytes.
const DISTINCT_CELLS: usize = 61;

fn shard(n: u8) -> (Vec<u8>, StorageTree) {
    let mut cells = vec![0; DISTINCT_CELLS * CELL_BYTES];
    blake3::Hasher::new()
        .update(&[n])
        .finalize_xof()
        .fill(&mut cells);
    let bytes = cells.iter().copied().cycle().take(SHARD_BYTES).collect();
    let digests = cell_digests(&cells)
        .into_iter()
        .cycle()
        .take(SHARD_CELLS)
        .collect();
    (
        bytes,
        StorageTree::from_digests(digests).expect("one digest a cell"),
    )
}

/// Everything a node has in an epoch.
pub(crate) struct Fixture {
    pub(crate) shards: Vec<Vec<u8>>,
    pub(crate) trees: Vec<StorageTree>,
    pub(crate) inventory: InventoryTree,
    pub(crate) public: Public,
    pub(crate) private: Private,
}

impl Fixture {
    /// `count` different shards and a seed.
    pub(crate) fn new(profile: &Profile, count: u8) -> Self {
        let (shards, trees): (Vec<_>, Vec<_>) = (0..count).map(shard).unzip();
        let roots: Vec<StorageRoot> = trees.iter().map(StorageTree::root).collect();
        let inventory = InventoryTree::from_roots(profile, &roots).expect("fits");
        let public = Public {
            inventory_root: inventory.root(),
            shard_count: inventory.count(),
            seed: Fr::from(0x5eed_u64),
        };
        let private = Private {
            samples: Vec::new(),
        };
        let mut fixture = Self {
            shards,
            trees,
            inventory,
            public,
            private,
        };
        fixture.private = fixture.witness(&select(public.seed, public.shard_count, profile));
        fixture
    }

    /// The witness that opens these cells.
    pub(crate) fn witness(&self, samples: &[Sample]) -> Private {
        let samples = samples.iter().map(|sample| self.open(*sample)).collect();
        Private { samples }
    }

    /// One opened cell.
    pub(crate) fn open(&self, sample: Sample) -> SampleWitness {
        let shard = usize::try_from(sample.shard).expect("few shards");
        let at = usize::from(sample.cell) * CELL_BYTES;
        let mut cell = [0; CELL_BYTES];
        cell.copy_from_slice(&self.shards[shard][at..at + CELL_BYTES]);
        SampleWitness {
            cell: cell_elements(&cell),
            shard_path: self.trees[shard].path(sample.cell),
            inventory_path: self.inventory.path(sample.shard).expect("held"),
        }
    }
}
