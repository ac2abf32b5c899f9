//! One inverse modulo p, in about a fifth of the time that arkworks takes: what batches of inversions end in.
//!
//! Division steps of Bernstein and Yang ("Fast constant-time gcd computation and modular inversion", 2019), 62 at a time,
//! in the variant of libsecp256k1 whose time depends on the number: f starts as p and g as the number, and steps that look
//! at their lowest 62 bits alone are gathered in a matrix that is then applied to all of f and g, and, modulo p, to d and
//! e, which keep d x ≡ f and e x ≡ g (mod p). When g is 0, f is 1 or -1.

use super::modulus::{LaneField, inverse_of_odd};
use ark_ff::BigInt;

/// Bits of a limb, and steps at a time.
const BITS: u32 = 62;
const MASK: i64 = (1 << BITS) - 1;
const LIMBS: usize = 5;

/// Σ 2^(62 i) limb_i. Limbs are in [0, 2^62), the top one apart, which has the sign.
type Signed = [i64; LIMBS];

/// 2^62 times what a number of steps does: f becomes (u f + v g) / 2^62 and g becomes (q f + r g) / 2^62. The magnitudes of
/// each row add up to 2^62 at most.
struct Matrix {
    u: i64,
    v: i64,
    q: i64,
    r: i64,
}

/// `1 / element`, and 0 for 0. Takes longer for some elements than for others.
#[must_use]
pub fn inverse<F: LaneField>(element: &F) -> F {
    let modulus = split(F::MODULUS.0);
    let (mut f, mut g) = (modulus, split(element.montgomery_words()));
    let (mut d, mut e) = ([0; LIMBS], [1, 0, 0, 0, 0]);
    let mut eta = -1;
    while g != [0; LIMBS] {
        let matrix = steps(&mut eta, f[0], g[0]);
        update_inverses::<F>(&mut d, &mut e, &modulus, &matrix);
        update_numbers(&mut f, &mut g, &matrix);
    }
    let words = joined(normalized(d, f[LIMBS - 1] >> 63, &modulus));
    // The inverse of 2^256 x is 2^-256 / x; each of two conversions multiplies by 2^256.
    let convert = |words| F::from_bigint(BigInt(words)).unwrap_or_default();
    convert(convert(words).montgomery_words())
}

/// 62 division steps on the lowest bits of f and g, zeros of g at once.
fn steps(eta: &mut i64, f: i64, g: i64) -> Matrix {
    let (mut f, mut g) = (f.cast_unsigned(), g.cast_unsigned());
    let (mut u, mut v, mut q, mut r) = (1_u64, 0_u64, 0_u64, 1_u64);
    let mut left = BITS;
    loop {
        // No more zeros than steps that are left.
        let zeros = (g | u64::MAX << left).trailing_zeros();
        g >>= zeros;
        (u, v) = (u << zeros, v << zeros);
        *eta -= i64::from(zeros);
        left -= zeros;
        if left == 0 {
            break;
        }
        // The multiple of f that clears up to six bits of g, or four, where so many steps pass before the next swap.
        let multiple = if *eta < 0 {
            *eta = -*eta;
            (f, g) = (g, f.wrapping_neg());
            (u, q) = (q, u.wrapping_neg());
            (v, r) = (r, v.wrapping_neg());
            // -1 / f modulo 64: f (f² - 2) is right for odd f.
            let inverse = f.wrapping_mul(f.wrapping_mul(f).wrapping_sub(2));
            inverse.wrapping_mul(g) & low_bits(*eta, left) & 63
        } else {
            // -1 / f modulo 16.
            let inverse = f.wrapping_add((f.wrapping_add(1) & 4) << 1).wrapping_neg();
            inverse.wrapping_mul(g) & low_bits(*eta, left) & 15
        };
        g = g.wrapping_add(f.wrapping_mul(multiple));
        q = q.wrapping_add(u.wrapping_mul(multiple));
        r = r.wrapping_add(v.wrapping_mul(multiple));
    }
    Matrix {
        u: u.cast_signed(),
        v: v.cast_signed(),
        q: q.cast_signed(),
        r: r.cast_signed(),
    }
}

/// As many ones as there are steps before the next swap or the end.
fn low_bits(eta: i64, left: u32) -> u64 {
    let steps = (eta + 1).min(i64::from(left));
    u64::MAX >> (64 - steps)
}

/// f and g after a matrix. The divisions by 2^62 leave no rest.
fn update_numbers(f: &mut Signed, g: &mut Signed, matrix: &Matrix) {
    let Matrix { u, v, q, r } = *matrix;
    let mut sums = [wide(u, f[0]) + wide(v, g[0]), wide(q, f[0]) + wide(r, g[0])];
    for i in 1..LIMBS {
        sums = sums.map(|sum| sum >> BITS);
        sums[0] += wide(u, f[i]) + wide(v, g[i]);
        sums[1] += wide(q, f[i]) + wide(r, g[i]);
        (f[i - 1], g[i - 1]) = (low(sums[0]) & MASK, low(sums[1]) & MASK);
    }
    (f[LIMBS - 1], g[LIMBS - 1]) = (low(sums[0] >> BITS), low(sums[1] >> BITS));
}

