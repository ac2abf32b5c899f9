//! Columns filled, combined and read, number by number.

use super::{engine::Engine, packed::Packed, passes::strips, roots::CLASSES};
use crate::kernel::{LANES, LaneField, Lanes};
use ark_bn254::Fr;
use ark_ff::{AdditiveGroup, BigInt, Field};
use rayon::prelude::*;

/// Vectors that a thread works on at a time.
const CHUNK: usize = 1 << 6;

/// Which element each lane of a vector holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    /// That of values: vector j has the elements `j + lane n/8`.
    Natural,
    /// That of coefficients: all bits of the element's index reversed.
    Reversed,
}

/// The lowest `bits` bits in reverse.
fn reverse(value: usize, bits: u32) -> usize {
    value
        .reverse_bits()
        .checked_shr(usize::BITS - bits)
        .unwrap_or(0)
}

impl Order {
    /// The indices of the elements in vector j of so many.
    #[inline(always)]
    fn elements(self, j: usize, vectors: usize) -> [usize; LANES] {
        match self {
            Self::Natural => std::array::from_fn(|lane| j + lane * vectors),
            Self::Reversed => {
                let first = LANES * reverse(j, vectors.ilog2());
                CLASSES.map(|class| first + class)
            }
        }
    }
}

/// A column of so many vectors, element i being `of(i)`.
pub(super) fn fill<E: Engine>(
    engine: E,
    vectors: usize,
    order: Order,
    of: impl Fn(usize) -> Fr + Sync,
) -> Vec<Packed> {
    let mut column = vec![Packed::ZERO; vectors];
    column
        .par_chunks_mut(CHUNK)
        .enumerate()
        .for_each(|(chunk, targets)| {
            engine.run(
                #[inline(always)]
                || {
                    for (k, target) in targets.iter_mut().enumerate() {
                        let elements = order.elements(chunk * CHUNK + k, vectors);
                        let lanes = Lanes::<Fr, E::Words>::from_fields(engine, &elements.map(&of));
                        target.store(&lanes);
                    }
                },
            );
        });
    column
}

/// `a b`.
pub(super) fn product<E: Engine>(engine: E, a: &[Packed], b: &[Packed]) -> Vec<Packed> {
    let mut column = vec![Packed::ZERO; a.len()];
    column
        .par_chunks_mut(CHUNK)
        .zip(a.par_chunks(CHUNK).zip(b.par_chunks(CHUNK)))
        .for_each(|(targets, (a, b))| {
            engine.run(
                #[inline(always)]
                || {
                    for (target, (a, b)) in targets.iter_mut().zip(a.iter().zip(b)) {
                        target.store::<E::Words>(&a.load(engine).mul(&b.load(engine)));
                    }
                },
            );
        });
    column
}

/// The elements in their order, `of` giving the vectors one by one.
pub(super) fn elements<E: Engine, T: Copy + Send + Sync>(
    engine: E,
    vectors: usize,
    order: Order,
    empty: T,
    of: impl Fn(E, usize) -> [T; LANES] + Sync,
) -> Vec<T> {
    let mut elements = vec![empty; vectors * LANES];
    match order {
        Order::Natural => {
            strips(&mut elements, vectors, CHUNK)
                .into_par_iter()
                .enumerate()
                .for_each(|(strip, mut rows)| {
                    let width = rows.first().map_or(0, |row| row.len());
                    engine.run(
                        #[inline(always)]
                        || {
                            for k in 0..width {
                                let lanes = of(engine, strip * CHUNK + k);
                                for (row, element) in rows.iter_mut().zip(lanes) {
                                    row[k] = element;
                                }
                            }
                        },
                    );
                });
        }
        Order::Reversed => {
            let (groups, _) = elements.as_chunks_mut::<LANES>();
            groups
                .par_chunks_mut(CHUNK)
                .enumerate()
                .for_each(|(chunk, groups)| {
                    engine.run(
                        #[inline(always)]
                        || {
                            for (k, group) in groups.iter_mut().enumerate() {
                                let j = reverse(chunk * CHUNK + k, vectors.ilog2());
                                let lanes = of(engine, j);
                                for (class, element) in group.iter_mut().enumerate() {
                                    *element = lanes[CLASSES[class]];
                                }
                            }
                        },
                    );
                });
        }
    }
    elements
}

/// The elements as arkworks has them.
pub(super) fn fields<E: Engine>(engine: E, column: &[Packed], order: Order) -> Vec<Fr> {
    elements(
        engine,
        column.len(),
        order,
        Fr::ZERO,
        #[inline(always)]
        |engine, j| column[j].load::<E::Words>(engine).to_fields(),
    )
}

/// `a b - c` as canonical integers, for three columns of values.
pub(super) fn product_less<E: Engine>(engine: E, [a, b, c]: [&[Packed]; 3]) -> Vec<BigInt<4>> {
    elements(
        engine,
        a.len(),
        Order::Natural,
        BigInt::zero(),
        #[inline(always)]
        |engine, j| {
            let product = a[j].load::<E::Words>(engine).mul(&b[j].load(engine));
            // What is stored is below 2 p.
            let difference = product
                .loose()
                .minus::<3>(&c[j].load(engine).loose())
                .carry();
            difference.to_integers().map(BigInt)
        },
    )
}

/// `(a - b) / 2` as canonical integers, for two columns of coefficients.
pub(super) fn half_difference<E: Engine>(engine: E, a: &[Packed], b: &[Packed]) -> Vec<BigInt<4>> {
    let half = Fr::from(2_u64).inverse().unwrap_or_default().lane_limbs();
    elements(
        engine,
        a.len(),
        Order::Reversed,
        BigInt::zero(),
        #[inline(always)]
        |engine, j| {
            let (a, b) = (a[j].load::<E::Words>(engine), b[j].load(engine));
            let difference = a.loose().minus::<3>(&b.loose()).carry();
            difference
                .mul(&Lanes::constant(engine, half))
                .to_integers()
                .map(BigInt)
        },
    )
}
