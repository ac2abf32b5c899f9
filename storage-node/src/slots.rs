//! Learning which shards this node is asked to hold: a slot's roots come from the chain, checked against its list hash.

use std::sync::Arc;

use tonic::{Code, Status};
use verifier::inventory::slot_list_hash;
use verifier::{EvidenceReason, NodeId};

use crate::acceptance::Refused;
use crate::chain_view::{Assignment, ChainError, ChainView};
use crate::shard::{ShardId, SlotId};
use crate::state::{ShardRecord, State, StateError};

/// Why a shard is not taken or served. Protocol: sections 1 and 2; codes as in `probity.proto`.
#[derive(Debug, thiserror::Error)]
pub enum SlotError {
    /// No sealed deal has this slot.
    #[error(
        "{}: no sealed deal on chain has {slot}{hint}; propose, publish and seal it first",
        EvidenceReason::NoProposal
    )]
    NoProposal {
        /// The slot.
        slot: SlotId,
        /// What is missing.
        hint: &'static str,
    },
    /// The slot is another node's.
    #[error(
        "{}: {slot} is offered to node {actual}, this is node {expected}",
        EvidenceReason::NoProposal
    )]
    NotOurs {
        /// The slot.
        slot: SlotId,
        /// This node.
        expected: NodeId,
        /// The node on chain.
        actual: NodeId,
    },
    /// The slot has fewer stripes.
    #[error(
        "{}: {shard} does not exist: the deal has {stripes} stripes",
        EvidenceReason::NoProposal
    )]
    NoSuchStripe {
        /// The shard asked for.
        shard: ShardId,
        /// Stripes of the deal.
        stripes: u32,
    },
    /// This node does not take it on.
    #[error("{slot} is refused: {refused}")]
    Refused {
        /// The slot.
        slot: SlotId,
        /// Why.
        refused: Refused,
    },
    /// The chain could not be asked, or contradicts itself.
    #[error(transparent)]
    Chain(#[from] ChainError),
    /// The database failed.
    #[error(transparent)]
    State(#[from] StateError),
}

impl From<SlotError> for Status {
    fn from(error: SlotError) -> Self {
        let code = match &error {
            SlotError::NoProposal { .. } | SlotError::NoSuchStripe { .. } => Code::NotFound,
            SlotError::NotOurs { .. } => Code::FailedPrecondition,
            SlotError::Refused { refused, .. } if refused.is_room() => Code::ResourceExhausted,
            SlotError::Refused { .. } => Code::FailedPrecondition,
            SlotError::Chain(_) => Code::Unavailable,
            SlotError::State(inner) => {
                // What the database says is the operator's, not the caller's.
                tracing::error!(error = %inner, "request failed");
                return Self::internal("internal error; see the node's log");
            }
        };
        Self::new(code, error.to_string())
    }
}

/// This node's slots, learnt from the chain and kept in the database.
#[derive(Clone)]
pub struct SlotBook {
    chain: Arc<dyn ChainView>,
    state: State,
    node: NodeId,
}

impl SlotBook {
    /// The slots of a node.
    #[must_use]
    pub fn new(chain: Arc<dyn ChainView>, state: State, node: NodeId) -> Self {
        Self { chain, state, node }
    }

    /// The record of a shard that may be put: its slot is sealed and is, now, this node's. Asks the chain about a slot
    /// that is not known yet, so that an owner need not wait for final blocks.
    ///
    /// # Errors
    /// [`SlotError`].
    pub async fn shard_for_put(&self, shard: ShardId) -> Result<ShardRecord, SlotError> {
        if self.state.slot(shard.slot).await?.is_none() {
            self.learn(shard.slot).await?;
        }
        let (stripes, _) = self
            .state
            .slot(shard.slot)
            .await?
            .ok_or(SlotError::NoProposal {
                slot: shard.slot,
                hint: "",
            })?;
        self.state
            .shard(shard)
            .await?
            .ok_or(SlotError::NoSuchStripe { shard, stripes })
    }

    /// Reads a slot from the chain, checks it, and remembers it.
    ///
    /// # Errors
    /// [`SlotError`]; nothing is remembered then.
    pub async fn learn(&self, slot: SlotId) -> Result<(), SlotError> {
        let missing = |hint| SlotError::NoProposal { slot, hint };
        let deal = self.chain.deal(slot.deal).await?.ok_or(missing(""))?;
        if slot.slot.0 >= deal.slots {
            return Err(missing(" (the deal has fewer slots)"));
        }
        if !deal.sealed && !deal.closed {
            return Err(missing(" (the deal is not sealed)"));
        }
        let assignments = self.chain.assignments(slot).await?;
        let ours = self.ours(&assignments);
        if ours.is_empty() {
            let actual = assignments
                .last()
                .map_or(NodeId(0), |assignment| assignment.node);
            return Err(SlotError::NotOurs {
                slot,
                expected: self.node,
                actual,
            });
        }
        let roots = self.chain.slot_roots(slot).await?;
        let list_hash = self.chain.slot_list_hash(slot).await?;
        if roots.len() != deal.stripes as usize || slot_list_hash(&roots) != list_hash {
            // It may have been closed before it was sealed. One that was sealed is learnt: the node's log may list it.
            if deal.closed {
                return Err(missing(" (the deal is closed)"));
            }
            return Err(ChainError::Inconsistent(format!(
                "the {} roots published for {slot} do not hash to its list hash {list_hash}; the endpoint's logs are incomplete",
                roots.len()
            ))
            .into());
        }
        self.state.add_slot(slot, list_hash, &roots, &ours).await?;
        tracing::info!(%slot, stripes = roots.len(), "learnt a slot offered to this node");
        Ok(())
    }

    /// Learns a slot that is not known yet. Another node's slot, or a deal that did not last, is not ours to know.
    ///
    /// # Errors
    /// [`SlotError`].
    pub async fn learn_if_ours(&self, slot: SlotId) -> Result<(), SlotError> {
        if self.state.slot(slot).await?.is_some() {
            return Ok(());
        }
        match self.learn(slot).await {
            Err(SlotError::NotOurs { .. } | SlotError::NoProposal { .. }) => Ok(()),
            other => other,
        }
    }

    /// Reads this node's tenures of a slot as they stand after a final block; a slot that is not known is learnt.
    ///
    /// # Errors
    /// [`SlotError`].
    pub async fn refresh(&self, slot: SlotId, finalized: u64) -> Result<(), SlotError> {
        self.learn_if_ours(slot).await?;
        if self.state.slot(slot).await?.is_some() {
            let assignments = self.chain.assignments_at(slot, finalized).await?;
            self.note(slot, &assignments).await?;
        }
        Ok(())
    }

    /// Takes over what the chain was found to say of this node's tenures of a slot, if the slot is known.
    ///
    /// # Errors
    /// [`SlotError`].
    pub async fn note(&self, slot: SlotId, assignments: &[Assignment]) -> Result<(), SlotError> {
        if self.state.slot(slot).await?.is_some() {
            self.state
                .refresh_tenures(slot, &self.ours(assignments))
                .await?;
        }
        Ok(())
    }

    fn ours(&self, assignments: &[Assignment]) -> Vec<(u64, Assignment)> {
        (0u64..)
            .zip(assignments.iter().copied())
            .filter(|(_, assignment)| assignment.node == self.node)
            .collect()
    }
}
