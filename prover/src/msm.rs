//! Sums of many points times scalars, in G1 and G2 of BN254: most of the work of a proof.
//!
//! [`Scalars`] are cut into digits once and serve several sets of [`PackedBases`]. On the kernel's lanes this is Pippenger's
//! method with signed digits and affine additions that share their inversions; the scalar kernel is arkworks'. Both give
//! the same points for every input, with bases that are equal, opposite or infinity and with any scalars.
//!
//! | file | one idea |
//! |---|---|
//! | `bases` | points as a key file holds them, borrowed where they lie |
//! | `curve` | what differs between G1 and G2 |
//! | `digits` | scalars as signed digits |
//! | `huge` | points on huge pages |
//! | `plan` | an order in which eight lists are added at a time |
//! | `sums` | additions that share inversions; where the formula does not hold |
//! | `windows` | from digits to the sum of a window |
//!
//! # What it costs
//!
//! With windows of c bits a point costs ⌈254 / c⌉ additions, and a window about 2^c more. At 2^19 points, 16 bits are best:
//! 17 additions a point in all, of which 16 would be left if buckets were free. That is why neither the curves' endomorphism
//! nor tables of multiples are used: halving the number of windows halves the work on buckets, a thirtieth of the whole,
//! while the endomorphism's image must be computed for half of the points (a product on top of six), and tables double the
//! key.
//!
//! # Not constant time
//!
//! Which memory is touched, and when, depends on the scalars. In this project they are the witness: stored data, which the
//! node that proves has in full, and paths to it. The two random numbers that hide them in a proof never come here. A program
//! that shares its processor with one that must not learn the stored data must not use this.
//!
//! Scalars, digits and what follows from them are wiped before their memory is given back, on the lanes. In the scalar kernel
//! only what is ours is, the scalars: arkworks copies those that are small into groups of their size, cuts the others into
//! digits and adds up buckets, all in memory that it frees as it is. Its transforms work in place and leave nothing; neither
//! kernel clears registers and the stack. Who must not leave stored data in freed memory runs the lanes, or gives the proving
//! process memory that nobody gets afterwards.
#![cfg_attr(
    not(target_arch = "x86_64"),
    allow(dead_code, reason = "elsewhere arkworks adds everything up")
)]

pub mod bases;
pub mod curve;
mod digits;
mod huge;
mod plan;
mod sums;
mod windows;

#[cfg(test)]
mod tests;

pub use bases::{BasesError, Line, PackedBases};
pub use curve::Curve;
pub use huge::Kept;

use crate::kernel::{Kernel, Words};
use ark_bn254::Fr;
use ark_ec::{VariableBaseMSM, short_weierstrass::Projective};
use ark_ff::{AdditiveGroup, BigInt, Zero};
use digits::{Digits, Windows};
use rayon::prelude::*;
use std::sync::{Mutex, PoisonError};
use sums::Backend;
use thiserror::Error;
use windows::{Buckets, Sorted, Task};
use zeroize::{Zeroize, ZeroizeOnDrop};

/// The first group.
pub type G1 = ark_bn254::g1::Config;
/// The second group.
pub type G2 = ark_bn254::g2::Config;

/// There is not one scalar for each base.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("{scalars} scalars for {variables} bases")]
pub struct LengthMismatch {
    /// Scalars given.
    pub scalars: usize,
    /// Bases, with those that are infinity.
    pub variables: usize,
}

/// Scalars, prepared to be multiplied with bases. They are wiped when they are dropped.
pub struct Scalars(Form);

/// What scalars may be: [`Fr`], or integers below its modulus.
pub trait Scalar: Copy + Default + Send + Sync + Into<BigInt<4>> {}

impl Scalar for Fr {}
impl Scalar for BigInt<4> {}

enum Form {
    Plain(Plain),
    #[cfg(target_arch = "x86_64")]
    Digits(crate::kernel::Ifma, Digits),
}

/// Scalars as arkworks takes them.
#[derive(ZeroizeOnDrop)]
struct Plain(Vec<BigInt<4>>);

crate::wiped::wiped_on_drop!(Plain);

/// Makes room for so many elements, which whoever calls it then writes. If those that are there would have to move, they are
/// wiped: nobody could wipe what they leave behind.
fn make_room<T: Zeroize>(memory: &mut Vec<T>, elements: usize) {
    if memory.capacity() < elements {
        memory.zeroize();
        memory.reserve_exact(elements);
    }
}

/// The sum of `scalars[i]` times `bases[i]`.
///
/// # Errors
/// [`LengthMismatch`].
pub fn msm<C: Curve>(
    kernel: Kernel,
    bases: &PackedBases<'_, C>,
    scalars: &[Fr],
) -> Result<Projective<C>, LengthMismatch> {
    Scalars::new(kernel, scalars).times(bases)
}

