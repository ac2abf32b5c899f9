//! Numbers as bits.

use super::synthesizer::{Rule, Synthesizer, Wire};
use crate::field::{self, Fr};
use ark_ff::{Field, PrimeField};

/// Bits of the canonical representation of a field element.
pub(super) const FIELD_BITS: usize = 254;

/// The 254 bits of `value`, least significant first, as the number below r that they must be.
///
/// Walking down from the top bit, `run` says whether every set bit of r - 1 so far is matched by a 1. Where r - 1 has a
/// 1, the bit is boolean and extends the run; where it has a 0, `(1 - run - b) b = 0` makes b boolean while there is no
/// run and 0 while there is one, so the number never exceeds r - 1. Zcash protocol specification, appendix A.3.2.2.
///
/// 254 constraints, one fewer than the set bits of r - 1, and one for the sum.
pub(super) fn canonical<S: Synthesizer>(cs: &mut S, value: &S::Number) -> Vec<S::Number> {
    let bits: [S::Number; FIELD_BITS] = cs.derive(Wire::SeedBit, &[value], |v| {
        let limbs = v[0].into_bigint();
        std::array::from_fn(|k| Fr::from(field::bit(&limbs, k)))
    });
    let top = (-Fr::ONE).into_bigint();
    let mut run: Option<S::Number> = None;
    for (k, bit) in bits.iter().enumerate().rev() {
        match (&run, field::bit(&top, k)) {
            (Some(run), false) => below_order(cs, run, bit),
            // Above the top bit of r - 1 there is none: both numbers have 254 bits.
            (None, false) => below_order(cs, &cs.constant(Fr::ONE), bit),
            (None, true) => {
                boolean(cs, bit);
                run = Some(bit.clone());
            }
            (Some(before), true) => {
                boolean(cs, bit);
                let [after] = cs.derive(Wire::Run, &[before, bit], |v| [v[0] * v[1]]);
                cs.enforce(Rule::Run, |_| [before.clone(), bit.clone(), after.clone()]);
                run = Some(after);
            }
        }
    }
    cs.enforce(Rule::Recompose, |cs| {
        [cs.weighted(&bits), cs.constant(Fr::ONE), value.clone()]
    });
    bits.to_vec()
}

/// b·b = b.
pub(super) fn boolean<S: Synthesizer>(cs: &mut S, bit: &S::Number) {
    cs.enforce(Rule::Boolean, |_| [bit.clone(), bit.clone(), bit.clone()]);
}

fn below_order<S: Synthesizer>(cs: &mut S, run: &S::Number, bit: &S::Number) {
    cs.enforce(Rule::BelowOrder, |cs| {
        let free = cs.sub(&cs.sub(&cs.constant(Fr::ONE), run), bit);
        [free, bit.clone(), cs.constant(Fr::default())]
    });
}
