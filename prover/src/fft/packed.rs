//! Eight numbers in memory, as vectors of words.

use crate::kernel::{LANES, LaneField, Lanes, Words, convert::PACKED_WORDS};
use ark_bn254::Fr;
use zeroize::Zeroize;

/// Eight numbers below 2^256 in the form of the lanes: what [`Lanes::pack`] gives.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
pub(super) struct Packed([[u64; LANES]; PACKED_WORDS]);

impl Packed {
    /// Eight zeros.
    pub(super) const ZERO: Self = Self([[0; LANES]; PACKED_WORDS]);

    /// Lane i is `elements[i]`. For tables; columns are filled by whole vectors.
    pub(super) fn from_fields(elements: &[Fr; LANES]) -> Self {
        let mut packed = Self::ZERO;
        for (lane, element) in elements.iter().enumerate() {
            // The lanes' form of x is arkworks' form of 16 x.
            let words = (*element * Fr::from(16_u64)).montgomery_words();
            for (vector, word) in packed.0.iter_mut().zip(words) {
                vector[lane] = word;
            }
        }
        packed
    }

    #[inline(always)]
    pub(super) fn load<W: Words>(&self, backend: W::Backend) -> Lanes<Fr, W> {
        let [w0, w1, w2, w3] = &self.0;
        Lanes::unpack(&[
            W::load(backend, w0),
            W::load(backend, w1),
            W::load(backend, w2),
            W::load(backend, w3),
        ])
    }

    /// Requires numbers below 5 p.
    #[inline(always)]
    pub(super) fn store<W: Words>(&mut self, lanes: &Lanes<Fr, W>) {
        for (vector, words) in self.0.iter_mut().zip(lanes.pack()) {
            words.store(vector);
        }
    }
}

impl Zeroize for Packed {
    fn zeroize(&mut self) {
        self.0.zeroize();
    }
}
