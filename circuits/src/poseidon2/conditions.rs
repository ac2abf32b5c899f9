//! The paper's conditions on an internal matrix, by polynomial arithmetic and linear algebra over the scalar field.
//!
//! Slow and plain on purpose: what is checked once, by tests, should be easy to compare with the definitions.

use crate::field::Fr;
use ark_ff::{AdditiveGroup, BigInteger, Field, PrimeField, Zero};

/// Coefficients from the constant term up; the last one is not zero, except that the zero polynomial has none.
type Poly = Vec<Fr>;
pub(super) type Matrix = Vec<Vec<Fr>>;

fn trim(mut poly: Poly) -> Poly {
    while poly.last().is_some_and(Zero::is_zero) {
        poly.pop();
    }
    poly
}

fn multiply(a: &Poly, b: &Poly) -> Poly {
    if a.is_empty() || b.is_empty() {
        return Poly::new();
    }
    let mut product = vec![Fr::ZERO; a.len() + b.len() - 1];
    for (i, x) in a.iter().enumerate() {
        for (j, y) in b.iter().enumerate() {
            product[i + j] += *x * y;
        }
    }
    trim(product)
}

fn remainder(mut a: Poly, modulus: &Poly) -> Poly {
    let lead = modulus[modulus.len() - 1]
        .inverse()
        .expect("leading coefficient is not zero");
    while a.len() >= modulus.len() {
        let shift = a.len() - modulus.len();
        let factor = a[a.len() - 1] * lead;
        for (i, m) in modulus.iter().enumerate() {
            a[shift + i] -= factor * m;
        }
        a = trim(a);
    }
    a
}

fn gcd(mut a: Poly, mut b: Poly) -> Poly {
    while !b.is_empty() {
        let rest = remainder(a, &b);
        a = std::mem::replace(&mut b, rest);
    }
    a
}

/// x^r modulo `f`.
fn frobenius(f: &Poly) -> Poly {
    let x = vec![Fr::ZERO, Fr::ONE];
    let mut power = vec![Fr::ONE];
    for k in (0..254).rev() {
        power = remainder(multiply(&power, &power), f);
        if Fr::MODULUS.get_bit(k) {
            power = remainder(multiply(&power, &x), f);
        }
    }
    power
}

/// a(b(x)) modulo `f`.
fn compose(a: &Poly, b: &Poly, f: &Poly) -> Poly {
    a.iter().rev().fold(Poly::new(), |sum, coefficient| {
        let mut sum = remainder(multiply(&sum, b), f);
        if sum.is_empty() {
            sum.push(Fr::ZERO);
        }
        sum[0] += coefficient;
        trim(sum)
    })
}

/// Rabin's test for a degree that is a power of two: f divides x^(r^n) - x and is prime to x^(r^(n/2)) - x.
fn is_irreducible(f: &Poly) -> bool {
    let degree = f.len() - 1;
    assert!(degree.is_power_of_two() && degree > 1);
    let minus_x = |mut poly: Poly| {
        poly.resize(poly.len().max(2), Fr::ZERO);
        poly[1] -= Fr::ONE;
        trim(poly)
    };
    let mut image = frobenius(f);
    let mut times = 1;
    while times < degree / 2 {
        image = compose(&image, &image, f);
        times *= 2;
    }
    let common = gcd(f.clone(), minus_x(image.clone()));
    let last = minus_x(compose(&image, &image, f));
    common.len() == 1 && last.is_empty()
}

fn product(a: &Matrix, b: &Matrix) -> Matrix {
    let columns = 0..a.len();
    a.iter()
        .map(|row| {
            columns
                .clone()
                .map(|j| row.iter().zip(b).map(|(x, other)| *x * other[j]).sum())
                .collect()
        })
        .collect()
}

