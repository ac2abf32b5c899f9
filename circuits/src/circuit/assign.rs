//! Reads the circuit's description to compute the value of every variable.

use super::synthesizer::{Rule, Synthesizer, Wire};
use crate::{field::Fr, statement::Public};
use ark_ff::Field;
use std::collections::HashMap;
use zeroize::Zeroize;

/// Values of all variables: the constant one, the public inputs, the witness. Wiped when dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct Assignment(Vec<Fr>);

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

impl Drop for Assignment {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

/// Computes the values; a test may force some variables to values of its own, and everything derived from them follows.
pub(super) struct Assigner {
    values: Vec<Fr>,
    public: Vec<Fr>,
    forced: HashMap<usize, Fr>,
}

impl Assigner {
    pub(super) fn new(public: &Public) -> Self {
        let public = public.to_inputs().to_vec();
        let mut values = vec![Fr::ONE];
        values.extend(&public);
        Self {
            values,
            public,
            forced: HashMap::new(),
        }
    }

    #[cfg(test)]
    pub(super) fn with_forced(public: &Public, forced: HashMap<usize, Fr>) -> Self {
        Self {
            forced,
            ..Self::new(public)
        }
    }

    pub(super) fn finish(self) -> Assignment {
        Assignment(self.values)
    }
}

impl Synthesizer for Assigner {
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
        let from: Vec<Fr> = from.iter().map(|value| **value).collect();
        let mut computed = compute(&from);
        for value in &mut computed {
            if let Some(forced) = self.forced.get(&self.values.len()) {
                *value = *forced;
            }
            self.values.push(*value);
        }
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
}
