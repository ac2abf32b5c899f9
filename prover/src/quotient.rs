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
use std::{io, sync::Arc};
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
    /// The domain is that of another circuit.
    #[error("{constraints} constraints do not belong to a domain of {size} places")]
    OtherDomain {
        /// Constraints found.
        constraints: usize,
        /// Places of the domain.
        size: usize,
    },
}

/// The matrices A and B of a circuit, and its domain: made once, used for every proof.
pub struct Quotient<'m> {
    rows: Rows<'m>,
    instance: usize,
    domain: Arc<Domain>,
}

impl Quotient<'static> {
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
        let domain = Domain::new(kernel, domain_size(a.len(), instance))?;
        Ok(Self {
            rows,
            instance,
            domain: Arc::new(domain),
        })
    }
}

impl<'m> Quotient<'m> {
    /// Borrows the matrices from the bytes that [`Quotient::write`] wrote, at a multiple of 64 bytes in memory; their indices
    /// are checked, their coefficients not known to be the circuit's.
    ///
    /// # Errors
    /// [`QuotientError::Rows`] or [`QuotientError::OtherDomain`].
    pub fn borrow(
        bytes: &'m [u8],
        instance: usize,
        domain: &Arc<Domain>,
    ) -> Result<Self, QuotientError> {
        let rows = Rows::borrow(bytes)?;
        let (constraints, size) = (rows.a.len(), domain.size());
        if domain_size(constraints, instance) != size {
            return Err(QuotientError::OtherDomain { constraints, size });
        }
        Ok(Self {
            rows,
            instance,
            domain: domain.clone(),
        })
    }
}

/// Places of the domain for so many constraints and instance variables.
#[must_use]
pub const fn domain_size(constraints: usize, instance: usize) -> usize {
    (constraints + instance).next_power_of_two()
}

impl Quotient<'_> {
    /// Writes the matrices for [`Quotient::borrow`]: a multiple of 64 bytes.
    ///
    /// # Errors
    /// Those of the writer.
    pub fn write(&self, to: &mut impl io::Write) -> io::Result<()> {
        self.rows.write(to)
    }

    /// Whether both have the same matrices, in the same form.
    #[must_use]
    pub fn has_matrices_of(&self, other: &Quotient<'_>) -> bool {
        self.rows == other.rows
    }

    /// Who does the arithmetic.
    #[must_use]
    pub fn kernel(&self) -> Kernel {
        self.domain.kernel()
    }

    /// Number of constraints.
    #[must_use]
    pub fn constraints(&self) -> usize {
        self.rows.a.len()
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
        let a: &[u32] = &self.rows.a;
        let constraints = a.len();
        self.domain.values(|row| match a.get(row) {
            Some(index) => numbers.get(*index),
            None if row < constraints + self.instance => values[row - constraints],
            None => Fr::ZERO,
        })
    }

    /// B z.
    fn b(&self, numbers: &Numbers<'_>) -> Values {
        let b: &[u32] = &self.rows.b;
        let row = |index: &u32| numbers.get(*index);
        self.domain.values(|at| b.get(at).map_or(Fr::ZERO, row))
    }
}
