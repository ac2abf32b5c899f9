//! A committee of four in one process, over a chain and links in memory, with nodes that sign real envelopes.

#![allow(clippy::unwrap_used, clippy::cast_possible_truncation)]

use std::sync::Arc;
use std::time::Duration;

use alloy::primitives::{Address, B256, keccak256};
use alloy::signers::local::PrivateKeySigner;
use async_trait::async_trait;
use circuits::Profile;
use circuits::keys::VerifyingKey;
use p256::ecdsa::SigningKey;
use p256::ecdsa::signature::hazmat::PrehashSigner;
use tempfile::TempDir;
use verifier::committee::Observations;
use verifier::envelope::{Claim, Envelope, EnvelopeBody, EnvelopeStatement};
use verifier::evidence::{self, EpochContext, Evidence, Fault, SignedReceipt};
use verifier::inventory::{InventoryReplay, Operation, ShardRoots};
use verifier::judgement::{self, Received};
use verifier::policy::Policy;
use verifier::report::Identity;
use verifier::tpm::{ClockInfo, RootStore};
use verifier::{DealId, Epoch, LatencyMs, NodeId, Reason, Slot, cbor};

use crate::agreement::{Agreement, Honest, Observer, Parts, Timing};
use crate::key::OracleKey;
use crate::onchain::memory::MemoryChain;
use crate::onchain::{Endpoint, Event, InventoryChange, OnChain, OracleMember};
use crate::peers::Links;
use crate::probe::{ProbeOutcome, ProbeRecord, ProbeTarget, Prober};
use crate::rules::{EpochView, PolicyOnFile, Rules};
use crate::store::Store;
use crate::verdicts::{NodeCase, NodeVerdict, VerdictSource};
use crate::watcher::Watcher;

mod links;

pub(crate) use links::MemoryLinks;

/// The epoch tests play in: blocks 50 to 89, deadline 74.
pub(crate) const EPOCH: Epoch = Epoch(1);

pub(crate) fn policy() -> Policy {
    Policy {
        pcrs: vec![0],
        accepted_digests: vec![],
        slow_after: LatencyMs(500),
        ..Policy::default()
    }
}

/// The clock in a piece whose quote is nothing but that: eight bytes.
fn clock_of(piece: &Evidence) -> Option<ClockInfo> {
    let envelope: Envelope = cbor::decode("envelope", &piece.envelope).ok()?;
    let (body, _) = envelope.open().ok()?;
    let clock_ms = u64::from_be_bytes(body.attest[..].try_into().ok()?);
    Some(ClockInfo {
        clock_ms,
        reset_count: 0,
        restart_count: 0,
        safe: true,
    })
}

/// Judges timeliness, reachability, inventories and clocks as the real one does, and takes every envelope the node key signed for
/// valid: no test here needs a TPM or a pairing.
pub(crate) struct SignedIsValid;

impl VerdictSource for SignedIsValid {
    fn verdicts(
        &self,
        context: &EpochContext<'_>,
        cases: &[NodeCase],
        observations: &Observations,
    ) -> Vec<NodeVerdict> {
        cases
            .iter()
            .map(|case| {
                let judge = |piece: &Evidence| {
                    let opened = evidence::open(context, &case.duty, None, piece).ok()?;
                    let timely = evidence::is_timely(
                        context,
                        case.duty.node,
                        opened.envelope_hash,
                        &piece.receipts,
                        case.submission.as_ref(),
                    );
                    let clock = clock_of(piece);
                    let fault = case.previous.zip(clock).and_then(|(before, now)| {
                        let error = ClockInfo::check_progress(&before, &now).err()?;
                        Some(Fault {
                            reason: Reason::AttestationFailed,
                            detail: error.to_string(),
                        })
                    });
                    let judged = evidence::Judged {
                        envelope_hash: opened.envelope_hash,
                        quote_hash: opened.quote_hash,
                        clock: clock.filter(|_| fault.is_none()),
                        fault,
                    };
                    Some((judged, timely))
                };
                let received = Received {
                    pieces: case.evidence.iter().filter_map(judge).collect(),
                    inventory_mismatch: case.inventory_mismatch,
                    unopened_submission: false,
                };
                let finding = judgement::find(&received);
                let opinion = judgement::opine(context, case.duty.node, observations);
                NodeVerdict {
                    verdict: judgement::verdict(context, &case.duty, &finding, &opinion),
                    finding,
                }
            })
            .collect()
    }
}

