#![allow(clippy::unwrap_used, clippy::cast_possible_truncation)]

use std::sync::Arc;

use verifier::committee::{
    CommitmentList, Observation, Observations, Proposal, Reveal, SignedCommitmentList,
    SignedProposal,
};
use verifier::evidence::EpochContext;
use verifier::report::{Report, VerdictTree};
use verifier::revocation::{RevocationReason, Subject};
use verifier::{Availability, BlockNumber, LatencyMs, Reason, Throughput};

use super::{AgreementError, Led, Observer};
use crate::notices::Notices;
use crate::onchain::{BlockRef, Event, OnChain};
use crate::peers::Answer;
use crate::store::{Store, StoreError};
use crate::testing::{Character, EPOCH, Member, SignedIsValid, World, oracle_key, probe};
use crate::verdicts::{NodeCase, NodeVerdict, VerdictSource};

mod absence;
mod attacks;

async fn agreed(member: &Member, view: u32) -> Report {
    match member.agreement.lead(EPOCH, view).await.unwrap() {
        Led::Agreed(report) => *report,
        Led::Short(why) => panic!("no agreement: {why}"),
    }
}

async fn short(member: &Member, view: u32) -> String {
    match member.agreement.lead(EPOCH, view).await.unwrap() {
        Led::Short(why) => why,
        Led::Agreed(report) => panic!("agreed on {report:?}"),
    }
}

/// A quorum signed what the leader keeps for submission.
async fn check_quorum(world: &World, leader: &Member, report: &Report) -> usize {
    let (kept, bitmap, signatures) = leader.store.agreed_report(EPOCH).await.unwrap().unwrap();
    assert_eq!(kept, *report);
    let signatures: Vec<_> = signatures.chunks(65).map(|it| it.to_vec().into()).collect();
    let digest = world.rules.deployment().hub_digest(&report.typed_data());
    let view = world.view().await;
    let signers = view
        .set
        .check_quorum("report", &digest, &signatures)
        .unwrap();
    let indices: Vec<usize> = signers
        .iter()
        .map(|signer| view.set.index_of(*signer).unwrap())
        .collect();
    assert!(indices.is_sorted(), "ascending by index");
    assert_eq!(
        (0..4)
            .filter(|index| bitmap.bit(*index))
            .collect::<Vec<_>>(),
        indices
    );
    signers.len()
}

#[tokio::test]
async fn four_honest_oracles_agree_on_one_report() {
    let world = World::new().await;
    world.push_all().await;
    world.commit_all().await;
    let report = agreed(world.leader(0), 0).await;
    assert_eq!((report.leaf_count, report.passed, report.failed), (3, 3, 0));
    assert!(report.anchor_block >= BlockNumber(74));
    assert_eq!(check_quorum(&world, world.leader(0), &report).await, 4);
    for member in &world.members {
        let rows = member
            .store
            .judgements(EPOCH, report.verdict_root)
            .await
            .unwrap();
        assert_eq!(
            VerdictTree::new(rows.iter().map(|row| &row.verdict)).root(),
            report.verdict_root
        );
        assert!(
            member
                .store
                .judged_proposal(EPOCH, report.verdict_root)
                .await
                .unwrap()
                .is_some()
        );
    }
}

#[tokio::test]
async fn three_of_four_agree_while_one_is_down() {
    let world = World::new().await;
    world.push_all().await;
    world.take_down(world.followers(0)[1]);
    world.commit_all().await;
    let report = agreed(world.leader(0), 0).await;
    assert_eq!(check_quorum(&world, world.leader(0), &report).await, 3);
}

#[tokio::test]
async fn two_of_four_are_too_few() {
    let world = World::new().await;
    world.push_all().await;
    world.take_down(world.followers(0)[0]);
    world.take_down(world.followers(0)[1]);
    world.commit_all().await;
    assert!(short(world.leader(0), 0).await.contains("commitments"));
}

#[tokio::test]
async fn an_epoch_whose_leader_is_down_is_led_by_the_next_one_later() {
    let world = World::new().await;
    world.push_all().await;
    world.take_down(world.leader(0));
    world.commit_all().await;
    let early = world.leader(1).agreement.lead(EPOCH, 1).await;
    assert!(early.is_ok(), "leading is harmless before its time");
    world.to_block(98).await;
    assert_eq!(world.members[0].agreement.view_now(EPOCH).await.unwrap(), 1);
    let report = agreed(world.leader(1), 1).await;
    assert_eq!((report.view, report.passed), (1, 3));
}

struct Liar;

