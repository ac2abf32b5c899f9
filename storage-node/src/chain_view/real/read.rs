//! Reading.

use alloy::primitives::{Address, B256, U256};
use alloy::providers::Provider;
use alloy::rpc::types::Filter;
use alloy::sol_types::SolEvent;
use async_trait::async_trait;
use chain::bindings::Deals::{self, DealsEvents};
use chain::bindings::QuotePolicy as Policy;
use chain::types::{DealState, NodeStatus};
use chain::{EpochClock, Event, EventBody, View};
use verifier::committee::{Deployment, OracleSet};
use verifier::inventory::{Operation, ShardRoots};
use verifier::{BlockNumber, DealId, Epoch, NodeId};

use super::RealChain;
use crate::chain_view::{
    Assignment, ChainError, ChainEvent, ChainView, Committee, DealTerms, Head, NodeRecord, Oracle,
    QuotePolicy, Submission,
};
use crate::inventory::{Frozen, LogEntry};
use crate::shard::SlotId;

/// Blocks asked for in one query for a slot's roots, newest first.
const ROOTS_WINDOW: u64 = 1_000;

#[async_trait]
impl ChainView for RealChain {
    fn deployment(&self) -> Deployment {
        let deployment = self.client.deployment();
        Deployment {
            chain_id: deployment.chain_id,
            hub: deployment.hub,
            registry: deployment.registry,
        }
    }

    fn clock(&self) -> &EpochClock {
        &self.clock
    }

    fn account(&self) -> Address {
        self.sender.address()
    }

