//! Fetching any k shards of a stripe, each checked against the deal before it is used.

use std::{
    collections::HashSet,
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use futures::{
    FutureExt,
    stream::{FuturesUnordered, StreamExt},
};
use verifier::{Slot, Stripe};

use crate::{
    codec::Shards,
    deals::{Deal, DealBook, NodeAddress, ShardRoots},
    error::GatewayError,
    nodes::{Bounded, LinkError, NodeLink, ShardName},
    put::Owner,
    session,
};

/// One slot as a source of shards.
struct Source {
    slot: Slot,
    /// Present holder first, then former ones that have not dropped their shards yet.
    holders: Vec<NodeAddress>,
    roots: Vec<ShardRoots>,
    /// Failures and delays so far: sources that had one are asked last.
    failures: AtomicU32,
}

/// Reads stripes of one deal.
pub(crate) struct Fetcher<'a> {
    deals: &'a dyn DealBook,
    nodes: Bounded<'a>,
    /// How long a source may take until another is asked too.
    slow: Duration,
    deal: &'a Deal,
    sources: Vec<Source>,
    unvouched_stripes: AtomicU32,
}

/// A source's answer that does not count.
struct NoShard {
    cause: LinkError,
    /// The deal's bytes, if it was only their sender that did not pass.
    unvouched: Option<Vec<u8>>,
}

impl<'a> Fetcher<'a> {
    /// Looks up roots and holders of every slot; `without` is left out as a source.
    pub(crate) async fn new(
        owner: &'a Owner<'_>,
        deal: &'a Deal,
        without: Option<Slot>,
    ) -> Result<Self, GatewayError> {
        let deals = owner.deals;
        let mut sources = Vec::new();
        let roots = deals.roots(deal).await?;
        for (slot, roots) in deal.geometry.slot_numbers().map(Slot).zip(roots) {
            if roots.len() != deal.stripes as usize {
                let problem = format!(
                    "has {} of {} roots published for slot {slot}",
                    roots.len(),
                    deal.stripes
                );
                return Err(GatewayError::Deal {
                    deal: deal.id,
                    problem,
                });
            }
            let mut holders = Vec::new();
            if without != Some(slot) {
                for tenure in deals
                    .tenures(deal.id, slot)
                    .await?
                    .iter()
                    .rev()
                    .filter(|tenure| tenure.holds())
                {
                    holders.push(deals.node(tenure.node).await?);
                }
            }
            sources.push(Source {
                slot,
                holders,
                roots,
                failures: AtomicU32::new(0),
            });
        }
        Ok(Self {
            deals,
            nodes: owner.bounded(),
            slow: owner.patience.slow,
            deal,
            sources,
            unvouched_stripes: AtomicU32::new(0),
        })
    }

    /// The roots of one slot, by stripe.
    pub(crate) fn roots(&self, slot: Slot) -> &[ShardRoots] {
        &self.sources[usize::from(slot.0)].roots
    }

    /// Stripes that could be had only with shards that nobody vouched for.
    pub(crate) fn unvouched_stripes(&self) -> u32 {
        self.unvouched_stripes.load(Ordering::Relaxed)
    }

    /// Any k shards of a stripe. Data shards first, since they need no decoding; a parity shard replaces each that fails, and joins
    /// in for each that is slow: whichever comes first is taken. The right bytes from a machine that is not the node's count as a
    /// failure, and are taken all the same if nothing better comes: whose machine it was is no reason to lose an object.
    pub(crate) async fn fetch(&self, stripe: Stripe) -> Result<Shards, GatewayError> {
        let needed = usize::from(self.deal.geometry.k());
        let mut order: Vec<&Source> = self
            .sources
            .iter()
            .filter(|source| !source.holders.is_empty())
            .collect();
        order.sort_by_key(|source| (source.failures.load(Ordering::Relaxed), source.slot));
        let mut waiting = order.into_iter();
        let mut running = FuturesUnordered::new();
        let mut slow = FuturesUnordered::new();
        let mut free = needed;

        let mut shards: Shards = vec![None; self.sources.len()];
        let mut found = 0;
        // Sources that have answered, or in whose place another was asked already.
        let mut settled = HashSet::new();
        let mut causes = Vec::new();
        let mut unvouched = Vec::new();
        while found < needed {
            for source in waiting.by_ref().take(std::mem::take(&mut free)) {
                running.push(self.fetch_from(source, stripe));
                slow.push(tokio::time::sleep(self.slow).map(move |()| source));
            }
            let (source, answer) = tokio::select! {
                answer = running.next() => match answer {
                    Some(answer) => answer,
                    None => break,
                },
                Some(source) = slow.next() => {
                    if settled.insert(source.slot) {
                        source.failures.fetch_add(1, Ordering::Relaxed);
                        tracing::debug!(slot = %source.slot, %stripe, "slow");
                        free = 1;
                    }
                    continue;
                }
            };
            let replaced = !settled.insert(source.slot);
            match answer {
                Ok(bytes) => {
                    shards[usize::from(source.slot.0)] = Some(bytes);
                    found += 1;
                }
                Err(failed) => {
                    let cause = failed.cause;
                    source.failures.fetch_add(1, Ordering::Relaxed);
                    if let Some(bytes) = failed.unvouched {
                        tracing::warn!(slot = %source.slot, %stripe, "the right bytes came, {cause}");
                        unvouched.push((source.slot, bytes));
                    } else {
                        tracing::debug!(slot = %source.slot, %stripe, "no shard: {cause}");
                    }
                    causes.push(format!("slot {}: {cause}", source.slot));
                    free = usize::from(!replaced);
                }
            }
        }
        if found < needed && !unvouched.is_empty() {
            self.unvouched_stripes.fetch_add(1, Ordering::Relaxed);
            for (slot, bytes) in unvouched.into_iter().take(needed - found) {
                shards[usize::from(slot.0)] = Some(bytes);
                found += 1;
            }
        }
        if found < needed {
            if causes.is_empty() {
                causes.push("no other node holds a slot".into());
            }
            return Err(GatewayError::TooFewShards {
                stripe,
                needed,
                found,
                causes: causes.join("; "),
            });
        }
        Ok(shards)
    }

    async fn fetch_from<'s>(
        &self,
        source: &'s Source,
        stripe: Stripe,
    ) -> (&'s Source, Result<Vec<u8>, NoShard>) {
        let name = ShardName {
            deal: self.deal.id,
            slot: source.slot,
            stripe,
        };
        let mut cause = LinkError::Transient("nobody holds it".into());
        let mut unvouched = None;
        let roots = &source.roots[stripe.0 as usize];
        for holder in &source.holders {
            let answer = match self.nodes.get_shard(holder, name).await {
                Ok(answer) => answer,
                Err(error) => {
                    cause = error;
                    continue;
                }
            };
            if blake3::hash(&answer.bytes).as_bytes() != &roots.content_id.0 {
                cause = LinkError::Malformed(format!(
                    "bytes of node {} that are not what the deal names",
                    holder.node
                ));
                continue;
            }
            match session::check(self.deals, holder, roots, &answer).await {
                Ok(()) => return (source, Ok(answer.bytes)),
                Err(error) => {
                    cause = error;
                    unvouched = Some(answer.bytes);
                }
            }
        }
        (source, Err(NoShard { cause, unvouched }))
    }
}
