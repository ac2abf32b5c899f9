#![allow(clippy::unwrap_used, clippy::cast_possible_truncation)]

use verifier::evidence::{Evidence, SignedReceipt};
use verifier::{BlockNumber, Epoch, EvidenceReason, NodeId, cbor};

use super::{Intake, IntakeError, MAX_EVIDENCE_BYTES};
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
