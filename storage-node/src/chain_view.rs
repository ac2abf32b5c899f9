//! The edge to the chain: what a node reads from the contracts and what it sends to them, in the node's own terms.

mod real;

use alloy::primitives::{Address, B256, Bytes, U256};
use async_trait::async_trait;
use chain::EpochClock;
use verifier::committee::{Deployment, OracleSet};
use verifier::inventory::ShardRoots;
use verifier::tpm::OnChainEnrolment;
use verifier::{BlockNumber, DealId, Epoch, NodeId};

pub use real::RealChain;

use crate::inventory::{Frozen, LogEntry};
use crate::shard::SlotId;

/// Why the chain gave no answer, or not the wanted one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChainError {
    /// No endpoint answers, or not in time. Nobody's fault; worth another try.
    #[error("chain: {0}")]
    Unavailable(String),
    /// A contract refused. `name` is the custom error's name.
    #[error("refused by the contract: {detail}")]
    Reverted {
        /// Name of the contract's error, empty if it is not known.
        name: String,
        /// Name and arguments.
        detail: String,
    },
    /// The contracts are not those this program was made for. No retry helps.
    #[error("{0}")]
    Incompatible(String),
    /// What the chain says cannot be.
    #[error("chain: {0}")]
    Inconsistent(String),
}

impl ChainError {
    /// Whether a contract refused with this error.
    #[must_use]
    pub fn is_revert(&self, error: &str) -> bool {
        matches!(self, Self::Reverted { name, .. } if name == error)
    }
}

/// The epoch of a block; 0 also before the first one begins, as on chain.
#[must_use]
pub fn epoch_at(clock: &EpochClock, block: u64) -> Epoch {
    Epoch(clock.epoch_of(block).unwrap_or_default())
}

/// How far the chain is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// Latest block.
    pub latest: u64,
    /// Latest final block.
    pub finalized: u64,
}

/// What the registry keeps of this node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeRecord {
    /// Its id.
    pub node: NodeId,
    /// Whether it may take deals and owes proofs.
    pub active: bool,
    /// Epoch of registration.
    pub registered: Epoch,
    /// First epoch that is judged by the keys below; before it those that the node had before are in force.
    pub identity_from: Epoch,
    /// keccak256 of the attestation key's TPMT_PUBLIC.
    pub ak_hash: B256,
    /// keccak256 of the node key's point.
    pub node_key_hash: B256,
    /// Where it is served.
    pub url: String,
    /// SHA-256 of its TLS public key.
    pub tls_key_hash: B256,
}

/// A deal, as far as a node needs to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DealTerms {
    /// Whether its slots' lists are fixed and nodes may accept.
    pub sealed: bool,
    /// Whether the owner has taken the escrow back: nothing more is paid.
    pub closed: bool,
    /// k + m.
    pub slots: u16,
    /// Stripes.
    pub stripes: u32,
    /// Token units a slot an epoch.
    pub rate: u128,
    /// Last epoch that can be paid.
    pub end: Epoch,
}

/// One node's tenure of a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Assignment {
    /// The node.
    pub node: NodeId,
    /// First epoch counted; 0 while not accepted.
    pub from: Epoch,
    /// Last epoch counted.
    pub to: Epoch,
    /// Last epoch claimed.
    pub claimed: Epoch,
    /// Whether the node has let go of it.
    pub dropped: bool,
}

/// What happened on chain that concerns this node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ChainEvent {
    /// A deal names this node for a slot.
    Offered(SlotId),
    /// A deal was sealed.
    Sealed(DealId),
    /// A slot was moved, to this node or to another.
    Moved(SlotId, NodeId),
    /// The owner ended a slot this node holds.
    Ended(SlotId),
    /// This node's inventory changed.
    Inventory(LogEntry),
}

/// One member of an oracle set with its endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Oracle {
    /// Chain address.
    pub account: Address,
    /// gRPC endpoint.
    pub url: String,
    /// SHA-256 of its TLS public key.
    pub tls_key_hash: B256,
}

