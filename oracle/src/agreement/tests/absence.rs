//! An oracle that was away comes back: it compares clocks with those of the reports it missed, or with none.

#![allow(clippy::unwrap_used, clippy::cast_possible_truncation)]

use std::sync::Arc;

use alloy::primitives::{Address, B256};
use async_trait::async_trait;
use verifier::committee::{
    Observations, Reveal, SignedCommitment, SignedCommitmentList, SignedProposal,
};
use verifier::report::Report;
use verifier::{BlockNumber, Epoch, NodeId, Reason};

use crate::agreement::{Agreement, AgreementError, Led};
use crate::intake::EvidencePage;
use crate::onchain::{Event, InventoryChange, OracleMember};
use crate::peers::{Answer, Links, Peer, PeerError};
use crate::rules::EpochView;
use crate::testing::{Character, Member, MemoryLinks, TestNode, World, accepted};

/// Node 1, whose clock is played with.
const NODE: NodeId = NodeId(1);
/// The epoch that is missed, and the one after it.
const MISSED: Epoch = Epoch(2);
const NEXT: Epoch = Epoch(3);

/// Four oracles; one of them takes no part in epoch 2, in which the clock of node 1 goes from 100 to 300.
struct Story {
    world: World,
    absent: usize,
}

fn start(epoch: Epoch) -> u64 {
    10 + 40 * epoch.0
}

impl Story {
    async fn begin() -> Self {
        let world = World::new().await;
        // No member could export a bundle: the nodes did not enrol with it. A report relayed through a contract is as bad.
        let absent = world.followers(0)[0].key.address();
        let place = |it: &Member| it.key.address() == absent;
        let absent = world.members.iter().position(place).unwrap();
        let story = Self { world, absent };
        story.evidence(Epoch(1), 100).await;
        story.report(Epoch(1)).await;
        story.beacon(MISSED, |leader, absent| leader != absent);
        story.world.take_down(story.absent());
        story.evidence(MISSED, 300).await;
        story.report(MISSED).await;
        story
    }

    fn absent(&self) -> &Member {
        &self.world.members[self.absent]
    }

    fn is_down(&self, member: &Member) -> bool {
        let down = self.world.links.down.lock().unwrap();
        down.contains(&member.key.address())
    }

    /// A beacon that makes a leader as wanted, of the leader and the absent oracle.
    fn beacon(&self, epoch: Epoch, wanted: impl Fn(Address, Address) -> bool) {
        let accounts = self.world.members.iter().map(|it| it.key.address());
        let set = verifier::committee::OracleSet::new(1, accounts.collect()).unwrap();
        let absent = self.absent().key.address();
        let beacon = (1..=u8::MAX)
            .map(B256::repeat_byte)
            .find(|beacon| wanted(set.leader(*beacon, epoch, 0), absent))
            .unwrap();
        self.world
            .chain
            .log(start(epoch) + 9, Event::Beacon(epoch, beacon));
    }

    /// Nodes push to every oracle that is up, to the one that was away last, with the others' receipts.
    async fn evidence(&self, epoch: Epoch, clock_ms: u64) {
        self.evidence_of(&self.world.nodes, epoch, clock_ms).await;
    }

    async fn evidence_of(&self, nodes: &[TestNode], epoch: Epoch, clock_ms: u64) {
        self.world.to_block(start(epoch) + 12).await;
        let mut members: Vec<&Member> = self.world.members.iter().collect();
        members.sort_by_key(|it| it.key.address() == self.absent().key.address());
        for node in nodes {
            let clock = if node.node == NODE {
                clock_ms
            } else {
                1_000 * epoch.0
            };
            let mut evidence = node.evidence_at(&self.world, epoch, clock);
            for member in &members {
                if self.is_down(member) {
                    continue;
                }
                let bytes = verifier::cbor::encode(&evidence);
                let intake = member.agreement.intake();
                let receipt = intake.push(node.node, epoch, &bytes).await.unwrap();
                evidence.add_receipts([receipt]);
            }
        }
    }

    async fn view(&self, epoch: Epoch) -> EpochView {
        EpochView::load(&self.absent().store, &self.world.rules, epoch)
            .await
            .unwrap()
            .unwrap()
    }

    async fn leader(&self, epoch: Epoch) -> &Member {
        let leader = self.view(epoch).await.leader(0);
        let mut members = self.world.members.iter();
        members.find(|it| it.key.address() == leader).unwrap()
    }

