// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

/// @title Verdict reasons and their effects
/// @notice Made from verifier/reasons.toml; change that file, not this one. Codes are permanent.
library Reasons {
    uint8 internal constant PASS = 0;
    uint8 internal constant SLOW = 1;
    uint8 internal constant UNREACHABLE = 2;
    uint8 internal constant ATTESTATION_FAILED = 3;
    uint8 internal constant MISSING = 4;
    uint8 internal constant PROOF_BAD = 5;
    uint8 internal constant INVENTORY_MISMATCH = 6;
    uint8 internal constant ATTESTATION_FORGED = 7;

    /// @notice What a reason does. bond: 0 none, 1 grace-ladder, 2 ladder, 3 half; reputations: 0 none, 1 pass, 2 fail.
    function effect(uint8 reason)
        internal
        pure
        returns (bool known, bool paid, uint8 bond, uint8 storageRep, uint8 availabilityRep)
    {
        if (reason == PASS) return (true, true, 0, 1, 1);
        if (reason == SLOW) return (true, true, 0, 1, 2);
        if (reason == UNREACHABLE) return (true, false, 0, 1, 2);
        if (reason == ATTESTATION_FAILED) return (true, false, 2, 2, 0);
        if (reason == MISSING) return (true, false, 1, 2, 0);
        if (reason == PROOF_BAD) return (true, false, 2, 2, 0);
        if (reason == INVENTORY_MISMATCH) return (true, false, 2, 2, 0);
        if (reason == ATTESTATION_FORGED) return (true, false, 3, 2, 0);
        return (false, false, 0, 0, 0);
    }
}
