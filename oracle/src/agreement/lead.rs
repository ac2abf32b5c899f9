//! A leader: lists commitments, asks for reveals, proposes the report that follows, gathers a quorum of signatures.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use alloy::primitives::{Address, Bytes, U256};
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use verifier::committee::{
    CommitmentList, Observations, Proposal, Reveal, SignedCommitmentList, SignedProposal,
};
use verifier::report::Report;
use verifier::{Epoch, cbor};

use super::{Agreement, AgreementError, GRACE, next_until};
use crate::peers::Answer;
use crate::rules::EpochView;
use crate::store::{LedView, StoreError};

/// How leading a view came out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Led {
    /// A quorum has signed; the report is kept and can be submitted.
    Agreed(Box<Report>),
    /// Not this time.
    Short(String),
}

/// What the members said to a proposal.
#[derive(Default)]
struct Ballot {
    signatures: BTreeMap<Address, Bytes>,
    refusals: Vec<String>,
    evidence_arrived: bool,
}

impl Agreement {
    /// Leads a view of an epoch. May be called again: what was listed and anchored stays.
    ///
    /// # Errors
    /// [`AgreementError`] if this oracle's own parts fail or it is not the leader.
    pub async fn lead(&self, epoch: Epoch, round: u32) -> Result<Led, AgreementError> {
        let view = self.epoch(epoch).await?;
        if view.leader(round) != self.key.address() {
            return Err(AgreementError::Refused(format!(
                "another oracle leads view {round} of epoch {epoch}"
            )));
        }
        if self.chain.is_reported(epoch).await? {
            return Ok(Led::Short("the epoch is reported".into()));
        }
        let now = self.view_now(epoch).await?;
        if round > now {
            return Ok(Led::Short(format!(
                "view {round} has not begun, this is {now}"
            )));
        }
        self.observe(epoch).await?;
        let Some(led) = self.list(&view, round).await? else {
            return Ok(Led::Short("fewer than a quorum of commitments".into()));
        };
        let commitments = led
            .list
            .open(self.rules.deployment(), epoch, &view.set, view.beacon)?;
        let (reveals, observations) = self.ask_reveals(&view, &led.list, &commitments).await?;
        if observations.len() < view.set.quorum() {
            return Ok(Led::Short(format!(
                "{} reveals where {} are needed",
                observations.len(),
                view.set.quorum()
            )));
        }

        let mut last: Option<Report> = None;
        // Twice: once with what this oracle holds, once more with what a refusal brought.
        loop {
            let judged = self
                .judge(&view, led.anchor.number, observations.clone())
                .await?;
            let report = self.report(&view, round, led.anchor, &judged);
            if last.as_ref() == Some(&report) {
                return Ok(Led::Short(
                    "refused, and what the refusals brought changes nothing".into(),
                ));
            }
            let proposal = Proposal {
                list: led.list.clone(),
                reveals: reveals.clone(),
                report: report.clone(),
            };
            let digest = SignedProposal::digest(self.rules.deployment(), &proposal);
            let proposal = SignedProposal {
                proposal,
                signature: self.key.sign(&digest)?,
            };
            let name = self.store.keep_proposal(&proposal).await?;
            self.store
                .keep_judgements(epoch, report.verdict_root, &judged, Some(name))
                .await?;

            let mut ballot = self.ballot(&view, &proposal).await;
            if ballot.signatures.len() + 1 >= view.set.quorum() {
                // Signed last: had the others refused, another report of this view could still be proposed.
                match self.sign_report(&report).await {
                    Ok(own) => {
                        ballot.signatures.insert(self.key.address(), own);
                        self.keep_agreed(&view, &report, &ballot.signatures).await?;
                        return Ok(Led::Agreed(Box::new(report)));
                    }
                    Err(AgreementError::Store(error @ StoreError::Equivocation { .. })) => {
                        return Ok(Led::Short(error.to_string()));
                    }
                    Err(error) => return Err(error),
                }
            }
            if last.is_some() || !ballot.evidence_arrived {
                let said = ballot.refusals.join("; ");
                return Ok(Led::Short(format!(
                    "{} signatures of others: {said}",
                    ballot.signatures.len()
                )));
            }
            last = Some(report);
        }
    }

    /// The list of this view: made once, with the anchor, and kept.
    async fn list(&self, view: &EpochView, round: u32) -> Result<Option<LedView>, AgreementError> {
        if let Some(led) = self.store.led_view(view.epoch, round).await? {
            return Ok(Some(led));
        }
        let started = Instant::now();
        let mut commitments = self.store.commitments(view.epoch).await?;
        while commitments.len() < view.set.size() && started.elapsed() < self.timing.commit_wait {
            tokio::time::sleep(Duration::from_millis(100)).await;
            commitments = self.store.commitments(view.epoch).await?;
        }
        if commitments.len() < view.set.quorum() {
            return Ok(None);
        }
        let list = CommitmentList {
            epoch: view.epoch,
            view: round,
            entries: commitments
                .into_iter()
                .map(|(_, commitment)| commitment)
                .collect(),
        };
        let signature = self.key.sign(&SignedCommitmentList::digest(
            self.rules.deployment(),
            &list,
        ))?;
        let list = SignedCommitmentList { list, signature };
        let anchor = self.followed().await?;
        let led = self.store.keep_led_view(&LedView { list, anchor }).await?;
        // As if it had been shown to this oracle: of one view it answers no other.
        self.store.keep_answered_list(&led.list).await?;
        Ok(Some(led))
    }

