// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

import {Errors} from "@openzeppelin/contracts/utils/Errors.sol";

import {IQuotePolicy} from "../src/interfaces/IQuotePolicy.sol";
import {Enrolment, EnrolmentEvidence, QuoteEvidence, QuoteFacts} from "../src/interfaces/Types.sol";
import {TpmKey} from "../src/libraries/TpmKey.sol";
import {Fixture} from "./utils/Fixture.sol";
import {SoftTpm} from "./utils/SoftTpm.sol";

/// @notice Public areas read on their own.
contract TpmKeyReader {
    function attestationKey(bytes calldata area) external pure returns (TpmKey.Key memory) {
        return TpmKey.attestationKey(area);
    }

    function nodeKey(bytes calldata area) external pure returns (TpmKey.Key memory) {
        return TpmKey.nodeKey(area);
    }
}

/// @notice Quotes judged in Rust are judged alike here: whole cases, and every single-bit change.
contract TpmQuoteTest is Fixture {
    struct Columns {
        bytes32[] hardwareId;
        bytes32[] akHash;
        bytes32[] nodeKeyHash;
        bytes[] akPublic;
        bytes[] attest;
        bytes[] signature;
        bytes[] ekPublic;
        bytes[] nodeKeyPublic;
        bytes[] certify;
        bytes[] certifySignature;
    }

    uint64 private constant BLOCK = 1000;

    IQuotePolicy private policy;
    address private registryAddress;
    address private account;
    TpmKeyReader private reader;

    function setUp() public override {
        super.setUp();
        string memory golden = _golden();
        vm.chainId(vm.parseJsonUint(golden, ".chainId"));
        vm.warp(vm.parseJsonUint(golden, ".now"));
        vm.roll(BLOCK + 1);
        vm.setBlockhash(BLOCK, vm.parseJsonBytes32(golden, ".blockHash"));
        registryAddress = vm.parseJsonAddress(golden, ".registry");
        account = vm.parseJsonAddress(golden, ".account");
        bytes32[] memory digests = vm.parseJsonBytes32Array(golden, ".states");
        uint256[] memory until = vm.parseJsonUintArray(golden, ".until");
        IQuotePolicy.AcceptedState[] memory states = new IQuotePolicy.AcceptedState[](digests.length);
        for (uint256 i; i < digests.length; ++i) {
            states[i] = IQuotePolicy.AcceptedState({pcrDigest: digests[i], until: uint64(until[i])});
        }
        uint32 pcrs = uint32(vm.parseJsonUint(golden, ".pcrs"));
        policy = IQuotePolicy(_deploy("QuotePolicy", abi.encode(pcrs, states, false, 256, bytes32(0))));
        reader = new TpmKeyReader();
    }

    function test_rust_and_solidity_agree_on_what_is_signed() public view {
        bytes32 hash = blockhash(BLOCK);
        assertEq(policy.quoteData(registryAddress, account, hash), vm.parseJsonBytes32(_golden(), ".quoteData"));
        assertEq(policy.certifyData(registryAddress, account, hash), vm.parseJsonBytes32(_golden(), ".certifyData"));
    }

    function test_every_case_is_judged_as_in_rust_and_for_the_same_reason() public view {
        Columns memory columns = _cases();
        string memory golden = _golden();
        string[] memory names = vm.parseJsonStringArray(golden, ".cases.name");
        string[] memory codes = vm.parseJsonStringArray(golden, ".cases.code");
        string[] memory reasons = vm.parseJsonStringArray(golden, ".cases.error");
        bytes32 pcrDigest = vm.parseJsonBytes32(golden, ".facts.pcrDigest");
        assertGt(names.length, 75);
        for (uint256 i; i < names.length; ++i) {
            (Enrolment memory enrolment, EnrolmentEvidence memory evidence) = _at(columns, i);
            bool accepted = bytes(codes[i]).length == 0;
            try policy.judgeEnrolment(registryAddress, enrolment, evidence) returns (QuoteFacts memory facts) {
                assertTrue(accepted, names[i]);
                assertEq(facts.pcrDigest, pcrDigest, names[i]);
            } catch (bytes memory reason) {
                assertFalse(accepted, names[i]);
                assertEq(bytes4(reason), bytes4(keccak256(bytes(reasons[i]))), names[i]);
            }
        }
    }

    function test_the_facts_of_a_quote_are_read_as_in_rust() public view {
        (Enrolment memory enrolment, EnrolmentEvidence memory evidence) = _honest();
        QuoteFacts memory facts = policy.judgeQuote(registryAddress, account, enrolment.akHash, evidence.quote);
        assertEq(facts.pcrDigest, vm.parseJsonBytes32(_golden(), ".facts.pcrDigest"));
        assertEq(facts.firmwareVersion, vm.parseJsonUint(_golden(), ".facts.firmwareVersion"));
        assertEq(facts.clock.clockMs, vm.parseJsonUint(_golden(), ".facts.clockMs"));
        assertEq(facts.clock.resetCount, vm.parseJsonUint(_golden(), ".facts.resetCount"));
        assertEq(facts.clock.restartCount, vm.parseJsonUint(_golden(), ".facts.restartCount"));
    }

    function test_each_bit_of_a_quote_that_is_signed_again_is_judged_as_in_rust() public view {
        (Enrolment memory enrolment, EnrolmentEvidence memory evidence) = _honest();
        uint256 secret = vm.parseJsonUint(_golden(), ".akSecret");
        bytes memory accepted = vm.parseJsonBytes(_golden(), ".flips.attest");
        bytes memory attest = evidence.quote.attest;
        assertEq(accepted.length, attest.length);
        for (uint256 i; i < 8 * attest.length; ++i) {
            _flip(attest, i);
            evidence.quote.signature = SoftTpm.sign(secret, attest);
            bool passed;
            try policy.judgeQuote(registryAddress, account, enrolment.akHash, evidence.quote) {
                passed = true;
            } catch {}
            assertEq(passed, _bit(accepted, i), vm.toString(i));
            _flip(attest, i);
        }
    }

    function test_each_bit_of_a_certification_that_is_signed_again_is_judged_as_in_rust() public view {
        (Enrolment memory enrolment, EnrolmentEvidence memory evidence) = _honest();
        uint256 secret = vm.parseJsonUint(_golden(), ".akSecret");
        bytes memory accepted = vm.parseJsonBytes(_golden(), ".flips.certify");
        bytes memory certify = evidence.certify;
        assertEq(accepted.length, certify.length);
        for (uint256 i; i < 8 * certify.length; ++i) {
            _flip(certify, i);
            evidence.certifySignature = SoftTpm.sign(secret, certify);
            assertEq(_judged(enrolment, evidence), _bit(accepted, i), vm.toString(i));
            _flip(certify, i);
        }
    }

    function test_each_bit_of_a_public_area_is_judged_as_in_rust() public view {
        (, EnrolmentEvidence memory evidence) = _honest();
        bytes memory ak = evidence.quote.akPublic;
        bytes memory akAccepted = vm.parseJsonBytes(_golden(), ".flips.akPublic");
        bytes memory node = evidence.nodeKeyPublic;
        bytes memory nodeAccepted = vm.parseJsonBytes(_golden(), ".flips.nodeKeyPublic");
        assertEq(akAccepted.length, ak.length);
        assertEq(nodeAccepted.length, node.length);
        for (uint256 i; i < 8 * ak.length; ++i) {
            _flip(ak, i);
            bool passed;
            try reader.attestationKey(ak) {
                passed = true;
            } catch {}
            assertEq(passed, _bit(akAccepted, i), vm.toString(i));
            _flip(ak, i);
            _flip(node, i);
            passed = false;
            try reader.nodeKey(node) {
                passed = true;
            } catch {}
            assertEq(passed, _bit(nodeAccepted, i), vm.toString(i));
            _flip(node, i);
        }
    }

    function test_no_changed_bit_of_evidence_as_sent_is_accepted() public view {
        (Enrolment memory enrolment, EnrolmentEvidence memory evidence) = _honest();
        bytes[7] memory parts = [
            evidence.quote.akPublic,
            evidence.quote.attest,
            evidence.quote.signature,
            evidence.ekPublic,
            evidence.nodeKeyPublic,
            evidence.certify,
            evidence.certifySignature
        ];
        for (uint256 part; part < 7; ++part) {
            // References: a change here is a change in the evidence.
            for (uint256 i; i < 8 * parts[part].length; ++i) {
                _flip(parts[part], i);
                assertFalse(_judged(enrolment, evidence), vm.toString(i));
                _flip(parts[part], i);
            }
        }
        assertTrue(_judged(enrolment, evidence));
    }

    function test_every_truncation_is_refused() public view {
        (Enrolment memory enrolment, EnrolmentEvidence memory evidence) = _honest();
        uint256 secret = vm.parseJsonUint(_golden(), ".akSecret");
        bytes memory attest = evidence.quote.attest;
        for (uint256 n; n < attest.length; ++n) {
            bytes memory cut = new bytes(n);
            for (uint256 i; i < n; ++i) {
                cut[i] = attest[i];
            }
            evidence.quote.attest = cut;
            evidence.quote.signature = SoftTpm.sign(secret, cut);
            assertFalse(_judged(enrolment, evidence), vm.toString(n));
        }
    }

    function testFuzz_no_bytes_a_key_signs_are_a_quote_for_this_block(bytes memory junk) public view {
        (Enrolment memory enrolment, EnrolmentEvidence memory evidence) = _honest();
        evidence.quote.attest = bytes.concat(hex"ff5443478018", junk);
        evidence.quote.signature = SoftTpm.sign(vm.parseJsonUint(_golden(), ".akSecret"), evidence.quote.attest);
        assertFalse(_judged(enrolment, evidence));
    }

    function testFuzz_no_bytes_are_an_attestation_key(bytes memory area) public view {
        try reader.attestationKey(area) {
            revert("accepted");
        } catch (bytes memory reason) {
            assertGe(reason.length, 4, "a reason, never a panic");
            assertTrue(bytes4(reason) != bytes4(0x4e487b71), "panic");
        }
    }

    function test_a_state_ends_with_its_last_second() public {
        (Enrolment memory enrolment, EnrolmentEvidence memory evidence) = _honest();
        assertTrue(_judged(enrolment, evidence));
        bytes32 digest = vm.parseJsonBytes32(_golden(), ".facts.pcrDigest");
        uint64 until = policy.acceptedUntil(digest);
        vm.warp(until + 1);
        vm.expectRevert(abi.encodeWithSelector(IQuotePolicy.PcrDigestNotAccepted.selector, digest, until));
        policy.judgeEnrolment(registryAddress, enrolment, evidence);
    }

    function test_a_block_counts_from_the_next_one_for_256() public {
        (Enrolment memory enrolment, EnrolmentEvidence memory evidence) = _honest();
        vm.roll(BLOCK);
        vm.expectRevert(abi.encodeWithSelector(IQuotePolicy.StaleQuote.selector, BLOCK, BLOCK - 256, BLOCK - 1));
        policy.judgeEnrolment(registryAddress, enrolment, evidence);
        vm.roll(BLOCK + 256);
        vm.setBlockhash(BLOCK, vm.parseJsonBytes32(_golden(), ".blockHash"));
        assertTrue(_judged(enrolment, evidence));
        vm.roll(BLOCK + 257);
        vm.expectRevert(abi.encodeWithSelector(IQuotePolicy.StaleQuote.selector, BLOCK, BLOCK + 1, BLOCK + 256));
        policy.judgeEnrolment(registryAddress, enrolment, evidence);
    }

    function test_any_state_must_be_said_and_still_be_quoted() public {
        IQuotePolicy.AcceptedState[] memory none = new IQuotePolicy.AcceptedState[](0);
        _expectBadPolicy(15, none, false, 256);
        IQuotePolicy any = IQuotePolicy(_deploy("QuotePolicy", abi.encode(15, none, true, 256, bytes32(0))));
        (Enrolment memory enrolment, EnrolmentEvidence memory evidence) = _honest();
        bytes memory attest = evidence.quote.attest;
        _flip(attest, 8 * attest.length - 1);
        evidence.quote.signature = SoftTpm.sign(vm.parseJsonUint(_golden(), ".akSecret"), attest);
        any.judgeQuote(registryAddress, account, enrolment.akHash, evidence.quote);
        IQuotePolicy other = IQuotePolicy(_deploy("QuotePolicy", abi.encode(31, none, true, 256, bytes32(0))));
        vm.expectRevert(abi.encodeWithSelector(IQuotePolicy.WrongPcrs.selector, 31, 15));
        other.judgeQuote(registryAddress, account, enrolment.akHash, evidence.quote);
    }

    function test_a_policy_that_makes_no_sense_never_comes_to_life() public {
        IQuotePolicy.AcceptedState[] memory states = new IQuotePolicy.AcceptedState[](1);
        states[0] = IQuotePolicy.AcceptedState({pcrDigest: keccak256("state"), until: 1});
        _expectBadPolicy(0, states, false, 256);
        _expectBadPolicy(15, states, true, 256);
        _expectBadPolicy(15, states, false, 0);
        _expectBadPolicy(15, states, false, 257);
        states[0].until = 0;
        _expectBadPolicy(15, states, false, 256);
        states[0] = IQuotePolicy.AcceptedState({pcrDigest: 0, until: 1});
        _expectBadPolicy(15, states, false, 256);
        IQuotePolicy.AcceptedState[] memory twice = new IQuotePolicy.AcceptedState[](2);
        twice[0] = IQuotePolicy.AcceptedState({pcrDigest: keccak256("state"), until: 1});
        twice[1] = twice[0];
        _expectBadPolicy(15, twice, false, 256);
    }

    /// @dev An address without code answers every call with nothing: that must never read as a valid signature.
    function test_without_the_precompile_nothing_is_deployed_and_nothing_accepted() public {
        (Enrolment memory enrolment, EnrolmentEvidence memory evidence) = _honest();
        vm.mockCall(address(0x100), bytes(""), bytes(""));
        vm.expectRevert(abi.encodeWithSelector(Errors.MissingPrecompile.selector, address(0x100)));
        policy.judgeEnrolment(registryAddress, enrolment, evidence);
        IQuotePolicy.AcceptedState[] memory none = new IQuotePolicy.AcceptedState[](0);
        bytes memory code = _code(15, none, true, 256);
        address deployed;
        assembly ("memory-safe") {
            deployed := create(0, add(code, 32), mload(code))
        }
        assertEq(deployed, address(0));
        vm.clearMockedCalls();
        assertTrue(_judged(enrolment, evidence));
    }

    // ---------------------------------------------------------------- helpers

    function _golden() private view returns (string memory) {
        return vm.readFile("test/golden/tpm-quote.json");
    }

    function _judged(Enrolment memory enrolment, EnrolmentEvidence memory evidence) private view returns (bool) {
        try policy.judgeEnrolment(registryAddress, enrolment, evidence) {
            return true;
        } catch (bytes memory reason) {
            assertTrue(reason.length >= 4 && bytes4(reason) != bytes4(0x4e487b71), "a reason, never a panic");
            return false;
        }
    }

    /// @dev The honest one.
    function _honest() private view returns (Enrolment memory enrolment, EnrolmentEvidence memory evidence) {
        return _at(_cases(), 0);
    }

    /// @dev One column a field: each reading takes the whole file.
    function _cases() private view returns (Columns memory columns) {
        string memory golden = _golden();
        columns.hardwareId = vm.parseJsonBytes32Array(golden, ".cases.hardwareId");
        columns.akHash = vm.parseJsonBytes32Array(golden, ".cases.akHash");
        columns.nodeKeyHash = vm.parseJsonBytes32Array(golden, ".cases.nodeKeyHash");
        columns.akPublic = vm.parseJsonBytesArray(golden, ".cases.akPublic");
        columns.attest = vm.parseJsonBytesArray(golden, ".cases.attest");
        columns.signature = vm.parseJsonBytesArray(golden, ".cases.signature");
        columns.ekPublic = vm.parseJsonBytesArray(golden, ".cases.ekPublic");
        columns.nodeKeyPublic = vm.parseJsonBytesArray(golden, ".cases.nodeKeyPublic");
        columns.certify = vm.parseJsonBytesArray(golden, ".cases.certify");
        columns.certifySignature = vm.parseJsonBytesArray(golden, ".cases.certifySignature");
    }

    function _at(Columns memory columns, uint256 i)
        private
        view
        returns (Enrolment memory enrolment, EnrolmentEvidence memory evidence)
    {
        enrolment.account = account;
        enrolment.hardwareId = columns.hardwareId[i];
        enrolment.akHash = columns.akHash[i];
        enrolment.nodeKeyHash = columns.nodeKeyHash[i];
        evidence.quote = QuoteEvidence({
            akPublic: columns.akPublic[i],
            blockNumber: BLOCK,
            attest: columns.attest[i],
            signature: columns.signature[i]
        });
        evidence.ekPublic = columns.ekPublic[i];
        evidence.nodeKeyPublic = columns.nodeKeyPublic[i];
        evidence.certify = columns.certify[i];
        evidence.certifySignature = columns.certifySignature[i];
    }

    function _flip(bytes memory data, uint256 bit) private pure {
        data[bit / 8] ^= bytes1(uint8(1 << (bit % 8)));
    }

    function _bit(bytes memory map, uint256 bit) private pure returns (bool) {
        return uint8(map[bit / 8]) >> (bit % 8) & 1 == 1;
    }

    function _code(uint32 pcrs, IQuotePolicy.AcceptedState[] memory states, bool any, uint64 age)
        private
        view
        returns (bytes memory)
    {
        return bytes.concat(vm.getCode(_artefact("QuotePolicy")), abi.encode(pcrs, states, any, age, bytes32(0)));
    }

    function _expectBadPolicy(uint32 pcrs, IQuotePolicy.AcceptedState[] memory states, bool any, uint64 age) private {
        bytes memory code = _code(pcrs, states, any, age);
        vm.expectRevert(IQuotePolicy.BadQuotePolicy.selector);
        this.create(code);
    }

    /// @dev A call of its own, so that a constructor's reason is seen.
    function create(bytes memory code) external {
        assembly ("memory-safe") {
            if iszero(create(0, add(code, 32), mload(code))) {
                let size := returndatasize()
                returndatacopy(0x80, 0, size)
                revert(0x80, size)
            }
        }
    }
}
