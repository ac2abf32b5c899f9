//! The two prime fields of BN254 as the lanes see them: five limbs of 52 bits, and constants worked out at compile time.

use ark_bn254::{Fq, Fr};
use ark_ff::{BigInt, PrimeField};

/// Limbs of a number.
pub const LIMBS: usize = 5;
/// Bits of a limb.
pub const LIMB_BITS: u32 = 52;
/// Greatest value of a limb.
pub const LIMB_MASK: u64 = (1 << LIMB_BITS) - 1;

/// A number as five limbs of 52 bits, least significant first.
pub type Limbs = [u64; LIMBS];

/// A prime p with 2^253 < p < 2^254, and what Montgomery arithmetic modulo p with R = 2^260 needs to know about it.
///
/// The range claims of [`super::lanes`] use p < 2^260 / 84 and `γ = c / 2^52 < 1/4`, where `c = -p^-1 mod 2^52`. Both hold
/// for the two fields that implement this and are checked when this crate is compiled.
pub trait LaneField: PrimeField<BigInt = BigInt<4>> {
    /// p.
    const P: Limbs = split(Self::MODULUS.0);
    /// c = -p^-1 mod 2^52.
    const NEGATIVE_INVERSE: u64 = inverse_of_odd(Self::P[0]).wrapping_neg() & LIMB_MASK;
    /// (c p + 1) / 2^52, an integer below γ p + 1. Adding `q` times `c p` to a number that is `q` mod 2^52, and dividing by
    /// 2^52, is the same as dividing (rounded down) and adding `q` times this.
    const STEP: Limbs = step(Self::P, Self::NEGATIVE_INVERSE);
    /// 2^260 - p.
    const COMPLEMENT: Limbs = complement(Self::P);
    /// ⌊2^300 / p⌋, of 47 bits.
    const RECIPROCAL: u64 = reciprocal(Self::P);
    /// 2^260 mod p: one, in Montgomery form.
    const ONE_LIMBS: Limbs = power_of_two(260, Self::P);
    /// 2^264 mod p. The Montgomery product with it takes `2^256 x` (arkworks' form) to `2^260 x`.
    const FROM_ARK: Limbs = power_of_two(264, Self::P);
    /// 2^256 mod p. The Montgomery product with it takes `2^260 x` to arkworks' form.
    const TO_ARK: Limbs = power_of_two(256, Self::P);
    /// 2^520 mod p. The Montgomery product with it takes a plain number x to `2^260 x`.
    const FROM_INTEGER: Limbs = power_of_two(520, Self::P);

    /// `2^256 x mod p`, as arkworks keeps x.
    fn montgomery_words(&self) -> [u64; 4];

    /// `2^260 x mod p` as limbs: the lanes' form of x, which is arkworks' form of 16 x.
    #[inline(always)]
    fn lane_limbs(&self) -> Limbs {
        split((*self * Self::from(16_u64)).montgomery_words())
    }

    /// The inverse of [`LaneField::montgomery_words`], for words below p.
    fn from_montgomery_words(words: [u64; 4]) -> Self;
}

impl LaneField for Fr {
    #[inline(always)]
    fn montgomery_words(&self) -> [u64; 4] {
        self.0.0
    }

    #[inline(always)]
    fn from_montgomery_words(words: [u64; 4]) -> Self {
        Self::new_unchecked(BigInt(words))
    }
}

impl LaneField for Fq {
    #[inline(always)]
    fn montgomery_words(&self) -> [u64; 4] {
        self.0.0
    }

    #[inline(always)]
    fn from_montgomery_words(words: [u64; 4]) -> Self {
        Self::new_unchecked(BigInt(words))
    }
}

const _: () = {
    assert!(fits::<Fr>() && fits::<Fq>());
};

/// Whether 2^253 < p < 2^254, 84 p < 2^260 and γ < 1/4.
const fn fits<F: LaneField>() -> bool {
    F::P[4] >> 45 == 1 && multiple(F::P, 84)[4] < 1 << 52 && F::NEGATIVE_INVERSE < 1 << 50
}

/// Four words of 64 bits as five limbs of 52.
#[inline(always)]
pub(super) const fn split(words: [u64; 4]) -> Limbs {
    let [w0, w1, w2, w3] = words;
    [
        w0 & LIMB_MASK,
        (w0 >> 52 | w1 << 12) & LIMB_MASK,
        (w1 >> 40 | w2 << 24) & LIMB_MASK,
        (w2 >> 28 | w3 << 36) & LIMB_MASK,
        w3 >> 16,
    ]
}

/// The low 64 bits.
#[expect(clippy::cast_possible_truncation, reason = "what it is for")]
const fn low_bits(value: u128) -> u64 {
    value as u64
}

/// k p with limbs below 2^52, the top one excepted.
pub(super) const fn multiple(p: Limbs, k: u64) -> Limbs {
    let mut limbs = [0; LIMBS];
    let mut carry = 0;
    let mut i = 0;
    while i < LIMBS {
        let product = p[i] as u128 * k as u128 + carry;
        limbs[i] = if i + 1 < LIMBS {
            low_bits(product) & LIMB_MASK
        } else {
            low_bits(product)
        };
        carry = product >> LIMB_BITS;
        i += 1;
    }
    limbs
}

