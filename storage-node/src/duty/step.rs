//! What to do next in an epoch, as a function of what is known. Pure.

use alloy::primitives::B256;

use crate::state::Outcome;

/// Blocks after the deadline that pushes on their way are still waited for.
const CLOSING_BLOCKS: u64 = 2;

/// What is known of an epoch that is not closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Facts {
    /// Latest block.
    pub latest: u64,
    /// First block of the epoch.
    pub start: u64,
    /// From this block on a node that was cut off submits on chain; after it no beacon is recorded.
    pub fallback: u64,
    /// Last block at which evidence is timely.
    pub deadline: u64,
    /// First block of the next epoch.
    pub end: u64,
    /// Blocks after the first before the beacon is built on.
    pub confirmations: u64,
    /// Shards in the frozen inventory.
    pub count: u64,
    /// The beacon on chain.
    pub beacon: Option<B256>,
    /// The beacon the stored evidence was made for, if there is evidence.
    pub proven_beacon: Option<B256>,
    /// Timely receipts of distinct oracles.
    pub receipts: usize,
    /// Faulty oracles the set tolerates.
    pub faults: usize,
    /// Whether the envelope is on chain.
    pub submitted: bool,
    /// Whether it names an event log, which the chain does not carry.
    pub event_log: bool,
}

/// What to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Nothing yet.
    Wait,
    /// Record the beacon, if nobody else does.
    RecordBeacon,
    /// Prove and quote.
    Prove {
        /// For this beacon.
        beacon: B256,
    },
    /// Push to the oracles, and if `submit` to the chain as well.
    Deliver {
        /// Whether to submit on chain.
        submit: bool,
    },
    /// Nothing more can be done.
    Close(Outcome),
}

