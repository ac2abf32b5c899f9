// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

import {Hub} from "../src/Hub.sol";
import {IDeals} from "../src/interfaces/IDeals.sol";
import {IHub} from "../src/interfaces/IHub.sol";
import {IRegistry} from "../src/interfaces/IRegistry.sol";
import {QuorumSignatures, Report, Verdict} from "../src/interfaces/Types.sol";
import {Fixture} from "./utils/Fixture.sol";

contract PoliciesTest is Fixture {
    bytes32 private constant NEXT = keccak256("next policy");
    bytes32 private constant OTHER = keccak256("other policy");

    Verdict[] private none;

    function test_only_the_registrys_owner_changes_the_policy() public {
        vm.expectRevert(abi.encodeWithSelector(IHub.NotOwner.selector, admin, address(this)));
        hub.setPolicy(NEXT, 5);
        vm.prank(admin);
        registry.transferOwnership(keeper);
        vm.prank(keeper);
        vm.expectRevert(abi.encodeWithSelector(IHub.NotOwner.selector, admin, keeper));
        hub.setPolicy(NEXT, 5);
        vm.startPrank(keeper);
        registry.acceptOwnership();
        hub.setPolicy(NEXT, 5);
        vm.stopPrank();
        assertEq(hub.policyHashAt(5), NEXT);
        vm.prank(admin);
        vm.expectRevert(abi.encodeWithSelector(IHub.NotOwner.selector, keeper, admin));
        hub.setPolicy(OTHER, 5);
    }

    function test_no_epoch_that_began_is_judged_by_another_policy() public {
        _goTo(3);
        vm.startPrank(admin);
        vm.expectRevert(abi.encodeWithSelector(IHub.PolicyTooEarly.selector, 4, 3));
        hub.setPolicy(NEXT, 3);
        vm.expectRevert(IHub.NoPolicy.selector);
        hub.setPolicy(0, 4);
        vm.expectEmit(address(hub));
        emit IHub.PolicyChanged(NEXT, 4);
        hub.setPolicy(NEXT, 4);
        vm.stopPrank();
        assertEq(hub.policyHashAt(3), POLICY);
        assertEq(hub.policyHashAt(4), NEXT);
    }

    function test_each_epoch_is_reported_by_the_policy_in_force_in_it_even_when_the_next_one_is() public {
        vm.prank(admin);
        hub.setPolicy(NEXT, 2);
        _begin(1);
        _begin(2);
        Report memory report = _report(1, none);
        report.policyHash = NEXT;
        _expectRefused(report, POLICY);
        _submit(_report(1, none));
        _goTo(3);
        report = _report(2, none);
        _expectRefused(report, NEXT);
        report.policyHash = NEXT;
        _submit(report);
    }

    function test_what_has_not_begun_is_withdrawn_by_the_next_announcement() public {
        vm.startPrank(admin);
        hub.setPolicy(NEXT, 9);
        vm.expectEmit(address(hub));
        emit IHub.PolicyWithdrawn(NEXT, 9);
        vm.expectEmit(address(hub));
        emit IHub.PolicyChanged(OTHER, 12);
        hub.setPolicy(OTHER, 12);
        assertEq(hub.policyHashAt(11), POLICY, "the withdrawn one never comes into force");
        assertEq(hub.policyHashAt(12), OTHER);
        hub.setPolicy(NEXT, 4);
        assertEq(hub.policyHashAt(12), NEXT);
        assertEq(hub.policyPeriods().length, 2);

        _goTo(4);
        hub.setPolicy(OTHER, 5);
        vm.stopPrank();
        IHub.PolicyPeriod[] memory periods = hub.policyPeriods();
        assertEq(periods.length, 3, "what has begun stays");
        assertEq(periods[1].policyHash, NEXT);
        assertEq(periods[1].fromEpoch, 4);
    }

    function test_a_hub_without_a_policy_never_comes_to_life() public {
        uint64 nonce = vm.getNonce(address(this));
        address registryAddress = vm.computeCreateAddress(address(this), nonce);
        address dealsAddress = vm.computeCreateAddress(address(this), nonce + 1);
        address hubAddress = vm.computeCreateAddress(address(this), nonce + 2);
        _deploy("Registry", abi.encode(token, hubAddress, dealsAddress, BOND, _oracleInfos("oracle"), admin));
        _deploy("Deals", abi.encode(token, registryAddress, hubAddress, verifier));
        vm.expectRevert(IHub.NoPolicy.selector);
        new Hub(IRegistry(registryAddress), IDeals(dealsAddress), verifier, 0, _schedule());
    }

    /// Announcements at any time in any order: the chain's answer is that of a list kept by hand, and never changes for an epoch that began.
    function testFuzz_the_policy_of_an_epoch_is_final_once_it_began(uint8[2][12] calldata steps) public {
        bytes32[64] memory expected;
        for (uint256 epoch; epoch < 64; ++epoch) {
            expected[epoch] = POLICY;
        }
        uint64 now_;
        for (uint256 i; i < steps.length; ++i) {
            now_ += steps[i][0] % 4;
            _goTo(now_);
            uint64 from = now_ + 1 + steps[i][1] % 8;
            bytes32 hash = keccak256(abi.encode(i));
            vm.prank(admin);
            hub.setPolicy(hash, from);
            for (uint64 epoch = now_ + 1; epoch < 64; ++epoch) {
                expected[epoch] = epoch < from ? expected[now_] : hash;
            }
            for (uint64 epoch; epoch < 64; ++epoch) {
                assertEq(hub.policyHashAt(epoch), expected[epoch]);
            }
        }
    }

    function _expectRefused(Report memory report, bytes32 expected) private {
        QuorumSignatures memory quorum = _quorum(hub.reportDigest(report));
        vm.expectRevert(abi.encodeWithSelector(IHub.WrongPolicy.selector, expected, report.policyHash));
        hub.submitReport(report, quorum);
    }
}
