// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

// Generated from verifier/reasons.toml by `make generate`; edit that file instead.

/// @title Reasons of verdicts and what each one does
library Reasons {
    /// @notice The proof and the attestation hold and were in time; probes were answered.
    uint8 internal constant PASS = 0;
    /// @notice At least f+1 oracles measured answers slower than the deal allows.
    uint8 internal constant SLOW = 1;
    /// @notice At least f+1 oracles could not fetch a single probed range although their own network was up.
    uint8 internal constant UNREACHABLE = 2;
    /// @notice A timely envelope is signed by the enrolled keys, but its quote does not satisfy the policy; or f+1 oracles have revoked the machine.
    uint8 internal constant ATTESTATION_FAILED = 3;
    /// @notice No envelope was received by f+1 oracles before the deadline, nor submitted on chain.
    uint8 internal constant MISSING = 4;
    /// @notice A timely envelope carries a storage proof that does not verify for this node, epoch and inventory.
    uint8 internal constant PROOF_BAD = 5;
    /// @notice The inventory root the node claimed on chain is not the one its log of accepted slots replays to.
    uint8 internal constant INVENTORY_MISMATCH = 6;
    /// @notice An envelope signed by the node key carries a quote that the enrolled attestation key did not make.
    uint8 internal constant ATTESTATION_FORGED = 7;

    /// @notice Effect of a reason on pay, bond and reputation.
    /// @return known Whether the code is a verdict reason.
    /// @return paid Whether the epoch is paid rather than refunded.
    /// @return bond 0 untouched, 1 ladder after one free miss an era, 2 ladder, 3 half and removal.
    /// @return storageRep 0 unchanged, 1 pass, 2 fail.
    /// @return availabilityRep 0 unchanged, 1 pass, 2 fail.
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
