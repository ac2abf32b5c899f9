#![allow(clippy::unwrap_used, clippy::cast_possible_truncation)]
use super::*;
use crate::{commit::commit, erasure::Codec};
use std::{collections::BTreeMap, convert::Infallible, sync::Mutex};

/// Everything that came out.
#[derive(Default)]
struct Kept {
    shards: Mutex<BTreeMap<(u64, usize), Vec<u8>>>,
    stripes: Vec<(u64, Vec<ShardCommitment>, u64)>,
}

impl Sink for Kept {
    type Error = Infallible;

    fn shard(&self, place: Place, bytes: &[u8], shard: &CommittedShard) -> Result<(), Infallible> {
        assert_eq!(shard.commitment.storage_root, shard.storage.root());
        let place = (place.stripe, place.slot);
        let before = self.shards.lock().unwrap().insert(place, bytes.to_vec());
        assert!(before.is_none(), "{place:?} came twice");
        Ok(())
    }

    fn stripe(
        &mut self,
        stripe: u64,
        shards: &[ShardCommitment],
        read: u64,
    ) -> Result<(), Infallible> {
        self.stripes.push((stripe, shards.to_vec(), read));
        Ok(())
    }
}

/// Gives a few bytes at a time, as a pipe may.
struct Trickle<'a>(&'a [u8]);

impl Read for Trickle<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let most = into.len().min(1_000_003);
        self.0.read(&mut into[..most])
    }
}

fn object(length: usize) -> Vec<u8> {
    let mut object = vec![0; length];
    blake3::Hasher::new()
        .update(b"ingest")
        .finalize_xof()
        .fill(&mut object);
    object
}

/// What comes out is what the erasure code and the commitment give, one after the other.
fn same_as_apart(geometry: Geometry, length: usize) {
    let object = object(length);
    let mut kept = Kept::default();
    assert_eq!(
        ingest(Trickle(&object), geometry, &mut kept).unwrap(),
        length as u64
    );
    let codec = Codec::new(geometry).unwrap();
    let expected: Vec<Vec<Vec<u8>>> = codec.stripes(&object[..]).map(Result::unwrap).collect();
    assert_eq!(kept.stripes.len(), expected.len());
    let shards = kept.shards.into_inner().unwrap();
    assert_eq!(shards.len(), expected.len() * geometry.slots());
    for (number, (stripe, (found, roots, read))) in expected.iter().zip(&kept.stripes).enumerate() {
        assert_eq!(*found, number as u64);
        let until = ((number + 1) * geometry.stripe_bytes()).min(length);
        assert_eq!(*read, until as u64);
        assert_eq!(roots.len(), geometry.slots());
        for (slot, (shard, roots)) in stripe.iter().zip(roots).enumerate() {
            assert!(
                shards[&(*found, slot)] == *shard,
                "stripe {number} slot {slot}"
            );
            assert_eq!(commit(shard).unwrap(), *roots);
        }
    }
}

#[test]
fn one_byte_is_one_stripe() {
    same_as_apart(Geometry::new(1, 1).unwrap(), 1);
}

#[test]
fn a_full_stripe_is_one_stripe_and_a_byte_more_is_two() {
    let geometry = Geometry::new(2, 1).unwrap();
    same_as_apart(geometry, geometry.stripe_bytes());
    same_as_apart(geometry, geometry.stripe_bytes() + 1);
}

#[test]
fn the_next_stripe_is_read_into_the_same_buffers_where_there_is_no_room_for_it() {
    let geometry = Geometry::new(10, 10).unwrap();
    assert_eq!(Buffers::new(geometry).next.len(), 0);
    same_as_apart(geometry, geometry.stripe_bytes() + 1);
}

#[test]
fn an_empty_object_is_refused() {
    let mut kept = Kept::default();
    let refused = ingest(io::empty(), Geometry::default(), &mut kept);
    assert!(matches!(refused, Err(IngestError::Empty)));
    assert!(kept.stripes.is_empty());
}

