//! What is not a log.

use proptest::prelude::*;

use crate::eventlog::fixture::{MadeLog, boot};
use crate::eventlog::*;
use crate::tpm::wire::HashAlgorithm::{Sha1, Sha256, Sha384, Sha512};

fn code(bytes: &[u8]) -> &'static str {
    Log::parse(bytes).unwrap_err().code()
}

fn agile() -> Vec<u8> {
    boot(MadeLog::new(&[Sha1, Sha256])).to_bytes()
}

/// Where the Spec ID event's data starts, and where the second event does.
const SPEC: usize = 32;
const SECOND: usize = SPEC + 16 + 8 + 4 + 8 + 1;

#[test]
fn both_formats_are_read_event_by_event() {
    let made = boot(MadeLog::new(&[Sha1, Sha256, Sha384, Sha512]));
    let bytes = made.to_bytes();
    let log = Log::parse(&bytes).unwrap();
    assert!(log.crypto_agile);
    assert_eq!(log.banks, BANKS);
    assert_eq!(log.events.len(), made.events.len() + 1);
    for (event, made) in log.events.iter().skip(1).zip(&made.events) {
        assert_eq!(event.data, made.data);
        assert_eq!(u32::from(event.pcr), made.pcr);
        assert_eq!(event.kind, made.kind);
        for bank in BANKS {
            let measured = made.measured.as_ref().unwrap();
            assert_eq!(event.digest(bank).unwrap(), bank.digest(&[measured]));
        }
    }
    let made = boot(MadeLog::sha1());
    let bytes = made.to_bytes();
    let log = Log::parse(&bytes).unwrap();
    assert!(!log.crypto_agile);
    assert_eq!(log.banks, [Sha1]);
    assert_eq!(log.events.len(), made.events.len());
    assert_eq!(
        log.replay(Sha256).unwrap_err().code(),
        "EVENTLOG_NO_SUCH_BANK"
    );
}

#[test]
fn a_cut_log_is_refused_unless_it_is_cut_between_events() {
    let bytes = agile();
    let log = Log::parse(&bytes).unwrap();
    for n in 1..bytes.len() {
        let start = log
            .events
            .iter()
            .map(|event| event.offset)
            .rfind(|start| *start <= n)
            .unwrap();
        // The zeros an event begins with, with nothing after them, are padding.
        let whole = start > 0 && bytes[start..n].iter().all(|byte| *byte == 0);
        match Log::parse(&bytes[..n]) {
            Ok(part) => {
                assert!(whole, "cut at {n}");
                assert!(part.events.len() < log.events.len());
            }
            Err(error) => {
                assert!(!whole, "cut at {n}: {error}");
                assert!(
                    matches!(error.code(), "EVENTLOG_TRUNCATED" | "EVENTLOG_HEADER"),
                    "cut at {n}: {error}"
                );
            }
        }
    }
}

#[test]
fn a_tail_of_zeros_is_padding_and_any_other_is_refused() {
    let mut bytes = agile();
    let events = Log::parse(&bytes).unwrap().events.len();
    bytes.extend([0; 5000]);
    let log = Log::parse(&bytes).unwrap();
    assert_eq!((log.events.len(), log.padding), (events, 5000));
    *bytes.last_mut().unwrap() = 1;
    assert!(Log::parse(&bytes).is_err());
    let mut erased = agile();
    erased.extend([0xff; 64]);
    assert!(Log::parse(&erased).is_err());
    let mut short = agile();
    short.push(1);
    assert_eq!(code(&short), "EVENTLOG_TRUNCATED");
}

#[test]
fn empty_and_oversized_logs_are_refused() {
    assert_eq!(code(&[]), "EVENTLOG_TRUNCATED");
    assert_eq!(code(&[0; 4096]), "EVENTLOG_TRUNCATED");
    assert_eq!(code(&vec![0; MAX_LOG_BYTES + 1]), "EVENTLOG_TOO_LARGE");
    let mut many = MadeLog::sha1();
    for _ in 0..=MAX_EVENTS {
        many = many.plain(1, EventKind::ACTION, b"x");
    }
    assert_eq!(code(&many.to_bytes()), "EVENTLOG_TOO_LARGE");
}

#[test]
fn a_size_larger_than_the_log_allocates_nothing() {
    let mut bytes = MadeLog::sha1().plain(1, EventKind::ACTION, b"x").to_bytes();
    bytes[28..32].copy_from_slice(&u32::MAX.to_le_bytes());
    assert_eq!(code(&bytes), "EVENTLOG_TRUNCATED");
}

#[test]
fn every_event_has_exactly_the_digests_of_the_spec_id_event() {
    let count = SECOND + 8;
    for (at, byte) in [
        (count, 1),
        (count, 3),
        (count + 3, 0xff),
        // An algorithm that is not listed, and one that is there twice.
        (count + 4, 0x0c),
        (count + 4, 0x0b),
    ] {
        let mut bytes = agile();
        bytes[at] = byte;
        assert_eq!(code(&bytes), "EVENTLOG_DIGESTS", "byte {at}");
    }
}

