//! Fourier transforms over the scalar field: between the values of a polynomial at n places and its coefficients.
//!
//! With IFMA, columns of numbers stay in the form of the lanes from the first transform to the last, and their order is
//! whatever the transforms like best: natural for [`Values`], bits reversed for [`Coefficients`]. The types keep them
//! apart, and everything that goes in or comes out is in natural order. The scalar path is `ark-poly`, with identical
//! results.
//!
//! | file | one idea |
//! |---|---|
//! | `packed`, `engine` | eight numbers in memory; words and how to run code for them |
//! | `roots` | what is multiplied by |
//! | `butterfly` | the arithmetic of a layer |
//! | `passes` | which layers are computed while numbers are in a cache |
//! | `pointwise` | columns filled, combined and read |
//!
//! Interpolation is the Gentleman–Sande algorithm (decimation in frequency), evaluation that of Cooley and Tukey
//! (decimation in time); the order in memory is that of Bailey: "FFTs in external or hierarchical memory", 1990. The shift
//! of a coset is part of the roots and costs nothing.

mod butterfly;
mod engine;
mod packed;
mod passes;
mod pointwise;
mod roots;

#[cfg(test)]
mod tests;

#[cfg(target_arch = "x86_64")]
use crate::kernel::Ifma;
use crate::kernel::{Kernel, LANES};
use ark_bn254::Fr;
use ark_ff::{AdditiveGroup, BigInt, Field, PrimeField};
use ark_poly::{EvaluationDomain, Radix2EvaluationDomain};
use packed::Packed;
use pointwise::Order;
use rayon::prelude::*;
use roots::{Direction, Roots};
use std::sync::OnceLock;
use thiserror::Error;
use zeroize::ZeroizeOnDrop;

/// Logarithm of the smallest size.
pub const MIN_LOG_SIZE: u32 = 3;
/// Logarithm of the greatest size.
pub const MAX_LOG_SIZE: u32 = 22;

/// A size that there is no domain of.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("a domain has 2^{MIN_LOG_SIZE} to 2^{MAX_LOG_SIZE} places, a power of two, not {size}")]
pub struct SizeError {
    /// What was asked for.
    pub size: usize,
}

/// Where a polynomial is evaluated. With w of order 2n:
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Places {
    /// At the even powers of w: the n-th roots of unity. X^n - 1 is 0 there.
    Roots,
    /// At the odd powers of w. X^n - 1 is -2 there.
    OddCoset,
}

/// Numbers, wiped when dropped.
#[derive(ZeroizeOnDrop)]
enum Column {
    /// In natural order.
    Scalar(Vec<Fr>),
    /// In the order of [`passes`].
    #[cfg(target_arch = "x86_64")]
    Ifma(#[zeroize(skip)] Ifma, Vec<Packed>),
}

crate::wiped::wiped_on_drop!(Column);

/// The values of a polynomial at n places. Wiped when dropped.
pub struct Values(Column);

/// The coefficients of a polynomial of degree below n. Wiped when dropped.
pub struct Coefficients(Column);

/// The n-th roots of unity and their odd coset, with everything that transforms between them multiply by.
///
/// Tables are made when they are first needed, and kept.
pub struct Domain {
    kernel: Kernel,
    roots: Radix2EvaluationDomain<Fr>,
    odd: Radix2EvaluationDomain<Fr>,
    tables: [OnceLock<Roots>; 4],
}

impl Domain {
    /// The domain of a size that is a power of two.
    ///
    /// # Errors
    /// [`SizeError`].
    pub fn new(kernel: Kernel, size: usize) -> Result<Self, SizeError> {
        let error = SizeError { size };
        let sizes = 1 << MIN_LOG_SIZE..=1 << MAX_LOG_SIZE;
        if !size.is_power_of_two() || !sizes.contains(&size) {
            return Err(error);
        }
        let roots = Radix2EvaluationDomain::new(size).ok_or(error)?;
        let double = Radix2EvaluationDomain::<Fr>::new(2 * size).ok_or(error)?;
        Ok(Self {
            kernel,
            roots,
            odd: roots.get_coset(double.group_gen()).ok_or(error)?,
            tables: Default::default(),
        })
    }