impl Observer for Liar {
    fn observe(&self, mut draft: Observation) -> Observation {
        for statement in &mut draft.statements {
            statement.availability = Availability(1);
            statement.latency_p95 = LatencyMs(60_000);
            statement.throughput = Throughput(u64::MAX);
        }
        draft
    }
}

#[tokio::test]
async fn a_liars_figures_leave_the_median_within_the_honest_values() {
    for liar in 0..4 {
        let world = World::with(|_, place| Character {
            observer: (place == liar).then(|| Arc::new(Liar) as Arc<dyn Observer>),
            ..Character::default()
        })
        .await;
        for (index, member) in world.members.iter().enumerate() {
            for node in &world.nodes {
                member
                    .store
                    .keep_probe(&probe(EPOCH, node.node, 10 + index as u32))
                    .await
                    .unwrap();
            }
        }
        world.push_all().await;
        world.commit_all().await;
        let report = agreed(world.leader(0), 0).await;
        let rows = world.members[0]
            .store
            .judgements(EPOCH, report.verdict_root)
            .await
            .unwrap();
        for row in rows {
            assert!(row.verdict.judged);
            assert_eq!(row.verdict.reason, Reason::Pass);
            assert_eq!(row.verdict.availability, Availability(10_000));
            assert!(
                (10..=13).contains(&row.verdict.latency_p95.0),
                "{:?}",
                row.verdict.latency_p95
            );
            assert!(row.verdict.throughput.0 < u64::MAX / 2);
        }
    }
}

#[tokio::test]
async fn a_machine_that_f_plus_one_oracles_revoked_attests_nothing_and_f_expel_nobody() {
    for revoking in [1, 2] {
        let world = World::new().await;
        let node = &world.nodes[0];
        for (index, member) in world.members.iter().enumerate() {
            for node in &world.nodes {
                let record = probe(EPOCH, node.node, 10);
                member.store.keep_probe(&record).await.unwrap();
            }
            if index < revoking {
                let deployment = *world.rules.deployment();
                let address = member.key.address();
                Notices::new(member.store.clone(), deployment, address)
                    .issue(
                        &member.key,
                        Subject::AttestationKey(node.identity.ak_hash),
                        RevocationReason::KeyCompromise,
                        1,
                        String::new(),
                    )
                    .await
                    .unwrap();
            }
        }
        world.push_all().await;
        world.commit_all().await;
        let report = agreed(world.leader(0), 0).await;
        let expected = if revoking == 2 { (2, 1) } else { (3, 0) };
        assert_eq!((report.passed, report.failed), expected);
        let rows = world.members[3]
            .store
            .judgements(EPOCH, report.verdict_root);
        let rows = rows.await.unwrap();
        let verdict = &rows[0].verdict;
        assert_eq!(
            verdict.reason,
            if revoking == 2 {
                Reason::AttestationFailed
            } else {
                Reason::Pass
            }
        );
        // Three values are left of four: enough for figures with one revocation, not with two.
        assert!(verdict.judged);
        assert_eq!(
            verdict.availability,
            Availability(if revoking == 2 { 0 } else { 10_000 })
        );
    }
}

/// Says of node 1 that nothing came from it.
struct FalseVerdict;

impl VerdictSource for FalseVerdict {
    fn verdicts(
        &self,
        context: &EpochContext<'_>,
        cases: &[NodeCase],
        observations: &Observations,
    ) -> Vec<NodeVerdict> {
        let mut verdicts = SignedIsValid.verdicts(context, cases, observations);
        verdicts[0].verdict.reason = Reason::Missing;
        verdicts
    }
}

#[tokio::test]
async fn a_lying_leaders_false_verdict_is_refused_and_the_successors_report_accepted() {
    let world = World::with(|_, place| Character {
        verdicts: (place == 0).then(|| Arc::new(FalseVerdict) as Arc<dyn VerdictSource>),
        ..Character::default()
    })
    .await;
    world.push_all().await;
    world.commit_all().await;
    let why = short(world.leader(0), 0).await;
    assert!(why.contains("0 signatures"), "{why}");
    assert!(
        world
            .leader(0)
            .store
            .agreed_report(EPOCH)
            .await
            .unwrap()
            .is_none()
    );
    world.to_block(98).await;
    let report = agreed(world.leader(1), 1).await;
    assert_eq!((report.passed, report.failed), (3, 0));
    assert_eq!(
        check_quorum(&world, world.leader(1), &report).await,
        3,
        "all but the liar"
    );
}

