//! The software TPM of the crate's own tests.

pub use verifier::tpm::*;

#[allow(dead_code)]
#[path = "../../src/tpm/fixture.rs"]
pub mod fixture;
