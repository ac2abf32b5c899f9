// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

import {IQuotePolicy} from "./IQuotePolicy.sol";
import {Enrolment, EnrolmentEvidence, OracleInfo, QuorumSignatures, QuoteEvidence, TpmClock} from "./Types.sol";

/// @title Who takes part: oracle sets, nodes, their hardware and their bonds
/// @notice A node is enrolled once a quorum of oracles has attested its TPM and its bond is in. Where a quote policy is in force, its TPM also
///         quotes on chain, and a roster may stand in the quorum's place. Protocol: sections 1, 5, 7.
interface IRegistry {
    /// @notice Where a node stands.
    enum Status {
        None,
        Active,
        Exiting,
        Withdrawn,
        Removed
    }

    /// @notice What the registry keeps of a node.
    struct Node {
        address account;
        Status status;
        /// See TpmClasses.sol.
        uint8 tpmClass;
        /// Epoch of registration; the node owes nothing before the next one.
        uint64 registeredEpoch;
        /// Epoch in which exit was requested, 0 if not.
        uint64 exitEpoch;
        /// First epoch that is judged by the machine and keys below; 0 if the node never had others.
        uint64 identityFrom;
        bytes32 hardwareId;
        bytes32 akHash;
        bytes32 nodeKeyHash;
        bytes32 resultHash;
        /// keccak256(abi.encode(account, hardwareId, akHash, nodeKeyHash)).
        bytes32 identityHash;
        uint256 bond;
        bytes32 tlsKeyHash;
        string url;
    }

    /// @notice The part of a node that settlement and deals read; cheaper than the whole record.
    struct NodeSummary {
        address account;
        Status status;
        uint64 registeredEpoch;
        uint64 exitEpoch;
        uint64 identityFrom;
        bytes32 identityHash;
        uint256 bond;
    }

    /// @notice The last quote accepted on chain from an attestation key.
    struct Attestation {
        uint64 clockMs;
        uint32 resetCount;
        uint32 restartCount;
        /// The block it was made over, so not before; 0 if there is none.
        uint64 blockNumber;
        /// The node it was made for.
        uint64 node;
        /// Vendor's firmware version.
        uint64 firmwareVersion;
        /// The policy that judged it, which says what the digest is over.
        IQuotePolicy policy;
        /// SHA-256 over the values of that policy's PCRs.
        bytes32 pcrDigest;
    }

    event OracleSetChanged(uint32 indexed version, uint64 fromEpoch, OracleInfo[] oracles);
    event NodeRegistered(
        uint64 indexed node,
        address indexed account,
        bytes32 indexed hardwareId,
        bytes32 akHash,
        bytes32 nodeKeyHash,
        bytes32 resultHash,
        uint256 bond,
        string url,
        bytes32 tlsKeyHash
    );
    /// @notice Another machine, or other keys of the same one, stand for a node from this epoch on.
    event MachineChanged(
        uint64 indexed node,
        bytes32 indexed hardwareId,
        bytes32 akHash,
        bytes32 nodeKeyHash,
        bytes32 resultHash,
        uint8 tpmClass,
        uint64 fromEpoch
    );
    event VirtualCapChanged(uint64 cap);
    /// @notice A policy for quotes, or none (zero), is in force from this epoch on.
    event QuotePolicyChanged(address indexed policy, uint64 fromEpoch);
    /// @notice The attestation key certified the node key on chain; both public areas, for whoever checks what they sign later.
    event KeysProven(uint64 indexed node, bytes akPublic, bytes nodeKeyPublic);
    /// @notice The TPM of a node quoted an accepted state over the hash of this block.
    event QuoteAccepted(
        uint64 indexed node,
        bytes32 indexed akHash,
        bytes32 indexed pcrDigest,
        uint64 firmwareVersion,
        TpmClock clock,
        uint64 blockNumber
    );
    event EndpointChanged(uint64 indexed node, string url, bytes32 tlsKeyHash);
    event BondToppedUp(uint64 indexed node, uint256 amount, uint256 bond);
    /// @notice A bond was cut. `toSettler + toOwners + burned == amount`.
    event Slashed(
        uint64 indexed node,
        uint64 indexed epoch,
        uint8 indexed reason,
        bytes32 evidenceHash,
        uint256 amount,
        uint256 toSettler,
        uint256 toOwners,
        uint256 burned
    );
    event NodeRemoved(uint64 indexed node, uint64 indexed epoch, uint8 indexed reason, bytes32 evidenceHash);
    event ExitRequested(uint64 indexed node, uint64 epoch);
    event Withdrawn(uint64 indexed node, uint256 amount);

