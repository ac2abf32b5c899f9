//! Groth16 proofs on the kernel's lanes (Groth, "On the size of pairing-based non-interactive arguments", section 3.2).
//!
//! With z the values of the variables, w those of the witness, h the scalars of the quotient:
//!
//! ```text
//! A = alpha + Σ z_i A_i            in the first group
//! B = beta  + Σ z_i B_i            in the second group
//! C = Σ w_i L_i + Σ h_i H_i        in the first group
//! ```
//!
//! is the proof that Groth's prover makes with r = s = 0. The witness determines it, so it is not handed out: [`Blinding`]
//! makes a random one of it, distributed as if r and s had been random from the beginning. That way B is never needed in the
//! first group, which saves a sum over all variables, and its points in the key. Decision: `docs/adr/0014-blinding.md`.

use crate::{
    kernel::Kernel,
    msm::{BasesError, G1, G2, LengthMismatch, PackedBases, Scalars},
    qap::QuotientBasis,
    quotient::{Quotient, QuotientError},
};
use ark_bn254::{Bn254, Fr, G1Affine, G1Projective, G2Affine, G2Projective};
use ark_ec::CurveGroup;
use ark_ff::{Field, UniformRand};
use ark_groth16::VerifyingKey;
use circuits::{
    circuit::{Circuit, INSTANCE_VARIABLES},
    keys::ProvingKey,
};
use rand::{CryptoRng, RngCore};
use thiserror::Error;
use zeroize::ZeroizeOnDrop;

/// A, B and C.
pub type Points = ark_groth16::Proof<Bn254>;

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
    pub(crate) beta_g2: G2Affine,
    pub(crate) delta_g2: G2Affine,
}

/// The points of a key that are multiplied and added up.
pub(crate) struct Bases<'k> {
    pub(crate) a: PackedBases<'k, G1>,
    pub(crate) b: PackedBases<'k, G2>,
    /// L, with infinities for the instance variables, so that the digits of all variables serve here, too.
    pub(crate) witness: PackedBases<'k, G1>,
    /// H.
    pub(crate) quotient: PackedBases<'k, G1>,
}

impl Singles {
    pub(crate) const fn of(key: &VerifyingKey<Bn254>) -> Self {
        Self {
            alpha_g1: key.alpha_g1,
            beta_g2: key.beta_g2,
            delta_g2: key.delta_g2,
        }
    }
}

/// What makes a random proof of one that the witness determines: random t, which is not zero, and u.
///
/// ```text
/// A' = A / t,   B' = t B + t u delta,   C' = C + u A
/// ```
///
/// satisfies the same equation, as e(A', B') = e(A, B) e(A, u delta). A' is uniform among the points that are not infinity, B'
/// is uniform and independent of it, and C' is the one point that fits: the distribution of proofs made with random r and s,
/// but for A' = infinity, which has probability 1 / r there.
#[derive(ZeroizeOnDrop)]
pub struct Blinding {
    t: Fr,
    t_inverse: Fr,
    u: Fr,
}

impl Blinding {
    /// Random numbers from a generator fit for secrets.
    #[must_use]
    pub fn random(rng: &mut (impl CryptoRng + RngCore)) -> Self {
        loop {
            if let Some(blinding) = Self::new(Fr::rand(rng), Fr::rand(rng)) {
                return blinding;
            }
        }
    }

    /// These numbers; `None` if t is zero.
    #[must_use]
    pub fn new(t: Fr, u: Fr) -> Option<Self> {
        let t_inverse = t.inverse()?;
        Some(Self { t, t_inverse, u })
    }

    fn apply(&self, a: G1Projective, b: G2Projective, c: G1Projective, delta: G2Affine) -> Points {
        Points {
            a: (a * self.t_inverse).into_affine(),
            b: ((b + delta * self.u) * self.t).into_affine(),
            c: (c + a * self.u).into_affine(),
        }
    }
}

crate::wiped::wiped_on_drop!(Blinding);