    /// Number of places.
    #[must_use]
    pub fn size(&self) -> usize {
        self.roots.size()
    }

    /// Who does the arithmetic.
    #[must_use]
    pub const fn kernel(&self) -> Kernel {
        self.kernel
    }

    /// Makes all tables now, which otherwise the first transforms do.
    pub fn prepare(&self) {
        #[cfg(target_arch = "x86_64")]
        if let Kernel::Ifma(_) = self.kernel {
            for places in [Places::Roots, Places::OddCoset] {
                for direction in [Direction::Evaluate, Direction::Interpolate] {
                    self.table(places, direction);
                }
            }
        }
    }

    const fn scalar(&self, places: Places) -> &Radix2EvaluationDomain<Fr> {
        match places {
            Places::Roots => &self.roots,
            Places::OddCoset => &self.odd,
        }
    }

    fn table(&self, places: Places, direction: Direction) -> &Roots {
        let at = match (places, direction) {
            (Places::Roots, Direction::Evaluate) => 0,
            (Places::Roots, Direction::Interpolate) => 1,
            (Places::OddCoset, Direction::Evaluate) => 2,
            (Places::OddCoset, Direction::Interpolate) => 3,
        };
        let shift = self.scalar(places).coset_offset();
        self.tables[at].get_or_init(|| Roots::new(self.size(), shift, direction))
    }

    fn column(&self, order: Order, of: impl Fn(usize) -> Fr + Sync) -> Column {
        match self.kernel {
            Kernel::Scalar => Column::Scalar((0..self.size()).into_par_iter().map(&of).collect()),
            #[cfg(target_arch = "x86_64")]
            Kernel::Ifma(ifma) => {
                Column::Ifma(ifma, pointwise::fill(ifma, self.size() / LANES, order, of))
            }
        }
    }

    /// Value i is `of(i)`.
    #[must_use]
    pub fn values(&self, of: impl Fn(usize) -> Fr + Sync) -> Values {
        Values(self.column(Order::Natural, of))
    }

    /// Coefficient i is `of(i)`.
    #[must_use]
    pub fn coefficients(&self, of: impl Fn(usize) -> Fr + Sync) -> Coefficients {
        Coefficients(self.column(Order::Reversed, of))
    }

    /// The polynomial with these values.
    ///
    /// # Panics
    /// If they belong to a domain of another size. So do all functions below.
    #[must_use]
    pub fn interpolate(&self, values: Values, places: Places) -> Coefficients {
        let mut column = self.own(values.0);
        match &mut column {
            Column::Scalar(numbers) => self.scalar(places).ifft_in_place(numbers),
            #[cfg(target_arch = "x86_64")]
            Column::Ifma(ifma, vectors) => {
                let roots = self.table(places, Direction::Interpolate);
                passes::interpolate(*ifma, vectors, roots);
            }
        }
        Coefficients(column)
    }

    /// The values of this polynomial.
    #[must_use]
    pub fn evaluate(&self, coefficients: Coefficients, places: Places) -> Values {
        let mut column = self.own(coefficients.0);
        match &mut column {
            Column::Scalar(numbers) => self.scalar(places).fft_in_place(numbers),
            #[cfg(target_arch = "x86_64")]
            Column::Ifma(ifma, vectors) => {
                let roots = self.table(places, Direction::Evaluate);
                passes::evaluate(*ifma, vectors, roots);
            }
        }
        Values(column)
    }

