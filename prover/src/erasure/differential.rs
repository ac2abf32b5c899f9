//! Both engines against `reed-solomon-erasure` itself: the same parity, the same judgement, the same rebuilt shards.
#![allow(clippy::unwrap_used, clippy::cast_possible_truncation)]

use super::{Code, Engine, ErasureError, Geometry, Place, engine::PIECE};
use crate::skips::{NO_GFNI, skipped};
use proptest::{prelude::*, sample::subsequence};
use reed_solomon_erasure::galois_8::ReedSolomon;

/// Every engine of this processor; what is left out is said with the test's name.
pub(super) fn engines(test: &str) -> Vec<Engine> {
    let engines = Engine::available();
    if !engines.contains(&Engine::Gfni) {
        skipped(&format!("{test} on gfni"), NO_GFNI);
    }
    engines
}

fn random_shards(count: usize, length: usize, seed: u64) -> Vec<Vec<u8>> {
    let mut reader = blake3::Hasher::new()
        .update(&seed.to_le_bytes())
        .finalize_xof();
    (0..count)
        .map(|_| {
            let mut shard = vec![0; length];
            reader.fill(&mut shard);
            shard
        })
        .collect()
}

fn slices(shards: &[Vec<u8>]) -> Vec<&[u8]> {
    shards.iter().map(Vec::as_slice).collect()
}

/// One code in both engines, beside that of the crate.
struct Codes {
    data: usize,
    theirs: ReedSolomon,
    ours: Vec<Code>,
}

impl Codes {
    fn new(data: usize, parity: usize) -> Self {
        let geometry = Geometry::new(data, parity).unwrap();
        Self {
            data,
            theirs: ReedSolomon::new(data, parity).unwrap(),
            ours: engines("the erasure code")
                .into_iter()
                .map(|engine| {
                    let code = Code::with_engine(geometry, engine);
                    assert_eq!(code.engine(), engine);
                    code
                })
                .collect(),
        }
    }

    /// The stripe of some data shards, after all have agreed on it.
    fn encode(&self, data: Vec<Vec<u8>>) -> Vec<Vec<u8>> {
        let length = data[0].len();
        let parity = self.theirs.parity_shard_count();
        let mut whole = data;
        whole.resize(self.data + parity, vec![0; length]);
        self.theirs.encode(&mut whole).unwrap();
        for code in &self.ours {
            let mut made = vec![vec![0xC3; length]; parity];
            let mut outputs: Vec<&mut [u8]> = made.iter_mut().map(Vec::as_mut_slice).collect();
            code.encode(&slices(&whole[..self.data]), &mut outputs)
                .unwrap();
            assert!(
                made == whole[self.data..],
                "{:?} {}+{parity} with {length} bytes",
                code.engine(),
                self.data
            );
            assert_eq!(code.verify(&slices(&whole)), Ok(true));
        }
        whole
    }

    /// Rebuilds without `lost`, everything or the data only, and compares with the crate.
    fn rebuild(&self, whole: &[Vec<u8>], lost: &[usize], data_only: bool) -> Vec<Option<Vec<u8>>> {
        let mut expected: Vec<Option<Vec<u8>>> = whole.iter().cloned().map(Some).collect();
        for slot in lost {
            expected[*slot] = None;
        }
        if data_only {
            self.theirs.reconstruct_data(&mut expected).unwrap();
        } else {
            self.theirs.reconstruct(&mut expected).unwrap();
        }
        for code in &self.ours {
            let mut rebuilt = vec![vec![0x3C; whole[0].len()]; lost.len()];
            let mut places: Vec<Place<'_>> =
                whole.iter().map(|shard| Place::Present(shard)).collect();
            for (slot, shard) in lost.iter().zip(&mut rebuilt) {
                places[*slot] = if data_only && *slot >= self.data {
                    Place::Lost
                } else {
                    Place::Wanted(shard)
                };
            }
            code.rebuild(&mut places).unwrap();
            for (slot, shard) in lost.iter().zip(&rebuilt) {
                if let Some(expected) = &expected[*slot] {
                    assert!(
                        shard == expected,
                        "{:?} {}+{} slot {slot} without {lost:?}",
                        code.engine(),
                        self.data,
                        whole.len() - self.data
                    );
                }
            }
        }
        expected
    }
}

