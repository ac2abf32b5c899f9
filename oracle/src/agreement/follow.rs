//! A follower: reveals against the leader's list, judges its proposal, signs it or says why not.

use std::sync::PoisonError;
use std::time::Instant;

use verifier::committee::{Observations, Reveal, SignedCommitmentList, SignedProposal};
use verifier::evidence::Evidence;
use verifier::report::Report;
use verifier::{Epoch, NodeId};

use super::{Agreement, AgreementError, Held};
use crate::onchain::BlockRef;
use crate::peers::Answer;
use crate::rules::EpochView;
use crate::verdicts::NodeVerdict;

/// Bytes of evidence a refusal carries at most; the leader can fetch the rest.
const MAX_REFUSAL_BYTES: usize = 4 << 20;

impl Agreement {
    /// The leader of a view shows its list; answered with this oracle's observation.
    ///
    /// # Errors
    /// [`AgreementError`]: not the leader's list, this oracle's commitment is not in it, or another list came before.
    pub async fn on_list(&self, signed: &SignedCommitmentList) -> Result<Reveal, AgreementError> {
        let (epoch, round) = (signed.list.epoch, signed.list.view);
        self.check_window(epoch).await?;
        let view = self.epoch(epoch).await?;
        let commitments = signed.open(self.rules.deployment(), epoch, &view.set, view.beacon)?;
        // A view may be ahead of this oracle's clock by one: blocks do not reach everybody at once.
        let now = self.view_now(epoch).await?;
        if round > now.saturating_add(1) {
            return Err(not_begun(epoch, round, now));
        }
        self.take_listed(&view, signed).await?;
        let (reveal, own) =
            self.store.own_observation(epoch).await?.ok_or_else(|| {
                AgreementError::NotReady("this oracle has not observed yet".into())
            })?;
        if commitments.get(&self.key.address()) != Some(&own.commitment) {
            return Err(AgreementError::Refused(
                "this oracle's commitment is not in the list".into(),
            ));
        }
        if !self.store.keep_answered_list(signed).await? {
            tracing::warn!(%epoch, view = round, "the leader shows two lists in one view");
            return Err(AgreementError::Refused(
                "another list of this view was answered before".into(),
            ));
        }
        Ok(reveal)
    }

    /// Keeps listed commitments that have not come here: this oracle may lead a later view.
    async fn take_listed(
        &self,
        view: &EpochView,
        signed: &SignedCommitmentList,
    ) -> Result<(), AgreementError> {
        for entry in &signed.list.entries {
            let member = entry.signer(self.rules.deployment(), &view.set)?;
            let kept = self.store.keep_commitment(member, entry).await?;
            if kept.commitment != entry.commitment {
                tracing::warn!(oracle = %member, epoch = %view.epoch, "two commitments for one epoch");
            }
        }
        Ok(())
    }

    /// What is over, or cannot be reported any more, is nothing to spend work or disk on.
    async fn check_window(&self, epoch: Epoch) -> Result<(), AgreementError> {
        let schedule = self.rules.schedule();
        let current = schedule
            .epoch_of(self.followed().await?.number)
            .unwrap_or_default();
        if epoch.0.saturating_add(schedule.report_window) < current.0 {
            return Err(AgreementError::Refused(format!(
                "epoch {epoch} cannot be reported any more, this is {current}"
            )));
        }
        Ok(())
    }

    /// Nothing is signed in a view before its turn, or whoever leads a later one could overtake the one whose turn it is. Waits
    /// a little: blocks do not reach everybody at once.
    async fn await_turn(&self, epoch: Epoch, round: u32) -> Result<(), AgreementError> {
        let started = Instant::now();
        loop {
            let now = self.view_now(epoch).await?;
            if round <= now {
                return Ok(());
            }
            if round > now.saturating_add(1) || started.elapsed() > self.timing.anchor_wait {
                return Err(not_begun(epoch, round, now));
            }
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
    }

    /// Waits for the place of the one who judges a view's proposal: anybody can repeat an old proposal of an honest leader, so a
    /// place that is taken is no reason to refuse at once.
    async fn await_place(
        &self,
        epoch: Epoch,
        round: u32,
    ) -> Result<JudgedAlone<'_>, AgreementError> {
        let started = Instant::now();
        loop {
            if let Some(alone) = self.judge_alone(epoch, round) {
                return Ok(alone);
            }
            if started.elapsed() > self.timing.answer_wait {
                return Err(AgreementError::NotReady(
                    "another proposal of this view is being judged".into(),
                ));
            }
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    }

    /// Takes the place of the one who judges a view's proposal; `None` if it is taken.
    pub(super) fn judge_alone(&self, epoch: Epoch, round: u32) -> Option<JudgedAlone<'_>> {
        let mut judging = self.judging.lock().unwrap_or_else(PoisonError::into_inner);
        // Lazily: dropping a place gives it back.
        judging.insert((epoch, round)).then(|| JudgedAlone {
            agreement: self,
            place: (epoch, round),
        })
    }

