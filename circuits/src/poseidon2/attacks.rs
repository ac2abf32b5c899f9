//! What known algebraic attacks cost against the instances in use: each as the logarithm of a degree, or of a count of
//! field operations, by the attack's own formula.
//!
//! The mode is one output lane of `P(x) + x` with every input lane free. There is no capacity that would have to be met, so an
//! attacker has one equation and t unknowns, and may spend t - 1 of them on making rounds linear. All functions take the
//! mode so. Degrees are those of a polynomial in one unknown whose root is a preimage. Finding it takes at least one field
//! operation and one stored element for each coefficient, so they are lower estimates for these attacks, whatever is improved in
//! root finding (Graeffe transforms: eprint 2025/937, 2025/950). They are no lower bounds for attacks nobody knows.
//!
//! What the numbers mean is written in `docs/adr/0012-poseidon2-margins.md`.

use super::{FULL_ROUNDS, partial_rounds};

/// Exponent of the S-box.
const ALPHA: f64 = 5.0;
/// Full rounds before the partial ones.
const FIRST_FULL: usize = FULL_ROUNDS / 2;
/// log2 of the group order of BN254.
const FIELD_BITS: f64 = 253.596_69;

/// Evaluations for a collision with probability one half, 1.18 times the square root of the field: about 2^127.
#[must_use]
pub fn birthday_bits() -> f64 {
    FIELD_BITS / 2.0 + (2.0 * 2f64.ln()).sqrt().log2()
}

/// log2 of the degree when `skipped` of all rounds of a width are linear in the unknown.
///
/// # Panics
/// If more rounds are skipped than there are.
#[must_use]
pub fn univariate_degree_bits(width: usize, skipped: usize) -> f64 {
    let rounds = FULL_ROUNDS + partial_rounds(width);
    assert!(skipped <= rounds, "{skipped} of {rounds} rounds");
    bits(rounds - skipped)
}

/// The oldest trick: two rounds for one constrained lane, whatever the matrices (Bariant, Bouvier, Leurent, Perrin, ToSC 2022/3).
#[must_use]
pub fn two_round_skip_bits(width: usize) -> f64 {
    univariate_degree_bits(width, 2)
}

/// Opposite blocks (eprint 2026/306): a full round for each four lanes.
#[must_use]
pub fn block_skip_bits(width: usize) -> f64 {
    univariate_degree_bits(width, FIRST_FULL.min(width / 4))
}

/// The same where it passes all full rounds before the partial ones, with each dimension that is left of the block spent on
/// one more partial round: five, as `layers.rs` shows. Beyond what is known: four full rounds take more free lanes than the
/// feed-forward leaves.
#[must_use]
pub fn block_skip_and_partial_bits(width: usize) -> f64 {
    let full = FIRST_FULL.min(width / 4);
    let partial = if full == FIRST_FULL { 5 } else { 0 };
    univariate_degree_bits(width, full + partial)
}

/// Every full round before the partial ones and t - 1 partial rounds, as if no free lane had to be spent twice. Nobody
/// can do this: it takes 4 lanes a full round and one a partial round, of t - 1. The rounds are chosen so that even this is no cheaper
/// than the birthday bound: margins rest on the number of rounds alone, not on counting lanes.
#[must_use]
pub fn everything_at_once_bits(width: usize) -> f64 {
    univariate_degree_bits(width, FIRST_FULL + width - 1)
}

/// How many partial rounds a subspace trail makes cheap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trail {
    /// One for each free lane: eprint 2025/954.
    Linear,
    /// Two for each free lane, under constraints of the S-box's degree: eprint 2026/1792.
    Nonlinear,
}

/// A Gröbner basis attack that starts before a trail in the partial rounds and gives the t lanes there variables of their own:
/// log2 of the square of the size of the Macaulay matrix at the regular degree, for the cheapest place of the trail.
///
/// "Forward with substitution" in section 4.1 of eprint 2026/1792, without capacity and with one output lane, ω = 2.
#[must_use]
pub fn trail_attack_bits(instance: Instance, trail: Trail) -> f64 {
    let Instance {
        width,
        capacity,
        first_full,
        last_full,
        partial,
    } = instance;
    let constraints = width - capacity - 1;
    let (covered, least, extra_variables, extra_degrees) = match trail {
        Trail::Linear => (constraints, constraints, 1, 0.0),
        Trail::Nonlinear => (
            2 * constraints,
            2 * constraints + 1,
            1 + constraints,
            constraints as f64 * ALPHA,
        ),
    };
    (0..=partial.saturating_sub(least))
        .map(|before| {
            let lanes = width as f64 * power(first_full + before);
            let output = power(last_full + (partial - before).saturating_sub(covered));
            let degrees = lanes + output + extra_degrees;
            2.0 * log2_binomial(degrees + 1.0, width + extra_variables)
        })
        .fold(f64::INFINITY, f64::min)
}