/// Answers every probe with the same figures.
pub(crate) struct FixedProber(pub(crate) u32);

#[async_trait]
impl Prober for FixedProber {
    async fn probe(&self, target: &ProbeTarget) -> ProbeRecord {
        probe(target.epoch, target.node, self.0)
    }
}

pub(crate) fn probe(epoch: Epoch, node: NodeId, first_byte: u32) -> ProbeRecord {
    ProbeRecord {
        epoch,
        node,
        block: verifier::BlockNumber(60),
        deal: DealId(1),
        slot: Slot(0),
        stripe: verifier::Stripe(0),
        first_leaf: 0,
        leaves: 1,
        outcome: ProbeOutcome::Served,
        first_byte: LatencyMs(first_byte),
        elapsed_us: u64::from(first_byte) * 1_000,
        bytes: 7_936,
        detail: String::new(),
        answer: None,
    }
}

/// A storage node's keys.
#[derive(Clone)]
pub(crate) struct TestNode {
    pub(crate) node: NodeId,
    key: SigningKey,
    ak_public: Vec<u8>,
    pub(crate) identity: Identity,
    roots: Vec<ShardRoots>,
}

impl TestNode {
    fn new(number: u8) -> Self {
        let key = SigningKey::from_slice(&[number; 32]).unwrap();
        let roots = (0..2)
            .map(|stripe| {
                let mut root = [number * 16 + stripe; 32];
                root[0] = 0;
                ShardRoots {
                    storage_root: root.into(),
                    transport_root: B256::repeat_byte(number),
                    content_id: B256::repeat_byte(number),
                }
            })
            .collect();
        let mut node = Self {
            node: NodeId(number.into()),
            key,
            ak_public: vec![number],
            identity: Identity {
                account: Address::repeat_byte(number),
                hardware_id: B256::repeat_byte(number),
                ak_hash: keccak256([number]),
                node_key_hash: B256::ZERO,
            },
            roots,
        };
        node.identity.node_key_hash = keccak256(node.node_key());
        node
    }

    /// The same node after it enrolled with another attestation key.
    pub(crate) fn with_attestation_key(&self, ak_public: &[u8]) -> Self {
        let mut node = self.clone();
        node.ak_public = ak_public.to_vec();
        node.identity.ak_hash = keccak256(ak_public);
        node
    }

    /// Its node key's point, x ‖ y.
    pub(crate) fn node_key(&self) -> Vec<u8> {
        self.key.verifying_key().to_encoded_point(false).as_bytes()[1..].to_vec()
    }

    pub(crate) fn replay(&self) -> InventoryReplay {
        let mut replay = InventoryReplay::new(&Profile::DEV);
        replay
            .accept(DealId(1), Slot(self.node.0 as u16), &self.roots)
            .unwrap();
        replay
    }

    /// An envelope the node key signed; `tweak` makes several different ones.
    pub(crate) fn evidence(&self, world: &World, epoch: Epoch, tweak: u8) -> Evidence {
        self.evidence_with(world, epoch, tweak, vec![0xff; 40], &[])
    }

    /// An envelope that names an event log, with the log.
    pub(crate) fn evidence_with_log(&self, world: &World, epoch: Epoch) -> Evidence {
        self.evidence_with(world, epoch, 1, vec![0xff; 40], b"event log")
    }

    /// An envelope whose quote shows a clock.
    pub(crate) fn evidence_at(&self, world: &World, epoch: Epoch, clock_ms: u64) -> Evidence {
        self.evidence_with(world, epoch, 7, clock_ms.to_be_bytes().to_vec(), &[])
    }

    fn evidence_with(
        &self,
        world: &World,
        epoch: Epoch,
        tweak: u8,
        attest: Vec<u8>,
        event_log: &[u8],
    ) -> Evidence {
        let replay = self.replay();
        let proof = vec![tweak; 256];
        let claim = Claim {
            node: self.node,
            epoch,
            root: replay.root(),
            count: replay.count(),
            proof: &proof,
            event_log,
        };
        let statement = EnvelopeStatement::new(&world.chain.deployment(), &claim);
        let body = EnvelopeBody {
            statement: statement.to_bytes().into(),
            attest: attest.into(),
            ak_signature: vec![1; 64].into(),
        };
        let signature: p256::ecdsa::Signature = self
            .key
            .sign_prehash(body.signing_digest().as_slice())
            .unwrap();
        let signature = signature.normalize_s().unwrap_or(signature);
        let envelope = Envelope {
            body: body.to_bytes().into(),
            node_signature: signature.to_bytes().to_vec().into(),
        };
        Evidence {
            envelope: cbor::encode(&envelope).into(),
            proof: proof.into(),
            event_log: event_log.to_vec().into(),
            ak_public: self.ak_public.clone().into(),
            node_key: self.node_key().into(),
            receipts: Vec::new(),
        }
    }
}

