//! What a machine's bundles say of it epoch by epoch: its standing, and when its clock was seen.
//!
//! A bundle is one verdict. An auditor who has those of many epochs can fold them: the standings of [`crate::tpm::standing`], the sightings
//! of [`crate::tpm::correlation`]. Nothing here judges evidence; give it bundles that [`super::audit`] accepts.
//!
//! Protocol: section 5.

use std::collections::BTreeMap;

use alloy_primitives::B256;

use super::Bundle;
use super::enrolled::NotEnrolled;
use crate::cbor;
use crate::committee::{Observations, Reachability};
use crate::envelope::{Envelope, EnvelopeBody};
use crate::evidence::Evidence;
use crate::ids::{BlockNumber, Epoch, NodeId};
use crate::revocation::Machine;
use crate::tpm::correlation::Sighting;
use crate::tpm::standing::{Event, Standing};
use crate::tpm::{Attest, ClockInfo};
use crate::trust::Trust;
use crate::{Reason, report::Identity};

/// One accepted bundle, as far as a machine's history needs it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The node.
    pub node: NodeId,
    /// The epoch.
    pub epoch: Epoch,
    /// Its machine and keys.
    pub identity: Identity,
    /// The verdict.
    pub reason: Reason,
    /// What happened to the machine; nothing if a graver fault hides whether its quote would have been accepted.
    pub event: Option<Event>,
    /// The machine by everything that a notice can name it with.
    pub machine: Machine,
    /// The clock its quote showed.
    pub clock: Option<ClockInfo>,
    /// Blocks between which the quote was made: the epoch's first, and that of the earliest receipt.
    pub blocks: (BlockNumber, BlockNumber),
}

impl Entry {
    /// Reads a bundle that was accepted, with the trust file it was accepted by.
    ///
    /// # Errors
    /// If its certificates do not hold: then it was not accepted.
    pub fn of(bundle: &Bundle, trust: &Trust) -> Result<Self, NotEnrolled> {
        let (verdict, schedule) = (&bundle.verdict, &trust.schedule);
        let facts = bundle.enrolled(trust)?.facts;
        let clock = bundle.evidence.as_ref().and_then(clock_of_evidence);
        let deadline = schedule.deadline(verdict.epoch);
        let start = BlockNumber(deadline.0.saturating_sub(schedule.deadline_block));
        let receipts = bundle.evidence.iter().flat_map(|it| &it.receipts);
        let received = receipts.map(|it| it.block).min().unwrap_or(deadline);
        Ok(Self {
            node: verdict.node,
            epoch: verdict.epoch,
            identity: bundle.identity,
            reason: verdict.reason,
            event: event(bundle, clock.as_ref()),
            machine: Machine::of(facts.hardware_id, facts.ak_hash, &facts.certificate),
            clock,
            blocks: (start, received.max(start)),
        })
    }

    /// The clock with the times between which it was read, if a block takes so many milliseconds.
    pub fn sighting(&self, block_ms: u64) -> Option<Sighting> {
        let at = |block: BlockNumber| block.0.saturating_mul(block_ms);
        Some(Sighting {
            earliest_ms: at(self.blocks.0),
            // A receipt names the latest block when the envelope came: the next one may have been on its way.
            latest_ms: at(BlockNumber(self.blocks.1.0.saturating_add(1))),
            clock: self.clock?,
        })
    }
}

fn clock_of(body: &EnvelopeBody) -> Option<ClockInfo> {
    Some(Attest::parse(&body.attest).ok()?.clock)
}

fn clock_of_evidence(evidence: &Evidence) -> Option<ClockInfo> {
    let envelope: Envelope = cbor::decode("envelope", &evidence.envelope).ok()?;
    clock_of(&envelope.open().ok()?.0)
}

