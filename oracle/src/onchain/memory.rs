//! A chain in memory: blocks are numbers, finality lags by two, contracts believe everybody.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use alloy::primitives::{Address, B256, Bytes, U256, keccak256};
use async_trait::async_trait;
use circuits::Profile;
use circuits::keys::Manifest;
use verifier::committee::Deployment;
use verifier::report::{Report, Verdict};
use verifier::typed_data;
use verifier::{BlockNumber, Epoch, NodeId};

use super::{BlockRef, ChainError, Event, Logged, OnChain, Registration, Schedule};

/// How far finality lags.
const LAG: u64 = 2;

/// What a test may look at and change.
#[derive(Debug, Default)]
pub(crate) struct State {
    pub(crate) head: u64,
    pub(crate) events: Vec<Logged>,
    pub(crate) settled: Vec<(NodeId, Vec<Epoch>)>,
    pub(crate) advanced: Vec<NodeId>,
    /// Blocks from this one on have other hashes.
    pub(crate) forked_at: Option<u64>,
    pub(crate) unreachable: bool,
}

/// The chain.
#[derive(Debug, Default)]
pub(crate) struct MemoryChain {
    state: Mutex<State>,
}

impl MemoryChain {
    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn set_head(&self, head: u64) {
        self.state().head = head;
    }

    /// Adds an event at a block, as if it had been mined there.
    pub(crate) fn log(&self, block: u64, event: Event) {
        let transaction = keccak256(format!("{block} {event:?}"));
        self.state().events.push(Logged {
            block: BlockNumber(block),
            transaction,
            event,
        });
    }

    fn hash(state: &State, block: u64) -> B256 {
        let fork = state.forked_at.is_some_and(|from| block >= from);
        keccak256([&block.to_be_bytes()[..], &[u8::from(fork)]].concat())
    }

    fn reached(&self) -> Result<MutexGuard<'_, State>, ChainError> {
        let state = self.state();
        if state.unreachable {
            return Err(ChainError::Unavailable("no endpoint answers".into()));
        }
        Ok(state)
    }

    pub(crate) const SCHEDULE: Schedule = Schedule {
        genesis: 10,
        epoch_blocks: 40,
        fallback: 16,
        deadline: 24,
        report_window: 2,
        dispute_blocks: 40,
        era_epochs: 6,
    };
}

#[async_trait]
impl OnChain for MemoryChain {
    fn deployment(&self) -> Deployment {
        Deployment {
            chain_id: 31_337,
            hub: Address::repeat_byte(0x11),
            registry: Address::repeat_byte(0x22),
        }
    }

    fn schedule(&self) -> Schedule {
        Self::SCHEDULE
    }

    fn first_block(&self) -> BlockNumber {
        BlockNumber(1)
    }

    async fn head(&self) -> Result<BlockNumber, ChainError> {
        Ok(BlockNumber(self.reached()?.head))
    }

    async fn finalized(&self) -> Result<BlockRef, ChainError> {
        let state = self.reached()?;
        let number = state.head.saturating_sub(LAG);
        Ok(BlockRef {
            number: BlockNumber(number),
            hash: Self::hash(&state, number),
        })
    }

    async fn block_hash(&self, block: BlockNumber) -> Result<Option<B256>, ChainError> {
        let state = self.reached()?;
        Ok((block.0 <= state.head).then(|| Self::hash(&state, block.0)))
    }

    async fn events(&self, from: BlockNumber, to: BlockNumber) -> Result<Vec<Logged>, ChainError> {
        let state = self.reached()?;
        let mut events: Vec<_> = state
            .events
            .iter()
            .filter(|it| (from..=to).contains(&it.block))
            .cloned()
            .collect();
        events.sort_by_key(|it| it.block);
        Ok(events)
    }

    async fn policies(&self) -> Result<Vec<(Epoch, B256)>, ChainError> {
        let state = self.reached()?;
        let mut policies = BTreeMap::new();
        for logged in &state.events {
            match &logged.event {
                Event::PolicyChanged {
                    policy_hash,
                    from_epoch,
                } => policies.insert(*from_epoch, *policy_hash),
                Event::PolicyWithdrawn(from_epoch) => policies.remove(from_epoch),
                _ => None,
            };
        }
        Ok(policies.into_iter().collect())
    }

