//! Puts final events into the tables, a step of the chain at a time.

use alloy::primitives::B256;
use sqlx::{Sqlite, Transaction};
use verifier::{BlockNumber, NodeId, cbor};

use super::{Store, StoreError, int};
use crate::onchain::{BlockRef, Event, InventoryChange, Logged};

impl Store {
    /// Applies events and moves the followed block, at once or not at all. `replayed` are the roots the replay came to,
    /// one for each inventory event in order.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn apply(
        &self,
        events: &[Logged],
        replayed: &[Option<B256>],
        followed: BlockRef,
    ) -> Result<(), StoreError> {
        let mut tx = self.write.begin_with("BEGIN IMMEDIATE").await?;
        let mut replayed = replayed.iter();
        for logged in events {
            let event = &logged.event;
            let replayed = match event {
                Event::Inventory(_) => replayed.next().copied().flatten(),
                _ => None,
            };
            apply_one(&mut tx, logged, replayed).await?;
        }
        let mut value = followed.number.0.to_be_bytes().to_vec();
        value.extend_from_slice(followed.hash.as_slice());
        sqlx::query("INSERT INTO meta (key, value) VALUES ('followed', ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value")
            .bind(value)
            .execute(&mut *tx)
            .await?;
        tx.commit().await?;
        Ok(())
    }
}

async fn apply_one(
    tx: &mut Transaction<'_, Sqlite>,
    logged: &Logged,
    replayed: Option<B256>,
) -> Result<(), StoreError> {
    let Logged {
        block,
        transaction,
        event,
    } = logged;
    match event {
        Event::NodeRegistered {
            node,
            identity,
            endpoint,
        } => {
            sqlx::query(
                "INSERT INTO nodes (node, account, registered_block, url, tls_key_hash) VALUES (?, ?, ?, ?, ?)
                 ON CONFLICT DO NOTHING",
            )
            .bind(int(node.0))
            .bind(identity.account.as_slice())
            .bind(int(block.0))
            .bind(&endpoint.url)
            .bind(endpoint.tls_key_hash.as_slice())
            .execute(&mut **tx)
            .await?;
            let keys = [
                identity.hardware_id,
                identity.ak_hash,
                identity.node_key_hash,
            ];
            add_machine(tx, logged, *node, keys).await?;
        }
        Event::MachineChanged {
            node,
            hardware_id,
            ak_hash,
            node_key_hash,
        } => {
            add_machine(tx, logged, *node, [*hardware_id, *ak_hash, *node_key_hash]).await?;
        }
        Event::EndpointChanged { node, endpoint } => {
            sqlx::query("UPDATE nodes SET url = ?, tls_key_hash = ? WHERE node = ?")
                .bind(&endpoint.url)
                .bind(endpoint.tls_key_hash.as_slice())
                .bind(int(node.0))
                .execute(&mut **tx)
                .await?;
        }
        Event::NodeLeft(node) => {
            sqlx::query("UPDATE nodes SET left_block = ? WHERE node = ? AND left_block IS NULL")
                .bind(int(block.0))
                .bind(int(node.0))
                .execute(&mut **tx)
                .await?;
        }
        Event::OracleSet {
            version,
            from_epoch,
            members,
        } => {
            for (position, member) in members.iter().enumerate() {
                sqlx::query(
                    "INSERT INTO oracle_sets (version, position, from_epoch, account, url, tls_key_hash)
                     VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
                )
                .bind(i64::from(*version))
                .bind(int(position as u64))
                .bind(int(from_epoch.0))
                .bind(member.account.as_slice())
                .bind(&member.endpoint.url)
                .bind(member.endpoint.tls_key_hash.as_slice())
                .execute(&mut **tx)
                .await?;
            }
        }
        Event::PolicyChanged {
            policy_hash,
            from_epoch,
        } => {
            sqlx::query("INSERT INTO policies (from_epoch, policy_hash) VALUES (?, ?)")
                .bind(int(from_epoch.0))
                .bind(policy_hash.as_slice())
                .execute(&mut **tx)
                .await?;
        }
        Event::PolicyWithdrawn(from_epoch) => {
            sqlx::query("DELETE FROM policies WHERE from_epoch = ?")
                .bind(int(from_epoch.0))
                .execute(&mut **tx)
                .await?;
        }
        Event::SlotPublished {
            deal,
            slot,
            offset,
            roots,
        } => {
            for (stripe, roots) in (u64::from(*offset)..).zip(roots) {
                sqlx::query(
                    "INSERT INTO shard_roots VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
                )
                .bind(int(deal.0))
                .bind(i64::from(slot.0))
                .bind(int(stripe))
                .bind(roots.storage_root.as_slice())
                .bind(roots.transport_root.as_slice())
                .bind(roots.content_id.as_slice())
                .execute(&mut **tx)
                .await?;
            }
        }
        Event::Inventory(change) => append_log(tx, *block, change, replayed).await?,
        Event::Beacon(epoch, beacon) => {
            sqlx::query("INSERT INTO beacons VALUES (?, ?) ON CONFLICT DO NOTHING")
                .bind(int(epoch.0))
                .bind(beacon.as_slice())
                .execute(&mut **tx)
                .await?;
        }
        Event::ProofSubmitted {
            node,
            epoch,
            envelope_hash,
            body,
            node_signature,
            proof,
        } => {
            sqlx::query(
                "INSERT INTO submissions VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
            )
            .bind(int(epoch.0))
            .bind(int(node.0))
            .bind(envelope_hash.as_slice())
            .bind(&body[..])
            .bind(&node_signature[..])
            .bind(&proof[..])
            .bind(int(block.0))
            .execute(&mut **tx)
            .await?;
        }
        Event::Report(report) => {
            sqlx::query("INSERT INTO reports (epoch, report, verdict_root, block, reported_in) VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING")
                .bind(int(report.epoch.0))
                .bind(cbor::encode(report))
                .bind(report.verdict_root.as_slice())
                .bind(int(block.0))
                .bind(transaction.as_slice())
                .execute(&mut **tx)
                .await?;
        }
        Event::Settled(node, epoch, settled) => {
            sqlx::query("INSERT INTO settlements VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING")
                .bind(int(node.0))
                .bind(int(epoch.0))
                .bind(int(block.0))
                .bind(settled.reason.map(|reason| i64::from(reason.code())))
                .bind(settled.skipped.map(i64::from))
                .bind(settled.paid)
                .bind(settled.grace)
                .bind(settled.slashed.to_string())
                .bind(settled.scores.map(|(storage, _)| i64::from(storage)))
                .bind(settled.scores.map(|(_, availability)| i64::from(availability)))
                .execute(&mut **tx)
                .await?;
        }
    }
    Ok(())
}