/// What an accepted verdict says of the machine.
fn event(bundle: &Bundle, clock: Option<&ClockInfo>) -> Option<Event> {
    Some(match bundle.verdict.reason {
        Reason::AttestationForged => Event::Forged,
        Reason::AttestationFailed if is_revoked(bundle) => Event::Notice { permanent: false },
        Reason::AttestationFailed => match clock {
            None => Event::QuoteMissing,
            Some(now) => {
                let previous = bundle.previous.as_ref();
                let before = previous.and_then(|it| clock_of(&it.open().ok()?.0));
                match before.map(|before| ClockInfo::check_progress(&before, now)) {
                    Some(Err(_)) => Event::CountersBackwards,
                    None | Some(Ok(())) => Event::StateChanged,
                }
            }
        },
        Reason::Pass | Reason::Slow | Reason::Unreachable => Event::QuoteAccepted,
        _ if bundle.evidence.is_none() => Event::QuoteMissing,
        // A bad proof or inventory is graver than a bad quote: the verdict says nothing of it.
        _ => return None,
    })
}

/// Whether f + 1 oracles said that they have revoked it.
pub(super) fn is_revoked(bundle: &Bundle) -> bool {
    let (deployment, set) = (&bundle.deployment, &bundle.oracle_set);
    let opened = bundle.observations.iter().filter_map(|signed| {
        let it = signed.open(deployment, bundle.report.epoch, set).ok()?;
        Some((it.oracle, it))
    });
    let observations: Observations = opened.collect();
    let said = observations
        .values()
        .filter_map(|it| it.statement(bundle.verdict.node))
        .filter(|it| it.reachability == Reachability::Revoked);
    said.count() > set.faults()
}

/// A machine that stood for a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Tenure {
    /// The node.
    pub node: NodeId,
    /// Its hardware id.
    pub hardware_id: B256,
}

/// What became of a machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct History {
    /// Where it stands after the last epoch there is a bundle of.
    pub standing: Standing,
    /// Its bundles, ascending by epoch.
    pub entries: Vec<Entry>,
}