/// What a leader shows, made by hand so that it can break rules.
struct Hand<'a> {
    world: &'a World,
    view: u32,
}

impl Hand<'_> {
    async fn list(&self) -> SignedCommitmentList {
        let leader = self.world.leader(self.view);
        let commitments = leader.store.commitments(EPOCH).await.unwrap();
        let list = CommitmentList {
            epoch: EPOCH,
            view: self.view,
            entries: commitments
                .into_iter()
                .map(|(_, commitment)| commitment)
                .collect(),
        };
        self.sign_list(list)
    }

    fn sign_list(&self, list: CommitmentList) -> SignedCommitmentList {
        let digest = SignedCommitmentList::digest(self.world.rules.deployment(), &list);
        let signature = self.world.leader(self.view).key.sign(&digest).unwrap();
        SignedCommitmentList { list, signature }
    }

    async fn reveals(&self, list: &SignedCommitmentList) -> Vec<Reveal> {
        let mut reveals = Vec::new();
        for member in &self.world.members {
            reveals.push(member.agreement.on_list(list).await.unwrap());
        }
        reveals
    }

    /// The honest report over these reveals with this anchor.
    async fn propose(
        &self,
        list: SignedCommitmentList,
        reveals: Vec<Reveal>,
        anchor: u64,
    ) -> SignedProposal {
        let leader = self.world.leader(self.view);
        let view = self.world.view().await;
        let deployment = self.world.rules.deployment();
        let observations = reveals
            .iter()
            .map(|reveal| {
                reveal
                    .observation
                    .open(deployment, EPOCH, &view.set)
                    .unwrap()
            })
            .map(|observation| (observation.oracle, observation))
            .collect();
        let number = BlockNumber(anchor);
        let hash = self
            .world
            .chain
            .block_hash(number)
            .await
            .unwrap()
            .unwrap_or_default();
        let judged = leader
            .agreement
            .judge(&view, number, observations)
            .await
            .unwrap();
        let report = leader
            .agreement
            .report(&view, self.view, BlockRef { number, hash }, &judged);
        self.sign(Proposal {
            list,
            reveals,
            report,
        })
    }

    fn sign(&self, proposal: Proposal) -> SignedProposal {
        let digest = SignedProposal::digest(self.world.rules.deployment(), &proposal);
        let signature = self.world.leader(self.view).key.sign(&digest).unwrap();
        SignedProposal {
            proposal,
            signature,
        }
    }
}

fn refusal(answer: Answer) -> String {
    match answer {
        Answer::Refusal { reason, .. } => reason,
        Answer::Signature(_) => panic!("signed"),
    }
}

#[tokio::test]
async fn a_leader_that_leaves_out_a_delivered_listed_reveal_is_refused() {
    let world = World::new().await;
    world.push_all().await;
    world.commit_all().await;
    let hand = Hand {
        world: &world,
        view: 0,
    };
    let list = hand.list().await;
    let reveals = hand.reveals(&list).await;
    let victim = world.followers(0)[0];
    let view = world.view().await;
    let without: Vec<Reveal> = reveals
        .iter()
        .filter(|reveal| {
            let opened = reveal
                .observation
                .open(world.rules.deployment(), EPOCH, &view.set)
                .unwrap();
            opened.oracle != victim.key.address()
        })
        .cloned()
        .collect();
    let proposal = hand.propose(list.clone(), without, 76).await;
    let reason = refusal(victim.agreement.on_proposal(&proposal).await.unwrap());
    assert!(reason.contains("left out"), "{reason}");
    let other = world.followers(0)[1];
    let answer = other.agreement.on_proposal(&proposal).await.unwrap();
    assert!(
        matches!(answer, Answer::Signature(_)),
        "whose reveal is in has nothing to say against it"
    );

    // The same trick with another list than the one that was answered.
    let entries = list.list.entries.iter().filter(|entry| {
        entry.signer(world.rules.deployment(), &view.set).unwrap() != victim.key.address()
    });
    let shorter = hand.sign_list(CommitmentList {
        entries: entries.cloned().collect(),
        ..list.list.clone()
    });
    assert!(matches!(
        other.agreement.on_list(&shorter).await,
        Err(AgreementError::Refused(_))
    ));
    let proposal = hand.sign(Proposal {
        list: shorter,
        ..proposal.proposal
    });
    let reason = refusal(victim.agreement.on_proposal(&proposal).await.unwrap());
    assert!(reason.contains("list"), "{reason}");
}

