//! A prover over shards that went through erasure coding and commitment, with keys in a cache on disk.
#![allow(clippy::unwrap_used, clippy::cast_possible_truncation)]

mod cache;
mod ceremony;
mod command;
mod golden;
mod ingest;
mod pipeline;
mod progress;
mod prove;
#[path = "../../src/skips.rs"]
mod skips;
mod table;