#[test]
fn buffers_of_the_default_geometry_hold_a_stripe_and_the_next_ones_data_and_stay_under_the_limit() {
    let geometry = Geometry::default();
    let buffers = Buffers::new(geometry);
    let all = [&buffers.data, &buffers.parity, &buffers.next];
    assert_eq!(all.map(Vec::len), [10, 4, 10]);
    assert!(buffer_bytes(geometry) <= BUFFER_LIMIT);
}

#[test]
fn stripes_that_are_too_wide_for_memory_come_out_part_by_part_and_the_same() {
    let geometry = Geometry::new(20, 5).unwrap();
    let window = Window { data: 9, next: 9 };
    assert_eq!(Window::of(geometry), window);
    // Into the first part, to the end of the second, into the last, a whole stripe, and into the next one.
    let parts = [1, 18 * SHARD_BYTES, 19 * SHARD_BYTES + 1];
    let stripes = [geometry.stripe_bytes(), geometry.stripe_bytes() + 1];
    for length in parts.into_iter().chain(stripes) {
        same_as_apart(geometry, length);
    }
}

#[test]
fn an_object_of_48_and_16_comes_out_the_same() {
    let geometry = Geometry::new(48, 16).unwrap();
    assert!(buffer_bytes(geometry) <= BUFFER_LIMIT);
    same_as_apart(geometry, 31 * SHARD_BYTES + 5);
}

#[test]
fn more_parity_than_memory_is_held_whole() {
    let geometry = Geometry::new(3, 24).unwrap();
    assert_eq!(Window::of(geometry), Window { data: 1, next: 1 });
    same_as_apart(geometry, geometry.stripe_bytes() + 1);
}

/// Bytes that are allocated are those that are told.
fn buffers(geometry: Geometry) -> usize {
    let buffers = Buffers::new(geometry);
    let all = [&buffers.data, &buffers.parity, &buffers.next];
    let capacity: usize = all.into_iter().flatten().map(Vec::capacity).sum();
    assert_eq!(capacity, buffer_bytes(geometry));
    capacity
}

#[test]
fn buffers_stay_under_the_limit_however_many_slots_there_are() {
    for (data, parity) in [
        (6, 2),
        (10, 4),
        (16, 8),
        (24, 8),
        (16, 16),
        (48, 16),
        (56, 8),
        (44, 20),
        (234, 22),
    ] {
        let geometry = Geometry::new(data, parity).unwrap();
        assert!(buffers(geometry) <= BUFFER_LIMIT, "{data} + {parity}");
    }
    for data in 1..=234 {
        for parity in 1..=22 {
            let geometry = Geometry::new(data, parity).unwrap();
            assert!(buffer_bytes(geometry) <= BUFFER_LIMIT, "{data} + {parity}");
        }
    }
}

#[test]
fn buffers_of_more_parity_than_fits_are_the_parity_and_two_data_shards() {
    for (data, parity) in [(2, 23), (32, 32), (200, 56)] {
        let geometry = Geometry::new(data, parity).unwrap();
        assert_eq!(buffer_bytes(geometry), (parity + 2) * SHARD_BYTES);
    }
}

/// Fails after some bytes.
struct Broken(u64);

impl Read for Broken {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let more = self.0.min(into.len() as u64);
        self.0 -= more;
        if more == 0 {
            return Err(io::Error::other("the disk is gone"));
        }
        Ok(more as usize)
    }
}

#[test]
fn an_object_that_cannot_be_read_to_its_end_is_an_error() {
    let geometry = Geometry::new(1, 1).unwrap();
    for length in [0, 5, geometry.stripe_bytes() as u64 + 5] {
        let broken = ingest(Broken(length), geometry, &mut Kept::default());
        assert!(matches!(broken, Err(IngestError::Read(_))), "{length}");
    }
}
