//! Pushes on their way to the oracles of one epoch. An oracle that hangs holds up nobody.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use alloy::primitives::{Address, B256};
use tokio::task::JoinSet;
use verifier::evidence::{Evidence, SignedReceipt};
use verifier::{Epoch, NodeId};

use crate::chain_view::Oracle;
use crate::oracles::{LinkError, OracleLink};

struct Pushed {
    oracle: Address,
    /// Receipts that went with it.
    receipts: usize,
    answer: Result<SignedReceipt, LinkError>,
}

/// The pushes of one envelope.
pub struct Delivery {
    envelope_hash: B256,
    on_the_way: HashSet<Address>,
    /// Receipts each oracle was last shown.
    shown: HashMap<Address, usize>,
    not_before: HashMap<Address, Instant>,
    tasks: JoinSet<Pushed>,
}

impl Delivery {
    /// Nothing pushed yet.
    #[must_use]
    pub fn new(envelope_hash: B256) -> Self {
        Self {
            envelope_hash,
            on_the_way: HashSet::new(),
            shown: HashMap::new(),
            not_before: HashMap::new(),
            tasks: JoinSet::new(),
        }
    }

    /// The envelope that is delivered.
    #[must_use]
    pub const fn envelope_hash(&self) -> B256 {
        self.envelope_hash
    }

    /// Whether an oracle should be pushed to now: it has given no receipt, or (if `share`) has not seen all `receipts`.
    #[must_use]
    pub fn is_due(&self, oracle: Address, has_receipt: bool, share: bool, receipts: usize) -> bool {
        let waiting = self
            .not_before
            .get(&oracle)
            .is_some_and(|at| Instant::now() < *at);
        let unseen = share
            && self
                .shown
                .get(&oracle)
                .is_none_or(|shown| *shown < receipts);
        !waiting && !self.on_the_way.contains(&oracle) && (!has_receipt || unseen)
    }

    /// Sends evidence on its way.
    pub fn push(
        &mut self,
        link: Arc<dyn OracleLink>,
        oracle: Oracle,
        node: NodeId,
        epoch: Epoch,
        evidence: &Evidence,
    ) {
        self.on_the_way.insert(oracle.account);
        let evidence = evidence.clone();
        self.tasks.spawn(async move {
            let answer = link.push(&oracle, node, epoch, &evidence).await;
            Pushed {
                oracle: oracle.account,
                receipts: evidence.receipts.len(),
                answer,
            }
        });
    }

    /// The receipts that came in, unchecked; an oracle that gave none is left alone for `retry`.
    pub fn reap(&mut self, retry: Duration) -> Vec<(Address, SignedReceipt)> {
        let mut receipts = Vec::new();
        while let Some(done) = self.tasks.try_join_next() {
            // A push that panicked leaves its oracle marked; the next epoch starts afresh.
            let Ok(Pushed {
                oracle,
                receipts: shown,
                answer,
            }) = done
            else {
                continue;
            };
            self.on_the_way.remove(&oracle);
            match answer {
                Ok(receipt) => {
                    self.shown.insert(oracle, shown);
                    // A receipt that turns out not to count is asked for again, but not at once.
                    self.not_before.insert(oracle, Instant::now() + retry);
                    receipts.push((oracle, receipt));
                }
                Err(error) => {
                    tracing::warn!(%error, "no receipt");
                    metrics::counter!("storage_node_push_failures_total").increment(1);
                    self.not_before.insert(oracle, Instant::now() + retry);
                }
            }
        }
        receipts
    }
}
