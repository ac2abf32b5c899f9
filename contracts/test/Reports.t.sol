// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

import {IHub} from "../src/interfaces/IHub.sol";
import {QuorumSignatures, Report, Verdict} from "../src/interfaces/Types.sol";
import {Quorum} from "../src/libraries/Quorum.sol";
import {Reasons} from "../src/Reasons.sol";
import {Fixture} from "./utils/Fixture.sol";

contract ReportsTest is Fixture {
    Verdict[] private none;

    // ---------------------------------------------------------------- beacon

    function test_anybody_records_the_first_block_hash() public {
        vm.roll(hub.startBlock(2) + 1);
        vm.prank(keeper);
        bytes32 beacon = hub.recordBeacon(2);
        assertEq(beacon, blockhash(hub.startBlock(2)));
        assertEq(hub.beaconOf(2), beacon);
        vm.roll(hub.startBlock(9));
        assertEq(hub.recordBeacon(2), beacon, "asking again changes nothing");
    }

    function test_a_beacon_comes_neither_early_nor_late() public {
        uint64 first = hub.startBlock(2);
        vm.roll(first);
        vm.expectRevert(abi.encodeWithSelector(IHub.BeaconTooEarly.selector, 2, first + 1, first));
        hub.recordBeacon(2);
        vm.roll(first + 17);
        vm.expectRevert(abi.encodeWithSelector(IHub.BeaconTooLate.selector, 2, first + 16, first + 17));
        hub.recordBeacon(2);
        vm.roll(first + 16);
        assertTrue(hub.recordBeacon(2) != 0);
    }

    function test_the_seed_follows_the_protocol_and_fits_the_field() public {
        (uint64 node,) = _servingNode();
        vm.expectRevert(abi.encodeWithSelector(IHub.NoBeacon.selector, 1));
        hub.statementOf(node, 1);
        _begin(1);
        uint256[3] memory statement = hub.statementOf(node, 1);
        uint256 seed = uint256(
            keccak256(
                abi.encode(keccak256("probity-seed-1"), hub.beaconOf(1), block.chainid, address(hub), node, uint64(1))
            )
        ) >> 8;
        assertEq(statement[0], uint256(deals.inventoryAt(node, 1).root));
        assertEq(statement[1], 3);
        assertEq(statement[2], seed);
        assertLt(seed, deals.FIELD_MODULUS());
    }

    // ---------------------------------------------------------------- report

    function test_the_report_digest_is_eip712() public {
        _begin(1);
        _goTo(2);
        Report memory report = _report(1, none);
        bytes32 typeHash = keccak256(
            "Report(uint64 epoch,uint32 view,bytes32 beacon,uint32 setVersion,bytes32 policyHash,uint32 leafCount,bytes32 verdictRoot,bytes32 archiveRoot,uint64 anchorBlock,bytes32 anchorHash,uint32 passed,uint32 failed,uint32 unjudged)"
        );
        bytes32 domain = keccak256(
            abi.encode(
                keccak256("EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"),
                keccak256("Probity"),
                keccak256("1"),
                block.chainid,
                address(hub)
            )
        );
        bytes32 structHash = keccak256(abi.encode(typeHash, report));
        assertEq(hub.REPORT_TYPEHASH(), typeHash);
        assertEq(hub.reportDigest(report), keccak256(abi.encodePacked(hex"1901", domain, structHash)));
    }

    function test_a_quorum_reports_an_epoch_once() public {
        _begin(1);
        _goTo(2);
        Report memory report = _report(1, none);
        vm.expectEmit(address(hub));
        emit IHub.ReportAccepted(1, 0, report.verdictRoot, report, 0xb);
        _submit(report);
        IHub.ReportRecord memory record = hub.reportOf(1);
        assertEq(record.verdictRoot, report.verdictRoot);
        assertEq(record.reportedBlock, block.number);
        assertEq(record.digest, hub.reportDigest(report));
        report.view_ = 1;
        _expectRefused(report, abi.encodeWithSelector(IHub.AlreadyReported.selector, 1));
    }

    function test_an_epoch_without_beacon_is_not_reported() public {
        _goTo(2);
        _expectRefused(_report(1, none), abi.encodeWithSelector(IHub.NoBeacon.selector, 1));
    }

    function test_an_epoch_is_reported_after_its_end_and_within_the_window() public {
        _begin(1);
        uint64 end = hub.startBlock(2);
        vm.roll(end - 1);
        _expectRefused(_report(1, none), abi.encodeWithSelector(IHub.EpochNotOver.selector, 1, end, end - 1));
        _goTo(4);
        _expectRefused(_report(1, none), abi.encodeWithSelector(IHub.ReportTooLate.selector, 1, 3, 4));
        vm.roll(hub.startBlock(4) - 1);
        _submit(_report(1, none));
    }

    function test_what_the_committee_judged_with_must_be_what_the_chain_knows() public {
        _begin(1);
        _goTo(2);
        Report memory report = _report(1, none);
        report.beacon = keccak256("other");
        _expectRefused(report, abi.encodeWithSelector(IHub.WrongBeacon.selector, hub.beaconOf(1), report.beacon));
        report = _report(1, none);
        report.policyHash = keccak256("other");
        _expectRefused(report, abi.encodeWithSelector(IHub.WrongPolicy.selector, POLICY, report.policyHash));
        report = _report(1, none);
        report.setVersion = 2;
        _expectRefused(report, abi.encodeWithSelector(IHub.WrongSetVersion.selector, 1, 2));
        report = _report(1, none);
        report.anchorHash = keccak256("other");
        _expectRefused(
            report, abi.encodeWithSelector(IHub.WrongAnchor.selector, blockhash(report.anchorBlock), report.anchorHash)
        );
    }

    function test_the_anchor_lies_between_deadline_and_now() public {
        _begin(1);
        _goTo(2);
        uint64 from = hub.startBlock(1) + 24;
        uint64 to = uint64(vm.getBlockNumber()) - 1;
        Report memory report = _report(1, none);
        report.anchorBlock = from - 1;
        _expectRefused(report, abi.encodeWithSelector(IHub.AnchorOutOfRange.selector, from, to, from - 1));
        report.anchorBlock = to + 1;
        _expectRefused(report, abi.encodeWithSelector(IHub.AnchorOutOfRange.selector, from, to, to + 1));
        report.anchorBlock = from;
        report.anchorHash = blockhash(from);
        _submit(report);
    }

    function test_the_set_of_the_epoch_signs_not_a_later_one() public {
        _begin(1);
        vm.prank(admin);
        registry.setOracles(_oracleInfos("new oracle"));
        _goTo(2);
        assertEq(registry.setVersionAt(2), 2);
        Report memory report = _report(1, none);
        assertEq(report.setVersion, 1);
        _submit(report);
    }

    function test_too_few_signers_report_nothing() public {
        _begin(1);
        _goTo(2);
        Report memory report = _report(1, none);
        QuorumSignatures memory quorum = _quorum(hub.reportDigest(report), 0x9);
        vm.expectRevert(abi.encodeWithSelector(Quorum.TooFewSigners.selector, 3, 2));
        hub.submitReport(report, quorum);
    }

    function testFuzz_no_field_of_a_signed_report_can_change(uint256 field, uint32 change) public {
        _begin(1);
        _goTo(2);
        vm.assume(change != 0);
        Report memory report = _report(1, none);
        QuorumSignatures memory quorum = _quorum(hub.reportDigest(report));
        field = bound(field, 0, 6);
        if (field == 0) report.view_ ^= change;
        else if (field == 1) report.leafCount ^= change;
        else if (field == 2) report.verdictRoot ^= bytes32(uint256(change));
        else if (field == 3) report.archiveRoot ^= bytes32(uint256(change));
        else if (field == 4) report.passed ^= change;
        else if (field == 5) report.failed ^= change;
        else report.unjudged ^= change;
        vm.expectRevert();
        hub.submitReport(report, quorum);
    }

    function _expectRefused(Report memory report, bytes memory reason) private {
        QuorumSignatures memory quorum = _quorum(hub.reportDigest(report));
        vm.expectRevert(reason);
        hub.submitReport(report, quorum);
    }
}
