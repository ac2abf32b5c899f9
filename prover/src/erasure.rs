//! Objects as stripes of k data shards and m parity shards: Reed–Solomon over GF(2^8).
//!
//! Protocol: section 2. [`Codec`] works on stripes of an object; [`Code`] is the code alone, on shards of any one length.

mod code;
#[cfg(test)]
mod differential;
mod engine;
#[cfg(target_arch = "x86_64")]
mod gfni;
mod interpolation;

pub use code::{Code, Place};
pub use engine::Engine;

use circuits::storage::SHARD_BYTES;
use rayon::prelude::*;
use std::io::{self, Read};
use thiserror::Error;

/// Why shards cannot be made or rebuilt.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErasureError {
    /// Numbers of shards that the code does not have.
    #[error(
        "{data}+{parity} is no geometry: both numbers are at least 1 and their sum at most 256"
    )]
    Geometry {
        /// Data shards.
        data: usize,
        /// Parity shards.
        parity: usize,
    },
    /// More bytes than a stripe carries.
    #[error("a stripe carries 1 to {most} bytes, found {found}")]
    StripeLength {
        /// k shards.
        most: usize,
        /// Bytes found.
        found: usize,
    },
    /// A shard has one size only.
    #[error("shard {slot} has {found} bytes, a shard has {SHARD_BYTES}")]
    ShardLength {
        /// Place in the stripe.
        slot: usize,
        /// Bytes found.
        found: usize,
    },
    /// Shards of different lengths, given to the code itself.
    #[error("shard {slot} has {found} bytes, those before it have {expected}")]
    UnevenShards {
        /// Place in the stripe.
        slot: usize,
        /// Bytes of the first one.
        expected: usize,
        /// Bytes found.
        found: usize,
    },
    /// Another number of places than the geometry has.
    #[error("a stripe has {expected} shards, found {found} places")]
    ShardCount {
        /// k + m.
        expected: usize,
        /// Places found.
        found: usize,
    },
    /// Too much is lost.
    #[error("{needed} shards are needed to rebuild a stripe, {found} are there")]
    TooFewShards {
        /// k.
        needed: usize,
        /// Shards present.
        found: usize,
    },
}

/// How many shards a stripe has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Geometry {
    data: usize,
    parity: usize,
}

impl Default for Geometry {
    /// 10 + 4.
    fn default() -> Self {
        Self {
            data: 10,
            parity: 4,
        }
    }
}

impl Geometry {
    /// A geometry of k data and m parity shards.
    ///
    /// # Errors
    /// [`ErasureError::Geometry`] unless both are at least 1 and there are at most 256 together.
    pub const fn new(data: usize, parity: usize) -> Result<Self, ErasureError> {
        if data == 0 || parity == 0 || data > 256 || parity > 256 - data {
            return Err(ErasureError::Geometry { data, parity });
        }
        Ok(Self { data, parity })
    }

    /// Data shards of a stripe: k.
    #[must_use]
    pub const fn data(&self) -> usize {
        self.data
    }

    /// Parity shards of a stripe: m.
    #[must_use]
    pub const fn parity(&self) -> usize {
        self.parity
    }

    /// Shards of a stripe, and slots of a deal: k + m.
    #[must_use]
    pub const fn slots(&self) -> usize {
        self.data + self.parity
    }

    /// Bytes of an object that one stripe carries.
    #[must_use]
    pub const fn stripe_bytes(&self) -> usize {
        self.data * SHARD_BYTES
    }

    /// Stripes of an object.
    #[must_use]
    pub const fn stripes(&self, object_bytes: u64) -> u64 {
        object_bytes.div_ceil(self.stripe_bytes() as u64)
    }
}

/// Makes and rebuilds the shards of a geometry.
#[derive(Debug)]
pub struct Codec {
    geometry: Geometry,
    code: Code,
}

impl Codec {
    /// Prepares the code for this processor; see [`Engine::detect`].
    ///
    /// # Errors
    /// None: what the code does not have is no [`Geometry`].
    pub fn new(geometry: Geometry) -> Result<Self, ErasureError> {
        Ok(Self {
            geometry,
            code: Code::new(geometry),
        })
    }

    /// The geometry.
    #[must_use]
    pub const fn geometry(&self) -> Geometry {
        self.geometry
    }