    /// The leader of a view proposes a report; answered with a signature, or with the reason for refusing and what the
    /// leader lacked.
    ///
    /// # Errors
    /// [`AgreementError`] if this oracle could not judge it.
    pub async fn on_proposal(&self, signed: &SignedProposal) -> Result<Answer, AgreementError> {
        let report = &signed.proposal.report;
        let (epoch, round) = (report.epoch, report.view);
        self.check_window(epoch).await?;
        let view = self.epoch(epoch).await?;
        let observations = signed.open(self.rules.deployment(), epoch, &view.set, view.beacon)?;
        if let Some(padded) = observations.values().find(|it| !view.is_observed_by(it)) {
            return Ok(refuse(format!(
                "the observation of {} is not of the nodes of the work list",
                padded.oracle
            )));
        }
        // Asked before anything that takes time: whoever repeats a leader's words must not keep it from its answer.
        if let Some(answer) = self.bound_by_signatures(report).await? {
            return Ok(answer);
        }
        let _alone = self.await_place(epoch, round).await?;
        self.await_turn(epoch, round).await?;
        if let Some(refusal) = self.bound_by_signatures(report).await? {
            return Ok(refusal);
        }
        if self.chain.is_reported(epoch).await? {
            return Ok(refuse(format!("epoch {epoch} is reported")));
        }
        if let Some(refusal) = self.left_out(signed, &observations).await? {
            return Ok(refusal);
        }
        let anchor = match self.check_anchor(&view, report).await? {
            Ok(anchor) => anchor,
            Err(reason) => return Ok(refuse(reason)),
        };
        for reveal in &signed.proposal.reveals {
            if let Ok(observation) =
                reveal
                    .observation
                    .open(self.rules.deployment(), epoch, &view.set)
            {
                self.store
                    .keep_reveal(epoch, observation.oracle, reveal)
                    .await?;
            }
        }
        let judged = match self.repeat(&view, anchor, report, observations).await? {
            Ok(judged) => judged,
            Err(refusal) => return Ok(refusal),
        };
        // Only now: a leader can make any number of proposals that nobody signs.
        let proposal = self.store.keep_proposal(signed).await?;
        self.store
            .keep_judgements(epoch, report.verdict_root, &judged, Some(proposal))
            .await?;
        let signature = self.sign_report(report).await?;
        metrics::counter!("probity_oracle_reports_signed_total").increment(1);
        tracing::info!(%epoch, view = round, "signed a report");
        Ok(Answer::Signature(signature))
    }

    /// What was signed before binds: one report a view, and never an earlier view again.
    async fn bound_by_signatures(&self, report: &Report) -> Result<Option<Answer>, AgreementError> {
        if let Some((signed, signature)) =
            self.store.signed_report(report.epoch, report.view).await?
        {
            return Ok(Some(if signed == *report {
                Answer::Signature(signature)
            } else {
                refuse("another report was signed in this view")
            }));
        }
        let highest = self.store.highest_signed_view(report.epoch).await?;
        Ok(highest
            .filter(|highest| *highest > report.view)
            .map(|highest| refuse(format!("a report was signed in the later view {highest}"))))
    }

    /// Being left off the list is no reason to refuse; a delivered reveal that the list calls for and the proposal leaves
    /// out is.
    async fn left_out(
        &self,
        signed: &SignedProposal,
        observations: &Observations,
    ) -> Result<Option<Answer>, AgreementError> {
        let list = &signed.proposal.list;
        let answered = self
            .store
            .answered_list(list.list.epoch, list.list.view)
            .await?;
        let Some(answered) = answered else {
            return Ok(None);
        };
        if answered.list != list.list {
            return Ok(Some(refuse(
                "the proposal's list is not the one this oracle revealed against in this view",
            )));
        }
        let missing = !observations.contains_key(&self.key.address());
        Ok(missing.then(|| refuse("this oracle's reveal was delivered and is left out")))
    }

