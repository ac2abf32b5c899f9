//! The scalars of a proof that stand for the quotient H, from the values of the variables.
//!
//! With a and b the values of A z and B z at the roots of unity and c = a b, of degree below n as polynomials: a b - c is
//! H (X^n - 1). The two bases of [`qap`](crate::qap) take six transforms each, and no product with the matrix C:
//!
//! - [`QuotientBasis::OddCoset`]: a, b and c are extended to the odd coset, where a b - c is what is wanted.
//! - [`QuotientBasis::Powers`]: a and b are extended. Write a b = H X^n + R. Modulo X^n - 1 that is R + H, and its values at
//!   the roots of unity are c; modulo X^n + 1 it is R - H, and its values in the odd coset are those of a b. So
//!   interpolating both products gives H as half of their difference.
//!
//! c = a b is what satisfied constraints say. For others the result is not that of arkworks, and the proof is as false.

mod rows;

#[cfg(test)]
pub(crate) mod tests;

pub use rows::RowsError;

use crate::{
    fft::{Domain, Places, SizeError, Values},
    kernel::Kernel,
    qap::QuotientBasis,
};
use ark_bn254::Fr;
use ark_ff::{AdditiveGroup, BigInt};
use circuits::circuit::{Circuit, INSTANCE_VARIABLES, Matrix};
use rows::{Numbers, Rows};
use thiserror::Error;
use zeroize::Zeroizing;

/// Why there is no quotient.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum QuotientError {
    /// The matrices.
    #[error(transparent)]
    Rows(#[from] RowsError),
    /// The number of constraints.
    #[error(transparent)]
    Size(#[from] SizeError),
}

/// The matrices A and B of a circuit, and its domain: made once, used for every proof.
pub struct Quotient {
    rows: Rows,
    instance: usize,
    domain: Domain,
}

impl Quotient {
    /// Prepares a circuit.
    ///
    /// # Errors
    /// [`QuotientError::Size`] if it has more than 2^22 constraints.
    pub fn new(kernel: Kernel, circuit: &Circuit) -> Result<Self, QuotientError> {
        let [a, b, _] = circuit.matrices();
        Self::from_matrices(kernel, a, b, INSTANCE_VARIABLES, circuit.variables())
    }

    /// Prepares the constraint system with these matrices A and B.
    ///
    /// # Errors
    /// [`QuotientError`].
    pub fn from_matrices(
        kernel: Kernel,
        a: &Matrix,
        b: &Matrix,
        instance: usize,
        variables: usize,
    ) -> Result<Self, QuotientError> {
        let rows = Rows::new(a, b, variables)?;
        let size = (a.len() + instance).next_power_of_two();
        let domain = Domain::new(kernel, size)?;
        Ok(Self {
            rows,
            instance,
            domain,
        })
    }

    /// Number of variables that it takes the values of.
    #[must_use]
    pub const fn variables(&self) -> usize {
        self.rows.variables()
    }

    /// Places of the domain: constraints and instance variables, and what is missing to a power of two.
    #[must_use]
    pub fn size(&self) -> usize {
        self.domain.size()
    }

    /// Makes all tables now, which otherwise the first proof does.
    pub fn prepare(&self) {
        self.domain.prepare();
    }

    /// The scalars of the points H of a key, one for each point: canonical integers.
    ///
    /// Works on all threads of the current rayon pool.
    ///
    /// # Panics
    /// If there is not one value for each variable.
    #[must_use]
    pub fn scalars(&self, basis: QuotientBasis, values: &[Fr]) -> Zeroizing<Vec<BigInt<4>>> {
        assert_eq!(values.len(), self.variables(), "values of all variables");
        let numbers = self.rows.multiply(values);
        let (a, b) = (self.a(&numbers, values), self.b(&numbers));
        drop(numbers);
        let c = a.product(&b);
        let (a, b) = (self.domain.extend(a), self.domain.extend(b));
        let scalars = match basis {
            QuotientBasis::OddCoset => {
                let c = self.domain.extend(c);
                a.product_less(&b, &c)
            }
            QuotientBasis::Powers => {
                let product = a.product(&b);
                drop((a, b));
                let sum = self.domain.interpolate(c, Places::Roots);
                let difference = self.domain.interpolate(product, Places::OddCoset);
                let mut scalars = sum.half_difference(&difference);
                // a b has no coefficient of X^(2n - 1).
                scalars.pop();
                scalars
            }
        };
        Zeroizing::new(scalars)
    }

    /// A z, and behind it the instance variables, which so become independent of each other.
    fn a(&self, numbers: &Numbers<'_>, values: &[Fr]) -> Values {
        let constraints = self.rows.a.len();
        self.domain.values(|row| match self.rows.a.get(row) {
            Some(index) => numbers.get(*index),
            None if row < constraints + self.instance => values[row - constraints],
            None => Fr::ZERO,
        })
    }

    /// B z.
    fn b(&self, numbers: &Numbers<'_>) -> Values {
        let row = |index: &u32| numbers.get(*index);
        self.domain
            .values(|at| self.rows.b.get(at).map_or(Fr::ZERO, row))
    }
}
