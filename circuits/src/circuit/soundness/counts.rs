//! Shard counts: what the circuit itself says of them, without the checks around it.

use super::*;
use crate::{Private, field};

/// A true witness under a count, for a seed that selects only shards that are held.
fn selected_under(count: u64) -> (Public, Private) {
    let held = FIXTURE.public.shard_count;
    let seed = (0u64..)
        .map(Fr::from)
        .find(|seed| {
            let samples = sampling::select(*seed, count.max(1), &PROFILE);
            samples.iter().all(|sample| sample.shard < held)
        })
        .unwrap();
    let public = Public {
        seed,
        shard_count: count,
        ..FIXTURE.public
    };
    let samples = sampling::select(seed, count.max(1), &PROFILE);
    (public, FIXTURE.witness(&samples))
}

fn count_bit(k: usize) -> usize {
    variable(Wire::CountBit, k)
}

#[test]
fn a_count_of_zero_breaks_the_count() {
    // Every product is 0, so that shard 0 would do for all samples.
    let (public, private) = selected_under(0);
    let assignment = attack(&public, &private, &[]);
    assert_eq!(broken(&assignment), only(Rule::Count));
    assert_eq!(
        native::check(&PROFILE, &public, &private),
        Err(Violation::CountZero)
    );
}

#[test]
fn a_count_above_capacity_breaks_the_count() {
    let (public, private) = selected_under(9);
    let assignment = attack(&public, &private, &[]);
    assert_eq!(broken(&assignment), only(Rule::Count));
    assert_eq!(
        native::check(&PROFILE, &public, &private),
        Err(Violation::CountAboveCapacity {
            count: 9,
            capacity: 8
        })
    );
}

#[test]
fn a_count_bit_that_is_no_bit_breaks_its_booleanity() {
    // 9 - 1 = 2 · 4.
    let (public, private) = selected_under(9);
    let assignment = attack(&public, &private, &[(count_bit(2), Fr::from(2u64))]);
    assert_eq!(broken(&assignment), only(Rule::Boolean));
    // 0 - 1 = -1 · 1.
    let (public, private) = selected_under(0);
    let none = (1..3).map(|k| (count_bit(k), Fr::from(0u64)));
    let forced: Vec<_> = none.chain([(count_bit(0), -Fr::ONE)]).collect();
    let assignment = attack(&public, &private, &forced);
    assert_eq!(broken(&assignment), only(Rule::Boolean));
}

#[test]
fn one_shard_all_but_one_and_a_full_inventory_satisfy_both_twins() {
    for (depth, counts) in [(1, [1, 7, 8]), (2, [1, 63, 64])] {
        let profile = Profile::new("counts", depth, 5);
        let circuit = Circuit::new(&profile);
        for count in counts {
            let Fixture {
                public, private, ..
            } = Fixture::new(&profile, count);
            let assignment = circuit.assignment(&public, &private).unwrap();
            assert_eq!(circuit.violations(&assignment), [], "{count} of 8^{depth}");
            assert_eq!(native::check(&profile, &public, &private), Ok(()));
        }
    }
}

#[test]
fn the_last_shard_of_a_full_inventory_is_selected_and_proven() {
    let full = Fixture::new(&PROFILE, 8);
    let seed = (0u64..)
        .map(Fr::from)
        .find(|seed| sampling::select(*seed, 8, &PROFILE)[0].shard == 7)
        .unwrap();
    let public = Public {
        seed,
        ..full.public
    };
    let private = full.witness(&sampling::select(seed, 8, &PROFILE));
    assert_eq!(broken(&attack(&public, &private, &[])), BTreeSet::new());
    let bits: Vec<_> = (0..3)
        .map(|k| attack(&public, &private, &[]).values()[variable(Wire::ShardBit, k)])
        .collect();
    assert_eq!(bits, [Fr::ONE; 3]);
    // Without it, the same witness is of another inventory.
    let mut without = full.inventory;
    without.remove(7).unwrap();
    let public = Public {
        inventory_root: without.root(),
        ..public
    };
    assert_eq!(broken(&attack(&public, &private, &[])), only(Rule::Root));
    assert!(native::check(&PROFILE, &public, &private).is_err());
    assert_ne!(field::to_be_bytes(&without.root()), [0; 32]);
}
