//! Where a machine stands between epochs, and every way back.
//!
//! A quote is judged alone; what a run of them means is judged here. Every epoch an enrolled machine quotes again, and what
//! comes of it, or of its operator's word, moves it from one [`Standing`] to the next. The rules are one table ([`TABLE`]):
//! state and event to state, all pairs, nothing else.
//!
//! ```text
//!            quote missing, state changed          too long
//!  Attested ────────────────────────────▶ Suspect ─────────▶ Quarantined ──▶ Revoked
//!     ▲  ▲       quote accepted              │                 │   ▲  ▲          │
//!     │  └──────────────────────────────────┘                 │   │  └──────────┘ reinstated
//!     │            re-enrolled, same endorsement key           │   └─ counters ran backwards
//!     └─────────────────────────────────────────────────────────┘
//!            TPM replaced, with the operator's signature ──▶ Replaced (the successor enrols on its own)
//! ```
//!
//! | standing | its epochs | new deals | way back |
//! |---|---|---|---|
//! | attested | judged as ever | yes | — |
//! | suspect | judged as ever | no | one accepted quote, or enrolling again |
//! | quarantined | attestation fails | no | enrolling again with the same endorsement key; an update announced for what it shows |
//! | revoked | attestation fails | no | the issuer's reinstatement, if the reason is not permanent; then enrolling again |
//! | replaced | none are owed | no | none: the successor has a standing of its own |
//!
//! A table for auditors and for who chooses nodes: the committee's verdicts follow evidence and notices, and the contracts verdicts; neither asks for a
//! standing.
//!
//! Pure: the epoch is an argument. Protocol: section 5.

use alloy_primitives::{Address, B256, Bytes};
use serde::{Deserialize, Serialize};

use crate::committee::Deployment;
use crate::ids::Epoch;
use crate::typed_data::{self, SignatureError};

/// Epochs a machine may be suspect before it is quarantined.
pub const SUSPECT_EPOCHS: u64 = 3;

/// Why a machine is not attested.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Doubt {
    /// It sent no quote in an epoch.
    QuoteMissing,
    /// It quoted a state the policy does not accept, and nobody announced it.
    StateChanged,
    /// Its counters ran backwards: cleared, copied or rolled back.
    CountersBackwards,
    /// Evidence was forged with its name.
    Forged,
    /// A notice names it.
    Notice,
    /// A notice named it, and no longer does; it has not enrolled again since.
    Reinstated,
    /// Another machine took its place.
    Replaced,
}

impl Doubt {
    /// Permanent name of the doubt.
    pub fn code(self) -> &'static str {
        match self {
            Self::QuoteMissing => "STANDING_QUOTE_MISSING",
            Self::StateChanged => "STANDING_STATE_CHANGED",
            Self::CountersBackwards => "STANDING_COUNTERS_BACKWARDS",
            Self::Forged => "STANDING_FORGED",
            Self::Notice => "STANDING_NOTICE",
            Self::Reinstated => "STANDING_REINSTATED",
            Self::Replaced => "STANDING_REPLACED",
        }
    }
}

/// Where a machine stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "standing", rename_all = "snake_case")]
pub enum Standing {
    /// Its last quote was accepted.
    Attested,
    /// Something is not as it should be, and may come right by itself.
    Suspect {
        /// What.
        doubt: Doubt,
        /// Since when; a further doubt does not begin the time anew.
        since: Epoch,
    },
    /// Nothing it quotes counts until it enrols again.
    Quarantined {
        /// Why.
        doubt: Doubt,
        /// Since when.
        since: Epoch,
    },
    /// It is out.
    Revoked {
        /// Why.
        doubt: Doubt,
        /// Since when.
        since: Epoch,
        /// Whether for good.
        permanent: bool,
    },
    /// Another machine took its place.
    Replaced {
        /// Hardware id of the other one.
        by: B256,
        /// Since when.
        since: Epoch,
    },
}

/// The kinds of standing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// [`Standing::Attested`].
    Attested,
    /// [`Standing::Suspect`].
    Suspect,
    /// [`Standing::Quarantined`].
    Quarantined,
    /// [`Standing::Revoked`].
    Revoked,
    /// [`Standing::Replaced`].
    Replaced,
}

