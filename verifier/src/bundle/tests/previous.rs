//! What can be done with the quote before, to make a clock look right or wrong.

#![allow(clippy::unwrap_used, clippy::cast_possible_truncation)]

use alloy_primitives::Address;

use super::super::Outcome;
use super::Case;
use crate::envelope::Envelope;
use crate::ids::{Epoch, NodeId};
use crate::testing::{EPOCH, NODE, World};
use crate::tpm::ClockInfo;
use crate::tpm::fixture::SoftKey;
use crate::{EvidenceReason, Reason, cbor};

/// What the node quoted in an earlier epoch; fields in which a cheat's may differ.
pub(super) struct Earlier {
    node: NodeId,
    epoch: Epoch,
    hub: Option<Address>,
    clock_ms: u64,
    ak: SoftKey,
    node_key: SoftKey,
    quoted: bool,
}

impl Default for Earlier {
    fn default() -> Self {
        Self {
            node: NODE,
            epoch: Epoch(EPOCH.0 - 1),
            hub: None,
            clock_ms: World::clock().clock_ms - 1,
            ak: SoftKey::attestation(9),
            node_key: SoftKey::node(10),
            quoted: true,
        }
    }
}

impl Earlier {
    pub(super) fn envelope(self, world: &World) -> Envelope {
        let mut world = World::clone_keys(world);
        world.node_key = self.node_key;
        let mut statement = world.statement_for(self.epoch, &[7; 256]);
        statement.node = self.node;
        statement.hub = self.hub.unwrap_or(statement.hub);
        let mut quote = world.quote(&statement);
        quote.clock = ClockInfo {
            clock_ms: self.clock_ms,
            ..World::clock()
        };
        if !self.quoted {
            quote.extra_data = vec![0; 32];
        }
        world.seal(&statement, &quote, &self.ak)
    }
}

pub(super) fn a_previous_quote_counts_only_if_the_node_made_it_for_an_earlier_epoch_here(
    case: &Case,
) {
    let with = |earlier: Earlier| {
        let mut cheat = case.again();
        cheat.bundle.previous = Some(earlier.envelope(&cheat.world));
        cheat.refusal()
    };
    let refused = |reason| ("previous quote", reason);
    let elsewhere = refused(EvidenceReason::WrongContext);
    for (earlier, of) in [
        (
            Earlier {
                node: NodeId(4),
                ..Earlier::default()
            },
            "another node",
        ),
        (
            Earlier {
                epoch: EPOCH,
                ..Earlier::default()
            },
            "this epoch",
        ),
        (
            Earlier {
                epoch: EPOCH.next(),
                ..Earlier::default()
            },
            "a later epoch",
        ),
        (
            Earlier {
                hub: Some(Address::repeat_byte(0x12)),
                ..Earlier::default()
            },
            "another hub",
        ),
    ] {
        assert_eq!(with(earlier), elsewhere, "{of}");
    }
    let forged = refused(EvidenceReason::BadSignature);
    for (earlier, by) in [
        (
            Earlier {
                ak: SoftKey::attestation(11),
                ..Earlier::default()
            },
            "another TPM's quote",
        ),
        (
            Earlier {
                node_key: SoftKey::node(12),
                ..Earlier::default()
            },
            "sealed by another node key",
        ),
        (
            Earlier {
                quoted: false,
                ..Earlier::default()
            },
            "a quote over something else",
        ),
    ] {
        assert_eq!(with(earlier), forged, "{by}");
    }
    // The present quote cannot be its own predecessor, nor can a quote stand without what it was made for.
    let mut cheat = case.again();
    let evidence = &case.bundle.evidence.as_ref().unwrap().envelope;
    cheat.bundle.previous = Some(cbor::decode("envelope", evidence).unwrap());
    assert_eq!(cheat.refusal(), elsewhere);
    let previous = cheat.bundle.previous.as_mut().unwrap();
    previous.body = previous.open().unwrap().0.attest;
    assert_eq!(cheat.refusal(), refused(EvidenceReason::Malformed));
}

pub(super) fn a_clock_that_ran_backwards_is_repeated_from_both_quotes(case: &Case) {
    let mut rolled_back = case.again();
    let before = Earlier {
        clock_ms: World::clock().clock_ms + 1,
        ..Earlier::default()
    };
    rolled_back.bundle.previous = Some(before.envelope(&case.world));
    // The quorum passed it: the two quotes say otherwise.
    assert_eq!(
        rolled_back.refusal(),
        ("verdict from evidence", EvidenceReason::VerdictNotSupported)
    );
    rolled_back.report(rolled_back.judged(false));
    assert_eq!(rolled_back.bundle.verdict.reason, Reason::AttestationFailed);
    let said = rolled_back.said("previous quote");
    assert!(matches!(said, Outcome::Passed { .. }), "{said:?}");
    // Left out, or exchanged for an earlier one that would have been progress, nothing supports the verdict.
    for earlier in [
        None,
        Some(Earlier {
            epoch: Epoch(1),
            ..Earlier::default()
        }),
    ] {
        let mut cheat = rolled_back.again();
        cheat.bundle.previous = earlier.map(|it| it.envelope(&case.world));
        assert_eq!(
            cheat.refusal(),
            ("verdict from evidence", EvidenceReason::VerdictNotSupported)
        );
    }
}

pub(super) fn that_no_previous_quote_is_given_is_said(case: &Case) {
    let Outcome::RestsOnQuorum { detail } = case.said("previous quote") else {
        panic!("which quote was accepted last cannot be seen in a bundle");
    };
    assert!(detail.contains("envelope of epoch 4"), "{detail}");
    let mut without = case.again();
    without.bundle.previous = None;
    let Outcome::RestsOnQuorum { detail } = without.said("previous quote") else {
        panic!("that there was none cannot be seen in a bundle");
    };
    assert!(detail.contains("no previous quote given"), "{detail}");
    // A graver reason does not wait for a clock.
    without.bundle.evidence = None;
    without.report(without.judged(false));
    let said = without.said("previous quote");
    assert!(matches!(said, Outcome::Passed { .. }), "{said:?}");
}
