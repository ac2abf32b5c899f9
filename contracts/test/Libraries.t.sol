// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

import {Test} from "forge-std/Test.sol";

import {IHub} from "../src/interfaces/IHub.sol";
import {EpochBits} from "../src/libraries/EpochBits.sol";
import {EpochSums} from "../src/libraries/EpochSums.sol";
import {Ladder} from "../src/libraries/Ladder.sol";
import {Score} from "../src/libraries/Score.sol";
import {Reasons} from "../src/Reasons.sol";

contract EpochBitsTest is Test {
    using EpochBits for mapping(uint256 index => EpochBits.Word);

    mapping(uint256 index => EpochBits.Word) private words;
    /// @dev The plain twin: 0 nothing, 1 paid, 2 failed, 3 held.
    uint8[] private twin;

    function testFuzz_popcount_counts_bits(uint256 x) public pure {
        uint256 expected;
        for (uint256 rest = x; rest != 0; rest &= rest - 1) {
            ++expected;
        }
        assertEq(EpochBits.popcount(x), expected);
    }

    function test_popcount_of_the_extremes() public pure {
        assertEq(EpochBits.popcount(0), 0);
        assertEq(EpochBits.popcount(type(uint256).max), 256);
    }

    /// @dev Epochs end in random ways over several words; held ones are resolved at random moments.
    function testFuzz_counts_equal_those_of_a_plain_array(uint256 seed, uint16 start, uint16 length) public {
        uint256 first = bound(start, 0, 600);
        uint256 last = first + bound(length, 1, 700);
        for (uint256 i; i < first; ++i) {
            twin.push(0);
        }
        uint256 heldFrom = type(uint256).max;
        for (uint256 epoch = first; epoch <= last; ++epoch) {
            words.enter(epoch);
            uint8 kind = uint8(uint256(keccak256(abi.encode(seed, epoch))) % 16);
            twin.push(kind < 4 ? kind : 3);
            if (kind == 1) words.pay(epoch);
            else if (kind == 2) words.fail(epoch);
            else if (kind == 0) continue;
            else words.hold(epoch);
            if (kind >= 3 && heldFrom == type(uint256).max) heldFrom = epoch;
            bool resolves = uint256(keccak256(abi.encode(seed, epoch, "resolve"))) % 97 == 0;
            if (resolves && heldFrom != type(uint256).max) {
                _resolve(heldFrom, epoch, seed % 2 == 0);
                heldFrom = type(uint256).max;
            }
        }
        if (heldFrom != type(uint256).max) _resolve(heldFrom, last, true);
        for (uint256 i; i < 20; ++i) {
            uint256 a = uint256(keccak256(abi.encode(seed, i, "a"))) % (last + 1);
            uint256 b = uint256(keccak256(abi.encode(seed, i, "b"))) % (last + 1);
            _compare(a, b);
        }
        _compare(0, last);
        _compare(first, last);
    }

    function _resolve(uint256 from, uint256 to, bool paid) private {
        uint256 expected;
        for (uint256 i = from; i <= to; ++i) {
            if (twin[i] == 3) {
                ++expected;
                twin[i] = paid ? 1 : 0;
            }
        }
        assertEq(words.resolve(from, to, paid), expected);
    }

    function _compare(uint256 from, uint256 to) private view {
        uint256 paid;
        uint256 failed;
        for (uint256 i = from; i <= to; ++i) {
            if (twin[i] == 1) ++paid;
            if (twin[i] == 2) ++failed;
        }
        (uint256 actualPaid, uint256 actualFailed) = words.count(from, to);
        assertEq(actualPaid, paid, "paid");
        assertEq(actualFailed, failed, "failed");
    }
}

contract EpochSumsTest is Test {
    using EpochSums for EpochSums.Sums;

    EpochSums.Sums private sums;

    function testFuzz_values_equal_those_of_a_plain_sum(uint64[8] memory epochs, int128[8] memory changes, uint64 asked)
        public
    {
        asked = uint64(bound(asked, 0, EpochSums.LIMIT - 1));
        int256 expected;
        for (uint256 i; i < 8; ++i) {
            // Half of the changes lie near the epoch asked for, where siblings meet.
            epochs[i] = i % 2 == 0
                ? uint64(bound(epochs[i], 0, EpochSums.LIMIT - 1))
                : uint64(bound(epochs[i], asked < 70 ? 0 : asked - 70, asked));
            sums.add(epochs[i], changes[i]);
            if (epochs[i] <= asked) expected += changes[i];
        }
        assertEq(sums.valueAt(asked), expected);
    }

    function test_the_first_and_the_last_epoch_fit() public {
        sums.add(0, 3);
        sums.add(EpochSums.LIMIT - 1, 4);
        assertEq(sums.valueAt(0), 3);
        assertEq(sums.valueAt(EpochSums.LIMIT - 2), 3);
        assertEq(sums.valueAt(EpochSums.LIMIT - 1), 7);
        assertEq(sums.valueAt(type(uint64).max), 7);
    }

    function test_an_epoch_past_the_tree_is_refused() public {
        vm.expectRevert(abi.encodeWithSelector(EpochSums.EpochOutOfRange.selector, EpochSums.LIMIT, EpochSums.LIMIT));
        this.addPast();
    }

    function addPast() external {
        sums.add(EpochSums.LIMIT, 1);
    }
}