/// What happens to a machine. All of it was verified before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Event {
    /// A quote in time that the policy accepts, a planned update's values included, its counters in order.
    QuoteAccepted,
    /// An epoch ended without one.
    QuoteMissing,
    /// A genuine quote of a state that the policy does not accept.
    StateChanged,
    /// The policy now accepts the state that was quoted last: an update was announced after it happened.
    UpdateAnnounced,
    /// A genuine quote whose counters ran backwards.
    CountersBackwards,
    /// A quote under the node's signature that its attestation key did not make.
    Forged,
    /// A revocation notice names the machine.
    Notice {
        /// Whether its reason can never be undone.
        permanent: bool,
    },
    /// The notice was undone by its issuer.
    Reinstated,
    /// It enrolled again: the same endorsement key, activated anew, the state accepted.
    Enrolled,
    /// Its operator signed that another machine takes its place; see [`SignedReplacement`].
    Replaced {
        /// Hardware id of the other one.
        by: B256,
    },
    /// It has been suspect for more than [`SUSPECT_EPOCHS`]; see [`Standing::overdue`].
    Overdue,
}

/// The kinds of event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum EventKind {
    /// [`Event::QuoteAccepted`].
    QuoteAccepted,
    /// [`Event::QuoteMissing`].
    QuoteMissing,
    /// [`Event::StateChanged`].
    StateChanged,
    /// [`Event::UpdateAnnounced`].
    UpdateAnnounced,
    /// [`Event::CountersBackwards`].
    CountersBackwards,
    /// [`Event::Forged`].
    Forged,
    /// [`Event::Notice`].
    Notice,
    /// [`Event::Reinstated`].
    Reinstated,
    /// [`Event::Enrolled`].
    Enrolled,
    /// [`Event::Replaced`].
    Replaced,
    /// [`Event::Overdue`].
    Overdue,
}

/// What an event does to a standing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Move {
    /// Nothing.
    Stay,
    /// Attested.
    Attest,
    /// Suspect, for this.
    Suspect(Doubt),
    /// Suspect for what it was quarantined for: one accepted quote is still owed.
    Parole,
    /// Quarantined, for this.
    Quarantine(Doubt),
    /// Quarantined, for what it was suspect of.
    Confine,
    /// Revoked, for this.
    Revoke(Doubt),
    /// Quarantined if the revocation can be undone; else nothing.
    Release,
    /// Replaced.
    Replace,
    /// Back to suspicion if a changed state was the doubt; else nothing.
    Accept,
}

/// Every rule. A pair that is missing would be a hole; a test counts them.
#[rustfmt::skip]
pub const TABLE: &[(Kind, EventKind, Move)] = {
    use EventKind as On;
    use Kind::{Attested, Quarantined, Replaced, Revoked, Suspect};
    &[
        (Attested, On::QuoteAccepted,     Move::Stay),
        (Attested, On::QuoteMissing,      Move::Suspect(Doubt::QuoteMissing)),
        (Attested, On::StateChanged,      Move::Suspect(Doubt::StateChanged)),
        (Attested, On::UpdateAnnounced,   Move::Stay),
        (Attested, On::CountersBackwards, Move::Quarantine(Doubt::CountersBackwards)),
        (Attested, On::Forged,            Move::Revoke(Doubt::Forged)),
        (Attested, On::Notice,            Move::Revoke(Doubt::Notice)),
        (Attested, On::Reinstated,        Move::Stay),
        (Attested, On::Enrolled,          Move::Stay),
        (Attested, On::Replaced,          Move::Replace),
        (Attested, On::Overdue,           Move::Stay),

        (Suspect, On::QuoteAccepted,     Move::Attest),
        (Suspect, On::QuoteMissing,      Move::Stay),
        // A changed state is the graver doubt: it says something, silence does not.
        (Suspect, On::StateChanged,      Move::Suspect(Doubt::StateChanged)),
        // Nothing has been quoted under the announcement yet.
        (Suspect, On::UpdateAnnounced,   Move::Stay),
        (Suspect, On::CountersBackwards, Move::Quarantine(Doubt::CountersBackwards)),
        (Suspect, On::Forged,            Move::Revoke(Doubt::Forged)),
        (Suspect, On::Notice,            Move::Revoke(Doubt::Notice)),
        (Suspect, On::Reinstated,        Move::Stay),
        (Suspect, On::Enrolled,          Move::Attest),
        (Suspect, On::Replaced,          Move::Replace),
        (Suspect, On::Overdue,           Move::Confine),

        // Quotes alone do not lead out: whoever copied a TPM quotes as well as its owner.
        (Quarantined, On::QuoteAccepted,     Move::Stay),
        (Quarantined, On::QuoteMissing,      Move::Stay),
        (Quarantined, On::StateChanged,      Move::Stay),
        (Quarantined, On::UpdateAnnounced,   Move::Accept),
        (Quarantined, On::CountersBackwards, Move::Quarantine(Doubt::CountersBackwards)),
        (Quarantined, On::Forged,            Move::Revoke(Doubt::Forged)),
        (Quarantined, On::Notice,            Move::Revoke(Doubt::Notice)),
        (Quarantined, On::Reinstated,        Move::Stay),
        (Quarantined, On::Enrolled,          Move::Attest),
        (Quarantined, On::Replaced,          Move::Replace),
        (Quarantined, On::Overdue,           Move::Stay),

        (Revoked, On::QuoteAccepted,     Move::Stay),
        (Revoked, On::QuoteMissing,      Move::Stay),
        (Revoked, On::StateChanged,      Move::Stay),
        (Revoked, On::UpdateAnnounced,   Move::Stay),
        (Revoked, On::CountersBackwards, Move::Stay),
        (Revoked, On::Forged,            Move::Revoke(Doubt::Forged)),
        (Revoked, On::Notice,            Move::Revoke(Doubt::Notice)),
        (Revoked, On::Reinstated,        Move::Release),
        // Enrolling undoes no notice.
        (Revoked, On::Enrolled,          Move::Stay),
        // Whose word would it be?
        (Revoked, On::Replaced,          Move::Stay),
        (Revoked, On::Overdue,           Move::Stay),

        (Replaced, On::QuoteAccepted,     Move::Stay),
        (Replaced, On::QuoteMissing,      Move::Stay),
        (Replaced, On::StateChanged,      Move::Stay),
        (Replaced, On::UpdateAnnounced,   Move::Stay),
        (Replaced, On::CountersBackwards, Move::Stay),
        // A key that was found out after it was retired must not come back elsewhere.
        (Replaced, On::Forged,            Move::Revoke(Doubt::Forged)),
        (Replaced, On::Notice,            Move::Revoke(Doubt::Notice)),
        (Replaced, On::Reinstated,        Move::Stay),
        (Replaced, On::Enrolled,          Move::Stay),
        (Replaced, On::Replaced,          Move::Stay),
        (Replaced, On::Overdue,           Move::Stay),
    ]
};

