// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

import {Inventory, ShardRoots} from "./Types.sol";

/// @title Deals, the nodes' inventories, and pay
/// @notice An owner proposes with escrow, publishes each slot's shard roots, seals; nodes accept by themselves. Protocol: sections 2, 7.
interface IDeals {
    enum DealState {
        None,
        Proposed,
        Sealed,
        Closed
    }

    struct Deal {
        address owner;
        DealState state;
        /// Data shards a stripe.
        uint16 k;
        /// Parity shards a stripe.
        uint16 m;
        /// Stripes; every slot holds one shard of each.
        uint32 stripes;
        /// Last epoch that can be paid.
        uint64 endEpoch;
        /// Pay a slot an epoch, token units.
        uint128 rate;
        /// Token units still held for this deal.
        uint256 escrow;
    }

    /// @notice One node's tenure of one slot; a moved slot has several, in order.
    struct Assignment {
        uint64 node;
        /// First epoch counted (epoch of acceptance + 1); 0 while not accepted.
        uint64 fromEpoch;
        /// Last epoch counted.
        uint64 toEpoch;
        /// Last epoch whose pay was claimed.
        uint64 claimedTo;
        bool dropped;
        /// Value of the node's share accumulator up to which slashed shares were pulled.
        uint256 sharePulled;
    }

    event DealProposed(
        uint64 indexed deal,
        address indexed owner,
        uint16 k,
        uint16 m,
        uint32 stripes,
        uint64 endEpoch,
        uint128 rate,
        uint256 escrow,
        uint64[] nodes
    );
    /// @notice Roots of stripes `offset` … `offset + roots.length - 1` of a slot.
    event SlotPublished(uint64 indexed deal, uint16 indexed slot, uint32 offset, ShardRoots[] roots);
    event DealSealed(uint64 indexed deal);
    /// @notice The node took the slot; from the next epoch on it owes proofs and earns pay.
    event SlotAccepted(
        uint64 indexed deal,
        uint16 indexed slot,
        uint64 indexed node,
        uint32 stripes,
        bytes32 slotListHash,
        bytes32 log,
        bytes32 root,
        uint64 count,
        uint64 fromEpoch
    );
    event SlotDropped(
        uint64 indexed deal,
        uint16 indexed slot,
        uint64 indexed node,
        uint32 stripes,
        bytes32 slotListHash,
        bytes32 log,
        bytes32 root,
        uint64 count
    );
    event SlotEnded(uint64 indexed deal, uint16 indexed slot, uint64 indexed node, uint64 toEpoch);
    event SlotMoved(uint64 indexed deal, uint16 indexed slot, uint64 indexed toNode, uint256 assignment);
    event Claimed(
        uint64 indexed deal,
        uint16 indexed slot,
        uint64 indexed node,
        uint64 fromEpoch,
        uint64 toEpoch,
        uint256 paid,
        uint256 refunded
    );
    event SharePulled(uint64 indexed deal, uint16 indexed slot, uint64 indexed node, uint256 amount);
    event ShareCredited(uint64 indexed node, uint64 indexed epoch, uint256 amount, uint256 totalRate);
    event DealClosed(uint64 indexed deal, uint256 returned);

    error UnknownDeal(uint64 deal);
    error UnknownSlot(uint64 deal, uint16 slot);
    error UnknownAssignment(uint64 deal, uint16 slot, uint256 assignment);
    error WrongState(uint64 deal, DealState expected, DealState actual);
    error NotOwner(address expected, address actual);
    error NotSlotNode(address expected, address actual);
    error NodeTwice(uint64 node);
    error NodeNotActive(uint64 node);
    error BondTooLow(uint256 expected, uint256 actual);
    error BadGeometry(uint16 k, uint16 m, uint32 stripes);
    error BadTerms();
    error ChunkOutOfOrder(uint32 expected, uint32 actual);
    error EmptyChunk(uint64 deal, uint16 slot);
    error TooManyShards(uint32 expected, uint256 actual);
    error RootNotCanonical(bytes32 root);
    error SlotIncomplete(uint16 slot, uint32 expected, uint32 actual);
    error AlreadyAccepted(uint64 deal, uint16 slot);
    error NotAccepted(uint64 deal, uint16 slot);
    error LogMoved(bytes32 expected, bytes32 actual);
    error CountMismatch(uint64 expected, uint64 actual);
    error CapacityExceeded(uint64 capacity, uint64 count);
    error SlotNotOver(uint64 toEpoch, uint64 current);
    error DealOver(uint64 endEpoch, uint64 current);
    error SlotOver(uint64 toEpoch, uint64 current);
    error NothingToClaim(uint64 claimedTo);
    error NotHub(address caller);
    error NoShareholders(uint64 node, uint64 epoch);
    error TenuresOpen(uint64 deal, uint32 open);

