//! What one faulty oracle tries, to stop the others' reports or to fill their disks.

#![allow(clippy::unwrap_used, clippy::cast_possible_truncation)]

use std::sync::Arc;

use alloy::primitives::{Address, B256};
use async_trait::async_trait;
use verifier::committee::{
    Observation, Reveal, SignedCommitment, SignedCommitmentList, SignedProposal,
};
use verifier::{Epoch, NodeId};

use super::{Hand, agreed, check_quorum, refusal, short};
use crate::agreement::{AgreementError, Led, Observer};
use crate::intake::EvidencePage;
use crate::onchain::{Event, OracleMember};
use crate::peers::{Answer, Links, Peer, PeerError};
use crate::testing::{Character, EPOCH, MemoryLinks, World};

#[tokio::test]
async fn an_oracle_that_never_reveals_and_one_that_commits_late_do_not_stop_reports() {
    let world = World::new().await;
    world.push_all().await;
    let (silent, late) = (world.leader(3), world.leader(2));
    world.take_down(late);
    world.commit_all().await;
    world.take_down(silent);
    let why = short(world.leader(0), 0).await;
    assert!(why.contains("2 reveals"), "{why}");

    // Observations have been shown; the late one is taken all the same, and is in the next view's list.
    world.links.down.lock().unwrap().remove(&late.key.address());
    late.agreement.announce(EPOCH).await.unwrap();
    world.to_block(98).await;
    let report = agreed(world.leader(1), 1).await;
    assert_eq!((report.passed, report.failed), (3, 0));
    assert_eq!(check_quorum(&world, world.leader(1), &report).await, 3);
}

#[tokio::test]
async fn a_listed_commitment_that_did_not_come_here_is_kept() {
    let world = World::new().await;
    world.push_all().await;
    let member = world.followers(0)[0];
    world.take_down(member);
    world.commit_all().await;
    world.links.down.lock().unwrap().clear();
    let (_, own) = member.agreement.observe(EPOCH).await.unwrap();
    let leader = world.leader(0);
    leader.agreement.on_commit(&own).await.unwrap();
    assert_eq!(member.store.commitments(EPOCH).await.unwrap().len(), 1);
    let list = Hand {
        world: &world,
        view: 0,
    }
    .list()
    .await;
    member.agreement.on_list(&list).await.unwrap();
    assert_eq!(member.store.commitments(EPOCH).await.unwrap().len(), 4);
}

/// Links on which one member's evidence and reveals never come.
struct Stalling(MemoryLinks, Address);

impl Links for Stalling {
    fn peer(&self, member: &OracleMember) -> Arc<dyn Peer> {
        let peer = self.0.peer(member);
        if member.account == self.1 {
            Arc::new(StallingPeer(peer))
        } else {
            peer
        }
    }
}

struct StallingPeer(Arc<dyn Peer>);

#[async_trait]
impl Peer for StallingPeer {
    async fn commit(&self, commitment: &SignedCommitment) -> Result<(), PeerError> {
        self.0.commit(commitment).await
    }

    async fn reveal(&self, _: &SignedCommitmentList) -> Result<Reveal, PeerError> {
        std::future::pending().await
    }

    async fn propose(&self, _: &SignedProposal) -> Result<Answer, PeerError> {
        std::future::pending().await
    }

    async fn evidence(
        &self,
        _: Epoch,
        _: Option<(NodeId, B256)>,
    ) -> Result<EvidencePage, PeerError> {
        std::future::pending().await
    }

    async fn proposal(&self, _: Epoch) -> Result<SignedProposal, PeerError> {
        std::future::pending().await
    }
}

#[tokio::test]
async fn a_peer_that_stalls_delays_nobody_longer_than_a_grace() {
    let world = World::new().await;
    world.push_all().await;
    world.to_block(92).await;
    let stalling = world.leader(3).key.address();
    let agreements: Vec<_> = (0..4)
        .map(|index| {
            let links = Stalling(world.links.clone(), stalling);
            let character = Character {
                links: Some(Arc::new(links)),
                ..Character::default()
            };
            world.agreement(index, world.members[index].store.clone(), character)
        })
        .collect();
    let patience = crate::testing::timing().answer_wait;
    let started = std::time::Instant::now();
    let honest = || agreements.iter().filter(|it| it.address() != stalling);
    let announced = honest().map(|it| it.announce(EPOCH));
    futures::future::try_join_all(announced).await.unwrap();
    assert!(started.elapsed() < patience, "{:?}", started.elapsed());

    let leader = world.leader(0).key.address();
    let leader = honest().find(|it| it.address() == leader).unwrap();
    let started = std::time::Instant::now();
    let led = leader.lead(EPOCH, 0).await.unwrap();
    assert!(matches!(led, Led::Agreed(_)), "{led:?}");
    assert!(started.elapsed() < patience, "{:?}", started.elapsed());
}

/// States something of nodes that do not exist, to make every proposal too large to send.
struct Padder;

