#![doc = include_str!("../README.md")]

pub mod cli;
mod codec;
pub mod config;
pub mod deals;
pub mod error;
mod fetch;
pub mod geometry;
pub mod get;
pub mod manifest;
pub mod nodes;
pub mod object;
pub mod progress;
pub mod put;
pub mod repair;
mod session;
pub mod status;
#[cfg(test)]
mod tests;

pub use error::GatewayError;
pub use geometry::Geometry;
