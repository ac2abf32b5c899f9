//! The processor's implementation of [`Words`]: AVX-512 with the 52-bit multiply-add of IFMA.
//!
//! This is the only file of the kernel with `unsafe` code. Two rules make all of it sound:
//!
//! 1. An [`Ifma`] is made by [`Ifma::detect`] alone, after the processor and the operating system said that they have
//!    AVX512F and AVX512IFMA. A [`Words512`] is made from an `Ifma` or from other `Words512`. So whoever holds either may
//!    execute the instructions; `EVIDENCE` below refers to this.
//! 2. Memory is touched through references to arrays of exactly the size that is read or written.
//!
//! The wrappers are always inlined into what [`Ifma::run`] is given, where the compiler may use the instructions.
//! Outside of it they work too, one call an instruction.
#![allow(
    unsafe_code,
    reason = "the instructions have no safe interface that survives inlining; see the rules above"
)]

use super::words::{LANES, Words};
use core::arch::x86_64::{
    __m512i, _MM_HINT_T0, _mm_prefetch, _mm512_add_epi64, _mm512_and_si512,
    _mm512_cmpeq_epi64_mask, _mm512_loadu_si512, _mm512_madd52hi_epu64, _mm512_madd52lo_epu64,
    _mm512_mask_blend_epi64, _mm512_or_si512, _mm512_set1_epi64, _mm512_shuffle_i64x2,
    _mm512_sllv_epi64, _mm512_srlv_epi64, _mm512_storeu_si512, _mm512_sub_epi64,
    _mm512_unpackhi_epi64, _mm512_unpacklo_epi64,
};

/// Evidence that this processor executes AVX-512 IFMA.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ifma(());

impl Ifma {
    /// Asks the processor and the operating system.
    #[must_use]
    pub fn detect() -> Option<Self> {
        let found = is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512ifma");
        found.then_some(Self(()))
    }

    /// Runs `task` compiled for these instructions, as far as it is inlined: mark the closure and what is hot in it
    /// `#[inline(always)]`.
    #[inline]
    pub fn run<R>(self, task: impl FnOnce() -> R) -> R {
        // SAFETY: EVIDENCE, `self`.
        unsafe { with_instructions(task) }
    }

    /// Brings the start of `target` into the cache.
    #[inline(always)]
    pub fn prefetch<T>(self, target: &T) {
        // SAFETY: prefetching never faults, and the address is of a live object besides.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(std::ptr::from_ref(target).cast()) }
    }
}

#[target_feature(enable = "avx512f,avx512ifma")]
fn with_instructions<R>(task: impl FnOnce() -> R) -> R {
    task()
}

/// Eight 64-bit words in one register.
#[derive(Clone, Copy, Debug)]
#[repr(transparent)]
pub struct Words512(__m512i);

impl Words for Words512 {
    type Backend = Ifma;

    #[inline(always)]
    fn run<R>(ifma: Ifma, task: impl FnOnce() -> R) -> R {
        ifma.run(task)
    }

    #[inline(always)]
    fn backend(self) -> Ifma {
        Ifma(())
    }

    #[inline(always)]
    fn splat(_: Ifma, value: u64) -> Self {
        // SAFETY: EVIDENCE, the first argument.
        Self(unsafe { _mm512_set1_epi64(value.cast_signed()) })
    }

    #[inline(always)]
    fn load(_: Ifma, values: &[u64; LANES]) -> Self {
        // SAFETY: EVIDENCE, the first argument; 64 readable bytes, any alignment.
        Self(unsafe { _mm512_loadu_si512(values.as_ptr().cast()) })
    }

    #[inline(always)]
    fn store(self, values: &mut [u64; LANES]) {
        // SAFETY: EVIDENCE, `self`; 64 writable bytes, any alignment.
        unsafe { _mm512_storeu_si512(values.as_mut_ptr().cast(), self.0) }
    }

    #[inline(always)]
    fn add(self, other: Self) -> Self {
        // SAFETY: EVIDENCE, `self`.
        Self(unsafe { _mm512_add_epi64(self.0, other.0) })
    }

    #[inline(always)]
    fn sub(self, other: Self) -> Self {
        // SAFETY: EVIDENCE, `self`.
        Self(unsafe { _mm512_sub_epi64(self.0, other.0) })
    }

    #[inline(always)]
    fn and(self, other: Self) -> Self {
        // SAFETY: EVIDENCE, `self`.
        Self(unsafe { _mm512_and_si512(self.0, other.0) })
    }

