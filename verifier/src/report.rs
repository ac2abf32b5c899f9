//! Verdicts, the tree over them, and the report a quorum signs.
//!
//! The tree is OpenZeppelin's StandardMerkleTree: leaf = keccak256(keccak256(abi.encode(verdict))), leaves sorted,
//! inner nodes hash their children as a sorted pair. Protocol: sections 6.7 and 7.

use alloy_primitives::{Address, B256, keccak256};
use alloy_sol_types::{SolValue, sol};
use merkle_cbt::{CBMT, merkle_tree::Merge};
use minicbor::{Decode, Encode};
use serde::{Deserialize, Serialize};

use crate::ids::{Availability, BlockNumber, Epoch, LatencyMs, NodeId, Throughput};
use crate::sorted_tree::{SortedTree, climb};
use crate::{Reason, typed_data};

mod abi {
    use super::sol;
    sol! {
        struct Verdict {
            uint64 epoch;
            uint64 node;
            bytes32 identityHash;
            bytes32 root;
            uint64 count;
            uint8 reason;
            bool judged;
            uint16 availabilityBps;
            uint32 latencyP95Ms;
            uint64 throughput;
            bytes32 evidenceHash;
        }
    }
}

/// The keys and the machine behind a node, as the registry has them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, Encode, Decode)]
#[cbor(array)]
pub struct Identity {
    /// Chain address.
    #[cbor(n(0), with = "crate::cbor::fixed")]
    pub account: Address,
    /// keccak256 of the endorsement key's SubjectPublicKeyInfo.
    #[cbor(n(1), with = "crate::cbor::fixed")]
    pub hardware_id: B256,
    /// keccak256 of the attestation key's TPMT_PUBLIC.
    #[cbor(n(2), with = "crate::cbor::fixed")]
    pub ak_hash: B256,
    /// keccak256 of the node key's point, x ‖ y.
    #[cbor(n(3), with = "crate::cbor::fixed")]
    pub node_key_hash: B256,
}

impl Identity {
    /// keccak256(abi.encode(account, hardwareId, akHash, nodeKeyHash)).
    pub fn hash(&self) -> B256 {
        keccak256(
            (
                self.account,
                self.hardware_id,
                self.ak_hash,
                self.node_key_hash,
            )
                .abi_encode(),
        )
    }
}

/// keccak256(abi.encode(envelopeHash, quoteHash, probesHash)); absent parts are zero.
pub fn evidence_hash(envelope: B256, quote: B256, probes: B256) -> B256 {
    keccak256((envelope, quote, probes).abi_encode())
}

/// What a quorum says of one node in one epoch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Encode, Decode)]
#[cbor(array)]
pub struct Verdict {
    /// Epoch judged.
    #[n(0)]
    pub epoch: Epoch,
    /// The node.
    #[n(1)]
    pub node: NodeId,
    /// [`Identity::hash`].
    #[cbor(n(2), with = "crate::cbor::fixed")]
    pub identity_hash: B256,
    /// Inventory root the node was frozen with.
    #[cbor(n(3), with = "crate::cbor::fixed")]
    pub root: B256,
    /// Shards in that inventory.
    #[n(4)]
    pub count: u64,
    /// The reason.
    #[n(5)]
    pub reason: Reason,
    /// Whether enough oracles back the figures.
    #[n(6)]
    pub judged: bool,
    /// Share of probes answered in time.
    #[n(7)]
    pub availability: Availability,
    /// 95th percentile of time to first byte.
    #[n(8)]
    pub latency_p95: LatencyMs,
    /// Throughput.
    #[n(9)]
    pub throughput: Throughput,
    /// See [`evidence_hash`].
    #[cbor(n(10), with = "crate::cbor::fixed")]
    pub evidence_hash: B256,
}

impl Verdict {
    /// The verdict's leaf hash.
    pub fn leaf(&self) -> B256 {
        let encoded = abi::Verdict {
            epoch: self.epoch.0,
            node: self.node.0,
            identityHash: self.identity_hash,
            root: self.root,
            count: self.count,
            reason: self.reason.code(),
            judged: self.judged,
            availabilityBps: self.availability.0,
            latencyP95Ms: self.latency_p95.0,
            throughput: self.throughput.0,
            evidenceHash: self.evidence_hash,
        }
        .abi_encode();
        keccak256(keccak256(encoded))
    }
}

/// OpenZeppelin's StandardMerkleTree over verdicts.
pub struct VerdictTree(SortedTree);

impl VerdictTree {
    /// Builds the tree; the order of `verdicts` does not matter.
    pub fn new<'a>(verdicts: impl IntoIterator<Item = &'a Verdict>) -> Self {
        Self(SortedTree::new(verdicts.into_iter().map(Verdict::leaf)))
    }

    /// The root; zero for an empty tree.
    pub fn root(&self) -> B256 {
        self.0.root()
    }

    /// Siblings from a leaf to the root, or `None` if the verdict is not in the tree.
    pub fn proof(&self, verdict: &Verdict) -> Option<Vec<B256>> {
        self.0.proof(verdict.leaf())
    }
}

