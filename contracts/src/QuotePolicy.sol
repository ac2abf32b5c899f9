// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

import {MerkleProof} from "@openzeppelin/contracts/utils/cryptography/MerkleProof.sol";
import {P256} from "@openzeppelin/contracts/utils/cryptography/P256.sol";
import {SafeCast} from "@openzeppelin/contracts/utils/math/SafeCast.sol";

import {IQuotePolicy} from "./interfaces/IQuotePolicy.sol";
import {Enrolment, EnrolmentEvidence, QuoteEvidence, QuoteFacts} from "./interfaces/Types.sol";
import {TpmAttest} from "./libraries/TpmAttest.sol";
import {TpmKey} from "./libraries/TpmKey.sol";
import {TpmQuote} from "./libraries/TpmQuote.sol";

/// @title TPM quotes judged on chain
/// @notice Nothing here can change after deployment, not even a state's end. Protocol: section 5.
contract QuotePolicy is IQuotePolicy {
    /// @dev How far back `blockhash` reaches.
    uint64 private constant HASH_WINDOW = 256;

    uint32 private immutable PCRS;
    bool private immutable ANY_STATE;
    uint64 private immutable MAX_AGE_BLOCKS;
    bytes32 private immutable ROSTER;

    mapping(bytes32 pcrDigest => uint64 until) private _accepted;

    /// @dev A chain without the P256VERIFY precompile is found out here: a policy never comes to life where it could judge nothing.
    /// @param pcrs_ Bit i: PCR i of the SHA-256 bank must be quoted; at least one.
    /// @param states Accepted states; none only with `anyState_`, so that a forgotten list never reads as "all".
    /// @param anyState_ Accept any state, as long as it is quoted.
    /// @param maxAgeBlocks_ How many blocks old a quoted block may be, 1 to 256.
    /// @param roster_ Root over the machines that register without oracles; zero: the quorum vouches.
    constructor(uint32 pcrs_, AcceptedState[] memory states, bool anyState_, uint64 maxAgeBlocks_, bytes32 roster_) {
        require(pcrs_ != 0 && maxAgeBlocks_ != 0 && maxAgeBlocks_ <= HASH_WINDOW, BadQuotePolicy());
        require((states.length == 0) == anyState_, BadQuotePolicy());
        _requirePrecompile();
        PCRS = pcrs_;
        ANY_STATE = anyState_;
        MAX_AGE_BLOCKS = maxAgeBlocks_;
        ROSTER = roster_;
        for (uint256 i; i < states.length; ++i) {
            AcceptedState memory state = states[i];
            require(state.pcrDigest != 0 && state.until != 0 && _accepted[state.pcrDigest] == 0, BadQuotePolicy());
            _accepted[state.pcrDigest] = state.until;
        }
    }

    /// @inheritdoc IQuotePolicy
    function judgeQuote(address registry, address account, bytes32 akHash, QuoteEvidence calldata evidence)
        external
        view
        returns (QuoteFacts memory)
    {
        TpmKey.Key memory ak = _attestationKey(akHash, evidence.akPublic);
        return _judgeQuote(ak, quoteData(registry, account, _blockHash(evidence.blockNumber)), evidence);
    }

    /// @inheritdoc IQuotePolicy
    function judgeEnrolment(address registry, Enrolment calldata enrolment, EnrolmentEvidence calldata evidence)
        external
        view
        returns (QuoteFacts memory)
    {
        TpmKey.Key memory ak = _attestationKey(enrolment.akHash, evidence.quote.akPublic);
        bytes32 blockHash = _blockHash(evidence.quote.blockNumber);
        _judgeCertify(ak, certifyData(registry, enrolment.account, blockHash), enrolment, evidence);
        return _judgeQuote(ak, quoteData(registry, enrolment.account, blockHash), evidence.quote);
    }

    /// @inheritdoc IQuotePolicy
    function checkRoster(Enrolment calldata enrolment, bytes32[] calldata proof) external view {
        bytes32 leaf = keccak256(
            bytes.concat(
                keccak256(abi.encode(enrolment.hardwareId, enrolment.akHash, enrolment.resultHash, enrolment.tpmClass))
            )
        );
        require(
            ROSTER != 0 && MerkleProof.verifyCalldata(proof, ROSTER, leaf),
            NotOnRoster(enrolment.hardwareId, enrolment.akHash)
        );
    }

    /// @inheritdoc IQuotePolicy
    function quoteData(address registry, address account, bytes32 blockHash) public view returns (bytes32) {
        return sha256(abi.encodePacked("probity-quote-on-chain", _chainId(), registry, account, blockHash));
    }

    /// @inheritdoc IQuotePolicy
    function certifyData(address registry, address account, bytes32 blockHash) public view returns (bytes32) {
        return sha256(abi.encodePacked("probity-enrol", _chainId(), registry, account, blockHash));
    }

    /// @inheritdoc IQuotePolicy
    function pcrs() external view returns (uint32) {
        return PCRS;
    }

    /// @inheritdoc IQuotePolicy
    function anyState() external view returns (bool) {
        return ANY_STATE;
    }

    /// @inheritdoc IQuotePolicy
    function acceptedUntil(bytes32 pcrDigest) external view returns (uint64) {
        return _accepted[pcrDigest];
    }

    /// @inheritdoc IQuotePolicy
    function maxAgeBlocks() external view returns (uint64) {
        return MAX_AGE_BLOCKS;
    }

    /// @inheritdoc IQuotePolicy
    function roster() external view returns (bytes32) {
        return ROSTER;
    }

    function _attestationKey(bytes32 akHash, bytes calldata area) private pure returns (TpmKey.Key memory ak) {
        bytes32 actual = keccak256(area);
        require(actual == akHash, WrongAkHash(akHash, actual));
        ak = TpmKey.attestationKey(area);
    }

    function _judgeCertify(
        TpmKey.Key memory ak,
        bytes32 extraData,
        Enrolment calldata enrolment,
        EnrolmentEvidence calldata evidence
    ) private view {
        (bytes32 hardwareId, bytes32 ek) = TpmKey.endorsementKey(evidence.ekPublic);
        require(hardwareId == enrolment.hardwareId, WrongHardwareId(enrolment.hardwareId, hardwareId));
        TpmKey.Key memory key = TpmKey.nodeKey(evidence.nodeKeyPublic);
        bytes32 nodeKeyHash = keccak256(abi.encode(key.x, key.y));
        require(nodeKeyHash == enrolment.nodeKeyHash, WrongNodeKeyHash(enrolment.nodeKeyHash, nodeKeyHash));
        require(key.x != ak.x || key.y != ak.y, KeysNotDistinct());
        TpmQuote.checkCertify(ak, key, ek, evidence.certify, evidence.certifySignature, extraData);
    }

    function _judgeQuote(TpmKey.Key memory ak, bytes32 extraData, QuoteEvidence calldata evidence)
        private
        view
        returns (QuoteFacts memory)
    {
        (TpmAttest.Header memory header, uint256 quoted, bytes32 pcrDigest) =
            TpmQuote.checkQuote(ak, evidence.attest, evidence.signature, extraData);
        require(quoted == PCRS, WrongPcrs(PCRS, quoted));
        uint64 until = _accepted[pcrDigest];
        // Days matter here, not the seconds a block producer could shift. A digest of another length reads as zero.
        // forge-lint: disable-next-line(block-timestamp)
        bool accepted = ANY_STATE ? pcrDigest != 0 : block.timestamp <= until;
        require(accepted, PcrDigestNotAccepted(pcrDigest, until));
        return QuoteFacts({pcrDigest: pcrDigest, firmwareVersion: header.firmwareVersion, clock: header.clock});
    }

    /// @dev Nobody could have made the quote before this block.
    function _blockHash(uint64 blockNumber) private view returns (bytes32 hash) {
        uint256 oldest = block.number < MAX_AGE_BLOCKS ? 0 : block.number - MAX_AGE_BLOCKS;
        if (blockNumber >= oldest && blockNumber < block.number) hash = blockhash(blockNumber);
        require(hash != 0, StaleQuote(blockNumber, oldest, block.number - 1));
    }

    function _chainId() private view returns (uint64) {
        return SafeCast.toUint64(block.chainid);
    }

    /// @dev A signature by a key with small r and s, from Project Wycheproof (ecdsa_secp256r1_sha256_p1363, "123400").
    function _requirePrecompile() private view {
        bool valid = P256.verifyNative(
            0xbb5a52f42f9c9261ed4361f59422a1e30036e7c32b270c8807a419feca605023,
            bytes32(uint256(5)),
            bytes32(uint256(1)),
            0xa71af64de5126a4a4e02b7922d66ce9415ce88a4c9d25514d91082c8725ac957,
            0x5d47723c8fbe580bb369fec9c2665d8e30a435b9932645482e7c9f11e872296b
        );
        require(valid, BadQuotePolicy());
    }
}
