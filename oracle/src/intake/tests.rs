#![allow(clippy::unwrap_used, clippy::cast_possible_truncation)]

use verifier::envelope::Envelope;
use verifier::evidence::{Evidence, SignedReceipt};
use verifier::{BlockNumber, Epoch, EvidenceReason, NodeId, cbor};

use super::{Intake, IntakeError, MAX_EVIDENCE_BYTES};
use crate::onchain::Event;
use crate::testing::{EPOCH, World, oracle_key};

async fn refused(intake: &Intake, node: u64, epoch: Epoch, bytes: &[u8]) -> EvidenceReason {
    match intake.push(NodeId(node), epoch, bytes).await {
        Err(IntakeError::NotEvidence(why)) => why.reason,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn the_first_receipt_for_an_envelope_stays() {
    let world = World::new().await;
    world.to_block(60).await;
    let node = &world.nodes[0];
    let evidence = node.evidence(&world, EPOCH, 1);
    let first = world.push(&world.members[0], &evidence, node.node).await;
    assert_eq!(first.block, BlockNumber(60));
    let signer = first
        .signer(world.rules.deployment(), &world.view().await.set)
        .unwrap();
    assert_eq!(signer, world.members[0].key.address());
    world.to_block(90).await;
    assert_eq!(
        world.push(&world.members[0], &evidence, node.node).await,
        first
    );
}

#[tokio::test]
async fn what_anybody_could_have_made_is_refused_by_name() {
    let world = World::new().await;
    world.to_block(60).await;
    let intake = world.members[0].agreement.intake();
    let good = world.nodes[0].evidence(&world, EPOCH, 1);
    let bytes = cbor::encode(&good);
    assert_eq!(
        refused(intake, 1, EPOCH, &bytes[..bytes.len() - 1]).await,
        EvidenceReason::Malformed
    );
    assert_eq!(
        refused(intake, 1, EPOCH, &vec![0; MAX_EVIDENCE_BYTES + 1]).await,
        EvidenceReason::Malformed
    );
    assert_eq!(
        refused(intake, 2, EPOCH, &bytes).await,
        EvidenceReason::WrongContext
    );
    let other_epoch = cbor::encode(&world.nodes[0].evidence(&world, Epoch(0), 1));
    assert_eq!(
        refused(intake, 1, EPOCH, &other_epoch).await,
        EvidenceReason::WrongContext
    );
    let other_proof = Evidence {
        proof: vec![9; 256].into(),
        ..good.clone()
    };
    assert_eq!(
        refused(intake, 1, EPOCH, &cbor::encode(&other_proof)).await,
        EvidenceReason::WrongContext
    );
    let other_key = Evidence {
        node_key: vec![9; 64].into(),
        ..good.clone()
    };
    assert_eq!(
        refused(intake, 1, EPOCH, &cbor::encode(&other_key)).await,
        EvidenceReason::IdentityMismatch
    );
    let mut flipped = good.envelope.to_vec();
    let last = flipped.len() - 1;
    flipped[last] ^= 1;
    let flipped = Evidence {
        envelope: flipped.into(),
        ..good
    };
    assert_eq!(
        refused(intake, 1, EPOCH, &cbor::encode(&flipped)).await,
        EvidenceReason::BadSignature
    );
    assert!(
        world.members[0]
            .store
            .evidence(EPOCH, None)
            .await
            .unwrap()
            .is_empty(),
        "nothing is kept"
    );
}

#[tokio::test]
async fn epochs_that_are_over_or_not_begun_take_nothing() {
    let world = World::new().await;
    let evidence = cbor::encode(&world.nodes[0].evidence(&world, EPOCH, 1));
    let intake = world.members[0].agreement.intake();
    let early = intake.push(NodeId(1), EPOCH.next(), &evidence).await;
    assert!(matches!(early, Err(IntakeError::NotReady(_))), "{early:?}");
    world.to_block(130).await;
    assert_eq!(
        refused(intake, 1, EPOCH, &evidence).await,
        EvidenceReason::WrongContext
    );
}

#[tokio::test]
async fn a_node_without_a_duty_gets_no_receipt() {
    let world = World::new().await;
    world.to_block(60).await;
    let evidence = cbor::encode(&world.nodes[0].evidence(&world, EPOCH, 1));
    let answer = world.members[0]
        .agreement
        .intake()
        .push(NodeId(77), EPOCH, &evidence)
        .await;
    assert!(matches!(answer, Err(IntakeError::NoDuty(..))));
}

#[tokio::test]
async fn envelopes_of_one_node_are_limited_unless_others_have_receipts_for_them() {
    let world = World::new().await;
    world.to_block(60).await;
    let node = &world.nodes[0];
    let member = &world.members[0];
    for tweak in 0..8 {
        world
            .push(member, &node.evidence(&world, EPOCH, tweak), node.node)
            .await;
    }
    let ninth = node.evidence(&world, EPOCH, 8);
    let answer = member
        .agreement
        .intake()
        .push(node.node, EPOCH, &cbor::encode(&ninth))
        .await;
    assert!(
        matches!(answer, Err(IntakeError::TooMany(..))),
        "{answer:?}"
    );
    let receipts = vec![
        world.push(&world.members[1], &ninth, node.node).await,
        world.push(&world.members[2], &ninth, node.node).await,
    ];
    let received = Evidence { receipts, ..ninth };
    member
        .agreement
        .intake()
        .push(node.node, EPOCH, &cbor::encode(&received))
        .await
        .unwrap();
    assert_eq!(member.store.evidence(EPOCH, None).await.unwrap().len(), 9);
}

#[tokio::test]
async fn an_envelope_submitted_on_chain_is_kept_whatever_else_its_node_sent() {
    let world = World::new().await;
    world.to_block(60).await;
    let node = &world.nodes[0];
    let member = &world.members[0];
    for tweak in 0..8 {
        world
            .push(member, &node.evidence(&world, EPOCH, tweak), node.node)
            .await;
    }
    let ninth = node.evidence(&world, EPOCH, 8);
    let envelope: Envelope = cbor::decode("envelope", &ninth.envelope).unwrap();
    world.chain.log(
        70,
        Event::ProofSubmitted {
            node: node.node,
            epoch: EPOCH,
            envelope_hash: envelope.hash(),
            body: envelope.body.clone(),
            node_signature: envelope.node_signature.clone(),
            proof: ninth.proof.clone(),
        },
    );
    world.to_block(78).await;
    let view = world.view().await;
    let intake = member.agreement.intake();
    intake.merge_submissions(&view).await.unwrap();
    let held = intake.names(EPOCH, Some(node.node)).await.unwrap();
    assert_eq!(held.len(), 9);
    assert_eq!(held[0], (node.node, envelope.hash()), "it counts: first");
}

#[tokio::test]
async fn an_event_log_that_was_lost_on_the_way_is_taken_in_when_it_comes() {
    let world = World::new().await;
    world.to_block(60).await;
    let (node, view) = (&world.nodes[0], world.view().await);
    let whole = node.evidence_with_log(&world, EPOCH);
    let stripped = Evidence {
        event_log: Vec::new().into(),
        ..whole.clone()
    };
    let held = async |member: &crate::testing::Member| {
        let held = member.store.evidence(EPOCH, None).await.unwrap();
        assert_eq!(held.len(), 1);
        held[0].evidence.event_log.clone()
    };
    let [first, second, ..] = &world.members[..] else {
        panic!()
    };
    // One oracle saw it on chain, where there is no place for a log; the other was pushed it.
    world.push(first, &stripped, node.node).await;
    assert!(held(first).await.is_empty());
    let another = Evidence {
        event_log: b"another log".to_vec().into(),
        ..whole.clone()
    };
    assert_eq!(
        refused(first.agreement.intake(), 1, EPOCH, &cbor::encode(&another)).await,
        EvidenceReason::WrongContext
    );
    world.push(second, &whole, node.node).await;
    first.agreement.gather(&view).await.unwrap();
    assert_eq!(held(first).await, whole.event_log);
    // And it stays.
    world.push(second, &stripped, node.node).await;
    assert_eq!(held(second).await, whole.event_log);
}

#[tokio::test]
async fn receipts_that_come_from_different_peers_let_an_envelope_in_above_the_limit() {
    let world = World::new().await;
    world.to_block(60).await;
    let node = &world.nodes[0];
    let [crowded, others @ ..] = &world.members[..] else {
        panic!()
    };
    for tweak in 0..8 {
        world
            .push(crowded, &node.evidence(&world, EPOCH, tweak), node.node)
            .await;
    }
    // Each of two others knows its own receipt only.
    let ninth = node.evidence(&world, EPOCH, 8);
    for member in &others[..2] {
        world.push(member, &ninth, node.node).await;
    }
    let view = world.view().await;
    crowded.agreement.gather(&view).await.unwrap();
    let held = crowded.agreement.intake().names(EPOCH, None).await.unwrap();
    assert_eq!(held.len(), 9);
}

#[tokio::test]
async fn pages_bring_every_piece_once_and_those_that_count_first() {
    let world = World::new().await;
    world.to_block(60).await;
    let member = &world.members[0];
    for node in &world.nodes {
        for tweak in 0..5 {
            world
                .push(member, &node.evidence(&world, EPOCH, tweak), node.node)
                .await;
        }
    }
    let last = &world.nodes[2];
    let counting = last.evidence(&world, EPOCH, 3);
    let receipts = vec![world.push(&world.members[1], &counting, last.node).await];
    let counting = Evidence {
        receipts,
        ..counting
    };
    world.push(member, &counting, last.node).await;

    let intake = member.agreement.intake();
    let (mut fetched, mut after, mut pages) = (Vec::new(), None, 0);
    loop {
        let page = intake.page(EPOCH, None, after, 3_000).await.unwrap();
        pages += 1;
        for (node, evidence) in page.items {
            let envelope: Envelope = cbor::decode("envelope", &evidence.envelope).unwrap();
            fetched.push((node, envelope.hash()));
        }
        after = fetched.last().copied();
        if !page.more {
            break;
        }
    }
    assert!(pages > 3, "{pages}");
    assert_eq!(fetched.len(), 15);
    let envelope: Envelope = cbor::decode("envelope", &counting.envelope).unwrap();
    assert_eq!(fetched[0], (last.node, envelope.hash()));
    assert!(fetched[1..].is_sorted());

    // A peer with nothing gets all of it, over as many pages.
    let view = world.view().await;
    let empty = &world.members[3];
    empty.agreement.gather(&view).await.unwrap();
    let held = empty.agreement.intake().names(EPOCH, None).await.unwrap();
    assert_eq!(held.len(), 15);
}

#[tokio::test]
async fn a_flood_of_foreign_receipts_is_checked_no_further_than_the_set_is_large() {
    let world = World::new().await;
    world.to_block(60).await;
    let node = &world.nodes[0];
    let evidence = node.evidence(&world, EPOCH, 1);
    let genuine = world.push(&world.members[1], &evidence, node.node).await;
    let mut receipts: Vec<_> = (0..200)
        .map(|block| SignedReceipt {
            block: BlockNumber(block),
            ..genuine.clone()
        })
        .collect();
    receipts.push(genuine.clone());
    let flooded = Evidence {
        receipts,
        ..evidence
    };
    let own = world.push(&world.members[0], &flooded, node.node).await;
    let held = world.members[0]
        .store
        .receipts(EPOCH, node.node, own.envelope_hash)
        .await
        .unwrap();
    assert_eq!(held, [own], "the one behind the flood is not looked at");
}

#[tokio::test]
async fn only_receipts_of_members_for_this_very_envelope_are_kept() {
    let world = World::new().await;
    world.to_block(60).await;
    let node = &world.nodes[0];
    let evidence = node.evidence(&world, EPOCH, 1);
    let genuine = world.push(&world.members[1], &evidence, node.node).await;
    let stranger = {
        let digest = SignedReceipt::digest(
            world.rules.deployment(),
            node.node,
            EPOCH,
            genuine.envelope_hash,
            genuine.block,
        );
        SignedReceipt {
            signature: oracle_key(9).sign(&digest).unwrap(),
            ..genuine.clone()
        }
    };
    let other = world
        .push(
            &world.members[2],
            &node.evidence(&world, EPOCH, 2),
            node.node,
        )
        .await;
    let backdated = SignedReceipt {
        block: BlockNumber(1),
        ..genuine.clone()
    };
    let pushed = Evidence {
        receipts: vec![stranger, other, backdated, genuine.clone()],
        ..evidence
    };
    let own = world.push(&world.members[0], &pushed, node.node).await;
    let held = world.members[0]
        .store
        .evidence(EPOCH, Some(node.node))
        .await
        .unwrap();
    let mut expected = vec![genuine, own];
    expected.sort_unstable();
    assert_eq!(held[0].evidence.receipts, expected);
}

#[tokio::test]
async fn an_oracle_whose_chain_does_not_answer_gives_no_receipt() {
    let world = World::new().await;
    world.to_block(60).await;
    world.chain.state().unreachable = true;
    let evidence = cbor::encode(&world.nodes[0].evidence(&world, EPOCH, 1));
    let answer = world.members[0]
        .agreement
        .intake()
        .push(NodeId(1), EPOCH, &evidence)
        .await;
    assert!(matches!(answer, Err(IntakeError::Chain(_))));
}
