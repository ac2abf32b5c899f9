#![doc = include_str!("../README.md")]

#[cfg(feature = "anvil")]
pub mod anvil;
pub mod bindings;
mod client;
mod clock;
mod deployment;
mod error;
mod events;
mod failover;
mod follower;
mod logs;
mod revert;
mod rpc;
mod sender;
pub mod types;
mod view;

pub use client::Client;
pub use clock::{BadSchedule, EpochClock};
pub use deployment::{Deployment, DeploymentError};
pub use error::ChainError;
pub use events::{Event, EventBody};
pub use follower::{Cursor, Follower};
pub use logs::LogsBackwards;
pub use revert::{Argument, Revert};
pub use rpc::{BlockRef, Rpc, RpcOptions};
pub use sender::{SendPolicy, Sender};
pub use view::View;

/// What the bindings are written in terms of, so that callers need no dependency of their own.
pub use alloy;
