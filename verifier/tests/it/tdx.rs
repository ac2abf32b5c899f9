//! An Intel in software, as the crate's own tests have it.

pub use verifier::tdx::*;

#[allow(dead_code, reason = "these tests do not need all of it")]
#[path = "../../src/tdx/fixture.rs"]
pub mod fixture;
