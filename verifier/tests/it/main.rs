//! Integration tests of the verifier.
#![allow(clippy::unwrap_used, clippy::cast_possible_truncation)]

mod cli;
mod eventlog;
mod merkle;
mod notices;
mod quote;
mod reasons;
mod results;
mod roots;
mod seeds;
mod tee;
mod tpm;
