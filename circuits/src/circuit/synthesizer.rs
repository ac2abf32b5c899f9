//! The language in which the circuit is described.

use crate::{field::Fr, poseidon2::diagonal::PowerOfTwo};

/// What a constraint is for. `x·y = z` stands for one row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Rule {
    /// x·x = x²: first step of an S-box.
    SboxSquare,
    /// x²·x² = x⁴: second step of an S-box.
    SboxFourth,
    /// x⁴·x = the S-box's output, written as a linear combination of the next S-boxes' inputs.
    SboxFifth,
    /// b·b = b.
    Boolean,
    /// (1 - run - b)·b = 0: a boolean that must be 0 while all higher bits equal those of r - 1.
    BelowOrder,
    /// run·b = the next run: whether the bits so far, at the set bits of r - 1, are all 1.
    Run,
    /// Σ 2^k b_k · 1 = lane: the bits are those of the lane.
    Recompose,
    /// Σ 2^k b_k · 1 = shard_count - 1, in 3D bits.
    Count,
    /// low40 · shard_count = shard·2^40 + rest.
    Product,
    /// (right - left)·bit = chosen - left: one step of choosing a child by the bits of its position; the last step's
    /// chosen value is the node that was computed below.
    Select,
    /// node · 1 = `inventory_root`.
    Root,
}

/// What a witness variable holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Wire {
    /// Element of an opened cell.
    Cell,
    /// Child of a node on a path.
    Child,
    /// Input of an S-box after the first round of a permutation.
    SboxInput,
    /// Square of an S-box's input.
    SboxSquare,
    /// Fourth power of an S-box's input.
    SboxFourth,
    /// Output of an S-box in the last round of a permutation.
    SboxOutput,
    /// Bit of a lane of the expanded seed.
    SeedBit,
    /// Whether a lane's bits so far equal those of r - 1.
    Run,
    /// Bit of the shard count less one.
    CountBit,
    /// Bit of a shard index.
    ShardBit,
    /// Bit of what the product leaves below 2^40.
    RestBit,
    /// Value between two steps of choosing a child.
    Chosen,
}

/// Reads the circuit's description: either to write down constraints or to compute values.
///
/// The order of all calls is the same for both, so that variables have the same numbers.
pub(super) trait Synthesizer {
    /// A linear combination of variables, or its value.
    type Number: Clone + Send + Sync;

    /// A constant.
    fn constant(&self, value: Fr) -> Self::Number;

    /// A public input, by its place in [`PUBLIC_INPUTS`](crate::statement::PUBLIC_INPUTS).
    fn public(&self, index: usize) -> Self::Number;

    /// `a + k·b`.
    fn add_scaled(&self, a: &Self::Number, b: &Self::Number, k: Fr) -> Self::Number;

    /// Makes new witness variables, computed from `from`.
    fn derive<const N: usize>(
        &mut self,
        wire: Wire,
        from: &[&Self::Number],
        compute: impl FnOnce(&[Fr]) -> [Fr; N],
    ) -> [Self::Number; N];

    /// Adds the constraint `a·b = c`.
    fn enforce(&mut self, rule: Rule, row: impl FnOnce(&Self) -> [Self::Number; 3]);

    /// `a + b`.
    fn add(&self, a: &Self::Number, b: &Self::Number) -> Self::Number {
        self.add_scaled(a, b, Fr::from(1u64))
    }

    /// `a - b`.
    fn sub(&self, a: &Self::Number, b: &Self::Number) -> Self::Number {
        self.add_scaled(a, b, -Fr::from(1u64))
    }

    /// `a + k` for a constant `k`.
    fn add_constant(&self, a: &Self::Number, k: Fr) -> Self::Number {
        self.add(a, &self.constant(k))
    }

    /// `k·a`.
    fn scale(&self, a: &Self::Number, k: Fr) -> Self::Number {
        self.add_scaled(&self.constant(Fr::default()), a, k)
    }

    /// `Σ 2^k bits_k`.
    fn weighted(&self, bits: &[Self::Number]) -> Self::Number {
        let mut weight = Fr::from(1u64);
        let mut sum = self.constant(Fr::default());
        for bit in bits {
            sum = self.add_scaled(&sum, bit, weight);
            weight += weight;
        }
        sum
    }

    /// Describes the opening of each cell: alike, and independent of each other, so that values may be computed in any
    /// order.
    fn openings<T: Sync>(&mut self, places: &[T], open: impl Fn(&mut Self, usize, &T) + Sync) {
        for (j, place) in places.iter().enumerate() {
            open(self, j, place);
        }
    }

    /// `a ± 2^k·b`.
    fn add_shifted(&self, a: &Self::Number, b: &Self::Number, power: &PowerOfTwo) -> Self::Number {
        self.add_scaled(a, b, power.as_field())
    }

    /// The external layer of Poseidon2, whose matrix is given.
    fn external<const T: usize>(
        &self,
        state: &[Self::Number; T],
        matrix: &[[Fr; T]; T],
    ) -> [Self::Number; T] {
        std::array::from_fn(|i| {
            let terms = state.iter().zip(&matrix[i]);
            terms.fold(self.constant(Fr::default()), |sum, (lane, k)| {
                self.add_scaled(&sum, lane, *k)
            })
        })
    }
}
