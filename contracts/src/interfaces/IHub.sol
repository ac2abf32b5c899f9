// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

import {QuorumSignatures, Report, Verdict} from "./Types.sol";

/// @title Epochs, beacons, reports, settlement and reputation
/// @notice Protocol: sections 3, 6 and 7.
interface IHub {
    /// @notice When things happen; offsets are blocks from an epoch's first block.
    struct Schedule {
        /// First block of epoch 0.
        uint64 genesisBlock;
        uint64 epochBlocks;
        /// From this block a node that was cut off submits on chain.
        uint64 fallbackBlock;
        /// Last block at which evidence is timely.
        uint64 deadlineBlock;
        /// Epochs after its end in which an epoch may be reported.
        uint64 reportWindowEpochs;
        /// Blocks between a report and its settlement.
        uint64 disputeBlocks;
        uint64 eraEpochs;
        /// Epochs between exit and withdrawal.
        uint64 unbondingEpochs;
        /// Judged epochs before a node can be trusted.
        uint64 vettingEpochs;
    }

    enum Standing {
        Unknown,
        Vetting,
        Good,
        Suspended,
        Removed
    }

    /// @notice How far a node is settled, and what settlement remembers of it.
    struct Ledger {
        /// Last epoch settled; 0 before the first one (then the epoch of registration counts, see `cursorOf`).
        uint64 cursor;
        /// First epoch whose pay is held until the node passes; 0 if none is.
        uint64 heldFrom;
        /// Epoch of the verdict that removed the node; 0 if none did.
        uint64 removedEpoch;
        /// 1 + the era in which the last grace was given; 0 if none was.
        uint48 graceEra;
        /// Standing announced last by `StandingChanged`.
        Standing announced;
        /// Bit i: the node's i-th last judged epoch was a penalised miss.
        uint256 misses;
    }

    /// @notice Two Beta distributions as integers.
    struct Reputation {
        /// Integer Beta weights, scaled by 1e6; start at 5e6 each.
        uint64 storageAlpha;
        uint64 storageBeta;
        uint64 availabilityAlpha;
        uint64 availabilityBeta;
        /// Epochs settled by a verdict.
        uint64 judgedEpochs;
    }

    struct ReportRecord {
        bytes32 verdictRoot;
        bytes32 archiveRoot;
        /// EIP-712 digest that was signed.
        bytes32 digest;
        uint64 reportedBlock;
        uint32 leafCount;
        uint32 setVersion;
    }

    struct Submission {
        bytes32 envelopeHash;
        uint64 blockNumber;
    }

    /// @notice From when on the committee judges by a policy: until the next one's first epoch.
    struct PolicyPeriod {
        /// Hash of attestation policy and root store.
        bytes32 policyHash;
        uint64 fromEpoch;
    }

    event PolicyChanged(bytes32 indexed policyHash, uint64 fromEpoch);
    /// @notice A policy that had been announced never comes into force: another takes its place.
    event PolicyWithdrawn(bytes32 indexed policyHash, uint64 fromEpoch);
    event BeaconRecorded(uint64 indexed epoch, bytes32 beacon, uint64 blockNumber);
    event ReportAccepted(uint64 indexed epoch, uint32 view_, bytes32 verdictRoot, Report report, uint256 signerBitmap);
    /// @notice A verdict took effect. `slashed` is what the bond lost; `paidBit`/`failedBit` say what claims will count.
    event VerdictSettled(
        uint64 indexed node,
        uint64 indexed epoch,
        uint8 indexed reason,
        bool judged,
        bytes32 evidenceHash,
        bool paid,
        bool failed,
        bool grace,
        uint256 slashed,
        uint16 storageScoreBps,
        uint16 availabilityScoreBps
    );
    /// @notice The cursor passed an epoch without a verdict.
    event EpochSkipped(uint64 indexed node, uint64 indexed epoch, SkipCause cause, bool paid);
    /// @notice A valid proof was submitted on chain in time; `body` and `nodeSignature` are the envelope.
    event ProofSubmitted(
        uint64 indexed node,
        uint64 indexed epoch,
        bytes32 envelopeHash,
        bytes body,
        bytes nodeSignature,
        uint256[8] proof
    );

    /// @notice Pay of the held epochs in [from, to] was decided: paid once the node passed, or lapsed (the owner gets it back
    ///         when the deal is closed).
    event HeldResolved(uint64 indexed node, uint64 from, uint64 to, uint256 epochs, bool paid);
    /// @notice Announced with the settlement that caused it, or with the next one where a top-up did.
    event StandingChanged(uint64 indexed node, uint64 indexed epoch, Standing standing);

    /// @notice Why an epoch needs no verdict.
    enum SkipCause {
        /// The epoch has no beacon; pay is held.
        Void,
        /// No report came in time; paid if the node submitted on chain, else held.
        Unreported,
        /// The node stored nothing.
        NoDuty,
        /// The node had been removed; the owner is refunded.
        Removed
    }

