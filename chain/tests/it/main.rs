//! The chain client against real anvil processes.
#![allow(clippy::unwrap_used, clippy::cast_possible_truncation)]

mod contracts;
mod follower;
mod logs;
mod proxy;
mod rpc;
mod scratch;
mod sender;
