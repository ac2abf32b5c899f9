//! From a constraint system to polynomials: the quotient H in the basis that ceremonies use.
//!
//! With a and b the values of A z and B z on a domain of n rows, P = a b - c vanishes on the domain, so it is known from
//! its values at the other n places of the domain of size 2n: P(tau) is the sum of P(w^(2k + 1)) L_(2k + 1)(tau), with w
//! of order 2n. Keys of a ceremony hold these Lagrange polynomials at tau, divided by delta; keys of arkworks' own setup
//! hold tau^i (tau^n - 1) / delta, for the coefficients of P / (X^n - 1). The first needs six FFTs and no product with
//! the matrix C (on the domain c = a b), the second the product as well. Both give the same proofs.

use ark_ff::PrimeField;
use ark_groth16::r1cs_to_qap::{LibsnarkReduction, R1CSToQAP, evaluate_constraint};
use ark_poly::EvaluationDomain;
use ark_relations::gr1cs::{ConstraintSystemRef, Matrix, SynthesisError};
use rayon::prelude::*;

/// What the points H of a proving key stand for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QuotientBasis {
    /// tau^i (tau^n - 1), as arkworks' setup makes them: n - 1 points.
    Powers,
    /// Lagrange polynomials at the odd places of the domain of size 2n, as ceremonies make them: n points.
    OddCoset,
}

impl QuotientBasis {
    /// The basis of a key with so many points H, for a domain of `n` places; `None` if the key is for another domain.
    ///
    /// The number of points tells: there is one power less than there are polynomials.
    #[must_use]
    pub fn of(points: usize, n: usize) -> Option<Self> {
        match points {
            points if points == n => Some(Self::OddCoset),
            points if points + 1 == n => Some(Self::Powers),
            _ => None,
        }
    }
}

/// The reduction for keys whose quotient is in the basis [`QuotientBasis::OddCoset`].
pub struct OddCoset;

impl R1CSToQAP for OddCoset {
    fn instance_map_with_evaluation<F: PrimeField, D: EvaluationDomain<F>>(
        cs: ConstraintSystemRef<F>,
        t: &F,
    ) -> Result<(Vec<F>, Vec<F>, Vec<F>, F, usize, usize), SynthesisError> {
        LibsnarkReduction::instance_map_with_evaluation::<F, D>(cs, t)
    }

    fn witness_map_from_matrices<F: PrimeField, D: EvaluationDomain<F>>(
        matrices: &[Matrix<F>],
        instance: usize,
        constraints: usize,
        z: &[F],
    ) -> Result<Vec<F>, SynthesisError> {
        let too_large = SynthesisError::PolynomialDegreeTooLarge;
        let domain = D::new(constraints + instance).ok_or(too_large)?;
        let double = D::new(2 * domain.size()).ok_or(too_large)?;
        let rows = |matrix: &Matrix<F>| -> Vec<F> {
            let mut values = vec![F::zero(); domain.size()];
            values[..constraints]
                .par_iter_mut()
                .zip(matrix)
                .for_each(|(value, row)| *value = evaluate_constraint(row, z));
            values
        };
        let (mut a, mut b) = (rows(&matrices[0]), rows(&matrices[1]));
        a[constraints..constraints + instance].copy_from_slice(&z[..instance]);
        let mut c: Vec<F> = a.par_iter().zip(&b).map(|(a, b)| *a * b).collect();
        for values in [&mut a, &mut b, &mut c] {
            domain.ifft_in_place(values);
            D::distribute_powers(values, double.group_gen());
            domain.fft_in_place(values);
        }
        a.par_iter_mut()
            .zip(b)
            .zip(c)
            .for_each(|((a, b), c)| *a = *a * b - c);
        Ok(a)
    }

    fn h_query_scalars<F: PrimeField, D: EvaluationDomain<F>>(
        max_power: usize,
        t: F,
        _: F,
        delta_inverse: F,
    ) -> Result<Vec<F>, SynthesisError> {
        let double = D::new(2 * (max_power + 1)).ok_or(SynthesisError::PolynomialDegreeTooLarge)?;
        let polynomials = double.evaluate_all_lagrange_coefficients(t);
        let odd = polynomials.into_iter().skip(1).step_by(2);
        Ok(odd.map(|at_t| at_t * delta_inverse).collect())
    }
}