/// One oracle of the committee.
pub(crate) struct Member {
    pub(crate) key: OracleKey,
    pub(crate) store: Store,
    pub(crate) agreement: Arc<Agreement>,
    pub(crate) folder: TempDir,
}

/// What one member does differently.
#[derive(Default)]
pub(crate) struct Character {
    pub(crate) observer: Option<Arc<dyn Observer>>,
    pub(crate) verdicts: Option<Arc<dyn VerdictSource>>,
    pub(crate) no_evidence: bool,
    pub(crate) links: Option<Arc<dyn Links>>,
}

/// Everything.
pub(crate) struct World {
    pub(crate) chain: Arc<MemoryChain>,
    pub(crate) rules: Rules,
    pub(crate) nodes: Vec<TestNode>,
    pub(crate) links: MemoryLinks,
    pub(crate) members: Vec<Member>,
}

pub(crate) fn oracle_key(index: usize) -> OracleKey {
    OracleKey::new(PrivateKeySigner::from_bytes(&B256::repeat_byte(index as u8 + 1)).unwrap())
}

pub(crate) fn timing() -> Timing {
    Timing {
        commit_wait: Duration::from_millis(300),
        answer_wait: Duration::from_secs(3),
        anchor_wait: Duration::from_millis(400),
        view_blocks: 6,
    }
}

impl World {
    /// Four honest oracles and three nodes that accepted a slot each; epoch 1 has its beacon.
    pub(crate) async fn new() -> Self {
        Self::with(|_, _| Character::default()).await
    }

    /// A world in which the member at (index, place in the epoch's order of leaders) has a character.
    pub(crate) async fn with(character: impl Fn(usize, u32) -> Character) -> Self {
        let endpoints = (0..4).map(|index| Endpoint {
            url: format!("https://127.0.0.1:{}", 7100 + u16::from(index)),
            tls_key_hash: B256::repeat_byte(index),
        });
        Self::build(endpoints.collect(), character).await
    }

    pub(crate) async fn build(
        endpoints: Vec<Endpoint>,
        character: impl Fn(usize, u32) -> Character,
    ) -> Self {
        let on_file = PolicyOnFile::new(policy(), RootStore::default());
        let chain = Arc::new(MemoryChain::default());
        chain.log(
            1,
            Event::PolicyChanged {
                policy_hash: on_file.hash(),
                from_epoch: Epoch(0),
            },
        );
        let key = VerifyingKey::committed(&Profile::DEV).unwrap().clone();
        let rules = Rules::new(
            chain.deployment(),
            MemoryChain::SCHEDULE,
            vec![on_file],
            key,
        );
        let members = endpoints
            .into_iter()
            .enumerate()
            .map(|(index, endpoint)| OracleMember {
                account: oracle_key(index).address(),
                endpoint,
            })
            .collect();
        chain.log(
            1,
            Event::OracleSet {
                version: 1,
                from_epoch: Epoch(0),
                members,
            },
        );
        let nodes: Vec<TestNode> = (1..=3).map(TestNode::new).collect();
        for node in &nodes {
            let endpoint = Endpoint {
                url: "https://127.0.0.1:7300".into(),
                tls_key_hash: B256::ZERO,
            };
            chain.log(
                2,
                Event::NodeRegistered {
                    node: node.node,
                    identity: node.identity,
                    endpoint,
                },
            );
            let slot = Slot(node.node.0 as u16);
            chain.log(
                3,
                Event::SlotPublished {
                    deal: DealId(1),
                    slot,
                    offset: 0,
                    roots: node.roots.clone(),
                },
            );
            chain.log(4, accepted(node));
        }
        chain.log(51, Event::Beacon(EPOCH, B256::repeat_byte(0xbe)));
        chain.set_head(55);
        let mut world = Self {
            chain,
            rules,
            nodes,
            links: MemoryLinks::default(),
            members: Vec::new(),
        };
        for index in 0..4 {
            let place = world.place(oracle_key(index).address());
            let member = world.member(index, character(index, place)).await;
            world
                .links
                .members
                .lock()
                .unwrap()
                .insert(member.key.address(), member.agreement.clone());
            world.members.push(member);
        }
        world.follow().await;
        world
    }

