//! Integration tests: a node over edges in memory, and its gRPC service over real TLS.

mod cli;
mod epochs;
mod put_shard;
mod slots;
mod support;
