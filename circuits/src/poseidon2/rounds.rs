//! How many rounds Poseidon2 needs: the inequalities of the paper, as its reference script evaluates them.
//!
//! The paper gives them as lower bounds on the full rounds for a number of partial ones; here each says how many rounds it
//! asks for, which is the same and shows the margin.
//!
//! Statistical, interpolation and Gröbner-basis bounds of the Poseidon paper (eprint 2019/458, section 5.5), the
//! binomial bound of eprint 2023/537, and the margin of two full rounds and 7.5% more partial ones.

/// Bits of security asked for.
pub const SECURITY_BITS: f64 = 128.0;
/// Exponent of the S-box.
const ALPHA: f64 = 5.0;
/// log2 of the group order of BN254.
const FIELD_BITS: f64 = 253.596_69;
/// The same, rounded up.
const FIELD_BITS_CEIL: f64 = 254.0;

/// Numbers of full and of partial rounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RoundNumbers {
    /// Rounds with an S-box in every lane.
    pub full: u32,
    /// Rounds with an S-box in the first lane.
    pub partial: u32,
}

/// The cheapest round numbers (fewest S-boxes) that satisfy every inequality for `width`, with the margin added.
#[must_use]
pub fn round_numbers(width: u32) -> RoundNumbers {
    let mut best = RoundNumbers {
        full: u32::MAX,
        partial: 0,
    };
    let mut best_cost = u32::MAX;
    for partial in 1..500 {
        for full in (4..100).step_by(2) {
            if !resists(width, full, partial) {
                continue;
            }
            let candidate = RoundNumbers {
                full: full + 2,
                partial: (partial * 1075).div_ceil(1000),
            };
            let cost = width * candidate.full + candidate.partial;
            if cost < best_cost || (cost == best_cost && candidate.full < best.full) {
                (best, best_cost) = (candidate, cost);
            }
        }
    }
    best
}

/// What each inequality asks of a width, before the margin, and what the binomial bound of given rounds is.
///
/// All are bounds for attacks that solve for one lane or more of a fixed output. The mode in use fixes one lane and frees
/// all others, for which the paper has no inequality of its own; [`attacks`](super::attacks) computes what the free lanes are worth.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bounds {
    /// Full rounds against statistical attacks.
    pub statistical: f64,
    /// Rounds of both kinds against interpolation.
    pub interpolation: f64,
    /// Rounds of both kinds against a Gröbner basis for the whole permutation.
    pub groebner_whole: f64,
    /// Rounds of both kinds against a Gröbner basis that skips partial rounds along a subspace.
    pub groebner_subspace: f64,
    /// (t - 1) times the full rounds plus the partial ones, against a Gröbner basis with a variable for each S-box.
    pub groebner_rounds: f64,
}

impl Bounds {
    /// The bounds for a width.
    #[must_use]
    pub fn new(width: u32) -> Self {
        let t = f64::from(width);
        let log_alpha = |x: f64| x.ln() / ALPHA.ln();
        let per_bit = log_alpha(2.0);
        let reach = (FIELD_BITS - (ALPHA - 1.0) / 2.0).floor() * (t + 1.0);
        Self {
            statistical: if SECURITY_BITS <= reach { 6.0 } else { 10.0 },
            interpolation: 1.0
                + (per_bit * SECURITY_BITS.min(FIELD_BITS_CEIL)).ceil()
                + log_alpha(t).ceil(),
            groebner_whole: (per_bit * SECURITY_BITS.min(FIELD_BITS)).ceil(),
            groebner_subspace: (t - 1.0
                + per_bit * (SECURITY_BITS / (t + 1.0)).min(FIELD_BITS / 2.0))
            .ceil(),
            groebner_rounds: (t - 2.0 + SECURITY_BITS / (2.0 * ALPHA.log2())).ceil(),
        }
    }

    /// Rounds of both kinds that satisfy every inequality.
    #[must_use]
    pub fn rounds(&self) -> f64 {
        self.interpolation
            .max(self.groebner_whole)
            .max(self.groebner_subspace)
    }
}

/// Cost of a Gröbner basis attack by the binomial bound of eprint 2023/537, with ω = 2 as the reference script has it.
#[must_use]
pub fn binomial_bits(width: u32, full: u32, partial: u32) -> f64 {
    let third = width / 3;
    let under = third * full / 2 + partial + 5;
    let chosen = (full - 1) * width + partial + third;
    2.0 * log2_binomial(under + chosen, chosen)
}

/// Whether every attack the inequalities are about costs at least 2^128.
fn resists(width: u32, full: u32, partial: u32) -> bool {
    let bounds = Bounds::new(width);
    let (t, rf, rp) = (f64::from(width), f64::from(full), f64::from(partial));
    rf >= bounds.statistical
        && rf + rp >= bounds.rounds()
        && (t - 1.0) * rf + rp >= bounds.groebner_rounds
        && binomial_bits(width, full, partial) >= SECURITY_BITS
}

fn log2_binomial(n: u32, k: u32) -> f64 {
    (1..=k)
        .map(|i| (f64::from(n - k + i) / f64::from(i)).log2())
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::poseidon2::{FULL_ROUNDS, partial_rounds};

    #[test]
    fn there_are_at_least_as_many_rounds_as_the_script_asks_for() {
        for (width, more) in [(8, 1), (16, 10)] {
            let rounds = round_numbers(width);
            assert_eq!(rounds.full as usize, FULL_ROUNDS);
            assert_eq!(
                rounds.partial as usize + more,
                partial_rounds(width as usize)
            );
        }
    }

    #[test]
    fn the_published_instances_come_out() {
        // Table 1 of eprint 2023/323 and the reference implementation, BN254.
        for width in [2, 3, 4] {
            assert_eq!(
                round_numbers(width),
                RoundNumbers {
                    full: 8,
                    partial: 56
                }
            );
        }
        assert_eq!(
            round_numbers(12),
            RoundNumbers {
                full: 8,
                partial: 57
            }
        );
    }

    /// What is left between the numbers in use and the inequalities: two full rounds, and five or fourteen partial ones.
    #[test]
    fn the_margins_over_the_inequalities_are_those_of_the_record() {
        for (width, subspace, rounds, all, weighted) in
            [(8, 14.0, 34.0, 66.0, 114.0), (16, 19.0, 42.0, 75.0, 187.0)]
        {
            let expected = Bounds {
                statistical: 6.0,
                interpolation: 59.0,
                groebner_whole: 56.0,
                groebner_subspace: subspace,
                groebner_rounds: rounds,
            };
            let bounds = Bounds::new(width);
            assert_eq!(bounds, expected);
            assert!(all - bounds.rounds() >= 7.0 && weighted > bounds.groebner_rounds);
        }
        assert_eq!(binomial_bits(8, 8, 58).round(), 350.0);
        assert_eq!(binomial_bits(16, 8, 67).round(), 498.0);
    }

    #[test]
    fn one_round_less_before_the_margin_would_not_do() {
        for width in [8, 16] {
            assert!(resists(width, 6, 53));
            assert!(!resists(width, 6, 52));
            assert!(!resists(width, 4, 400));
        }
    }
}
