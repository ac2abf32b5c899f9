//! Lanes from and to arkworks' elements, bytes and packed words. One multiplication by a constant changes between
//! arkworks' Montgomery form (2^256) and that of the lanes (2^260); there is no detour through integers.

use super::{
    lanes::{Lanes, splat},
    modulus::{LIMB_MASK, LIMBS, LaneField, Limbs, split},
    words::{LANES, Words},
};

/// 64-bit words of a packed number.
pub const PACKED_WORDS: usize = 4;

impl<F: LaneField, W: Words> Lanes<F, W> {
    /// Lane i is `elements[i]`. Below 2 p.
    #[inline(always)]
    #[must_use]
    pub fn from_fields(backend: W::Backend, elements: &[F; LANES]) -> Self {
        let mut limbs = [[0; LANES]; LIMBS];
        for (lane, element) in elements.iter().enumerate() {
            set_lane(&mut limbs, lane, split(element.montgomery_words()));
        }
        Self::load(backend, &limbs).mul(&Self::constant(backend, F::FROM_ARK))
    }

    /// Every lane is `element`. Below p.
    #[inline(always)]
    #[must_use]
    pub fn from_field(backend: W::Backend, element: &F) -> Self {
        Self::constant(backend, element.lane_limbs())
    }

    /// The elements, lane by lane.
    #[inline(always)]
    #[must_use]
    pub fn to_fields(&self) -> [F; LANES] {
        let in_ark = self.mul(&Self::constant(self.backend(), F::TO_ARK));
        in_ark
            .integers()
            .map(|words| F::from_montgomery_words(words))
    }

    /// Lane i is the number Σ 2^(52 k) `limbs[k][i]`, which need not be in Montgomery form yet: see
    /// [`Lanes::enter_montgomery_form`].
    ///
    /// Requires limbs below 2^52, and numbers below 5 p: 2^256, for instance.
    #[inline(always)]
    #[must_use]
    pub fn load(backend: W::Backend, limbs: &[[u64; LANES]; LIMBS]) -> Self {
        let [l0, l1, l2, l3, l4] = limbs;
        let words = [
            W::load(backend, l0),
            W::load(backend, l1),
            W::load(backend, l2),
            W::load(backend, l3),
            W::load(backend, l4),
        ];
        Self::from_limbs::<{ 6 * 32 }>(words)
    }

    /// Takes plain numbers to the elements they stand for. Below 2 p.
    #[inline(always)]
    #[must_use]
    pub fn enter_montgomery_form(&self) -> Self {
        self.mul(&Self::constant(self.backend(), F::FROM_INTEGER))
    }

    /// Takes elements to plain numbers below p, lane by lane: canonical integers as four 64-bit words.
    #[inline(always)]
    #[must_use]
    pub fn to_integers(&self) -> [[u64; PACKED_WORDS]; LANES] {
        let one = Self::from_limbs::<32>(splat(self.backend(), [1, 0, 0, 0, 0]));
        self.mul(&one).integers()
    }

    /// Every lane is the number with these limbs, taken as it is: for constants kept as [`LaneField::lane_limbs`].
    ///
    /// Requires a number below p.
    #[inline(always)]
    #[must_use]
    pub fn constant(backend: W::Backend, limbs: Limbs) -> Self {
        Self::from_limbs::<32>(splat(backend, limbs))
    }

    /// The representations below p themselves, lane by lane.
    #[inline(always)]
    fn integers(&self) -> [[u64; PACKED_WORDS]; LANES] {
        let mut words = [[0; LANES]; PACKED_WORDS];
        for (word, packed) in words.iter_mut().zip(self.canonical().pack()) {
            packed.store(word);
        }
        let mut integers = [[0; PACKED_WORDS]; LANES];
        for (lane, integer) in integers.iter_mut().enumerate() {
            *integer = [
                words[0][lane],
                words[1][lane],
                words[2][lane],
                words[3][lane],
            ];
        }
        integers
    }

    /// The representations as four vectors of 64-bit words, least significant first: 32 bytes a lane, for tables.
    ///
    /// Requires numbers below 2^256, and so below 5 p.
    #[inline(always)]
    #[must_use]
    pub fn pack(&self) -> [W; PACKED_WORDS] {
        let l = &self.limbs;
        let top = l[4].claim_at_most((1 << 48) - 1);
        [
            l[0].or(l[1].shl_wrapping(52)),
            l[1].shr(12).or(l[2].shl_wrapping(40)),
            l[2].shr(24).or(l[3].shl_wrapping(28)),
            l[3].shr(36).or(top.shl(16)),
        ]
    }

    /// The inverse of [`Lanes::pack`]. Any words will do: they are numbers below 2^256, and so below 6 p.
    #[inline(always)]
    #[must_use]
    pub fn unpack(words: &[W; PACKED_WORDS]) -> Self {
        let w = words;
        let mask = W::splat(w[0].backend(), LIMB_MASK);
        let limbs = [
            w[0].and(mask),
            w[0].shr(52).or(w[1].shl_wrapping(12)).and(mask),
            w[1].shr(40).or(w[2].shl_wrapping(24)).and(mask),
            w[2].shr(28).or(w[3].shl_wrapping(36)).and(mask),
            w[3].shr(16),
        ];
        Self::from_limbs::<{ 6 * 32 }>(limbs)
    }
}

/// Writes one lane of vectors in memory.
#[inline(always)]
pub(super) fn set_lane(vectors: &mut [[u64; LANES]; LIMBS], lane: usize, limbs: Limbs) {
    for (vector, limb) in vectors.iter_mut().zip(limbs) {
        vector[lane] = limb;
    }
}