    /// The anchor must be a final block of this oracle's own chain, at or after the deadline.
    async fn check_anchor(
        &self,
        view: &EpochView,
        report: &Report,
    ) -> Result<Result<BlockRef, String>, AgreementError> {
        let anchor = BlockRef {
            number: report.anchor_block,
            hash: report.anchor_hash,
        };
        if anchor.number < view.deadline {
            return Ok(Err(format!(
                "anchor {} is before the deadline {}",
                anchor.number, view.deadline
            )));
        }
        let started = Instant::now();
        while self.followed().await?.number < anchor.number {
            if started.elapsed() > self.timing.anchor_wait {
                return Ok(Err(format!("anchor {} is not final here", anchor.number)));
            }
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
        let own = self.chain.block_hash(anchor.number).await?;
        if own != Some(anchor.hash) {
            return Ok(Err(format!(
                "block {} has another hash here",
                anchor.number
            )));
        }
        Ok(Ok(anchor))
    }

    /// Judges again with own evidence, then with what peers hold, the leader first.
    async fn repeat(
        &self,
        view: &EpochView,
        anchor: BlockRef,
        proposed: &Report,
        observations: Observations,
    ) -> Result<Result<Vec<NodeVerdict>, Answer>, AgreementError> {
        let judged = self
            .judge(view, anchor.number, observations.clone())
            .await?;
        if self.report(view, proposed.view, anchor, &judged) == *proposed {
            return Ok(Ok(judged));
        }
        let leader = view.leader(proposed.view);
        let leaders = match self.peer(view, leader) {
            Some(peer) => tokio::time::timeout(self.timing.answer_wait, self.fetch(view, &*peer))
                .await
                .ok()
                .and_then(Result::ok)
                .unwrap_or_default(),
            None => Held::default(),
        };
        let judged = self
            .judge(view, anchor.number, observations.clone())
            .await?;
        if self.report(view, proposed.view, anchor, &judged) == *proposed {
            return Ok(Ok(judged));
        }
        self.gather(view).await?;
        let judged = self.judge(view, anchor.number, observations).await?;
        let own = self.report(view, proposed.view, anchor, &judged);
        if own == *proposed {
            return Ok(Ok(judged));
        }
        let reason = difference(&own, proposed);
        tracing::warn!(epoch = %view.epoch, view = proposed.view, %leader, %reason, "refused a proposal");
        metrics::counter!("probity_oracle_proposals_refused_total").increment(1);
        let evidence = self.lacking(view.epoch, &leaders).await?;
        Ok(Err(Answer::Refusal { reason, evidence }))
    }

    /// What this oracle holds and the leader does not: pieces, or receipts of pieces; those that count first.
    async fn lacking(
        &self,
        epoch: Epoch,
        leaders: &Held,
    ) -> Result<Vec<(NodeId, Evidence)>, AgreementError> {
        let mut lacking = Vec::new();
        let mut bytes = 0;
        for (node, envelope) in self.intake.names(epoch, None).await? {
            let Some(row) = self.intake.piece(epoch, node, envelope).await? else {
                continue;
            };
            if leaders.has(node, envelope, &row.evidence) {
                continue;
            }
            bytes += verifier::cbor::encode(&row.evidence).len();
            if bytes > MAX_REFUSAL_BYTES {
                break;
            }
            lacking.push((row.node, row.evidence));
        }
        Ok(lacking)
    }
}

/// The place of the one who judges a view's proposal; given back however the judging ends.
pub(super) struct JudgedAlone<'a> {
    agreement: &'a Agreement,
    place: (Epoch, u32),
}

impl Drop for JudgedAlone<'_> {
    fn drop(&mut self) {
        let judging = &self.agreement.judging;
        judging
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&self.place);
    }
}

fn not_begun(epoch: Epoch, round: u32, now: u32) -> AgreementError {
    AgreementError::Refused(format!(
        "view {round} has not begun: epoch {epoch} is in view {now}"
    ))
}

fn refuse(reason: impl Into<String>) -> Answer {
    let reason = reason.into();
    tracing::warn!(%reason, "refused a proposal");
    Answer::Refusal {
        reason,
        evidence: Vec::new(),
    }
}

/// What two reports of one view differ in, for people.
fn difference(own: &Report, proposed: &Report) -> String {
    let field = |name: &str, own: &dyn std::fmt::Display, theirs: &dyn std::fmt::Display| {
        format!("{name} is {theirs} in the proposal and {own} by own judgement")
    };
    if own.policy_hash != proposed.policy_hash {
        field("policy hash", &own.policy_hash, &proposed.policy_hash)
    } else if own.set_version != proposed.set_version {
        field("oracle set", &own.set_version, &proposed.set_version)
    } else if own.leaf_count != proposed.leaf_count {
        field("number of verdicts", &own.leaf_count, &proposed.leaf_count)
    } else if (own.passed, own.failed) != (proposed.passed, proposed.failed) {
        field("number of failed verdicts", &own.failed, &proposed.failed)
    } else {
        field("verdict root", &own.verdict_root, &proposed.verdict_root)
    }
}
