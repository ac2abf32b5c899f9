//! Slots, their shards, this node's tenures, and the final part of its inventory log.

use std::collections::HashMap;

use alloy::primitives::B256;
use sqlx::SqliteConnection;
use verifier::inventory::{Operation, ShardRoots};
use verifier::{DealId, Epoch};

use super::{State, StateError, hash};
use crate::chain_view::Assignment;
use crate::inventory::LogEntry;
use crate::shard::{ShardId, SlotId};

/// Where a tenure stands, as far as final blocks say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TenureState {
    /// The deal is sealed and names this node.
    Offered,
    /// This node accepted.
    Accepted,
    /// This node let go.
    Dropped,
    /// Final: the slot went to another node before this one accepted, or its deal is over.
    Lost,
}

impl TenureState {
    const ALL: [Self; 4] = [Self::Offered, Self::Accepted, Self::Dropped, Self::Lost];

    const fn name(self) -> &'static str {
        match self {
            Self::Offered => "offered",
            Self::Accepted => "accepted",
            Self::Dropped => "dropped",
            Self::Lost => "lost",
        }
    }

    fn by_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.name() == name)
    }
}

/// This node's tenure of a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tenure {
    /// The slot.
    pub slot: SlotId,
    /// Index among the slot's assignments.
    pub assignment: u64,
    /// Where it stands.
    pub state: TenureState,
    /// First epoch counted; 0 while not accepted.
    pub from: Epoch,
    /// Last epoch counted.
    pub to: Epoch,
    /// Epoch of the drop.
    pub dropped_in: Option<Epoch>,
}

/// A shard this node should have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShardRecord {
    /// What the owner published.
    pub roots: ShardRoots,
    /// Whether it was verified and is on disk.
    pub stored: bool,
}

type TenureRow = (i64, i64, i64, String, i64, i64, Option<i64>);
type LogRow = (i64, i64, i64, i64, Vec<u8>, Vec<u8>, Vec<u8>, i64, i64);
type ShardRow = (Vec<u8>, Vec<u8>, Vec<u8>, bool);
type RootsRow = (i64, i64, Vec<u8>, Vec<u8>, Vec<u8>);

impl State {
    /// Remembers a sealed slot with its roots, and this node's tenures of it. What is known already stays.
    ///
    /// # Errors
    /// [`StateError`].
    pub async fn add_slot(
        &self,
        slot: SlotId,
        list_hash: B256,
        roots: &[ShardRoots],
        tenures: &[(u64, Assignment)],
    ) -> Result<(), StateError> {
        let (deal, number) = key(slot);
        let stripes = i64::try_from(roots.len()).map_err(|_| StateError::Damaged("slot"))?;
        let mut tx = self.begin().await?;
        let known: Option<(Vec<u8>,)> =
            sqlx::query_as("SELECT list_hash FROM slots WHERE deal = ? AND slot = ?")
                .bind(deal)
                .bind(number)
                .fetch_optional(&mut *tx)
                .await?;
        // Another list under the same name: the deal we saw first was on a branch that did not last.
        if known.is_some_and(|(hash,)| hash != list_hash.as_slice()) {
            for table in [
                "DELETE FROM shards WHERE deal = ? AND slot = ?",
                "DELETE FROM tenures WHERE deal = ? AND slot = ?",
            ] {
                sqlx::query(table)
                    .bind(deal)
                    .bind(number)
                    .execute(&mut *tx)
                    .await?;
            }
        }
        sqlx::query(
            "INSERT INTO slots (deal, slot, stripes, list_hash) VALUES (?, ?, ?, ?)
             ON CONFLICT (deal, slot) DO UPDATE SET stripes = excluded.stripes, list_hash = excluded.list_hash",
        )
        .bind(deal)
        .bind(number)
        .bind(stripes)
        .bind(list_hash.as_slice())
        .execute(&mut *tx)
        .await?;
        for (stripe, roots) in (0i64..).zip(roots) {
            sqlx::query(
                "INSERT INTO shards (deal, slot, stripe, storage_root, transport_root, content_id) VALUES (?, ?, ?, ?, ?, ?)
                 ON CONFLICT DO NOTHING",
            )
            .bind(deal)
            .bind(number)
            .bind(stripe)
            .bind(roots.storage_root.as_slice())
            .bind(roots.transport_root.as_slice())
            .bind(roots.content_id.as_slice())
            .execute(&mut *tx)
            .await?;
        }
        for (assignment, tenure) in tenures {
            put_tenure(&mut tx, slot, *assignment, tenure).await?;
        }
        sqlx::query("DELETE FROM offers WHERE deal = ? AND slot = ?")
            .bind(deal)
            .bind(number)
            .execute(&mut *tx)
            .await?;
        Ok(tx.commit().await?)
    }

