//! Observing, committing, and taking in the commitments of others.

use alloy::primitives::{B256, Bytes};
use futures::future::join_all;
use rand::RngCore;
use rand::rngs::OsRng;
use verifier::committee::{
    Observation, Observations, Reachability, Reveal, SignedCommitment, SignedObservation,
    commitment,
};
use verifier::{Epoch, cbor};

use super::{Agreement, AgreementError};
use crate::enrol::unix_time;
use crate::notices::names;
use crate::probe::{ProbeRecord, network_worked, summarise};
use crate::rules::EpochView;

impl Agreement {
    /// This oracle's observation of an epoch and its commitment: made once, on disk, the same ever after.
    ///
    /// # Errors
    /// [`AgreementError::NotReady`] before the epoch's last block is final: what is seen until then counts.
    pub async fn observe(
        &self,
        epoch: Epoch,
    ) -> Result<(Reveal, SignedCommitment), AgreementError> {
        let _one_at_a_time = self.observing.lock().await;
        if let Some(own) = self.store.own_observation(epoch).await? {
            return Ok(own);
        }
        let view = self.epoch(epoch).await?;
        let followed = self.followed().await?;
        if followed.number < view.last {
            return Err(AgreementError::NotReady(format!(
                "the last block of epoch {epoch} is not final here"
            )));
        }
        self.gather(&view).await?;
        // What this oracle could not follow may not keep it from saying what it saw.
        self.conclude_own(followed.number).await?;
        let judged = self
            .judge_as_known(&view, followed.number, Observations::new())
            .await?;
        let probes = self.store.probes(epoch).await?;
        let draft = Observation {
            deployment: *self.rules.deployment(),
            epoch,
            set_version: view.set.version,
            oracle: self.key.address(),
            statements: Vec::new(),
        };
        let slow_after = self.rules.policy(view.policy_hash)?.policy().slow_after;
        let worked = network_worked(&probes);
        let (revocations, now) = (self.notices.revocations().await?, unix_time());
        let statements = judged.iter().map(|judged| {
            let node = judged.verdict.node;
            let records: Vec<&ProbeRecord> =
                probes.iter().filter(|record| record.node == node).collect();
            let mut statement = summarise(node, &records, worked, slow_after);
            let identity = view.item(node).map(|item| item.duty.identity);
            if identity.is_some_and(|identity| names(&revocations, &identity, now)) {
                statement.reachability = Reachability::Revoked;
            }
            statement.reason = judged.finding.reason.code();
            statement.envelope_hash = judged
                .finding
                .chosen
                .as_ref()
                .map_or(B256::ZERO, |it| it.envelope_hash);
            statement
        });
        let draft = Observation {
            statements: statements.collect(),
            ..draft
        };
        let observation = self.observer.observe(draft);
        let (reveal, commitment) = self.commit_to(&view, &observation)?;
        let own = self
            .store
            .keep_own_observation(self.key.address(), epoch, &reveal, &commitment)
            .await?;
        Ok(own)
    }

    fn commit_to(
        &self,
        view: &EpochView,
        observation: &Observation,
    ) -> Result<(Reveal, SignedCommitment), AgreementError> {
        let deployment = self.rules.deployment();
        let bytes: Bytes = cbor::encode(observation).into();
        let digest = SignedObservation::digest(deployment, view.epoch, view.set.version, &bytes);
        let mut salt = B256::ZERO;
        OsRng.fill_bytes(salt.as_mut_slice());
        let commitment = commitment(deployment, view.epoch, self.key.address(), &salt, &bytes);
        let signed_commitment = SignedCommitment {
            epoch: view.epoch,
            commitment,
            signature: self.key.sign(&SignedCommitment::digest(
                deployment,
                view.epoch,
                view.set.version,
                commitment,
            ))?,
        };
        let signed = SignedObservation {
            observation: bytes,
            signature: self.key.sign(&digest)?,
        };
        Ok((
            Reveal {
                salt,
                observation: signed,
            },
            signed_commitment,
        ))
    }

    /// Sends this oracle's commitment to all others; returns whether every one of them has taken it.
    ///
    /// # Errors
    /// [`AgreementError`] if this oracle has not observed yet.
    pub async fn announce(&self, epoch: Epoch) -> Result<bool, AgreementError> {
        let (_, commitment) = self.observe(epoch).await?;
        let view = self.epoch(epoch).await?;
        let commitment = &commitment;
        let answers = join_all(self.peers(&view).into_iter().map(|(account, peer)| async move {
            match tokio::time::timeout(self.timing.answer_wait, peer.commit(commitment)).await {
                Ok(Ok(())) => true,
                Ok(Err(error)) => {
                    tracing::debug!(peer = %account, %epoch, %error, "a commitment was not taken");
                    false
                }
                Err(_) => false,
            }
        }))
        .await;
        Ok(answers.into_iter().all(|taken| taken))
    }

    /// Takes another oracle's commitment: the first of each member, whenever it comes, also when others have revealed (ADR 8).
    ///
    /// # Errors
    /// [`AgreementError`]: not a member's, or another one was taken before.
    pub async fn on_commit(&self, signed: &SignedCommitment) -> Result<(), AgreementError> {
        let view = self.epoch(signed.epoch).await?;
        let member = signed.signer(self.rules.deployment(), &view.set)?;
        let taken = self.store.commitments(signed.epoch).await?;
        if let Some((_, before)) = taken.iter().find(|(oracle, _)| *oracle == member) {
            return if before.commitment == signed.commitment {
                Ok(())
            } else {
                tracing::warn!(oracle = %member, epoch = %signed.epoch, "two commitments for one epoch");
                Err(AgreementError::Refused(format!(
                    "{member} has committed to another observation before"
                )))
            };
        }
        let kept = self.store.keep_commitment(member, signed).await?;
        if kept.commitment == signed.commitment {
            Ok(())
        } else {
            Err(AgreementError::Refused(format!(
                "{member} has committed to another observation before"
            )))
        }
    }
}
