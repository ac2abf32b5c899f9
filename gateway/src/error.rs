//! Why a call ended without what was asked for.

use std::path::{Path, PathBuf};

use daemon::exit::{ExitCode, Failure};
use verifier::{DealId, NodeId, Slot, Stripe};

use crate::{deals::DealError, nodes::LinkError};

/// Everything that can go wrong on the owner's side. [`GatewayError::exit_code`] says whose fault it is.
#[derive(Debug, thiserror::Error)]
pub enum GatewayError {
    /// The numbers of data and parity shards are not usable.
    #[error("{k}+{m} shards a stripe are not possible: at least 1+1, at most {limit} together")]
    Geometry {
        /// Data shards asked for.
        k: u16,
        /// Parity shards asked for.
        m: u16,
        /// Slots a deal may have.
        limit: u16,
    },
    /// A deal needs as many nodes as it has slots.
    #[error(
        "{expected} slots need {expected} nodes, one each, found {found}; change --nodes, --k or --m"
    )]
    NodeCount {
        /// k + m.
        expected: usize,
        /// Nodes given.
        found: usize,
    },
    /// An empty file has nothing to store; a huge one too many stripes.
    #[error("{path} has {bytes} bytes: an object has at least 1 byte and at most {limit}")]
    ObjectSize {
        /// The file.
        path: PathBuf,
        /// Its length.
        bytes: u64,
        /// Largest length for this geometry.
        limit: u64,
    },
    /// A file could not be read or written.
    #[error("cannot {what} {path}: {source}")]
    File {
        /// What was tried.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// A manifest is no manifest, or not of this object.
    #[error("manifest {path}: {problem}")]
    Manifest {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// Without the manifest nobody knows where the object ends.
    #[error("no manifest of deal {deal} in {folder}; name it with --manifest")]
    NoManifest {
        /// The deal.
        deal: DealId,
        /// Where it was looked for.
        folder: PathBuf,
    },
    /// The file is not what was committed to.
    #[error(
        "the file changed while it was stored: shard {slot} of stripe {stripe} is not what the deal names; store it again"
    )]
    FileChanged {
        /// Slot whose shard differs.
        slot: Slot,
        /// Its stripe.
        stripe: Stripe,
    },
    /// The file has fewer bytes than when it was looked at first.
    #[error("{path} became shorter while it was stored; store it again")]
    FileShrank {
        /// The file.
        path: PathBuf,
    },
    /// Roots on chain are not those of the manifest.
    #[error(
        "deal {deal} publishes other roots for slot {slot} than the manifest: another run published into it; \
         remove the manifest of that deal to store the object in a new one"
    )]
    ForeignRoots {
        /// The deal.
        deal: DealId,
        /// The slot.
        slot: Slot,
    },
    /// Too few nodes answered with the right bytes.
    #[error("stripe {stripe}: {found} of the {needed} shards needed could be had ({causes})")]
    TooFewShards {
        /// The stripe.
        stripe: Stripe,
        /// k.
        needed: usize,
        /// Shards that matched the deal.
        found: usize,
        /// What each of the others answered.
        causes: String,
    },
    /// What was read back is not the object.
    #[error(
        "the object read back hashes to {found}, the manifest says {expected}: the deal was made over other bytes"
    )]
    ContentMismatch {
        /// BLAKE3 in the manifest.
        expected: blake3::Hash,
        /// BLAKE3 of what was read.
        found: blake3::Hash,
    },
    /// A rebuilt shard is not the one the deal names.
    #[error(
        "ENCODING_INCONSISTENT: shard {slot} of stripe {stripe} rebuilt from the others differs from the deal's {what}; \
         the published shards are no codeword, which is the owner's fault: nobody is slashed, and the slot was not moved"
    )]
    EncodingInconsistent {
        /// The slot rebuilt.
        slot: Slot,
        /// The first stripe that differs.
        stripe: Stripe,
        /// Which of the three commitments differs.
        what: &'static str,
    },
    /// The deal is not in the state the call needs.
    #[error("deal {deal} {problem}")]
    Deal {
        /// The deal.
        deal: DealId,
        /// What is in the way.
        problem: String,
    },
    /// A slot is in a state that the same call will not change.
    #[error("slot {slot} of deal {deal} {problem}")]
    Slot {
        /// The deal.
        deal: DealId,
        /// The slot.
        slot: Slot,
        /// Its state, and what can be done.
        problem: String,
    },
    /// Nodes did not take what they were sent.
    #[error("not stored everywhere: {causes}; run the same command again to go on")]
    NotStored {
        /// What each node that failed answered.
        causes: String,
        /// Whether a node judged and refused what it was sent.
        refused: bool,
    },
    /// Nodes have the bytes but did not accept in time.
    #[error(
        "nodes {} did not accept on chain within {seconds} s; run the same command again to go on waiting",
        list(nodes)
    )]
    NotAccepted {
        /// The nodes that are missing.
        nodes: Vec<NodeId>,
        /// How long was waited.
        seconds: u64,
    },
    /// Something with the chain.
    #[error(transparent)]
    Chain(#[from] DealError),
    /// Something with a node.
    #[error("node {node}: {source}")]
    Node {
        /// The node.
        node: NodeId,
        /// What went wrong.
        source: LinkError,
    },
    /// A defect of this program.
    #[error("{0}")]
    Internal(String),
}

fn list(nodes: &[NodeId]) -> String {
    let numbers: Vec<String> = nodes.iter().map(NodeId::to_string).collect();
    numbers.join(", ")
}

impl GatewayError {
    /// For `map_err` on file operations.
    pub(crate) fn file(what: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::File { what, path, source }
    }

    /// How a process ends with this error.
    #[must_use]
    pub fn exit_code(&self) -> ExitCode {
        match self {
            Self::Geometry { .. }
            | Self::NodeCount { .. }
            | Self::ObjectSize { .. }
            | Self::File { .. }
            | Self::Manifest { .. }
            | Self::NoManifest { .. }
            | Self::Deal { .. } => ExitCode::Usage,
            Self::FileChanged { .. }
            | Self::FileShrank { .. }
            | Self::ForeignRoots { .. }
            | Self::ContentMismatch { .. }
            | Self::EncodingInconsistent { .. }
            | Self::Slot { .. }
            | Self::NotStored { refused: true, .. } => ExitCode::Rejected,
            Self::TooFewShards { .. } | Self::NotStored { .. } | Self::NotAccepted { .. } => {
                ExitCode::Unavailable
            }
            Self::Chain(error) => error.exit_code(),
            Self::Node { source, .. } => {
                if source.is_transient() {
                    ExitCode::Unavailable
                } else {
                    ExitCode::Rejected
                }
            }
            Self::Internal(_) => ExitCode::Internal,
        }
    }
}

impl From<GatewayError> for Failure {
    fn from(error: GatewayError) -> Self {
        Self {
            code: error.exit_code(),
            message: daemon::exit::chain(&error),
        }
    }
}
