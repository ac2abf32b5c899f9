// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

import {Ownable} from "@openzeppelin/contracts/access/Ownable.sol";

import {IQuotePolicy} from "../src/interfaces/IQuotePolicy.sol";
import {IRegistry} from "../src/interfaces/IRegistry.sol";
import {
    Enrolment,
    EnrolmentEvidence,
    QuorumSignatures,
    QuoteEvidence,
    QuoteFacts,
    TpmClock
} from "../src/interfaces/Types.sol";
import {Quorum} from "../src/libraries/Quorum.sol";
import {TpmClocks} from "../src/libraries/TpmClocks.sol";
import {TpmKey} from "../src/libraries/TpmKey.sol";
import {TpmQuote} from "../src/libraries/TpmQuote.sol";
import {AttestationFixture} from "./utils/AttestationFixture.sol";
import {SoftTpm} from "./utils/SoftTpm.sol";

contract AttestationTest is AttestationFixture {
    // ---------------------------------------------------------------- policy

    function test_only_the_owner_sets_a_policy_and_only_a_contract() public {
        vm.expectRevert(abi.encodeWithSelector(Ownable.OwnableUnauthorizedAccount.selector, address(this)));
        registry.setQuotePolicy(quorumPolicy);
        vm.prank(admin);
        vm.expectRevert(abi.encodeWithSelector(IRegistry.BadQuotePolicyAddress.selector, keeper));
        registry.setQuotePolicy(IQuotePolicy(keeper));
    }

    function test_before_the_first_node_a_policy_is_in_force_at_once() public {
        _setPolicy(quorumPolicy);
        assertEq(address(registry.quotePolicyAt(0)), address(quorumPolicy));
        _setPolicy(IQuotePolicy(address(0)));
        assertEq(address(registry.quotePolicyAt(0)), address(0));
        _enrol("node a");
    }

    function test_once_there_are_nodes_a_policy_waits_for_the_next_epoch() public {
        _enrol("node a");
        _setPolicy(quorumPolicy);
        assertEq(address(registry.quotePolicyAt(0)), address(0));
        assertEq(address(registry.quotePolicyAt(1)), address(quorumPolicy));
        _enrol("node b");
        _goTo(1);
        _expectRefused("node c", abi.encodeWithSelector(IRegistry.QuoteRequired.selector, address(quorumPolicy)));
    }

    function test_without_a_policy_no_quote_is_judged() public {
        Machine memory machine = _machine("node a", 1);
        (Enrolment memory enrolment, EnrolmentEvidence memory evidence) = _present(machine);
        QuorumSignatures memory quorum = _quorum(registry.enrolmentDigest(enrolment));
        vm.startPrank(machine.account);
        vm.expectRevert(IRegistry.NoQuotePolicy.selector);
        registry.registerWithQuote(enrolment, quorum, "https://node", 0, BOND, evidence);
        vm.expectRevert(IRegistry.NoQuotePolicy.selector);
        registry.registerFromRoster(enrolment, new bytes32[](0), "https://node", 0, BOND, evidence);
        vm.stopPrank();
        uint64 node = _enrol("node b");
        vm.expectRevert(IRegistry.NoQuotePolicy.selector);
        registry.attest(node, evidence.quote, new bytes32[](0));
    }

    // ---------------------------------------------------------------- registration with quorum and quote

    function test_a_machine_registers_with_quorum_and_quote() public {
        _setPolicy(quorumPolicy);
        Machine memory machine = _machine("node a", 1);
        uint64 node = _registerWithQuote(machine);
        IRegistry.Node memory record = registry.nodeOf(node);
        assertEq(record.account, machine.account);
        assertEq(record.hardwareId, SoftTpm.hardwareId(1));
        assertEq(token.balanceOf(address(registry)), BOND);
        IRegistry.Attestation memory last = registry.attestationOf(node);
        assertEq(last.pcrDigest, STATE);
        assertEq(last.blockNumber, vm.getBlockNumber() - 1);
        assertEq(last.clockMs, machine.clock.clockMs);
        assertEq(last.resetCount, machine.clock.resetCount);
        assertEq(last.restartCount, machine.clock.restartCount);
        assertEq(last.firmwareVersion, 0x20200101);
    }

    function test_what_was_proven_is_announced() public {
        _setPolicy(quorumPolicy);
        Machine memory machine = _machine("node a", 1);
        (Enrolment memory enrolment, EnrolmentEvidence memory evidence) = _present(machine);
        QuorumSignatures memory quorum = _quorum(registry.enrolmentDigest(enrolment));
        _fund(machine.account);
        vm.expectEmit(address(registry));
        emit IRegistry.KeysProven(1, evidence.quote.akPublic, evidence.nodeKeyPublic);
        vm.expectEmit(address(registry));
        emit IRegistry.QuoteAccepted(
            1, enrolment.akHash, STATE, 0x20200101, machine.clock, uint64(vm.getBlockNumber() - 1)
        );
        vm.prank(machine.account);
        registry.registerWithQuote(enrolment, quorum, "https://node", 0, BOND, evidence);
    }

    function test_a_quote_does_not_replace_the_quorum() public {
        _setPolicy(quorumPolicy);
        Machine memory machine = _machine("node a", 1);
        (Enrolment memory enrolment, EnrolmentEvidence memory evidence) = _present(machine);
        QuorumSignatures memory quorum = _quorum(registry.enrolmentDigest(enrolment), 0x3);
        vm.prank(machine.account);
        vm.expectRevert(abi.encodeWithSelector(Quorum.TooFewSigners.selector, 3, 2));
        registry.registerWithQuote(enrolment, quorum, "https://node", 0, BOND, evidence);
    }

    function test_a_lying_quorum_cannot_give_a_machine_a_hardware_id_of_its_own_making() public {
        _setPolicy(quorumPolicy);
        _registerWithQuote(_machine("node a", 1));
        // The same TPM again; the quorum signs that it is another one, but the TPM names its endorsement key.
        Machine memory again = _machine("node b", 1);
        (Enrolment memory enrolment, EnrolmentEvidence memory evidence) = _present(again);
        enrolment.hardwareId = SoftTpm.hardwareId(2);
        _expectQuoteRefused(
            enrolment,
            evidence,
            abi.encodeWithSelector(IQuotePolicy.WrongHardwareId.selector, SoftTpm.hardwareId(2), SoftTpm.hardwareId(1))
        );
        evidence.ekPublic = SoftTpm.ekArea(2);
        _expectQuoteRefused(
            enrolment,
            evidence,
            abi.encodeWithSelector(
                TpmQuote.WrongQualifiedSigner.selector,
                _digest(SoftTpm.qualified(SoftTpm.ekName(2), _akArea(again))),
                _digest(SoftTpm.qualified(SoftTpm.ekName(1), _akArea(again)))
            )
        );
    }

    function test_a_lying_quorum_cannot_register_a_node_key_the_tpm_did_not_certify() public {
        _setPolicy(quorumPolicy);
        Machine memory machine = _machine("node a", 1);
        (Enrolment memory enrolment, EnrolmentEvidence memory evidence) = _present(machine);
        bytes memory certified = SoftTpm.publicArea(machine.nodeSecret, SoftTpm.NODE_KEY_ATTRIBUTES);
        bytes memory other = SoftTpm.publicArea(0xabcdef, SoftTpm.NODE_KEY_ATTRIBUTES);
        (uint256 x, uint256 y) = vm.publicKeyP256(0xabcdef);
        evidence.nodeKeyPublic = other;
        enrolment.nodeKeyHash = keccak256(abi.encode(x, y));
        _expectQuoteRefused(
            enrolment,
            evidence,
            abi.encodeWithSelector(TpmQuote.WrongCertifiedKey.selector, sha256(other), sha256(certified))
        );
    }

    function test_a_lying_quorum_cannot_register_somebody_elses_tpm() public {
        _setPolicy(quorumPolicy);
        (Enrolment memory enrolment, EnrolmentEvidence memory evidence) = _present(_machine("victim", 1));
        enrolment.account = makeAddr("thief");
        QuorumSignatures memory quorum = _quorum(registry.enrolmentDigest(enrolment));
        _fund(enrolment.account);
        vm.prank(enrolment.account);
        vm.expectPartialRevert(TpmQuote.WrongExtraData.selector);
        registry.registerWithQuote(enrolment, quorum, "https://node", 0, BOND, evidence);
    }

    function test_a_lying_quorum_cannot_register_an_attestation_key_that_signs_anything() public {
        _setPolicy(quorumPolicy);
        Machine memory machine = _machine("node a", 1);
        machine.akAttributes = SoftTpm.NODE_KEY_ATTRIBUTES;
        (Enrolment memory enrolment, EnrolmentEvidence memory evidence) = _present(machine);
        _expectQuoteRefused(
            enrolment, evidence, abi.encodeWithSelector(TpmKey.AttestationKeyRefused.selector, TpmKey.Rule.Restricted)
        );
    }

    /// @dev What no quote shows: this "TPM" is these tests. Whoever vouches for attestation keys is trusted for that, and a
    ///      roster moves the trust, it does not end it.
    function test_a_lying_quorum_can_still_register_a_tpm_that_is_software() public {
        _setPolicy(quorumPolicy);
        assertEq(_registerWithQuote(_machine("no tpm", 7)), 1);
    }

    function test_a_machine_in_another_state_is_refused() public {
        _setPolicy(quorumPolicy);
        Machine memory machine = _machine("node a", 1);
        machine.state = keccak256("malware");
        (Enrolment memory enrolment, EnrolmentEvidence memory evidence) = _present(machine);
        _expectQuoteRefused(
            enrolment, evidence, abi.encodeWithSelector(IQuotePolicy.PcrDigestNotAccepted.selector, machine.state, 0)
        );
    }

    function testFuzz_a_quote_for_another_registry_is_refused(address other) public {
        vm.assume(other != address(registry));
        _setPolicy(quorumPolicy);
        Machine memory machine = _machine("node a", 1);
        machine.registryAddress = other;
        (Enrolment memory enrolment, EnrolmentEvidence memory evidence) = _present(machine);
        QuorumSignatures memory quorum = _quorum(registry.enrolmentDigest(enrolment));
        _fund(machine.account);
        vm.prank(machine.account);
        vm.expectPartialRevert(TpmQuote.WrongExtraData.selector);
        registry.registerWithQuote(enrolment, quorum, "https://node", 0, BOND, evidence);
    }

    // ---------------------------------------------------------------- roster

    function test_a_machine_on_the_roster_registers_without_any_oracle() public {
        _setPolicy(rosterPolicy);
        Machine memory machine = _machine("node a", 1);
        (Enrolment memory enrolment, EnrolmentEvidence memory evidence) = _present(machine);
        uint64 node = _registerFromRoster(enrolment, _rosterProof(0), evidence);
        assertEq(registry.nodeOf(node).akHash, enrolment.akHash);
        assertEq(registry.attestationOf(node).pcrDigest, STATE);
        assertEq(token.balanceOf(address(registry)), BOND);
    }

    function test_a_machine_off_the_roster_is_refused_whatever_the_quorum_says() public {
        _setPolicy(rosterPolicy);
        Machine memory machine = _machine("node c", 3);
        (Enrolment memory enrolment, EnrolmentEvidence memory evidence) = _present(machine);
        QuorumSignatures memory quorum = _quorum(registry.enrolmentDigest(enrolment), 0xf);
        _fund(machine.account);
        vm.startPrank(machine.account);
        vm.expectRevert(abi.encodeWithSelector(IRegistry.RosterRequired.selector, rosterPolicy.roster()));
        registry.registerWithQuote(enrolment, quorum, "https://node", 0, BOND, evidence);
        vm.expectRevert(abi.encodeWithSelector(IRegistry.QuoteRequired.selector, address(rosterPolicy)));
        registry.register(enrolment, quorum, "https://node", 0, BOND);
        vm.expectRevert(
            abi.encodeWithSelector(IQuotePolicy.NotOnRoster.selector, enrolment.hardwareId, enrolment.akHash)
        );
        registry.registerFromRoster(enrolment, _rosterProof(0), "https://node", 0, BOND, evidence);
        vm.stopPrank();
    }

    function testFuzz_no_field_of_a_roster_entry_can_change(uint256 field, bytes32 value) public {
        _setPolicy(rosterPolicy);
        (Enrolment memory enrolment, EnrolmentEvidence memory evidence) = _present(_machine("node a", 1));
        field = bound(field, 0, 3);
        bytes32 before = keccak256(abi.encode(enrolment));
        if (field == 0) enrolment.hardwareId = value;
        else if (field == 1) enrolment.akHash = value;
        else if (field == 2) enrolment.resultHash = value;
        else enrolment.tpmClass = uint8(bound(uint256(value), 0, 255));
        vm.assume(before != keccak256(abi.encode(enrolment)));
        _fund(enrolment.account);
        vm.prank(enrolment.account);
        vm.expectRevert(
            abi.encodeWithSelector(IQuotePolicy.NotOnRoster.selector, enrolment.hardwareId, enrolment.akHash)
        );
        registry.registerFromRoster(enrolment, _rosterProof(0), "https://node", 0, BOND, evidence);
    }

    function test_a_policy_without_a_roster_lets_nobody_in_by_one() public {
        _setPolicy(quorumPolicy);
        (Enrolment memory enrolment, EnrolmentEvidence memory evidence) = _present(_machine("node a", 1));
        vm.prank(enrolment.account);
        vm.expectPartialRevert(IQuotePolicy.NotOnRoster.selector);
        registry.registerFromRoster(enrolment, new bytes32[](0), "https://node", 0, BOND, evidence);
    }

    function test_a_machine_on_the_roster_registers_once_and_by_its_own_account() public {
        _setPolicy(rosterPolicy);
        (Enrolment memory enrolment, EnrolmentEvidence memory evidence) = _present(_machine("node a", 1));
        bytes32[] memory proof = _rosterProof(0);
        vm.expectRevert(abi.encodeWithSelector(IRegistry.WrongAccount.selector, enrolment.account, address(this)));
        registry.registerFromRoster(enrolment, proof, "https://node", 0, BOND, evidence);
        uint64 node = _registerFromRoster(enrolment, proof, evidence);
        (enrolment, evidence) = _present(_machine("node b", 1));
        enrolment.resultHash = keccak256(abi.encode("result", uint256(1)));
        _fund(enrolment.account);
        vm.prank(enrolment.account);
        vm.expectPartialRevert(IRegistry.HardwareAlreadyEnrolled.selector);
        registry.registerFromRoster(enrolment, proof, "https://node", 0, BOND, evidence);
        assertEq(registry.nodeCount(), node);
    }

    // ---------------------------------------------------------------- attesting again

    function test_anybody_brings_a_nodes_fresh_quote() public {
        (uint64 node, Machine memory machine) = _attestedNode();
        _forward(300);
        machine.clock.clockMs += 1;
        vm.prank(keeper);
        registry.attest(node, _quote(machine), new bytes32[](0));
        assertEq(registry.attestationOf(node).blockNumber, vm.getBlockNumber() - 1);
        assertEq(registry.attestationOf(node).clockMs, machine.clock.clockMs);
    }

    function test_a_quote_counts_once_and_none_over_an_earlier_block_after_it() public {
        (uint64 node, Machine memory machine) = _attestedNode();
        _forward(10);
        QuoteEvidence memory earlier = _quote(machine);
        _forward(10);
        QuoteEvidence memory later = _quote(machine);
        registry.attest(node, later, new bytes32[](0));
        uint64 last = later.blockNumber;
        vm.expectRevert(abi.encodeWithSelector(IRegistry.QuoteAlreadyOutdated.selector, last, last));
        registry.attest(node, later, new bytes32[](0));
        vm.expectRevert(abi.encodeWithSelector(IRegistry.QuoteAlreadyOutdated.selector, last, earlier.blockNumber));
        registry.attest(node, earlier, new bytes32[](0));
    }

    function test_an_old_quote_is_refused() public {
        (uint64 node, Machine memory machine) = _attestedNode();
        _forward(1);
        QuoteEvidence memory evidence = _quote(machine);
        _forward(256);
        vm.expectRevert(
            abi.encodeWithSelector(
                IQuotePolicy.StaleQuote.selector,
                evidence.blockNumber,
                vm.getBlockNumber() - 256,
                vm.getBlockNumber() - 1
            )
        );
        registry.attest(node, evidence, new bytes32[](0));
    }

    function test_another_machines_quote_is_refused() public {
        (uint64 node, Machine memory machine) = _attestedNode();
        _forward(1);
        Machine memory other = _machine("node a", 2);
        QuoteEvidence memory evidence = _quote(other);
        vm.expectRevert(
            abi.encodeWithSelector(
                IQuotePolicy.WrongAkHash.selector, keccak256(_akArea(machine)), keccak256(_akArea(other))
            )
        );
        registry.attest(node, evidence, new bytes32[](0));
    }

    function test_a_clock_that_runs_backwards_is_refused() public {
        (uint64 node, Machine memory machine) = _attestedNode();
        TpmClock memory before = machine.clock;
        TpmClock[3] memory backwards = [
            TpmClock(before.clockMs - 1, before.resetCount, before.restartCount),
            TpmClock(before.clockMs + 1, before.resetCount, before.restartCount - 1),
            TpmClock(before.clockMs + 1, before.resetCount - 1, before.restartCount + 1)
        ];
        _forward(1);
        for (uint256 i; i < 3; ++i) {
            machine.clock = backwards[i];
            QuoteEvidence memory evidence = _quote(machine);
            vm.expectRevert(abi.encodeWithSelector(TpmClocks.TpmClockBackwards.selector, before, backwards[i]));
            registry.attest(node, evidence, new bytes32[](0));
        }
    }

    function test_an_honest_power_loss_is_no_fault() public {
        (uint64 node, Machine memory machine) = _attestedNode();
        _forward(1);
        machine.clock =
            TpmClock({clockMs: machine.clock.clockMs / 2, resetCount: machine.clock.resetCount + 1, restartCount: 0});
        registry.attest(node, _quote(machine), new bytes32[](0));
        assertEq(registry.attestationOf(node).clockMs, machine.clock.clockMs);
    }

    function test_a_refused_quote_leaves_no_trace() public {
        (uint64 node, Machine memory machine) = _attestedNode();
        bytes32 before = keccak256(abi.encode(registry.attestationOf(node), registry.nodeOf(node)));
        _forward(1);
        machine.state = keccak256("malware");
        QuoteEvidence memory evidence = _quote(machine);
        vm.expectRevert();
        registry.attest(node, evidence, new bytes32[](0));
        assertEq(keccak256(abi.encode(registry.attestationOf(node), registry.nodeOf(node))), before);
    }

    function test_a_node_from_before_the_policy_attests_under_it() public {
        Machine memory machine = _machine("node a", 1);
        (Enrolment memory enrolment,) = _present(machine);
        uint64 node = _enrol(enrolment, BOND);
        assertEq(registry.attestationOf(node).blockNumber, 0);
        _setPolicy(quorumPolicy);
        _goTo(1);
        registry.attest(node, _quote(machine), new bytes32[](0));
        assertEq(registry.attestationOf(node).pcrDigest, STATE);
    }

    function test_a_node_never_shows_another_nodes_attestation() public {
        // A lying quorum enrols a thief with the victim's attestation key before there is a policy.
        Machine memory victim = _machine("victim", 1);
        Enrolment memory stolen = _enrolment("thief");
        stolen.akHash = keccak256(_akArea(victim));
        uint64 thief = _enrol(stolen, BOND);
        _setPolicy(quorumPolicy);
        _goTo(1);
        uint64 node = _registerWithQuote(victim);
        assertEq(registry.attestationOf(node).node, node);
        assertEq(keccak256(abi.encode(registry.attestationOf(thief))), keccak256(new bytes(8 * 32)));
        // Nor can the victim's quotes be shown for the thief: they name the victim's account.
        _forward(1);
        QuoteEvidence memory evidence = _quote(victim);
        vm.expectPartialRevert(TpmQuote.WrongExtraData.selector);
        registry.attest(thief, evidence, new bytes32[](0));
    }

    function test_a_machine_that_registers_again_without_a_quote_shows_none() public {
        (uint64 node, Machine memory machine) = _attestedNode();
        _withdraw(node, machine);
        _setPolicy(IQuotePolicy(address(0)));
        _goTo(10);
        (Enrolment memory enrolment,) = _present(machine);
        assertEq(registry.attestationOf(_enrol(enrolment, BOND)).blockNumber, 0);
    }

    function test_nobody_spends_a_returning_nodes_quote() public {
        (uint64 node, Machine memory machine) = _attestedNode();
        vm.prank(machine.account);
        registry.requestExit(node);
        _goTo(9);
        hub.advance(node, 100);
        (Enrolment memory enrolment, EnrolmentEvidence memory evidence) = _present(machine);
        // Somebody sees the registration that is on its way, and shows its quote for the old node first.
        vm.prank(keeper);
        registry.attest(node, evidence.quote, new bytes32[](0));
        vm.prank(machine.account);
        registry.withdraw(node);
        QuorumSignatures memory quorum = _quorum(registry.enrolmentDigest(enrolment));
        _fund(machine.account);
        vm.prank(machine.account);
        uint64 next = registry.registerWithQuote(enrolment, quorum, "https://node", 0, BOND, evidence);
        assertEq(registry.attestationOf(next).blockNumber, evidence.quote.blockNumber);
        assertEq(registry.attestationOf(node).blockNumber, 0);
    }

    function test_a_node_off_the_roster_does_not_attest_under_it() public {
        Machine memory stranger = _machine("node c", 3);
        (Enrolment memory enrolment,) = _present(stranger);
        uint64 off = _enrol(enrolment, BOND);
        Machine memory member = _machine("node a", 1);
        (enrolment,) = _present(member);
        uint64 on = _enrol(enrolment, BOND);
        _setPolicy(rosterPolicy);
        _goTo(1);
        QuoteEvidence memory evidence = _quote(stranger);
        vm.expectPartialRevert(IQuotePolicy.NotOnRoster.selector);
        registry.attest(off, evidence, _rosterProof(0));
        evidence = _quote(member);
        vm.expectPartialRevert(IQuotePolicy.NotOnRoster.selector);
        registry.attest(on, evidence, new bytes32[](0));
        registry.attest(on, evidence, _rosterProof(0));
        assertEq(address(registry.attestationOf(on).policy), address(rosterPolicy));
    }

    /// @dev A policy is code of the owner's choice: what it says of a block to come must not lock a key out.
    function test_a_policy_cannot_date_a_quote_into_the_future() public {
        (uint64 node, Machine memory machine) = _attestedNode();
        _forward(1);
        QuoteEvidence memory evidence = _quote(machine);
        evidence.blockNumber = type(uint64).max;
        TpmClock memory clock = machine.clock;
        vm.mockCall(
            address(quorumPolicy),
            abi.encodeWithSelector(IQuotePolicy.judgeQuote.selector),
            abi.encode(QuoteFacts({pcrDigest: STATE, firmwareVersion: 1, clock: clock}))
        );
        vm.expectRevert(abi.encodeWithSelector(IRegistry.QuoteFromTheFuture.selector, type(uint64).max));
        registry.attest(node, evidence, new bytes32[](0));
    }

    /// @dev What no quote shows: a TPM makes as many keys of the endorsement keys' template as its owner likes, each the parent of an
    ///      attestation key. Which of them its maker certified, the quorum or the roster says.
    function test_a_lying_quorum_can_still_count_one_tpm_twice() public {
        _setPolicy(quorumPolicy);
        _registerWithQuote(_machine("a", 1));
        Machine memory again = _machine("b", 1);
        (again.ekSeed, again.akSecret) = (99, 1099);
        assertEq(_registerWithQuote(again), 2);
    }

    function test_only_nodes_that_take_part_attest() public {
        (uint64 node, Machine memory machine) = _attestedNode();
        _forward(1);
        QuoteEvidence memory evidence = _quote(machine);
        vm.expectRevert(abi.encodeWithSelector(IRegistry.UnknownNode.selector, 9));
        registry.attest(9, evidence, new bytes32[](0));
        vm.prank(address(hub));
        registry.remove(node, 0, 7, 0);
        vm.expectRevert(abi.encodeWithSelector(IRegistry.NotActive.selector, node, IRegistry.Status.Removed));
        registry.attest(node, evidence, new bytes32[](0));
    }

    function test_a_machine_that_comes_back_goes_on_from_its_last_clock() public {
        (uint64 node, Machine memory machine) = _attestedNode();
        _withdraw(node, machine);
        TpmClock memory before = machine.clock;
        machine.clock =
            TpmClock({clockMs: before.clockMs, resetCount: before.resetCount - 1, restartCount: before.restartCount});
        (Enrolment memory enrolment, EnrolmentEvidence memory evidence) = _present(machine);
        _expectQuoteRefused(
            enrolment, evidence, abi.encodeWithSelector(TpmClocks.TpmClockBackwards.selector, before, machine.clock)
        );
        machine.clock.resetCount += 2;
        uint64 next = _registerWithQuote(machine);
        assertEq(next, node + 1);
        assertEq(registry.attestationOf(next).resetCount, before.resetCount + 1);
    }

    function testFuzz_clocks_progress_as_in_rust(TpmClock memory previous, TpmClock memory current) public {
        // The rule in Rust, word by word.
        bool progress = current.resetCount > previous.resetCount
            || (current.resetCount == previous.resetCount
                && current.restartCount >= previous.restartCount
                && current.clockMs >= previous.clockMs);
        try this.checkProgress(previous, current) {
            assertTrue(progress);
        } catch {
            assertFalse(progress);
        }
        current.resetCount = previous.resetCount;
        current.restartCount = previous.restartCount;
        current.clockMs = previous.clockMs;
        this.checkProgress(previous, current);
    }

    function checkProgress(TpmClock memory previous, TpmClock memory current) external pure {
        TpmClocks.checkProgress(previous, current);
    }

    // ---------------------------------------------------------------- helpers

    function _expectRefused(string memory name, bytes memory reason) private {
        Enrolment memory enrolment = _enrolment(name);
        QuorumSignatures memory quorum = _quorum(registry.enrolmentDigest(enrolment));
        vm.prank(enrolment.account);
        vm.expectRevert(reason);
        registry.register(enrolment, quorum, "https://node", 0, BOND);
    }

    /// @dev The whole quorum signs, whatever it is.
    function _expectQuoteRefused(Enrolment memory enrolment, EnrolmentEvidence memory evidence, bytes memory reason)
        private
    {
        QuorumSignatures memory quorum = _quorum(registry.enrolmentDigest(enrolment), 0xf);
        _fund(enrolment.account);
        vm.prank(enrolment.account);
        vm.expectRevert(reason);
        registry.registerWithQuote(enrolment, quorum, "https://node", 0, BOND, evidence);
    }

    function _withdraw(uint64 node, Machine memory machine) private {
        vm.prank(machine.account);
        registry.requestExit(node);
        _goTo(9);
        hub.advance(node, 100);
        vm.prank(machine.account);
        registry.withdraw(node);
    }

    function _digest(bytes memory name) private pure returns (bytes32 digest) {
        assembly ("memory-safe") {
            digest := mload(add(name, 34))
        }
    }
}
