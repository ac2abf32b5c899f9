//! A constraint system as a ceremony sees it.

use ark_bn254::Fr;
use circuits::circuit::{Circuit, INSTANCE_VARIABLES, Matrix};

/// The matrices A, B, C with `(A z)(B z) = C z`, where `z` starts with the constant one and the public inputs.
#[derive(Clone, Copy, Debug)]
pub struct System<'a> {
    instance: usize,
    variables: usize,
    matrices: [&'a Matrix; 3],
}

impl<'a> From<&'a Circuit> for System<'a> {
    fn from(circuit: &'a Circuit) -> Self {
        let [a, b, c] = circuit.matrices();
        Self::new(INSTANCE_VARIABLES, circuit.variables(), [a, b, c])
    }
}

impl<'a> System<'a> {
    /// A system of one's own: `instance` counts the constant one and the public inputs, `variables` these and the witness.
    ///
    /// # Panics
    /// If the matrices have different numbers of rows, a variable does not exist, or there are more variables or rows
    /// than files can number (2^28, the largest FFT domain of BN254).
    #[must_use]
    pub fn new(instance: usize, variables: usize, matrices: [&'a Matrix; 3]) -> Self {
        let rows = matrices[0].len();
        assert!(
            matrices.iter().all(|matrix| matrix.len() == rows),
            "three matrices of one height"
        );
        assert!(
            (1..=variables).contains(&instance) && variables <= 1 << 28,
            "number of variables"
        );
        assert!(rows + instance <= 1 << 28, "number of rows");
        let known = |row: &Vec<(Fr, usize)>| row.iter().all(|(_, variable)| *variable < variables);
        assert!(
            matrices.iter().all(|matrix| matrix.iter().all(known)),
            "a term of a variable that does not exist"
        );
        Self {
            instance,
            variables,
            matrices,
        }
    }

    /// The constant one and the public inputs.
    #[must_use]
    pub const fn instance(&self) -> usize {
        self.instance
    }

    /// All variables.
    #[must_use]
    pub const fn variables(&self) -> usize {
        self.variables
    }

    /// Number of constraints.
    #[must_use]
    pub fn constraints(&self) -> usize {
        self.matrices[0].len()
    }

    /// A, B and C.
    #[must_use]
    pub const fn matrices(&self) -> [&'a Matrix; 3] {
        self.matrices
    }

    /// The FFT domain has 2 to this power rows: the constraints and one for each instance variable.
    #[must_use]
    pub fn domain_power(&self) -> u32 {
        (self.constraints() + self.instance)
            .next_power_of_two()
            .trailing_zeros()
    }

    /// Terms of A and B, and of the rows that bind the instance variables.
    #[must_use]
    pub fn coefficients(&self) -> usize {
        let [a, b, _] = self.matrices;
        a.iter().chain(b).map(Vec::len).sum::<usize>() + self.instance
    }
}
