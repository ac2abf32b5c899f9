//! Integration tests of the verifier.
#![allow(clippy::unwrap_used, clippy::cast_possible_truncation)]

mod accepted;
mod cli;
mod eventlog;
mod merkle;
mod notices;
mod quote;
mod reasons;
mod results;
mod roots;
mod roster;
mod seeds;
mod snp;
mod tdx;
mod tee;
mod tpm;

/// The small world of the crate's own tests, which is written against the crate's root.
#[allow(dead_code, reason = "these tests do not need all of it")]
#[path = "../../src/testing.rs"]
mod testing;
use verifier::{
    bundle, cbor, committee, envelope, evidence, ids, judgement, policy, report, trust,
};
