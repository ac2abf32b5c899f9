//! Which event explains that a log does not replay to a PCR's value.
//!
//! A PCR's value says that the log is wrong, not where. Two kinds of answers are kept apart. A **proven** cause is a single
//! repair after which the replay does reach the value: cut the log before this event, leave this event out, swap it
//! with the next, hash its data afresh, start from another locality. Where no single repair does, the answer is the first event
//! that the log itself casts doubt on, and with it all others that could be at fault just as well.

use std::fmt;

use serde::Serialize;

use super::{
    Digest, Event, EventKind, Log,
    cover::{covered, forms, should_fit},
    replay::initial,
};
use crate::tpm::wire::HashAlgorithm;

/// Extensions computed at most in search of a repair: some 20 ms.
const MAX_EXTENSIONS: usize = 1 << 16;

/// What names an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct EventRef {
    /// Number in the log, from 0.
    pub index: usize,
    /// Where it starts, bytes from the start of the log.
    pub offset: usize,
    /// Its PCR.
    pub pcr: u8,
    /// Its claimed type.
    pub kind: EventKind,
}

impl fmt::Display for EventRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "event {} ({}, PCR {}, byte {})",
            self.index, self.kind, self.pcr, self.offset
        )
    }
}

/// A PCR that a log does not replay to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, thiserror::Error)]
#[error(
    "PCR {pcr} ({bank}) is {expected}, the log's {events} events for it replay to {found}: {cause}"
)]
pub struct Mismatch {
    /// The bank.
    pub bank: &'static str,
    /// The PCR.
    pub pcr: u8,
    /// Value the TPM has.
    pub expected: Digest,
    /// Value the log replays to.
    pub found: Digest,
    /// Events of the log for this PCR.
    pub events: usize,
    /// The first event that explains it.
    pub cause: Cause,
}

/// Why a log does not replay to a value. "Proven" causes are repairs that reach it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "cause", rename_all = "snake_case")]
pub enum Cause {
    /// The digest is not that of the event's data; with the data's own digest the value is reached, if `proven`.
    DigestNotOfData {
        /// The event.
        event: EventRef,
        /// Whether hashing its data afresh reaches the value.
        proven: bool,
    },
    /// The value is reached before this event (proven): it, and what follows in its PCR, was not extended when the value was read.
    Surplus {
        /// The first event too many.
        event: EventRef,
    },
    /// The value is reached without this event (proven).
    NotExtended {
        /// The event.
        event: EventRef,
    },
    /// The value is reached with this event and the next in its PCR in the other order (proven).
    Swapped {
        /// The earlier of the two.
        event: EventRef,
    },
    /// The value is reached from another startup locality (proven): its event is missing or wrong.
    Locality {
        /// The locality the TPM was started from.
        locality: u8,
    },
    /// No event is proven wrong. This is the first whose digest nothing in the log confirms.
    Unconfirmed {
        /// The first.
        event: EventRef,
        /// Numbers of all such events in the PCRs concerned, this one first.
        candidates: Vec<usize>,
    },
    /// Every event's digest is that of its data: events are missing after the last one named, or between, or the log is of another boot.
    Incomplete {
        /// The last event of the PCRs concerned.
        last: Option<EventRef>,
    },
}

impl Cause {
    /// The event named, if any.
    pub fn event(&self) -> Option<EventRef> {
        match self {
            Self::DigestNotOfData { event, .. }
            | Self::Surplus { event }
            | Self::NotExtended { event }
            | Self::Swapped { event }
            | Self::Unconfirmed { event, .. } => Some(*event),
            Self::Incomplete { last } => *last,
            Self::Locality { .. } => None,
        }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::DigestNotOfData { event, proven } => {
                write!(f, "the digest of {event} is not that of its data")?;
                if *proven {
                    f.write_str("; with its data's digest the value is reached")?;
                }
                Ok(())
            }
            Self::Surplus { event } => write!(
                f,
                "{event} is the first too many; the events before it reach the value"
            ),
            Self::NotExtended { event } => {
                write!(
                    f,
                    "{event} was not extended; without it the value is reached"
                )
            }
            Self::Swapped { event } => write!(
                f,
                "{event} was extended after the next event of its PCR; in that order the value is reached"
            ),
            Self::Locality { locality } => write!(
                f,
                "the TPM was started from locality {locality}, which the log does not say in a StartupLocality event"
            ),
            Self::Unconfirmed { event, candidates } => {
                write!(
                    f,
                    "the first event whose digest nothing in the log confirms is {event}"
                )?;
                if candidates.len() > 1 {
                    let rest: Vec<_> = candidates.iter().skip(1).map(usize::to_string).collect();
                    write!(f, "; it could as well be one of {}", rest.join(", "))?;
                }
                Ok(())
            }
            Self::Incomplete { last: Some(last) } => write!(
                f,
                "every digest is that of its event's data, so events are missing (the last here is {last}) or the log is of another boot"
            ),
            Self::Incomplete { last: None } => f.write_str(
                "the log has no event for it: it was extended by something the log leaves out",
            ),
        }
    }
}

