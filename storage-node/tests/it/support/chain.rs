//! The contracts in memory, as far as a node sees them: the same rules, blocks made on demand.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::ops::Range;
use std::sync::Mutex;
use std::time::Duration;

use alloy::primitives::{Address, B256, U256, keccak256};
use async_trait::async_trait;
use chain::EpochClock;
use chain::types::Schedule;
use storage_node::chain_view::{
    Assignment, ChainActions, ChainError, ChainEvent, ChainView, Committee, DealTerms, Head,
    NodeRecord, OnChainProof, QuotePolicy, Registration, SignedEnrolment, Submission, epoch_at,
};
use storage_node::evidence::NodeKeys;
use storage_node::inventory::{Frozen, LogEntry};
use storage_node::shard::SlotId;
use storage_node::tpm::Tpm as _;
use verifier::committee::Deployment;
use verifier::inventory::{Operation, ShardRoots, log_entry, slot_list_hash};
use verifier::{BlockNumber, DealId, Epoch, NodeId};

use super::{NODE, SoftTpm};

/// Blocks of an epoch, of the fallback and of the deadline, as in the demonstration.
pub const SCHEDULE: Schedule = Schedule {
    genesisBlock: 0,
    epochBlocks: 40,
    fallbackBlock: 16,
    deadlineBlock: 24,
    reportWindowEpochs: 1,
    disputeBlocks: 40,
    eraEpochs: 6,
    unbondingEpochs: 8,
    vettingEpochs: 2,
};

/// Where the contracts in memory would be.
pub fn deployment() -> Deployment {
    Deployment {
        chain_id: 31_337,
        hub: Address::repeat_byte(0x11),
        registry: Address::repeat_byte(0x22),
    }
}

const NOTHING: Frozen = Frozen {
    root: B256::ZERO,
    count: 0,
    log: B256::ZERO,
};

#[derive(Default)]
pub struct World {
    pub latest: u64,
    pub finality: u64,
    pub deals: HashMap<DealId, DealTerms>,
    pub assignments: HashMap<SlotId, Vec<Assignment>>,
    pub roots: HashMap<SlotId, Vec<ShardRoots>>,
    pub events: Vec<(u64, ChainEvent)>,
    /// Epoch from which each state of the inventory counts.
    pub inventories: Vec<(Epoch, Frozen)>,
    pub beacons: HashMap<Epoch, B256>,
    pub submissions: HashMap<Epoch, Submission>,
    pub resolved: Epoch,
    pub claims: Vec<(SlotId, u64)>,
    /// In which epochs the keys of the node's TPM are in force, by the registry.
    pub in_force: Range<u64>,
    /// First epoch of [`NEXT_POLICY`].
    pub next_policy_from: Option<u64>,
    pub url: String,
    pub tls_key_hash: B256,
    /// Names of transactions that are refused, once each, as if overtaken.
    pub refuse_once: HashSet<&'static str>,
    pub transactions: u64,
    /// Whether the contracts reckon an inventory's log otherwise than this version.
    pub other_rules: bool,
    /// Names of transactions that no block takes.
    pub stuck: HashSet<&'static str>,
    pub unreachable: bool,
    /// Blocks have other hashes on another fork.
    pub fork: u8,
    /// Deals and assignments as each block left them, for questions about final blocks.
    history: BTreeMap<u64, Past>,
    /// Blocks that a call to this chain may be behind: reads of deals and assignments at the latest block show the past.
    pub lag: u64,
}

#[derive(Clone, Default)]
struct Past {
    deals: HashMap<DealId, DealTerms>,
    assignments: HashMap<SlotId, Vec<Assignment>>,
}

impl World {
    fn inventory(&self) -> Frozen {
        self.inventories
            .last()
            .map_or(NOTHING, |(_, frozen)| *frozen)
    }

    /// What there was after a block.
    fn past(&self, block: u64) -> Past {
        let found = self.history.range(..=block).next_back();
        found.map(|(_, past)| past.clone()).unwrap_or_default()
    }

