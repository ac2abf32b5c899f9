//! Reads the circuit's description to compute the value of every variable.

use super::{
    INSTANCE_VARIABLES,
    bits::FIELD_BITS,
    synthesis::synthesize,
    synthesizer::{Rule, Synthesizer, Wire},
};
use crate::{
    field::Fr,
    poseidon2::{self, FULL_ROUNDS, diagonal::PowerOfTwo},
    profile::Profile,
    sampling::{BLOCK_SAMPLES, LANE_SAMPLES, SHARD_BITS},
    statement::{Private, Public},
    storage::{CELL_ELEMENTS, SHARD_LEVELS},
    tree::ARITY,
};
use ark_ff::{AdditiveGroup, Field, PrimeField};
use rayon::prelude::*;
use std::collections::HashMap;
use zeroize::ZeroizeOnDrop;

/// Values of all variables: the constant one, the public inputs, the witness. Wiped when dropped.
#[derive(Clone, PartialEq, Eq, ZeroizeOnDrop)]
pub struct Assignment(Vec<Fr>);

crate::wiped::wiped_on_drop!(Assignment);

impl Assignment {
    /// All values, in the order of the variables.
    #[must_use]
    pub fn values(&self) -> &[Fr] {
        &self.0
    }

    /// All values, to be changed by whoever wants to see what a dishonest prover can do.
    pub fn values_mut(&mut self) -> &mut [Fr] {
        &mut self.0
    }
}

impl std::fmt::Debug for Assignment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Assignment({} variables)", self.0.len())
    }
}

/// Computes all variables of a profile's circuit, on all threads of the current rayon pool.
///
/// A test may force some variables to values of its own, and everything derived from them follows.
///
/// Requires a witness of the profile's shape.
pub(super) fn assign(
    profile: &Profile,
    public: &Public,
    private: &Private,
    forced: &HashMap<usize, Fr>,
) -> Assignment {
    let inputs = public.to_inputs();
    // All at once: memory that grows leaves copies behind, which nobody would wipe.
    let mut assignment = Assignment(vec![Fr::ZERO; variables(profile)]);
    let (instance, witness) = assignment.0.split_at_mut(INSTANCE_VARIABLES);
    instance[0] = Fr::ONE;
    instance[1..].copy_from_slice(&inputs);
    let mut assigner = Assigner {
        rest: witness,
        next: INSTANCE_VARIABLES,
        opening: opening(profile),
        public: &inputs,
        forced,
    };
    synthesize(&mut assigner, profile, Some(private));
    assignment
}

/// Computes the values of the variables that are left.
struct Assigner<'a> {
    /// Where they go.
    rest: &'a mut [Fr],
    /// The number of the first of them.
    next: usize,
    /// Variables that opening one cell takes.
    opening: usize,
    public: &'a [Fr],
    forced: &'a HashMap<usize, Fr>,
}

/// Variables of a profile's circuit, the constant one and the public inputs included.
fn variables(profile: &Profile) -> usize {
    let samples = profile.samples();
    let top = (-Fr::ONE).into_bigint();
    let ones: u32 = top.0.iter().map(|word| word.count_ones()).sum();
    let runs = ones as usize - 1;
    let place = SHARD_BITS + 3 * profile.depth();
    INSTANCE_VARIABLES
        + 3 * profile.depth()
        + samples.div_ceil(BLOCK_SAMPLES) * permutation(16)
        + samples.div_ceil(LANE_SAMPLES) * (FIELD_BITS + runs)
        + samples * (place + opening(profile))
}

/// Variables that opening one cell takes: the cell, and of each level all children and what the first two bits choose.
fn opening(profile: &Profile) -> usize {
    let level = ARITY + ARITY / 2 + ARITY / 4 + permutation(ARITY);
    CELL_ELEMENTS + permutation(CELL_ELEMENTS) + (SHARD_LEVELS + profile.depth()) * level
}

/// Variables of a permutation: of each S-box a square, a fourth power, and the next input or the output.
const fn permutation(width: usize) -> usize {
    3 * (FULL_ROUNDS * width + poseidon2::partial_rounds(width))
}

