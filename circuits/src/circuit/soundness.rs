//! What each constraint is there for: an attacker changes one variable, everything after it follows honestly from the
//! change, and exactly the constraints of one rule stand in the way.

#![allow(clippy::unwrap_used, clippy::cast_possible_truncation)]

mod counts;
mod every_variable;
mod places;

use super::{
    Assignment, Circuit, INSTANCE_VARIABLES, Rule, Wire, assign::assign, bits::FIELD_BITS,
};
use crate::{
    field::{self, Fr},
    fixture::Fixture,
    native::{self, Violation},
    profile::Profile,
    sampling::{self, Sample},
    statement::{Private, Public},
    storage::SHARD_LEVELS,
};
use ark_ff::{BigInteger, Field, PrimeField};
use rayon::prelude::*;
use std::{
    collections::{BTreeSet, HashMap},
    sync::LazyLock,
};

const PROFILE: Profile = Profile::new("tiny", 1, 2);
const DEPTH: usize = 1;
const SAMPLES: usize = 2;

static CIRCUIT: LazyLock<Circuit> = LazyLock::new(|| Circuit::new(&PROFILE));
static FIXTURE: LazyLock<Fixture> = LazyLock::new(|| Fixture::new(&PROFILE, 5));

/// The `nth` variable that holds a `wire`.
fn variable(wire: Wire, nth: usize) -> usize {
    let mut places = CIRCUIT
        .wires()
        .iter()
        .enumerate()
        .filter(|(_, w)| **w == wire);
    INSTANCE_VARIABLES + places.nth(nth).unwrap().0
}

/// Forces variables to values; the rest is derived as the prover's code derives it.
fn attack(public: &Public, private: &Private, forced: &[(usize, Fr)]) -> Assignment {
    let forced: HashMap<usize, Fr> = forced.iter().copied().collect();
    assign(&PROFILE, public, private, &forced)
}

fn attack_honest(forced: &[(usize, Fr)]) -> Assignment {
    attack(&FIXTURE.public, &FIXTURE.private, forced)
}

/// The rules that an assignment breaks.
fn broken(assignment: &Assignment) -> BTreeSet<Rule> {
    CIRCUIT
        .violations(assignment)
        .into_iter()
        .map(|broken| broken.rule)
        .collect()
}

fn honest() -> Assignment {
    CIRCUIT
        .assignment(&FIXTURE.public, &FIXTURE.private)
        .unwrap()
}

fn only(rule: Rule) -> BTreeSet<Rule> {
    BTreeSet::from([rule])
}

/// What remains after the attacker also gives up on the inventory root, which any wrong hash misses.
fn besides_root(assignment: &Assignment) -> BTreeSet<Rule> {
    let mut rules = broken(assignment);
    rules.remove(&Rule::Root);
    rules
}

/// The variables of the last level of the last sample, where a change reaches nothing but the root.
fn last(wire: Wire) -> usize {
    let count = CIRCUIT.wires().iter().filter(|w| **w == wire).count();
    variable(wire, count - 1)
}

#[test]
fn the_honest_assignment_breaks_nothing_and_its_twin_agrees() {
    assert_eq!(broken(&honest()), BTreeSet::new());
    assert_eq!(
        native::check(&PROFILE, &FIXTURE.public, &FIXTURE.private),
        Ok(())
    );
}

#[test]
fn a_wrong_square_in_an_sbox_breaks_its_square() {
    let at = last(Wire::SboxSquare);
    let value = honest().values()[at] + Fr::ONE;
    assert_eq!(
        besides_root(&attack_honest(&[(at, value)])),
        only(Rule::SboxSquare)
    );
}

#[test]
fn a_wrong_fourth_power_in_an_sbox_breaks_its_fourth_power() {
    let at = last(Wire::SboxFourth);
    let value = honest().values()[at] + Fr::ONE;
    assert_eq!(
        besides_root(&attack_honest(&[(at, value)])),
        only(Rule::SboxFourth)
    );
}

#[test]
fn a_wrong_output_of_an_sbox_breaks_its_fifth_power() {
    for wire in [Wire::SboxOutput, Wire::SboxInput] {
        let at = last(wire);
        let value = honest().values()[at] + Fr::ONE;
        assert_eq!(
            besides_root(&attack_honest(&[(at, value)])),
            only(Rule::SboxFifth)
        );
    }
}