/// What an attack by trails sees of an instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Instance {
    /// Lanes.
    pub width: usize,
    /// Lanes of the input that are fixed.
    pub capacity: usize,
    /// Full rounds before the partial ones.
    pub first_full: usize,
    /// Full rounds after them.
    pub last_full: usize,
    /// Partial rounds.
    pub partial: usize,
}

impl Instance {
    /// Ours of this width.
    #[must_use]
    pub const fn ours(width: usize) -> Self {
        Self {
            width,
            capacity: 0,
            first_full: FIRST_FULL,
            last_full: FULL_ROUNDS - FIRST_FULL,
            partial: partial_rounds(width),
        }
    }
}

fn bits(rounds: usize) -> f64 {
    rounds as f64 * ALPHA.log2()
}

fn power(rounds: usize) -> f64 {
    bits(rounds).exp2()
}

fn log2_binomial(n: f64, k: usize) -> f64 {
    (0..k)
        .map(|i| ((n - i as f64) / (i + 1) as f64).log2())
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rounded(bits: f64) -> f64 {
        (bits * 10.0).round() / 10.0
    }

    /// The table of the decision record.
    #[test]
    fn the_margins_are_those_of_the_record() {
        let both = |cost: fn(usize) -> f64| [16, 8].map(|width| rounded(cost(width)));
        assert_eq!(rounded(birthday_bits()), 127.0);
        assert_eq!(
            both(|width| univariate_degree_bits(width, 0)),
            [174.1, 153.2]
        );
        assert_eq!(both(two_round_skip_bits), [169.5, 148.6]);
        assert_eq!(both(block_skip_bits), [164.9, 148.6]);
        assert_eq!(both(block_skip_and_partial_bits), [153.2, 148.6]);
        assert_eq!(both(everything_at_once_bits), [130.0, 127.7]);
    }

    #[test]
    fn not_even_what_cannot_be_combined_is_cheaper_than_a_collision_by_birthday() {
        for width in [8, 16] {
            assert!(everything_at_once_bits(width) > birthday_bits());
        }
    }

    #[test]
    fn no_known_attack_is_below_128_bits() {
        for width in [8, 16] {
            let instance = Instance::ours(width);
            let costs = [
                two_round_skip_bits(width),
                block_skip_bits(width),
                block_skip_and_partial_bits(width),
                trail_attack_bits(instance, Trail::Linear),
                trail_attack_bits(instance, Trail::Nonlinear),
            ];
            assert!(costs.iter().all(|&cost| cost >= 128.0), "{costs:?}");
            assert!(
                costs.iter().all(|&cost| cost > birthday_bits()),
                "{costs:?}"
            );
        }
    }

    /// The trails cover the partial rounds of neither instance: 15 and 31 of the 67 of width 16, 7 and 15 of the 58 of width 8.
    #[test]
    fn the_trail_attacks_are_far_from_the_univariate_ones() {
        let cost = |width, trail| trail_attack_bits(Instance::ours(width), trail).round();
        assert_eq!(cost(16, Trail::Linear), 2375.0);
        assert_eq!(cost(16, Trail::Nonlinear), 3315.0);
        assert_eq!(cost(8, Trail::Linear), 1242.0);
        assert_eq!(cost(8, Trail::Nonlinear), 1930.0);
    }

    /// Table C.1 of eprint 2026/1792, x^5 over a 256-bit field, 6 full rounds, width 4 with one lane of capacity: the attack
    /// costs 2^128 from 6 partial rounds on.
    #[test]
    fn the_formula_gives_the_published_table() {
        let cost = |partial| {
            let instance = Instance {
                width: 4,
                capacity: 1,
                first_full: 3,
                last_full: 3,
                partial,
            };
            trail_attack_bits(instance, Trail::Nonlinear)
        };
        assert_eq!(rounded(cost(5)), 117.4);
        assert_eq!(rounded(cost(6)), 138.0);
    }
}
