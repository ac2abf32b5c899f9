// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";
import {Checkpoints} from "@openzeppelin/contracts/utils/structs/Checkpoints.sol";

import {IDeals} from "./interfaces/IDeals.sol";
import {IHub} from "./interfaces/IHub.sol";
import {IRegistry} from "./interfaces/IRegistry.sol";
import {IStorageProofVerifier} from "./interfaces/IStorageProofVerifier.sol";
import {Inventory, ShardRoots} from "./interfaces/Types.sol";
import {EpochSums} from "./libraries/EpochSums.sol";

/// @title Deals, the nodes' inventories, and pay
/// @notice Holds the escrow of every deal that is not closed and the owners' shares of slashed bonds, and nothing else: its token balance
///         is the sum of the escrows plus `sharePool`. Protocol: sections 2 and 7.
contract Deals is IDeals, ReentrancyGuardTransient {
    using Checkpoints for Checkpoints.Trace160;
    using EpochSums for EpochSums.Sums;
    using SafeCast for uint256;
    using SafeERC20 for IERC20;

    /// @notice Slots a deal may have.
    uint256 public constant SLOT_LIMIT = 32;
    /// @notice Order of the BN254 scalar field; a canonical root is below it.
    uint256 public constant FIELD_MODULUS =
        21888242871839275222246405745257275088548364400416034343698204186575808495617;

    uint8 private constant OP_ACCEPT = 1;
    uint8 private constant OP_DROP = 2;
    /// @dev Scale of the share accumulators.
    uint256 private constant SCALE = 1e18;

    /// @dev A slot's list while it is published, and the nodes it was offered to.
    struct Slot {
        bytes32 listHash;
        uint32 published;
        Assignment[] assignments;
    }

    /// @dev Where a node stands in a deal, from the offer until it drops the slot or the offer is withdrawn.
    struct Place {
        bool taken;
        uint16 slot;
        uint32 assignment;
    }

    /// @dev An inventory and the epoch it counts from.
    struct Checkpoint {
        uint64 fromEpoch;
        uint64 count;
        bytes32 root;
        bytes32 log;
    }

    /// @dev A node's change of its own inventory.
    struct Change {
        uint8 op;
        uint64 deal;
        uint16 slot;
        uint32 stripes;
        bytes32 listHash;
        uint64 node;
        uint64 epoch;
        bytes32 newLog;
        bytes32 newRoot;
        uint64 newCount;
    }

    IERC20 private immutable TOKEN;
    IRegistry private immutable REGISTRY;
    IHub private immutable HUB;
    IStorageProofVerifier private immutable VERIFIER;

    mapping(uint64 deal => Deal) private _deals;
    mapping(uint64 deal => mapping(uint256 slot => Slot)) private _slots;
    mapping(uint64 deal => mapping(uint64 node => Place)) private _places;
    /// @dev Accepted tenures not claimed to their end.
    mapping(uint64 deal => uint32) private _openTenures;
    mapping(uint64 node => Checkpoint[]) private _inventories;
    mapping(uint64 node => EpochSums.Sums) private _rates;
    /// @dev Epoch => slashed shares credited up to it for each unit of rate, times SCALE.
    mapping(uint64 node => Checkpoints.Trace160) private _shares;
    uint256 private _sharePool;
    uint64 private _dealCount;

    /// @param token_ ERC-20 of escrow and pay; must not take a fee on transfer.
    /// @param registry_ Registry of the nodes.
    /// @param hub_ Address the hub will be deployed at.
    /// @param verifier_ Storage-proof verifier, for the capacity of an inventory.
    constructor(IERC20 token_, IRegistry registry_, IHub hub_, IStorageProofVerifier verifier_) {
        TOKEN = token_;
        REGISTRY = registry_;
        HUB = hub_;
        VERIFIER = verifier_;
    }

    // ---------------------------------------------------------------- owner: propose, publish, seal

    /// @inheritdoc IDeals
    function propose(uint16 k, uint16 m, uint32 stripes, uint64[] calldata nodes, uint128 rate, uint64 durationEpochs)
        external
        nonReentrant
        returns (uint64 deal)
    {
        uint256 slots = uint256(k) + m;
        require(k != 0 && m != 0 && slots <= SLOT_LIMIT && stripes != 0, BadGeometry(k, m, stripes));
        require(rate != 0 && durationEpochs != 0 && nodes.length == slots, BadTerms());
        uint64 epoch = HUB.currentEpoch();
        require(durationEpochs < EpochSums.LIMIT - 1 - epoch, BadTerms());

        deal = ++_dealCount;
        for (uint256 i; i < slots; ++i) {
            // At most SLOT_LIMIT slots.
            // forge-lint: disable-next-line(unsafe-typecast)
            _offer(deal, uint16(i), nodes[i]);
        }
        uint256 escrow = slots * rate * durationEpochs;
        _deals[deal] = Deal({
            owner: msg.sender,
            state: DealState.Proposed,
            k: k,
            m: m,
            stripes: stripes,
            endEpoch: epoch + durationEpochs,
            rate: rate,
            escrow: escrow
        });
        _emitProposed(deal, nodes);
        TOKEN.safeTransferFrom(msg.sender, address(this), escrow);
    }

    /// @inheritdoc IDeals
    function publishSlot(uint64 deal, uint16 slot, uint32 offset, ShardRoots[] calldata roots) external {
        Deal storage terms = _ownDeal(deal);
        _requireState(deal, terms, DealState.Proposed);
        Slot storage target = _slot(deal, terms, slot);
        uint32 published = target.published;
        require(offset == published, ChunkOutOfOrder(published, offset));
        // An event for nothing would be a cheap way to fill everybody's logs.
        require(roots.length != 0, EmptyChunk(deal, slot));
        uint256 missing = terms.stripes - published;
        // No more than `stripes` roots, which has 32 bits.
        // forge-lint: disable-next-line(unsafe-typecast)
        require(roots.length <= missing, TooManyShards(uint32(missing), roots.length));

        bytes32 listHash = target.listHash;
        for (uint256 i; i < roots.length; ++i) {
            ShardRoots calldata shard = roots[i];
            require(uint256(shard.storageRoot) < FIELD_MODULUS, RootNotCanonical(shard.storageRoot));
            listHash = keccak256(abi.encode(listHash, shard.storageRoot, shard.transportRoot, shard.contentId));
        }
        target.listHash = listHash;
        // forge-lint: disable-next-line(unsafe-typecast)
        target.published = published + uint32(roots.length);
        emit SlotPublished(deal, slot, offset, roots);
    }

    /// @inheritdoc IDeals
    function seal(uint64 deal) external {
        Deal storage terms = _ownDeal(deal);
        _requireState(deal, terms, DealState.Proposed);
        uint256 slots = uint256(terms.k) + terms.m;
        for (uint256 i; i < slots; ++i) {
            uint32 published = _slots[deal][i].published;
            // forge-lint: disable-next-line(unsafe-typecast)
            require(published == terms.stripes, SlotIncomplete(uint16(i), terms.stripes, published));
        }
        terms.state = DealState.Sealed;
        emit DealSealed(deal);
    }

    // ---------------------------------------------------------------- node: accept, drop

    /// @inheritdoc IDeals
    function accept(uint64 deal, uint16 slot, bytes32 newLog, bytes32 newRoot, uint64 newCount) external {
        Deal storage terms = _known(deal);
        _requireState(deal, terms, DealState.Sealed);
        Slot storage target = _slot(deal, terms, slot);
        Assignment storage tenure = target.assignments[target.assignments.length - 1];
        uint64 node = tenure.node;
        _requireAccount(node);
        require(tenure.fromEpoch == 0, AlreadyAccepted(deal, slot));
        uint64 epoch = HUB.currentEpoch();
        uint64 endEpoch = terms.endEpoch;
        require(epoch < endEpoch, DealOver(endEpoch, epoch));

        Checkpoint memory next = _change(
            Change({
                op: OP_ACCEPT,
                deal: deal,
                slot: slot,
                stripes: terms.stripes,
                listHash: target.listHash,
                node: node,
                epoch: epoch,
                newLog: newLog,
                newRoot: newRoot,
                newCount: newCount
            })
        );

        tenure.fromEpoch = epoch + 1;
        tenure.toEpoch = endEpoch;
        tenure.claimedTo = epoch;
        ++_openTenures[deal];
        int256 rate = int256(uint256(terms.rate));
        _rates[node].add(epoch + 1, rate);
        _rates[node].add(endEpoch + 1, -rate);
        emit SlotAccepted(
            deal, slot, node, terms.stripes, target.listHash, next.log, next.root, next.count, next.fromEpoch
        );
    }

    /// @inheritdoc IDeals
    function drop(uint64 deal, uint16 slot, bytes32 newLog, bytes32 newRoot, uint64 newCount) external {
        Deal storage terms = _known(deal);
        Slot storage target = _slot(deal, terms, slot);
        uint64 node = REGISTRY.nodeIdOf(msg.sender);
        Assignment storage tenure = _droppable(deal, slot, node, target);
        uint64 epoch = HUB.currentEpoch();
        // The drop counts from the next epoch on: what the tenure earns is proven and owed to its end.
        require(tenure.toEpoch <= epoch, SlotNotOver(tenure.toEpoch, epoch));

        Checkpoint memory next = _change(
            Change({
                op: OP_DROP,
                deal: deal,
                slot: slot,
                stripes: terms.stripes,
                listHash: target.listHash,
                node: node,
                epoch: epoch,
                newLog: newLog,
                newRoot: newRoot,
                newCount: newCount
            })
        );

        tenure.dropped = true;
        delete _places[deal][node];
        emit SlotDropped(deal, slot, node, terms.stripes, target.listHash, next.log, next.root, next.count);
    }

    // ---------------------------------------------------------------- owner: end, move, close

    /// @inheritdoc IDeals
    function endSlot(uint64 deal, uint16 slot) external {
        Deal storage terms = _ownDeal(deal);
        Slot storage target = _slot(deal, terms, slot);
        Assignment storage tenure = target.assignments[target.assignments.length - 1];
        require(tenure.fromEpoch != 0, NotAccepted(deal, slot));
        uint64 epoch = HUB.currentEpoch();
        require(tenure.toEpoch > epoch, SlotOver(tenure.toEpoch, epoch));
        _end(deal, slot, terms, tenure, epoch);
    }

    /// @inheritdoc IDeals
    function moveSlot(uint64 deal, uint16 slot, uint64 toNode) external returns (uint256 assignment) {
        Deal storage terms = _ownDeal(deal);
        require(terms.state != DealState.Closed, WrongState(deal, DealState.Sealed, terms.state));
        Slot storage target = _slot(deal, terms, slot);
        uint64 epoch = HUB.currentEpoch();
        require(epoch < terms.endEpoch, DealOver(terms.endEpoch, epoch));

        Assignment storage present = target.assignments[target.assignments.length - 1];
        if (present.fromEpoch == 0) {
            delete _places[deal][present.node];
        } else if (present.toEpoch > epoch) {
            _end(deal, slot, terms, present, epoch);
        }
        assignment = _offer(deal, slot, toNode);
        emit SlotMoved(deal, slot, toNode, assignment);
    }

    /// @inheritdoc IDeals
    function close(uint64 deal) external nonReentrant {
        Deal storage terms = _ownDeal(deal);
        require(terms.state != DealState.Closed, WrongState(deal, DealState.Sealed, terms.state));
        uint32 open = _openTenures[deal];
        require(open == 0, TenuresOpen(deal, open));
        uint256 returned = terms.escrow;
        terms.escrow = 0;
        terms.state = DealState.Closed;
        emit DealClosed(deal, returned);
        TOKEN.safeTransfer(terms.owner, returned);
    }

    // ---------------------------------------------------------------- anybody: claim, pull

    /// @inheritdoc IDeals
    function claim(uint64 deal, uint16 slot, uint256 assignment)
        external
        nonReentrant
        returns (uint256 paid, uint256 refunded)
    {
        Deal storage terms = _known(deal);
        Assignment storage tenure = _tenure(deal, terms, slot, assignment);
        uint64 claimedTo = tenure.claimedTo;
        uint64 toEpoch = tenure.toEpoch;
        uint64 node = tenure.node;
        uint64 horizon = HUB.resolvedTo(node);
        if (horizon > toEpoch) horizon = toEpoch;
        require(horizon > claimedTo, NothingToClaim(claimedTo));

        tenure.claimedTo = horizon;
        if (horizon == toEpoch) --_openTenures[deal];
        (paid, refunded) = HUB.countBits(node, claimedTo + 1, horizon);
        paid *= terms.rate;
        refunded *= terms.rate;
        terms.escrow -= paid + refunded;
        emit Claimed(deal, slot, node, claimedTo + 1, horizon, paid, refunded);
        if (paid != 0) TOKEN.safeTransfer(REGISTRY.summaryOf(node).account, paid);
        if (refunded != 0) TOKEN.safeTransfer(terms.owner, refunded);
    }

    /// @inheritdoc IDeals
    function pullShare(uint64 deal, uint16 slot, uint256 assignment) external nonReentrant returns (uint256 amount) {
        Deal storage terms = _known(deal);
        Assignment storage tenure = _tenure(deal, terms, slot, assignment);
        Checkpoints.Trace160 storage shares = _shares[tenure.node];
        uint256 before = shares.upperLookup(tenure.fromEpoch - 1);
        if (before < tenure.sharePulled) before = tenure.sharePulled;
        uint256 present = shares.upperLookup(tenure.toEpoch);
        if (present <= before) return 0;
        // Rounded down, and so never more than was credited.
        amount = ((present - before) * terms.rate) / SCALE;
        tenure.sharePulled = present;
        _sharePool -= amount;
        emit SharePulled(deal, slot, tenure.node, amount);
        if (amount != 0) TOKEN.safeTransfer(terms.owner, amount);
    }

    /// @inheritdoc IDeals
    function creditShare(uint64 node, uint64 epoch, uint256 amount) external {
        require(msg.sender == address(HUB), NotHub(msg.sender));
        uint256 totalRate = rateAt(node, epoch);
        require(totalRate != 0, NoShareholders(node, epoch));
        Checkpoints.Trace160 storage shares = _shares[node];
        uint256 present = shares.latest() + (amount * SCALE) / totalRate;
        // Verdicts come in epoch order, so the trace stays sorted.
        shares.push(epoch, present.toUint160());
        _sharePool += amount;
        emit ShareCredited(node, epoch, amount, totalRate);
    }

    // ---------------------------------------------------------------- views

    /// @inheritdoc IDeals
    function dealOf(uint64 deal) external view returns (Deal memory) {
        return _deals[deal];
    }

    /// @inheritdoc IDeals
    function dealCount() external view returns (uint64) {
        return _dealCount;
    }

    /// @inheritdoc IDeals
    function slotListHash(uint64 deal, uint16 slot) external view returns (bytes32) {
        return _slot(deal, _known(deal), slot).listHash;
    }

    /// @inheritdoc IDeals
    function assignmentCount(uint64 deal, uint16 slot) external view returns (uint256) {
        return _slot(deal, _known(deal), slot).assignments.length;
    }

    /// @inheritdoc IDeals
    function assignmentOf(uint64 deal, uint16 slot, uint256 index) external view returns (Assignment memory) {
        Assignment[] storage assignments = _slot(deal, _known(deal), slot).assignments;
        require(index < assignments.length, UnknownAssignment(deal, slot, index));
        return assignments[index];
    }

    /// @inheritdoc IDeals
    function inventoryOf(uint64 node) external view returns (Inventory memory) {
        Checkpoint memory last = _last(node);
        return Inventory({root: last.root, count: last.count, log: last.log});
    }

    /// @inheritdoc IDeals
    function inventoryAt(uint64 node, uint64 epoch) external view returns (Inventory memory inventory) {
        Checkpoint[] storage checkpoints = _inventories[node];
        // First checkpoint that counts only after `epoch`; the one before it is the answer.
        uint256 low;
        uint256 high = checkpoints.length;
        while (low < high) {
            uint256 middle = (low + high) / 2;
            if (checkpoints[middle].fromEpoch > epoch) high = middle;
            else low = middle + 1;
        }
        if (low != 0) {
            Checkpoint storage found = checkpoints[low - 1];
            inventory = Inventory({root: found.root, count: found.count, log: found.log});
        }
    }

    /// @inheritdoc IDeals
    function rateAt(uint64 node, uint64 epoch) public view returns (uint256) {
        return SafeCast.toUint256(_rates[node].valueAt(epoch));
    }

    /// @inheritdoc IDeals
    function sharePool() external view returns (uint256) {
        return _sharePool;
    }

    /// @inheritdoc IDeals
    function hub() external view returns (address) {
        return address(HUB);
    }

    /// @inheritdoc IDeals
    function registry() external view returns (address) {
        return address(REGISTRY);
    }

    /// @inheritdoc IDeals
    function token() external view returns (address) {
        return address(TOKEN);
    }

    /// @inheritdoc IDeals
    function verifier() external view returns (address) {
        return address(VERIFIER);
    }

    // ---------------------------------------------------------------- internals

    /// @dev Offers a slot to a node that has no place in the deal yet.
    function _offer(uint64 deal, uint16 slot, uint64 node) private returns (uint256 index) {
        require(REGISTRY.summaryOf(node).status == IRegistry.Status.Active, NodeNotActive(node));
        require(!_places[deal][node].taken, NodeTwice(node));
        Assignment[] storage assignments = _slots[deal][slot].assignments;
        index = assignments.length;
        assignments.push();
        assignments[index].node = node;
        _places[deal][node] = Place({taken: true, slot: slot, assignment: index.toUint32()});
    }

    /// @dev Makes the current epoch the tenure's last one and gives the later ones' rate back.
    function _end(uint64 deal, uint16 slot, Deal storage terms, Assignment storage tenure, uint64 epoch) private {
        uint64 node = tenure.node;
        int256 rate = int256(uint256(terms.rate));
        _rates[node].add(epoch + 1, -rate);
        _rates[node].add(tenure.toEpoch + 1, rate);
        tenure.toEpoch = epoch;
        // Ended in the epoch of its acceptance: not one epoch counts, so no claim will ever close it.
        if (tenure.claimedTo >= epoch) --_openTenures[deal];
        emit SlotEnded(deal, slot, node, epoch);
    }

    /// @dev Checks a node's change of its inventory and writes what counts from the next epoch on.
    function _change(Change memory change) private returns (Checkpoint memory next) {
        Checkpoint memory last = _last(change.node);
        // An accepted slot's stripes stay in the count until it is dropped, so dropping cannot go below zero.
        uint64 expected = change.op == OP_ACCEPT ? last.count + change.stripes : last.count - change.stripes;
        require(change.newCount == expected, CountMismatch(expected, change.newCount));
        uint64 capacity = VERIFIER.CAPACITY().toUint64();
        require(expected <= capacity, CapacityExceeded(capacity, expected));
        require(uint256(change.newRoot) < FIELD_MODULUS, RootNotCanonical(change.newRoot));

        next.fromEpoch = change.epoch + 1;
        next.count = expected;
        next.root = change.newRoot;
        next.log = keccak256(abi.encode(last.log, change.op, change.deal, change.slot, change.stripes, change.listHash));
        // The node says which log it expects after the change: that binds its root to the old log and to this very list of shards.
        require(change.newLog == next.log, LogMoved(next.log, change.newLog));
        Checkpoint[] storage checkpoints = _inventories[change.node];
        // Several changes in one epoch count as one, from the next epoch on.
        if (last.fromEpoch == next.fromEpoch) checkpoints[checkpoints.length - 1] = next;
        else checkpoints.push(next);
    }

    /// @dev The caller's accepted tenure of a slot.
    function _droppable(uint64 deal, uint16 slot, uint64 node, Slot storage target)
        private
        view
        returns (Assignment storage tenure)
    {
        Place memory place = _places[deal][node];
        if (node == 0 || !place.taken || place.slot != slot) {
            uint64 present = target.assignments[target.assignments.length - 1].node;
            revert NotSlotNode(REGISTRY.summaryOf(present).account, msg.sender);
        }
        tenure = target.assignments[place.assignment];
        require(tenure.fromEpoch != 0, NotAccepted(deal, slot));
    }

    function _last(uint64 node) private view returns (Checkpoint memory last) {
        Checkpoint[] storage checkpoints = _inventories[node];
        uint256 length = checkpoints.length;
        if (length != 0) last = checkpoints[length - 1];
    }

    function _known(uint64 deal) private view returns (Deal storage terms) {
        terms = _deals[deal];
        require(terms.state != DealState.None, UnknownDeal(deal));
    }

    function _ownDeal(uint64 deal) private view returns (Deal storage terms) {
        terms = _known(deal);
        require(msg.sender == terms.owner, NotOwner(terms.owner, msg.sender));
    }

    function _slot(uint64 deal, Deal storage terms, uint16 slot) private view returns (Slot storage) {
        require(slot < uint256(terms.k) + terms.m, UnknownSlot(deal, slot));
        return _slots[deal][slot];
    }

    /// @dev An accepted tenure.
    function _tenure(uint64 deal, Deal storage terms, uint16 slot, uint256 index)
        private
        view
        returns (Assignment storage tenure)
    {
        Assignment[] storage assignments = _slot(deal, terms, slot).assignments;
        require(index < assignments.length, UnknownAssignment(deal, slot, index));
        tenure = assignments[index];
        require(tenure.fromEpoch != 0, NotAccepted(deal, slot));
    }

    function _requireState(uint64 deal, Deal storage terms, DealState expected) private view {
        require(terms.state == expected, WrongState(deal, expected, terms.state));
    }

    /// @dev The caller must be the node's account, and the node active and with something left to lose.
    function _requireAccount(uint64 node) private view {
        IRegistry.NodeSummary memory summary = REGISTRY.summaryOf(node);
        require(msg.sender == summary.account, NotSlotNode(summary.account, msg.sender));
        require(summary.status == IRegistry.Status.Active, NodeNotActive(node));
        uint256 floor = REGISTRY.minimumBond() / 2;
        require(summary.bond >= floor, BondTooLow(floor, summary.bond));
    }

    function _emitProposed(uint64 deal, uint64[] calldata nodes) private {
        Deal storage terms = _deals[deal];
        emit DealProposed(
            deal, terms.owner, terms.k, terms.m, terms.stripes, terms.endEpoch, terms.rate, terms.escrow, nodes
        );
    }
}