    /// All who are up agree; how many signed.
    async fn agree(&self, epoch: Epoch) -> (Report, usize) {
        self.world.to_block(start(epoch.next()) + 2).await;
        for member in &self.world.members {
            if !self.is_down(member) {
                member.agreement.announce(epoch).await.unwrap();
            }
        }
        let leader = self.leader(epoch).await;
        match leader.agreement.lead(epoch, 0).await.unwrap() {
            Led::Agreed(report) => {
                let (_, signers, _) = leader.store.agreed_report(epoch).await.unwrap().unwrap();
                (*report, signers.count_ones())
            }
            Led::Short(why) => panic!("no agreement: {why}"),
        }
    }

    async fn report(&self, epoch: Epoch) -> Report {
        let (report, _) = self.agree(epoch).await;
        self.world
            .chain
            .log(start(epoch.next()) + 3, Event::Report(report.clone()));
        self.world.to_block(start(epoch.next()) + 6).await;
        report
    }

    /// The absent oracle with other links, on its own database.
    fn returned(&self, links: impl Links) -> Arc<Agreement> {
        let character = Character {
            links: Some(Arc::new(links)),
            ..Character::default()
        };
        self.world
            .agreement(self.absent, self.absent().store.clone(), character)
    }

    /// What the clock of node 1 is compared with at the absent oracle: epoch and clock.
    async fn known(&self) -> (Epoch, u64) {
        self.known_before(NEXT).await
    }

    async fn known_before(&self, epoch: Epoch) -> (Epoch, u64) {
        let clocks = self
            .absent()
            .store
            .previous_clocks(epoch, BlockNumber(start(epoch.next())))
            .await
            .unwrap();
        let [known] = clocks
            .iter()
            .filter_map(|((node, _), known)| (*node == NODE).then_some(known))
            .collect::<Vec<_>>()[..]
        else {
            panic!("one clock, of one key");
        };
        (known.epoch, known.clock.clock_ms)
    }

    /// The next epoch as the other three agree on it; the absent oracle holds the evidence, and is asked afterwards.
    async fn proposal_without_it(&self, clock_ms: u64) -> SignedProposal {
        self.beacon(NEXT, |leader, absent| leader != absent);
        self.world.links.down.lock().unwrap().clear();
        self.evidence(NEXT, clock_ms).await;
        self.world.take_down(self.absent());
        let (report, signers) = self.agree(NEXT).await;
        assert_eq!(signers, 3);
        self.proposed(&report).await
    }

    async fn proposed(&self, report: &Report) -> SignedProposal {
        let kept = &self.leader(report.epoch).await.store;
        let proposal = kept
            .judged_proposal(report.epoch, report.verdict_root)
            .await;
        proposal.unwrap().unwrap()
    }
}

#[tokio::test]
async fn a_clock_that_ran_backwards_since_a_missed_epoch_gives_all_oracles_the_same_verdict() {
    for absent_leads in [false, true] {
        let story = Story::begin().await;
        story.world.links.down.lock().unwrap().clear();
        story.beacon(NEXT, |leader, absent| (leader == absent) == absent_leads);
        // Ahead of what it knew before it went, behind what the others have seen since.
        story.evidence(NEXT, 200).await;
        let (report, signers) = story.agree(NEXT).await;
        assert_eq!((report.passed, report.failed, signers), (2, 1, 4));
        for member in &story.world.members {
            let root = report.verdict_root;
            let rows = member.store.judgements(NEXT, root).await.unwrap();
            let row = rows.iter().find(|row| row.verdict.node == NODE).unwrap();
            assert_eq!(row.verdict.reason, Reason::AttestationFailed);
        }
        // It has judged the missed epoch itself: evidence of peers, verdicts of the report.
        let (missed, _) = story
            .absent()
            .store
            .accepted_report(MISSED)
            .await
            .unwrap()
            .unwrap();
        let rows = story
            .absent()
            .store
            .judgements(MISSED, missed.verdict_root)
            .await
            .unwrap();
        assert_eq!(rows.len(), 3);
        assert_eq!(story.known().await, (MISSED, 300));
    }
}

