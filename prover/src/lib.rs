#![doc = include_str!("../README.md")]

pub mod ceremony;
pub mod commit;
pub mod erasure;
pub mod fft;
pub mod folder;
pub mod groth16;
pub mod ingest;
pub mod kernel;
pub mod keys;
pub mod msm;
pub mod paths;
pub mod prove;
pub mod qap;
pub mod quotient;
#[cfg(test)]
mod skips;
pub mod solidity;
pub mod stored_tree;
mod wiped;
pub mod witness;

pub use commit::{ShardCommitment, commit};
pub use erasure::{Codec, Geometry};
pub use prove::{ProveError, Prover};
pub use witness::{OpenedCell, witness};