    error HardwareAlreadyEnrolled(bytes32 hardwareId, uint64 node);
    error AccountAlreadyEnrolled(address account, uint64 node);
    error WrongAccount(address expected, address actual);
    error EnrolmentExpired(uint64 expiry, uint256 nowSeconds);
    error BondTooLow(uint256 expected, uint256 actual);
    error SameIdentity(uint64 node);
    error ZeroAmount();
    error UnknownNode(uint64 node);
    error NotActive(uint64 node, Status status);
    error NotHub(address caller);
    error StillBound(uint64 node, uint64 untilEpoch);
    error SettlementBehind(uint64 node, uint64 cursor, uint64 expected);
    error StillStoring(uint64 node, uint64 count);
    error BadOracleSet();
    error UnknownSetVersion(uint32 version);
    error UrlTooLong(uint256 limit, uint256 actual);
    error BadTpmClass(uint8 tpmClass);
    error VirtualCapReached(uint64 cap);
    error QuoteRequired(address policy);
    error NoQuotePolicy();
    error RosterRequired(bytes32 roster);
    error QuoteAlreadyOutdated(uint64 lastBlock, uint64 blockNumber);
    error QuoteFromTheFuture(uint64 blockNumber);
    error BadQuotePolicyAddress(address policy);
    error BadDistribution(uint256 amount, uint256 distributed);

    /// @notice Enrols the caller's machine: 2f+1 oracle signatures over `enrolment`, and a bond of at least `minimumBond`. Refused while a quote
    ///         policy is in force.
    function register(
        Enrolment calldata enrolment,
        QuorumSignatures calldata quorum,
        string calldata url,
        bytes32 tlsKeyHash,
        uint256 bond
    ) external returns (uint64 node);

    /// @notice As `register`, under a quote policy without a roster: the machine's TPM also certifies the node key and quotes its state here, for
    ///         this account and over a recent block. The quorum is trusted for one thing only: that the attestation key lies in a TPM.
    function registerWithQuote(
        Enrolment calldata enrolment,
        QuorumSignatures calldata quorum,
        string calldata url,
        bytes32 tlsKeyHash,
        uint256 bond,
        EnrolmentEvidence calldata evidence
    ) external returns (uint64 node);
    /// @notice As `registerWithQuote`, without any oracle: under a policy with a roster, whoever made the roster is trusted for that one thing.
    function registerFromRoster(
        Enrolment calldata enrolment,
        bytes32[] calldata proof,
        string calldata url,
        bytes32 tlsKeyHash,
        uint256 bond,
        EnrolmentEvidence calldata evidence
    ) external returns (uint64 node);
    /// @notice The way back after a TPM was replaced, cleared or rolled back: another machine, or other keys of the same one, take the place of those
    ///         that the caller's node has, from the next epoch on. Bond, deals and reputation stay. A machine that served a node is bound to it until
    ///         the node withdraws. Epochs before the last such change must be settled. Who vouches for the machine is as with `register`.
    function reenrol(Enrolment calldata enrolment, QuorumSignatures calldata quorum) external;
    /// @notice As `reenrol`, under a quote policy without a roster; see `registerWithQuote`.
    function reenrolWithQuote(
        Enrolment calldata enrolment,
        QuorumSignatures calldata quorum,
        EnrolmentEvidence calldata evidence
    ) external;
    /// @notice As `reenrol`, under a quote policy with a roster; see `registerFromRoster`.
    function reenrolFromRoster(
        Enrolment calldata enrolment,
        bytes32[] calldata proof,
        EnrolmentEvidence calldata evidence
    ) external;

    /// @notice Brings a fresh quote of a node's enrolled attestation key, over a later block than the last one; anybody may. A quote that is
    ///         refused costs the node nothing. Under a policy with a roster the node must be on it (`rosterProof`, else empty).
    function attest(uint64 node, QuoteEvidence calldata evidence, bytes32[] calldata rosterProof) external;