    /// Takes over what the chain says of this node's tenures of a known slot; their states are left to final events.
    ///
    /// # Errors
    /// [`StateError`].
    pub async fn refresh_tenures(
        &self,
        slot: SlotId,
        tenures: &[(u64, Assignment)],
    ) -> Result<(), StateError> {
        let mut tx = self.begin().await?;
        for (assignment, tenure) in tenures {
            put_tenure(&mut tx, slot, *assignment, tenure).await?;
        }
        Ok(tx.commit().await?)
    }

    /// Remembers that an unsealed deal names this node for a slot.
    ///
    /// # Errors
    /// [`StateError`].
    pub async fn add_offer(&self, slot: SlotId) -> Result<(), StateError> {
        let (deal, number) = key(slot);
        sqlx::query("INSERT INTO offers (deal, slot) VALUES (?, ?) ON CONFLICT DO NOTHING")
            .bind(deal)
            .bind(number)
            .execute(&self.pool)
            .await?;
        Ok(())
    }

    /// The slots a deal offered while it was not sealed.
    ///
    /// # Errors
    /// [`StateError`].
    pub async fn offers(&self, deal: DealId) -> Result<Vec<SlotId>, StateError> {
        let rows: Vec<(i64, i64)> = sqlx::query_as("SELECT deal, slot FROM offers WHERE deal = ?")
            .bind(deal.0.cast_signed())
            .fetch_all(&self.pool)
            .await?;
        rows.into_iter()
            .map(|(deal, slot)| slot_id(deal, slot))
            .collect()
    }

    /// Stripes and list hash of a known slot.
    ///
    /// # Errors
    /// [`StateError`].
    pub async fn slot(&self, slot: SlotId) -> Result<Option<(u32, B256)>, StateError> {
        let (deal, number) = key(slot);
        let row: Option<(i64, Vec<u8>)> =
            sqlx::query_as("SELECT stripes, list_hash FROM slots WHERE deal = ? AND slot = ?")
                .bind(deal)
                .bind(number)
                .fetch_optional(&self.pool)
                .await?;
        row.map(|(stripes, list)| {
            Ok((
                u32::try_from(stripes).map_err(|_| StateError::Damaged("slot"))?,
                hash("slot", &list)?,
            ))
        })
        .transpose()
    }

    /// Every known slot, in order.
    ///
    /// # Errors
    /// [`StateError`].
    pub async fn slots(&self) -> Result<Vec<SlotId>, StateError> {
        let rows: Vec<(i64, i64)> =
            sqlx::query_as("SELECT deal, slot FROM slots ORDER BY deal, slot")
                .fetch_all(&self.pool)
                .await?;
        rows.into_iter()
            .map(|(deal, slot)| slot_id(deal, slot))
            .collect()
    }

    /// This node's tenures, in order.
    ///
    /// # Errors
    /// [`StateError`].
    pub async fn tenures(&self) -> Result<Vec<Tenure>, StateError> {
        let rows: Vec<TenureRow> = sqlx::query_as(
            "SELECT deal, slot, assignment, state, from_epoch, to_epoch, dropped_in FROM tenures ORDER BY deal, slot, assignment",
        )
        .fetch_all(&self.pool)
        .await?;
        rows.into_iter()
            .map(|(deal, slot, assignment, state, from, to, dropped_in)| {
                Ok(Tenure {
                    slot: slot_id(deal, slot)?,
                    assignment: assignment.cast_unsigned(),
                    state: TenureState::by_name(&state).ok_or(StateError::Damaged("tenure"))?,
                    from: Epoch(from.cast_unsigned()),
                    to: Epoch(to.cast_unsigned()),
                    dropped_in: dropped_in.map(|epoch| Epoch(epoch.cast_unsigned())),
                })
            })
            .collect()
    }

