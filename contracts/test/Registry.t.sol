// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

import {Ownable} from "@openzeppelin/contracts/access/Ownable.sol";

import {IRegistry} from "../src/interfaces/IRegistry.sol";
import {TpmClasses} from "../src/TpmClasses.sol";
import {Enrolment, Inventory, OracleInfo, QuorumSignatures, Report, Verdict} from "../src/interfaces/Types.sol";
import {Quorum} from "../src/libraries/Quorum.sol";
import {Reasons} from "../src/Reasons.sol";
import {Fixture} from "./utils/Fixture.sol";

contract RegistryTest is Fixture {
    function test_a_node_enrols_with_quorum_and_bond() public {
        Enrolment memory enrolment = _enrolment("node a");
        uint64 node = _enrol(enrolment, BOND);
        IRegistry.Node memory record = registry.nodeOf(node);
        assertEq(node, 1);
        assertEq(uint8(record.status), uint8(IRegistry.Status.Active));
        assertEq(record.account, enrolment.account);
        assertEq(record.bond, BOND);
        assertEq(
            record.identityHash,
            keccak256(abi.encode(enrolment.account, enrolment.hardwareId, enrolment.akHash, enrolment.nodeKeyHash))
        );
        assertEq(registry.nodeIdOf(enrolment.account), node);
        assertEq(registry.nodeByHardware(enrolment.hardwareId), node);
        assertEq(token.balanceOf(address(registry)), BOND);
    }

    function test_the_enrolment_digest_is_eip712() public {
        Enrolment memory enrolment = _enrolment("node a");
        bytes32 domain = keccak256(
            abi.encode(
                keccak256("EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"),
                keccak256("Probity"),
                keccak256("1"),
                block.chainid,
                address(registry)
            )
        );
        bytes32 structHash = keccak256(
            abi.encode(
                registry.ENROLMENT_TYPEHASH(),
                enrolment.account,
                enrolment.hardwareId,
                enrolment.akHash,
                enrolment.nodeKeyHash,
                enrolment.resultHash,
                enrolment.tpmClass,
                enrolment.expiry
            )
        );
        assertEq(registry.enrolmentDigest(enrolment), keccak256(abi.encodePacked(hex"1901", domain, structHash)));
    }

    function test_the_same_hardware_cannot_enrol_twice() public {
        Enrolment memory first = _enrolment("node a");
        uint64 node = _enrol(first, BOND);
        Enrolment memory copy = _enrolment("node b");
        copy.hardwareId = first.hardwareId;
        _expectRefused(
            copy, BOND, abi.encodeWithSelector(IRegistry.HardwareAlreadyEnrolled.selector, first.hardwareId, node)
        );
    }

    function test_the_same_account_cannot_enrol_twice() public {
        Enrolment memory first = _enrolment("node a");
        uint64 node = _enrol(first, BOND);
        Enrolment memory second = _enrolment("node b");
        second.account = first.account;
        _expectRefused(
            second, BOND, abi.encodeWithSelector(IRegistry.AccountAlreadyEnrolled.selector, first.account, node)
        );
    }

    function test_only_the_enrolled_account_registers() public {
        Enrolment memory enrolment = _enrolment("node a");
        QuorumSignatures memory quorum = _quorum(registry.enrolmentDigest(enrolment));
        vm.expectRevert(abi.encodeWithSelector(IRegistry.WrongAccount.selector, enrolment.account, address(this)));
        registry.register(enrolment, quorum, "https://node", 0, BOND);
    }

    function test_an_expired_enrolment_is_refused() public {
        Enrolment memory enrolment = _enrolment("node a");
        vm.warp(enrolment.expiry + 1);
        _expectRefused(
            enrolment,
            BOND,
            abi.encodeWithSelector(IRegistry.EnrolmentExpired.selector, enrolment.expiry, enrolment.expiry + 1)
        );
    }

    function test_a_bond_below_the_minimum_is_refused() public {
        _expectRefused(
            _enrolment("node a"), BOND - 1, abi.encodeWithSelector(IRegistry.BondTooLow.selector, BOND, BOND - 1)
        );
    }

    function test_a_long_url_is_refused() public {
        Enrolment memory enrolment = _enrolment("node a");
        QuorumSignatures memory quorum = _quorum(registry.enrolmentDigest(enrolment));
        vm.prank(enrolment.account);
        vm.expectRevert(abi.encodeWithSelector(IRegistry.UrlTooLong.selector, 256, 257));
        registry.register(enrolment, quorum, string(new bytes(257)), 0, BOND);
    }

    function test_too_few_oracles_enrol_nobody() public {
        Enrolment memory enrolment = _enrolment("node a");
        QuorumSignatures memory quorum = _quorum(registry.enrolmentDigest(enrolment), 0x3);
        vm.prank(enrolment.account);
        vm.expectRevert(abi.encodeWithSelector(Quorum.TooFewSigners.selector, 3, 2));
        registry.register(enrolment, quorum, "https://node", 0, BOND);
    }

    function testFuzz_no_field_of_a_signed_enrolment_can_change(uint256 field, bytes32 value) public {
        Enrolment memory enrolment = _enrolment("node a");
        QuorumSignatures memory quorum = _quorum(registry.enrolmentDigest(enrolment));
        field = bound(field, 0, 5);
        Enrolment memory changed = _enrolment("node a");
        if (field == 0) changed.hardwareId = value;
        else if (field == 1) changed.akHash = value;
        else if (field == 2) changed.nodeKeyHash = value;
        else if (field == 3) changed.resultHash = value;
        else if (field == 4) changed.tpmClass = uint8(bound(uint256(value), 0, 255));
        else changed.expiry = uint64(bound(uint256(value), enrolment.expiry + 1, type(uint64).max));
        vm.assume(keccak256(abi.encode(changed)) != keccak256(abi.encode(enrolment)));
        vm.prank(enrolment.account);
        vm.expectRevert();
        registry.register(changed, quorum, "https://node", 0, BOND);
    }

    function test_virtual_machines_have_a_cap_of_their_own() public {
        Enrolment memory a = _virtual("virtual a");
        _expectRefused(a, BOND, abi.encodeWithSelector(IRegistry.VirtualCapReached.selector, 0));
        _setVirtualCap(1);
        uint64 node = _enrol(a, BOND);
        assertTrue(registry.nodeOf(node).tpmClass == TpmClasses.VIRTUAL);
        assertEq(registry.virtualCount(), 1);
        Enrolment memory b = _virtual("virtual b");
        _expectRefused(b, BOND, abi.encodeWithSelector(IRegistry.VirtualCapReached.selector, 1));
        // Chips are not counted, and a lower cap removes nobody.
        _enrol("node c");
        _setVirtualCap(0);
        assertEq(registry.virtualCount(), 1);
    }

    function test_a_virtual_machine_that_leaves_or_is_removed_gives_its_place_to_another_once() public {
        _setVirtualCap(1);
        uint64 node = _enrol(_virtual("virtual a"), BOND);
        vm.prank(_accountOf(node));
        registry.requestExit(node);
        Enrolment memory b = _virtual("virtual b");
        _expectRefused(b, BOND, abi.encodeWithSelector(IRegistry.VirtualCapReached.selector, 1));
        vm.startPrank(address(hub));
        registry.remove(node, 1, 1, 0);
        registry.remove(node, 2, 1, 0);
        vm.stopPrank();
        assertEq(registry.virtualCount(), 0);
        _enrol(b, BOND);
        assertEq(registry.virtualCount(), 1);
    }

    function test_a_machine_of_no_class_enrols_nowhere() public {
        Enrolment memory enrolment = _enrolment("node a");
        enrolment.tpmClass = 0;
        _expectRefused(enrolment, BOND, abi.encodeWithSelector(IRegistry.BadTpmClass.selector, 0));
        enrolment.tpmClass = 4;
        _expectRefused(enrolment, BOND, abi.encodeWithSelector(IRegistry.BadTpmClass.selector, 4));
    }

    function test_only_the_owner_sets_the_virtual_cap() public {
        vm.expectRevert(abi.encodeWithSelector(Ownable.OwnableUnauthorizedAccount.selector, address(this)));
        registry.setVirtualCap(1);
        vm.expectEmit();
        emit IRegistry.VirtualCapChanged(7);
        _setVirtualCap(7);
        assertEq(registry.virtualCap(), 7);
    }

    function _virtual(string memory seed) private returns (Enrolment memory enrolment) {
        enrolment = _enrolment(seed);
        enrolment.tpmClass = TpmClasses.VIRTUAL;
    }

    function _setVirtualCap(uint64 cap) private {
        vm.prank(admin);
        registry.setVirtualCap(cap);
    }

    function test_only_the_node_changes_its_endpoint() public {
        uint64 node = _enrol("node a");
        vm.expectRevert(abi.encodeWithSelector(IRegistry.WrongAccount.selector, _accountOf(node), address(this)));
        registry.setEndpoint(node, "https://thief", 0);
        vm.prank(_accountOf(node));
        registry.setEndpoint(node, "https://moved", keccak256("new tls"));
        assertEq(registry.nodeOf(node).url, "https://moved");
        assertEq(registry.nodeOf(node).tlsKeyHash, keccak256("new tls"));
        vm.expectRevert(abi.encodeWithSelector(IRegistry.UnknownNode.selector, 9));
        registry.setEndpoint(9, "https://nobody", 0);
    }

    function test_anybody_tops_a_bond_up() public {
        uint64 node = _enrol("node a");
        token.mint(keeper, 5 ether);
        vm.startPrank(keeper);
        token.approve(address(registry), 5 ether);
        registry.topUp(node, 5 ether);
        vm.stopPrank();
        assertEq(_bondOf(node), BOND + 5 ether);
        assertEq(token.balanceOf(address(registry)), BOND + 5 ether);
        vm.expectRevert(IRegistry.ZeroAmount.selector);
        registry.topUp(node, 0);
    }

    function test_only_the_hub_slashes_and_removes() public {
        uint64 node = _enrol("node a");
        vm.expectRevert(abi.encodeWithSelector(IRegistry.NotHub.selector, address(this)));
        registry.slash(node, 1, Reasons.PROOF_BAD, 0, 1, keeper, 0, 0);
        vm.expectRevert(abi.encodeWithSelector(IRegistry.NotHub.selector, address(this)));
        registry.remove(node, 1, Reasons.ATTESTATION_FORGED, 0);
    }

    function test_a_slash_never_hands_out_more_than_it_takes() public {
        uint64 node = _enrol("node a");
        vm.startPrank(address(hub));
        vm.expectRevert(abi.encodeWithSelector(IRegistry.BadDistribution.selector, 10, 11));
        registry.slash(node, 1, Reasons.PROOF_BAD, 0, 10, keeper, 5, 6);
        vm.expectRevert(abi.encodeWithSelector(IRegistry.BondTooLow.selector, BOND + 1, BOND));
        registry.slash(node, 1, Reasons.PROOF_BAD, 0, BOND + 1, keeper, 0, 0);
        vm.stopPrank();
    }

    // ---------------------------------------------------------------- exit

    function test_a_node_exits_and_gets_its_bond_back() public {
        uint64 node = _enrol("node a");
        address account = _accountOf(node);
        vm.startPrank(account);
        vm.expectRevert(abi.encodeWithSelector(IRegistry.NotActive.selector, node, IRegistry.Status.Active));
        registry.withdraw(node);
        registry.requestExit(node);
        vm.expectRevert(abi.encodeWithSelector(IRegistry.NotActive.selector, node, IRegistry.Status.Exiting));
        registry.requestExit(node);
        _goTo(7);
        vm.expectRevert(abi.encodeWithSelector(IRegistry.StillBound.selector, node, 8));
        registry.withdraw(node);
        _goTo(8);
        vm.expectRevert(abi.encodeWithSelector(IRegistry.SettlementBehind.selector, node, 0, 7));
        registry.withdraw(node);
        assertEq(hub.advance(node, 100), 7);
        registry.withdraw(node);
        vm.stopPrank();
        assertEq(token.balanceOf(account), BOND);
        assertEq(token.balanceOf(address(registry)), 0);
        assertEq(uint8(registry.summaryOf(node).status), uint8(IRegistry.Status.Withdrawn));
    }

    function test_exit_needs_an_up_to_date_settlement() public {
        uint64 node = _enrol("node a");
        _goTo(3);
        vm.prank(_accountOf(node));
        vm.expectRevert(abi.encodeWithSelector(IRegistry.SettlementBehind.selector, node, 0, 1));
        registry.requestExit(node);
        hub.advance(node, 2);
        vm.prank(_accountOf(node));
        registry.requestExit(node);
        assertEq(registry.summaryOf(node).exitEpoch, 3);
    }

    function test_nobody_withdraws_while_storing() public {
        (uint64 node, uint64 dealId) = _servingNode();
        address account = _accountOf(node);
        vm.prank(account);
        registry.requestExit(node);
        vm.prank(owner);
        deals.endSlot(dealId, 0);
        // Void epochs pass without a verdict: the slot is still held.
        _goTo(9);
        hub.advance(node, 100);
        vm.prank(account);
        vm.expectRevert(abi.encodeWithSelector(IRegistry.StillStoring.selector, node, 3));
        registry.withdraw(node);
        // Dropped in this epoch, but frozen into it: it may still be challenged.
        _drop(dealId, 0, node);
        vm.prank(account);
        vm.expectRevert(abi.encodeWithSelector(IRegistry.StillStoring.selector, node, 3));
        registry.withdraw(node);
        _goTo(10);
        hub.advance(node, 100);
        vm.prank(account);
        registry.withdraw(node);
        assertEq(token.balanceOf(account), BOND);
    }

    function test_a_withdrawn_machine_may_come_back_under_a_new_id() public {
        Enrolment memory enrolment = _enrolment("node a");
        uint64 node = _enrol(enrolment, BOND);
        vm.prank(enrolment.account);
        registry.requestExit(node);
        _goTo(8);
        hub.advance(node, 100);
        vm.prank(enrolment.account);
        registry.withdraw(node);
        uint64 again = _enrol(enrolment, BOND);
        assertEq(again, node + 1);
        assertEq(registry.nodeByHardware(enrolment.hardwareId), again);
        assertEq(hub.cursorOf(again), 8);
    }

    function test_a_removed_machine_never_comes_back() public {
        (uint64 node,) = _servingNode();
        _epoch(node, 1, Reasons.ATTESTATION_FORGED);
        Enrolment memory enrolment = _enrolment("node a");
        Enrolment memory other = _enrolment("node c");
        other.hardwareId = enrolment.hardwareId;
        _expectRefused(
            other, BOND, abi.encodeWithSelector(IRegistry.HardwareAlreadyEnrolled.selector, enrolment.hardwareId, node)
        );
        // What is left of its bond comes back after the unbonding time, and it stays removed.
        _goTo(12);
        hub.advance(node, 100);
        vm.prank(enrolment.account);
        registry.withdraw(node);
        assertEq(token.balanceOf(enrolment.account), BOND / 2);
        assertEq(uint8(registry.summaryOf(node).status), uint8(IRegistry.Status.Removed));
    }

    // ---------------------------------------------------------------- oracle sets

    function test_a_new_set_counts_from_the_next_epoch() public {
        _goTo(3);
        OracleInfo[] memory infos = _oracleInfos("new oracle");
        vm.prank(admin);
        registry.setOracles(infos);
        assertEq(registry.setVersionAt(0), 1);
        assertEq(registry.setVersionAt(3), 1);
        assertEq(registry.setVersionAt(4), 2);
        assertEq(registry.oracleSet(2)[1].account, infos[1].account);
        vm.prank(admin);
        registry.setOracles(_oracleInfos("newer oracle"));
        assertEq(registry.setVersionAt(3), 1);
        assertEq(registry.setVersionAt(4), 3, "the later of two in one epoch");
    }

    function test_only_the_owner_changes_the_set() public {
        OracleInfo[] memory infos = _oracleInfos("new oracle");
        vm.expectRevert(abi.encodeWithSelector(Ownable.OwnableUnauthorizedAccount.selector, address(this)));
        registry.setOracles(infos);
    }

    function test_a_set_is_3f_plus_1_distinct_accounts() public {
        OracleInfo[] memory infos = _oracleInfos("new oracle");
        vm.startPrank(admin);
        infos[3].account = infos[0].account;
        vm.expectRevert(IRegistry.BadOracleSet.selector);
        registry.setOracles(infos);
        infos[3].account = address(0);
        vm.expectRevert(IRegistry.BadOracleSet.selector);
        registry.setOracles(infos);
        vm.expectRevert(IRegistry.BadOracleSet.selector);
        registry.setOracles(new OracleInfo[](3));
        vm.expectRevert(IRegistry.BadOracleSet.selector);
        registry.setOracles(new OracleInfo[](0));
        vm.stopPrank();
    }

    function _expectRefused(Enrolment memory enrolment, uint256 bond, bytes memory reason) private {
        QuorumSignatures memory quorum = _quorum(registry.enrolmentDigest(enrolment));
        vm.prank(enrolment.account);
        vm.expectRevert(reason);
        registry.register(enrolment, quorum, "https://node", 0, bond);
    }
}