#[test]
fn a_free_output_of_the_last_sbox_would_reach_any_root_and_is_refused() {
    // A cell that is not stored, whose last hash is bent so that it hits the inventory root after all.
    let mut private = FIXTURE.private.clone();
    private.samples[SAMPLES - 1].cell[0] += Fr::ONE;
    let refused = native::check(&PROFILE, &FIXTURE.public, &private);
    assert!(matches!(
        refused,
        Err(Violation::NotInInventory { sample: 1, .. })
    ));

    let at = last(Wire::SboxOutput);
    let wrong = attack(&FIXTURE.public, &private, &[]);
    assert_eq!(broken(&wrong), only(Rule::Root));
    let root_after = |value: Fr| {
        let bent = attack(&FIXTURE.public, &private, &[(at, value)]);
        let row = CIRCUIT
            .rules()
            .iter()
            .rposition(|rule| *rule == Rule::Root)
            .unwrap();
        let terms = CIRCUIT.matrices()[0][row].iter();
        terms.map(|(k, i)| *k * bent.values()[*i]).sum::<Fr>()
    };
    // The root is an affine function of that output.
    let (at_zero, at_one) = (root_after(Fr::from(0u64)), root_after(Fr::ONE));
    let slope = (at_one - at_zero).inverse().unwrap();
    let value = (FIXTURE.public.inventory_root - at_zero) * slope;
    let bent = attack(&FIXTURE.public, &private, &[(at, value)]);
    assert_eq!(
        broken(&bent),
        only(Rule::SboxFifth),
        "the root itself now fits"
    );
}

#[test]
fn a_rest_bit_that_is_no_bit_breaks_its_booleanity() {
    // rest = Σ 2^k b_k stays the same: take 2 from bit 0 and give 1 to bit 1.
    let bits = [variable(Wire::RestBit, 0), variable(Wire::RestBit, 1)];
    let honest = honest();
    let (low, high) = (honest.values()[bits[0]], honest.values()[bits[1]]);
    let forced = [(bits[0], low - Fr::from(2u64)), (bits[1], high + Fr::ONE)];
    assert_eq!(broken(&attack_honest(&forced)), only(Rule::Boolean));
}

#[test]
fn moving_weight_between_shard_and_rest_breaks_a_booleanity() {
    // shard + 1, rest - 2^40: another shard under the same product, if the top bit of rest could be negative.
    let selected = sampling::select(FIXTURE.public.seed, FIXTURE.public.shard_count, &PROFILE);
    let held = |sample: &Sample| sample.shard ^ 1 < FIXTURE.public.shard_count;
    let at = selected.iter().position(held).unwrap();
    let shard = variable(Wire::ShardBit, 3 * DEPTH * at);
    let rest = variable(Wire::RestBit, sampling::SHARD_BITS * (at + 1) - 1);
    let honest = honest();
    let (old_shard, old_rest) = (honest.values()[shard], honest.values()[rest]);
    let sign = if old_shard == Fr::ONE {
        -Fr::ONE
    } else {
        Fr::ONE
    };
    let mut samples = selected;
    samples[at].shard ^= 1;
    let private = FIXTURE.witness(&samples);
    let forced = [
        (shard, old_shard + sign),
        (rest, old_rest - sign * Fr::from(2u64)),
    ];
    let moved = attack(&FIXTURE.public, &private, &forced);
    assert_eq!(
        broken(&moved),
        only(Rule::Boolean),
        "everything but the bit itself fits"
    );
    let twin = native::check(&PROFILE, &FIXTURE.public, &private);
    assert!(matches!(
        twin,
        Err(Violation::NotInInventory { sample, .. }) if sample == at
    ));
}

#[test]
fn another_shard_than_the_seed_selects_breaks_the_product() {
    let selected = sampling::select(FIXTURE.public.seed, FIXTURE.public.shard_count, &PROFILE);
    let mut samples = selected.clone();
    samples[0].shard = (selected[0].shard + 1) % FIXTURE.public.shard_count;
    let private = FIXTURE.witness(&samples);
    let forced: Vec<_> = (0..3 * DEPTH)
        .map(|k| {
            (
                variable(Wire::ShardBit, k),
                Fr::from(samples[0].shard >> k & 1),
            )
        })
        .collect();
    assert_eq!(
        broken(&attack(&FIXTURE.public, &private, &forced)),
        only(Rule::Product)
    );
    let twin = native::check(&PROFILE, &FIXTURE.public, &private);
    assert!(matches!(
        twin,
        Err(Violation::NotInInventory { sample: 0, .. })
    ));
}

