#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::*;
use crate::testing::ChainKey;

fn deployment() -> Deployment {
    Deployment {
        chain_id: 31_337,
        hub: Address::repeat_byte(1),
        registry: Address::repeat_byte(2),
    }
}

fn signed(key: &ChainKey, notice: &Notice) -> SignedNotice {
    SignedNotice {
        notice: notice.to_bytes().into(),
        signature: key.sign(notice.digest(&deployment())),
    }
}

fn hardware(byte: u8) -> Subject {
    Subject::Hardware(B256::repeat_byte(byte))
}

/// A feed with one notice for each step.
fn feed(key: &ChainKey, steps: &[(Subject, RevocationReason, u64)]) -> Vec<SignedNotice> {
    let mut head = Head::start(key.address());
    steps
        .iter()
        .map(|(subject, reason, from)| {
            let notice = Notice::after(&head, *subject, *reason, *from, "as told");
            let signed = signed(key, &notice);
            head = Head {
                issuer: head.issuer,
                sequence: notice.sequence,
                hash: notice.hash(),
                last: Some(signed.clone()),
            };
            signed
        })
        .collect()
}

fn four(key: &ChainKey) -> Vec<SignedNotice> {
    use RevocationReason as Why;
    feed(
        key,
        &[
            (hardware(1), Why::Vulnerable, 100),
            (hardware(2), Why::KeyCompromise, 100),
            (hardware(1), Why::Reinstated, 200),
            (hardware(2), Why::Reinstated, 200),
        ],
    )
}

fn code<T: std::fmt::Debug>(result: Result<T, Reject>) -> &'static str {
    result.unwrap_err().code()
}

#[test]
fn a_feed_is_followed_at_once_or_piece_by_piece_to_the_same_head() {
    let key = ChainKey::new(1);
    let feed = four(&key);
    let start = Head::start(key.address());
    let (whole, notices) = follow(&deployment(), &start, &feed).unwrap();
    assert_eq!((whole.sequence, notices.len()), (4, 4));
    for cut in 1..=4 {
        let (head, first) = follow(&deployment(), &start, &feed[..cut]).unwrap();
        // From the last one known on, or from any before.
        for from in 0..cut {
            let (end, rest) = follow(&deployment(), &head, &feed[from..]).unwrap();
            assert_eq!(end, whole);
            assert_eq!([first.clone(), rest].concat(), notices);
        }
    }
    assert_eq!(follow(&deployment(), &start, &[]).unwrap(), (start, vec![]));
}

#[test]
fn gaps_rollbacks_and_other_peoples_notices_are_refused() {
    let (key, other) = (ChainKey::new(1), ChainKey::new(2));
    let feed = four(&key);
    let start = Head::start(key.address());
    let (head, _) = follow(&deployment(), &start, &feed).unwrap();
    let run = |head: &Head, feed: &[SignedNotice]| code(follow(&deployment(), head, feed));
    assert_eq!(run(&start, &feed[1..]), "REVOCATION_GAP");
    let left_out = [&feed[..1], &feed[2..]].concat();
    assert_eq!(run(&start, &left_out), "REVOCATION_GAP");
    let turned = [feed[1].clone(), feed[0].clone()];
    let (one, _) = follow(&deployment(), &start, &feed[..1]).unwrap();
    assert_eq!(run(&one, &turned), "REVOCATION_GAP");
    assert_eq!(run(&start, &turned), "REVOCATION_GAP");
    for shorter in 0..4 {
        assert_eq!(run(&head, &feed[..shorter]), "REVOCATION_ROLLBACK");
    }
    assert_eq!(run(&start, &four(&other)), "REVOCATION_ISSUER");
    // Signed by somebody else in the issuer's name.
    let notice = feed[0].open(&deployment()).unwrap();
    assert_eq!(run(&start, &[signed(&other, &notice)]), "REVOCATION_ISSUER");
    let mut broken = feed[0].clone();
    broken.signature = Bytes::from_static(&[27; 65]);
    assert_ne!(broken.open(&deployment()), Ok(notice.clone()));
    broken.signature = Bytes::from_static(&[1; 64]);
    assert_eq!(run(&start, &[broken]), "REVOCATION_SIGNATURE");
}

