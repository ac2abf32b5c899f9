//! Attestation results against Veraison's `ear` crate, both ways; see `tests/both_ways.rs`.
//!
//! The two sides meet in files, so that neither needs the other to build: `verifier/tests/data/ear` holds tokens the crate made,
//! which `cargo test -p verifier` reads, and tokens of ours, which `make interop` gives the crate to read.
