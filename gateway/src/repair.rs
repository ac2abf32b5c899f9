//! Rebuilding a lost slot from the others and giving it to another node.
//!
//! Every stripe is rebuilt and compared with the deal before anything changes on chain: if the owner's shards were no codeword,
//! the slot stays where it is and nobody is blamed but the owner. Protocol: section 2.

use std::{path::Path, sync::Arc};

use serde::Serialize;
use verifier::{DealId, NodeId, Slot, Stripe};

use crate::{
    codec,
    deals::{Deal, DealState, TenureState},
    error::GatewayError,
    fetch::Fetcher,
    nodes::ShardName,
    put::{Owner, blocking},
};

/// What a repair did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Repaired {
    /// The deal.
    pub deal: DealId,
    /// The slot.
    pub slot: Slot,
    /// Who holds it now.
    pub node: NodeId,
    /// Shards rebuilt, their roots all as the deal names them.
    pub stripes: u32,
}

impl Owner<'_> {
    /// Rebuilds a slot and moves it to `to`; returns once that node has accepted.
    ///
    /// # Errors
    /// [`GatewayError::EncodingInconsistent`] if a rebuilt shard is not the deal's; [`GatewayError::Slot`] if the deal is over, or
    /// `to` had the slot before and has not dropped it yet; others as the calls they come from. After any other error the same
    /// call goes on.
    pub async fn repair(
        &self,
        deal: DealId,
        slot: Slot,
        to: NodeId,
    ) -> Result<Repaired, GatewayError> {
        let terms = self.deals.deal(deal).await?;
        if slot.0 >= terms.geometry.slots() {
            let problem = format!(
                "has no slot {slot}, only 0 to {}",
                terms.geometry.slots() - 1
            );
            return Err(GatewayError::Deal { deal, problem });
        }
        if terms.state == DealState::Proposed {
            return Err(GatewayError::Deal {
                deal,
                problem: "is not sealed; only a sealed deal can be repaired".into(),
            });
        }
        let refused = |problem: String| GatewayError::Slot {
            deal,
            slot,
            problem,
        };
        let now = self.deals.epoch().await?;
        let present = self.deals.tenures(deal, slot).await?.last().copied();
        if terms.is_over(now) {
            let left = present.map_or("offered to nobody", |tenure| tenure.state(now).name());
            return Err(refused(format!(
                "is {left} and cannot be given to a node any more: the deal is {}; store the object again",
                match terms.state {
                    DealState::Closed => "closed".to_owned(),
                    _ => format!("in or past its last epoch, {}", terms.end_epoch),
                }
            )));
        }
        let done = Repaired {
            deal,
            slot,
            node: to,
            stripes: terms.stripes,
        };
        let state = present
            .filter(|tenure| tenure.node == to)
            .map(|tenure| (tenure.state(now), tenure.to_epoch));
        match state {
            Some((TenureState::Held, _)) => return Ok(done),
            Some((TenureState::Ended, last)) => {
                return Err(refused(format!(
                    "has no node: the tenure of node {to} ended with epoch {last}, and the node can have the slot again only \
                     once it has dropped its shards; name another node, or try later"
                )));
            }
            // A node that dropped its shards is as good as any other.
            Some((TenureState::Offered | TenureState::Dropped, _)) | None => {}
        }
        let spool = tempfile::tempdir_in(self.manifests.folder())
            .map_err(GatewayError::file("write in", self.manifests.folder()))?;
        self.rebuild(&terms, slot, spool.path()).await?;
        if !matches!(state, Some((TenureState::Offered, _))) {
            self.deals.move_slot(deal, slot, to).await?;
        }

        let target = self.deals.node(to).await?;
        let bar = self.progress.bar("sending", u64::from(terms.stripes));
        for stripe in (0..terms.stripes).map(Stripe) {
            let path = spool.path().join(stripe.to_string());
            let bytes = tokio::fs::read(&path)
                .await
                .map_err(GatewayError::file("read", &path))?;
            let name = ShardName { deal, slot, stripe };
            self.put_patiently(&target, name, Arc::from(bytes))
                .await
                .map_err(|source| GatewayError::Node { node: to, source })?;
            bar.advance();
        }
        self.wait_for_slot(&terms, slot, to).await?;
        Ok(done)
    }

    /// Rebuilds every shard of a slot into a folder, one file a stripe, and compares it with the deal.
    async fn rebuild(&self, deal: &Deal, slot: Slot, folder: &Path) -> Result<(), GatewayError> {
        let fetcher = Fetcher::new(self, deal, Some(slot)).await?;
        let bar = self.progress.bar("rebuilding", u64::from(deal.stripes));
        let geometry = deal.geometry;
        for stripe in (0..deal.stripes).map(Stripe) {
            let shards = fetcher.fetch(stripe).await?;
            let expected = fetcher.roots(slot)[stripe.0 as usize];
            let path = folder.join(stripe.to_string());
            blocking(move || {
                let shard = codec::rebuild(geometry, shards, slot)?;
                let found = codec::roots(&shard)?;
                for (what, matches) in [
                    ("content id", found.content_id == expected.content_id),
                    (
                        "transport root",
                        found.transport_root == expected.transport_root,
                    ),
                    ("storage root", found.storage_root == expected.storage_root),
                ] {
                    if !matches {
                        return Err(GatewayError::EncodingInconsistent { slot, stripe, what });
                    }
                }
                std::fs::write(&path, &shard).map_err(GatewayError::file("write", &path))
            })
            .await?;
            bar.advance();
        }
        Ok(())
    }

    async fn wait_for_slot(
        &self,
        deal: &Deal,
        slot: Slot,
        node: NodeId,
    ) -> Result<(), GatewayError> {
        let started = tokio::time::Instant::now();
        loop {
            let now = self.deals.epoch().await?;
            let tenures = self.deals.tenures(deal.id, slot).await?;
            // An endpoint that is behind does not know of the move yet.
            let offered = tenures.iter().any(|tenure| tenure.node == node);
            if let Some(present) = tenures.last().filter(|_| offered) {
                match present.state(now) {
                    TenureState::Held if present.node == node => return Ok(()),
                    TenureState::Offered if present.node == node => {}
                    state => {
                        let (state, other) = (state.name(), present.node);
                        return Err(GatewayError::Slot {
                            deal: deal.id,
                            slot,
                            problem: format!(
                                "is {state} (node {other}) instead of held by node {node}"
                            ),
                        });
                    }
                }
            }
            if started.elapsed() >= self.patience.acceptance {
                let seconds = self.patience.acceptance.as_secs();
                return Err(GatewayError::NotAccepted {
                    nodes: vec![node],
                    seconds,
                });
            }
            tokio::time::sleep(self.patience.poll).await;
        }
    }
}
