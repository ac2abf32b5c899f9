//! Evidence comes in: pushed by nodes, fetched from peers, found on chain. What is kept is kept before it is acknowledged.
//!
//! Protocol: section 6.2.

use std::sync::Arc;

use alloy::primitives::{Address, B256, Bytes};
use tokio::sync::Semaphore;
use verifier::cbor;
use verifier::envelope::Envelope;
use verifier::evidence::{self, Duty, Evidence, NotEvidence, SignedReceipt};
use verifier::{Epoch, EvidenceReason, NodeId};

use crate::heads::Heads;
use crate::key::{OracleKey, SigningError};
use crate::onchain::{ChainError, OnChain};
use crate::rules::{EpochView, Rules, UnknownPolicy};
use crate::store::{EvidenceRow, Store, StoreError};

/// Largest piece of evidence taken in, bytes: an event log, and room for everything else.
pub const MAX_EVIDENCE_BYTES: usize = evidence::MAX_EVENT_LOG_BYTES + (128 << 10);
/// Envelopes of one node and epoch that are kept without receipts of f + 1 oracles and without a submission on chain. An honest
/// node makes one. What counts is never refused by it, or oracles would differ in what they hold.
const MAX_ENVELOPES: u16 = 8;
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
    /// The epoch's policy is not on file here.
    #[error(transparent)]
    UnknownPolicy(#[from] UnknownPolicy),
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
    /// The check did not come to its end.
    #[error("checking was interrupted: {0}")]
    Interrupted(String),
}

/// Evidence of an epoch, as much as one answer carries.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EvidencePage {
    /// Pieces with receipts: those that count first, then ascending by node and envelope.
    pub items: Vec<(NodeId, Evidence)>,
    /// Whether more follow after the last.
    pub more: bool,
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
    key: OracleKey,
    heads: Heads,
    gate: Arc<Semaphore>,
}

impl Intake {
    /// An intake that signs receipts with `key`.
    #[must_use]
    pub fn new(store: Store, rules: Rules, chain: Arc<dyn OnChain>, key: OracleKey) -> Self {
        Self {
            store,
            rules,
            key,
            heads: Heads::new(chain),
            gate: Arc::new(Semaphore::new(CHECKED_AT_ONCE)),
        }
    }

    /// The latest block, as receipts name it.
    #[must_use]
    pub fn heads(&self) -> &Heads {
        &self.heads
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
        let arrived = self.heads.latest().await?;
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
            .keep_receipt(self.key.address(), &receipt, u32::MAX)
            .await?;
        metrics::counter!("probity_oracle_receipts_total").increment(1);
        // Two pushes at once may both get here: whichever was kept is the receipt.
        Ok(self
            .store
            .receipt(epoch, node, opened, self.key.address())
            .await?
            .unwrap_or(receipt))
    }

    /// Checks a piece of evidence, keeps it, its keys and those of its receipts that verify; returns the envelope's hash. What
    /// is held already is not checked again, whatever receipts come with it, unless it now brings its event log.
    ///
    /// # Errors
    /// [`IntakeError`]; the piece is not kept then.
    pub async fn merge(
        &self,
        view: &EpochView,
        node: NodeId,
        evidence: &Evidence,
    ) -> Result<B256, IntakeError> {
        let epoch = view.epoch;
        let item = view.item(node).ok_or(IntakeError::NoDuty(node, epoch))?;
        let envelope: Envelope = cbor::decode("envelope", &evidence.envelope)
            .map_err(|error| refused(EvidenceReason::Malformed, error.to_string()))?;
        let name = envelope.hash();
        let mut held = self.store.has_evidence(epoch, node, name).await?;
        let mut lacks_log = false;
        if held && !evidence.event_log.is_empty() {
            let piece = self.store.piece(epoch, node, name).await?;
            lacks_log = piece.is_some_and(|it| it.evidence.event_log.is_empty());
            held = !lacks_log;
        }
        let known = self.store.receipts(epoch, node, name).await?;
        let fresh: Vec<SignedReceipt> = evidence
            .receipts
            .iter()
            .filter(|it| (it.node, it.epoch, it.envelope_hash) == (node, epoch, name))
            .filter(|it| !known.contains(it))
            // Nobody needs more than one of each oracle.
            .take(view.set.size())
            .cloned()
            .collect();
        let piece = (!held).then(|| evidence.clone());
        let receipts = if held && fresh.is_empty() {
            Vec::new()
        } else {
            self.check(view, item.duty.clone(), piece, fresh).await?
        };
        // Receipts first: of two pieces that bring one each at the same time, whichever looks last sees both.
        let most = usize::from(MAX_ENVELOPES) * view.set.size() + 1;
        let most = u32::try_from(most).unwrap_or(u32::MAX);
        for (oracle, receipt) in receipts {
            self.store.keep_receipt(oracle, &receipt, most).await?;
        }
        if held {
            return Ok(name);
        }
        if lacks_log {
            self.store
                .complete_evidence(epoch, node, name, evidence)
                .await?;
            return Ok(name);
        }
        let identity = &item.duty.identity;
        self.store
            .keep_keys(
                identity.ak_hash,
                &evidence.ak_public,
                identity.node_key_hash,
                &evidence.node_key,
            )
            .await?;
        let counts = self.counts(view, node, name).await?;
        let limit = (!counts).then_some(MAX_ENVELOPES);
        let new = self
            .store
            .keep_evidence(epoch, node, name, evidence, limit)
            .await?;
        if !new && !self.store.has_evidence(epoch, node, name).await? {
            return Err(IntakeError::TooMany(node, epoch));
        }
        Ok(name)
    }

