//! Opening random cells of a 1 GiB shard set, against plain reads of the same cells: `cargo bench -p prover --bench paths`.
//!
//! A plain read opens the shard's file and reads the cell's 496 bytes, one after the other. Each run takes other cells, so
//! that a cold read stays cold; ours and plain ones take turns, and the least and the median of their times are printed. For
//! cold ones the kernel is asked to forget the files before (`posix_fadvise`); their inodes stay known. The processor time of
//! all threads is printed too: on a machine that does other things, it tells more than the clock.
//! `PROBITY_BENCH_DIR` names the folder of the shard set, which is made when it is missing; by default `target/bench`.
#![allow(clippy::unwrap_used, clippy::cast_possible_truncation, missing_docs)]

use circuits::{
    StorageRoot,
    storage::{CELL_BYTES, SHARD_BYTES, SHARD_CELLS},
};
use prover::{
    commit::commit_with_trees,
    kernel::{self, Kernel},
    paths::{ReadAt, SHARD_FILE_BYTES, open_cells, read_tree, write_shard},
    stored_tree::{STORED_TREE_BYTES, StoredTree, Wanted},
};
use rand::{Rng, SeedableRng, rngs::StdRng};
use rustix::time::{ClockId, clock_gettime};
use std::{
    convert::Infallible,
    env, fs,
    fs::File,
    io::BufWriter,
    path::{Path, PathBuf},
    time::Instant,
};

const SET_BYTES: usize = 1 << 30;
const SHARDS: usize = SET_BYTES.div_ceil(SHARD_BYTES);
const CELLS: usize = 100;
const RUNS: usize = 101;

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
        let mut bytes = vec![0; SHARD_BYTES];
        for (n, path) in files.iter().enumerate() {
            if fs::metadata(path).is_ok_and(|file| file.len() == SHARD_FILE_BYTES as u64) {
                continue;
            }
            blake3::Hasher::new()
                .update(&(n as u64).to_le_bytes())
                .finalize_xof()
                .fill(&mut bytes);
            let tree = StoredTree::from_tree(&commit_with_trees(&bytes).unwrap().storage);
            let part = path.with_extension("part");
            let file = File::create(&part).unwrap();
            write_shard(BufWriter::new(&file), &bytes, &tree).unwrap();
            file.sync_all().unwrap();
            fs::rename(part, path).unwrap();
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
            rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed).unwrap();
        }
    }

    fn plain(&self, samples: &[(usize, u16)]) -> Took {
        let started = Clock::start();
        let mut cell = [0; CELL_BYTES];
        for (shard, index) in samples {
            let file = File::open(&self.files[*shard]).unwrap();
            file.read_exact_at(u64::from(*index) * CELL_BYTES as u64, &mut cell)
                .unwrap();
        }
        started.took()
    }

    fn paths(&self, kernel: Kernel, samples: &[(usize, u16)]) -> Took {
        let wanted: Vec<Wanted> = samples
            .iter()
            .map(|(shard, cell)| Wanted {
                root: self.roots[*shard],
                cell: *cell,
            })
            .collect();
        let started = Clock::start();
        let opened = open_cells(kernel, &wanted, |n| File::open(&self.files[samples[n].0]));
        let took = started.took();
        assert!(opened.iter().all(Result::is_ok));
        took
    }
}

/// Milliseconds by the clock and of the processor.
#[derive(Clone, Copy)]
struct Took {
    wall: f64,
    processor: f64,
}

struct Clock {
    wall: Instant,
    processor: f64,
}

impl Clock {
    fn start() -> Self {
        Self {
            wall: Instant::now(),
            processor: Self::processor(),
        }
    }

    fn took(&self) -> Took {
        Took {
            wall: self.wall.elapsed().as_secs_f64() * 1e3,
            processor: Self::processor() - self.processor,
        }
    }

    fn processor() -> f64 {
        let now = clock_gettime(ClockId::ProcessCPUTime);
        now.tv_sec as f64 * 1e3 + now.tv_nsec as f64 / 1e6
    }
}

/// Least and median of what is measured.
fn summary(times: &[Took], of: impl Fn(&Took) -> f64) -> [f64; 2] {
    let mut times: Vec<f64> = times.iter().map(of).collect();
    times.sort_by(f64::total_cmp);
    [times[0], times[times.len() / 2]]
}

fn samples(rng: &mut StdRng) -> Vec<(usize, u16)> {
    (0..CELLS)
        .map(|_| {
            (
                rng.gen_range(0..SHARDS),
                rng.gen_range(0..SHARD_CELLS) as u16,
            )
        })
        .collect()
}

fn main() {
    let kernel = kernel::active().unwrap();
    let folder = env::var_os("PROBITY_BENCH_DIR").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/bench"),
        PathBuf::from,
    );
    let set = Set::load_or_create(kernel, &folder.join("shard-set"));
    let cores = std::thread::available_parallelism().unwrap().get();
    let share = 100.0 * STORED_TREE_BYTES as f64 / SHARD_BYTES as f64;
    println!(
        "{CELLS} cells of {SHARDS} shards, kernel {kernel}, {cores} cores; stored trees {share:.3} % of the data"
    );
    let mut rng = StdRng::seed_from_u64(1);
    for cold in [true, false] {
        let (mut plain, mut paths) = (Vec::new(), Vec::new());
        for run in 0..RUNS {
            if cold {
                set.forget();
            }
            let (first, second) = (samples(&mut rng), samples(&mut rng));
            if !cold {
                set.plain(&first);
                set.paths(kernel, &second);
            }
            // Who goes first changes, for the disk may be warmer for the second.
            if run % 2 == 0 {
                plain.push(set.plain(&first));
                paths.push(set.paths(kernel, &second));
            } else {
                paths.push(set.paths(kernel, &second));
                plain.push(set.plain(&first));
            }
        }
        let [least, median] = summary(&plain, |took| took.wall);
        let ours = summary(&paths, |took| took.wall);
        let processor = summary(&paths, |took| took.processor);
        for (name, plain, ours, processor) in [
            ("least", least, ours[0], processor[0]),
            ("median", median, ours[1], processor[1]),
        ] {
            println!(
                "{} {name:<7} plain reads {plain:7.2} ms, paths {ours:7.2} ms ({processor:.2} ms of processors), ratio {:.2}",
                if cold { "cold" } else { "warm" },
                ours / plain
            );
        }
    }
}
