#![allow(clippy::unwrap_used)]

use std::collections::{BTreeSet, VecDeque};

use proptest::prelude::*;

use super::*;
use crate::testing::ChainKey;

const KINDS: [Kind; 5] = [
    Kind::Attested,
    Kind::Suspect,
    Kind::Quarantined,
    Kind::Revoked,
    Kind::Replaced,
];
const SUCCESSOR: B256 = B256::repeat_byte(7);
const EVENTS: [Event; 12] = [
    Event::QuoteAccepted,
    Event::QuoteMissing,
    Event::StateChanged,
    Event::UpdateAnnounced,
    Event::CountersBackwards,
    Event::Forged,
    Event::Notice { permanent: false },
    Event::Notice { permanent: true },
    Event::Reinstated,
    Event::Enrolled,
    Event::Replaced { by: SUCCESSOR },
    Event::Overdue,
];
const DOUBTS: [Doubt; 7] = [
    Doubt::QuoteMissing,
    Doubt::StateChanged,
    Doubt::CountersBackwards,
    Doubt::Forged,
    Doubt::Notice,
    Doubt::Reinstated,
    Doubt::Replaced,
];

fn standings() -> Vec<Standing> {
    let since = Epoch(10);
    let mut all = vec![
        Standing::Attested,
        Standing::Replaced {
            by: SUCCESSOR,
            since,
        },
    ];
    for doubt in DOUBTS {
        all.push(Standing::Suspect { doubt, since });
        all.push(Standing::Quarantined { doubt, since });
        for permanent in [false, true] {
            all.push(Standing::Revoked {
                doubt,
                since,
                permanent,
            });
        }
    }
    all
}

#[test]
fn the_table_has_one_rule_for_every_pair() {
    let kinds: BTreeSet<EventKind> = EVENTS.iter().map(Event::kind).collect();
    assert_eq!(kinds.len(), 11);
    for kind in KINDS {
        for on in &kinds {
            let rules = TABLE.iter().filter(|it| (it.0, it.1) == (kind, *on));
            assert_eq!(rules.count(), 1, "{kind:?} {on:?}");
        }
    }
    assert_eq!(TABLE.len(), KINDS.len() * kinds.len());
}

#[test]
fn every_standing_takes_every_event_as_its_rule_says() {
    let now = Epoch(20);
    for from in standings() {
        for event in EVENTS {
            let rule = TABLE
                .iter()
                .find(|it| (it.0, it.1) == (from.kind(), event.kind()))
                .unwrap()
                .2;
            let to = from.after(event, now);
            let expected: &[Kind] = match rule {
                Move::Stay => {
                    assert_eq!(to, from, "{event:?}");
                    continue;
                }
                Move::Attest => &[Kind::Attested],
                Move::Suspect(_) => &[Kind::Suspect],
                Move::Quarantine(_) | Move::Confine => &[Kind::Quarantined],
                Move::Revoke(_) => &[Kind::Revoked],
                Move::Replace => &[Kind::Replaced],
                Move::Parole => unreachable!("only by way of Accept"),
                Move::Accept => &[Kind::Suspect, Kind::Quarantined],
                Move::Release => &[Kind::Quarantined, Kind::Revoked],
            };
            assert!(expected.contains(&to.kind()), "{from:?} {event:?} {to:?}");
        }
    }
}

/// Kinds reachable from a standing by events of a set.
fn reachable(from: Standing, events: &[Event]) -> BTreeSet<Kind> {
    let mut seen = vec![from];
    let mut queue = VecDeque::from([from]);
    while let Some(at) = queue.pop_front() {
        for event in events {
            let next = at.after(*event, Epoch(20));
            if !seen.contains(&next) {
                seen.push(next);
                queue.push_back(next);
            }
        }
    }
    seen.iter().map(Standing::kind).collect()
}

#[test]
fn there_is_a_way_back_from_everything_that_is_not_for_good() {
    for from in standings() {
        let back = reachable(from, &EVENTS).contains(&Kind::Attested);
        let for_good = matches!(
            from,
            Standing::Revoked {
                permanent: true,
                ..
            } | Standing::Replaced { .. }
        );
        // A machine that was replaced can still be revoked, and a revocation undone; it never gets there by itself.
        let machine_alone = [
            Event::QuoteAccepted,
            Event::QuoteMissing,
            Event::StateChanged,
            Event::Enrolled,
            Event::Overdue,
            Event::UpdateAnnounced,
        ];
        if for_good {
            assert!(
                !reachable(from, &machine_alone).contains(&Kind::Attested),
                "{from:?}"
            );
        } else {
            assert!(back, "{from:?}");
        }
        if matches!(
            from,
            Standing::Revoked {
                permanent: true,
                ..
            }
        ) {
            assert_eq!(reachable(from, &EVENTS), BTreeSet::from([Kind::Revoked]));
        }
    }
}

#[test]
fn quotes_alone_lead_out_of_suspicion_and_not_out_of_quarantine() {
    let now = Epoch(20);
    let quarantined = Standing::Attested.after(Event::CountersBackwards, now);
    assert_eq!(quarantined.after(Event::QuoteAccepted, now), quarantined);
    assert!(!quarantined.counts());
    assert_eq!(quarantined.after(Event::Enrolled, now), Standing::Attested);
    let suspect = Standing::Attested.after(Event::StateChanged, now);
    assert!(suspect.counts() && !suspect.takes_deals());
    assert_eq!(suspect.after(Event::QuoteAccepted, now), Standing::Attested);
}

