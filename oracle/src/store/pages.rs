//! What people and programs read of the oracle: nodes, epochs, verdicts.

use alloy::primitives::B256;
use serde::Serialize;
use verifier::report::Report;
use verifier::{Availability, Epoch, LatencyMs, NodeId, Reason, Throughput, cbor};

use super::{Store, StoreError, hash, int, uint};

/// A node with what was last said of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct NodePage {
    /// The node.
    pub node: NodeId,
    /// Its chain address.
    pub account: alloy::primitives::Address,
    /// Where it is reached.
    pub url: String,
    /// Shards it claims to hold.
    pub shards: u64,
    /// Whether it left.
    pub left: bool,
    /// Last epoch settled.
    pub settled_epoch: Option<Epoch>,
    /// Storage score after it, basis points.
    pub storage_score: Option<i64>,
    /// Availability score after it, basis points.
    pub availability_score: Option<i64>,
}

/// An epoch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct EpochPage {
    /// The epoch.
    pub epoch: Epoch,
    /// Its beacon.
    pub beacon: B256,
    /// The accepted report, if there is one.
    pub report: Option<Report>,
    /// Block at which it was accepted.
    pub reported_block: Option<u64>,
}

/// A verdict of an accepted report, with what settlement made of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct VerdictPage {
    /// The epoch.
    pub epoch: Epoch,
    /// The node.
    pub node: NodeId,
    /// The reason.
    pub reason: Reason,
    /// The check that failed.
    pub detail: Option<String>,
    /// Whether the figures are backed by enough oracles.
    pub judged: bool,
    /// Share of probes answered, basis points.
    pub availability: Availability,
    /// 95th percentile of time to first byte.
    pub latency_p95: LatencyMs,
    /// Bytes a second.
    pub throughput: Throughput,
    /// Hash of everything it rests on.
    pub evidence_hash: B256,
    /// The envelope it rests on.
    pub envelope_hash: Option<B256>,
    /// Whether the epoch pays; `None` while it is not settled.
    pub paid: Option<bool>,
    /// Whether it was the free miss of an era.
    pub grace: Option<bool>,
    /// What the bond lost, token units.
    pub slashed: Option<String>,
}

impl Store {
    /// Every node.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn node_pages(&self) -> Result<Vec<NodePage>, StoreError> {
        type Columns = (
            i64,
            Vec<u8>,
            String,
            i64,
            bool,
            Option<i64>,
            Option<i64>,
            Option<i64>,
        );
        let rows: Vec<Columns> = sqlx::query_as(
            "SELECT n.node, n.account, n.url,
                    COALESCE((SELECT l.count FROM inventory_log l WHERE l.node = n.node ORDER BY l.position DESC LIMIT 1), 0),
                    n.left_block IS NOT NULL,
                    (SELECT MAX(s.epoch) FROM settlements s WHERE s.node = n.node),
                    (SELECT s.storage_score FROM settlements s
                      WHERE s.node = n.node AND s.storage_score IS NOT NULL ORDER BY s.epoch DESC LIMIT 1),
                    (SELECT s.availability_score FROM settlements s
                      WHERE s.node = n.node AND s.availability_score IS NOT NULL ORDER BY s.epoch DESC LIMIT 1)
             FROM nodes n ORDER BY n.node",
        )
        .fetch_all(&self.read)
        .await?;
        rows.into_iter()
            .map(
                |(node, account, url, shards, left, settled, storage_score, availability_score)| {
                    Ok(NodePage {
                        node: NodeId(uint(node)),
                        account: super::address("account", &account)?,
                        url,
                        shards: uint(shards),
                        left,
                        settled_epoch: settled.map(|epoch| Epoch(uint(epoch))),
                        storage_score,
                        availability_score,
                    })
                },
            )
            .collect()
    }

    /// The latest epochs with a beacon, newest first.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn epoch_pages(&self, limit: u32) -> Result<Vec<EpochPage>, StoreError> {
        type Columns = (i64, Vec<u8>, Option<Vec<u8>>, Option<i64>);
        let rows: Vec<Columns> = sqlx::query_as(
            "SELECT b.epoch, b.beacon, r.report, r.block FROM beacons b LEFT JOIN reports r ON r.epoch = b.epoch
             ORDER BY b.epoch DESC LIMIT ?",
        )
        .bind(i64::from(limit))
        .fetch_all(&self.read)
        .await?;
        rows.into_iter()
            .map(|(epoch, beacon, report, block)| {
                Ok(EpochPage {
                    epoch: Epoch(uint(epoch)),
                    beacon: hash("beacon", &beacon)?,
                    report: report
                        .map(|bytes| cbor::decode("report", &bytes))
                        .transpose()?,
                    reported_block: block.map(uint),
                })
            })
            .collect()
    }

    /// Verdicts of the accepted report of an epoch, as far as this oracle judged it.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn verdict_pages(&self, epoch: Epoch) -> Result<Vec<VerdictPage>, StoreError> {
        let Some((report, _)) = self.accepted_report(epoch).await? else {
            return Ok(Vec::new());
        };
        let settled: Vec<(i64, bool, bool, String)> = sqlx::query_as(
            "SELECT node, paid, grace, slashed FROM settlements WHERE epoch = ? ORDER BY node",
        )
        .bind(int(epoch.0))
        .fetch_all(&self.read)
        .await?;
        let rows = self.judgements(epoch, report.verdict_root).await?;
        Ok(rows
            .into_iter()
            .map(|row| {
                let verdict = row.verdict;
                let outcome = settled
                    .iter()
                    .find(|(node, ..)| uint(*node) == verdict.node.0);
                VerdictPage {
                    epoch,
                    node: verdict.node,
                    reason: verdict.reason,
                    detail: row.detail,
                    judged: verdict.judged,
                    availability: verdict.availability,
                    latency_p95: verdict.latency_p95,
                    throughput: verdict.throughput,
                    evidence_hash: verdict.evidence_hash,
                    envelope_hash: row.envelope_hash,
                    paid: outcome.map(|(_, paid, ..)| *paid),
                    grace: outcome.map(|(_, _, grace, _)| *grace),
                    slashed: outcome.map(|(.., slashed)| slashed.clone()),
                }
            })
            .collect())
    }
}