    function setEndpoint(uint64 node, string calldata url, bytes32 tlsKeyHash) external;
    /// @notice Anybody may add to a node's bond; not zero.
    function topUp(uint64 node, uint256 amount) external;
    /// @notice The node takes no new slots from now on; its settlement must be up to date. Protocol: section 7.
    function requestExit(uint64 node) external;
    /// @notice Returns the bond once report, dispute and slashing delay are over and nothing is stored or unsettled.
    ///         A removed node gets what is left of its bond the same way, but stays removed.
    function withdraw(uint64 node) external;

    /// @notice Hub only: cuts a bond by `amount` and distributes it; what goes neither to settler nor owners is burned.
    function slash(
        uint64 node,
        uint64 epoch,
        uint8 reason,
        bytes32 evidenceHash,
        uint256 amount,
        address settler,
        uint256 toSettler,
        uint256 toOwners
    ) external;
    /// @notice Hub only: removes a node for forged attestation.
    function remove(uint64 node, uint64 epoch, uint8 reason, bytes32 evidenceHash) external;

    /// @notice Owner only: replaces the oracle set from the next epoch on.
    function setOracles(OracleInfo[] calldata oracles) external;
    /// @notice Owner only: replaces the quote policy from the next epoch on, or at once while no node has ever registered; zero for none.
    function setQuotePolicy(IQuotePolicy policy) external;

    /// @notice Owner only: how many nodes with a virtual TPM may be enrolled at a time; 0 until it is set. A lower cap removes nobody.
    function setVirtualCap(uint64 cap) external;

    /// @notice The whole record; status None if there is no such node.
    function nodeOf(uint64 node) external view returns (Node memory);
    /// @notice The record without its strings and hardware; status None if there is no such node.
    function summaryOf(uint64 node) external view returns (NodeSummary memory);
    /// @notice Hash of the identity that a node's verdict of `epoch` must name; right for every epoch that is not settled yet.
    function identityAt(uint64 node, uint64 epoch) external view returns (bytes32);
    /// @notice Node id of an account, 0 if none; the latest where an account enrolled again after a withdrawal.
    function nodeIdOf(address account) external view returns (uint64);
    /// @notice Node id of a machine, 0 if none; the latest where it enrolled again after a withdrawal. Machines that served a node before
    ///         are still bound to it.
    function nodeByHardware(bytes32 hardwareId) external view returns (uint64);
    /// @notice Node ids are 1 ... nodeCount.
    function nodeCount() external view returns (uint64);
    /// @notice How many nodes with a virtual TPM may be enrolled at a time.
    function virtualCap() external view returns (uint64);
    /// @notice How many are, those on their way out included.
    function virtualCount() external view returns (uint64);
    /// @notice Least bond at enrolment, token units.
    function minimumBond() external view returns (uint256);
    /// @notice Version of the oracle set in force in `epoch`; versions count from 1.
    function setVersionAt(uint64 epoch) external view returns (uint32);
    /// @notice The quote policy in force in `epoch`, zero if none.
    function quotePolicyAt(uint64 epoch) external view returns (IQuotePolicy);
    /// @notice The last quote accepted on chain from a node's attestation key for this node; all zero if there is none, or if the same key has
    ///         since quoted for another node. Whether its state is still accepted, its policy says.
    function attestationOf(uint64 node) external view returns (Attestation memory);
    /// @notice Members of a set, in the order of the quorum's bitmap.
    function oracleSet(uint32 version) external view returns (OracleInfo[] memory);
    /// @notice n = 3f+1 oracles tolerate f faulty ones.
    function faultTolerance(uint32 version) external view returns (uint256 f);
    /// @notice Reverts unless at least 2f+1 distinct members of the set signed `digest` and no signature given is wrong.
    function checkQuorum(uint32 version, bytes32 digest, QuorumSignatures calldata quorum) external view;
    /// @notice EIP-712 digest an oracle signs for an enrolment.
    function enrolmentDigest(Enrolment calldata enrolment) external view returns (bytes32);
    /// @notice The hub, which alone may slash and remove.
    function hub() external view returns (address);
    /// @notice The deals contract, to which owners' shares of slashed bonds go.
    function deals() external view returns (address);
    /// @notice The token of bonds.
    function token() external view returns (address);
}
