//! The epoch duty: beacon, proof, quote, receipts of the oracles, and the chain as the way out. Protocol: sections 3 to 6.

mod delivery;
mod step;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use alloy::primitives::{B256, U256};
use circuits::{Profile, Public, StorageRoot, epoch_seed};
use verifier::cbor;
use verifier::envelope::{Claim, Envelope};
use verifier::{Epoch, NodeId};

pub use delivery::Delivery;
pub use step::{Facts, Step, next_step};

use crate::chain_view::{ChainActions, ChainError, ChainView, Committee, OnChainProof, epoch_at};
use crate::config::TpmConfig;
use crate::event_log;
use crate::evidence::{self, NodeKeys};
use crate::inventory::Frozen;
use crate::ledger::{Ledger, LedgerError};
use crate::oracles::OracleLink;
use crate::proof::{Challenge, InventoryCells, ProofError, ProofSource};
use crate::queue::{CLEARANCE, send_until};
use crate::state::{EpochRecord, Outcome, State, StateError};
use crate::store::ShardStore;
use crate::tpm::{TpmError, TpmHandle};

/// Why the duty could not go on this time.
#[derive(Debug, thiserror::Error)]
pub enum DutyError {
    /// The inventory is not known, or is not the chain's.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// The chain cannot be read, or refused.
    #[error(transparent)]
    Chain(#[from] ChainError),
    /// The database failed.
    #[error(transparent)]
    State(#[from] StateError),
    /// There is no proof.
    #[error(transparent)]
    Proof(#[from] ProofError),
    /// The TPM failed.
    #[error(transparent)]
    Tpm(#[from] TpmError),
    /// The frozen inventory cannot be proven by any circuit.
    #[error("the frozen inventory is no statement: {0}")]
    Statement(String),
    /// Stored evidence cannot be read back.
    #[error("stored evidence of epoch {0} is damaged")]
    Evidence(Epoch),
}

/// What the duty works with.
pub struct DutyEdges {
    /// Reads.
    pub chain: Arc<dyn ChainView>,
    /// Transactions.
    pub actions: Arc<dyn ChainActions>,
    /// Shards.
    pub store: Arc<dyn ShardStore>,
    /// Proofs.
    pub proofs: Arc<dyn ProofSource>,
    /// Oracles.
    pub oracles: Arc<dyn OracleLink>,
    /// The TPM.
    pub tpm: TpmHandle,
}

/// How the duty is done.
#[derive(Clone, Debug)]
pub struct DutyOptions {
    /// The circuit.
    pub profile: Profile,
    /// PCRs that quotes cover, as the committee's policies say, and where the firmware's event log is, if it is sent.
    pub tpm: TpmConfig,
    /// Blocks after an epoch's first before its beacon is built on.
    pub beacon_confirmations: u64,
    /// Most that a node waits before it records a beacon nobody else has recorded.
    pub beacon_delay: Duration,
    /// Wait between two pushes to an oracle that gave no receipt.
    pub push_retry: Duration,
}

/// The duty of one node.
pub struct Duty {
    edges: DutyEdges,
    state: State,
    ledger: Ledger,
    node: NodeId,
    keys: NodeKeys,
    options: DutyOptions,
    /// Inventory of an epoch; it does not change once the epoch has begun, but is read again after a failure.
    frozen: HashMap<Epoch, Frozen>,
    committees: HashMap<Epoch, Committee>,
    /// When this node will record a missing beacon.
    beacon_at: HashMap<Epoch, Instant>,
    deliveries: HashMap<Epoch, Delivery>,
    /// The last epoch of which it was told that other keys are in force.
    not_in_force: Option<Epoch>,
}

impl Duty {
    /// The duty of a node.
    #[must_use]
    pub fn new(
        edges: DutyEdges,
        state: State,
        ledger: Ledger,
        node: NodeId,
        keys: NodeKeys,
        options: DutyOptions,
    ) -> Self {
        Self {
            edges,
            state,
            ledger,
            node,
            keys,
            options,
            frozen: HashMap::new(),
            committees: HashMap::new(),
            beacon_at: HashMap::new(),
            deliveries: HashMap::new(),
            not_in_force: None,
        }
    }

    /// One round over the present epoch and the one before it. Safe to repeat at any time.
    ///
    /// # Errors
    /// [`DutyError`]; the next round goes on where this one stopped.
    pub async fn round(&mut self) -> Result<(), DutyError> {
        let head = self.edges.chain.head().await?;
        let present = epoch_at(self.edges.chain.clock(), head.latest);
        let before = Epoch(present.0.saturating_sub(1));
        self.forget_before(before);
        // An old epoch only waits to be closed; it must not keep the present one from being proven.
        let closed = if before == present {
            Ok(())
        } else {
            self.epoch_round(before, head.latest).await
        };
        self.epoch_round(present, head.latest).await?;
        closed
    }

    async fn epoch_round(&mut self, epoch: Epoch, latest: u64) -> Result<(), DutyError> {
        let record = self.state.epoch(epoch).await?;
        if record.outcome.is_some() {
            return Ok(());
        }
        let facts = self.facts(epoch, latest, &record).await?;
        match next_step(&facts) {
            Step::Wait => Ok(()),
            Step::RecordBeacon => self.record_beacon(epoch, latest).await,
            Step::Prove { beacon } => self.prove(epoch, beacon).await,
            Step::Deliver { submit } => self.deliver(epoch, latest, &record, submit).await,
            Step::Close(outcome) => self.close(epoch, outcome).await,
        }
    }

    async fn facts(
        &mut self,
        epoch: Epoch,
        latest: u64,
        record: &EpochRecord,
    ) -> Result<Facts, DutyError> {
        let clock = self.edges.chain.clock();
        let (start, fallback, deadline) = (
            clock.start_block(epoch.0),
            clock.fallback_block(epoch.0),
            clock.deadline_block(epoch.0),
        );
        let frozen = match self.frozen.get(&epoch) {
            Some(frozen) if frozen.count != 0 => *frozen,
            // Nothing frozen is believed only at the end.
            _ => {
                let frozen = self.ledger.frozen_for(epoch).await?;
                self.frozen.insert(epoch, frozen);
                frozen
            }
        };
        let beacon = if frozen.count == 0 {
            None
        } else {
            self.edges.chain.beacon(epoch).await?
        };
        let mut facts = Facts {
            latest,
            start,
            fallback,
            deadline,
            end: clock.start_block(epoch.0.saturating_add(1)),
            confirmations: self.options.beacon_confirmations,
            count: frozen.count,
            beacon,
            proven_beacon: record.evidence.as_ref().and(record.beacon),
            receipts: 0,
            faults: 0,
            submitted: false,
            event_log: record
                .evidence
                .as_ref()
                .is_some_and(|it| !it.event_log.is_empty()),
        };
        if record.evidence.is_some() {
            let committee = self.committee(epoch).await?;
            facts.faults = committee.set.faults();
            self.reap(epoch, deadline).await?;
            facts.receipts = self.state.receipts(epoch).await?.len();
            // Asked only when it matters: the chain is the way out for few.
            if latest >= fallback {
                facts.submitted = self
                    .edges
                    .chain
                    .submission(self.node, epoch)
                    .await?
                    .is_some();
            }
        }
        Ok(facts)
    }

    async fn committee(&mut self, epoch: Epoch) -> Result<Committee, DutyError> {
        if let Some(committee) = self.committees.get(&epoch) {
            return Ok(committee.clone());
        }
        let committee = self.edges.chain.committee(epoch).await?;
        self.committees.insert(epoch, committee.clone());
        Ok(committee)
    }

    async fn record_beacon(&mut self, epoch: Epoch, latest: u64) -> Result<(), DutyError> {
        let longest = self.options.beacon_delay;
        // A random wait, so that of many nodes one pays for it.
        let at = *self
            .beacon_at
            .entry(epoch)
            .or_insert_with(|| Instant::now() + longest.mul_f64(rand::random::<f64>()));
        if Instant::now() < at {
            return Ok(());
        }
        // Not past the time when the queue is the proof's, nor on behalf of a beacon that another node has recorded.
        let clear = self
            .edges
            .chain
            .clock()
            .fallback_block(epoch.0)
            .saturating_sub(CLEARANCE);
        let chain = &self.edges.chain;
        let over = || async {
            match chain.head().await {
                Ok(head) if head.latest >= clear => true,
                Ok(head) if head.latest > latest.saturating_add(1) => {
                    matches!(chain.beacon(epoch).await, Ok(Some(_)))
                }
                _ => false,
            }
        };
        let Some(sent) = send_until(self.edges.actions.record_beacon(epoch), over).await else {
            tracing::info!(%epoch, "the transaction that records the beacon is no longer waited for");
            return Ok(());
        };
        match sent {
            Ok(transaction) => {
                tracing::info!(%epoch, %transaction, "recorded the beacon");
                Ok(())
            }
            Err(error @ ChainError::Reverted { .. }) => {
                tracing::debug!(%epoch, %error, "beacon not recorded");
                Ok(())
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Whether this machine's keys count in an epoch: not after a re-enrolment replaced them, nor before the one that brings them in
    /// takes effect. On chain a proof with others would stand for an attestation that is withheld.
    async fn is_in_force(&mut self, epoch: Epoch) -> Result<bool, DutyError> {
        let own = self.keys.identity(self.edges.chain.account()).hash();
        let in_force = self.edges.chain.identity_at(self.node, epoch).await? == own;
        if !in_force && self.not_in_force != Some(epoch) {
            tracing::warn!(%epoch, node = %self.node, "other TPM keys than this machine's are in force; the epoch is not proven");
            self.not_in_force = Some(epoch);
        }
        Ok(in_force)
    }

    async fn prove(&mut self, epoch: Epoch, beacon: B256) -> Result<(), DutyError> {
        if !self.is_in_force(epoch).await? {
            return Ok(());
        }
        let deployment = self.edges.chain.deployment();
        // Read again: what was read in the epoch's first blocks may have been reorganised since.
        let frozen = self.ledger.frozen_for(epoch).await?;
        self.frozen.insert(epoch, frozen);
        let open = self.ledger.open(&frozen).await?;
        let public = Public {
            inventory_root: StorageRoot::from_bytes(&frozen.root.0)
                .map_err(|error| DutyError::Statement(error.to_string()))?
                .as_field(),
            shard_count: frozen.count,
            seed: epoch_seed(
                beacon.0,
                deployment.chain_id,
                deployment.hub.into_array(),
                self.node.0,
                epoch.0,
            ),
        };
        public
            .check_count(&self.options.profile)
            .map_err(|error| DutyError::Statement(error.to_string()))?;
        let cells = InventoryCells::new(open.inventory, open.roots, self.edges.store.clone());
        let started = Instant::now();
        let challenge = Challenge {
            node: self.node,
            epoch,
            public,
        };
        let proof = self
            .edges
            .proofs
            .prove(&challenge, &cells)
            .await
            .inspect_err(|_| {
                metrics::counter!("storage_node_proof_failures_total").increment(1);
            })?;
        let seconds = started.elapsed().as_secs_f64();
        metrics::histogram!("storage_node_prove_seconds").record(seconds);
        let event_log = event_log::read(self.options.tpm.event_log.as_deref())
            .await
            .unwrap_or_else(|error| {
                // The proof counts all the same; a policy that asks for the log will say so.
                tracing::error!(%error, "cannot read the event log; evidence goes without it");
                Vec::new()
            });
        let event_log = self.explaining(event_log, epoch).await?;
        let claim = Claim {
            node: self.node,
            epoch,
            root: frozen.root,
            count: frozen.count,
            proof: &proof,
            event_log: &event_log,
        };
        let (evidence, envelope) = evidence::make(
            &self.edges.tpm,
            &self.keys,
            self.options.tpm.pcrs_at(epoch),
            &deployment,
            &claim,
        )
        .await?;
        // On disk before anybody sees it: after a crash the same envelope is pushed, never a second one.
        self.state
            .put_evidence(epoch, beacon, envelope.hash(), &evidence)
            .await?;
        self.deliveries.remove(&epoch);
        tracing::info!(%epoch, shards = frozen.count, seconds, envelope = %envelope.hash(), "proven");
        Ok(())
    }

    /// The log, unless it does not explain what the TPM quotes: then none.
    async fn explaining(&self, log: Vec<u8>, epoch: Epoch) -> Result<Vec<u8>, DutyError> {
        if log.is_empty() {
            return Ok(log);
        }
        let pcrs = self.options.tpm.pcrs_at(epoch);
        let quote = self.edges.tpm.quote([0; 32], pcrs).await?;
        Ok(match event_log::check(&log, &quote.attest) {
            Ok(()) => log,
            Err(why) => {
                tracing::error!(%why, "the event log does not explain the PCRs; evidence goes without it");
                Vec::new()
            }
        })
    }

    /// Takes in what the pushes on their way have brought.
    async fn reap(&mut self, epoch: Epoch, deadline: u64) -> Result<(), DutyError> {
        let Some(delivery) = self.deliveries.get_mut(&epoch) else {
            return Ok(());
        };
        let committee = self.committees.get(&epoch);
        let deployment = self.edges.chain.deployment();
        for (oracle, receipt) in delivery.reap(self.options.push_retry) {
            let Some(committee) = committee else { continue };
            let about = (receipt.node, receipt.epoch, receipt.envelope_hash);
            if about != (self.node, epoch, delivery.envelope_hash())
                || receipt.signer(&deployment, &committee.set).ok() != Some(oracle)
            {
                tracing::warn!(%epoch, %oracle, "the oracle's receipt is not its signature over this envelope; not counted");
                continue;
            }
            if receipt.block.0 > deadline {
                tracing::warn!(%epoch, %oracle, block = receipt.block.0, deadline, "the receipt is too late to count");
                continue;
            }
            metrics::counter!("storage_node_receipts_total").increment(1);
            self.state.put_receipt(epoch, oracle, &receipt).await?;
        }
        Ok(())
    }

    async fn deliver(
        &mut self,
        epoch: Epoch,
        latest: u64,
        record: &EpochRecord,
        submit: bool,
    ) -> Result<(), DutyError> {
        let (Some(evidence), Some(envelope_hash)) = (&record.evidence, record.envelope_hash) else {
            return Err(DutyError::Evidence(epoch));
        };
        let committee = self.committee(epoch).await?;
        let receipts: Vec<_> = self.state.receipts(epoch).await?;
        let late = latest >= self.edges.chain.clock().fallback_block(epoch.0);
        let mut evidence = evidence.clone();
        evidence.receipts = receipts
            .iter()
            .map(|(_, receipt)| receipt.clone())
            .collect();
        let delivery = self
            .deliveries
            .entry(epoch)
            .or_insert_with(|| Delivery::new(envelope_hash));
        // Every oracle hears of the others' receipts once: when all are in, or when waiting for more is over.
        let share = late || receipts.len() == committee.oracles.len();
        for oracle in &committee.oracles {
            let known = receipts
                .iter()
                .any(|(account, _)| *account == oracle.account);
            if delivery.is_due(oracle.account, known, share, receipts.len()) {
                metrics::counter!("storage_node_pushes_total").increment(1);
                delivery.push(
                    self.edges.oracles.clone(),
                    oracle.clone(),
                    self.node,
                    epoch,
                    &evidence,
                );
            }
        }
        if submit {
            self.submit(epoch, record).await?;
        }
        Ok(())
    }

    async fn submit(&self, epoch: Epoch, record: &EpochRecord) -> Result<(), DutyError> {
        let evidence = record.evidence.as_ref().ok_or(DutyError::Evidence(epoch))?;
        let envelope: Envelope =
            cbor::decode("envelope", &evidence.envelope).map_err(|_| DutyError::Evidence(epoch))?;
        let mut proof = [U256::ZERO; 8];
        for (word, bytes) in proof.iter_mut().zip(evidence.proof.chunks_exact(32)) {
            *word = U256::from_be_slice(bytes);
        }
        tracing::warn!(%epoch, "too few receipts near the deadline; submitting on chain");
        let on_chain = OnChainProof {
            epoch,
            body: envelope.body,
            node_signature: envelope.node_signature,
            proof,
        };
        // What is not mined by the deadline must not keep the next epoch waiting.
        let (chain, deadline) = (
            &self.edges.chain,
            self.edges.chain.clock().deadline_block(epoch.0),
        );
        let over = || async { matches!(chain.head().await, Ok(head) if head.latest > deadline) };
        let submission = self.edges.actions.submit_proof(on_chain);
        let Some(sent) = send_until(submission, over).await else {
            tracing::error!(%epoch, "the submission was not mined by the deadline");
            return Ok(());
        };
        match sent {
            Ok(transaction) => {
                metrics::counter!("storage_node_submissions_total").increment(1);
                tracing::info!(%epoch, %transaction, "submitted on chain");
                Ok(self.state.set_submission(epoch, transaction).await?)
            }
            Err(error) if error.is_revert("AlreadySubmitted") => Ok(()),
            Err(error @ ChainError::Reverted { .. }) => {
                tracing::error!(%epoch, %error, "the hub refused the proof");
                Ok(())
            }
            Err(error) => Err(error.into()),
        }
    }

    async fn close(&mut self, epoch: Epoch, outcome: Outcome) -> Result<(), DutyError> {
        let receipts = self.state.receipts(epoch).await?.len();
        let detail = match outcome {
            Outcome::NoDuty => "nothing was stored".to_owned(),
            Outcome::Void => "no beacon was recorded in time".to_owned(),
            Outcome::Timely | Outcome::Submitted => format!("{receipts} receipts"),
            Outcome::Missed => format!("{receipts} receipts by the deadline and nothing on chain"),
        };
        self.state.close_epoch(epoch, outcome, &detail).await?;
        metrics::counter!("storage_node_epochs_total", "outcome" => outcome.name()).increment(1);
        match outcome {
            Outcome::Missed => tracing::error!(%epoch, detail, "the epoch's proof was MISSING"),
            Outcome::Timely | Outcome::Submitted => {
                #[expect(clippy::cast_precision_loss, reason = "a gauge is a double")]
                metrics::gauge!("storage_node_last_proven_epoch").set(epoch.0 as f64);
                tracing::info!(%epoch, outcome = outcome.name(), detail, "the epoch's duty is done");
            }
            Outcome::NoDuty | Outcome::Void => {
                tracing::debug!(%epoch, outcome = outcome.name(), "closed")
            }
        }
        Ok(())
    }

    fn forget_before(&mut self, epoch: Epoch) {
        self.frozen.retain(|known, _| *known >= epoch);
        self.committees.retain(|known, _| *known >= epoch);
        self.beacon_at.retain(|known, _| *known >= epoch);
        self.deliveries.retain(|known, _| *known >= epoch);
    }
}
