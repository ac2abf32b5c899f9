//! What finalized events said: nodes, oracle sets, inventories, beacons, submissions, reports.

use alloy::primitives::B256;
use verifier::cbor;
use verifier::committee::OracleSet;
use verifier::evidence::{Duty, Submission};
use verifier::inventory::{Operation, ShardKey, ShardRoots};
use verifier::report::{Identity, Report};
use verifier::{BlockNumber, DealId, Epoch, NodeId, Slot};

use super::{Store, StoreError, address, hash, int, small, uint};
use crate::onchain::{BlockRef, Endpoint, OracleMember};

/// A registered node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeRow {
    /// Its id.
    pub node: NodeId,
    /// Its latest keys and machine; in force from the epoch after they were enrolled.
    pub identity: Identity,
    /// Where it is reached.
    pub endpoint: Endpoint,
}

/// A machine that stands or stood for a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MachineRow {
    /// It and its keys.
    pub identity: Identity,
    /// Transaction of its enrolment.
    pub enrolled_in: B256,
}

/// One entry of a node's inventory log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogEntry {
    /// Accepted or dropped.
    pub operation: Operation,
    /// The deal.
    pub deal: DealId,
    /// The slot.
    pub slot: Slot,
    /// Its stripes.
    pub stripes: u32,
}

/// A node with a duty in an epoch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkItem {
    /// What it must show.
    pub duty: Duty,
    /// Where it is reached.
    pub endpoint: Endpoint,
    /// Whether the root it claimed differs from what its log replays to.
    pub inventory_mismatch: bool,
}

type NodeColumns = (i64, Vec<u8>, Vec<u8>, Vec<u8>, Vec<u8>, String, Vec<u8>);

fn node_row(
    (node, account, hardware, ak, node_key, url, tls): NodeColumns,
) -> Result<NodeRow, StoreError> {
    Ok(NodeRow {
        node: NodeId(uint(node)),
        identity: identity(&account, &hardware, &ak, &node_key)?,
        endpoint: Endpoint {
            url,
            tls_key_hash: hash("TLS key hash", &tls)?,
        },
    })
}

fn identity(
    account: &[u8],
    hardware: &[u8],
    ak: &[u8],
    node_key: &[u8],
) -> Result<Identity, StoreError> {
    Ok(Identity {
        account: address("node account", account)?,
        hardware_id: hash("hardware id", hardware)?,
        ak_hash: hash("attestation key hash", ak)?,
        node_key_hash: hash("node key hash", node_key)?,
    })
}