#[test]
fn parity_is_that_of_the_crate_for_all_lengths_around_a_register_and_a_piece() {
    for (data, parity) in [(1, 1), (3, 2), (10, 4), (20, 12), (10, 32)] {
        let codes = Codes::new(data, parity);
        for length in [
            1, 2, 63, 64, 65, 127, 128, 255, 256, 257, 511, 513, 4096, 16_384, 16_640, 16_385,
            40_007,
        ] {
            codes.encode(random_shards(data, length, length as u64));
        }
    }
    for (data, parity) in [(3, 2), (10, 4), (7, 11)] {
        let codes = Codes::new(data, parity);
        for length in [PIECE - 1, PIECE, PIECE + 1, 3 * PIECE + 777] {
            let whole = codes.encode(random_shards(data, length, length as u64));
            codes.rebuild(&whole, &[0, data], false);
        }
    }
}

#[test]
fn every_number_of_parity_shards_up_to_32_and_extreme_geometries_agree() {
    let small = (1..=32).flat_map(|parity| [(4, parity), (5, parity)]);
    let large = [(1, 255), (255, 1), (128, 128), (200, 56), (37, 100)];
    for (data, parity) in small.chain(large) {
        let codes = Codes::new(data, parity);
        let whole = codes.encode(random_shards(data, 321, parity as u64));
        // As much as can be lost: from the front, and from the back.
        let first: Vec<usize> = (0..parity).collect();
        let last: Vec<usize> = (data..data + parity).collect();
        for lost in [first, last] {
            let rebuilt = codes.rebuild(&whole, &lost, false);
            assert!(rebuilt.iter().flatten().eq(&whole));
        }
    }
}

#[test]
fn every_pattern_of_losses_is_rebuilt_as_the_crate_does() {
    for (data, parity) in [(1, 1), (1, 3), (2, 1), (3, 2), (4, 3), (5, 4), (2, 6)] {
        let codes = Codes::new(data, parity);
        let slots = data + parity;
        let whole = codes.encode(random_shards(data, 300, slots as u64));
        for pattern in 0_u32..1 << slots {
            let lost: Vec<usize> = (0..slots).filter(|slot| pattern >> slot & 1 == 1).collect();
            if lost.len() <= parity {
                let rebuilt = codes.rebuild(&whole, &lost, false);
                assert!(rebuilt.iter().flatten().eq(&whole));
                let rebuilt = codes.rebuild(&whole, &lost, true);
                assert!(rebuilt.iter().take(data).flatten().eq(&whole[..data]));
            }
        }
    }
}

#[test]
fn shards_that_do_not_belong_together_are_rebuilt_to_the_same_wrong_bytes() {
    let codes = Codes::new(4, 3);
    let shards = random_shards(7, 333, 5);
    for lost in [&[0][..], &[1, 2], &[5], &[0, 4], &[3, 5, 6], &[]] {
        codes.rebuild(&shards, lost, false);
        codes.rebuild(&shards, lost, true);
    }
}

#[test]
fn one_wrong_bit_anywhere_is_seen() {
    let codes = Codes::new(3, 2);
    let length = 2 * PIECE + 300;
    let mut whole = codes.encode(random_shards(3, length, 6));
    for slot in 0..5 {
        for at in [0, 255, 256, PIECE - 1, PIECE, 2 * PIECE + 255, length - 1] {
            whole[slot][at] ^= 0x10;
            assert_eq!(codes.theirs.verify(&whole), Ok(false));
            for code in &codes.ours {
                assert_eq!(code.verify(&slices(&whole)), Ok(false), "{slot} {at}");
            }
            whole[slot][at] ^= 0x10;
        }
    }
}

