// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

import {IDeals} from "../src/interfaces/IDeals.sol";
import {IHub} from "../src/interfaces/IHub.sol";
import {IRegistry} from "../src/interfaces/IRegistry.sol";
import {Inventory, Verdict} from "../src/interfaces/Types.sol";
import {Reasons} from "../src/Reasons.sol";
import {Fixture} from "./utils/Fixture.sol";

/// @notice Five nodes, four deals at a time, and everything anybody can do, in any order: not one wei appears or disappears.
/// @dev The test is its own handler. Each action first looks whether it is possible, so a revert is a defect (`fail_on_revert`).
contract InvariantsTest is Fixture {
    uint64 private constant NODES = 5;
    uint64 private constant OPEN_DEALS = 4;

    /// @dev Verdicts of each reported epoch, to settle from.
    mapping(uint64 epoch => Verdict[]) private _verdicts;
    mapping(uint64 dealId => uint256) private _initialEscrow;
    mapping(uint64 dealId => uint256) private _leftEscrow;
    uint256 private _minted;
    uint256 private _credited;
    uint256 private _pulled;
    uint256 private _slashed;
    /// @dev How often each action did something.
    mapping(bytes32 action => uint256) private _done;

    function setUp() public override {
        super.setUp();
        for (uint256 i; i < NODES; ++i) {
            _enrol(string.concat("node ", vm.toString(i)));
        }
        _minted = token.totalSupply();
        bytes4[] memory selectors = new bytes4[](18);
        selectors[0] = this.pass.selector;
        selectors[1] = this.beacon.selector;
        selectors[2] = this.offer.selector;
        selectors[3] = this.accept.selector;
        selectors[4] = this.end.selector;
        selectors[5] = this.move.selector;
        selectors[6] = this.drop.selector;
        selectors[7] = this.report.selector;
        selectors[8] = this.settle.selector;
        selectors[9] = this.settle.selector;
        selectors[10] = this.claim.selector;
        selectors[11] = this.pull.selector;
        selectors[12] = this.close.selector;
        selectors[13] = this.bond.selector;
        selectors[14] = this.submit.selector;
        // Time must move, or nothing is ever settled.
        selectors[15] = this.pass.selector;
        selectors[16] = this.pass.selector;
        selectors[17] = this.pass.selector;
        targetSelector(FuzzSelector({addr: address(this), selectors: selectors}));
        targetContract(address(this));
    }

    // ---------------------------------------------------------------- what must hold

    function invariant_no_token_is_created_or_lost() public view {
        uint256 sum = token.balanceOf(address(registry)) + token.balanceOf(address(deals))
            + token.balanceOf(address(hub)) + token.balanceOf(owner) + token.balanceOf(keeper)
            + token.balanceOf(registry.BURN());
        for (uint64 node = 1; node <= registry.nodeCount(); ++node) {
            sum += token.balanceOf(_accountOf(node));
        }
        assertEq(sum, token.totalSupply());
        assertEq(token.totalSupply(), _minted);
        assertEq(token.balanceOf(address(hub)), 0);
    }

    function invariant_the_registry_holds_exactly_the_bonds() public view {
        uint256 bonds;
        for (uint64 node = 1; node <= registry.nodeCount(); ++node) {
            bonds += _bondOf(node);
        }
        assertEq(token.balanceOf(address(registry)), bonds);
    }

    function invariant_deals_hold_exactly_escrows_and_shares() public view {
        uint256 escrows;
        for (uint64 dealId = 1; dealId <= deals.dealCount(); ++dealId) {
            escrows += deals.dealOf(dealId).escrow;
        }
        assertEq(token.balanceOf(address(deals)), escrows + deals.sharePool());
    }

    function invariant_no_deal_pays_more_than_its_escrow() public view {
        for (uint64 dealId = 1; dealId <= deals.dealCount(); ++dealId) {
            assertEq(deals.dealOf(dealId).escrow + _leftEscrow[dealId], _initialEscrow[dealId]);
        }
    }

    function invariant_the_share_pool_is_what_was_credited_and_not_pulled() public view {
        assertEq(deals.sharePool(), _credited - _pulled);
    }

    function invariant_at_least_half_of_what_was_slashed_is_burned() public view {
        assertGe(2 * token.balanceOf(registry.BURN()), _slashed);
    }

    /// @dev Every epoch a slot earns is one the node must prove it in: dropping a slot early would break this.
    function invariant_a_node_with_a_rate_has_a_duty() public view {
        uint64 epoch = hub.currentEpoch();
        for (uint64 node = 1; node <= registry.nodeCount(); ++node) {
            for (uint64 later = epoch; later <= epoch + 1; ++later) {
                if (deals.rateAt(node, later) != 0) assertNotEq(deals.inventoryAt(node, later).count, 0);
            }
        }
    }

    function invariant_cursors_stay_behind_the_clock_and_bits_behind_the_cursors() public view {
        for (uint64 node = 1; node <= registry.nodeCount(); ++node) {
            uint64 cursor = hub.cursorOf(node);
            assertTrue(cursor == registry.summaryOf(node).registeredEpoch || cursor < hub.currentEpoch());
            assertLe(hub.resolvedTo(node), cursor);
            (uint256 paid, uint256 failed) = hub.countBits(node, 0, type(uint64).max);
            assertLe(paid + failed, cursor);
        }
    }

    function invariant_rates_are_those_of_the_tenures() public view {
        uint64 epoch = hub.currentEpoch();
        uint256[] memory rates = new uint256[](registry.nodeCount() + 1);
        for (uint64 dealId = 1; dealId <= deals.dealCount(); ++dealId) {
            for (uint16 slot; slot < 2; ++slot) {
                for (uint256 i; i < deals.assignmentCount(dealId, slot); ++i) {
                    IDeals.Assignment memory tenure = deals.assignmentOf(dealId, slot, i);
                    if (tenure.fromEpoch == 0 || epoch < tenure.fromEpoch || epoch > tenure.toEpoch) continue;
                    rates[tenure.node] += deals.dealOf(dealId).rate;
                }
            }
        }
        for (uint64 node = 1; node <= registry.nodeCount(); ++node) {
            assertEq(deals.rateAt(node, epoch), rates[node]);
        }
    }

    // ---------------------------------------------------------------- what anybody may do

    function pass(uint256 blocks) external {
        _forward(uint64(bound(blocks, 1, 25)));
    }

    function beacon() external {
        uint64 epoch = hub.currentEpoch();
        uint256 offset = vm.getBlockNumber() - hub.startBlock(epoch);
        if (offset == 0 || offset > 16) return;
        hub.recordBeacon(epoch);
        ++_done["beacon"];
    }

    function offer(uint256 seed, uint128 rate, uint64 duration) external {
        _replenish();
        uint256 open;
        for (uint64 i = 1; i <= deals.dealCount(); ++i) {
            IDeals.Deal memory terms = deals.dealOf(i);
            if (terms.state == IDeals.DealState.Sealed && terms.endEpoch > hub.currentEpoch()) ++open;
        }
        (uint64 a, uint64 b) = (_node(seed), _node(seed >> 64));
        if (open >= OPEN_DEALS || a == b || !_isActive(a) || !_isActive(b)) return;
        rate = uint128(bound(rate, 1, 50 ether));
        duration = uint64(bound(duration, 1, 12));
        vm.startPrank(owner);
        uint64 dealId = deals.propose(1, 1, 2, _list(a, b), rate, duration);
        deals.publishSlot(dealId, 0, 0, _roots(2, seed));
        deals.publishSlot(dealId, 1, 0, _roots(2, ~seed));
        deals.seal(dealId);
        vm.stopPrank();
        _initialEscrow[dealId] = deals.dealOf(dealId).escrow;
        ++_done["offer"];
    }

    function accept(uint256 seed) external {
        (uint64 dealId, uint16 slot) = _slot(seed);
        if (dealId == 0 || deals.dealOf(dealId).state != IDeals.DealState.Sealed) return;
        IDeals.Assignment memory tenure = _present(dealId, slot);
        if (tenure.fromEpoch != 0 || !_isActive(tenure.node) || _bondOf(tenure.node) < BOND / 2) return;
        if (hub.currentEpoch() >= deals.dealOf(dealId).endEpoch) return;
        _accept(dealId, slot);
        ++_done["accept"];
    }

    function end(uint256 seed) external {
        (uint64 dealId, uint16 slot) = _slot(seed);
        if (dealId == 0 || seed % 3 != 0) return;
        IDeals.Assignment memory tenure = _present(dealId, slot);
        if (tenure.fromEpoch == 0 || tenure.toEpoch <= hub.currentEpoch()) return;
        vm.prank(owner);
        deals.endSlot(dealId, slot);
        ++_done["end"];
    }

    function move(uint256 seed) external {
        (uint64 dealId, uint16 slot) = _slot(seed);
        uint64 to = _node(seed >> 128);
        if (dealId == 0 || seed % 3 != 0 || !_isActive(to)) return;
        if (deals.dealOf(dealId).state != IDeals.DealState.Sealed) return;
        if (hub.currentEpoch() >= deals.dealOf(dealId).endEpoch || _hasPlace(dealId, to)) return;
        vm.prank(owner);
        deals.moveSlot(dealId, slot, to);
        ++_done["move"];
    }

    function drop(uint256 seed) external {
        (uint64 dealId, uint16 slot) = _slot(seed);
        if (dealId == 0) return;
        for (uint256 i; i < deals.assignmentCount(dealId, slot); ++i) {
            IDeals.Assignment memory tenure = deals.assignmentOf(dealId, slot, i);
            if (tenure.fromEpoch == 0 || tenure.dropped || tenure.toEpoch > hub.currentEpoch()) continue;
            _drop(dealId, slot, tenure.node);
            ++_done["drop"];
            return;
        }
    }

    /// @dev Reports the last epoch but at times an older one, with verdicts the seed chooses.
    function report(uint256 seed) external {
        uint64 current = hub.currentEpoch();
        uint64 back = seed % 4 == 0 ? 2 : 1;
        if (current < back) return;
        uint64 epoch = current - back;
        if (hub.beaconOf(epoch) == 0 || hub.reportOf(epoch).reportedBlock != 0) return;
        for (uint64 node = 1; node <= registry.nodeCount(); ++node) {
            if (deals.inventoryAt(node, epoch).count == 0) continue;
            uint256 dice = uint256(keccak256(abi.encode(seed, node)));
            uint8 reason = dice % 2 == 0 ? Reasons.PASS : uint8((dice >> 8) % 7);
            if (dice % 61 == 1) reason = Reasons.ATTESTATION_FORGED;
            Verdict memory verdict = _verdict(node, epoch, reason);
            verdict.judged = (dice >> 16) % 4 != 0;
            _verdicts[epoch].push(verdict);
        }
        _submit(_report(epoch, _verdicts[epoch]));
        ++_done["report"];
    }

    function settle(uint256 seed) external {
        uint64 node = _node(seed);
        for (uint256 i; i < 4 && _settleNext(node); ++i) {}
    }

    function claim(uint256 seed) external {
        (uint64 dealId, uint16 slot) = _slot(seed);
        if (dealId == 0) return;
        for (uint256 i; i < deals.assignmentCount(dealId, slot); ++i) {
            IDeals.Assignment memory tenure = deals.assignmentOf(dealId, slot, i);
            uint64 horizon = hub.resolvedTo(tenure.node);
            if (horizon > tenure.toEpoch) horizon = tenure.toEpoch;
            if (tenure.fromEpoch == 0 || horizon <= tenure.claimedTo) continue;
            uint256 before = token.balanceOf(_accountOf(tenure.node));
            (uint256 paid, uint256 refunded) = deals.claim(dealId, slot, i);
            assertEq(token.balanceOf(_accountOf(tenure.node)), before + paid);
            assertLe(paid + refunded, (horizon - tenure.claimedTo) * uint256(deals.dealOf(dealId).rate));
            _leftEscrow[dealId] += paid + refunded;
            ++_done["claim"];
        }
    }

    function pull(uint256 seed) external {
        (uint64 dealId, uint16 slot) = _slot(seed);
        if (dealId == 0) return;
        for (uint256 i; i < deals.assignmentCount(dealId, slot); ++i) {
            if (deals.assignmentOf(dealId, slot, i).fromEpoch == 0) continue;
            uint256 amount = deals.pullShare(dealId, slot, i);
            _pulled += amount;
            if (amount != 0) ++_done["pull"];
        }
    }

    function close(uint256 seed) external {
        (uint64 dealId,) = _slot(seed);
        if (dealId == 0 || deals.dealOf(dealId).state == IDeals.DealState.Closed) return;
        if (hub.currentEpoch() < deals.dealOf(dealId).endEpoch || _isOpen(dealId)) return;
        _leftEscrow[dealId] += deals.dealOf(dealId).escrow;
        vm.prank(owner);
        deals.close(dealId);
        ++_done["close"];
    }

    function bond(uint256 seed, uint96 amount) external {
        uint64 node = _node(seed);
        IRegistry.NodeSummary memory summary = registry.summaryOf(node);
        bool serving = summary.status == IRegistry.Status.Active || summary.status == IRegistry.Status.Exiting;
        uint256 balance = token.balanceOf(summary.account);
        if (seed % 2 == 0 && serving && balance != 0) {
            amount = uint96(bound(amount, 1, balance));
            vm.prank(summary.account);
            registry.topUp(node, amount);
            ++_done["top up"];
        } else if (seed % 8 == 1 && summary.status == IRegistry.Status.Active) {
            while (_settleNext(node)) {}
            // The last verdict may have been the one that removes it.
            if (!_isActive(node)) return;
            vm.prank(summary.account);
            registry.requestExit(node);
            ++_done["exit"];
        } else if (summary.status == IRegistry.Status.Exiting || summary.status == IRegistry.Status.Removed) {
            _withdraw(node);
        }
    }

    function submit(uint256 seed) external {
        uint64 node = _node(seed);
        uint64 epoch = hub.currentEpoch();
        if (hub.beaconOf(epoch) == 0 || vm.getBlockNumber() > hub.startBlock(epoch) + 24) return;
        if (deals.inventoryAt(node, epoch).count == 0 || hub.submissionOf(node, epoch).blockNumber != 0) return;
        uint256[8] memory proof = verifier.proofOf(hub.statementOf(node, epoch));
        vm.prank(_accountOf(node));
        hub.submitProof(epoch, "body", new bytes(64), proof);
        ++_done["submit"];
    }

    // ---------------------------------------------------------------- the story as one walk

    /// @dev The handler must reach every action; otherwise the invariants above would hold for want of trying.
    function test_a_long_walk_reaches_every_action() public {
        for (uint256 i; i < 6000; ++i) {
            uint256 dice = uint256(keccak256(abi.encode("walk", i)));
            uint256 seed = dice >> 8;
            uint256 action = dice % 14;
            if (action == 0) this.pass(seed);
            else if (action == 1) this.beacon();
            else if (action == 2) this.offer(seed, uint128(seed), uint64(seed));
            else if (action == 3) this.accept(seed);
            else if (action == 4) this.end(seed);
            else if (action == 5) this.move(seed);
            else if (action == 6) this.drop(seed);
            else if (action == 7) this.report(seed);
            else if (action <= 9) this.settle(seed);
            else if (action == 10) this.claim(seed);
            else if (action == 11) this.pull(seed);
            else if (action == 12) this.close(seed);
            else if (seed % 3 == 0) this.bond(seed / 3, uint96(seed));
            else this.submit(seed);
        }
        bytes32[16] memory actions = [
            bytes32("beacon"),
            "offer",
            "accept",
            "end",
            "move",
            "drop",
            "report",
            "advance",
            "settle",
            "claim",
            "pull",
            "close",
            "top up",
            "exit",
            "withdraw",
            "submit"
        ];
        for (uint256 i; i < actions.length; ++i) {
            assertGt(_done[actions[i]], 0, string(abi.encodePacked(actions[i])));
        }
        invariant_no_token_is_created_or_lost();
        invariant_the_registry_holds_exactly_the_bonds();
        invariant_deals_hold_exactly_escrows_and_shares();
        invariant_no_deal_pays_more_than_its_escrow();
        invariant_the_share_pool_is_what_was_credited_and_not_pulled();
        invariant_at_least_half_of_what_was_slashed_is_burned();
        invariant_a_node_with_a_rate_has_a_duty();
        invariant_cursors_stay_behind_the_clock_and_bits_behind_the_cursors();
        invariant_rates_are_those_of_the_tenures();
    }

    // ---------------------------------------------------------------- helpers

    /// @dev Lets a new node in for each one that left, so that a long walk does not end in an empty network.
    function _replenish() private {
        uint64 count = registry.nodeCount();
        uint256 active;
        for (uint64 node = 1; node <= count; ++node) {
            if (_isActive(node)) ++active;
        }
        if (active >= NODES) return;
        _enrol(string.concat("node ", vm.toString(count)));
        _minted += BOND;
    }

    /// @dev Moves a node's cursor if it can be moved; says whether it could.
    function _settleNext(uint64 node) private returns (bool) {
        if (!hub.isBehind(node)) return false;
        uint64 next = hub.cursorOf(node) + 1;
        if (hub.advance(node, 1) >= next) {
            ++_done["advance"];
            return true;
        }
        Verdict[] memory verdicts = _verdicts[next];
        for (uint256 i; i < verdicts.length; ++i) {
            if (verdicts[i].node != node) continue;
            uint256 pool = deals.sharePool();
            uint256 before = _bondOf(node);
            _settleOne(node, verdicts, i);
            _slashed += before - _bondOf(node);
            _credited += deals.sharePool() - pool;
            ++_done["settle"];
        }
        assertEq(hub.cursorOf(node), next, "a node that is behind can be settled");
        return true;
    }

    /// @dev One of the last nodes: the older ones have left, or soon will have.
    function _node(uint256 seed) private view returns (uint64) {
        uint64 count = registry.nodeCount();
        uint64 recent = count < NODES + 2 ? count : NODES + 2;
        return count - uint64((seed >> 4) % recent);
    }

    function _isActive(uint64 node) private view returns (bool) {
        return registry.summaryOf(node).status == IRegistry.Status.Active;
    }

    /// @dev A slot of one of the last deals, or deal 0 if there is none.
    function _slot(uint256 seed) private view returns (uint64 dealId, uint16 slot) {
        uint64 count = deals.dealCount();
        if (count == 0) return (0, 0);
        uint64 recent = count < 8 ? count : 8;
        return (count - uint64((seed >> 8) % recent), uint16((seed >> 16) % 2));
    }

    /// @dev Whether a node was offered a slot of the deal, or accepted one, and has not let go of it.
    function _hasPlace(uint64 dealId, uint64 node) private view returns (bool) {
        for (uint16 slot; slot < 2; ++slot) {
            uint256 count = deals.assignmentCount(dealId, slot);
            for (uint256 i; i < count; ++i) {
                IDeals.Assignment memory tenure = deals.assignmentOf(dealId, slot, i);
                bool offered = tenure.fromEpoch == 0 && i == count - 1;
                bool held = tenure.fromEpoch != 0 && !tenure.dropped;
                if (tenure.node == node && (offered || held)) return true;
            }
        }
        return false;
    }

    function _isOpen(uint64 dealId) private view returns (bool) {
        for (uint16 slot; slot < 2; ++slot) {
            for (uint256 i; i < deals.assignmentCount(dealId, slot); ++i) {
                IDeals.Assignment memory tenure = deals.assignmentOf(dealId, slot, i);
                if (tenure.fromEpoch != 0 && tenure.claimedTo < tenure.toEpoch) return true;
            }
        }
        return false;
    }

    function _withdraw(uint64 node) private {
        while (_settleNext(node)) {}
        // Read after settling: the last verdict may have removed the node.
        IRegistry.NodeSummary memory summary = registry.summaryOf(node);
        uint64 epoch = hub.currentEpoch();
        if (summary.bond == 0) return;
        if (epoch < summary.exitEpoch + hub.schedule().unbondingEpochs) return;
        if (hub.cursorOf(node) + 1 < epoch) return;
        bool storing = deals.inventoryOf(node).count != 0 || deals.inventoryAt(node, epoch).count != 0;
        if (storing && summary.status == IRegistry.Status.Exiting) return;
        vm.prank(summary.account);
        registry.withdraw(node);
        ++_done["withdraw"];
    }
}
