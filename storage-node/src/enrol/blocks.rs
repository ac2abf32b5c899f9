//! Which block a machine's own statements are bound to.

use alloy::primitives::B256;

use crate::chain_view::{ChainError, ChainView, Head};

/// Blocks that a transaction may take.
const MARGIN: u64 = 8;

/// The last block that stays, unless that is so old that what is bound to it could come too late.
pub(super) fn block_for(head: Head, max_age: u64) -> u64 {
    let oldest = head
        .latest
        .saturating_sub(max_age.saturating_sub(MARGIN) / 2);
    head.finalized.max(oldest)
}

pub(super) async fn block_hash(chain: &dyn ChainView, block: u64) -> Result<B256, ChainError> {
    chain.block_hash(block).await?.ok_or_else(|| {
        ChainError::Inconsistent(format!("the endpoint does not know its own block {block}"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_block_is_final_where_it_can_be_and_never_too_old() {
        let head = |latest, finalized| Head { latest, finalized };
        assert_eq!(block_for(head(1_000, 990), 256), 990);
        // Finality is far behind: half of the time is left for the transaction.
        assert_eq!(block_for(head(1_000, 100), 256), 876);
        // A policy in a hurry leaves all of its time to the transaction.
        for max_age in [1, 2, 9] {
            assert_eq!(block_for(head(1_000, 100), max_age), 1_000);
        }
        assert_eq!(block_for(head(3, 0), 256), 0);
    }
}