#[test]
fn a_second_history_is_caught_with_its_proof_wherever_it_shows() {
    let key = ChainKey::new(1);
    let mine = four(&key);
    let start = Head::start(key.address());
    // The same first notice, then another second one.
    let first = mine[0].open(&deployment()).unwrap();
    let head_one = Head {
        issuer: key.address(),
        sequence: 1,
        hash: first.hash(),
        last: Some(mine[0].clone()),
    };
    let fork = signed(
        &key,
        &Notice::after(
            &head_one,
            hardware(9),
            RevocationReason::Vulnerable,
            100,
            "other",
        ),
    );
    let theirs = vec![mine[0].clone(), fork.clone()];

    let (head_two, _) = follow(&deployment(), &start, &mine[..2]).unwrap();
    let Err(Reject::Fork(proof)) = follow(&deployment(), &head_two, &theirs) else {
        panic!("a fork at the head is seen");
    };
    assert_eq!(proof.verify(&deployment()), Ok(key.address()));
    // Both in one feed.
    let both = [mine[0].clone(), mine[1].clone(), fork.clone()];
    assert_eq!(
        code(follow(&deployment(), &start, &both)),
        "REVOCATION_FORK"
    );
    // Below the head, where the chain does not lead to what is known.
    let (head, _) = follow(&deployment(), &start, &mine).unwrap();
    assert!(follow(&deployment(), &head, &theirs).is_err());
    // Two readers compare.
    let found = Equivocation::between(&deployment(), &mine, &theirs).unwrap();
    assert_eq!((&found.first, &found.second), (&mine[1], &fork));
    assert_eq!(
        Equivocation::between(&deployment(), &mine, &mine[1..]),
        None
    );

    for (first, second) in [(&mine[0], &mine[0]), (&mine[0], &mine[1])] {
        let no_proof = Equivocation {
            first: first.clone(),
            second: second.clone(),
        };
        assert_eq!(code(no_proof.verify(&deployment())), "REVOCATION_NO_FORK");
    }
    let two_issuers = Equivocation {
        first: mine[0].clone(),
        second: four(&ChainKey::new(2))[0].clone(),
    };
    assert_eq!(
        code(two_issuers.verify(&deployment())),
        "REVOCATION_NO_FORK"
    );
}

#[test]
fn what_is_revoked_when_and_what_comes_back() {
    let key = ChainKey::new(1);
    let mut set = Revocations::new([key.address()]);
    assert_eq!(set.extend(&deployment(), key.address(), &four(&key)), Ok(4));
    let revoked = |byte, at| set.revoked(&hardware(byte), at).map(|it| it.reason);
    assert_eq!(revoked(1, 99), None);
    assert_eq!(revoked(1, 100), Some(RevocationReason::Vulnerable));
    assert_eq!(revoked(1, 199), Some(RevocationReason::Vulnerable));
    assert_eq!(revoked(1, 200), None, "reinstated");
    assert_eq!(
        revoked(2, 500),
        Some(RevocationReason::KeyCompromise),
        "a key that was out stays out"
    );
    assert_eq!(revoked(3, 500), None);
    assert_eq!(set.head(key.address()).unwrap().sequence, 4);
}

#[test]
fn one_issuer_undoes_nothing_of_another_and_strangers_count_for_nothing() {
    let (one, two, stranger) = (ChainKey::new(1), ChainKey::new(2), ChainKey::new(3));
    let mut set = Revocations::new([one.address(), two.address()]);
    let revoke = [(hardware(1), RevocationReason::Vulnerable, 100)];
    let undo = [(hardware(1), RevocationReason::Reinstated, 100)];
    set.extend(&deployment(), one.address(), &feed(&one, &revoke))
        .unwrap();
    set.extend(&deployment(), two.address(), &feed(&two, &undo))
        .unwrap();
    assert!(set.revoked(&hardware(1), 100).is_some());
    assert_eq!(
        code(set.extend(&deployment(), stranger.address(), &feed(&stranger, &revoke))),
        "REVOCATION_UNKNOWN_ISSUER"
    );
}

