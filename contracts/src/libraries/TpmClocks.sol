// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

import {TpmClock} from "../interfaces/Types.sol";

/// @title Whether a TPM's clock has run backwards
/// @notice What honest hardware does is no fault: a power loss raises the reset count and may set clock and restart count back. What is left is a
///         TPM whose state was rolled back or copied. Protocol: section 5. Twin in Rust: `verifier::tpm::ClockInfo::check_progress`.
library TpmClocks {
    /// @notice A counter is lower than in a quote that was accepted before.
    error TpmClockBackwards(TpmClock previous, TpmClock current);

    /// @notice Reverts if `current` cannot come after `previous` on one TPM.
    function checkProgress(TpmClock memory previous, TpmClock memory current) internal pure {
        bool backwards;
        if (current.resetCount != previous.resetCount) {
            backwards = current.resetCount < previous.resetCount;
        } else {
            backwards = current.restartCount < previous.restartCount || current.clockMs < previous.clockMs;
        }
        require(!backwards, TpmClockBackwards(previous, current));
    }
}
