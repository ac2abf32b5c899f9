//! Exports the evidence bundle of one verdict. Protocol: section 8.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use alloy::primitives::{B256, Bytes};
use verifier::bundle::CertificateBytes;
use verifier::bundle::{BUNDLE_TAG, Bundle, EnrolmentRecord, ProofNode, SignatureBytes};
use verifier::cbor;
use verifier::envelope::Envelope;
use verifier::evidence::Evidence;
use verifier::report::VerdictTree;
use verifier::session::{Transcript, VouchedAnswer};
use verifier::{Epoch, NodeId};

use crate::onchain::{ChainError, OnChain, Registration};
use crate::rules::Rules;
use crate::store::{EnrolmentRow, MachineRow, Store, StoreError};

/// No bundle can be exported.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// There is nothing to export.
    #[error("{0}")]
    Missing(String),
    /// The chain could not be asked for signatures.
    #[error(transparent)]
    Chain(#[from] ChainError),
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

fn missing<T>(what: impl Into<String>) -> Result<T, ExportError> {
    Err(ExportError::Missing(what.into()))
}

/// Most transactions of a kind that are remembered.
const MAX_READ: usize = 1024;

/// Exports bundles.
#[derive(Clone)]
pub struct Exporter {
    store: Store,
    rules: Rules,
    chain: Arc<dyn OnChain>,
    read: Arc<Read>,
}

impl Exporter {
    /// An exporter of this oracle's archive.
    #[must_use]
    pub fn new(store: Store, rules: Rules, chain: Arc<dyn OnChain>) -> Self {
        Self {
            store,
            rules,
            chain,
            read: Arc::default(),
        }
    }

    /// The bundle of a node's verdict in an accepted report.
    ///
    /// # Errors
    /// [`ExportError::Missing`] if this oracle lacks a part of it; another oracle may have it.
    pub async fn export(&self, node: NodeId, epoch: Epoch) -> Result<Bundle, ExportError> {
        let Some((report, _)) = self.store.accepted_report(epoch).await? else {
            return missing(format!("epoch {epoch} has no accepted report"));
        };
        let rows = self.store.judgements(epoch, report.verdict_root).await?;
        let Some(row) = rows.iter().find(|row| row.verdict.node == node) else {
            return missing(format!(
                "this oracle has no verdict of the accepted report on node {node} in epoch {epoch}"
            ));
        };
        let tree = VerdictTree::new(rows.iter().map(|row| &row.verdict));
        let Some(proof) = tree.proof(&row.verdict) else {
            return missing("the verdict is not in its tree");
        };
        let Some(proposal) = self
            .store
            .judged_proposal(epoch, report.verdict_root)
            .await?
        else {
            return missing("this oracle has no proposal with the observations");
        };
        let Some((set, _)) = self.store.oracle_set(epoch).await? else {
            return missing("the oracle set is not known");
        };
        let start = self.rules.schedule().start(epoch);
        let named = row.verdict.identity_hash;
        let Some(machine) = self.store.machine(node, named, start).await? else {
            return missing(format!("node {node}'s enrolment is not known"));
        };
        let observations: BTreeMap<_, _> = proposal
            .proposal
            .reveals
            .iter()
            .filter_map(|reveal| {
                let opened = reveal
                    .observation
                    .open(self.rules.deployment(), epoch, &set)
                    .ok()?;
                Some((opened.oracle, reveal.observation.clone()))
            })
            .collect();
        let evidence = match row.envelope_hash {
            Some(hash) => match self.piece(epoch, node, hash).await? {
                Some(evidence) => Some(evidence),
                None => return missing("the evidence is no longer in the archive"),
            },
            None => None,
        };
        let Some(reported_in) = self.store.reported_in(epoch).await? else {
            return missing("the report's transaction is not known");
        };
        let signatures = self.report_signatures(reported_in).await?;
        Ok(Bundle {
            tag: BUNDLE_TAG.into(),
            deployment: *self.rules.deployment(),
            oracle_set: set,
            report_signatures: signatures.into_iter().map(SignatureBytes).collect(),
            verdict: row.verdict.clone(),
            verdict_proof: proof.into_iter().map(ProofNode).collect(),
            identity: machine.identity,
            enrolment: self.enrolment(node, &machine).await?,
            previous: match evidence {
                Some(_) => {
                    let key = (node, machine.identity.ak_hash);
                    self.previous(key, epoch, report.anchor_block).await?
                }
                None => None,
            },
            evidence,
            observations: observations.into_values().collect(),
            report,
        })
    }

    /// The last answer that a node gave this oracle's probes in a session of an epoch, with what links it to the node's TPM.
    ///
    /// # Errors
    /// [`ExportError::Missing`] if it gave none, or enrolled elsewhere; another oracle may have one.
    pub async fn transcript(&self, node: NodeId, epoch: Epoch) -> Result<Transcript, ExportError> {
        // Who probes when must not show while it goes on; and without the epoch's bundle nobody can judge a transcript.
        if self.store.accepted_report(epoch).await?.is_none() {
            return missing(format!("epoch {epoch} has no accepted report"));
        }
        let start = self.rules.schedule().start(epoch);
        let Some(machine) = self.store.machine_in_force(node, start).await? else {
            return missing(format!("node {node}'s enrolment is not known"));
        };
        // A session is accepted in the epoch after its own as well, but that one's probes may still go on.
        let answers = self.store.answers(node, epoch).await?;
        // In the epoch of a change, the new machine answers before it counts.
        let counts = |answer: &VouchedAnswer| {
            answer.statement().is_ok_and(|said| said.epoch == epoch)
                && answer
                    .node_key_hash()
                    .is_ok_and(|key| key == machine.identity.node_key_hash)
        };
        let Some(answer) = answers.into_iter().rfind(counts) else {
            return missing(format!(
                "node {node} has answered no probe of this oracle in a session of epoch {epoch}"
            ));
        };
        let (row, _) = self.enrolled_here(node, &machine).await?;
        match row.certification {
            Some(certification) => Ok(Transcript::new(node, answer, certification)),
            None => missing("this oracle has not kept how the node key was certified"),
        }
    }

    async fn piece(
        &self,
        epoch: Epoch,
        node: NodeId,
        envelope: B256,
    ) -> Result<Option<Evidence>, StoreError> {
        let held = self.store.evidence(epoch, Some(node)).await?;
        Ok(held
            .into_iter()
            .find(|row| row.envelope_hash == envelope)
            .map(|row| row.evidence))
    }

    async fn previous(
        &self,
        key: (NodeId, B256),
        epoch: Epoch,
        anchor: verifier::BlockNumber,
    ) -> Result<Option<Envelope>, ExportError> {
        let clocks = self.store.previous_clocks(epoch, anchor).await?;
        let Some(known) = clocks.get(&key) else {
            return Ok(None);
        };
        let Some(evidence) = self.piece(known.epoch, key.0, known.envelope_hash).await? else {
            return missing("the quote before this epoch is no longer in the archive");
        };
        let envelope = cbor::decode("envelope", &evidence.envelope).map_err(StoreError::from)?;
        Ok(Some(envelope))
    }

    async fn enrolment(
        &self,
        node: NodeId,
        machine: &MachineRow,
    ) -> Result<EnrolmentRecord, ExportError> {
        let (row, registration) = self.enrolled_here(node, machine).await?;
        Ok(EnrolmentRecord {
            ek_certificate: CertificateBytes(row.ek_certificate),
            intermediates: row.intermediates,
            ek_public: row.ek_public,
            ak_public: row.ak_public,
            node_key_public: row.node_key_public,
            expiry: row.expiry,
            signatures: registration
                .signatures
                .into_iter()
                .map(SignatureBytes)
                .collect(),
            guest: row.guest,
        })
    }

    /// What a machine enrolled with at this oracle, and what it registered with.
    async fn enrolled_here(
        &self,
        node: NodeId,
        machine: &MachineRow,
    ) -> Result<(EnrolmentRow, Registration), ExportError> {
        let registration = self.registration(machine.enrolled_in).await?;
        let digest = self
            .rules
            .deployment()
            .registry_digest(&registration.enrolment);
        match self.store.enrolment(digest, &machine.identity).await? {
            Some(row) => Ok((row, registration)),
            None => missing(format!(
                "node {node} did not enrol with this oracle; ask another one"
            )),
        }
    }

    async fn registration(&self, transaction: B256) -> Result<Registration, ChainError> {
        if let Some(known) = self.read.registrations().get(&transaction) {
            return Ok(known.clone());
        }
        let found = self.chain.registration(transaction).await?;
        keep(&mut self.read.registrations(), transaction, &found);
        Ok(found)
    }

    async fn report_signatures(&self, transaction: B256) -> Result<Vec<Bytes>, ChainError> {
        if let Some(known) = self.read.reports().get(&transaction) {
            return Ok(known.clone());
        }
        let found = self.chain.report_signatures(transaction).await?;
        keep(&mut self.read.reports(), transaction, &found);
        Ok(found)
    }
}

/// What was read from final transactions: it stays as it is, and whoever asks for bundles must not use up the endpoint.
#[derive(Default)]
struct Read {
    registrations: Mutex<HashMap<B256, Registration>>,
    reports: Mutex<HashMap<B256, Vec<Bytes>>>,
}

impl Read {
    fn registrations(&self) -> MutexGuard<'_, HashMap<B256, Registration>> {
        self.registrations
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn reports(&self) -> MutexGuard<'_, HashMap<B256, Vec<Bytes>>> {
        self.reports.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn keep<T: Clone>(kept: &mut HashMap<B256, T>, transaction: B256, found: &T) {
    if kept.len() >= MAX_READ {
        kept.clear();
    }
    kept.insert(transaction, found.clone());
}

#[cfg(test)]
mod tests;
