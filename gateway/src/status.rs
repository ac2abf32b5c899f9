//! What the chain says of a deal, and which of its nodes answer.

use serde::Serialize;
use verifier::{DealId, Epoch, NodeId, Slot, Stripe};

use crate::{
    deals::{DealState, ShardRoots, Tenure},
    error::GatewayError,
    nodes::{NodeLink, ShardName},
    put::Owner,
    session,
};

/// A deal as its owner wants to see it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DealStatus {
    /// The deal.
    pub deal: DealId,
    /// Who owns it.
    pub owner: String,
    /// proposed, sealed or closed.
    pub state: &'static str,
    /// Data shards a stripe.
    pub k: u16,
    /// Parity shards a stripe.
    pub m: u16,
    /// Stripes.
    pub stripes: u32,
    /// Last epoch that can be paid.
    pub end_epoch: Epoch,
    /// Token units a slot an epoch, decimal.
    pub rate: String,
    /// Token units still in escrow, decimal.
    pub escrow: String,
    /// Slots whose first shard was read from the node's own machine and matched.
    pub readable: u16,
    /// Each slot.
    pub slots: Vec<SlotStatus>,
}

/// One slot of a deal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SlotStatus {
    /// The slot.
    pub slot: Slot,
    /// Who has or is offered it.
    pub node: NodeId,
    /// offered, held, ended or dropped.
    pub state: &'static str,
    /// First epoch that counts; none until the node accepts.
    pub from_epoch: Option<Epoch>,
    /// Last epoch that counts.
    pub to_epoch: Epoch,
    /// `ok`, or why the slot's first shard could not be read.
    pub read: String,
}

impl Owner<'_> {
    /// Looks at a deal and reads one shard of each slot.
    ///
    /// # Errors
    /// [`GatewayError`] if the chain cannot be asked; a node that does not answer is part of the answer.
    pub async fn status(&self, deal: DealId) -> Result<DealStatus, GatewayError> {
        let terms = self.deals.deal(deal).await?;
        let now = self.deals.epoch().await?;
        let mut slots = Vec::new();
        for slot in terms.geometry.slot_numbers().map(Slot) {
            let Some(tenure) = self.deals.tenures(deal, slot).await?.last().copied() else {
                continue;
            };
            slots.push((slot, tenure));
        }
        let roots = self.deals.roots(&terms).await?;
        let reads = slots.iter().map(|(slot, tenure)| {
            let expected = roots.get(usize::from(slot.0)).and_then(|list| list.first());
            self.read_first(deal, *slot, tenure, expected)
        });
        let reads = futures::future::try_join_all(reads).await?;
        let slots: Vec<SlotStatus> = slots
            .into_iter()
            .zip(reads)
            .map(|((slot, tenure), read)| SlotStatus {
                slot,
                node: tenure.node,
                state: tenure.state(now).name(),
                from_epoch: tenure.from_epoch,
                to_epoch: tenure.to_epoch,
                read,
            })
            .collect();
        Ok(DealStatus {
            deal,
            owner: terms.owner.to_string(),
            state: match terms.state {
                DealState::Proposed => "proposed",
                DealState::Sealed => "sealed",
                DealState::Closed => "closed",
            },
            k: terms.geometry.k(),
            m: terms.geometry.m(),
            stripes: terms.stripes,
            end_epoch: terms.end_epoch,
            rate: terms.rate.to_string(),
            escrow: terms.escrow.to_string(),
            readable: slots.iter().map(|slot| u16::from(slot.read == "ok")).sum(),
            slots,
        })
    }

    async fn read_first(
        &self,
        deal: DealId,
        slot: Slot,
        tenure: &Tenure,
        expected: Option<&ShardRoots>,
    ) -> Result<String, GatewayError> {
        if tenure.dropped {
            return Ok("dropped".into());
        }
        if !tenure.holds() {
            return Ok("not accepted yet".into());
        }
        let address = self.deals.node(tenure.node).await?;
        let name = ShardName {
            deal,
            slot,
            stripe: Stripe(0),
        };
        let answer = match self.bounded().get_shard(&address, name).await {
            Ok(answer) => answer,
            Err(error) => return Ok(error.to_string()),
        };
        let content = blake3::hash(&answer.bytes);
        let Some(roots) = expected.filter(|roots| roots.content_id.0 == *content.as_bytes()) else {
            return Ok("wrong bytes".into());
        };
        Ok(
            match session::check(self.deals, &address, roots, &answer).await {
                Ok(()) => "ok".into(),
                Err(error) => error.to_string(),
            },
        )
    }
}