#[tokio::test]
async fn a_clock_that_ran_backwards_is_none_to_compare_with_in_the_epochs_after() {
    let story = Story::begin().await;
    story.world.links.down.lock().unwrap().clear();
    // Rolled back, and running on from there: it fails until it is past where it had been.
    let mut epoch = MISSED;
    for (clock_ms, failed) in [(200, 1), (250, 1), (301, 0)] {
        epoch = epoch.next();
        story.beacon(epoch, |leader, absent| leader != absent);
        story.evidence(epoch, clock_ms).await;
        let report = story.report(epoch).await;
        assert_eq!(report.failed, failed, "clock {clock_ms}");
    }
}

#[tokio::test]
async fn a_quote_under_a_graver_verdict_leaves_no_clock_for_it_may_be_judged_differently() {
    let story = Story::begin().await;
    story.world.links.down.lock().unwrap().clear();
    story.beacon(NEXT, |leader, absent| leader != absent);
    story.evidence(NEXT, 310).await;
    let Event::Inventory(honest) = accepted(&story.world.nodes[0]) else {
        panic!()
    };
    let lie = InventoryChange {
        root: B256::repeat_byte(1),
        ..honest
    };
    story
        .world
        .chain
        .log(start(NEXT) + 30, Event::Inventory(lie));
    assert_eq!(story.report(NEXT).await.failed, 0);
    let after = NEXT.next();
    story.beacon(after, |leader, absent| leader != absent);
    story.evidence(after, 900).await;
    let report = story.report(after).await;
    assert_eq!(report.failed, 1, "inventory mismatch");
    let leader = story.leader(after).await;
    let anchor = BlockNumber(start(after.next()) + 6);
    assert!(leader.agreement.conclude(anchor).await.unwrap());
    let clocks = leader.store.previous_clocks(after.next(), anchor).await;
    let known = clocks.unwrap()[&(NODE, story.world.nodes[0].identity.ak_hash)];
    assert_eq!((known.epoch, known.clock.clock_ms), (NEXT, 310));
}

#[tokio::test]
async fn a_new_attestation_key_is_the_way_back_and_the_old_one_leads_nowhere() {
    let story = Story::begin().await;
    story.world.links.down.lock().unwrap().clear();
    let mut nodes = story.world.nodes.clone();
    let old = nodes[0].identity;
    nodes[0] = nodes[0].with_attestation_key(&[0xa2]);
    let new = nodes[0].identity.ak_hash;
    story.beacon(NEXT, |leader, absent| leader != absent);
    story.evidence(NEXT, 310).await;
    let changed = Event::MachineChanged {
        node: NODE,
        hardware_id: old.hardware_id,
        ak_hash: new,
        node_key_hash: old.node_key_hash,
    };
    story.world.chain.log(start(NEXT) + 30, changed);
    assert_eq!(story.report(NEXT).await.failed, 0);
    // The new key's first clock is compared with none.
    let after = NEXT.next();
    story.beacon(after, |leader, absent| leader != absent);
    story.evidence_of(&nodes, after, 50).await;
    assert_eq!(story.report(after).await.failed, 0);
    let leader = story.leader(after).await;
    let anchor = BlockNumber(start(after.next()) + 6);
    assert!(leader.agreement.conclude(anchor).await.unwrap());
    let clocks = leader.store.previous_clocks(after.next(), anchor).await;
    let clocks = clocks.unwrap();
    let of = |ak_hash: B256| clocks[&(NODE, ak_hash)].clock.clock_ms;
    // Whoever goes back to the old key is compared with what it showed last.
    assert_eq!((of(old.ak_hash), of(new)), (310, 50));
}

#[tokio::test]
async fn an_oracle_that_missed_two_epochs_repeats_both_in_order() {
    let story = Story::begin().await;
    story.beacon(NEXT, |leader, absent| leader != absent);
    // Behind the missed epoch before: only who has repeated that comes to the same verdict.
    story.evidence(NEXT, 200).await;
    let report = story.report(NEXT).await;
    assert_eq!((report.passed, report.failed), (2, 1));
    let returned = &story.absent().agreement;
    assert!(
        returned
            .conclude(BlockNumber(start(Epoch(5))))
            .await
            .unwrap()
    );
    let store = &story.absent().store;
    let rows = store.judgements(NEXT, report.verdict_root).await.unwrap();
    let row = rows.iter().find(|row| row.verdict.node == NODE).unwrap();
    assert_eq!(row.verdict.reason, Reason::AttestationFailed);
    assert_eq!(story.known_before(NEXT).await, (MISSED, 300));
    // What ran backwards is none to compare with.
    assert_eq!(story.known_before(Epoch(4)).await, (MISSED, 300));
}

