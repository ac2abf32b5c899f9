// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

import {Test} from "forge-std/Test.sol";

import {Deals} from "../../src/Deals.sol";
import {Hub} from "../../src/Hub.sol";
import {ProbityToken} from "../../src/ProbityToken.sol";
import {Reasons} from "../../src/Reasons.sol";
import {TpmClasses} from "../../src/TpmClasses.sol";
import {Registry} from "../../src/Registry.sol";
import {IDeals} from "../../src/interfaces/IDeals.sol";
import {IHub} from "../../src/interfaces/IHub.sol";
import {IRegistry} from "../../src/interfaces/IRegistry.sol";
import {
    Enrolment,
    Inventory,
    OracleInfo,
    QuorumSignatures,
    Report,
    ShardRoots,
    Verdict
} from "../../src/interfaces/Types.sol";
import {TestVerifier} from "./TestVerifier.sol";
import {Tree} from "./Tree.sol";

/// @notice The contracts deployed as a devnet deploys them, four oracles, and the steps tests are told in.
abstract contract Fixture is Test {
    uint256 internal constant ORACLES = 4;
    uint256 internal constant BOND = 1000 ether;
    uint128 internal constant RATE = 1 ether;
    uint64 internal constant DURATION = 20;
    uint64 internal constant EPOCH_BLOCKS = 40;
    uint64 internal constant GENESIS = 100;
    bytes32 internal constant POLICY = keccak256("policy");

    ProbityToken internal token;
    TestVerifier internal verifier;
    Registry internal registry;
    Deals internal deals;
    Hub internal hub;

    uint256[ORACLES] internal oracleKeys;
    address internal owner = makeAddr("data owner");
    address internal admin = makeAddr("admin");
    address internal keeper = makeAddr("keeper");

    function setUp() public virtual {
        vm.roll(GENESIS);
        token = new ProbityToken(address(this));
        verifier = new TestVerifier();
        uint64 nonce = vm.getNonce(address(this));
        address registryAddress = vm.computeCreateAddress(address(this), nonce);
        address dealsAddress = vm.computeCreateAddress(address(this), nonce + 1);
        address hubAddress = vm.computeCreateAddress(address(this), nonce + 2);
        registry = Registry(
            _deploy("Registry", abi.encode(token, hubAddress, dealsAddress, BOND, _oracleInfos("oracle"), admin))
        );
        deals = Deals(_deploy("Deals", abi.encode(token, registryAddress, hubAddress, verifier)));
        hub = Hub(_deploy("Hub", abi.encode(registryAddress, dealsAddress, verifier, POLICY, _schedule())));
        for (uint256 i; i < ORACLES; ++i) {
            (, oracleKeys[i]) = makeAddrAndKey(string.concat("oracle ", vm.toString(i)));
        }
        token.mint(owner, 1_000_000 ether);
        vm.prank(owner);
        token.approve(address(deals), type(uint256).max);
    }

    // ---------------------------------------------------------------- set-up

    function _schedule() internal view virtual returns (IHub.Schedule memory) {
        return IHub.Schedule({
            genesisBlock: GENESIS,
            epochBlocks: EPOCH_BLOCKS,
            fallbackBlock: 16,
            deadlineBlock: 24,
            reportWindowEpochs: 2,
            disputeBlocks: 40,
            eraEpochs: 30,
            unbondingEpochs: 8,
            vettingEpochs: 3
        });
    }

    /// @dev Deploys what the build of the present profile made for deployment, not the copy compiled along with the tests.
    function _deploy(string memory name, bytes memory arguments) internal returns (address) {
        return deployCode(_artefact(name), arguments);
    }

    function _artefact(string memory name) internal view returns (string memory) {
        bool lite = keccak256(bytes(vm.envOr("FOUNDRY_PROFILE", string("default")))) == keccak256("lite");
        string memory out = lite ? "out/lite/" : "out/";
        return string.concat(out, name, ".sol/", name, ".json");
    }

    function _oracleInfos(string memory prefix) internal returns (OracleInfo[] memory infos) {
        infos = new OracleInfo[](ORACLES);
        for (uint256 i; i < ORACLES; ++i) {
            address account = makeAddr(string.concat(prefix, " ", vm.toString(i)));
            infos[i] = OracleInfo({account: account, url: "https://oracle", tlsKeyHash: bytes32(i)});
        }
    }

    // ---------------------------------------------------------------- time

    function _goTo(uint64 epoch) internal {
        vm.roll(hub.startBlock(epoch));
    }

    function _forward(uint64 blocks) internal {
        vm.roll(vm.getBlockNumber() + blocks);
    }

    /// @dev Goes to the second block of an epoch and records its beacon.
    function _begin(uint64 epoch) internal {
        vm.roll(hub.startBlock(epoch) + 1);
        hub.recordBeacon(epoch);
    }

    // ---------------------------------------------------------------- signatures

    function _signature(uint256 key, bytes32 digest) internal pure returns (bytes memory) {
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(key, digest);
        return abi.encodePacked(r, s, v);
    }

    /// @dev Signed by the members the bitmap names.
    function _quorum(bytes32 digest, uint256 bitmap) internal view returns (QuorumSignatures memory quorum) {
        quorum.bitmap = bitmap;
        for (uint256 i; i < ORACLES; ++i) {
            if ((bitmap >> i) & 1 == 1) {
                quorum.signatures = bytes.concat(quorum.signatures, _signature(oracleKeys[i], digest));
            }
        }
    }

    /// @dev Signed by oracles 0, 1 and 3.
    function _quorum(bytes32 digest) internal view returns (QuorumSignatures memory) {
        return _quorum(digest, 0xb);
    }

    // ---------------------------------------------------------------- nodes

    function _enrolment(string memory name) internal returns (Enrolment memory) {
        bytes32 seed = keccak256(bytes(name));
        return Enrolment({
            account: makeAddr(name),
            hardwareId: keccak256(abi.encode(seed, "ek")),
            akHash: keccak256(abi.encode(seed, "ak")),
            nodeKeyHash: keccak256(abi.encode(seed, "node key")),
            resultHash: keccak256(abi.encode(seed, "result")),
            tpmClass: TpmClasses.DISCRETE,
            expiry: uint64(vm.getBlockTimestamp() + 1 hours)
        });
    }

    function _enrol(string memory name) internal returns (uint64) {
        return _enrol(_enrolment(name), BOND);
    }

    function _enrol(Enrolment memory enrolment, uint256 bond) internal returns (uint64) {
        QuorumSignatures memory quorum = _quorum(registry.enrolmentDigest(enrolment));
        token.mint(enrolment.account, bond);
        vm.startPrank(enrolment.account);
        token.approve(address(registry), type(uint256).max);
        uint64 node = registry.register(enrolment, quorum, "https://node", keccak256("tls"), bond);
        vm.stopPrank();
        return node;
    }

    function _accountOf(uint64 node) internal view returns (address) {
        return registry.summaryOf(node).account;
    }

    function _bondOf(uint64 node) internal view returns (uint256) {
        return registry.summaryOf(node).bond;
    }

    // ---------------------------------------------------------------- deals

    function _list(uint64 a, uint64 b) internal pure returns (uint64[] memory nodes) {
        nodes = new uint64[](2);
        (nodes[0], nodes[1]) = (a, b);
    }

    function _roots(uint32 stripes, uint256 salt) internal pure returns (ShardRoots[] memory roots) {
        roots = new ShardRoots[](stripes);
        for (uint256 i; i < stripes; ++i) {
            bytes32 seed = keccak256(abi.encode(salt, i));
            roots[i] = ShardRoots({storageRoot: seed >> 8, transportRoot: ~seed, contentId: seed});
        }
    }

    /// @dev A deal of 1+1 slots with three stripes on two nodes, sealed.
    function _sealedDeal(uint64 a, uint64 b) internal returns (uint64 dealId) {
        vm.startPrank(owner);
        dealId = deals.propose(1, 1, 3, _list(a, b), RATE, DURATION);
        for (uint16 slot; slot < 2; ++slot) {
            deals.publishSlot(dealId, slot, 0, _roots(3, slot));
        }
        deals.seal(dealId);
        vm.stopPrank();
    }

    function _present(uint64 dealId, uint16 slot) internal view returns (IDeals.Assignment memory) {
        return deals.assignmentOf(dealId, slot, deals.assignmentCount(dealId, slot) - 1);
    }

    /// @dev Stands for the root a node computes: it depends on all that the inventory lists.
    function _someRoot(bytes32 log, uint64 count) internal pure returns (bytes32) {
        return count == 0 ? bytes32(0) : keccak256(abi.encode("root", log, count)) >> 8;
    }

    /// @dev The log after a node's change of its inventory: op 1 accepts, op 2 drops.
    function _logAfter(bytes32 log, uint8 op, uint64 dealId, uint16 slot) internal view returns (bytes32) {
        uint32 stripes = deals.dealOf(dealId).stripes;
        return keccak256(abi.encode(log, op, dealId, slot, stripes, deals.slotListHash(dealId, slot)));
    }

    function _accept(uint64 dealId, uint16 slot) internal {
        uint64 node = _present(dealId, slot).node;
        Inventory memory inventory = deals.inventoryOf(node);
        uint64 count = inventory.count + deals.dealOf(dealId).stripes;
        bytes32 newLog = _logAfter(inventory.log, 1, dealId, slot);
        vm.prank(_accountOf(node));
        deals.accept(dealId, slot, newLog, _someRoot(inventory.log, count), count);
    }

    function _drop(uint64 dealId, uint16 slot, uint64 node) internal {
        Inventory memory inventory = deals.inventoryOf(node);
        uint64 count = inventory.count - deals.dealOf(dealId).stripes;
        bytes32 newLog = _logAfter(inventory.log, 2, dealId, slot);
        vm.prank(_accountOf(node));
        deals.drop(dealId, slot, newLog, _someRoot(inventory.log, count), count);
    }

    // ---------------------------------------------------------------- verdicts and reports

    function _verdict(uint64 node, uint64 epoch, uint8 reason) internal view returns (Verdict memory) {
        Inventory memory inventory = deals.inventoryAt(node, epoch);
        return Verdict({
            epoch: epoch,
            node: node,
            identityHash: registry.identityAt(node, epoch),
            root: inventory.root,
            count: inventory.count,
            reason: reason,
            judged: true,
            availabilityBps: 10_000,
            latencyP95Ms: 20,
            throughput: 1e7,
            evidenceHash: keccak256(abi.encode("evidence", node, epoch))
        });
    }

    function _one(Verdict memory verdict) internal pure returns (Verdict[] memory verdicts) {
        verdicts = new Verdict[](1);
        verdicts[0] = verdict;
    }

    function _leaves(Verdict[] memory verdicts) internal pure returns (bytes32[] memory leaves) {
        leaves = new bytes32[](verdicts.length);
        for (uint256 i; i < verdicts.length; ++i) {
            leaves[i] = Tree.leaf(verdicts[i]);
        }
    }

    function _report(uint64 epoch, Verdict[] memory verdicts) internal view returns (Report memory) {
        uint64 anchor = uint64(vm.getBlockNumber() - 1);
        return Report({
            epoch: epoch,
            view_: 0,
            beacon: hub.beaconOf(epoch),
            setVersion: registry.setVersionAt(epoch),
            policyHash: POLICY,
            leafCount: uint32(verdicts.length),
            verdictRoot: Tree.root(_leaves(verdicts)),
            archiveRoot: keccak256("archive"),
            anchorBlock: anchor,
            anchorHash: vm.getBlockNumber() == 0 ? bytes32(0) : blockhash(anchor),
            passed: uint32(verdicts.length),
            failed: 0,
            unjudged: 0
        });
    }

    function _submit(Report memory report) internal {
        hub.submitReport(report, _quorum(hub.reportDigest(report)));
    }

    /// @dev Reports an epoch right after its end; the present block must not be later than its report window.
    function _reportAll(uint64 epoch, Verdict[] memory verdicts) internal {
        if (hub.currentEpoch() <= epoch) vm.roll(hub.startBlock(epoch + 1) + 1);
        _submit(_report(epoch, verdicts));
    }

    function _settleOne(uint64 node, Verdict[] memory verdicts, uint256 index) internal {
        bytes32[][] memory proofs = new bytes32[][](1);
        proofs[0] = Tree.proof(_leaves(verdicts), index);
        vm.prank(keeper);
        hub.settle(node, _one(verdicts[index]), proofs);
    }

    function _settleOne(uint64 node, Verdict memory verdict) internal {
        _settleOne(node, _one(verdict), 0);
    }

    /// @dev One whole epoch for one node: beacon, report, dispute window, settlement.
    function _epoch(uint64 node, uint64 epoch, uint8 reason) internal {
        _begin(epoch);
        Verdict memory verdict = _verdict(node, epoch, reason);
        _reportAll(epoch, _one(verdict));
        _forward(hub.schedule().disputeBlocks);
        _settleOne(node, verdict);
    }

    /// @dev A node with an accepted slot and a settled cursor in the epoch of acceptance.
    function _servingNode() internal returns (uint64 node, uint64 dealId) {
        node = _enrol("node a");
        uint64 other = _enrol("node b");
        dealId = _sealedDeal(node, other);
        _accept(dealId, 0);
    }
}
