//! What nodes sent: keys, enrolments, evidence with receipts, and the records of probes.

use alloy::primitives::{Address, B256, Bytes};
use sqlx::SqlitePool;
use verifier::bundle::CertificateBytes;
use verifier::cbor;
use verifier::evidence::{Evidence, SignedReceipt};
use verifier::report::Identity;
use verifier::session::{Certification, VouchedAnswer};
use verifier::tee::GuestEvidence;
use verifier::{BlockNumber, Epoch, NodeId};

use super::{Store, StoreError, address, hash, int, uint};
use crate::probe::ProbeRecord;

/// One piece of evidence as it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EvidenceRow {
    /// Whose.
    pub node: NodeId,
    /// The envelope.
    pub envelope_hash: B256,
    /// The evidence with every receipt known, in ascending order.
    pub evidence: Evidence,
}

/// A piece of evidence by name, with what tells whether it counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EvidenceName {
    /// Whose.
    pub node: NodeId,
    /// The envelope.
    pub envelope_hash: B256,
    /// Oracles whose receipts are known.
    pub receipts: usize,
    /// Whether it was submitted on chain.
    pub submitted: bool,
}

/// What a machine enrolled with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EnrolmentRow {
    /// Chain address.
    pub account: Address,
    /// X.509 DER.
    pub ek_certificate: Bytes,
    /// Certificates between it and a root.
    pub intermediates: Vec<CertificateBytes>,
    /// TPMT_PUBLIC of the endorsement key.
    pub ek_public: Bytes,
    /// TPMT_PUBLIC of the attestation key.
    pub ak_public: Bytes,
    /// TPMT_PUBLIC of the node key.
    pub node_key_public: Bytes,
    /// The node key's point.
    pub node_key: Bytes,
    /// keccak256 of the point.
    pub node_key_hash: B256,
    /// Unix seconds.
    pub expiry: u64,
    /// This oracle's signature over the enrolment.
    pub signature: Bytes,
    /// How the node key was certified for this oracle; absent for enrolments of before it was kept.
    pub certification: Option<Certification>,
    /// Evidence of the confidential guest that it enrolled from.
    pub guest: Option<GuestEvidence>,
}

