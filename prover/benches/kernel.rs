//! The lanes against arkworks on one core: `cargo bench -p prover --bench kernel`.
//!
//! Throughput is in elements for arithmetic, where eight lanes count as eight, and in bytes for hashing.
#![allow(clippy::unwrap_used, missing_docs)]

use ark_bn254::{Fq2, Fr};
use ark_ff::{Field, UniformRand};
use circuits::{
    poseidon2,
    storage::{CELL_BYTES, SHARD_BYTES},
};
use criterion::{
    BenchmarkGroup, Criterion, Throughput, criterion_group, criterion_main, measurement::WallTime,
};
use prover::kernel::{Kernel, storage};
use rand::{SeedableRng, rngs::StdRng};
use std::{array, hint::black_box};

/// Numbers an arithmetic benchmark works on: enough to hide latencies, few enough for the first cache.
const ELEMENTS: usize = 128;

fn random<F: UniformRand>() -> [F; ELEMENTS] {
    let mut rng = StdRng::seed_from_u64(1);
    array::from_fn(|_| F::rand(&mut rng))
}

fn group<'a>(
    criterion: &'a mut Criterion,
    name: &str,
    work: Throughput,
) -> BenchmarkGroup<'a, WallTime> {
    let mut group = criterion.benchmark_group(name);
    group.throughput(work);
    group
}

/// arkworks, one number after the other.
fn scalar<F: Field>(criterion: &mut Criterion, name: &str) {
    let mut group = group(criterion, name, Throughput::Elements(ELEMENTS as u64));
    let factor = random::<F>()[1];
    let mut values = random::<F>();
    group.bench_function("arkworks multiply", |bench| {
        bench.iter(|| {
            values
                .iter_mut()
                .for_each(|value| *value *= black_box(factor))
        });
    });
    group.bench_function("arkworks square", |bench| {
        bench.iter(|| {
            values
                .iter_mut()
                .for_each(|value| *value = black_box(value.square()))
        });
    });
    group.bench_function("arkworks batch inversion", |bench| {
        bench.iter(|| ark_ff::batch_inversion(black_box(&mut values)));
    });
}

fn fields(criterion: &mut Criterion) {
    scalar::<Fr>(criterion, "Fr");
    scalar::<Fq2>(criterion, "Fq2");
    #[cfg(target_arch = "x86_64")]
    lanes::fields(criterion);
}

/// The same on lanes, where the processor has them.
#[cfg(target_arch = "x86_64")]
mod lanes {
    use super::*;
    use ark_bn254::Fq;
    use prover::kernel::{
        FieldLanes, Ifma, LANES, Lanes, QuadraticLanes, batch_invert, ifma::Words512,
    };

    fn arithmetic<L: FieldLanes<Words512>>(
        criterion: &mut Criterion,
        name: &str,
        ifma: Ifma,
        mut values: Vec<L>,
    ) {
        let mut group = group(criterion, name, Throughput::Elements(ELEMENTS as u64));
        let factor = values[1];
        group.bench_function("lanes multiply", |bench| {
            bench.iter(|| {
                ifma.run(
                    #[inline(always)]
                    || {
                        for value in &mut values {
                            *value = value.mul(&factor);
                        }
                    },
                );
            });
        });
        group.bench_function("lanes square", |bench| {
            bench.iter(|| {
                ifma.run(
                    #[inline(always)]
                    || {
                        for value in &mut values {
                            *value = value.square();
                        }
                    },
                );
            });
        });
        let mut prefixes = Vec::new();
        group.bench_function("lanes batch inversion", |bench| {
            bench.iter(|| {
                ifma.run(
                    #[inline(always)]
                    || batch_invert(&mut values, &mut prefixes),
                );
            });
        });
    }

    pub fn fields(criterion: &mut Criterion) {
        let Some(ifma) = Ifma::detect() else {
            println!("skipped the lanes: this processor has no AVX-512 IFMA");
            return;
        };
        let elements = random::<Fr>();
        let (vectors, _) = elements.as_chunks::<LANES>();
        let values = vectors
            .iter()
            .map(|v| Lanes::<Fr, Words512>::from_fields(ifma, v));
        arithmetic(criterion, "Fr", ifma, values.collect());
        let elements = random::<Fq2>();
        let (vectors, _) = elements.as_chunks::<LANES>();
        let values = vectors
            .iter()
            .map(|v| QuadraticLanes::<Fq, Words512>::from_fields(ifma, v));
        arithmetic(criterion, "Fq2", ifma, values.collect());
    }
}

fn hashing(criterion: &mut Criterion) {
    let one_core = rayon::ThreadPoolBuilder::new()
        .num_threads(1)
        .build()
        .unwrap();
    let mut shard = vec![0; SHARD_BYTES];
    blake3::Hasher::new().finalize_xof().fill(&mut shard);
    // arkworks takes a quarter of a second for a shard: 64 cells tell as much.
    let some = &shard[..64 * CELL_BYTES];
    let kernels: Vec<Kernel> = [Some(Kernel::Scalar), Kernel::ifma()]
        .into_iter()
        .flatten()
        .collect();
    let mut group = group(criterion, "cells", Throughput::Bytes(some.len() as u64));
    for kernel in &kernels {
        group.bench_function(kernel.to_string(), |bench| {
            one_core.install(|| bench.iter(|| storage::cell_digests(*kernel, black_box(some))));
        });
    }
    group.finish();

    let mut group = criterion.benchmark_group("shard root, one core");
    group
        .throughput(Throughput::Bytes(SHARD_BYTES as u64))
        .sample_size(10);
    for kernel in &kernels {
        group.bench_function(kernel.to_string(), |bench| {
            one_core.install(|| bench.iter(|| storage::storage_tree(*kernel, black_box(&shard))));
        });
    }
    group.finish();

    let mut group = criterion.benchmark_group("one permutation");
    group.throughput(Throughput::Elements(1));
    let mut state = array::from_fn(|i| Fr::from(i as u64));
    group.bench_function("width 16, arkworks", |bench| {
        bench.iter(|| poseidon2::width_16().permute(black_box(&mut state)));
    });
}

criterion_group!(benches, fields, hashing);
criterion_main!(benches);
