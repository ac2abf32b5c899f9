// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

/// @notice What an oracle quorum says of one node in one epoch; one leaf of a report's verdict tree.
/// @dev Leaf = keccak256(bytes.concat(keccak256(abi.encode(verdict)))), the encoding of OpenZeppelin's StandardMerkleTree.
///      Protocol: sections 6 and 7.
struct Verdict {
    /// Epoch judged.
    uint64 epoch;
    /// Node id.
    uint64 node;
    /// keccak256(abi.encode(account, hardwareId, akHash, nodeKeyHash)).
    bytes32 identityHash;
    /// Inventory root the node was frozen with.
    bytes32 root;
    /// Shards in that inventory.
    uint64 count;
    /// Reason code, see Reasons.sol.
    uint8 reason;
    /// Whether the figures below are backed by enough oracles; false costs nobody anything.
    bool judged;
    /// Share of probes answered in time, basis points.
    uint16 availabilityBps;
    /// 95th percentile of time to first byte, milliseconds.
    uint32 latencyP95Ms;
    /// Throughput, bytes a second.
    uint64 throughput;
    /// keccak256(abi.encode(envelopeHash, quoteHash, probesHash)), absent parts zero.
    bytes32 evidenceHash;
}

/// @notice One epoch's result, signed by a quorum; its cost on chain does not grow with the number of nodes.
/// @dev EIP-712 typed data under the hub's domain (name "Probity", version "1"). Protocol: section 6.7.
struct Report {
    uint64 epoch;
    /// View in which the report was proposed (0 for the epoch's first leader).
    uint32 view_;
    /// Beacon value of the epoch.
    bytes32 beacon;
    /// Version of the oracle set that signs.
    uint32 setVersion;
    /// Hash of the attestation policy and root store the committee judged with.
    bytes32 policyHash;
    /// Number of verdict leaves.
    uint32 leafCount;
    /// Root over the verdict leaves (OpenZeppelin StandardMerkleTree).
    bytes32 verdictRoot;
    /// Root over the evidence archive, ordered by node id.
    bytes32 archiveRoot;
    /// Final block the report is anchored to.
    uint64 anchorBlock;
    bytes32 anchorHash;
    /// Verdicts that pay.
    uint32 passed;
    /// Verdicts that do not pay.
    uint32 failed;
    /// Verdicts whose figures could not be judged.
    uint32 unjudged;
}

/// @notice What each oracle signs after it ran its own activation with a node's TPM.
/// @dev EIP-712 typed data under the registry's domain. Protocol: section 5.
struct Enrolment {
    /// Chain address of the node.
    address account;
    /// keccak256 of the endorsement key's SubjectPublicKeyInfo.
    bytes32 hardwareId;
    /// keccak256 of the attestation key's TPMT_PUBLIC.
    bytes32 akHash;
    /// keccak256 of the node key's uncompressed point, 64 bytes x then y.
    bytes32 nodeKeyHash;
    /// keccak256 of the attestation result's appraisals (EAR, canonical JSON), which do not depend on the oracle.
    bytes32 resultHash;
    /// Class of the machine's TPM, see TpmClasses.sol.
    uint8 tpmClass;
    /// Unix time after which the statement no longer registers, seconds.
    uint64 expiry;
}

/// @notice A quorum's signatures over one digest.
struct QuorumSignatures {
    /// Bit i: the oracle at index i of the set has signed.
    uint256 bitmap;
    /// 65 bytes (r, s, v) a signer, in ascending order of index; high s is refused.
    bytes signatures;
}

/// @notice One oracle of a set.
struct OracleInfo {
    address account;
    /// gRPC endpoint, https://host:port.
    string url;
    /// SHA-256 of the SubjectPublicKeyInfo of its TLS key.
    bytes32 tlsKeyHash;
}

/// @notice The three commitments to one shard. Protocol: section 2.
struct ShardRoots {
    bytes32 storageRoot;
    bytes32 transportRoot;
    bytes32 contentId;
}

/// @notice A node's inventory as frozen for an epoch.
struct Inventory {
    bytes32 root;
    uint64 count;
    bytes32 log;
}

/// @notice A TPM's clock and counters, as in everything it signs.
struct TpmClock {
    /// Milliseconds the TPM has been powered; after an unorderly power loss it may restart from an earlier value.
    uint64 clockMs;
    /// Power losses and reboots since the TPM was last cleared.
    uint32 resetCount;
    /// Restarts and resumes since the last reset.
    uint32 restartCount;
}

/// @notice A quote made for the chain: over the hash of a recent block. Protocol: section 5.
struct QuoteEvidence {
    /// TPMT_PUBLIC of the attestation key.
    bytes akPublic;
    /// The block whose hash is in the quote's extra data.
    uint64 blockNumber;
    /// TPMS_ATTEST of type quote, as signed.
    bytes attest;
    /// ECDSA P-256 over its SHA-256: r and s, 32 bytes each, low s.
    bytes signature;
}

/// @notice That node key, attestation key and endorsement key of an enrolment lie in one TPM, and in what state it is.
struct EnrolmentEvidence {
    QuoteEvidence quote;
    /// TPMT_PUBLIC of the endorsement key.
    bytes ekPublic;
    /// TPMT_PUBLIC of the node key.
    bytes nodeKeyPublic;
    /// TPMS_ATTEST of type certify: the attestation key on the node key, over the same block.
    bytes certify;
    /// ECDSA P-256 over its SHA-256, as above.
    bytes certifySignature;
}

/// @notice What an accepted quote says.
struct QuoteFacts {
    /// SHA-256 over the quoted PCRs' values.
    bytes32 pcrDigest;
    /// Vendor's firmware version.
    uint64 firmwareVersion;
    TpmClock clock;
}
