//! Drives epochs: looks at the chain, and starts what is due. Everything started may be started again: after a restart the
//! database says what is done.

use std::collections::{BTreeMap, HashSet};
use std::future::Future;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use daemon::health::Readiness;
use daemon::shutdown::Shutdown;
use rand::Rng;
use rand::rngs::OsRng;
use tokio::task::JoinSet;
use verifier::inventory::Operation;
use verifier::session::{Anchor, SessionContext};
use verifier::{BlockNumber, DealId, Epoch, NodeId, Slot};

use crate::agreement::{Agreement, AgreementError, Led};
use crate::onchain::{ChainError, OnChain};
use crate::probe::{ProbePlan, ProbeTarget, Prober, pick};
use crate::rules::{EpochView, Rules};
use crate::store::{Store, StoreError};
use crate::watcher::{WatchError, Watcher};

/// Pause between two attempts at the same thing.
const PAUSE: Duration = Duration::from_secs(2);
/// Blocks over which oracles spread the recording of a beacon.
const BEACON_SPREAD: u64 = 2;

/// What runs for an epoch at most once at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Job {
    Beacon,
    Announce,
    Lead,
    Submit,
    Conclude,
    Forget,
}

/// Which jobs run, and when each was last started.
#[derive(Clone, Default)]
struct Jobs {
    running: Arc<Mutex<HashSet<(Epoch, Job)>>>,
}

impl Jobs {
    fn begin(&self, key: (Epoch, Job)) -> bool {
        self.running
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(key)
    }

    fn end(&self, key: (Epoch, Job)) {
        self.running
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&key);
    }
}

/// Everything [`Driver`] is built on.
pub struct DriverParts {
    /// The database.
    pub store: Store,
    /// The rules.
    pub rules: Rules,
    /// The chain.
    pub chain: Arc<dyn OnChain>,
    /// The committee.
    pub agreement: Arc<Agreement>,
    /// The prober.
    pub prober: Arc<dyn Prober>,
    /// Probes of each node in an epoch.
    pub probes_per_epoch: usize,
    /// How often the chain is looked at.
    pub poll: Duration,
    /// What of this oracle works.
    pub readiness: Readiness,
}

/// Drives this oracle's epochs.
pub struct Driver {
    parts: DriverParts,
    watcher: Watcher,
    jobs: Jobs,
    tasks: JoinSet<()>,
    beacon_delay: BTreeMap<Epoch, u64>,
    plans: BTreeMap<Epoch, BTreeMap<NodeId, ProbePlan>>,
    /// What sessions are judged by in an epoch.
    anchors: BTreeMap<Epoch, Vec<Anchor>>,
    announced: Arc<Mutex<HashSet<Epoch>>>,
    last_started: BTreeMap<(Epoch, u8), Instant>,
    concluded: Arc<Mutex<HashSet<Epoch>>>,
    forgotten: Option<Epoch>,
    /// Epoch in which the policies to come were last looked for.
    policies_checked: Option<Epoch>,
}

