//! What the fuzz targets of the kernel share: words to compute on, and bytes read as numbers.
//!
//! A target takes whatever bytes libFuzzer finds, computes the same on the lanes and with arkworks, and panics where the
//! results differ. It does so on the processor's words, where there are any, and on words in plain Rust that panic when a
//! number leaves the range that was claimed for it.

pub use prover::kernel::words;

// The same words that the kernel's own tests run on.
#[path = "../../src/kernel/checked.rs"]
#[allow(clippy::missing_panics_doc)]
pub mod checked;

use ark_ff::PrimeField;
use prover::kernel::{LANES, Words};

/// A check that runs on any words.
pub trait Check {
    /// Panics if something is wrong.
    fn run<W: Words>(&self, backend: W::Backend);
}

/// Runs a check on both implementations, as far as the processor has them.
pub fn everywhere(check: &impl Check) {
    check.run::<checked::CheckedWords>(());
    #[cfg(target_arch = "x86_64")]
    if let Some(ifma) = prover::kernel::Ifma::detect() {
        ifma.run(|| check.run::<prover::kernel::ifma::Words512>(ifma));
    }
}

/// Bytes that are read from the front, and zeros when they are used up.
pub struct Bytes<'a>(pub &'a [u8]);

impl Bytes<'_> {
    /// Whether there are none left.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The next byte.
    pub fn byte(&mut self) -> u8 {
        let (byte, rest) = self.0.split_first().unwrap_or((&0, &[]));
        self.0 = rest;
        *byte
    }

    /// The next eight bytes, least significant first.
    pub fn word(&mut self) -> u64 {
        u64::from_le_bytes(std::array::from_fn(|_| self.byte()))
    }

    /// An element, by a byte that says how it is written: most edges are out of reach for a fuzzer that would have to guess
    /// thirty-two bytes.
    pub fn element<F: PrimeField>(&mut self) -> F {
        let small = |bytes: &mut Self| F::from(u64::from(bytes.byte()));
        let power = |bytes: &mut Self| F::from(2_u64).pow([u64::from(bytes.byte())]);
        match self.byte() % 8 {
            0 => small(self),
            1 => -small(self),
            2 => power(self) - small(self),
            3 => small(self) - power(self),
            // Near r / 2, where signs turn.
            4 => F::from(2_u64).inverse().unwrap_or_default() + small(self) - small(self),
            5 => power(self) + power(self) - power(self),
            _ => {
                let bytes: [u8; 32] = std::array::from_fn(|_| self.byte());
                F::from_le_bytes_mod_order(&bytes)
            }
        }
    }

    /// Eight elements.
    pub fn elements<F: PrimeField>(&mut self) -> [F; LANES] {
        std::array::from_fn(|_| self.element())
    }
}
