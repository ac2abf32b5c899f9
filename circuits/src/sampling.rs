//! Which cells a node must open: a function of the epoch's seed and of how many shards it stores.
//!
//! `y_i = P16(seed, i, 0, …, 0) + (seed, i, 0, …, 0)`; sample `64 i + 4 l + t` takes bits `52 t … 52 t + 51` of the
//! canonical representation of lane `l` of `y_i`. The low 40 bits times the shard count give
//! `shard · 2^40 + rest`; the high 12 bits are the cell. The bias of the shard index is below 2^-40 times the count.
//!
//! Protocol: section 4.

use crate::{
    field::{self, Fr},
    poseidon2,
    profile::Profile,
};
use ark_ff::PrimeField;

/// Bits of a lane that pick a shard.
pub const SHARD_BITS: usize = 40;
/// Bits of a lane that pick a cell.
pub const CELL_BITS: usize = 12;
/// Bits of a lane that one sample takes.
pub const SAMPLE_BITS: usize = SHARD_BITS + CELL_BITS;
/// Samples taken from one lane.
pub const LANE_SAMPLES: usize = 4;
/// Samples taken from one permutation.
pub const BLOCK_SAMPLES: usize = 16 * LANE_SAMPLES;
/// Greatest depth of an inventory for which the 40 random bits still pick evenly (2^-10 at worst).
pub const MAX_DEPTH: u8 = 10;

/// A cell that must be opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Sample {
    /// Index of the shard in the inventory.
    pub shard: u64,
    /// Index of the cell in the shard.
    pub cell: u16,
}

/// The cells that `seed` selects among the cells of `shard_count` shards, in order; they may repeat.
///
/// With a count of 0 there is nothing to select: the answer is empty.
#[must_use]
pub fn select(seed: Fr, shard_count: u64, profile: &Profile) -> Vec<Sample> {
    if shard_count == 0 {
        return Vec::new();
    }
    (0..profile.samples().div_ceil(BLOCK_SAMPLES))
        .flat_map(|block| lanes(seed, block))
        .flat_map(|lane| lane_samples(lane, shard_count))
        .take(profile.samples())
        .collect()
}

/// The 16 lanes of `y_block`.
pub(crate) fn lanes(seed: Fr, block: usize) -> [Fr; 16] {
    let mut input = [Fr::default(); 16];
    input[0] = seed;
    input[1] = Fr::from(block as u64);
    poseidon2::feed_forward_16(&input)
}

fn lane_samples(lane: Fr, shard_count: u64) -> [Sample; LANE_SAMPLES] {
    let bits = lane.into_bigint();
    let number = |from: usize, width: usize| {
        (0..width).fold(0, |sum, k| {
            sum | u64::from(field::bit(&bits, from + k)) << k
        })
    };
    std::array::from_fn(|t| {
        let at = SAMPLE_BITS * t;
        let product = u128::from(number(at, SHARD_BITS)) * u128::from(shard_count);
        let cell = number(at + SHARD_BITS, CELL_BITS);
        #[expect(
            clippy::cast_possible_truncation,
            reason = "40 + 64 - 40 bits, and 12 bits"
        )]
        Sample {
            shard: (product >> SHARD_BITS) as u64,
            cell: cell as u16,
        }
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::cast_possible_truncation)]
    use super::*;
    use crate::storage::SHARD_CELLS;
    use std::collections::HashSet;

    #[test]
    fn samples_stay_within_the_inventory_and_depend_on_the_seed() {
        let profile = Profile::new("many", 8, 200);
        for count in [1, 2, 3, 63, 64, 1_000_003, 1 << 24] {
            let picked = select(Fr::from(5u64), count, &profile);
            assert_eq!(picked.len(), 200);
            for sample in &picked {
                assert!(sample.shard < count && usize::from(sample.cell) < SHARD_CELLS);
            }
            assert_ne!(picked, select(Fr::from(6u64), count, &profile));
            let distinct: HashSet<_> = picked.iter().collect();
            assert!(distinct.len() > 150, "samples hardly ever repeat");
        }
        assert!(select(Fr::from(5u64), 0, &profile).is_empty());
    }

    #[test]
    fn a_longer_selection_extends_a_shorter_one() {
        let long = select(Fr::from(9u64), 1000, &Profile::new("long", 8, 130));
        let short = select(Fr::from(9u64), 1000, &Profile::new("short", 8, 7));
        assert_eq!(long[..7], short);
    }

    #[test]
    fn every_shard_and_every_cell_is_picked_equally_often() {
        let profile = Profile::new("even", 2, 640);
        let (mut shards, mut eighths) = ([0f64; 48], [0f64; 64]);
        for seed in 0..100u64 {
            for sample in select(Fr::from(seed), 48, &profile) {
                shards[sample.shard as usize] += 1.0;
                eighths[usize::from(sample.cell) / 64] += 1.0;
            }
        }
        // Chi-square of n-1 degrees of freedom has mean n-1 and variance 2(n-1); six deviations are never chance.
        for bins in [&shards[..], &eighths[..]] {
            let expected = 64_000.0 / bins.len() as f64;
            let chi: f64 = bins.iter().map(|n| (n - expected).powi(2) / expected).sum();
            let freedom = bins.len() as f64 - 1.0;
            assert!(
                (chi - freedom).abs() < 6.0 * (2.0 * freedom).sqrt(),
                "chi-square {chi}"
            );
        }
    }

    #[test]
    fn silent_loss_is_caught_at_the_calculated_rate() {
        const SHARDS: u64 = 40;
        const EPOCHS: u64 = 4000;
        let profile = Profile::new("loss", 2, 100);
        for (percent, lost) in [(1u64, 0.01f64), (5, 0.05)] {
            // Lost cells are spread by a fixed stride that has nothing to do with the sampler.
            let is_lost = |s: &Sample| {
                let cell = s.shard * SHARD_CELLS as u64 + u64::from(s.cell);
                cell * 7919 % 100 < percent
            };
            for samples in [10usize, 100] {
                let caught = (0..EPOCHS)
                    .map(|epoch| select(Fr::from(epoch), SHARDS, &profile))
                    .filter(|picked| picked[..samples].iter().any(is_lost))
                    .count() as f64;
                let rate = 1.0 - (1.0 - lost).powi(samples as i32);
                let deviation = (EPOCHS as f64 * rate * (1.0 - rate)).sqrt();
                let expected = EPOCHS as f64 * rate;
                assert!(
                    (caught - expected).abs() < 5.0 * deviation + 1.0,
                    "{percent}% lost, {samples} samples: caught {caught}, expected {expected}"
                );
            }
        }
    }
}