#[test]
fn an_issuer_with_two_histories_is_heard_no_more_and_doubt_is_not_resolved_in_favour() {
    let key = ChainKey::new(1);
    let mine = four(&key);
    let mut set = Revocations::new([key.address()]);
    set.extend(&deployment(), key.address(), &mine).unwrap();
    assert!(set.revoked(&hardware(1), 300).is_none());
    let head = set.head(key.address()).unwrap().clone();
    let before = Head {
        sequence: 3,
        hash: mine[2].hash(),
        ..head
    };
    let fork = signed(
        &key,
        &Notice::after(
            &before,
            hardware(8),
            RevocationReason::Vulnerable,
            100,
            "other",
        ),
    );
    let feed = [mine[2].clone(), fork];
    assert_eq!(
        code(set.extend(&deployment(), key.address(), &feed)),
        "REVOCATION_FORK"
    );
    let proof = set.equivocation(key.address()).unwrap().clone();
    assert_eq!(proof.verify(&deployment()), Ok(key.address()));
    assert!(set.revoked(&hardware(8), 300).is_some(), "both branches");
    assert!(
        set.revoked(&hardware(1), 300).is_some(),
        "its reinstatements fall"
    );
    assert_eq!(
        code(set.extend(&deployment(), key.address(), &mine)),
        "REVOCATION_EQUIVOCATED"
    );

    let mut elsewhere = Revocations::new([key.address()]);
    assert_eq!(elsewhere.accuse(&deployment(), proof.clone()), Ok(()));
    assert_eq!(elsewhere.equivocation(key.address()), Some(&proof));
    assert_eq!(
        code(Revocations::new([]).accuse(&deployment(), proof)),
        "REVOCATION_UNKNOWN_ISSUER"
    );
}

#[test]
fn what_a_feed_revokes_before_its_fork_stays_revoked_for_who_reads_it_at_once() {
    let key = ChainKey::new(1);
    let mine = four(&key);
    let (before, _) = follow(&deployment(), &Head::start(key.address()), &mine[..3]).unwrap();
    let other = Notice::after(
        &before,
        hardware(8),
        RevocationReason::Vulnerable,
        100,
        "other",
    );
    let feed = [&mine[..], &[signed(&key, &other)]].concat();
    let mut set = Revocations::new([key.address()]);
    assert_eq!(
        code(set.extend(&deployment(), key.address(), &feed)),
        "REVOCATION_FORK"
    );
    for subject in [1, 2, 8] {
        assert!(set.revoked(&hardware(subject), 300).is_some(), "{subject}");
    }
}

#[test]
fn a_machine_is_refused_for_anything_it_rests_on() {
    let key = ChainKey::new(1);
    let machine = Machine {
        hardware_id: B256::repeat_byte(1),
        ak_hash: B256::repeat_byte(2),
        path: vec![[3; 32], [4; 32], [5; 32]],
    };
    let b = B256::repeat_byte;
    for (subject, expected) in [
        (Subject::Hardware(b(1)), Some("REVOKED_HARDWARE")),
        (
            Subject::AttestationKey(b(2)),
            Some("REVOKED_ATTESTATION_KEY"),
        ),
        (Subject::Certificate(b(3)), Some("REVOKED_CERTIFICATE")),
        (Subject::Certificate(b(4)), Some("REVOKED_CERTIFICATE")),
        (Subject::Root(b(5)), Some("REVOKED_ROOT")),
        // A subject of another kind with the same hash is another subject.
        (Subject::Root(b(4)), None),
        (Subject::Certificate(b(5)), None),
        (Subject::Hardware(b(2)), None),
    ] {
        let mut set = Revocations::new([key.address()]);
        let step = [(subject, RevocationReason::Vulnerable, 100)];
        set.extend(&deployment(), key.address(), &feed(&key, &step))
            .unwrap();
        assert_eq!(set.check(&machine, 99), Ok(()));
        assert_eq!(
            set.check(&machine, 100).err().map(|it| it.code()),
            expected,
            "{subject:?}"
        );
    }
}