    /// Whether an envelope can decide a verdict: f + 1 oracles gave receipts for it, or it was submitted on chain.
    async fn counts(
        &self,
        view: &EpochView,
        node: NodeId,
        envelope: B256,
    ) -> Result<bool, StoreError> {
        let submission = self.store.submission(view.epoch, node).await?;
        if submission.is_some_and(|it| it.envelope_hash == envelope) {
            return Ok(true);
        }
        let receipts = self.store.receipts(view.epoch, node, envelope).await?;
        Ok(receipts.len() > view.set.faults())
    }

    /// Opens a piece and recovers who signed its receipts: curve work, so not on a thread that serves others.
    async fn check(
        &self,
        view: &EpochView,
        duty: Duty,
        piece: Option<Evidence>,
        receipts: Vec<SignedReceipt>,
    ) -> Result<Vec<(Address, SignedReceipt)>, IntakeError> {
        // The semaphore is never closed; without a permit the work is not done.
        let permit = self
            .gate
            .clone()
            .acquire_owned()
            .await
            .map_err(|error| IntakeError::Interrupted(error.to_string()))?;
        let (view, rules) = (view.without_work(), self.rules.clone());
        let check = move || {
            // Held to the end of the work, even if nobody waits for it any more.
            let _permit = permit;
            if let Some(piece) = &piece {
                evidence::open(&view.context(&rules)?, &duty, None, piece)?;
            }
            let signed = receipts.into_iter().filter_map(|it| {
                let oracle = it.signer(rules.deployment(), &view.set).ok()?;
                Some((oracle, it))
            });
            Ok::<_, IntakeError>(signed.collect())
        };
        tokio::task::spawn_blocking(check)
            .await
            .map_err(|error| IntakeError::Interrupted(error.to_string()))?
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

    /// Names of the pieces held for an epoch: those that count first, then ascending by node and envelope.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn names(
        &self,
        epoch: Epoch,
        node: Option<NodeId>,
    ) -> Result<Vec<(NodeId, B256)>, StoreError> {
        let set = self.store.oracle_set(epoch).await?;
        let faults = set.map_or(0, |(set, _)| set.faults());
        let mut names = self.store.evidence_names(epoch, node).await?;
        names.sort_by_key(|it| {
            let counts = it.submitted || it.receipts > faults;
            (!counts, it.node, it.envelope_hash)
        });
        Ok(names
            .into_iter()
            .map(|it| (it.node, it.envelope_hash))
            .collect())
    }

    /// Evidence held for an epoch after a piece, of one node if given: at most `max_bytes`, but one piece at least.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn page(
        &self,
        epoch: Epoch,
        node: Option<NodeId>,
        after: Option<(NodeId, B256)>,
        max_bytes: usize,
    ) -> Result<EvidencePage, StoreError> {
        let names = self.names(epoch, node).await?;
        let from = match after {
            None => 0,
            Some(after) => names
                .iter()
                .position(|name| *name == after)
                .map_or(names.len(), |at| at + 1),
        };
        let mut page = EvidencePage::default();
        let mut bytes = 0;
        for (node, envelope) in &names[from..] {
            let Some(row) = self.piece(epoch, *node, *envelope).await? else {
                continue;
            };
            bytes += cbor::encode(&row.evidence).len();
            if bytes > max_bytes && !page.items.is_empty() {
                page.more = true;
                break;
            }
            page.items.push((row.node, row.evidence));
        }
        Ok(page)
    }

    /// One piece of evidence with its receipts.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn piece(
        &self,
        epoch: Epoch,
        node: NodeId,
        envelope: B256,
    ) -> Result<Option<EvidenceRow>, StoreError> {
        self.store.piece(epoch, node, envelope).await
    }
}

#[cfg(test)]
mod tests;
