// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";

import {IRegistry} from "../src/interfaces/IRegistry.sol";
import {QuorumSignatures} from "../src/interfaces/Types.sol";
import {Quorum} from "../src/libraries/Quorum.sol";
import {Fixture} from "./utils/Fixture.sol";

contract QuorumTest is Fixture {
    uint256 private constant CURVE_ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141;
    bytes32 private constant DIGEST = keccak256("digest");

    function test_three_of_four_are_a_quorum() public view {
        registry.checkQuorum(1, DIGEST, _quorum(DIGEST, 0x7));
        registry.checkQuorum(1, DIGEST, _quorum(DIGEST, 0xe));
        registry.checkQuorum(1, DIGEST, _quorum(DIGEST, 0xf));
        assertEq(registry.faultTolerance(1), 1);
    }

    function test_two_of_four_are_refused() public {
        QuorumSignatures memory quorum = _quorum(DIGEST, 0x9);
        vm.expectRevert(abi.encodeWithSelector(Quorum.TooFewSigners.selector, 3, 2));
        registry.checkQuorum(1, DIGEST, quorum);
    }

    function test_an_unknown_index_is_refused() public {
        QuorumSignatures memory quorum = _quorum(DIGEST, 0x7);
        quorum.bitmap |= 1 << 4;
        vm.expectRevert(abi.encodeWithSelector(Quorum.SignerOutOfSet.selector, 4, 0x17));
        registry.checkQuorum(1, DIGEST, quorum);
    }

    function test_one_signature_cannot_count_for_two_members() public {
        QuorumSignatures memory quorum = _quorum(DIGEST, 0x3);
        quorum.bitmap = 0x7;
        quorum.signatures = bytes.concat(quorum.signatures, _signature(oracleKeys[1], DIGEST));
        vm.expectRevert(
            abi.encodeWithSelector(Quorum.WrongSigner.selector, 2, vm.addr(oracleKeys[2]), vm.addr(oracleKeys[1]))
        );
        registry.checkQuorum(1, DIGEST, quorum);
    }

    function test_surplus_bytes_are_refused() public {
        QuorumSignatures memory quorum = _quorum(DIGEST, 0x7);
        quorum.signatures = bytes.concat(quorum.signatures, hex"00");
        vm.expectRevert(abi.encodeWithSelector(Quorum.SignaturesLength.selector, 195, 196));
        registry.checkQuorum(1, DIGEST, quorum);
    }

    function test_missing_bytes_are_refused() public {
        QuorumSignatures memory quorum = _quorum(DIGEST, 0x3);
        quorum.bitmap = 0x7;
        vm.expectRevert(abi.encodeWithSelector(Quorum.SignaturesLength.selector, 195, 130));
        registry.checkQuorum(1, DIGEST, quorum);
    }

    function test_an_unknown_set_is_refused() public {
        QuorumSignatures memory quorum = _quorum(DIGEST, 0x7);
        vm.expectRevert(abi.encodeWithSelector(IRegistry.UnknownSetVersion.selector, 2));
        registry.checkQuorum(2, DIGEST, quorum);
    }

    function testFuzz_a_high_s_signature_is_refused(bytes32 digest, uint256 which) public {
        which = bound(which, 0, 2);
        QuorumSignatures memory quorum;
        quorum.bitmap = 0x7;
        bytes32 highS;
        for (uint256 i; i < 3; ++i) {
            (uint8 v, bytes32 r, bytes32 s) = vm.sign(oracleKeys[i], digest);
            if (i == which) {
                (v, s) = (v == 27 ? 28 : 27, bytes32(CURVE_ORDER - uint256(s)));
                highS = s;
            }
            quorum.signatures = bytes.concat(quorum.signatures, abi.encodePacked(r, s, v));
        }
        vm.expectRevert(abi.encodeWithSelector(ECDSA.ECDSAInvalidSignatureS.selector, highS));
        registry.checkQuorum(1, digest, quorum);
    }

    /// @dev Also a signature beyond the threshold must be right: all four sign here, any byte of which may change.
    function testFuzz_a_damaged_signature_is_refused(bytes32 digest, uint256 position, uint8 change) public {
        QuorumSignatures memory quorum = _quorum(digest, 0xf);
        position = bound(position, 0, quorum.signatures.length - 1);
        vm.assume(change != 0);
        quorum.signatures[position] ^= bytes1(change);
        vm.expectRevert();
        registry.checkQuorum(1, digest, quorum);
    }

    function testFuzz_signatures_over_another_digest_are_refused(bytes32 signed, bytes32 asked) public {
        vm.assume(signed != asked);
        QuorumSignatures memory quorum = _quorum(signed);
        vm.expectRevert();
        registry.checkQuorum(1, asked, quorum);
    }

    function testFuzz_only_bitmaps_with_a_quorum_pass(uint256 bitmap) public {
        bitmap = bound(bitmap, 0, 15);
        uint256 signers;
        for (uint256 i; i < 4; ++i) {
            signers += (bitmap >> i) & 1;
        }
        QuorumSignatures memory quorum = _quorum(DIGEST, bitmap);
        if (signers < 3) vm.expectRevert(abi.encodeWithSelector(Quorum.TooFewSigners.selector, 3, signers));
        registry.checkQuorum(1, DIGEST, quorum);
    }
}
