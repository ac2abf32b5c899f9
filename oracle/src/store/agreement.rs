//! What this oracle committed to, revealed, led and signed: each is here before it leaves the process.

use alloy::primitives::{Address, B256, Bytes, U256, keccak256};
use verifier::cbor;
use verifier::committee::{Reveal, SignedCommitment, SignedCommitmentList, SignedProposal};
use verifier::report::Report;
use verifier::{BlockNumber, Epoch};

use super::{Store, StoreError, address, hash, int, small, uint};
use crate::onchain::BlockRef;

/// What this oracle leads a view with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LedView {
    /// The commitments that oracles reveal against.
    pub list: SignedCommitmentList,
    /// The block its report is anchored to.
    pub anchor: BlockRef,
}

impl Store {
    /// Keeps this oracle's observation of an epoch unless there is one, with its commitment and reveal beside those of the
    /// others, all or nothing; returns the one that counts.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn keep_own_observation(
        &self,
        oracle: Address,
        epoch: Epoch,
        reveal: &Reveal,
        commitment: &SignedCommitment,
    ) -> Result<(Reveal, SignedCommitment), StoreError> {
        let mut tx = self.write.begin_with("BEGIN IMMEDIATE").await?;
        sqlx::query("INSERT INTO own_observations VALUES (?, ?, ?) ON CONFLICT DO NOTHING")
            .bind(int(epoch.0))
            .bind(cbor::encode(reveal))
            .bind(cbor::encode(commitment))
            .execute(&mut *tx)
            .await?;
        for statement in [
            "INSERT INTO commitments SELECT epoch, ?2, commitment FROM own_observations WHERE epoch = ?1
             ON CONFLICT DO NOTHING",
            "INSERT INTO reveals SELECT epoch, ?2, reveal FROM own_observations WHERE epoch = ?1
             ON CONFLICT DO NOTHING",
        ] {
            sqlx::query(statement)
                .bind(int(epoch.0))
                .bind(oracle.as_slice())
                .execute(&mut *tx)
                .await?;
        }
        tx.commit().await?;
        self.own_observation(epoch)
            .await?
            .ok_or(StoreError::Corrupt {
                what: "own observation",
                why: "vanished".into(),
            })
    }

    /// This oracle's observation of an epoch.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn own_observation(
        &self,
        epoch: Epoch,
    ) -> Result<Option<(Reveal, SignedCommitment)>, StoreError> {
        let row: Option<(Vec<u8>, Vec<u8>)> =
            sqlx::query_as("SELECT reveal, commitment FROM own_observations WHERE epoch = ?")
                .bind(int(epoch.0))
                .fetch_optional(&self.write)
                .await?;
        row.map(|(reveal, commitment)| {
            Ok((
                cbor::decode("reveal", &reveal)?,
                cbor::decode("commitment", &commitment)?,
            ))
        })
        .transpose()
    }

    /// Keeps an oracle's commitment unless there is one, and returns the one that counts.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn keep_commitment(
        &self,
        oracle: Address,
        commitment: &SignedCommitment,
    ) -> Result<SignedCommitment, StoreError> {
        sqlx::query("INSERT INTO commitments VALUES (?, ?, ?) ON CONFLICT DO NOTHING")
            .bind(int(commitment.epoch.0))
            .bind(oracle.as_slice())
            .bind(cbor::encode(commitment))
            .execute(&self.write)
            .await?;
        let stored: Vec<u8> =
            sqlx::query_scalar("SELECT commitment FROM commitments WHERE epoch = ? AND oracle = ?")
                .bind(int(commitment.epoch.0))
                .bind(oracle.as_slice())
                .fetch_one(&self.write)
                .await?;
        Ok(cbor::decode("commitment", &stored)?)
    }

    /// Commitments of an epoch by oracle.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn commitments(
        &self,
        epoch: Epoch,
    ) -> Result<Vec<(Address, SignedCommitment)>, StoreError> {
        let rows: Vec<(Vec<u8>, Vec<u8>)> = sqlx::query_as(
            "SELECT oracle, commitment FROM commitments WHERE epoch = ? ORDER BY oracle",
        )
        .bind(int(epoch.0))
        .fetch_all(&self.write)
        .await?;
        rows.iter()
            .map(|(oracle, commitment)| {
                Ok((
                    address("oracle", oracle)?,
                    cbor::decode("commitment", commitment)?,
                ))
            })
            .collect()
    }

    /// Keeps a list before it is answered. Of two different lists for one view only the first is.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn keep_answered_list(
        &self,
        list: &SignedCommitmentList,
    ) -> Result<bool, StoreError> {
        let (epoch, view) = (list.list.epoch, list.list.view);
        let bytes = cbor::encode(list);
        sqlx::query("INSERT INTO answered_lists VALUES (?, ?, ?) ON CONFLICT DO NOTHING")
            .bind(int(epoch.0))
            .bind(i64::from(view))
            .bind(&bytes)
            .execute(&self.write)
            .await?;
        Ok(self
            .answered_list(epoch, view)
            .await?
            .is_some_and(|stored| stored.list == list.list))
    }

    /// The list this oracle revealed against in a view.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn answered_list(
        &self,
        epoch: Epoch,
        view: u32,
    ) -> Result<Option<SignedCommitmentList>, StoreError> {
        let row: Option<Vec<u8>> =
            sqlx::query_scalar("SELECT list FROM answered_lists WHERE epoch = ? AND view = ?")
                .bind(int(epoch.0))
                .bind(i64::from(view))
                .fetch_optional(&self.write)
                .await?;
        row.map(|bytes| Ok(cbor::decode("commitment list", &bytes)?))
            .transpose()
    }

    /// Keeps what this oracle leads a view with unless there is something, and returns what counts.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn keep_led_view(&self, led: &LedView) -> Result<LedView, StoreError> {
        let (epoch, view) = (led.list.list.epoch, led.list.list.view);
        sqlx::query("INSERT INTO led_views VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING")
            .bind(int(epoch.0))
            .bind(i64::from(view))
            .bind(cbor::encode(&led.list))
            .bind(int(led.anchor.number.0))
            .bind(led.anchor.hash.as_slice())
            .execute(&self.write)
            .await?;
        self.led_view(epoch, view)
            .await?
            .ok_or(StoreError::Corrupt {
                what: "led view",
                why: "vanished".into(),
            })
    }

    /// What this oracle leads a view with.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn led_view(&self, epoch: Epoch, view: u32) -> Result<Option<LedView>, StoreError> {
        let row: Option<(Vec<u8>, i64, Vec<u8>)> = sqlx::query_as(
            "SELECT list, anchor_block, anchor_hash FROM led_views WHERE epoch = ? AND view = ?",
        )
        .bind(int(epoch.0))
        .bind(i64::from(view))
        .fetch_optional(&self.write)
        .await?;
        row.map(|(list, number, anchor)| {
            Ok(LedView {
                list: cbor::decode("commitment list", &list)?,
                anchor: BlockRef {
                    number: BlockNumber(uint(number)),
                    hash: hash("anchor", &anchor)?,
                },
            })
        })
        .transpose()
    }

    /// Keeps an oracle's reveal, checked against its commitment.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn keep_reveal(
        &self,
        epoch: Epoch,
        oracle: Address,
        reveal: &Reveal,
    ) -> Result<(), StoreError> {
        sqlx::query("INSERT INTO reveals VALUES (?, ?, ?) ON CONFLICT DO NOTHING")
            .bind(int(epoch.0))
            .bind(oracle.as_slice())
            .bind(cbor::encode(reveal))
            .execute(&self.write)
            .await?;
        Ok(())
    }

    /// Reveals of an epoch by oracle.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn reveals(&self, epoch: Epoch) -> Result<Vec<(Address, Reveal)>, StoreError> {
        let rows: Vec<(Vec<u8>, Vec<u8>)> =
            sqlx::query_as("SELECT oracle, reveal FROM reveals WHERE epoch = ? ORDER BY oracle")
                .bind(int(epoch.0))
                .fetch_all(&self.write)
                .await?;
        rows.iter()
            .map(|(oracle, reveal)| {
                Ok((address("oracle", oracle)?, cbor::decode("reveal", reveal)?))
            })
            .collect()
    }

    /// Keeps a proposal for the archive and returns its hash.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn keep_proposal(&self, proposal: &SignedProposal) -> Result<B256, StoreError> {
        let bytes = cbor::encode(proposal);
        let name = keccak256(&bytes);
        let report = &proposal.proposal.report;
        sqlx::query("INSERT INTO proposals VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING")
            .bind(int(report.epoch.0))
            .bind(i64::from(report.view))
            .bind(name.as_slice())
            .bind(bytes)
            .execute(&self.write)
            .await?;
        Ok(name)
    }

    /// How many proposals of an epoch are kept.
    #[cfg(test)]
    pub(crate) async fn proposals(&self, epoch: Epoch) -> Result<i64, StoreError> {
        Ok(
            sqlx::query_scalar("SELECT COUNT(*) FROM proposals WHERE epoch = ?")
                .bind(int(epoch.0))
                .fetch_one(&self.read)
                .await?,
        )
    }

    /// The proposal a judgement rests on.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn judged_proposal(
        &self,
        epoch: Epoch,
        verdict_root: B256,
    ) -> Result<Option<SignedProposal>, StoreError> {
        let row: Option<Vec<u8>> = sqlx::query_scalar(
            "SELECT p.proposal FROM judged_proposals j JOIN proposals p
               ON p.epoch = j.epoch AND p.proposal_hash = j.proposal_hash
             WHERE j.epoch = ? AND j.verdict_root = ?",
        )
        .bind(int(epoch.0))
        .bind(verdict_root.as_slice())
        .fetch_optional(&self.read)
        .await?;
        row.map(|bytes| Ok(cbor::decode("proposal", &bytes)?))
            .transpose()
    }

    /// Keeps a report this oracle is about to sign, with its signature. Returns the signature that counts: the first one
    /// stays, so that asking again gives the same bytes.
    ///
    /// # Errors
    /// [`StoreError::Equivocation`] if another report was signed in this view.
    pub async fn keep_signed_report(
        &self,
        report: &Report,
        signature: &[u8],
    ) -> Result<Bytes, StoreError> {
        let bytes = cbor::encode(report);
        sqlx::query("INSERT INTO signed_reports VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING")
            .bind(int(report.epoch.0))
            .bind(i64::from(report.view))
            .bind(&bytes)
            .bind(signature)
            .execute(&self.write)
            .await?;
        match self.signed_report(report.epoch, report.view).await? {
            Some((stored, signature)) if stored == *report => Ok(signature),
            _ => Err(StoreError::Equivocation {
                epoch: report.epoch.0,
                view: report.view,
            }),
        }
    }

    /// The report this oracle signed in a view.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn signed_report(
        &self,
        epoch: Epoch,
        view: u32,
    ) -> Result<Option<(Report, Bytes)>, StoreError> {
        let row: Option<(Vec<u8>, Vec<u8>)> = sqlx::query_as(
            "SELECT report, signature FROM signed_reports WHERE epoch = ? AND view = ?",
        )
        .bind(int(epoch.0))
        .bind(i64::from(view))
        .fetch_optional(&self.write)
        .await?;
        row.map(|(report, signature)| Ok((cbor::decode("report", &report)?, signature.into())))
            .transpose()
    }

    /// The highest view of an epoch in which this oracle signed a report.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn highest_signed_view(&self, epoch: Epoch) -> Result<Option<u32>, StoreError> {
        let view: Option<i64> =
            sqlx::query_scalar("SELECT MAX(view) FROM signed_reports WHERE epoch = ?")
                .bind(int(epoch.0))
                .fetch_one(&self.write)
                .await?;
        view.map(|view| small("view", view)).transpose()
    }

    /// Keeps a report with a quorum of signatures, before it is submitted.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn keep_agreed_report(
        &self,
        report: &Report,
        bitmap: U256,
        signatures: &[u8],
    ) -> Result<(), StoreError> {
        sqlx::query("INSERT INTO agreed_reports VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING")
            .bind(int(report.epoch.0))
            .bind(i64::from(report.view))
            .bind(cbor::encode(report))
            .bind(&bitmap.to_be_bytes::<32>()[..])
            .bind(signatures)
            .execute(&self.write)
            .await?;
        Ok(())
    }

    /// The report with a quorum of signatures that this oracle gathered for an epoch, of the highest view.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn agreed_report(
        &self,
        epoch: Epoch,
    ) -> Result<Option<(Report, U256, Bytes)>, StoreError> {
        let row: Option<(Vec<u8>, Vec<u8>, Vec<u8>)> = sqlx::query_as(
            "SELECT report, bitmap, signatures FROM agreed_reports WHERE epoch = ? ORDER BY view DESC LIMIT 1",
        )
        .bind(int(epoch.0))
        .fetch_optional(&self.write)
        .await?;
        row.map(|(report, bitmap, signatures)| {
            Ok((
                cbor::decode("report", &report)?,
                U256::from_be_bytes(hash("bitmap", &bitmap)?.0),
                signatures.into(),
            ))
        })
        .transpose()
    }
}
