//! Groth16 proofs on the kernel's lanes (Groth, "On the size of pairing-based non-interactive arguments", section 3.2).
//!
//! With z the values of the variables, w those of the witness, h the scalars of the quotient, r and s random:
//!
//! ```text
//! A = alpha + Σ z_i A_i + r delta         in the first group
//! B = beta  + Σ z_i B_i + s delta         in the second group, and once more in the first
//! C = Σ w_i L_i + Σ h_i H_i + s A + r B - r s delta
//! ```
//!
//! For the same r and s these are the points that arkworks computes.

use crate::{
    kernel::Kernel,
    msm::{BasesError, G1, G2, LengthMismatch, PackedBases, Scalars},
    qap::QuotientBasis,
    quotient::{Quotient, QuotientError},
};
use ark_bn254::{Bn254, Fr, G1Affine, G2Affine};
use ark_ec::CurveGroup;
use ark_groth16::Proof;
use circuits::{
    circuit::{Circuit, INSTANCE_VARIABLES},
    keys::ProvingKey,
};
use thiserror::Error;

/// Why a key cannot be prepared.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum PrepareError {
    /// The circuit's matrices.
    #[error(transparent)]
    Quotient(#[from] QuotientError),
    /// The key's points.
    #[error(transparent)]
    Bases(#[from] BasesError),
    /// The key is for another number of variables.
    #[error(transparent)]
    OtherCircuit(#[from] LengthMismatch),
}

/// A proving key whose points and matrices lie as the kernel wants them: made, or borrowed from a file's bytes.
pub struct PreparedKey<'k> {
    pub(crate) quotient: Quotient<'k>,
    basis: QuotientBasis,
    pub(crate) singles: Singles,
    pub(crate) bases: Bases<'k>,
}

/// The points of a key that stand alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Singles {
    pub(crate) alpha_g1: G1Affine,
    pub(crate) beta_g1: G1Affine,
    pub(crate) beta_g2: G2Affine,
    pub(crate) delta_g1: G1Affine,
    pub(crate) delta_g2: G2Affine,
}

/// The points of a key that are multiplied and added up.
pub(crate) struct Bases<'k> {
    pub(crate) a: PackedBases<'k, G1>,
    pub(crate) b_g1: PackedBases<'k, G1>,
    pub(crate) b_g2: PackedBases<'k, G2>,
    /// L, with infinities for the instance variables, so that the digits of all variables serve here, too.
    pub(crate) witness: PackedBases<'k, G1>,
    /// H.
    pub(crate) quotient: PackedBases<'k, G1>,
}

impl Singles {
    fn of(key: &ProvingKey) -> Self {
        Self {
            alpha_g1: key.vk.alpha_g1,
            beta_g1: key.beta_g1,
            beta_g2: key.vk.beta_g2,
            delta_g1: key.delta_g1,
            delta_g2: key.vk.delta_g2,
        }
    }
}

impl Bases<'static> {
    fn of(key: &ProvingKey) -> Result<Self, BasesError> {
        let mut witness = vec![G1Affine::identity(); INSTANCE_VARIABLES];
        witness.extend(&key.l_query);
        Ok(Self {
            a: PackedBases::new(&key.a_query)?,
            b_g1: PackedBases::new(&key.b_g1_query)?,
            b_g2: PackedBases::new(&key.b_g2_query)?,
            witness: PackedBases::new(&witness)?,
            quotient: PackedBases::new(&key.h_query)?,
        })
    }
}

impl PreparedKey<'static> {
    /// Prepares a key of this circuit.
    ///
    /// # Errors
    /// [`PrepareError`] if key and circuit do not belong together, or are too large.
    pub fn new(kernel: Kernel, circuit: &Circuit, key: &ProvingKey) -> Result<Self, PrepareError> {
        let quotient = Quotient::new(kernel, circuit)?;
        Self::join(quotient, Singles::of(key), Bases::of(key)?)
    }
}

impl<'k> PreparedKey<'k> {
    /// Puts the parts of a key together.
    ///
    /// # Errors
    /// [`PrepareError::OtherCircuit`] unless there is a base for each variable and each scalar of the quotient.
    pub(crate) fn join(
        quotient: Quotient<'k>,
        singles: Singles,
        bases: Bases<'k>,
    ) -> Result<Self, PrepareError> {
        let scalars = quotient.variables();
        let numbers = [
            bases.a.variables(),
            bases.b_g1.variables(),
            bases.b_g2.variables(),
            bases.witness.variables(),
        ];
        if let Some(variables) = numbers.into_iter().find(|number| *number != scalars) {
            return Err(LengthMismatch { scalars, variables }.into());
        }
        let (scalars, variables) = (quotient.size(), bases.quotient.variables());
        let basis =
            QuotientBasis::of(variables, scalars).ok_or(LengthMismatch { scalars, variables })?;
        Ok(Self {
            quotient,
            basis,
            singles,
            bases,
        })
    }

