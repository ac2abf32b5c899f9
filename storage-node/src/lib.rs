//! The storage provider's daemon: shard store, TPM identity, gRPC API, epoch duty