    /// A shard this node should have.
    ///
    /// # Errors
    /// [`StateError`].
    pub async fn shard(&self, shard: ShardId) -> Result<Option<ShardRecord>, StateError> {
        let (deal, number) = key(shard.slot);
        let row: Option<ShardRow> = sqlx::query_as(
            "SELECT storage_root, transport_root, content_id, stored FROM shards WHERE deal = ? AND slot = ? AND stripe = ?",
        )
        .bind(deal)
        .bind(number)
        .bind(i64::from(shard.stripe.0))
        .fetch_optional(&self.pool)
        .await?;
        row.map(|(storage, transport, content, stored)| {
            Ok(ShardRecord {
                roots: roots(&storage, &transport, &content)?,
                stored,
            })
        })
        .transpose()
    }

    /// Notes that a shard is on disk, or no longer.
    ///
    /// # Errors
    /// [`StateError`].
    pub async fn set_stored(&self, shard: ShardId, stored: bool) -> Result<(), StateError> {
        let (deal, number) = key(shard.slot);
        sqlx::query("UPDATE shards SET stored = ? WHERE deal = ? AND slot = ? AND stripe = ?")
            .bind(stored)
            .bind(deal)
            .bind(number)
            .bind(i64::from(shard.stripe.0))
            .execute(&self.pool)
            .await?;
        Ok(())
    }

    /// Shards of a slot, and how many of them are on disk.
    ///
    /// # Errors
    /// [`StateError`].
    pub async fn progress(&self, slot: SlotId) -> Result<(u64, u64), StateError> {
        let (deal, number) = key(slot);
        let (all, stored): (i64, i64) = sqlx::query_as(
            "SELECT COUNT(*), COALESCE(SUM(stored), 0) FROM shards WHERE deal = ? AND slot = ?",
        )
        .bind(deal)
        .bind(number)
        .fetch_one(&self.pool)
        .await?;
        Ok((all.cast_unsigned(), stored.cast_unsigned()))
    }

    /// Shards on disk.
    ///
    /// # Errors
    /// [`StateError`].
    pub async fn stored_shards(&self) -> Result<u64, StateError> {
        let (stored,): (i64,) = sqlx::query_as("SELECT COUNT(*) FROM shards WHERE stored")
            .fetch_one(&self.pool)
            .await?;
        Ok(stored.cast_unsigned())
    }

    /// The published roots of one slot, by stripe.
    ///
    /// # Errors
    /// [`StateError`].
    pub async fn roots_of(&self, slot: SlotId) -> Result<Vec<ShardRoots>, StateError> {
        let (deal, number) = key(slot);
        let rows: Vec<(Vec<u8>, Vec<u8>, Vec<u8>)> = sqlx::query_as(
            "SELECT storage_root, transport_root, content_id FROM shards WHERE deal = ? AND slot = ? ORDER BY stripe",
        )
        .bind(deal)
        .bind(number)
        .fetch_all(&self.pool)
        .await?;
        rows.iter()
            .map(|(storage, transport, content)| roots(storage, transport, content))
            .collect()
    }

    /// The published roots of every slot, by stripe.
    ///
    /// # Errors
    /// [`StateError`].
    pub async fn roots(&self) -> Result<HashMap<SlotId, Vec<ShardRoots>>, StateError> {
        let rows: Vec<RootsRow> = sqlx::query_as(
            "SELECT deal, slot, storage_root, transport_root, content_id FROM shards ORDER BY deal, slot, stripe",
        )
        .fetch_all(&self.pool)
        .await?;
        let mut known: HashMap<SlotId, Vec<ShardRoots>> = HashMap::new();
        for (deal, slot, storage, transport, content) in &rows {
            known
                .entry(slot_id(*deal, *slot)?)
                .or_default()
                .push(roots(storage, transport, content)?);
        }
        Ok(known)
    }

