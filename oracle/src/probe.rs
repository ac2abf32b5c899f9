//! Probes: what only a client would notice. Random ranges of random shards, fetched and proven as a client would.
//!
//! Protocol: section 6.3.

use std::collections::BTreeMap;

use alloy::primitives::{B256, keccak256};
use async_trait::async_trait;
use minicbor::{Decode, Encode};
use rand::seq::SliceRandom;
use rand::{Rng, RngCore};
use serde::Serialize;
use verifier::committee::{NodeStatement, Reachability};
use verifier::inventory::ShardKey;
use verifier::session::{SessionContext, VouchedAnswer};
use verifier::transport::LEAVES;
use verifier::{
    Availability, BlockNumber, DealId, Epoch, LatencyMs, NodeId, Slot, Stripe, Throughput, cbor,
};

use crate::onchain::Endpoint;

mod grpc;

pub use grpc::GrpcProber;

/// Most transport leaves one probe fetches.
const MAX_LEAVES: usize = 8;
/// One probe in so many asks for a whole shard.
const WHOLE_IN: u32 = 4;

/// What is fetched from whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProbeTarget {
    /// The epoch.
    pub epoch: Epoch,
    /// The node.
    pub node: NodeId,
    /// Where it is reached.
    pub endpoint: Endpoint,
    /// A shard it is paid to hold.
    pub shard: ShardKey,
    /// The shard's transport root in the deal.
    pub transport_root: B256,
    /// keccak256 of the node key whose session must sign the answer.
    pub node_key_hash: B256,
    /// Where and when that session counts.
    pub sessions: SessionContext,
    /// First leaf.
    pub first_leaf: usize,
    /// Number of leaves.
    pub leaves: usize,
}

/// How a probe came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Encode, Decode)]
#[cbor(index_only)]
#[serde(rename_all = "snake_case")]
pub enum ProbeOutcome {
    /// The range was served, and its proof holds.
    #[n(0)]
    Served,
    /// Bytes came that do not lead to the deal's transport root.
    #[n(1)]
    WrongBytes,
    /// The node answered, and refused.
    #[n(2)]
    Refused,
    /// Nothing came in time, or somebody else answered at its address.
    #[n(3)]
    NoAnswer,
    /// The right bytes came, and nothing shows that the node's own machine sent them over this connection: unsigned, or relayed.
    #[n(4)]
    Unvouched,
}

/// The record of one probe.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Encode, Decode)]
#[cbor(array)]
pub struct ProbeRecord {
    /// The epoch.
    #[n(0)]
    pub epoch: Epoch,
    /// The node.
    #[n(1)]
    pub node: NodeId,
    /// Latest block when it was made.
    #[n(2)]
    pub block: BlockNumber,
    /// Deal of the shard.
    #[n(3)]
    pub deal: DealId,
    /// Its slot.
    #[n(4)]
    pub slot: Slot,
    /// Its stripe.
    #[n(5)]
    pub stripe: Stripe,
    /// First leaf.
    #[n(6)]
    pub first_leaf: u32,
    /// Number of leaves.
    #[n(7)]
    pub leaves: u32,
    /// How it came out.
    #[n(8)]
    pub outcome: ProbeOutcome,
    /// Time to the first byte of the answer; zero without one.
    #[n(9)]
    pub first_byte: LatencyMs,
    /// Time to its last byte, microseconds; zero without one.
    #[n(10)]
    pub elapsed_us: u64,
    /// Proven bytes.
    #[n(11)]
    pub bytes: u64,
    /// What went wrong, for people.
    #[n(12)]
    pub detail: String,
    /// What shows to others that the node's machine gave this answer; absent if it was not served.
    #[n(13)]
    #[serde(skip)]
    pub answer: Option<VouchedAnswer>,
}

impl ProbeRecord {
    /// A probe without a proven answer.
    #[must_use]
    pub fn failed(target: &ProbeTarget, outcome: ProbeOutcome, detail: impl Into<String>) -> Self {
        let leaf = |value: usize| u32::try_from(value).unwrap_or(u32::MAX);
        Self {
            epoch: target.epoch,
            node: target.node,
            block: BlockNumber(0),
            deal: target.shard.deal,
            slot: target.shard.slot,
            stripe: target.shard.stripe,
            first_leaf: leaf(target.first_leaf),
            leaves: leaf(target.leaves),
            outcome,
            first_byte: LatencyMs(0),
            elapsed_us: 0,
            bytes: 0,
            detail: detail.into(),
            answer: None,
        }
    }
}

/// Fetches a range and proves it.
#[async_trait]
pub trait Prober: Send + Sync + 'static {
    /// Probes a node. Never fails: what goes wrong is the record.
    async fn probe(&self, target: &ProbeTarget) -> ProbeRecord;
}

/// When a node is probed in an epoch, and how often.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProbePlan {
    times: BTreeMap<BlockNumber, usize>,
}

