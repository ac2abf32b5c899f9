//! One epoch's agreement: commit, reveal, propose, sign.
//!
//! Every oracle runs the same machine. What it signs or reveals is in the database before it leaves, so that a restart
//! cannot make it say two things. Proof and attestation are never voted: whoever signs has judged the evidence itself.
//! Protocol: section 6.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use alloy::primitives::{Address, B256, Bytes};
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use verifier::committee::{CommitteeError, Observation};
use verifier::envelope::Envelope;
use verifier::evidence::{Evidence, SignedReceipt};
use verifier::report::{Report, ReportFrame};
use verifier::{BlockNumber, Epoch, NodeId};

use crate::intake::Intake;
use crate::key::{OracleKey, SigningError};
use crate::notices::{NoticeError, Notices};
use crate::onchain::{BlockRef, ChainError, OnChain, OracleMember};
use crate::peers::{Links, Peer, PeerError};
use crate::rules::{EpochView, Rules, UnknownPolicy};
use crate::store::{Store, StoreError};
use crate::verdicts::{NodeCase, NodeVerdict, VerdictSource};

use self::conclude::Attempts;

/// How long slower oracles may still answer once a quorum has.
const GRACE: Duration = Duration::from_millis(700);
/// Most answers taken from one peer when fetching an epoch's evidence.
const MAX_PAGES: usize = 256;

mod commit;
mod conclude;
mod follow;
mod lead;

pub use lead::Led;

#[cfg(test)]
mod tests;

