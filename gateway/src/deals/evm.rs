//! The real contracts, through the crate `chain`.

use std::time::{Duration, Instant};

use alloy::{
    primitives::Address,
    rpc::types::Filter,
    signers::local::PrivateKeySigner,
    sol_types::{SolCall, SolEvent},
};
use async_trait::async_trait;
use chain::{
    ChainError, Client, Deployment, Sender,
    bindings::{Deals, ProbityToken},
    types,
};
use tokio::sync::Mutex;
use verifier::session::{Anchor, SessionContext};
use verifier::{BlockNumber, DealId, Epoch, NodeId, Slot};

use super::{Deal, DealBook, DealError, DealState, NodeAddress, ShardRoots, Tenure, Terms};
use crate::geometry::Geometry;

mod published;
#[cfg(test)]
mod tests;

/// How old what sessions are judged by may be, unless it must be fresh.
const SESSION_CONTEXT_AGE: Duration = Duration::from_secs(5);

/// One deployment, and the owner's account on it.
pub struct EvmDeals {
    client: Client,
    sender: Sender,
    sessions: Mutex<Option<(Instant, SessionContext)>>,
}

impl EvmDeals {
    /// Connects to a deployment.
    ///
    /// # Errors
    /// [`DealError::Unavailable`] if no endpoint answers, or the contracts are not there.
    pub async fn connect(deployment: Deployment, key: PrivateKeySigner) -> Result<Self, DealError> {
        let client = Client::connect(deployment)
            .await
            .map_err(reading("the deployment"))?;
        let sender = Sender::new(client.rpc().clone(), key);
        Ok(Self {
            client,
            sender,
            sessions: Mutex::default(),
        })
    }

    async fn read_session_context(&self) -> Result<SessionContext, DealError> {
        let what = "the epochs' first blocks";
        let clock = self.client.clock().await.map_err(reading(what))?;
        let rpc = self.client.rpc();
        let head = rpc.head().await.map_err(reading(what))?.number;
        let mut anchors = Vec::new();
        if let Some(epoch) = clock.epoch_of(head) {
            for epoch in epoch.saturating_sub(1)..=epoch {
                let hash = rpc
                    .block_hash(clock.start_block(epoch))
                    .await
                    .map_err(reading(what))?;
                anchors.push(Anchor {
                    epoch: Epoch(epoch),
                    hash,
                });
            }
        }
        let at = self.client.deployment();
        Ok(SessionContext {
            chain_id: at.chain_id,
            hub: at.hub,
            anchors,
        })
    }

    async fn send<C: SolCall + Sync>(
        &self,
        what: &'static str,
        to: Address,
        call: C,
    ) -> Result<Vec<alloy::rpc::types::Log>, DealError> {
        let receipt = self.sender.send(to, &call).await.map_err(reading(what))?;
        Ok(receipt.inner.logs().to_vec())
    }
}

fn reading(what: &'static str) -> impl Fn(ChainError) -> DealError {
    move |error| match error {
        ChainError::Reverted { revert, .. } => DealError::Refused {
            what,
            why: revert.to_string(),
        },
        error => DealError::Unavailable {
            what,
            why: daemon::exit::chain(&error),
        },
    }
}

#[async_trait]
impl DealBook for EvmDeals {
    fn owner(&self) -> Address {
        self.sender.address()
    }

    async fn head(&self) -> Result<BlockNumber, DealError> {
        Ok(BlockNumber(
            self.client
                .rpc()
                .head()
                .await
                .map_err(reading("the head"))?
                .number,
        ))
    }

    async fn epoch(&self) -> Result<Epoch, DealError> {
        let epoch = self.client.latest().current_epoch().await;
        epoch.map(Epoch).map_err(reading("the epoch"))
    }

    async fn propose(&self, terms: &Terms) -> Result<DealId, DealError> {
        let what = "the proposal";
        let Deployment { deals, token, .. } = *self.client.deployment();
        let latest = self.client.latest();
        let escrow = terms.escrow();
        let balance = latest
            .token_balance(self.owner())
            .await
            .map_err(reading("the balance"))?;
        if balance < escrow {
            let why = format!(
                "the escrow is {escrow}, account {} has {balance} token units",
                self.owner()
            );
            return Err(DealError::Refused { what, why });
        }
        if latest
            .allowance(self.owner(), deals)
            .await
            .map_err(reading("the allowance"))?
            < escrow
        {
            let approve = ProbityToken::approveCall {
                spender: deals,
                value: escrow,
            };
            self.send("the approval", token, approve).await?;
        }
        let propose = Deals::proposeCall {
            k: terms.geometry.k(),
            m: terms.geometry.m(),
            stripes: terms.stripes,
            nodes: terms.nodes.iter().map(|node| node.0).collect(),
            rate: terms.rate,
            durationEpochs: terms.epochs,
        };
        let logs = self.send(what, deals, propose).await?;
        logs.iter()
            .find_map(|log| Deals::DealProposed::decode_log_data(log.data()).ok())
            .map(|event| DealId(event.deal))
            .ok_or_else(|| DealError::Inconsistent {
                what,
                problem: "its receipt names no deal".into(),
            })
    }

