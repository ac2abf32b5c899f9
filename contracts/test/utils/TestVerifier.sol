// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

import {IStorageProofVerifier} from "../../src/interfaces/IStorageProofVerifier.sol";

/// @notice Takes a hash of the statement for its proof, so that the rules around the real verifier can be tested without a prover.
contract TestVerifier is IStorageProofVerifier {
    uint256 public constant CAPACITY = 64;
    bytes32 public constant CIRCUIT_ID = keccak256("test");

    /// @notice The one proof of a statement.
    function proofOf(uint256[3] memory publicInputs) public pure returns (uint256[8] memory proof) {
        proof[0] = uint256(keccak256(abi.encode(publicInputs)));
    }

    function verify(uint256[8] calldata proof, uint256[3] calldata publicInputs) external pure returns (bool) {
        return proof[0] == uint256(keccak256(abi.encode(publicInputs)));
    }
}