/// Decides.
#[must_use]
pub fn next_step(facts: &Facts) -> Step {
    let over = facts.latest > facts.deadline.saturating_add(CLOSING_BLOCKS);
    if facts.count == 0 {
        // An endpoint that lags, or a branch that does not last, may show nothing where there is a duty: it is looked at again
        // until it is too late to matter.
        return if over {
            Step::Close(Outcome::NoDuty)
        } else {
            Step::Wait
        };
    }
    let Some(beacon) = facts.beacon else {
        return match facts.latest {
            // Whatever was proven, for a beacon that a reorganisation took away, is no longer asked for.
            _ if over => Step::Close(Outcome::Void),
            latest if latest > facts.start && latest < facts.fallback => Step::RecordBeacon,
            _ => Step::Wait,
        };
    };
    // What is on chain is timely, but without its event log: oracles may still be shown it.
    let unseen = facts.event_log && facts.submitted && facts.receipts <= facts.faults;
    if over && unseen && facts.latest < facts.end {
        return Step::Deliver { submit: false };
    }
    if over {
        return Step::Close(if facts.submitted {
            Outcome::Submitted
        } else if facts.receipts > facts.faults {
            Outcome::Timely
        } else {
            Outcome::Missed
        });
    }
    if facts.latest < facts.start.saturating_add(facts.confirmations) {
        return Step::Wait;
    }
    if facts.proven_beacon != Some(beacon) {
        // One envelope for one beacon. Another beacon means that the chain was reorganised, and that the stored envelope
        // answers a challenge that no longer exists.
        return if facts.latest < facts.deadline {
            Step::Prove { beacon }
        } else {
            Step::Wait
        };
    }
    let quorum = 2 * facts.faults + 1;
    // A transaction sent now is in the next block at the earliest.
    let submit = facts.receipts < quorum
        && !facts.submitted
        && facts.latest >= facts.fallback
        && facts.latest < facts.deadline;
    Step::Deliver { submit }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BEACON: B256 = B256::repeat_byte(7);

    /// An epoch of the demonstration network, with its evidence made.
    const PROVEN: Facts = Facts {
        latest: 105,
        start: 100,
        fallback: 116,
        deadline: 124,
        end: 132,
        confirmations: 2,
        count: 3,
        beacon: Some(BEACON),
        proven_beacon: Some(BEACON),
        receipts: 0,
        faults: 1,
        submitted: false,
        event_log: false,
    };

    #[test]
    fn a_node_that_stores_nothing_has_no_duty_which_is_certain_after_the_deadline() {
        for (latest, step) in [
            (100, Step::Wait),
            (126, Step::Wait),
            (127, Step::Close(Outcome::NoDuty)),
        ] {
            let facts = Facts {
                latest,
                count: 0,
                ..PROVEN
            };
            assert_eq!(next_step(&facts), step);
        }
    }

    #[test]
    fn a_missing_beacon_is_recorded_while_the_hub_takes_it_and_then_the_epoch_is_void() {
        let facts = Facts {
            beacon: None,
            proven_beacon: None,
            ..PROVEN
        };
        assert_eq!(
            next_step(&Facts {
                latest: 100,
                ..facts
            }),
            Step::Wait,
            "the first block's hash is not known in it"
        );
        assert_eq!(
            next_step(&Facts {
                latest: 101,
                ..facts
            }),
            Step::RecordBeacon
        );
        assert_eq!(
            next_step(&Facts {
                latest: 115,
                ..facts
            }),
            Step::RecordBeacon
        );
        assert_eq!(
            next_step(&Facts {
                latest: 117,
                ..facts
            }),
            Step::Wait
        );
        assert_eq!(
            next_step(&Facts {
                latest: 127,
                ..facts
            }),
            Step::Close(Outcome::Void)
        );
    }

    #[test]
    fn nothing_is_proven_before_the_beacon_is_confirmed_nor_at_the_deadline() {
        let facts = Facts {
            proven_beacon: None,
            ..PROVEN
        };
        assert_eq!(
            next_step(&Facts {
                latest: 101,
                ..facts
            }),
            Step::Wait
        );
        assert_eq!(
            next_step(&Facts {
                latest: 102,
                ..facts
            }),
            Step::Prove { beacon: BEACON }
        );
        assert_eq!(
            next_step(&Facts {
                latest: 124,
                ..facts
            }),
            Step::Wait
        );
    }

    #[test]
    fn stored_evidence_is_delivered_and_never_made_twice_for_one_beacon() {
        assert_eq!(next_step(&PROVEN), Step::Deliver { submit: false });
        let other = B256::repeat_byte(8);
        let reorganised = Facts {
            beacon: Some(other),
            ..PROVEN
        };
        assert_eq!(next_step(&reorganised), Step::Prove { beacon: other });
    }

    #[test]
    fn too_few_receipts_at_the_fallback_block_go_to_the_chain_until_the_deadline() {
        for (latest, receipts, submitted, submit) in [
            (115, 0, false, false),
            (116, 2, false, true),
            (116, 3, false, false),
            (123, 1, false, true),
            (123, 1, true, false),
            (124, 1, false, false),
        ] {
            let facts = Facts {
                latest,
                receipts,
                submitted,
                ..PROVEN
            };
            assert_eq!(next_step(&facts), Step::Deliver { submit }, "{facts:?}");
        }
    }

    #[test]
    fn an_event_log_that_only_the_chain_has_heard_of_is_shown_to_oracles_until_the_epoch_ends() {
        let facts = Facts {
            latest: 127,
            submitted: true,
            event_log: true,
            ..PROVEN
        };
        let pushed = Step::Deliver { submit: false };
        assert_eq!(next_step(&facts), pushed);
        let last = Facts {
            latest: 131,
            ..facts
        };
        assert_eq!(next_step(&last), pushed);
        let seen = Facts {
            receipts: 2,
            ..facts
        };
        assert_eq!(next_step(&seen), Step::Close(Outcome::Submitted));
        let without = Facts {
            event_log: false,
            ..facts
        };
        assert_eq!(next_step(&without), Step::Close(Outcome::Submitted));
    }

    #[test]
    fn an_epoch_closes_by_what_reached_oracles_or_chain() {
        for (receipts, submitted, outcome) in [
            (4, false, Outcome::Timely),
            (2, false, Outcome::Timely),
            (1, false, Outcome::Missed),
            (1, true, Outcome::Submitted),
        ] {
            let facts = Facts {
                latest: 127,
                receipts,
                submitted,
                ..PROVEN
            };
            assert_eq!(next_step(&facts), Step::Close(outcome));
        }
        let silent = Facts {
            latest: 127,
            proven_beacon: None,
            ..PROVEN
        };
        assert_eq!(next_step(&silent), Step::Close(Outcome::Missed));
        assert_eq!(
            next_step(&Facts {
                latest: 126,
                ..PROVEN
            }),
            Step::Deliver { submit: false }
        );
    }
}