#[tokio::test]
async fn an_oracle_that_cannot_fetch_what_it_missed_observes_but_neither_signs_nor_leads() {
    let story = Story::begin().await;
    let proposal = story.proposal_without_it(200).await;
    let cut_off = story.returned(MemoryLinks::default());
    let anchor = BlockNumber(start(NEXT.next()));
    assert!(!cut_off.conclude(anchor).await.unwrap());
    assert_eq!(
        story.known().await,
        (Epoch(1), 100),
        "nothing is concluded from evidence that never came"
    );
    cut_off.observe(NEXT).await.unwrap();
    let answer = cut_off.on_proposal(&proposal).await;
    assert!(
        matches!(&answer, Err(AgreementError::NotReady(why)) if why.contains("could not check")),
        "{answer:?}"
    );
    let judged = cut_off
        .judge(&story.view(NEXT).await, anchor, Observations::new())
        .await;
    assert!(matches!(judged, Err(AgreementError::NotReady(_))));
    let signed = story.absent().store.signed_report(NEXT, 0).await.unwrap();
    assert!(signed.is_none());

    // A few blocks later its peers answer.
    let returned = &story.absent().agreement;
    story.world.to_block(start(NEXT.next()) + 4).await;
    let answer = returned.on_proposal(&proposal).await.unwrap();
    assert!(matches!(answer, Answer::Signature(_)), "{answer:?}");
    assert_eq!(story.known().await, (MISSED, 300));
}

#[tokio::test]
async fn a_verdict_that_hangs_on_no_clock_is_signed_although_a_report_is_missing() {
    let story = Story::begin().await;
    story.beacon(NEXT, |leader, absent| leader != absent);
    // Nobody sends anything: MISSING, whatever the clocks were.
    story.world.to_block(start(NEXT) + 30).await;
    let (report, _) = story.agree(NEXT).await;
    assert_eq!(report.failed, 3);
    let proposal = story.proposed(&report).await;
    let cut_off = story.returned(MemoryLinks::default());
    let answer = cut_off.on_proposal(&proposal).await.unwrap();
    assert!(matches!(answer, Answer::Signature(_)), "{answer:?}");
}

/// Links on which every peer shows what it holds, but proposals with an observation left out, or of another report.
struct Cheating(MemoryLinks, bool);

struct CheatingPeer(Arc<dyn Peer>, bool);

impl Links for Cheating {
    fn peer(&self, member: &OracleMember) -> Arc<dyn Peer> {
        Arc::new(CheatingPeer(self.0.peer(member), self.1))
    }
}

#[async_trait]
impl Peer for CheatingPeer {
    async fn commit(&self, commitment: &SignedCommitment) -> Result<(), PeerError> {
        self.0.commit(commitment).await
    }

    async fn reveal(&self, list: &SignedCommitmentList) -> Result<Reveal, PeerError> {
        self.0.reveal(list).await
    }

    async fn propose(&self, proposal: &SignedProposal) -> Result<Answer, PeerError> {
        self.0.propose(proposal).await
    }

    async fn evidence(
        &self,
        epoch: Epoch,
        after: Option<(NodeId, B256)>,
    ) -> Result<EvidencePage, PeerError> {
        self.0.evidence(epoch, after).await
    }

    async fn proposal(&self, epoch: Epoch) -> Result<SignedProposal, PeerError> {
        let mut signed = self.0.proposal(epoch).await?;
        if self.1 {
            signed.proposal.reveals.pop();
        } else {
            signed.proposal.report.verdict_root.0[0] ^= 1;
        }
        Ok(signed)
    }
}

#[tokio::test]
async fn what_peers_give_of_a_missed_epoch_counts_only_if_it_leads_to_the_reports_root() {
    let story = Story::begin().await;
    story.world.links.down.lock().unwrap().clear();
    let anchor = BlockNumber(start(NEXT) + 4);
    for observations in [true, false] {
        let links = Cheating(story.world.links.clone(), observations);
        let cheated = story.returned(links);
        assert!(!cheated.conclude(anchor).await.unwrap());
        assert_eq!(story.known().await, (Epoch(1), 100));
        assert!(
            !cheated.conclude(anchor).await.unwrap(),
            "not twice in one block"
        );
    }
    assert!(story.absent().agreement.conclude(anchor).await.unwrap());
    assert_eq!(story.known().await, (MISSED, 300));
}