/// An oracle set with endpoints, in the order of the registry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Committee {
    /// The set.
    pub set: OracleSet,
    /// Its members.
    pub oracles: Vec<Oracle>,
}

/// A contract that a machine's quote must satisfy before the registry lets it in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QuotePolicy {
    /// Its address.
    pub at: Address,
    /// PCRs of the SHA-256 bank that must be quoted, no more and no less.
    pub pcrs: Vec<u8>,
    /// Whether it takes any state.
    pub any_state: bool,
    /// How many blocks old the quoted block may be.
    pub max_age: u64,
    /// Root of the roster that vouches for machines in the oracles' place, if one does.
    pub roster: Option<B256>,
}

/// An envelope this node submitted on chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Submission {
    /// Its hash.
    pub envelope_hash: B256,
    /// Block of the transaction.
    pub block: BlockNumber,
}

/// What a node reads from the chain. Every answer is as of the latest block unless it says otherwise.
#[async_trait]
pub trait ChainView: Send + Sync {
    /// Where statements hold.
    fn deployment(&self) -> Deployment;
    /// The epoch schedule, fixed at deployment.
    fn clock(&self) -> &EpochClock;
    /// This node's chain address.
    fn account(&self) -> Address;
    /// The hash of a block, if there is one.
    async fn block_hash(&self, block: u64) -> Result<Option<B256>, ChainError>;
    /// How far the chain is.
    async fn head(&self) -> Result<Head, ChainError>;
    /// The registry's record of this account, if it is enrolled.
    async fn node(&self) -> Result<Option<NodeRecord>, ChainError>;
    /// Hash of the identity that a node's verdict of an epoch must name.
    async fn identity_at(&self, node: NodeId, epoch: Epoch) -> Result<B256, ChainError>;
    /// A deal, if there is one.
    async fn deal(&self, deal: DealId) -> Result<Option<DealTerms>, ChainError>;
    /// A deal after a block.
    async fn deal_at(&self, deal: DealId, block: u64) -> Result<Option<DealTerms>, ChainError>;
    /// A slot's tenures in order; the last is the present one.
    async fn assignments(&self, slot: SlotId) -> Result<Vec<Assignment>, ChainError>;
    /// A slot's tenures after a block; none if there was no such deal.
    async fn assignments_at(&self, slot: SlotId, block: u64)
    -> Result<Vec<Assignment>, ChainError>;
    /// The hash over the roots published for a slot.
    async fn slot_list_hash(&self, slot: SlotId) -> Result<B256, ChainError>;
    /// The roots published for a slot, by stripe, from the chain's events.
    async fn slot_roots(&self, slot: SlotId) -> Result<Vec<ShardRoots>, ChainError>;
    /// Events that concern `node` in blocks `from ..= to`, in order.
    async fn events(&self, node: NodeId, from: u64, to: u64)
    -> Result<Vec<ChainEvent>, ChainError>;
    /// The inventory as the node's last transaction left it.
    async fn inventory(&self, node: NodeId) -> Result<Frozen, ChainError>;
    /// The inventory frozen for an epoch.
    async fn inventory_at(&self, node: NodeId, epoch: Epoch) -> Result<Frozen, ChainError>;
    /// The beacon of an epoch, if it is recorded.
    async fn beacon(&self, epoch: Epoch) -> Result<Option<B256>, ChainError>;
    /// The oracle set in force in an epoch.
    async fn committee(&self, epoch: Epoch) -> Result<Committee, ChainError>;
    /// Hash of the attestation policy that the committee judges an epoch with.
    async fn policy_hash(&self, epoch: Epoch) -> Result<B256, ChainError>;
    /// The quote policy in force in an epoch, if there is one.
    async fn quote_policy(&self, epoch: Epoch) -> Result<Option<QuotePolicy>, ChainError>;
    /// Last Unix second at which a quote policy takes a state; 0 if it does not.
    async fn accepted_until(&self, policy: Address, pcr_digest: B256) -> Result<u64, ChainError>;
    /// What this node submitted on chain for an epoch.
    async fn submission(
        &self,
        node: NodeId,
        epoch: Epoch,
    ) -> Result<Option<Submission>, ChainError>;
    /// Last epoch whose pay is decided for a node.
    async fn resolved_to(&self, node: NodeId) -> Result<Epoch, ChainError>;
}