/// What most variables are computed from: no more than so many numbers.
const FEW: usize = 4;
/// What any variable is computed from: the S-boxes of a round of width 16.
const MANY: usize = 32;

/// Copies numbers to the stack.
fn gather<const N: usize>(from: &[&Fr]) -> [Fr; N] {
    let mut numbers = [Fr::ZERO; N];
    for (number, from) in numbers.iter_mut().zip(from) {
        *number = **from;
    }
    numbers
}

impl Synthesizer for Assigner<'_> {
    type Number = Fr;

    fn constant(&self, value: Fr) -> Fr {
        value
    }

    fn public(&self, index: usize) -> Fr {
        self.public[index]
    }

    fn add_scaled(&self, a: &Fr, b: &Fr, k: Fr) -> Fr {
        *a + *b * k
    }

    fn derive<const N: usize>(
        &mut self,
        _wire: Wire,
        from: &[&Fr],
        compute: impl FnOnce(&[Fr]) -> [Fr; N],
    ) -> [Fr; N] {
        let mut computed = if from.len() <= FEW {
            compute(&gather::<FEW>(from)[..from.len()])
        } else {
            compute(&gather::<MANY>(from)[..from.len()])
        };
        if !self.forced.is_empty() {
            for (value, at) in computed.iter_mut().zip(self.next..) {
                *value = self.forced.get(&at).copied().unwrap_or(*value);
            }
        }
        let (made, rest) = std::mem::take(&mut self.rest).split_at_mut(N);
        made.copy_from_slice(&computed);
        self.rest = rest;
        self.next += N;
        computed
    }

    fn enforce(&mut self, _rule: Rule, _row: impl FnOnce(&Self) -> [Fr; 3]) {}

    fn add(&self, a: &Fr, b: &Fr) -> Fr {
        *a + b
    }

    fn sub(&self, a: &Fr, b: &Fr) -> Fr {
        *a - b
    }

    fn scale(&self, a: &Fr, k: Fr) -> Fr {
        *a * k
    }

    fn add_shifted(&self, a: &Fr, b: &Fr, power: &PowerOfTwo) -> Fr {
        let mut shifted = *b;
        power.multiply(&mut shifted);
        shifted + a
    }

    fn openings<T: Sync>(&mut self, places: &[T], open: impl Fn(&mut Self, usize, &T) + Sync) {
        let (made, rest) = std::mem::take(&mut self.rest).split_at_mut(places.len() * self.opening);
        made.par_chunks_mut(self.opening)
            .zip(places)
            .enumerate()
            .for_each(|(j, (own, place))| {
                let mut assigner = Self {
                    rest: own,
                    next: self.next + j * self.opening,
                    ..*self
                };
                open(&mut assigner, j, place);
            });
        self.rest = rest;
        self.next += places.len() * self.opening;
    }

    fn external<const T: usize>(&self, state: &[Fr; T], _matrix: &[[Fr; T]; T]) -> [Fr; T] {
        let mut state = *state;
        poseidon2::external(&mut state);
        state
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::cast_possible_truncation)]
    use super::*;
    use crate::{circuit::Circuit, fixture::Fixture};

    #[test]
    fn variables_are_counted_as_they_are_made() {
        for profile in [
            Profile::new("a", 1, 1),
            Profile::new("b", 3, 9),
            Profile::new("c", 1, 66),
        ] {
            assert_eq!(variables(&profile), Circuit::new(&profile).variables());
        }
    }

    #[test]
    fn threads_do_not_change_an_assignment() {
        let profile = Profile::new("threads", 1, 9);
        let fixture = Fixture::new(&profile, 2);
        let on = |threads| {
            let pool = rayon::ThreadPoolBuilder::new()
                .num_threads(threads)
                .build()
                .unwrap();
            let forced = HashMap::from([(5000, Fr::ONE)]);
            pool.install(|| assign(&profile, &fixture.public, &fixture.private, &forced))
        };
        assert!(on(1) == on(3));
        assert_eq!(on(2).values()[5000], Fr::ONE);
    }
}
