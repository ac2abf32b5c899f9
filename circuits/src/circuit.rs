//! The R1CS circuit of the storage proof.
//!
//! One description, [`synthesis`], is read in two ways: once to write down the matrices ([`shape`]), and for every proof
//! to compute the assignment ([`assign`]). Computing an assignment never asks whether it satisfies anything: that is
//! what [`Circuit::violations`] is for.
//!
//! Constraints of a circuit with N samples, depth D, and `ones` = the number of set bits of r - 1:
//!
//! | part | how many | constraints each |
//! |---|---|---|
//! | shard count: bits and their sum | 1 | 3D + 1 |
//! | block of 64 samples: P16 of seed and block number | ceil(N / 64) | 16·3·8 + 3·67 = 585 |
//! | lane of 4 samples: canonical bits | ceil(N / 4) | 254 + ones - 1 + 1 |
//! | sample: product, shard and rest bits | N | 1 + 3D + 40 |
//! | sample: cell digest, P16 | N | 585 |
//! | sample: tree level, selection and P8 | N (4 + D) | 7 + 8·3·8 + 3·58 = 373 |
//! | sample: root | N | 1 |
//!
//! Protocol: section 4.

mod assign;
mod bits;
mod permutation;
mod selection;
mod shape;
mod synthesis;
mod synthesizer;

#[cfg(test)]
mod soundness;

pub use assign::Assignment;
pub use synthesizer::{Rule, Wire};

use crate::{
    field::{self, Fr},
    native::{self, Violation},
    profile::Profile,
    statement::{PUBLIC_INPUTS, Private, Public},
};
use ark_relations::gr1cs::{
    ConstraintSynthesizer, ConstraintSystemRef, LinearCombination, SynthesisError, Variable,
};
use rayon::prelude::*;
use std::collections::HashMap;

/// Rows of one matrix: coefficient and variable of each term.
pub type Matrix = Vec<Vec<(Fr, usize)>>;

/// Instance variables: the constant one and the public inputs.
pub const INSTANCE_VARIABLES: usize = 1 + PUBLIC_INPUTS.len();

/// The constraint system of one profile: the matrices A, B, C with `(A z)(B z) = C z` row by row.
///
/// `z` starts with the constant one and the public inputs in the order of [`PUBLIC_INPUTS`].
#[derive(Clone, Debug)]
pub struct Circuit {
    profile: Profile,
    /// A, B and C.
    matrices: [Matrix; 3],
    rules: Vec<Rule>,
    wires: Vec<Wire>,
}

/// A constraint that an assignment breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Broken {
    /// Row of the constraint.
    pub row: usize,
    /// What the constraint is for.
    pub rule: Rule,
}

impl Circuit {
    /// Writes down the constraint system of a profile.
    #[must_use]
    pub fn new(profile: &Profile) -> Self {
        let mut shape = shape::Shape::new();
        synthesis::synthesize(&mut shape, profile, None);
        let shape::Shape {
            matrices,
            rules,
            wires,
        } = shape;
        Self {
            profile: *profile,
            matrices,
            rules,
            wires,
        }
    }

    /// The profile it was built for.
    #[must_use]
    pub const fn profile(&self) -> &Profile {
        &self.profile
    }

    /// A, B and C.
    #[must_use]
    pub const fn matrices(&self) -> &[Matrix; 3] {
        &self.matrices
    }

    /// Number of constraints.
    #[must_use]
    pub const fn constraints(&self) -> usize {
        self.rules.len()
    }

    /// Number of variables, the constant one and the public inputs included.
    #[must_use]
    pub const fn variables(&self) -> usize {
        INSTANCE_VARIABLES + self.wires.len()
    }

    /// What each constraint is for, by row.
    #[must_use]
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// What each witness variable holds; the first one is variable [`INSTANCE_VARIABLES`].
    #[must_use]
    pub fn wires(&self) -> &[Wire] {
        &self.wires
    }

    /// Computes all variables from the statement and its witness, whether or not the statement is true.
    ///
    /// # Errors
    /// [`Violation::SampleCount`] or [`Violation::PathLength`] if the witness does not fit the circuit's shape.
    pub fn assignment(&self, public: &Public, private: &Private) -> Result<Assignment, Violation> {
        assignment(&self.profile, public, private)
    }

    /// The constraints that an assignment breaks, in order of their rows.
    ///
    /// # Panics
    /// If the assignment was made for a circuit of another shape.
    #[must_use]
    pub fn violations(&self, assignment: &Assignment) -> Vec<Broken> {
        let z = assignment.values();
        assert_eq!(z.len(), self.variables(), "assignment of another circuit");
        let [a, b, c] = &self.matrices;
        let dot = |row: &[(Fr, usize)]| row.iter().map(|(k, i)| *k * z[*i]).sum::<Fr>();
        let broken = |row: &usize| dot(&a[*row]) * dot(&b[*row]) != dot(&c[*row]);
        let rows = (0..self.constraints()).into_par_iter().filter(broken);
        rows.map(|row| Broken {
            row,
            rule: self.rules[row],
        })
        .collect()
    }

    /// Whether an assignment satisfies every constraint.
    #[must_use]
    pub fn is_satisfied(&self, assignment: &Assignment) -> bool {
        self.violations(assignment).is_empty()
    }

