//! One Groth16 proof for everything a node stores.
//!
//! Protocol: section 4.

use crate::{
    groth16::{PrepareError, PreparedKey},
    kernel::{self, Kernel, KernelError},
    keys::{self, KeyFileError, Keys},
    qap::{OddCoset, QuotientBasis},
};
use ark_bn254::{Bn254, Fr};
use ark_ff::UniformRand;
use ark_groth16::{
    Groth16,
    r1cs_to_qap::{LibsnarkReduction, R1CSToQAP},
};
use circuits::{
    Private, Profile, Proof, Public,
    circuit::{Assignment, INSTANCE_VARIABLES},
    keys::VerifyingKey,
    native::{self, Violation},
};
use rand::rngs::OsRng;
use rayon::{ThreadPool, ThreadPoolBuilder};
use std::{num::NonZeroUsize, path::Path};
use thiserror::Error;
use zeroize::Zeroize;

/// A, B and C.
type Points = ark_groth16::Proof<Bn254>;

/// Why there is no proof.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ProveError {
    /// The statement is false, so a proof of it would be refused.
    #[error(transparent)]
    False(#[from] Violation),
    /// The assignment belongs to another circuit.
    #[error("the assignment has {found} variables, the circuit {expected}")]
    OtherCircuit {
        /// Variables of the circuit.
        expected: usize,
        /// Values found.
        found: usize,
    },
    /// The proof system itself failed.
    #[error("the proof system failed: {0}")]
    System(String),
}

/// Why there is no prover.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum SetupError {
    /// The keys.
    #[error(transparent)]
    Keys(#[from] KeyFileError),
    /// The threads.
    #[error("cannot start prover threads: {0}")]
    Threads(#[from] rayon::ThreadPoolBuildError),
    /// The arithmetic that was asked for.
    #[error(transparent)]
    Kernel(#[from] KernelError),
    /// The keys are of another circuit.
    #[error("cannot prepare the proving key: {0}")]
    Prepare(#[from] PrepareError),
}

/// Circuit, keys and threads, ready to prove.
pub struct Prover {
    keys: Keys,
    pool: ThreadPool,
    /// The key on the kernel's lanes; none where arkworks does the arithmetic.
    prepared: Option<PreparedKey>,
}

impl Prover {
    /// Reads the keys of a profile from `folder`, or makes them.
    ///
    /// `threads` bounds what a proof may use; `None` is every core.
    ///
    /// # Errors
    /// [`SetupError`].
    pub fn load_or_create(
        profile: &Profile,
        folder: &Path,
        threads: Option<NonZeroUsize>,
    ) -> Result<Self, SetupError> {
        let pool = pool(threads)?;
        let keys = pool.install(|| keys::load_or_create(profile, folder))?;
        Self::on(kernel::active()?, keys, pool)
    }

    /// Proves with keys at hand, as [`keys::load`] reads them.
    ///
    /// # Errors
    /// [`SetupError`].
    pub fn with_keys(keys: Keys, threads: Option<NonZeroUsize>) -> Result<Self, SetupError> {
        Self::on(kernel::active()?, keys, pool(threads)?)
    }

    fn on(kernel: Kernel, keys: Keys, pool: ThreadPool) -> Result<Self, SetupError> {
        let prepare =
            || PreparedKey::new(kernel, &keys.circuit, &keys.proving, keys.basis).map(Some);
        let prepared = match kernel {
            Kernel::Scalar => None,
            #[cfg(target_arch = "x86_64")]
            Kernel::Ifma(_) => pool.install(prepare)?,
        };
        Ok(Self {
            keys,
            pool,
            prepared,
        })
    }

    /// The profile it proves for.
    #[must_use]
    pub const fn profile(&self) -> &Profile {
        self.keys.circuit.profile()
    }

    /// Circuit, keys and manifest.
    #[must_use]
    pub const fn keys(&self) -> &Keys {
        &self.keys
    }

    /// The key that checks its proofs.
    #[must_use]
    pub const fn verifying_key(&self) -> &VerifyingKey {
        &self.keys.verifying
    }

    /// Checks the statement natively, then proves it.
    ///
    /// Blocks the calling thread; an asynchronous caller wraps it.
    ///
    /// # Errors
    /// [`ProveError::False`] names the rule that the witness breaks.
    pub fn prove(&self, public: &Public, private: &Private) -> Result<Proof, ProveError> {
        native::check(self.profile(), public, private)?;
        self.prove_assignment(&self.keys.circuit.assignment(public, private)?)
    }

    /// Makes a proof from whatever the variables hold: if they do not satisfy the circuit, no verifier accepts it.
    ///
    /// # Errors
    /// [`ProveError::OtherCircuit`] or [`ProveError::System`].
    pub fn prove_assignment(&self, assignment: &Assignment) -> Result<Proof, ProveError> {
        let circuit = &self.keys.circuit;
        let (expected, found) = (circuit.variables(), assignment.values().len());
        if expected != found {
            return Err(ProveError::OtherCircuit { expected, found });
        }
        let (mut r, mut s) = (Fr::rand(&mut OsRng), Fr::rand(&mut OsRng));
        let points = self.pool.install(|| self.blinded(assignment, r, s));
        r.zeroize();
        s.zeroize();
        Proof::new(points?).map_err(|e| ProveError::System(e.to_string()))
    }

    fn blinded(&self, assignment: &Assignment, r: Fr, s: Fr) -> Result<Points, ProveError> {
        let points = match (&self.prepared, self.keys.basis) {
            (Some(key), _) => key
                .prove(assignment.values(), r, s)
                .map_err(|e| e.to_string()),
            (None, QuotientBasis::Powers) => self.arkworks::<LibsnarkReduction>(assignment, r, s),
            (None, QuotientBasis::OddCoset) => self.arkworks::<OddCoset>(assignment, r, s),
        };
        points.map_err(ProveError::System)
    }

    fn arkworks<Q: R1CSToQAP>(
        &self,
        assignment: &Assignment,
        r: Fr,
        s: Fr,
    ) -> Result<Points, String> {
        let circuit = &self.keys.circuit;
        Groth16::<Bn254, Q>::create_proof_with_reduction_and_matrices(
            &self.keys.proving,
            r,
            s,
            circuit.matrices(),
            INSTANCE_VARIABLES,
            circuit.constraints(),
            assignment.values(),
        )
        .map_err(|e| e.to_string())
    }
}

fn pool(threads: Option<NonZeroUsize>) -> Result<ThreadPool, rayon::ThreadPoolBuildError> {
    ThreadPoolBuilder::new()
        .num_threads(threads.map_or(0, NonZeroUsize::get))
        .thread_name(|n| format!("prover-{n}"))
        .build()
}
