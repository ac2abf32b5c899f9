//! Keys that nobody made alone: the phase-2 ceremony of Groth16 in the files that `snarkjs` reads and writes.
//!
//! A ceremony starts from a public phase-1 file (`.ptau`, [`powers_of_tau`]) and a circuit ([`system`]). Both give the
//! initial key ([`Zkey::derive`]), which anybody can derive again. Each contributor multiplies the key by a secret and
//! leaves a proof of that behind ([`contribute`]); a public random value is the last contribution. The key is sound if
//! one contributor forgot the secret. [`verify`] repeats every check of `snarkjs zkey verify` in code of its own, so a
//! mistake would have to be in both, and [`finalize`] turns what passed into the keys that provers use.
//!
//! Everything read here may come from a stranger: sizes are compared with the circuit before memory is taken, every
//! point is checked, and each way to fail is a variant of [`CeremonyError`].
//!
//! Groth16 (<https://eprint.iacr.org/2016/260>); ceremony of Bowe, Gabizon and Miers
//! (<https://eprint.iacr.org/2017/1050>). Protocol: section 4. Runbook: `docs/runbooks/ceremony.md`.

mod combine;
mod container;
pub mod contribute;
pub mod contribution;
mod derive;
pub mod error;
pub mod finalize;
mod points;
pub mod powers_of_tau;
mod proving;
pub mod r1cs;
mod randomness;
pub mod system;
pub mod verify;
pub mod wtns;
pub mod zkey;

pub use contribution::{Contribution, Kind, Transcript};
pub use error::{CeremonyError, FileKind};
pub use powers_of_tau::PowersOfTau;
pub use system::System;
pub use zkey::Zkey;

#[cfg(test)]
mod hostile;
#[cfg(test)]
mod interop;
#[cfg(test)]
mod toy;