    /// @notice Proposes a deal; takes (k + m) * rate * durationEpochs from the caller into escrow.
    /// @param nodes Node of each slot, all different.
    function propose(uint16 k, uint16 m, uint32 stripes, uint64[] calldata nodes, uint128 rate, uint64 durationEpochs)
        external
        returns (uint64 deal);
    /// @notice Publishes the next roots of a slot, at least one; slotListHash' = keccak256(abi.encode(slotListHash, storageRoot, transportRoot, contentId)) each.
    function publishSlot(uint64 deal, uint16 slot, uint32 offset, ShardRoots[] calldata roots) external;
    /// @notice Fixes every slot's list; from now on nodes may accept.
    function seal(uint64 deal) external;

    /// @notice The slot's node takes it: log' = keccak256(abi.encode(log, uint8(1), deal, slot, stripes, slotListHash)). The node must be
    ///         active and its bond at least half the minimum: one slashed below that takes nothing new until it is topped up.
    /// @param newLog log' as the node computed it; refused (LogMoved) if the chain computes another. So the change cannot land on another
    ///        history, nor, after a reorganisation, on another list of shards than the one `newRoot` was computed over.
    function accept(uint64 deal, uint16 slot, bytes32 newLog, bytes32 newRoot, uint64 newCount) external;
    /// @notice The node lets go of a slot in its last epoch, `toEpoch`, or later; op 2 in the log. What changes in an epoch counts from the
    ///         next one, so the node still owes the proof of the present epoch. Removes the last assignment of the caller's node in that
    ///         slot that is not dropped yet.
    /// @param newLog log' as in `accept`, with op 2.
    function drop(uint64 deal, uint16 slot, bytes32 newLog, bytes32 newRoot, uint64 newCount) external;

    /// @notice The owner ends a slot: the current epoch is the last that counts.
    function endSlot(uint64 deal, uint16 slot) external;
    /// @notice The owner ends the slot's present tenure (if accepted) and offers the slot to another node.
    function moveSlot(uint64 deal, uint16 slot, uint64 toNode) external returns (uint256 assignment);

    /// @notice Pays the node and refunds the owner for the epochs settled since the last claim. Anybody may call.
    function claim(uint64 deal, uint16 slot, uint256 assignment) external returns (uint256 paid, uint256 refunded);
    /// @notice Pays the owner its share of the node's slashed bond. Anybody may call.
    function pullShare(uint64 deal, uint16 slot, uint256 assignment) external returns (uint256 amount);
    /// @notice Returns what is left of the escrow once every tenure is over, settled and claimed. Owner only; a deal that
    ///         nobody accepted may be closed at any time.
    function close(uint64 deal) external;

    /// @notice Hub only: credits `amount` (already transferred here) to the owners served by `node` in `epoch`.
    function creditShare(uint64 node, uint64 epoch, uint256 amount) external;

    /// @notice The deal; state None if there is no such deal.
    function dealOf(uint64 deal) external view returns (Deal memory);
    /// @notice Deal ids are 1 ... dealCount.
    function dealCount() external view returns (uint64);
    /// @notice Hash over the roots published so far for a slot; fixed once the deal is sealed.
    function slotListHash(uint64 deal, uint16 slot) external view returns (bytes32);
    /// @notice Nodes the slot was offered to so far; the last one is the present one.
    function assignmentCount(uint64 deal, uint16 slot) external view returns (uint256);
    /// @notice One tenure of a slot, by index from 0.
    function assignmentOf(uint64 deal, uint16 slot, uint256 index) external view returns (Assignment memory);
    /// @notice The inventory as the node's last transaction left it.
    function inventoryOf(uint64 node) external view returns (Inventory memory);
    /// @notice The inventory frozen for `epoch`: what held when that epoch began.
    function inventoryAt(uint64 node, uint64 epoch) external view returns (Inventory memory);
    /// @notice Sum of the rates of the slots of `node` that count in `epoch`.
    function rateAt(uint64 node, uint64 epoch) external view returns (uint256);
    /// @notice Slashed shares received and not pulled yet, token units; rounding leaves dust in it.
    function sharePool() external view returns (uint256);
    /// @notice The hub, which alone may credit shares.
    function hub() external view returns (address);
    /// @notice The registry of the nodes deals name.
    function registry() external view returns (address);
    /// @notice The token of escrow and pay.
    function token() external view returns (address);
    /// @notice The verifier of storage proofs, whose capacity bounds inventories.
    function verifier() external view returns (address);
}
