// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

import {IHub} from "../interfaces/IHub.sol";

/// @title Reputation arithmetic
/// @notice Integers only, so that everybody gets the same score. With each pass or fail both weights fade, `w = w * 999 / 1000`
///         (rounded down), and then a pass adds 1e6 to alpha, a fail to beta: what happened long ago counts less than what
///         happened lately, for both alike. Protocol: section 7; docs/adr/0007-reputation-forgets-both-ways.md.
/// @dev Weights start at 5e6 and saturate: `w * 999 / 1000 + 1e6` has its fixed point at 1e9 and rounding down never passes it, so
///      64 bits cannot overflow. The weight that grew last is at least 1e6, so their sum is never zero.
library Score {
    /// @notice Weight before the first verdict.
    uint64 internal constant START = 5e6;
    /// @notice What one epoch adds.
    uint64 internal constant STEP = 1e6;
    /// @notice No weight exceeds this.
    uint64 internal constant MAXIMUM = 1e9;
    /// @notice Basis points in one.
    uint64 internal constant ONE = 10_000;

    /// @notice Effects of a reason on one of the two reputations, as in `Reasons.effect`.
    uint8 internal constant NONE = 0;
    uint8 internal constant PASS = 1;
    uint8 internal constant FAIL = 2;

    /// @notice Reputation of a node nobody has judged yet.
    function initial() internal pure returns (IHub.Reputation memory) {
        return IHub.Reputation({
            storageAlpha: START, storageBeta: START, availabilityAlpha: START, availabilityBeta: START, judgedEpochs: 0
        });
    }

    /// @notice Changes both reputations by one verdict.
    function judge(IHub.Reputation memory reputation, uint8 storageEffect, uint8 availabilityEffect) internal pure {
        (reputation.storageAlpha, reputation.storageBeta) =
            step(reputation.storageAlpha, reputation.storageBeta, storageEffect);
        (reputation.availabilityAlpha, reputation.availabilityBeta) =
            step(reputation.availabilityAlpha, reputation.availabilityBeta, availabilityEffect);
        ++reputation.judgedEpochs;
    }

    /// @notice One pass, fail, or nothing.
    function step(uint64 alpha, uint64 beta, uint8 effect) internal pure returns (uint64, uint64) {
        if (effect == PASS) return (_fade(alpha) + STEP, _fade(beta));
        if (effect == FAIL) return (_fade(alpha), _fade(beta) + STEP);
        return (alpha, beta);
    }

    /// @notice 10000 * alpha / (alpha + beta), rounded down.
    function bps(uint64 alpha, uint64 beta) internal pure returns (uint16) {
        // At most 10,000, since beta is not negative.
        // forge-lint: disable-next-line(unsafe-typecast)
        return uint16((uint256(ONE) * alpha) / (uint256(alpha) + beta));
    }

    function _fade(uint64 weight) private pure returns (uint64) {
        return (weight * 999) / 1000;
    }
}
