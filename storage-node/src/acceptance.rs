//! What this node takes on: terms a deal must offer, and how much of disk and inventory strangers may fill.
//!
//! Anybody may propose a deal to any node, at any rate and for any time. Consent is the node's own (P2), and so is the disk.

use alloy::primitives::U256;
use verifier::Epoch;

use crate::chain_view::DealTerms;

/// The operator's conditions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Acceptance {
    /// Token units a slot an epoch.
    pub min_rate: u128,
    /// Epochs a deal may still run.
    pub max_epochs: u64,
    /// Stripes of a deal.
    pub max_stripes: u32,
    /// Token units below which no claim is worth its transaction.
    pub min_claim: U256,
    /// Bytes on disk for slots that are not accepted yet.
    pub max_unaccepted_bytes: u64,
    /// Bytes of the disk that shards leave free.
    pub min_free_bytes: u64,
}

/// Why a deal, or a shard of it, is not taken on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// Nothing can be earned any more.
    #[error("its last epoch is {end}, the present one is {epoch}")]
    Over {
        /// Last epoch that can be paid.
        end: Epoch,
        /// Present epoch.
        epoch: Epoch,
    },
    /// Too little pay.
    #[error("it pays {actual} token units a slot an epoch, this node takes {expected} or more")]
    Rate {
        /// The least this node takes.
        expected: u128,
        /// The deal's.
        actual: u128,
    },
    /// Too long.
    #[error("it runs for {actual} more epochs, this node takes {expected} or fewer")]
    Epochs {
        /// The most this node takes.
        expected: u64,
        /// The deal's.
        actual: u64,
    },
    /// Too big.
    #[error("it has {actual} stripes, this node takes {expected} or fewer")]
    Stripes {
        /// The most this node takes.
        expected: u32,
        /// The deal's.
        actual: u32,
    },
    /// The inventory has no room for the slot.
    #[error(
        "{held} of the {capacity} shards this node can prove are taken, the slot has {stripes}"
    )]
    Capacity {
        /// Shards the circuit takes.
        capacity: u64,
        /// Shards in the inventory.
        held: u64,
        /// Shards of the slot.
        stripes: u32,
    },
    /// Too much lies here that nobody pays for yet.
    #[error(
        "{actual} bytes of slots that are not whole are stored already, this node takes {expected}; finish those first"
    )]
    Unaccepted {
        /// The most this node stores.
        expected: u64,
        /// What is stored, with this shard.
        actual: u64,
    },
    /// The disk is nearly full.
    #[error("the disk has {actual} bytes free, {expected} are kept free")]
    Disk {
        /// The reserve, with this shard.
        expected: u64,
        /// Free bytes.
        actual: u64,
    },
}

impl Refused {
    /// Whether it may be otherwise a little later, or elsewhere.
    #[must_use]
    pub const fn is_room(&self) -> bool {
        matches!(
            self,
            Self::Capacity { .. } | Self::Unaccepted { .. } | Self::Disk { .. }
        )
    }
}

impl Acceptance {
    /// Whether a deal's terms are good enough in an epoch.
    ///
    /// # Errors
    /// The first term that is not.
    pub fn judge(&self, deal: &DealTerms, epoch: Epoch) -> Result<(), Refused> {
        if epoch >= deal.end {
            return Err(Refused::Over {
                end: deal.end,
                epoch,
            });
        }
        if deal.rate < self.min_rate {
            return Err(Refused::Rate {
                expected: self.min_rate,
                actual: deal.rate,
            });
        }
        let remaining = deal.end.0 - epoch.0;
        if remaining > self.max_epochs {
            return Err(Refused::Epochs {
                expected: self.max_epochs,
                actual: remaining,
            });
        }
        if deal.stripes > self.max_stripes {
            return Err(Refused::Stripes {
                expected: self.max_stripes,
                actual: deal.stripes,
            });
        }
        Ok(())
    }

    /// Whether an inventory of `held` shards has room for a slot.
    ///
    /// # Errors
    /// [`Refused::Capacity`].
    pub const fn fits(capacity: u64, held: u64, stripes: u32) -> Result<(), Refused> {
        if held.saturating_add(stripes as u64) > capacity {
            return Err(Refused::Capacity {
                capacity,
                held,
                stripes,
            });
        }
        Ok(())
    }

    /// Whether one more file of `bytes` may be stored for a slot that is not accepted, beside `unaccepted` bytes of such.
    ///
    /// # Errors
    /// [`Refused::Unaccepted`], [`Refused::Disk`].
    pub const fn room(&self, bytes: u64, unaccepted: u64, free: u64) -> Result<(), Refused> {
        let stored = unaccepted.saturating_add(bytes);
        if stored > self.max_unaccepted_bytes {
            return Err(Refused::Unaccepted {
                expected: self.max_unaccepted_bytes,
                actual: stored,
            });
        }
        let needed = self.min_free_bytes.saturating_add(bytes);
        if free < needed {
            return Err(Refused::Disk {
                expected: needed,
                actual: free,
            });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::cast_possible_truncation)]

    use super::*;

    const CONDITIONS: Acceptance = Acceptance {
        min_rate: 10,
        max_epochs: 30,
        max_stripes: 12,
        min_claim: U256::ONE,
        max_unaccepted_bytes: 1_000,
        min_free_bytes: 500,
    };

    const DEAL: DealTerms = DealTerms {
        sealed: true,
        closed: false,
        slots: 14,
        stripes: 12,
        rate: 10,
        end: Epoch(40),
    };

    #[test]
    fn a_deal_below_the_operators_terms_is_refused_by_the_term_it_breaks() {
        let judge = |deal: DealTerms| CONDITIONS.judge(&deal, Epoch(10));
        assert_eq!(judge(DEAL), Ok(()));
        let cheap = judge(DealTerms { rate: 9, ..DEAL });
        assert!(matches!(cheap, Err(Refused::Rate { .. })), "{cheap:?}");
        let end = Epoch(41);
        let long = judge(DealTerms { end, ..DEAL });
        assert!(matches!(long, Err(Refused::Epochs { .. })), "{long:?}");
        let stripes = 13;
        let big = judge(DealTerms { stripes, ..DEAL });
        assert!(matches!(big, Err(Refused::Stripes { .. })), "{big:?}");
        let end = Epoch(10);
        let over = judge(DealTerms { end, ..DEAL });
        assert!(matches!(over, Err(Refused::Over { .. })), "{over:?}");
        let never = judge(DealTerms {
            end: Epoch(u64::MAX),
            ..DEAL
        });
        assert!(matches!(never, Err(Refused::Epochs { .. })), "{never:?}");
    }

    #[test]
    fn what_nobody_pays_for_yet_fills_neither_disk_nor_inventory() {
        assert_eq!(CONDITIONS.room(100, 900, 600), Ok(()));
        assert!(matches!(
            CONDITIONS.room(100, 901, 600),
            Err(Refused::Unaccepted { .. })
        ));
        assert!(matches!(
            CONDITIONS.room(100, 0, 599),
            Err(Refused::Disk { .. })
        ));
        assert!(CONDITIONS.room(u64::MAX, 1, u64::MAX).is_err());
        assert_eq!(Acceptance::fits(64, 52, 12), Ok(()));
        assert!(Acceptance::fits(64, 53, 12).is_err());
        assert!(Acceptance::fits(64, u64::MAX, u32::MAX).is_err());
    }
}
