//! Transforms and a proof's quotient against arkworks: `cargo bench -p prover --bench fft`.
//!
//! The size is 2^16, or what `FFT_LOG_SIZE` says: 19 is that of the standard profile. Everything runs on one thread and on
//! as many as there are cores.
#![allow(clippy::unwrap_used, missing_docs)]

use ark_bn254::Fr;
use ark_ff::{Field, UniformRand};
use ark_groth16::r1cs_to_qap::{LibsnarkReduction, R1CSToQAP};
use ark_poly::{EvaluationDomain, Radix2EvaluationDomain};
use circuits::circuit::Matrix;
use criterion::{BatchSize, Bencher, Criterion, Throughput, criterion_group, criterion_main};
use prover::{
    fft::{Domain, Places},
    kernel::Kernel,
    qap::{OddCoset, QuotientBasis},
    quotient::Quotient,
};
use rand::{Rng, SeedableRng, rngs::StdRng};
use rayon::ThreadPool;
use std::hint::black_box;

const INSTANCE: usize = 4;

fn log_size() -> u32 {
    std::env::var("FFT_LOG_SIZE").map_or(16, |log| log.parse().unwrap())
}

/// One thread, and as many as there are cores.
fn pools() -> Vec<ThreadPool> {
    let cores = std::thread::available_parallelism().unwrap().get();
    let mut threads = vec![1, cores];
    threads.dedup();
    threads
        .into_iter()
        .map(|threads| {
            rayon::ThreadPoolBuilder::new()
                .num_threads(threads)
                .build()
                .unwrap()
        })
        .collect()
}

/// A piece of work on each number of threads.
fn on_pools(
    criterion: &mut Criterion,
    group: &str,
    name: &str,
    size: usize,
    mut work: impl FnMut(&mut Bencher<'_>) + Send,
) {
    let mut group = criterion.benchmark_group(group);
    group
        .sample_size(10)
        .throughput(Throughput::Elements(size as u64));
    for pool in pools() {
        let name = format!("{name}, threads: {}", pool.current_num_threads());
        group.bench_function(name, |bencher| pool.install(|| work(bencher)));
    }
}

fn transforms(criterion: &mut Criterion) {
    let size = 1 << log_size();
    let mut rng = StdRng::seed_from_u64(1);
    let column: Vec<Fr> = (0..size).map(|_| Fr::rand(&mut rng)).collect();
    let roots = Radix2EvaluationDomain::<Fr>::new(size).unwrap();
    let double = Radix2EvaluationDomain::<Fr>::new(2 * size).unwrap();
    let odd = roots.get_coset(double.group_gen()).unwrap();

    on_pools(criterion, "interpolate", "ark-poly", size, |bencher| {
        bencher.iter_batched_ref(
            || column.clone(),
            |v| roots.ifft_in_place(v),
            BatchSize::LargeInput,
        );
    });
    on_pools(criterion, "extend", "ark-poly", size, |bencher| {
        bencher.iter_batched_ref(
            || column.clone(),
            |v| {
                roots.ifft_in_place(v);
                odd.fft_in_place(v);
            },
            BatchSize::LargeInput,
        );
    });
    for kernel in [Some(Kernel::Scalar), Kernel::ifma()].into_iter().flatten() {
        let domain = Domain::new(kernel, size).unwrap();
        domain.prepare();
        let name = kernel.to_string();
        on_pools(criterion, "interpolate", &name, size, |bencher| {
            let values = || domain.values(|i| column[i]);
            let work = |v| domain.interpolate(v, Places::Roots);
            bencher.iter_batched(values, work, BatchSize::LargeInput);
        });
        on_pools(criterion, "extend", &name, size, |bencher| {
            let values = || domain.values(|i| column[i]);
            bencher.iter_batched(values, |v| domain.extend(v), BatchSize::LargeInput);
        });
    }
}

/// Rows as those of the storage circuit: mostly single variables, one in twenty a combination that stands in three rows.
fn system(size: usize) -> ([Matrix; 3], Vec<Fr>) {
    let mut rng = StdRng::seed_from_u64(2);
    let rows = size - INSTANCE;
    let mut values: Vec<Fr> = (0..size).map(|_| Fr::rand(&mut rng)).collect();
    values[0] = Fr::ONE;
    let coefficients: Vec<Fr> = (0..500).map(|_| Fr::rand(&mut rng)).collect();
    let (mut a, mut b): (Matrix, Matrix) = (Vec::new(), Vec::new());
    while a.len() < rows {
        let terms = if rng.gen_bool(0.05) { 32 } else { 1 };
        let row: Vec<_> = (0..terms)
            .map(|_| {
                let one = terms == 1;
                let coefficient = if one {
                    Fr::ONE
                } else {
                    coefficients[rng.gen_range(0..500)]
                };
                (coefficient, rng.gen_range(0..size))
            })
            .collect();
        let single = vec![(Fr::ONE, rng.gen_range(0..size))];
        a.extend([row.clone(), single.clone(), single.clone()]);
        b.extend([row.clone(), single, row]);
    }
    a.truncate(rows);
    b.truncate(rows);
    let dot = |row: &[(Fr, usize)]| row.iter().map(|(k, i)| *k * values[*i]).sum::<Fr>();
    let c = a
        .iter()
        .zip(&b)
        .map(|(a, b)| vec![(dot(a) * dot(b), 0)])
        .collect();
    ([a, b, c], values)
}

fn quotients(criterion: &mut Criterion) {
    type Ark = Radix2EvaluationDomain<Fr>;
    let size = 1 << log_size();
    let (matrices, values) = system(size);
    let rows = matrices[0].len();
    for (group, basis) in [
        ("quotient, powers", QuotientBasis::Powers),
        ("quotient, odd coset", QuotientBasis::OddCoset),
    ] {
        on_pools(criterion, group, "arkworks", size, |bencher| {
            let (matrices, values) = (black_box(&matrices), black_box(&values));
            bencher.iter(|| match basis {
                QuotientBasis::Powers => LibsnarkReduction::witness_map_from_matrices::<Fr, Ark>(
                    matrices, INSTANCE, rows, values,
                ),
                QuotientBasis::OddCoset => {
                    OddCoset::witness_map_from_matrices::<Fr, Ark>(matrices, INSTANCE, rows, values)
                }
            });
        });
        for kernel in [Some(Kernel::Scalar), Kernel::ifma()].into_iter().flatten() {
            let [a, b, _] = &matrices;
            let quotient = Quotient::from_matrices(kernel, a, b, INSTANCE, values.len()).unwrap();
            quotient.prepare();
            on_pools(criterion, group, &kernel.to_string(), size, |bencher| {
                bencher.iter(|| quotient.scalars(basis, black_box(&values)));
            });
        }
    }
}

criterion_group!(benches, transforms, quotients);
criterion_main!(benches);
