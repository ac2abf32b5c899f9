//! Linear maps over GF(2^8) on GFNI and AVX-512: `out_i = Σ_j c_ij · in_j`, byte by byte.
//!
//! `gf2p8mulb` multiplies modulo 0x11B, our field is modulo 0x11D; but multiplying by a constant is linear over GF(2), and
//! `gf2p8affineqb` applies any 8×8 bit matrix to the 64 bytes of a register. So each coefficient becomes one matrix
//! (Intel SDM, volume 2, GF2P8AFFINEQB).
//!
//! Outputs are made in blocks of up to [`ROWS`] rows over strips of [`STRIP`] bytes, whose sums stay in registers: 5 rows
//! of 4 registers, 4 registers for each of two inputs and 2 matrices are 30 of the 32 registers. Shards are walked in tiles
//! that stay in the second-level cache, so that only the first block of rows reads them from memory.
//!
//! All slices are indexed with their bounds checked, which costs nothing measurable at four checks a kilobyte. What is
//! unsafe is the step into code for a processor that has these instructions, and taking 64 bytes for a register and back;
//! there are no pointers. (`_mm512_loadu_si512` would need one, and where debug assertions are on, its checks go through the
//! stack: half the speed.)
#![allow(
    unsafe_code,
    reason = "vector instructions; every block states why it is sound"
)]

use core::arch::x86_64::{
    __m512i, _mm512_gf2p8affine_epi64_epi8, _mm512_set1_epi64, _mm512_setzero_si512,
    _mm512_ternarylogic_epi64, _mm512_xor_si512,
};
use core::{mem::transmute, ops::Range};

use reed_solomon_erasure::galois_8::mul;

/// Bytes of a register.
const LANE: usize = 64;
/// Registers of a row that are worked on at once.
const LANES: usize = 4;
/// Bytes of a row that are worked on at once.
const STRIP: usize = LANE * LANES;
/// Rows whose sums fit the registers.
const ROWS: usize = 5;
/// Bytes of all inputs of a tile together, at most: a quarter of a second-level cache of 2 MiB.
const TILE_INPUTS: usize = 512 << 10;
/// Bytes of one input of a tile, at most.
const TILE: usize = 16 << 10;
/// Truth table of `a ^ b ^ c`.
const XOR3: i32 = 0x96;

/// Evidence that this processor has the instructions: only [`Gfni::detect`] makes one.
#[derive(Clone, Copy, Debug)]
pub(super) struct Gfni(());

impl Gfni {
    /// Asks the processor, and through `xgetbv` the operating system.
    pub(super) fn detect() -> Option<Self> {
        (is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("gfni"))
            .then_some(Self(()))
    }

    /// Prepares the map whose row i makes output i.
    pub(super) fn plan(self, rows: &[Vec<u8>]) -> Plan {
        let inputs = rows.first().map_or(0, Vec::len);
        assert!(inputs > 0, "a map has rows and columns");
        assert!(rows.iter().all(|row| row.len() == inputs), "rows are even");
        // As even as can be: 6 rows are 3 + 3, since a block of one row would read its inputs for little.
        let blocks = rows.len().div_ceil(ROWS);
        let blocks = (0..blocks)
            .map(|n| n * rows.len() / blocks..(n + 1) * rows.len() / blocks)
            .map(|outputs| Block {
                matrices: (0..inputs)
                    .flat_map(|input| {
                        rows[outputs.clone()]
                            .iter()
                            .map(move |row| matrix(row[input]))
                    })
                    .collect(),
                outputs,
            })
            .collect();
        let tile = (TILE_INPUTS / inputs).clamp(STRIP, TILE);
        Plan {
            _processor: self,
            inputs,
            outputs: rows.len(),
            tile: tile - tile % STRIP,
            blocks,
        }
    }
}

/// A map, ready to be applied.
#[derive(Debug)]
pub(super) struct Plan {
    _processor: Gfni,
    inputs: usize,
    outputs: usize,
    /// Bytes of a shard after which the next block of rows begins; whole strips.
    tile: usize,
    blocks: Vec<Block>,
}

/// Up to [`ROWS`] rows.
#[derive(Debug)]
struct Block {
    outputs: Range<usize>,
    /// The matrices of the first input, a row each, then those of the second.
    matrices: Vec<u64>,
}

impl Plan {
    /// Overwrites the outputs. All slices have one length, whatever it is.
    ///
    /// # Panics
    /// If the numbers of slices are not those of the map, or lengths differ.
    pub(super) fn apply(&self, inputs: &[&[u8]], outputs: &mut [&mut [u8]]) {
        assert_eq!(inputs.len(), self.inputs, "inputs of the map");
        assert_eq!(outputs.len(), self.outputs, "outputs of the map");
        let length = inputs[0].len();
        assert!(
            inputs.iter().all(|input| input.len() == length)
                && outputs.iter().all(|output| output.len() == length),
            "shards have one length"
        );
        let whole = length - length % STRIP;
        for from in (0..whole).step_by(self.tile) {
            self.strips(inputs, outputs, from..(from + self.tile).min(whole));
        }
        if whole < length {
            self.rest(inputs, outputs, whole..length);
        }
    }