    async fn block_hash(&self, block: u64) -> Result<Option<B256>, ChainError> {
        match self.client.rpc().block_hash(block).await {
            Ok(hash) => Ok(Some(hash)),
            Err(chain::ChainError::NoSuchBlock { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    async fn head(&self) -> Result<Head, ChainError> {
        let rpc = self.client.rpc();
        let latest = rpc.head().await?.number;
        let finalized = match rpc.finalized().await {
            Ok(block) => block.number,
            // A young chain has no final block.
            Err(chain::ChainError::NoSuchBlock { .. }) => 0,
            Err(error) => return Err(error.into()),
        };
        Ok(Head {
            latest,
            finalized: finalized.min(latest),
        })
    }

    async fn node(&self) -> Result<Option<NodeRecord>, ChainError> {
        let view = self.client.latest();
        let id = view.node_id(self.sender.address()).await?;
        if id == 0 {
            return Ok(None);
        }
        let node = view.node(id).await?;
        Ok(Some(NodeRecord {
            node: NodeId(id),
            active: matches!(
                NodeStatus::try_from(node.status),
                Ok(NodeStatus::Active | NodeStatus::Exiting)
            ),
            registered: Epoch(node.registeredEpoch),
            identity_from: Epoch(node.identityFrom),
            ak_hash: node.akHash,
            node_key_hash: node.nodeKeyHash,
            url: node.url,
            tls_key_hash: node.tlsKeyHash,
        }))
    }

    async fn identity_at(&self, node: NodeId, epoch: Epoch) -> Result<B256, ChainError> {
        Ok(self.client.latest().identity_at(node.0, epoch.0).await?)
    }

    async fn policy_hash(&self, epoch: Epoch) -> Result<B256, ChainError> {
        Ok(self.client.latest().policy_hash_at(epoch.0).await?)
    }

    async fn quote_policy(&self, epoch: Epoch) -> Result<Option<QuotePolicy>, ChainError> {
        let view = self.client.latest();
        let at = view.quote_policy(epoch.0).await?;
        if at.is_zero() {
            return Ok(None);
        }
        let pcrs = view.read(at, &Policy::pcrsCall {}).await?;
        Ok(Some(QuotePolicy {
            at,
            pcrs: (0..32).filter(|pcr| (pcrs >> pcr) & 1 == 1).collect(),
            any_state: view.read(at, &Policy::anyStateCall {}).await?,
            max_age: view.read(at, &Policy::maxAgeBlocksCall {}).await?,
            roster: Some(view.read(at, &Policy::rosterCall {}).await?).filter(|it| !it.is_zero()),
        }))
    }

    async fn accepted_until(&self, policy: Address, pcr_digest: B256) -> Result<u64, ChainError> {
        let call = Policy::acceptedUntilCall {
            pcrDigest: pcr_digest,
        };
        Ok(self.client.latest().read(policy, &call).await?)
    }

    async fn deal(&self, deal: DealId) -> Result<Option<DealTerms>, ChainError> {
        deal_terms(self.client.latest(), deal).await
    }

    async fn deal_at(&self, deal: DealId, block: u64) -> Result<Option<DealTerms>, ChainError> {
        deal_terms(self.client.at(block), deal).await
    }

    async fn assignments(&self, slot: SlotId) -> Result<Vec<Assignment>, ChainError> {
        tenures(self.client.latest(), slot).await
    }

    async fn assignments_at(
        &self,
        slot: SlotId,
        block: u64,
    ) -> Result<Vec<Assignment>, ChainError> {
        // The contract refuses to speak of a deal that does not exist.
        if self.deal_at(slot.deal, block).await?.is_none() {
            return Ok(Vec::new());
        }
        tenures(self.client.at(block), slot).await
    }

    async fn slot_list_hash(&self, slot: SlotId) -> Result<B256, ChainError> {
        Ok(self
            .client
            .latest()
            .slot_list_hash(slot.deal.0, slot.slot.0)
            .await?)
    }

    async fn slot_roots(&self, slot: SlotId) -> Result<Vec<ShardRoots>, ChainError> {
        let deployment = self.client.deployment();
        let stripes = self.client.latest().deal(slot.deal.0).await?.stripes;
        let filter = Filter::new()
            .address(deployment.deals)
            .event_signature(Deals::SlotPublished::SIGNATURE_HASH)
            .topic1(B256::from(U256::from(slot.deal.0)))
            .topic2(B256::from(U256::from(slot.slot.0)));
        let mut to = self.client.rpc().head().await?.number;
        // Most recent first: a slot is learnt soon after it was published.
        let mut roots: Vec<Option<ShardRoots>> = vec![None; stripes as usize];
        loop {
            let from = to
                .saturating_sub(ROOTS_WINDOW - 1)
                .max(deployment.deployment_block);
            let logs = self
                .client
                .rpc()
                .provider()
                .get_logs(&filter.clone().from_block(from).to_block(to))
                .await
                .map_err(|error| ChainError::Unavailable(format!("events of {slot}: {error}")))?;
            for log in &logs {
                let EventBody::Deals(DealsEvents::SlotPublished(published)) =
                    Event::decode(deployment, log)?.body
                else {
                    continue;
                };
                for (place, shard) in roots
                    .iter_mut()
                    .skip(published.offset as usize)
                    .zip(published.roots)
                {
                    *place = Some(ShardRoots {
                        storage_root: shard.storageRoot,
                        transport_root: shard.transportRoot,
                        content_id: shard.contentId,
                    });
                }
            }
            if from <= deployment.deployment_block || roots.iter().all(Option::is_some) {
                break;
            }
            to = from - 1;
        }
        Ok(roots.into_iter().flatten().collect())
    }

    async fn events(
        &self,
        node: NodeId,
        from: u64,
        to: u64,
    ) -> Result<Vec<ChainEvent>, ChainError> {
        let events = self.client.events(from, to).await?;
        Ok(events
            .into_iter()
            .flat_map(|event| of_interest(node, event))
            .collect())
    }

    async fn inventory(&self, node: NodeId) -> Result<Frozen, ChainError> {
        let found = self.client.latest().inventory(node.0).await?;
        Ok(Frozen {
            root: found.root,
            count: found.count,
            log: found.log,
        })
    }

    async fn inventory_at(&self, node: NodeId, epoch: Epoch) -> Result<Frozen, ChainError> {
        let found = self.client.latest().inventory_at(node.0, epoch.0).await?;
        Ok(Frozen {
            root: found.root,
            count: found.count,
            log: found.log,
        })
    }

    async fn beacon(&self, epoch: Epoch) -> Result<Option<B256>, ChainError> {
        let beacon = self.client.latest().beacon(epoch.0).await?;
        Ok((!beacon.is_zero()).then_some(beacon))
    }

    async fn committee(&self, epoch: Epoch) -> Result<Committee, ChainError> {
        let view = self.client.latest();
        let version = view.oracle_set_version(epoch.0).await?;
        let members = view.oracle_set(version).await?;
        let accounts = members.iter().map(|oracle| oracle.account).collect();
        let set = OracleSet::new(version, accounts)
            .map_err(|error| ChainError::Inconsistent(error.to_string()))?;
        let oracles = members
            .into_iter()
            .map(|oracle| Oracle {
                account: oracle.account,
                url: oracle.url,
                tls_key_hash: oracle.tlsKeyHash,
            })
            .collect();
        Ok(Committee { set, oracles })
    }

    async fn submission(
        &self,
        node: NodeId,
        epoch: Epoch,
    ) -> Result<Option<Submission>, ChainError> {
        let found = self.client.latest().submission(node.0, epoch.0).await?;
        Ok((found.blockNumber != 0).then_some(Submission {
            envelope_hash: found.envelopeHash,
            block: BlockNumber(found.blockNumber),
        }))
    }

    async fn resolved_to(&self, node: NodeId) -> Result<Epoch, ChainError> {
        Ok(Epoch(self.client.latest().resolved_to(node.0).await?))
    }
}

async fn deal_terms(view: View<'_>, deal: DealId) -> Result<Option<DealTerms>, ChainError> {
    let found = view.deal(deal.0).await?;
    let state = DealState::try_from(found.state)
        .map_err(|error| ChainError::Inconsistent(error.to_string()))?;
    if state == DealState::None {
        return Ok(None);
    }
    Ok(Some(DealTerms {
        sealed: state == DealState::Sealed,
        closed: state == DealState::Closed,
        slots: found.k.saturating_add(found.m),
        stripes: found.stripes,
        rate: found.rate,
        end: Epoch(found.endEpoch),
    }))
}

async fn tenures(view: View<'_>, slot: SlotId) -> Result<Vec<Assignment>, ChainError> {
    let found = view.assignments(slot.deal.0, slot.slot.0).await?;
    Ok(found
        .into_iter()
        .map(|assignment| Assignment {
            node: NodeId(assignment.node),
            from: Epoch(assignment.fromEpoch),
            to: Epoch(assignment.toEpoch),
            claimed: Epoch(assignment.claimedTo),
            dropped: assignment.dropped,
        })
        .collect())
}

/// What an event means for a node; a deal may name it for several slots, though the contract allows one.
fn of_interest(node: NodeId, event: Event) -> Vec<ChainEvent> {
    let EventBody::Deals(body) = event.body else {
        return Vec::new();
    };
    match body {
        DealsEvents::DealProposed(proposed) => (0u16..)
            .zip(proposed.nodes)
            .filter(|(_, named)| *named == node.0)
            .map(|(slot, _)| ChainEvent::Offered(SlotId::new(proposed.deal, slot)))
            .collect(),
        DealsEvents::DealSealed(sealed) => vec![ChainEvent::Sealed(DealId(sealed.deal))],
        DealsEvents::SlotMoved(moved) => {
            vec![ChainEvent::Moved(
                SlotId::new(moved.deal, moved.slot),
                NodeId(moved.toNode),
            )]
        }
        DealsEvents::SlotEnded(ended) if ended.node == node.0 => {
            vec![ChainEvent::Ended(SlotId::new(ended.deal, ended.slot))]
        }
        DealsEvents::SlotAccepted(accepted) if accepted.node == node.0 => {
            vec![ChainEvent::Inventory(LogEntry {
                operation: Operation::Accept,
                slot: SlotId::new(accepted.deal, accepted.slot),
                stripes: accepted.stripes,
                list_hash: accepted.slotListHash,
                log: accepted.log,
                root: accepted.root,
                count: accepted.count,
                block: event.block,
            })]
        }
        DealsEvents::SlotDropped(dropped) if dropped.node == node.0 => {
            vec![ChainEvent::Inventory(LogEntry {
                operation: Operation::Drop,
                slot: SlotId::new(dropped.deal, dropped.slot),
                stripes: dropped.stripes,
                list_hash: dropped.slotListHash,
                log: dropped.log,
                root: dropped.root,
                count: dropped.count,
                block: event.block,
            })]
        }
        _ => Vec::new(),
    }
}
