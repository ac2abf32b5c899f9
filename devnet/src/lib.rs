//! The whole network on one machine, on real parts, with faults to inject

pub mod swtpm;