impl Standing {
    /// Its kind.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Attested => Kind::Attested,
            Self::Suspect { .. } => Kind::Suspect,
            Self::Quarantined { .. } => Kind::Quarantined,
            Self::Revoked { .. } => Kind::Revoked,
            Self::Replaced { .. } => Kind::Replaced,
        }
    }

    /// Whether an accepted quote makes an epoch good.
    pub fn counts(&self) -> bool {
        matches!(self, Self::Attested | Self::Suspect { .. })
    }

    /// Whether it may take new deals.
    pub fn takes_deals(&self) -> bool {
        matches!(self, Self::Attested)
    }

    /// Whether its time as a suspect is up: then [`Event::Overdue`] is due.
    pub fn overdue(&self, now: Epoch) -> bool {
        matches!(self, Self::Suspect { since, .. }
            if now.0.saturating_sub(since.0) > SUSPECT_EPOCHS)
    }

    /// Where a machine stands after an event in an epoch.
    ///
    /// Pure and total: every standing takes every event.
    pub fn after(self, event: Event, now: Epoch) -> Self {
        let (kind, on) = (self.kind(), event.kind());
        let what = TABLE
            .iter()
            .find_map(|(from, with, what)| ((*from, *with) == (kind, on)).then_some(*what))
            .unwrap_or(Move::Stay);
        self.moved(what, event, now)
    }

    /// All events of one epoch, with the time a suspect has taken into account.
    pub fn after_epoch(self, events: &[Event], now: Epoch) -> Self {
        let after = events.iter().fold(self, |it, event| it.after(*event, now));
        if after.overdue(now) {
            return after.after(Event::Overdue, now);
        }
        after
    }

    fn moved(self, what: Move, event: Event, now: Epoch) -> Self {
        match (what, self) {
            (Move::Stay, it) => it,
            (Move::Attest, _) => Self::Attested,
            // The time runs from the first doubt on: else two faults in turn would never end.
            (Move::Suspect(doubt), Self::Suspect { since, .. }) => Self::Suspect { doubt, since },
            (Move::Suspect(doubt), _) => Self::Suspect { doubt, since: now },
            (Move::Parole, Self::Quarantined { doubt, .. }) => Self::Suspect { doubt, since: now },
            (
                Move::Accept,
                Self::Quarantined {
                    doubt: Doubt::StateChanged,
                    ..
                },
            ) => self.moved(Move::Parole, event, now),
            (Move::Quarantine(doubt), Self::Quarantined { since, .. }) => {
                Self::Quarantined { doubt, since }
            }
            (Move::Quarantine(doubt), _) => Self::Quarantined { doubt, since: now },
            (Move::Confine, Self::Suspect { doubt, .. }) => Self::Quarantined { doubt, since: now },
            (Move::Revoke(doubt), _) => self.revoked(doubt, event, now),
            (
                Move::Release,
                Self::Revoked {
                    permanent: false, ..
                },
            ) => Self::Quarantined {
                doubt: Doubt::Reinstated,
                since: now,
            },
            (Move::Replace, _) => match event {
                Event::Replaced { by } => Self::Replaced { by, since: now },
                _ => self,
            },
            // Nothing to be moved from.
            (Move::Parole | Move::Accept | Move::Confine | Move::Release, it) => it,
        }
    }

    /// A second revocation never makes the first one milder.
    fn revoked(self, doubt: Doubt, event: Event, now: Epoch) -> Self {
        let permanent = match event {
            Event::Notice { permanent } => permanent,
            _ => true,
        };
        match self {
            Self::Revoked {
                permanent: true, ..
            } => self,
            Self::Revoked { since, .. } => Self::Revoked {
                doubt,
                since,
                permanent,
            },
            _ => Self::Revoked {
                doubt,
                since: now,
                permanent,
            },
        }
    }
}

