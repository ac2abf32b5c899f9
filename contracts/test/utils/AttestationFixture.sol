// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

import {IQuotePolicy} from "../../src/interfaces/IQuotePolicy.sol";
import {Enrolment, EnrolmentEvidence, QuorumSignatures, QuoteEvidence, TpmClock} from "../../src/interfaces/Types.sol";
import {TpmClasses} from "../../src/TpmClasses.sol";
import {Fixture} from "./Fixture.sol";
import {SoftTpm} from "./SoftTpm.sol";

/// @notice Machines with TPMs in software, and two policies: one under which the quorum vouches for them, one with a roster of two.
abstract contract AttestationFixture is Fixture {
    /// @notice A machine and what its TPM will say.
    struct Machine {
        address account;
        /// Whose quotes are for.
        address registryAddress;
        uint256 ekSeed;
        uint256 akSecret;
        uint32 akAttributes;
        uint256 nodeSecret;
        bytes32 state;
        TpmClock clock;
    }

    bytes32 internal constant STATE = keccak256("accepted state");

    IQuotePolicy internal quorumPolicy;
    IQuotePolicy internal rosterPolicy;
    bytes32[2] private leaves;

    function setUp() public virtual override {
        super.setUp();
        for (uint256 i; i < 2; ++i) {
            (Enrolment memory entry,) = _present(_machine("on the roster", i + 1));
            leaves[i] = keccak256(
                bytes.concat(keccak256(abi.encode(entry.hardwareId, entry.akHash, entry.resultHash, entry.tpmClass)))
            );
        }
        (bytes32 a, bytes32 b) = leaves[0] < leaves[1] ? (leaves[0], leaves[1]) : (leaves[1], leaves[0]);
        IQuotePolicy.AcceptedState[] memory states = new IQuotePolicy.AcceptedState[](1);
        states[0] = IQuotePolicy.AcceptedState({pcrDigest: STATE, until: type(uint64).max});
        quorumPolicy = IQuotePolicy(_deploy("QuotePolicy", abi.encode(15, states, false, 256, bytes32(0))));
        rosterPolicy =
            IQuotePolicy(_deploy("QuotePolicy", abi.encode(15, states, false, 256, keccak256(abi.encodePacked(a, b)))));
    }

    function _setPolicy(IQuotePolicy policy) internal {
        vm.prank(admin);
        registry.setQuotePolicy(policy);
    }

    function _machine(string memory name, uint256 seed) internal returns (Machine memory) {
        return Machine({
            account: makeAddr(name),
            registryAddress: address(registry),
            ekSeed: seed,
            akSecret: 1000 + seed,
            akAttributes: SoftTpm.AK_ATTRIBUTES,
            nodeSecret: 2000 + seed,
            state: STATE,
            clock: TpmClock({clockMs: 1_000_000, resetCount: 5, restartCount: 2})
        });
    }

    function _akArea(Machine memory machine) internal pure returns (bytes memory) {
        return SoftTpm.publicArea(machine.akSecret, machine.akAttributes);
    }

    /// @dev A quote over the last block.
    function _quote(Machine memory machine) internal view returns (QuoteEvidence memory evidence) {
        evidence.akPublic = _akArea(machine);
        evidence.blockNumber = uint64(vm.getBlockNumber() - 1);
        bytes32 data = sha256(
            abi.encodePacked(
                "probity-quote-on-chain",
                uint64(block.chainid),
                machine.registryAddress,
                machine.account,
                blockhash(evidence.blockNumber)
            )
        );
        bytes memory signer = SoftTpm.qualified(SoftTpm.ekName(machine.ekSeed), evidence.akPublic);
        evidence.attest = SoftTpm.quote(signer, data, machine.clock, machine.state);
        evidence.signature = SoftTpm.sign(machine.akSecret, evidence.attest);
    }

    /// @dev What a machine registers with.
    function _present(Machine memory machine)
        internal
        view
        returns (Enrolment memory enrolment, EnrolmentEvidence memory evidence)
    {
        evidence.quote = _quote(machine);
        evidence.ekPublic = SoftTpm.ekArea(machine.ekSeed);
        evidence.nodeKeyPublic = SoftTpm.publicArea(machine.nodeSecret, SoftTpm.NODE_KEY_ATTRIBUTES);
        evidence.certify = _certify(machine, evidence);
        evidence.certifySignature = SoftTpm.sign(machine.akSecret, evidence.certify);
        (uint256 x, uint256 y) = vm.publicKeyP256(machine.nodeSecret);
        enrolment = Enrolment({
            account: machine.account,
            hardwareId: SoftTpm.hardwareId(machine.ekSeed),
            akHash: keccak256(evidence.quote.akPublic),
            nodeKeyHash: keccak256(abi.encode(x, y)),
            resultHash: keccak256(abi.encode("result", machine.ekSeed)),
            tpmClass: TpmClasses.DISCRETE,
            expiry: uint64(vm.getBlockTimestamp() + 1 hours)
        });
    }

    function _certify(Machine memory machine, EnrolmentEvidence memory evidence) private view returns (bytes memory) {
        bytes32 data = sha256(
            abi.encodePacked(
                "probity-enrol",
                uint64(block.chainid),
                machine.registryAddress,
                machine.account,
                blockhash(evidence.quote.blockNumber)
            )
        );
        bytes memory parent = SoftTpm.ekName(machine.ekSeed);
        return SoftTpm.certify(
            SoftTpm.qualified(parent, evidence.quote.akPublic),
            data,
            machine.clock,
            SoftTpm.nameOf(evidence.nodeKeyPublic),
            SoftTpm.qualified(parent, evidence.nodeKeyPublic)
        );
    }

    function _fund(address account) internal {
        token.mint(account, BOND);
        vm.prank(account);
        token.approve(address(registry), type(uint256).max);
    }

    function _registerWithQuote(Machine memory machine) internal returns (uint64) {
        (Enrolment memory enrolment, EnrolmentEvidence memory evidence) = _present(machine);
        QuorumSignatures memory quorum = _quorum(registry.enrolmentDigest(enrolment));
        _fund(machine.account);
        vm.prank(machine.account);
        return registry.registerWithQuote(enrolment, quorum, "https://node", keccak256("tls"), BOND, evidence);
    }

    function _registerFromRoster(Enrolment memory enrolment, bytes32[] memory proof, EnrolmentEvidence memory evidence)
        internal
        returns (uint64)
    {
        _fund(enrolment.account);
        vm.prank(enrolment.account);
        return registry.registerFromRoster(enrolment, proof, "https://node", keccak256("tls"), BOND, evidence);
    }

    function _rosterProof(uint256 entry) internal view returns (bytes32[] memory proof) {
        proof = new bytes32[](1);
        proof[0] = leaves[1 - entry];
    }

    function _attestedNode() internal returns (uint64 node, Machine memory machine) {
        _setPolicy(quorumPolicy);
        machine = _machine("node a", 1);
        node = _registerWithQuote(machine);
    }
}
