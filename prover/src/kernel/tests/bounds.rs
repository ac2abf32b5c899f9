//! The range claims for all inputs at once: every word is an interval, and each operation must stay in its range at both
//! ends of it.
//!
//! What intervals of limbs cannot know, a bound on a value, comes in through [`Words::claim_at_most`], where the functions
//! that make lanes state what their documentation proves. What they can know, they must: [`Words::known_at_most`].

use crate::kernel::{
    lanes::{Lanes, Loose},
    modulus::{LIMB_BITS, LIMB_MASK, LIMBS, LaneField, multiple},
    multiply::Product,
    poseidon2,
    quadratic::QuadraticLanes,
    words::{LANES, Words},
};
use crate::msm::curve::Coordinate;
use ark_bn254::{Fq, Fr};

/// All numbers from `min` to `max`, in any lane.
#[derive(Clone, Copy, Debug)]
struct Interval {
    min: u64,
    max: u64,
}

impl Interval {
    /// Adds a number from 0 to `most`.
    fn add_up_to(self, most: u128) -> Self {
        let most = u64::try_from(most).unwrap();
        Self {
            min: self.min,
            max: self.max.checked_add(most).expect("a sum stays below 2^64"),
        }
    }

    /// The greatest product of the low 52 bits of both.
    fn greatest_product(self, other: Self) -> u128 {
        u128::from(self.max.min(LIMB_MASK)) * u128::from(other.max.min(LIMB_MASK))
    }
}

impl Words for Interval {
    type Backend = ();

    fn run<R>((): (), task: impl FnOnce() -> R) -> R {
        task()
    }

    fn backend(self) {}

    fn splat((): (), value: u64) -> Self {
        Self {
            min: value,
            max: value,
        }
    }

    fn load((): (), values: &[u64; LANES]) -> Self {
        let (min, max) = (values.iter().min().unwrap(), values.iter().max().unwrap());
        Self {
            min: *min,
            max: *max,
        }
    }

    fn store(self, _: &mut [u64; LANES]) {
        unreachable!("an interval is not a number")
    }

    fn add(self, other: Self) -> Self {
        Self {
            min: self.min + other.min,
            max: self
                .max
                .checked_add(other.max)
                .expect("a sum stays below 2^64"),
        }
    }

    fn sub(self, other: Self) -> Self {
        Self {
            min: self
                .min
                .checked_sub(other.max)
                .expect("a difference is not negative"),
            max: self.max - other.min,
        }
    }

    fn and(self, other: Self) -> Self {
        if other.min == other.max && (other.max + 1).is_power_of_two() && self.max <= other.max {
            return self;
        }
        Self {
            min: 0,
            max: self.max.min(other.max),
        }
    }

    fn or(self, other: Self) -> Self {
        let bits = (self.max | other.max)
            .checked_ilog2()
            .map_or(0, |bit| bit + 1);
        Self {
            min: 0,
            max: u64::MAX >> (64 - bits.max(1)),
        }
    }

    fn shl(self, bits: u32) -> Self {
        assert!(
            self.max.leading_zeros() >= bits,
            "a shifted word stays below 2^64"
        );
        Self {
            min: self.min << bits,
            max: self.max << bits,
        }
    }

    fn shl_wrapping(self, _: u32) -> Self {
        Self {
            min: 0,
            max: u64::MAX,
        }
    }

    fn shr(self, bits: u32) -> Self {
        Self {
            min: self.min >> bits,
            max: self.max >> bits,
        }
    }

    fn madd_lo(self, x: Self, y: Self) -> Self {
        self.add_up_to(x.greatest_product(y).min(u128::from(LIMB_MASK)))
    }

    fn madd_hi(self, x: Self, y: Self) -> Self {
        self.add_up_to(x.greatest_product(y) >> LIMB_BITS)
    }

    fn equal(self, _: Self) -> u8 {
        0
    }

    fn select(_: u8, set: Self, clear: Self) -> Self {
        Self {
            min: set.min.min(clear.min),
            max: set.max.max(clear.max),
        }
    }

    fn transpose(rows: [Self; LANES]) -> [Self; LANES] {
        let all = rows.into_iter().reduce(|a, b| Self::select(0, a, b));
        [all.unwrap(); LANES]
    }

    fn claim_at_most(self, max: u64) -> Self {
        assert!(
            self.min <= max,
            "no number of the interval is as small as is claimed"
        );
        Self {
            min: self.min,
            max: self.max.min(max),
        }
    }

    fn known_at_most(self, max: u64) -> Self {
        assert!(self.max <= max, "a word may be greater than it should be");
        self
    }
}

/// Any lanes below `times` p.
fn any<F: LaneField>(times: u64) -> Lanes<F, Interval> {
    let limb = Interval {
        min: 0,
        max: LIMB_MASK,
    };
    let mut limbs = [limb; LIMBS];
    limbs[4].max = multiple(F::P, times)[4];
    Lanes::from_limbs::<{ 64 * 32 }>(limbs)
}

