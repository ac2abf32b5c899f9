//! What accepted reports leave behind for later epochs: the clocks that the nodes' next quotes are compared with.
//!
//! A clock counts if an accepted report rests on the envelope that shows it, so it must be the same on every oracle. Who signed
//! the report has judged it; who did not fetches evidence and observations from peers, judges, and takes the clocks only if its
//! verdicts hash to the report's root. Until then a node's previous clock is not known here, and nothing is proposed or signed
//! that hangs on it.

use std::collections::{BTreeMap, BTreeSet};

use alloy::primitives::B256;
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use verifier::committee::{Observations, SignedProposal};
use verifier::evidence::Duty;
use verifier::report::Report;
use verifier::{BlockNumber, Epoch, NodeId};

use super::{Agreement, AgreementError, verdict_root};
use crate::peers::Peer;
use crate::rules::EpochView;
use crate::verdicts::NodeVerdict;

/// Reports without a conclusion that are looked back at, one by one, for what a node quoted last.
const MAX_LOOKED_BACK: u32 = 64;
/// Pause after repeated failures to conclude a report, at most 2 to the power of this many blocks.
const MAX_PAUSE_BITS: u32 = 6;

/// Reports that could not be concluded: how often it was tried, and from which block on it is tried again.
#[derive(Debug, Default)]
pub(super) struct Attempts(BTreeMap<Epoch, (u32, BlockNumber)>);

impl Attempts {
    /// Whether to try now; if so, the next try waits longer.
    fn begin(&mut self, epoch: Epoch, now: BlockNumber) -> bool {
        let (tries, from) = self.0.entry(epoch).or_default();
        if now < *from {
            return false;
        }
        *from = BlockNumber(now.0.saturating_add(1 << (*tries).min(MAX_PAUSE_BITS)));
        *tries = tries.saturating_add(1);
        true
    }
}

impl Agreement {
    /// Judges an epoch as of an anchor, for a report.
    ///
    /// # Errors
    /// [`AgreementError::NotReady`] if a verdict hangs on a clock that is not known here.
    pub(super) async fn judge(
        &self,
        view: &EpochView,
        anchor: BlockNumber,
        observations: Observations,
    ) -> Result<Vec<NodeVerdict>, AgreementError> {
        // A peer waits for the answer: what takes longer goes on in the background.
        match tokio::time::timeout(self.timing.answer_wait, self.conclude(anchor)).await {
            Ok(concluded) => drop(concluded?),
            Err(_) => tracing::debug!(epoch = %view.epoch, "earlier reports are not concluded yet"),
        }
        // Asked first: what is concluded while judging makes it too long, never too short.
        let unknown = self.unknown_clocks(view, anchor).await?;
        let judged = self.judge_as_known(view, anchor, observations).await?;
        let hanging = judged
            .iter()
            .find(|it| hangs_on_clock(it) && unknown.contains(&it.verdict.node));
        if let Some(NodeVerdict { verdict, .. }) = hanging {
            return Err(AgreementError::NotReady(format!(
                "could not check whether the clock of node {} ran backwards: an accepted report before epoch {} is not concluded here",
                verdict.node, view.epoch
            )));
        }
        Ok(judged)
    }

    /// Judges an epoch with the clocks that are known: enough for an observation, which is never voted on.
    pub(super) async fn judge_as_known(
        &self,
        view: &EpochView,
        anchor: BlockNumber,
        observations: Observations,
    ) -> Result<Vec<NodeVerdict>, AgreementError> {
        let cases = self.cases(view, anchor).await?;
        let (view, rules, verdicts) = (view.clone(), self.rules.clone(), self.verdicts.clone());
        // Pairings take milliseconds each: not on a thread that serves others.
        tokio::task::spawn_blocking(move || {
            Ok(verdicts.verdicts(&view.context(&rules)?, &cases, &observations))
        })
        .await
        .map_err(|error| AgreementError::Interrupted(error.to_string()))?
    }

