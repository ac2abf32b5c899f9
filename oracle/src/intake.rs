//! Evidence comes in: pushed by nodes, fetched from peers, found on chain. What is kept is kept before it is acknowledged.
//!
//! Protocol: section 6.2.

use std::collections::BTreeSet;
use std::sync::Arc;

use alloy::primitives::{Address, B256, Bytes};
use tokio::sync::Semaphore;
use verifier::cbor;
use verifier::envelope::Envelope;
use verifier::evidence::{self, Evidence, NotEvidence, SignedReceipt};
use verifier::{Epoch, EvidenceReason, NodeId};

use crate::key::{OracleKey, SigningError};
use crate::onchain::{ChainError, OnChain};
use crate::rules::{EpochView, Rules};
use crate::store::{EvidenceRow, Store, StoreError};

/// Largest piece of evidence taken in, bytes: an event log, and room for everything else.
pub const MAX_EVIDENCE_BYTES: usize = evidence::MAX_EVENT_LOG_BYTES + (128 << 10);
/// Envelopes of one node and epoch that are kept without receipts of f + 1 oracles. An honest node makes one.
const MAX_ENVELOPES: i64 = 8;
/// Pieces checked at the same time: unauthenticated work is bounded.
const CHECKED_AT_ONCE: usize = 4;