    /// The bytes behind the last whole strip, through copies that are padded with zeros.
    fn rest(&self, inputs: &[&[u8]], outputs: &mut [&mut [u8]], range: Range<usize>) {
        let mut padded = vec![[0; STRIP]; self.inputs + self.outputs];
        let (sources, sums) = padded.split_at_mut(self.inputs);
        for (source, input) in sources.iter_mut().zip(inputs) {
            source[..range.len()].copy_from_slice(&input[range.clone()]);
        }
        let sources: Vec<&[u8]> = sources.iter().map(<[u8; STRIP]>::as_slice).collect();
        let mut targets: Vec<&mut [u8]> =
            sums.iter_mut().map(<[u8; STRIP]>::as_mut_slice).collect();
        self.strips(&sources, &mut targets, 0..STRIP);
        for (output, sum) in outputs.iter_mut().zip(sums) {
            output[range.clone()].copy_from_slice(&sum[..range.len()]);
        }
    }

    /// All rows of whole strips.
    fn strips(&self, inputs: &[&[u8]], outputs: &mut [&mut [u8]], range: Range<usize>) {
        type Strips = unsafe fn(&[u64], &[&[u8]], &mut [&mut [u8]], Range<usize>);
        const BY_ROWS: [Strips; ROWS] = [
            strips::<1>,
            strips::<2>,
            strips::<3>,
            strips::<4>,
            strips::<5>,
        ];
        for Block {
            outputs: rows,
            matrices,
        } in &self.blocks
        {
            let strips = BY_ROWS[rows.len() - 1];
            // SAFETY: the function is unsafe only for the instructions it is compiled with, avx512f and gfni. A plan holds
            // a `Gfni`, whose only maker found both on this processor.
            unsafe { strips(matrices, inputs, &mut outputs[rows.clone()], range.clone()) };
        }
    }
}

/// The map `x -> coefficient · x` as `gf2p8affineqb` wants it: the row of result bit i is byte 7 - i.
fn matrix(coefficient: u8) -> u64 {
    let images: [u8; 8] = core::array::from_fn(|bit| mul(coefficient, 1 << bit));
    let rows = core::array::from_fn(|byte| {
        images
            .iter()
            .rev()
            .fold(0, |row, image| row << 1 | (image >> (7 - byte) & 1))
    });
    u64::from_le_bytes(rows)
}

/// `R` rows over a range of whole strips.
///
/// # Panics
/// If the range leaves a slice, or the slices are not those of `R` rows.
#[target_feature(enable = "avx512f,gfni")]
fn strips<const R: usize>(
    matrices: &[u64],
    inputs: &[&[u8]],
    outputs: &mut [&mut [u8]],
    range: Range<usize>,
) {
    let (matrices, []) = matrices.as_chunks::<R>() else {
        unreachable!("a block has {R} matrices an input")
    };
    assert_eq!(matrices.len(), inputs.len());
    assert_eq!(outputs.len(), R);
    assert!(range.len().is_multiple_of(STRIP));
    for from in range.step_by(STRIP) {
        let mut sums = [[_mm512_setzero_si512(); LANES]; R];
        // Two inputs at a time: one instruction adds both products.
        let (pairs, single) = inputs.as_chunks::<2>();
        let (matrix_pairs, single_matrices) = matrices.as_chunks::<2>();
        for ([a, b], [of_a, of_b]) in pairs.iter().zip(matrix_pairs) {
            let (a, b) = (load(a, from), load(b, from));
            for row in 0..R {
                let (of_a, of_b) = (broadcast(of_a[row]), broadcast(of_b[row]));
                for lane in 0..LANES {
                    sums[row][lane] = _mm512_ternarylogic_epi64::<XOR3>(
                        sums[row][lane],
                        _mm512_gf2p8affine_epi64_epi8::<0>(a[lane], of_a),
                        _mm512_gf2p8affine_epi64_epi8::<0>(b[lane], of_b),
                    );
                }
            }
        }
        for (a, of_a) in single.iter().zip(single_matrices) {
            let a = load(a, from);
            for row in 0..R {
                let of_a = broadcast(of_a[row]);
                for lane in 0..LANES {
                    let product = _mm512_gf2p8affine_epi64_epi8::<0>(a[lane], of_a);
                    sums[row][lane] = _mm512_xor_si512(sums[row][lane], product);
                }
            }
        }
        for row in 0..R {
            store(outputs[row], from, sums[row]);
        }
    }
}

/// One matrix for each eight bytes of a register.
#[inline]
#[target_feature(enable = "avx512f")]
fn broadcast(matrix: u64) -> __m512i {
    _mm512_set1_epi64(matrix.cast_signed())
}

/// The strip that begins at `from`.
#[inline]
#[target_feature(enable = "avx512f")]
fn load(bytes: &[u8], from: usize) -> [__m512i; LANES] {
    let mut strip = [_mm512_setzero_si512(); LANES];
    let (lanes, _) = bytes[from..from + STRIP].as_chunks::<LANE>();
    for (register, lane) in strip.iter_mut().zip(lanes) {
        // SAFETY: both types have 64 bytes and every value of those bytes is one of the register.
        *register = unsafe { transmute::<[u8; LANE], __m512i>(*lane) };
    }
    strip
}

/// Writes the strip that begins at `from`.
#[inline]
#[target_feature(enable = "avx512f")]
fn store(bytes: &mut [u8], from: usize, strip: [__m512i; LANES]) {
    let (lanes, _) = bytes[from..from + STRIP].as_chunks_mut::<LANE>();
    for (lane, register) in lanes.iter_mut().zip(strip) {
        // SAFETY: both types have 64 bytes and every value of those bytes is an array of them.
        *lane = unsafe { transmute::<__m512i, [u8; LANE]>(register) };
    }
}