    /// The final part of the inventory log, in order.
    ///
    /// # Errors
    /// [`StateError`].
    pub async fn log(&self) -> Result<Vec<LogEntry>, StateError> {
        let rows: Vec<LogRow> = sqlx::query_as(
            "SELECT op, deal, slot, stripes, list_hash, log, root, count, block FROM inventory_log ORDER BY position",
        )
        .fetch_all(&self.pool)
        .await?;
        rows.into_iter()
            .map(
                |(op, deal, slot, stripes, list_hash, log, root, count, block)| {
                    let operation = match op {
                        1 => Operation::Accept,
                        2 => Operation::Drop,
                        _ => return Err(StateError::Damaged("inventory log")),
                    };
                    Ok(LogEntry {
                        operation,
                        slot: slot_id(deal, slot)?,
                        stripes: u32::try_from(stripes)
                            .map_err(|_| StateError::Damaged("inventory log"))?,
                        list_hash: hash("inventory log", &list_hash)?,
                        log: hash("inventory log", &log)?,
                        root: hash("inventory log", &root)?,
                        count: count.cast_unsigned(),
                        block: block.cast_unsigned(),
                    })
                },
            )
            .collect()
    }

    /// Applies the inventory changes of final blocks and moves the cursor behind them, all or nothing. `epoch_of` gives the
    /// epoch of a block.
    ///
    /// # Errors
    /// [`StateError`].
    pub async fn apply_final(
        &self,
        entries: &[LogEntry],
        next_block: u64,
        epoch_of: impl Fn(u64) -> Epoch,
    ) -> Result<(), StateError> {
        let mut tx = self.begin().await?;
        for entry in entries {
            let (deal, number) = key(entry.slot);
            sqlx::query(
                "INSERT INTO inventory_log (op, deal, slot, stripes, list_hash, log, root, count, block)
                 VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            )
            .bind(i64::from(entry.operation as u8))
            .bind(deal)
            .bind(number)
            .bind(i64::from(entry.stripes))
            .bind(entry.list_hash.as_slice())
            .bind(entry.log.as_slice())
            .bind(entry.root.as_slice())
            .bind(entry.count.cast_signed())
            .bind(entry.block.cast_signed())
            .execute(&mut *tx)
            .await?;
            let epoch = epoch_of(entry.block).0;
            match entry.operation {
                Operation::Accept => {
                    // The tenure whose first epoch follows the accept. One marked lost is ours all the same: the chain says so.
                    let from = epoch.saturating_add(1).cast_signed();
                    sqlx::query(
                        "UPDATE tenures SET state = 'accepted' WHERE deal = ? AND slot = ? AND assignment =
                         (SELECT assignment FROM tenures t WHERE t.deal = tenures.deal AND t.slot = tenures.slot
                          AND t.state IN ('offered', 'lost')
                          ORDER BY t.from_epoch = ? DESC, CASE WHEN t.from_epoch = ? THEN t.assignment ELSE -t.assignment END
                          LIMIT 1)",
                    )
                    .bind(deal)
                    .bind(number)
                    .bind(from)
                    .bind(from)
                }
                Operation::Drop => sqlx::query(
                    "UPDATE tenures SET state = 'dropped', dropped_in = ? WHERE deal = ? AND slot = ? AND state = 'accepted'",
                )
                .bind(epoch.cast_signed())
                .bind(deal)
                .bind(number),
            }
            .execute(&mut *tx)
            .await?;
        }
        sqlx::query(
            "INSERT INTO chain_cursor (id, next_block) VALUES (0, ?)
             ON CONFLICT (id) DO UPDATE SET next_block = excluded.next_block",
        )
        .bind(next_block.cast_signed())
        .execute(&mut *tx)
        .await?;
        Ok(tx.commit().await?)
    }

    /// The shards of a slot that are on disk.
    ///
    /// # Errors
    /// [`StateError`].
    pub async fn stored_of(&self, slot: SlotId) -> Result<Vec<ShardId>, StateError> {
        self.shards_of(slot, true).await
    }

