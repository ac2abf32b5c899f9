// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

import {IHub} from "../src/interfaces/IHub.sol";
import {IRegistry} from "../src/interfaces/IRegistry.sol";
import {Enrolment, EnrolmentEvidence, QuorumSignatures, Verdict} from "../src/interfaces/Types.sol";
import {Quorum} from "../src/libraries/Quorum.sol";
import {Reasons} from "../src/Reasons.sol";
import {TpmClasses} from "../src/TpmClasses.sol";
import {AttestationFixture} from "./utils/AttestationFixture.sol";

/// @dev Another machine, or other keys, in a node's place.
contract ReenrolmentTest is AttestationFixture {
    /// @dev An enrolment of `machine` for the account of `node`.
    function _successor(uint64 node, string memory machine) private returns (Enrolment memory enrolment) {
        enrolment = _enrolment(machine);
        enrolment.account = _accountOf(node);
    }

    function _reenrol(Enrolment memory enrolment) private {
        QuorumSignatures memory quorum = _quorum(registry.enrolmentDigest(enrolment));
        vm.prank(enrolment.account);
        registry.reenrol(enrolment, quorum);
    }

    function _expectNoReenrolment(Enrolment memory enrolment, bytes memory refusal) private {
        QuorumSignatures memory quorum = _quorum(registry.enrolmentDigest(enrolment));
        vm.prank(enrolment.account);
        vm.expectRevert(refusal);
        registry.reenrol(enrolment, quorum);
    }

    function _identityOf(Enrolment memory it) private pure returns (bytes32) {
        return keccak256(abi.encode(it.account, it.hardwareId, it.akHash, it.nodeKeyHash));
    }

    function test_another_machine_takes_over_from_the_next_epoch_and_the_rest_of_the_node_stays() public {
        (uint64 node,) = _servingNode();
        IRegistry.Node memory before = registry.nodeOf(node);
        Enrolment memory next = _successor(node, "new machine");
        next.tpmClass = TpmClasses.FIRMWARE;
        uint64 epoch = hub.currentEpoch();
        vm.expectEmit();
        emit IRegistry.MachineChanged(
            node, next.hardwareId, next.akHash, next.nodeKeyHash, next.resultHash, next.tpmClass, epoch + 1
        );
        _reenrol(next);

        IRegistry.Node memory record = registry.nodeOf(node);
        assertEq(record.identityHash, _identityOf(next));
        assertEq(record.identityFrom, epoch + 1);
        assertEq(registry.identityAt(node, epoch), before.identityHash);
        assertEq(registry.identityAt(node, epoch + 1), _identityOf(next));
        assertEq(registry.nodeByHardware(next.hardwareId), node);
        (before.hardwareId, before.akHash, before.nodeKeyHash) = (next.hardwareId, next.akHash, next.nodeKeyHash);
        (before.resultHash, before.tpmClass) = (next.resultHash, next.tpmClass);
        (before.identityHash, before.identityFrom) = (record.identityHash, epoch + 1);
        assertEq(abi.encode(record), abi.encode(before));
    }

    function test_each_epoch_is_settled_by_the_machine_that_it_was_judged_by() public {
        (uint64 node,) = _servingNode();
        _epoch(node, 1, Reasons.PASS);
        _begin(2);
        Verdict memory second = _verdict(node, 2, Reasons.PASS);
        _reenrol(_successor(node, "new machine"));
        bytes32 old = registry.identityAt(node, 2);
        bytes32 latest = registry.identityAt(node, 3);
        assertEq(second.identityHash, old);
        assertTrue(old != latest);
        _reportAll(2, _one(second));
        _begin(3);
        Verdict memory third = _verdict(node, 3, Reasons.PASS);
        assertEq(third.identityHash, latest);
        _forward(hub.schedule().disputeBlocks);
        _settleOne(node, second);
        _reportAll(3, _one(third));
        _forward(hub.schedule().disputeBlocks);
        _settleOne(node, third);
        assertEq(hub.cursorOf(node), 3);
    }

    function test_a_verdict_about_the_other_machine_is_refused_on_either_side_of_the_change() public {
        (uint64 node,) = _servingNode();
        _begin(1);
        _reenrol(_successor(node, "new machine"));
        (bytes32 old, bytes32 latest) = (registry.identityAt(node, 1), registry.identityAt(node, 2));
        Verdict memory verdict = _verdict(node, 1, Reasons.PASS);
        uint256 before = vm.snapshotState();
        verdict.identityHash = latest;
        _reportAll(1, _one(verdict));
        _forward(hub.schedule().disputeBlocks);
        _expectNoSettlement(node, verdict, abi.encodeWithSelector(IHub.WrongIdentity.selector, old, latest));

        vm.revertToState(before);
        verdict.identityHash = old;
        _reportAll(1, _one(verdict));
        _forward(hub.schedule().disputeBlocks);
        _settleOne(node, verdict);
        _begin(2);
        verdict = _verdict(node, 2, Reasons.PASS);
        verdict.identityHash = old;
        _reportAll(2, _one(verdict));
        _forward(hub.schedule().disputeBlocks);
        _expectNoSettlement(node, verdict, abi.encodeWithSelector(IHub.WrongIdentity.selector, latest, old));
    }

    function _expectNoSettlement(uint64 node, Verdict memory verdict, bytes memory refusal) private {
        bytes32[][] memory proofs = new bytes32[][](1);
        proofs[0] = new bytes32[](0);
        vm.expectRevert(refusal);
        hub.settle(node, _one(verdict), proofs);
    }

    function test_a_second_change_waits_until_the_epochs_before_the_first_are_settled() public {
        (uint64 node,) = _servingNode();
        _begin(1);
        Verdict memory first = _verdict(node, 1, Reasons.PASS);
        _reenrol(_successor(node, "machine b"));
        // In the same epoch anything goes: machine b was never in force.
        Enrolment memory c = _successor(node, "machine c");
        _reenrol(c);
        assertEq(registry.identityAt(node, 1), first.identityHash);
        assertEq(registry.identityAt(node, 2), _identityOf(c));

        _reportAll(1, _one(first));
        Enrolment memory d = _successor(node, "machine d");
        _expectNoReenrolment(d, abi.encodeWithSelector(IRegistry.SettlementBehind.selector, node, 0, 1));
        _forward(hub.schedule().disputeBlocks);
        _settleOne(node, first);
        _reenrol(d);
        uint64 epoch = hub.currentEpoch();
        assertEq(registry.identityAt(node, epoch), _identityOf(c));
        assertEq(registry.identityAt(node, epoch + 1), _identityOf(d));
    }

    function test_a_machine_of_another_node_or_of_a_removed_one_is_refused() public {
        uint64 node = _enrol("node a");
        Enrolment memory b = _enrolment("node b");
        uint64 other = _enrol(b, BOND);
        Enrolment memory stolen = _successor(node, "node b");
        bytes memory taken =
            abi.encodeWithSelector(IRegistry.HardwareAlreadyEnrolled.selector, stolen.hardwareId, other);
        _expectNoReenrolment(stolen, taken);
        vm.prank(address(hub));
        registry.remove(other, 1, 1, 0);
        _expectNoReenrolment(stolen, taken);
        // And nobody comes back to a removed node.
        Enrolment memory back = _successor(other, "new machine");
        _expectNoReenrolment(
            back, abi.encodeWithSelector(IRegistry.NotActive.selector, other, IRegistry.Status.Removed)
        );
    }

    function test_a_machine_that_was_replaced_stays_bound_to_its_node_and_may_return_to_it() public {
        Enrolment memory first = _enrolment("node a");
        uint64 node = _enrol(first, BOND);
        _reenrol(_successor(node, "machine b"));
        Enrolment memory elsewhere = _enrolment("node a");
        elsewhere.account = makeAddr("other account");
        QuorumSignatures memory quorum = _quorum(registry.enrolmentDigest(elsewhere));
        vm.prank(elsewhere.account);
        vm.expectRevert(abi.encodeWithSelector(IRegistry.HardwareAlreadyEnrolled.selector, first.hardwareId, node));
        registry.register(elsewhere, quorum, "https://node", 0, BOND);
        _reenrol(first);
        assertEq(registry.nodeOf(node).hardwareId, first.hardwareId);
    }

    function test_forged_evidence_of_the_machine_before_still_removes_the_node_and_bars_both_machines() public {
        (uint64 node,) = _servingNode();
        _begin(1);
        Verdict memory forged = _verdict(node, 1, Reasons.ATTESTATION_FORGED);
        bytes32 oldHardware = registry.nodeOf(node).hardwareId;
        Enrolment memory next = _successor(node, "new machine");
        _reenrol(next);
        _reportAll(1, _one(forged));
        _forward(hub.schedule().disputeBlocks);
        _settleOne(node, forged);
        assertEq(uint8(registry.nodeOf(node).status), uint8(IRegistry.Status.Removed));
        bytes32[2] memory machines = [oldHardware, next.hardwareId];
        for (uint256 i; i < 2; ++i) {
            Enrolment memory again = _enrolment("fresh account");
            again.hardwareId = machines[i];
            QuorumSignatures memory quorum = _quorum(registry.enrolmentDigest(again));
            vm.prank(again.account);
            vm.expectRevert(abi.encodeWithSelector(IRegistry.HardwareAlreadyEnrolled.selector, machines[i], node));
            registry.register(again, quorum, "https://node", 0, BOND);
        }
    }

    function test_only_the_nodes_account_with_a_fresh_statement_of_a_quorum_changes_it() public {
        Enrolment memory first = _enrolment("node a");
        uint64 node = _enrol(first, BOND);
        _expectNoReenrolment(first, abi.encodeWithSelector(IRegistry.SameIdentity.selector, node));
        Enrolment memory next = _successor(node, "new machine");
        QuorumSignatures memory quorum = _quorum(registry.enrolmentDigest(next));
        vm.expectRevert(abi.encodeWithSelector(IRegistry.UnknownNode.selector, 0));
        registry.reenrol(next, quorum);
        uint64 other = _enrol("node b");
        address thief = _accountOf(other);
        vm.prank(thief);
        vm.expectRevert(abi.encodeWithSelector(IRegistry.WrongAccount.selector, next.account, thief));
        registry.reenrol(next, quorum);
        QuorumSignatures memory few = _quorum(registry.enrolmentDigest(next), 0x3);
        vm.prank(next.account);
        vm.expectRevert(abi.encodeWithSelector(Quorum.TooFewSigners.selector, 3, 2));
        registry.reenrol(next, few);
        vm.warp(next.expiry + 1);
        vm.prank(next.account);
        vm.expectRevert(abi.encodeWithSelector(IRegistry.EnrolmentExpired.selector, next.expiry, next.expiry + 1));
        registry.reenrol(next, quorum);
    }

    function test_places_of_virtual_machines_are_counted_through_changes() public {
        vm.prank(admin);
        registry.setVirtualCap(1);
        uint64 node = _enrol("node a");
        Enrolment memory next = _successor(node, "virtual a");
        next.tpmClass = TpmClasses.VIRTUAL;
        _reenrol(next);
        assertEq(registry.virtualCount(), 1);
        Enrolment memory refused = _successor(_enrol("node b"), "virtual b");
        refused.tpmClass = TpmClasses.VIRTUAL;
        _expectNoReenrolment(refused, abi.encodeWithSelector(IRegistry.VirtualCapReached.selector, 1));
        // A lower cap removes nobody, and a virtual machine may follow a virtual machine.
        vm.prank(admin);
        registry.setVirtualCap(0);
        next = _successor(node, "virtual c");
        next.tpmClass = TpmClasses.VIRTUAL;
        _reenrol(next);
        assertEq(registry.virtualCount(), 1);
        _reenrol(_successor(node, "chip"));
        assertEq(registry.virtualCount(), 0);
    }

    function test_under_a_quote_policy_the_new_machine_quotes_on_chain() public {
        (uint64 node, Machine memory machine) = _attestedNode();
        Machine memory next = _machine("node a", 2);
        (Enrolment memory enrolment, EnrolmentEvidence memory evidence) = _present(next);
        QuorumSignatures memory quorum = _quorum(registry.enrolmentDigest(enrolment));
        vm.startPrank(machine.account);
        vm.expectRevert(abi.encodeWithSelector(IRegistry.QuoteRequired.selector, address(quorumPolicy)));
        registry.reenrol(enrolment, quorum);
        (, EnrolmentEvidence memory others) = _present(machine);
        vm.expectRevert();
        registry.reenrolWithQuote(enrolment, quorum, others);
        registry.reenrolWithQuote(enrolment, quorum, evidence);
        vm.stopPrank();
        assertEq(registry.nodeOf(node).akHash, enrolment.akHash);
        assertEq(registry.attestationOf(node).pcrDigest, STATE);
    }

    function test_nobody_holds_a_change_up_by_showing_its_quote_before() public {
        (uint64 node, Machine memory machine) = _attestedNode();
        _forward(1);
        // A new node key beside the same attestation key.
        Machine memory next = machine;
        next.nodeSecret = 7777;
        next.clock.clockMs += 1;
        (Enrolment memory enrolment, EnrolmentEvidence memory evidence) = _present(next);
        QuorumSignatures memory quorum = _quorum(registry.enrolmentDigest(enrolment));
        registry.attest(node, evidence.quote, new bytes32[](0));
        vm.prank(machine.account);
        registry.reenrolWithQuote(enrolment, quorum, evidence);
        assertEq(registry.nodeOf(node).nodeKeyHash, enrolment.nodeKeyHash);
        // Shown again it counts no more.
        vm.expectRevert();
        registry.attest(node, evidence.quote, new bytes32[](0));
    }

    function test_under_a_roster_the_new_machine_must_be_on_it_and_no_quorum_will_do() public {
        _setPolicy(rosterPolicy);
        (Enrolment memory first, EnrolmentEvidence memory evidence) = _present(_machine("node a", 1));
        uint64 node = _registerFromRoster(first, _rosterProof(0), evidence);
        (Enrolment memory next, EnrolmentEvidence memory fresh) = _present(_machine("node a", 2));
        (Enrolment memory stranger, EnrolmentEvidence memory unknown) = _present(_machine("node a", 3));
        QuorumSignatures memory quorum = _quorum(registry.enrolmentDigest(next));
        bytes32[] memory proof = _rosterProof(1);
        bytes32 roster = rosterPolicy.roster();
        vm.startPrank(next.account);
        vm.expectRevert(abi.encodeWithSelector(IRegistry.RosterRequired.selector, roster));
        registry.reenrolWithQuote(next, quorum, fresh);
        vm.expectRevert();
        registry.reenrolFromRoster(stranger, proof, unknown);
        registry.reenrolFromRoster(next, proof, fresh);
        vm.stopPrank();
        assertEq(registry.nodeOf(node).hardwareId, next.hardwareId);
    }
}
