// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

import {Enrolment, EnrolmentEvidence, QuoteEvidence, QuoteFacts} from "./Types.sol";

/// @title What TPM quotes a registry takes, and who vouches for attestation keys
/// @notice Stateless and fixed for good; a registry's owner may replace it by another, so it is code to audit like the registry's own.
///         Anybody may ask it about a quote.
///         What is proven here needs no oracle: that an attestation key signed, that it certifies the node key, that both name this
///         endorsement key as their parent, and the machine's state. A TPM can make many keys of the template of endorsement keys; which of
///         them its maker certified is not proven here either. What is not: that the attestation key itself lies in a TPM of a known
///         maker. That takes a secret exchanged with the endorsement key, so somebody must vouch for it: the quorum of oracles, or a
///         roster. Protocol: section 5.
interface IQuotePolicy {
    /// @notice A state of the machine that is accepted for a time.
    struct AcceptedState {
        /// SHA-256 over the policy's PCRs' values.
        bytes32 pcrDigest;
        /// Last Unix second at which it is accepted; the end of an old state's grace after an update.
        uint64 until;
    }

    error BadQuotePolicy();
    error StaleQuote(uint64 blockNumber, uint256 oldest, uint256 newest);
    error WrongHardwareId(bytes32 expected, bytes32 actual);
    error WrongAkHash(bytes32 expected, bytes32 actual);
    error WrongNodeKeyHash(bytes32 expected, bytes32 actual);
    error KeysNotDistinct();
    error WrongPcrs(uint256 expected, uint256 actual);
    error PcrDigestNotAccepted(bytes32 pcrDigest, uint64 until);
    error NotOnRoster(bytes32 hardwareId, bytes32 akHash);

    /// @notice Reverts unless the attestation key behind `akHash` quoted an accepted state for this registry and account over the hash of
    ///         a recent block.
    function judgeQuote(address registry, address account, bytes32 akHash, QuoteEvidence calldata evidence)
        external
        view
        returns (QuoteFacts memory);
    /// @notice As `judgeQuote`, and reverts unless that key certifies the enrolment's node key for the same registry, account and block, and
    ///         both keys are children of the endorsement key behind the enrolment's hardware id.
    function judgeEnrolment(address registry, Enrolment calldata enrolment, EnrolmentEvidence calldata evidence)
        external
        view
        returns (QuoteFacts memory);
    /// @notice Reverts unless the roster names this machine with this attestation key and result.
    function checkRoster(Enrolment calldata enrolment, bytes32[] calldata proof) external view;

    /// @notice Extra data of a quote: SHA-256 of "probity-quote-on-chain", chain id (8 bytes), registry, account, block hash.
    function quoteData(address registry, address account, bytes32 blockHash) external view returns (bytes32);
    /// @notice Extra data of a certification: SHA-256 of "probity-enrol", chain id (8 bytes), registry, account, block hash. It is an oracle's
    ///         challenge with the block's hash in the place of the nonce.
    function certifyData(address registry, address account, bytes32 blockHash) external view returns (bytes32);

    /// @notice Bit i: PCR i of the SHA-256 bank must be quoted, and no other.
    function pcrs() external view returns (uint32);
    /// @notice Whether any state is accepted, as long as it is quoted.
    function anyState() external view returns (bool);
    /// @notice Last Unix second at which a state is accepted, 0 if never.
    function acceptedUntil(bytes32 pcrDigest) external view returns (uint64);
    /// @notice How many blocks old the quoted block may be, at most 256.
    function maxAgeBlocks() external view returns (uint64);
    /// @notice Root over the machines that register without oracles (OpenZeppelin StandardMerkleTree over hardwareId, akHash, resultHash,
    ///         tpmClass); zero:
    ///         the quorum vouches.
    function roster() external view returns (bytes32);
}
