#![doc = include_str!("../README.md")]

pub mod bundle;
pub mod cbor;
pub mod committee;
mod curve;
pub mod ear;
pub mod envelope;
pub mod eventlog;
pub mod evidence;
pub mod explain;
pub mod ids;
pub mod inventory;
pub mod judgement;
pub mod policy;
mod reason;
pub mod report;
pub mod revocation;
pub mod session;
pub mod snp;
mod sorted_tree;
pub mod tdx;
pub mod tee;
#[cfg(test)]
#[allow(clippy::unwrap_used)]
pub(crate) mod testing;
pub mod tpm;
pub mod transport;
pub mod trust;
pub mod typed_data;

pub use ids::{
    Availability, BlockNumber, DealId, Epoch, LatencyMs, NodeId, Slot, Stripe, Throughput,
};
pub use reason::{EvidenceReason, Reason};