    fn place(&self, account: Address) -> u32 {
        let set = verifier::committee::OracleSet::new(
            1,
            (0..4).map(|it| oracle_key(it).address()).collect(),
        )
        .unwrap();
        (0..4)
            .find(|view| set.leader(B256::repeat_byte(0xbe), EPOCH, *view) == account)
            .unwrap()
    }

    async fn member(&self, index: usize, character: Character) -> Member {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("oracle.sqlite"))
            .await
            .unwrap();
        let agreement = self.agreement(index, store.clone(), character);
        Member {
            key: oracle_key(index),
            store,
            agreement,
            folder,
        }
    }

    pub(crate) fn agreement(
        &self,
        index: usize,
        store: Store,
        character: Character,
    ) -> Arc<Agreement> {
        Arc::new(Agreement::new(Parts {
            store,
            rules: self.rules.clone(),
            chain: self.chain.clone(),
            key: oracle_key(index),
            links: character.links.unwrap_or_else(|| {
                Arc::new(MemoryLinks {
                    no_evidence: character.no_evidence,
                    ..self.links.clone()
                })
            }),
            observer: character.observer.unwrap_or_else(|| Arc::new(Honest)),
            verdicts: character
                .verdicts
                .unwrap_or_else(|| Arc::new(SignedIsValid)),
            timing: timing(),
        }))
    }

    /// Every member follows the chain to its end.
    pub(crate) async fn follow(&self) {
        for member in &self.members {
            let mut watcher = Watcher::new(member.store.clone(), self.chain.clone(), Profile::DEV);
            while watcher.step().await.unwrap() {}
        }
    }

    pub(crate) async fn to_block(&self, head: u64) {
        self.chain.set_head(head);
        self.follow().await;
    }

    pub(crate) async fn view(&self) -> EpochView {
        EpochView::load(&self.members[0].store, &self.rules, EPOCH)
            .await
            .unwrap()
            .unwrap()
    }

    /// The member that leads a view of the epoch.
    pub(crate) fn leader(&self, view: u32) -> &Member {
        self.members
            .iter()
            .find(|member| self.place(member.key.address()) == view % 4)
            .unwrap()
    }

    /// The members that do not.
    pub(crate) fn followers(&self, view: u32) -> Vec<&Member> {
        let leader = self.leader(view).key.address();
        self.members
            .iter()
            .filter(|member| member.key.address() != leader)
            .collect()
    }

    pub(crate) async fn push(
        &self,
        member: &Member,
        evidence: &Evidence,
        node: NodeId,
    ) -> SignedReceipt {
        member
            .agreement
            .intake()
            .push(node, EPOCH, &cbor::encode(evidence))
            .await
            .unwrap()
    }

    /// Every node pushes to every member, in time.
    pub(crate) async fn push_all(&self) {
        self.to_block(60).await;
        for node in &self.nodes {
            let evidence = node.evidence(self, EPOCH, 7);
            for member in &self.members {
                self.push(member, &evidence, node.node).await;
            }
        }
    }

    pub(crate) fn take_down(&self, member: &Member) {
        self.links.down.lock().unwrap().insert(member.key.address());
    }

    /// All who are up observe and commit, after the epoch.
    pub(crate) async fn commit_all(&self) {
        self.to_block(92).await;
        let down = self.links.down.lock().unwrap().clone();
        for member in self
            .members
            .iter()
            .filter(|member| !down.contains(&member.key.address()))
        {
            member.agreement.announce(EPOCH).await.unwrap();
        }
    }
}

pub(crate) fn accepted(node: &TestNode) -> Event {
    let replay = node.replay();
    Event::Inventory(InventoryChange {
        operation: Operation::Accept,
        node: node.node,
        deal: DealId(1),
        slot: Slot(node.node.0 as u16),
        stripes: 2,
        log: replay.log(),
        root: replay.root(),
        count: replay.count(),
    })
}
