// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

import {IDeals} from "../src/interfaces/IDeals.sol";
import {Inventory, ShardRoots} from "../src/interfaces/Types.sol";
import {Reasons} from "../src/Reasons.sol";
import {Fixture} from "./utils/Fixture.sol";

contract DealsTest is Fixture {
    uint64 private a;
    uint64 private b;
    uint64 private c;

    function setUp() public override {
        super.setUp();
        a = _enrol("node a");
        b = _enrol("node b");
        c = _enrol("node c");
    }

    // ---------------------------------------------------------------- propose

    function test_a_proposal_takes_the_whole_escrow() public {
        uint256 before = token.balanceOf(owner);
        vm.prank(owner);
        uint64 dealId = deals.propose(1, 1, 3, _list(a, b), RATE, DURATION);
        uint256 escrow = 2 * uint256(RATE) * DURATION;
        IDeals.Deal memory terms = deals.dealOf(dealId);
        assertEq(terms.escrow, escrow);
        assertEq(terms.endEpoch, DURATION);
        assertEq(uint8(terms.state), uint8(IDeals.DealState.Proposed));
        assertEq(token.balanceOf(owner), before - escrow);
        assertEq(token.balanceOf(address(deals)), escrow);
        assertEq(_present(dealId, 1).node, b);
        assertEq(_present(dealId, 1).fromEpoch, 0, "offered, not accepted");
    }

    function test_bad_geometry_is_refused() public {
        uint16[4] memory ks = [uint16(0), 1, 1, 32];
        uint16[4] memory ms = [uint16(1), 0, 1, 1];
        uint32[4] memory stripes = [uint32(1), 1, 0, 1];
        for (uint256 i; i < 4; ++i) {
            vm.expectRevert(abi.encodeWithSelector(IDeals.BadGeometry.selector, ks[i], ms[i], stripes[i]));
            deals.propose(ks[i], ms[i], stripes[i], _list(a, b), RATE, DURATION);
        }
    }

    function test_bad_terms_are_refused() public {
        vm.expectRevert(IDeals.BadTerms.selector);
        deals.propose(1, 1, 1, _list(a, b), 0, DURATION);
        vm.expectRevert(IDeals.BadTerms.selector);
        deals.propose(1, 1, 1, _list(a, b), RATE, 0);
        vm.expectRevert(IDeals.BadTerms.selector);
        deals.propose(1, 2, 1, _list(a, b), RATE, DURATION);
        vm.expectRevert(IDeals.BadTerms.selector);
        deals.propose(1, 1, 1, _list(a, b), RATE, type(uint64).max);
    }

    function test_no_two_slots_on_one_node() public {
        vm.expectRevert(abi.encodeWithSelector(IDeals.NodeTwice.selector, a));
        deals.propose(1, 1, 1, _list(a, a), RATE, DURATION);
    }

    function test_only_active_nodes_are_offered_slots() public {
        vm.prank(_accountOf(b));
        registry.requestExit(b);
        vm.expectRevert(abi.encodeWithSelector(IDeals.NodeNotActive.selector, b));
        deals.propose(1, 1, 1, _list(a, b), RATE, DURATION);
        vm.expectRevert(abi.encodeWithSelector(IDeals.NodeNotActive.selector, 99));
        deals.propose(1, 1, 1, _list(a, 99), RATE, DURATION);
    }

    // ---------------------------------------------------------------- publish, seal

    function test_the_list_hash_does_not_depend_on_the_chunks() public {
        ShardRoots[] memory roots = _roots(3, 7);
        ShardRoots[] memory first = new ShardRoots[](1);
        ShardRoots[] memory rest = new ShardRoots[](2);
        first[0] = roots[0];
        (rest[0], rest[1]) = (roots[1], roots[2]);
        vm.startPrank(owner);
        uint64 dealId = deals.propose(1, 1, 3, _list(a, b), RATE, DURATION);
        deals.publishSlot(dealId, 0, 0, roots);
        deals.publishSlot(dealId, 1, 0, first);
        deals.publishSlot(dealId, 1, 1, rest);
        vm.stopPrank();
        bytes32 expected;
        for (uint256 i; i < 3; ++i) {
            expected = keccak256(abi.encode(expected, roots[i].storageRoot, roots[i].transportRoot, roots[i].contentId));
        }
        assertEq(deals.slotListHash(dealId, 0), expected);
        assertEq(deals.slotListHash(dealId, 1), expected);
    }

    function test_publishing_is_checked() public {
        vm.startPrank(owner);
        uint64 dealId = deals.propose(1, 1, 3, _list(a, b), RATE, DURATION);
        vm.expectRevert(abi.encodeWithSelector(IDeals.ChunkOutOfOrder.selector, 0, 1));
        deals.publishSlot(dealId, 0, 1, _roots(1, 0));
        vm.expectRevert(abi.encodeWithSelector(IDeals.EmptyChunk.selector, dealId, 0));
        deals.publishSlot(dealId, 0, 0, _roots(0, 0));
        vm.expectRevert(abi.encodeWithSelector(IDeals.TooManyShards.selector, 3, 4));
        deals.publishSlot(dealId, 0, 0, _roots(4, 0));
        vm.expectRevert(abi.encodeWithSelector(IDeals.UnknownSlot.selector, dealId, 2));
        deals.publishSlot(dealId, 2, 0, _roots(3, 0));
        ShardRoots[] memory roots = _roots(3, 0);
        roots[1].storageRoot = bytes32(deals.FIELD_MODULUS());
        vm.expectRevert(abi.encodeWithSelector(IDeals.RootNotCanonical.selector, roots[1].storageRoot));
        deals.publishSlot(dealId, 0, 0, roots);
        deals.publishSlot(dealId, 0, 0, _roots(3, 0));
        vm.expectRevert(abi.encodeWithSelector(IDeals.SlotIncomplete.selector, 1, 3, 0));
        deals.seal(dealId);
        vm.stopPrank();
        vm.expectRevert(abi.encodeWithSelector(IDeals.NotOwner.selector, owner, address(this)));
        deals.publishSlot(dealId, 1, 0, _roots(3, 0));
        vm.expectRevert(abi.encodeWithSelector(IDeals.UnknownDeal.selector, 77));
        deals.seal(77);
    }

    function test_a_sealed_list_is_fixed() public {
        uint64 dealId = _sealedDeal(a, b);
        vm.startPrank(owner);
        vm.expectRevert(
            abi.encodeWithSelector(
                IDeals.WrongState.selector, dealId, IDeals.DealState.Proposed, IDeals.DealState.Sealed
            )
        );
        deals.publishSlot(dealId, 0, 3, _roots(1, 0));
        vm.expectRevert(
            abi.encodeWithSelector(
                IDeals.WrongState.selector, dealId, IDeals.DealState.Proposed, IDeals.DealState.Sealed
            )
        );
        deals.seal(dealId);
        vm.stopPrank();
    }

    // ---------------------------------------------------------------- accept

    function test_acceptance_counts_from_the_next_epoch() public {
        _goTo(4);
        uint64 dealId = _sealedDeal(a, b);
        bytes32 newLog =
            keccak256(abi.encode(bytes32(0), uint8(1), dealId, uint16(0), uint32(3), deals.slotListHash(dealId, 0)));
        bytes32 root = _someRoot(0, 3);
        vm.expectEmit(address(deals));
        emit IDeals.SlotAccepted(dealId, 0, a, 3, deals.slotListHash(dealId, 0), newLog, root, 3, 5);
        _accept(dealId, 0);
        Inventory memory now_ = deals.inventoryOf(a);
        assertEq(now_.count, 3);
        assertEq(now_.root, root);
        assertEq(now_.log, newLog);
        assertEq(deals.inventoryAt(a, 4).count, 0);
        assertEq(deals.inventoryAt(a, 5).count, 3);
        assertEq(deals.inventoryAt(a, 5000).count, 3);
        assertEq(deals.rateAt(a, 4), 0);
        assertEq(deals.rateAt(a, 5), RATE);
        assertEq(deals.rateAt(a, 24), RATE);
        assertEq(deals.rateAt(a, 25), 0);
        IDeals.Assignment memory tenure = _present(dealId, 0);
        assertEq(tenure.fromEpoch, 5);
        assertEq(tenure.toEpoch, 24);
        assertEq(tenure.claimedTo, 4);
    }

    function test_several_changes_in_one_epoch_count_as_one() public {
        uint64 first = _sealedDeal(a, b);
        uint64 second = _sealedDeal(a, b);
        _goTo(2);
        _accept(first, 0);
        _accept(second, 0);
        assertEq(deals.inventoryAt(a, 2).count, 0);
        assertEq(deals.inventoryAt(a, 3).count, 6);
        _goTo(6);
        uint64 third = _sealedDeal(a, c);
        _accept(third, 0);
        assertEq(deals.inventoryAt(a, 3).count, 6);
        assertEq(deals.inventoryAt(a, 6).count, 6);
        assertEq(deals.inventoryAt(a, 7).count, 9);
    }

    function test_acceptance_is_checked() public {
        uint64 dealId = _sealedDeal(a, b);
        address account = _accountOf(a);
        bytes32 newLog = _logAfter(0, 1, dealId, 0);
        vm.expectRevert(abi.encodeWithSelector(IDeals.NotSlotNode.selector, account, address(this)));
        deals.accept(dealId, 0, newLog, 0, 3);
        vm.startPrank(account);
        vm.expectRevert(abi.encodeWithSelector(IDeals.NotSlotNode.selector, _accountOf(b), account));
        deals.accept(dealId, 1, 0, 0, 3);
        vm.expectRevert(abi.encodeWithSelector(IDeals.LogMoved.selector, newLog, bytes32(0)));
        deals.accept(dealId, 0, 0, 0, 3);
        vm.expectRevert(abi.encodeWithSelector(IDeals.CountMismatch.selector, 3, 4));
        deals.accept(dealId, 0, newLog, 0, 4);
        bytes32 modulus = bytes32(deals.FIELD_MODULUS());
        vm.expectRevert(abi.encodeWithSelector(IDeals.RootNotCanonical.selector, modulus));
        deals.accept(dealId, 0, newLog, modulus, 3);
        deals.accept(dealId, 0, newLog, 0, 3);
        assertEq(deals.inventoryOf(a).log, newLog);
        bytes32 again = _logAfter(newLog, 1, dealId, 0);
        vm.expectRevert(abi.encodeWithSelector(IDeals.AlreadyAccepted.selector, dealId, 0));
        deals.accept(dealId, 0, again, 0, 6);
        vm.stopPrank();
    }

    function test_an_acceptance_does_not_land_on_other_data_under_the_same_id() public {
        // The node computes its root over one list; a reorganisation puts another deal of equal size under the same id.
        uint256 snapshot = vm.snapshotState();
        uint64 dealId = _sealedDeal(a, b);
        bytes32 seen = _logAfter(0, 1, dealId, 0);
        assertTrue(vm.revertToState(snapshot));
        vm.startPrank(owner);
        assertEq(deals.propose(1, 1, 3, _list(a, b), RATE, DURATION), dealId);
        deals.publishSlot(dealId, 0, 0, _roots(3, 1000));
        deals.publishSlot(dealId, 1, 0, _roots(3, 1001));
        deals.seal(dealId);
        vm.stopPrank();
        bytes32 actual = _logAfter(0, 1, dealId, 0);
        assertNotEq(actual, seen);
        bytes32 root = _someRoot(0, 3);
        vm.prank(_accountOf(a));
        vm.expectRevert(abi.encodeWithSelector(IDeals.LogMoved.selector, actual, seen));
        deals.accept(dealId, 0, seen, root, 3);
    }

    function test_a_change_binds_the_history_before_it() public {
        uint64 first = _sealedDeal(a, b);
        uint64 second = _sealedDeal(a, b);
        bytes32 stale = _logAfter(0, 1, second, 0);
        _accept(first, 0);
        bytes32 actual = _logAfter(deals.inventoryOf(a).log, 1, second, 0);
        vm.prank(_accountOf(a));
        vm.expectRevert(abi.encodeWithSelector(IDeals.LogMoved.selector, actual, stale));
        deals.accept(second, 0, stale, 0, 6);
    }

    function test_a_node_with_less_than_half_the_minimum_bond_takes_nothing_new_until_topped_up() public {
        uint64 dealId = _sealedDeal(a, b);
        vm.prank(address(hub));
        registry.slash(a, 0, Reasons.PROOF_BAD, 0, BOND / 2 + 1, keeper, 0, 0);
        address account = _accountOf(a);
        bytes32 newLog = _logAfter(0, 1, dealId, 0);
        vm.prank(account);
        vm.expectRevert(abi.encodeWithSelector(IDeals.BondTooLow.selector, BOND / 2, BOND / 2 - 1));
        deals.accept(dealId, 0, newLog, 0, 3);
        token.mint(account, 1);
        vm.prank(account);
        registry.topUp(a, 1);
        vm.prank(account);
        deals.accept(dealId, 0, newLog, 0, 3);
        assertEq(deals.inventoryOf(a).count, 3);
    }

    function test_an_unsealed_deal_cannot_be_accepted() public {
        vm.prank(owner);
        uint64 dealId = deals.propose(1, 1, 3, _list(a, b), RATE, DURATION);
        vm.prank(_accountOf(a));
        vm.expectRevert(
            abi.encodeWithSelector(
                IDeals.WrongState.selector, dealId, IDeals.DealState.Sealed, IDeals.DealState.Proposed
            )
        );
        deals.accept(dealId, 0, 0, 0, 3);
    }

    function test_an_exiting_node_accepts_nothing_new() public {
        uint64 dealId = _sealedDeal(a, b);
        vm.startPrank(_accountOf(a));
        registry.requestExit(a);
        vm.expectRevert(abi.encodeWithSelector(IDeals.NodeNotActive.selector, a));
        deals.accept(dealId, 0, 0, 0, 3);
        vm.stopPrank();
    }

    function test_an_inventory_never_exceeds_the_circuit() public {
        vm.startPrank(owner);
        uint64 dealId = deals.propose(1, 1, 65, _list(a, b), RATE, DURATION);
        deals.publishSlot(dealId, 0, 0, _roots(65, 0));
        deals.publishSlot(dealId, 1, 0, _roots(65, 1));
        deals.seal(dealId);
        vm.stopPrank();
        vm.prank(_accountOf(a));
        vm.expectRevert(abi.encodeWithSelector(IDeals.CapacityExceeded.selector, 64, 65));
        deals.accept(dealId, 0, 0, 0, 65);
    }

    function test_a_deal_past_its_end_cannot_be_accepted() public {
        uint64 dealId = _sealedDeal(a, b);
        _goTo(DURATION);
        vm.prank(_accountOf(a));
        vm.expectRevert(abi.encodeWithSelector(IDeals.DealOver.selector, DURATION, DURATION));
        deals.accept(dealId, 0, 0, 0, 3);
    }

    // ---------------------------------------------------------------- drop, end, move

    function test_a_slot_is_dropped_only_when_it_is_over() public {
        uint64 dealId = _sealedDeal(a, b);
        _accept(dealId, 0);
        address account = _accountOf(a);
        bytes32 log = deals.inventoryOf(a).log;
        bytes32 newLog = _logAfter(log, 2, dealId, 0);
        vm.prank(account);
        vm.expectRevert(abi.encodeWithSelector(IDeals.SlotNotOver.selector, DURATION, 0));
        deals.drop(dealId, 0, newLog, 0, 0);
        _goTo(3);
        vm.prank(account);
        vm.expectRevert(abi.encodeWithSelector(IDeals.SlotNotOver.selector, DURATION, 3));
        deals.drop(dealId, 0, newLog, 0, 0);
        vm.prank(owner);
        deals.endSlot(dealId, 0);
        assertEq(deals.rateAt(a, 3), RATE);
        assertEq(deals.rateAt(a, 4), 0);
        assertEq(deals.rateAt(a, DURATION), 0);
        vm.prank(account);
        vm.expectRevert(abi.encodeWithSelector(IDeals.CountMismatch.selector, 0, 1));
        deals.drop(dealId, 0, newLog, 0, 1);
        vm.prank(account);
        vm.expectRevert(abi.encodeWithSelector(IDeals.LogMoved.selector, newLog, log));
        deals.drop(dealId, 0, log, 0, 0);
        vm.expectEmit(address(deals));
        emit IDeals.SlotDropped(dealId, 0, a, 3, deals.slotListHash(dealId, 0), newLog, 0, 0);
        vm.prank(account);
        deals.drop(dealId, 0, newLog, 0, 0);
        assertEq(deals.inventoryAt(a, 3).count, 3, "listed until the epoch is over");
        assertEq(deals.inventoryAt(a, 4).count, 0, "and no epoch longer than it is paid for");
        assertTrue(_present(dealId, 0).dropped);
        vm.prank(account);
        vm.expectRevert(abi.encodeWithSelector(IDeals.NotSlotNode.selector, account, account));
        deals.drop(dealId, 0, newLog, 0, 0);
    }

    function test_a_slot_is_dropped_in_the_last_epoch_of_its_deal() public {
        uint64 dealId = _sealedDeal(a, b);
        _accept(dealId, 0);
        bytes32 newLog = _logAfter(deals.inventoryOf(a).log, 2, dealId, 0);
        address account = _accountOf(a);
        _goTo(DURATION - 1);
        vm.prank(account);
        vm.expectRevert(abi.encodeWithSelector(IDeals.SlotNotOver.selector, DURATION, DURATION - 1));
        deals.drop(dealId, 0, newLog, 0, 0);
        _goTo(DURATION);
        vm.prank(account);
        deals.drop(dealId, 0, newLog, 0, 0);
        assertEq(deals.inventoryAt(a, DURATION).count, 3);
        assertEq(deals.rateAt(a, DURATION), RATE);
        assertEq(deals.inventoryAt(a, DURATION + 1).count, 0);
    }

    function test_a_slot_ended_in_the_epoch_of_its_acceptance_never_has_to_be_proven() public {
        uint64 dealId = _sealedDeal(a, b);
        _goTo(3);
        _accept(dealId, 0);
        vm.prank(owner);
        deals.endSlot(dealId, 0);
        _drop(dealId, 0, a);
        for (uint64 epoch = 3; epoch < 6; ++epoch) {
            assertEq(deals.inventoryAt(a, epoch).count, 0);
            assertEq(deals.rateAt(a, epoch), 0);
        }
        _goTo(6);
        assertEq(hub.advance(a, 100), 5, "no verdict is needed");
    }

    function test_a_dropped_slot_may_come_back_to_the_node_in_the_same_epoch() public {
        uint64 dealId = _sealedDeal(a, b);
        _accept(dealId, 0);
        _goTo(3);
        vm.prank(owner);
        deals.endSlot(dealId, 0);
        _drop(dealId, 0, a);
        vm.prank(owner);
        deals.moveSlot(dealId, 0, a);
        _accept(dealId, 0);
        // Two tenures that meet and do not overlap; the slot is listed throughout.
        assertEq(deals.assignmentOf(dealId, 0, 0).toEpoch, 3);
        assertEq(deals.assignmentOf(dealId, 0, 1).fromEpoch, 4);
        for (uint64 epoch = 3; epoch < 6; ++epoch) {
            assertEq(deals.inventoryAt(a, epoch).count, 3);
            assertEq(deals.rateAt(a, epoch), RATE);
        }
        _goTo(DURATION);
        _drop(dealId, 0, a);
        assertTrue(deals.assignmentOf(dealId, 0, 1).dropped);
    }

    function test_only_the_slots_node_drops_it() public {
        uint64 dealId = _sealedDeal(a, b);
        _accept(dealId, 0);
        (address present, address stranger) = (_accountOf(a), _accountOf(c));
        vm.prank(stranger);
        vm.expectRevert(abi.encodeWithSelector(IDeals.NotSlotNode.selector, present, stranger));
        deals.drop(dealId, 0, 0, 0, 0);
        vm.prank(_accountOf(b));
        vm.expectRevert(abi.encodeWithSelector(IDeals.NotAccepted.selector, dealId, 1));
        deals.drop(dealId, 1, 0, 0, 0);
    }

    function test_a_moved_slot_is_served_by_one_node_at_a_time() public {
        uint64 dealId = _sealedDeal(a, b);
        _accept(dealId, 0);
        _goTo(5);
        vm.prank(owner);
        uint256 index = deals.moveSlot(dealId, 0, c);
        assertEq(index, 1);
        assertEq(deals.assignmentOf(dealId, 0, 0).toEpoch, 5);
        _accept(dealId, 0);
        assertEq(deals.assignmentOf(dealId, 0, 1).fromEpoch, 6);
        assertEq(deals.assignmentOf(dealId, 0, 1).toEpoch, DURATION);
        assertEq(deals.rateAt(a, 5), RATE);
        assertEq(deals.rateAt(a, 6), 0);
        assertEq(deals.rateAt(c, 5), 0);
        assertEq(deals.rateAt(c, 6), RATE);
        _drop(dealId, 0, a);
        assertEq(deals.inventoryAt(a, 5).count, 3);
        assertEq(deals.inventoryAt(a, 6).count, 0);
        assertTrue(deals.assignmentOf(dealId, 0, 0).dropped);
        assertFalse(deals.assignmentOf(dealId, 0, 1).dropped);
    }

    function test_a_slot_is_not_moved_to_a_node_of_the_same_deal() public {
        uint64 dealId = _sealedDeal(a, b);
        _accept(dealId, 0);
        vm.startPrank(owner);
        vm.expectRevert(abi.encodeWithSelector(IDeals.NodeTwice.selector, b));
        deals.moveSlot(dealId, 0, b);
        // Not even back to the node that has not dropped it yet.
        vm.expectRevert(abi.encodeWithSelector(IDeals.NodeTwice.selector, a));
        deals.moveSlot(dealId, 0, a);
        // An offer nobody accepted leaves its node free for another slot.
        deals.moveSlot(dealId, 1, c);
        deals.moveSlot(dealId, 0, b);
        vm.stopPrank();
    }

    function test_a_node_that_lost_its_offer_cannot_accept_it() public {
        uint64 dealId = _sealedDeal(a, b);
        vm.prank(owner);
        deals.moveSlot(dealId, 0, c);
        (address present, address former) = (_accountOf(c), _accountOf(a));
        vm.prank(former);
        vm.expectRevert(abi.encodeWithSelector(IDeals.NotSlotNode.selector, present, former));
        deals.accept(dealId, 0, 0, 0, 3);
    }

    function test_ending_is_checked() public {
        uint64 dealId = _sealedDeal(a, b);
        vm.startPrank(owner);
        vm.expectRevert(abi.encodeWithSelector(IDeals.NotAccepted.selector, dealId, 0));
        deals.endSlot(dealId, 0);
        vm.stopPrank();
        _accept(dealId, 0);
        _goTo(2);
        vm.startPrank(owner);
        deals.endSlot(dealId, 0);
        vm.expectRevert(abi.encodeWithSelector(IDeals.SlotOver.selector, 2, 2));
        deals.endSlot(dealId, 0);
        vm.stopPrank();
        vm.expectRevert(abi.encodeWithSelector(IDeals.NotOwner.selector, owner, address(this)));
        deals.moveSlot(dealId, 0, c);
        _goTo(DURATION);
        vm.prank(owner);
        vm.expectRevert(abi.encodeWithSelector(IDeals.DealOver.selector, DURATION, DURATION));
        deals.moveSlot(dealId, 0, c);
    }

    // ---------------------------------------------------------------- close

    function test_an_owner_closes_what_nobody_accepted() public {
        uint256 before = token.balanceOf(owner);
        uint64 dealId = _sealedDeal(a, b);
        vm.prank(owner);
        deals.close(dealId);
        assertEq(token.balanceOf(owner), before);
        assertEq(token.balanceOf(address(deals)), 0);
        vm.prank(_accountOf(a));
        vm.expectRevert(
            abi.encodeWithSelector(IDeals.WrongState.selector, dealId, IDeals.DealState.Sealed, IDeals.DealState.Closed)
        );
        deals.accept(dealId, 0, 0, 0, 3);
        vm.prank(owner);
        vm.expectRevert(
            abi.encodeWithSelector(IDeals.WrongState.selector, dealId, IDeals.DealState.Sealed, IDeals.DealState.Closed)
        );
        deals.close(dealId);
    }

    function test_a_slot_ended_in_the_epoch_of_its_acceptance_holds_nothing_open() public {
        uint64 dealId = _sealedDeal(a, b);
        _goTo(3);
        _accept(dealId, 0);
        vm.startPrank(owner);
        vm.expectRevert(abi.encodeWithSelector(IDeals.TenuresOpen.selector, dealId, 1));
        deals.close(dealId);
        deals.endSlot(dealId, 0);
        deals.close(dealId);
        vm.stopPrank();
        assertEq(deals.rateAt(a, 4), 0);
        assertEq(token.balanceOf(address(deals)), 0);
    }

    function test_only_the_hub_credits_shares() public {
        vm.expectRevert(abi.encodeWithSelector(IDeals.NotHub.selector, address(this)));
        deals.creditShare(a, 1, 1);
        vm.prank(address(hub));
        vm.expectRevert(abi.encodeWithSelector(IDeals.NoShareholders.selector, a, 1));
        deals.creditShare(a, 1, 1);
    }
}
