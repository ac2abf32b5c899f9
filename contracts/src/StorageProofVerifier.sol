// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

// Generated from the verifying key by `prover solidity-verifier`; edit the generator instead.

import {IStorageProofVerifier} from "./interfaces/IStorageProofVerifier.sol";

/// @title Groth16 verifier of storage proofs: circuit probity-storage-1, profile dev
/// @notice Public inputs in this order: inventory_root, shard_count, seed. Protocol: section 4.
/// @dev INSECURE DEVELOPMENT KEYS: anybody can forge proofs for them. It cannot be deployed on any chain but the
///      development one.
contract StorageProofVerifier is IStorageProofVerifier {
    /// @notice The call came with too little gas to tell a true proof from a false one.
    error NotEnoughGas(uint256 needed, uint256 available);

    /// @notice Development keys on a chain where money is at stake.
    error InsecureDevelopmentKeys(uint256 expectedChain, uint256 actualChain);

    /// @inheritdoc IStorageProofVerifier
    uint256 public constant CAPACITY = 64;
    /// @inheritdoc IStorageProofVerifier
    bytes32 public constant CIRCUIT_ID = 0x990d897955a8823b4e1ef355a90fd5a9712abb57ed29b8fe5f733dd87cd5247a;

    // Order of the groups, and modulus of the field their coordinates are in.
    uint256 private constant R = 21888242871839275222246405745257275088548364400416034343698204186575808495617;
    uint256 private constant P = 21888242871839275222246405745257275088696311157297823662689037894645226208583;

    // A precompile that refuses its input eats all the gas it was given: give it twice its price (EIP-1108), not everything.
    uint256 private constant GAS_ADD = 300;
    uint256 private constant GAS_MUL = 12_000;
    uint256 private constant GAS_PAIRING = 362_000;
    // All of these together with what a call may not pass on (EIP-150), and the rest of this contract.
    uint256 private constant GAS_NEEDED = 420_000;

    // The verifying key; the points of the second group are negated, and the imaginary coordinate stands first.
    uint256 private constant ALPHA_X = 0x29c0c19b57738f600ff5b7bcd712ad242f6dbaa926f26c0fa8370680bd8c4183;
    uint256 private constant ALPHA_Y = 0x28ce778a6e0de12af24ab450890494f3225060fa0af01164b24f2ea91397c824;
    uint256 private constant IC0_X = 0x2fa729ad948037bc67396673f1f3aaec3f634d29637cfaf5b5aabee0c32212d4;
    uint256 private constant IC0_Y = 0x1ea76ed458edb5ab4220459f1531f866d08e63402f92c2abc0af2f3438153624;
    uint256 private constant IC1_X = 0x0b6ce379fafe9f5ff0210d4cd447721e0eaefe49ac8838df1f425a70862af5e9;
    uint256 private constant IC1_Y = 0x0738c34876cef2e1727f7cd30c6e082caf387ca69be4c806a243795fa9174134;
    uint256 private constant IC2_X = 0x011ce4f2673df8e0c61fd9a14ff3cb0095b71de070cfec5a253cdf47d3e3d875;
    uint256 private constant IC2_Y = 0x0aa77e8c8ffc8c29230c0f91359c6ea5346ee28e14699d0ccf7e6c664eb9b4d9;
    uint256 private constant IC3_X = 0x16b456e32a665da66f15a5f3ec1447e1a27c1ccdf41deff0b507ce9d5876c12b;
    uint256 private constant IC3_Y = 0x255a2d495e5ec6979a3ce42baffc235dbe7e4e9f08cdc15055abf02b29ed4141;
    uint256 private constant NEG_BETA_X1 = 0x19e745ba72b89fe7b63ea1612ab460bb24c6388e459daaa54f9e05bbc05c6d90;
    uint256 private constant NEG_BETA_X0 = 0x1479ae9ed2fd68e9b9deafac238e3fe71264e0cab5aacaf80e3e65d6b8d65035;
    uint256 private constant NEG_BETA_Y1 = 0x2a3cf9caf27ff7b151027a5f15b60dfdae38813166bd11cd5843d4fa520be8fd;
    uint256 private constant NEG_BETA_Y0 = 0x20a69230dfed9637413ea27b0e894f42cf7c795ff200a9adf41b685ef4645656;
    uint256 private constant NEG_GAMMA_X1 = 0x1417eb0828ba592b16055bfdaf12c0e3626e14ce8e9124fc5ab700e82f4ff506;
    uint256 private constant NEG_GAMMA_X0 = 0x1726ca62cb2d5e03931124c46eadea8893c0488dcb6e14caf542a61b0ac33783;
    uint256 private constant NEG_GAMMA_Y1 = 0x0a16e169cdb15fd2cd47c01b9b94c834356aa2807ab13e6ba98405f872791b63;
    uint256 private constant NEG_GAMMA_Y0 = 0x2bb5290bc462f7308fd64808987d956a5e6ce6f6d67cca4f6a0b93f47253880c;
    uint256 private constant NEG_DELTA_X1 = 0x133eeaa91a0346b354858feaa3d22bc4d50f221f7db7a416cea39d30da8b6e39;
    uint256 private constant NEG_DELTA_X0 = 0x05d4dbacfb3558f5ea1be7a4e7971b06aee144ed1ecdc06bb8b1e409a231f49a;
    uint256 private constant NEG_DELTA_Y1 = 0x29fe0e8a26fb805cb64b501400fada83ff68e3a6e047b589bd76fe6524fe03f1;
    uint256 private constant NEG_DELTA_Y0 = 0x1a52bf6d9c716959687133bc28f8c046fb40c316ab4e4db795192d1f43e60f26;

    constructor() {
        require(block.chainid == 31337, InsecureDevelopmentKeys(31337, block.chainid));
    }

    /// @inheritdoc IStorageProofVerifier
    function verify(uint256[8] calldata proof, uint256[3] calldata publicInputs) external view returns (bool) {
        if (publicInputs[0] >= R || publicInputs[2] >= R) return false;
        if (publicInputs[1] == 0 || publicInputs[1] > CAPACITY) return false;
        for (uint256 i = 0; i < 8; ++i) {
            if (proof[i] >= P) return false;
        }
        // The precompiles take zeros for the point at infinity, which is part of no honest proof.
        if (proof[0] | proof[1] == 0) return false;
        if (proof[2] | proof[3] | proof[4] | proof[5] == 0) return false;
        if (proof[6] | proof[7] == 0) return false;
        // Otherwise whoever pays for the gas could make a true proof look false.
        require(gasleft() >= GAS_NEEDED, NotEnoughGas(GAS_NEEDED, gasleft()));
        return _pairingHolds(proof, publicInputs);
    }

    /// @dev e(A, B) e(alpha, -beta) e(IC0 + sum of input i times ICi, -gamma) e(C, -delta) = 1. The precompiles fail for
    ///      points that are off their curve or outside the subgroup.
    function _pairingHolds(uint256[8] calldata proof, uint256[3] calldata publicInputs)
        private
        view
        returns (bool valid)
    {
        assembly ("memory-safe") {
            // Scratch space behind the free pointer: first for the sum over the inputs, then for the pairing.
            let m := mload(0x40)
            mstore(m, IC0_X)
            mstore(add(m, 0x20), IC0_Y)
            valid := 1
            mstore(add(m, 0x40), IC1_X)
            mstore(add(m, 0x60), IC1_Y)
            mstore(add(m, 0x80), calldataload(add(publicInputs, 0x00)))
            valid := and(valid, staticcall(GAS_MUL, 7, add(m, 0x40), 0x60, add(m, 0x40), 0x40))
            valid := and(valid, staticcall(GAS_ADD, 6, m, 0x80, m, 0x40))
            mstore(add(m, 0x40), IC2_X)
            mstore(add(m, 0x60), IC2_Y)
            mstore(add(m, 0x80), calldataload(add(publicInputs, 0x20)))
            valid := and(valid, staticcall(GAS_MUL, 7, add(m, 0x40), 0x60, add(m, 0x40), 0x40))
            valid := and(valid, staticcall(GAS_ADD, 6, m, 0x80, m, 0x40))
            mstore(add(m, 0x40), IC3_X)
            mstore(add(m, 0x60), IC3_Y)
            mstore(add(m, 0x80), calldataload(add(publicInputs, 0x40)))
            valid := and(valid, staticcall(GAS_MUL, 7, add(m, 0x40), 0x60, add(m, 0x40), 0x40))
            valid := and(valid, staticcall(GAS_ADD, 6, m, 0x80, m, 0x40))

            let x := mload(m)
            let y := mload(add(m, 0x20))
            calldatacopy(m, proof, 0xc0)
            mstore(add(m, 0xc0), ALPHA_X)
            mstore(add(m, 0xe0), ALPHA_Y)
            mstore(add(m, 0x100), NEG_BETA_X1)
            mstore(add(m, 0x120), NEG_BETA_X0)
            mstore(add(m, 0x140), NEG_BETA_Y1)
            mstore(add(m, 0x160), NEG_BETA_Y0)
            mstore(add(m, 0x180), x)
            mstore(add(m, 0x1a0), y)
            mstore(add(m, 0x1c0), NEG_GAMMA_X1)
            mstore(add(m, 0x1e0), NEG_GAMMA_X0)
            mstore(add(m, 0x200), NEG_GAMMA_Y1)
            mstore(add(m, 0x220), NEG_GAMMA_Y0)
            calldatacopy(add(m, 0x240), add(proof, 0xc0), 0x40)
            mstore(add(m, 0x280), NEG_DELTA_X1)
            mstore(add(m, 0x2a0), NEG_DELTA_X0)
            mstore(add(m, 0x2c0), NEG_DELTA_Y1)
            mstore(add(m, 0x2e0), NEG_DELTA_Y0)
            valid := and(valid, staticcall(GAS_PAIRING, 8, m, 0x300, m, 0x20))
            valid := and(valid, eq(returndatasize(), 0x20))
            valid := and(valid, eq(mload(m), 1))
        }
    }
}