impl Store {
    /// Keeps what a machine enrolled with, by the digest of the statement this oracle signed.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn keep_enrolment(
        &self,
        digest: B256,
        ak_hash: B256,
        row: &EnrolmentRow,
    ) -> Result<(), StoreError> {
        self.keep_keys(ak_hash, &row.ak_public, row.node_key_hash, &row.node_key)
            .await?;
        sqlx::query(
            "INSERT INTO enrolments VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
        )
        .bind(digest.as_slice())
        .bind(row.account.as_slice())
        .bind(&row.ek_certificate[..])
        .bind(cbor::encode(&row.intermediates))
        .bind(&row.ek_public[..])
        .bind(&row.node_key_public[..])
        .bind(int(row.expiry))
        .bind(&row.signature[..])
        .bind(row.certification.as_ref().map(cbor::encode))
        .bind(row.guest.as_ref().map(cbor::encode))
        .execute(&self.write)
        .await?;
        Ok(())
    }

    /// Enrolments of a TPM that may still register at a time.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn open_enrolments(&self, ek_public: &[u8], now: u64) -> Result<u64, StoreError> {
        let count: i64 = sqlx::query_scalar(
            "SELECT count(*) FROM enrolments WHERE ek_public = ? AND expiry > ?",
        )
        .bind(ek_public)
        .bind(int(now))
        .fetch_one(&self.read)
        .await?;
        Ok(uint(count))
    }

    /// Forgets enrolments that ran out before a time, of accounts that have no node.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn forget_unregistered(&self, before: u64) -> Result<(), StoreError> {
        sqlx::query(
            "DELETE FROM enrolments WHERE expiry < ? AND account NOT IN (SELECT account FROM nodes)",
        )
        .bind(int(before))
        .execute(&self.write)
        .await?;
        Ok(())
    }

    /// What a machine enrolled with here under a statement, by the statement's digest.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn enrolment(
        &self,
        digest: B256,
        identity: &Identity,
    ) -> Result<Option<EnrolmentRow>, StoreError> {
        type Blob = Vec<u8>;
        type Columns = (
            Blob,
            Blob,
            Blob,
            Blob,
            Blob,
            i64,
            Blob,
            Option<Blob>,
            Option<Blob>,
        );
        let row: Option<Columns> = sqlx::query_as(
            "SELECT account, ek_certificate, intermediates, ek_public, node_public, expiry, signature, certification, guest
             FROM enrolments WHERE digest = ?",
        )
        .bind(digest.as_slice())
        .fetch_optional(&self.read)
        .await?;
        let Some((
            account,
            certificate,
            intermediates,
            ek,
            node_public,
            expiry,
            signature,
            certification,
            guest,
        )) = row
        else {
            return Ok(None);
        };
        let Some((ak_public, node_key)) = self.keys(identity).await? else {
            return Ok(None);
        };
        Ok(Some(EnrolmentRow {
            account: address("account", &account)?,
            ek_certificate: certificate.into(),
            intermediates: cbor::decode("intermediates", &intermediates)?,
            ek_public: ek.into(),
            ak_public: ak_public.into(),
            node_key_public: node_public.into(),
            node_key: node_key.into(),
            node_key_hash: identity.node_key_hash,
            expiry: uint(expiry),
            signature: signature.into(),
            certification: certification
                .map(|bytes| cbor::decode("certification", &bytes))
                .transpose()?,
            guest: guest
                .map(|bytes| cbor::decode("guest evidence", &bytes))
                .transpose()?,
        }))
    }

    /// Keeps the public keys behind two hashes of the registry.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn keep_keys(
        &self,
        ak_hash: B256,
        ak_public: &[u8],
        node_key_hash: B256,
        node_key: &[u8],
    ) -> Result<(), StoreError> {
        let mut tx = self.write.begin_with("BEGIN IMMEDIATE").await?;
        sqlx::query("INSERT INTO attestation_keys VALUES (?, ?) ON CONFLICT DO NOTHING")
            .bind(ak_hash.as_slice())
            .bind(ak_public)
            .execute(&mut *tx)
            .await?;
        sqlx::query("INSERT INTO node_keys VALUES (?, ?) ON CONFLICT DO NOTHING")
            .bind(node_key_hash.as_slice())
            .bind(node_key)
            .execute(&mut *tx)
            .await?;
        tx.commit().await?;
        Ok(())
    }

    /// TPMT_PUBLIC of the attestation key and point of the node key of an identity, if known.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn keys(
        &self,
        identity: &Identity,
    ) -> Result<Option<(Vec<u8>, Vec<u8>)>, StoreError> {
        Ok(sqlx::query_as(
            "SELECT ak_public, node_key FROM attestation_keys, node_keys WHERE ak_hash = ? AND node_key_hash = ?",
        )
        .bind(identity.ak_hash.as_slice())
        .bind(identity.node_key_hash.as_slice())
        .fetch_optional(&self.read)
        .await?)
    }

    /// Keeps a piece of evidence; true if it is new. At most `limit` pieces of one node and epoch are kept, if given.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn keep_evidence(
        &self,
        epoch: Epoch,
        node: NodeId,
        envelope_hash: B256,
        evidence: &Evidence,
        limit: Option<u16>,
    ) -> Result<bool, StoreError> {
        let bare = Evidence {
            receipts: Vec::new(),
            ..evidence.clone()
        };
        let done = sqlx::query(
            "INSERT INTO evidence SELECT ?1, ?2, ?3, ?4
             WHERE (SELECT COUNT(*) FROM evidence WHERE epoch = ?1 AND node = ?2) < ?5 ON CONFLICT DO NOTHING",
        )
        .bind(int(epoch.0))
        .bind(int(node.0))
        .bind(envelope_hash.as_slice())
        .bind(cbor::encode(&bare))
        .bind(limit.map_or(i64::MAX, i64::from))
        .execute(&self.write)
        .await?;
        Ok(done.rows_affected() > 0)
    }

    /// Puts a piece in the place of the one that came without its event log.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn complete_evidence(
        &self,
        epoch: Epoch,
        node: NodeId,
        envelope_hash: B256,
        evidence: &Evidence,
    ) -> Result<(), StoreError> {
        let bare = Evidence {
            receipts: Vec::new(),
            ..evidence.clone()
        };
        sqlx::query(
            "UPDATE evidence SET evidence = ?4 WHERE epoch = ?1 AND node = ?2 AND envelope_hash = ?3",
        )
        .bind(int(epoch.0))
        .bind(int(node.0))
        .bind(envelope_hash.as_slice())
        .bind(cbor::encode(&bare))
        .execute(&self.write)
        .await?;
        Ok(())
    }

    /// Whether a piece of evidence is kept.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn has_evidence(
        &self,
        epoch: Epoch,
        node: NodeId,
        envelope_hash: B256,
    ) -> Result<bool, StoreError> {
        let row: Option<i64> = sqlx::query_scalar(
            "SELECT 1 FROM evidence WHERE epoch = ? AND node = ? AND envelope_hash = ?",
        )
        .bind(int(epoch.0))
        .bind(int(node.0))
        .bind(envelope_hash.as_slice())
        .fetch_optional(&self.write)
        .await?;
        Ok(row.is_some())
    }

    /// Keeps a receipt whose signer was checked; of two by one oracle the one with the earlier block counts. Of each oracle
    /// receipts for at most `most` envelopes of a node and epoch are kept.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn keep_receipt(
        &self,
        oracle: Address,
        receipt: &SignedReceipt,
        most: u32,
    ) -> Result<(), StoreError> {
        sqlx::query(
            "INSERT INTO receipts SELECT ?1, ?2, ?3, ?4, ?5, ?6
             WHERE (SELECT COUNT(*) FROM receipts
                    WHERE epoch = ?1 AND node = ?2 AND oracle = ?4 AND envelope_hash <> ?3) < ?7
             ON CONFLICT DO UPDATE
             SET block = excluded.block, signature = excluded.signature WHERE excluded.block < block",
        )
        .bind(int(receipt.epoch.0))
        .bind(int(receipt.node.0))
        .bind(receipt.envelope_hash.as_slice())
        .bind(oracle.as_slice())
        .bind(int(receipt.block.0))
        .bind(&receipt.signature[..])
        .bind(i64::from(most))
        .execute(&self.write)
        .await?;
        Ok(())
    }

    /// Receipts for an envelope, in ascending order.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn receipts(
        &self,
        epoch: Epoch,
        node: NodeId,
        envelope_hash: B256,
    ) -> Result<Vec<SignedReceipt>, StoreError> {
        // Where receipts are written: whoever has just kept one sees every one kept before.
        self.receipts_in(&self.write, epoch, node, envelope_hash)
            .await
    }

    async fn receipts_in(
        &self,
        pool: &SqlitePool,
        epoch: Epoch,
        node: NodeId,
        envelope_hash: B256,
    ) -> Result<Vec<SignedReceipt>, StoreError> {
        let rows: Vec<(i64, Vec<u8>)> = sqlx::query_as(
            "SELECT block, signature FROM receipts WHERE epoch = ? AND node = ? AND envelope_hash = ?",
        )
        .bind(int(epoch.0))
        .bind(int(node.0))
        .bind(envelope_hash.as_slice())
        .fetch_all(pool)
        .await?;
        let mut receipts: Vec<_> = rows
            .into_iter()
            .map(|(block, signature)| SignedReceipt {
                node,
                epoch,
                envelope_hash,
                block: BlockNumber(uint(block)),
                signature: signature.into(),
            })
            .collect();
        receipts.sort_unstable();
        Ok(receipts)
    }

    /// One piece of evidence with all receipts.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn piece(
        &self,
        epoch: Epoch,
        node: NodeId,
        envelope_hash: B256,
    ) -> Result<Option<EvidenceRow>, StoreError> {
        let row: Option<Vec<u8>> = sqlx::query_scalar(
            "SELECT evidence FROM evidence WHERE epoch = ? AND node = ? AND envelope_hash = ?",
        )
        .bind(int(epoch.0))
        .bind(int(node.0))
        .bind(envelope_hash.as_slice())
        .fetch_optional(&self.read)
        .await?;
        let Some(bytes) = row else { return Ok(None) };
        let mut evidence: Evidence = cbor::decode("evidence", &bytes)?;
        evidence.receipts = self
            .receipts_in(&self.read, epoch, node, envelope_hash)
            .await?;
        Ok(Some(EvidenceRow {
            node,
            envelope_hash,
            evidence,
        }))
    }

    /// Names of the pieces of an epoch; of one node if given.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn evidence_names(
        &self,
        epoch: Epoch,
        node: Option<NodeId>,
    ) -> Result<Vec<EvidenceName>, StoreError> {
        let rows: Vec<(i64, Vec<u8>, i64, bool)> = sqlx::query_as(
            "SELECT e.node, e.envelope_hash,
                    (SELECT COUNT(*) FROM receipts r
                      WHERE r.epoch = e.epoch AND r.node = e.node AND r.envelope_hash = e.envelope_hash),
                    EXISTS (SELECT 1 FROM submissions s
                      WHERE s.epoch = e.epoch AND s.node = e.node AND s.envelope_hash = e.envelope_hash)
             FROM evidence e WHERE e.epoch = ?1 AND (?2 IS NULL OR e.node = ?2)",
        )
        .bind(int(epoch.0))
        .bind(node.map(|node| int(node.0)))
        .fetch_all(&self.read)
        .await?;
        rows.into_iter()
            .map(|(node, envelope, receipts, submitted)| {
                Ok(EvidenceName {
                    node: NodeId(uint(node)),
                    envelope_hash: hash("envelope hash", &envelope)?,
                    receipts: usize::try_from(receipts).unwrap_or(0),
                    submitted,
                })
            })
            .collect()
    }

    /// An oracle's receipt for an envelope.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn receipt(
        &self,
        epoch: Epoch,
        node: NodeId,
        envelope_hash: B256,
        oracle: Address,
    ) -> Result<Option<SignedReceipt>, StoreError> {
        let row: Option<(i64, Vec<u8>)> = sqlx::query_as(
            "SELECT block, signature FROM receipts WHERE epoch = ? AND node = ? AND envelope_hash = ? AND oracle = ?",
        )
        .bind(int(epoch.0))
        .bind(int(node.0))
        .bind(envelope_hash.as_slice())
        .bind(oracle.as_slice())
        .fetch_optional(&self.write)
        .await?;
        Ok(row.map(|(block, signature)| SignedReceipt {
            node,
            epoch,
            envelope_hash,
            block: BlockNumber(uint(block)),
            signature: signature.into(),
        }))
    }

    /// Evidence of an epoch with all receipts; of one node if given. Ascending by node and envelope.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn evidence(
        &self,
        epoch: Epoch,
        node: Option<NodeId>,
    ) -> Result<Vec<EvidenceRow>, StoreError> {
        let rows: Vec<(i64, Vec<u8>, Vec<u8>)> = sqlx::query_as(
            "SELECT node, envelope_hash, evidence FROM evidence
             WHERE epoch = ?1 AND (?2 IS NULL OR node = ?2) ORDER BY node, envelope_hash",
        )
        .bind(int(epoch.0))
        .bind(node.map(|node| int(node.0)))
        .fetch_all(&self.read)
        .await?;
        let mut pieces = rows
            .into_iter()
            .map(|(node, envelope, evidence)| {
                Ok(EvidenceRow {
                    node: NodeId(uint(node)),
                    envelope_hash: hash("envelope hash", &envelope)?,
                    evidence: cbor::decode("evidence", &evidence)?,
                })
            })
            .collect::<Result<Vec<_>, StoreError>>()?;
        let receipts: Vec<(i64, Vec<u8>, i64, Vec<u8>)> = sqlx::query_as(
            "SELECT node, envelope_hash, block, signature FROM receipts WHERE epoch = ?1 AND (?2 IS NULL OR node = ?2)",
        )
        .bind(int(epoch.0))
        .bind(node.map(|node| int(node.0)))
        .fetch_all(&self.read)
        .await?;
        for (node, envelope, block, signature) in receipts {
            let key = (NodeId(uint(node)), hash("envelope hash", &envelope)?);
            if let Ok(at) =
                pieces.binary_search_by_key(&key, |piece| (piece.node, piece.envelope_hash))
            {
                pieces[at].evidence.receipts.push(SignedReceipt {
                    node: key.0,
                    epoch,
                    envelope_hash: key.1,
                    block: BlockNumber(uint(block)),
                    signature: signature.into(),
                });
            }
        }
        for piece in &mut pieces {
            piece.evidence.receipts.sort_unstable();
        }
        Ok(pieces)
    }

    /// Keeps the record of a probe.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn keep_probe(&self, record: &ProbeRecord) -> Result<(), StoreError> {
        sqlx::query(
            "INSERT INTO probes SELECT ?1, ?2, COALESCE(MAX(number) + 1, 0), ?3 FROM probes WHERE epoch = ?1 AND node = ?2",
        )
        .bind(int(record.epoch.0))
        .bind(int(record.node.0))
        .bind(cbor::encode(record))
        .execute(&self.write)
        .await?;
        Ok(())
    }

    /// Records of an epoch's probes, ascending by node, in the order they were made.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn probes(&self, epoch: Epoch) -> Result<Vec<ProbeRecord>, StoreError> {
        let rows: Vec<Vec<u8>> =
            sqlx::query_scalar("SELECT record FROM probes WHERE epoch = ? ORDER BY node, number")
                .bind(int(epoch.0))
                .fetch_all(&self.read)
                .await?;
        rows.iter()
            .map(|bytes| Ok(cbor::decode("probe record", bytes)?))
            .collect()
    }

    /// What a node's machine signed of its answers to an epoch's probes, in the order they were made.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn answers(
        &self,
        node: NodeId,
        epoch: Epoch,
    ) -> Result<Vec<VouchedAnswer>, StoreError> {
        let rows: Vec<Vec<u8>> = sqlx::query_scalar(
            "SELECT record FROM probes WHERE epoch = ? AND node = ? ORDER BY number",
        )
        .bind(int(epoch.0))
        .bind(int(node.0))
        .fetch_all(&self.read)
        .await?;
        let mut answers = Vec::new();
        for bytes in rows {
            let record: ProbeRecord = cbor::decode("probe record", &bytes)?;
            answers.extend(record.answer);
        }
        Ok(answers)
    }

    /// Forgets evidence, receipts and probes of epochs before `epoch`, the archive's first.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn forget_before(&self, epoch: Epoch) -> Result<(), StoreError> {
        let mut tx = self.write.begin_with("BEGIN IMMEDIATE").await?;
        for statement in [
            "DELETE FROM evidence WHERE epoch < ?",
            "DELETE FROM receipts WHERE epoch < ?",
            "DELETE FROM probes WHERE epoch < ?",
            "DELETE FROM commitments WHERE epoch < ?",
            "DELETE FROM reveals WHERE epoch < ?",
            "DELETE FROM proposals WHERE epoch < ?",
            "DELETE FROM answered_lists WHERE epoch < ?",
            "DELETE FROM judgements WHERE epoch < ?",
        ] {
            sqlx::query(statement)
                .bind(int(epoch.0))
                .execute(&mut *tx)
                .await?;
        }
        tx.commit().await?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::cast_possible_truncation)]

    use verifier::tee::GuestReport;

    use super::*;

    #[tokio::test]
    async fn a_second_enrolment_of_the_same_keys_does_not_replace_what_was_registered_with() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("oracle.sqlite"))
            .await
            .unwrap();
        let identity = Identity {
            account: Address::repeat_byte(1),
            hardware_id: B256::repeat_byte(2),
            ak_hash: B256::repeat_byte(3),
            node_key_hash: B256::repeat_byte(4),
        };
        let row = |expiry| EnrolmentRow {
            account: identity.account,
            ek_certificate: vec![1].into(),
            intermediates: Vec::new(),
            ek_public: vec![2].into(),
            ak_public: vec![3].into(),
            node_key_public: vec![4].into(),
            node_key: vec![5].into(),
            node_key_hash: identity.node_key_hash,
            expiry,
            signature: vec![6].into(),
            certification: None,
            guest: Some(GuestEvidence {
                block: BlockNumber(9),
                block_hash: B256::repeat_byte(10),
                report: GuestReport::Tdx {
                    quote: vec![11].into(),
                    collateral: vec![12].into(),
                },
            }),
        };
        for (digest, expiry) in [(7, 100), (8, 200)] {
            store
                .keep_enrolment(B256::repeat_byte(digest), identity.ak_hash, &row(expiry))
                .await
                .unwrap();
        }
        for (digest, expected) in [(7, Some(row(100))), (8, Some(row(200))), (9, None)] {
            let found = store
                .enrolment(B256::repeat_byte(digest), &identity)
                .await
                .unwrap();
            assert_eq!(found, expected);
        }
    }
}
