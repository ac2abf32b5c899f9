// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

import {P256} from "@openzeppelin/contracts/utils/cryptography/P256.sol";

import {TpmReader} from "./TpmReader.sol";

/// @title Public areas of a TPM's keys (TPMT_PUBLIC), and what such a key must be
/// @notice An attestation key is a restricted ECDSA P-256 key that cannot leave its TPM: it signs only what the TPM itself made. A node
///         key is the same without the restriction. The endorsement key is that of the TCG's template L-1.
/// @dev A public area is what its owner says of a key. That the TPM says the same follows from a name, a hash over all of it, in what a
///      genuine attestation key signed. Protocol: section 5. Twin in Rust: `verifier::tpm::quote` and `verifier::tpm::on_chain`.
library TpmKey {
    /// @notice What a signing key is refused for.
    enum Rule {
        /// An elliptic-curve key, named with SHA-256.
        Type,
        /// Attribute bits the specification reserves are zero.
        ReservedAttributes,
        /// Restricted, if an attestation key; unrestricted, if a node key.
        Restricted,
        /// fixedTPM, fixedParent, sensitiveDataOrigin: made in a TPM, and stays there.
        FixedToTpm,
        /// Signs, and neither decrypts nor is kept for X.509.
        SignOnly,
        /// The authorisation policy is empty or a SHA-256 digest.
        AuthPolicy,
        /// ECDSA with SHA-256, no symmetric cipher, no key derivation.
        Scheme,
        /// The curve is P-256 and the point lies on it.
        Point
    }

    /// @notice A signing key: its point, and the digest of its name (000b ‖ SHA-256 of the public area).
    struct Key {
        bytes32 x;
        bytes32 y;
        bytes32 name;
    }

    uint256 private constant FIXED = 1 << 1 | 1 << 4 | 1 << 5;
    uint256 private constant RESTRICTED = 1 << 16;
    uint256 private constant SIGN = 1 << 18;
    /// @dev Decrypt, and X.509 signing only.
    uint256 private constant SURPLUS = 1 << 17 | 1 << 19;
    /// @dev Bits a TPM 2.0 may set.
    uint256 private constant KNOWN = 0xf6 | 0xc << 8 | 0xf << 16;

    /// @dev TPM_ALG_ECC, named with SHA-256.
    uint256 private constant ECC_SHA256 = 0x0023000b;
    /// @dev No symmetric cipher; ECDSA with SHA-256; P-256; no key derivation.
    uint256 private constant ECDSA_P256 = 0x00100018000b00030010;

    /// @dev Public area of template L-1 up to the modulus: RSA-2048, restricted decryption fixed to its TPM, PolicySecret(endorsement),
    ///      AES-128-CFB, default exponent; then the modulus's size.
    bytes private constant EK_TEMPLATE =
        hex"0001000b000300b20020837197674484b3f81a90cc8d46a5d724fd52d76e06520b64f2a1da1b331469aa00060080004300100800000000000100";
    uint256 private constant MODULUS_LENGTH = 256;
    /// @dev DER of a SubjectPublicKeyInfo before and after an RSA-2048 modulus.
    bytes private constant SPKI_HEAD = hex"30820122300d06092a864886f70d01010105000382010f003082010a0282010100";
    bytes private constant SPKI_TAIL = hex"0203010001";
    /// @dev TPM_RH_ENDORSEMENT, the parent of an endorsement key.
    bytes4 private constant RH_ENDORSEMENT = 0x4000000b;
    bytes2 private constant SHA256_ID = 0x000b;

    /// @notice The attestation key is not one that signs only what its TPM made.
    error AttestationKeyRefused(Rule rule);
    /// @notice The node key is not a plain signing key fixed to its TPM.
    error NodeKeyRefused(Rule rule);
    /// @notice The endorsement key is not one of template L-1.
    error EndorsementKeyRefused();

    /// @notice Reads an attestation key, or reverts.
    function attestationKey(bytes calldata area) internal pure returns (Key memory key) {
        bool accepted;
        Rule rule;
        (accepted, rule, key) = _signingKey(area, RESTRICTED);
        require(accepted, AttestationKeyRefused(rule));
    }

    /// @notice Reads a node key, or reverts.
    function nodeKey(bytes calldata area) internal pure returns (Key memory key) {
        bool accepted;
        Rule rule;
        (accepted, rule, key) = _signingKey(area, 0);
        require(accepted, NodeKeyRefused(rule));
    }

    /// @notice The hardware id of an endorsement key (keccak256 of its SubjectPublicKeyInfo), and the digest of its qualified name.
    function endorsementKey(bytes calldata area) internal pure returns (bytes32 hardwareId, bytes32 qualified) {
        uint256 head = EK_TEMPLATE.length;
        require(
            area.length == head + MODULUS_LENGTH && keccak256(area[:head]) == keccak256(EK_TEMPLATE)
                && uint8(area[head]) >= 0x80 && uint8(area[area.length - 1]) & 1 == 1,
            EndorsementKeyRefused()
        );
        hardwareId = keccak256(bytes.concat(SPKI_HEAD, area[head:], SPKI_TAIL));
        qualified = sha256(abi.encodePacked(RH_ENDORSEMENT, SHA256_ID, sha256(area)));
    }

    /// @notice Digest of the qualified name of a key with this name under a parent with that qualified name.
    function qualifiedName(bytes32 parent, bytes32 name) internal pure returns (bytes32) {
        return sha256(abi.encodePacked(SHA256_ID, parent, SHA256_ID, name));
    }

    function _signingKey(bytes calldata area, uint256 restricted)
        private
        pure
        returns (bool accepted, Rule rule, Key memory key)
    {
        TpmReader.checkLength(area);
        (uint256 value, uint256 pos) = TpmReader.integer(area, 0, 4);
        if (value != ECC_SHA256) return (false, Rule.Type, key);
        (value, pos) = TpmReader.integer(area, pos, 4);
        if (value & ~KNOWN != 0) return (false, Rule.ReservedAttributes, key);
        if (value & RESTRICTED != restricted) return (false, Rule.Restricted, key);
        if (value & FIXED != FIXED) return (false, Rule.FixedToTpm, key);
        if (value & SIGN == 0 || value & SURPLUS != 0) return (false, Rule.SignOnly, key);
        uint256 start;
        (start, pos) = TpmReader.sized(area, pos);
        if (pos != start && pos != start + 32) return (false, Rule.AuthPolicy, key);
        (value, pos) = TpmReader.integer(area, pos, 10);
        if (value != ECDSA_P256) return (false, Rule.Scheme, key);
        bool fits;
        (fits, key.x, pos) = _coordinate(area, pos);
        if (!fits) return (false, Rule.Point, key);
        (fits, key.y, pos) = _coordinate(area, pos);
        if (!fits || !P256.isValidPublicKey(key.x, key.y)) return (false, Rule.Point, key);
        TpmReader.finish(area, pos);
        key.name = sha256(area);
        accepted = true;
    }

    /// @dev TPMs differ in whether they strip leading zeros.
    function _coordinate(bytes calldata area, uint256 pos)
        private
        pure
        returns (bool fits, bytes32 value, uint256 next)
    {
        uint256 start;
        (start, next) = TpmReader.sized(area, pos);
        uint256 size = next - start;
        if (size > 32) return (false, 0, next);
        fits = true;
        if (size != 0) value = bytes32(area[start:next]) >> (256 - 8 * size);
    }
}