    /// What an endpoint says that may lag.
    fn seen(&self) -> Past {
        self.past(self.latest.saturating_sub(self.lag))
    }

    pub fn is_held(&self, slot: SlotId, node: NodeId) -> bool {
        self.assignments[&slot]
            .iter()
            .any(|it| it.node == node && it.from != Epoch(0) && !it.dropped)
    }
}

pub struct MemoryChain {
    world: Mutex<World>,
    /// As a real account's: one transaction waits for the one before it.
    queue: tokio::sync::Mutex<()>,
    clock: EpochClock,
    committee: Committee,
}

impl MemoryChain {
    pub fn new(committee: Committee) -> Self {
        let world = World {
            latest: 45,
            finality: 2,
            in_force: 0..u64::MAX,
            next_policy_from: None,
            ..World::default()
        };
        Self {
            world: Mutex::new(world),
            queue: tokio::sync::Mutex::default(),
            clock: EpochClock::new(SCHEDULE).unwrap(),
            committee,
        }
    }

    pub fn with<T>(&self, look: impl FnOnce(&mut World) -> T) -> T {
        let mut world = self.world.lock().unwrap();
        let found = look(&mut world);
        let past = Past {
            deals: world.deals.clone(),
            assignments: world.assignments.clone(),
        };
        let latest = world.latest;
        world.history.insert(latest, past);
        found
    }

    pub fn mine(&self, blocks: u64) {
        self.with(|world| world.latest += blocks);
    }

    /// Goes on to a block of an epoch.
    pub fn go_to(&self, epoch: u64, offset: u64) {
        self.with(|world| world.latest = epoch * SCHEDULE.epochBlocks + offset);
    }

    /// Goes on to a block of an epoch whose beacon is recorded.
    pub fn go_to_with_beacon(&self, epoch: u64, offset: u64) {
        self.go_to(epoch, offset);
        self.with(|world| {
            world
                .beacons
                .insert(Epoch(epoch), keccak256(epoch.to_be_bytes()))
        });
    }

    /// A sealed deal, of its own, that names `node` for a slot.
    pub fn offer(&self, slot: SlotId, node: NodeId, roots: &[ShardRoots]) {
        self.propose(slot, node, roots);
        self.with(|world| {
            world.deals.get_mut(&slot.deal).unwrap().sealed = true;
            world
                .events
                .push((world.latest + 1, ChainEvent::Sealed(slot.deal)));
            world.latest += 1;
        });
    }

    pub fn propose(&self, slot: SlotId, node: NodeId, roots: &[ShardRoots]) {
        let stripes = roots.len() as u32;
        self.with(|world| {
            world.latest += 1;
            let end = Epoch(epoch_at(&self.clock, world.latest).0 + 20);
            world.deals.insert(
                slot.deal,
                DealTerms {
                    sealed: false,
                    closed: false,
                    slots: 5,
                    stripes,
                    rate: 100,
                    end,
                },
            );
            let zero = Epoch(0);
            let offer = Assignment {
                node,
                from: zero,
                to: zero,
                claimed: zero,
                dropped: false,
            };
            world.assignments.insert(slot, vec![offer]);
            world.roots.insert(slot, roots.to_vec());
            if node == NODE {
                world.events.push((world.latest, ChainEvent::Offered(slot)));
            }
        });
    }

    /// The owner ends the present tenure with the present epoch.
    pub fn end(&self, slot: SlotId) {
        self.with(|world| {
            let epoch = epoch_at(&self.clock, world.latest);
            world
                .assignments
                .get_mut(&slot)
                .unwrap()
                .last_mut()
                .unwrap()
                .to = epoch;
            world
                .events
                .push((world.latest + 1, ChainEvent::Ended(slot)));
            world.latest += 1;
        });
    }

