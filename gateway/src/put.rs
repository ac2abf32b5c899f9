//! Storing an object: commit, propose, publish, seal, send, wait.
//!
//! The file is read twice. The first pass encodes every stripe and keeps only the roots; the second encodes again and
//! sends. Encoding again is cheaper than it looks (Reed–Solomon runs at disk speed, hashing is what costs) and needs neither
//! (k+m)/k times the object in temporary space nor a cleanup after a crash. Each shard of the second pass is checked against
//! the content id published in the first, so a file that changes in between is noticed before a wrong byte leaves.
//!
//! Memory: the stripe being encoded, and at most two shards waiting for each node, whatever the size of the file.

use std::{path::Path, sync::Arc, time::Duration};

use futures::future::join_all;
use rayon::prelude::*;
use tokio::sync::mpsc;
use verifier::{BlockNumber, DealId, NodeId, Slot, Stripe};

use crate::{
    codec,
    deals::{Deal, DealBook, DealError, DealState, NodeAddress, ShardRoots, TenureState, Terms},
    error::GatewayError,
    geometry::Geometry,
    manifest::{Kept, Manifest, Manifests, Network},
    nodes::{Bounded, CallDeadline, LinkError, NodeLink, ShardName},
    object::Content,
    progress::Progress,
};

/// Roots published in one transaction: about half a million gas.
const PUBLISH_CHUNK: usize = 256;
/// Shards that may wait for one node.
const QUEUE_SHARDS: usize = 2;
/// Stripes a node takes between two notes in the manifest.
const NOTE_EVERY: u32 = 8;

/// How long to go on where something is not there yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// For a node to take one shard, retries included.
    pub shard: Duration,
    /// For one call to a node.
    pub call: CallDeadline,
    /// For a node to give a shard before another is asked for one too, and this one asked last from then on.
    pub slow: Duration,
    /// For nodes to accept on chain once they have every shard.
    pub acceptance: Duration,
    /// Between two looks.
    pub poll: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            shard: Duration::from_secs(120),
            call: CallDeadline::default(),
            slow: Duration::from_secs(20),
            acceptance: Duration::from_secs(300),
            poll: Duration::from_millis(500),
        }
    }
}

/// The edges and settings that storing and repairing share.
pub struct Owner<'a> {
    /// The contracts.
    pub deals: &'a dyn DealBook,
    /// The nodes.
    pub nodes: &'a dyn NodeLink,
    /// Which contracts.
    pub network: Network,
    /// The folder of manifests.
    pub manifests: &'a Manifests,
    /// How long to try.
    pub patience: Patience,
    /// Where progress shows.
    pub progress: Progress,
}

/// What an owner offers for storing an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offer {
    /// Data and parity shards.
    pub geometry: Geometry,
    /// Node of each slot, in order.
    pub nodes: Vec<NodeId>,
    /// Token units a slot an epoch.
    pub rate: u128,
    /// Epochs.
    pub epochs: u64,
}

