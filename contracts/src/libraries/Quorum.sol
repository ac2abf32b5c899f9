// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {OracleInfo, QuorumSignatures} from "../interfaces/Types.sol";

/// @title Signatures of a committee over one digest
/// @notice A bitmap names the signers; their 65-byte signatures (r, s, v) follow in ascending order of index. A signer cannot
///         count twice, because a bit is set once. Protocol: sections 1 and 6.
/// @dev Every signature given is checked, also beyond the threshold: a single wrong one refuses the whole quorum.
library Quorum {
    /// @notice Bytes of one signature.
    uint256 internal constant SIGNATURE_LENGTH = 65;

    /// @notice Fewer signers than the threshold.
    error TooFewSigners(uint256 expected, uint256 actual);
    /// @notice The bitmap names a member the set does not have.
    error SignerOutOfSet(uint256 members, uint256 bitmap);
    /// @notice `signatures` is not exactly as long as the bitmap says.
    error SignaturesLength(uint256 expected, uint256 actual);
    /// @notice The signature at this index is somebody else's.
    error WrongSigner(uint256 index, address expected, address actual);

    /// @notice Reverts unless at least `threshold` members signed `digest` and every signature given is right.
    /// @dev A high s reverts with OpenZeppelin's `ECDSAInvalidSignatureS`, anything unrecoverable with `ECDSAInvalidSignature`.
    function check(OracleInfo[] storage members, uint256 threshold, bytes32 digest, QuorumSignatures calldata quorum)
        internal
        view
    {
        uint256 size = members.length;
        uint256 bitmap = quorum.bitmap;
        require(size >= 256 || bitmap >> size == 0, SignerOutOfSet(size, bitmap));

        bytes calldata signatures = quorum.signatures;
        uint256 offset;
        for (uint256 index; bitmap != 0; ++index) {
            if (bitmap & 1 == 1) {
                require(
                    signatures.length >= offset + SIGNATURE_LENGTH,
                    SignaturesLength(offset + SIGNATURE_LENGTH, signatures.length)
                );
                address expected = members[index].account;
                address actual = ECDSA.recover(
                    digest,
                    uint8(signatures[offset + 64]),
                    bytes32(signatures[offset:offset + 32]),
                    bytes32(signatures[offset + 32:offset + 64])
                );
                require(actual == expected, WrongSigner(index, expected, actual));
                offset += SIGNATURE_LENGTH;
            }
            bitmap >>= 1;
        }
        require(signatures.length == offset, SignaturesLength(offset, signatures.length));
        uint256 signers = offset / SIGNATURE_LENGTH;
        require(signers >= threshold, TooFewSigners(threshold, signers));
    }
}
