//! Reed–Solomon on shards of one mebibyte: both engines of ours against `reed-solomon-erasure` with `simd-accel`, all in
//! buffers that exist. `cargo bench -p prover --bench erasure`
#![allow(clippy::unwrap_used, missing_docs)]

use std::hint::black_box;

use criterion::{
    BenchmarkGroup, Criterion, Throughput, criterion_group, criterion_main, measurement::WallTime,
};
use prover::erasure::{Code, Engine, Geometry, Place};
use rayon::{ThreadPool, ThreadPoolBuilder};
use reed_solomon_erasure::galois_8::ReedSolomon;

const SHARD_BYTES: usize = 1 << 20;
const PEER: &str = "reed-solomon-erasure";

fn stripe(data: usize, parity: usize) -> Vec<Vec<u8>> {
    let mut reader = blake3::Hasher::new().finalize_xof();
    let mut shards = vec![vec![0; SHARD_BYTES]; data + parity];
    for shard in &mut shards[..data] {
        reader.fill(shard);
    }
    ReedSolomon::new(data, parity)
        .unwrap()
        .encode(&mut shards)
        .unwrap();
    shards
}

/// One thread, and as many as there are cores.
fn pools() -> Vec<ThreadPool> {
    let cores = std::thread::available_parallelism().unwrap().get();
    let mut threads = vec![1, cores];
    threads.dedup();
    threads
        .into_iter()
        .map(|threads| {
            ThreadPoolBuilder::new()
                .num_threads(threads)
                .build()
                .unwrap()
        })
        .collect()
}

/// Each of our engines on each number of threads.
fn ours(
    group: &mut BenchmarkGroup<'_, WallTime>,
    geometry: Geometry,
    mut work: impl FnMut(&Code) + Send,
) {
    for engine in Engine::available() {
        let code = Code::with_engine(geometry, engine);
        for pool in pools() {
            let name = format!("{engine:?}, threads: {}", pool.current_num_threads());
            group.bench_function(name, |bencher| {
                pool.install(|| bencher.iter(|| work(&code)));
            });
        }
    }
}

fn encode(criterion: &mut Criterion) {
    for (data, parity) in [(10, 4), (20, 12), (10, 32)] {
        let mut shards = stripe(data, parity);
        let mut group = criterion.benchmark_group(format!("encode {data}+{parity}"));
        group.throughput(Throughput::Bytes((data * SHARD_BYTES) as u64));
        let theirs = ReedSolomon::new(data, parity).unwrap();
        group.bench_function(PEER, |bencher| {
            bencher.iter(|| theirs.encode(black_box(&mut shards)).unwrap());
        });
        let (sources, targets) = shards.split_at_mut(data);
        let sources: Vec<&[u8]> = sources.iter().map(Vec::as_slice).collect();
        let mut targets: Vec<&mut [u8]> = targets.iter_mut().map(Vec::as_mut_slice).collect();
        ours(&mut group, Geometry::new(data, parity).unwrap(), |code| {
            code.encode(black_box(&sources), black_box(&mut targets))
                .unwrap();
        });
    }
}

fn rebuild(criterion: &mut Criterion) {
    let (data, parity) = (10, 4);
    let geometry = Geometry::new(data, parity).unwrap();
    let theirs = ReedSolomon::new(data, parity).unwrap();
    for lost in [&[3][..], &[0, 4, 11, 13], &[0, 3, 4, 9]] {
        let shards = stripe(data, parity);
        let mut group =
            criterion.benchmark_group(format!("rebuild {data}+{parity} without {lost:?}"));
        group.throughput(Throughput::Bytes((data * SHARD_BYTES) as u64));
        let mut flagged: Vec<(Vec<u8>, bool)> =
            shards.iter().map(|shard| (shard.clone(), true)).collect();
        group.bench_function(PEER, |bencher| {
            bencher.iter(|| {
                for slot in lost {
                    flagged[*slot].1 = false;
                }
                theirs.reconstruct(black_box(&mut flagged)).unwrap();
            });
        });
        let mut rebuilt = vec![vec![0; SHARD_BYTES]; lost.len()];
        ours(&mut group, geometry, |code| {
            let mut places: Vec<Place<'_>> =
                shards.iter().map(|shard| Place::Present(shard)).collect();
            for (slot, shard) in lost.iter().zip(&mut rebuilt) {
                places[*slot] = Place::Wanted(shard);
            }
            code.rebuild(black_box(&mut places)).unwrap();
        });
        for (slot, shard) in lost.iter().zip(&rebuilt) {
            assert!(shard == &shards[*slot] && shard == &flagged[*slot].0);
        }
    }
}

criterion_group!(benches, encode, rebuild);
criterion_main!(benches);
