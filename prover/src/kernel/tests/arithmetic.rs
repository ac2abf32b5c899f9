//! Every operation of the lanes, for both fields, at the bounds of its range and at random.

use crate::kernel::{
    inverse::batch_invert,
    lanes::{Lanes, Loose},
    modulus::{LIMB_MASK, LaneField, Limbs, multiple},
    multiply::Product,
    tests::{
        Check, below, elements, everywhere, lane, modulo, once, random, raw, representations, words,
    },
    words::{LANES, Words},
};
use ark_bn254::{Fq, Fr};
use proptest::prelude::*;
use std::{array, marker::PhantomData};

/// 2^-260: what a Montgomery product loses.
fn unit<F: LaneField>() -> F {
    F::from(2_u64).pow([260]).inverse().unwrap()
}

/// All pairs of `values`, eight at a time, the last ones repeated to fill.
fn pairs(values: &[Limbs]) -> Vec<[(Limbs, Limbs); LANES]> {
    let all: Vec<_> = values
        .iter()
        .flat_map(|a| values.iter().map(|b| (*a, *b)))
        .collect();
    all.chunks(LANES)
        .map(|chunk| array::from_fn(|i| chunk[i % chunk.len()]))
        .collect()
}

#[derive(Default)]
struct Pairs<F>(PhantomData<F>);

impl<F: LaneField> Check for Pairs<F> {
    fn run<W: Words>(&self, backend: W::Backend) {
        let unit = unit::<F>();
        for pairs in pairs(&representations::<F>()) {
            let (a, b) = (pairs.map(|pair| pair.0), pairs.map(|pair| pair.1));
            let (x, y) = (raw::<F, W>(backend, &a), raw::<F, W>(backend, &b));
            let (product, sum, difference) =
                (once::mul(&x, &y), once::add(&x, &y), once::sub(&x, &y));
            let (equal, zero) = (x.equal(&y), x.is_zero());
            let chosen = Lanes::select(0b0101_0011, &x, &y);
            for i in 0..LANES {
                let (a, b) = (a[i], b[i]);
                let (u, v) = (modulo::<F>(a), modulo::<F>(b));
                assert_eq!(modulo::<F>(lane(&product, i)), u * v * unit);
                assert_eq!(modulo::<F>(lane(&sum, i)), u + v);
                assert_eq!(modulo::<F>(lane(&difference, i)), u - v);
                assert!(below::<F>(lane(&product, i), 51));
                assert!(below::<F>(lane(&sum, i), 2) && below::<F>(lane(&difference, i), 2));
                if below::<F>(a, 8) && below::<F>(b, 8) {
                    assert!(below::<F>(lane(&product, i), 2));
                }
                assert_eq!(equal >> i & 1 == 1, u == v);
                assert_eq!(zero >> i & 1 == 1, u == F::ZERO);
                assert_eq!(
                    lane(&chosen, i),
                    if 0b0101_0011 >> i & 1 == 1 { a } else { b }
                );
            }
        }
    }
}

#[test]
fn products_sums_and_differences_hold_for_all_pairs_of_extreme_representations() {
    everywhere("pairs of Fr", &Pairs::<Fr>::default());
    everywhere("pairs of Fq", &Pairs::<Fq>::default());
}

#[derive(Default)]
struct Singles<F>(PhantomData<F>);

impl<F: LaneField> Check for Singles<F> {
    fn run<W: Words>(&self, backend: W::Backend) {
        let unit = unit::<F>();
        let all = representations::<F>();
        for numbers in all.chunks(LANES) {
            let numbers: [Limbs; LANES] = array::from_fn(|i| numbers[i % numbers.len()]);
            let x = raw::<F, W>(backend, &numbers);
            let integers = x.to_integers();
            let fields = once::to_fields(&x);
            for (i, number) in numbers.into_iter().enumerate() {
                let u = modulo::<F>(number);
                let check = |result: &Lanes<F, W>, expected: F, times: u64| {
                    assert_eq!(modulo::<F>(lane(result, i)), expected);
                    assert!(below::<F>(lane(result, i), times));
                };
                check(&once::square(&x), u * u * unit, 51);
                check(&once::neg(&x), -u, 2);
                check(&once::double(&x), u + u, 2);
                check(&once::reduce(&x), u, 2);
                check(&once::canonical(&x), u, 1);
                check(&x.loose().carry(), u, 64);
                if below::<F>(number, 8) {
                    check(&once::fifth_power(&x), u.pow([5]) * unit.pow([4]), 2);
                }
                assert_eq!(fields[i], u * unit);
                assert_eq!(integers[i], (u * unit).into_bigint().0);
            }
        }
    }
}

#[test]
fn operations_on_one_number_hold_for_extreme_representations() {
    everywhere("single numbers of Fr", &Singles::<Fr>::default());
    everywhere("single numbers of Fq", &Singles::<Fq>::default());
}

#[derive(Default)]
struct Lazy<F>(PhantomData<F>);