impl Event {
    /// Its kind.
    pub fn kind(&self) -> EventKind {
        match self {
            Self::QuoteAccepted => EventKind::QuoteAccepted,
            Self::QuoteMissing => EventKind::QuoteMissing,
            Self::StateChanged => EventKind::StateChanged,
            Self::UpdateAnnounced => EventKind::UpdateAnnounced,
            Self::CountersBackwards => EventKind::CountersBackwards,
            Self::Forged => EventKind::Forged,
            Self::Notice { .. } => EventKind::Notice,
            Self::Reinstated => EventKind::Reinstated,
            Self::Enrolled => EventKind::Enrolled,
            Self::Replaced { .. } => EventKind::Replaced,
            Self::Overdue => EventKind::Overdue,
        }
    }
}

/// An operator's statement that another machine takes a node's place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignedReplacement {
    /// The node's chain account: who must sign.
    pub account: Address,
    /// Hardware id of the machine that goes.
    pub hardware_id: B256,
    /// Hardware id of the machine that comes; it enrols on its own.
    pub successor: B256,
    /// The epoch it was said in.
    pub epoch: Epoch,
    /// 65 bytes over the EIP-712 `Replacement`.
    pub signature: Bytes,
}

/// A replacement does not count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReplacementReject {
    /// A signature is none.
    #[error("replacement's signature: {0}")]
    Signature(SignatureError),
    /// Somebody else signed.
    #[error("replacement is signed by {found}, expected the operator {expected}")]
    Signer {
        /// The node's account.
        expected: Address,
        /// Who signed.
        found: Address,
    },
    /// It names another machine.
    #[error("replacement is of machine {found}, expected {expected}")]
    Hardware {
        /// The machine in question.
        expected: B256,
        /// The machine named.
        found: B256,
    },
    /// A machine does not replace itself.
    #[error("machine {0} cannot replace itself; a TPM that was cleared enrols again")]
    Itself(B256),
}

impl ReplacementReject {
    /// Permanent name of the reason.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Signature(_) => "REPLACEMENT_SIGNATURE",
            Self::Signer { .. } => "REPLACEMENT_SIGNER",
            Self::Hardware { .. } => "REPLACEMENT_HARDWARE",
            Self::Itself(_) => "REPLACEMENT_ITSELF",
        }
    }
}

impl SignedReplacement {
    /// What the operator signs.
    pub fn digest(&self, deployment: &Deployment) -> B256 {
        deployment.registry_digest(&typed_data::Replacement {
            account: self.account,
            hardwareId: self.hardware_id,
            successor: self.successor,
            epoch: self.epoch.0,
        })
    }

    /// Checks that the operator of `account` says so of the machine `hardware_id`, and gives the event.
    ///
    /// # Errors
    /// [`ReplacementReject`].
    pub fn open(
        &self,
        deployment: &Deployment,
        account: Address,
        hardware_id: B256,
    ) -> Result<Event, ReplacementReject> {
        if self.hardware_id != hardware_id {
            return Err(ReplacementReject::Hardware {
                expected: hardware_id,
                found: self.hardware_id,
            });
        }
        if self.successor == hardware_id {
            return Err(ReplacementReject::Itself(hardware_id));
        }
        let found = typed_data::recover(&self.digest(deployment), &self.signature)
            .map_err(ReplacementReject::Signature)?;
        if found != account || self.account != account {
            return Err(ReplacementReject::Signer {
                expected: account,
                found,
            });
        }
        Ok(Event::Replaced { by: self.successor })
    }
}

#[cfg(test)]
mod tests;
