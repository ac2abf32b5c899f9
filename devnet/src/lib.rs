#![doc = include_str!("../README.md")]

pub mod cli;
pub mod demo;
pub mod deploy;
pub mod faults;
pub mod faulty_node;
pub mod faulty_oracle;
pub mod narrator;
pub mod network;
pub mod ports;
pub mod process;
pub mod swtpm;
pub mod trust;
