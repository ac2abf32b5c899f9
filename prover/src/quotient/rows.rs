//! The matrices A and B as a prover needs them: which number each row gives, for any values of the variables.
//!
//! Most rows of a circuit whose linear layers are in C name one variable. The others repeat: the input of an S-box that is
//! a combination of variables stands in three rows. So each combination is kept, and computed, once, and a row is no more
//! than the index of a number: a variable's or a combination's. Coefficients repeat too, and are kept as indices.

mod packed;

use ark_bn254::Fr;
use ark_ff::{AdditiveGroup, Field};
use circuits::circuit::Matrix;
use rayon::prelude::*;
use std::{borrow::Cow, collections::HashMap};
use thiserror::Error;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};
use zeroize::ZeroizeOnDrop;

/// Why matrices cannot be used.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum RowsError {
    /// One of A and B has more rows than the other.
    #[error("matrix A has {a} rows, matrix B {b}")]
    Uneven {
        /// Rows of A.
        a: usize,
        /// Rows of B.
        b: usize,
    },
    /// A term names a variable that there is none of.
    #[error("row {row} names variable {variable} of {variables}")]
    Variable {
        /// The row.
        row: usize,
        /// The variable named.
        variable: usize,
        /// The number of variables.
        variables: usize,
    },
    /// Variables, rows or terms are too many to be counted with 32 bits.
    #[error("the constraint system is too large")]
    TooLarge,
    /// Bytes are not packed matrices.
    #[error("packed matrices: {0}")]
    Packed(&'static str),
}

/// `coefficient · variable`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
struct Term {
    /// Index in [`Rows::coefficients`].
    coefficient: u32,
    variable: u32,
}

/// Coefficients that need no multiplication have fixed places.
const ONE: u32 = 0;
const MINUS_ONE: u32 = 1;

/// A and B, ready to be multiplied by assignments. Indices are within their bounds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Rows<'m> {
    variables: usize,
    /// For each row of A and of B, the number it gives: below `variables` a variable's, from there on a combination's.
    pub(super) a: Cow<'m, [u32]>,
    pub(super) b: Cow<'m, [u32]>,
    /// Where the terms of each combination end.
    ends: Cow<'m, [u32]>,
    terms: Cow<'m, [Term]>,
    /// Each coefficient once.
    coefficients: Vec<Fr>,
}

/// What the rows give for one assignment. Wiped when dropped.
#[derive(ZeroizeOnDrop)]
pub(super) struct Numbers<'a> {
    #[zeroize(skip)]
    variables: &'a [Fr],
    combinations: Vec<Fr>,
}

crate::wiped::wiped_on_drop!(Numbers<'_>);

impl Numbers<'_> {
    #[inline(always)]
    pub(super) fn get(&self, index: u32) -> Fr {
        let index = index as usize;
        match index.checked_sub(self.variables.len()) {
            None => self.variables[index],
            Some(combination) => self.combinations[combination],
        }
    }
}

/// What is known while rows are read.
#[derive(Default)]
struct Builder<'a> {
    ends: Vec<u32>,
    terms: Vec<Term>,
    coefficients: Vec<Fr>,
    known_coefficients: HashMap<Fr, u32>,
    known_combinations: HashMap<&'a [(Fr, usize)], u32>,
}

fn count(number: usize) -> Result<u32, RowsError> {
    u32::try_from(number).map_err(|_| RowsError::TooLarge)
}

impl<'a> Builder<'a> {
    /// The number that a row gives.
    fn row(&mut self, variables: usize, terms: &'a [(Fr, usize)]) -> Result<u32, RowsError> {
        if let [(coefficient, variable)] = terms
            && *coefficient == Fr::ONE
        {
            return count(*variable);
        }
        if let Some(known) = self.known_combinations.get(terms) {
            return Ok(*known);
        }
        let index = count(variables + self.ends.len())?;
        for (coefficient, variable) in terms {
            let coefficient = self.coefficient(coefficient)?;
            let variable = count(*variable)?;
            self.terms.push(Term {
                coefficient,
                variable,
            });
        }
        self.ends.push(count(self.terms.len())?);
        self.known_combinations.insert(terms, index);
        Ok(index)
    }

    fn coefficient(&mut self, value: &Fr) -> Result<u32, RowsError> {
        if let Some(known) = self.known_coefficients.get(value) {
            return Ok(*known);
        }
        let index = count(self.coefficients.len())?;
        self.coefficients.push(*value);
        self.known_coefficients.insert(*value, index);
        Ok(index)
    }
}

impl Rows<'static> {
    /// Reads the matrices A and B of a constraint system with so many variables.
    pub(super) fn new<'m>(
        a: &'m Matrix,
        b: &'m Matrix,
        variables: usize,
    ) -> Result<Self, RowsError> {
        if a.len() != b.len() {
            let (a, b) = (a.len(), b.len());
            return Err(RowsError::Uneven { a, b });
        }
        count(variables)?;
        let mut builder = Builder::default();
        builder.coefficient(&Fr::ONE)?;
        builder.coefficient(&-Fr::ONE)?;
        let mut read = |matrix: &'m Matrix| {
            let rows = matrix.iter().enumerate().map(|(row, terms)| {
                if let Some((_, variable)) = terms.iter().find(|(_, i)| *i >= variables) {
                    let variable = *variable;
                    return Err(RowsError::Variable {
                        row,
                        variable,
                        variables,
                    });
                }
                builder.row(variables, terms)
            });
            rows.collect::<Result<Vec<u32>, RowsError>>()
        };
        let (a, b) = (read(a)?, read(b)?);
        Ok(Self {
            variables,
            a: a.into(),
            b: b.into(),
            ends: builder.ends.into(),
            terms: builder.terms.into(),
            coefficients: builder.coefficients,
        })
    }
}

impl Rows<'_> {
    /// Number of variables.
    pub(super) const fn variables(&self) -> usize {
        self.variables
    }

    /// The rows of both matrices, multiplied by the values of the variables.
    ///
    /// Requires one value for each variable.
    pub(super) fn multiply<'z>(&self, values: &'z [Fr]) -> Numbers<'z> {
        let combinations = self.ends.par_iter().enumerate().map(|(k, end)| {
            let start = k.checked_sub(1).map_or(0, |before| self.ends[before]);
            self.combine(&self.terms[start as usize..*end as usize], values)
        });
        Numbers {
            variables: values,
            combinations: combinations.collect(),
        }
    }

    fn combine(&self, terms: &[Term], values: &[Fr]) -> Fr {
        terms.iter().fold(Fr::ZERO, |sum, term| {
            let value = values[term.variable as usize];
            match term.coefficient {
                ONE => sum + value,
                MINUS_ONE => sum - value,
                other => sum + self.coefficients[other as usize] * value,
            }
        })
    }
}