impl Scalars {
    /// Prepares scalars for a kernel, on the threads of the current rayon pool: field elements, or canonical integers.
    #[must_use]
    pub fn new<S: Scalar>(kernel: Kernel, scalars: &[S]) -> Self {
        Self(match kernel {
            Kernel::Scalar => Form::Plain(Plain(
                scalars
                    .par_iter()
                    .with_min_len(256)
                    .map(|scalar| (*scalar).into())
                    .collect(),
            )),
            #[cfg(target_arch = "x86_64")]
            Kernel::Ifma(ifma) => {
                let windows = Windows::for_points(scalars.len());
                Form::Digits(ifma, Digits::new(scalars, windows))
            }
        })
    }

    /// Scalars.
    #[must_use]
    pub fn len(&self) -> usize {
        match &self.0 {
            Form::Plain(Plain(scalars)) => scalars.len(),
            #[cfg(target_arch = "x86_64")]
            Form::Digits(_, digits) => digits.scalars(),
        }
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The sum of scalar i times base i, on the threads of the current rayon pool.
    ///
    /// # Errors
    /// [`LengthMismatch`].
    pub fn times<C: Curve>(
        &self,
        bases: &PackedBases<'_, C>,
    ) -> Result<Projective<C>, LengthMismatch> {
        self.check(bases)?;
        Ok(C::times(self, bases))
    }

    fn times_checked<C: Curve>(&self, bases: &PackedBases<'_, C>) -> Projective<C> {
        match &self.0 {
            Form::Plain(scalars) => scalars.times(bases),
            #[cfg(target_arch = "x86_64")]
            Form::Digits(ifma, digits) => {
                on_lanes::<C, crate::kernel::ifma::Words512>(*ifma, digits, bases)
            }
        }
    }

    fn check<C: Curve>(&self, bases: &PackedBases<'_, C>) -> Result<(), LengthMismatch> {
        let (scalars, variables) = (self.len(), bases.variables());
        if scalars == variables {
            Ok(())
        } else {
            Err(LengthMismatch { scalars, variables })
        }
    }
}

impl Plain {
    /// arkworks' own algorithm.
    fn times<C: Curve>(&self, bases: &PackedBases<'_, C>) -> Projective<C> {
        let mut scalars = Self(Vec::with_capacity(bases.points()));
        for (word, values) in bases.map().iter().zip(self.0.chunks(64)) {
            let present = values
                .iter()
                .enumerate()
                .filter(|(bit, _)| word >> bit & 1 == 1);
            scalars.0.extend(present.map(|(_, value)| *value));
        }
        if scalars.0.is_empty() {
            return Projective::zero();
        }
        Projective::msm_bigint(&bases.unpack(), &scalars.0)
    }
}

/// The sum of what the digits say times bases.
fn on_lanes<C: Curve, W: Words<Backend: Backend>>(
    backend: W::Backend,
    digits: &Digits,
    bases: &PackedBases<'_, C>,
) -> Projective<C> {
    let lines = bases.lines();
    let scratch = || (Sorted::default(), Buckets::<C, W>::new(backend));
    let sums = every_task(digits, scratch, |(sorted, buckets), task| {
        sorted.sort(digits, bases, task);
        buckets.add(lines, digits.windows(), sorted)
    });
    join(digits.windows(), sums)
}

/// Does all tasks, each with memory that tasks hand on to each other.
fn every_task<S: Send, R: Send>(
    digits: &Digits,
    scratch: impl Fn() -> S + Sync,
    work: impl Fn(&mut S, &Task) -> R + Sync,
) -> Vec<(Task, R)> {
    let kept = Mutex::new(Vec::new());
    let keep = || kept.lock().unwrap_or_else(PoisonError::into_inner);
    windows::tasks(
        digits.windows(),
        digits.blocks(),
        rayon::current_num_threads(),
    )
    .into_par_iter()
    .with_max_len(1)
    .map(|task| {
        let taken = keep().pop();
        let mut memory = taken.unwrap_or_else(&scratch);
        let result = work(&mut memory, &task);
        keep().push(memory);
        (task, result)
    })
    .collect()
}

/// Σ 2^(c i) times the sum of window i.
fn join<C: Curve>(windows: Windows, sums: Vec<(Task, Vec<Projective<C>>)>) -> Projective<C> {
    let mut totals = vec![Projective::<C>::ZERO; windows.count];
    for (task, sums) in sums {
        for (window, sum) in task.windows.zip(sums) {
            totals[window] += sum;
        }
    }
    totals
        .into_iter()
        .rev()
        .fold(Projective::ZERO, |mut sum, window| {
            for _ in 0..windows.bits {
                sum.double_in_place();
            }
            sum + window
        })
}
