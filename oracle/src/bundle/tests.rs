#![allow(clippy::unwrap_used)]

use verifier::session::{
    Certification, SESSION_TAG, Served, SessionCertificate, SessionStatement, VouchedAnswer,
};

use super::*;
use crate::agreement::Led;
use crate::onchain::{Event, OnChain};
use crate::probe::ProbeRecord;
use crate::store::EnrolmentRow;
use crate::testing::{EPOCH, TestNode, World, probe};

/// What a node's session signed of an answer; `mark` tells answers apart.
fn answer(world: &World, node_key: &[u8], epoch: Epoch, mark: u8) -> VouchedAnswer {
    let deployment = world.rules.deployment();
    let statement = SessionStatement {
        tag: SESSION_TAG.into(),
        chain_id: deployment.chain_id,
        hub: deployment.hub,
        node: NodeId(1),
        epoch,
        anchor: B256::ZERO,
        session_key: vec![1; 64].into(),
    };
    let node_key: &[u8; 64] = node_key.try_into().unwrap();
    VouchedAnswer {
        served: Served::new(B256::ZERO, 0, 1, &[mark], B256::repeat_byte(mark)),
        binding: B256::ZERO,
        certificate: SessionCertificate::new(statement.to_bytes(), node_key, &[0; 64])
            .to_bytes()
            .into(),
        signature: vec![0; 64].into(),
    }
}

/// An oracle that saw node 1 enrol, before its epoch is reported.
async fn archive(certified: bool) -> (World, Exporter, TestNode) {
    let world = World::new().await;
    let node = world.nodes[0].clone();
    world.push_all().await;
    let store = world.members[0].store.clone();
    let start = world.rules.schedule().start(EPOCH);
    let machine = store.machine_in_force(node.node, start).await.unwrap();
    let machine = machine.unwrap();
    assert_eq!(machine.identity, node.identity);
    let registration = world.chain.registration(machine.enrolled_in).await.unwrap();
    let row = EnrolmentRow {
        account: node.identity.account,
        ek_certificate: vec![1].into(),
        intermediates: Vec::new(),
        ek_public: vec![2].into(),
        ak_public: vec![3].into(),
        node_key_public: vec![4].into(),
        node_key: node.node_key().into(),
        node_key_hash: node.identity.node_key_hash,
        expiry: 0,
        signature: vec![6].into(),
        certification: certified.then(|| Certification {
            nonce: B256::repeat_byte(9),
            attest: vec![7].into(),
            signature: vec![8].into(),
        }),
        guest: None,
    };
    let digest = world
        .rules
        .deployment()
        .registry_digest(&registration.enrolment);
    let ak_hash = node.identity.ak_hash;
    store.keep_enrolment(digest, ak_hash, &row).await.unwrap();
    let exporter = Exporter::new(store, world.rules.clone(), world.chain.clone());
    (world, exporter, node)
}

/// The epoch's report is accepted.
async fn report(world: &World) {
    world.commit_all().await;
    let led = world.leader(0).agreement.lead(EPOCH, 0).await.unwrap();
    let Led::Agreed(report) = led else {
        panic!("{led:?}")
    };
    world.chain.log(94, Event::Report((*report).clone()));
    world.to_block(97).await;
}

async fn why_not(exporter: &Exporter, node: NodeId, epoch: Epoch) -> String {
    match exporter.transcript(node, epoch).await.unwrap_err() {
        ExportError::Missing(why) => why,
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn a_transcript_is_the_last_answer_of_the_machine_in_force_once_the_epoch_is_reported() {
    let (world, exporter, node) = archive(true).await;
    let another = world.nodes[1].node_key();
    let kept = |epoch, answer| ProbeRecord {
        answer: Some(answer),
        ..probe(epoch, NodeId(1), 10)
    };
    let next = EPOCH.next();
    for record in [
        kept(EPOCH, answer(&world, &node.node_key(), EPOCH, 1)),
        // Still in the session of the epoch before.
        kept(
            EPOCH,
            answer(&world, &node.node_key(), Epoch(EPOCH.0 - 1), 2),
        ),
        probe(EPOCH, NodeId(1), 10),
        kept(next, answer(&world, &node.node_key(), EPOCH, 3)),
        kept(next, answer(&world, &node.node_key(), next, 4)),
        // A machine that has taken its place and does not count yet.
        kept(EPOCH, answer(&world, &another, EPOCH, 5)),
    ] {
        exporter.store.keep_probe(&record).await.unwrap();
    }
    let why = why_not(&exporter, node.node, EPOCH).await;
    assert!(why.contains("no accepted report"), "{why}");
    report(&world).await;
    let transcript = exporter.transcript(node.node, EPOCH).await.unwrap();
    assert_eq!(transcript.node, node.node);
    // Answers to the next epoch's probes do not show: those may still go on.
    assert_eq!(transcript.answer.served.nonce, B256::repeat_byte(1));
    assert_eq!(transcript.certification.nonce, B256::repeat_byte(9));
    // Nobody else has answered, and there are epochs that nobody can count to.
    let why = why_not(&exporter, NodeId(2), EPOCH).await;
    assert!(why.contains("has answered no probe"), "{why}");
    let why = why_not(&exporter, NodeId(99), EPOCH).await;
    assert!(why.contains("is not known"), "{why}");
    why_not(&exporter, node.node, Epoch(u64::MAX)).await;
}

#[tokio::test]
async fn an_enrolment_of_before_certifications_were_kept_has_no_transcript() {
    let (world, exporter, node) = archive(false).await;
    let record = ProbeRecord {
        answer: Some(answer(&world, &node.node_key(), EPOCH, 1)),
        ..probe(EPOCH, NodeId(1), 10)
    };
    exporter.store.keep_probe(&record).await.unwrap();
    report(&world).await;
    let why = why_not(&exporter, node.node, EPOCH).await;
    assert!(why.contains("has not kept"), "{why}");
}

#[test]
fn records_of_before_answers_were_kept_are_read_and_written_alike() {
    let record = probe(EPOCH, NodeId(1), 10);
    let bytes = cbor::encode(&record);
    // A list of 13: what is absent at its end is not written.
    assert_eq!(bytes[0], 0x8d);
    let read: ProbeRecord = cbor::decode("probe record", &bytes).unwrap();
    assert_eq!(read, record);
}
