//! Reads the circuit's description to write down its matrices.

use super::{
    INSTANCE_VARIABLES, Matrix,
    synthesizer::{Rule, Synthesizer, Wire},
};
use crate::field::Fr;
use ark_ff::{AdditiveGroup, Field, Zero};

/// Terms of a linear combination, in ascending order of their variables; no coefficient is zero.
type Terms = Vec<(Fr, usize)>;

/// The matrices as far as they have been written.
pub(super) struct Shape {
    pub(super) matrices: [Matrix; 3],
    pub(super) rules: Vec<Rule>,
    pub(super) wires: Vec<Wire>,
}

impl Shape {
    pub(super) fn new() -> Self {
        Self {
            matrices: Default::default(),
            rules: Vec::new(),
            wires: Vec::new(),
        }
    }
}

impl Synthesizer for Shape {
    type Number = Terms;

    fn constant(&self, value: Fr) -> Terms {
        if value.is_zero() {
            Vec::new()
        } else {
            vec![(value, 0)]
        }
    }

    fn public(&self, index: usize) -> Terms {
        vec![(Fr::ONE, 1 + index)]
    }

    fn add_scaled(&self, a: &Terms, b: &Terms, k: Fr) -> Terms {
        let mut sum = Vec::with_capacity(a.len() + b.len());
        let mut rest = a.iter().copied().peekable();
        for (coefficient, variable) in b {
            while let Some(term) = rest.next_if(|(_, i)| i < variable) {
                sum.push(term);
            }
            let old = rest
                .next_if(|(_, i)| i == variable)
                .map_or(Fr::ZERO, |(old, _)| old);
            let new = old + *coefficient * k;
            if !new.is_zero() {
                sum.push((new, *variable));
            }
        }
        sum.extend(rest);
        sum
    }

    fn derive<const N: usize>(
        &mut self,
        wire: Wire,
        _from: &[&Terms],
        _compute: impl FnOnce(&[Fr]) -> [Fr; N],
    ) -> [Terms; N] {
        let first = INSTANCE_VARIABLES + self.wires.len();
        self.wires.extend([wire; N]);
        std::array::from_fn(|i| vec![(Fr::ONE, first + i)])
    }

    fn enforce(&mut self, rule: Rule, row: impl FnOnce(&Self) -> [Terms; 3]) {
        let row = row(self);
        for (matrix, terms) in self.matrices.iter_mut().zip(row) {
            matrix.push(terms);
        }
        self.rules.push(rule);
    }
}
