//! Sums of points times scalars against arkworks', on the threads that `RAYON_NUM_THREADS` allows.
//!
//! `cargo bench -p prover --bench msm`; with `PROBITY_BENCH_POINTS=19` for 2^19 points in place of 2^16.

use ark_bn254::Fr;
use ark_ec::{
    CurveGroup, VariableBaseMSM,
    short_weierstrass::{Affine, Projective},
};
use ark_ff::UniformRand;
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use prover::{
    kernel::Kernel,
    msm::{Curve, G1, G2, PackedBases, msm},
};
use rand::{Rng, SeedableRng, rngs::StdRng};
use std::{env, hint::black_box, time::Duration};

/// The variable that says how many points: their number's logarithm to base 2.
const POINTS: &str = "PROBITY_BENCH_POINTS";

fn logarithm() -> u32 {
    let given = env::var(POINTS).ok().and_then(|value| value.parse().ok());
    given.unwrap_or(16)
}

fn points<C: Curve>(count: usize, rng: &mut StdRng) -> Vec<Affine<C>> {
    let mut sum = Projective::<C>::rand(rng);
    let step = Projective::<C>::rand(rng);
    let points: Vec<_> = (0..count)
        .map(|_| {
            sum += step;
            sum
        })
        .collect();
    Projective::normalize_batch(&points)
}

/// Half bits, a quarter small numbers: much of a witness looks like that.
fn witness(count: usize, rng: &mut StdRng) -> Vec<Fr> {
    (0..count)
        .map(|i| match i % 4 {
            0 | 1 => Fr::from(rng.r#gen::<bool>()),
            2 => Fr::from(rng.r#gen::<u16>()),
            _ => Fr::rand(rng),
        })
        .collect()
}

fn group<C: Curve>(criterion: &mut Criterion, name: &str) {
    let mut rng = StdRng::seed_from_u64(1);
    let logarithm = logarithm();
    let count = 1 << logarithm;
    let bases = points::<C>(count, &mut rng);
    let Ok(packed) = PackedBases::new(&bases) else {
        return;
    };
    let random: Vec<Fr> = (0..count).map(|_| Fr::rand(&mut rng)).collect();
    let kernel = Kernel::detect();
    let mut group = criterion.benchmark_group(format!("msm {name} 2^{logarithm}"));
    group
        .sample_size(10)
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_secs(1))
        .throughput(Throughput::Elements(count as u64));
    for (kind, scalars) in [("random", &random), ("witness", &witness(count, &mut rng))] {
        group.bench_with_input(
            BenchmarkId::new(kernel.to_string(), kind),
            scalars,
            |b, s| {
                b.iter(|| black_box(msm(kernel, &packed, s)));
            },
        );
        group.bench_with_input(BenchmarkId::new("arkworks", kind), scalars, |b, s| {
            b.iter(|| black_box(Projective::<C>::msm(&bases, s)));
        });
    }
    group.finish();
}

fn groups(criterion: &mut Criterion) {
    group::<G1>(criterion, "G1");
    group::<G2>(criterion, "G2");
}

criterion_group!(benches, groups);
criterion_main!(benches);
