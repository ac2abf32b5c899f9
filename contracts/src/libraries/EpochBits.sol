// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

/// @title Which epochs pay and which refund, 256 epochs a word
/// @notice Each word carries the counts of the words before it, so that counting over any range reads two words. The counts
///         are carried over when the cursor enters a word; that works because epochs are settled in order. Protocol: section 7.
/// @dev Pay of a held epoch may be decided later: `resolve` then repairs the counts of the words from the first held epoch up to the
///      cursor. Nobody counts those words meanwhile, since claims stop before the first held epoch.
library EpochBits {
    /// @notice 256 epochs; bit i is epoch 256 * word + i.
    struct Word {
        uint256 paid;
        uint256 failed;
        /// Pay not decided yet.
        uint256 held;
        /// Paid epochs in all words before this one.
        uint128 paidBefore;
        /// Failed epochs in all words before this one.
        uint128 failedBefore;
    }

    /// @notice Must be called for every epoch, in order, before a bit of it is set.
    function enter(mapping(uint256 index => Word) storage words, uint256 epoch) internal {
        if (epoch & 0xff == 0 && epoch != 0) _carry(words, epoch >> 8);
    }

    /// @notice Marks an epoch as paid.
    function pay(mapping(uint256 index => Word) storage words, uint256 epoch) internal {
        words[epoch >> 8].paid |= _bit(epoch);
    }

    /// @notice Marks an epoch as refunded to the owner.
    function fail(mapping(uint256 index => Word) storage words, uint256 epoch) internal {
        words[epoch >> 8].failed |= _bit(epoch);
    }

    /// @notice Marks an epoch's pay as not decided yet.
    function hold(mapping(uint256 index => Word) storage words, uint256 epoch) internal {
        words[epoch >> 8].held |= _bit(epoch);
    }

    /// @notice Decides every held epoch in [from, to]: paid, or dropped (neither paid nor failed). `to` must be the cursor.
    /// @return epochs How many there were.
    function resolve(mapping(uint256 index => Word) storage words, uint256 from, uint256 to, bool paid)
        internal
        returns (uint256 epochs)
    {
        uint256 last = to >> 8;
        for (uint256 index = from >> 8; index <= last; ++index) {
            Word storage word = words[index];
            uint256 held = word.held;
            if (held != 0) {
                epochs += popcount(held);
                if (paid) word.paid |= held;
                word.held = 0;
            }
            if (index != last) _carry(words, index + 1);
        }
    }

    /// @notice Paid and failed epochs in [from, to].
    function count(mapping(uint256 index => Word) storage words, uint256 from, uint256 to)
        internal
        view
        returns (uint256 paid, uint256 failed)
    {
        if (from > to) return (0, 0);
        (paid, failed) = _upTo(words, to);
        if (from != 0) {
            (uint256 paidBefore, uint256 failedBefore) = _upTo(words, from - 1);
            paid -= paidBefore;
            failed -= failedBefore;
        }
    }

    /// @notice Number of set bits.
    /// @dev Sums in fields of 2, 4, 8 and 16 bits; the multiplication adds the sixteen 16-bit fields into the top one.
    function popcount(uint256 x) internal pure returns (uint256) {
        unchecked {
            x -= (x >> 1) & 0x5555555555555555555555555555555555555555555555555555555555555555;
            x = (x & 0x3333333333333333333333333333333333333333333333333333333333333333)
                + ((x >> 2) & 0x3333333333333333333333333333333333333333333333333333333333333333);
            x = (x + (x >> 4)) & 0x0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f;
            x = (x + (x >> 8)) & 0x00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff00ff;
            return (x * 0x0001000100010001000100010001000100010001000100010001000100010001) >> 240;
        }
    }

    /// @dev Carries the counts of the word before `index` over to it.
    function _carry(mapping(uint256 index => Word) storage words, uint256 index) private {
        Word storage before = words[index - 1];
        Word storage word = words[index];
        // At most 256 more than before, once every 256 epochs: 128 bits cannot overflow.
        unchecked {
            word.paidBefore = before.paidBefore + uint128(popcount(before.paid));
            word.failedBefore = before.failedBefore + uint128(popcount(before.failed));
        }
    }

    /// @dev Paid and failed epochs in [0, epoch].
    function _upTo(mapping(uint256 index => Word) storage words, uint256 epoch)
        private
        view
        returns (uint256 paid, uint256 failed)
    {
        Word storage word = words[epoch >> 8];
        uint256 mask = type(uint256).max >> (255 - (epoch & 0xff));
        paid = word.paidBefore + popcount(word.paid & mask);
        failed = word.failedBefore + popcount(word.failed & mask);
    }

    function _bit(uint256 epoch) private pure returns (uint256) {
        return uint256(1) << (epoch & 0xff);
    }
}
