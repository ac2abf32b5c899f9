// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

import {Vm} from "forge-std/Vm.sol";

import {TpmClock} from "../../src/interfaces/Types.sol";

/// @notice A TPM in software: what it would marshal and sign, and what a forger could.
library SoftTpm {
    Vm private constant VM = Vm(address(uint160(uint256(keccak256("hevm cheat code")))));
    uint256 private constant ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551;
    uint32 internal constant AK_ATTRIBUTES = 0x00050472;
    uint32 internal constant NODE_KEY_ATTRIBUTES = 0x00040472;
    bytes internal constant EK_HEAD =
        hex"0001000b000300b20020837197674484b3f81a90cc8d46a5d724fd52d76e06520b64f2a1da1b331469aa00060080004300100800000000000100";

    function publicArea(uint256 secret, uint32 attributes) internal pure returns (bytes memory) {
        (uint256 x, uint256 y) = VM.publicKeyP256(secret);
        return abi.encodePacked(hex"0023000b", attributes, hex"000000100018000b00030010", hex"0020", x, hex"0020", y);
    }

    function ekModulus(uint256 seed) internal pure returns (bytes memory modulus) {
        modulus = abi.encodePacked((uint256(keccak256(abi.encode(seed))) | 1 << 255));
        for (uint256 i = 1; i < 8; ++i) {
            modulus = abi.encodePacked(modulus, keccak256(abi.encode(seed, i)) | bytes32(uint256(1)));
        }
    }

    function ekArea(uint256 seed) internal pure returns (bytes memory) {
        return abi.encodePacked(EK_HEAD, ekModulus(seed));
    }

    function hardwareId(uint256 seed) internal pure returns (bytes32) {
        bytes memory spki = abi.encodePacked(
            hex"30820122300d06092a864886f70d01010105000382010f003082010a0282010100", ekModulus(seed), hex"0203010001"
        );
        return keccak256(spki);
    }

    function nameOf(bytes memory area) internal pure returns (bytes memory) {
        return abi.encodePacked(hex"000b", sha256(area));
    }

    function qualified(bytes memory parent, bytes memory area) internal pure returns (bytes memory) {
        return abi.encodePacked(hex"000b", sha256(abi.encodePacked(parent, nameOf(area))));
    }

    function ekName(uint256 seed) internal pure returns (bytes memory) {
        return qualified(hex"4000000b", ekArea(seed));
    }

    function quote(bytes memory signer, bytes32 extraData, TpmClock memory clock, bytes32 pcrDigest)
        internal
        pure
        returns (bytes memory)
    {
        return abi.encodePacked(
            _header(0x8018, signer, extraData, clock),
            hex"00000001",
            hex"000b",
            hex"03",
            hex"0f0000",
            hex"0020",
            pcrDigest
        );
    }

    function certify(
        bytes memory signer,
        bytes32 extraData,
        TpmClock memory clock,
        bytes memory name,
        bytes memory qualifiedName
    ) internal pure returns (bytes memory) {
        return abi.encodePacked(_header(0x8017, signer, extraData, clock), _sized(name), _sized(qualifiedName));
    }

    /// @dev r and s with low s over the SHA-256 of a message.
    function sign(uint256 secret, bytes memory message) internal pure returns (bytes memory) {
        (bytes32 r, bytes32 s) = VM.signP256(secret, sha256(message));
        if (uint256(s) > ORDER / 2) s = bytes32(ORDER - uint256(s));
        return abi.encodePacked(r, s);
    }

    function _header(uint16 tag, bytes memory signer, bytes32 extraData, TpmClock memory clock)
        private
        pure
        returns (bytes memory)
    {
        return abi.encodePacked(
            hex"ff544347",
            tag,
            _sized(signer),
            hex"0020",
            extraData,
            abi.encodePacked(clock.clockMs, clock.resetCount, clock.restartCount, uint8(1), uint64(0x20200101))
        );
    }

    function _sized(bytes memory part) private pure returns (bytes memory) {
        return abi.encodePacked(uint16(part.length), part);
    }
}
