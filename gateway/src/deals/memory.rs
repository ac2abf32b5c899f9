//! The contracts in memory: one owner, and nodes that accept as soon as they hold every shard of a sealed slot.

#![allow(clippy::unwrap_used)]

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use alloy::primitives::{Address, B256};
use async_trait::async_trait;
use verifier::session::SessionContext;
use verifier::{BlockNumber, DealId, Epoch, NodeId, Slot, Stripe};

use super::{Deal, DealBook, DealError, DealState, NodeAddress, ShardRoots, Tenure, Terms};
use crate::nodes::memory::{CHAIN_ID, HUB, MemoryNodes, anchor, node_key_hash};

struct Record {
    deal: Deal,
    terms: Terms,
    block: BlockNumber,
    roots: Vec<Vec<ShardRoots>>,
    offers: Vec<Vec<Offer>>,
}

struct Offer {
    node: NodeId,
    ended: Option<Epoch>,
    dropped: bool,
}

impl Offer {
    fn to(node: NodeId) -> Self {
        Self {
            node,
            ended: None,
            dropped: false,
        }
    }
}

pub(crate) struct MemoryDeals {
    nodes: Arc<MemoryNodes>,
    deals: Mutex<HashMap<DealId, Record>>,
    now: Mutex<Epoch>,
    /// Epochs by which what is read without asking for it fresh is behind.
    pub(crate) lag: AtomicU64,
    /// No epoch has begun yet.
    pub(crate) young: AtomicBool,
    /// The transaction is sent, but its sender dies before it sees the receipt.
    pub(crate) die_after_propose: Mutex<bool>,
}

impl MemoryDeals {
    pub(crate) fn new(nodes: Arc<MemoryNodes>) -> Self {
        Self {
            nodes,
            deals: Mutex::default(),
            now: Mutex::new(Epoch(0)),
            lag: AtomicU64::new(0),
            young: AtomicBool::new(false),
            die_after_propose: Mutex::new(false),
        }
    }

    pub(crate) fn count(&self) -> usize {
        self.deals.lock().unwrap().len()
    }

    pub(crate) fn with_roots(&self, deal: DealId, change: impl FnOnce(&mut Vec<Vec<ShardRoots>>)) {
        change(&mut self.deals.lock().unwrap().get_mut(&deal).unwrap().roots);
    }

    pub(crate) fn set_epoch(&self, epoch: u64) {
        *self.now.lock().unwrap() = Epoch(epoch);
        self.nodes.epoch.store(epoch, Ordering::SeqCst);
    }

    /// The owner ends the present tenure, which the present epoch is the last of.
    pub(crate) fn end_slot(&self, deal: DealId, slot: Slot) {
        let now = *self.now.lock().unwrap();
        self.with_present(deal, slot, |offer| offer.ended = Some(now));
    }

    /// The slot's node lets go of its shards.
    pub(crate) fn drop_slot(&self, deal: DealId, slot: Slot) {
        self.with_present(deal, slot, |offer| offer.dropped = true);
    }

    fn with_present(&self, deal: DealId, slot: Slot, change: impl FnOnce(&mut Offer)) {
        self.change(deal, |record| {
            change(record.offers[usize::from(slot.0)].last_mut().unwrap());
            Ok(())
        })
        .unwrap();
    }

    pub(crate) fn close(&self, deal: DealId) {
        self.change(deal, |record| {
            record.deal.state = DealState::Closed;
            Ok(())
        })
        .unwrap();
    }

    fn read<T>(&self, deal: DealId, what: impl FnOnce(&Record) -> T) -> Result<T, DealError> {
        self.deals
            .lock()
            .unwrap()
            .get(&deal)
            .map(what)
            .ok_or(DealError::UnknownDeal(deal))
    }

    fn change<T>(
        &self,
        deal: DealId,
        what: impl FnOnce(&mut Record) -> Result<T, &'static str>,
    ) -> Result<T, DealError> {
        let mut deals = self.deals.lock().unwrap();
        let record = deals.get_mut(&deal).ok_or(DealError::UnknownDeal(deal))?;
        what(record).map_err(|why| DealError::Refused {
            what: "the change",
            why: why.into(),
        })
    }
}

#[async_trait]
impl DealBook for MemoryDeals {
    fn owner(&self) -> Address {
        Address::repeat_byte(7)
    }

    async fn head(&self) -> Result<BlockNumber, DealError> {
        Ok(BlockNumber(self.count() as u64 + 1))
    }

    async fn epoch(&self) -> Result<Epoch, DealError> {
        Ok(*self.now.lock().unwrap())
    }