async fn add_machine(
    tx: &mut Transaction<'_, Sqlite>,
    logged: &Logged,
    node: NodeId,
    [hardware_id, ak_hash, node_key_hash]: [B256; 3],
) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO machines
         SELECT ?1, COALESCE(MAX(position) + 1, 0), ?2, ?3, ?4, ?5, ?6 FROM machines WHERE node = ?1",
    )
    .bind(int(node.0))
    .bind(int(logged.block.0))
    .bind(logged.transaction.as_slice())
    .bind(hardware_id.as_slice())
    .bind(ak_hash.as_slice())
    .bind(node_key_hash.as_slice())
    .execute(&mut **tx)
    .await?;
    Ok(())
}

async fn append_log(
    tx: &mut Transaction<'_, Sqlite>,
    block: BlockNumber,
    change: &InventoryChange,
    replayed: Option<B256>,
) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO inventory_log
         SELECT ?1, COALESCE(MAX(position) + 1, 0), ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10 FROM inventory_log WHERE node = ?1",
    )
    .bind(int(change.node.0))
    .bind(int(block.0))
    .bind(i64::from(change.operation as u8))
    .bind(int(change.deal.0))
    .bind(i64::from(change.slot.0))
    .bind(i64::from(change.stripes))
    .bind(change.log.as_slice())
    .bind(change.root.as_slice())
    .bind(int(change.count))
    .bind(replayed.map(|root| root.to_vec()))
    .execute(&mut **tx)
    .await?;
    Ok(())
}
