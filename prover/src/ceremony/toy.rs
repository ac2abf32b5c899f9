//! A constraint system of a few rows, and a phase 1 whose tau is known: for tests.
#![allow(clippy::unwrap_used, clippy::cast_possible_truncation)]

mod phase1;

use super::{PowersOfTau, System, Zkey, contribute};
use ark_bn254::Fr;
use circuits::circuit::Matrix;
pub(super) use phase1::ptau;
use std::io::Cursor;

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
