// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

import {TpmClock} from "../interfaces/Types.sol";
import {TpmReader} from "./TpmReader.sol";

/// @title What a TPM signs when it quotes PCRs or certifies a key (TPMS_ATTEST)
/// @notice Parsed strictly: every size within bounds, no byte left over. Names and digests of another length than SHA-256's read as zero,
///         which equals nothing they are compared with.
/// @dev Reference: TPM 2.0 Library Specification, part 2, "Attestation structures". Twin in Rust: `verifier::tpm::wire::Attest`.
library TpmAttest {
    /// @notice The part every attestation has.
    struct Header {
        /// Digest of the signing key's qualified name.
        bytes32 qualifiedSigner;
        /// The caller's data, bound by the signature.
        bytes32 extraData;
        TpmClock clock;
        uint64 firmwareVersion;
    }

    /// @dev TPM_GENERATED_VALUE: a restricted key never signs outside data that starts with it.
    uint256 private constant MAGIC = 0xff544347;
    uint256 private constant CERTIFY = 0x8017;
    uint256 private constant QUOTE = 0x8018;
    uint256 private constant SHA256 = 0x000b;
    /// @dev 32 PCRs; PC-client TPMs have 24.
    uint256 private constant SELECT_BYTES_LIMIT = 4;

    /// @notice The structure does not start with TPM_GENERATED_VALUE: no TPM made it.
    error NotMadeByTpm(uint256 magic);
    /// @notice The attestation is of another type.
    error WrongAttestationType(uint256 expected, uint256 actual);
    /// @notice A field holds a value the specification does not allow.
    error MalformedAttestation();
    /// @notice The quote does not cover exactly one bank, SHA-256.
    error WrongPcrBank();

    /// @notice Reads a quote: bit i of `pcrs` is PCR i of the SHA-256 bank, `pcrDigest` the SHA-256 over their values in order.
    function quote(bytes calldata attest)
        internal
        pure
        returns (Header memory header, uint256 pcrs, bytes32 pcrDigest)
    {
        uint256 pos;
        (header, pos) = _header(attest, QUOTE);
        (pcrs, pos) = _selection(attest, pos);
        (pcrDigest, pos) = TpmReader.sizedWord(attest, pos);
        TpmReader.finish(attest, pos);
    }

    /// @notice Reads a certification: digests of the certified key's name and qualified name.
    function certify(bytes calldata attest)
        internal
        pure
        returns (Header memory header, bytes32 name, bytes32 qualifiedName)
    {
        uint256 pos;
        (header, pos) = _header(attest, CERTIFY);
        (name, pos) = TpmReader.sizedName(attest, pos);
        (qualifiedName, pos) = TpmReader.sizedName(attest, pos);
        TpmReader.finish(attest, pos);
    }

    function _header(bytes calldata attest, uint256 expected) private pure returns (Header memory header, uint256 pos) {
        TpmReader.checkLength(attest);
        uint256 value;
        (value, pos) = TpmReader.integer(attest, 0, 4);
        require(value == MAGIC, NotMadeByTpm(value));
        (value, pos) = TpmReader.integer(attest, pos, 2);
        require(value == expected, WrongAttestationType(expected, value));
        (header.qualifiedSigner, pos) = TpmReader.sizedName(attest, pos);
        (header.extraData, pos) = TpmReader.sizedWord(attest, pos);
        // Clock, resetCount, restartCount, safe, firmwareVersion: 8 + 4 + 4 + 1 + 8 bytes.
        (value, pos) = TpmReader.integer(attest, pos, 25);
        uint256 safe = (value >> 64) & 0xff;
        require(safe <= 1, MalformedAttestation());
        // Each cast keeps the bits of one field.
        // forge-lint: disable-start(unsafe-typecast)
        header.clock = TpmClock({
            clockMs: uint64(value >> 136), resetCount: uint32(value >> 104), restartCount: uint32(value >> 72)
        });
        header.firmwareVersion = uint64(value);
        // forge-lint: disable-end(unsafe-typecast)
    }

    /// @dev TPML_PCR_SELECTION of one TPMS_PCR_SELECTION. Byte k, bit j stands for PCR 8k + j.
    function _selection(bytes calldata attest, uint256 pos) private pure returns (uint256 pcrs, uint256 next) {
        uint256 value;
        (value, next) = TpmReader.integer(attest, pos, 4);
        require(value == 1, WrongPcrBank());
        (value, next) = TpmReader.integer(attest, next, 2);
        require(value == SHA256, WrongPcrBank());
        (value, next) = TpmReader.integer(attest, next, 1);
        require(value <= SELECT_BYTES_LIMIT, MalformedAttestation());
        uint256 size = value;
        for (uint256 k; k < size; ++k) {
            (value, next) = TpmReader.integer(attest, next, 1);
            pcrs |= value << (8 * k);
        }
    }
}
