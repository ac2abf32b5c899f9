//! Opening random cells of a 1 GiB shard set with their paths, against plain reads of the same cells.
//!
//! Before each turn the operating system is asked to forget the files (`posix_fadvise`), as it will have done by the time
//! an epoch asks for cells of an inventory of terabytes; their inodes stay known.

use super::{
    node::target,
    record::{Goal, Record, Subject, Unit},
    timing::{Clock, once, pool},
};
use circuits::{
    StorageRoot,
    storage::{CELL_BYTES, SHARD_BYTES, SHARD_CELLS, cell_digest},
    tree::fold,
};
use prover::{
    OpenedCell,
    commit::commit_with_trees,
    kernel::{self, Kernel},
    paths::{ReadAt, SHARD_FILE_BYTES, open_cells, read_tree, write_shard},
    stored_tree::{STORED_TREE_BYTES, StoredTree, Wanted},
};
use rand::{Rng, SeedableRng, rngs::StdRng};
use rustix::fs::{Advice, fadvise};
use std::{
    convert::Infallible,
    fs::{self, File},
    io::BufWriter,
    path::{Path, PathBuf},
};

const SHARDS: usize = (1usize << 30).div_ceil(SHARD_BYTES);
const CELLS: usize = 100;
const ROUNDS: usize = 25;
const THREADS: usize = 2;

const SUBJECT: Subject = Subject {
    row: "paths",
    work: "open 100 random cells of a 1 GiB shard set, files not cached",
    peer: Some("plain reads of the same cells"),
    unit: Unit::Milliseconds,
    goal: Goal::TimesThePeer(1.5),
    threads: THREADS,
};

const STORED: Subject = Subject {
    row: "stored-tree",
    work: "what is stored of a shard's tree, of its bytes",
    peer: None,
    unit: Unit::Percent,
    goal: Goal::AtMost(0.2),
    threads: 1,
};

pub fn against_plain_reads() -> Record {
    let kernel = kernel::active().unwrap();
    let set = Set::load_or_create(kernel, &target().join("bench/shard-set"));
    let mut rng = StdRng::seed_from_u64(1);
    let threads = pool(THREADS);
    let (mut ours, mut plain) = (f64::MAX, f64::MAX);
    for _ in 0..ROUNDS {
        let samples: Vec<(usize, u16)> = (0..CELLS)
            .map(|_| (rng.gen_range(0..SHARDS), cell(&mut rng)))
            .collect();
        set.forget();
        let read = once(Clock::Wall, &mut || set.read(&samples));
        set.forget();
        let opened = once(Clock::Wall, &mut || {
            threads.install(|| set.open(kernel, &samples))
        });
        for ((cell, opened), sample) in read.result.iter().zip(&opened.result).zip(&samples) {
            assert!(cell == &opened.bytes && set.holds(*sample, opened));
        }
        (ours, plain) = (ours.min(opened.seconds), plain.min(read.seconds));
    }
    SUBJECT.measured(1e3 * ours, 1e3 * plain)
}

pub fn stored_tree() -> Record {
    let count = |bytes: usize| f64::from(u32::try_from(bytes).unwrap());
    STORED.alone(100.0 * count(STORED_TREE_BYTES) / count(SHARD_BYTES))
}

fn cell(rng: &mut StdRng) -> u16 {
    u16::try_from(rng.gen_range(0..SHARD_CELLS)).unwrap()
}

/// Shards in files, with their trees.
struct Set {
    files: Vec<PathBuf>,
    roots: Vec<StorageRoot>,
}

impl Set {
    /// Shard n is the BLAKE3 output stream of the number n.
    fn load_or_create(kernel: Kernel, folder: &Path) -> Self {
        fs::create_dir_all(folder).unwrap();
        let files: Vec<PathBuf> = (0..SHARDS)
            .map(|n| folder.join(format!("{n}.shard")))
            .collect();
        for (n, path) in files.iter().enumerate() {
            let whole = |file: fs::Metadata| file.len() == SHARD_FILE_BYTES as u64;
            if !fs::metadata(path).is_ok_and(whole) {
                create(n, path);
            }
        }
        let roots = files.iter().map(|path| {
            let file = File::open(path).unwrap();
            read_tree::<Infallible>(kernel, &file).unwrap().root()
        });
        Self {
            roots: roots.collect(),
            files,
        }
    }

    fn forget(&self) {
        for path in &self.files {
            let file = File::open(path).unwrap();
            fadvise(&file, 0, None, Advice::DontNeed).unwrap();
        }
    }

    /// One file and one cell after the other.
    fn read(&self, samples: &[(usize, u16)]) -> Vec<[u8; CELL_BYTES]> {
        let read = |(shard, cell): &(usize, u16)| {
            let mut bytes = [0; CELL_BYTES];
            let file = File::open(&self.files[*shard]).unwrap();
            let at = u64::from(*cell) * CELL_BYTES as u64;
            ReadAt::read_exact_at(&file, at, &mut bytes).unwrap();
            bytes
        };
        samples.iter().map(read).collect()
    }

    fn open(&self, kernel: Kernel, samples: &[(usize, u16)]) -> Vec<OpenedCell> {
        let wanted = |(shard, cell): &(usize, u16)| Wanted {
            root: self.roots[*shard],
            cell: *cell,
        };
        let wanted: Vec<Wanted> = samples.iter().map(wanted).collect();
        let opened = open_cells(kernel, &wanted, |n| File::open(&self.files[samples[n].0]));
        opened.into_iter().map(Result::unwrap).collect()
    }

    /// Whether a cell's path leads to its shard's root.
    fn holds(&self, (shard, index): (usize, u16), cell: &OpenedCell) -> bool {
        let root = fold(cell_digest(&cell.bytes), u64::from(index), &cell.path);
        self.roots[shard].as_field() == root
    }
}

/// Writes beside the file and renames: what is there is whole.
fn create(n: usize, path: &Path) {
    let mut bytes = vec![0; SHARD_BYTES];
    let mut hasher = blake3::Hasher::new();
    hasher.update(&(n as u64).to_le_bytes());
    hasher.finalize_xof().fill(&mut bytes);
    let tree = StoredTree::from_tree(&commit_with_trees(&bytes).unwrap().storage);
    let part = path.with_extension("part");
    let file = File::create(&part).unwrap();
    write_shard(BufWriter::new(&file), &bytes, &tree).unwrap();
    file.sync_all().unwrap();
    fs::rename(part, path).unwrap();
}
