#![doc = include_str!("../README.md")]

pub mod agreement;
pub mod bundle;
pub mod cli;
pub mod config;
pub mod enrol;
pub mod epochs;
mod gate;
pub mod grpc;
pub mod heads;
pub mod intake;
pub mod key;
pub mod notices;
pub mod onchain;
pub mod peers;
pub mod probe;
pub mod rules;
pub mod run;
pub mod settle;
pub mod store;
#[cfg(test)]
pub(crate) mod testing;
pub mod verdicts;
pub mod watcher;
pub mod web;

pub use run::{Edges, run};
