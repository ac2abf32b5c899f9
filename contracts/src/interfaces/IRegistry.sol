// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

import {Enrolment, OracleInfo, QuorumSignatures} from "./Types.sol";

/// @title Who takes part: oracle sets, nodes, their hardware and their bonds
/// @notice A node is enrolled once a quorum of oracles has attested its TPM and its bond is in. Protocol: sections 1, 5, 7.
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
        /// Epoch of registration; the node owes nothing before the next one.
        uint64 registeredEpoch;
        /// Epoch in which exit was requested, 0 if not.
        uint64 exitEpoch;
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
        bytes32 identityHash;
        uint256 bond;
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
    error BadDistribution(uint256 amount, uint256 distributed);

    /// @notice Enrols the caller's machine: 2f+1 oracle signatures over `enrolment`, and a bond of at least `minimumBond`.
    function register(
        Enrolment calldata enrolment,
        QuorumSignatures calldata quorum,
        string calldata url,
        bytes32 tlsKeyHash,
        uint256 bond
    ) external returns (uint64 node);

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

    /// @notice The whole record; status None if there is no such node.
    function nodeOf(uint64 node) external view returns (Node memory);
    /// @notice The record without its strings and hardware; status None if there is no such node.
    function summaryOf(uint64 node) external view returns (NodeSummary memory);
    /// @notice Node id of an account, 0 if none; the latest where an account enrolled again after a withdrawal.
    function nodeIdOf(address account) external view returns (uint64);
    /// @notice Node id of a machine, 0 if none; the latest where it enrolled again after a withdrawal.
    function nodeByHardware(bytes32 hardwareId) external view returns (uint64);
    /// @notice Node ids are 1 ... nodeCount.
    function nodeCount() external view returns (uint64);
    /// @notice Least bond at enrolment, token units.
    function minimumBond() external view returns (uint256);
    /// @notice Version of the oracle set in force in `epoch`; versions count from 1.
    function setVersionAt(uint64 epoch) external view returns (uint32);
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