impl<F: LaneField> Lazy<F> {
    fn minus<const K: u64, W: Words>(backend: W::Backend) {
        // The greatest number `minus` takes: limbs at their bounds, value (K - 1) p.
        let mut greatest = multiple(F::P, K - 1);
        for limb in 0..4 {
            while greatest[limb] + (1 << 52) <= K << 52 && greatest[limb + 1] > 0 {
                greatest[limb] += 1 << 52;
                greatest[limb + 1] -= 1;
            }
        }
        let none = Loose::<F, W>::from_limbs(words(backend, &[[0; 5]; LANES]));
        let other = Loose::from_limbs(words(backend, &[greatest; LANES]));
        let folded = none.minus::<K>(&other).fold();
        assert_eq!(modulo::<F>(lane(&folded, 3)), -modulo::<F>(greatest));
        let from_zero = other.minus::<K>(&none).fold();
        assert_eq!(modulo::<F>(lane(&from_zero, 3)), modulo::<F>(greatest));
    }
}

impl<F: LaneField> Check for Lazy<F> {
    fn run<W: Words>(&self, backend: W::Backend) {
        Self::minus::<2, W>(backend);
        Self::minus::<3, W>(backend);
        Self::minus::<64, W>(backend);
        Self::minus::<512, W>(backend);
        // `fold` adds less than 2^53 to a limb.
        let most = u64::MAX - (1 << 53);
        let mut numbers = [[most; 5], [0, 0, 0, 0, most], [most, most, most, most, 0]].to_vec();
        // Multiples of p, and one less, where the quotient is most easily wrong.
        for k in [1, 2, 63, 64, 84, 85, 1023, 1024, 4095, 4096, 100_000] {
            let at = multiple(F::P, k);
            numbers.push(at);
            numbers.push([at[0] - 1, at[1], at[2], at[3], at[4]]);
            // The same values with loans from limb to limb, which hide part of the value from the quotient.
            let mut lent = at;
            for limb in 0..4 {
                lent[limb] += 2047 << 52;
                lent[limb + 1] = lent[limb + 1].wrapping_sub(2047);
            }
            if lent.iter().all(|limb| *limb < most) {
                numbers.push(lent);
            }
        }
        for number in numbers {
            let folded = Loose::<F, W>::from_limbs(words(backend, &[number; LANES])).fold();
            assert_eq!(modulo::<F>(lane(&folded, 5)), modulo::<F>(number));
            let scaled = multiple(lane(&folded, 5), 32);
            assert!(below::<F>(scaled, 33), "{number:x?} folds to below 33/32 p");
        }
    }
}

#[test]
fn differences_and_folds_hold_at_the_greatest_limbs_they_take() {
    everywhere("lazy operations of Fr", &Lazy::<Fr>::default());
    everywhere("lazy operations of Fq", &Lazy::<Fq>::default());
}

#[derive(Default)]
struct Sums<F>(PhantomData<F>);

impl<F: LaneField> Check for Sums<F> {
    fn run<W: Words>(&self, backend: W::Backend) {
        // 64 products of numbers just below 8 p: columns and values both near what `reduce` takes (4096 p²).
        let near = [
            LIMB_MASK,
            LIMB_MASK,
            LIMB_MASK,
            LIMB_MASK,
            multiple(F::P, 8)[4] - 1,
        ];
        let x = raw::<F, W>(backend, &[near; LANES]);
        let mut sum = Product::of(&x, &x);
        for _ in 1..64 {
            sum = sum.plus(&x, &x);
        }
        let expected = modulo::<F>(near).square() * F::from(64_u64) * unit::<F>();
        assert_eq!(modulo::<F>(lane(&sum.reduce(), 1)), expected);
        assert!(below::<F>(lane(&sum.reduce(), 1), 51));
    }
}

#[test]
fn sums_of_products_are_reduced_once() {
    everywhere("sums of products of Fr", &Sums::<Fr>::default());
    everywhere("sums of products of Fq", &Sums::<Fq>::default());
}

#[derive(Default)]
struct Elements<F>(PhantomData<F>);

