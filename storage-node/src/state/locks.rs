//! One lock a slot: whoever writes a slot's files and whoever deletes them must not meet.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use tokio::sync::{Mutex as AsyncMutex, OwnedMutexGuard};

use crate::shard::SlotId;

/// Locks that exist while somebody holds or awaits them.
#[derive(Clone, Debug, Default)]
pub(super) struct SlotLocks {
    known: Arc<Mutex<HashMap<SlotId, Weak<AsyncMutex<()>>>>>,
}

impl SlotLocks {
    /// Waits for the slot.
    pub(super) async fn lock(&self, slot: SlotId) -> OwnedMutexGuard<()> {
        let lock = {
            let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
            known.retain(|_, lock| lock.strong_count() > 0);
            match known.get(&slot).and_then(Weak::upgrade) {
                Some(lock) => lock,
                None => {
                    let lock = Arc::new(AsyncMutex::new(()));
                    known.insert(slot, Arc::downgrade(&lock));
                    lock
                }
            }
        };
        lock.lock_owned().await
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::cast_possible_truncation)]

    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn a_slot_is_locked_once_at_a_time_and_other_slots_are_not_held_up() {
        let locks = SlotLocks::default();
        let (a, b) = (SlotId::new(1, 0), SlotId::new(1, 1));
        let held = locks.lock(a).await;
        let _other = locks.lock(b).await;
        let wait = Duration::from_millis(20);
        assert!(tokio::time::timeout(wait, locks.lock(a)).await.is_err());
        drop(held);
        assert!(tokio::time::timeout(wait, locks.lock(a)).await.is_ok());
    }
}
