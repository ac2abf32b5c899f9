//! What became of each epoch's duty.

use alloy::primitives::{Address, B256};
use serde::Serialize;
use verifier::Epoch;
use verifier::cbor;
use verifier::evidence::{Evidence, SignedReceipt};

use super::{State, StateError, hash};

/// How an epoch's duty ended, as far as the node can tell before the report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// f + 1 oracles signed a receipt in time.
    Timely,
    /// Submitted on chain in time.
    Submitted,
    /// Neither.
    Missed,
    /// There was no beacon.
    Void,
    /// Nothing was stored.
    NoDuty,
}

impl Outcome {
    const ALL: [Self; 5] = [
        Self::Timely,
        Self::Submitted,
        Self::Missed,
        Self::Void,
        Self::NoDuty,
    ];

    /// The name in the database, in logs and metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Timely => "timely",
            Self::Submitted => "submitted",
            Self::Missed => "missed",
            Self::Void => "void",
            Self::NoDuty => "no_duty",
        }
    }

    fn by_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|outcome| outcome.name() == name)
    }
}

/// An epoch as the database has it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EpochRecord {
    /// The beacon the evidence was made for.
    pub beacon: Option<B256>,
    /// The evidence, without receipts.
    pub evidence: Option<Evidence>,
    /// Its envelope's hash.
    pub envelope_hash: Option<B256>,
    /// The transaction that submitted it.
    pub submission_tx: Option<B256>,
    /// How it ended; the epoch is closed.
    pub outcome: Option<Outcome>,
    /// Why it ended so.
    pub detail: String,
}

type Row = (
    Option<Vec<u8>>,
    Option<Vec<u8>>,
    Option<Vec<u8>>,
    Option<Vec<u8>>,
    Option<String>,
    String,
);

impl State {
    /// What is known of an epoch.
    ///
    /// # Errors
    /// [`StateError`].
    pub async fn epoch(&self, epoch: Epoch) -> Result<EpochRecord, StateError> {
        let row: Option<Row> = sqlx::query_as(
            "SELECT beacon, evidence, envelope_hash, submission_tx, outcome, detail FROM epochs WHERE epoch = ?",
        )
        .bind(epoch.0.cast_signed())
        .fetch_optional(&self.pool)
        .await?;
        let Some((beacon, evidence, envelope_hash, submission_tx, outcome, detail)) = row else {
            return Ok(EpochRecord::default());
        };
        let optional =
            |bytes: Option<Vec<u8>>| bytes.map(|bytes| hash("epoch", &bytes)).transpose();
        Ok(EpochRecord {
            beacon: optional(beacon)?,
            evidence: evidence
                .map(|bytes| {
                    cbor::decode("evidence", &bytes).map_err(|_| StateError::Damaged("evidence"))
                })
                .transpose()?,
            envelope_hash: optional(envelope_hash)?,
            submission_tx: optional(submission_tx)?,
            outcome: outcome
                .map(|name| Outcome::by_name(&name).ok_or(StateError::Damaged("outcome")))
                .transpose()?,
            detail,
        })
    }

    /// Writes the evidence of an epoch down before any of it leaves. Receipts of other evidence are forgotten.
    ///
    /// # Errors
    /// [`StateError`].
    pub async fn put_evidence(
        &self,
        epoch: Epoch,
        beacon: B256,
        envelope_hash: B256,
        evidence: &Evidence,
    ) -> Result<(), StateError> {
        let mut tx = self.begin().await?;
        sqlx::query("DELETE FROM receipts WHERE epoch = ?")
            .bind(epoch.0.cast_signed())
            .execute(&mut *tx)
            .await?;
        sqlx::query(
            "INSERT INTO epochs (epoch, beacon, envelope_hash, evidence) VALUES (?, ?, ?, ?)
             ON CONFLICT (epoch) DO UPDATE SET beacon = excluded.beacon, envelope_hash = excluded.envelope_hash,
             evidence = excluded.evidence",
        )
        .bind(epoch.0.cast_signed())
        .bind(beacon.as_slice())
        .bind(envelope_hash.as_slice())
        .bind(cbor::encode(evidence))
        .execute(&mut *tx)
        .await?;
        Ok(tx.commit().await?)
    }

