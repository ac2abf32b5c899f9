// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

import {IHub} from "../src/interfaces/IHub.sol";
import {Verdict} from "../src/interfaces/Types.sol";
import {Reasons} from "../src/Reasons.sol";
import {Fixture} from "./utils/Fixture.sol";

contract SubmitProofTest is Fixture {
    uint64 private node;
    uint64 private dealId;
    address private account;
    bytes private body = "an envelope's body";
    bytes private signature = new bytes(64);

    function setUp() public override {
        super.setUp();
        (node, dealId) = _servingNode();
        account = _accountOf(node);
    }

    function test_a_timely_proof_is_recorded_with_its_envelope() public {
        _begin(1);
        uint256[8] memory proof = _proof(1);
        vm.roll(hub.startBlock(1) + 24);
        vm.expectEmit(address(hub));
        emit IHub.ProofSubmitted(node, 1, keccak256(body), body, signature, proof);
        vm.prank(account);
        hub.submitProof(1, body, signature, proof);
        IHub.Submission memory submission = hub.submissionOf(node, 1);
        assertEq(submission.envelopeHash, keccak256(body));
        assertEq(submission.blockNumber, block.number);
    }

    function test_a_late_or_early_proof_is_refused() public {
        _begin(1);
        uint256[8] memory proof = _proof(1);
        uint64 last = hub.startBlock(1) + 24;
        vm.roll(last + 1);
        vm.prank(account);
        vm.expectRevert(abi.encodeWithSelector(IHub.DeadlinePassed.selector, 1, last, last + 1));
        hub.submitProof(1, body, signature, proof);
        vm.prank(account);
        vm.expectRevert(abi.encodeWithSelector(IHub.NotBegun.selector, 2, 1));
        hub.submitProof(2, body, signature, proof);
    }

    function test_a_wrong_proof_is_refused() public {
        _begin(1);
        uint256[8] memory proof = _proof(1);
        proof[0] ^= 1;
        vm.prank(account);
        vm.expectRevert(abi.encodeWithSelector(IHub.ProofRejected.selector, node, 1));
        hub.submitProof(1, body, signature, proof);
    }

    function test_last_epochs_proof_is_refused() public {
        _begin(1);
        uint256[8] memory proof = _proof(1);
        _begin(2);
        vm.prank(account);
        vm.expectRevert(abi.encodeWithSelector(IHub.ProofRejected.selector, node, 2));
        hub.submitProof(2, body, signature, proof);
    }

    function test_another_nodes_proof_is_refused() public {
        _accept(dealId, 1);
        _begin(1);
        uint64 other = registry.nodeIdOf(_accountOf(_present(dealId, 1).node));
        uint256[8] memory proof = _proof(1);
        vm.prank(_accountOf(other));
        vm.expectRevert(abi.encodeWithSelector(IHub.ProofRejected.selector, other, 1));
        hub.submitProof(1, body, signature, proof);
    }

    function test_one_submission_an_epoch() public {
        _begin(1);
        uint256[8] memory proof = _proof(1);
        vm.startPrank(account);
        hub.submitProof(1, body, signature, proof);
        vm.expectRevert(abi.encodeWithSelector(IHub.AlreadySubmitted.selector, node, 1));
        hub.submitProof(1, body, signature, proof);
        vm.stopPrank();
    }

    function test_the_caller_is_a_node_with_a_duty() public {
        _begin(1);
        uint256[8] memory proof = _proof(1);
        vm.expectRevert(abi.encodeWithSelector(IHub.NotNode.selector, address(0), address(this)));
        hub.submitProof(1, body, signature, proof);
        uint64 idle = _present(dealId, 1).node;
        vm.prank(_accountOf(idle));
        vm.expectRevert(abi.encodeWithSelector(IHub.NoDuty.selector, idle, 1));
        hub.submitProof(1, body, signature, proof);
    }

    function test_sizes_are_limited() public {
        _begin(1);
        uint256[8] memory proof = _proof(1);
        vm.startPrank(account);
        vm.expectRevert(abi.encodeWithSelector(IHub.BodyTooLarge.selector, 8192, 8193));
        hub.submitProof(1, new bytes(8193), signature, proof);
        vm.expectRevert(abi.encodeWithSelector(IHub.BadNodeSignatureLength.selector, 64, 65));
        hub.submitProof(1, body, new bytes(65), proof);
        vm.stopPrank();
    }

    function test_without_a_beacon_there_is_nothing_to_prove() public {
        vm.roll(hub.startBlock(1) + 1);
        vm.prank(account);
        vm.expectRevert(abi.encodeWithSelector(IHub.NoBeacon.selector, 1));
        hub.submitProof(1, body, signature, [uint256(0), 0, 0, 0, 0, 0, 0, 0]);
    }

    function test_a_submission_reverses_missing() public {
        _begin(1);
        uint256[8] memory proof = _proof(1);
        vm.prank(account);
        hub.submitProof(1, body, signature, proof);
        _epochAfterBegin(1, Reasons.MISSING);
        (uint256 paid, uint256 failed) = hub.countBits(node, 1, 1);
        assertEq(paid, 1);
        assertEq(failed, 0);
        assertEq(_bondOf(node), BOND);
        assertEq(hub.ledgerOf(node).graceEra, 0, "no grace used up");
        IHub.Reputation memory reputation = hub.reputationOf(node);
        assertEq(reputation.storageAlpha, 5_995_000);
        assertEq(reputation.storageBeta, 4_995_000);
        assertEq(reputation.availabilityAlpha, 5e6);
    }

    function test_a_submission_refutes_nothing_but_missing() public {
        _begin(1);
        uint256[8] memory proof = _proof(1);
        vm.prank(account);
        hub.submitProof(1, body, signature, proof);
        _epochAfterBegin(1, Reasons.ATTESTATION_FAILED);
        (uint256 paid, uint256 failed) = hub.countBits(node, 1, 1);
        assertEq(paid, 0);
        assertEq(failed, 1);
        assertEq(_bondOf(node), BOND - BOND / 100);
    }

    function test_a_submission_is_paid_when_no_report_comes() public {
        _begin(1);
        uint256[8] memory proof = _proof(1);
        vm.prank(account);
        hub.submitProof(1, body, signature, proof);
        _goTo(4);
        vm.expectEmit(address(hub));
        emit IHub.EpochSkipped(node, 1, IHub.SkipCause.Unreported, true);
        hub.advance(node, 1);
        (uint256 paid,) = hub.countBits(node, 1, 1);
        assertEq(paid, 1);
    }

    function _proof(uint64 epoch) private view returns (uint256[8] memory) {
        return verifier.proofOf(hub.statementOf(node, epoch));
    }

    function _epochAfterBegin(uint64 epoch, uint8 reason) private {
        Verdict memory verdict = _verdict(node, epoch, reason);
        _reportAll(epoch, _one(verdict));
        _forward(40);
        _settleOne(node, verdict);
    }
}
