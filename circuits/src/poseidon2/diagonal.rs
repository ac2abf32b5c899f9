//! The internal matrix: all ones, plus a diagonal of signed powers of two, so that multiplying by it needs shifts and
//! additions only.
//!
//! The sets are the smallest for which the characteristic polynomials of M, M^2, …, M^2t are all irreducible. Then the
//! minimal polynomial of each has degree t, which rules out periodic subspace trails (section 5.3 of eprint 2023/323), and no
//! trail at all covers more than 2t - 2 partial rounds (`docs/adr/0012-poseidon2-margins.md`); the tests beside this file
//! check it.

use crate::field::Fr;
use ark_ff::{AdditiveGroup, Field};
use std::ops::Neg;

/// `2^exponent` or its negative.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PowerOfTwo {
    exponent: u8,
    negative: bool,
}

impl PowerOfTwo {
    const fn plus(exponent: u8) -> Self {
        Self {
            exponent,
            negative: false,
        }
    }

    const fn minus(exponent: u8) -> Self {
        Self {
            exponent,
            negative: true,
        }
    }

    /// How often to double.
    #[must_use]
    pub const fn exponent(&self) -> u8 {
        self.exponent
    }

    /// Whether it is the negative.
    #[must_use]
    pub const fn is_negative(&self) -> bool {
        self.negative
    }

    /// Multiplies a field element by doublings.
    pub fn multiply(&self, value: &mut Fr) {
        for _ in 0..self.exponent {
            value.double_in_place();
        }
        if self.negative {
            *value = value.neg();
        }
    }

    /// The number itself.
    #[must_use]
    pub fn as_field(&self) -> Fr {
        let mut value = Fr::ONE;
        self.multiply(&mut value);
        value
    }
}

const fn plus(exponent: u8) -> PowerOfTwo {
    PowerOfTwo::plus(exponent)
}

const fn minus(exponent: u8) -> PowerOfTwo {
    PowerOfTwo::minus(exponent)
}

/// Diagonal of width 16, less one: ±1, ±2, ±4, …, ±64, 128, 256.
pub const WIDTH_16: [PowerOfTwo; 16] = [
    plus(0),
    minus(0),
    plus(1),
    minus(1),
    plus(2),
    minus(2),
    plus(3),
    minus(3),
    plus(4),
    minus(4),
    plus(5),
    minus(5),
    plus(6),
    minus(6),
    plus(7),
    plus(8),
];

/// Diagonal of width 8, less one: ±1, ±2, 4, ±8, -16.
pub const WIDTH_8: [PowerOfTwo; 8] = [
    plus(0),
    minus(0),
    plus(1),
    minus(1),
    plus(2),
    plus(3),
    minus(3),
    minus(4),
];

#[cfg(test)]
mod tests;