#[test]
fn what_cannot_be_done_is_refused_and_nothing_is_written() {
    let length = 70;
    let shards = random_shards(3, length, 7);
    let data = slices(&shards);
    for code in &Codes::new(3, 2).ours {
        let mut buffers = vec![vec![9; length]; 3];
        {
            let mut outputs: Vec<&mut [u8]> = buffers.iter_mut().map(Vec::as_mut_slice).collect();
            let count = |expected, found| Err(ErasureError::ShardCount { expected, found });
            assert_eq!(code.encode(&data, &mut outputs), count(5, 6));
            assert_eq!(code.encode(&data[..2], &mut outputs), count(3, 2));
            assert_eq!(code.verify(&data), Err(count(5, 3).unwrap_err()));
            assert_eq!(code.rebuild(&mut []), count(5, 0));
            let uneven = Err(ErasureError::UnevenShards {
                slot: 1,
                expected: 70,
                found: 69,
            });
            let short = [data[0], &data[1][1..], data[2]];
            assert_eq!(code.encode(&short, &mut outputs[..2]), uneven);
            let mut places = [
                Place::Present(data[0]),
                Place::Present(&data[1][1..]),
                Place::Present(data[2]),
                Place::Wanted(&mut *outputs[0]),
                Place::Lost,
            ];
            assert_eq!(code.rebuild(&mut places), uneven);
            let mut places = [
                Place::Present(data[0]),
                Place::Lost,
                Place::Present(data[2]),
                Place::Wanted(&mut *outputs[0]),
                Place::Lost,
            ];
            let too_few = Err(ErasureError::TooFewShards {
                needed: 3,
                found: 2,
            });
            assert_eq!(code.rebuild(&mut places), too_few);
        }
        assert!(buffers.iter().flatten().all(|byte| *byte == 9));
        assert_eq!(code.encode(&[&[][..]; 3], &mut [&mut [], &mut []]), Ok(()));
        assert_eq!(code.verify(&[&[][..]; 5]), Ok(true));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn any_geometry_length_alignment_and_loss_agrees_with_the_crate(
        (data, parity, lost) in (1_usize..=40, 1_usize..=32).prop_flat_map(|(data, parity)| {
            let slots: Vec<usize> = (0..data + parity).collect();
            (Just(data), Just(parity), subsequence(slots, 0..=parity))
        }),
        length in 1_usize..3000,
        shift in 0_usize..64,
        seed: u64,
    ) {
        let codes = Codes::new(data, parity);
        let whole = codes.encode(random_shards(data, length, seed));
        let rebuilt = codes.rebuild(&whole, &lost, false);
        prop_assert!(rebuilt.iter().flatten().eq(&whole));
        codes.rebuild(&whole, &lost, true);

        // The same bytes at another address.
        for code in &codes.ours {
            let shifted: Vec<Vec<u8>> = whole
                .iter()
                .map(|shard| [&vec![0; shift][..], shard].concat())
                .collect();
            let shards: Vec<&[u8]> = shifted.iter().map(|shard| &shard[shift..]).collect();
            prop_assert_eq!(code.verify(&shards), Ok(true));
        }
    }
}

proptest! {
    #[test]
    fn parity_that_is_added_up_from_parts_of_the_data_is_that_of_all_of_it(
        (data, parity) in (1usize..40, 1usize..40),
        at_once in 1usize..12,
        length in prop_oneof![0usize..700, Just(PIECE + 77), Just(3 * PIECE)],
        seed in any::<u64>(),
    ) {
        let shards = random_shards(data, length, seed);
        let shards = slices(&shards);
        let geometry = Geometry::new(data, parity).unwrap();
        for engine in engines("parity_that_is_added_up") {
            let code = Code::with_engine(geometry, engine);
            let mut whole = vec![vec![0xC3; length]; parity];
            let mut outputs: Vec<&mut [u8]> = whole.iter_mut().map(Vec::as_mut_slice).collect();
            code.encode(&shards, &mut outputs).unwrap();
            let mut sums = vec![vec![0; length]; parity];
            let mut outputs: Vec<&mut [u8]> = sums.iter_mut().map(Vec::as_mut_slice).collect();
            // The last part first: their order does not matter.
            let parts: Vec<_> = shards.chunks(at_once).enumerate().collect();
            for (part, shards) in parts.into_iter().rev() {
                code.add(part * at_once, shards, &mut outputs).unwrap();
            }
            prop_assert!(sums == whole, "{engine:?}");
        }
    }
}

#[test]
fn data_that_has_no_slot_is_not_added() {
    let code = Code::new(Geometry::new(4, 2).unwrap());
    let (data, mut parity) = (random_shards(4, 64, 1), vec![vec![7; 64]; 2]);
    let mut add = |first: usize, data: &[&[u8]], count: usize| {
        let mut outputs: Vec<&mut [u8]> = parity.iter_mut().map(Vec::as_mut_slice).collect();
        code.add(first, data, &mut outputs[..count])
    };
    let data = slices(&data);
    let count = |expected, found| Err(ErasureError::ShardCount { expected, found });
    assert_eq!(add(1, &data, 2), count(4, 5));
    assert_eq!(add(usize::MAX, &data, 2), count(4, usize::MAX));
    assert_eq!(add(0, &[], 2), count(4, 0));
    assert_eq!(add(0, &data, 1), count(6, 5));
    let uneven = ErasureError::UnevenShards {
        slot: 3,
        expected: 64,
        found: 63,
    };
    assert_eq!(add(2, &[data[2], &data[3][1..]], 2), Err(uneven));
    assert_eq!(parity, [[7; 64]; 2]);
}
