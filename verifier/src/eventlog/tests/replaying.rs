//! Replay, and what explains a value that is not reached.

use std::collections::BTreeMap;

use sha2::{Digest as _, Sha256 as Hash};

use crate::eventlog::fixture::{MadeLog, boot, image, named};
use crate::eventlog::*;
use crate::tpm::wire::HashAlgorithm::{self, Sha1, Sha256, Sha384, Sha512};

const PCRS: [u8; 12] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 14, 16];

fn quote(pcrs: &BTreeMap<u8, Digest>, bank: HashAlgorithm) -> [u8; 32] {
    PCRS.iter()
        .fold(Hash::new(), |hash, pcr| {
            let zero = Digest::at_reset(bank, *pcr);
            hash.chain_update(pcrs.get(pcr).unwrap_or(&zero).as_bytes())
        })
        .finalize()
        .into()
}

/// The cause found for one PCR, which must also be the cause found from the quote's digest alone.
fn cause(made: &MadeLog, bytes: &[u8], pcr: u8, locality: u8) -> Cause {
    let log = Log::parse(bytes).unwrap();
    let expected = made.pcrs(Sha256, locality);
    let mismatches = log.check_pcrs(Sha256, &expected).unwrap();
    assert_eq!(mismatches.len(), 1, "{mismatches:?}");
    assert_eq!(mismatches[0].pcr, pcr);
    let digest = quote(&expected, Sha256);
    match explain(bytes, Sha256, &PCRS, digest) {
        Err(Reject::QuoteMismatch { cause }) => assert_eq!(cause, mismatches[0].cause),
        other => panic!("{other:?}"),
    }
    mismatches[0].cause.clone()
}

#[test]
fn every_bank_replays() {
    let made = boot(MadeLog::new(&[Sha1, Sha256, Sha384, Sha512]));
    let bytes = made.to_bytes();
    let log = Log::parse(&bytes).unwrap();
    log.check_banks().unwrap();
    for bank in BANKS {
        let expected = made.pcrs(bank, 0);
        assert_eq!(log.replay(bank).unwrap().values, expected);
        assert_eq!(log.check_pcrs(bank, &expected).unwrap(), []);
        explain(&bytes, bank, &PCRS, quote(&expected, bank)).unwrap();
    }
}

#[test]
fn every_flipped_bit_of_a_digest_is_found_and_the_event_named() {
    let made = boot(MadeLog::new(&[Sha1, Sha256]));
    let bytes = made.to_bytes();
    let offsets: Vec<usize> = Log::parse(&bytes)
        .unwrap()
        .events
        .iter()
        .skip(1)
        .map(|event| event.offset)
        .collect();
    for (index, offset) in offsets.into_iter().enumerate() {
        let index = index + 1;
        for (bank, start) in [(Sha1, offset + 14), (Sha256, offset + 36)] {
            let expected = made.pcrs(bank, 0);
            for bit in 0..bank.digest_len() * 8 {
                let mut flipped = bytes.clone();
                flipped[start + bit / 8] ^= 1 << (bit % 8);
                let log = Log::parse(&flipped).unwrap();
                let found = log.check_pcrs(bank, &expected).unwrap();
                assert_eq!(found.len(), 1);
                match &found[0].cause {
                    Cause::Unconfirmed { event, candidates } => {
                        assert!(candidates.contains(&index));
                        assert_eq!(event.index, candidates[0]);
                    }
                    Cause::DigestNotOfData { event, proven } => {
                        assert_eq!(event.index, index, "{}", named(bank));
                        assert!(proven);
                        // The other bank says so without any PCR value.
                        let error = log.check_banks().unwrap_err();
                        assert_eq!(error.code(), "EVENTLOG_BANKS_DISAGREE");
                    }
                    other => panic!("{other}"),
                }
            }
        }
    }
}

#[test]
fn a_log_that_goes_on_after_the_value_names_the_first_surplus_event() {
    let made = boot(MadeLog::new(&[Sha256]));
    let longer =
        made.clone()
            .plain(8, EventKind::ACTION, b"late")
            .plain(8, EventKind::ACTION, b"later");
    let Cause::Surplus { event } = cause(&made, &longer.to_bytes(), 8, 0) else {
        panic!("not surplus");
    };
    assert_eq!(event.index, made.events.len() + 1);
    // Also where the PCR was never extended.
    let surplus = made.clone().plain(16, EventKind::ACTION, b"debug");
    let expected = BTreeMap::from([(16, Digest::at_reset(Sha256, 16))]);
    let bytes = surplus.to_bytes();
    let found = Log::parse(&bytes).unwrap().check_pcrs(Sha256, &expected);
    assert!(matches!(found.unwrap()[0].cause, Cause::Surplus { event } if event.pcr == 16));
}

#[test]
fn an_event_that_was_not_extended_is_named() {
    let made = boot(MadeLog::new(&[Sha256]));
    for at in 0..made.events.len() {
        let mut longer = made.clone();
        let mut extra = longer.events[at].clone();
        extra.data = b"slipped in".to_vec();
        extra.measured = Some(b"slipped in".to_vec());
        let pcr = u8::try_from(extra.pcr).unwrap();
        longer.events.insert(at, extra);
        match cause(&made, &longer.to_bytes(), pcr, 0) {
            Cause::NotExtended { event } => assert_eq!(event.index, at + 1),
            other => panic!("{other}"),
        }
    }
}