    error NotOwner(address expected, address actual);
    error PolicyTooEarly(uint64 firstEpoch, uint64 actual);
    error NoPolicy();
    error NotBegun(uint64 epoch, uint64 current);
    error BeaconTooLate(uint64 epoch, uint64 lastBlock, uint256 actual);
    error BeaconTooEarly(uint64 epoch, uint64 firstBlock, uint256 actual);
    error NoBeacon(uint64 epoch);
    error EpochNotOver(uint64 epoch, uint64 endBlock, uint256 actual);
    error ReportTooLate(uint64 epoch, uint64 lastEpoch, uint64 current);
    error AlreadyReported(uint64 epoch);
    error WrongBeacon(bytes32 expected, bytes32 actual);
    error WrongPolicy(bytes32 expected, bytes32 actual);
    error WrongSetVersion(uint32 expected, uint32 actual);
    error WrongAnchor(bytes32 expected, bytes32 actual);
    error AnchorOutOfRange(uint64 from, uint64 to, uint64 actual);
    error SettlementOutOfOrder(uint64 expected, uint64 actual);
    error NotSettleable(uint64 epoch, uint64 fromBlock, uint256 actual);
    error NotReported(uint64 epoch);
    error WrongVerdictProof(uint64 epoch, uint64 node);
    error WrongIdentity(bytes32 expected, bytes32 actual);
    error WrongInventory(bytes32 expectedRoot, uint64 expectedCount);
    error UnknownReason(uint8 reason);
    error LengthMismatch();
    error DeadlinePassed(uint64 epoch, uint64 lastBlock, uint256 actual);
    error NoDuty(uint64 node, uint64 epoch);
    error ProofRejected(uint64 node, uint64 epoch);
    error AlreadySubmitted(uint64 node, uint64 epoch);
    error NotNode(address expected, address actual);
    error UnknownNode(uint64 node);
    error NodeIsRemoved(uint64 node, uint64 removedEpoch);
    error BodyTooLarge(uint256 limit, uint256 actual);
    error BadNodeSignatureLength(uint256 expected, uint256 actual);
    error BadSchedule();
    error WrongWiring(address expected, address actual);

    /// @notice The committee judges by another attestation policy and root store from an epoch to come. Only the registry's owner may call.
    ///         Announced so that oracles, nodes and auditors have the files by then; a change announced before that has not begun is withdrawn.
    function setPolicy(bytes32 policyHash, uint64 fromEpoch) external;
    /// @notice Stores the beacon of an epoch: the hash of its first block, on a development chain. Anybody may call, in the
    ///         blocks between the epoch's first and its fallback block; afterwards an epoch without one is void.
    function recordBeacon(uint64 epoch) external returns (bytes32 beacon);
    /// @notice Accepts an epoch's report, signed by 2f+1 oracles of the set in force.
    function submitReport(Report calldata report, QuorumSignatures calldata quorum) external;
    /// @notice Applies verdicts to a node, strictly in epoch order; epochs that need no verdict are passed over.
    function settle(uint64 node, Verdict[] calldata verdicts, bytes32[][] calldata proofs) external;
    /// @notice Moves a node's cursor over at most `maxEpochs` epochs that need no verdict.
    function advance(uint64 node, uint64 maxEpochs) external returns (uint64 cursor);
    /// @notice A node that is cut off proves on chain, before the deadline.
    /// @param body The envelope's body B; envelopeHash = keccak256(body).
    function submitProof(uint64 epoch, bytes calldata body, bytes calldata nodeSignature, uint256[8] calldata proof)
        external;

    /// @notice When things happen; fixed at deployment.
    function schedule() external view returns (Schedule memory);
    /// @notice Epoch of the present block; 0 also before the first one begins.
    function currentEpoch() external view returns (uint64);
    /// @notice First block of an epoch.
    function startBlock(uint64 epoch) external view returns (uint64);
    /// @notice Beacon of an epoch, 0 while there is none.
    function beaconOf(uint64 epoch) external view returns (bytes32);
    /// @notice Public inputs of a node's storage proof: inventory root, shard count, seed.
    function statementOf(uint64 node, uint64 epoch) external view returns (uint256[3] memory publicInputs);
    /// @notice Hash of the attestation policy and root store the committee judges an epoch with. Final once the epoch has begun.
    function policyHashAt(uint64 epoch) external view returns (bytes32);
    /// @notice Every policy that is or was in force, and the one announced, ascending by first epoch.
    function policyPeriods() external view returns (PolicyPeriod[] memory);
    /// @notice The registry of nodes and oracles.
    function registry() external view returns (address);
    /// @notice Deals, inventories and pay.
    function deals() external view returns (address);
    /// @notice The verifier of storage proofs submitted on chain.
    function verifier() external view returns (address);
    /// @notice The accepted report of an epoch; zero while there is none.
    function reportOf(uint64 epoch) external view returns (ReportRecord memory);
    /// @notice Last epoch settled for a node.
    function cursorOf(uint64 node) external view returns (uint64);
    /// @notice Last epoch whose pay is decided for a node: its cursor, or the epoch before the first one held.
    function resolvedTo(uint64 node) external view returns (uint64);
    /// @notice True iff the node's next epoch could be settled or passed over now. Settlement is in order, so this is false
    ///         exactly when everything that can be settled for the node has been.
    function isBehind(uint64 node) external view returns (bool);
    /// @notice What settlement remembers of a node.
    function ledgerOf(uint64 node) external view returns (Ledger memory);
    /// @notice Number of epochs in [from, to] that pay, and that refund, for a node, as far as it is settled.
    function countBits(uint64 node, uint64 from, uint64 to) external view returns (uint256 paid, uint256 failed);
    /// @notice A node's timely submission on chain; zero if there is none.
    function submissionOf(uint64 node, uint64 epoch) external view returns (Submission memory);
    /// @notice A node's reputation, as of its cursor.
    function reputationOf(uint64 node) external view returns (Reputation memory);
    /// @notice 10000 * alpha / (alpha + beta), for storage and for availability.
    function scoreOf(uint64 node) external view returns (uint16 storageBps, uint16 availabilityBps);
    /// @notice Where a node stands now: its reputation as of its cursor, its bond as of this block.
    function standingOf(uint64 node) external view returns (Standing);
    /// @notice In one call: active, in good standing, and every settleable epoch settled.
    function isTrusted(uint64 node) external view returns (bool);
    /// @notice EIP-712 digest an oracle signs for a report.
    function reportDigest(Report calldata report) external view returns (bytes32);
}