contract LadderTest is Test {
    function test_the_steps_are_one_two_four_eight_and_then_ten_percent() public pure {
        uint256 window;
        uint256[6] memory expected = [uint256(100), 200, 400, 800, 1000, 1000];
        for (uint256 i; i < 6; ++i) {
            window = Ladder.shift(window, true);
            assertEq(Ladder.bps(window), expected[i]);
        }
        assertEq(Ladder.bps(type(uint256).max), 1000);
        assertEq(Ladder.bps(0), 0);
    }

    function test_a_miss_is_forgotten_after_256_judged_epochs() public pure {
        uint256 window = Ladder.shift(0, true);
        for (uint256 i; i < 255; ++i) {
            window = Ladder.shift(window, false);
        }
        assertEq(Ladder.bps(window), 100, "still the 256th last");
        assertEq(Ladder.bps(Ladder.shift(window, true)), 100, "alone again");
    }

    function testFuzz_no_step_costs_more_than_ten_percent(uint256 window) public pure {
        assertLe(Ladder.bps(window), 1000);
        assertGe(Ladder.bps(window | 1), 100);
    }
}

contract ScoreTest is Test {
    function test_a_new_node_scores_half() public pure {
        IHub.Reputation memory reputation = Score.initial();
        assertEq(Score.bps(reputation.storageAlpha, reputation.storageBeta), 5000);
        assertEq(Score.bps(reputation.availabilityAlpha, reputation.availabilityBeta), 5000);
    }

    function test_one_pass_and_one_fail_to_the_unit() public pure {
        (uint64 alpha, uint64 beta) = Score.step(5e6, 5e6, Score.PASS);
        assertEq(alpha, 5_995_000);
        assertEq(beta, 4_995_000);
        assertEq(Score.bps(alpha, beta), 5454);
        (alpha, beta) = Score.step(alpha, beta, Score.FAIL);
        assertEq(alpha, 5_989_005);
        assertEq(beta, 5_990_005);
        (alpha, beta) = Score.step(alpha, beta, Score.NONE);
        assertEq(alpha, 5_989_005);
        assertEq(beta, 5_990_005);
    }

    function test_storage_and_availability_move_apart() public pure {
        IHub.Reputation memory reputation = Score.initial();
        Score.judge(reputation, Score.PASS, Score.FAIL);
        assertEq(reputation.storageAlpha, 5_995_000);
        assertEq(reputation.storageBeta, 4_995_000);
        assertEq(reputation.availabilityAlpha, 4_995_000);
        assertEq(reputation.availabilityBeta, 5_995_000);
        assertEq(reputation.judgedEpochs, 1);
    }

    function testFuzz_weights_stay_within_their_bounds(uint64 alpha, uint64 beta, uint8 effect) public pure {
        alpha = uint64(bound(alpha, Score.STEP, Score.MAXIMUM));
        beta = uint64(bound(beta, 0, Score.MAXIMUM));
        (uint64 nextAlpha, uint64 nextBeta) = Score.step(alpha, beta, effect % 3);
        assertLe(nextAlpha, Score.MAXIMUM);
        assertLe(nextBeta, Score.MAXIMUM);
        assertGt(uint256(nextAlpha) + nextBeta, 0);
        assertLe(Score.bps(nextAlpha, nextBeta), 10_000);
    }

    function testFuzz_a_pass_never_lowers_and_a_fail_never_raises_the_score(uint64 alpha, uint64 beta) public pure {
        alpha = uint64(bound(alpha, Score.STEP, Score.MAXIMUM));
        beta = uint64(bound(beta, 0, Score.MAXIMUM));
        uint16 score = Score.bps(alpha, beta);
        (uint64 a, uint64 b) = Score.step(alpha, beta, Score.PASS);
        assertGe(Score.bps(a, b), score);
        (a, b) = Score.step(alpha, beta, Score.FAIL);
        assertLe(Score.bps(a, b), score);
    }

    function test_a_long_good_record_can_be_lost_again() public pure {
        (uint64 alpha, uint64 beta) = (Score.START, Score.START);
        for (uint256 i; i < 20_000; ++i) {
            (alpha, beta) = Score.step(alpha, beta, Score.PASS);
        }
        assertEq(Score.bps(alpha, beta), 10_000);
        uint256 fails;
        for (; Score.bps(alpha, beta) >= 4500; ++fails) {
            (alpha, beta) = Score.step(alpha, beta, Score.FAIL);
        }
        // ln(0.45) / ln(0.999) epochs: about a month of hourly ones.
        assertEq(fails, 799);
    }

    function test_weights_saturate_and_never_overflow() public pure {
        uint64 weight = Score.START;
        for (uint256 i; i < 20_000; ++i) {
            (weight,) = Score.step(weight, Score.START, Score.PASS);
        }
        (uint64 next,) = Score.step(weight, Score.START, Score.PASS);
        assertEq(next, weight, "a fixed point");
        assertLe(weight, Score.MAXIMUM);
        assertGt(weight, Score.MAXIMUM - 1000);
    }
}

contract ReasonsTest is Test {
    function test_only_catalogued_reasons_are_known() public pure {
        for (uint256 code; code < 256; ++code) {
            (bool known,, uint8 bond, uint8 storageRep, uint8 availabilityRep) = Reasons.effect(uint8(code));
            assertEq(known, code <= Reasons.ATTESTATION_FORGED);
            assertLe(bond, Ladder.HALF);
            assertLe(storageRep, Score.FAIL);
            assertLe(availabilityRep, Score.FAIL);
        }
    }

    function test_only_slow_and_pass_pay() public pure {
        for (uint8 code; code <= Reasons.ATTESTATION_FORGED; ++code) {
            (, bool paid,,,) = Reasons.effect(code);
            assertEq(paid, code == Reasons.PASS || code == Reasons.SLOW);
        }
    }

    function test_nobody_who_is_paid_loses_bond() public pure {
        for (uint8 code; code <= Reasons.ATTESTATION_FORGED; ++code) {
            (, bool paid, uint8 bond,,) = Reasons.effect(code);
            if (paid) assertEq(bond, Ladder.NONE);
        }
    }
}
