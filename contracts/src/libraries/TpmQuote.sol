// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

import {P256} from "@openzeppelin/contracts/utils/cryptography/P256.sol";

import {TpmAttest} from "./TpmAttest.sol";
import {TpmKey} from "./TpmKey.sol";

/// @title Statements that an attestation key signed
/// @notice Signatures are checked by the P256VERIFY precompile (EIP-7951), nothing else: where it is absent every call reverts.
/// @dev Reasons come in this order: the signature, the structure, the extra data, the rest. Protocol: section 5. Twin in Rust:
///      `verifier::tpm::quote`.
library TpmQuote {
    uint256 private constant SIGNATURE_LENGTH = 64;

    /// @notice The signature is not 64 bytes r and s, both in range.
    error MalformedSignature();
    /// @notice The signature has s above half the group's order; send the other form.
    error HighS();
    /// @notice The attestation key did not sign this.
    error BadSignature();
    /// @notice The statement was made for another purpose, registry, account or block.
    error WrongExtraData(bytes32 expected, bytes32 actual);
    /// @notice The signing key is not the child of the endorsement key.
    error WrongQualifiedSigner(bytes32 expected, bytes32 actual);
    /// @notice What is certified is not the node key, or lies under another parent.
    error WrongCertifiedKey(bytes32 expected, bytes32 actual);

    /// @notice Reads a quote that `ak` made over `extraData`, or reverts.
    function checkQuote(TpmKey.Key memory ak, bytes calldata attest, bytes calldata signature, bytes32 extraData)
        internal
        view
        returns (TpmAttest.Header memory header, uint256 pcrs, bytes32 pcrDigest)
    {
        checkSignature(ak, sha256(attest), signature);
        (header, pcrs, pcrDigest) = TpmAttest.quote(attest);
        require(header.extraData == extraData, WrongExtraData(extraData, header.extraData));
    }

    /// @notice Reverts unless `ak` certifies over `extraData` that `key` lies beside it, both under the endorsement key with the qualified
    ///         name `ek`.
    function checkCertify(
        TpmKey.Key memory ak,
        TpmKey.Key memory key,
        bytes32 ek,
        bytes calldata attest,
        bytes calldata signature,
        bytes32 extraData
    ) internal view {
        checkSignature(ak, sha256(attest), signature);
        (TpmAttest.Header memory header, bytes32 name, bytes32 qualifiedName) = TpmAttest.certify(attest);
        require(header.extraData == extraData, WrongExtraData(extraData, header.extraData));
        bytes32 expected = TpmKey.qualifiedName(ek, ak.name);
        require(header.qualifiedSigner == expected, WrongQualifiedSigner(expected, header.qualifiedSigner));
        require(name == key.name, WrongCertifiedKey(key.name, name));
        expected = TpmKey.qualifiedName(ek, name);
        require(qualifiedName == expected, WrongCertifiedKey(expected, qualifiedName));
    }

    /// @notice Reverts unless `signature` is r and s of a P-256 signature over `digest`, with low s.
    function checkSignature(TpmKey.Key memory key, bytes32 digest, bytes calldata signature) internal view {
        require(signature.length == SIGNATURE_LENGTH, MalformedSignature());
        uint256 r = uint256(bytes32(signature[:32]));
        uint256 s = uint256(bytes32(signature[32:]));
        require(r != 0 && r < P256.N && s != 0 && s < P256.N, MalformedSignature());
        require(s <= P256.N / 2, HighS());
        require(P256.verifyNative(digest, bytes32(r), bytes32(s), key.x, key.y), BadSignature());
    }
}
