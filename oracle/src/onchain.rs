//! The edge to the chain: what the oracle reads of it and sends to it, as one trait.

use alloy::primitives::{Address, B256, Bytes, U256};
use async_trait::async_trait;
use verifier::committee::Deployment;
use verifier::inventory::{Operation, ShardRoots};
use verifier::report::{Identity, Report, Verdict};
use verifier::typed_data;
use verifier::{BlockNumber, DealId, Epoch, NodeId, Reason, Slot};

#[cfg(test)]
pub(crate) mod memory;
pub mod real;

/// When things happen, in blocks. Protocol: section 3.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Schedule {
    /// First block of epoch 0.
    pub genesis: u64,
    /// Blocks of an epoch.
    pub epoch_blocks: u64,
    /// Offset from which on nodes fall back to the chain; the last at which a beacon is taken.
    pub fallback: u64,
    /// Offset of the last block at which evidence is timely.
    pub deadline: u64,
    /// Epochs after its end in which an epoch may be reported.
    pub report_window: u64,
    /// Blocks between a report and its settlement.
    pub dispute_blocks: u64,
    /// Epochs of an era: how long the archive is kept.
    pub era_epochs: u64,
}

impl Schedule {
    /// First block of an epoch.
    #[must_use]
    pub fn start(&self, epoch: Epoch) -> BlockNumber {
        BlockNumber(
            self.genesis
                .saturating_add(self.epoch_blocks.saturating_mul(epoch.0)),
        )
    }

    /// First block after an epoch.
    #[must_use]
    pub fn end(&self, epoch: Epoch) -> BlockNumber {
        self.start(epoch.next())
    }

    /// Last block at which evidence for an epoch is timely.
    #[must_use]
    pub fn deadline(&self, epoch: Epoch) -> BlockNumber {
        BlockNumber(self.start(epoch).0.saturating_add(self.deadline))
    }

    /// Epoch of a block; `None` before the first one.
    #[must_use]
    pub fn epoch_of(&self, block: BlockNumber) -> Option<Epoch> {
        Some(Epoch(
            block
                .0
                .checked_sub(self.genesis)?
                .checked_div(self.epoch_blocks)?,
        ))
    }
}

/// A block by number and hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlockRef {
    /// Number.
    pub number: BlockNumber,
    /// Hash.
    pub hash: B256,
}

/// Where a party is reached, and which TLS key it must show.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// `https://host:port`.
    pub url: String,
    /// SHA-256 of its SubjectPublicKeyInfo.
    pub tls_key_hash: B256,
}

/// An oracle of a set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OracleMember {
    /// Chain address.
    pub account: Address,
    /// Where it is reached.
    pub endpoint: Endpoint,
}

/// A change of a node's inventory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InventoryChange {
    /// Accepted or dropped.
    pub operation: Operation,
    /// The node.
    pub node: NodeId,
    /// The deal.
    pub deal: DealId,
    /// The slot.
    pub slot: Slot,
    /// Stripes of the slot.
    pub stripes: u32,
    /// The log after the change.
    pub log: B256,
    /// The root the node claims after the change.
    pub root: B256,
    /// Shards after the change.
    pub count: u64,
}

/// What a node registered with, or enrolled again.
#[derive(Clone, Debug)]
pub struct Registration {
    /// The statement that oracles signed.
    pub enrolment: typed_data::Enrolment,
    /// Their signatures, 65 bytes each.
    pub signatures: Vec<Bytes>,
}

/// A settled verdict.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settled {
    /// Reason; `None` if the epoch needed no verdict.
    pub reason: Option<Reason>,
    /// Why it needed none, as the hub numbers causes.
    pub skipped: Option<u8>,
    /// Whether the epoch pays.
    pub paid: bool,
    /// Whether it was the free miss of an era.
    pub grace: bool,
    /// What the bond lost.
    pub slashed: U256,
    /// Storage and availability scores afterwards, basis points.
    pub scores: Option<(u16, u16)>,
}

