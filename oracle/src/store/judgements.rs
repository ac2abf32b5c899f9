//! Verdicts this oracle came to, and the clocks of the evidence that accepted reports rest on.

use std::collections::BTreeMap;

use alloy::primitives::B256;
use verifier::cbor;
use verifier::report::Verdict;
use verifier::tpm::ClockInfo;
use verifier::{BlockNumber, Epoch, NodeId, Reason};

use super::{Store, StoreError, hash, int, small, uint};
use crate::verdicts::NodeVerdict;

/// A verdict with what led to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JudgementRow {
    /// The verdict.
    pub verdict: Verdict,
    /// The check that failed, if one did.
    pub detail: Option<String>,
    /// The envelope it rests on.
    pub envelope_hash: Option<B256>,
}

/// A clock with the envelope whose quote shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KnownClock {
    /// The clock.
    pub clock: ClockInfo,
    /// Epoch of the envelope.
    pub epoch: Epoch,
    /// The envelope.
    pub envelope_hash: B256,
}

impl Store {
    /// Keeps the verdicts of an epoch under the root of their tree, with the proposal they were made for.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn keep_judgements(
        &self,
        epoch: Epoch,
        verdict_root: B256,
        judgements: &[NodeVerdict],
        proposal: Option<B256>,
    ) -> Result<(), StoreError> {
        let mut tx = self.write.begin_with("BEGIN IMMEDIATE").await?;
        for NodeVerdict { verdict, finding } in judgements {
            let clock = finding.chosen.as_ref().and_then(|judged| judged.clock);
            sqlx::query("INSERT INTO judgements VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING")
                .bind(int(epoch.0))
                .bind(verdict_root.as_slice())
                .bind(int(verdict.node.0))
                .bind(cbor::encode(verdict))
                .bind(i64::from(verdict.reason.code()))
                .bind(&finding.detail)
                .bind(finding.chosen.as_ref().map(|judged| judged.envelope_hash.to_vec()))
                .bind(clock.map(|clock| int(clock.clock_ms)))
                .bind(clock.map(|clock| i64::from(clock.reset_count)))
                .bind(clock.map(|clock| i64::from(clock.restart_count)))
                .bind(clock.map(|clock| clock.safe))
                .execute(&mut *tx)
                .await?;
        }
        if let Some(proposal) = proposal {
            sqlx::query("INSERT INTO judged_proposals VALUES (?, ?, ?) ON CONFLICT DO NOTHING")
                .bind(int(epoch.0))
                .bind(verdict_root.as_slice())
                .bind(proposal.as_slice())
                .execute(&mut *tx)
                .await?;
        }
        tx.commit().await?;
        Ok(())
    }

    /// Verdicts of an epoch under a root, ascending by node; empty if this oracle never came to them.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn judgements(
        &self,
        epoch: Epoch,
        verdict_root: B256,
    ) -> Result<Vec<JudgementRow>, StoreError> {
        type Columns = (Vec<u8>, Option<String>, Option<Vec<u8>>);
        let rows: Vec<Columns> = sqlx::query_as(
            "SELECT verdict, detail, envelope_hash FROM judgements WHERE epoch = ? AND verdict_root = ? ORDER BY node",
        )
        .bind(int(epoch.0))
        .bind(verdict_root.as_slice())
        .fetch_all(&self.read)
        .await?;
        rows.into_iter()
            .map(|(verdict, detail, envelope)| {
                Ok(JudgementRow {
                    verdict: cbor::decode("verdict", &verdict)?,
                    detail,
                    envelope_hash: envelope
                        .map(|bytes| hash("envelope hash", &bytes))
                        .transpose()?,
                })
            })
            .collect()
    }

    /// Keeps the clocks that an accepted report leaves behind, those of the judgement under `verdict_root`, and marks the
    /// report concluded. `start` is the epoch's first block: clocks are those of the machines in force at it.
    ///
    /// Only verdicts that say that a quote was accepted leave a clock: then it is as much the report's word as they are. A graver one hides
    /// whether its quote would have been accepted, and oracles that hold a piece of evidence with its event log and without may differ.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn conclude(
        &self,
        epoch: Epoch,
        start: BlockNumber,
        verdict_root: B256,
    ) -> Result<(), StoreError> {
        let mut tx = self.write.begin_with("BEGIN IMMEDIATE").await?;
        sqlx::query(
            "INSERT INTO clocks
             SELECT j.node, j.epoch, m.ak_hash, j.clock_ms, j.reset_count, j.restart_count, j.safe, j.envelope_hash
             FROM judgements j JOIN machines m ON m.node = j.node
              AND m.position = (SELECT MAX(position) FROM machines WHERE node = j.node AND block < ?3)
             WHERE j.epoch = ?1 AND j.verdict_root = ?2 AND j.clock_ms IS NOT NULL AND j.reason IN (?4, ?5, ?6)
             ON CONFLICT DO NOTHING",
        )
        .bind(int(epoch.0))
        .bind(verdict_root.as_slice())
        .bind(int(start.0))
        .bind(i64::from(Reason::Pass.code()))
        .bind(i64::from(Reason::Slow.code()))
        .bind(i64::from(Reason::Unreachable.code()))
        .execute(&mut *tx)
        .await?;
        sqlx::query("UPDATE reports SET concluded = 1 WHERE epoch = ?")
            .bind(int(epoch.0))
            .execute(&mut *tx)
            .await?;
        tx.commit().await?;
        Ok(())
    }

    /// For each node and each attestation key it had, by hash, the clock of the last accepted quote before `epoch` that a report
    /// accepted at or before `anchor` rests on.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn previous_clocks(
        &self,
        epoch: Epoch,
        anchor: BlockNumber,
    ) -> Result<BTreeMap<(NodeId, B256), KnownClock>, StoreError> {
        type Columns = (i64, Vec<u8>, i64, i64, i64, i64, bool, Vec<u8>);
        let rows: Vec<Columns> = sqlx::query_as(
            "SELECT c.node, c.ak_hash, c.epoch, c.clock_ms, c.reset_count, c.restart_count, c.safe, c.envelope_hash
             FROM clocks c WHERE c.epoch =
               (SELECT MAX(k.epoch) FROM clocks k JOIN reports r ON r.epoch = k.epoch
                 WHERE k.node = c.node AND k.ak_hash = c.ak_hash AND k.epoch < ? AND r.block <= ?)",
        )
        .bind(int(epoch.0))
        .bind(int(anchor.0))
        .fetch_all(&self.read)
        .await?;
        let mut clocks = BTreeMap::new();
        for (node, ak, epoch, clock_ms, resets, restarts, safe, envelope) in rows {
            let clock = ClockInfo {
                clock_ms: uint(clock_ms),
                reset_count: small("reset count", resets)?,
                restart_count: small("restart count", restarts)?,
                safe,
            };
            let known = KnownClock {
                clock,
                epoch: Epoch(uint(epoch)),
                envelope_hash: hash("envelope hash", &envelope)?,
            };
            let ak_hash = hash("attestation key hash", &ak)?;
            clocks.insert((NodeId(uint(node)), ak_hash), known);
        }
        Ok(clocks)
    }
}
