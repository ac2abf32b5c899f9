//! A prepared phase-1 file whose secrets are known: for tests, those of the binary included.
#![allow(clippy::unwrap_used, clippy::cast_possible_truncation)]

use ark_bn254::{Fq, Fr, G1Affine, G2Affine};
use ark_ec::{AffineRepr, PrimeGroup, ScalarMul};
use ark_ff::{BigInteger, Field, PrimeField};
use ark_poly::{EvaluationDomain, Radix2EvaluationDomain};

/// The file with these secrets, filled as far as a domain of half its size needs it; the rest are generators.
pub fn ptau(power: u32, tau: u64, alpha: u64, beta: u64) -> Vec<u8> {
    let (tau, alpha, beta) = (Fr::from(tau), Fr::from(alpha), Fr::from(beta));
    let n = 1usize << (power - 1);
    let powers = |count: usize, factor: Fr| -> Vec<Fr> {
        (0..count as u64).map(|i| factor * tau.pow([i])).collect()
    };
    let lagrange = |size: usize, factor: Fr| -> Vec<Fr> {
        let domain = Radix2EvaluationDomain::<Fr>::new(size).unwrap();
        let at_tau = domain.evaluate_all_lagrange_coefficients(tau);
        at_tau.into_iter().map(|value| value * factor).collect()
    };
    let header = [
        &32u32.to_le_bytes()[..],
        &Fq::MODULUS.to_bytes_le(),
        &power.to_le_bytes(),
        &power.to_le_bytes(),
    ];
    let both = [lagrange(n, Fr::ONE), lagrange(2 * n, Fr::ONE)].concat();
    let sections = [
        (1, header.concat()),
        (2, points::<G1Affine>(4 * n - 1, 0, &powers(2 * n, Fr::ONE))),
        (3, points::<G2Affine>(2 * n, 0, &powers(n, Fr::ONE))),
        (4, points::<G1Affine>(2 * n, 0, &powers(n, alpha))),
        (5, points::<G1Affine>(2 * n, 0, &powers(n, beta))),
        (6, points::<G2Affine>(1, 0, &[beta])),
        (7, Vec::new()),
        (12, points::<G1Affine>(8 * n - 1, n - 1, &both)),
        (13, points::<G2Affine>(4 * n - 1, n - 1, &both[..n])),
        (
            14,
            points::<G1Affine>(4 * n - 1, n - 1, &lagrange(n, alpha)),
        ),
        (15, points::<G1Affine>(4 * n - 1, n - 1, &lagrange(n, beta))),
    ];
    let mut file = b"ptau".to_vec();
    file.extend(1u32.to_le_bytes());
    file.extend((sections.len() as u32).to_le_bytes());
    for (id, content) in sections {
        file.extend(u32::to_le_bytes(id));
        file.extend((content.len() as u64).to_le_bytes());
        file.extend(content);
    }
    file
}

/// `total` points; from `start` on, those with the given logarithms.
fn points<P>(total: usize, start: usize, logarithms: &[Fr]) -> Vec<u8>
where
    P: AffineRepr<ScalarField = Fr, BaseField: Field<BasePrimeField = Fq>>,
    P::Group: ScalarMul<MulBase = P>,
{
    let mut points = vec![P::generator(); total];
    let known = P::Group::generator().batch_mul(logarithms);
    points[start..start + known.len()].copy_from_slice(&known);
    let mut bytes = Vec::new();
    for point in points {
        let (x, y) = point.xy().unwrap();
        for coordinate in [x, y] {
            for element in coordinate.to_base_prime_field_elements() {
                // Montgomery form.
                bytes.extend(element.0.0.into_iter().flat_map(u64::to_le_bytes));
            }
        }
    }
    bytes
}