#[tokio::test]
async fn an_oracle_never_signs_two_reports_in_one_view_not_even_after_a_restart() {
    let world = World::new().await;
    world.push_all().await;
    world.commit_all().await;
    let hand = Hand {
        world: &world,
        view: 0,
    };
    let list = hand.list().await;
    let reveals = hand.reveals(&list).await;
    let first = hand.propose(list.clone(), reveals.clone(), 75).await;
    let second = hand.propose(list, reveals, 76).await;
    assert_ne!(first.proposal.report, second.proposal.report);

    let index = world
        .members
        .iter()
        .position(|it| it.key.address() == world.followers(0)[0].key.address())
        .unwrap();
    let member = &world.members[index];
    let Answer::Signature(signature) = member.agreement.on_proposal(&first).await.unwrap() else {
        panic!("refused")
    };
    let reason = refusal(member.agreement.on_proposal(&second).await.unwrap());
    assert!(reason.contains("another report"), "{reason}");

    let reopened = Store::open(&member.folder.path().join("oracle.sqlite"))
        .await
        .unwrap();
    let restarted = world.agreement(index, reopened.clone(), Character::default());
    let reason = refusal(restarted.on_proposal(&second).await.unwrap());
    assert!(reason.contains("another report"), "{reason}");
    assert_eq!(
        restarted.on_proposal(&first).await.unwrap(),
        Answer::Signature(signature),
        "the same bytes again"
    );
    let forced = reopened
        .keep_signed_report(&second.proposal.report, &[0; 65])
        .await;
    assert!(matches!(
        forced,
        Err(StoreError::Equivocation { epoch: 1, view: 0 })
    ));
}

#[tokio::test]
async fn an_oracle_observes_once_and_commits_to_that_after_a_restart() {
    let world = World::new().await;
    world.push_all().await;
    world.commit_all().await;
    let member = &world.members[0];
    let before = member.agreement.observe(EPOCH).await.unwrap();
    member
        .store
        .keep_probe(&probe(EPOCH, world.nodes[0].node, 400))
        .await
        .unwrap();
    let reopened = Store::open(&member.folder.path().join("oracle.sqlite"))
        .await
        .unwrap();
    let restarted = world.agreement(0, reopened, Character::default());
    assert_eq!(restarted.observe(EPOCH).await.unwrap(), before);
}

#[tokio::test]
async fn after_signing_in_a_later_view_an_earlier_one_is_refused() {
    let world = World::new().await;
    world.push_all().await;
    world.commit_all().await;
    let hand = Hand {
        world: &world,
        view: 0,
    };
    let list = hand.list().await;
    let reveals = hand.reveals(&list).await;
    let early = hand.propose(list, reveals, 76).await;
    world.to_block(98).await;
    agreed(world.leader(1), 1).await;
    let late = world.followers(0)[0];
    let reason = refusal(late.agreement.on_proposal(&early).await.unwrap());
    assert!(reason.contains("later view"), "{reason}");
}

#[tokio::test]
async fn evidence_a_leader_lacks_comes_with_the_refusal_and_it_proposes_once_more() {
    let world = World::with(|_, place| Character {
        no_evidence: place == 0,
        ..Character::default()
    })
    .await;
    world.to_block(60).await;
    for node in &world.nodes {
        let evidence = node.evidence(&world, EPOCH, 7);
        for member in world.followers(0) {
            world.push(member, &evidence, node.node).await;
        }
    }
    world.commit_all().await;
    let leader = world.leader(0);
    assert!(leader.store.evidence(EPOCH, None).await.unwrap().is_empty());
    let report = agreed(leader, 0).await;
    assert_eq!((report.passed, report.failed), (3, 0));
    assert_eq!(leader.store.evidence(EPOCH, None).await.unwrap().len(), 3);
    let proposals: Vec<_> = leader
        .store
        .judged_proposal(EPOCH, report.verdict_root)
        .await
        .unwrap()
        .into_iter()
        .collect();
    assert_eq!(proposals[0].proposal.report, report);
}

#[tokio::test]
async fn a_follower_fetches_what_it_lacks_and_signs() {
    let world = World::new().await;
    world.to_block(60).await;
    let evidence = world.nodes[0].evidence(&world, EPOCH, 7);
    for member in [world.leader(0), world.followers(0)[0]] {
        world.push(member, &evidence, world.nodes[0].node).await;
    }
    world.commit_all().await;
    let report = agreed(world.leader(0), 0).await;
    assert_eq!((report.passed, report.failed), (1, 2));
    assert_eq!(check_quorum(&world, world.leader(0), &report).await, 4);
}

