//! Why an answer is not taken for the node's own.

use alloy_primitives::{Address, B256};

use crate::ids::{Epoch, NodeId};
use crate::tpm;

/// The reason for refusing a session or a response; [`Reject::code`] is the permanent name of each.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Reject {
    /// The answer came without a session.
    #[error(
        "the answer carries no session: nothing shows which machine gave it; update the node, or look into its log for its TPM"
    )]
    Unsigned,
    /// The certificate is not the one encoding of a session certificate.
    #[error("the session certificate is malformed: {0}")]
    Malformed(String),
    /// The certificate is another node's, or for another deployment.
    #[error(
        "the session is for chain {chain_id}, hub {hub}, node {node}: not the one that was asked"
    )]
    WrongContext {
        /// Chain id found.
        chain_id: u64,
        /// Hub found.
        hub: Address,
        /// Node found.
        node: NodeId,
    },
    /// The session's epoch is over, or has not begun.
    #[error(
        "the session is of epoch {epoch}, accepted are {accepted:?}; the node's chain endpoint or TPM may be stuck"
    )]
    Epoch {
        /// Epoch found.
        epoch: Epoch,
        /// Epochs accepted.
        accepted: Vec<Epoch>,
    },
    /// The session does not name its epoch's first block: it was made before the epoch began, or on another fork.
    #[error("the session of epoch {epoch} names first block {found}, the chain has {expected}")]
    Anchor {
        /// The epoch.
        epoch: Epoch,
        /// Hash of its first block.
        expected: B256,
        /// Hash named.
        found: B256,
    },
    /// The certificate is signed by another key than the node enrolled.
    #[error("the session's node key hashes to {found}, the registry has {expected}")]
    NodeKey {
        /// keccak256 in the registry.
        expected: B256,
        /// keccak256 of the key found.
        found: B256,
    },
    /// The node key did not sign this session.
    #[error("the node key did not sign this session: {0}")]
    CertificateSignature(#[source] tpm::Reject),
    /// The session key is no point of P-256.
    #[error("the session key is not a point of P-256")]
    SessionKey,
    /// The caller knows no connection of its own to judge by.
    #[error("no connection is known that the answer could have come over")]
    Unbound,
    /// The session key did not sign this answer over a connection of this client.
    #[error(
        "the session key did not sign this answer over any of this client's {connections} connections: it was relayed by \
         somebody who ends TLS, or is the answer to another request ({source})"
    )]
    ResponseSignature {
        /// Connections tried.
        connections: usize,
        /// Why the last one failed.
        source: tpm::Reject,
    },
}

impl Reject {
    pub(super) fn malformed(why: String) -> Self {
        Self::Malformed(why)
    }

    /// Permanent name of the reason, for logs, probe records and reports.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Unsigned => "SESSION_UNSIGNED",
            Self::Malformed(_) => "SESSION_MALFORMED",
            Self::WrongContext { .. } => "SESSION_WRONG_CONTEXT",
            Self::Epoch { .. } => "SESSION_EPOCH",
            Self::Anchor { .. } => "SESSION_ANCHOR",
            Self::NodeKey { .. } => "SESSION_NODE_KEY",
            Self::CertificateSignature(_) => "SESSION_CERTIFICATE_SIGNATURE",
            Self::SessionKey => "SESSION_KEY_INVALID",
            Self::Unbound => "SESSION_UNBOUND",
            Self::ResponseSignature { .. } => "SESSION_RESPONSE_SIGNATURE",
        }
    }

    /// Whether a later look at the chain may change the judgement: the judge's own view of it may be behind.
    pub fn hangs_on_the_chain(&self) -> bool {
        matches!(self, Self::Epoch { .. } | Self::Anchor { .. })
    }
}
