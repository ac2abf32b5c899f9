//! Everything a deal says about a shard, from one pass over its bytes.
//!
//! Protocol: section 2.

use crate::kernel::{self, Kernel, KernelError};
use circuits::{
    StorageRoot,
    storage::{SHARD_BYTES, StorageError, StorageTree},
};
use thiserror::Error;
use verifier::{
    inventory::ShardRoots,
    transport::{TransportError, TransportTree},
};

/// Why bytes have no commitment.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum CommitError {
    /// A shard has one size only.
    #[error("a shard has {SHARD_BYTES} bytes, found {found}")]
    ShardLength {
        /// Bytes found.
        found: usize,
    },
    /// The tree over the cells refuses.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The tree over the leaves refuses.
    #[error(transparent)]
    Transport(#[from] TransportError),
    /// The environment asks for arithmetic that is not there.
    #[error(transparent)]
    Kernel(#[from] KernelError),
}

/// The three names of a shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShardCommitment {
    /// What the circuit sees.
    pub storage_root: StorageRoot,
    /// What clients and probes see.
    pub transport_root: [u8; 32],
    /// Plain BLAKE3 of the bytes.
    pub content_id: [u8; 32],
}

impl From<ShardCommitment> for ShardRoots {
    fn from(commitment: ShardCommitment) -> Self {
        Self {
            storage_root: commitment.storage_root.to_bytes().into(),
            transport_root: commitment.transport_root.into(),
            content_id: commitment.content_id.into(),
        }
    }
}

/// A shard's names together with the trees behind them, from which proofs are made.
pub struct CommittedShard {
    /// The names.
    pub commitment: ShardCommitment,
    /// The tree over the cells.
    pub storage: StorageTree,
    /// The tree over the leaves that are served.
    pub transport: TransportTree,
}

/// Commits to a shard.
///
/// # Errors
/// [`CommitError::ShardLength`] unless there are exactly [`SHARD_BYTES`] bytes; [`CommitError::Kernel`] if
/// [`kernel::active`] refuses.
pub fn commit(shard: &[u8]) -> Result<ShardCommitment, CommitError> {
    Ok(commit_with_trees(shard)?.commitment)
}

/// Commits to a shard and keeps the trees.
///
/// # Errors
/// Those of [`commit`].
pub fn commit_with_trees(shard: &[u8]) -> Result<CommittedShard, CommitError> {
    commit_on(kernel::active()?, shard)
}

fn commit_on(kernel: Kernel, shard: &[u8]) -> Result<CommittedShard, CommitError> {
    if shard.len() != SHARD_BYTES {
        return Err(CommitError::ShardLength { found: shard.len() });
    }
    let (storage, (transport, content_id)) = rayon::join(
        || kernel::storage::storage_tree(kernel, shard),
        || (TransportTree::from_shard(shard), blake3::hash(shard)),
    );
    let (storage, transport) = (storage?, transport?);
    let commitment = ShardCommitment {
        storage_root: storage.root(),
        transport_root: transport.root().0,
        content_id: *content_id.as_bytes(),
    };
    Ok(CommittedShard {
        commitment,
        storage,
        transport,
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::cast_possible_truncation)]
    use super::*;
    use crate::kernel::tests::kernels;

    #[test]
    fn each_name_is_the_one_its_room_computes() {
        let shard: Vec<u8> = (0..SHARD_BYTES).map(|i| (i % 251) as u8).collect();
        let commitment = commit(&shard).unwrap();
        for kernel in kernels("a commitment") {
            assert_eq!(
                commit_on(kernel, &shard).unwrap().commitment,
                commitment,
                "{kernel}"
            );
        }
        assert_eq!(
            commitment.storage_root,
            StorageTree::from_shard(&shard).unwrap().root()
        );
        assert_eq!(
            commitment.transport_root,
            TransportTree::from_shard(&shard).unwrap().root().0
        );
        assert_eq!(commitment.content_id, *blake3::hash(&shard).as_bytes());
        let roots = ShardRoots::from(commitment);
        assert_eq!(roots.storage_root.0, commitment.storage_root.to_bytes());
        assert_eq!(roots.transport_root.0, commitment.transport_root);
        assert_eq!(roots.content_id.0, commitment.content_id);
    }

    #[test]
    fn one_changed_byte_changes_every_name() {
        let mut shard = vec![7; SHARD_BYTES];
        let before = commit(&shard).unwrap();
        shard[1_000_000] = 8;
        let after = commit(&shard).unwrap();
        assert_ne!(before.storage_root, after.storage_root);
        assert_ne!(before.transport_root, after.transport_root);
        assert_ne!(before.content_id, after.content_id);
    }

    #[test]
    fn bytes_of_another_length_are_refused() {
        for length in [0, SHARD_BYTES - 1, SHARD_BYTES + 1] {
            let refused = CommitError::ShardLength { found: length };
            assert_eq!(commit(&vec![0; length]), Err(refused));
        }
    }
}
