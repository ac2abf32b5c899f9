//! What the arithmetic of the lanes is written in: eight 64-bit words at once.
//!
//! One implementation is the processor's ([`super::ifma`]), one exists for tests only and stops at the first number that
//! leaves its range. Everything above this trait is safe code.

/// Lanes of a vector: numbers that are computed with at once.
pub const LANES: usize = 8;

/// Eight unsigned 64-bit words, one per lane.
///
/// No operation is meant to overflow: [`Words::add`] and [`Words::shl`] stay below 2^64 and [`Words::sub`] does not pass
/// below 0. The callers' range claims say why; the implementation for tests checks it.
pub trait Words: Copy + Send + Sync + 'static {
    /// Evidence that the processor has the instructions.
    type Backend: Copy + Send + Sync + 'static;

    /// Runs `task` compiled for the processor's instructions, as far as it is inlined: mark the closure, and what is hot in
    /// it, `#[inline(always)]`.
    fn run<R>(backend: Self::Backend, task: impl FnOnce() -> R) -> R;

    /// The evidence this vector was made with.
    fn backend(self) -> Self::Backend;

    /// One number in every lane.
    fn splat(backend: Self::Backend, value: u64) -> Self;

    /// Lane i is `values[i]`.
    fn load(backend: Self::Backend, values: &[u64; LANES]) -> Self;

    /// The inverse of [`Words::load`].
    fn store(self, values: &mut [u64; LANES]);

    /// `self + other`.
    fn add(self, other: Self) -> Self;

    /// `self - other`, never below 0.
    fn sub(self, other: Self) -> Self;

    /// Bitwise and.
    fn and(self, other: Self) -> Self;

    /// Bitwise or.
    fn or(self, other: Self) -> Self;

    /// `self · 2^bits`, for `bits` below 64; the bits that leave at the top are 0.
    fn shl(self, bits: u32) -> Self;

    /// `self · 2^bits mod 2^64`, for `bits` below 64.
    fn shl_wrapping(self, bits: u32) -> Self;

    /// `⌊self / 2^bits⌋`, for `bits` below 64.
    fn shr(self, bits: u32) -> Self;

    /// `self + (x y mod 2^52)`, of which x and y are taken mod 2^52.
    fn madd_lo(self, x: Self, y: Self) -> Self;

    /// `self + ⌊x y / 2^52⌋`, of which x and y are taken mod 2^52.
    fn madd_hi(self, x: Self, y: Self) -> Self;

    /// Bit i is set where lane i of both is equal.
    fn equal(self, other: Self) -> u8;

    /// Lane i of `set` where bit i of `mask` is set, else of `clear`.
    fn select(mask: u8, set: Self, clear: Self) -> Self;

    /// Lane i of vector k becomes lane k of vector i.
    fn transpose(rows: [Self; LANES]) -> [Self; LANES];

    /// States that every lane is at most `max`, which follows from what the lanes stand for and not from these operations
    /// alone: documentation proves it. Costs nothing; tests check it on numbers.
    fn claim_at_most(self, max: u64) -> Self;

    /// States that every lane is at most `max`, whatever went into the operations before. Costs nothing; tests check it on
    /// numbers, and on intervals for all of them.
    fn known_at_most(self, max: u64) -> Self;
}
