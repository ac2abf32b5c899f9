// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

import {Test} from "forge-std/Test.sol";

import {StorageProofVerifier} from "../src/StorageProofVerifier.sol";

/// @notice The generated verifier on a proof that Rust made, and on what an attacker could make of it.
/// @dev Refusal is `false`, never a revert: `submitProof` must be able to name it.
contract StorageProofVerifierTest is Test {
    uint256 private constant R = 21888242871839275222246405745257275088548364400416034343698204186575808495617;
    uint256 private constant P = 21888242871839275222246405745257275088696311157297823662689037894645226208583;

    StorageProofVerifier private verifier;
    uint256[8] private proof;
    uint256[8] private rerandomized;
    uint256[3] private inputs;
    string private golden;

    function setUp() public {
        golden = vm.readFile("test/golden/storage-proof.json");
        verifier = new StorageProofVerifier();
        uint256[] memory words = vm.parseJsonUintArray(golden, ".proof");
        uint256[] memory others = vm.parseJsonUintArray(golden, ".rerandomized");
        for (uint256 i; i < 8; ++i) {
            (proof[i], rerandomized[i]) = (words[i], others[i]);
        }
        words = vm.parseJsonUintArray(golden, ".publicInputs");
        for (uint256 i; i < 3; ++i) {
            inputs[i] = words[i];
        }
    }

    function test_the_golden_proof_is_for_this_circuit() public view {
        assertEq(verifier.CIRCUIT_ID(), vm.parseJsonBytes32(golden, ".circuitId"));
    }

    function test_a_proof_made_in_rust_is_accepted() public view {
        assertTrue(verifier.verify(proof, inputs));
    }

    function test_proofs_of_the_portable_prover_and_of_arkworks_are_accepted_too() public view {
        string[2] memory provers = [".portable", ".arkworks"];
        for (uint256 p; p < provers.length; ++p) {
            uint256[] memory words = vm.parseJsonUintArray(golden, provers[p]);
            uint256[8] memory other;
            for (uint256 i; i < 8; ++i) {
                other[i] = words[i];
            }
            assertTrue(verifier.verify(other, inputs));
            assertTrue(other[0] != proof[0]);
        }
    }

    /// @dev Groth16 proofs are malleable: that is why nothing on chain identifies a submission by its proof.
    function test_a_rerandomised_proof_is_a_proof() public view {
        assertTrue(verifier.verify(rerandomized, inputs));
        assertTrue(rerandomized[0] != proof[0]);
    }

    function test_rust_and_solidity_agree_on_the_seed() public view {
        bytes32 beacon = vm.parseJsonBytes32(golden, ".seedOf.beacon");
        uint256 chainId = vm.parseJsonUint(golden, ".seedOf.chainId");
        address hub = vm.parseJsonAddress(golden, ".seedOf.hub");
        uint256 node = vm.parseJsonUint(golden, ".seedOf.node");
        uint256 epoch = vm.parseJsonUint(golden, ".seedOf.epoch");
        bytes32 hash = keccak256(abi.encode(keccak256("probity-seed-1"), beacon, chainId, hub, node, epoch));
        assertEq(uint256(hash) >> 8, inputs[2]);
    }

    function test_another_statement_is_refused() public {
        for (uint256 i; i < 3; ++i) {
            uint256 right = inputs[i];
            inputs[i] = right + 1;
            assertFalse(verifier.verify(proof, inputs));
            inputs[i] = right - 1;
            assertFalse(verifier.verify(proof, inputs));
            inputs[i] = right;
        }
        (inputs[0], inputs[2]) = (inputs[2], inputs[0]);
        assertFalse(verifier.verify(proof, inputs));
    }

    function test_an_input_plus_r_is_refused() public {
        for (uint256 i; i < 3; ++i) {
            uint256 right = inputs[i];
            inputs[i] = right + R;
            assertFalse(verifier.verify(proof, inputs), "the same field element, another encoding");
            inputs[i] = right;
        }
    }

    function test_a_coordinate_plus_p_is_refused() public {
        for (uint256 i; i < 8; ++i) {
            uint256 right = proof[i];
            proof[i] = right + P;
            assertFalse(verifier.verify(proof, inputs));
            proof[i] = right;
        }
    }

    function test_a_count_of_zero_or_above_the_capacity_is_refused() public {
        inputs[1] = 0;
        assertFalse(verifier.verify(proof, inputs));
        inputs[1] = verifier.CAPACITY() + 1;
        assertFalse(verifier.verify(proof, inputs));
        inputs[1] = R - 1;
        assertFalse(verifier.verify(proof, inputs));
    }

    function test_points_at_infinity_are_refused() public {
        uint256[8] memory right = proof;
        (proof[0], proof[1]) = (0, 0);
        assertFalse(verifier.verify(proof, inputs), "A");
        proof = right;
        (proof[2], proof[3], proof[4], proof[5]) = (0, 0, 0, 0);
        assertFalse(verifier.verify(proof, inputs), "B");
        proof = right;
        (proof[6], proof[7]) = (0, 0);
        assertFalse(verifier.verify(proof, inputs), "C");
        uint256[8] memory nothing;
        assertFalse(verifier.verify(nothing, inputs), "all");
    }

    /// @dev A precompile that fails keeps all the gas it was given.
    function test_a_false_proof_costs_no_more_than_a_bounded_amount() public {
        (proof[0], proof[1]) = (1, 1);
        uint256 before = gasleft();
        assertFalse(verifier.verify(proof, inputs), "off the curve");
        assertLt(before - gasleft(), 500_000);
    }

    function test_too_little_gas_never_makes_a_true_proof_look_false() public {
        bytes memory call = abi.encodeCall(verifier.verify, (proof, inputs));
        for (uint256 gas = 10_000; gas < 500_000; gas += 7_000) {
            (bool done, bytes memory answer) = address(verifier).staticcall{gas: gas}(call);
            if (done) assertTrue(abi.decode(answer, (bool)));
        }
        vm.expectPartialRevert(StorageProofVerifier.NotEnoughGas.selector);
        verifier.verify{gas: 300_000}(proof, inputs);
    }

    function test_a_point_of_the_twist_outside_the_subgroup_is_refused() public {
        // x = 1: on the curve over the extension field, but its order is not r.
        proof[2] = 0;
        proof[3] = 1;
        proof[4] = 0x0d1271953ed9ea0836846e70a1934187998c7f790cb4d7511b7f8da82de048a4;
        proof[5] = 0x2869111d5381f072f8e2728fdb825a51aadd70e52c9830e9ab4b871c0531f1bb;
        assertFalse(verifier.verify(proof, inputs));
    }

    function test_a_mirrored_point_is_refused() public {
        uint256[8] memory right = proof;
        proof[1] = P - right[1];
        assertFalse(verifier.verify(proof, inputs), "-A");
        proof = right;
        proof[7] = P - right[7];
        assertFalse(verifier.verify(proof, inputs), "-C");
        proof = right;
        (proof[4], proof[5]) = (P - right[4], P - right[5]);
        assertFalse(verifier.verify(proof, inputs), "-B");
    }

    function test_development_keys_live_on_the_development_chain_only() public {
        vm.chainId(1);
        vm.expectRevert(
            abi.encodeWithSelector(StorageProofVerifier.InsecureDevelopmentKeys.selector, uint256(31337), uint256(1))
        );
        new StorageProofVerifier();
    }

    function testFuzz_a_damaged_coordinate_is_refused(uint256 index, uint256 change) public {
        vm.assume(change != 0);
        proof[index % 8] ^= change;
        assertFalse(verifier.verify(proof, inputs));
    }

    function testFuzz_swapped_coordinates_are_refused(uint256 a, uint256 b) public {
        (a, b) = (a % 8, b % 8);
        vm.assume(a != b);
        (proof[a], proof[b]) = (proof[b], proof[a]);
        assertFalse(verifier.verify(proof, inputs));
    }

    function testFuzz_another_input_is_refused(uint256 index, uint256 value) public {
        index %= 3;
        vm.assume(value != inputs[index]);
        inputs[index] = value;
        assertFalse(verifier.verify(proof, inputs));
    }

    function testFuzz_arbitrary_words_prove_nothing(uint256[8] calldata words) public view {
        assertFalse(verifier.verify(words, inputs));
    }
}