/// Characteristic polynomial by the Faddeev–LeVerrier recursion.
fn characteristic(a: &Matrix) -> Poly {
    let n = a.len();
    let mut poly = vec![Fr::ZERO; n + 1];
    poly[n] = Fr::ONE;
    let mut m = vec![vec![Fr::ZERO; n]; n];
    for k in 1..=n {
        m = product(a, &m);
        for (i, row) in m.iter_mut().enumerate() {
            row[i] += poly[n - k + 1];
        }
        let trace: Fr = product(a, &m)
            .iter()
            .enumerate()
            .map(|(i, row)| row[i])
            .sum();
        poly[n - k] = -trace * Fr::from(k as u64).inverse().expect("k is small");
    }
    poly
}

/// All ones, plus the diagonal.
pub(super) fn internal_matrix(diagonal: &[Fr]) -> Matrix {
    let row = |i: usize| {
        let entry = |j: usize| {
            if i == j {
                diagonal[i] + Fr::ONE
            } else {
                Fr::ONE
            }
        };
        (0..diagonal.len()).map(entry).collect()
    };
    (0..diagonal.len()).map(row).collect()
}

/// Section 5.3: the minimal polynomials of M, …, M^2t are irreducible and of degree t. An irreducible characteristic
/// polynomial is the minimal one.
pub(super) fn resists_subspace_trails(diagonal: &[Fr]) -> bool {
    let matrix = internal_matrix(diagonal);
    let mut power = matrix.clone();
    (0..2 * diagonal.len()).all(|_| {
        let irreducible = is_irreducible(&characteristic(&power));
        power = product(&power, &matrix);
        irreducible
    })
}

/// Rank, by Gaussian elimination.
pub(super) fn rank(mut rows: Matrix) -> usize {
    let columns = rows.first().map_or(0, Vec::len);
    let mut rank = 0;
    for column in 0..columns {
        let Some(pivot) = (rank..rows.len()).find(|&i| !rows[i][column].is_zero()) else {
            continue;
        };
        rows.swap(rank, pivot);
        let (done, rest) = rows.split_at_mut(rank + 1);
        let pivot = &done[rank];
        let inverse = pivot[column].inverse().expect("pivot is not zero");
        for row in rest {
            let factor = row[column] * inverse;
            for (entry, above) in row.iter_mut().zip(pivot) {
                *entry -= factor * above;
            }
        }
        rank += 1;
    }
    rank
}

/// M v for M all ones plus the diagonal.
pub(super) fn apply_internal(diagonal: &[Fr], vector: &[Fr]) -> Vec<Fr> {
    let sum: Fr = vector.iter().sum();
    diagonal
        .iter()
        .zip(vector)
        .map(|(d, x)| sum + *d * x)
        .collect()
}

mod small_cases {
    use super::*;

    #[test]
    fn the_irreducibility_test_knows_small_cases() {
        let poly = |c: [i64; 3]| c.map(Fr::from).to_vec();
        assert!(!is_irreducible(&poly([-4, 0, 1])), "x^2 - 4 = (x-2)(x+2)");
        assert!(!is_irreducible(&poly([0, 0, 1])), "x^2 = x x");
        assert!(
            is_irreducible(&poly([-5, 0, 1])),
            "5 is not a square: it generates the group"
        );
    }

    #[test]
    fn the_characteristic_polynomial_of_a_known_matrix() {
        let two = [[2u64, 1], [1, 3]]
            .map(|row| row.map(Fr::from).to_vec())
            .to_vec();
        assert_eq!(characteristic(&two), [5i64, -5, 1].map(Fr::from).to_vec());
    }

    #[test]
    fn the_rank_of_known_matrices() {
        let matrix = |rows: [[u64; 3]; 3]| rows.map(|row| row.map(Fr::from).to_vec()).to_vec();
        assert_eq!(rank(matrix([[1, 2, 3], [2, 4, 6], [0, 0, 0]])), 1);
        assert_eq!(rank(matrix([[0, 1, 0], [0, 0, 1], [0, 1, 1]])), 2);
        assert_eq!(rank(matrix([[0, 1, 2], [1, 0, 3], [2, 3, 0]])), 3);
    }
}
