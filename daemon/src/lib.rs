#![doc = include_str!("../README.md")]

pub mod config;
pub mod exit;
pub mod health;
pub mod output;
pub mod secret;
pub mod shutdown;
pub mod telemetry;
pub mod tls;