impl ProbePlan {
    /// Unpredictable times: `count` blocks within `from ..= to`, from the given randomness.
    pub fn draw(rng: &mut impl RngCore, count: usize, from: BlockNumber, to: BlockNumber) -> Self {
        let mut times = BTreeMap::new();
        if from <= to {
            for _ in 0..count {
                *times
                    .entry(BlockNumber(rng.gen_range(from.0..=to.0)))
                    .or_default() += 1;
            }
        }
        Self { times }
    }

    /// Takes the probes due at or before a block out of the plan, and returns how many they are.
    pub fn due(&mut self, head: BlockNumber) -> usize {
        let later = self.times.split_off(&BlockNumber(head.0.saturating_add(1)));
        std::mem::replace(&mut self.times, later)
            .into_values()
            .sum()
    }
}

/// Picks a shard among the slots a node holds: first a deal, so that small deals are probed as often as large ones, then a
/// slot, then a stripe; and a range in it, or now and then all of it, as the gateway reads.
pub fn pick(
    rng: &mut impl RngCore,
    slots: &[(DealId, Slot, u32)],
) -> Option<(ShardKey, usize, usize)> {
    let mut deals: Vec<DealId> = slots.iter().map(|(deal, _, _)| *deal).collect();
    deals.sort_unstable();
    deals.dedup();
    let deal = *deals.choose(rng)?;
    let of_deal: Vec<_> = slots
        .iter()
        .filter(|(it, _, stripes)| *it == deal && *stripes > 0)
        .collect();
    let (_, slot, stripes) = of_deal.choose(rng)?;
    // A node that answered ranges only would starve the clients, who read whole shards.
    let leaves = if rng.gen_ratio(1, WHOLE_IN) {
        LEAVES
    } else {
        rng.gen_range(1..=MAX_LEAVES)
    };
    let first = rng.gen_range(0..=LEAVES - leaves);
    Some((
        ShardKey {
            deal,
            slot: *slot,
            stripe: Stripe(rng.gen_range(0..*stripes)),
        },
        first,
        leaves,
    ))
}

/// Whether this oracle's own network worked: somebody answered something.
#[must_use]
pub fn network_worked(records: &[ProbeRecord]) -> bool {
    records
        .iter()
        .any(|record| record.outcome != ProbeOutcome::NoAnswer)
}