#[test]
fn honest_power_loss_costs_one_epoch_and_no_enrolment() {
    let down = Standing::Attested.after_epoch(&[Event::QuoteMissing], Epoch(5));
    assert_eq!(
        down,
        Standing::Suspect {
            doubt: Doubt::QuoteMissing,
            since: Epoch(5)
        }
    );
    assert_eq!(
        down.after_epoch(&[Event::QuoteAccepted], Epoch(6)),
        Standing::Attested
    );
}

#[test]
fn suspicion_ends_in_quarantine_after_its_time_whatever_changes_meanwhile() {
    let mut at = Standing::Attested;
    for epoch in 1..=1 + SUSPECT_EPOCHS {
        let event = [Event::QuoteMissing, Event::StateChanged][usize::from(epoch % 2 == 0)];
        at = at.after_epoch(&[event], Epoch(epoch));
        assert_eq!(at.kind(), Kind::Suspect, "epoch {epoch}");
    }
    at = at.after_epoch(&[Event::QuoteMissing], Epoch(2 + SUSPECT_EPOCHS));
    assert_eq!(
        at,
        Standing::Quarantined {
            doubt: Doubt::StateChanged,
            since: Epoch(2 + SUSPECT_EPOCHS)
        }
    );
}

#[test]
fn an_update_that_is_announced_late_opens_the_quarantine_of_a_changed_state_only() {
    let now = Epoch(20);
    for doubt in DOUBTS {
        let from = Standing::Quarantined {
            doubt,
            since: Epoch(10),
        };
        let to = from.after(Event::UpdateAnnounced, now);
        if doubt == Doubt::StateChanged {
            assert_eq!(to, Standing::Suspect { doubt, since: now });
            assert_eq!(to.after(Event::QuoteAccepted, now), Standing::Attested);
        } else {
            assert_eq!(to, from);
        }
    }
}

#[test]
fn a_second_revocation_never_makes_the_first_one_milder() {
    let now = Epoch(20);
    let forged = Standing::Attested.after(Event::Forged, now);
    let noticed = forged.after(Event::Notice { permanent: false }, now);
    assert_eq!(noticed, forged);
    assert_eq!(noticed.after(Event::Reinstated, now), forged);
    let mild = Standing::Attested.after(Event::Notice { permanent: false }, now);
    assert_eq!(
        mild.after(Event::Reinstated, now),
        Standing::Quarantined {
            doubt: Doubt::Reinstated,
            since: now
        }
    );
    let worse = mild.after(Event::Notice { permanent: true }, Epoch(21));
    assert_eq!(worse.after(Event::Reinstated, Epoch(22)), worse);
}

fn deployment() -> Deployment {
    Deployment {
        chain_id: 31_337,
        hub: Address::repeat_byte(1),
        registry: Address::repeat_byte(2),
    }
}

#[test]
fn only_the_operator_replaces_a_machine_and_only_the_one_named() {
    let (operator, stranger) = (ChainKey::new(1), ChainKey::new(2));
    let (old, new) = (B256::repeat_byte(3), B256::repeat_byte(4));
    let mut signed = SignedReplacement {
        account: operator.address(),
        hardware_id: old,
        successor: new,
        epoch: Epoch(9),
        signature: Bytes::new(),
    };
    signed.signature = operator.sign(signed.digest(&deployment()));
    let event = signed.open(&deployment(), operator.address(), old);
    assert_eq!(event, Ok(Event::Replaced { by: new }));
    assert_eq!(
        Standing::Attested.after(event.unwrap(), Epoch(9)),
        Standing::Replaced {
            by: new,
            since: Epoch(9)
        }
    );

    let code =
        |it: &SignedReplacement, account| it.open(&deployment(), account, old).unwrap_err().code();
    assert_eq!(code(&signed, stranger.address()), "REPLACEMENT_SIGNER");
    let mut other = signed.clone();
    other.signature = stranger.sign(other.digest(&deployment()));
    assert_eq!(code(&other, operator.address()), "REPLACEMENT_SIGNER");
    other = signed.clone();
    other.signature = Bytes::from_static(&[1; 64]);
    assert_eq!(code(&other, operator.address()), "REPLACEMENT_SIGNATURE");
    other = signed.clone();
    other.hardware_id = new;
    assert_eq!(code(&other, operator.address()), "REPLACEMENT_HARDWARE");
    other = signed.clone();
    other.successor = old;
    assert_eq!(code(&other, operator.address()), "REPLACEMENT_ITSELF");
    let elsewhere = Deployment {
        chain_id: 1,
        ..deployment()
    };
    assert!(signed.open(&elsewhere, operator.address(), old).is_err());
}

proptest! {
    #[test]
    fn only_enrolment_or_a_quote_after_suspicion_makes_a_machine_attested(
        steps in prop::collection::vec(prop::sample::select(EVENTS.to_vec()), 0..40),
    ) {
        let mut at = Standing::Attested;
        for (epoch, event) in (0u64..).zip(steps) {
            let next = at.after(event, Epoch(epoch));
            if next == Standing::Attested && at != next {
                let by_quote = at.kind() == Kind::Suspect && event == Event::QuoteAccepted;
                let permitted = by_quote || event == Event::Enrolled;
                prop_assert!(permitted);
                let out = matches!(at.kind(), Kind::Revoked | Kind::Replaced);
                prop_assert!(!out);
            }
            at = next;
        }
    }
}