    /// Keeps what reports accepted up to a block leave behind; true if nothing is left to do. What peers do not give yet may be
    /// tried again, a few blocks later.
    ///
    /// # Errors
    /// [`AgreementError`].
    pub async fn conclude(&self, up_to: BlockNumber) -> Result<bool, AgreementError> {
        let mut attempts = self.concluding.lock().await;
        let followed = self.followed().await?.number;
        let kept_from = self.kept_from(followed);
        attempts.0.retain(|epoch, _| *epoch >= kept_from);
        let mut all = true;
        for report in self.store.unconcluded(kept_from, up_to).await? {
            let epoch = report.epoch;
            if self.conclude_judged(&report).await? {
                attempts.0.remove(&epoch);
                continue;
            }
            if attempts.begin(epoch, followed) {
                match self.catch_up(&report).await {
                    Ok(true) => {
                        attempts.0.remove(&epoch);
                        continue;
                    }
                    Ok(false) => {
                        tracing::warn!(%epoch, "a report this oracle did not sign cannot be repeated from what its peers give");
                    }
                    Err(error) => {
                        tracing::warn!(%epoch, %error, "a report this oracle did not sign is not concluded yet");
                    }
                }
            }
            all = false;
        }
        Ok(all)
    }

    /// Concludes reports that this oracle came to itself; asks nobody.
    pub(super) async fn conclude_own(&self, up_to: BlockNumber) -> Result<(), AgreementError> {
        let kept_from = self.kept_from(self.followed().await?.number);
        for report in self.store.unconcluded(kept_from, up_to).await? {
            self.conclude_judged(&report).await?;
        }
        Ok(())
    }

    /// The first epoch of which peers still have the evidence.
    fn kept_from(&self, followed: BlockNumber) -> Epoch {
        let schedule = self.rules.schedule();
        let current = schedule.epoch_of(followed).unwrap_or_default();
        let kept = schedule.era_epochs.saturating_mul(2);
        Epoch(current.0.saturating_sub(kept))
    }

    /// Concludes a report whose verdicts this oracle came to; false if it did not.
    async fn conclude_judged(&self, report: &Report) -> Result<bool, AgreementError> {
        let (epoch, root) = (report.epoch, report.verdict_root);
        let judged =
            report.leaf_count == 0 || !self.store.judgements(epoch, root).await?.is_empty();
        if judged {
            self.keep_clocks(epoch, root).await?;
        }
        Ok(judged)
    }

    async fn keep_clocks(&self, epoch: Epoch, root: B256) -> Result<(), AgreementError> {
        let start = self.rules.schedule().start(epoch);
        Ok(self.store.conclude(epoch, start, root).await?)
    }

    /// Repeats a report that this oracle did not sign, with what peers hold; false if nothing they give leads to its root.
    async fn catch_up(&self, report: &Report) -> Result<bool, AgreementError> {
        let (epoch, root) = (report.epoch, report.verdict_root);
        let view = self.epoch(epoch).await?;
        self.gather(&view).await?;
        let mut answers: FuturesUnordered<_> = self
            .peers(&view)
            .into_iter()
            .map(|(account, peer)| {
                let view = &view;
                async move { (account, self.observations_of(view, report, &*peer).await) }
            })
            .collect();
        let mut tried = Vec::new();
        while let Some((account, observations)) = answers.next().await {
            let Some(observations) = observations.filter(|it| !tried.contains(it)) else {
                continue;
            };
            let judged = self
                .judge_as_known(&view, report.anchor_block, observations.clone())
                .await?;
            // The root says it all: other evidence, another clock or other figures would have given another one.
            if verdict_root(&judged) == root {
                self.store
                    .keep_judgements(epoch, root, &judged, None)
                    .await?;
                self.keep_clocks(epoch, root).await?;
                tracing::info!(%epoch, "repeated a report this oracle did not sign from what its peers hold");
                return Ok(true);
            }
            tracing::debug!(%epoch, peer = %account, "a peer's observations do not lead to the report");
            tried.push(observations);
        }
        Ok(false)
    }