    /// The owner moves the slot to another node; a tenure that runs ends with the present epoch.
    pub fn move_to(&self, slot: SlotId, node: NodeId) {
        self.with(|world| {
            world.latest += 1;
            let epoch = epoch_at(&self.clock, world.latest);
            let assignments = world.assignments.get_mut(&slot).unwrap();
            let present = assignments.last_mut().unwrap();
            if present.from != Epoch(0) {
                present.to = epoch;
                if present.node == NODE {
                    world.events.push((world.latest, ChainEvent::Ended(slot)));
                }
            }
            let zero = Epoch(0);
            assignments.push(Assignment {
                node,
                from: zero,
                to: zero,
                claimed: zero,
                dropped: false,
            });
            world
                .events
                .push((world.latest, ChainEvent::Moved(slot, node)));
        });
    }

    async fn call<T>(
        &self,
        name: &'static str,
        act: impl FnOnce(&mut World, Epoch) -> Result<T, ChainError>,
    ) -> Result<B256, ChainError> {
        let _place = self.queue.lock().await;
        while self.with(|world| world.stuck.contains(name)) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        self.with(|world| {
            if world.unreachable {
                return Err(ChainError::Unavailable("no endpoint answers".to_owned()));
            }
            if world.refuse_once.remove(name) {
                return Err(revert("LogMoved"));
            }
            // A transaction is mined in the block after the latest.
            world.latest += 1;
            let epoch = epoch_at(&self.clock, world.latest);
            act(world, epoch)?;
            world.transactions += 1;
            Ok(keccak256(world.transactions.to_be_bytes()))
        })
    }

    fn change(
        &self,
        operation: Operation,
        slot: SlotId,
        new: Frozen,
        world: &mut World,
    ) -> Result<(), ChainError> {
        let before = world.inventory();
        let roots = &world.roots[&slot];
        let (stripes, list_hash) = (roots.len() as u32, slot_list_hash(roots));
        let log = log_entry(
            before.log, operation, slot.deal, slot.slot, stripes, list_hash,
        );
        if world.other_rules || log != new.log {
            return Err(revert("LogMoved"));
        }
        let next = Epoch(epoch_at(&self.clock, world.latest).0 + 1);
        world.inventories.push((next, new));
        let entry = LogEntry {
            operation,
            slot,
            stripes,
            list_hash,
            log,
            root: new.root,
            count: new.count,
            block: world.latest,
        };
        world
            .events
            .push((world.latest, ChainEvent::Inventory(entry)));
        Ok(())
    }
}

/// The hash of a block on a fork of the chain in memory.
/// The policy that follows the first one.
pub const NEXT_POLICY: B256 = B256::repeat_byte(2);

pub fn block_hash(fork: u8, block: u64) -> B256 {
    keccak256([&[fork][..], &block.to_be_bytes()].concat())
}

fn revert(name: &str) -> ChainError {
    ChainError::Reverted {
        name: name.to_owned(),
        detail: format!("{name}()"),
    }
}

fn unreachable(world: &World) -> Result<(), ChainError> {
    if world.unreachable {
        Err(ChainError::Unavailable("no endpoint answers".to_owned()))
    } else {
        Ok(())
    }
}

#[async_trait]
impl ChainView for MemoryChain {
    fn deployment(&self) -> Deployment {
        deployment()
    }

    fn clock(&self) -> &EpochClock {
        &self.clock
    }

    fn account(&self) -> Address {
        Address::repeat_byte(0x77)
    }

    async fn block_hash(&self, block: u64) -> Result<Option<B256>, ChainError> {
        self.with(|world| {
            unreachable(world)?;
            Ok((block <= world.latest).then(|| block_hash(world.fork, block)))
        })
    }

    async fn head(&self) -> Result<Head, ChainError> {
        self.with(|world| {
            unreachable(world)?;
            Ok(Head {
                latest: world.latest,
                finalized: world.latest.saturating_sub(world.finality),
            })
        })
    }

