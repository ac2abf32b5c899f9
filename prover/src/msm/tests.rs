//! The lanes against arkworks, for inputs that are random and for those made to go wrong.
#![allow(clippy::unwrap_used, clippy::cast_possible_truncation)]

use super::*;
use crate::kernel::{checked::CheckedWords, tests::kernels};
use ark_bn254::{G1Affine, G1Projective, G2Affine};
use ark_ec::{AffineRepr, CurveGroup, short_weierstrass::Affine};
use ark_ff::{Field, PrimeField, UniformRand};
use proptest::{collection::vec, prelude::*};
use rand::{Rng, SeedableRng, rngs::StdRng};
use rayon::ThreadPoolBuilder;

fn rng() -> StdRng {
    StdRng::seed_from_u64(0x6d73_6d00)
}

/// What it must be: one multiplication after the other.
fn by_definition<C: Curve>(bases: &[Affine<C>], scalars: &[Fr]) -> Projective<C> {
    bases
        .iter()
        .zip(scalars)
        .map(|(base, scalar)| *base * scalar)
        .sum()
}

/// What it must be, for long inputs.
fn by_arkworks<C: Curve>(bases: &[Affine<C>], scalars: &[Fr]) -> Projective<C> {
    Projective::msm(bases, scalars).unwrap()
}

impl Backend for () {
    fn run<R>(self, task: impl FnOnce() -> R) -> R {
        task()
    }

    fn fetch(self, _: &Line) {}
}

/// On words that stop at the first number that leaves its range, with digits of so many bits.
fn check_ranges<C: Curve>(bits: u32, bases: &[Affine<C>], scalars: &[Fr], expected: Projective<C>) {
    let digits = Digits::new(scalars, Windows::of(bits));
    let packed = PackedBases::new(bases).unwrap();
    let found = on_lanes::<C, CheckedWords>((), &digits, &packed);
    assert_eq!(found, expected, "{} points, {bits} bits", bases.len());
}

fn check<C: Curve>(name: &str, bases: &[Affine<C>], scalars: &[Fr], expected: Projective<C>) {
    let packed = PackedBases::new(bases).unwrap();
    for kernel in kernels(name) {
        let found = msm(kernel, &packed, scalars).unwrap();
        assert_eq!(
            found,
            expected,
            "{name}: {} points on {kernel}",
            bases.len()
        );
    }
}

/// Points cheaply: sums of a few random ones.
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

fn scalars(count: usize, rng: &mut StdRng) -> Vec<Fr> {
    (0..count).map(|_| Fr::rand(rng)).collect()
}

fn every_size<C: Curve>(sizes: impl Iterator<Item = usize>) {
    let mut rng = rng();
    for size in sizes {
        let (bases, scalars) = (points::<C>(size, &mut rng), scalars(size, &mut rng));
        check(
            "every size",
            &bases,
            &scalars,
            by_arkworks(&bases, &scalars),
        );
    }
}

#[test]
fn sums_of_any_size_are_those_of_arkworks_in_g1() {
    every_size::<G1>((0..70).chain((70..600).step_by(23)));
}

#[test]
fn sums_of_any_size_are_those_of_arkworks_in_g2() {
    every_size::<G2>((0..20).chain((20..600).step_by(97)));
}

/// One of few points, its opposite, or infinity; with a scalar that is special, small, or random.
fn adversarial<C: Curve>(count: usize, few: usize, rng: &mut StdRng) -> (Vec<Affine<C>>, Vec<Fr>) {
    let known = points::<C>(few, rng);
    let special = scalars(4, rng);
    (0..count)
        .map(|_| {
            let known = known[rng.gen_range(0..few)];
            let base = match rng.gen_range(0..8) {
                0 => Affine::identity(),
                1..=3 => -known,
                _ => known,
            };
            let scalar = match rng.gen_range(0..10) {
                0 => Fr::ZERO,
                1 => Fr::ONE,
                2 => -Fr::ONE,
                3 => Fr::from(rng.gen_range(0..70_000_u64)),
                4 => -Fr::from(rng.gen_range(0..70_000_u64)),
                5 => Fr::from(2).pow([rng.gen_range(0..254_u64)]),
                6 | 7 => special[rng.gen_range(0..special.len())],
                8 => -special[rng.gen_range(0..special.len())],
                _ => Fr::rand(rng),
            };
            (base, scalar)
        })
        .unzip()
}