/// Why this oracle does not do what a peer, or its own schedule, asks.
#[derive(Debug, thiserror::Error)]
pub enum AgreementError {
    /// It has not come that far; the same may work later.
    #[error("not ready: {0}")]
    NotReady(String),
    /// The rules forbid it.
    #[error("{0}")]
    Refused(String),
    /// A message breaks a rule of the committee.
    #[error(transparent)]
    Committee(#[from] CommitteeError),
    /// The epoch's policy is not on file here.
    #[error(transparent)]
    UnknownPolicy(#[from] UnknownPolicy),
    /// Bytes that are not canonical.
    #[error(transparent)]
    Malformed(#[from] verifier::cbor::Malformed),
    /// The chain could not be asked.
    #[error(transparent)]
    Chain(#[from] ChainError),
    /// The database failed, or holds a signature that forbids another.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The key failed.
    #[error(transparent)]
    Signing(#[from] SigningError),
    /// This oracle's own notices cannot be read.
    #[error(transparent)]
    Notices(#[from] NoticeError),
    /// A judgement did not come to its end.
    #[error("judging was interrupted: {0}")]
    Interrupted(String),
}

/// An oracle's own view of what it saw, before it commits to it. The one real implementation says what was seen.
pub trait Observer: Send + Sync + 'static {
    /// Takes the draft made from probes and evidence; returns what is committed to.
    fn observe(&self, draft: Observation) -> Observation;
}

/// Says what was seen.
#[derive(Clone, Copy, Debug, Default)]
pub struct Honest;

impl Observer for Honest {
    fn observe(&self, draft: Observation) -> Observation {
        draft
    }
}

/// How long things may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// How long a leader waits for the commitments of all, once it has its own.
    pub commit_wait: Duration,
    /// How long a leader waits for a reveal, and for an answer to its proposal.
    pub answer_wait: Duration,
    /// How long a follower waits for its own view of the chain to reach the anchor.
    pub anchor_wait: Duration,
    /// Final blocks after an epoch's end until the leader of the next view takes over, and again for each view. Final ones, for
    /// nobody can lead before the epoch's last block is final, however long a chain takes for that.
    pub view_blocks: u64,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            commit_wait: Duration::from_secs(3),
            answer_wait: Duration::from_secs(8),
            anchor_wait: Duration::from_secs(4),
            view_blocks: 6,
        }
    }
}

impl Timing {
    /// The view an epoch is in when the chain is final up to `final_block`: the number of timeouts since the epoch's end.
    #[must_use]
    pub fn view_at(&self, end: BlockNumber, final_block: BlockNumber) -> u32 {
        let views = final_block.0.saturating_sub(end.0) / self.view_blocks.max(1);
        u32::try_from(views).unwrap_or(u32::MAX)
    }
}

/// Everything [`Agreement`] is built on.
pub struct Parts {
    /// The database.
    pub store: Store,
    /// The rules of the deployment.
    pub rules: Rules,
    /// The chain.
    pub chain: Arc<dyn OnChain>,
    /// This oracle's key.
    pub key: OracleKey,
    /// The way to the other oracles.
    pub links: Arc<dyn Links>,
    /// What it says it saw.
    pub observer: Arc<dyn Observer>,
    /// How it judges.
    pub verdicts: Arc<dyn VerdictSource>,
    /// How long things may take.
    pub timing: Timing,
}

/// One oracle's part in the committee.
pub struct Agreement {
    store: Store,
    rules: Rules,
    chain: Arc<dyn OnChain>,
    key: OracleKey,
    links: Arc<dyn Links>,
    observer: Arc<dyn Observer>,
    verdicts: Arc<dyn VerdictSource>,
    timing: Timing,
    intake: Arc<Intake>,
    notices: Notices,
    /// One observation at a time: committing and leading may both ask for it first.
    observing: tokio::sync::Mutex<()>,
    /// One conclusion at a time: each builds on the clocks of the one before. Holds which were tried without success.
    concluding: tokio::sync::Mutex<Attempts>,
    /// Views whose proposal is being judged: one at a time each, for judging costs.
    judging: Mutex<BTreeSet<(Epoch, u32)>>,
}

impl Agreement {
    /// An oracle's part, with the intake it gathers evidence through.
    #[must_use]
    pub fn new(parts: Parts) -> Self {
        let Parts {
            store,
            rules,
            chain,
            key,
            links,
            observer,
            verdicts,
            timing,
        } = parts;
        let intake = Arc::new(Intake::new(
            store.clone(),
            rules.clone(),
            chain.clone(),
            key.clone(),
        ));
        let notices = Notices::new(store.clone(), *rules.deployment(), key.address());
        Self {
            store,
            rules,
            chain,
            key,
            links,
            observer,
            verdicts,
            timing,
            intake,
            notices,
            observing: tokio::sync::Mutex::default(),
            concluding: tokio::sync::Mutex::default(),
            judging: Mutex::default(),
        }
    }

    /// The intake.
    #[must_use]
    pub fn intake(&self) -> &Arc<Intake> {
        &self.intake
    }

    /// Timing of this oracle.
    #[must_use]
    pub fn timing(&self) -> Timing {
        self.timing
    }

    /// This oracle's address.
    #[must_use]
    pub fn address(&self) -> Address {
        self.key.address()
    }

    /// The view an epoch is in now, by the final blocks this oracle has followed.
    ///
    /// # Errors
    /// [`AgreementError::NotReady`] if it has followed none.
    pub async fn view_now(&self, epoch: Epoch) -> Result<u32, AgreementError> {
        let followed = self.followed().await?.number;
        let end = self.rules.schedule().end(epoch);
        Ok(self.timing.view_at(end, followed))
    }

    async fn epoch(&self, epoch: Epoch) -> Result<EpochView, AgreementError> {
        EpochView::load(&self.store, &self.rules, epoch)
            .await?
            .ok_or_else(|| {
                AgreementError::NotReady(format!(
                    "beacon or first block of epoch {epoch} is not final here"
                ))
            })
    }

    /// The final block this oracle has followed to.
    async fn followed(&self) -> Result<BlockRef, AgreementError> {
        self.store
            .followed()
            .await?
            .ok_or_else(|| AgreementError::NotReady("no final block has been followed yet".into()))
    }

    fn peers(&self, view: &EpochView) -> Vec<(Address, Arc<dyn Peer>)> {
        view.members
            .iter()
            .filter(|member| member.account != self.key.address())
            .map(|member| (member.account, self.links.peer(member)))
            .collect()
    }

    fn peer(&self, view: &EpochView, account: Address) -> Option<Arc<dyn Peer>> {
        view.members
            .iter()
            .find(|member| member.account == account)
            .map(|member: &OracleMember| self.links.peer(member))
    }

    /// Fetches what the other oracles hold for an epoch and merges it, with what nodes submitted on chain.
    ///
    /// # Errors
    /// [`AgreementError`] if this oracle's own parts fail; a peer that does not answer is passed over.
    pub async fn gather(&self, view: &EpochView) -> Result<(), AgreementError> {
        let patience = self.timing.answer_wait * 4;
        let mut answers: FuturesUnordered<_> = self
            .peers(view)
            .into_iter()
            .map(|(account, peer)| async move {
                let fetched = tokio::time::timeout(patience, self.fetch(view, &*peer)).await;
                (account, fetched)
            })
            .collect();
        // A peer that stalls must not delay what a quorum can do without it.
        let (mut answered, mut until) = (1, None);
        while let Some((account, answer)) = next_until(&mut answers, until).await {
            match answer {
                Ok(Ok(_)) => answered += 1,
                Ok(Err(error)) => {
                    tracing::debug!(peer = %account, %error, epoch = %view.epoch, "no evidence from a peer")
                }
                Err(_) => {
                    tracing::debug!(peer = %account, epoch = %view.epoch, "a peer did not answer in time")
                }
            }
            if answered >= view.set.quorum() && until.is_none() {
                until = Some(Instant::now() + GRACE);
            }
        }
        self.intake.merge_submissions(view).await?;
        Ok(())
    }

    /// Fetches all a peer holds for an epoch, answer after answer, and merges it; returns what that was.
    async fn fetch(&self, view: &EpochView, peer: &dyn Peer) -> Result<Held, PeerError> {
        let mut held = Held::default();
        let mut after = None;
        for _ in 0..MAX_PAGES {
            let asked = peer.evidence(view.epoch, after);
            let page = tokio::time::timeout(self.timing.answer_wait, asked)
                .await
                .map_err(|_| PeerError::Unreachable("no answer in time".into()))??;
            let Some(last) = held.note(&page.items) else {
                break;
            };
            self.merge_items(view, page.items).await;
            if !page.more {
                break;
            }
            after = Some(last);
        }
        Ok(held)
    }

    async fn merge_items(&self, view: &EpochView, items: Vec<(NodeId, Evidence)>) {
        for (node, evidence) in items {
            if let Err(error) = self.intake.merge(view, node, &evidence).await {
                tracing::debug!(%node, epoch = %view.epoch, %error, "evidence from a peer is not kept");
            }
        }
    }

    /// Every node's case as of an anchor: the same on every oracle that holds the same evidence.
    async fn cases(
        &self,
        view: &EpochView,
        anchor: BlockNumber,
    ) -> Result<Vec<NodeCase>, AgreementError> {
        let clocks = self.store.previous_clocks(view.epoch, anchor).await?;
        let mut evidence: BTreeMap<NodeId, Vec<Evidence>> = BTreeMap::new();
        for row in self.store.evidence(view.epoch, None).await? {
            evidence.entry(row.node).or_default().push(row.evidence);
        }
        let mut cases = Vec::with_capacity(view.work.len());
        for item in &view.work {
            let node = item.duty.node;
            cases.push(NodeCase {
                duty: item.duty.clone(),
                previous: clocks
                    .get(&(node, item.duty.identity.ak_hash))
                    .map(|known| known.clock),
                evidence: evidence.remove(&node).unwrap_or_default(),
                submission: self.store.submission(view.epoch, node).await?,
                inventory_mismatch: item.inventory_mismatch,
            });
        }
        Ok(cases)
    }

    fn report(
        &self,
        view: &EpochView,
        round: u32,
        anchor: BlockRef,
        judged: &[NodeVerdict],
    ) -> Report {
        let verdicts: Vec<_> = judged.iter().map(|it| it.verdict.clone()).collect();
        let frame = ReportFrame {
            epoch: view.epoch,
            view: round,
            beacon: view.beacon,
            set_version: view.set.version,
            policy_hash: view.policy_hash,
            anchor_block: anchor.number,
            anchor_hash: anchor.hash,
        };
        Report::from_verdicts(frame, &verdicts)
    }

    fn report_digest(&self, report: &Report) -> B256 {
        self.rules.deployment().hub_digest(&report.typed_data())
    }

    /// Signs a report, unless another one was signed in its view. On disk before it is returned.
    async fn sign_report(&self, report: &Report) -> Result<Bytes, AgreementError> {
        let signature = self.key.sign(&self.report_digest(report))?;
        Ok(self.store.keep_signed_report(report, &signature).await?)
    }
}

/// The next answer, unless the time is over first.
async fn next_until<F: Future>(
    answers: &mut FuturesUnordered<F>,
    until: Option<Instant>,
) -> Option<F::Output> {
    match until {
        Some(until) => tokio::time::timeout_at(until.into(), answers.next())
            .await
            .ok()
            .flatten(),
        None => answers.next().await,
    }
}

/// What a peer holds for an epoch: pieces by name, with the signatures of their receipts.
#[derive(Debug, Default)]
struct Held(BTreeMap<(NodeId, B256), HeldPiece>);

#[derive(Debug, Default)]
struct HeldPiece {
    receipts: BTreeSet<Bytes>,
    event_log: bool,
}

impl Held {
    /// Adds pieces; returns the name of the last if every one of them has a name and any is new.
    fn note(&mut self, items: &[(NodeId, Evidence)]) -> Option<(NodeId, B256)> {
        let before = self.0.len();
        let mut last = None;
        for (node, evidence) in items {
            let envelope: Envelope = verifier::cbor::decode("envelope", &evidence.envelope).ok()?;
            let name = (*node, envelope.hash());
            let receipts = evidence.receipts.iter().map(|it| it.signature.clone());
            let piece = self.0.entry(name).or_default();
            piece.receipts.extend(receipts);
            piece.event_log |= !evidence.event_log.is_empty();
            last = Some(name);
        }
        last.filter(|_| self.0.len() > before)
    }

    /// Whether it holds a piece with all these receipts, and with its event log if it has one here.
    fn has(&self, node: NodeId, envelope: B256, evidence: &Evidence) -> bool {
        self.0.get(&(node, envelope)).is_some_and(|known| {
            let has = |it: &SignedReceipt| known.receipts.contains(&it.signature);
            evidence.receipts.iter().all(has) && (known.event_log || evidence.event_log.is_empty())
        })
    }
}

fn verdict_root(judged: &[NodeVerdict]) -> B256 {
    verifier::report::VerdictTree::new(judged.iter().map(|it| &it.verdict)).root()
}
