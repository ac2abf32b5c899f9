//! The software TPM of the verifier's tests.

pub(crate) use verifier::tpm::*;

#[allow(dead_code, reason = "these tests do not need all of it")]
#[path = "../../../../verifier/src/tpm/fixture.rs"]
pub(crate) mod fixture;