#[test]
fn mixes_of_equal_opposite_and_infinite_bases_are_exact() {
    let mut rng = rng();
    for few in [1, 2, 5, 300] {
        let (bases, scalars) = adversarial::<G1>(1 << 12, few, &mut rng);
        check(
            "a mix in G1",
            &bases,
            &scalars,
            by_arkworks(&bases, &scalars),
        );
        let (bases, scalars) = adversarial::<G2>(1 << 10, few, &mut rng);
        check(
            "a mix in G2",
            &bases,
            &scalars,
            by_arkworks(&bases, &scalars),
        );
    }
}

#[test]
fn one_base_and_one_scalar_many_times_are_doublings() {
    let mut rng = rng();
    for count in [2, 8, 9, 63, 64, 65, 600, 5000] {
        let base = points::<G1>(1, &mut rng)[0];
        for scalar in [Fr::ONE, -Fr::ONE, Fr::from(3), Fr::rand(&mut rng)] {
            let expected = base * (scalar * Fr::from(count as u64));
            check(
                "equal bases",
                &vec![base; count],
                &vec![scalar; count],
                expected,
            );
        }
    }
}

#[test]
fn bases_and_their_opposites_cancel() {
    let mut rng = rng();
    let half = points::<G1>(700, &mut rng);
    let (alternating, halves): (Vec<_>, Vec<_>) = (
        half.iter().flat_map(|base| [*base, -*base]).collect(),
        half.iter()
            .copied()
            .chain(half.iter().map(|base| -*base))
            .collect(),
    );
    for scalar in [Fr::ONE, Fr::from(77), -Fr::from(5), Fr::rand(&mut rng)] {
        for bases in [&alternating, &halves] {
            let scalars = vec![scalar; bases.len()];
            check("opposites", bases, &scalars, G1Projective::zero());
            // One that has no opposite is left over.
            let fewer = &bases[..bases.len() - 1];
            let left = -bases[bases.len() - 1] * scalar;
            check("opposites but one", fewer, &scalars[1..], left);
        }
    }
}

#[test]
fn zeros_infinities_and_nothing_sum_to_infinity() {
    let mut rng = rng();
    let bases = points::<G2>(100, &mut rng);
    check("zeros", &bases, &[Fr::ZERO; 100], Projective::zero());
    let infinities = [G2Affine::identity(); 100];
    check(
        "infinities",
        &infinities,
        &scalars(100, &mut rng),
        Projective::zero(),
    );
    check::<G1>("nothing", &[], &[], Projective::zero());
    check(
        "infinity",
        &[G1Affine::identity()],
        &[Fr::ONE],
        Projective::zero(),
    );
}

#[test]
fn edge_scalars_are_exact_one_by_one() {
    let mut rng = rng();
    let half = Fr::from(2).inverse().unwrap();
    let mut scalars = vec![Fr::ZERO, Fr::ONE, -Fr::ONE, half, -half, half - Fr::ONE];
    scalars.extend((0..254).map(|power| Fr::from(2).pow([power])));
    let base = points::<G1>(1, &mut rng);
    let other = points::<G2>(1, &mut rng);
    for scalar in scalars {
        check("an edge in G1", &base, &[scalar], base[0] * scalar);
        check("an edge in G2", &other, &[scalar], other[0] * scalar);
    }
}

#[test]
fn no_number_leaves_its_range_in_mixes_that_need_every_exception() {
    let mut rng = rng();
    for bits in Windows::BITS {
        let (bases, scalars) = adversarial::<G1>(150, 3, &mut rng);
        check_ranges(bits, &bases, &scalars, by_definition(&bases, &scalars));
    }
    for bits in [4, 9] {
        let (bases, scalars) = adversarial::<G2>(70, 2, &mut rng);
        check_ranges(bits, &bases, &scalars, by_definition(&bases, &scalars));
    }
    let (bases, scalars) = (points::<G1>(500, &mut rng), scalars(500, &mut rng));
    check_ranges(8, &bases, &scalars, by_arkworks(&bases, &scalars));
}

