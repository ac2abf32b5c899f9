//! The lanes against arkworks, on words that check themselves and on the processor's.
#![allow(clippy::unwrap_used, clippy::cast_possible_truncation)]

mod arithmetic;
mod bounds;
mod extension;
mod hashing;
mod once;
mod selection;

use super::{
    checked::CheckedWords,
    lanes::Lanes,
    modulus::{LIMB_BITS, LIMB_MASK, LIMBS, LaneField, Limbs, multiple},
    words::{LANES, Words},
};
use crate::{
    kernel::Kernel,
    skips::{NO_IFMA, skipped},
};
use rand::{SeedableRng, rngs::StdRng};

/// Every kernel of this processor; what is left out is said with the test's name.
pub(crate) fn kernels(test: &str) -> Vec<Kernel> {
    let ifma = Kernel::ifma();
    if ifma.is_none() {
        skipped(&format!("{test} on ifma"), NO_IFMA);
    }
    [Some(Kernel::Scalar), ifma].into_iter().flatten().collect()
}

/// A check that runs on any words.
pub(crate) trait Check {
    /// Panics if something is wrong.
    fn run<W: Words>(&self, backend: W::Backend);
}

/// Runs a check on both implementations, and says so by name where the processor lacks one.
pub(crate) fn everywhere(name: &str, check: &impl Check) {
    check.run::<CheckedWords>(());
    on_ifma(name, check);
}

#[cfg(target_arch = "x86_64")]
fn on_ifma(name: &str, check: &impl Check) {
    match super::Ifma::detect() {
        Some(ifma) => ifma.run(|| check.run::<super::ifma::Words512>(ifma)),
        None => skipped(&format!("{name} on ifma"), NO_IFMA),
    }
}

#[cfg(not(target_arch = "x86_64"))]
fn on_ifma(name: &str, _: &impl Check) {
    skipped(&format!("{name} on ifma"), NO_IFMA);
}

pub(crate) fn random() -> StdRng {
    StdRng::seed_from_u64(0x50524f42)
}

/// 0, 1, 2, p - 1, p - 2 and random elements, a multiple of eight in all.
pub(crate) fn elements<F: LaneField>() -> Vec<F> {
    let mut rng = random();
    let edges = [F::ZERO, F::ONE, F::from(2_u64), -F::ONE, -F::from(2_u64)];
    let others = std::iter::repeat_with(|| F::rand(&mut rng));
    edges.into_iter().chain(others).take(4 * LANES).collect()
}

/// `value` modulo p, read as limbs of 52 bits that may be longer.
pub(crate) fn modulo<F: LaneField>(limbs: Limbs) -> F {
    let radix = F::from(1_u64 << LIMB_BITS);
    limbs
        .iter()
        .rev()
        .fold(F::ZERO, |sum, limb| sum * radix + F::from(*limb))
}

/// The limbs of one lane.
pub(crate) fn lane<F: LaneField, W: Words>(lanes: &Lanes<F, W>, lane: usize) -> Limbs {
    lanes.limbs.map(|word| {
        let mut words = [0; LANES];
        word.store(&mut words);
        words[lane]
    })
}

/// Representations, below 64 p, at which a mistake would show: around multiples of p and with limbs at their bounds.
pub(crate) fn representations<F: LaneField>() -> Vec<Limbs> {
    let around = [1, 2, 3, 4, 5, 16, 63, 64].into_iter().flat_map(|k| {
        let below = minus_one(multiple(F::P, k));
        let at = (k < 64).then_some(multiple(F::P, k));
        [Some(below), at].into_iter().flatten()
    });
    let top = multiple(F::P, 64)[4] - 1;
    let fixed = [
        [0; LIMBS],
        [1, 0, 0, 0, 0],
        [0, 0, 0, 0, top],
        [LIMB_MASK, LIMB_MASK, LIMB_MASK, LIMB_MASK, 0],
        [LIMB_MASK, LIMB_MASK, LIMB_MASK, LIMB_MASK, top],
        [0, LIMB_MASK, 0, LIMB_MASK, 1],
        [LIMB_MASK, 0, LIMB_MASK, 0, top / 3],
    ];
    around.chain(fixed).collect()
}

fn minus_one(limbs: Limbs) -> Limbs {
    let mut limbs = limbs;
    for limb in &mut limbs {
        if *limb > 0 {
            *limb -= 1;
            break;
        }
        *limb = LIMB_MASK;
    }
    limbs
}

/// Lanes that hold these representations as they are.
pub(crate) fn raw<F: LaneField, W: Words>(
    backend: W::Backend,
    numbers: &[Limbs; LANES],
) -> Lanes<F, W> {
    Lanes::from_limbs::<{ 64 * 32 }>(words(backend, numbers))
}

/// Vectors whose lane i are the limbs `numbers[i]`.
pub(crate) fn words<W: Words>(backend: W::Backend, numbers: &[Limbs; LANES]) -> [W; LIMBS] {
    std::array::from_fn(|k| W::load(backend, &numbers.map(|limbs| limbs[k])))
}

/// Whether a < k p.
pub(crate) fn below<F: LaneField>(limbs: Limbs, k: u64) -> bool {
    limbs.iter().rev().lt(multiple(F::P, k).iter().rev())
}