/// A look at the chain failed.
#[derive(Debug, thiserror::Error)]
enum TickError {
    #[error(transparent)]
    Watch(#[from] WatchError),
    #[error(transparent)]
    Chain(#[from] ChainError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Driver {
    /// A driver that goes on where the database ends.
    #[must_use]
    pub fn new(parts: DriverParts) -> Self {
        let watcher = Watcher::new(
            parts.store.clone(),
            parts.chain.clone(),
            *parts.rules.profile(),
        );
        Self {
            parts,
            watcher,
            jobs: Jobs::default(),
            tasks: JoinSet::new(),
            beacon_delay: BTreeMap::new(),
            plans: BTreeMap::new(),
            anchors: BTreeMap::new(),
            announced: Arc::default(),
            last_started: BTreeMap::new(),
            concluded: Arc::default(),
            forgotten: None,
            policies_checked: None,
        }
    }

    /// Runs until the shutdown signal.
    pub async fn run(mut self, shutdown: Shutdown) {
        let mut last_error = String::new();
        while !shutdown.is_triggered() {
            match shutdown.or(self.tick()).await {
                None => break,
                Some(Ok(())) => {
                    self.parts.readiness.set_ready("chain");
                    last_error.clear();
                }
                Some(Err(error)) => {
                    let text = error.to_string();
                    // The same trouble every 300 ms is one line.
                    if text != last_error {
                        tracing::error!(error = %text, "cannot follow the chain; nothing is lost, trying again");
                    }
                    self.parts.readiness.set_not_ready("chain", text.clone());
                    last_error = text;
                }
            }
            while self.tasks.try_join_next().is_some() {}
            if !shutdown.sleep(self.parts.poll).await {
                break;
            }
        }
        // What was under way is on disk as far as it came.
        self.tasks.shutdown().await;
    }

    async fn tick(&mut self) -> Result<(), TickError> {
        while self.watcher.step().await? {}
        let head = self.parts.chain.head().await?;
        let schedule = self.parts.rules.schedule();
        self.parts.agreement.intake().heads().saw(head);
        let Some(current) = schedule.epoch_of(head) else {
            return Ok(());
        };
        metrics::gauge!("probity_oracle_head_block").set(head.0 as f64);
        metrics::gauge!("probity_oracle_epoch").set(current.0 as f64);
        if self.policies_checked != Some(current) {
            self.check_policies().await?;
            self.policies_checked = Some(current);
        }
        let first = current.0.saturating_sub(schedule.report_window);
        for epoch in (first..=current.0).map(Epoch) {
            self.advance(epoch, current, head).await?;
        }
        self.tidy(current);
        Ok(())
    }

    /// Once an epoch, so that an announced policy does not come into force unnoticed.
    async fn check_policies(&self) -> Result<(), TickError> {
        let announced = self.parts.store.latest_policy().await?;
        let missing = announced.filter(|(_, hash)| self.parts.rules.policy(*hash).is_err());
        metrics::gauge!("probity_oracle_policy_missing").set(f64::from(missing.is_some()));
        if let Some((from_epoch, hash)) = missing {
            tracing::warn!(%from_epoch, policy = %hash, "this policy is not among the `policies` on file: without it this oracle abstains from that epoch on");
        }
        Ok(())
    }

    async fn advance(
        &mut self,
        epoch: Epoch,
        current: Epoch,
        head: BlockNumber,
    ) -> Result<(), TickError> {
        let view = match EpochView::load(&self.parts.store, &self.parts.rules, epoch).await? {
            Some(view) => view,
            None => {
                if epoch == current {
                    self.beacon(epoch, head).await?;
                }
                return Ok(());
            }
        };
        if view.work.is_empty() || view.set.index_of(self.parts.agreement.address()).is_none() {
            return Ok(());
        }
        if epoch == current {
            self.probe(&view, head).await?;
        }
        if let Some((_, block)) = self.parts.store.accepted_report(epoch).await? {
            self.conclude(epoch, block);
            return Ok(());
        }
        let followed = self.parts.store.followed().await?.map(|block| block.number);
        let Some(followed) = followed.filter(|block| *block >= view.last) else {
            return Ok(());
        };
        self.announce(epoch);
        self.lead(&view, followed);
        self.submit(epoch, head).await?;
        Ok(())
    }

    /// Runs a job unless it is running, and not again before a pause.
    fn start(&mut self, epoch: Epoch, job: Job, work: impl Future<Output = ()> + Send + 'static) {
        let last = self.last_started.get(&(epoch, job as u8));
        if last.is_some_and(|last| last.elapsed() < PAUSE) || !self.jobs.begin((epoch, job)) {
            return;
        }
        self.last_started.insert((epoch, job as u8), Instant::now());
        let jobs = self.jobs.clone();
        self.tasks.spawn(async move {
            work.await;
            jobs.end((epoch, job));
        });
    }

    /// Records the beacon if nobody has, after a delay that differs between oracles.
    async fn beacon(&mut self, epoch: Epoch, head: BlockNumber) -> Result<(), TickError> {
        let schedule = self.parts.rules.schedule();
        let start = schedule.start(epoch);
        let delay = *self
            .beacon_delay
            .entry(epoch)
            .or_insert_with(|| OsRng.gen_range(0..=BEACON_SPREAD));
        // One block later than could do: endpoints simulate in the latest block, not in the next.
        let open = start.0.saturating_add(1 + delay)..start.0.saturating_add(schedule.fallback);
        if !open.contains(&head.0) || self.parts.chain.beacon(epoch).await?.is_some() {
            return Ok(());
        }
        let chain = self.parts.chain.clone();
        self.start(epoch, Job::Beacon, async move {
            match chain.record_beacon(epoch).await {
                Ok(()) => tracing::info!(%epoch, "recorded the beacon"),
                Err(error) => tracing::debug!(%epoch, %error, "the beacon was not recorded"),
            }
        });
        Ok(())
    }

    /// Starts the probes that are due.
    async fn probe(&mut self, view: &EpochView, head: BlockNumber) -> Result<(), TickError> {
        let epoch = view.epoch;
        let per_epoch = self.parts.probes_per_epoch;
        let start = self.parts.rules.schedule().start(epoch);
        // Before anything is taken out of the plan: a failure here costs no probe.
        let sessions = self.session_context(epoch).await?;
        let plans = self.plans.entry(epoch).or_insert_with(|| {
            // From now on: the beacon is a few blocks old when it is final, and a restart has lost the plan before.
            // Until its last block but one, for the answer takes time: a node that serves only until its evidence is in
            // would be found out.
            let (from, to) = (
                BlockNumber(head.0 + 1),
                BlockNumber(view.last.0.saturating_sub(1)),
            );
            let draw = |node| (node, ProbePlan::draw(&mut OsRng, per_epoch, from, to));
            view.work.iter().map(|item| draw(item.duty.node)).collect()
        });
        let due: Vec<(NodeId, usize)> = plans
            .iter_mut()
            .map(|(node, plan)| (*node, plan.due(head)))
            .filter(|(_, count)| *count > 0)
            .collect();
        for (node, count) in due {
            let Some(item) = view.item(node) else {
                continue;
            };
            let slots = held_slots(&self.parts.store, node, start).await?;
            // Sessions are of the machine that serves now, which may be in force for evidence only from the next epoch on.
            let latest = self.parts.store.node(node).await?;
            let identity = latest.map_or(item.duty.identity, |row| row.identity);
            let node_key_hash = identity.node_key_hash;
            for _ in 0..count {
                let Some((shard, first_leaf, leaves)) = pick(&mut OsRng, &slots) else {
                    continue;
                };
                let Some(transport_root) = self.parts.store.transport_root(shard).await? else {
                    continue;
                };
                let endpoint = item.endpoint.clone();
                let target = ProbeTarget {
                    epoch,
                    node,
                    endpoint,
                    shard,
                    transport_root,
                    node_key_hash,
                    sessions: sessions.clone(),
                    first_leaf,
                    leaves,
                };
                let (prober, store) = (self.parts.prober.clone(), self.parts.store.clone());
                self.tasks.spawn(async move {
                    let mut record = prober.probe(&target).await;
                    record.block = head;
                    metrics::counter!("probity_oracle_probes_total", "outcome" => format!("{:?}", record.outcome))
                        .increment(1);
                    if let Err(error) = store.keep_probe(&record).await {
                        tracing::error!(%error, "the record of a probe was not kept");
                    }
                });
            }
        }
        Ok(())
    }

    /// By what sessions are judged that nodes answer with in an epoch: its first block, which is final, and the one of the epoch
    /// before.
    async fn session_context(&mut self, epoch: Epoch) -> Result<SessionContext, ChainError> {
        let deployment = self.parts.rules.deployment();
        let (chain_id, hub) = (deployment.chain_id, deployment.hub);
        if let Some(anchors) = self.anchors.get(&epoch) {
            return Ok(SessionContext {
                chain_id,
                hub,
                anchors: anchors.clone(),
            });
        }
        let mut anchors = Vec::new();
        for epoch in (epoch.0.saturating_sub(1)..=epoch.0).map(Epoch) {
            let first = self.parts.rules.schedule().start(epoch);
            let hash = self.parts.chain.block_hash(first).await?.ok_or_else(|| {
                ChainError::Unavailable(format!("the endpoint has no block {first}"))
            })?;
            anchors.push(Anchor { epoch, hash });
        }
        self.anchors.insert(epoch, anchors.clone());
        Ok(SessionContext {
            chain_id,
            hub,
            anchors,
        })
    }

    fn announce(&mut self, epoch: Epoch) {
        if self
            .announced
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .contains(&epoch)
        {
            return;
        }
        let (agreement, announced) = (self.parts.agreement.clone(), self.announced.clone());
        self.start(epoch, Job::Announce, async move {
            match agreement.announce(epoch).await {
                Ok(true) => {
                    announced
                        .lock()
                        .unwrap_or_else(PoisonError::into_inner)
                        .insert(epoch);
                }
                Ok(false) => {}
                Err(error) => tracing::warn!(%epoch, %error, "could not commit to an observation"),
            }
        });
    }

    fn lead(&mut self, view: &EpochView, followed: BlockNumber) {
        let epoch = view.epoch;
        let end = self.parts.rules.schedule().end(epoch);
        let round = self.parts.agreement.timing().view_at(end, followed);
        if view.leader(round) != self.parts.agreement.address() {
            return;
        }
        let (agreement, store) = (self.parts.agreement.clone(), self.parts.store.clone());
        let chain = self.parts.chain.clone();
        self.start(epoch, Job::Lead, async move {
            // Reported, and the report not final yet: nothing is left to agree on.
            if chain.is_reported(epoch).await.unwrap_or(false) {
                return;
            }
            match store.agreed_report(epoch).await {
                Ok(Some((report, ..))) if report.view == round => return,
                Ok(_) => {}
                Err(error) => {
                    tracing::error!(%error, "the database failed");
                    return;
                }
            }
            match agreement.lead(epoch, round).await {
                Ok(Led::Agreed(_)) => {}
                Ok(Led::Short(why)) => {
                    tracing::warn!(%epoch, view = round, %why, "no agreement in this view yet")
                }
                Err(AgreementError::NotReady(why)) => {
                    tracing::debug!(%epoch, %why, "cannot lead yet")
                }
                Err(error) => tracing::warn!(%epoch, view = round, %error, "could not lead"),
            }
        });
    }

    async fn submit(&mut self, epoch: Epoch, head: BlockNumber) -> Result<(), TickError> {
        if head < self.parts.rules.schedule().end(epoch) {
            return Ok(());
        }
        let Some((report, bitmap, signatures)) = self.parts.store.agreed_report(epoch).await?
        else {
            return Ok(());
        };
        let chain = self.parts.chain.clone();
        self.start(epoch, Job::Submit, async move {
            if chain.is_reported(epoch).await.unwrap_or(true) {
                return;
            }
            match chain.submit_report(&report, bitmap, signatures).await {
                Ok(()) => tracing::info!(%epoch, view = report.view, "submitted the report"),
                Err(error) => tracing::warn!(%epoch, %error, "the report was not accepted"),
            }
        });
        Ok(())
    }

    fn conclude(&mut self, epoch: Epoch, block: BlockNumber) {
        if self
            .concluded
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .contains(&epoch)
        {
            return;
        }
        let (agreement, concluded) = (self.parts.agreement.clone(), self.concluded.clone());
        self.start(epoch, Job::Conclude, async move {
            match agreement.conclude(block).await {
                Ok(true) => {
                    concluded
                        .lock()
                        .unwrap_or_else(PoisonError::into_inner)
                        .insert(epoch);
                }
                // Peers may have it later.
                Ok(false) => {}
                Err(error) => tracing::warn!(%epoch, %error, "a report is not concluded yet"),
            }
        });
    }

    /// Forgets plans of past epochs, and the archive before the last two eras: a quote is compared with the one before it.
    fn tidy(&mut self, current: Epoch) {
        let schedule = self.parts.rules.schedule();
        let recent = Epoch(current.0.saturating_sub(schedule.report_window + 1));
        self.plans.retain(|epoch, _| *epoch >= recent);
        self.anchors.retain(|epoch, _| *epoch >= recent);
        self.beacon_delay.retain(|epoch, _| *epoch >= recent);
        self.concluded
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .retain(|epoch| *epoch >= recent);
        self.last_started.retain(|(epoch, _), _| *epoch >= recent);
        self.announced
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .retain(|epoch| *epoch >= recent);
        let kept_from = Epoch(
            current
                .0
                .saturating_sub(schedule.era_epochs.saturating_mul(2)),
        );
        if kept_from.0 == 0 || self.forgotten == Some(kept_from) {
            return;
        }
        self.forgotten = Some(kept_from);
        let store = self.parts.store.clone();
        self.start(kept_from, Job::Forget, async move {
            if let Err(error) = store.forget_before(kept_from).await {
                tracing::warn!(%error, "the archive was not trimmed");
            }
        });
    }
}

/// Slots a node held when an epoch began, with their stripes.
async fn held_slots(
    store: &Store,
    node: NodeId,
    start: BlockNumber,
) -> Result<Vec<(DealId, Slot, u32)>, StoreError> {
    let mut held = BTreeMap::new();
    for entry in store.inventory_log_before(node, start).await? {
        match entry.operation {
            Operation::Accept => held.insert((entry.deal, entry.slot), entry.stripes),
            Operation::Drop => held.remove(&(entry.deal, entry.slot)),
        };
    }
    Ok(held
        .into_iter()
        .map(|((deal, slot), stripes)| (deal, slot, stripes))
        .collect())
}

#[cfg(test)]
mod tests;
