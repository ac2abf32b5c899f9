// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

import {Hashes} from "@openzeppelin/contracts/utils/cryptography/Hashes.sol";
import {Verdict} from "../../src/interfaces/Types.sol";

/// @notice Small Merkle trees of verdicts with sorted pairs.
library Tree {
    function leaf(Verdict memory verdict) internal pure returns (bytes32) {
        return keccak256(bytes.concat(keccak256(abi.encode(verdict))));
    }

    function root(bytes32[] memory leaves) internal pure returns (bytes32) {
        while (leaves.length > 1) {
            leaves = _up(leaves);
        }
        return leaves.length == 0 ? bytes32(0) : leaves[0];
    }

    function proof(bytes32[] memory leaves, uint256 index) internal pure returns (bytes32[] memory path) {
        while (leaves.length > 1) {
            uint256 sibling = index ^ 1;
            if (sibling < leaves.length) {
                bytes32[] memory longer = new bytes32[](path.length + 1);
                for (uint256 i; i < path.length; ++i) {
                    longer[i] = path[i];
                }
                longer[path.length] = leaves[sibling];
                path = longer;
            }
            leaves = _up(leaves);
            index /= 2;
        }
    }

    function _up(bytes32[] memory leaves) private pure returns (bytes32[] memory parents) {
        parents = new bytes32[]((leaves.length + 1) / 2);
        for (uint256 i; i < parents.length; ++i) {
            parents[i] = 2 * i + 1 < leaves.length
                ? Hashes.commutativeKeccak256(leaves[2 * i], leaves[2 * i + 1])
                : leaves[2 * i];
        }
    }
}
