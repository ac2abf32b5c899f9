//! One name for each struct of the ABI. Where several contracts use a struct, the one named here is the one to build; `From`
//! turns it into the other contracts'.

use crate::bindings::registry::Registry;
pub use crate::bindings::{
    deals::{
        Deals::{Inventory, ShardRoots},
        IDeals::{Assignment, Deal},
    },
    hub::{
        Hub::{QuorumSignatures, Report, Verdict},
        IHub::{Ledger, PolicyPeriod, ReportRecord, Reputation, Schedule, Submission},
    },
    registry::{
        IRegistry::{Node, NodeSummary},
        Registry::{Enrolment, OracleInfo},
    },
};

impl From<QuorumSignatures> for Registry::QuorumSignatures {
    fn from(quorum: QuorumSignatures) -> Self {
        Self {
            bitmap: quorum.bitmap,
            signatures: quorum.signatures,
        }
    }
}

/// The ABI carries an enum as a number; a number without a name comes from a contract newer than this program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{value} names no {name}: the contracts are newer than this program")]
pub struct UnknownValue {
    name: &'static str,
    value: u8,
}

macro_rules! abi_enum {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $value:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
        #[serde(rename_all = "snake_case")]
        #[repr(u8)]
        pub enum $name {
            $($(#[$variant_doc])* $variant = $value,)*
        }

        impl TryFrom<u8> for $name {
            type Error = UnknownValue;

            fn try_from(value: u8) -> Result<Self, UnknownValue> {
                match value {
                    $($value => Ok(Self::$variant),)*
                    _ => Err(UnknownValue { name: stringify!($name), value }),
                }
            }
        }

        impl From<$name> for u8 {
            fn from(value: $name) -> u8 {
                value as u8
            }
        }
    };
}

abi_enum! {
    /// Where a node stands in the registry (`IRegistry.Status`, [`Node::status`]).
    NodeStatus {
        /// There is no such node.
        None = 0,
        /// Takes part.
        Active = 1,
        /// Has asked to leave.
        Exiting = 2,
        /// Has left with its bond.
        Withdrawn = 3,
        /// Was removed for forged attestation.
        Removed = 4,
    }
}
abi_enum! {
    /// How far a deal has come (`IDeals.DealState`, [`Deal::state`]).
    DealState {
        /// There is no such deal.
        None = 0,
        /// Its slots' lists are being published.
        Proposed = 1,
        /// Its slots' lists are fixed; nodes may accept.
        Sealed = 2,
        /// Over, and its escrow returned.
        Closed = 3,
    }
}
abi_enum! {
    /// A node's reputation in one word (`IHub.Standing`).
    Standing {
        /// There is no such node.
        Unknown = 0,
        /// Not judged often enough yet.
        Vetting = 1,
        /// Trusted.
        Good = 2,
        /// Its scores or its bond are too low, for now.
        Suspended = 3,
        /// Removed for good.
        Removed = 4,
    }
}
abi_enum! {
    /// Why an epoch needed no verdict (`IHub.SkipCause`, event `EpochSkipped`).
    SkipCause {
        /// The epoch has no beacon.
        Void = 0,
        /// No report came in time.
        Unreported = 1,
        /// The node stored nothing.
        NoDuty = 2,
        /// The node had been removed.
        Removed = 3,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::cast_possible_truncation)]

    use super::*;

    /// The variants of an enum in the Solidity source, in order.
    fn solidity_variants(file: &str, name: &str) -> Vec<String> {
        let path = format!(
            "{}/../contracts/src/interfaces/{file}",
            env!("CARGO_MANIFEST_DIR")
        );
        let source = std::fs::read_to_string(path).unwrap();
        let body = source
            .split(&format!("enum {name} {{"))
            .nth(1)
            .unwrap()
            .split('}')
            .next()
            .unwrap();
        body.lines()
            .map(|line| {
                line.split("//")
                    .next()
                    .unwrap()
                    .trim()
                    .trim_end_matches(',')
                    .to_owned()
            })
            .filter(|line| !line.is_empty())
            .collect()
    }

    fn rust_variants<T: TryFrom<u8> + std::fmt::Debug>() -> Vec<String> {
        (0..=u8::MAX)
            .map_while(|value| T::try_from(value).ok())
            .map(|variant| format!("{variant:?}"))
            .collect()
    }

    #[test]
    fn enums_are_those_of_the_solidity_sources() {
        assert_eq!(
            rust_variants::<NodeStatus>(),
            solidity_variants("IRegistry.sol", "Status")
        );
        assert_eq!(
            rust_variants::<DealState>(),
            solidity_variants("IDeals.sol", "DealState")
        );
        assert_eq!(
            rust_variants::<Standing>(),
            solidity_variants("IHub.sol", "Standing")
        );
        assert_eq!(
            rust_variants::<SkipCause>(),
            solidity_variants("IHub.sol", "SkipCause")
        );
    }

    #[test]
    fn a_value_from_a_newer_contract_is_refused() {
        let refused = Standing::try_from(9).unwrap_err();
        assert!(
            refused.to_string().contains("9 names no Standing"),
            "{refused}"
        );
    }
}
