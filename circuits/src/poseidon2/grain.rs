//! Round constants by the documented procedure: a Grain LFSR in self-shrinking mode, seeded with the instance's parameters.
//!
//! Poseidon paper (eprint 2019/458), appendix E, as the Poseidon2 reference script uses it: bits are read most
//! significant first, a number that is not below the modulus is thrown away.
//!
//! Among the seed are four bits that name the S-box. Appendix E has 0 for a power map, and so have our instances. The
//! reference script had 1 until its commit bb476b9, so two sets of constants are in use for every published instance:
//! [`SboxTag`] names them, the tests of `published.rs` check vectors of both.

use crate::field::{self, Fr};
#[cfg(test)]
use ark_ff::BigInteger;
use ark_ff::{BigInt, PrimeField};

const STATE_BITS: usize = 80;
const FIELD_BITS: usize = 254;
const PRIME_FIELD: usize = 1;

/// What the seed says of the S-box. Security does not depend on it, interoperability does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SboxTag {
    /// 0, "x^α" in appendix E: the reference constants since commit bb476b9, and ours.
    Power,
    /// 1, "x^-1" in appendix E: the reference constants before that commit, made for x^5 all the same.
    #[cfg(test)]
    OldReference,
}

impl SboxTag {
    const fn bits(self) -> usize {
        match self {
            Self::Power => 0,
            #[cfg(test)]
            Self::OldReference => 1,
        }
    }
}

/// The generator: an 80-bit LFSR of which every second bit decides whether the bit after it is used.
pub(super) struct Grain {
    state: [bool; STATE_BITS],
    head: usize,
}

impl Grain {
    pub(super) fn new(
        sbox: SboxTag,
        width: usize,
        full_rounds: usize,
        partial_rounds: usize,
    ) -> Self {
        let fields: [(usize, usize); 6] = [
            (PRIME_FIELD, 2),
            (sbox.bits(), 4),
            (FIELD_BITS, 12),
            (width, 12),
            (full_rounds, 10),
            (partial_rounds, 10),
        ];
        let seed = fields
            .into_iter()
            .flat_map(|(value, bits)| (0..bits).rev().map(move |k| value >> k & 1 == 1));
        let mut state = [true; STATE_BITS];
        for (bit, value) in state.iter_mut().zip(seed) {
            *bit = value;
        }
        let mut grain = Self { state, head: 0 };
        for _ in 0..160 {
            grain.clock();
        }
        grain
    }

    fn clock(&mut self) -> bool {
        let tap = |k: usize| self.state[(self.head + k) % STATE_BITS];
        let bit = tap(62) ^ tap(51) ^ tap(38) ^ tap(23) ^ tap(13) ^ tap(0);
        self.state[self.head] = bit;
        self.head = (self.head + 1) % STATE_BITS;
        bit
    }

    fn bit(&mut self) -> bool {
        while !self.clock() {
            self.clock();
        }
        self.clock()
    }

    fn number(&mut self) -> BigInt<4> {
        let mut number = BigInt::new([0; 4]);
        for k in (0..FIELD_BITS).rev() {
            number.0[k / 64] |= u64::from(self.bit()) << (k % 64);
        }
        number
    }

    fn element(&mut self) -> Fr {
        loop {
            if let Some(element) = Fr::from_bigint(self.number()) {
                return element;
            }
        }
    }

    /// A number taken modulo the group order: how the reference script draws the entries of its internal matrices.
    #[cfg(test)]
    pub(super) fn reduced_element(&mut self) -> Fr {
        Fr::from_le_bytes_mod_order(&self.number().to_bytes_le())
    }

    /// Constants of the full rounds and of the partial rounds for width `T`, drawn in the order the rounds are made.
    pub(super) fn round_constants<const T: usize>(
        &mut self,
        full: usize,
        partial: usize,
    ) -> (Vec<[Fr; T]>, Vec<Fr>) {
        let mut next = || self.element();
        let mut rounds: Vec<[Fr; T]> = (0..full / 2)
            .map(|_| std::array::from_fn(|_| next()))
            .collect();
        let partials = (0..partial).map(|_| next()).collect();
        rounds.extend((0..full / 2).map(|_| std::array::from_fn(|_| next())));
        (rounds, partials)
    }
}

/// Hash over an instance: what tests and manifests pin.
///
/// Exponent, width, numbers of full and of partial rounds as 64-bit little-endian numbers; then all constants in the order of the
/// rounds and the diagonal, 32 bytes big-endian each.
#[must_use]
pub fn fingerprint<const T: usize>(instance: &super::Poseidon2<T>) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new_derive_key("probity poseidon2 instance v2");
    let partial = instance.partial_constants().len();
    for number in [super::SBOX_EXPONENT, T, super::FULL_ROUNDS, partial] {
        hasher.update(&(number as u64).to_le_bytes());
    }
    let (first, last) = instance.full_constants().split_at(super::FULL_ROUNDS / 2);
    let constants = first
        .as_flattened()
        .iter()
        .chain(instance.partial_constants())
        .chain(last.as_flattened());
    for constant in constants {
        hasher.update(&field::to_be_bytes(constant));
    }
    for power in instance.diagonal() {
        hasher.update(&field::to_be_bytes(&power.as_field()));
    }
    *hasher.finalize().as_bytes()
}
