// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

/// @title A cursor over a structure a TPM marshalled
/// @notice Big-endian integers and TPM2Bs (a 16-bit size and that many bytes), read from calldata; never past the end.
/// @dev Each function takes the position to read at and returns the one behind what it read. A position is at most the length.
///      Reference: TPM 2.0 Library Specification, part 2. Twin in Rust: `verifier::tpm::wire`.
library TpmReader {
    /// @notice No structure read here is longer: an RSA-2048 public area has 314 bytes, a quote about 150.
    uint256 internal constant LIMIT = 2048;

    /// @dev SHA-256 as a name algorithm, in front of a digest.
    uint256 private constant SHA256 = 0x000b;
    uint256 private constant NAME_LENGTH = 34;

    /// @notice A structure ends before its last field.
    error Truncated();
    /// @notice Bytes follow the last field of a structure.
    error TrailingBytes(uint256 surplus);
    /// @notice A structure is longer than any honest one.
    error StructureTooLarge(uint256 limit, uint256 actual);

    function checkLength(bytes calldata data) internal pure {
        require(data.length <= LIMIT, StructureTooLarge(LIMIT, data.length));
    }

    /// @notice An unsigned integer of `size` bytes, 1 to 32.
    function integer(bytes calldata data, uint256 pos, uint256 size)
        internal
        pure
        returns (uint256 value, uint256 next)
    {
        next = pos + size;
        require(next <= data.length, Truncated());
        value = uint256(bytes32(data[pos:next])) >> (256 - 8 * size);
    }

    /// @notice The place of a TPM2B's contents.
    function sized(bytes calldata data, uint256 pos) internal pure returns (uint256 start, uint256 next) {
        uint256 size;
        (size, start) = integer(data, pos, 2);
        next = start + size;
        require(next <= data.length, Truncated());
    }

    /// @notice A TPM2B that should have 32 bytes; zero stands for one that has not.
    /// @dev Callers compare with, or ask for membership of, the output of a hash, which is never zero.
    function sizedWord(bytes calldata data, uint256 pos) internal pure returns (bytes32 word, uint256 next) {
        uint256 start;
        (start, next) = sized(data, pos);
        if (next - start == 32) word = bytes32(data[start:next]);
    }

    /// @notice The digest in a TPM2B_NAME; zero stands for what is no SHA-256 name.
    function sizedName(bytes calldata data, uint256 pos) internal pure returns (bytes32 digest, uint256 next) {
        uint256 start;
        (start, next) = sized(data, pos);
        if (next - start == NAME_LENGTH && uint16(bytes2(data[start:start + 2])) == SHA256) {
            digest = bytes32(data[start + 2:next]);
        }
    }

    /// @notice Nothing may follow the last field.
    function finish(bytes calldata data, uint256 pos) internal pure {
        require(pos == data.length, TrailingBytes(data.length - pos));
    }
}