#[test]
fn two_events_in_the_wrong_order_are_named() {
    let made = boot(MadeLog::new(&[Sha256]));
    let pair: Vec<usize> = (0..made.events.len())
        .filter(|at| made.events[*at].pcr == 8)
        .collect();
    let mut swapped = made.clone();
    swapped.events.swap(pair[0], pair[1]);
    match cause(&made, &swapped.to_bytes(), 8, 0) {
        Cause::Swapped { event } => assert_eq!(event.index, pair[0] + 1),
        other => panic!("{other}"),
    }
}

#[test]
fn a_locality_the_log_does_not_tell_is_named() {
    let made = boot(MadeLog::new(&[Sha256]));
    assert_eq!(
        cause(&made, &made.to_bytes(), 0, 3),
        Cause::Locality { locality: 3 }
    );
}

#[test]
fn events_missing_from_the_log_cannot_be_named_but_their_place_is_bounded() {
    let made = boot(MadeLog::new(&[Sha256]));
    // PCR 8 holds only texts, so all that is left is confirmed.
    let mut shorter = made.clone();
    let at = shorter.events.iter().rposition(|it| it.pcr == 8).unwrap();
    shorter.events.remove(at);
    let bytes = shorter.to_bytes();
    let log = Log::parse(&bytes).unwrap();
    let found = log.check_pcrs(Sha256, &made.pcrs(Sha256, 0)).unwrap();
    assert_eq!(found.len(), 1);
    match found[0].cause {
        Cause::Incomplete { last: Some(last) } => assert_eq!(last.pcr, 8),
        ref other => panic!("{other}"),
    }
    // A PCR the log leaves out altogether.
    let expected = BTreeMap::from([(11, Digest::of(Sha256, b"unified kernel"))]);
    let found = log.check_pcrs(Sha256, &expected).unwrap();
    assert_eq!(found[0].cause, Cause::Incomplete { last: None });
    assert_eq!(found[0].events, 0);
}

#[test]
fn changed_data_changes_no_replay_but_is_named_when_a_digest_is_wrong_too() {
    let made = boot(MadeLog::new(&[Sha256]));
    let mut changed = made.clone();
    let at = changed.events.iter().position(|it| it.pcr == 8).unwrap();
    changed.events[at].data = b"grub_cmd: set timeout=9\0".to_vec();
    let bytes = changed.to_bytes();
    let log = Log::parse(&bytes).unwrap();
    assert_eq!(log.check_pcrs(Sha256, &made.pcrs(Sha256, 0)).unwrap(), []);
    assert!(covered(&log.events[at + 1], Sha256).is_none());
}

#[test]
fn an_earlier_log_names_the_change_exactly() {
    let before = boot(MadeLog::new(&[Sha256]));
    let mut now = before.clone();
    let at = now
        .events
        .iter()
        .rposition(|it| it.kind == EventKind::EFI_BOOT_SERVICES_APPLICATION)
        .unwrap();
    now.events[at].measured = Some(b"new grub image".to_vec());
    let now = now.plain(9, EventKind::IPL, b"one more");
    let (before, now) = (before.to_bytes(), now.to_bytes());
    let (before, now) = (Log::parse(&before).unwrap(), Log::parse(&now).unwrap());
    let found = now.differences(&before, Sha256).unwrap();
    assert_eq!(found.len(), 2);
    assert_eq!(found[0].pcr, 4);
    assert_eq!(found[0].before.unwrap().index, at + 1);
    assert_eq!(found[0].now.unwrap().index, at + 1);
    assert_eq!(found[1].pcr, 9);
    assert_eq!(found[1].before, None);
    assert_eq!(now.differences(&now, Sha256).unwrap(), []);
}

#[test]
fn a_quote_over_other_pcrs_or_of_another_bank_is_refused() {
    let made = boot(MadeLog::new(&[Sha256]));
    let bytes = made.to_bytes();
    let digest = quote(&made.pcrs(Sha256, 0), Sha256);
    explain(
        &bytes,
        Sha256,
        &[16, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 14, 14],
        digest,
    )
    .unwrap();
    assert_eq!(
        explain(&bytes, Sha256, &PCRS[1..], digest)
            .unwrap_err()
            .code(),
        "EVENTLOG_QUOTE_MISMATCH"
    );
    assert_eq!(
        explain(&bytes, Sha384, &PCRS, digest).unwrap_err().code(),
        "EVENTLOG_NO_SUCH_BANK"
    );
    assert_eq!(
        explain(&bytes, Sha256, &[0, 24], digest)
            .unwrap_err()
            .code(),
        "EVENTLOG_PCR_SELECTION"
    );
}

#[test]
fn the_search_for_a_cause_is_bounded() {
    let mut made = MadeLog::new(&[Sha256]);
    for at in 0..2000u32 {
        made = made.event(
            4,
            EventKind::EFI_BOOT_SERVICES_APPLICATION,
            &at.to_le_bytes(),
            &image("x"),
        );
    }
    let bytes = made.to_bytes();
    let refused = explain(&bytes, Sha256, &[4], [0; 32]).unwrap_err();
    let Reject::QuoteMismatch {
        cause: Cause::Unconfirmed { event, candidates },
    } = refused
    else {
        panic!("{refused}");
    };
    assert_eq!((event.index, candidates.len()), (1, 2000));
}