    async fn ask_reveals(
        &self,
        view: &EpochView,
        list: &SignedCommitmentList,
        commitments: &BTreeMap<Address, alloy::primitives::B256>,
    ) -> Result<(Vec<Reveal>, Observations), AgreementError> {
        let deployment = self.rules.deployment();
        let mut revealed: BTreeMap<Address, Reveal> = BTreeMap::new();
        let mut observations = Observations::new();
        let mut take = |oracle: Address, reveal: Reveal| match reveal.open(
            deployment,
            view.epoch,
            &view.set,
            commitments,
        ) {
            // One that is padded would make a proposal nobody can be sent: it counts as not revealed.
            Ok(observation) if !view.is_observed_by(&observation) => {
                tracing::warn!(%oracle, epoch = %view.epoch, "an observation is not of the nodes of the work list");
                false
            }
            Ok(observation) if observation.oracle == oracle => {
                observations.insert(oracle, observation);
                revealed.insert(oracle, reveal);
                true
            }
            Ok(_) => false,
            Err(error) => {
                tracing::warn!(%oracle, %error, epoch = %view.epoch, "a reveal does not open its commitment");
                false
            }
        };
        // Who has revealed here or in an earlier view; the others may still, for a while.
        let mut given = BTreeSet::new();
        for (oracle, reveal) in self.store.reveals(view.epoch).await? {
            if take(oracle, reveal) {
                given.insert(oracle);
            }
        }
        let mut answers: FuturesUnordered<_> = self
            .peers(view)
            .into_iter()
            .filter(|(account, _)| commitments.contains_key(account))
            .map(|(account, peer)| async move {
                (
                    account,
                    tokio::time::timeout(self.timing.answer_wait, peer.reveal(list)).await,
                )
            })
            .collect();
        // A quorum is enough to propose with; whoever stalls must not delay it.
        let enough = |given: &BTreeSet<Address>| {
            (given.len() >= view.set.quorum()).then(|| Instant::now() + GRACE)
        };
        let mut until = enough(&given);
        while let Some((account, answer)) = next_until(&mut answers, until).await {
            match answer {
                Ok(Ok(reveal)) => {
                    if take(account, reveal.clone()) {
                        given.insert(account);
                        self.store.keep_reveal(view.epoch, account, &reveal).await?;
                    }
                    until = until.or_else(|| enough(&given));
                }
                Ok(Err(error)) => {
                    tracing::warn!(oracle = %account, %error, epoch = %view.epoch, "no reveal")
                }
                Err(_) => {
                    tracing::warn!(oracle = %account, epoch = %view.epoch, "no reveal in time")
                }
            }
        }
        Ok((revealed.into_values().collect(), observations))
    }

    async fn ballot(&self, view: &EpochView, proposal: &SignedProposal) -> Ballot {
        let digest = self.report_digest(&proposal.proposal.report);
        let mut ballot = Ballot::default();
        let mut answers: FuturesUnordered<_> = self
            .peers(view)
            .into_iter()
            .map(|(account, peer)| async move { (account, peer.propose(proposal).await) })
            .collect();
        // A follower may wait for its chain and fetch from peers before it answers.
        let patience = self.timing.answer_wait * 2 + self.timing.anchor_wait;
        let mut until = Instant::now() + patience;
        while !answers.is_empty() {
            let left = until.saturating_duration_since(Instant::now());
            let Ok(Some((account, answer))) = tokio::time::timeout(left, answers.next()).await
            else {
                break;
            };
            match answer {
                Ok(Answer::Signature(signature)) => {
                    match view.set.member_signature("report", &digest, &signature) {
                        Ok(signer) if signer == account => {
                            ballot.signatures.insert(account, signature);
                        }
                        _ => ballot.refusals.push(format!(
                            "{account} answered with a signature that is not its own"
                        )),
                    }
                }
                Ok(Answer::Refusal { reason, evidence }) => {
                    ballot.evidence_arrived |= !evidence.is_empty();
                    self.merge_items(view, evidence).await;
                    ballot.refusals.push(format!("{account}: {reason}"));
                }
                Err(error) => ballot.refusals.push(format!("{account}: {error}")),
            }
            if ballot.signatures.len() + 1 >= view.set.quorum() {
                until = until.min(Instant::now() + GRACE);
            }
        }
        ballot
    }

    async fn keep_agreed(
        &self,
        view: &EpochView,
        report: &Report,
        signatures: &BTreeMap<Address, Bytes>,
    ) -> Result<(), AgreementError> {
        let mut bitmap = U256::ZERO;
        let mut packed = Vec::with_capacity(signatures.len() * 65);
        for (index, member) in view.set.members().enumerate() {
            if let Some(signature) = signatures.get(&member) {
                bitmap.set_bit(index, true);
                packed.extend_from_slice(signature);
            }
        }
        self.store
            .keep_agreed_report(report, bitmap, &packed)
            .await?;
        tracing::info!(
            epoch = %report.epoch,
            view = report.view,
            signers = signatures.len(),
            passed = report.passed,
            failed = report.failed,
            report = %alloy::primitives::keccak256(cbor::encode(report)),
            "agreed on a report"
        );
        Ok(())
    }
}
