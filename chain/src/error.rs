//! What can go wrong between a process and the chain.

use alloy::{
    primitives::B256,
    sol_types::SolError,
    transports::{RpcError, TransportError, TransportErrorKind},
};

use crate::{Revert, clock::BadSchedule};

/// Why a call to the chain gave no result. Only [`ChainError::Reverted`] is an answer of the contracts; everything else is "could
/// not check" and must never cost anybody anything.
#[derive(Debug, thiserror::Error)]
pub enum ChainError {
    /// No endpoint answered in time.
    #[error("cannot reach the chain for {what}: {why}; check the endpoints under `rpc`")]
    Unavailable {
        /// The JSON-RPC method or the purpose.
        what: String,
        /// What the last endpoint said.
        why: String,
    },
    /// An endpoint answered, but did not do it: too little gas money, a block it does not have, a limit.
    #[error("the endpoint refused {what}: {message} (code {code})")]
    Refused {
        /// The JSON-RPC method or the purpose.
        what: String,
        /// JSON-RPC error code.
        code: i64,
        /// The endpoint's words.
        message: String,
    },
    /// The contract refused the call.
    #[error("the contract refused {what}: {revert}")]
    Reverted {
        /// The function that was called.
        what: String,
        /// Its reason.
        revert: Revert,
    },
    /// The endpoint serves another chain.
    #[error("endpoint {endpoint} serves chain {actual}, expected {expected}")]
    WrongChain {
        /// Host and port.
        endpoint: String,
        /// From the deployment file.
        expected: u64,
        /// What it said.
        actual: u64,
    },
    /// The answer is not what the ABI says: another contract, none at all, or a newer one.
    #[error(
        "{what} answered something the ABI does not know: {why}; check the addresses in the deployment file"
    )]
    Undecodable {
        /// The function or event.
        what: String,
        /// What is wrong with it.
        why: String,
    },
    /// There is no such block (yet).
    #[error("the endpoint has no block {block}")]
    NoSuchBlock {
        /// A number or tag.
        block: String,
    },
    /// A block that was final has another hash now.
    #[error(
        "block {block} was final with hash {expected} and now has {actual}: the chain's history was rewritten"
    )]
    HistoryChanged {
        /// The block's number.
        block: u64,
        /// The hash it was followed with.
        expected: B256,
        /// The hash the endpoint gives now.
        actual: B256,
    },
    /// The transaction was sent but no block took it in time. It may still be mined; the next send of this account takes its place.
    #[error("{what} was not mined within {blocks} blocks (transaction {hash}, nonce {nonce})")]
    NotMined {
        /// The function that was called.
        what: String,
        /// Hash of its latest version.
        hash: B256,
        /// Nonce it occupies.
        nonce: u64,
        /// How long was waited.
        blocks: u64,
    },
    /// A fee higher than allowed would be needed.
    #[error("{what} needs a fee of {needed} wei a gas, allowed are {allowed}")]
    TooExpensive {
        /// The function that was called.
        what: String,
        /// What the chain asks for.
        needed: u128,
        /// The policy's limit.
        allowed: u128,
    },
    /// The hub's schedule makes no sense.
    #[error(transparent)]
    BadSchedule(#[from] BadSchedule),
    /// An endpoint in the deployment file is no URL.
    #[error("endpoint {index} under `rpc` is no http:// URL: {why}")]
    BadEndpoint {
        /// Its place in the list, from 0.
        index: usize,
        /// What is wrong with it.
        why: String,
    },
    /// The key could not sign.
    #[error("cannot sign {what}: {why}")]
    Signing {
        /// The function that was to be called.
        what: String,
        /// What the signer said.
        why: String,
    },
}

impl ChainError {
    /// The contract's refusal, if it is one.
    #[must_use]
    pub fn revert(&self) -> Option<&Revert> {
        match self {
            Self::Reverted { revert, .. } => Some(revert),
            _ => None,
        }
    }

    /// Whether the contract refused with the custom error `E`.
    #[must_use]
    pub fn is_revert<E: SolError>(&self) -> bool {
        self.revert().is_some_and(Revert::is::<E>)
    }

    /// Turns what alloy says into what a caller can act on.
    pub(crate) fn from_rpc(what: &str, error: TransportError) -> Self {
        let what = what.to_owned();
        match error {
            RpcError::ErrorResp(payload) => match payload.as_revert_data() {
                Some(data) => Self::Reverted {
                    what,
                    revert: Revert::decode(data),
                },
                None => Self::Refused {
                    what,
                    code: payload.code,
                    message: payload.message.into_owned(),
                },
            },
            RpcError::Transport(TransportErrorKind::Custom(inner)) => {
                match inner.downcast::<Self>() {
                    Ok(ours) => *ours,
                    Err(other) => Self::Unavailable {
                        what,
                        why: other.to_string(),
                    },
                }
            }
            other => Self::Unavailable {
                what,
                why: other.to_string(),
            },
        }
    }
}