impl<F: LaneField> Check for Elements<F> {
    fn run<W: Words>(&self, backend: W::Backend) {
        let elements = elements::<F>();
        let (vectors, _) = elements.as_chunks::<LANES>();
        for chunk in vectors {
            let x = once::from_fields::<F, W>(backend, chunk);
            assert_eq!(once::to_fields(&x), *chunk);
            assert_eq!(
                once::to_fields(&x.invert()),
                chunk.map(|e| e.inverse().unwrap_or(F::ZERO))
            );
            let units = chunk.map(|e| if e.is_zero() { -F::ONE } else { e });
            let x_units = once::from_fields::<F, W>(backend, &units);
            assert_eq!(
                once::to_fields(&x_units.invert_units()),
                units.map(|e| e.inverse().unwrap())
            );
            assert_eq!(x.to_integers(), chunk.map(|e| e.into_bigint().0));
            assert_eq!(once::to_fields(&Lanes::<F, W>::unpack(&x.pack())), *chunk);
            let mut limbs = [[0; LANES]; 5];
            for (i, element) in chunk.iter().enumerate() {
                let split = crate::kernel::modulus::split(element.into_bigint().0);
                crate::kernel::convert::set_lane(&mut limbs, i, split);
            }
            let entered = Lanes::<F, W>::load(backend, &limbs).enter_montgomery_form();
            assert_eq!(once::to_fields(&entered), *chunk);
            let one = Lanes::<F, W>::from_field(backend, &chunk[7]);
            assert_eq!(once::to_fields(&one), [chunk[7]; LANES]);
        }
        let rows: [Lanes<F, W>; LANES] =
            array::from_fn(|k| once::from_fields::<F, W>(backend, &[elements[k]; LANES]));
        for row in Lanes::transpose(&rows) {
            assert_eq!(once::to_fields(&row)[..], elements[..LANES]);
        }
        assert_eq!(
            once::to_fields(&Lanes::<F, W>::one(backend)),
            [F::ONE; LANES]
        );
        assert_eq!(
            once::to_fields(&Lanes::<F, W>::zero(backend)),
            [F::ZERO; LANES]
        );
        let all_ones = W::splat(backend, u64::MAX);
        let top = Lanes::<F, W>::unpack(&[all_ones; 4]).pack();
        assert!(top.into_iter().all(|word| word.equal(all_ones) == 0xff));

        let mut values: Vec<Lanes<F, W>> = vectors
            .iter()
            .map(|chunk| once::from_fields::<F, W>(backend, chunk))
            .collect();
        batch_invert(&mut values, &mut Vec::new());
        for (value, chunk) in values.iter().zip(vectors) {
            assert_eq!(
                once::to_fields(value),
                chunk.map(|e| e.inverse().unwrap_or(F::ZERO))
            );
        }
        batch_invert::<W, Lanes<F, W>>(&mut [], &mut Vec::new());
    }
}

#[test]
fn elements_come_back_and_inverses_are_those_of_arkworks() {
    everywhere("elements of Fr", &Elements::<Fr>::default());
    everywhere("elements of Fq", &Elements::<Fq>::default());
}

#[derive(Default)]
struct Random<F>(PhantomData<F>);

impl<F: LaneField> Check for Random<F> {
    fn run<W: Words>(&self, backend: W::Backend) {
        let mut rng = random();
        let mut x = array::from_fn(|_| F::rand(&mut rng));
        let mut lanes = once::from_fields::<F, W>(backend, &x);
        for _ in 0..200 {
            let y: [F; LANES] = array::from_fn(|_| F::rand(&mut rng));
            let other = once::from_fields::<F, W>(backend, &y);
            lanes = once::mul(&lanes, &other)
                .add(&once::square(&other))
                .sub(&once::double(&lanes));
            x = array::from_fn(|i| x[i] * y[i] + y[i].square() - x[i].double());
        }
        assert_eq!(once::to_fields(&lanes), x);
    }
}

#[test]
fn long_chains_of_operations_follow_arkworks() {
    everywhere("chains of Fr", &Random::<Fr>::default());
    everywhere("chains of Fq", &Random::<Fq>::default());
}

/// A number below 2^256 from any words, edges more often than chance would have it.
fn words_below_2_256() -> impl Strategy<Value = [u64; 4]> {
    let word = prop_oneof![
        Just(0),
        Just(1),
        Just(u64::MAX),
        Just(u64::MAX - 1),
        any::<u64>()
    ];
    proptest::array::uniform4(word)
}

struct Given<F>([[u64; 4]; LANES], [[u64; 4]; LANES], PhantomData<F>);

impl<F: LaneField> Check for Given<F> {
    fn run<W: Words>(&self, backend: W::Backend) {
        let (a, b) = (&self.0, &self.1);
        let unit = unit::<F>();
        let lanes = |numbers: &[[u64; 4]; LANES]| {
            let words: [W; 4] =
                array::from_fn(|k| W::load(backend, &numbers.map(|number| number[k])));
            Lanes::<F, W>::unpack(&words)
        };
        let (x, y) = (lanes(a), lanes(b));
        for i in 0..LANES {
            let field = |words: [u64; 4]| modulo::<F>(crate::kernel::modulus::split(words));
            let (u, v) = (field(a[i]), field(b[i]));
            assert_eq!(once::to_fields(&once::mul(&x, &y))[i], u * v * unit * unit);
            assert_eq!(once::to_fields(&once::square(&x))[i], u * u * unit * unit);
            assert_eq!(once::to_fields(&once::add(&x, &y))[i], (u + v) * unit);
            assert_eq!(once::to_fields(&once::sub(&x, &y))[i], (u - v) * unit);
            assert!(below::<F>(lane(&once::mul(&x, &y), i), 2));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]
    #[test]
    fn any_words_multiply_and_add_as_arkworks_does(
        a in proptest::array::uniform8(words_below_2_256()),
        b in proptest::array::uniform8(words_below_2_256()),
    ) {
        everywhere("any words of Fr", &Given::<Fr>(a, b, PhantomData));
        everywhere("any words of Fq", &Given::<Fq>(a, b, PhantomData));
    }
}