#[test]
fn another_cell_than_the_seed_selects_breaks_the_sum_of_the_seeds_bits() {
    let selected = sampling::select(FIXTURE.public.seed, FIXTURE.public.shard_count, &PROFILE);
    let mut samples = selected.clone();
    samples[0].cell ^= 1;
    let private = FIXTURE.witness(&samples);
    let at = variable(Wire::SeedBit, sampling::SHARD_BITS);
    let flipped = Fr::ONE - honest().values()[at];
    assert_eq!(
        broken(&attack(&FIXTURE.public, &private, &[(at, flipped)])),
        only(Rule::Recompose)
    );
    let twin = native::check(&PROFILE, &FIXTURE.public, &private);
    assert!(matches!(
        twin,
        Err(Violation::NotInInventory { sample: 0, .. })
    ));
}

/// A seed whose first lane y is small enough that y + r still has 254 bits; the cells that y + r selects, opened
/// truthfully; and its bits.
fn second_representation() -> (Public, Private, Vec<(usize, Fr)>) {
    let (seed, number) = (0u64..)
        .find_map(|seed| {
            let seed = Fr::from(seed);
            let mut number = sampling::lanes(seed, 0)[0].into_bigint();
            assert!(!number.add_with_carry(&Fr::MODULUS));
            (number.num_bits() as usize <= FIELD_BITS).then_some((seed, number))
        })
        .unwrap();
    let public = Public {
        seed,
        ..FIXTURE.public
    };
    let bit = |k: usize| field::bit(&number, k);
    let slice = |from: usize, width: usize| -> u64 {
        (0..width).map(|k| u64::from(bit(from + k)) << k).sum()
    };
    let samples: Vec<_> = (0..SAMPLES)
        .map(|t| {
            let at = sampling::SAMPLE_BITS * t;
            let product = u128::from(slice(at, 40)) * u128::from(public.shard_count);
            Sample {
                shard: (product >> 40) as u64,
                cell: slice(at + 40, 12) as u16,
            }
        })
        .collect();
    assert_ne!(
        samples,
        sampling::select(seed, public.shard_count, &PROFILE)
    );
    let bits = (0..FIELD_BITS)
        .map(|k| (variable(Wire::SeedBit, k), Fr::from(bit(k))))
        .collect();
    (public, FIXTURE.witness(&samples), bits)
}

#[test]
fn the_second_representation_of_a_lane_breaks_the_bound_below_the_order() {
    let (public, private, bits) = second_representation();
    assert_eq!(
        broken(&attack(&public, &private, &bits)),
        only(Rule::BelowOrder)
    );
    let twin = native::check(&PROFILE, &public, &private);
    assert!(matches!(twin, Err(Violation::NotInInventory { .. })));
}

#[test]
fn denying_that_a_run_continues_breaks_the_run() {
    // The same attack, with the last run that holds set to 0, so that no lower bit seems bounded.
    let (public, private, bits) = second_representation();
    let runs = CIRCUIT
        .wires()
        .iter()
        .filter(|wire| **wire == Wire::Run)
        .count();
    let attacks = (0..runs).map(|k| {
        let mut forced = bits.clone();
        forced.push((variable(Wire::Run, k), Fr::from(0u64)));
        broken(&attack(&public, &private, &forced))
    });
    let results: Vec<_> = attacks.collect();
    assert!(results.contains(&only(Rule::Run)), "{results:?}");
    assert!(results.iter().all(|rules| !rules.is_empty()));
    assert!(native::check(&PROFILE, &public, &private).is_err());
}

#[test]
fn a_seed_bit_that_is_no_bit_breaks_a_booleanity() {
    // 2^k b_k + 2^(k+1) b_(k+1) unchanged, on every pair of neighbours: whichever rule bounds the bit must refuse.
    let honest = honest();
    let results: Vec<_> = (0..FIELD_BITS - 1)
        .into_par_iter()
        .map(|k| {
            let bits = [variable(Wire::SeedBit, k), variable(Wire::SeedBit, k + 1)];
            let (low, high) = (honest.values()[bits[0]], honest.values()[bits[1]]);
            let forced = [(bits[0], low - Fr::from(2u64)), (bits[1], high + Fr::ONE)];
            (k, broken(&attack_honest(&forced)))
        })
        .collect();
    for (k, rules) in results {
        assert!(
            rules.contains(&Rule::Boolean) || rules.contains(&Rule::BelowOrder),
            "bit {k}: {rules:?}"
        );
        assert!(!rules.contains(&Rule::Recompose), "bit {k}: {rules:?}");
    }
}

