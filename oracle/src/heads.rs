//! The latest block, without asking the chain for everybody who asks this oracle.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use verifier::BlockNumber;

use crate::onchain::{ChainError, OnChain};

/// How old what the driver saw may be before the chain is asked.
const FRESH: Duration = Duration::from_secs(2);

#[derive(Default)]
struct Seen {
    highest: BlockNumber,
    at: Option<Instant>,
}

/// The latest block this oracle knows of. The driver says what it sees; strangers' requests are served from that, so that
/// they cannot use up the endpoint's patience. It never goes back: a receipt's block must not, whichever endpoint answers.
pub struct Heads {
    chain: Arc<dyn OnChain>,
    seen: Mutex<Seen>,
    /// One question at a time, whoever waits for the answer.
    asking: tokio::sync::Mutex<()>,
}

impl Heads {
    /// Heads of a chain.
    #[must_use]
    pub fn new(chain: Arc<dyn OnChain>) -> Self {
        Self {
            chain,
            seen: Mutex::default(),
            asking: tokio::sync::Mutex::new(()),
        }
    }

    /// The driver has just seen this block.
    pub fn saw(&self, head: BlockNumber) {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.highest = seen.highest.max(head);
        seen.at = Some(Instant::now());
    }

    /// The highest block seen, asked for if the driver has not looked for a while.
    ///
    /// # Errors
    /// [`ChainError`].
    pub async fn latest(&self) -> Result<BlockNumber, ChainError> {
        if let Some(head) = self.fresh() {
            return Ok(head);
        }
        let _one_at_a_time = self.asking.lock().await;
        if let Some(head) = self.fresh() {
            return Ok(head);
        }
        let head = self.chain.head().await?;
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.highest = seen.highest.max(head);
        Ok(seen.highest)
    }

    fn fresh(&self) -> Option<BlockNumber> {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.at
            .is_some_and(|at| at.elapsed() < FRESH)
            .then_some(seen.highest)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::cast_possible_truncation)]

    use super::*;
    use crate::onchain::memory::MemoryChain;

    #[tokio::test]
    async fn what_the_driver_saw_is_served_without_the_chain_and_never_goes_back() {
        let chain = Arc::new(MemoryChain::default());
        let heads = Heads::new(chain.clone());
        chain.set_head(60);
        assert_eq!(heads.latest().await.unwrap(), BlockNumber(60));
        chain.set_head(58);
        assert_eq!(
            heads.latest().await.unwrap(),
            BlockNumber(60),
            "an endpoint that lags does not turn time back"
        );
        chain.state().unreachable = true;
        assert!(heads.latest().await.is_err());
        heads.saw(BlockNumber(61));
        assert_eq!(heads.latest().await.unwrap(), BlockNumber(61));
    }
}