/// Folds entries into one history a machine of a node. Of two entries of one epoch the first counts. Epochs without a bundle are not
/// judged: nothing is known of them.
pub fn fold(entries: impl IntoIterator<Item = Entry>) -> BTreeMap<Tenure, History> {
    let mut by_epoch: BTreeMap<(NodeId, Epoch), Entry> = BTreeMap::new();
    for entry in entries {
        by_epoch.entry((entry.node, entry.epoch)).or_insert(entry);
    }
    let mut histories: BTreeMap<Tenure, History> = BTreeMap::new();
    // Where a machine stood when another one took its place: one that comes back begins there, not anew.
    let mut left: BTreeMap<Tenure, Standing> = BTreeMap::new();
    let mut present: BTreeMap<NodeId, Identity> = BTreeMap::new();
    for entry in by_epoch.into_values() {
        let (node, now) = (entry.node, entry.epoch);
        let tenure = |identity: &Identity| Tenure {
            node,
            hardware_id: identity.hardware_id,
        };
        let machine = tenure(&entry.identity);
        let before = present.insert(node, entry.identity);
        let before = before.filter(|before| *before != entry.identity);
        let mut events = Vec::new();
        if let Some(before) = before.map(|before| tenure(&before)) {
            if before != machine
                && let Some(old) = histories.get_mut(&before)
            {
                left.insert(before, old.standing);
                let by = machine.hardware_id;
                old.standing = old.standing.after(Event::Replaced { by }, now);
            }
            // With keys that a quorum has activated, in this machine or another.
            events.push(Event::Enrolled);
        }
        let history = histories.entry(machine).or_insert_with(|| History {
            standing: Standing::Attested,
            entries: Vec::new(),
        });
        if let Some(standing) = left.remove(&machine) {
            history.standing = standing;
        }
        // The quorum passes what it has revoked no more: the notices were undone, or named a key that is gone.
        if matches!(history.standing, Standing::Revoked { .. })
            && entry.event == Some(Event::QuoteAccepted)
        {
            events.insert(0, Event::Reinstated);
        }
        events.extend(entry.event);
        history.standing = history.standing.after_epoch(&events, now);
        history.entries.push(entry);
    }
    histories
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::tpm::standing::{Doubt, SUSPECT_EPOCHS};
    use alloy_primitives::Address;

    fn entry(epoch: u64, machine: u8, key: u8, event: impl Into<Option<Event>>) -> Entry {
        Entry {
            node: NodeId(1),
            epoch: Epoch(epoch),
            identity: Identity {
                account: Address::ZERO,
                hardware_id: B256::repeat_byte(machine),
                ak_hash: B256::repeat_byte(key),
                node_key_hash: B256::repeat_byte(key),
            },
            reason: Reason::Pass,
            event: event.into(),
            machine: Machine::default(),
            clock: None,
            blocks: (BlockNumber(epoch * 40), BlockNumber(epoch * 40 + 5)),
        }
    }

    fn standing(entries: Vec<Entry>, machine: u8) -> Standing {
        let tenure = Tenure {
            node: NodeId(1),
            hardware_id: B256::repeat_byte(machine),
        };
        fold(entries)[&tenure].standing
    }

    #[test]
    fn a_missed_quote_is_forgiven_by_the_next_and_too_many_are_not() {
        let missed = |epochs: std::ops::Range<u64>| {
            epochs
                .map(|epoch| entry(epoch, 1, 1, Event::QuoteMissing))
                .collect::<Vec<_>>()
        };
        let mut entries = missed(3..4);
        entries.push(entry(4, 1, 1, Event::QuoteAccepted));
        assert_eq!(standing(entries, 1), Standing::Attested);
        let long = missed(3..3 + SUSPECT_EPOCHS + 2);
        assert!(matches!(
            standing(long, 1),
            Standing::Quarantined {
                doubt: Doubt::QuoteMissing,
                ..
            }
        ));
    }

    #[test]
    fn counters_that_ran_backwards_are_healed_by_new_keys_only_and_a_new_machine_stands_for_itself()
    {
        // Given in no order, one of them twice.
        let mut entries = vec![
            entry(5, 1, 1, Event::QuoteAccepted),
            entry(4, 1, 1, Event::CountersBackwards),
            entry(4, 1, 1, Event::QuoteAccepted),
        ];
        assert!(matches!(
            standing(entries.clone(), 1),
            Standing::Quarantined {
                doubt: Doubt::CountersBackwards,
                since: Epoch(4)
            }
        ));
        entries.push(entry(6, 1, 2, Event::QuoteAccepted));
        assert_eq!(standing(entries.clone(), 1), Standing::Attested);
        entries.push(entry(7, 2, 3, Event::QuoteMissing));
        assert_eq!(
            standing(entries.clone(), 1),
            Standing::Replaced {
                by: B256::repeat_byte(2),
                since: Epoch(7)
            }
        );
        assert!(matches!(standing(entries, 2), Standing::Suspect { .. }));
    }

    #[test]
    fn no_other_machine_and_no_graver_fault_washes_a_standing() {
        let backwards = vec![
            entry(4, 1, 1, Event::CountersBackwards),
            entry(5, 2, 2, Event::QuoteAccepted),
            // Back with its old keys, as if nothing had been: enrolled again, but a bad proof hides its quotes.
            entry(6, 1, 1, None),
        ];
        // The quorum activated it anew, which is the way back; what hides a quote is no accepted one.
        assert_eq!(standing(backwards, 1), Standing::Attested);
        let hidden = vec![
            entry(4, 1, 1, Event::QuoteMissing),
            entry(5, 1, 1, None),
            entry(6, 1, 1, None),
        ];
        assert!(matches!(
            standing(hidden, 1),
            Standing::Suspect {
                since: Epoch(4),
                ..
            }
        ));
        let forged = vec![
            entry(4, 1, 1, Event::Forged),
            entry(5, 2, 2, Event::QuoteAccepted),
            entry(6, 1, 3, Event::QuoteAccepted),
        ];
        assert!(matches!(
            standing(forged, 1),
            Standing::Revoked {
                permanent: true,
                ..
            }
        ));
    }

    #[test]
    fn a_revoked_key_is_left_behind_by_enrolling_another_and_a_notice_undone_needs_that_too() {
        let revoked = Event::Notice { permanent: false };
        let mut entries = vec![entry(4, 1, 1, revoked)];
        assert!(matches!(
            standing(entries.clone(), 1),
            Standing::Revoked {
                permanent: false,
                ..
            }
        ));
        let mut undone = entries.clone();
        undone.push(entry(5, 1, 1, Event::QuoteAccepted));
        assert!(matches!(
            standing(undone, 1),
            Standing::Quarantined {
                doubt: Doubt::Reinstated,
                ..
            }
        ));
        entries.push(entry(5, 1, 2, Event::QuoteAccepted));
        assert_eq!(standing(entries, 1), Standing::Attested);
    }
}