/// What finalized blocks say, as far as an oracle needs it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A node enrolled.
    NodeRegistered {
        /// Its id.
        node: NodeId,
        /// Its keys and machine.
        identity: Identity,
        /// Where it is reached.
        endpoint: Endpoint,
    },
    /// Another machine, or other keys, stand for a node from the next epoch on.
    MachineChanged {
        /// The node.
        node: NodeId,
        /// The machine.
        hardware_id: B256,
        /// Hash of its attestation key.
        ak_hash: B256,
        /// Hash of its node key.
        node_key_hash: B256,
    },
    /// A node moved.
    EndpointChanged {
        /// The node.
        node: NodeId,
        /// Where it is reached now.
        endpoint: Endpoint,
    },
    /// A node was removed, or withdrew.
    NodeLeft(NodeId),
    /// An oracle set begins.
    OracleSet {
        /// Its version.
        version: u32,
        /// First epoch it judges.
        from_epoch: Epoch,
        /// Its members by index.
        members: Vec<OracleMember>,
    },
    /// The committee judges by a policy from an epoch on.
    PolicyChanged {
        /// Its hash.
        policy_hash: B256,
        /// First epoch judged by it.
        from_epoch: Epoch,
    },
    /// A policy that was to begin with this epoch never does.
    PolicyWithdrawn(Epoch),
    /// An owner published roots of a slot.
    SlotPublished {
        /// The deal.
        deal: DealId,
        /// The slot.
        slot: Slot,
        /// First stripe.
        offset: u32,
        /// Roots from there on.
        roots: Vec<ShardRoots>,
    },
    /// A node accepted or dropped a slot.
    Inventory(InventoryChange),
    /// An epoch has its beacon.
    Beacon(Epoch, B256),
    /// A node submitted its envelope and proof on chain.
    ProofSubmitted {
        /// The node.
        node: NodeId,
        /// The epoch.
        epoch: Epoch,
        /// Hash of the envelope's body.
        envelope_hash: B256,
        /// The envelope's body.
        body: Bytes,
        /// The node key's signature.
        node_signature: Bytes,
        /// `proof256`.
        proof: Bytes,
    },
    /// An epoch was reported.
    Report(Report),
    /// A node's epoch was settled.
    Settled(NodeId, Epoch, Settled),
}

/// An event with its block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Logged {
    /// The block.
    pub block: BlockNumber,
    /// The transaction, by hash.
    pub transaction: B256,
    /// What happened.
    pub event: Event,
}

/// The chain did not do as asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChainError {
    /// No endpoint answered, or the answer made no sense: could not check.
    #[error("chain: {0}")]
    Unavailable(String),
    /// A transaction or call was refused by a contract.
    #[error("refused by the contract: {0}")]
    Reverted(String),
}

/// The chain, as an oracle sees it.
#[async_trait]
pub trait OnChain: Send + Sync + 'static {
    /// Chain id and contracts.
    fn deployment(&self) -> Deployment;
    /// The schedule; fixed at deployment.
    fn schedule(&self) -> Schedule;
    /// Block from which on there can be events.
    fn first_block(&self) -> BlockNumber;

    /// Latest block.
    async fn head(&self) -> Result<BlockNumber, ChainError>;
    /// Latest final block.
    async fn finalized(&self) -> Result<BlockRef, ChainError>;
    /// Hash of a block.
    async fn block_hash(&self, block: BlockNumber) -> Result<Option<B256>, ChainError>;
    /// Events of blocks `from ..= to`, all final, in order.
    async fn events(&self, from: BlockNumber, to: BlockNumber) -> Result<Vec<Logged>, ChainError>;
    /// Every policy by its first epoch, ascending, as of the latest block; the last may be still to come.
    async fn policies(&self) -> Result<Vec<(Epoch, B256)>, ChainError>;
    /// The beacon of an epoch as of the latest block.
    async fn beacon(&self, epoch: Epoch) -> Result<Option<B256>, ChainError>;
    /// Whether an epoch is reported, as of the latest block.
    async fn is_reported(&self, epoch: Epoch) -> Result<bool, ChainError>;
    /// Last epoch settled for a node, and whether the next one could be settled or passed over now.
    async fn settlement(&self, node: NodeId) -> Result<(Epoch, bool), ChainError>;
    /// The circuit whose proofs the hub accepts, by the hash of its manifest.
    async fn circuit(&self) -> Result<B256, ChainError>;
    /// What a node enrolled with, read from the transaction.
    async fn registration(&self, transaction: B256) -> Result<Registration, ChainError>;
    /// Signatures that a report was submitted with, read from its transaction.
    async fn report_signatures(&self, transaction: B256) -> Result<Vec<Bytes>, ChainError>;

    /// Stores an epoch's beacon.
    async fn record_beacon(&self, epoch: Epoch) -> Result<(), ChainError>;
    /// Submits a report with its quorum: bitmap of signers, 65 bytes each in ascending order.
    async fn submit_report(
        &self,
        report: &Report,
        bitmap: U256,
        signatures: Bytes,
    ) -> Result<(), ChainError>;
    /// Settles verdicts of one node, ascending by epoch.
    async fn settle(
        &self,
        node: NodeId,
        verdicts: &[Verdict],
        proofs: &[Vec<B256>],
    ) -> Result<(), ChainError>;
    /// Moves a node's cursor over epochs without a verdict.
    async fn advance(&self, node: NodeId, max_epochs: u64) -> Result<(), ChainError>;
}