fn within_limbs<F: LaneField>(lanes: &Lanes<F, Interval>, times: u64) {
    assert!(lanes.limbs[..4].iter().all(|limb| limb.max <= LIMB_MASK));
    assert!(lanes.limbs[4].max <= multiple(F::P, times)[4]);
}

fn check<F: LaneField>() {
    let x = any::<F>(64);
    for result in [
        x.add(&x),
        x.sub(&x),
        x.neg(),
        x.double(),
        x.reduce(),
        x.canonical(),
    ] {
        within_limbs(&result, 2);
    }
    for result in [x.mul(&x), x.square(), x.fifth_power()] {
        within_limbs(&result, 64);
    }
    let mut sum = Product::of(&x, &x);
    for _ in 0..200 {
        sum = sum.plus(&x, &x);
    }
    within_limbs(&sum.reduce(), 64);
    assert_eq!(x.is_zero(), 0, "unknown");
    // `fold` takes limbs up to 2^64 less the 2^53 that it adds.
    let most = Interval {
        min: 0,
        max: u64::MAX - (1 << 53),
    };
    within_limbs(&Loose::<F, Interval>::from_limbs([most; LIMBS]).fold(), 2);

    let part = any::<F>(4);
    let y = QuadraticLanes { c0: part, c1: part };
    for result in [
        y.mul(&y),
        y.square(),
        y.add(&y),
        y.sub(&y),
        y.neg(),
        y.double(),
    ] {
        within_limbs(&result.c0, 64);
        within_limbs(&result.c1, 64);
    }
    let part = any::<F>(7);
    let wide = QuadraticLanes { c0: part, c1: part };
    let product = y.mul(&wide);
    within_limbs(&product.c0, 64);
    within_limbs(&product.c1, 64);
    let word = Interval {
        min: 0,
        max: u64::MAX,
    };
    within_limbs(&Lanes::<F, Interval>::unpack(&[word; 4]), 6);
}

#[test]
fn no_operation_leaves_its_range_whatever_it_is_given() {
    check::<Fr>();
    check::<Fq>();
}

/// A coordinate's operations of the additions of points, given any reduced numbers and any slope that is a product.
fn additions<C: Coordinate<Interval>>(reduced: &C, slope: &C) -> [C; 5] {
    let difference = reduced.difference(reduced);
    [
        difference,
        reduced.signed_difference(0, reduced),
        reduced.signed(0),
        C::third_abscissa(slope, reduced, &difference),
        C::third_ordinate(slope, reduced, reduced, reduced),
    ]
}

#[test]
fn no_addition_of_points_leaves_its_range_whatever_it_is_given() {
    let slope = any::<Fq>(2);
    let reduced = Lanes::from_limbs::<33>(slope.limbs);
    let bounds = [7, 7, 2, 2, 2];
    for (result, times) in additions(&reduced, &slope).iter().zip(bounds) {
        within_limbs(result, times);
    }
    let pair = |part| QuadraticLanes { c0: part, c1: part };
    for (result, times) in additions(&pair(reduced), &pair(slope)).iter().zip(bounds) {
        within_limbs(&result.c0, times);
        within_limbs(&result.c1, times);
    }
}

#[test]
fn no_permutation_leaves_its_range_whatever_it_is_given() {
    let mut wide = [any::<Fr>(2); 16];
    poseidon2::width_16().permute(&mut wide);
    let mut narrow = [any::<Fr>(2); 8];
    poseidon2::width_8().permute(&mut narrow);
    for lanes in wide.iter().chain(&narrow) {
        within_limbs(lanes, 2);
    }
}

#[test]
#[should_panic(expected = "a sum stays below 2^64")]
fn an_interval_that_could_overflow_is_noticed() {
    let mut sum = any::<Fr>(64).loose();
    for _ in 0..13 {
        sum = sum.plus(&sum);
    }
}

#[test]
#[should_panic(expected = "a word may be greater than it should be")]
fn limbs_whose_carries_were_not_passed_on_are_noticed() {
    let x = any::<Fr>(2);
    let sum = x.loose().plus(&x.loose());
    let _ = Lanes::<Fr, Interval>::from_limbs::<{ 64 * 32 }>(sum.limbs);
}

#[test]
#[should_panic(expected = "no number of the interval is as small as is claimed")]
fn a_claim_that_no_number_meets_is_noticed() {
    let limb = |value| Interval {
        min: value,
        max: value,
    };
    let mut limbs = [limb(0); LIMBS];
    limbs[4] = limb(multiple(Fr::P, 64)[4] + 1);
    let _ = Lanes::<Fr, Interval>::from_limbs::<{ 64 * 32 }>(limbs);
}