    async fn beacon(&self, epoch: Epoch) -> Result<Option<B256>, ChainError> {
        Ok(self
            .reached()?
            .events
            .iter()
            .find_map(|it| match &it.event {
                Event::Beacon(of, beacon) if *of == epoch => Some(*beacon),
                _ => None,
            }))
    }

    async fn is_reported(&self, epoch: Epoch) -> Result<bool, ChainError> {
        let reported =
            |it: &Logged| matches!(&it.event, Event::Report(report) if report.epoch == epoch);
        Ok(self.reached()?.events.iter().any(reported))
    }

    async fn settlement(&self, node: NodeId) -> Result<(Epoch, bool), ChainError> {
        let state = self.reached()?;
        let done = state
            .settled
            .iter()
            .filter(|(of, _)| *of == node)
            .flat_map(|(_, epochs)| epochs);
        let cursor = done.max().copied().unwrap_or_default();
        let behind = state.events.iter().any(|it| match &it.event {
            Event::Report(report) => {
                report.epoch > cursor && state.head >= it.block.0 + Self::SCHEDULE.dispute_blocks
            }
            _ => false,
        });
        Ok((cursor, behind))
    }

    async fn circuit(&self) -> Result<B256, ChainError> {
        drop(self.reached()?);
        let manifest = Manifest::committed(&Profile::DEV).expect("it is committed");
        Ok(manifest.id().into())
    }

    async fn registration(&self, transaction: B256) -> Result<Registration, ChainError> {
        let state = self.reached()?;
        let found = state.events.iter().find_map(|it| match &it.event {
            Event::NodeRegistered { identity, .. } if it.transaction == transaction => {
                Some(*identity)
            }
            _ => None,
        });
        let identity = found.ok_or_else(|| {
            ChainError::Unavailable(format!(
                "the endpoint does not have transaction {transaction}"
            ))
        })?;
        Ok(Registration {
            enrolment: typed_data::Enrolment {
                account: identity.account,
                hardwareId: identity.hardware_id,
                akHash: identity.ak_hash,
                nodeKeyHash: identity.node_key_hash,
                resultHash: B256::ZERO,
                tpmClass: 1,
                expiry: 0,
            },
            signatures: Vec::new(),
        })
    }

    async fn report_signatures(&self, _: B256) -> Result<Vec<Bytes>, ChainError> {
        Ok(Vec::new())
    }

    async fn record_beacon(&self, epoch: Epoch) -> Result<(), ChainError> {
        if self.beacon(epoch).await?.is_none() {
            let head = self.state().head;
            self.log(
                head + 1,
                Event::Beacon(epoch, keccak256(epoch.0.to_be_bytes())),
            );
        }
        Ok(())
    }

    async fn submit_report(
        &self,
        report: &Report,
        bitmap: U256,
        signatures: Bytes,
    ) -> Result<(), ChainError> {
        if self.is_reported(report.epoch).await? {
            return Err(ChainError::Reverted(format!(
                "AlreadyReported({})",
                report.epoch
            )));
        }
        if signatures.len() != bitmap.count_ones() * 65 {
            return Err(ChainError::Reverted("BadQuorum".into()));
        }
        let head = self.state().head;
        self.log(head + 1, Event::Report(report.clone()));
        Ok(())
    }

    async fn settle(
        &self,
        node: NodeId,
        verdicts: &[Verdict],
        proofs: &[Vec<B256>],
    ) -> Result<(), ChainError> {
        let (cursor, _) = self.settlement(node).await?;
        let mut state = self.reached()?;
        let epochs: Vec<Epoch> = verdicts.iter().map(|verdict| verdict.epoch).collect();
        if epochs.first().is_none_or(|first| *first <= cursor) || !epochs.is_sorted() {
            return Err(ChainError::Reverted(format!(
                "SettlementOutOfOrder(expected: {})",
                cursor.next()
            )));
        }
        for (verdict, proof) in verdicts.iter().zip(proofs) {
            let root = state.events.iter().find_map(|it| match &it.event {
                Event::Report(report) if report.epoch == verdict.epoch => Some(report.verdict_root),
                _ => None,
            });
            if root.is_none_or(|root| !verifier::report::verdict_in_tree(root, verdict, proof)) {
                return Err(ChainError::Reverted("WrongVerdictProof".into()));
            }
        }
        state.settled.push((node, epochs));
        Ok(())
    }

    async fn advance(&self, node: NodeId, _: u64) -> Result<(), ChainError> {
        self.reached()?.advanced.push(node);
        Ok(())
    }
}