    /// The observations a report was made with, as a peer has them; each is signed by the oracle that made it.
    ///
    /// The peer's archive is asked, not the transaction: who sends a report to the chain chooses its form.
    async fn observations_of(
        &self,
        view: &EpochView,
        report: &Report,
        peer: &dyn Peer,
    ) -> Option<Observations> {
        let asked = peer.proposal(view.epoch);
        let proposal = match tokio::time::timeout(self.timing.answer_wait, asked).await {
            Ok(Ok(signed)) => signed.proposal,
            Ok(Err(error)) => {
                tracing::debug!(epoch = %view.epoch, %error, "no proposal from a peer");
                return None;
            }
            Err(_) => return None,
        };
        if proposal.report.verdict_root != report.verdict_root
            || proposal.reveals.len() > view.set.size()
        {
            return None;
        }
        let mut observations = Observations::new();
        for reveal in &proposal.reveals {
            let observation = reveal
                .observation
                .open(self.rules.deployment(), view.epoch, &view.set)
                .ok()
                .filter(|it| view.is_observed_by(it))?;
            observations.insert(observation.oracle, observation);
        }
        Some(observations)
    }

    /// The proposal with which this oracle came to the verdicts of an epoch's accepted report.
    ///
    /// # Errors
    /// [`AgreementError`] if the store fails.
    pub async fn reported_proposal(
        &self,
        epoch: Epoch,
    ) -> Result<Option<SignedProposal>, AgreementError> {
        let Some((report, _)) = self.store.accepted_report(epoch).await? else {
            return Ok(None);
        };
        let root = report.verdict_root;
        Ok(self.store.judged_proposal(epoch, root).await?)
    }

    /// Nodes of an epoch that may have quoted under an accepted report which is not concluded here, after the clock that is known.
    async fn unknown_clocks(
        &self,
        view: &EpochView,
        anchor: BlockNumber,
    ) -> Result<BTreeSet<NodeId>, AgreementError> {
        let open = self
            .store
            .unconcluded_before(view.epoch, anchor, MAX_LOOKED_BACK)
            .await?;
        let mut unknown = BTreeSet::new();
        if open.is_empty() {
            return Ok(unknown);
        }
        let clocks = self.store.previous_clocks(view.epoch, anchor).await?;
        // A node that has another key since has no clock to compare with: none of the old one.
        let key = |duty: &Duty| (duty.node, duty.identity.ak_hash);
        let mut undecided: BTreeSet<(NodeId, B256)> =
            view.work.iter().map(|it| key(&it.duty)).collect();
        for epoch in &open {
            undecided.retain(|key| clocks.get(key).is_none_or(|known| known.epoch < *epoch));
            if undecided.is_empty() {
                return Ok(unknown);
            }
            let earlier = EpochView::load(&self.store, &self.rules, *epoch).await?;
            let owed = |(node, ak_hash): &(NodeId, B256)| {
                earlier.as_ref().is_none_or(|it| {
                    it.item(*node)
                        .is_some_and(|item| item.duty.identity.ak_hash == *ak_hash)
                })
            };
            let (quoted, others) = undecided.into_iter().partition::<BTreeSet<_>, _>(owed);
            unknown.extend(quoted.into_iter().map(|(node, _)| node));
            undecided = others;
        }
        if open.len() >= MAX_LOOKED_BACK as usize {
            unknown.extend(undecided.into_iter().map(|(node, _)| node));
        }
        Ok(unknown)
    }
}

/// Whether an earlier clock could have changed a verdict: anything but valid evidence is worse than a clock that runs backwards.
fn hangs_on_clock(judged: &NodeVerdict) -> bool {
    let chosen = judged.finding.chosen.as_ref();
    chosen.is_some_and(|it| it.fault.is_none() && it.clock.is_some())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::cast_possible_truncation)]

    use super::*;

    #[test]
    fn what_fails_is_tried_again_ever_more_rarely_but_never_given_up() {
        let mut attempts = Attempts::default();
        let tried: Vec<u64> = (10..300)
            .filter(|block| attempts.begin(Epoch(1), BlockNumber(*block)))
            .collect();
        assert_eq!(tried, [10, 11, 13, 17, 25, 41, 73, 137, 201, 265]);
        assert!(attempts.begin(Epoch(2), BlockNumber(10)));
    }
}