impl Owner<'_> {
    /// The nodes, with a deadline around each call.
    pub(crate) fn bounded(&self) -> Bounded<'_> {
        Bounded::new(self.nodes, self.patience.call)
    }

    /// Stores a file. A matching `put` that did not end goes on; one that did is answered with its deal, unless `again`. A deal that
    /// is closed or over stores nothing any longer: the file goes into a new one.
    ///
    /// # Errors
    /// [`GatewayError`]. After every error the same call goes on where this one ended.
    pub async fn put(&self, file: &Path, offer: Offer, again: bool) -> Result<Kept, GatewayError> {
        let expected = usize::from(offer.geometry.slots());
        if offer.nodes.len() != expected {
            return Err(GatewayError::NodeCount {
                expected,
                found: offer.nodes.len(),
            });
        }
        let content = {
            let file = file.to_owned();
            blocking(move || Content::of_file(&file)).await?
        };
        let stripes =
            offer
                .geometry
                .stripes(content.length)
                .ok_or_else(|| GatewayError::ObjectSize {
                    path: file.to_owned(),
                    bytes: content.length,
                    limit: offer.geometry.object_limit(),
                })?;
        let Offer {
            geometry,
            nodes,
            rate,
            epochs,
        } = offer;
        let terms = Terms {
            geometry,
            stripes,
            nodes,
            rate,
            epochs,
        };

        let known = self.known(&content, &terms, again).await?;
        let mut kept = match known {
            Some(kept) if kept.manifest.complete => return Ok(kept),
            Some(kept) => kept,
            None => {
                let name = file
                    .file_name()
                    .map(|name| name.to_string_lossy().into_owned())
                    .unwrap_or_default();
                self.manifests
                    .create(Manifest::new(self.network, name, content, &terms))?
            }
        };
        let deal = self.place(file, &terms, &mut kept).await?;
        self.send(file, &deal, &mut kept).await?;
        self.wait_for_acceptance(&deal, &terms.nodes).await?;
        kept.manifest.complete = true;
        kept.save()?;
        Ok(kept)
    }

    /// The manifest of an earlier call for the same, to go on with or to answer with.
    async fn known(
        &self,
        content: &Content,
        terms: &Terms,
        again: bool,
    ) -> Result<Option<Kept>, GatewayError> {
        let mut known = self.manifests.all()?;
        known.retain(|kept| {
            kept.manifest.is_of(&self.network, content, terms) && !(again && kept.manifest.complete)
        });
        // What is stored already answers before what is to be stored once more.
        known.sort_by_key(|kept| (!kept.manifest.complete, kept.path.clone()));
        let now = self.deals.epoch().await?;
        for kept in known {
            let Some(deal) = kept.manifest.deal else {
                return Ok(Some(kept));
            };
            let found = self.deals.deal(deal).await.map_err(|error| match error {
                DealError::UnknownDeal(_) => GatewayError::Manifest {
                    path: kept.path.clone(),
                    problem: format!(
                        "this chain has no deal {deal}; if it was started anew, remove the manifest to store the object again"
                    ),
                },
                error => error.into(),
            })?;
            if !found.is_over(now) {
                return Ok(Some(kept));
            }
            tracing::info!(%deal, "the deal of an earlier call is closed or over and is not used again");
        }
        Ok(None)
    }

    /// Brings the deal on chain as far as its seal.
    async fn place(
        &self,
        file: &Path,
        terms: &Terms,
        kept: &mut Kept,
    ) -> Result<Deal, GatewayError> {
        if let Some(deal) = kept.manifest.deal {
            let deal = self.deals.deal(deal).await?;
            match deal.state {
                DealState::Sealed => return Ok(deal),
                DealState::Closed => {
                    let problem =
                        "was closed meanwhile; run the same command again to store the object in a new one"
                            .into();
                    return Err(GatewayError::Deal {
                        deal: deal.id,
                        problem,
                    });
                }
                DealState::Proposed => {}
            }
        }
        let roots = match kept.load_roots()? {
            Some(roots) => roots,
            None => {
                let roots = self.commit(file, terms.geometry, terms.stripes).await?;
                kept.save_roots(&roots)?;
                roots
            }
        };
        let deal = self.propose_once(terms, kept).await?;
        self.publish(&self.deals.deal(deal).await?, &roots).await?;
        self.deals.seal(deal).await?;
        kept.remove_roots()?;
        Ok(self.deals.deal(deal).await?)
    }

    /// First pass: the roots of every shard, by slot.
    async fn commit(
        &self,
        file: &Path,
        geometry: Geometry,
        stripes: u32,
    ) -> Result<Vec<Vec<ShardRoots>>, GatewayError> {
        let bar = self.progress.bar("committing", u64::from(stripes));
        let path = file.to_owned();
        let roots = blocking(move || {
            let mut roots =
                vec![Vec::with_capacity(stripes as usize); usize::from(geometry.slots())];
            codec::for_each_stripe(&path, geometry, |_, shards| {
                let stripe: Vec<ShardRoots> = shards
                    .par_iter()
                    .map(|shard| codec::roots(shard))
                    .collect::<Result<_, _>>()?;
                roots
                    .iter_mut()
                    .zip(stripe)
                    .for_each(|(list, shard)| list.push(shard));
                bar.advance();
                Ok(())
            })?;
            Ok(roots)
        })
        .await?;
        if roots.iter().any(|list| list.len() != stripes as usize) {
            return Err(GatewayError::FileShrank {
                path: file.to_owned(),
            });
        }
        Ok(roots)
    }

    /// Proposes, unless a run that died had already done so.
    async fn propose_once(&self, terms: &Terms, kept: &mut Kept) -> Result<DealId, GatewayError> {
        if let Some(deal) = kept.manifest.deal {
            return Ok(deal);
        }
        let found = match kept.manifest.proposed_since {
            Some(since) => self.own_proposal(terms, since).await?,
            None => None,
        };
        let deal = match found {
            Some(deal) => deal,
            None => {
                if kept.manifest.proposed_since.is_none() {
                    kept.manifest.proposed_since = Some(self.deals.head().await?);
                    kept.save()?;
                }
                self.deals.propose(terms).await?
            }
        };
        kept.manifest.deal = Some(deal);
        kept.save()?;
        Ok(deal)
    }

    /// A proposal on these terms to go on with: not closed since, and claimed by no manifest yet, as two objects on equal terms
    /// must not end up in one deal.
    async fn own_proposal(
        &self,
        terms: &Terms,
        since: BlockNumber,
    ) -> Result<Option<DealId>, GatewayError> {
        let Some(found) = self.deals.find_proposal(terms, since).await? else {
            return Ok(None);
        };
        let now = self.deals.epoch().await?;
        let usable = !self.deals.deal(found).await?.is_over(now)
            && self.manifests.of_deal(&self.network, found).is_err();
        Ok(usable.then_some(found))
    }

    /// Publishes what is not published yet. Slots go side by side, the chunks of one slot one after the other.
    async fn publish(&self, deal: &Deal, roots: &[Vec<ShardRoots>]) -> Result<(), GatewayError> {
        let bar = self.progress.bar(
            "publishing",
            roots.iter().map(|list| list.len() as u64).sum(),
        );
        let published = self.deals.roots(deal).await?;
        let deal = deal.id;
        let slots = (0_u16..).zip(roots).zip(published);
        let slots = slots.map(|((slot, roots), published)| {
            let (slot, bar) = (Slot(slot), &bar);
            async move {
                if !roots.starts_with(&published) {
                    return Err(GatewayError::ForeignRoots { deal, slot });
                }
                let mut offset = published.len();
                for chunk in roots[offset..].chunks(PUBLISH_CHUNK) {
                    let from = u32::try_from(offset).map_err(|_| {
                        GatewayError::Internal("a deal has fewer than 2^32 stripes".into())
                    })?;
                    self.deals.publish(deal, slot, from, chunk).await?;
                    offset += chunk.len();
                    chunk.iter().for_each(|_| bar.advance());
                }
                Ok(())
            }
        });
        futures::future::try_join_all(slots).await.map(|_| ())
    }

    /// Second pass: encodes again and streams each slot's shards to its node, all nodes side by side.
    async fn send(&self, file: &Path, deal: &Deal, kept: &mut Kept) -> Result<(), GatewayError> {
        let geometry = deal.geometry;
        let now = self.deals.epoch().await?;
        let mut targets = Vec::new();
        for slot in geometry.slot_numbers().map(Slot) {
            // Not the manifest's node: the slot may have been moved since.
            let tenure = self.deals.tenures(deal.id, slot).await?.last().copied();
            let tenure = tenure.ok_or_else(|| GatewayError::Deal {
                deal: deal.id,
                problem: format!("has no node in slot {slot}"),
            })?;
            let stored = kept.manifest.stored_mut(slot, tenure.node);
            let from = match tenure.state(now) {
                TenureState::Offered => *stored,
                // Who has accepted has everything.
                TenureState::Held => {
                    *stored = deal.stripes;
                    deal.stripes
                }
                // Who has left takes nothing, and needs everything should it be offered the slot again.
                TenureState::Ended | TenureState::Dropped => {
                    *stored = 0;
                    deal.stripes
                }
            };
            targets.push((slot, tenure.node, from));
        }
        let first = targets.iter().map(|(_, _, from)| *from).min().unwrap_or(0);
        if first >= deal.stripes {
            return Ok(());
        }
        let roots = self.deals.roots(deal).await?;

        let bar = self.progress.bar(
            "sending",
            u64::from(deal.stripes) * u64::from(geometry.slots()),
        );
        bar.set(targets.iter().map(|(_, _, from)| u64::from(*from)).sum());
        let (notes, mut noted) = mpsc::unbounded_channel();
        let mut senders = Vec::new();
        let mut workers = Vec::new();
        for (slot, node, from) in targets {
            let (sender, receiver) = mpsc::channel(QUEUE_SHARDS);
            senders.push(sender);
            let target = self.deals.node(node).await?;
            workers.push(self.send_slot(deal.id, slot, target, from, receiver, notes.clone()));
        }
        drop(notes);

        let (path, stripes) = (file.to_owned(), deal.stripes);
        let encoder = blocking(move || {
            let mut last = None;
            codec::for_each_stripe(&path, geometry, |number, shards| {
                last = Some(number);
                // A file that has grown has more stripes than the deal; what the deal names is still there.
                if number < first || number >= stripes {
                    return Ok(());
                }
                let stripe = Stripe(number);
                for ((shard, sender), (list, slot)) in shards
                    .into_iter()
                    .zip(&senders)
                    .zip(roots.iter().zip(0_u16..))
                {
                    let expected = list.get(number as usize).map(|roots| roots.content_id.0);
                    if expected != Some(*blake3::hash(&shard).as_bytes()) {
                        return Err(GatewayError::FileChanged {
                            slot: Slot(slot),
                            stripe,
                        });
                    }
                    // A worker that gave up has closed its queue; the others go on.
                    let _ = sender.blocking_send((stripe, Arc::<[u8]>::from(shard)));
                }
                Ok(())
            })?;
            if last.is_none_or(|last| last + 1 < stripes) {
                return Err(GatewayError::FileShrank { path });
            }
            Ok(())
        });
        let bookkeeper = async {
            while let Some((slot, stripe)) = noted.recv().await {
                let (slot, stripe): (Slot, Stripe) = (slot, stripe);
                kept.manifest.stored[usize::from(slot.0)] = stripe.0 + 1;
                bar.advance();
                if stripe.0 % NOTE_EVERY == 0 {
                    kept.save()?;
                }
            }
            kept.save()
        };
        let (encoded, sent, noted) = tokio::join!(encoder, join_all(workers), bookkeeper);
        noted?;
        encoded?;
        let failed: Vec<(NodeId, LinkError)> = sent.into_iter().filter_map(Result::err).collect();
        if failed.is_empty() {
            return Ok(());
        }
        Err(GatewayError::NotStored {
            refused: failed.iter().any(|(_, error)| !error.is_transient()),
            causes: failed
                .iter()
                .map(|(node, error)| format!("node {node}: {error}"))
                .collect::<Vec<_>>()
                .join("; "),
        })
    }

    /// Sends one slot's shards in order, from stripe `from` on.
    async fn send_slot(
        &self,
        deal: DealId,
        slot: Slot,
        target: NodeAddress,
        from: u32,
        mut queue: mpsc::Receiver<(Stripe, Arc<[u8]>)>,
        notes: mpsc::UnboundedSender<(Slot, Stripe)>,
    ) -> Result<(), (NodeId, LinkError)> {
        while let Some((stripe, bytes)) = queue.recv().await {
            if stripe.0 < from {
                continue;
            }
            let name = ShardName { deal, slot, stripe };
            self.put_patiently(&target, name, bytes)
                .await
                .map_err(|error| (target.node, error))?;
            let _ = notes.send((slot, stripe));
        }
        Ok(())
    }

    /// Sends one shard, again and again while the node may only not be ready for it yet.
    pub(crate) async fn put_patiently(
        &self,
        target: &NodeAddress,
        name: ShardName,
        bytes: Arc<[u8]>,
    ) -> Result<(), LinkError> {
        let started = tokio::time::Instant::now();
        let mut pause = Duration::from_millis(200);
        loop {
            match self.bounded().put_shard(target, name, bytes.clone()).await {
                Err(error)
                    if error.is_transient() && started.elapsed() + pause < self.patience.shard =>
                {
                    tracing::debug!(node = %target.node, ?name, "not taken yet: {error}");
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(Duration::from_secs(5));
                }
                outcome => return outcome,
            }
        }
    }

    /// Waits until each slot's present node has accepted; `expected` names them, for the message.
    async fn wait_for_acceptance(
        &self,
        deal: &Deal,
        expected: &[NodeId],
    ) -> Result<(), GatewayError> {
        let bar = self.progress.bar("accepting", expected.len() as u64);
        let started = tokio::time::Instant::now();
        loop {
            let now = self.deals.epoch().await?;
            let (mut missing, mut left) = (Vec::new(), None);
            for slot in deal.geometry.slot_numbers().map(Slot) {
                match self.deals.tenures(deal.id, slot).await?.last() {
                    Some(tenure) => match tenure.state(now) {
                        TenureState::Held => {}
                        TenureState::Offered => missing.push(tenure.node),
                        state => left = Some((slot, tenure.node, state)),
                    },
                    None => missing.extend(expected.get(usize::from(slot.0))),
                }
            }
            bar.set((usize::from(deal.geometry.slots()) - missing.len()) as u64);
            match left {
                Some((slot, node, state)) if missing.is_empty() => {
                    let problem = format!(
                        "is {} (node {node}); give it to another node with `gateway repair`, then run the same command again",
                        state.name()
                    );
                    return Err(GatewayError::Slot {
                        deal: deal.id,
                        slot,
                        problem,
                    });
                }
                None if missing.is_empty() => return Ok(()),
                _ => {}
            }
            if started.elapsed() >= self.patience.acceptance {
                return Err(GatewayError::NotAccepted {
                    nodes: missing,
                    seconds: self.patience.acceptance.as_secs(),
                });
            }
            tokio::time::sleep(self.patience.poll).await;
        }
    }
}

/// Runs what computes or reads files off the async threads.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, GatewayError> + Send + 'static,
) -> Result<T, GatewayError> {
    tokio::task::spawn_blocking(work)
        .await
        .unwrap_or_else(|error| Err(GatewayError::Internal(format!("a worker stopped: {error}"))))
}
