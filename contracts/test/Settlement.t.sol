// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

import {IDeals} from "../src/interfaces/IDeals.sol";
import {IHub} from "../src/interfaces/IHub.sol";
import {IRegistry} from "../src/interfaces/IRegistry.sol";
import {Verdict} from "../src/interfaces/Types.sol";
import {Reasons} from "../src/Reasons.sol";
import {Fixture} from "./utils/Fixture.sol";
import {Tree} from "./utils/Tree.sol";

contract SettlementTest is Fixture {
    uint64 private node;
    uint64 private dealId;

    function setUp() public override {
        super.setUp();
        (node, dealId) = _servingNode();
    }

    // ---------------------------------------------------------------- order and match

    function test_a_pass_pays_and_raises_both_scores() public {
        _begin(1);
        Verdict memory verdict = _verdict(node, 1, Reasons.PASS);
        _reportAll(1, _one(verdict));
        _forward(40);
        vm.expectEmit(address(hub));
        emit IHub.VerdictSettled(node, 1, Reasons.PASS, true, verdict.evidenceHash, true, false, false, 0, 5454, 5454);
        _settleOne(node, verdict);
        assertEq(hub.cursorOf(node), 1);
        (uint256 paid, uint256 failed) = hub.countBits(node, 0, 100);
        assertEq(paid, 1);
        assertEq(failed, 0);
    }

    function test_verdicts_are_leaves_of_a_larger_tree() public {
        _accept(dealId, 1);
        uint64 other = _present(dealId, 1).node;
        _begin(1);
        Verdict[] memory verdicts = new Verdict[](3);
        verdicts[0] = _verdict(node, 1, Reasons.PASS);
        verdicts[1] = _verdict(other, 1, Reasons.SLOW);
        verdicts[2] = _verdict(99, 1, Reasons.PASS);
        _reportAll(1, verdicts);
        _forward(40);
        _settleOne(node, verdicts, 0);
        _settleOne(other, verdicts, 1);
        (uint16 storageBps, uint16 availabilityBps) = hub.scoreOf(other);
        assertEq(storageBps, 5454);
        assertEq(availabilityBps, 4545);
        assertTrue(hub.cursorOf(node) == 1 && hub.cursorOf(other) == 1);
    }

    function test_settlement_waits_for_the_dispute_window() public {
        _begin(1);
        Verdict memory verdict = _verdict(node, 1, Reasons.PASS);
        _reportAll(1, _one(verdict));
        uint64 from = uint64(vm.getBlockNumber()) + 40;
        vm.roll(from - 1);
        assertFalse(hub.isBehind(node));
        _expectRefused(verdict, abi.encodeWithSelector(IHub.NotSettleable.selector, 1, from, from - 1));
        vm.roll(from);
        assertTrue(hub.isBehind(node));
        _settleOne(node, verdict);
        assertTrue(hub.isBehind(node), "epoch 2 was void and is over");
        hub.advance(node, 10);
        assertFalse(hub.isBehind(node));
    }

    function test_settlement_out_of_order_is_refused() public {
        _begin(1);
        Verdict memory first = _verdict(node, 1, Reasons.PASS);
        _reportAll(1, _one(first));
        _begin(2);
        Verdict memory second = _verdict(node, 2, Reasons.PASS);
        _reportAll(2, _one(second));
        _forward(40);
        _expectRefused(second, abi.encodeWithSelector(IHub.SettlementOutOfOrder.selector, 1, 2));
        _settleOne(node, first);
        _expectRefused(first, abi.encodeWithSelector(IHub.SettlementOutOfOrder.selector, 2, 1));
        _settleOne(node, second);
        _expectRefused(second, abi.encodeWithSelector(IHub.SettlementOutOfOrder.selector, 3, 2));
    }

    function test_several_epochs_settle_in_one_call() public {
        Verdict[] memory verdicts = new Verdict[](3);
        bytes32[][] memory proofs = new bytes32[][](3);
        for (uint64 epoch = 1; epoch <= 3; ++epoch) {
            _begin(epoch);
            verdicts[epoch - 1] = _verdict(node, epoch, epoch == 2 ? Reasons.UNREACHABLE : Reasons.PASS);
            _reportAll(epoch, _one(verdicts[epoch - 1]));
        }
        _forward(40);
        hub.settle(node, verdicts, proofs);
        (uint256 paid, uint256 failed) = hub.countBits(node, 1, 3);
        assertEq(paid, 2);
        assertEq(failed, 1);
        assertEq(hub.reputationOf(node).judgedEpochs, 3);
    }

    function test_lengths_must_match() public {
        vm.expectRevert(IHub.LengthMismatch.selector);
        hub.settle(node, new Verdict[](1), new bytes32[][](2));
    }

    function test_an_unknown_node_is_refused() public {
        vm.expectRevert(abi.encodeWithSelector(IHub.UnknownNode.selector, 99));
        hub.advance(99, 1);
    }

    function test_an_unreported_epoch_has_no_verdict() public {
        _begin(1);
        _goTo(2);
        _expectRefused(_verdict(node, 1, Reasons.PASS), abi.encodeWithSelector(IHub.NotReported.selector, 1));
    }

    function test_a_verdict_must_be_in_the_tree() public {
        _begin(1);
        Verdict memory verdict = _verdict(node, 1, Reasons.PASS);
        _reportAll(1, _one(_verdict(node, 1, Reasons.MISSING)));
        _forward(40);
        _expectRefused(verdict, abi.encodeWithSelector(IHub.WrongVerdictProof.selector, 1, node));
    }

    function test_another_nodes_verdict_is_refused() public {
        uint64 other = _present(dealId, 1).node;
        _begin(1);
        Verdict memory verdict = _verdict(other, 1, Reasons.PASS);
        _reportAll(1, _one(verdict));
        _forward(40);
        _expectRefused(verdict, abi.encodeWithSelector(IHub.WrongVerdictProof.selector, 1, node));
    }

    function test_a_verdict_about_another_identity_or_inventory_is_refused() public {
        _begin(1);
        Verdict[] memory verdicts = new Verdict[](4);
        for (uint256 i; i < 4; ++i) {
            verdicts[i] = _verdict(node, 1, Reasons.PASS);
        }
        bytes32 identity = verdicts[0].identityHash;
        bytes32 root = verdicts[0].root;
        verdicts[0].identityHash = keccak256("somebody else");
        verdicts[1].root = keccak256("another root");
        verdicts[2].count = 2;
        verdicts[3].reason = 200;
        _reportAll(1, verdicts);
        _forward(40);
        _expectRefused(
            verdicts, 0, abi.encodeWithSelector(IHub.WrongIdentity.selector, identity, verdicts[0].identityHash)
        );
        _expectRefused(verdicts, 1, abi.encodeWithSelector(IHub.WrongInventory.selector, root, 3));
        _expectRefused(verdicts, 2, abi.encodeWithSelector(IHub.WrongInventory.selector, root, 3));
        _expectRefused(verdicts, 3, abi.encodeWithSelector(IHub.UnknownReason.selector, 200));
    }

    function test_a_leaf_for_a_node_without_duty_does_nothing() public {
        uint64 idle = _present(dealId, 1).node;
        _begin(1);
        Verdict memory verdict = _verdict(idle, 1, Reasons.MISSING);
        _reportAll(1, _one(verdict));
        _forward(40);
        bytes32[][] memory proofs = new bytes32[][](1);
        vm.expectRevert(abi.encodeWithSelector(IHub.NoDuty.selector, idle, 1));
        hub.settle(idle, _one(verdict), proofs);
        assertEq(hub.advance(idle, 1), 1);
    }

    function testFuzz_a_damaged_verdict_or_path_is_refused(uint256 which, uint256 change) public {
        vm.assume(change != 0);
        _begin(1);
        Verdict[] memory verdicts = new Verdict[](5);
        for (uint64 i; i < 5; ++i) {
            verdicts[i] = _verdict(i == 2 ? node : 100 + i, 1, Reasons.PASS);
        }
        _reportAll(1, verdicts);
        _forward(40);
        bytes32[][] memory proofs = new bytes32[][](1);
        proofs[0] = Tree.proof(_leaves(verdicts), 2);
        Verdict memory verdict = verdicts[2];
        which = bound(which, 0, proofs[0].length + 3);
        if (which < proofs[0].length) proofs[0][which] ^= bytes32(change);
        else if (which == proofs[0].length) verdict.evidenceHash ^= bytes32(change);
        else if (which == proofs[0].length + 1) verdict.reason = uint8(bound(change, 1, 7));
        else if (which == proofs[0].length + 2) verdict.judged = false;
        else verdict.availabilityBps = uint16(bound(change, 0, 9999));
        vm.expectRevert(abi.encodeWithSelector(IHub.WrongVerdictProof.selector, 1, node));
        hub.settle(node, _one(verdict), proofs);
    }

    // ---------------------------------------------------------------- epochs without a verdict

    function test_idle_epochs_pass_without_a_leaf() public {
        uint64 idle = _present(dealId, 1).node;
        _goTo(5);
        vm.expectEmit(address(hub));
        emit IHub.EpochSkipped(idle, 1, IHub.SkipCause.NoDuty, false);
        assertEq(hub.advance(idle, 100), 4, "the present epoch waits");
        (uint256 paid, uint256 failed) = hub.countBits(idle, 0, 4);
        assertEq(paid + failed, 0);
        assertEq(hub.ledgerOf(idle).heldFrom, 0);
    }

    function test_advance_goes_no_further_than_asked() public {
        uint64 idle = _present(dealId, 1).node;
        _goTo(9);
        assertEq(hub.advance(idle, 3), 3);
        assertEq(hub.advance(idle, 2), 5);
        assertEq(hub.advance(idle, 0), 5);
    }

    function test_a_void_epoch_holds_pay_until_the_next_pass() public {
        // No beacon in epochs 1 and 2.
        _goTo(3);
        assertTrue(hub.isBehind(node));
        assertEq(hub.advance(node, 10), 2);
        assertEq(hub.ledgerOf(node).heldFrom, 1);
        assertEq(hub.resolvedTo(node), 0, "nothing to claim while it is held");
        (uint256 paid, uint256 failed) = hub.countBits(node, 1, 2);
        assertEq(paid + failed, 0);
        // A failed challenge releases nothing.
        _epoch(node, 3, Reasons.MISSING);
        assertEq(hub.ledgerOf(node).heldFrom, 1);
        _epoch(node, 5, Reasons.PASS);
        assertEq(hub.cursorOf(node), 5, "epoch 4 was void and passed over in settle");
        (paid, failed) = hub.countBits(node, 1, 5);
        assertEq(paid, 4);
        assertEq(failed, 1);
        assertEq(hub.resolvedTo(node), 5);
        assertEq(_bondOf(node), BOND, "nobody is slashed for a void epoch, and the one miss was the grace");
    }

    function test_an_unreported_epoch_holds_pay_after_its_window() public {
        _begin(1);
        _goTo(3);
        assertEq(hub.advance(node, 1), 0, "it could still be reported");
        assertFalse(hub.isBehind(node));
        _goTo(4);
        vm.expectEmit(address(hub));
        emit IHub.EpochSkipped(node, 1, IHub.SkipCause.Unreported, false);
        assertEq(hub.advance(node, 1), 1);
        assertEq(hub.ledgerOf(node).heldFrom, 1);
    }

    function test_held_pay_lapses_after_the_unbonding_time() public {
        // Epochs 1 to 8 are void; unbonding takes 8 epochs.
        _goTo(9);
        assertEq(hub.advance(node, 100), 8);
        assertEq(hub.ledgerOf(node).heldFrom, 1);
        _goTo(10);
        vm.expectEmit(address(hub));
        emit IHub.HeldResolved(node, 1, 9, 9, false);
        hub.advance(node, 100);
        assertEq(hub.ledgerOf(node).heldFrom, 0);
        assertEq(hub.resolvedTo(node), 9);
        _epoch(node, 10, Reasons.PASS);
        (uint256 paid, uint256 failed) = hub.countBits(node, 1, 10);
        assertEq(paid, 1, "what lapsed stays unpaid");
        assertEq(failed, 0);
    }

    // ---------------------------------------------------------------- what a reason costs

    function test_the_first_miss_of_an_era_costs_pay_only() public {
        _begin(1);
        Verdict memory verdict = _verdict(node, 1, Reasons.MISSING);
        _reportAll(1, _one(verdict));
        _forward(40);
        vm.expectEmit(address(hub));
        emit IHub.VerdictSettled(node, 1, Reasons.MISSING, true, verdict.evidenceHash, false, true, true, 0, 4545, 5000);
        _settleOne(node, verdict);
        assertEq(_bondOf(node), BOND);
        _epoch(node, 3, Reasons.MISSING);
        assertEq(_bondOf(node), BOND - BOND / 100, "the second one climbs the ladder");
    }

    function test_every_era_has_its_own_grace() public {
        _epoch(node, 1, Reasons.MISSING);
        _epoch(node, 30, Reasons.MISSING);
        assertEq(hub.ledgerOf(node).graceEra, 2);
        assertEq(_bondOf(node), BOND);
    }

    function test_bad_proofs_climb_the_ladder_without_grace() public {
        uint256 bond = BOND;
        uint256[6] memory costs = [uint256(100), 200, 400, 800, 1000, 1000];
        for (uint64 i; i < 6; ++i) {
            _epoch(node, 1 + 3 * i, i % 2 == 0 ? Reasons.PROOF_BAD : Reasons.INVENTORY_MISMATCH);
            bond -= (bond * costs[i]) / 10_000;
            assertEq(_bondOf(node), bond);
        }
        assertEq(token.balanceOf(address(registry)), bond + BOND, "the other node's bond is untouched");
    }

    function test_a_slash_is_shared_to_the_wei() public {
        _begin(1);
        Verdict memory verdict = _verdict(node, 1, Reasons.PROOF_BAD);
        _reportAll(1, _one(verdict));
        _forward(40);
        // 1% of 1000; 5% of it to the settler, one epoch's rate to the owners, the rest burned.
        vm.expectEmit(address(registry));
        emit IRegistry.Slashed(node, 1, Reasons.PROOF_BAD, verdict.evidenceHash, 10 ether, 0.5 ether, RATE, 8.5 ether);
        vm.expectEmit(address(deals));
        emit IDeals.ShareCredited(node, 1, RATE, RATE);
        _settleOne(node, verdict);
        assertEq(token.balanceOf(keeper), 0.5 ether);
        assertEq(token.balanceOf(registry.BURN()), 8.5 ether);
        assertEq(deals.sharePool(), RATE);
    }

    function test_forged_attestation_costs_half_and_removes() public {
        _begin(1);
        Verdict memory verdict = _verdict(node, 1, Reasons.ATTESTATION_FORGED);
        _reportAll(1, _one(verdict));
        _forward(40);
        vm.expectEmit(address(registry));
        emit IRegistry.NodeRemoved(node, 1, Reasons.ATTESTATION_FORGED, verdict.evidenceHash);
        vm.expectEmit(address(hub));
        emit IHub.StandingChanged(node, 1, IHub.Standing.Removed);
        _settleOne(node, verdict);
        assertEq(_bondOf(node), BOND / 2);
        assertEq(uint8(hub.standingOf(node)), uint8(IHub.Standing.Removed));
        assertFalse(hub.isTrusted(node));
    }

    function test_after_removal_every_epoch_is_refunded() public {
        _epoch(node, 1, Reasons.ATTESTATION_FORGED);
        _begin(4);
        Verdict memory verdict = _verdict(node, 4, Reasons.PASS);
        _reportAll(4, _one(verdict));
        _forward(40);
        _expectRefused(verdict, abi.encodeWithSelector(IHub.NodeIsRemoved.selector, node, 1));
        assertEq(hub.advance(node, 100), 5);
        (uint256 paid, uint256 failed) = hub.countBits(node, 1, 5);
        assertEq(paid, 0);
        assertEq(failed, 5);
    }

    function test_slow_pays_and_costs_availability() public {
        _epoch(node, 1, Reasons.SLOW);
        (uint256 paid,) = hub.countBits(node, 1, 1);
        assertEq(paid, 1);
        (uint16 storageBps, uint16 availabilityBps) = hub.scoreOf(node);
        assertEq(storageBps, 5454);
        assertEq(availabilityBps, 4545);
    }

    function test_unreachable_refunds_and_touches_no_bond() public {
        _epoch(node, 1, Reasons.UNREACHABLE);
        (uint256 paid, uint256 failed) = hub.countBits(node, 1, 1);
        assertEq(paid, 0);
        assertEq(failed, 1);
        assertEq(_bondOf(node), BOND);
    }

    function test_unjudged_figures_cost_nobody_anything() public {
        uint8[3] memory reasons = [Reasons.PASS, Reasons.SLOW, Reasons.UNREACHABLE];
        for (uint64 i; i < 3; ++i) {
            uint64 epoch = 1 + 3 * i;
            _begin(epoch);
            Verdict memory verdict = _verdict(node, epoch, reasons[i]);
            verdict.judged = false;
            _reportAll(epoch, _one(verdict));
            _forward(40);
            _settleOne(node, verdict);
        }
        (, uint256 failed) = hub.countBits(node, 1, 7);
        assertEq(failed, 0);
        (, uint16 availabilityBps) = hub.scoreOf(node);
        assertEq(availabilityBps, 5000);
        assertEq(hub.reputationOf(node).judgedEpochs, 3);
    }

    function testFuzz_no_sequence_of_verdicts_takes_more_than_the_bond(uint256 seed) public {
        for (uint64 i; i < 6; ++i) {
            uint8 reason = uint8(uint256(keccak256(abi.encode(seed, i))) % 7);
            uint256 before = _bondOf(node);
            uint256 supply = token.totalSupply();
            _epoch(node, 1 + 3 * i, reason);
            assertLe(before - _bondOf(node), before / 10 + 1);
            assertEq(token.totalSupply(), supply);
        }
        assertEq(token.balanceOf(address(registry)), _bondOf(node) + BOND);
    }

    // ---------------------------------------------------------------- standing and trust

    function test_a_node_is_vetted_then_good_then_suspended_and_comes_back() public {
        assertEq(uint8(hub.standingOf(99)), uint8(IHub.Standing.Unknown));
        assertEq(uint8(hub.standingOf(node)), uint8(IHub.Standing.Vetting));
        _epoch(node, 1, Reasons.PASS);
        _epoch(node, 3, Reasons.PASS);
        assertFalse(hub.isTrusted(node));
        _epoch(node, 5, Reasons.PASS);
        hub.advance(node, 10);
        assertEq(uint8(hub.standingOf(node)), uint8(IHub.Standing.Good));
        assertTrue(hub.isTrusted(node));
        uint64 epoch = 7;
        for (uint256 i; i < 6; ++i) {
            _epoch(node, epoch, Reasons.PROOF_BAD);
            epoch += 2;
        }
        assertEq(uint8(hub.standingOf(node)), uint8(IHub.Standing.Suspended));
        assertFalse(hub.isTrusted(node));
        for (uint256 i; i < 3; ++i) {
            _epoch(node, epoch, Reasons.PASS);
            epoch += 2;
        }
        assertEq(uint8(hub.standingOf(node)), uint8(IHub.Standing.Good), "passing is the way back");
    }

    function test_a_bond_below_half_the_minimum_suspends_until_topped_up() public {
        for (uint64 i; i < 3; ++i) {
            _epoch(node, 1 + 2 * i, Reasons.PASS);
        }
        vm.prank(address(hub));
        registry.slash(node, 5, Reasons.PROOF_BAD, 0, BOND / 2 + 1, keeper, 0, 0);
        assertEq(uint8(hub.standingOf(node)), uint8(IHub.Standing.Suspended));
        token.mint(_accountOf(node), 1);
        vm.prank(_accountOf(node));
        registry.topUp(node, 1);
        assertEq(uint8(hub.standingOf(node)), uint8(IHub.Standing.Good));
    }

    function test_a_node_behind_is_not_trusted() public {
        for (uint64 i; i < 3; ++i) {
            _epoch(node, 1 + 2 * i, Reasons.PASS);
        }
        // Epoch 6 had no beacon and is over: anybody could pass it over now.
        assertEq(hub.currentEpoch(), 7);
        assertFalse(hub.isTrusted(node));
        hub.advance(node, 10);
        assertTrue(hub.isTrusted(node));
    }

    function test_an_exiting_node_is_not_trusted() public {
        for (uint64 i; i < 3; ++i) {
            _epoch(node, 1 + 2 * i, Reasons.PASS);
        }
        hub.advance(node, 10);
        assertTrue(hub.isTrusted(node));
        vm.prank(_accountOf(node));
        registry.requestExit(node);
        assertFalse(hub.isTrusted(node));
    }

    function _expectRefused(Verdict memory verdict, bytes memory reason) private {
        _expectRefused(_one(verdict), 0, reason);
    }

    function _expectRefused(Verdict[] memory verdicts, uint256 index, bytes memory reason) private {
        bytes32[][] memory proofs = new bytes32[][](1);
        proofs[0] = Tree.proof(_leaves(verdicts), index);
        vm.expectRevert(reason);
        hub.settle(node, _one(verdicts[index]), proofs);
    }
}
