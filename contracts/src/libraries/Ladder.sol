// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

import {EpochBits} from "./EpochBits.sol";

/// @title What a miss costs
/// @notice 1%, 2%, 4%, 8%, then 10% of the bond, by the penalised misses among the node's last 256 judged epochs. Protocol: section 7.
/// @dev The window is a shift register: bit 0 is the epoch judged last. What is older than 256 judged epochs falls out of it.
library Ladder {
    /// @notice Effects of a reason on the bond, as in `Reasons.effect`.
    uint8 internal constant NONE = 0;
    uint8 internal constant GRACE_LADDER = 1;
    uint8 internal constant LADDER = 2;
    uint8 internal constant HALF = 3;

    /// @notice The first step.
    uint256 internal constant FIRST_BPS = 100;
    /// @notice No single miss costs more.
    uint256 internal constant MAXIMUM_BPS = 1000;
    /// @notice Forged attestation.
    uint256 internal constant HALF_BPS = 5000;

    /// @notice The window after one more judged epoch.
    function shift(uint256 window, bool penalised) internal pure returns (uint256) {
        return (window << 1) | (penalised ? 1 : 0);
    }

    /// @notice Basis points of the bond that the miss in bit 0 of the window costs.
    function bps(uint256 window) internal pure returns (uint256) {
        uint256 misses = EpochBits.popcount(window);
        if (misses == 0) return 0;
        // 100 << 4 is past the cap, so larger counts need no shift.
        return misses > 4 ? MAXIMUM_BPS : FIRST_BPS << (misses - 1);
    }
}
