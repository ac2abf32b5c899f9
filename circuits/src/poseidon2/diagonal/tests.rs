//! The paper's conditions on the internal matrix, by polynomial arithmetic over the scalar field.

use super::*;
use ark_ff::{BigInteger, PrimeField, Zero};

/// Coefficients from the constant term up; the last one is not zero, except that the zero polynomial has none.
type Poly = Vec<Fr>;
type Square = Vec<Vec<Fr>>;

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

fn product(a: &Square, b: &Square) -> Square {
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
fn characteristic(a: &Square) -> Poly {
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

fn internal_matrix(diagonal: &[Fr]) -> Square {
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
fn resists_subspace_trails(diagonal: &[Fr]) -> bool {
    let matrix = internal_matrix(diagonal);
    let mut power = matrix.clone();
    (0..2 * diagonal.len()).all(|_| {
        let irreducible = is_irreducible(&characteristic(&power));
        power = product(&power, &matrix);
        irreducible
    })
}

fn fields(diagonal: &[PowerOfTwo]) -> Vec<Fr> {
    diagonal.iter().map(PowerOfTwo::as_field).collect()
}

#[test]
fn both_internal_matrices_satisfy_the_minimal_polynomial_conditions() {
    assert!(resists_subspace_trails(&fields(&WIDTH_8)));
    assert!(resists_subspace_trails(&fields(&WIDTH_16)));
}

#[test]
fn the_published_internal_matrix_of_width_4_passes_the_same_check() {
    let published = [
        "10dc6e9c006ea38b04b1e03b4bd9490c0d03f98929ca1d7fb56821fd19d3b6e7",
        "0c28145b6a44df3e0149b3d0a30b3bb599df9756d4dd9b84a86b38cfb45a740b",
        "00544b8338791518b2c7645a50392798b21f75bb60e3596170067d00141cac15",
        "222c01175718386f2e2e82eb122789e352e105a3b8fa852613bc534433ee428b",
    ];
    assert!(resists_subspace_trails(
        &published.map(crate::poseidon2::tests::element)
    ));
}

#[test]
fn a_matrix_with_an_invariant_subspace_fails_the_check() {
    let mut twice = fields(&WIDTH_8);
    twice[5] = twice[4];
    assert!(!resists_subspace_trails(&twice), "equal lanes stay equal");
}

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
