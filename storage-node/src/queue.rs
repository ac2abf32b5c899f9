//! The account's queue of transactions, which has one place: who waits in it, and who gives way.
//!
//! A transaction is sent only after the one before it was mined or given up, and one that hangs, because fees rose or an
//! endpoint lost it, would be waited for longer than the whole time there is for a submission. So whoever sends stays only as
//! long as the queue is its own. To leave it is safe: the next transaction of the account takes the place of the one that
//! hangs, with its nonce and a higher fee, and at most one of them is mined.

use std::pin::pin;
use std::time::Duration;

/// Blocks before the fallback block from which no other transaction may be in the way of the proof's.
pub const CLEARANCE: u64 = 2;

/// How long a transaction is waited for between two looks whether it must give way.
const LOOK: Duration = Duration::from_millis(250);

/// Waits for a transaction until it is through, or until `over` says that it has no more business in the queue; `None` then.
/// It may be mined all the same.
pub async fn send_until<T, F: Future<Output = bool>>(
    send: impl Future<Output = T>,
    mut over: impl FnMut() -> F,
) -> Option<T> {
    let mut send = pin!(send);
    loop {
        match tokio::time::timeout(LOOK, &mut send).await {
            Ok(sent) => return Some(sent),
            Err(_) if over().await => return None,
            Err(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::cast_possible_truncation)]

    use std::future::{pending, ready};

    use super::*;

    #[tokio::test]
    async fn what_is_through_is_not_asked_to_give_way_and_what_hangs_is_until_it_does() {
        let asked = || -> std::future::Ready<bool> { panic!("asked") };
        assert_eq!(send_until(async { 7 }, asked).await, Some(7));

        let mut looks = 0;
        let over = || {
            looks += 1;
            ready(looks == 3)
        };
        assert_eq!(send_until(pending::<u8>(), over).await, None);
        assert_eq!(looks, 3);
    }

    #[tokio::test]
    async fn what_takes_its_time_gets_it_while_nobody_needs_the_queue() {
        let slow = async {
            tokio::time::sleep(3 * LOOK).await;
            7
        };
        assert_eq!(send_until(slow, || ready(false)).await, Some(7));
    }
}
