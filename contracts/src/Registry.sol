// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

import {Ownable, Ownable2Step} from "@openzeppelin/contracts/access/Ownable2Step.sol";
import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {SafeERC20} from "@openzeppelin/contracts/token/ERC20/utils/SafeERC20.sol";
import {ReentrancyGuardTransient} from "@openzeppelin/contracts/utils/ReentrancyGuardTransient.sol";
import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";
import {Checkpoints} from "@openzeppelin/contracts/utils/structs/Checkpoints.sol";

import {IDeals} from "./interfaces/IDeals.sol";
import {IHub} from "./interfaces/IHub.sol";
import {IQuotePolicy} from "./interfaces/IQuotePolicy.sol";
import {IRegistry} from "./interfaces/IRegistry.sol";
import {
    Enrolment,
    EnrolmentEvidence,
    OracleInfo,
    QuorumSignatures,
    QuoteEvidence,
    QuoteFacts,
    TpmClock
} from "./interfaces/Types.sol";
import {TpmClasses} from "./TpmClasses.sol";
import {Quorum} from "./libraries/Quorum.sol";
import {TpmClocks} from "./libraries/TpmClocks.sol";

/// @title Who takes part: oracle sets, nodes, their hardware and their bonds
/// @notice Holds every bond and nothing else: its token balance is the sum of the bonds. The owner may replace the oracle set and
///         the quote policy from the next epoch on, and cap virtual TPMs. Protocol: sections 1, 5, 7.
contract Registry is IRegistry, EIP712, Ownable2Step, ReentrancyGuardTransient {
    using Checkpoints for Checkpoints.Trace160;
    using SafeERC20 for IERC20;

    /// @notice Type hash of the statement oracles sign at enrolment.
    bytes32 public constant ENROLMENT_TYPEHASH = keccak256(
        "Enrolment(address account,bytes32 hardwareId,bytes32 akHash,bytes32 nodeKeyHash,bytes32 resultHash,uint8 tpmClass,uint64 expiry)"
    );
    /// @notice Where burned tokens go; an address nobody has the key of, because not every ERC-20 can burn.
    address public constant BURN = 0x000000000000000000000000000000000000dEaD;
    /// @notice Bytes a node's URL may have.
    uint256 public constant URL_LIMIT = 256;
    /// @notice Members an oracle set may have, so that its bitmap fits a word.
    uint256 public constant ORACLE_LIMIT = 253;

    IERC20 private immutable TOKEN;
    IHub private immutable HUB;
    IDeals private immutable DEALS;
    uint256 private immutable MINIMUM_BOND;

    mapping(uint64 node => Node) private _nodes;
    mapping(address account => uint64) private _byAccount;
    mapping(bytes32 hardwareId => uint64) private _byHardware;
    mapping(uint32 version => OracleInfo[]) private _sets;
    /// @dev First epoch => version of the set in force from then on.
    Checkpoints.Trace160 private _versions;
    uint64 private _nodeCount;
    uint32 private _lastVersion;
    uint64 private _virtualCap;
    uint64 private _virtualCount;
    /// @dev First epoch => quote policy in force from then on, zero for none.
    Checkpoints.Trace160 private _quotePolicies;
    /// @dev What a node's identity was before `identityFrom`.
    mapping(uint64 node => bytes32) private _identitiesBefore;
    /// @dev By attestation key, because a clock belongs to a TPM and outlives a node: whoever withdraws and comes back goes on from here.
    mapping(bytes32 akHash => Attestation) private _attestations;

    modifier onlyHub() {
        require(msg.sender == address(HUB), NotHub(msg.sender));
        _;
    }

    /// @param token_ ERC-20 of the bonds; must not take a fee on transfer.
    /// @param hub_ Address the hub will be deployed at.
    /// @param deals_ Address the deals contract will be deployed at.
    /// @param minimumBond_ Least bond at enrolment, token units.
    /// @param oracles First oracle set, in force from epoch 0.
    /// @param owner_ May replace the oracle set.
    constructor(
        IERC20 token_,
        IHub hub_,
        IDeals deals_,
        uint256 minimumBond_,
        OracleInfo[] memory oracles,
        address owner_
    ) EIP712("Probity", "1") Ownable(owner_) {
        TOKEN = token_;
        HUB = hub_;
        DEALS = deals_;
        MINIMUM_BOND = minimumBond_;
        _addSet(oracles, 0);
    }

    /// @inheritdoc IRegistry
    function register(
        Enrolment calldata enrolment,
        QuorumSignatures calldata quorum,
        string calldata url,
        bytes32 tlsKeyHash,
        uint256 bond
    ) external nonReentrant returns (uint64 node) {
        uint64 epoch = HUB.currentEpoch();
        _vouchedByQuorum(enrolment, quorum, epoch);
        node = _enrol(enrolment, url, tlsKeyHash, bond, epoch);
        TOKEN.safeTransferFrom(msg.sender, address(this), bond);
    }

    /// @inheritdoc IRegistry
    function registerWithQuote(
        Enrolment calldata enrolment,
        QuorumSignatures calldata quorum,
        string calldata url,
        bytes32 tlsKeyHash,
        uint256 bond,
        EnrolmentEvidence calldata evidence
    ) external nonReentrant returns (uint64 node) {
        uint64 epoch = HUB.currentEpoch();
        _vouchedByQuorumAndQuote(enrolment, quorum, epoch);
        node = _enrol(enrolment, url, tlsKeyHash, bond, epoch);
        _recordEnrolment(node, enrolment, evidence, epoch);
        TOKEN.safeTransferFrom(msg.sender, address(this), bond);
    }

    /// @inheritdoc IRegistry
    function registerFromRoster(
        Enrolment calldata enrolment,
        bytes32[] calldata proof,
        string calldata url,
        bytes32 tlsKeyHash,
        uint256 bond,
        EnrolmentEvidence calldata evidence
    ) external nonReentrant returns (uint64 node) {
        uint64 epoch = HUB.currentEpoch();
        _quotePolicy(epoch).checkRoster(enrolment, proof);
        node = _enrol(enrolment, url, tlsKeyHash, bond, epoch);
        _recordEnrolment(node, enrolment, evidence, epoch);
        TOKEN.safeTransferFrom(msg.sender, address(this), bond);
    }

    /// @inheritdoc IRegistry
    function reenrol(Enrolment calldata enrolment, QuorumSignatures calldata quorum) external nonReentrant {
        uint64 epoch = HUB.currentEpoch();
        _vouchedByQuorum(enrolment, quorum, epoch);
        _change(enrolment, epoch);
    }

    /// @inheritdoc IRegistry
    function reenrolWithQuote(
        Enrolment calldata enrolment,
        QuorumSignatures calldata quorum,
        EnrolmentEvidence calldata evidence
    ) external nonReentrant {
        uint64 epoch = HUB.currentEpoch();
        _vouchedByQuorumAndQuote(enrolment, quorum, epoch);
        _recordEnrolment(_change(enrolment, epoch), enrolment, evidence, epoch);
    }

    /// @inheritdoc IRegistry
    function reenrolFromRoster(
        Enrolment calldata enrolment,
        bytes32[] calldata proof,
        EnrolmentEvidence calldata evidence
    ) external nonReentrant {
        uint64 epoch = HUB.currentEpoch();
        _quotePolicy(epoch).checkRoster(enrolment, proof);
        _recordEnrolment(_change(enrolment, epoch), enrolment, evidence, epoch);
    }

    /// @inheritdoc IRegistry
    function attest(uint64 node, QuoteEvidence calldata evidence, bytes32[] calldata rosterProof)
        external
        nonReentrant
    {
        Node storage record = _known(node);
        require(record.status == Status.Active || record.status == Status.Exiting, NotActive(node, record.status));
        IQuotePolicy policy = _quotePolicy(HUB.currentEpoch());
        if (policy.roster() != 0) {
            Enrolment memory entry;
            (entry.hardwareId, entry.akHash, entry.resultHash) = (record.hardwareId, record.akHash, record.resultHash);
            entry.tpmClass = record.tpmClass;
            policy.checkRoster(entry, rosterProof);
        }
        QuoteFacts memory facts = policy.judgeQuote(address(this), record.account, record.akHash, evidence);
        _record(policy, node, record.akHash, evidence.blockNumber, facts, false);
    }

    /// @inheritdoc IRegistry
    function setEndpoint(uint64 node, string calldata url, bytes32 tlsKeyHash) external {
        Node storage record = _own(node);
        require(record.status == Status.Active || record.status == Status.Exiting, NotActive(node, record.status));
        _checkUrl(url);
        record.url = url;
        record.tlsKeyHash = tlsKeyHash;
        emit EndpointChanged(node, url, tlsKeyHash);
    }

    /// @inheritdoc IRegistry
    function topUp(uint64 node, uint256 amount) external nonReentrant {
        // An event for nothing would be a cheap way to fill everybody's logs.
        require(amount != 0, ZeroAmount());
        Node storage record = _known(node);
        require(record.status == Status.Active || record.status == Status.Exiting, NotActive(node, record.status));
        record.bond += amount;
        emit BondToppedUp(node, amount, record.bond);
        TOKEN.safeTransferFrom(msg.sender, address(this), amount);
    }

    /// @inheritdoc IRegistry
    function requestExit(uint64 node) external {
        Node storage record = _own(node);
        require(record.status == Status.Active, NotActive(node, record.status));
        if (HUB.isBehind(node)) {
            uint64 cursor = HUB.cursorOf(node);
            revert SettlementBehind(node, cursor, cursor + 1);
        }
        uint64 epoch = HUB.currentEpoch();
        record.status = Status.Exiting;
        record.exitEpoch = epoch;
        emit ExitRequested(node, epoch);
    }

    /// @inheritdoc IRegistry
    function withdraw(uint64 node) external nonReentrant {
        Node storage record = _own(node);
        Status status = record.status;
        require(status == Status.Exiting || status == Status.Removed, NotActive(node, status));
        uint64 epoch = HUB.currentEpoch();
        uint64 until = record.exitEpoch + HUB.schedule().unbondingEpochs;
        require(epoch >= until, StillBound(node, until));
        // Every epoch that is over must be settled, and the present one must not bring a new duty.
        uint64 cursor = HUB.cursorOf(node);
        require(cursor + 1 >= epoch, SettlementBehind(node, cursor, epoch - 1));
        if (status == Status.Exiting) {
            uint64 count = DEALS.inventoryOf(node).count;
            if (count == 0) count = DEALS.inventoryAt(node, epoch).count;
            require(count == 0, StillStoring(node, count));
            _leave(record);
            record.status = Status.Withdrawn;
        }
        uint256 amount = record.bond;
        record.bond = 0;
        emit Withdrawn(node, amount);
        TOKEN.safeTransfer(record.account, amount);
    }

    /// @inheritdoc IRegistry
    function slash(
        uint64 node,
        uint64 epoch,
        uint8 reason,
        bytes32 evidenceHash,
        uint256 amount,
        address settler,
        uint256 toSettler,
        uint256 toOwners
    ) external onlyHub nonReentrant {
        Node storage record = _known(node);
        require(record.bond >= amount, BondTooLow(amount, record.bond));
        require(toSettler + toOwners <= amount, BadDistribution(amount, toSettler + toOwners));
        record.bond -= amount;
        uint256 burned = amount - toSettler - toOwners;
        emit Slashed(node, epoch, reason, evidenceHash, amount, toSettler, toOwners, burned);
        if (toSettler != 0) TOKEN.safeTransfer(settler, toSettler);
        if (toOwners != 0) TOKEN.safeTransfer(address(DEALS), toOwners);
        if (burned != 0) TOKEN.safeTransfer(BURN, burned);
    }

    /// @inheritdoc IRegistry
    function remove(uint64 node, uint64 epoch, uint8 reason, bytes32 evidenceHash) external onlyHub {
        Node storage record = _known(node);
        _leave(record);
        record.status = Status.Removed;
        // What is left of the bond stays for as long as after an exit.
        record.exitEpoch = HUB.currentEpoch();
        emit NodeRemoved(node, epoch, reason, evidenceHash);
    }

    /// @inheritdoc IRegistry
    function setOracles(OracleInfo[] calldata oracles) external onlyOwner {
        _addSet(oracles, HUB.currentEpoch() + 1);
    }

    /// @inheritdoc IRegistry
    function setVirtualCap(uint64 cap) external onlyOwner {
        _virtualCap = cap;
        emit VirtualCapChanged(cap);
    }

    /// @inheritdoc IRegistry
    function setQuotePolicy(IQuotePolicy policy) external onlyOwner {
        require(
            address(policy) == address(0) || address(policy).code.length != 0, BadQuotePolicyAddress(address(policy))
        );
        uint64 fromEpoch = HUB.currentEpoch();
        // Before the first node there is nobody to warn, and nobody slips in without a quote.
        if (_nodeCount != 0) ++fromEpoch;
        _quotePolicies.push(fromEpoch, uint160(address(policy)));
        emit QuotePolicyChanged(address(policy), fromEpoch);
    }

    /// @inheritdoc IRegistry
    function nodeOf(uint64 node) external view returns (Node memory) {
        return _nodes[node];
    }

    /// @inheritdoc IRegistry
    function summaryOf(uint64 node) external view returns (NodeSummary memory) {
        Node storage record = _nodes[node];
        return NodeSummary({
            account: record.account,
            status: record.status,
            registeredEpoch: record.registeredEpoch,
            exitEpoch: record.exitEpoch,
            identityFrom: record.identityFrom,
            identityHash: record.identityHash,
            bond: record.bond
        });
    }

    /// @inheritdoc IRegistry
    function identityAt(uint64 node, uint64 epoch) external view returns (bytes32) {
        return epoch < _nodes[node].identityFrom ? _identitiesBefore[node] : _nodes[node].identityHash;
    }

    /// @inheritdoc IRegistry
    function nodeIdOf(address account) external view returns (uint64) {
        return _byAccount[account];
    }

    /// @inheritdoc IRegistry
    function nodeByHardware(bytes32 hardwareId) external view returns (uint64) {
        return _byHardware[hardwareId];
    }

    /// @inheritdoc IRegistry
    function nodeCount() external view returns (uint64) {
        return _nodeCount;
    }

    /// @inheritdoc IRegistry
    function virtualCap() external view returns (uint64) {
        return _virtualCap;
    }

    /// @inheritdoc IRegistry
    function virtualCount() external view returns (uint64) {
        return _virtualCount;
    }

    /// @inheritdoc IRegistry
    function minimumBond() external view returns (uint256) {
        return MINIMUM_BOND;
    }

    /// @inheritdoc IRegistry
    function setVersionAt(uint64 epoch) public view returns (uint32) {
        // Only versions are stored here, and they have 32 bits.
        // forge-lint: disable-next-line(unsafe-typecast)
        return uint32(_versions.upperLookupRecent(epoch));
    }

    /// @inheritdoc IRegistry
    function quotePolicyAt(uint64 epoch) public view returns (IQuotePolicy) {
        return IQuotePolicy(address(_quotePolicies.upperLookupRecent(epoch)));
    }

    /// @inheritdoc IRegistry
    function attestationOf(uint64 node) external view returns (Attestation memory last) {
        last = _attestations[_nodes[node].akHash];
        // A key may be enrolled for several nodes, if a quorum says so; a quote is of one.
        if (last.node != node) delete last;
    }

    /// @inheritdoc IRegistry
    function oracleSet(uint32 version) external view returns (OracleInfo[] memory) {
        return _set(version);
    }

    /// @inheritdoc IRegistry
    function faultTolerance(uint32 version) external view returns (uint256 f) {
        return (_set(version).length - 1) / 3;
    }

    /// @inheritdoc IRegistry
    function checkQuorum(uint32 version, bytes32 digest, QuorumSignatures calldata quorum) external view {
        _checkQuorum(version, digest, quorum);
    }

    /// @inheritdoc IRegistry
    function enrolmentDigest(Enrolment calldata enrolment) public view returns (bytes32) {
        return _hashTypedDataV4(keccak256(abi.encode(ENROLMENT_TYPEHASH, enrolment)));
    }

    /// @inheritdoc IRegistry
    function hub() external view returns (address) {
        return address(HUB);
    }

    /// @inheritdoc IRegistry
    function deals() external view returns (address) {
        return address(DEALS);
    }

    /// @inheritdoc IRegistry
    function token() external view returns (address) {
        return address(TOKEN);
    }

    /// @dev What every registration has in common. Whoever calls has checked who vouches for the machine.
    function _enrol(Enrolment calldata enrolment, string calldata url, bytes32 tlsKeyHash, uint256 bond, uint64 epoch)
        private
        returns (uint64 node)
    {
        require(bond >= MINIMUM_BOND, BondTooLow(MINIMUM_BOND, bond));
        _checkUrl(url);
        uint64 known = _byAccount[msg.sender];
        require(known == 0 || _nodes[known].status == Status.Withdrawn, AccountAlreadyEnrolled(msg.sender, known));
        _checkMachine(enrolment, 0);
        _takePlace(enrolment.tpmClass);

        node = ++_nodeCount;
        _byAccount[msg.sender] = node;
        _byHardware[enrolment.hardwareId] = node;
        _nodes[node] = Node({
            account: msg.sender,
            status: Status.Active,
            tpmClass: enrolment.tpmClass,
            registeredEpoch: epoch,
            exitEpoch: 0,
            identityFrom: 0,
            hardwareId: enrolment.hardwareId,
            akHash: enrolment.akHash,
            nodeKeyHash: enrolment.nodeKeyHash,
            resultHash: enrolment.resultHash,
            identityHash: _identityOf(enrolment),
            bond: bond,
            tlsKeyHash: tlsKeyHash,
            url: url
        });
        _emitRegistered(node, bond);
    }

    /// @dev Puts another machine or other keys into a node's record. Whoever calls has checked who vouches for the machine.
    function _change(Enrolment calldata enrolment, uint64 epoch) private returns (uint64 node) {
        node = _byAccount[msg.sender];
        Node storage record = _known(node);
        require(record.status == Status.Active || record.status == Status.Exiting, NotActive(node, record.status));
        _checkMachine(enrolment, node);
        bytes32 identityHash = _identityOf(enrolment);
        require(identityHash != record.identityHash, SameIdentity(node));

        // Of those before, only the last is kept: epochs that ended under an earlier one must be settled. One that was never in force
        // leaves no trace.
        uint64 from = record.identityFrom;
        if (from <= epoch) {
            uint64 cursor = HUB.cursorOf(node);
            if (cursor + 1 < from) revert SettlementBehind(node, cursor, from - 1);
            _identitiesBefore[node] = record.identityHash;
        }
        if (enrolment.tpmClass != record.tpmClass) {
            _leave(record);
            _takePlace(enrolment.tpmClass);
        }
        _byHardware[enrolment.hardwareId] = node;
        record.tpmClass = enrolment.tpmClass;
        record.identityFrom = epoch + 1;
        record.hardwareId = enrolment.hardwareId;
        record.akHash = enrolment.akHash;
        record.nodeKeyHash = enrolment.nodeKeyHash;
        record.resultHash = enrolment.resultHash;
        record.identityHash = identityHash;
        emit MachineChanged(
            node,
            enrolment.hardwareId,
            enrolment.akHash,
            enrolment.nodeKeyHash,
            enrolment.resultHash,
            enrolment.tpmClass,
            epoch + 1
        );
    }

    function _identityOf(Enrolment calldata enrolment) private pure returns (bytes32) {
        return keccak256(abi.encode(enrolment.account, enrolment.hardwareId, enrolment.akHash, enrolment.nodeKeyHash));
    }

    /// @dev That the caller may enrol this machine for the node `own`, 0 for a new one.
    function _checkMachine(Enrolment calldata enrolment, uint64 own) private view {
        require(msg.sender == enrolment.account, WrongAccount(enrolment.account, msg.sender));
        // Minutes matter here, not the seconds a block producer could shift.
        // forge-lint: disable-next-line(block-timestamp)
        require(block.timestamp <= enrolment.expiry, EnrolmentExpired(enrolment.expiry, block.timestamp));
        // A machine or account may come back after an honest withdrawal, under a new id; never after removal.
        uint64 known = _byHardware[enrolment.hardwareId];
        require(
            known == 0 || known == own || _nodes[known].status == Status.Withdrawn,
            HardwareAlreadyEnrolled(enrolment.hardwareId, known)
        );
        uint8 class = enrolment.tpmClass;
        require(class >= TpmClasses.DISCRETE && class <= TpmClasses.VIRTUAL, BadTpmClass(class));
    }

    /// @dev Counts a virtual node, if the cap has room for it.
    function _takePlace(uint8 class) private {
        if (class != TpmClasses.VIRTUAL) return;
        require(_virtualCount < _virtualCap, VirtualCapReached(_virtualCap));
        ++_virtualCount;
    }

    function _vouchedByQuorum(Enrolment calldata enrolment, QuorumSignatures calldata quorum, uint64 epoch)
        private
        view
    {
        IQuotePolicy policy = quotePolicyAt(epoch);
        require(address(policy) == address(0), QuoteRequired(address(policy)));
        _checkQuorum(setVersionAt(epoch), enrolmentDigest(enrolment), quorum);
    }

    function _vouchedByQuorumAndQuote(Enrolment calldata enrolment, QuorumSignatures calldata quorum, uint64 epoch)
        private
        view
    {
        bytes32 roster = _quotePolicy(epoch).roster();
        require(roster == 0, RosterRequired(roster));
        _checkQuorum(setVersionAt(epoch), enrolmentDigest(enrolment), quorum);
    }

    /// @dev Gives a virtual node's place to another, once.
    function _leave(Node storage record) private {
        if (record.tpmClass != TpmClasses.VIRTUAL) return;
        if (record.status == Status.Active || record.status == Status.Exiting) --_virtualCount;
    }

    function _recordEnrolment(
        uint64 node,
        Enrolment calldata enrolment,
        EnrolmentEvidence calldata evidence,
        uint64 epoch
    ) private {
        IQuotePolicy policy = _quotePolicy(epoch);
        QuoteFacts memory facts = policy.judgeEnrolment(address(this), enrolment, evidence);
        emit KeysProven(node, evidence.quote.akPublic, evidence.nodeKeyPublic);
        _record(policy, node, enrolment.akHash, evidence.quote.blockNumber, facts, true);
    }

    /// @dev Each quote of a node is over a later block than the one before, so none counts twice. One that a machine enrols with may be
    ///      over the same block as the last of its key: somebody may have taken it from the transaction and shown it before.
    function _record(
        IQuotePolicy policy,
        uint64 node,
        bytes32 akHash,
        uint64 blockNumber,
        QuoteFacts memory facts,
        bool enrols
    ) private {
        // Whatever a policy says: a quote over a block to come would lock its key out.
        require(blockNumber < block.number, QuoteFromTheFuture(blockNumber));
        Attestation storage last = _attestations[akHash];
        require(
            last.blockNumber == 0 || blockNumber > last.blockNumber
                || (blockNumber == last.blockNumber && (enrols || node != last.node)),
            QuoteAlreadyOutdated(last.blockNumber, blockNumber)
        );
        TpmClocks.checkProgress(
            TpmClock({clockMs: last.clockMs, resetCount: last.resetCount, restartCount: last.restartCount}), facts.clock
        );
        _attestations[akHash] = Attestation({
            clockMs: facts.clock.clockMs,
            resetCount: facts.clock.resetCount,
            restartCount: facts.clock.restartCount,
            blockNumber: blockNumber,
            node: node,
            firmwareVersion: facts.firmwareVersion,
            policy: policy,
            pcrDigest: facts.pcrDigest
        });
        emit QuoteAccepted(node, akHash, facts.pcrDigest, facts.firmwareVersion, facts.clock, blockNumber);
    }

    function _quotePolicy(uint64 epoch) private view returns (IQuotePolicy policy) {
        policy = quotePolicyAt(epoch);
        require(address(policy) != address(0), NoQuotePolicy());
    }

    /// @dev Stores a set as the next version, in force from `fromEpoch` on. A set replaced within the same epoch never acts.
    function _addSet(OracleInfo[] memory oracles, uint64 fromEpoch) private {
        uint256 size = oracles.length;
        require(size != 0 && size <= ORACLE_LIMIT && size % 3 == 1, BadOracleSet());
        uint32 version = ++_lastVersion;
        OracleInfo[] storage set = _sets[version];
        for (uint256 i; i < size; ++i) {
            require(oracles[i].account != address(0), BadOracleSet());
            for (uint256 j; j < i; ++j) {
                require(oracles[j].account != oracles[i].account, BadOracleSet());
            }
            set.push(oracles[i]);
        }
        _versions.push(fromEpoch, version);
        emit OracleSetChanged(version, fromEpoch, oracles);
    }

    function _checkQuorum(uint32 version, bytes32 digest, QuorumSignatures calldata quorum) private view {
        OracleInfo[] storage set = _set(version);
        uint256 faults = (set.length - 1) / 3;
        Quorum.check(set, 2 * faults + 1, digest, quorum);
    }

    function _set(uint32 version) private view returns (OracleInfo[] storage set) {
        set = _sets[version];
        require(set.length != 0, UnknownSetVersion(version));
    }

    function _known(uint64 node) private view returns (Node storage record) {
        record = _nodes[node];
        require(record.status != Status.None, UnknownNode(node));
    }

    function _own(uint64 node) private view returns (Node storage record) {
        record = _known(node);
        require(msg.sender == record.account, WrongAccount(record.account, msg.sender));
    }

    function _checkUrl(string calldata url) private pure {
        require(bytes(url).length <= URL_LIMIT, UrlTooLong(URL_LIMIT, bytes(url).length));
    }

    function _emitRegistered(uint64 node, uint256 bond) private {
        Node storage record = _nodes[node];
        emit NodeRegistered(
            node,
            record.account,
            record.hardwareId,
            record.akHash,
            record.nodeKeyHash,
            record.resultHash,
            bond,
            record.url,
            record.tlsKeyHash
        );
    }
}