impl Store {
    /// The last block whose events are applied.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn followed(&self) -> Result<Option<BlockRef>, StoreError> {
        let stored: Option<Vec<u8>> =
            sqlx::query_scalar("SELECT value FROM meta WHERE key = 'followed'")
                .fetch_optional(&self.read)
                .await?;
        let Some(bytes) = stored else { return Ok(None) };
        let (number, block_hash) = bytes.split_at_checked(8).ok_or(StoreError::Corrupt {
            what: "followed block",
            why: "too short".into(),
        })?;
        let number: [u8; 8] = number.try_into().map_err(|_| StoreError::Corrupt {
            what: "followed block",
            why: "number".into(),
        })?;
        Ok(Some(BlockRef {
            number: BlockNumber(u64::from_be_bytes(number)),
            hash: hash("followed block", block_hash)?,
        }))
    }

    /// Every registered node, also those that left.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn nodes(&self) -> Result<Vec<NodeRow>, StoreError> {
        let rows: Vec<NodeColumns> = sqlx::query_as(
            "SELECT n.node, n.account, m.hardware_id, m.ak_hash, m.node_key_hash, n.url, n.tls_key_hash
             FROM nodes n JOIN machines m ON m.node = n.node
              AND m.position = (SELECT MAX(position) FROM machines WHERE node = n.node)
             ORDER BY n.node",
        )
        .fetch_all(&self.read)
        .await?;
        rows.into_iter().map(node_row).collect()
    }

    /// One registered node.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn node(&self, node: NodeId) -> Result<Option<NodeRow>, StoreError> {
        let row: Option<NodeColumns> = sqlx::query_as(
            "SELECT n.node, n.account, m.hardware_id, m.ak_hash, m.node_key_hash, n.url, n.tls_key_hash
             FROM nodes n JOIN machines m ON m.node = n.node
             WHERE n.node = ? ORDER BY m.position DESC LIMIT 1",
        )
        .bind(int(node.0))
        .fetch_optional(&self.read)
        .await?;
        row.map(node_row).transpose()
    }

    /// The machine of a node that a verdict names by the hash of its identity. Of several enrolments of one the last before the
    /// epoch that begins at `start`: what its oracles signed.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn machine(
        &self,
        node: NodeId,
        identity_hash: B256,
        start: BlockNumber,
    ) -> Result<Option<MachineRow>, StoreError> {
        let known = self.machines_before(node, start).await?;
        Ok(known
            .into_iter()
            .find(|machine| machine.identity.hash() == identity_hash))
    }

    /// The machine that is in force for a node in the epoch that begins at `start`.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn machine_in_force(
        &self,
        node: NodeId,
        start: BlockNumber,
    ) -> Result<Option<MachineRow>, StoreError> {
        Ok(self.machines_before(node, start).await?.into_iter().next())
    }

    /// What a node enrolled with before a block, the last first.
    async fn machines_before(
        &self,
        node: NodeId,
        block: BlockNumber,
    ) -> Result<Vec<MachineRow>, StoreError> {
        type Columns = (Vec<u8>, Vec<u8>, Vec<u8>, Vec<u8>, Vec<u8>);
        let rows: Vec<Columns> = sqlx::query_as(
            "SELECT n.account, m.hardware_id, m.ak_hash, m.node_key_hash, m.enrolled_in
             FROM nodes n JOIN machines m ON m.node = n.node WHERE n.node = ? AND m.block < ? ORDER BY m.position DESC",
        )
        .bind(int(node.0))
        .bind(int(block.0))
        .fetch_all(&self.read)
        .await?;
        rows.iter()
            .map(|(account, hardware, ak, node_key, enrolled_in)| {
                Ok(MachineRow {
                    identity: identity(account, hardware, ak, node_key)?,
                    enrolled_in: hash("transaction", enrolled_in)?,
                })
            })
            .collect()
    }

    /// A node's inventory log, in order.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn inventory_log(&self, node: NodeId) -> Result<Vec<LogEntry>, StoreError> {
        self.inventory_log_before(node, BlockNumber(i64::MAX.cast_unsigned()))
            .await
    }

    /// A node's inventory log up to a block, not included.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn inventory_log_before(
        &self,
        node: NodeId,
        before: BlockNumber,
    ) -> Result<Vec<LogEntry>, StoreError> {
        let rows: Vec<(i64, i64, i64, i64)> = sqlx::query_as(
            "SELECT operation, deal, slot, stripes FROM inventory_log WHERE node = ? AND block < ? ORDER BY position",
        )
        .bind(int(node.0))
        .bind(int(before.0))
        .fetch_all(&self.read)
        .await?;
        rows.into_iter()
            .map(|(operation, deal, slot, stripes)| {
                Ok(LogEntry {
                    operation: if operation == 1 {
                        Operation::Accept
                    } else {
                        Operation::Drop
                    },
                    deal: DealId(uint(deal)),
                    slot: slot_of(slot)?,
                    stripes: small("stripes", stripes)?,
                })
            })
            .collect()
    }

    /// Roots published for a slot, by stripe.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn slot_roots(
        &self,
        deal: DealId,
        slot: Slot,
    ) -> Result<Vec<ShardRoots>, StoreError> {
        let rows: Vec<(Vec<u8>, Vec<u8>, Vec<u8>)> = sqlx::query_as(
            "SELECT storage_root, transport_root, content_id FROM shard_roots WHERE deal = ? AND slot = ? ORDER BY stripe",
        )
        .bind(int(deal.0))
        .bind(i64::from(slot.0))
        .fetch_all(&self.read)
        .await?;
        rows.into_iter()
            .map(|(storage, transport, content)| {
                Ok(ShardRoots {
                    storage_root: hash("storage root", &storage)?,
                    transport_root: hash("transport root", &transport)?,
                    content_id: hash("content id", &content)?,
                })
            })
            .collect()
    }

    /// Transport root of one shard.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn transport_root(&self, shard: ShardKey) -> Result<Option<B256>, StoreError> {
        let row: Option<Vec<u8>> = sqlx::query_scalar(
            "SELECT transport_root FROM shard_roots WHERE deal = ? AND slot = ? AND stripe = ?",
        )
        .bind(int(shard.deal.0))
        .bind(i64::from(shard.slot.0))
        .bind(i64::from(shard.stripe.0))
        .fetch_optional(&self.read)
        .await?;
        row.map(|bytes| hash("transport root", &bytes)).transpose()
    }

    /// Nodes with a duty in the epoch that begins at `start`: those that store something by what had happened before it,
    /// and had not left. A function of final events alone, so that every oracle has the same list.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn work_list(&self, start: BlockNumber) -> Result<Vec<WorkItem>, StoreError> {
        type Columns = (
            i64,
            Vec<u8>,
            Vec<u8>,
            Vec<u8>,
            Vec<u8>,
            String,
            Vec<u8>,
            Vec<u8>,
            i64,
            Option<Vec<u8>>,
        );
        let rows: Vec<Columns> = sqlx::query_as(
            "SELECT n.node, n.account, m.hardware_id, m.ak_hash, m.node_key_hash, n.url, n.tls_key_hash,
                    l.root, l.count, l.replayed_root
             FROM nodes n JOIN inventory_log l ON l.node = n.node
              AND l.position = (SELECT MAX(position) FROM inventory_log WHERE node = n.node AND block < ?1)
             JOIN machines m ON m.node = n.node
              AND m.position = (SELECT MAX(position) FROM machines WHERE node = n.node AND block < ?1)
             WHERE l.count > 0 AND n.registered_block < ?1 AND (n.left_block IS NULL OR n.left_block >= ?1)
             ORDER BY n.node",
        )
        .bind(int(start.0))
        .fetch_all(&self.read)
        .await?;
        rows.into_iter()
            .map(
                |(node, account, hardware, ak, key, url, tls, root, count, replayed)| {
                    let row = node_row((node, account, hardware, ak, key, url, tls))?;
                    let root = hash("inventory root", &root)?;
                    let replayed = replayed
                        .map(|bytes| hash("replayed root", &bytes))
                        .transpose()?;
                    Ok(WorkItem {
                        duty: Duty {
                            node: row.node,
                            identity: row.identity,
                            root,
                            count: uint(count),
                        },
                        endpoint: row.endpoint,
                        inventory_mismatch: replayed != Some(root),
                    })
                },
            )
            .collect()
    }

    /// Whether a node had shards to prove in the epoch that begins at `start`.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn has_duty(&self, node: NodeId, start: BlockNumber) -> Result<bool, StoreError> {
        let count: Option<i64> = sqlx::query_scalar(
            "SELECT count FROM inventory_log WHERE node = ? AND block < ? ORDER BY position DESC LIMIT 1",
        )
        .bind(int(node.0))
        .bind(int(start.0))
        .fetch_optional(&self.read)
        .await?;
        Ok(count.is_some_and(|count| count > 0))
    }

    /// Whether a node was removed or withdrew.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn has_left(&self, node: NodeId) -> Result<bool, StoreError> {
        let left: Option<Option<i64>> =
            sqlx::query_scalar("SELECT left_block FROM nodes WHERE node = ?")
                .bind(int(node.0))
                .fetch_optional(&self.read)
                .await?;
        Ok(left.flatten().is_some())
    }

    /// The oracle set in force in an epoch, with its members' endpoints.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn oracle_set(
        &self,
        epoch: Epoch,
    ) -> Result<Option<(OracleSet, Vec<OracleMember>)>, StoreError> {
        let version: Option<i64> =
            sqlx::query_scalar("SELECT MAX(version) FROM oracle_sets WHERE from_epoch <= ?")
                .bind(int(epoch.0))
                .fetch_one(&self.read)
                .await?;
        let Some(version) = version else {
            return Ok(None);
        };
        let rows: Vec<(Vec<u8>, String, Vec<u8>)> = sqlx::query_as(
            "SELECT account, url, tls_key_hash FROM oracle_sets WHERE version = ? ORDER BY position",
        )
        .bind(version)
        .fetch_all(&self.read)
        .await?;
        let members = rows
            .into_iter()
            .map(|(account, url, tls)| {
                Ok(OracleMember {
                    account: address("oracle account", &account)?,
                    endpoint: Endpoint {
                        url,
                        tls_key_hash: hash("TLS key hash", &tls)?,
                    },
                })
            })
            .collect::<Result<Vec<_>, StoreError>>()?;
        let set = OracleSet::new(
            small("set version", version)?,
            members.iter().map(|it| it.account).collect(),
        )
        .map_err(|error| StoreError::Corrupt {
            what: "oracle set",
            why: error.to_string(),
        })?;
        Ok(Some((set, members)))
    }

    /// Hash of the policy in force in an epoch, as far as is followed; final once the epoch's first block is.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn policy_hash(&self, epoch: Epoch) -> Result<Option<B256>, StoreError> {
        // An epoch beyond what a signed integer holds is negative here, and never comes.
        let row: Option<Vec<u8>> = sqlx::query_scalar(
            "SELECT policy_hash FROM policies WHERE from_epoch BETWEEN 0 AND ? ORDER BY from_epoch DESC LIMIT 1",
        )
        .bind(int(epoch.0))
        .fetch_optional(&self.read)
        .await?;
        row.map(|bytes| hash("policy hash", &bytes)).transpose()
    }

    /// The policy with the last first epoch, in force or announced.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn latest_policy(&self) -> Result<Option<(Epoch, B256)>, StoreError> {
        let row: Option<(i64, Vec<u8>)> = sqlx::query_as(
            "SELECT from_epoch, policy_hash FROM policies ORDER BY from_epoch DESC LIMIT 1",
        )
        .fetch_optional(&self.read)
        .await?;
        row.map(|(from_epoch, bytes)| Ok((Epoch(uint(from_epoch)), hash("policy hash", &bytes)?)))
            .transpose()
    }

    /// The beacon of an epoch, once final.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn beacon(&self, epoch: Epoch) -> Result<Option<B256>, StoreError> {
        let row: Option<Vec<u8>> = sqlx::query_scalar("SELECT beacon FROM beacons WHERE epoch = ?")
            .bind(int(epoch.0))
            .fetch_optional(&self.read)
            .await?;
        row.map(|bytes| hash("beacon", &bytes)).transpose()
    }

    /// What a node submitted on chain for an epoch.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn submission(
        &self,
        epoch: Epoch,
        node: NodeId,
    ) -> Result<Option<Submission>, StoreError> {
        let row: Option<(Vec<u8>, i64)> = sqlx::query_as(
            "SELECT envelope_hash, block FROM submissions WHERE epoch = ? AND node = ?",
        )
        .bind(int(epoch.0))
        .bind(int(node.0))
        .fetch_optional(&self.read)
        .await?;
        row.map(|(envelope, block)| {
            Ok(Submission {
                envelope_hash: hash("envelope hash", &envelope)?,
                block: BlockNumber(uint(block)),
            })
        })
        .transpose()
    }

    /// Body, node signature and proof of what was submitted on chain for an epoch.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn submitted(&self, epoch: Epoch) -> Result<Vec<(NodeId, [Vec<u8>; 3])>, StoreError> {
        type Columns = (i64, Vec<u8>, Vec<u8>, Vec<u8>);
        let rows: Vec<Columns> =
            sqlx::query_as("SELECT node, body, node_signature, proof FROM submissions WHERE epoch = ? ORDER BY node")
                .bind(int(epoch.0))
                .fetch_all(&self.read)
                .await?;
        Ok(rows
            .into_iter()
            .map(|(node, body, signature, proof)| (NodeId(uint(node)), [body, signature, proof]))
            .collect())
    }

    /// The accepted report of an epoch with its block.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn accepted_report(
        &self,
        epoch: Epoch,
    ) -> Result<Option<(Report, BlockNumber)>, StoreError> {
        let row: Option<(Vec<u8>, i64)> =
            sqlx::query_as("SELECT report, block FROM reports WHERE epoch = ?")
                .bind(int(epoch.0))
                .fetch_optional(&self.read)
                .await?;
        row.map(|(report, block)| Ok((cbor::decode("report", &report)?, BlockNumber(uint(block)))))
            .transpose()
    }

    /// Transaction by which an epoch was reported.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn reported_in(&self, epoch: Epoch) -> Result<Option<B256>, StoreError> {
        let row: Option<Vec<u8>> =
            sqlx::query_scalar("SELECT reported_in FROM reports WHERE epoch = ?")
                .bind(int(epoch.0))
                .fetch_optional(&self.read)
                .await?;
        row.map(|bytes| hash("transaction", &bytes)).transpose()
    }

    /// Accepted reports of an epoch and later ones whose clocks are not kept yet, up to a block, ascending by epoch.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn unconcluded(
        &self,
        from: Epoch,
        up_to: BlockNumber,
    ) -> Result<Vec<Report>, StoreError> {
        let rows: Vec<Vec<u8>> = sqlx::query_scalar(
            "SELECT report FROM reports WHERE concluded = 0 AND epoch >= ? AND block <= ? ORDER BY epoch",
        )
        .bind(int(from.0))
        .bind(int(up_to.0))
        .fetch_all(&self.read)
        .await?;
        rows.iter()
            .map(|bytes| Ok(cbor::decode("report", bytes)?))
            .collect()
    }

    /// The latest epochs before one whose reports were accepted up to a block and whose clocks are not kept yet, descending.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn unconcluded_before(
        &self,
        epoch: Epoch,
        up_to: BlockNumber,
        most: u32,
    ) -> Result<Vec<Epoch>, StoreError> {
        let rows: Vec<i64> = sqlx::query_scalar(
            "SELECT epoch FROM reports WHERE concluded = 0 AND epoch < ? AND block <= ? ORDER BY epoch DESC LIMIT ?",
        )
        .bind(int(epoch.0))
        .bind(int(up_to.0))
        .bind(i64::from(most))
        .fetch_all(&self.read)
        .await?;
        Ok(rows.into_iter().map(|epoch| Epoch(uint(epoch))).collect())
    }
}

fn slot_of(value: i64) -> Result<Slot, StoreError> {
    u16::try_from(value)
        .map(Slot)
        .map_err(|_| StoreError::Corrupt {
            what: "slot",
            why: format!("{value}"),
        })
}
