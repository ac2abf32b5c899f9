// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

import {StorageProofVerifier as DevelopmentVerifier} from "../src/Development.sol";
import {StorageProofVerifier} from "../src/StorageProofVerifier.sol";

interface Vm {
    function chainId(uint256 id) external;
}

/// @notice The verifier of a ceremony on a proof that its keys made. The test of `prover ceremony` fills in what is left out.
contract CeremonyTest {
    Vm private constant VM = Vm(address(uint160(uint256(keccak256("hevm cheat code")))));

    uint256[8] private proof = [/* proof */];
    uint256[3] private inputs = [/* inputs */];

    function test_the_proof_is_accepted() public {
        StorageProofVerifier verifier = new StorageProofVerifier();
        require(verifier.CIRCUIT_ID() == bytes32(/* circuit */), "another circuit");
        require(verifier.verify(proof, inputs), "refused");
    }

    function test_no_changed_word_is_accepted() public {
        StorageProofVerifier verifier = new StorageProofVerifier();
        for (uint256 i; i < 8; ++i) {
            proof[i] ^= 1;
            require(!verifier.verify(proof, inputs), "a changed proof was accepted");
            proof[i] ^= 1;
        }
        for (uint256 i; i < 3; ++i) {
            inputs[i] ^= 1;
            require(!verifier.verify(proof, inputs), "the proof of another statement was accepted");
            inputs[i] ^= 1;
        }
        // A curve point each, and no proof: the negated C.
        uint256 p = 21888242871839275222246405745257275088696311157297823662689037894645226208583;
        proof[7] = p - proof[7];
        require(!verifier.verify(proof, inputs), "a negated point was accepted");
    }

    function test_development_keys_can_neither_be_deployed_here_nor_judge_the_proof() public {
        try new DevelopmentVerifier() {
            revert("development keys on a chain with money at stake");
        } catch {}
        VM.chainId(31337);
        require(!new DevelopmentVerifier().verify(proof, inputs), "accepted by the development keys");
    }
}
