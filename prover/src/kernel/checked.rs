//! [`Words`] for tests: plain Rust that stops at the first number that leaves its range. It runs on every machine.

#![allow(clippy::cast_possible_truncation)]

use super::words::{LANES, Words};

const MASK: u128 = (1 << 52) - 1;

/// Eight words that check themselves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CheckedWords([u64; LANES]);

impl CheckedWords {
    fn zip(self, other: Self, f: impl Fn(u64, u64) -> u64) -> Self {
        Self(std::array::from_fn(|i| f(self.0[i], other.0[i])))
    }

    fn map(self, f: impl Fn(u64) -> u64) -> Self {
        Self(self.0.map(f))
    }

    /// Adds one part of a product of 52 bits each.
    fn madd(self, x: Self, y: Self, part: impl Fn(u128) -> u128) -> Self {
        let products = x.zip(y, |x, y| {
            part((u128::from(x) & MASK) * (u128::from(y) & MASK)) as u64
        });
        self.add(products)
    }
}

impl Words for CheckedWords {
    type Backend = ();

    fn run<R>((): (), task: impl FnOnce() -> R) -> R {
        task()
    }

    fn backend(self) {}

    fn splat((): (), value: u64) -> Self {
        Self([value; LANES])
    }

    fn load((): (), values: &[u64; LANES]) -> Self {
        Self(*values)
    }

    fn store(self, values: &mut [u64; LANES]) {
        *values = self.0;
    }

    fn add(self, other: Self) -> Self {
        self.zip(other, |a, b| {
            a.checked_add(b).expect("a sum stays below 2^64")
        })
    }

    fn sub(self, other: Self) -> Self {
        self.zip(other, |a, b| {
            a.checked_sub(b).expect("a difference is not negative")
        })
    }

    fn and(self, other: Self) -> Self {
        self.zip(other, |a, b| a & b)
    }

    fn or(self, other: Self) -> Self {
        self.zip(other, |a, b| a | b)
    }

    fn shl(self, bits: u32) -> Self {
        self.map(|a| {
            let shifted = a << bits;
            assert_eq!(shifted >> bits, a, "a shifted word stays below 2^64");
            shifted
        })
    }

    fn shl_wrapping(self, bits: u32) -> Self {
        self.map(|a| a << bits)
    }

    fn shr(self, bits: u32) -> Self {
        self.map(|a| a >> bits)
    }

    fn madd_lo(self, x: Self, y: Self) -> Self {
        self.madd(x, y, |product| product & MASK)
    }

    fn madd_hi(self, x: Self, y: Self) -> Self {
        self.madd(x, y, |product| product >> 52)
    }

    fn equal(self, other: Self) -> u8 {
        (0..LANES).fold(0, |mask, i| mask | u8::from(self.0[i] == other.0[i]) << i)
    }

    fn select(mask: u8, set: Self, clear: Self) -> Self {
        Self(std::array::from_fn(|i| {
            if mask >> i & 1 == 1 {
                set.0[i]
            } else {
                clear.0[i]
            }
        }))
    }

    fn transpose(rows: [Self; LANES]) -> [Self; LANES] {
        std::array::from_fn(|k| Self(std::array::from_fn(|i| rows[i].0[k])))
    }

    fn claim_at_most(self, max: u64) -> Self {
        for word in self.0 {
            assert!(word <= max, "{word:#x} is above the proven bound {max:#x}");
        }
        self
    }

    fn known_at_most(self, max: u64) -> Self {
        self.claim_at_most(max)
    }
}
