//! A constraint system of a few rows, and a phase 1 whose tau is known: for tests.
#![allow(clippy::unwrap_used, clippy::cast_possible_truncation)]

use super::{
    PowersOfTau, System, Zkey,
    container::Writer,
    contribute,
    error::FileKind,
    points::{FilePoint, encode_all},
};
use ark_bn254::{Fq, Fr, G1Affine, G2Affine};
use ark_ec::{PrimeGroup, ScalarMul};
use ark_ff::{BigInteger, Field, PrimeField};
use ark_poly::{EvaluationDomain, Radix2EvaluationDomain};
use circuits::circuit::Matrix;
use std::io::{Cursor, Write};

/// y = x^3 + x + 5 for a public y, and a second public input that equals 7x.
///
/// Variables: 1, y, w, x, x^2, x^3, and one that no row mentions.
pub(super) struct Toy(Vec<Matrix>);

impl Toy {
    pub(super) fn new() -> Self {
        let term = |k: i64, i: usize| (Fr::from(k), i);
        Self(vec![
            vec![
                vec![term(1, 3)],
                vec![term(1, 4)],
                vec![term(1, 5), term(1, 3), term(5, 0)],
                vec![term(7, 3)],
            ],
            vec![
                vec![term(1, 3)],
                vec![term(1, 3)],
                vec![term(1, 0)],
                vec![term(1, 0)],
            ],
            vec![
                vec![term(1, 4)],
                vec![term(1, 5)],
                vec![term(1, 1)],
                vec![term(1, 2)],
            ],
        ])
    }

    pub(super) fn system(&self) -> System<'_> {
        System::new(3, 7, [&self.0[0], &self.0[1], &self.0[2]])
    }
}

impl Toy {
    /// The values for x = 3.
    pub(super) fn witness() -> Vec<Fr> {
        [1u64, 35, 21, 3, 9, 27, 0].map(Fr::from).to_vec()
    }

    /// Phase 1 for its domain of 2^3.
    pub(super) fn phase1() -> PowersOfTau {
        PowersOfTau::read(Cursor::new(ptau(4, 1234, 56, 78)), 3).unwrap()
    }

    /// Its key after a secret, a beacon and another secret.
    pub(super) fn contributed(&self) -> Zkey {
        let mut zkey = Zkey::derive(&self.system(), &Self::phase1()).unwrap();
        contribute::contribute(&mut zkey, Some("Ada")).unwrap();
        contribute::beacon(&mut zkey, Some("a public value"), b"value", 10).unwrap();
        contribute::contribute(&mut zkey, None).unwrap();
        zkey
    }

    pub(super) fn encoded(&self, zkey: &Zkey) -> Vec<u8> {
        let mut bytes = Vec::new();
        zkey.write(&self.system(), &mut bytes).unwrap();
        bytes
    }
}

/// A prepared phase-1 file with these secrets, filled as far as a domain of half its size needs it; the rest are
/// generators.
pub(super) fn ptau(power: u32, tau: u64, alpha: u64, beta: u64) -> Vec<u8> {
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
    let mut bytes = Vec::new();
    let mut file = Writer::new(&mut bytes, FileKind::Ptau, 11).unwrap();
    file.section(1, 44).unwrap();
    file.write_all(&32u32.to_le_bytes()).unwrap();
    file.write_all(&Fq::MODULUS.to_bytes_le()).unwrap();
    file.write_all(&power.to_le_bytes()).unwrap();
    file.write_all(&power.to_le_bytes()).unwrap();
    write::<G1Affine>(&mut file, 2, 4 * n - 1, 0, &powers(2 * n, Fr::ONE));
    write::<G2Affine>(&mut file, 3, 2 * n, 0, &powers(n, Fr::ONE));
    write::<G1Affine>(&mut file, 4, 2 * n, 0, &powers(n, alpha));
    write::<G1Affine>(&mut file, 5, 2 * n, 0, &powers(n, beta));
    write::<G2Affine>(&mut file, 6, 1, 0, &[beta]);
    file.section(7, 0).unwrap();
    let both = [lagrange(n, Fr::ONE), lagrange(2 * n, Fr::ONE)].concat();
    write::<G1Affine>(&mut file, 12, 8 * n - 1, n - 1, &both);
    write::<G2Affine>(&mut file, 13, 4 * n - 1, n - 1, &both[..n]);
    write::<G1Affine>(&mut file, 14, 4 * n - 1, n - 1, &lagrange(n, alpha));
    write::<G1Affine>(&mut file, 15, 4 * n - 1, n - 1, &lagrange(n, beta));
    file.finish().unwrap();
    bytes
}

/// A section of `total` points; from `start` on, those with the given logarithms.
fn write<P: FilePoint>(
    file: &mut Writer<&mut Vec<u8>>,
    section: u32,
    total: usize,
    start: usize,
    logarithms: &[Fr],
) where
    P::Group: ScalarMul<MulBase = P>,
{
    let mut points = vec![P::generator(); total];
    let known = P::Group::generator().batch_mul(logarithms);
    points[start..start + known.len()].copy_from_slice(&known);
    file.section(section, (total * P::BYTES) as u64).unwrap();
    encode_all(&points, file).unwrap();
}
