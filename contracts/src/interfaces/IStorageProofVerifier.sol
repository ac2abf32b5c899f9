// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

/// @title Groth16 verification of storage proofs for one circuit
/// @notice Public inputs in this order: inventory_root, shard_count, seed. Protocol: section 4.
interface IStorageProofVerifier {
    /// @notice True iff the proof holds. False, never a revert, for inputs at or above the field modulus, points off the
    ///         curve or outside the subgroup, and a shard count of 0 or above `CAPACITY`. Reverts only with too little gas to tell.
    /// @param proof A.x, A.y, B.x.c1, B.x.c0, B.y.c1, B.y.c0, C.x, C.y (EIP-197 order).
    function verify(uint256[8] calldata proof, uint256[3] calldata publicInputs) external view returns (bool);
    /// @notice Shards an inventory can hold.
    // forge-lint: disable-next-line(mixed-case-function)
    function CAPACITY() external view returns (uint256);
    /// @notice Hash of the circuit's manifest.
    // forge-lint: disable-next-line(mixed-case-function)
    function CIRCUIT_ID() external view returns (bytes32);
}