    async fn node(&self) -> Result<Option<NodeRecord>, ChainError> {
        let (ak_hash, node_key_hash) = SoftTpm::key_hashes();
        Ok(Some(self.with(|world| NodeRecord {
            node: NODE,
            active: true,
            registered: Epoch(0),
            identity_from: Epoch(0),
            ak_hash,
            node_key_hash,
            url: world.url.clone(),
            tls_key_hash: world.tls_key_hash,
        })))
    }

    async fn policy_hash(&self, epoch: Epoch) -> Result<B256, ChainError> {
        let next = self.with(|world| world.next_policy_from);
        Ok(match next {
            Some(from) if from <= epoch.0 => NEXT_POLICY,
            _ => B256::repeat_byte(1),
        })
    }

    async fn quote_policy(&self, _: Epoch) -> Result<Option<QuotePolicy>, ChainError> {
        Ok(None)
    }

    async fn accepted_until(&self, _: Address, _: B256) -> Result<u64, ChainError> {
        Ok(0)
    }

    async fn identity_at(&self, _: NodeId, epoch: Epoch) -> Result<B256, ChainError> {
        let tpm = SoftTpm::new().identity().unwrap();
        let own = NodeKeys::of(&tpm).unwrap().identity(self.account());
        Ok(self.with(|world| {
            if world.in_force.contains(&epoch.0) {
                own.hash()
            } else {
                B256::repeat_byte(0xee)
            }
        }))
    }

    async fn deal(&self, deal: DealId) -> Result<Option<DealTerms>, ChainError> {
        self.with(|world| {
            unreachable(world)?;
            Ok(world.seen().deals.get(&deal).copied())
        })
    }

    async fn deal_at(&self, deal: DealId, block: u64) -> Result<Option<DealTerms>, ChainError> {
        self.with(|world| {
            unreachable(world)?;
            Ok(world.past(block).deals.get(&deal).copied())
        })
    }

    async fn assignments(&self, slot: SlotId) -> Result<Vec<Assignment>, ChainError> {
        self.with(|world| {
            unreachable(world)?;
            let seen = world.seen();
            Ok(seen.assignments.get(&slot).cloned().unwrap_or_default())
        })
    }

    async fn assignments_at(
        &self,
        slot: SlotId,
        block: u64,
    ) -> Result<Vec<Assignment>, ChainError> {
        self.with(|world| {
            unreachable(world)?;
            let past = world.past(block);
            Ok(past.assignments.get(&slot).cloned().unwrap_or_default())
        })
    }

    async fn slot_list_hash(&self, slot: SlotId) -> Result<B256, ChainError> {
        Ok(self.with(|world| slot_list_hash(&world.roots[&slot])))
    }

    async fn slot_roots(&self, slot: SlotId) -> Result<Vec<ShardRoots>, ChainError> {
        Ok(self.with(|world| world.roots[&slot].clone()))
    }

    async fn events(&self, _: NodeId, from: u64, to: u64) -> Result<Vec<ChainEvent>, ChainError> {
        Ok(self.with(|world| {
            let within = world
                .events
                .iter()
                .filter(|(block, _)| (from..=to).contains(block));
            within.map(|(_, event)| event.clone()).collect()
        }))
    }

    async fn inventory(&self, _: NodeId) -> Result<Frozen, ChainError> {
        Ok(self.with(|world| world.inventory()))
    }

    async fn inventory_at(&self, _: NodeId, epoch: Epoch) -> Result<Frozen, ChainError> {
        Ok(self.with(|world| {
            let found = world
                .inventories
                .iter()
                .rev()
                .find(|(from, _)| *from <= epoch);
            found.map_or(NOTHING, |(_, frozen)| *frozen)
        }))
    }

    async fn beacon(&self, epoch: Epoch) -> Result<Option<B256>, ChainError> {
        Ok(self.with(|world| world.beacons.get(&epoch).copied()))
    }

