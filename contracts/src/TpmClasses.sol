// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

/// @notice The kinds of TPM that the root of a machine's certificate stands for.
library TpmClasses {
    /// @notice A chip of its own.
    uint8 internal constant DISCRETE = 1;
    /// @notice Firmware of the processor or chipset.
    uint8 internal constant FIRMWARE = 2;
    /// @notice Software of a hypervisor or of a cloud, as many as its owner likes; these have a cap of their own.
    uint8 internal constant VIRTUAL = 3;
}