    /// The k + m shards of one stripe, data first; bytes that are missing at the end count as zeros.
    ///
    /// # Errors
    /// [`ErasureError::StripeLength`] for no bytes, or more than k shards hold.
    pub fn encode_stripe(&self, bytes: &[u8]) -> Result<Vec<Vec<u8>>, ErasureError> {
        let most = self.geometry.stripe_bytes();
        if bytes.is_empty() || bytes.len() > most {
            return Err(ErasureError::StripeLength {
                most,
                found: bytes.len(),
            });
        }
        // With all threads, for most of the time goes into pages that are touched for the first time.
        let mut shards: Vec<Vec<u8>> = (0..self.geometry.slots())
            .into_par_iter()
            .map(|slot| {
                let from = (slot * SHARD_BYTES).min(bytes.len());
                let to = (from + SHARD_BYTES).min(bytes.len());
                let mut shard = Vec::with_capacity(SHARD_BYTES);
                shard.extend_from_slice(&bytes[from..to]);
                shard.resize(SHARD_BYTES, 0);
                shard
            })
            .collect();
        let (data, parity) = shards.split_at_mut(self.geometry.data);
        let data: Vec<&[u8]> = data.iter().map(Vec::as_slice).collect();
        let mut parity: Vec<&mut [u8]> = parity.iter_mut().map(Vec::as_mut_slice).collect();
        self.code.encode(&data, &mut parity)?;
        Ok(shards)
    }

    /// Rebuilds all missing shards of a stripe in place. Does not notice wrong shards: their roots do.
    ///
    /// # Errors
    /// [`ErasureError::ShardCount`], [`ErasureError::ShardLength`] or [`ErasureError::TooFewShards`].
    pub fn reconstruct(&self, shards: &mut [Option<Vec<u8>>]) -> Result<(), ErasureError> {
        self.rebuild(shards, self.geometry.slots())
    }

    /// Rebuilds the missing data shards only: what reading an object needs.
    ///
    /// # Errors
    /// As [`reconstruct`](Self::reconstruct).
    pub fn reconstruct_data(&self, shards: &mut [Option<Vec<u8>>]) -> Result<(), ErasureError> {
        self.rebuild(shards, self.geometry.data)
    }

    /// Reads an object stripe by stripe, holding one stripe in memory.
    pub const fn stripes<R: Read>(&self, object: R) -> Stripes<'_, R> {
        Stripes {
            codec: self,
            object,
            ended: false,
        }
    }

    /// Rebuilds what is missing in the first slots.
    fn rebuild(&self, shards: &mut [Option<Vec<u8>>], wanted: usize) -> Result<(), ErasureError> {
        self.check(shards)?;
        let missing: Vec<usize> = (0..wanted).filter(|slot| shards[*slot].is_none()).collect();
        // Each asked for as zeros, not cloned: its pages are touched where it is computed.
        let mut rebuilt: Vec<Vec<u8>> = missing.iter().map(|_| vec![0; SHARD_BYTES]).collect();
        let mut places: Vec<Place<'_>> = shards
            .iter()
            .map(|shard| shard.as_deref().map_or(Place::Lost, Place::Present))
            .collect();
        for (slot, shard) in missing.iter().zip(&mut rebuilt) {
            places[*slot] = Place::Wanted(shard);
        }
        self.code.rebuild(&mut places)?;
        for (slot, shard) in missing.into_iter().zip(rebuilt) {
            shards[slot] = Some(shard);
        }
        Ok(())
    }

    fn check(&self, shards: &[Option<Vec<u8>>]) -> Result<(), ErasureError> {
        let expected = self.geometry.slots();
        if shards.len() != expected {
            return Err(ErasureError::ShardCount {
                expected,
                found: shards.len(),
            });
        }
        for (slot, shard) in shards.iter().enumerate() {
            if let Some(shard) = shard
                && shard.len() != SHARD_BYTES
            {
                return Err(ErasureError::ShardLength {
                    slot,
                    found: shard.len(),
                });
            }
        }
        let found = shards.iter().flatten().count();
        let needed = self.geometry.data;
        if found < needed {
            return Err(ErasureError::TooFewShards { needed, found });
        }
        Ok(())
    }
}

/// Stripes of an object as they are read; each item holds k + m shards.
#[derive(Debug)]
pub struct Stripes<'a, R> {
    codec: &'a Codec,
    object: R,
    ended: bool,
}

impl<R: Read> Stripes<'_, R> {
    fn next_stripe(&mut self) -> io::Result<Option<Vec<Vec<u8>>>> {
        let most = self.codec.geometry.stripe_bytes();
        let mut bytes = Vec::with_capacity(most);
        self.object
            .by_ref()
            .take(most as u64)
            .read_to_end(&mut bytes)?;
        self.ended = bytes.len() < most;
        if bytes.is_empty() {
            return Ok(None);
        }
        self.codec
            .encode_stripe(&bytes)
            .map(Some)
            .map_err(io::Error::other)
    }
}

