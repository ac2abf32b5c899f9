// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

/// @title A sum over epochs whose changes may lie in the future
/// @notice Holds `value(epoch) = sum of all changes at or before epoch`. A slot adds its rate at its first epoch and takes it away
///         after its last one, long before that epoch comes, so no list sorted by time of writing would do. Protocol: section 7.
/// @dev A radix tree over epochs: four levels of 64, each node the sum of what lies below it. A change writes four words, a
///      reading adds at most 63 words a level, whatever the number of slots and epochs.
library EpochSums {
    /// @notice Changes, by level and by `epoch >> (6 * level)`.
    struct Sums {
        mapping(uint256 level => mapping(uint256 index => int256)) nodes;
    }

    /// @notice Epochs a tree can hold; 1,900 years of hourly ones.
    uint64 internal constant LIMIT = uint64(1) << (BITS * LEVELS);

    uint64 private constant BITS = 6;
    uint64 private constant LEVELS = 4;

    /// @notice The epoch does not fit the tree.
    error EpochOutOfRange(uint64 limit, uint64 actual);

    /// @notice Adds `change` to the value of `epoch` and every later one.
    function add(Sums storage sums, uint64 epoch, int256 change) internal {
        require(epoch < LIMIT, EpochOutOfRange(LIMIT, epoch));
        uint256 index = epoch;
        for (uint256 level; level < LEVELS; ++level) {
            sums.nodes[level][index] += change;
            index >>= BITS;
        }
    }

    /// @notice The value at `epoch`.
    function valueAt(Sums storage sums, uint64 epoch) internal view returns (int256 value) {
        uint256 index = epoch < LIMIT ? epoch : LIMIT - 1;
        // On each level the siblings to the left; on the lowest one also the node itself.
        value = sums.nodes[0][index];
        for (uint256 level; level < LEVELS; ++level) {
            for (uint256 left = index & ~uint256(63); left < index; ++left) {
                value += sums.nodes[level][left];
            }
            index >>= BITS;
        }
    }
}