/// d and e after a matrix, modulo p: multiples of p make the divisions by 2^62 leave no rest. Both stay in (-2 p, p).
fn update_inverses<F: LaneField>(
    d: &mut Signed,
    e: &mut Signed,
    modulus: &Signed,
    matrix: &Matrix,
) {
    let inverse = const { inverse_of_odd(F::MODULUS.0[0]).cast_signed() };
    let Matrix { u, v, q, r } = *matrix;
    let (sign_d, sign_e) = (d[LIMBS - 1] >> 63, e[LIMBS - 1] >> 63);
    let mut sums = [wide(u, d[0]) + wide(v, e[0]), wide(q, d[0]) + wide(r, e[0])];
    // Negative numbers get p once more, in proportion.
    let mut multiples = [(u & sign_d) + (v & sign_e), (q & sign_d) + (r & sign_e)];
    for (multiple, sum) in multiples.iter_mut().zip(&mut sums) {
        *multiple -= inverse.wrapping_mul(low(*sum)).wrapping_add(*multiple) & MASK;
        *sum += wide(modulus[0], *multiple);
    }
    for i in 1..LIMBS {
        sums = sums.map(|sum| sum >> BITS);
        sums[0] += wide(u, d[i]) + wide(v, e[i]) + wide(modulus[i], multiples[0]);
        sums[1] += wide(q, d[i]) + wide(r, e[i]) + wide(modulus[i], multiples[1]);
        (d[i - 1], e[i - 1]) = (low(sums[0]) & MASK, low(sums[1]) & MASK);
    }
    (d[LIMBS - 1], e[LIMBS - 1]) = (low(sums[0] >> BITS), low(sums[1] >> BITS));
}

/// `number` in (-2 p, p), negated where `sign` is -1, modulo p.
fn normalized(number: Signed, sign: i64, modulus: &Signed) -> Signed {
    let raised = |mut number: Signed| {
        let negative = number[LIMBS - 1] >> 63;
        for (limb, p) in number.iter_mut().zip(modulus) {
            *limb += p & negative;
        }
        number
    };
    let negated = raised(number).map(|limb| (limb ^ sign) - sign);
    carried(raised(carried(negated)))
}

/// Passes on what is above 62 bits, or below 0.
fn carried(mut number: Signed) -> Signed {
    for i in 1..LIMBS {
        number[i] += number[i - 1] >> BITS;
        number[i - 1] &= MASK;
    }
    number
}

fn wide(a: i64, b: i64) -> i128 {
    i128::from(a) * i128::from(b)
}

/// The low 64 bits.
#[expect(clippy::cast_possible_truncation, reason = "what it is for")]
const fn low(sum: i128) -> i64 {
    sum as i64
}

const fn split(words: [u64; 4]) -> Signed {
    let [w0, w1, w2, w3] = words;
    [
        w0.cast_signed() & MASK,
        (w0 >> 62 | w1 << 2).cast_signed() & MASK,
        (w1 >> 60 | w2 << 4).cast_signed() & MASK,
        (w2 >> 58 | w3 << 6).cast_signed() & MASK,
        (w3 >> 56).cast_signed(),
    ]
}

const fn joined(number: Signed) -> [u64; 4] {
    let [l0, l1, l2, l3, l4] = number;
    [
        (l0 | l1 << 62).cast_unsigned(),
        (l1 >> 2 | l2 << 60).cast_unsigned(),
        (l2 >> 4 | l3 << 58).cast_unsigned(),
        (l3 >> 6 | l4 << 56).cast_unsigned(),
    ]
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::cast_possible_truncation)]
    use super::*;
    use crate::kernel::tests::elements;
    use ark_bn254::{Fq, Fr};
    use ark_ff::PrimeField;
    use proptest::prelude::*;
    use rand::{SeedableRng, rngs::StdRng};

    fn check<F: LaneField>(element: F) {
        let expected = element.inverse().unwrap_or_default();
        assert_eq!(inverse(&element), expected, "{element}");
        // The number itself, which the edges are about, and not its Montgomery form.
        let words = element.into_bigint().0;
        let element = F::from_montgomery_words(words);
        assert_eq!(inverse(&element), element.inverse().unwrap_or_default());
    }

    fn check_edges<F: LaneField>() {
        elements::<F>().into_iter().for_each(check);
        let mut power = F::ONE;
        for _ in 0..255 {
            for element in [power, -power, power - F::ONE, power + F::ONE] {
                check(element);
            }
            power.double_in_place();
        }
        let mut rng = StdRng::seed_from_u64(62);
        (0..2000).for_each(|_| check(F::rand(&mut rng)));
    }

    #[test]
    fn inverses_of_edges_and_of_random_elements_are_those_of_arkworks() {
        check_edges::<Fr>();
        check_edges::<Fq>();
    }

    proptest! {
        #[test]
        fn inverses_of_any_words_are_those_of_arkworks(words: [u64; 4]) {
            let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
            check(Fr::from_le_bytes_mod_order(&bytes));
            check(Fq::from_le_bytes_mod_order(&bytes));
        }
    }
}
