// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

import {Deals} from "../src/Deals.sol";
import {Hub} from "../src/Hub.sol";
import {ProbityToken} from "../src/ProbityToken.sol";
import {StorageProofVerifier} from "../src/StorageProofVerifier.sol";
import {IDeals} from "../src/interfaces/IDeals.sol";
import {IHub} from "../src/interfaces/IHub.sol";
import {IRegistry} from "../src/interfaces/IRegistry.sol";
import {IStorageProofVerifier} from "../src/interfaces/IStorageProofVerifier.sol";
import {Fixture} from "./utils/Fixture.sol";

contract DeploymentTest is Fixture {
    function test_the_contracts_name_each_other() public view {
        assertEq(registry.hub(), address(hub));
        assertEq(registry.deals(), address(deals));
        assertEq(registry.token(), address(token));
        assertEq(deals.hub(), address(hub));
        assertEq(deals.registry(), address(registry));
        assertEq(deals.token(), address(token));
        assertEq(deals.verifier(), address(verifier));
        assertEq(hub.registry(), address(registry));
        assertEq(hub.deals(), address(deals));
        assertEq(hub.verifier(), address(verifier));
        assertEq(registry.minimumBond(), BOND);
        assertEq(hub.policyHashAt(0), POLICY);
        assertEq(hub.policyHashAt(type(uint64).max), POLICY);
        assertEq(registry.owner(), admin);
    }

    function test_a_wrongly_predicted_address_never_comes_to_life() public {
        address another = vm.computeCreateAddress(address(this), vm.getNonce(address(this)));
        vm.expectRevert(abi.encodeWithSelector(IHub.WrongWiring.selector, address(hub), another));
        new Hub(IRegistry(address(registry)), IDeals(address(deals)), verifier, POLICY, _schedule());
    }

    function test_a_hub_with_another_verifier_than_its_deals_never_comes_to_life() public {
        // Inventories would be bounded by one capacity, proofs by another.
        IStorageProofVerifier another = new StorageProofVerifier();
        uint64 nonce = vm.getNonce(address(this));
        address registryAddress = vm.computeCreateAddress(address(this), nonce);
        address dealsAddress = vm.computeCreateAddress(address(this), nonce + 1);
        address hubAddress = vm.computeCreateAddress(address(this), nonce + 2);
        _deploy("Registry", abi.encode(token, hubAddress, dealsAddress, BOND, _oracleInfos("oracle"), admin));
        new Deals(token, IRegistry(registryAddress), IHub(hubAddress), verifier);
        vm.expectRevert(abi.encodeWithSelector(IHub.WrongWiring.selector, address(verifier), address(another)));
        new Hub(IRegistry(registryAddress), IDeals(dealsAddress), another, POLICY, _schedule());
    }

    function test_a_schedule_out_of_order_is_refused() public {
        for (uint256 i; i < 8; ++i) {
            IHub.Schedule memory plan = _schedule();
            if (i == 0) plan.fallbackBlock = 0;
            else if (i == 1) plan.fallbackBlock = plan.deadlineBlock;
            else if (i == 2) plan.deadlineBlock = plan.epochBlocks;
            else if (i == 3) plan.reportWindowEpochs = 0;
            else if (i == 4) plan.eraEpochs = 0;
            else if (i == 5) plan.unbondingEpochs = 2;
            else if (i == 6) plan.disputeBlocks = 10_000;
            else (plan.fallbackBlock, plan.deadlineBlock, plan.epochBlocks) = (257, 258, 259);
            _expectBadSchedule(plan);
        }
    }

    function test_only_the_minter_mints() public {
        vm.prank(keeper);
        vm.expectRevert(abi.encodeWithSelector(ProbityToken.NotMinter.selector, address(this), keeper));
        token.mint(keeper, 1);
    }

    function test_before_the_first_block_it_is_epoch_zero() public {
        vm.roll(3);
        assertEq(hub.currentEpoch(), 0);
        assertEq(hub.startBlock(0), GENESIS);
        vm.expectRevert(abi.encodeWithSelector(IHub.BeaconTooEarly.selector, 0, GENESIS + 1, 3));
        hub.recordBeacon(0);
    }

    function _expectBadSchedule(IHub.Schedule memory plan) private {
        // A hub that the others really name, so that only the schedule is wrong.
        uint64 nonce = vm.getNonce(address(this));
        address registryAddress = vm.computeCreateAddress(address(this), nonce);
        address dealsAddress = vm.computeCreateAddress(address(this), nonce + 1);
        address hubAddress = vm.computeCreateAddress(address(this), nonce + 2);
        _deploy("Registry", abi.encode(token, hubAddress, dealsAddress, BOND, _oracleInfos("oracle"), admin));
        new Deals(token, IRegistry(registryAddress), IHub(hubAddress), verifier);
        vm.expectRevert(IHub.BadSchedule.selector);
        new Hub(IRegistry(registryAddress), IDeals(dealsAddress), verifier, POLICY, plan);
    }
}
