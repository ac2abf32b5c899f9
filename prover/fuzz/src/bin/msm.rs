//! Sums of points times scalars: bases that are small multiples of one point, so that equal, opposite and infinite sums come
//! up at every step, and scalars at the edges of their digits. The expected sum is one multiplication.
#![no_main]

use ark_bn254::{Fr, G1Projective, G2Projective};
use ark_ec::{
    CurveGroup, PrimeGroup,
    short_weierstrass::{Affine, Projective},
};
use ark_ff::AdditiveGroup;
use libfuzzer_sys::fuzz_target;
use prover::{
    kernel::Kernel,
    msm::{Curve, G1, G2, PackedBases, Scalars},
};
use prover_fuzz::Bytes;

/// Most bases of one input.
const MOST: usize = 1 << 10;

/// `k` for a base `k` times the generator, and its scalar.
type Term = (i8, Fr);

/// Terms, some of them many times, so that lists of one digit grow long.
fn terms(bytes: &mut Bytes<'_>) -> Vec<Term> {
    let mut terms: Vec<Term> = Vec::new();
    while !bytes.is_empty() && terms.len() < MOST {
        let (shape, k) = (bytes.byte(), bytes.byte().cast_signed());
        // Few different bases, most of the time.
        let k = if shape & 1 == 0 { k % 4 } else { k };
        let scalar = match terms.last() {
            Some((_, last)) if shape & 2 == 0 => *last,
            _ => bytes.element(),
        };
        let times = if shape & 4 == 0 {
            1
        } else {
            usize::from(shape >> 3)
        };
        let alternate = bytes.byte() & 1 == 1;
        for i in 0..times.min(MOST - terms.len()) {
            let k = if alternate && i % 2 == 1 {
                k.wrapping_neg()
            } else {
                k
            };
            terms.push((k, scalar));
        }
    }
    terms
}

fn bases<C: Curve>(terms: &[Term]) -> Option<PackedBases<'static, C>> {
    let generator = Projective::<C>::generator();
    let mut multiples = vec![Projective::<C>::ZERO; 256];
    for k in 1..256 {
        multiples[k] = multiples[k - 1] + generator;
    }
    let multiples = Projective::normalize_batch(&multiples);
    let points: Vec<Affine<C>> = terms
        .iter()
        .map(|(k, _)| {
            let point = multiples[usize::from(k.unsigned_abs())];
            if *k < 0 { -point } else { point }
        })
        .collect();
    PackedBases::new(&points).ok()
}

fuzz_target!(|bytes: &[u8]| {
    let terms = terms(&mut Bytes(bytes));
    let total: Fr = terms.iter().map(|(k, scalar)| Fr::from(*k) * scalar).sum();
    let values: Vec<Fr> = terms.iter().map(|(_, scalar)| *scalar).collect();
    let (Some(first), Some(second)) = (bases::<G1>(&terms), bases::<G2>(&terms)) else {
        unreachable!("there are few bases")
    };
    let expected = (
        G1Projective::generator() * total,
        G2Projective::generator() * total,
    );
    for kernel in [Some(Kernel::Scalar), Kernel::ifma()].into_iter().flatten() {
        let scalars = Scalars::new(kernel, &values);
        assert_eq!(scalars.times(&first), Ok(expected.0), "{kernel}");
        assert_eq!(scalars.times(&second), Ok(expected.1), "{kernel}");
    }
});
