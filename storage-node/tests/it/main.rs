//! Integration tests: a node over edges in memory, over the real contracts, and its gRPC service over real TLS.

mod cli;
mod epochs;
mod on_chain;
mod put_shard;
mod queue;
mod reclaim;
mod sessions;
mod slots;
mod support;