#[tokio::test]
async fn an_envelope_with_f_receipts_or_with_late_ones_is_missing() {
    let world = World::new().await;
    world.to_block(60).await;
    let one = world.nodes[0].evidence(&world, EPOCH, 1);
    world
        .push(&world.members[0], &one, world.nodes[0].node)
        .await;
    let two = world.nodes[1].evidence(&world, EPOCH, 1);
    world
        .push(&world.members[0], &two, world.nodes[1].node)
        .await;
    world.to_block(75).await;
    world
        .push(&world.members[1], &two, world.nodes[1].node)
        .await;
    world
        .push(&world.members[2], &two, world.nodes[1].node)
        .await;
    world.commit_all().await;
    let report = agreed(world.leader(0), 0).await;
    assert_eq!((report.passed, report.failed), (0, 3));
    let rows = world
        .leader(0)
        .store
        .judgements(EPOCH, report.verdict_root)
        .await
        .unwrap();
    assert!(rows.iter().all(|row| row.verdict.reason == Reason::Missing));
}

#[tokio::test]
async fn what_was_submitted_on_chain_counts_without_any_receipt() {
    let world = World::new().await;
    world.to_block(60).await;
    let node = &world.nodes[0];
    let evidence = node.evidence(&world, EPOCH, 3);
    let envelope: verifier::envelope::Envelope =
        verifier::cbor::decode("envelope", &evidence.envelope).unwrap();
    world.chain.log(
        70,
        Event::ProofSubmitted {
            node: node.node,
            epoch: EPOCH,
            envelope_hash: envelope.hash(),
            body: envelope.body.clone(),
            node_signature: envelope.node_signature.clone(),
            proof: evidence.proof.clone(),
        },
    );
    // Two oracles know the node's keys from its enrolment; the others learn them from these.
    for member in &world.members[..2] {
        let identity = &node.identity;
        member
            .store
            .keep_keys(
                identity.ak_hash,
                &evidence.ak_public,
                identity.node_key_hash,
                &evidence.node_key,
            )
            .await
            .unwrap();
    }
    world.commit_all().await;
    let report = agreed(world.leader(0), 0).await;
    assert_eq!((report.passed, report.failed), (1, 2));
}

#[tokio::test]
async fn a_second_commitment_of_the_same_oracle_is_refused() {
    let world = World::new().await;
    world.push_all().await;
    world.commit_all().await;
    let (_, own) = world.members[1].agreement.observe(EPOCH).await.unwrap();
    let view = world.view().await;
    let deployment = world.rules.deployment();
    let mut other = own.clone();
    other.commitment.0[0] ^= 1;
    let digest = verifier::committee::SignedCommitment::digest(
        deployment,
        EPOCH,
        view.set.version,
        other.commitment,
    );
    other.signature = oracle_key(1).sign(&digest).unwrap();
    assert!(
        world.members[0].agreement.on_commit(&own).await.is_ok(),
        "the same again is no news"
    );
    assert!(matches!(
        world.members[0].agreement.on_commit(&other).await,
        Err(AgreementError::Refused(_))
    ));
}

#[tokio::test]
async fn a_list_for_a_view_that_has_not_begun_is_not_answered() {
    let world = World::new().await;
    world.push_all().await;
    world.commit_all().await;
    let list = Hand {
        world: &world,
        view: 2,
    }
    .list()
    .await;
    let answer = world.followers(2)[0].agreement.on_list(&list).await;
    assert!(
        matches!(answer, Err(AgreementError::Refused(_))),
        "{answer:?}"
    );
}

#[tokio::test]
async fn an_anchor_that_is_not_final_or_not_ours_is_refused() {
    let world = World::new().await;
    world.push_all().await;
    world.commit_all().await;
    let hand = Hand {
        world: &world,
        view: 0,
    };
    let list = hand.list().await;
    let reveals = hand.reveals(&list).await;
    let member = world.followers(0)[0];
    for (anchor, expected) in [(73, "before the deadline"), (91, "not final")] {
        let proposal = hand.propose(list.clone(), reveals.clone(), anchor).await;
        let reason = refusal(member.agreement.on_proposal(&proposal).await.unwrap());
        assert!(reason.contains(expected), "{reason}");
    }
    let mut forged = hand.propose(list, reveals, 75).await.proposal;
    forged.report.anchor_hash.0[0] ^= 1;
    let reason = refusal(
        member
            .agreement
            .on_proposal(&hand.sign(forged))
            .await
            .unwrap(),
    );
    assert!(reason.contains("another hash"), "{reason}");
}
