//! Against `ark-poly`, on words that check themselves and on the processor's.
#![allow(clippy::unwrap_used, clippy::cast_possible_truncation)]

use super::*;
use crate::kernel::tests::kernels;
use ark_ff::UniformRand;
use engine::Engine;
use rand::{SeedableRng, rngs::StdRng};

/// Random numbers, and columns at which a mistake in a range would show.
fn columns(size: usize) -> Vec<Vec<Fr>> {
    let mut rng = StdRng::seed_from_u64(size as u64);
    let random = (0..size).map(|_| Fr::rand(&mut rng)).collect();
    let mut unit = vec![Fr::ZERO; size];
    unit[size - 1] = Fr::ONE;
    let alternating = (0..size).map(|i| if i % 2 == 0 { -Fr::ONE } else { Fr::ZERO });
    vec![
        random,
        unit,
        vec![Fr::ZERO; size],
        vec![-Fr::ONE; size],
        alternating.collect(),
    ]
}

const ALL_PLACES: [Places; 2] = [Places::Roots, Places::OddCoset];

fn ark(size: usize, places: Places) -> Radix2EvaluationDomain<Fr> {
    let domain = Radix2EvaluationDomain::<Fr>::new(size).unwrap();
    let double = Radix2EvaluationDomain::<Fr>::new(2 * size).unwrap();
    match places {
        Places::Roots => domain,
        Places::OddCoset => domain.get_coset(double.group_gen()).unwrap(),
    }
}

#[test]
fn both_kernels_transform_as_ark_poly_does() {
    let kernels = kernels("both_kernels_transform_as_ark_poly_does");
    for log in MIN_LOG_SIZE..=15 {
        let size = 1 << log;
        for kernel in kernels.clone() {
            let domain = Domain::new(kernel, size).unwrap();
            for column in columns(size).into_iter().take(if log > 10 { 1 } else { 5 }) {
                for places in ALL_PLACES {
                    let values = domain.values(|i| column[i]);
                    let found = domain.interpolate(values, places).to_fields();
                    let expected = ark(size, places).ifft(&column);
                    assert!(
                        found == expected,
                        "{kernel} interpolates 2^{log} {places:?}"
                    );

                    let coefficients = domain.coefficients(|i| column[i]);
                    let found = domain.evaluate(coefficients, places).to_fields();
                    let expected = ark(size, places).fft(&column);
                    assert!(found == expected, "{kernel} evaluates 2^{log} {places:?}");
                }
                let found = domain.extend(domain.values(|i| column[i])).to_fields();
                let expected =
                    ark(size, Places::OddCoset).fft(&ark(size, Places::Roots).ifft(&column));
                assert!(found == expected, "{kernel} extends 2^{log}");
            }
        }
    }
}

/// Everything the IFMA path does, with any engine.
fn check<E: Engine>(engine: E, size: usize) {
    let vectors = size / LANES;
    for column in columns(size) {
        for places in ALL_PLACES {
            let shift = ark(size, places).coset_offset();
            let inverse = Roots::new(size, shift, Direction::Interpolate);
            let forward = Roots::new(size, shift, Direction::Evaluate);
            let mut data = pointwise::fill(engine, vectors, Order::Natural, |i| column[i]);
            passes::interpolate(engine, &mut data, &inverse);
            let coefficients = ark(size, places).ifft(&column);
            assert!(pointwise::fields(engine, &data, Order::Reversed) == coefficients);
            passes::evaluate(engine, &mut data, &forward);
            assert!(pointwise::fields(engine, &data, Order::Natural) == column);
            passes::extend(engine, &mut data, &inverse, &forward);
            assert!(pointwise::fields(engine, &data, Order::Natural) == column);
            let squares = pointwise::product(engine, &data, &data);
            let less = pointwise::product_less(engine, [&data, &data, &data]);
            let half = pointwise::half_difference(engine, &squares, &data);
            let squares = pointwise::fields(engine, &squares, Order::Natural);
            for (i, x) in column.iter().enumerate() {
                assert_eq!(squares[i], *x * x);
                assert_eq!(less[i], (*x * x - x).into_bigint());
            }
            let data = pointwise::fields(engine, &data, Order::Reversed);
            let other = pointwise::fill(engine, vectors, Order::Natural, |i| squares[i]);
            let squares = pointwise::fields(engine, &other, Order::Reversed);
            for (i, half) in half.into_iter().enumerate() {
                let half = Fr::from_bigint(half).unwrap();
                assert_eq!(half.double(), squares[i] - data[i]);
            }
        }
    }
}

#[test]
fn no_number_leaves_its_range() {
    for log in MIN_LOG_SIZE..=10 {
        check((), 1 << log);
    }
}

#[test]
fn parts_of_every_length_keep_their_ranges() {
    // The longest parts, several of them, and odd numbers of layers on either side.
    let size = 1 << 17;
    let column: Vec<Fr> = (0..size).map(|i| -Fr::from(i as u64 % 3)).collect();
    let shift = ark(size, Places::OddCoset).coset_offset();
    let inverse = Roots::new(size, Fr::ONE, Direction::Interpolate);
    let forward = Roots::new(size, shift, Direction::Evaluate);
    let mut data = pointwise::fill((), size / LANES, Order::Natural, |i| column[i]);
    passes::extend((), &mut data, &inverse, &forward);
    let expected = ark(size, Places::OddCoset).fft(&ark(size, Places::Roots).ifft(&column));
    assert!(pointwise::fields((), &data, Order::Natural) == expected);
}

#[test]
fn transforms_use_the_threads_they_are_given_and_give_the_same() {
    let size = 1 << 12;
    let column = columns(size).swap_remove(0);
    for kernel in kernels("transforms_use_the_threads_they_are_given") {
        let domain = Domain::new(kernel, size).unwrap();
        domain.prepare();
        let on = |threads| {
            let pool = rayon::ThreadPoolBuilder::new()
                .num_threads(threads)
                .build()
                .unwrap();
            pool.install(|| domain.extend(domain.values(|i| column[i])).to_fields())
        };
        assert!(on(1) == on(3));
    }
}

#[test]
fn sizes_that_are_no_domain_are_refused() {
    for size in [0, 1, 4, 12, 1 << 23, usize::MAX] {
        assert_eq!(
            Domain::new(Kernel::Scalar, size).err(),
            Some(SizeError { size })
        );
    }
    assert_eq!(Domain::new(Kernel::Scalar, 8).unwrap().size(), 8);
}

#[test]
#[should_panic(expected = "places of the domain")]
fn values_of_another_domain_are_refused() {
    let values = Domain::new(Kernel::Scalar, 8).unwrap().values(|_| Fr::ONE);
    let _ = Domain::new(Kernel::Scalar, 16).unwrap().extend(values);
}