    async fn find_proposal(
        &self,
        terms: &Terms,
        since: BlockNumber,
    ) -> Result<Option<DealId>, DealError> {
        let what = "own proposals";
        let filter = Filter::new()
            .address(self.client.deployment().deals)
            .event_signature(Deals::DealProposed::SIGNATURE_HASH)
            .topic2(self.owner().into_word());
        let head = self.head().await?;
        let logs = self.client.logs(&filter, since.0, head.0).await;
        let events = logs
            .map_err(reading(what))?
            .iter()
            .map(|log| Deals::DealProposed::decode_log_data(log.data()))
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| DealError::Inconsistent {
                what,
                problem: error.to_string(),
            })?;
        let nodes: Vec<u64> = terms.nodes.iter().map(|node| node.0).collect();
        Ok(events
            .iter()
            .filter(|event| {
                (event.k, event.m, event.stripes)
                    == (terms.geometry.k(), terms.geometry.m(), terms.stripes)
                    && event.rate == terms.rate
                    && event.escrow == terms.escrow()
                    && event.nodes == nodes
            })
            .map(|event| DealId(event.deal))
            .max())
    }

    async fn publish(
        &self,
        deal: DealId,
        slot: Slot,
        offset: u32,
        roots: &[ShardRoots],
    ) -> Result<(), DealError> {
        let roots = roots
            .iter()
            .map(|roots| types::ShardRoots {
                storageRoot: roots.storage_root,
                transportRoot: roots.transport_root,
                contentId: roots.content_id,
            })
            .collect();
        let call = Deals::publishSlotCall {
            deal: deal.0,
            slot: slot.0,
            offset,
            roots,
        };
        self.send("publishing a slot", self.client.deployment().deals, call)
            .await
            .map(|_| ())
    }

    async fn seal(&self, deal: DealId) -> Result<(), DealError> {
        let call = Deals::sealCall { deal: deal.0 };
        self.send("the seal", self.client.deployment().deals, call)
            .await
            .map(|_| ())
    }

    async fn move_slot(&self, deal: DealId, slot: Slot, to: NodeId) -> Result<(), DealError> {
        let call = Deals::moveSlotCall {
            deal: deal.0,
            slot: slot.0,
            toNode: to.0,
        };
        self.send("moving a slot", self.client.deployment().deals, call)
            .await
            .map(|_| ())
    }

    async fn deal(&self, deal: DealId) -> Result<Deal, DealError> {
        let what = "the deal";
        let found = self
            .client
            .latest()
            .deal(deal.0)
            .await
            .map_err(reading(what))?;
        let inconsistent = |problem: String| DealError::Inconsistent { what, problem };
        let state = match types::DealState::try_from(found.state)
            .map_err(|error| inconsistent(error.to_string()))?
        {
            types::DealState::None => return Err(DealError::UnknownDeal(deal)),
            types::DealState::Proposed => DealState::Proposed,
            types::DealState::Sealed => DealState::Sealed,
            types::DealState::Closed => DealState::Closed,
        };
        Ok(Deal {
            id: deal,
            owner: found.owner,
            state,
            geometry: Geometry::new(found.k, found.m)
                .map_err(|error| inconsistent(error.to_string()))?,
            stripes: found.stripes,
            end_epoch: Epoch(found.endEpoch),
            rate: found.rate,
            escrow: found.escrow,
        })
    }

    async fn roots(&self, deal: &Deal) -> Result<Vec<Vec<ShardRoots>>, DealError> {
        published::roots(&self.client, deal).await
    }

    async fn tenures(&self, deal: DealId, slot: Slot) -> Result<Vec<Tenure>, DealError> {
        let found = self
            .client
            .latest()
            .assignments(deal.0, slot.0)
            .await
            .map_err(reading("a slot's tenures"))?;
        Ok(found
            .into_iter()
            .map(|tenure| Tenure {
                node: NodeId(tenure.node),
                from_epoch: (tenure.fromEpoch != 0).then_some(Epoch(tenure.fromEpoch)),
                to_epoch: Epoch(tenure.toEpoch),
                dropped: tenure.dropped,
            })
            .collect())
    }

    async fn session_context(&self, fresh: bool) -> Result<SessionContext, DealError> {
        let mut known = self.sessions.lock().await;
        if let Some((read, context)) = &*known
            && !fresh
            && read.elapsed() < SESSION_CONTEXT_AGE
        {
            return Ok(context.clone());
        }
        match self.read_session_context().await {
            Ok(context) => {
                *known = Some((Instant::now(), context.clone()));
                Ok(context)
            }
            // A read goes on while the chain is out of reach.
            Err(error) => match &*known {
                Some((_, context)) if !fresh => Ok(context.clone()),
                _ => Err(error),
            },
        }
    }

    async fn node(&self, node: NodeId) -> Result<NodeAddress, DealError> {
        let found = self
            .client
            .latest()
            .node(node.0)
            .await
            .map_err(reading("a node's address"))?;
        if found.status == u8::from(types::NodeStatus::None) {
            return Err(DealError::UnknownNode(node));
        }
        Ok(NodeAddress {
            node,
            url: found.url,
            tls_key_hash: found.tlsKeyHash,
            node_key_hash: found.nodeKeyHash,
        })
    }
}
