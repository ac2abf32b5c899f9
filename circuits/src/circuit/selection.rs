//! Which cells must be opened, in constraints: the twin of [`sampling`](crate::sampling).

use super::{
    bits,
    permutation::feed_forward_16,
    synthesizer::{Rule, Synthesizer, Wire},
};
use crate::{
    field::{self, Fr},
    sampling::{BLOCK_SAMPLES, CELL_BITS, LANE_SAMPLES, SAMPLE_BITS, SHARD_BITS},
};
use ark_ff::{BigInt, Field, PrimeField};

/// Place of one sample, as bits, least significant first.
pub(super) struct Place<N> {
    /// 12 bits.
    pub(super) cell: Vec<N>,
    /// 3D bits.
    pub(super) shard: Vec<N>,
}

/// Holds `shard_count` within 1 and the capacity 8^D: the 3D bits of the number below it are variables, and their sum is that
/// number. With a count of 0 every sample would select shard 0.
///
/// 3D + 1 constraints.
pub(super) fn count_within_capacity<S: Synthesizer>(
    cs: &mut S,
    shard_count: &S::Number,
    depth: usize,
) {
    let less_one = cs.add_constant(shard_count, -Fr::ONE);
    let bits: Vec<_> = (0..3 * depth)
        .map(|k| {
            let [bit] = cs.derive(Wire::CountBit, &[&less_one], |v| {
                [Fr::from(field::bit(&v[0].into_bigint(), k))]
            });
            bits::boolean(cs, &bit);
            bit
        })
        .collect();
    cs.enforce(Rule::Count, |cs| {
        [cs.weighted(&bits), cs.constant(Fr::ONE), less_one]
    });
}

/// The places of all samples.
pub(super) fn places<S: Synthesizer>(
    cs: &mut S,
    samples: usize,
    depth: usize,
    shard_count: &S::Number,
    seed: &S::Number,
) -> Vec<Place<S::Number>> {
    let mut places = Vec::with_capacity(samples);
    for block in 0..samples.div_ceil(BLOCK_SAMPLES) {
        let input = std::array::from_fn(|lane| match lane {
            0 => seed.clone(),
            1 => cs.constant(Fr::from(block as u64)),
            _ => cs.constant(Fr::default()),
        });
        for lane in feed_forward_16(cs, &input) {
            if places.len() == samples {
                break;
            }
            let bits = bits::canonical(cs, &lane);
            for chunk in bits.chunks_exact(SAMPLE_BITS).take(LANE_SAMPLES) {
                if places.len() < samples {
                    let (low, cell) = chunk.split_at(SHARD_BITS);
                    debug_assert_eq!(cell.len(), CELL_BITS);
                    let shard = scale(cs, low, shard_count, depth);
                    places.push(Place {
                        cell: cell.to_vec(),
                        shard,
                    });
                }
            }
        }
    }
    places
}

/// `low · shard_count = shard · 2^40 + rest`, shard in 3D bits and rest in 40.
///
/// For 1 <= shard_count <= 8^D, which [`count_within_capacity`] holds, both sides stay below 2^(40 + 3D) < r: nothing wraps
/// around, the division is the only solution, and low < 2^40 gives shard < shard_count.
///
/// 41 + 3D constraints.
fn scale<S: Synthesizer>(
    cs: &mut S,
    low: &[S::Number],
    shard_count: &S::Number,
    depth: usize,
) -> Vec<S::Number> {
    let number = cs.weighted(low);
    let from = [&number, shard_count];
    let bit = |v: &[Fr], k: usize| {
        let product: BigInt<4> = (v[0] * v[1]).into_bigint();
        [Fr::from(field::bit(&product, k))]
    };
    let mut make = |wire, k| {
        let [b] = cs.derive(wire, &from, |v| bit(v, k));
        bits::boolean(cs, &b);
        b
    };
    let rest: Vec<_> = (0..SHARD_BITS).map(|k| make(Wire::RestBit, k)).collect();
    let shard: Vec<_> = (0..3 * depth)
        .map(|k| make(Wire::ShardBit, SHARD_BITS + k))
        .collect();
    cs.enforce(Rule::Product, |cs| {
        let product = cs.weighted(&[&rest[..], &shard[..]].concat());
        [number.clone(), shard_count.clone(), product]
    });
    shard
}