/// A search for repairs with a bounded number of hashes.
pub(super) struct Search<'l, 'a> {
    log: &'l Log<'a>,
    bank: HashAlgorithm,
    left: usize,
}

impl<'l, 'a> Search<'l, 'a> {
    pub(super) fn new(log: &'l Log<'a>, bank: HashAlgorithm) -> Self {
        Self {
            log,
            bank,
            left: MAX_EXTENSIONS,
        }
    }

    /// The one repair of a PCR's events after which `reached` holds for its value.
    pub(super) fn repair(&mut self, pcr: u8, reached: &dyn Fn(&Digest) -> bool) -> Option<Cause> {
        let events: Vec<&Event<'a>> = self.log.extended(pcr).collect();
        let digests: Vec<&[u8]> = events
            .iter()
            .map(|event| event.digest(self.bank).unwrap_or_default())
            .collect();
        // prefix[k] is the value before event k.
        let mut prefix = vec![initial(self.log, self.bank, pcr)];
        for digest in &digests {
            let next = prefix.last()?.extended(self.bank, digest);
            prefix.push(next);
        }
        let at_reset = Digest::at_reset(self.bank, pcr);
        for (k, event) in events.iter().enumerate() {
            let value = if k == 0 && pcr != 0 {
                &at_reset
            } else {
                prefix.get(k)?
            };
            if reached(value) {
                return Some(Cause::Surplus {
                    event: event.reference(),
                });
            }
        }
        if pcr == 0 {
            for locality in [0, 3, 4] {
                let start = Digest::at_startup(self.bank, locality);
                if self
                    .fold(&start, &digests)
                    .is_some_and(|value| reached(&value))
                {
                    return Some(Cause::Locality { locality });
                }
            }
        }
        for (k, event) in events.iter().enumerate() {
            if covered(event, self.bank).is_some() {
                continue;
            }
            for (_, bytes) in forms(event) {
                let fresh = self.bank.digest(&[&bytes]);
                let value = prefix.get(k)?.extended(self.bank, &fresh);
                if self
                    .fold(&value, digests.get(k + 1..)?)
                    .is_some_and(|value| reached(&value))
                {
                    return Some(Cause::DigestNotOfData {
                        event: event.reference(),
                        proven: true,
                    });
                }
            }
        }
        for (k, event) in events.iter().enumerate() {
            let value = self.fold(prefix.get(k)?, digests.get(k + 1..)?);
            if value.is_some_and(|value| reached(&value)) {
                return Some(Cause::NotExtended {
                    event: event.reference(),
                });
            }
        }
        for (k, pair) in digests.windows(2).enumerate() {
            let [first, second] = pair else { continue };
            let swapped = prefix
                .get(k)?
                .extended(self.bank, second)
                .extended(self.bank, first);
            let value = self.fold(&swapped, digests.get(k + 2..)?);
            if value.is_some_and(|value| reached(&value)) {
                return Some(Cause::Swapped {
                    event: events.get(k)?.reference(),
                });
            }
        }
        None
    }

    /// Extends one after the other, while there is budget.
    fn fold(&mut self, start: &Digest, digests: &[&[u8]]) -> Option<Digest> {
        self.left = self.left.checked_sub(digests.len() + 1)?;
        Some(digests.iter().fold(start.clone(), |value, digest| {
            value.extended(self.bank, digest)
        }))
    }
}

/// The first event of some PCRs that the log itself casts doubt on.
pub(super) fn suspect(log: &Log<'_>, bank: HashAlgorithm, pcrs: &[u8]) -> Cause {
    let events = || {
        log.events
            .iter()
            .filter(|event| event.is_extended() && pcrs.contains(&event.pcr))
    };
    let misfit = events().find(|event| {
        covered(event, bank).is_none()
            && (should_fit(event) || log.banks.iter().any(|it| covered(event, *it).is_some()))
    });
    if let Some(event) = misfit {
        return Cause::DigestNotOfData {
            event: event.reference(),
            proven: false,
        };
    }
    let mut unconfirmed = events().filter(|event| covered(event, bank).is_none());
    match unconfirmed.next() {
        Some(first) => Cause::Unconfirmed {
            event: first.reference(),
            candidates: std::iter::once(first.index)
                .chain(unconfirmed.map(|event| event.index))
                .collect(),
        },
        None => Cause::Incomplete {
            last: events().next_back().map(Event::reference),
        },
    }
}