    #[inline(always)]
    fn or(self, other: Self) -> Self {
        // SAFETY: EVIDENCE, `self`.
        Self(unsafe { _mm512_or_si512(self.0, other.0) })
    }

    #[inline(always)]
    fn shl(self, bits: u32) -> Self {
        self.shl_wrapping(bits)
    }

    #[inline(always)]
    fn shl_wrapping(self, bits: u32) -> Self {
        let bits = Self::splat(self.backend(), u64::from(bits));
        // SAFETY: EVIDENCE, `self`.
        Self(unsafe { _mm512_sllv_epi64(self.0, bits.0) })
    }

    #[inline(always)]
    fn shr(self, bits: u32) -> Self {
        let bits = Self::splat(self.backend(), u64::from(bits));
        // SAFETY: EVIDENCE, `self`.
        Self(unsafe { _mm512_srlv_epi64(self.0, bits.0) })
    }

    #[inline(always)]
    fn madd_lo(self, x: Self, y: Self) -> Self {
        // SAFETY: EVIDENCE, `self`.
        Self(unsafe { _mm512_madd52lo_epu64(self.0, x.0, y.0) })
    }

    #[inline(always)]
    fn madd_hi(self, x: Self, y: Self) -> Self {
        // SAFETY: EVIDENCE, `self`.
        Self(unsafe { _mm512_madd52hi_epu64(self.0, x.0, y.0) })
    }

    #[inline(always)]
    fn equal(self, other: Self) -> u8 {
        // SAFETY: EVIDENCE, `self`.
        unsafe { _mm512_cmpeq_epi64_mask(self.0, other.0) }
    }

    #[inline(always)]
    fn select(mask: u8, set: Self, clear: Self) -> Self {
        // SAFETY: EVIDENCE, `set`.
        Self(unsafe { _mm512_mask_blend_epi64(mask, clear.0, set.0) })
    }

    #[inline(always)]
    fn transpose(rows: [Self; LANES]) -> [Self; LANES] {
        let [r0, r1, r2, r3, r4, r5, r6, r7] = rows;
        // Pairs of rows, then quarters of 128 bits: even ones (0x88) and odd ones (0xdd).
        let (a0, a1) = (r0.unpack_lo(r1), r0.unpack_hi(r1));
        let (b0, b1) = (r2.unpack_lo(r3), r2.unpack_hi(r3));
        let (c0, c1) = (r4.unpack_lo(r5), r4.unpack_hi(r5));
        let (d0, d1) = (r6.unpack_lo(r7), r6.unpack_hi(r7));
        let (e0, e1) = (a0.quarters::<0x88>(b0), a1.quarters::<0x88>(b1));
        let (e2, e3) = (a0.quarters::<0xdd>(b0), a1.quarters::<0xdd>(b1));
        let (f0, f1) = (c0.quarters::<0x88>(d0), c1.quarters::<0x88>(d1));
        let (f2, f3) = (c0.quarters::<0xdd>(d0), c1.quarters::<0xdd>(d1));
        [
            e0.quarters::<0x88>(f0),
            e1.quarters::<0x88>(f1),
            e2.quarters::<0x88>(f2),
            e3.quarters::<0x88>(f3),
            e0.quarters::<0xdd>(f0),
            e1.quarters::<0xdd>(f1),
            e2.quarters::<0xdd>(f2),
            e3.quarters::<0xdd>(f3),
        ]
    }

    #[inline(always)]
    fn claim_at_most(self, _: u64) -> Self {
        self
    }

    #[inline(always)]
    fn known_at_most(self, _: u64) -> Self {
        self
    }
}

impl Words512 {
    /// Even lanes of both, interleaved.
    #[inline(always)]
    fn unpack_lo(self, other: Self) -> Self {
        // SAFETY: EVIDENCE, `self`.
        Self(unsafe { _mm512_unpacklo_epi64(self.0, other.0) })
    }

    /// Odd lanes of both, interleaved.
    #[inline(always)]
    fn unpack_hi(self, other: Self) -> Self {
        // SAFETY: EVIDENCE, `self`.
        Self(unsafe { _mm512_unpackhi_epi64(self.0, other.0) })
    }

    /// Two quarters of this, then two of the other, as `PICK` says.
    #[inline(always)]
    fn quarters<const PICK: i32>(self, other: Self) -> Self {
        // SAFETY: EVIDENCE, `self`.
        Self(unsafe { _mm512_shuffle_i64x2::<PICK>(self.0, other.0) })
    }
}