impl Bases<'static> {
    fn of(key: &ProvingKey) -> Result<Self, BasesError> {
        let mut witness = vec![G1Affine::identity(); INSTANCE_VARIABLES];
        witness.extend(&key.l_query);
        Ok(Self {
            a: PackedBases::new(&key.a_query)?,
            b: PackedBases::new(&key.b_g2_query)?,
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
        Self::join(quotient, Singles::of(&key.vk), Bases::of(key)?)
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
            bases.b.variables(),
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

    /// The proof for these values of all variables, blinded, on the threads of the current rayon pool.
    ///
    /// # Errors
    /// [`LengthMismatch`] unless there is one value for each variable and one point H for each scalar of the quotient.
    pub fn prove(&self, values: &[Fr], blinding: &Blinding) -> Result<Points, LengthMismatch> {
        let variables = self.quotient.variables();
        if values.len() != variables {
            let scalars = values.len();
            return Err(LengthMismatch { scalars, variables });
        }
        let (kernel, bases, points) = (self.quotient.kernel(), &self.bases, &self.singles);
        let quotient = Scalars::new(kernel, &self.quotient.scalars(self.basis, values));
        let values = Scalars::new(kernel, values);
        // Together, so that no thread waits for the last part of each.
        let ((b, a), (witness, quotient)) = rayon::join(
            || rayon::join(|| values.times(&bases.b), || values.times(&bases.a)),
            || {
                rayon::join(
                    || values.times(&bases.witness),
                    || quotient.times(&bases.quotient),
                )
            },
        );
        let (a, b, c) = (
            a? + points.alpha_g1,
            b? + points.beta_g2,
            witness? + quotient?,
        );
        Ok(blinding.apply(a, b, c, points.delta_g2))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::{Prover, kernel::tests::kernels, keys, quotient::tests::statement};
    use ark_ec::PrimeGroup;
    use ark_ff::AdditiveGroup;
    use ark_groth16::{Groth16, r1cs_to_qap::LibsnarkReduction};
    use circuits::{Profile, circuit::Assignment, keys::insecure_dev_setup, proof};
    use rand::{SeedableRng, rngs::StdRng};
    use std::path::Path;

    fn keys() -> keys::Keys {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/keys");
        keys::load_or_create(&Profile::DEV, &folder).unwrap()
    }

    /// arkworks' proof with r = s = 0.
    fn unblinded(circuit: &Circuit, proving: &ProvingKey, assignment: &Assignment) -> Points {
        Groth16::<Bn254, LibsnarkReduction>::create_proof_with_reduction_and_matrices(
            proving,
            Fr::ZERO,
            Fr::ZERO,
            circuit.matrices(),
            INSTANCE_VARIABLES,
            circuit.constraints(),
            assignment.values(),
        )
        .unwrap()
    }

    #[test]
    fn a_proof_is_that_of_arkworks_with_the_blinding_that_arkworks_gives_proofs_again() {
        let keys = keys();
        let circuit = Circuit::new(&Profile::DEV);
        let proving = insecure_dev_setup(&circuit);
        let (public, private) = statement(&Profile::DEV);
        let assignment = circuit.assignment(&public, &private).unwrap();
        let expected = unblinded(&circuit, &proving, &assignment);
        let neutral = Blinding::new(Fr::ONE, Fr::ZERO).unwrap();
        let seed = 16;
        let mut rng = StdRng::seed_from_u64(seed);
        let blinding = Blinding::random(&mut rng);
        let again = Groth16::<Bn254>::rerandomize_proof(
            &proving.vk,
            &expected,
            &mut StdRng::seed_from_u64(seed),
        );
        assert_ne!(again, expected);
        for kernel in kernels("a_proof_is_that_of_arkworks") {
            let domain = keys.domain(kernel).unwrap();
            let mapped = keys.prepare(&domain).unwrap();
            let made = PreparedKey::new(kernel, &circuit, &proving).unwrap();
            for (key, whence) in [(&mapped, "the file"), (&made, "arkworks' key")] {
                let found = key.prove(assignment.values(), &neutral);
                assert_eq!(found.as_ref(), Ok(&expected), "{kernel}, from {whence}");
                let found = key.prove(assignment.values(), &blinding);
                assert_eq!(found.as_ref(), Ok(&again), "{kernel}, from {whence}");
            }
            assert!(mapped.prove(&assignment.values()[1..], &neutral).is_err());
        }
    }

    #[test]
    fn a_blinded_proof_is_one_that_groths_prover_makes_and_zero_is_refused() {
        // For each t and u there are r and s with which Groth's prover makes the same proof: A + r delta = A / t fixes r,
        // and B, C follow. With the discrete logarithms at hand, as here, r can be computed.
        let mut rng = StdRng::seed_from_u64(17);
        let [alpha, beta, delta] = [0; 3].map(|_| Fr::rand(&mut rng));
        let (g1, g2) = (G1Projective::generator(), G2Projective::generator());
        // What a statement without variables leaves: A = alpha, B = beta, C = 0, for a key with e(alpha, beta) = 1 · e(C, delta).
        let c = alpha * beta / delta;
        let (t, u) = (Fr::rand(&mut rng), Fr::rand(&mut rng));
        let blinded = Blinding::new(t, u).unwrap().apply(
            g1 * alpha,
            g2 * beta,
            g1 * c,
            (g2 * delta).into_affine(),
        );
        let r = (alpha / t - alpha) / delta;
        let s = (beta * t + delta * u * t - beta) / delta;
        let (a, b) = (alpha + r * delta, beta + s * delta);
        assert_eq!(blinded.a, (g1 * a).into_affine());
        assert_eq!(blinded.b, (g2 * b).into_affine());
        assert_eq!(
            blinded.c,
            (g1 * (c + s * a + r * b - r * s * delta)).into_affine()
        );
        assert!(Blinding::new(Fr::ZERO, u).is_none());
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
        let one_less: [&dyn Fn(&mut ProvingKey); 4] = [
            &|key| key.a_query.truncate(key.a_query.len() - 1),
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