    /// The proof for these values of all variables, blinded by r and s, on the threads of the current rayon pool.
    ///
    /// # Errors
    /// [`LengthMismatch`] unless there is one value for each variable and one point H for each scalar of the quotient.
    pub fn prove(&self, values: &[Fr], r: Fr, s: Fr) -> Result<Proof<Bn254>, LengthMismatch> {
        let variables = self.quotient.variables();
        if values.len() != variables {
            let scalars = values.len();
            return Err(LengthMismatch { scalars, variables });
        }
        let (kernel, bases, points) = (self.quotient.kernel(), &self.bases, &self.singles);
        let quotient = {
            let scalars = self.quotient.scalars(self.basis, values);
            Scalars::new(kernel, &scalars).times(&bases.quotient)?
        };
        let scalars = Scalars::new(kernel, values);
        let a = scalars.times(&bases.a)? + points.alpha_g1 + points.delta_g1 * r;
        let (b_g1, b_g2) = scalars.times_both(&bases.b_g1, &bases.b_g2)?;
        let b_g1 = b_g1 + points.beta_g1 + points.delta_g1 * s;
        let b = b_g2 + points.beta_g2 + points.delta_g2 * s;
        let witness = scalars.times(&bases.witness)?;
        let c = witness + quotient + a * s + b_g1 * r - points.delta_g1 * (r * s);
        Ok(Proof {
            a: a.into_affine(),
            b: b.into_affine(),
            c: c.into_affine(),
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::{
        Prover, keys,
        quotient::tests::{kernels, statement},
    };
    use ark_ff::{AdditiveGroup, UniformRand};
    use ark_groth16::{Groth16, r1cs_to_qap::LibsnarkReduction};
    use circuits::{Profile, keys::insecure_dev_setup, proof};
    use rand::{SeedableRng, rngs::StdRng};
    use std::path::Path;

    fn keys() -> keys::Keys {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/keys");
        keys::load_or_create(&Profile::DEV, &folder).unwrap()
    }

    #[test]
    fn for_the_same_randomness_the_points_are_those_of_arkworks() {
        let keys = keys();
        let circuit = Circuit::new(&Profile::DEV);
        let proving = keys.proving_key().unwrap();
        assert!(
            proving == insecure_dev_setup(&circuit),
            "the file holds the whole key"
        );
        let (public, private) = statement(&Profile::DEV);
        let assignment = circuit.assignment(&public, &private).unwrap();
        let mut rng = StdRng::seed_from_u64(16);
        let (r, s) = (Fr::rand(&mut rng), Fr::rand(&mut rng));
        let expected =
            [(r, s), (Fr::ZERO, s), (r, Fr::ZERO), (Fr::ZERO, Fr::ZERO)].map(|(r, s)| {
                let proof =
                    Groth16::<Bn254, LibsnarkReduction>::create_proof_with_reduction_and_matrices(
                        &proving,
                        r,
                        s,
                        circuit.matrices(),
                        INSTANCE_VARIABLES,
                        circuit.constraints(),
                        assignment.values(),
                    );
                (r, s, proof.unwrap())
            });
        for kernel in kernels() {
            let mapped = keys.prepare(&keys.domain(kernel).unwrap()).unwrap();
            for (r, s, proof) in &expected {
                let found = mapped.prove(assignment.values(), *r, *s);
                assert_eq!(found.as_ref(), Ok(proof), "{kernel}, from the file");
            }
            assert!(mapped.prove(&assignment.values()[1..], r, s).is_err());
            let made = PreparedKey::new(kernel, &circuit, &proving).unwrap();
            let found = made.prove(assignment.values(), r, s);
            assert_eq!(
                found.as_ref(),
                Ok(&expected[0].2),
                "{kernel}, from arkworks' key"
            );
        }
    }

    #[test]
    fn two_proofs_of_one_statement_differ_in_every_point() {
        let prover = Prover::with_keys(keys(), None).unwrap();
        let (public, private) = statement(&Profile::DEV);
        let [one, other] = [0, 1].map(|_| prover.prove(&public, &private).unwrap());
        for proof in [&one, &other] {
            assert_eq!(
                proof::verify(prover.verifying_key(), &public, proof),
                Ok(())
            );
        }
        let (one, other) = (one.points(), other.points());
        assert!(one.a != other.a && one.b != other.b && one.c != other.c);
    }

    #[test]
    fn a_key_of_another_circuit_is_refused() {
        let circuit = Circuit::new(&Profile::new("small", 1, 1));
        let whole = insecure_dev_setup(&circuit);
        let refused = |change: &dyn Fn(&mut ProvingKey)| {
            let mut proving = whole.clone();
            change(&mut proving);
            PreparedKey::new(Kernel::Scalar, &circuit, &proving).err()
        };
        assert!(refused(&|_| ()).is_none());
        let one_less: [&dyn Fn(&mut ProvingKey); 5] = [
            &|key| key.a_query.truncate(key.a_query.len() - 1),
            &|key| key.b_g1_query.truncate(key.b_g1_query.len() - 1),
            &|key| key.b_g2_query.truncate(key.b_g2_query.len() - 1),
            &|key| key.l_query.truncate(key.l_query.len() - 1),
            &|key| key.h_query.truncate(key.h_query.len() - 1),
        ];
        for change in one_less {
            assert!(matches!(
                refused(change),
                Some(PrepareError::OtherCircuit(_))
            ));
        }
    }
}
