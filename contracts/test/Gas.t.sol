// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

import {
    Enrolment,
    EnrolmentEvidence,
    QuorumSignatures,
    QuoteEvidence,
    Report,
    Verdict
} from "../src/interfaces/Types.sol";
import {Reasons} from "../src/Reasons.sol";
import {StorageProofVerifier} from "../src/StorageProofVerifier.sol";
import {AttestationFixture} from "./utils/AttestationFixture.sol";
import {Fixture} from "./utils/Fixture.sol";
import {Tree} from "./utils/Tree.sol";

/// @notice What the calls of an epoch cost; written to snapshots/GasTest.json by `make generate`, compared by `make test-contracts`.
/// @dev Each call runs as a transaction of its own: storage is cold, as on chain.
/// forge-config: default.isolate = true
/// forge-config: lite.isolate = true
contract GasTest is Fixture {
    uint64 private node;
    uint64 private dealId;

    function setUp() public override {
        super.setUp();
        (node, dealId) = _servingNode();
    }

    function test_gas_of_an_epoch() public {
        _begin(1);
        vm.snapshotGasLastCall("recordBeacon");
        Verdict[] memory verdicts = _tree(1, Reasons.PASS);
        _goTo(2);
        Report memory report = _report(1, verdicts);
        QuorumSignatures memory quorum = _quorum(hub.reportDigest(report));
        hub.submitReport(report, quorum);
        vm.snapshotGasLastCall("submitReport, 3 signers");
        _forward(40);
        _settle(verdicts);
        vm.snapshotGasLastCall("settle, first verdict of 1024");
        for (uint64 epoch = 4; epoch <= 8; epoch += 2) {
            _report1024(epoch, epoch == 6 ? Reasons.PROOF_BAD : Reasons.PASS);
            if (epoch == 4) vm.snapshotGasLastCall("settle, pass, one void epoch before");
            if (epoch == 6) vm.snapshotGasLastCall("settle, slashed, one void epoch before");
        }
        deals.claim(dealId, 0, 0);
        vm.snapshotGasLastCall("claim, 8 epochs");
        deals.pullShare(dealId, 0, 0);
        vm.snapshotGasLastCall("pullShare");
    }

    function test_gas_of_a_deal() public {
        uint64 other = _present(dealId, 1).node;
        vm.startPrank(owner);
        uint64 next = deals.propose(1, 1, 32, _list(node, other), RATE, DURATION);
        vm.snapshotGasLastCall("propose, 2 slots");
        deals.publishSlot(next, 0, 0, _roots(32, 0));
        vm.snapshotGasLastCall("publishSlot, 32 shards");
        deals.publishSlot(next, 1, 0, _roots(32, 1));
        deals.seal(next);
        vm.snapshotGasLastCall("seal, 2 slots");
        vm.stopPrank();
        _accept(next, 1);
        vm.snapshotGasLastCall("accept");
    }

    function _report1024(uint64 epoch, uint8 reason) private {
        _begin(epoch);
        Verdict[] memory verdicts = _tree(epoch, reason);
        _reportAll(epoch, verdicts);
        _forward(40);
        _settle(verdicts);
    }

    function _tree(uint64 epoch, uint8 reason) private view returns (Verdict[] memory verdicts) {
        verdicts = new Verdict[](1024);
        for (uint64 i; i < 1024; ++i) {
            verdicts[i].node = 1000 + i;
        }
        verdicts[0] = _verdict(node, epoch, reason);
    }

    function _settle(Verdict[] memory verdicts) private {
        bytes32[][] memory proofs = new bytes32[][](1);
        proofs[0] = Tree.proof(_leaves(verdicts), 0);
        hub.settle(node, _one(verdicts[0]), proofs);
    }
}

/// @notice What registration and quotes cost, as transactions.
/// forge-config: default.isolate = true
/// forge-config: lite.isolate = true
contract GasOfAttestationTest is AttestationFixture {
    string private constant GROUP = "GasTest";

    function test_gas_of_registration_by_quorum() public {
        Machine memory machine = _machine("node a", 1);
        (Enrolment memory enrolment,) = _present(machine);
        QuorumSignatures memory quorum = _quorum(registry.enrolmentDigest(enrolment));
        _fund(machine.account);
        vm.prank(machine.account);
        registry.register(enrolment, quorum, "https://node", keccak256("tls"), BOND);
        vm.snapshotGasLastCall(GROUP, "register, 3 signers");

        (enrolment,) = _present(_machine("node a", 2));
        quorum = _quorum(registry.enrolmentDigest(enrolment));
        vm.prank(machine.account);
        registry.reenrol(enrolment, quorum);
        vm.snapshotGasLastCall(GROUP, "reenrol, 3 signers");
    }

    function test_gas_of_registration_by_quorum_and_quote() public {
        _setPolicy(quorumPolicy);
        Machine memory machine = _machine("node a", 1);
        uint64 node = _registerWithQuote(machine);
        vm.snapshotGasLastCall(GROUP, "registerWithQuote, 3 signers");
        _forward(1);
        QuoteEvidence memory evidence = _quote(machine);
        registry.attest(node, evidence, new bytes32[](0));
        vm.snapshotGasLastCall(GROUP, "attest");
    }

    function test_gas_of_registration_by_roster_and_quote() public {
        _setPolicy(rosterPolicy);
        (Enrolment memory enrolment, EnrolmentEvidence memory evidence) = _present(_machine("node a", 1));
        _registerFromRoster(enrolment, _rosterProof(0), evidence);
        vm.snapshotGasLastCall(GROUP, "registerFromRoster, 2 machines");
    }
}

/// @notice What judging a quote costs within a transaction, without what every transaction and its bytes cost.
contract GasOfQuotesTest is AttestationFixture {
    string private constant GROUP = "GasTest";

    function test_gas_of_one_signature_and_of_a_quote() public {
        Machine memory machine = _machine("node a", 1);
        QuoteEvidence memory evidence = _quote(machine);
        (uint256 x, uint256 y) = vm.publicKeyP256(machine.akSecret);
        (bool success, bytes memory answer) =
            address(0x100).staticcall(bytes.concat(sha256(evidence.attest), evidence.signature, abi.encode(x, y)));
        vm.snapshotGasLastCall(GROUP, "P256VERIFY alone");
        assertTrue(success && abi.decode(answer, (uint256)) == 1);
        quorumPolicy.judgeQuote(address(registry), machine.account, keccak256(evidence.akPublic), evidence);
        vm.snapshotGasLastCall(GROUP, "judgeQuote: key, signature, structure, state");
        (Enrolment memory enrolment, EnrolmentEvidence memory whole) = _present(machine);
        quorumPolicy.judgeEnrolment(address(registry), enrolment, whole);
        vm.snapshotGasLastCall(GROUP, "judgeEnrolment: and endorsement key, node key, certification");
    }
}