/// A machine and its keys, and who vouches for them.
#[derive(Clone, Debug)]
pub struct SignedEnrolment {
    /// What is vouched for.
    pub statement: verifier::typed_data::Enrolment,
    /// Who does.
    pub voucher: Voucher,
}

/// Who vouches for a machine, and what it says itself.
#[derive(Clone, Debug)]
pub enum Voucher {
    /// A quorum of oracles.
    Oracles {
        /// Bit i: the oracle at index i signed.
        bitmap: U256,
        /// 65 bytes a signer, ascending by index.
        signatures: Bytes,
        /// Where a quote policy is in force: what the machine says itself.
        quoted: Option<Quoted>,
    },
    /// The roster of the quote policy in force.
    Roster {
        /// Siblings from the machine's leaf to the root.
        proof: Vec<B256>,
        /// What the machine says itself.
        quoted: Quoted,
    },
}

/// A machine's own statements over a block.
#[derive(Clone, Debug)]
pub struct Quoted {
    /// The block whose hash is in both.
    pub block: u64,
    /// Quote and certification.
    pub evidence: OnChainEnrolment,
}

/// What is registered at enrolment.
#[derive(Clone, Debug)]
pub struct Registration {
    /// The machine.
    pub enrolment: SignedEnrolment,
    /// Where the node is served.
    pub url: String,
    /// SHA-256 of its TLS public key.
    pub tls_key_hash: B256,
    /// Token units.
    pub bond: U256,
}

/// An envelope and its proof for the hub.
#[derive(Clone, Debug)]
pub struct OnChainProof {
    /// Epoch.
    pub epoch: Epoch,
    /// B.
    pub body: Bytes,
    /// The node key's signature, 64 bytes.
    pub node_signature: Bytes,
    /// `proof256` as eight words.
    pub proof: [U256; 8],
}

/// What a node sends to the contracts, from its own account. Each call returns once the transaction is in a block, with its
/// hash; a refusal is [`ChainError::Reverted`]. There is one queue: a call waits for the one before it. A call that is dropped
/// leaves the queue, and the next one takes the place of its transaction unless that was mined already.
#[async_trait]
pub trait ChainActions: Send + Sync {
    /// Takes a slot on. `new` is the inventory afterwards; the contract refuses it if its log ends elsewhere.
    async fn accept(&self, slot: SlotId, new: Frozen) -> Result<B256, ChainError>;
    /// Lets go of a slot, in its last epoch or later.
    async fn drop_slot(&self, slot: SlotId, new: Frozen) -> Result<B256, ChainError>;
    /// Stores the beacon of an epoch.
    async fn record_beacon(&self, epoch: Epoch) -> Result<B256, ChainError>;
    /// Submits an envelope with its proof.
    async fn submit_proof(&self, proof: OnChainProof) -> Result<B256, ChainError>;
    /// Claims a tenure's pay.
    async fn claim(&self, slot: SlotId, assignment: u64) -> Result<B256, ChainError>;
    /// Publishes where the node is served.
    async fn set_endpoint(
        &self,
        node: NodeId,
        url: &str,
        tls_key_hash: B256,
    ) -> Result<B256, ChainError>;
    /// Lets the registry take the bond, unless it may already.
    async fn approve_bond(&self, bond: U256) -> Result<(), ChainError>;
    /// Registers; the bond must be approved.
    async fn register(&self, registration: Registration) -> Result<B256, ChainError>;
    /// Puts another machine, or other keys, in the place of those the node has.
    async fn reenrol(&self, enrolment: SignedEnrolment) -> Result<B256, ChainError>;
}