    /// Keeps an oracle's receipt; its first one stays.
    ///
    /// # Errors
    /// [`StateError`].
    pub async fn put_receipt(
        &self,
        epoch: Epoch,
        oracle: Address,
        receipt: &SignedReceipt,
    ) -> Result<(), StateError> {
        sqlx::query(
            "INSERT INTO receipts (epoch, oracle, receipt) VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
        )
        .bind(epoch.0.cast_signed())
        .bind(oracle.as_slice())
        .bind(cbor::encode(receipt))
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// The receipts of an epoch by oracle.
    ///
    /// # Errors
    /// [`StateError`].
    pub async fn receipts(
        &self,
        epoch: Epoch,
    ) -> Result<Vec<(Address, SignedReceipt)>, StateError> {
        let rows: Vec<(Vec<u8>, Vec<u8>)> =
            sqlx::query_as("SELECT oracle, receipt FROM receipts WHERE epoch = ? ORDER BY oracle")
                .bind(epoch.0.cast_signed())
                .fetch_all(&self.pool)
                .await?;
        rows.iter()
            .map(|(oracle, receipt)| {
                let oracle = Address::try_from(oracle.as_slice())
                    .map_err(|_| StateError::Damaged("receipt"))?;
                let receipt =
                    cbor::decode("receipt", receipt).map_err(|_| StateError::Damaged("receipt"))?;
                Ok((oracle, receipt))
            })
            .collect()
    }

    /// Notes the transaction that submitted an epoch's envelope.
    ///
    /// # Errors
    /// [`StateError`].
    pub async fn set_submission(&self, epoch: Epoch, transaction: B256) -> Result<(), StateError> {
        sqlx::query("UPDATE epochs SET submission_tx = ? WHERE epoch = ?")
            .bind(transaction.as_slice())
            .bind(epoch.0.cast_signed())
            .execute(&self.pool)
            .await?;
        Ok(())
    }

    /// Closes an epoch.
    ///
    /// # Errors
    /// [`StateError`].
    pub async fn close_epoch(
        &self,
        epoch: Epoch,
        outcome: Outcome,
        detail: &str,
    ) -> Result<(), StateError> {
        sqlx::query(
            "INSERT INTO epochs (epoch, outcome, detail) VALUES (?, ?, ?)
             ON CONFLICT (epoch) DO UPDATE SET outcome = excluded.outcome, detail = excluded.detail",
        )
        .bind(epoch.0.cast_signed())
        .bind(outcome.name())
        .bind(detail)
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// The last epochs, newest first.
    ///
    /// # Errors
    /// [`StateError`].
    pub async fn recent_epochs(&self, limit: u32) -> Result<Vec<(Epoch, EpochRecord)>, StateError> {
        let rows: Vec<(i64,)> =
            sqlx::query_as("SELECT epoch FROM epochs ORDER BY epoch DESC LIMIT ?")
                .bind(i64::from(limit))
                .fetch_all(&self.pool)
                .await?;
        let mut epochs = Vec::with_capacity(rows.len());
        for (epoch,) in rows {
            let epoch = Epoch(epoch.cast_unsigned());
            epochs.push((epoch, self.epoch(epoch).await?));
        }
        Ok(epochs)
    }

    /// The last epoch whose evidence was timely or submitted.
    ///
    /// # Errors
    /// [`StateError`].
    pub async fn last_proven(&self) -> Result<Option<Epoch>, StateError> {
        let (epoch,): (Option<i64>,) = sqlx::query_as(
            "SELECT MAX(epoch) FROM epochs WHERE outcome IN ('timely', 'submitted')",
        )
        .fetch_one(&self.pool)
        .await?;
        Ok(epoch.map(|epoch| Epoch(epoch.cast_unsigned())))
    }
}
