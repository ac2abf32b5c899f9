//! Places of samples: bits that are none, numbers above the order, nodes at other positions of the inventory.

use super::*;
use crate::{poseidon2, tree};
use ark_ff::{AdditiveGroup, BigInt, Zero};

/// The rows that break when the bits of the first lane are those of `number`, and its runs what follows from them. The
/// sum of the bits, and what is computed from them, is left aside.
fn bounds_broken_by(number: &BigInt<4>) -> Vec<(usize, Rule)> {
    let first = |wire| variable(wire, 0);
    let (bits, mut run_at) = (first(Wire::SeedBit), first(Wire::Run));
    let mut forced: Vec<(usize, Fr)> = (0..FIELD_BITS)
        .map(|k| (bits + k, Fr::from(field::bit(number, k))))
        .collect();
    let top = (-Fr::ONE).into_bigint();
    let ones: Vec<usize> = (0..FIELD_BITS)
        .rev()
        .filter(|k| field::bit(&top, *k))
        .collect();
    let mut run = field::bit(number, ones[0]);
    for k in &ones[1..] {
        run &= field::bit(number, *k);
        forced.push((run_at, Fr::from(run)));
        run_at += 1;
    }
    let lane = bits..run_at;
    let assignment = attack_honest(&forced);
    let uses_lane = |row: usize| {
        let terms = CIRCUIT.matrices().iter().flat_map(|matrix| &matrix[row]);
        terms.clone().all(|(_, i)| *i == 0 || lane.contains(i)) && terms.count() > 0
    };
    let broken = CIRCUIT.violations(&assignment).into_iter();
    broken
        .filter(|broken| uses_lane(broken.row))
        .map(|broken| (broken.row, broken.rule))
        .collect()
}

#[test]
fn every_number_above_the_order_breaks_the_bound_of_the_bit_where_it_passes_it() {
    let top = (-Fr::ONE).into_bigint();
    assert_eq!(bounds_broken_by(&top), [], "r - 1 is below r");
    let zeros: Vec<usize> = (0..FIELD_BITS - 1)
        .filter(|k| !field::bit(&top, *k))
        .collect();
    let mut rows = BTreeSet::new();
    for k in zeros.iter().copied() {
        // r - 1 above bit k, a one where r - 1 has none, zeros below.
        let mut number = top;
        for below in 0..k {
            number.0[below / 64] &= !(1 << (below % 64));
        }
        number.0[k / 64] |= 1 << (k % 64);
        let broken = bounds_broken_by(&number);
        assert!(
            matches!(broken[..], [(_, Rule::BelowOrder)]),
            "bit {k}: {broken:?}"
        );
        assert!(rows.insert(broken[0].0), "bit {k} has a row of its own");
    }
    assert_eq!(rows.len(), zeros.len());
}

/// Under free shard bits s0 = d - 2 s1, the sum and so the product stay as they are, and what is chosen among eight
/// children is a quadratic polynomial in s1. Solving it makes any node the chosen child: total forgery, but for two bits
/// that are none.
#[test]
fn shard_bits_that_are_no_bits_would_choose_any_root_and_break_their_booleanity() {
    let honest = honest();
    let bits = [0, 1, 2].map(|k| variable(Wire::ShardBit, k));
    let bit = |k: usize| honest.values()[bits[k]];
    let digit = bit(0) + bit(1).double();
    let children: [Fr; 8] =
        std::array::from_fn(|k| honest.values()[variable(Wire::Child, 8 * SHARD_LEVELS + k)]);
    let half = if bit(2) == Fr::ONE {
        &children[4..]
    } else {
        &children[..4]
    };
    let chosen = |s1: Fr| {
        let s0 = digit - s1.double();
        let low = half[0] + (half[1] - half[0]) * s0;
        let high = half[2] + (half[3] - half[2]) * s0;
        low + (high - low) * s1
    };
    // chosen(x) = a x² + b x + c.
    let (c, at_one, at_minus_one) = (chosen(Fr::ZERO), chosen(Fr::ONE), chosen(-Fr::ONE));
    let two = Fr::from(2u64).inverse().unwrap();
    let (a, b) = (
        (at_one + at_minus_one) * two - c,
        (at_one - at_minus_one) * two,
    );
    assert!(!a.is_zero(), "shards differ");
    let forgery = (1u64..).find_map(|n| {
        // A shard that nobody stores, of any contents.
        let mut private = FIXTURE.private.clone();
        private.samples[0].cell[3] += Fr::from(n);
        let mut node = poseidon2::compress_16(&private.samples[0].cell);
        let cell =
            sampling::select(FIXTURE.public.seed, FIXTURE.public.shard_count, &PROFILE)[0].cell;
        node = tree::fold(node, u64::from(cell), &private.samples[0].shard_path);
        let discriminant = b.square() - a.double().double() * (c - node);
        let root = discriminant.sqrt()?;
        Some((private, (root - b) * a.double().inverse().unwrap()))
    });
    let (private, s1) = forgery.unwrap();
    // The children of the inventory's node are the honest ones.
    let own = (0..8).map(|k| (variable(Wire::Child, 8 * SHARD_LEVELS + k), children[k]));
    let forced: Vec<_> = own
        .chain([(bits[0], digit - s1.double()), (bits[1], s1)])
        .collect();
    assert_eq!(
        broken(&attack(&FIXTURE.public, &private, &forced)),
        only(Rule::Boolean)
    );
    assert!(native::check(&PROFILE, &FIXTURE.public, &private).is_err());
}

#[test]
fn a_shard_at_another_position_of_the_inventory_breaks_the_selection() {
    let selected = sampling::select(FIXTURE.public.seed, FIXTURE.public.shard_count, &PROFILE);
    let held = FIXTURE.public.shard_count;
    for step in 1..held {
        let mut samples = selected.clone();
        samples[0].shard = (selected[0].shard + step) % held;
        let private = FIXTURE.witness(&samples);
        let opened = FIXTURE.open(samples[0]);
        let leaf = FIXTURE.inventory.get(samples[0].shard).unwrap().as_field();
        let position = samples[0].shard as usize;
        let children = tree::children(leaf, &opened.inventory_path[0], position);
        let forced: Vec<_> = (0..8)
            .map(|k| (variable(Wire::Child, 8 * SHARD_LEVELS + k), children[k]))
            .collect();
        assert_eq!(
            broken(&attack(&FIXTURE.public, &private, &forced)),
            only(Rule::Select)
        );
        assert!(native::check(&PROFILE, &FIXTURE.public, &private).is_err());
    }
}

#[test]
fn a_wrong_step_of_a_selection_at_an_inventory_level_breaks_it() {
    let steps = 6;
    for nth in 0..steps {
        let at = variable(Wire::Chosen, steps * SHARD_LEVELS + nth);
        let value = honest().values()[at] + Fr::ONE;
        assert_eq!(broken(&attack_honest(&[(at, value)])), only(Rule::Select));
    }
}