    /// The shards of a slot that are not on disk, as far as is known.
    ///
    /// # Errors
    /// [`StateError`].
    pub async fn unstored_of(&self, slot: SlotId) -> Result<Vec<ShardId>, StateError> {
        self.shards_of(slot, false).await
    }

    async fn shards_of(&self, slot: SlotId, stored: bool) -> Result<Vec<ShardId>, StateError> {
        let (deal, number) = key(slot);
        let rows: Vec<(i64,)> = sqlx::query_as(
            "SELECT stripe FROM shards WHERE deal = ? AND slot = ? AND stored = ? ORDER BY stripe",
        )
        .bind(deal)
        .bind(number)
        .bind(stored)
        .fetch_all(&self.pool)
        .await?;
        rows.into_iter()
            .map(|(stripe,)| {
                u32::try_from(stripe)
                    .map(|stripe| slot.shard(stripe))
                    .map_err(|_| StateError::Damaged("shard"))
            })
            .collect()
    }

    /// Shards on disk of slots this node has not accepted.
    ///
    /// # Errors
    /// [`StateError`].
    pub async fn unaccepted_shards(&self) -> Result<u64, StateError> {
        let (stored,): (i64,) = sqlx::query_as(
            "SELECT COUNT(*) FROM shards s WHERE stored
             AND EXISTS (SELECT 1 FROM tenures t WHERE t.deal = s.deal AND t.slot = s.slot AND t.state IN ('offered', 'lost'))
             AND NOT EXISTS (SELECT 1 FROM tenures t WHERE t.deal = s.deal AND t.slot = s.slot AND t.state = 'accepted')",
        )
        .fetch_one(&self.pool)
        .await?;
        Ok(stored.cast_unsigned())
    }

    /// This node's tenures of one slot, in order.
    ///
    /// # Errors
    /// [`StateError`].
    pub async fn tenures_of(&self, slot: SlotId) -> Result<Vec<Tenure>, StateError> {
        let mut tenures = self.tenures().await?;
        tenures.retain(|tenure| tenure.slot == slot);
        Ok(tenures)
    }

    /// Marks an offered tenure as one that can no longer be accepted. Only for what a final block says.
    ///
    /// # Errors
    /// [`StateError`].
    pub async fn set_lost(&self, slot: SlotId, assignment: u64) -> Result<(), StateError> {
        let (deal, number) = key(slot);
        sqlx::query(
            "UPDATE tenures SET state = 'lost' WHERE deal = ? AND slot = ? AND assignment = ? AND state = 'offered'",
        )
        .bind(deal)
        .bind(number)
        .bind(assignment.cast_signed())
        .execute(&self.pool)
        .await?;
        Ok(())
    }
}

async fn put_tenure(
    tx: &mut SqliteConnection,
    slot: SlotId,
    assignment: u64,
    tenure: &Assignment,
) -> Result<(), StateError> {
    let (deal, number) = key(slot);
    sqlx::query(
        "INSERT INTO tenures (deal, slot, assignment, state, from_epoch, to_epoch) VALUES (?, ?, ?, 'offered', ?, ?)
         ON CONFLICT (deal, slot, assignment) DO UPDATE SET from_epoch = excluded.from_epoch, to_epoch = excluded.to_epoch",
    )
    .bind(deal)
    .bind(number)
    .bind(assignment.cast_signed())
    .bind(tenure.from.0.cast_signed())
    .bind(tenure.to.0.cast_signed())
    .execute(tx)
    .await?;
    Ok(())
}

fn key(slot: SlotId) -> (i64, i64) {
    (slot.deal.0.cast_signed(), i64::from(slot.slot.0))
}

fn slot_id(deal: i64, slot: i64) -> Result<SlotId, StateError> {
    let slot = u16::try_from(slot).map_err(|_| StateError::Damaged("slot"))?;
    Ok(SlotId::new(deal.cast_unsigned(), slot))
}

fn roots(storage: &[u8], transport: &[u8], content: &[u8]) -> Result<ShardRoots, StateError> {
    Ok(ShardRoots {
        storage_root: hash("shard", storage)?,
        transport_root: hash("shard", transport)?,
        content_id: hash("shard", content)?,
    })
}