impl Observer for Padder {
    fn observe(&self, mut draft: Observation) -> Observation {
        for node in 1_000..1_200 {
            let mut invented = draft.statements[0].clone();
            invented.node = NodeId(node);
            draft.statements.push(invented);
        }
        draft
    }
}

#[tokio::test]
async fn an_observation_padded_with_invented_nodes_is_left_out_by_leaders_and_refused_by_followers()
{
    let world = World::with(|_, place| Character {
        observer: (place == 3).then(|| Arc::new(Padder) as Arc<dyn Observer>),
        ..Character::default()
    })
    .await;
    world.push_all().await;
    world.commit_all().await;
    let hand = Hand {
        world: &world,
        view: 0,
    };
    let list = hand.list().await;
    let reveals = hand.reveals(&list).await;
    let padded = hand.propose(list, reveals, 76).await;
    let follower = world.leader(1);
    let reason = refusal(follower.agreement.on_proposal(&padded).await.unwrap());
    assert!(reason.contains("work list"), "{reason}");

    let report = agreed(world.leader(0), 0).await;
    assert_eq!(report.passed, 3);
    assert_eq!(
        check_quorum(&world, world.leader(0), &report).await,
        3,
        "all but the one who padded"
    );
}

#[tokio::test]
async fn proposals_nobody_would_sign_leave_nothing_behind() {
    let world = World::new().await;
    world.push_all().await;
    world.commit_all().await;
    let hand = Hand {
        world: &world,
        view: 0,
    };
    let list = hand.list().await;
    let reveals = hand.reveals(&list).await;
    let honest = hand.propose(list, reveals, 76).await;
    let member = world.followers(0)[0];
    for lie in 1..4 {
        let mut proposal = honest.proposal.clone();
        proposal.report.verdict_root.0[0] ^= lie;
        refusal(
            member
                .agreement
                .on_proposal(&hand.sign(proposal))
                .await
                .unwrap(),
        );
    }
    assert_eq!(member.store.proposals(EPOCH).await.unwrap(), 0);

    let (one, other) = tokio::join!(
        member.agreement.on_proposal(&honest),
        member.agreement.on_proposal(&honest)
    );
    let (one, other) = (one.unwrap(), other.unwrap());
    assert!(matches!(one, Answer::Signature(_)), "{one:?}");
    assert_eq!(one, other, "one after the other, with the same answer");
    assert_eq!(member.store.proposals(EPOCH).await.unwrap(), 1);
}

#[tokio::test]
async fn one_proposal_of_a_view_is_judged_at_a_time() {
    let world = World::new().await;
    let agreement = &world.members[0].agreement;
    let place = agreement.judge_alone(EPOCH, 0).unwrap();
    assert!(agreement.judge_alone(EPOCH, 0).is_none());
    assert!(
        agreement.judge_alone(EPOCH, 0).is_none(),
        "asking in vain does not free it"
    );
    assert!(agreement.judge_alone(EPOCH, 1).is_some());
    drop(place);
    assert!(agreement.judge_alone(EPOCH, 0).is_some());
}

#[tokio::test]
async fn what_is_reported_or_over_is_neither_led_nor_signed() {
    let world = World::new().await;
    world.push_all().await;
    world.commit_all().await;
    let hand = Hand {
        world: &world,
        view: 0,
    };
    let list = hand.list().await;
    let reveals = hand.reveals(&list).await;
    let proposal = hand.propose(list.clone(), reveals, 76).await;
    let member = world.followers(0)[0];
    world
        .chain
        .log(93, Event::Report(proposal.proposal.report.clone()));
    let reason = refusal(member.agreement.on_proposal(&proposal).await.unwrap());
    assert!(reason.contains("is reported"), "{reason}");
    assert!(short(world.leader(0), 0).await.contains("is reported"));

    world.to_block(220).await;
    for answer in [
        member.agreement.on_proposal(&proposal).await.map(|_| ()),
        member.agreement.on_list(&list).await.map(|_| ()),
    ] {
        assert!(
            matches!(&answer, Err(AgreementError::Refused(why)) if why.contains("any more")),
            "{answer:?}"
        );
    }
}

#[tokio::test]
async fn a_proposal_of_a_view_whose_turn_has_not_come_is_not_signed() {
    let world = World::new().await;
    world.push_all().await;
    world.commit_all().await;
    let hand = Hand {
        world: &world,
        view: 1,
    };
    let list = hand.list().await;
    let reveals = hand.reveals(&list).await;
    let proposal = hand.propose(list, reveals, 76).await;
    let member = world.leader(2);
    let early = member.agreement.on_proposal(&proposal).await;
    assert!(
        matches!(early, Err(AgreementError::Refused(_))),
        "{early:?}"
    );
    world.to_block(98).await;
    let answer = member.agreement.on_proposal(&proposal).await.unwrap();
    assert!(matches!(answer, Answer::Signature(_)), "{answer:?}");
}