#[test]
fn notices_that_break_their_own_form_are_malformed() {
    let key = ChainKey::new(1);
    let good = Notice::after(
        &Head::start(key.address()),
        hardware(1),
        RevocationReason::Vulnerable,
        1,
        "",
    );
    type Change = fn(&mut Notice);
    let changes: [Change; 4] = [
        |it| it.tag = "probity-revocation-2".into(),
        |it| it.sequence = 0,
        |it| it.sequence = 2,
        |it| it.text = "x".repeat(MAX_TEXT_BYTES + 1),
    ];
    assert!(signed(&key, &good).open(&deployment()).is_ok());
    for change in changes {
        let mut bad = good.clone();
        change(&mut bad);
        assert_eq!(
            code(signed(&key, &bad).open(&deployment())),
            "REVOCATION_MALFORMED",
            "{bad:?}"
        );
    }
    let mut first_with_previous = good.clone();
    first_with_previous.previous = B256::repeat_byte(1);
    assert_eq!(
        code(signed(&key, &first_with_previous).open(&deployment())),
        "REVOCATION_MALFORMED"
    );
    let huge = SignedNotice {
        notice: vec![0; MAX_NOTICE_BYTES + 1].into(),
        signature: Bytes::new(),
    };
    assert_eq!(code(huge.open(&deployment())), "REVOCATION_MALFORMED");
}

#[test]
fn every_changed_byte_of_a_feed_is_found() {
    let key = ChainKey::new(1);
    let bytes = Feed(four(&key)[..2].to_vec()).to_bytes();
    let start = Head::start(key.address());
    let read = |bytes: &[u8]| {
        Feed::from_bytes(bytes).and_then(|feed| follow(&deployment(), &start, &feed.0))
    };
    let good = read(&bytes).unwrap();
    for at in 0..bytes.len() {
        for bit in [0, 3, 7] {
            let mut bad = bytes.clone();
            bad[at] ^= 1 << bit;
            assert_ne!(
                read(&bad).ok().as_ref(),
                Some(&good),
                "byte {at}, bit {bit}"
            );
            // The head is what is remembered: none but the true one may come out.
            assert!(read(&bad).is_err(), "byte {at}, bit {bit}");
        }
    }
}

proptest! {
    #[test]
    fn nothing_that_is_read_panics(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        if let Ok(feed) = Feed::from_bytes(&bytes) {
            let _ = follow(&deployment(), &Head::start(Address::ZERO), &feed.0);
        }
        let signed = SignedNotice { notice: bytes.into(), signature: Bytes::new() };
        prop_assert!(signed.open(&deployment()).is_err());
    }

    #[test]
    fn a_permanent_revocation_stays_whatever_follows(
        later in prop::collection::vec((0u8..3, 0usize..7, 0u64..50), 0..12),
    ) {
        let key = ChainKey::new(1);
        let mut steps = vec![(hardware(0), RevocationReason::KeyCompromise, 10)];
        steps.extend(later.into_iter().map(|(subject, reason, from)| {
            (hardware(subject), RevocationReason::ALL[reason], from)
        }));
        let mut set = Revocations::new([key.address()]);
        set.extend(&deployment(), key.address(), &feed(&key, &steps)).unwrap();
        prop_assert!(set.revoked(&hardware(0), 10).is_some());
        prop_assert!(set.revoked(&hardware(0), u64::MAX).is_some());
    }
}