#[test]
fn a_node_that_is_not_the_selected_child_breaks_the_selection() {
    // Hash a cell that is not stored, and go on from the stored one's siblings and digest: all children are honest.
    let mut private = FIXTURE.private.clone();
    private.samples[0].cell[5] += Fr::ONE;
    let honest = honest();
    let forced: Vec<_> = (0..8)
        .map(|k| variable(Wire::Child, k))
        .map(|at| (at, honest.values()[at]))
        .collect();
    assert_eq!(
        broken(&attack(&FIXTURE.public, &private, &forced)),
        only(Rule::Select)
    );
    let twin = native::check(&PROFILE, &FIXTURE.public, &private);
    assert!(matches!(
        twin,
        Err(Violation::NotInInventory { sample: 0, .. })
    ));
}

#[test]
fn the_node_at_another_position_breaks_the_selection() {
    // A stored cell of the same shard, opened on its own path although another one was selected.
    let selected = sampling::select(FIXTURE.public.seed, FIXTURE.public.shard_count, &PROFILE);
    for level in 0..SHARD_LEVELS {
        let mut samples = selected.clone();
        samples[0].cell ^= 0b111 << (3 * level);
        let private = FIXTURE.witness(&samples);
        let opened = FIXTURE.open(samples[0]);
        let mut forced = Vec::new();
        // The children as they are in the tree, with the opened cell at its true place.
        let mut node = crate::poseidon2::compress_16(&opened.cell);
        for (above, siblings) in opened.shard_path.iter().enumerate() {
            let position = usize::from(samples[0].cell >> (3 * above)) & 7;
            let children = crate::tree::children(node, siblings, position);
            let first = 8 * above;
            forced.extend((0..8).map(|k| (variable(Wire::Child, first + k), children[k])));
            node = crate::poseidon2::compress_8(&children);
        }
        assert_eq!(
            broken(&attack(&FIXTURE.public, &private, &forced)),
            only(Rule::Select)
        );
        let twin = native::check(&PROFILE, &FIXTURE.public, &private);
        assert!(matches!(
            twin,
            Err(Violation::NotInInventory { sample: 0, .. })
        ));
    }
}

#[test]
fn a_wrong_step_of_a_selection_breaks_it() {
    for nth in 0..6 {
        let at = variable(Wire::Chosen, nth);
        let value = honest().values()[at] + Fr::ONE;
        let rules = broken(&attack_honest(&[(at, value)]));
        assert_eq!(rules, only(Rule::Select));
    }
}

#[test]
fn a_cell_or_a_sibling_of_another_tree_breaks_the_root() {
    let mut cell = FIXTURE.private.clone();
    cell.samples[0].cell[15] += Fr::ONE;
    let mut shard_path = FIXTURE.private.clone();
    shard_path.samples[1].shard_path[3][6] += Fr::ONE;
    let mut inventory_path = FIXTURE.private.clone();
    inventory_path.samples[0].inventory_path[0][2] += Fr::ONE;
    for private in [cell, shard_path, inventory_path] {
        assert_eq!(
            broken(&attack(&FIXTURE.public, &private, &[])),
            only(Rule::Root)
        );
        let twin = native::check(&PROFILE, &FIXTURE.public, &private);
        assert!(matches!(twin, Err(Violation::NotInInventory { .. })));
    }
}

#[test]
fn another_inventory_seed_or_count_breaks_the_root() {
    let public = FIXTURE.public;
    let others = [
        Public {
            inventory_root: public.inventory_root + Fr::ONE,
            ..public
        },
        Public {
            seed: public.seed + Fr::ONE,
            ..public
        },
        Public {
            shard_count: public.shard_count - 3,
            ..public
        },
    ];
    for other in others {
        assert_eq!(
            broken(&attack(&other, &FIXTURE.private, &[])),
            only(Rule::Root)
        );
        assert!(native::check(&PROFILE, &other, &FIXTURE.private).is_err());
    }
}

#[test]
fn every_rule_is_used_by_the_circuit() {
    let used: BTreeSet<_> = CIRCUIT.rules().iter().copied().collect();
    let all = BTreeSet::from([
        Rule::SboxSquare,
        Rule::SboxFourth,
        Rule::SboxFifth,
        Rule::Boolean,
        Rule::BelowOrder,
        Rule::Run,
        Rule::Recompose,
        Rule::Count,
        Rule::Product,
        Rule::Select,
        Rule::Root,
    ]);
    assert_eq!(used, all);
}
