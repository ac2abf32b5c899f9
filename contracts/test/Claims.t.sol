// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

import {IDeals} from "../src/interfaces/IDeals.sol";
import {Reasons} from "../src/Reasons.sol";
import {Fixture} from "./utils/Fixture.sol";

contract ClaimsTest is Fixture {
    uint64 private node;
    uint64 private dealId;
    address private account;

    function setUp() public override {
        super.setUp();
        (node, dealId) = _servingNode();
        account = _accountOf(node);
    }

    function test_a_claim_pays_the_node_and_refunds_the_owner() public {
        _epoch(node, 1, Reasons.PASS);
        _epoch(node, 3, Reasons.UNREACHABLE);
        _epoch(node, 5, Reasons.PASS);
        uint256 ownerBefore = token.balanceOf(owner);
        uint256 escrow = deals.dealOf(dealId).escrow;
        vm.expectEmit(address(deals));
        // Epochs 2 and 4 were void and are paid since the node passed in 5.
        emit IDeals.Claimed(dealId, 0, node, 1, 5, 4 * RATE, RATE);
        deals.claim(dealId, 0, 0);
        assertEq(token.balanceOf(account), 4 * RATE);
        assertEq(token.balanceOf(owner), ownerBefore + RATE);
        assertEq(deals.dealOf(dealId).escrow, escrow - 5 * RATE);
    }

    function test_a_claim_is_never_paid_twice() public {
        _epoch(node, 1, Reasons.PASS);
        deals.claim(dealId, 0, 0);
        vm.expectRevert(abi.encodeWithSelector(IDeals.NothingToClaim.selector, 1));
        deals.claim(dealId, 0, 0);
        assertEq(token.balanceOf(account), RATE);
    }

    function test_epochs_before_the_acceptance_are_not_paid() public {
        _epoch(node, 1, Reasons.PASS);
        _epoch(node, 2, Reasons.PASS);
        // Another deal is accepted in epoch 4: the node's epochs 1 and 2 are nothing to it.
        _goTo(4);
        uint64 later = _sealedDeal(node, _enrol("node c"));
        _accept(later, 0);
        vm.expectRevert(abi.encodeWithSelector(IDeals.NothingToClaim.selector, 4));
        deals.claim(later, 0, 0);
        _epoch(node, 4, Reasons.PASS);
        vm.expectRevert(abi.encodeWithSelector(IDeals.NothingToClaim.selector, 4));
        deals.claim(later, 0, 0);
        _epoch(node, 5, Reasons.PASS);
        (uint256 paid,) = deals.claim(later, 0, 0);
        assertEq(paid, RATE);
    }

    function test_a_slot_nobody_accepted_pays_nothing() public {
        _epoch(node, 1, Reasons.PASS);
        vm.expectRevert(abi.encodeWithSelector(IDeals.NotAccepted.selector, dealId, 1));
        deals.claim(dealId, 1, 0);
        vm.expectRevert(abi.encodeWithSelector(IDeals.UnknownAssignment.selector, dealId, 0, 1));
        deals.claim(dealId, 0, 1);
    }

    function test_epochs_after_the_end_of_a_tenure_are_not_paid() public {
        _goTo(2);
        vm.prank(owner);
        deals.endSlot(dealId, 0);
        for (uint64 epoch = 2; epoch < 6; ++epoch) {
            _epoch(node, epoch, Reasons.PASS);
        }
        (uint256 paid,) = deals.claim(dealId, 0, 0);
        assertEq(paid, 2 * RATE, "epochs 1 (held, then paid) and 2");
        vm.expectRevert(abi.encodeWithSelector(IDeals.NothingToClaim.selector, 2));
        deals.claim(dealId, 0, 0);
    }

    function test_a_slot_dropped_in_its_last_epoch_is_paid_to_the_end() public {
        _epoch(node, 1, Reasons.PASS);
        _begin(3);
        vm.prank(owner);
        deals.endSlot(dealId, 0);
        _drop(dealId, 0, node);
        assertEq(_verdict(node, 3, Reasons.PASS).count, 3, "the last epoch is still owed");
        vm.expectRevert(abi.encodeWithSelector(IDeals.TenuresOpen.selector, dealId, 1));
        vm.prank(owner);
        deals.close(dealId);
        _epoch(node, 3, Reasons.PASS);
        (uint256 paid, uint256 refunded) = deals.claim(dealId, 0, 0);
        assertEq(paid, 3 * RATE, "1, void 2, and 3");
        assertEq(refunded, 0);
        vm.prank(owner);
        deals.close(dealId);
        _goTo(8);
        assertEq(hub.advance(node, 100), 7, "nothing is owed after the last epoch");
    }

    function test_a_slot_dropped_in_its_last_epoch_is_still_slashed_for_it() public {
        _begin(1);
        vm.prank(owner);
        deals.endSlot(dealId, 0);
        _drop(dealId, 0, node);
        _epoch(node, 1, Reasons.PROOF_BAD);
        assertEq(_bondOf(node), BOND - BOND / 100);
        (, uint256 refunded) = deals.claim(dealId, 0, 0);
        assertEq(refunded, RATE);
        assertEq(deals.pullShare(dealId, 0, 0), RATE);
    }

    function test_held_epochs_wait_and_are_then_paid() public {
        _epoch(node, 1, Reasons.PASS);
        _goTo(4);
        hub.advance(node, 10);
        deals.claim(dealId, 0, 0);
        vm.expectRevert(abi.encodeWithSelector(IDeals.NothingToClaim.selector, 1));
        deals.claim(dealId, 0, 0);
        _epoch(node, 4, Reasons.PASS);
        (uint256 paid, uint256 refunded) = deals.claim(dealId, 0, 0);
        assertEq(paid, 3 * RATE);
        assertEq(refunded, 0);
    }

    function test_a_moved_slot_pays_each_node_for_its_own_epochs() public {
        uint64 spare = _enrol("node c");
        _epoch(node, 1, Reasons.PASS);
        _goTo(4);
        vm.prank(owner);
        deals.moveSlot(dealId, 0, spare);
        _accept(dealId, 0);
        _epoch(node, 4, Reasons.PASS);
        // Epoch 6: the new node serves, the old one still holds the shards.
        _begin(6);
        _reportAll(6, _one(_verdict(spare, 6, Reasons.PASS)));
        _forward(40);
        _settleOne(spare, _verdict(spare, 6, Reasons.PASS));
        (uint256 paidOld,) = deals.claim(dealId, 0, 0);
        (uint256 paidNew,) = deals.claim(dealId, 0, 1);
        assertEq(paidOld, 4 * RATE, "1, void 2 and 3, and 4");
        assertEq(paidNew, 2 * RATE, "void 5, and 6");
    }

    function test_a_deal_is_closed_after_its_last_claim() public {
        _epoch(node, 1, Reasons.PASS);
        _goTo(2);
        vm.startPrank(owner);
        deals.endSlot(dealId, 0);
        vm.expectRevert(abi.encodeWithSelector(IDeals.TenuresOpen.selector, dealId, 1));
        deals.close(dealId);
        vm.stopPrank();
        _epoch(node, 2, Reasons.PROOF_BAD);
        deals.claim(dealId, 0, 0);
        uint256 escrow = deals.dealOf(dealId).escrow;
        assertEq(escrow, 2 * uint256(RATE) * DURATION - 2 * RATE);
        uint256 before = token.balanceOf(owner);
        vm.prank(owner);
        deals.close(dealId);
        assertEq(token.balanceOf(owner), before + escrow);
        // The share of the slash is the owner's also after the end.
        assertEq(deals.pullShare(dealId, 0, 0), RATE);
        assertEq(token.balanceOf(address(deals)), 0);
    }

    function test_a_removed_nodes_owner_gets_everything_back() public {
        _epoch(node, 1, Reasons.PASS);
        _epoch(node, 3, Reasons.ATTESTATION_FORGED);
        _goTo(DURATION + 1);
        hub.advance(node, 100);
        (uint256 paid, uint256 refunded) = deals.claim(dealId, 0, 0);
        assertEq(paid, RATE);
        assertEq(refunded, RATE * (DURATION - 2), "epoch 2 was held and lapsed with the removal");
        vm.prank(owner);
        deals.close(dealId);
        assertEq(deals.dealOf(dealId).escrow, 0);
    }

    // ---------------------------------------------------------------- shares

    function test_an_owners_share_is_one_epochs_rate() public {
        _epoch(node, 1, Reasons.PROOF_BAD);
        uint256 before = token.balanceOf(owner);
        vm.expectEmit(address(deals));
        emit IDeals.SharePulled(dealId, 0, node, RATE);
        assertEq(deals.pullShare(dealId, 0, 0), RATE);
        assertEq(token.balanceOf(owner), before + RATE);
        assertEq(deals.pullShare(dealId, 0, 0), 0, "once");
        assertEq(deals.sharePool(), 0);
    }

    function test_shares_of_several_slots_follow_their_rates() public {
        _goTo(1);
        uint64 other = _enrol("node c");
        vm.startPrank(owner);
        uint64 richer = deals.propose(1, 1, 3, _list(node, other), 3 * RATE, DURATION);
        deals.publishSlot(richer, 0, 0, _roots(3, 0));
        deals.publishSlot(richer, 1, 0, _roots(3, 1));
        deals.seal(richer);
        vm.stopPrank();
        _accept(richer, 0);
        _epoch(node, 1, Reasons.PROOF_BAD);
        _epoch(node, 3, Reasons.PROOF_BAD);
        assertEq(deals.pullShare(dealId, 0, 0), 2 * RATE);
        assertEq(deals.pullShare(richer, 0, 0), 3 * RATE, "accepted in 1: only the slash of 3 counts");
        assertEq(deals.sharePool(), 0);
    }

    function test_a_slash_below_the_rates_is_shared_in_proportion() public {
        // 1% of the bond is 10 tokens, and 45% of that the owners' cap; the rates sum to 40.
        vm.startPrank(owner);
        uint64 dear = deals.propose(1, 1, 3, _list(node, _present(dealId, 1).node), 39 * RATE, DURATION);
        deals.publishSlot(dear, 0, 0, _roots(3, 0));
        deals.publishSlot(dear, 1, 0, _roots(3, 1));
        deals.seal(dear);
        vm.stopPrank();
        _accept(dear, 0);
        _epoch(node, 1, Reasons.PROOF_BAD);
        assertEq(deals.sharePool(), 4.5 ether);
        assertEq(deals.pullShare(dealId, 0, 0), 0.1125 ether);
        assertEq(deals.pullShare(dear, 0, 0), 4.3875 ether);
        assertEq(token.balanceOf(registry.BURN()), 5 ether);
    }

    function testFuzz_a_node_that_deals_with_itself_loses_at_least_half_of_a_slash(uint128 rate, uint256 extra) public {
        // One party is node, owner and settler, and agrees any rate with itself.
        rate = uint128(bound(rate, 1, 20_000 ether));
        address party = _accountOf(node);
        uint64 other = _present(dealId, 1).node;
        token.mint(party, 2 * uint256(rate) * DURATION);
        token.mint(address(this), bound(extra, 1, BOND));
        token.approve(address(registry), type(uint256).max);
        registry.topUp(node, token.balanceOf(address(this)));
        vm.startPrank(party);
        token.approve(address(deals), type(uint256).max);
        uint64 own = deals.propose(1, 1, 3, _list(node, other), rate, DURATION);
        deals.publishSlot(own, 0, 0, _roots(3, 0));
        deals.publishSlot(own, 1, 0, _roots(3, 1));
        deals.seal(own);
        vm.stopPrank();
        _accept(own, 0);
        (uint256 bond, uint256 before) = (_bondOf(node), token.balanceOf(party));
        _epoch(node, 1, Reasons.PROOF_BAD);
        deals.pullShare(own, 0, 0);
        uint256 slashed = bond - _bondOf(node);
        uint256 recovered = token.balanceOf(party) - before + token.balanceOf(keeper);
        assertGt(slashed, 0);
        assertLe(recovered, slashed / 2);
        assertGe(token.balanceOf(registry.BURN()), slashed - slashed / 2);
    }

    function test_a_slash_before_the_acceptance_shares_nothing() public {
        _goTo(1);
        uint64 later = _sealedDeal(node, _enrol("node c"));
        _accept(later, 0);
        _epoch(node, 1, Reasons.PROOF_BAD);
        assertEq(deals.pullShare(later, 0, 0), 0);
        assertEq(deals.pullShare(dealId, 0, 0), RATE);
    }

    function testFuzz_claims_in_any_rhythm_pay_the_same(uint256 seed) public {
        uint256 paid;
        uint256 refunded;
        uint256 expectedPaid;
        uint256 expectedRefunded;
        for (uint64 i; i < 8; ++i) {
            uint256 dice = uint256(keccak256(abi.encode(seed, i)));
            uint64 epoch = 1 + 2 * i;
            // Held pay would lapse if the node did not pass for an unbonding time.
            bool pass = dice % 2 == 0 || i % 3 == 2;
            _epoch(node, epoch, pass ? Reasons.PASS : Reasons.UNREACHABLE);
            if (!pass) expectedRefunded += RATE;
            if ((dice >> 8) % 2 == 0 && deals.assignmentOf(dealId, 0, 0).claimedTo < hub.resolvedTo(node)) {
                (uint256 p, uint256 r) = deals.claim(dealId, 0, 0);
                paid += p;
                refunded += r;
            }
        }
        _epoch(node, 17, Reasons.PASS);
        (uint256 lastPaid, uint256 lastRefunded) = deals.claim(dealId, 0, 0);
        paid += lastPaid;
        refunded += lastRefunded;
        expectedPaid = 17 * RATE - expectedRefunded;
        assertEq(paid, expectedPaid);
        assertEq(refunded, expectedRefunded);
    }
}
