// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

import {Ownable} from "@openzeppelin/contracts/access/Ownable.sol";
import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";
import {MerkleProof} from "@openzeppelin/contracts/utils/cryptography/MerkleProof.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";
import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";

import {IDeals} from "./interfaces/IDeals.sol";
import {IHub} from "./interfaces/IHub.sol";
import {IRegistry} from "./interfaces/IRegistry.sol";
import {IStorageProofVerifier} from "./interfaces/IStorageProofVerifier.sol";
import {Inventory, QuorumSignatures, Report, Verdict} from "./interfaces/Types.sol";
import {EpochBits} from "./libraries/EpochBits.sol";
import {Ladder} from "./libraries/Ladder.sol";
import {Score} from "./libraries/Score.sol";
import {Reasons} from "./Reasons.sol";

/// @title Epochs, beacons, reports, settlement and reputation
/// @notice Holds no tokens. One report an epoch, whatever the number of nodes; settlement is per node, in epoch order, and its cost does
///         not depend on the number of deals. Protocol: sections 3, 6 and 7.
contract Hub is IHub, EIP712, ReentrancyGuardTransient {
    using EpochBits for mapping(uint256 index => EpochBits.Word);

    /// @notice Type hash of the report oracles sign.
    bytes32 public constant REPORT_TYPEHASH = keccak256(
        "Report(uint64 epoch,uint32 view,bytes32 beacon,uint32 setVersion,bytes32 policyHash,uint32 leafCount,bytes32 verdictRoot,bytes32 archiveRoot,uint64 anchorBlock,bytes32 anchorHash,uint32 passed,uint32 failed,uint32 unjudged)"
    );
    /// @notice First word of what a seed is the hash of.
    bytes32 public constant SEED_DOMAIN = keccak256("probity-seed-1");
    /// @notice Bytes an envelope body submitted on chain may have.
    uint256 public constant BODY_LIMIT = 8192;
    /// @notice Share of a slash that goes to whoever settles it, basis points.
    uint256 public constant BOUNTY_BPS = 500;
    /// @notice Share of a slash the owners get at most, basis points. Whoever is node, owner and settler in one gets bounty and owners'
    ///         share back; because the two are at most half, a node that deals with itself still loses at least half of every slash.
    uint256 public constant OWNERS_CAP_BPS = 4500;
    /// @notice Below this storage score a node is suspended, basis points.
    uint256 public constant STORAGE_FLOOR_BPS = 4500;
    /// @notice Below this availability score a node is suspended, basis points.
    uint256 public constant AVAILABILITY_FLOOR_BPS = 4000;

    /// @dev Bytes of a P-256 signature, r and s.
    uint256 private constant NODE_SIGNATURE_LENGTH = 64;
    /// @dev How far back `blockhash` reaches.
    uint64 private constant HASH_WINDOW = 256;
    uint256 private constant ONE_BPS = 10_000;

    /// @dev What a verdict does to a node.
    struct Outcome {
        bool paid;
        bool grace;
        uint8 bond;
        uint8 storageEffect;
        uint8 availabilityEffect;
        uint256 slashed;
        uint16 storageBps;
        uint16 availabilityBps;
    }

    IRegistry private immutable REGISTRY;
    IDeals private immutable DEALS;
    IStorageProofVerifier private immutable VERIFIER;
    uint64 private immutable GENESIS_BLOCK;
    uint64 private immutable EPOCH_BLOCKS;
    uint64 private immutable FALLBACK_BLOCK;
    uint64 private immutable DEADLINE_BLOCK;
    uint64 private immutable REPORT_WINDOW_EPOCHS;
    uint64 private immutable DISPUTE_BLOCKS;
    uint64 private immutable ERA_EPOCHS;
    uint64 private immutable UNBONDING_EPOCHS;
    uint64 private immutable VETTING_EPOCHS;

    /// @dev Ascending by epoch; only the last may begin in an epoch to come.
    PolicyPeriod[] private _policies;
    mapping(uint64 epoch => bytes32) private _beacons;
    mapping(uint64 epoch => ReportRecord) private _reports;
    mapping(uint64 node => mapping(uint64 epoch => Submission)) private _submissions;
    mapping(uint64 node => Ledger) private _ledgers;
    mapping(uint64 node => Reputation) private _reputations;
    mapping(uint64 node => mapping(uint256 index => EpochBits.Word)) private _epochs;

    /// @param registry_ Registry; its hub must be this contract.
    /// @param deals_ Deals; its hub must be this contract.
    /// @param verifier_ Verifier of storage proofs.
    /// @param policyHash_ Hash of the first attestation policy and root store, in force from epoch 0.
    /// @param schedule_ When things happen; fixed for good.
    constructor(
        IRegistry registry_,
        IDeals deals_,
        IStorageProofVerifier verifier_,
        bytes32 policyHash_,
        Schedule memory schedule_
    ) EIP712("Probity", "1") {
        // The three contracts name each other by predicted addresses; a wrong prediction must not come to life.
        require(registry_.hub() == address(this), WrongWiring(registry_.hub(), address(this)));
        require(deals_.hub() == address(this), WrongWiring(deals_.hub(), address(this)));
        require(registry_.deals() == address(deals_), WrongWiring(registry_.deals(), address(deals_)));
        require(deals_.registry() == address(registry_), WrongWiring(deals_.registry(), address(registry_)));
        require(deals_.token() == registry_.token(), WrongWiring(deals_.token(), registry_.token()));
        // Inventories above the capacity of the hub's own verifier could never be proven.
        require(deals_.verifier() == address(verifier_), WrongWiring(deals_.verifier(), address(verifier_)));
        _checkSchedule(schedule_);

        REGISTRY = registry_;
        DEALS = deals_;
        VERIFIER = verifier_;
        GENESIS_BLOCK = schedule_.genesisBlock;
        EPOCH_BLOCKS = schedule_.epochBlocks;
        FALLBACK_BLOCK = schedule_.fallbackBlock;
        DEADLINE_BLOCK = schedule_.deadlineBlock;
        REPORT_WINDOW_EPOCHS = schedule_.reportWindowEpochs;
        DISPUTE_BLOCKS = schedule_.disputeBlocks;
        ERA_EPOCHS = schedule_.eraEpochs;
        UNBONDING_EPOCHS = schedule_.unbondingEpochs;
        VETTING_EPOCHS = schedule_.vettingEpochs;
        _beginPolicy(policyHash_, 0);
    }

    // ---------------------------------------------------------------- policy

    /// @inheritdoc IHub
    function setPolicy(bytes32 policyHash, uint64 fromEpoch) external {
        address owner = Ownable(address(REGISTRY)).owner();
        require(msg.sender == owner, NotOwner(owner, msg.sender));
        // Epochs that began are judged by what everybody knew when they did.
        uint64 current = currentEpoch();
        require(fromEpoch > current, PolicyTooEarly(current + 1, fromEpoch));
        PolicyPeriod memory last = _policies[_policies.length - 1];
        if (last.fromEpoch > current) {
            _policies.pop();
            emit PolicyWithdrawn(last.policyHash, last.fromEpoch);
        }
        _beginPolicy(policyHash, fromEpoch);
    }

    // ---------------------------------------------------------------- beacon, report, submission

    /// @inheritdoc IHub
    function recordBeacon(uint64 epoch) external returns (bytes32 beacon) {
        beacon = _beacons[epoch];
        if (beacon != 0) return beacon;
        uint64 first = startBlock(epoch);
        require(block.number > first, BeaconTooEarly(epoch, first + 1, block.number));
        uint64 last = first + FALLBACK_BLOCK;
        require(block.number <= last, BeaconTooLate(epoch, last, block.number));
        beacon = blockhash(first);
        _beacons[epoch] = beacon;
        emit BeaconRecorded(epoch, beacon, first);
    }

    /// @inheritdoc IHub
    function submitReport(Report calldata report, QuorumSignatures calldata quorum) external {
        uint64 epoch = report.epoch;
        bytes32 beacon = _beacons[epoch];
        require(beacon != 0, NoBeacon(epoch));
        uint64 end = startBlock(epoch + 1);
        require(block.number >= end, EpochNotOver(epoch, end, block.number));
        uint64 lastEpoch = epoch + REPORT_WINDOW_EPOCHS;
        require(currentEpoch() <= lastEpoch, ReportTooLate(epoch, lastEpoch, currentEpoch()));
        require(_reports[epoch].reportedBlock == 0, AlreadyReported(epoch));
        require(report.beacon == beacon, WrongBeacon(beacon, report.beacon));
        bytes32 policyHash = policyHashAt(epoch);
        require(report.policyHash == policyHash, WrongPolicy(policyHash, report.policyHash));
        uint32 setVersion = REGISTRY.setVersionAt(epoch);
        require(report.setVersion == setVersion, WrongSetVersion(setVersion, report.setVersion));
        _checkAnchor(epoch, report.anchorBlock, report.anchorHash);

        bytes32 digest = reportDigest(report);
        REGISTRY.checkQuorum(setVersion, digest, quorum);
        _reports[epoch] = ReportRecord({
            verdictRoot: report.verdictRoot,
            archiveRoot: report.archiveRoot,
            digest: digest,
            reportedBlock: SafeCast.toUint64(block.number),
            leafCount: report.leafCount,
            setVersion: setVersion
        });
        emit ReportAccepted(epoch, report.view_, report.verdictRoot, report, quorum.bitmap);
    }

    /// @inheritdoc IHub
    function submitProof(uint64 epoch, bytes calldata body, bytes calldata nodeSignature, uint256[8] calldata proof)
        external
    {
        uint64 node = REGISTRY.nodeIdOf(msg.sender);
        require(node != 0, NotNode(address(0), msg.sender));
        require(body.length <= BODY_LIMIT, BodyTooLarge(BODY_LIMIT, body.length));
        require(
            nodeSignature.length == NODE_SIGNATURE_LENGTH,
            BadNodeSignatureLength(NODE_SIGNATURE_LENGTH, nodeSignature.length)
        );
        require(block.number >= startBlock(epoch), NotBegun(epoch, currentEpoch()));
        uint64 last = startBlock(epoch) + DEADLINE_BLOCK;
        require(block.number <= last, DeadlinePassed(epoch, last, block.number));
        require(_submissions[node][epoch].blockNumber == 0, AlreadySubmitted(node, epoch));
        uint256[3] memory statement = statementOf(node, epoch);
        require(statement[1] != 0, NoDuty(node, epoch));
        require(VERIFIER.verify(proof, statement), ProofRejected(node, epoch));

        bytes32 envelopeHash = keccak256(body);
        _submissions[node][epoch] =
            Submission({envelopeHash: envelopeHash, blockNumber: SafeCast.toUint64(block.number)});
        emit ProofSubmitted(node, epoch, envelopeHash, body, nodeSignature, proof);
    }

    // ---------------------------------------------------------------- settlement

    /// @inheritdoc IHub
    function settle(uint64 node, Verdict[] calldata verdicts, bytes32[][] calldata proofs) external nonReentrant {
        require(verdicts.length == proofs.length, LengthMismatch());
        IRegistry.NodeSummary memory summary = _summary(node);
        Ledger storage ledger = _open(node, summary);
        for (uint256 i; i < verdicts.length; ++i) {
            Verdict calldata verdict = verdicts[i];
            uint64 epoch = verdict.epoch;
            uint64 next = ledger.cursor + 1;
            require(epoch >= next, SettlementOutOfOrder(next, epoch));
            for (; next < epoch; ++next) {
                require(_skip(node, ledger, next), SettlementOutOfOrder(next, epoch));
            }
            require(ledger.removedEpoch == 0, NodeIsRemoved(node, ledger.removedEpoch));
            bytes32 identityHash =
                epoch < summary.identityFrom ? REGISTRY.identityAt(node, epoch) : summary.identityHash;
            _checkVerdict(node, identityHash, verdict, proofs[i]);
            _apply(node, ledger, verdict);
        }
    }

    /// @inheritdoc IHub
    function advance(uint64 node, uint64 maxEpochs) external nonReentrant returns (uint64 cursor) {
        Ledger storage ledger = _open(node, _summary(node));
        cursor = ledger.cursor;
        for (uint64 i; i < maxEpochs && _skip(node, ledger, cursor + 1); ++i) {
            ++cursor;
        }
    }

    // ---------------------------------------------------------------- views

    /// @inheritdoc IHub
    function schedule() external view returns (Schedule memory) {
        return Schedule({
            genesisBlock: GENESIS_BLOCK,
            epochBlocks: EPOCH_BLOCKS,
            fallbackBlock: FALLBACK_BLOCK,
            deadlineBlock: DEADLINE_BLOCK,
            reportWindowEpochs: REPORT_WINDOW_EPOCHS,
            disputeBlocks: DISPUTE_BLOCKS,
            eraEpochs: ERA_EPOCHS,
            unbondingEpochs: UNBONDING_EPOCHS,
            vettingEpochs: VETTING_EPOCHS
        });
    }

    /// @inheritdoc IHub
    function currentEpoch() public view returns (uint64) {
        if (block.number < GENESIS_BLOCK) return 0;
        return SafeCast.toUint64((block.number - GENESIS_BLOCK) / EPOCH_BLOCKS);
    }

    /// @inheritdoc IHub
    function startBlock(uint64 epoch) public view returns (uint64) {
        return GENESIS_BLOCK + epoch * EPOCH_BLOCKS;
    }

    /// @inheritdoc IHub
    function beaconOf(uint64 epoch) external view returns (bytes32) {
        return _beacons[epoch];
    }

    /// @inheritdoc IHub
    function statementOf(uint64 node, uint64 epoch) public view returns (uint256[3] memory publicInputs) {
        bytes32 beacon = _beacons[epoch];
        require(beacon != 0, NoBeacon(epoch));
        Inventory memory inventory = DEALS.inventoryAt(node, epoch);
        publicInputs[0] = uint256(inventory.root);
        publicInputs[1] = inventory.count;
        // Eight bits off: what remains is always below the field's order.
        publicInputs[2] =
            uint256(keccak256(abi.encode(SEED_DOMAIN, beacon, block.chainid, address(this), node, epoch))) >> 8;
    }

    /// @inheritdoc IHub
    function policyHashAt(uint64 epoch) public view returns (bytes32) {
        // The first one is in force from epoch 0, so the search ends.
        uint256 place = _policies.length - 1;
        while (_policies[place].fromEpoch > epoch) --place;
        return _policies[place].policyHash;
    }

    /// @inheritdoc IHub
    function policyPeriods() external view returns (PolicyPeriod[] memory) {
        return _policies;
    }

    /// @inheritdoc IHub
    function registry() external view returns (address) {
        return address(REGISTRY);
    }

    /// @inheritdoc IHub
    function deals() external view returns (address) {
        return address(DEALS);
    }

    /// @inheritdoc IHub
    function verifier() external view returns (address) {
        return address(VERIFIER);
    }

    /// @inheritdoc IHub
    function reportOf(uint64 epoch) external view returns (ReportRecord memory) {
        return _reports[epoch];
    }

    /// @inheritdoc IHub
    function cursorOf(uint64 node) public view returns (uint64) {
        uint64 cursor = _ledgers[node].cursor;
        return cursor != 0 ? cursor : REGISTRY.summaryOf(node).registeredEpoch;
    }

    /// @inheritdoc IHub
    function resolvedTo(uint64 node) external view returns (uint64) {
        uint64 heldFrom = _ledgers[node].heldFrom;
        return heldFrom != 0 ? heldFrom - 1 : cursorOf(node);
    }

    /// @inheritdoc IHub
    function isBehind(uint64 node) public view returns (bool) {
        uint64 next = cursorOf(node) + 1;
        (bool skippable,) = _skipCause(node, _ledgers[node].removedEpoch, next);
        if (skippable) return true;
        uint64 reportedBlock = _reports[next].reportedBlock;
        return reportedBlock != 0 && block.number >= reportedBlock + DISPUTE_BLOCKS;
    }

    /// @inheritdoc IHub
    function ledgerOf(uint64 node) external view returns (Ledger memory) {
        return _ledgers[node];
    }

    /// @inheritdoc IHub
    function countBits(uint64 node, uint64 from, uint64 to) external view returns (uint256 paid, uint256 failed) {
        uint64 cursor = cursorOf(node);
        return _epochs[node].count(from, to < cursor ? to : cursor);
    }

    /// @inheritdoc IHub
    function submissionOf(uint64 node, uint64 epoch) external view returns (Submission memory) {
        return _submissions[node][epoch];
    }

    /// @inheritdoc IHub
    function reputationOf(uint64 node) public view returns (Reputation memory reputation) {
        reputation = _reputations[node];
        if (reputation.judgedEpochs == 0) reputation = Score.initial();
    }

    /// @inheritdoc IHub
    function scoreOf(uint64 node) external view returns (uint16 storageBps, uint16 availabilityBps) {
        return _scores(reputationOf(node));
    }

    /// @inheritdoc IHub
    function standingOf(uint64 node) public view returns (Standing) {
        IRegistry.NodeSummary memory summary = REGISTRY.summaryOf(node);
        IRegistry.Status status = summary.status;
        if (status == IRegistry.Status.None) return Standing.Unknown;
        if (status == IRegistry.Status.Removed || status == IRegistry.Status.Withdrawn) return Standing.Removed;
        Reputation memory reputation = reputationOf(node);
        if (reputation.judgedEpochs < VETTING_EPOCHS) return Standing.Vetting;
        (uint16 storageBps, uint16 availabilityBps) = _scores(reputation);
        bool suspended = storageBps < STORAGE_FLOOR_BPS || availabilityBps < AVAILABILITY_FLOOR_BPS
            || summary.bond < REGISTRY.minimumBond() / 2;
        return suspended ? Standing.Suspended : Standing.Good;
    }

    /// @inheritdoc IHub
    function isTrusted(uint64 node) external view returns (bool) {
        return REGISTRY.summaryOf(node).status == IRegistry.Status.Active && standingOf(node) == Standing.Good
            && !isBehind(node);
    }

    /// @inheritdoc IHub
    function reportDigest(Report calldata report) public view returns (bytes32) {
        return _hashTypedDataV4(keccak256(abi.encode(REPORT_TYPEHASH, report)));
    }

    // ---------------------------------------------------------------- one epoch of one node

    /// @dev Refuses a verdict that is not the report's, not yet open, or not about this node as it was frozen.
    function _checkVerdict(uint64 node, bytes32 identityHash, Verdict calldata verdict, bytes32[] calldata proof)
        private
        view
    {
        uint64 epoch = verdict.epoch;
        ReportRecord storage record = _reports[epoch];
        uint64 reportedBlock = record.reportedBlock;
        require(reportedBlock != 0, NotReported(epoch));
        uint64 fromBlock = reportedBlock + DISPUTE_BLOCKS;
        require(block.number >= fromBlock, NotSettleable(epoch, fromBlock, block.number));

        // Hashed twice, so that no inner node of the tree can pose as a leaf.
        bytes32 leaf = keccak256(bytes.concat(keccak256(abi.encode(verdict))));
        require(
            verdict.node == node && MerkleProof.verifyCalldata(proof, record.verdictRoot, leaf),
            WrongVerdictProof(epoch, node)
        );
        require(verdict.identityHash == identityHash, WrongIdentity(identityHash, verdict.identityHash));
        Inventory memory inventory = DEALS.inventoryAt(node, epoch);
        require(inventory.count != 0, NoDuty(node, epoch));
        require(
            verdict.root == inventory.root && verdict.count == inventory.count,
            WrongInventory(inventory.root, inventory.count)
        );
    }

    /// @dev Moves pay, reputation and bond by one verdict, in that order, and tells what became of them.
    function _apply(uint64 node, Ledger storage ledger, Verdict calldata verdict) private {
        uint64 epoch = verdict.epoch;
        Outcome memory outcome = _outcomeOf(node, verdict);

        _step(node, ledger, epoch);
        if (outcome.paid) _pay(node, ledger, epoch);
        else _epochs[node].fail(epoch);
        _lapse(node, ledger, epoch);

        Reputation memory reputation = reputationOf(node);
        Score.judge(reputation, outcome.storageEffect, outcome.availabilityEffect);
        _reputations[node] = reputation;
        (outcome.storageBps, outcome.availabilityBps) = _scores(reputation);

        uint256 costBps = _climb(ledger, outcome, epoch);
        if (costBps != 0) outcome.slashed = _slash(node, verdict, costBps);
        _emitSettled(verdict, outcome);
        if (outcome.bond == Ladder.HALF) {
            ledger.removedEpoch = epoch;
            _resolveHeld(node, ledger, false);
            REGISTRY.remove(node, epoch, verdict.reason, verdict.evidenceHash);
        }
        _announce(node, ledger, epoch);
    }

    /// @dev The reason's effects from the catalogue, less what an unjudged figure or a submission on chain takes away.
    function _outcomeOf(uint64 node, Verdict calldata verdict) private view returns (Outcome memory outcome) {
        bool known;
        (known, outcome.paid, outcome.bond, outcome.storageEffect, outcome.availabilityEffect) =
            Reasons.effect(verdict.reason);
        require(known, UnknownReason(verdict.reason));
        if (verdict.reason == Reasons.MISSING && _submissions[node][verdict.epoch].blockNumber != 0) {
            // A valid proof was here in time: the chain itself refutes the verdict.
            outcome.paid = true;
            outcome.bond = Ladder.NONE;
            outcome.storageEffect = Score.PASS;
        }
        if (!verdict.judged) {
            // A reason that rests on figures nobody could judge costs nobody anything.
            bool opinionOnly = outcome.availabilityEffect == Score.FAIL && outcome.storageEffect != Score.FAIL;
            if (opinionOnly) outcome.paid = true;
            outcome.availabilityEffect = Score.NONE;
        }
    }

    /// @dev Moves the node's ladder on by one judged epoch; returns what the epoch costs, in basis points of the bond.
    function _climb(Ledger storage ledger, Outcome memory outcome, uint64 epoch) private returns (uint256 costBps) {
        bool penalised = outcome.bond != Ladder.NONE;
        if (outcome.bond == Ladder.GRACE_LADDER) {
            uint48 era = SafeCast.toUint48(epoch / ERA_EPOCHS + 1);
            if (ledger.graceEra != era) {
                ledger.graceEra = era;
                outcome.grace = true;
                penalised = false;
            }
        }
        uint256 misses = Ladder.shift(ledger.misses, penalised);
        ledger.misses = misses;
        if (!penalised) return 0;
        return outcome.bond == Ladder.HALF ? Ladder.HALF_BPS : Ladder.bps(misses);
    }

    /// @dev Cuts the bond and shares the cut out: bounty to the settler, up to one epoch's rates to the owners within their cap, and the
    ///      rest, at least half, is burned.
    function _slash(uint64 node, Verdict calldata verdict, uint256 costBps) private returns (uint256 amount) {
        uint64 epoch = verdict.epoch;
        amount = (REGISTRY.summaryOf(node).bond * costBps) / ONE_BPS;
        if (amount == 0) return 0;
        uint256 toSettler = (amount * BOUNTY_BPS) / ONE_BPS;
        uint256 toOwners = DEALS.rateAt(node, epoch);
        uint256 cap = (amount * OWNERS_CAP_BPS) / ONE_BPS;
        if (toOwners > cap) toOwners = cap;
        REGISTRY.slash(node, epoch, verdict.reason, verdict.evidenceHash, amount, msg.sender, toSettler, toOwners);
        if (toOwners != 0) DEALS.creditShare(node, epoch, toOwners);
    }

    /// @dev Whether an epoch needs no verdict, and why. An epoch that is not over always waits.
    function _skipCause(uint64 node, uint64 removedEpoch, uint64 epoch)
        private
        view
        returns (bool skippable, SkipCause cause)
    {
        uint64 current = currentEpoch();
        if (epoch >= current) return (false, cause);
        if (removedEpoch != 0) return (true, SkipCause.Removed);
        if (DEALS.inventoryAt(node, epoch).count == 0) return (true, SkipCause.NoDuty);
        if (_reports[epoch].reportedBlock != 0) return (false, cause);
        if (_beacons[epoch] == 0 && block.number > startBlock(epoch) + FALLBACK_BLOCK) return (true, SkipCause.Void);
        if (current > epoch + REPORT_WINDOW_EPOCHS) return (true, SkipCause.Unreported);
    }

    /// @dev Passes over the node's next epoch if it needs no verdict.
    function _skip(uint64 node, Ledger storage ledger, uint64 epoch) private returns (bool) {
        (bool skippable, SkipCause cause) = _skipCause(node, ledger.removedEpoch, epoch);
        if (!skippable) return false;
        _step(node, ledger, epoch);
        bool paid;
        if (cause == SkipCause.Removed) {
            _epochs[node].fail(epoch);
        } else if (cause == SkipCause.Unreported && _submissions[node][epoch].blockNumber != 0) {
            paid = true;
            _pay(node, ledger, epoch);
        } else if (cause != SkipCause.NoDuty) {
            _epochs[node].hold(epoch);
            if (ledger.heldFrom == 0) ledger.heldFrom = epoch;
        }
        _lapse(node, ledger, epoch);
        emit EpochSkipped(node, epoch, cause, paid);
        return true;
    }

    /// @dev Moves the cursor to the next epoch.
    function _step(uint64 node, Ledger storage ledger, uint64 epoch) private {
        ledger.cursor = epoch;
        _epochs[node].enter(epoch);
    }

    /// @dev Pays the epoch, and with it every epoch whose pay was held until the node would pass.
    function _pay(uint64 node, Ledger storage ledger, uint64 epoch) private {
        _epochs[node].pay(epoch);
        _resolveHeld(node, ledger, true);
    }

    /// @dev Gives held pay up once the node has not passed for an unbonding period, so that no escrow is held for ever.
    function _lapse(uint64 node, Ledger storage ledger, uint64 epoch) private {
        uint64 heldFrom = ledger.heldFrom;
        if (heldFrom != 0 && epoch >= heldFrom + UNBONDING_EPOCHS) _resolveHeld(node, ledger, false);
    }

    function _resolveHeld(uint64 node, Ledger storage ledger, bool paid) private {
        uint64 from = ledger.heldFrom;
        if (from == 0) return;
        uint64 to = ledger.cursor;
        ledger.heldFrom = 0;
        uint256 epochs = _epochs[node].resolve(from, to, paid);
        emit HeldResolved(node, from, to, epochs, paid);
    }

    function _announce(uint64 node, Ledger storage ledger, uint64 epoch) private {
        Standing standing = standingOf(node);
        if (standing == ledger.announced) return;
        ledger.announced = standing;
        emit StandingChanged(node, epoch, standing);
    }

    function _summary(uint64 node) private view returns (IRegistry.NodeSummary memory summary) {
        summary = REGISTRY.summaryOf(node);
        require(summary.status != IRegistry.Status.None, UnknownNode(node));
    }

    /// @dev The node's ledger; the first time, its cursor is the epoch of registration.
    function _open(uint64 node, IRegistry.NodeSummary memory summary) private returns (Ledger storage ledger) {
        ledger = _ledgers[node];
        if (ledger.cursor == 0) ledger.cursor = summary.registeredEpoch;
    }

    function _scores(Reputation memory reputation) private pure returns (uint16 storageBps, uint16 availabilityBps) {
        storageBps = Score.bps(reputation.storageAlpha, reputation.storageBeta);
        availabilityBps = Score.bps(reputation.availabilityAlpha, reputation.availabilityBeta);
    }

    function _emitSettled(Verdict calldata verdict, Outcome memory outcome) private {
        emit VerdictSettled(
            verdict.node,
            verdict.epoch,
            verdict.reason,
            verdict.judged,
            verdict.evidenceHash,
            outcome.paid,
            !outcome.paid,
            outcome.grace,
            outcome.slashed,
            outcome.storageBps,
            outcome.availabilityBps
        );
    }

    function _beginPolicy(bytes32 policyHash, uint64 fromEpoch) private {
        require(policyHash != 0, NoPolicy());
        _policies.push(PolicyPeriod({policyHash: policyHash, fromEpoch: fromEpoch}));
        emit PolicyChanged(policyHash, fromEpoch);
    }

    /// @dev The anchor is a block after the epoch's deadline whose hash this chain still knows.
    function _checkAnchor(uint64 epoch, uint64 anchorBlock, bytes32 anchorHash) private view {
        uint64 from = startBlock(epoch) + DEADLINE_BLOCK;
        uint64 to = SafeCast.toUint64(block.number - 1);
        if (to + 1 > HASH_WINDOW && from < to + 1 - HASH_WINDOW) from = to + 1 - HASH_WINDOW;
        require(anchorBlock >= from && anchorBlock <= to, AnchorOutOfRange(from, to, anchorBlock));
        bytes32 expected = blockhash(anchorBlock);
        require(anchorHash == expected, WrongAnchor(expected, anchorHash));
    }

    function _checkSchedule(Schedule memory plan) private pure {
        bool ordered = plan.fallbackBlock != 0 && plan.fallbackBlock < plan.deadlineBlock
            && plan.deadlineBlock < plan.epochBlocks && plan.fallbackBlock <= HASH_WINDOW;
        bool positive = plan.reportWindowEpochs != 0 && plan.eraEpochs != 0;
        // Nobody gets a bond back before the last verdict on it could be reported and settled.
        bool outlasts =
            plan.unbondingEpochs * plan.epochBlocks >= plan.reportWindowEpochs * plan.epochBlocks + plan.disputeBlocks;
        require(ordered && positive && outlasts, BadSchedule());
    }
}
