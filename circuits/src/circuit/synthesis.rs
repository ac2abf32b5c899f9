//! The whole statement, described once.

use super::{
    permutation::{compress_8, compress_16},
    selection,
    synthesizer::{Rule, Synthesizer, Wire},
};
use crate::{
    field::Fr,
    profile::Profile,
    statement::{PUBLIC_INPUTS, Private},
    storage::SHARD_LEVELS,
    tree::{self, ARITY, Siblings},
};
use ark_ff::Field;

/// Describes the circuit of a profile. The witness is only looked at where values are computed.
pub(super) fn synthesize<S: Synthesizer>(cs: &mut S, profile: &Profile, private: Option<&Private>) {
    let [inventory_root, shard_count, seed]: [S::Number; PUBLIC_INPUTS.len()] =
        std::array::from_fn(|index| cs.public(index));
    selection::count_within_capacity(cs, &shard_count, profile.depth());
    let places = selection::places(cs, profile.samples(), profile.depth(), &shard_count, &seed);
    cs.openings(&places, |cs, j, place| {
        let witness = private.map(|private| &private.samples[j]);
        let cell = cs.derive(Wire::Cell, &[], |_| {
            witness.map_or_else(Default::default, |w| w.cell)
        });
        let mut node = compress_16(cs, &cell);
        for level in 0..SHARD_LEVELS + profile.depth() {
            let siblings = witness.map(|w| match level.checked_sub(SHARD_LEVELS) {
                None => &w.shard_path[level],
                Some(above) => &w.inventory_path[above],
            });
            let bits = if level < SHARD_LEVELS {
                &place.cell[3 * level..]
            } else {
                &place.shard[3 * (level - SHARD_LEVELS)..]
            };
            node = parent(cs, &node, &bits[..3], siblings);
        }
        let root = inventory_root.clone();
        cs.enforce(Rule::Root, |cs| [node, cs.constant(Fr::ONE), root]);
    });
}

/// The node above `node`, which is its child at the position given by three bits.
///
/// All eight children are variables; the bits choose one of them, halving the candidates with each bit, and the last
/// choice must be `node`. 4 + 2 + 1 constraints to choose, 366 to hash.
fn parent<S: Synthesizer>(
    cs: &mut S,
    node: &S::Number,
    position: &[S::Number],
    siblings: Option<&Siblings>,
) -> S::Number {
    let [low, middle, high] = position else {
        unreachable!("three bits choose among eight")
    };
    let children: [S::Number; ARITY] = cs.derive(Wire::Child, &[node, low, middle, high], |v| {
        let position = (0..3).filter(|k| v[1 + k] == Fr::ONE).map(|k| 1 << k).sum();
        siblings.map_or_else(Default::default, |siblings| {
            tree::children(v[0], siblings, position)
        })
    });
    let quarter: Vec<_> = children
        .chunks_exact(2)
        .map(|pair| choose(cs, low, pair))
        .collect();
    let pair: Vec<_> = quarter
        .chunks_exact(2)
        .map(|pair| choose(cs, middle, pair))
        .collect();
    choose_exactly(cs, high, &pair, node);
    compress_8(cs, &children)
}

/// `pair[bit]`, as a new variable.
fn choose<S: Synthesizer>(cs: &mut S, bit: &S::Number, pair: &[S::Number]) -> S::Number {
    let from = [&pair[0], &pair[1], bit];
    let [chosen] = cs.derive(Wire::Chosen, &from, |v| [v[0] + (v[1] - v[0]) * v[2]]);
    choose_exactly(cs, bit, pair, &chosen);
    chosen
}

/// (right - left)·bit = chosen - left.
fn choose_exactly<S: Synthesizer>(
    cs: &mut S,
    bit: &S::Number,
    pair: &[S::Number],
    chosen: &S::Number,
) {
    cs.enforce(Rule::Select, |cs| {
        [
            cs.sub(&pair[1], &pair[0]),
            bit.clone(),
            cs.sub(chosen, &pair[0]),
        ]
    });
}
