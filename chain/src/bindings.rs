//! Typed bindings, generated from the ABI files in `contracts/abi`.
//!
//! Each contract has a module of its own, because structs that several ABIs share are generated once a module. [`crate::types`]
//! names the one to use.

/// Generates the bindings of one contract in a module of its own.
macro_rules! bind {
    ($(#[$doc:meta])* $module:ident, $contract:ident, $abi:literal) => {
        $(#[$doc])*
        // Generated: the names and the comments are those of the Solidity sources.
        #[allow(missing_docs, clippy::too_many_arguments, reason = "generated from the contract's ABI")]
        pub mod $module {
            alloy::sol!(
                #[derive(Debug, PartialEq, Eq)]
                #[sol(rpc)]
                $contract,
                $abi
            );
        }
    };
}

bind! {
    /// Who takes part: oracle sets, nodes, hardware, bonds.
    registry, Registry, "../contracts/abi/Registry.json"
}
bind! {
    /// Deals, the nodes' inventories, and pay.
    deals, Deals, "../contracts/abi/Deals.json"
}
bind! {
    /// Epochs, beacons, reports, settlement and reputation.
    hub, Hub, "../contracts/abi/Hub.json"
}
bind! {
    /// Groth16 verification of storage proofs.
    verifier, StorageProofVerifier, "../contracts/abi/StorageProofVerifier.json"
}
bind! {
    /// What TPM quotes a registry takes.
    quote_policy, QuotePolicy, "../contracts/abi/QuotePolicy.json"
}
bind! {
    /// The token of development networks.
    token, ProbityToken, "../contracts/abi/ProbityToken.json"
}

pub use deals::Deals;
pub use hub::Hub;
pub use quote_policy::QuotePolicy;
pub use registry::Registry;
pub use token::ProbityToken;
pub use verifier::StorageProofVerifier;