/// k p, written so that limbs 0 to 3 are at least k 2^52: each limb borrowed k from the one above it.
///
/// Subtracting a number whose limbs 0 to 3 are at most k 2^52 and whose value is at most (k - 1) p leaves every limb
/// non-negative: k p exceeds the number by p, which is more than the k units that the top limb lent.
pub(super) const fn multiple_with_loans(p: Limbs, k: u64) -> Limbs {
    let mut limbs = multiple(p, k);
    let mut i = 0;
    while i + 1 < LIMBS {
        limbs[i] += k << LIMB_BITS;
        limbs[i + 1] -= k;
        i += 1;
    }
    limbs
}

/// p^-1 mod 2^64 for the low word of p, by Newton's iteration, which doubles the number of right bits each time.
pub(super) const fn inverse_of_odd(p0: u64) -> u64 {
    let mut inverse = 1_u64;
    let mut i = 0;
    while i < 6 {
        inverse = inverse.wrapping_mul(2_u64.wrapping_sub(p0.wrapping_mul(inverse)));
        i += 1;
    }
    inverse
}

/// (c p + 1) / 2^52.
const fn step(p: Limbs, c: u64) -> Limbs {
    let mut limbs = [0; LIMBS];
    let mut carry = 1;
    let mut i = 0;
    while i < LIMBS {
        let product = p[i] as u128 * c as u128 + carry;
        if i > 0 {
            limbs[i - 1] = low_bits(product) & LIMB_MASK;
        }
        carry = product >> LIMB_BITS;
        i += 1;
    }
    limbs[LIMBS - 1] = low_bits(carry);
    limbs
}

/// 2^260 - p.
const fn complement(p: Limbs) -> Limbs {
    let mut limbs = [0; LIMBS];
    let mut borrow = 0;
    let mut i = 0;
    while i < LIMBS {
        let difference = (1 << LIMB_BITS) - p[i] - borrow;
        limbs[i] = difference & LIMB_MASK;
        borrow = 1 - (difference >> LIMB_BITS);
        i += 1;
    }
    limbs
}

/// Doubles a number below p, subtracts p if that reaches it, and tells whether it did.
const fn double_modulo(value: Limbs, p: Limbs) -> (Limbs, bool) {
    let mut doubled = multiple(value, 2);
    let mut i = LIMBS;
    while i > 0 {
        i -= 1;
        if doubled[i] < p[i] {
            return (doubled, false);
        }
        if doubled[i] > p[i] {
            break;
        }
    }
    let mut borrow = 0;
    let mut i = 0;
    while i < LIMBS {
        let difference = (1 << LIMB_BITS) + doubled[i] - p[i] - borrow;
        doubled[i] = difference & LIMB_MASK;
        borrow = 1 - (difference >> LIMB_BITS);
        i += 1;
    }
    (doubled, true)
}

/// 2^n mod p.
const fn power_of_two(n: u32, p: Limbs) -> Limbs {
    let mut value = [1, 0, 0, 0, 0];
    let mut i = 0;
    while i < n {
        value = double_modulo(value, p).0;
        i += 1;
    }
    value
}

/// ⌊2^300 / p⌋, by long division: the quotient's bits are the subtractions of [`double_modulo`].
const fn reciprocal(p: Limbs) -> u64 {
    let mut value = [1, 0, 0, 0, 0];
    let mut quotient = 0;
    let mut i = 0;
    while i < 300 {
        let (next, subtracted) = double_modulo(value, p);
        value = next;
        quotient = quotient << 1 | subtracted as u64;
        i += 1;
    }
    quotient
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::cast_possible_truncation)]
    use super::*;

    fn value<F: LaneField>(limbs: Limbs) -> F {
        let radix = F::from(1_u64 << LIMB_BITS);
        limbs
            .iter()
            .rev()
            .fold(F::ZERO, |sum, limb| sum * radix + F::from(*limb))
    }

    fn check<F: LaneField>() {
        let power = |n: u64| F::from(2_u64).pow([n]);
        assert_eq!(value::<F>(F::P), F::ZERO);
        assert_eq!(value::<F>(F::COMPLEMENT), power(260));
        assert_eq!(value::<F>(F::ONE_LIMBS), power(260));
        assert_eq!(value::<F>(F::FROM_ARK), power(264));
        assert_eq!(value::<F>(F::TO_ARK), power(256));
        assert_eq!(value::<F>(F::FROM_INTEGER), power(520));
        assert_eq!(value::<F>(F::STEP), power(52).inverse().unwrap());
        assert_eq!(
            F::P[0].wrapping_mul(F::NEGATIVE_INVERSE) & LIMB_MASK,
            LIMB_MASK
        );
        for k in [1, 2, 3, 64, 512] {
            assert_eq!(value::<F>(multiple(F::P, k)), F::ZERO);
            let loans = multiple_with_loans(F::P, k);
            assert_eq!(value::<F>(loans), F::ZERO);
            assert!(loans[..4].iter().all(|limb| *limb >= k << LIMB_BITS));
            // What is left of the top limb covers that of (k - 1) p.
            assert!(loans[4] > multiple(F::P, k - 1)[4]);
        }
        // ⌊2^300 / p⌋ p + (2^300 mod p) = 2^300.
        let mut carry = 0;
        for (p, rest) in F::P.iter().zip(power_of_two(300, F::P)) {
            let sum = u128::from(*p) * u128::from(F::RECIPROCAL) + u128::from(rest) + carry;
            assert_eq!(sum as u64 & LIMB_MASK, 0);
            carry = sum >> LIMB_BITS;
        }
        assert_eq!(carry, 1 << 40);
    }

    #[test]
    fn the_constants_of_both_fields_are_what_their_names_say() {
        check::<Fr>();
        check::<Fq>();
    }
}
