//! The roots of a deal, from its events. One search finds those of every slot, and it goes back from the head: whoever stores has
//! just published, and whoever reads need not look further back than the deal's first chunk.

use alloy::{
    primitives::{B256, U256},
    rpc::types::{Filter, Log},
    sol_types::SolEvent,
};
use chain::{Client, bindings::Deals};
use verifier::{
    Slot,
    inventory::{self, ShardRoots},
};

use super::{DealError, reading};
use crate::deals::Deal;

const WHAT: &str = "published roots";

/// What has been found of one slot so far: its list from some stripe on, to the end.
#[derive(Clone, Debug, Default)]
struct Found {
    roots: Vec<ShardRoots>,
    /// The contract's running hash over the whole list. An endpoint may leave events out; this tells.
    expected: B256,
}

impl Found {
    fn hash(&self) -> B256 {
        inventory::slot_list_hash(&self.roots)
    }
}

/// The roots published so far, by slot.
pub(super) async fn roots(client: &Client, deal: &Deal) -> Result<Vec<Vec<ShardRoots>>, DealError> {
    let head = client.rpc().head().await.map_err(reading(WHAT))?.number;
    let mut slots = Vec::new();
    for slot in deal.geometry.slot_numbers() {
        slots.push(Found {
            expected: client
                .at(head)
                .slot_list_hash(deal.id.0, slot)
                .await
                .map_err(reading(WHAT))?,
            roots: Vec::new(),
        });
    }
    let filter = Filter::new()
        .address(client.deployment().deals)
        .event_signature(Deals::SlotPublished::SIGNATURE_HASH)
        .topic1(B256::from(U256::from(deal.id.0)));
    let mut pages = client.logs_backwards(filter, client.deployment().deployment_block, head);
    loop {
        let missing = (0_u16..).zip(&slots).find_map(|(slot, found)| {
            let hash = found.hash();
            (hash != found.expected).then_some((Slot(slot), hash, found.expected))
        });
        let Some((slot, found, expected)) = missing else {
            return Ok(slots.into_iter().map(|slot| slot.roots).collect());
        };
        loop {
            let Some(page) = pages.next_page().await.map_err(reading(WHAT))? else {
                let problem =
                    format!("those of slot {slot} hash to {found}, the contract says {expected}");
                return Err(DealError::Inconsistent {
                    what: WHAT,
                    problem,
                });
            };
            if !page.is_empty() {
                prepend(&mut slots, &page)?;
                break;
            }
        }
    }
}

/// Puts the chunks of an earlier page in front of what was found.
fn prepend(slots: &mut [Found], page: &[Log]) -> Result<(), DealError> {
    let inconsistent = |problem: String| DealError::Inconsistent {
        what: WHAT,
        problem,
    };
    for log in page.iter().rev() {
        let event = Deals::SlotPublished::decode_log_data(log.data())
            .map_err(|error| inconsistent(error.to_string()))?;
        let found = slots
            .get_mut(usize::from(event.slot))
            .ok_or_else(|| inconsistent(format!("there is no slot {}", event.slot)))?;
        let chunk = event.roots.into_iter().map(|roots| ShardRoots {
            storage_root: roots.storageRoot,
            transport_root: roots.transportRoot,
            content_id: roots.contentId,
        });
        found.roots.splice(..0, chunk);
    }
    Ok(())
}