    /// From the values at the roots of unity to those in the odd coset: an interpolation and an evaluation.
    #[must_use]
    pub fn extend(&self, values: Values) -> Values {
        let mut column = self.own(values.0);
        match &mut column {
            Column::Scalar(numbers) => {
                self.roots.ifft_in_place(numbers);
                self.odd.fft_in_place(numbers);
            }
            #[cfg(target_arch = "x86_64")]
            Column::Ifma(ifma, vectors) => {
                let from = self.table(Places::Roots, Direction::Interpolate);
                let to = self.table(Places::OddCoset, Direction::Evaluate);
                passes::extend(*ifma, vectors, from, to);
            }
        }
        Values(column)
    }

    /// Refuses columns of another size.
    fn own(&self, column: Column) -> Column {
        let size = match &column {
            Column::Scalar(numbers) => numbers.len(),
            #[cfg(target_arch = "x86_64")]
            Column::Ifma(_, vectors) => vectors.len() * LANES,
        };
        assert_eq!(size, self.size(), "places of the domain");
        column
    }
}

/// What happens when columns of two kernels meet.
fn strangers() -> ! {
    panic!("both columns were made for the same kernel")
}

impl Values {
    /// `self · other`, value by value.
    ///
    /// # Panics
    /// If they were made for different kernels. So do all functions below.
    #[must_use]
    pub fn product(&self, other: &Self) -> Self {
        Self(match (&self.0, &other.0) {
            (Column::Scalar(a), Column::Scalar(b)) => {
                Column::Scalar(a.par_iter().zip(b).map(|(a, b)| *a * b).collect())
            }
            #[cfg(target_arch = "x86_64")]
            (Column::Ifma(ifma, a), Column::Ifma(_, b)) => {
                Column::Ifma(*ifma, pointwise::product(*ifma, a, b))
            }
            #[cfg(target_arch = "x86_64")]
            _ => strangers(),
        })
    }

    /// The canonical integers of `self · factor - less`, value by value.
    #[must_use]
    pub fn product_less(&self, factor: &Self, less: &Self) -> Vec<BigInt<4>> {
        match (&self.0, &factor.0, &less.0) {
            (Column::Scalar(a), Column::Scalar(b), Column::Scalar(c)) => a
                .par_iter()
                .zip(b)
                .zip(c)
                .map(|((a, b), c)| (*a * b - c).into_bigint())
                .collect(),
            #[cfg(target_arch = "x86_64")]
            (Column::Ifma(ifma, a), Column::Ifma(_, b), Column::Ifma(_, c)) => {
                pointwise::product_less(*ifma, [a, b, c])
            }
            #[cfg(target_arch = "x86_64")]
            _ => strangers(),
        }
    }

    /// The values in their order.
    #[must_use]
    pub fn to_fields(&self) -> Vec<Fr> {
        self.0.to_fields(Order::Natural)
    }
}

impl Coefficients {
    /// The canonical integers of `(self - other) / 2`, in the order of the coefficients.
    ///
    /// # Panics
    /// If they were made for different kernels.
    #[must_use]
    pub fn half_difference(&self, other: &Self) -> Vec<BigInt<4>> {
        match (&self.0, &other.0) {
            (Column::Scalar(a), Column::Scalar(b)) => {
                let half = Fr::ONE.double().inverse().unwrap_or_default();
                let difference = |(a, b): (&Fr, &Fr)| ((*a - b) * half).into_bigint();
                a.par_iter().zip(b).map(difference).collect()
            }
            #[cfg(target_arch = "x86_64")]
            (Column::Ifma(ifma, a), Column::Ifma(_, b)) => pointwise::half_difference(*ifma, a, b),
            #[cfg(target_arch = "x86_64")]
            _ => strangers(),
        }
    }

    /// The coefficients in their order.
    #[must_use]
    pub fn to_fields(&self) -> Vec<Fr> {
        self.0.to_fields(Order::Reversed)
    }
}

impl Column {
    fn to_fields(&self, order: Order) -> Vec<Fr> {
        match self {
            Self::Scalar(numbers) => numbers.clone(),
            #[cfg(target_arch = "x86_64")]
            Self::Ifma(ifma, vectors) => pointwise::fields(*ifma, vectors, order),
        }
    }
}