#[test]
fn lists_that_are_uneven_and_cut_many_times_are_exact() {
    // Most digits have few values, so some lists are hundreds of times longer than others.
    let mut rng = rng();
    for count in [40, 400, 4000, 30_000] {
        let bases = points::<G1>(count, &mut rng);
        let few = scalars(3, &mut rng);
        let scalars: Vec<Fr> = (0..count)
            .map(|i| {
                if i % 7 == 0 {
                    Fr::rand(&mut rng)
                } else {
                    few[i % 3]
                }
            })
            .collect();
        check(
            "uneven lists",
            &bases,
            &scalars,
            by_arkworks(&bases, &scalars),
        );
    }
}

#[test]
fn witnesses_of_mostly_bits_are_exact_on_any_number_of_threads() {
    let mut rng = rng();
    let count = 20_000;
    let bases = points::<G1>(count, &mut rng);
    let scalars: Vec<Fr> = (0..count)
        .map(|i| match i % 10 {
            0..4 => Fr::ZERO,
            4..8 => Fr::ONE,
            8 => Fr::from(rng.r#gen::<u16>()),
            _ => Fr::rand(&mut rng),
        })
        .collect();
    let expected = by_arkworks(&bases, &scalars);
    for threads in [1, 2, 3, 40] {
        let pool = ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .unwrap();
        pool.install(|| check("bits", &bases, &scalars, expected));
    }
}

#[test]
fn scalars_for_other_bases_are_refused() {
    let bases = PackedBases::<G1>::new(&points(10, &mut rng())).unwrap();
    for kernel in kernels("a wrong length") {
        let refused = msm(kernel, &bases, &[Fr::ONE; 9]);
        let expected = LengthMismatch {
            scalars: 9,
            variables: 10,
        };
        assert_eq!(refused, Err(expected));
    }
}

/// Bytes at a multiple of 64, as a mapped file has them.
fn aligned(bytes: &[u8], store: &mut Vec<Line>) -> std::ops::Range<usize> {
    store.resize(bytes.len().div_ceil(64), Line::default());
    zerocopy::IntoBytes::as_mut_bytes(&mut store[..])[..bytes.len()].copy_from_slice(bytes);
    0..bytes.len()
}

fn written<C: Curve>(bases: &PackedBases<'_, C>) -> Vec<u8> {
    let mut bytes = Vec::new();
    bases.write(&mut bytes).unwrap();
    assert_eq!(bytes.len(), bases.written_bytes());
    bytes
}

fn borrow<R>(bytes: &[u8], read: impl FnOnce(Result<PackedBases<'_, G1>, BasesError>) -> R) -> R {
    let mut store = Vec::new();
    let range = aligned(bytes, &mut store);
    read(PackedBases::borrow(
        &zerocopy::IntoBytes::as_bytes(&store[..])[range],
    ))
}

#[test]
fn written_bases_are_borrowed_as_they_were() {
    let mut rng = rng();
    for count in [0, 1, 63, 64, 65, 511, 512, 513] {
        let mut bases = points::<G1>(count, &mut rng);
        for base in bases.iter_mut().skip(1).step_by(3) {
            *base = Affine::identity();
        }
        let packed = PackedBases::new(&bases).unwrap();
        let finite: Vec<_> = bases
            .iter()
            .copied()
            .filter(|base| !base.is_zero())
            .collect();
        borrow(&written(&packed), |borrowed| {
            let borrowed = borrowed.unwrap();
            borrowed.check().unwrap();
            assert_eq!(borrowed.unpack(), finite);
            assert_eq!(
                (borrowed.variables(), borrowed.points()),
                (count, finite.len())
            );
            let scalars = scalars(count, &mut rng);
            for kernel in kernels("borrowed bases") {
                let found = msm(kernel, &borrowed, &scalars).unwrap();
                assert_eq!(found, by_definition(&bases, &scalars));
            }
        });
    }
}

#[test]
fn damaged_bytes_are_refused_and_never_panic() {
    let mut rng = rng();
    let mut bases = points::<G1>(70, &mut rng);
    bases[3] = Affine::identity();
    let bytes = written(&PackedBases::new(&bases).unwrap());
    let refused = |bytes: &[u8]| borrow(bytes, |bases| bases.map(|_| ()).unwrap_err());
    assert_eq!(refused(&[]), BasesError::Header);
    assert_eq!(
        refused(&bytes[..64]),
        BasesError::Length {
            expected: bytes.len() as u128,
            found: 64
        }
    );
    let short = bytes.len() - 1;
    assert!(matches!(
        refused(&bytes[..short]),
        BasesError::Length { .. }
    ));
    let with = |at: usize, byte: u8| {
        let mut bytes = bytes.clone();
        bytes[at] ^= byte;
        bytes
    };
    for at in [0, 7, 24, 63, 8 + 7, 16 + 7] {
        assert_eq!(refused(&with(at, 0x80)), BasesError::Header, "{at}");
    }
    // A point more or fewer in the map, or past the end.
    assert_eq!(refused(&with(64, 1)), BasesError::Map);
    assert_eq!(refused(&with(64, 1 << 3)), BasesError::Map);
    assert_eq!(refused(&with(64 + 8, 1 << 6)), BasesError::Map);
    // One variable less, which leaves a point without one.
    assert_eq!(refused(&with(8, 70 ^ 69)), BasesError::Map);
    let mut store = Vec::new();
    let range = aligned(&bytes, &mut store);
    let all = &zerocopy::IntoBytes::as_bytes(&store[..])[range];
    assert_eq!(
        PackedBases::<G1>::borrow(&all[8..]).unwrap_err(),
        BasesError::Alignment
    );
    assert_eq!(
        PackedBases::<G2>::borrow(all).unwrap_err(),
        BasesError::Header
    );
}

#[test]
fn checking_finds_a_point_that_is_off_the_curve_or_not_written_canonically() {
    let bases = points::<G1>(20, &mut rng());
    let bytes = written(&PackedBases::new(&bases).unwrap());
    let first = 2 * 64;
    let mut off = bytes.clone();
    off[first + 5 * 64] ^= 1;
    borrow(&off, |bases| {
        assert_eq!(bases.unwrap().check(), Err(BasesError::Point { index: 5 }));
    });
    let mut longer = bytes;
    // The same coordinate plus p.
    let mut carry = 0;
    for (i, p) in ark_bn254::Fq::MODULUS.0.iter().enumerate() {
        let word = &mut longer[first + 7 * 64 + 8 * i..][..8];
        let old = u64::from_le_bytes(word.try_into().unwrap());
        let sum = u128::from(old) + u128::from(*p) + carry;
        word.copy_from_slice(&(sum as u64).to_le_bytes());
        carry = sum >> 64;
    }
    borrow(&longer, |bases| {
        assert_eq!(bases.unwrap().check(), Err(BasesError::Point { index: 7 }));
    });
}

#[test]
fn checking_finds_a_point_outside_of_the_subgroup() {
    let mut rng = rng();
    let outside = loop {
        let x = ark_bn254::Fq2::rand(&mut rng);
        if let Some(point) = G2Affine::get_point_from_x_unchecked(x, false)
            && !point.is_in_correct_subgroup_assuming_on_curve()
        {
            break point;
        }
    };
    let good = points::<G2>(3, &mut rng);
    let packed = PackedBases::new(&[good[0], good[1], outside, good[2]]).unwrap();
    assert_eq!(packed.check(), Err(BasesError::Point { index: 2 }));
    assert_eq!(PackedBases::new(&good).unwrap().check(), Ok(()));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Bases are small multiples of one point, so that equal sums come up at every step.
    #[test]
    fn multiples_of_one_point_are_exact(
        multiples in vec(-4_i64..5, 0..200),
        digits in vec((any::<u64>(), 0_u64..254, any::<bool>()), 200),
    ) {
        let one = G1Projective::rand(&mut rng());
        let bases: Vec<Fr> = multiples.iter().map(|k| Fr::from(*k)).collect();
        let scalars: Vec<Fr> = digits[..bases.len()]
            .iter()
            .map(|(digit, power, negative)| {
                let scalar = Fr::from(*digit % 5) * Fr::from(2).pow([*power]);
                if *negative { -scalar } else { scalar }
            })
            .collect();
        let total: Fr = bases.iter().zip(&scalars).map(|(base, scalar)| *base * scalar).sum();
        let points: Vec<_> = bases.iter().map(|base| one * base).collect();
        let packed = PackedBases::new(&Projective::normalize_batch(&points)).unwrap();
        for kernel in kernels("multiples") {
            prop_assert_eq!(msm(kernel, &packed, &scalars).unwrap(), one * total);
        }
    }
}