impl<R: Read> Iterator for Stripes<'_, R> {
    type Item = io::Result<Vec<Vec<u8>>>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let stripe = self.next_stripe().transpose();
        self.ended |= !matches!(stripe, Some(Ok(_)));
        stripe
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::cast_possible_truncation)]
    use super::*;
    use proptest::{prelude::*, sample::subsequence};

    fn object(length: usize, seed: u64) -> Vec<u8> {
        let mut bytes = vec![0; length];
        blake3::Hasher::new()
            .update(&seed.to_le_bytes())
            .finalize_xof()
            .fill(&mut bytes);
        bytes
    }

    fn small() -> Codec {
        Codec::new(Geometry::new(3, 2).unwrap()).unwrap()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(12))]

        #[test]
        fn any_k_shards_give_the_object_back(
            length in 1..=3 * SHARD_BYTES,
            seed: u64,
            lost in subsequence((0..5).collect::<Vec<_>>(), 0..=2),
        ) {
            let codec = small();
            let bytes = object(length, seed);
            let whole = codec.encode_stripe(&bytes).unwrap();
            let mut shards: Vec<_> = whole.iter().cloned().map(Some).collect();
            for slot in &lost {
                shards[*slot] = None;
            }
            let mut data = shards.clone();
            codec.reconstruct(&mut shards).unwrap();
            prop_assert!(shards.iter().flatten().eq(&whole));
            codec.reconstruct_data(&mut data).unwrap();
            let mut read: Vec<u8> = data.into_iter().take(3).flatten().flatten().collect();
            read.truncate(length);
            prop_assert!(read == bytes);
        }
    }

    #[test]
    fn one_shard_too_few_is_an_error_and_changes_nothing() {
        let codec = small();
        let whole = codec.encode_stripe(&object(1000, 1)).unwrap();
        let mut shards: Vec<_> = whole.into_iter().map(Some).collect();
        shards[0] = None;
        shards[2] = None;
        shards[4] = None;
        let before = shards.clone();
        let refused = Err(ErasureError::TooFewShards {
            needed: 3,
            found: 2,
        });
        assert_eq!(codec.reconstruct(&mut shards), refused);
        assert!(shards == before);
    }

    /// Stripes outlive versions: bytes that other bytes once gave stay theirs.
    #[test]
    fn the_parity_of_known_bytes_never_changes() {
        let codec = Codec::new(Geometry::default()).unwrap();
        let shards = codec.encode_stripe(&object(3_000_000, 9)).unwrap();
        let mut hasher = blake3::Hasher::new();
        for shard in &shards[10..] {
            hasher.update(shard);
        }
        assert_eq!(
            hasher.finalize().to_hex().as_str(),
            "fc4871f8808583d1012407c409b3410031760a92c32059ee7129356a71d96551"
        );
    }

    #[test]
    fn the_last_stripe_is_padded_with_zeros() {
        let codec = small();
        let bytes = object(codec.geometry().stripe_bytes() + 5, 2);
        let stripes: Vec<_> = codec
            .stripes(&bytes[..])
            .collect::<io::Result<_>>()
            .unwrap();
        assert_eq!(
            stripes.len() as u64,
            codec.geometry().stripes(bytes.len() as u64)
        );
        assert!(stripes[1][0][..5] == bytes[bytes.len() - 5..]);
        assert!(
            stripes[1][0][5..]
                .iter()
                .chain(&stripes[1][1])
                .all(|byte| *byte == 0)
        );
        assert!(
            stripes
                .iter()
                .flatten()
                .all(|shard| shard.len() == SHARD_BYTES)
        );
    }

    #[test]
    fn an_object_of_whole_stripes_has_no_empty_one_behind_them() {
        let codec = small();
        let bytes = object(2 * codec.geometry().stripe_bytes(), 3);
        assert_eq!(codec.stripes(&bytes[..]).count(), 2);
        assert_eq!(codec.stripes(&[][..]).count(), 0);
        assert_eq!(codec.geometry().stripes(0), 0);
    }

    #[test]
    fn a_reader_that_fails_ends_the_stripes_with_its_error() {
        struct Broken;
        impl Read for Broken {
            fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
                Err(io::Error::other("disk"))
            }
        }
        let codec = small();
        let mut stripes = codec.stripes(Broken);
        assert_eq!(stripes.next().unwrap().unwrap_err().to_string(), "disk");
        assert!(stripes.next().is_none());
    }

    #[test]
    fn wrong_sizes_and_counts_are_refused() {
        let codec = small();
        assert!(matches!(
            codec.encode_stripe(&[]),
            Err(ErasureError::StripeLength { .. })
        ));
        let long = vec![0; codec.geometry().stripe_bytes() + 1];
        assert!(matches!(
            codec.encode_stripe(&long),
            Err(ErasureError::StripeLength { .. })
        ));
        let mut few = vec![Some(vec![0; SHARD_BYTES]); 4];
        let refused = Err(ErasureError::ShardCount {
            expected: 5,
            found: 4,
        });
        assert_eq!(codec.reconstruct(&mut few), refused);
        let mut short = vec![Some(vec![0; SHARD_BYTES]); 5];
        short[3] = Some(vec![0; 7]);
        let refused = Err(ErasureError::ShardLength { slot: 3, found: 7 });
        assert_eq!(codec.reconstruct(&mut short), refused);
        for (data, parity) in [(0, 1), (1, 0), (200, 57), (usize::MAX, 1), (1, usize::MAX)] {
            assert!(Geometry::new(data, parity).is_err());
        }
        assert_eq!(Geometry::default(), Geometry::new(10, 4).unwrap());
    }
}
