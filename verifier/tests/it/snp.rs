//! An AMD in software, as the crate's own tests have it.

pub use verifier::snp::*;

#[allow(dead_code, reason = "these tests do not need all of it")]
#[path = "../../src/snp/fixture.rs"]
pub mod fixture;
