//! The software TPM of the crate's own tests.

pub use verifier::tpm::*;

#[allow(dead_code, reason = "these tests do not need all of it")]
#[path = "../../src/tpm/fixture.rs"]
pub mod fixture;