/// Checks a verdict's Merkle proof, as OpenZeppelin's `MerkleProof.verify` does.
pub fn verdict_in_tree(root: B256, verdict: &Verdict, proof: &[B256]) -> bool {
    climb(verdict.leaf(), proof) == root
}

struct Positional;

impl Merge for Positional {
    type Item = B256;

    fn merge(left: &B256, right: &B256) -> B256 {
        keccak256([left.as_slice(), right.as_slice()].concat())
    }
}

/// Root over the evidence archive: one leaf keccak256(keccak256(abi.encode(node, evidenceHash))) a verdict, ascending
/// by node, in a complete binary tree.
pub fn archive_root(verdicts: &[Verdict]) -> B256 {
    let mut ordered: Vec<&Verdict> = verdicts.iter().collect();
    ordered.sort_by_key(|verdict| verdict.node);
    let leaves: Vec<B256> = ordered
        .into_iter()
        .map(|verdict| {
            keccak256(keccak256(
                (verdict.node.0, verdict.evidence_hash).abi_encode(),
            ))
        })
        .collect();
    CBMT::<B256, Positional>::build_merkle_tree(&leaves).root()
}

/// One epoch's result, as a quorum signs it and the hub takes it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Encode, Decode)]
#[cbor(array)]
pub struct Report {
    /// The epoch.
    #[n(0)]
    pub epoch: Epoch,
    /// View it was proposed in.
    #[n(1)]
    pub view: u32,
    /// The epoch's beacon.
    #[cbor(n(2), with = "crate::cbor::fixed")]
    pub beacon: B256,
    /// Version of the oracle set.
    #[n(3)]
    pub set_version: u32,
    /// Hash of the attestation policy, root store included.
    #[cbor(n(4), with = "crate::cbor::fixed")]
    pub policy_hash: B256,
    /// Number of verdicts.
    #[n(5)]
    pub leaf_count: u32,
    /// [`VerdictTree::root`].
    #[cbor(n(6), with = "crate::cbor::fixed")]
    pub verdict_root: B256,
    /// [`archive_root`].
    #[cbor(n(7), with = "crate::cbor::fixed")]
    pub archive_root: B256,
    /// Final block it is anchored to.
    #[n(8)]
    pub anchor_block: BlockNumber,
    /// That block's hash.
    #[cbor(n(9), with = "crate::cbor::fixed")]
    pub anchor_hash: B256,
    /// Verdicts that pay.
    #[n(10)]
    pub passed: u32,
    /// Verdicts that do not.
    #[n(11)]
    pub failed: u32,
    /// Verdicts without enough figures.
    #[n(12)]
    pub unjudged: u32,
}

/// What a report says besides its verdicts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReportFrame {
    /// The epoch.
    pub epoch: Epoch,
    /// The view.
    pub view: u32,
    /// The beacon.
    pub beacon: B256,
    /// Version of the oracle set.
    pub set_version: u32,
    /// Policy hash.
    pub policy_hash: B256,
    /// Anchor's number.
    pub anchor_block: BlockNumber,
    /// Anchor's hash.
    pub anchor_hash: B256,
}

impl Report {
    /// The one report that follows from these verdicts.
    pub fn from_verdicts(frame: ReportFrame, verdicts: &[Verdict]) -> Self {
        let count = |rule: &dyn Fn(&Verdict) -> bool| {
            u32::try_from(verdicts.iter().filter(|verdict| rule(verdict)).count())
                .unwrap_or(u32::MAX)
        };
        Self {
            epoch: frame.epoch,
            view: frame.view,
            beacon: frame.beacon,
            set_version: frame.set_version,
            policy_hash: frame.policy_hash,
            leaf_count: count(&|_| true),
            verdict_root: VerdictTree::new(verdicts).root(),
            archive_root: archive_root(verdicts),
            anchor_block: frame.anchor_block,
            anchor_hash: frame.anchor_hash,
            passed: count(&|verdict| verdict.reason.pays()),
            failed: count(&|verdict| !verdict.reason.pays()),
            unjudged: count(&|verdict| !verdict.judged),
        }
    }

    /// The EIP-712 statement that is signed.
    pub fn typed_data(&self) -> typed_data::Report {
        typed_data::Report {
            epoch: self.epoch.0,
            view: self.view,
            beacon: self.beacon,
            setVersion: self.set_version,
            policyHash: self.policy_hash,
            leafCount: self.leaf_count,
            verdictRoot: self.verdict_root,
            archiveRoot: self.archive_root,
            anchorBlock: self.anchor_block.0,
            anchorHash: self.anchor_hash,
            passed: self.passed,
            failed: self.failed,
            unjudged: self.unjudged,
        }
    }
}