#[test]
fn digests_in_another_order_than_the_spec_id_event_are_the_same_digests() {
    let made = boot(MadeLog::new(&[Sha1, Sha256]));
    let (straight, mut turned) = (made.to_bytes(), made.clone());
    turned.banks.reverse();
    let mut turned = turned.to_bytes();
    // The header lists SHA-1 first in both.
    turned[..SECOND].copy_from_slice(&straight[..SECOND]);
    let (a, b) = (Log::parse(&straight).unwrap(), Log::parse(&turned).unwrap());
    for bank in [Sha1, Sha256] {
        assert_eq!(a.replay(bank), b.replay(bank));
    }
}

#[test]
fn the_spec_id_event_is_read_strictly() {
    for (what, at, byte) in [
        ("PCR", 0, 1),
        ("type", 4, 4),
        ("major version", SPEC + 21, 1),
        ("minor version", SPEC + 20, 1),
        ("UINTN", SPEC + 23, 4),
        ("no algorithm", SPEC + 24, 0),
        ("too many algorithms", SPEC + 24, 17),
        ("size of SHA-1", SPEC + 30, 32),
        ("SHA-1 twice", SPEC + 32, 4),
        ("vendor size", SECOND - 1, 1),
    ] {
        let mut bytes = agile();
        bytes[at] = byte;
        assert_eq!(code(&bytes), "EVENTLOG_HEADER", "{what}");
    }
    let mut bytes = agile();
    bytes[8] = 1;
    assert_eq!(code(&bytes), "EVENTLOG_NO_ACTION_DIGEST");
}

#[test]
fn a_bank_of_an_unknown_algorithm_is_skipped_with_the_size_the_log_gives_it() {
    // SM3-256 in place of SHA-256.
    let mut bytes = agile();
    let log = Log::parse(&bytes).unwrap();
    let events: Vec<usize> = log.events.iter().skip(1).map(|it| it.offset).collect();
    bytes[SPEC + 32] = 0x12;
    for at in events {
        bytes[at + 12 + 2 + 20] = 0x12;
    }
    let log = Log::parse(&bytes).unwrap();
    assert_eq!(log.banks, [Sha1]);
    assert!(log.replay(Sha1).is_ok());
}

#[test]
fn a_pcr_beyond_23_is_refused_unless_nothing_is_extended() {
    let extended = MadeLog::sha1().plain(24, EventKind::ACTION, b"x");
    assert_eq!(code(&extended.to_bytes()), "EVENTLOG_PCR_INDEX");
    let manifest = MadeLog::new(&[Sha256]).no_action(u32::MAX, b"SP800-155 Event\0");
    let bytes = manifest.to_bytes();
    assert!(
        Log::parse(&bytes)
            .unwrap()
            .replay(Sha256)
            .unwrap()
            .values
            .is_empty()
    );
}

#[test]
fn startup_locality_counts_once_and_before_pcr_0_is_extended() {
    let locality = |value: u8| [&b"StartupLocality\0"[..], &[value]].concat();
    let base = MadeLog::new(&[Sha256]);
    let good =
        base.clone()
            .no_action(0, &locality(3))
            .plain(0, EventKind::S_CRTM_VERSION, b"version");
    let bytes = good.to_bytes();
    let log = Log::parse(&bytes).unwrap();
    assert_eq!(log.startup_locality, 3);
    assert_eq!(log.replay(Sha256).unwrap().values, good.pcrs(Sha256, 3));
    assert_ne!(good.pcrs(Sha256, 3), good.pcrs(Sha256, 0));
    for bad in [
        base.clone().no_action(0, &locality(1)),
        base.clone().no_action(1, &locality(3)),
        base.clone().no_action(0, b"StartupLocality\0"),
        base.clone()
            .no_action(0, &locality(3))
            .no_action(0, &locality(3)),
        base.plain(0, EventKind::SEPARATOR, &[0; 4])
            .no_action(0, &locality(3)),
    ] {
        assert_eq!(code(&bad.to_bytes()), "EVENTLOG_STARTUP_LOCALITY");
    }
}

proptest! {
    #[test]
    fn no_bytes_make_the_parser_panic(
        agile in any::<bool>(),
        tail in proptest::collection::vec(any::<u8>(), 0..300),
        at in 0usize..1000,
        byte in any::<u8>(),
    ) {
        let _ = Log::parse(&tail);
        let made = if agile { MadeLog::new(&[Sha1, Sha256]) } else { MadeLog::sha1() };
        let mut bytes = boot(made).to_bytes();
        let at = at % bytes.len();
        bytes[at] = byte;
        if let Ok(log) = Log::parse(&bytes) {
            let all: Vec<u8> = (0..PCRS).collect();
            let bank = log.banks[0];
            prop_assert!(Facts::of(&log, bank, &all).is_ok());
            let _ = log.check_quote(bank, &all, &[0; 32]);
        }
        bytes.extend(tail);
        let _ = Log::parse(&bytes);
    }
}