    /// BLAKE3 over a canonical encoding of the matrices: what manifests pin.
    ///
    /// Counts and indices are 64-bit little-endian, coefficients 32 bytes big-endian: instance variables, variables,
    /// constraints; then for A, B, C and each row the number of terms and each term's variable and coefficient.
    #[must_use]
    pub fn digest(&self) -> [u8; 32] {
        let mut hasher = blake3::Hasher::new_derive_key("probity constraint system v1");
        let number = |hasher: &mut blake3::Hasher, value: usize| {
            hasher.update(&(value as u64).to_le_bytes());
        };
        for count in [INSTANCE_VARIABLES, self.variables(), self.constraints()] {
            number(&mut hasher, count);
        }
        for row in self.matrices.iter().flatten() {
            number(&mut hasher, row.len());
            for (coefficient, variable) in row {
                number(&mut hasher, *variable);
                hasher.update(&field::to_be_bytes(coefficient));
            }
        }
        *hasher.finalize().as_bytes()
    }
}

/// Computes all variables of a profile's circuit, as [`Circuit::assignment`] does, without its matrices.
///
/// # Errors
/// [`Violation::SampleCount`] or [`Violation::PathLength`].
pub fn assignment(
    profile: &Profile,
    public: &Public,
    private: &Private,
) -> Result<Assignment, Violation> {
    native::check_shape(profile, private)?;
    Ok(assign::assign(profile, public, private, &HashMap::new()))
}

/// Hands the matrices to the key generator, which knows circuits only through this trait.
impl ConstraintSynthesizer<Fr> for &Circuit {
    fn generate_constraints(self, cs: ConstraintSystemRef<Fr>) -> Result<(), SynthesisError> {
        let missing = || Err(SynthesisError::AssignmentMissing);
        let mut variables = vec![Variable::One];
        for _ in PUBLIC_INPUTS {
            variables.push(cs.new_input_variable(missing)?);
        }
        for _ in &self.wires {
            variables.push(cs.new_witness_variable(missing)?);
        }
        let row = |terms: &[(Fr, usize)]| {
            LinearCombination(terms.iter().map(|(k, i)| (*k, variables[*i])).collect())
        };
        let [a, b, c] = &self.matrices;
        for ((a, b), c) in a.iter().zip(b).zip(c) {
            cs.enforce_r1cs_constraint(|| row(a), || row(b), || row(c))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::cast_possible_truncation)]
    use super::*;
    use crate::fixture::Fixture;

    #[test]
    fn an_honest_witness_satisfies_both_twins() {
        for (shards, profile) in [
            (1, Profile::new("one", 1, 1)),
            (3, Profile::new("some", 2, 5)),
        ] {
            let fixture = Fixture::new(&profile, shards);
            let circuit = Circuit::new(&profile);
            let assignment = circuit
                .assignment(&fixture.public, &fixture.private)
                .unwrap();
            assert_eq!(circuit.violations(&assignment), []);
            assert_eq!(
                native::check(&profile, &fixture.public, &fixture.private),
                Ok(())
            );
        }
    }

    #[test]
    fn a_second_block_of_samples_satisfies_both_twins() {
        let profile = Profile::new("blocks", 1, 66);
        let fixture = Fixture::new(&profile, 2);
        let circuit = Circuit::new(&profile);
        let assignment = circuit
            .assignment(&fixture.public, &fixture.private)
            .unwrap();
        assert_eq!(circuit.violations(&assignment), []);
        assert_eq!(
            native::check(&profile, &fixture.public, &fixture.private),
            Ok(())
        );
    }

    #[test]
    fn the_number_of_constraints_is_the_one_in_the_table() {
        let ones = (-Fr::from(1u64)).into_ones();
        for profile in [
            Profile::new("a", 1, 1),
            Profile::new("b", 3, 9),
            Profile::DEV,
        ] {
            let (n, d) = (profile.samples(), profile.depth());
            let expected = 3 * d
                + 1
                + n.div_ceil(64) * 585
                + n.div_ceil(4) * (254 + ones - 1 + 1)
                + n * (1 + 3 * d + 40 + 585 + (4 + d) * 373 + 1);
            assert_eq!(Circuit::new(&profile).constraints(), expected);
        }
    }

    trait Ones {
        fn into_ones(self) -> usize;
    }

    impl Ones for Fr {
        fn into_ones(self) -> usize {
            use ark_ff::PrimeField;
            self.into_bigint()
                .0
                .iter()
                .map(|limb| limb.count_ones() as usize)
                .sum()
        }
    }

    #[test]
    fn the_dev_profile_fills_its_domain() {
        let used = Circuit::new(&Profile::DEV).constraints() + INSTANCE_VARIABLES;
        let one_more = Profile::new("dev+1", 2, Profile::DEV.samples() as u16 + 1);
        assert!(used <= 1 << 15, "{used}");
        assert!(Circuit::new(&one_more).constraints() + INSTANCE_VARIABLES > 1 << 15);
    }

    #[test]
    fn another_shape_has_another_digest() {
        let digest = |depth, samples| Circuit::new(&Profile::new("x", depth, samples)).digest();
        assert_eq!(digest(1, 1), digest(1, 1));
        assert_ne!(digest(1, 1), digest(1, 2));
        assert_ne!(digest(1, 1), digest(2, 1));
    }

    #[test]
    fn a_witness_of_another_shape_is_refused() {
        let profile = Profile::new("shape", 1, 1);
        let mut fixture = Fixture::new(&profile, 1);
        fixture.private.samples[0].inventory_path.clear();
        let refused = assignment(&profile, &fixture.public, &fixture.private).unwrap_err();
        assert_eq!(
            refused,
            Violation::PathLength {
                sample: 0,
                expected: 1,
                found: 0
            }
        );
        fixture.private.samples.clear();
        let refused = assignment(&profile, &fixture.public, &fixture.private).unwrap_err();
        assert_eq!(
            refused,
            Violation::SampleCount {
                expected: 1,
                found: 0
            }
        );
    }
}