/// Evidence was not taken in.
#[derive(Debug, thiserror::Error)]
pub enum IntakeError {
    /// Anybody could have made it, or it is not for here and now.
    #[error(transparent)]
    NotEvidence(#[from] NotEvidence),
    /// This oracle has not come that far; try again.
    #[error(
        "not ready for epoch {0}: its first block is not final here yet; push again in a few blocks"
    )]
    NotReady(Epoch),
    /// The node owes nothing.
    #[error("node {0} has no duty in epoch {1}")]
    NoDuty(NodeId, Epoch),
    /// The node made more envelopes than anybody needs.
    #[error("node {0} has sent more envelopes for epoch {1} than are kept")]
    TooMany(NodeId, Epoch),
    /// The chain could not be asked.
    #[error(transparent)]
    Chain(#[from] ChainError),
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The key failed.
    #[error(transparent)]
    Signing(#[from] SigningError),
}

fn refused(reason: EvidenceReason, detail: impl Into<String>) -> IntakeError {
    IntakeError::NotEvidence(NotEvidence {
        reason,
        detail: detail.into(),
    })
}

/// Takes evidence in.
pub struct Intake {
    store: Store,
    rules: Rules,
    chain: Arc<dyn OnChain>,
    key: OracleKey,
    gate: Semaphore,
}

impl Intake {
    /// An intake that signs receipts with `key`.
    #[must_use]
    pub fn new(store: Store, rules: Rules, chain: Arc<dyn OnChain>, key: OracleKey) -> Self {
        Self {
            store,
            rules,
            chain,
            key,
            gate: Semaphore::new(CHECKED_AT_ONCE),
        }
    }

    /// Takes what a node pushes, and answers with this oracle's receipt. The first receipt for an envelope stays.
    ///
    /// # Errors
    /// [`IntakeError`].
    pub async fn push(
        &self,
        node: NodeId,
        epoch: Epoch,
        bytes: &[u8],
    ) -> Result<SignedReceipt, IntakeError> {
        // Asked first: the receipt says when it arrived, not when it was checked.
        let arrived = self.chain.head().await?;
        if bytes.len() > MAX_EVIDENCE_BYTES {
            return Err(refused(
                EvidenceReason::Malformed,
                format!(
                    "{} bytes, at most {MAX_EVIDENCE_BYTES} are taken",
                    bytes.len()
                ),
            ));
        }
        let schedule = self.rules.schedule();
        let current = schedule
            .epoch_of(arrived)
            .ok_or(IntakeError::NotReady(epoch))?;
        if epoch > current {
            return Err(IntakeError::NotReady(epoch));
        }
        if epoch.next() < current {
            return Err(refused(
                EvidenceReason::WrongContext,
                format!("epoch {epoch} is over, this is {current}"),
            ));
        }
        let view = match EpochView::load(&self.store, &self.rules, epoch).await? {
            Some(view) => view,
            // What is refused at the door does not depend on the beacon.
            None => EpochView::load_without_beacon(&self.store, &self.rules, epoch)
                .await?
                .ok_or(IntakeError::NotReady(epoch))?,
        };
        let evidence: Evidence = cbor::decode("evidence", bytes)
            .map_err(|error| refused(EvidenceReason::Malformed, error.to_string()))?;
        let opened = self.merge(&view, node, &evidence).await?;
        if let Some(receipt) = self
            .store
            .receipt(epoch, node, opened, self.key.address())
            .await?
        {
            return Ok(receipt);
        }
        let digest = SignedReceipt::digest(self.rules.deployment(), node, epoch, opened, arrived);
        let receipt = SignedReceipt {
            node,
            epoch,
            envelope_hash: opened,
            block: arrived,
            signature: self.key.sign(&digest)?,
        };
        self.store
            .keep_receipt(self.key.address(), &receipt)
            .await?;
        metrics::counter!("probity_oracle_receipts_total").increment(1);
        // Two pushes at once may both get here: whichever was kept is the receipt.
        Ok(self
            .store
            .receipt(epoch, node, opened, self.key.address())
            .await?
            .unwrap_or(receipt))
    }

    /// Checks a piece of evidence, keeps it, its keys and those of its receipts that verify; returns the envelope's hash.
    ///
    /// # Errors
    /// [`IntakeError`]; nothing is kept then.
    pub async fn merge(
        &self,
        view: &EpochView,
        node: NodeId,
        evidence: &Evidence,
    ) -> Result<B256, IntakeError> {
        let epoch = view.epoch;
        let item = view.item(node).ok_or(IntakeError::NoDuty(node, epoch))?;
        let (opened, receipts) = {
            // The semaphore is never closed; without a permit the work is not done.
            let _permit = self
                .gate
                .acquire()
                .await
                .map_err(|_| IntakeError::NotReady(epoch))?;
            let context = view.context(&self.rules);
            let opened = evidence::open(&context, &item.duty, None, evidence)?.envelope_hash;
            (opened, self.valid_receipts(view, node, opened, evidence))
        };
        let signers: BTreeSet<_> = receipts.iter().map(|(oracle, _)| *oracle).collect();
        let limit = (signers.len() <= view.set.faults()).then_some(MAX_ENVELOPES);
        let identity = &item.duty.identity;
        self.store
            .keep_keys(
                identity.ak_hash,
                &evidence.ak_public,
                identity.node_key_hash,
                &evidence.node_key,
            )
            .await?;
        let new = self
            .store
            .keep_evidence(epoch, node, opened, evidence, limit)
            .await?;
        if !new && !self.store.has_evidence(epoch, node, opened).await? {
            return Err(IntakeError::TooMany(node, epoch));
        }
        for (oracle, receipt) in receipts {
            self.store.keep_receipt(oracle, &receipt).await?;
        }
        Ok(opened)
    }

    fn valid_receipts(
        &self,
        view: &EpochView,
        node: NodeId,
        envelope_hash: B256,
        evidence: &Evidence,
    ) -> Vec<(Address, SignedReceipt)> {
        evidence
            .receipts
            .iter()
            .filter(|it| (it.node, it.epoch, it.envelope_hash) == (node, view.epoch, envelope_hash))
            .filter_map(|it| {
                Some((
                    it.signer(self.rules.deployment(), &view.set).ok()?,
                    it.clone(),
                ))
            })
            .collect()
    }

    /// Turns what nodes submitted on chain into evidence, as far as their keys are known here.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn merge_submissions(&self, view: &EpochView) -> Result<(), StoreError> {
        for (node, [body, node_signature, proof]) in self.store.submitted(view.epoch).await? {
            let Some(item) = view.item(node) else {
                continue;
            };
            let Some((ak_public, node_key)) = self.store.keys(&item.duty.identity).await? else {
                tracing::warn!(%node, epoch = %view.epoch, "a node submitted on chain whose keys are not known here yet");
                continue;
            };
            let envelope = Envelope {
                body: body.into(),
                node_signature: node_signature.into(),
            };
            let evidence = Evidence {
                envelope: cbor::encode(&envelope).into(),
                proof: proof.into(),
                event_log: Bytes::new(),
                ak_public: ak_public.into(),
                node_key: node_key.into(),
                receipts: Vec::new(),
            };
            match self.merge(view, node, &evidence).await {
                Ok(_) => {}
                Err(IntakeError::Store(error)) => return Err(error),
                Err(error) => {
                    tracing::warn!(%node, epoch = %view.epoch, %error, "what a node submitted on chain is no evidence")
                }
            }
        }
        Ok(())
    }

    /// Evidence held for an epoch, with receipts; of one node if given.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn held(
        &self,
        epoch: Epoch,
        node: Option<NodeId>,
    ) -> Result<Vec<EvidenceRow>, StoreError> {
        self.store.evidence(epoch, node).await
    }
}

#[cfg(test)]
mod tests;