/// What the probes of one node came to. Reason and envelope are left for the judgement of evidence.
#[must_use]
pub fn summarise(
    node: NodeId,
    records: &[&ProbeRecord],
    network_worked: bool,
    slow_after: LatencyMs,
) -> NodeStatement {
    let mut statement = NodeStatement {
        node,
        reachability: Reachability::NotChecked,
        availability: Availability(0),
        latency_p95: LatencyMs(0),
        throughput: Throughput(0),
        probes_hash: B256::ZERO,
        reason: 0,
        envelope_hash: B256::ZERO,
    };
    if records.is_empty() {
        return statement;
    }
    let bytes: Vec<u8> = records
        .iter()
        .flat_map(|record| cbor::encode(*record))
        .collect();
    statement.probes_hash = keccak256(bytes);
    if !network_worked {
        return statement;
    }
    let mut latencies: Vec<LatencyMs> = records
        .iter()
        .filter(|it| it.outcome == ProbeOutcome::Served)
        .map(|it| it.first_byte)
        .collect();
    latencies.sort_unstable();
    let share = latencies.len() * 10_000 / records.len();
    statement.availability = Availability(u16::try_from(share).unwrap_or(10_000));
    // Nearest rank: the smallest value that at least 95 of 100 do not exceed.
    let rank = (latencies.len() * 95).div_ceil(100).saturating_sub(1);
    let Some(p95) = latencies.get(rank) else {
        statement.reachability = Reachability::Unreachable;
        return statement;
    };
    let served: u64 = records.iter().map(|it| it.bytes).sum();
    let elapsed: u64 = records
        .iter()
        .filter(|it| it.outcome == ProbeOutcome::Served)
        .map(|it| it.elapsed_us)
        .sum();
    let per_second = u128::from(served) * 1_000_000 / u128::from(elapsed.max(1));
    statement.latency_p95 = *p95;
    statement.throughput = Throughput(u64::try_from(per_second).unwrap_or(u64::MAX));
    statement.reachability = if *p95 > slow_after {
        Reachability::Slow
    } else {
        Reachability::Reachable
    };
    statement
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::cast_possible_truncation)]
    use super::*;
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    fn target() -> ProbeTarget {
        ProbeTarget {
            epoch: Epoch(1),
            node: NodeId(3),
            endpoint: Endpoint {
                url: "https://127.0.0.1:1".into(),
                tls_key_hash: B256::ZERO,
            },
            shard: ShardKey {
                deal: DealId(1),
                slot: Slot(0),
                stripe: Stripe(0),
            },
            transport_root: B256::ZERO,
            node_key_hash: B256::ZERO,
            sessions: SessionContext {
                chain_id: 31_337,
                hub: alloy::primitives::Address::ZERO,
                anchors: Vec::new(),
            },
            first_leaf: 0,
            leaves: 1,
        }
    }

    fn served(first_byte: u32) -> ProbeRecord {
        ProbeRecord {
            outcome: ProbeOutcome::Served,
            first_byte: LatencyMs(first_byte),
            elapsed_us: 1_000_000,
            bytes: 7_936,
            ..ProbeRecord::failed(&target(), ProbeOutcome::Served, "")
        }
    }

    fn lost() -> ProbeRecord {
        ProbeRecord::failed(&target(), ProbeOutcome::NoAnswer, "connection refused")
    }

    fn statement(records: &[ProbeRecord], worked: bool) -> NodeStatement {
        summarise(
            NodeId(3),
            &records.iter().collect::<Vec<_>>(),
            worked,
            LatencyMs(100),
        )
    }

    #[test]
    fn a_node_that_served_nothing_is_unreachable_only_if_the_network_worked() {
        assert_eq!(
            statement(&[lost(), lost()], true).reachability,
            Reachability::Unreachable
        );
        assert_eq!(
            statement(&[lost(), lost()], false).reachability,
            Reachability::NotChecked
        );
        assert_eq!(statement(&[], true).reachability, Reachability::NotChecked);
    }

    #[test]
    fn an_answer_of_any_kind_shows_that_the_network_worked() {
        assert!(!network_worked(&[lost(), lost()]));
        let refused = ProbeRecord::failed(&target(), ProbeOutcome::Refused, "not found");
        assert!(network_worked(&[lost(), refused]));
    }

    #[test]
    fn a_node_whose_answers_are_all_relayed_is_unreachable_though_the_network_works() {
        let relayed = ProbeRecord::failed(&target(), ProbeOutcome::Unvouched, "relayed");
        let records = [relayed.clone(), relayed.clone()];
        assert!(network_worked(&records));
        let one = statement(&records, true);
        assert_eq!(one.reachability, Reachability::Unreachable);
        let half = statement(&[relayed, served(1)], true);
        assert_eq!(
            (half.reachability, half.availability),
            (Reachability::Reachable, Availability(5_000))
        );
    }

    #[test]
    fn records_of_before_there_were_sessions_still_decode() {
        let old = ProbeRecord::failed(&target(), ProbeOutcome::NoAnswer, "");
        let bytes = cbor::encode(&old);
        assert_eq!(bytes[9], 3, "outcomes keep their numbers");
        assert_eq!(cbor::decode::<ProbeRecord>("probe", &bytes).unwrap(), old);
    }

    #[test]
    fn a_node_is_slow_if_its_95th_percentile_is() {
        let mut records: Vec<_> = (0..19).map(|_| served(10)).collect();
        records.push(served(500));
        assert_eq!(
            statement(&records, true).reachability,
            Reachability::Reachable
        );
        records.push(served(500));
        let slow = statement(&records, true);
        assert_eq!(
            (slow.reachability, slow.latency_p95),
            (Reachability::Slow, LatencyMs(500))
        );
    }

    #[test]
    fn availability_is_the_share_of_probes_that_were_served_and_proven() {
        let wrong = ProbeRecord::failed(&target(), ProbeOutcome::WrongBytes, "");
        let one = statement(&[served(1), lost(), wrong, served(2)], true);
        assert_eq!(one.availability, Availability(5_000));
        assert_eq!(one.throughput, Throughput(7_936));
        assert_ne!(one.probes_hash, B256::ZERO);
    }

    #[test]
    fn small_deals_are_probed_as_often_as_large_ones() {
        let mut rng = StdRng::seed_from_u64(7);
        let mut slots: Vec<_> = (0..20).map(|slot| (DealId(1), Slot(slot), 100)).collect();
        slots.push((DealId(2), Slot(0), 1));
        let small = (0..1000)
            .filter(|_| pick(&mut rng, &slots).unwrap().0.deal == DealId(2))
            .count();
        assert!((400..600).contains(&small), "{small}");
        let picked = (0..1000).map(|_| pick(&mut rng, &slots).unwrap());
        let whole = picked
            .filter(|(_, first, leaves)| {
                assert!(first + leaves <= LEAVES);
                *leaves == LEAVES
            })
            .count();
        assert!((200..300).contains(&whole), "{whole} whole shards");
        assert_eq!(pick(&mut rng, &[]), None);
    }

    #[test]
    fn every_planned_probe_becomes_due_once_within_its_blocks() {
        let mut rng = StdRng::seed_from_u64(7);
        let mut plan = ProbePlan::draw(&mut rng, 6, BlockNumber(10), BlockNumber(20));
        assert_eq!(plan.due(BlockNumber(9)), 0);
        let total: usize = (10..=20).map(|block| plan.due(BlockNumber(block))).sum();
        assert_eq!(total, 6);
        assert_eq!(plan.due(BlockNumber(1000)), 0);
        let mut late = ProbePlan::draw(&mut rng, 6, BlockNumber(21), BlockNumber(20));
        assert_eq!(late.due(BlockNumber(1000)), 0, "there is no time left");
    }
}