    async fn committee(&self, _: Epoch) -> Result<Committee, ChainError> {
        Ok(self.committee.clone())
    }

    async fn submission(&self, _: NodeId, epoch: Epoch) -> Result<Option<Submission>, ChainError> {
        Ok(self.with(|world| world.submissions.get(&epoch).copied()))
    }

    async fn resolved_to(&self, _: NodeId) -> Result<Epoch, ChainError> {
        Ok(self.with(|world| world.resolved))
    }
}

#[async_trait]
impl ChainActions for MemoryChain {
    async fn accept(&self, slot: SlotId, new: Frozen) -> Result<B256, ChainError> {
        self.call("accept", |world, epoch| {
            let end = world.deals[&slot.deal].end;
            if world.assignments[&slot].last().unwrap().from != Epoch(0) {
                return Err(revert("AlreadyAccepted"));
            }
            self.change(Operation::Accept, slot, new, world)?;
            let tenure = world
                .assignments
                .get_mut(&slot)
                .unwrap()
                .last_mut()
                .unwrap();
            (tenure.from, tenure.to, tenure.claimed) = (Epoch(epoch.0 + 1), end, epoch);
            Ok(())
        })
        .await
    }

    async fn drop_slot(&self, slot: SlotId, new: Frozen) -> Result<B256, ChainError> {
        self.call("drop", |world, epoch| {
            let tenures = world.assignments.get_mut(&slot).unwrap();
            let tenure = tenures.iter_mut().rev().find(|it| it.node == NODE).unwrap();
            if tenure.to > epoch {
                return Err(revert("SlotNotOver"));
            }
            tenure.dropped = true;
            self.change(Operation::Drop, slot, new, world)
        })
        .await
    }

    async fn record_beacon(&self, epoch: Epoch) -> Result<B256, ChainError> {
        self.call("recordBeacon", |world, _| {
            let blocks = self.clock.beacon_blocks(epoch.0);
            if !blocks.contains(&world.latest) {
                return Err(revert("BeaconTooLate"));
            }
            world
                .beacons
                .entry(epoch)
                .or_insert_with(|| keccak256(epoch.0.to_be_bytes()));
            Ok(())
        })
        .await
    }

    async fn submit_proof(&self, proof: OnChainProof) -> Result<B256, ChainError> {
        self.call("submitProof", |world, _| {
            if world.latest > self.clock.deadline_block(proof.epoch.0) {
                return Err(revert("DeadlinePassed"));
            }
            let block = BlockNumber(world.latest);
            world.submissions.insert(
                proof.epoch,
                Submission {
                    envelope_hash: keccak256(&proof.body),
                    block,
                },
            );
            Ok(())
        })
        .await
    }

    async fn claim(&self, slot: SlotId, assignment: u64) -> Result<B256, ChainError> {
        self.call("claim", |world, _| {
            let resolved = world.resolved;
            let tenure = &mut world.assignments.get_mut(&slot).unwrap()[assignment as usize];
            if resolved.min(tenure.to) <= tenure.claimed {
                return Err(revert("NothingToClaim"));
            }
            tenure.claimed = resolved.min(tenure.to);
            world.claims.push((slot, resolved.0));
            Ok(())
        })
        .await
    }

    async fn set_endpoint(
        &self,
        _: NodeId,
        url: &str,
        tls_key_hash: B256,
    ) -> Result<B256, ChainError> {
        self.call("setEndpoint", |world, _| {
            (world.url, world.tls_key_hash) = (url.to_owned(), tls_key_hash);
            Ok(())
        })
        .await
    }

    async fn approve_bond(&self, _: U256) -> Result<(), ChainError> {
        Ok(())
    }

    async fn register(&self, _: Registration) -> Result<B256, ChainError> {
        Err(revert("AccountAlreadyEnrolled"))
    }

    async fn reenrol(&self, _: SignedEnrolment) -> Result<B256, ChainError> {
        Err(revert("SameIdentity"))
    }
}
