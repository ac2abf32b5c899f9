#![doc = include_str!("../README.md")]

pub mod circuit;
pub mod field;
pub mod inventory;
pub mod keys;
pub mod native;
pub mod poseidon2;
pub mod profile;
pub mod proof;
pub mod sampling;
pub mod seed;
pub mod statement;
pub mod storage;
pub mod tree;
mod wiped;

#[cfg(test)]
mod fixture;

pub use field::Fr;
pub use profile::Profile;
pub use proof::Proof;
pub use sampling::{Sample, select};
pub use seed::epoch_seed;
pub use statement::{PUBLIC_INPUTS, Private, Public, SampleWitness};
pub use storage::{StorageRoot, StorageTree};
