//! How Logos Storage (Codex) hashes a slot: cells of 2 KiB through a Poseidon2 sponge of width 3 and rate 2, and a binary
//! tree of keyed compressions over them. Permutation: `taceo-poseidon2`, the fastest crate for this curve that we found.

use ark_bn254::Fr;
use ark_ff::{AdditiveGroup, BigInt, PrimeField};
use taceo_poseidon2::bn254::t3::permutation_in_place;

/// Bytes of a cell.
const CELL: usize = 2048;
/// Bytes of an element.
const ELEMENT: usize = 31;

/// The root over all cells of `bytes`.
pub fn root(bytes: &[u8]) -> Fr {
    let mut level: Vec<Fr> = bytes.chunks(CELL).map(cell).collect();
    let mut bottom = true;
    while level.len() > 1 {
        level = level
            .chunks(2)
            .map(|children| match children {
                [left, right] => compress(*left, *right, u64::from(bottom)),
                odd => compress(odd[0], Fr::ZERO, u64::from(bottom) + 2),
            })
            .collect();
        bottom = false;
    }
    level[0]
}

fn compress(left: Fr, right: Fr, key: u64) -> Fr {
    let mut state = [left, right, Fr::from(key)];
    permutation_in_place(&mut state);
    state[0]
}

/// The bytes are ended by a one, the elements likewise, each filled up with zeros.
fn cell(bytes: &[u8]) -> Fr {
    let mut elements = Vec::with_capacity(bytes.len() / ELEMENT + 3);
    let (whole, rest) = bytes.as_chunks::<ELEMENT>();
    elements.extend(whole.iter().map(element));
    let mut last = [0; ELEMENT];
    last[..rest.len()].copy_from_slice(rest);
    last[rest.len()] = 1;
    elements.push(element(&last));
    elements.push(Fr::from(1u64));
    if elements.len() % 2 == 1 {
        elements.push(Fr::ZERO);
    }
    // Domain: rate 2, input of elements of the field.
    let mut state = [Fr::ZERO, Fr::ZERO, Fr::from(0x1_0000_0000_0000_0302_u128)];
    for pair in elements.chunks_exact(2) {
        state[0] += pair[0];
        state[1] += pair[1];
        permutation_in_place(&mut state);
    }
    state[0]
}

/// 31 bytes, little endian: always below the modulus.
fn element(bytes: &[u8; ELEMENT]) -> Fr {
    let mut padded = [0; 32];
    padded[..ELEMENT].copy_from_slice(bytes);
    let (words, _) = padded.as_chunks::<8>();
    let mut limbs = [0; 4];
    for (limb, word) in limbs.iter_mut().zip(words) {
        *limb = u64::from_le_bytes(*word);
    }
    Fr::from_bigint(BigInt(limbs)).unwrap()
}
