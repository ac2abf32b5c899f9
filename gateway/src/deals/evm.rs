//! The real contracts, through the crate `chain`.

use alloy::{
    eips::BlockNumberOrTag,
    primitives::{Address, B256, U256},
    providers::Provider,
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
use verifier::{BlockNumber, DealId, Epoch, NodeId, Slot, inventory};

use super::{Deal, DealBook, DealError, DealState, NodeAddress, ShardRoots, Tenure, Terms};
use crate::geometry::Geometry;

/// One deployment, and the owner's account on it.
pub struct EvmDeals {
    client: Client,
    sender: Sender,
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
        Ok(Self { client, sender })
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

    /// Events of one kind in the deals contract, `topics` as indexed.
    async fn logs<E: SolEvent>(
        &self,
        what: &'static str,
        from: u64,
        topics: [Option<B256>; 2],
    ) -> Result<Vec<E>, DealError> {
        let deployment = self.client.deployment();
        let mut filter = Filter::new()
            .address(deployment.deals)
            .event_signature(E::SIGNATURE_HASH)
            .from_block(from)
            .to_block(BlockNumberOrTag::Latest);
        if let Some(topic) = topics[0] {
            filter = filter.topic1(topic);
        }
        if let Some(topic) = topics[1] {
            filter = filter.topic2(topic);
        }
        let logs = self.client.rpc().provider().get_logs(&filter).await;
        logs.map_err(|error| DealError::Unavailable {
            what,
            why: error.to_string(),
        })?
        .iter()
        .map(|log| {
            E::decode_log_data(log.data()).map_err(|error| DealError::Inconsistent {
                what,
                problem: error.to_string(),
            })
        })
        .collect()
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

fn number_topic(number: impl Into<U256>) -> Option<B256> {
    Some(B256::from(number.into()))
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
        let owner = Some(self.owner().into_word());
        let events: Vec<Deals::DealProposed> =
            self.logs("own proposals", since.0, [None, owner]).await?;
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

    async fn roots(&self, deal: DealId, slot: Slot) -> Result<Vec<ShardRoots>, DealError> {
        let what = "published roots";
        let topics = [
            number_topic(U256::from(deal.0)),
            number_topic(U256::from(slot.0)),
        ];
        let events: Vec<Deals::SlotPublished> = self
            .logs(what, self.client.deployment().deployment_block, topics)
            .await?;
        let roots: Vec<ShardRoots> = events
            .into_iter()
            .flat_map(|event| event.roots)
            .map(|roots| ShardRoots {
                storage_root: roots.storageRoot,
                transport_root: roots.transportRoot,
                content_id: roots.contentId,
            })
            .collect();
        // An endpoint may leave events out; the contract's running hash tells.
        let expected = self
            .client
            .latest()
            .slot_list_hash(deal.0, slot.0)
            .await
            .map_err(reading(what))?;
        let found = inventory::slot_list_hash(&roots);
        if found != expected {
            let problem =
                format!("those of slot {slot} hash to {found}, the contract says {expected}");
            return Err(DealError::Inconsistent { what, problem });
        }
        Ok(roots)
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
        })
    }
}