    async fn propose(&self, terms: &Terms) -> Result<DealId, DealError> {
        let id = DealId(self.count() as u64 + 1);
        let slots = usize::from(terms.geometry.slots());
        let deal = Deal {
            id,
            owner: self.owner(),
            state: DealState::Proposed,
            geometry: terms.geometry,
            stripes: terms.stripes,
            end_epoch: Epoch(self.now.lock().unwrap().0 + terms.epochs),
            rate: terms.rate,
            escrow: terms.escrow(),
        };
        let record = Record {
            deal,
            terms: terms.clone(),
            block: BlockNumber(id.0),
            roots: vec![Vec::new(); slots],
            offers: terms
                .nodes
                .iter()
                .map(|node| vec![Offer::to(*node)])
                .collect(),
        };
        self.deals.lock().unwrap().insert(id, record);
        if std::mem::take(&mut *self.die_after_propose.lock().unwrap()) {
            return Err(DealError::Unavailable {
                what: "propose",
                why: "died".into(),
            });
        }
        Ok(id)
    }

    async fn find_proposal(
        &self,
        terms: &Terms,
        since: BlockNumber,
    ) -> Result<Option<DealId>, DealError> {
        let deals = self.deals.lock().unwrap();
        Ok(deals
            .values()
            .filter(|it| it.terms == *terms && it.block >= since)
            .map(|it| it.deal.id)
            .max())
    }

    async fn publish(
        &self,
        deal: DealId,
        slot: Slot,
        offset: u32,
        roots: &[ShardRoots],
    ) -> Result<(), DealError> {
        self.change(deal, |record| {
            let list = &mut record.roots[usize::from(slot.0)];
            if list.len() != offset as usize || record.deal.state != DealState::Proposed {
                return Err("ChunkOutOfOrder");
            }
            list.extend_from_slice(roots);
            Ok(())
        })
    }

    async fn seal(&self, deal: DealId) -> Result<(), DealError> {
        self.change(deal, |record| {
            if record
                .roots
                .iter()
                .any(|list| list.len() != record.deal.stripes as usize)
            {
                return Err("SlotIncomplete");
            }
            record.deal.state = DealState::Sealed;
            Ok(())
        })
    }

    async fn move_slot(&self, deal: DealId, slot: Slot, to: NodeId) -> Result<(), DealError> {
        let now = *self.now.lock().unwrap();
        self.change(deal, |record| {
            if record.deal.is_over(now) {
                return Err("DealOver");
            }
            let mut places = record.offers.iter().flatten();
            if places.any(|offer| offer.node == to && !offer.dropped) {
                return Err("NodeTwice");
            }
            let offers = &mut record.offers[usize::from(slot.0)];
            let present = offers.last_mut().unwrap();
            present.ended = present.ended.or(Some(now));
            offers.push(Offer::to(to));
            Ok(())
        })
    }

    async fn deal(&self, deal: DealId) -> Result<Deal, DealError> {
        self.read(deal, |record| record.deal.clone())
    }

    async fn roots(&self, deal: &Deal) -> Result<Vec<Vec<ShardRoots>>, DealError> {
        self.read(deal.id, |record| record.roots.clone())
    }

    async fn tenures(&self, deal: DealId, slot: Slot) -> Result<Vec<Tenure>, DealError> {
        self.read(deal, |record| {
            let offers = &record.offers[usize::from(slot.0)];
            offers
                .iter()
                .map(|offer| {
                    let holds = (0..record.deal.stripes)
                        .all(|stripe| self.nodes.has(offer.node, deal, slot, Stripe(stripe)));
                    Tenure {
                        node: offer.node,
                        from_epoch: (holds && record.deal.state != DealState::Proposed)
                            .then_some(Epoch(1)),
                        to_epoch: offer.ended.unwrap_or(record.deal.end_epoch),
                        dropped: offer.dropped,
                    }
                })
                .collect()
        })
    }

    async fn session_context(&self, fresh: bool) -> Result<SessionContext, DealError> {
        let lag = if fresh {
            0
        } else {
            self.lag.load(Ordering::SeqCst)
        };
        let now = self.now.lock().unwrap().0 - lag;
        let mut anchors: Vec<_> = (now.saturating_sub(1)..=now).map(anchor).collect();
        if self.young.load(Ordering::SeqCst) {
            anchors.clear();
        }
        Ok(SessionContext {
            chain_id: CHAIN_ID,
            hub: HUB,
            anchors,
        })
    }

    async fn node(&self, node: NodeId) -> Result<NodeAddress, DealError> {
        Ok(NodeAddress {
            node,
            url: format!("https://node{node}:1"),
            tls_key_hash: B256::ZERO,
            node_key_hash: node_key_hash(node),
        })
    }
}
