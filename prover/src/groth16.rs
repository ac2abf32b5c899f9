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

/// A proving key whose points and matrices lie as the kernel wants them.
pub struct PreparedKey {
    kernel: Kernel,
    basis: QuotientBasis,
    quotient: Quotient,
    alpha_g1: G1Affine,
    beta_g1: G1Affine,
    beta_g2: G2Affine,
    delta_g1: G1Affine,
    delta_g2: G2Affine,
    a: PackedBases<'static, G1>,
    b_g1: PackedBases<'static, G1>,
    b_g2: PackedBases<'static, G2>,
    /// With infinities for the instance variables, so that the digits of all variables serve here, too.
    witness: PackedBases<'static, G1>,
    quotient_bases: PackedBases<'static, G1>,
}

impl PreparedKey {
    /// Prepares a key of this circuit.
    ///
    /// # Errors
    /// [`PrepareError`] if key and circuit do not belong together, or are too large.
    pub fn new(
        kernel: Kernel,
        circuit: &Circuit,
        key: &ProvingKey,
        basis: QuotientBasis,
    ) -> Result<Self, PrepareError> {
        let quotient = Quotient::new(kernel, circuit)?;
        let mut witness = vec![G1Affine::identity(); INSTANCE_VARIABLES];
        witness.extend(&key.l_query);
        let this = Self {
            kernel,
            basis,
            alpha_g1: key.vk.alpha_g1,
            beta_g1: key.beta_g1,
            beta_g2: key.vk.beta_g2,
            delta_g1: key.delta_g1,
            delta_g2: key.vk.delta_g2,
            a: PackedBases::new(&key.a_query)?,
            b_g1: PackedBases::new(&key.b_g1_query)?,
            b_g2: PackedBases::new(&key.b_g2_query)?,
            witness: PackedBases::new(&witness)?,
            quotient_bases: PackedBases::new(&key.h_query)?,
            quotient,
        };
        let scalars = circuit.variables();
        let others = [
            this.a.variables(),
            this.b_g1.variables(),
            this.b_g2.variables(),
            this.witness.variables(),
        ];
        match others.into_iter().find(|variables| *variables != scalars) {
            Some(variables) => Err(LengthMismatch { scalars, variables }.into()),
            None => Ok(this),
        }
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
        let quotient = {
            let scalars = self.quotient.scalars(self.basis, values);
            Scalars::new(self.kernel, &scalars).times(&self.quotient_bases)?
        };
        let scalars = Scalars::new(self.kernel, values);
        let a = scalars.times(&self.a)? + self.alpha_g1 + self.delta_g1 * r;
        let (b_g1, b_g2) = scalars.times_both(&self.b_g1, &self.b_g2)?;
        let b_g1 = b_g1 + self.beta_g1 + self.delta_g1 * s;
        let b = b_g2 + self.beta_g2 + self.delta_g2 * s;
        let witness = scalars.times(&self.witness)?;
        let c = witness + quotient + a * s + b_g1 * r - self.delta_g1 * (r * s);
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
    use circuits::{Profile, proof};
    use rand::{SeedableRng, rngs::StdRng};
    use std::path::Path;

    fn keys() -> keys::Keys {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/keys");
        keys::load_or_create(&Profile::DEV, &folder).unwrap()
    }

    #[test]
    fn for_the_same_randomness_the_points_are_those_of_arkworks() {
        let keys = keys();
        let (public, private) = statement(&Profile::DEV);
        let assignment = keys.circuit.assignment(&public, &private).unwrap();
        let mut rng = StdRng::seed_from_u64(16);
        let (r, s) = (Fr::rand(&mut rng), Fr::rand(&mut rng));
        for kernel in kernels() {
            let key = PreparedKey::new(kernel, &keys.circuit, &keys.proving, keys.basis).unwrap();
            for (r, s) in [(r, s), (Fr::ZERO, s), (r, Fr::ZERO), (Fr::ZERO, Fr::ZERO)] {
                let expected =
                    Groth16::<Bn254, LibsnarkReduction>::create_proof_with_reduction_and_matrices(
                        &keys.proving,
                        r,
                        s,
                        keys.circuit.matrices(),
                        INSTANCE_VARIABLES,
                        keys.circuit.constraints(),
                        assignment.values(),
                    )
                    .unwrap();
                assert_eq!(
                    key.prove(assignment.values(), r, s),
                    Ok(expected),
                    "{kernel}"
                );
            }
            assert!(key.prove(&assignment.values()[1..], r, s).is_err());
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
        let mut keys = keys();
        keys.proving.b_g1_query.pop();
        for kernel in kernels() {
            let key = PreparedKey::new(kernel, &keys.circuit, &keys.proving, keys.basis);
            assert!(matches!(key, Err(PrepareError::OtherCircuit(_))));
        }
    }
}
