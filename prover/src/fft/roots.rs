//! Powers of roots of unity, in the order in which the passes want them.

use super::packed::Packed;
use crate::kernel::{LANES, LaneField, modulus::Limbs};
use ark_bn254::Fr;
use ark_ff::{FftField, Field};
use rayon::prelude::*;

/// Class, modulo eight, of the coefficients that each lane holds: three bits in reverse.
pub(super) const CLASSES: [usize; LANES] = [0, 4, 2, 6, 1, 5, 3, 7];

/// From values to coefficients or back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Direction {
    /// Coefficients to values.
    Evaluate,
    /// Values to coefficients.
    Interpolate,
}

/// What one transform of size n multiplies by, between coefficients and values at the places `g w^i`, with w of order n.
///
/// With e = 1 for evaluation and e = -1 for interpolation, and ω = w^8, whose order is the number of vectors:
pub(super) struct Roots {
    /// At `m/2 + k`, for m = 2, 4, …, n/8 and k < m/2: `(g^(n/m) ω_m^k)^e` with ω_m of order m.
    layers: Vec<Limbs>,
    /// Row J: `ω^(e J s)` for the class s of each lane but the first, whose class is 0.
    pub(super) steps: Vec<[Limbs; LANES - 1]>,
    /// Vector l, lane m: `(g w^m)^(e s)` for the class s of lane l; for interpolation divided by n.
    pub(super) spread: [Packed; LANES],
    /// `w_8^(e k)` for k < 4, with w_8 of order 8.
    pub(super) eighths: [Limbs; LANES / 2],
}

impl Roots {
    /// The roots for the places `shift w^i`, i < `size`.
    ///
    /// Requires a power of two from 8 to 2^28, and a shift that is not 0.
    pub(super) fn new(size: usize, shift: Fr, direction: Direction) -> Self {
        let directed = |x: Fr| match direction {
            Direction::Evaluate => x,
            Direction::Interpolate => x.inverse().unwrap_or_default(),
        };
        let shift = directed(shift);
        let root = |order: usize| {
            directed(Fr::get_root_of_unity(order as u64).expect("the order of Fr allows 2^28"))
        };
        let vectors = size / LANES;

        let mut layers = vec![Limbs::default(); vectors];
        let mut m = 2;
        while m <= vectors {
            let first = shift.pow([(size / m) as u64]);
            powers(&mut layers[m / 2..m], first, root(m), |x| x.lane_limbs());
            m *= 2;
        }
        let mut steps = vec![Default::default(); vectors.div_ceil(LANES)];
        powers(&mut steps, Fr::ONE, root(vectors), |x| {
            let mut power = *x;
            let mut row = [Limbs::default(); LANES - 1];
            // Reversing bits is its own inverse, so what belongs to class k stands at CLASSES[k].
            for lane in CLASSES.into_iter().skip(1) {
                row[lane - 1] = power.lane_limbs();
                power *= x;
            }
            row
        });
        let scale = match direction {
            Direction::Evaluate => Fr::ONE,
            Direction::Interpolate => directed(Fr::from(size as u64)),
        };
        let w = root(size);
        let spread = CLASSES.map(|class| {
            let place = |m: usize| (shift * w.pow([m as u64])).pow([class as u64]) * scale;
            Packed::from_fields(&std::array::from_fn(place))
        });
        let w8 = root(LANES);
        let eighths = std::array::from_fn(|k| w8.pow([k as u64]).lane_limbs());
        Self {
            layers,
            steps,
            spread,
            eighths,
        }
    }

    /// The roots of the layer in which parts of m vectors are split or joined.
    #[inline(always)]
    pub(super) fn layer(&self, m: usize) -> &[Limbs] {
        &self.layers[m / 2..m]
    }
}

/// `of(first), of(first root), of(first root²), …`, on all threads.
fn powers<T: Send>(target: &mut [T], first: Fr, root: Fr, of: impl Fn(&Fr) -> T + Sync) {
    const CHUNK: usize = 1 << 10;
    target
        .par_chunks_mut(CHUNK)
        .enumerate()
        .for_each(|(chunk, target)| {
            let mut power = first * root.pow([(chunk * CHUNK) as u64]);
            for target in target {
                *target = of(&power);
                power *= root;
            }
        });
}
