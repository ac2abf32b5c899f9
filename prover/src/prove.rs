//! One Groth16 proof for everything a node stores.
//!
//! Protocol: section 4.

use crate::{
    fft::Domain,
    groth16::{Blinding, Points},
    kernel::{self, Kernel, KernelError},
    keys::{self, KeyFileError, Keys},
};
use circuits::{
    Private, Profile, Proof, Public,
    circuit::{Assignment, assignment},
    keys::VerifyingKey,
    native::{self, Violation},
    proof,
};
use rand::rngs::OsRng;
use rayon::{ThreadPool, ThreadPoolBuilder};
use std::{
    num::NonZeroUsize,
    path::{Path, PathBuf},
    sync::Arc,
};
use thiserror::Error;

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
    /// The proving key is no longer what it was when it was opened.
    #[error(transparent)]
    Key(#[from] KeyFileError),
    /// What was made of a true statement is no proof of it. It is not handed out.
    #[error(
        "the proof that was made does not hold: proving key {0} or this machine's memory is damaged; \
         `prover setup` checks the key"
    )]
    Invalid(PathBuf),
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
}

/// Keys and threads, ready to prove.
pub struct Prover {
    keys: Keys,
    domain: Arc<Domain>,
    pool: ThreadPool,
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

    /// Opens the keys in `folder` of the circuit whose manifest has this id, as [`keys::load_for`] does.
    ///
    /// # Errors
    /// [`SetupError`].
    pub fn load_for(
        profile: &Profile,
        folder: &Path,
        circuit_id: &[u8; 32],
        threads: Option<NonZeroUsize>,
    ) -> Result<Self, SetupError> {
        let pool = pool(threads)?;
        let keys = pool.install(|| keys::load_for(profile, folder, circuit_id))?;
        Self::on(kernel::active()?, keys, pool)
    }

    /// Proves with keys at hand, as [`keys::load`] and [`keys::load_for`] open them.
    ///
    /// # Errors
    /// [`SetupError`].
    pub fn with_keys(keys: Keys, threads: Option<NonZeroUsize>) -> Result<Self, SetupError> {
        Self::with_kernel(kernel::active()?, keys, threads)
    }

    /// Proves on this kernel, whichever the environment asks for: to compare them.
    ///
    /// # Errors
    /// [`SetupError`].
    pub fn with_kernel(
        kernel: Kernel,
        keys: Keys,
        threads: Option<NonZeroUsize>,
    ) -> Result<Self, SetupError> {
        Self::on(kernel, keys, pool(threads)?)
    }

    pub(crate) fn on(kernel: Kernel, keys: Keys, pool: ThreadPool) -> Result<Self, SetupError> {
        let domain = keys.domain(kernel)?;
        Ok(Self { keys, domain, pool })
    }

    /// The profile it proves for.
    #[must_use]
    pub const fn profile(&self) -> &Profile {
        self.keys.profile()
    }

    /// Keys and manifest.
    #[must_use]
    pub const fn keys(&self) -> &Keys {
        &self.keys
    }

    #[cfg(test)]
    pub(crate) fn into_keys(self) -> Keys {
        self.keys
    }

    /// The key that checks its proofs.
    #[must_use]
    pub const fn verifying_key(&self) -> &VerifyingKey {
        self.keys.verifying()
    }

    /// Checks the statement natively, proves it, and verifies the proof: what it hands out is accepted.
    ///
    /// Blocks the calling thread; an asynchronous caller wraps it.
    ///
    /// # Errors
    /// [`ProveError::False`] names the rule that the witness breaks; [`ProveError::Invalid`] if the proof does not hold.
    pub fn prove(&self, public: &Public, private: &Private) -> Result<Proof, ProveError> {
        let assignment = self.pool.install(|| {
            native::check(self.profile(), public, private)?;
            assignment(self.profile(), public, private)
        })?;
        let proof = self.prove_assignment(&assignment)?;
        proof::verify(self.verifying_key(), public, &proof).map_err(|_| self.invalid())?;
        Ok(proof)
    }

    /// Makes a proof from whatever the variables hold: if they do not satisfy the circuit, no verifier accepts it. Nor is it
    /// verified here.
    ///
    /// # Errors
    /// [`ProveError::OtherCircuit`], [`ProveError::Key`], or [`ProveError::Invalid`] if the points are not even on their
    /// curves.
    pub fn prove_assignment(&self, assignment: &Assignment) -> Result<Proof, ProveError> {
        let blinding = Blinding::random(&mut OsRng);
        let points = self.pool.install(|| self.blinded(assignment, &blinding));
        Proof::new(points?).map_err(|_| self.invalid())
    }

    fn blinded(&self, assignment: &Assignment, blinding: &Blinding) -> Result<Points, ProveError> {
        let key = self.keys.prepare(&self.domain)?;
        key.prove(assignment.values(), blinding)
            .map_err(|error| ProveError::OtherCircuit {
                expected: error.variables,
                found: error.scalars,
            })
    }

    fn invalid(&self) -> ProveError {
        ProveError::Invalid(self.keys.path().to_owned())
    }
}

fn pool(threads: Option<NonZeroUsize>) -> Result<ThreadPool, rayon::ThreadPoolBuildError> {
    ThreadPoolBuilder::new()
        .num_threads(threads.map_or(0, NonZeroUsize::get))
        .thread_name(|n| format!("prover-{n}"))
        .build()
}
