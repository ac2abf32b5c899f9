//! The TPM structures a verifier reads, parsed strictly from their marshalled form.
//!
//! Every parser takes the whole structure, refuses surplus bytes, bounds every size before it
//! copies, and knows only the algorithms listed in [`HashAlgorithm`], [`EccCurve`],
//! [`SigningScheme`] and [`SymmetricCipher`]. Reference: TPM 2.0 Library Specification, part 2.

mod algorithm;
mod attest;
mod public;
mod reader;
mod signature;

pub use algorithm::{EccCurve, HashAlgorithm, SigningScheme, SymmetricCipher};
pub use attest::{Attest, Attested, PcrSelection};
pub use public::{Name, ObjectAttributes, Public, RH_ENDORSEMENT};
pub use signature::Signature;
