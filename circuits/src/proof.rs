//! A storage proof: its encodings, and whether it is one.
//!
//! Groth16 proofs can be re-randomised: two different encodings may prove the same statement, so a proof's bytes never
//! identify a submission.
//!
//! Protocol: sections 1 and 4.

mod batch;
mod miller;
pub mod snarkjs;
mod weight;

pub use batch::verify_batch;

use crate::{
    field,
    keys::VerifyingKey,
    statement::{CountError, Public},
};
use ark_bn254::{Bn254, Fq, Fq2, G1Affine, G2Affine};
use ark_ec::AffineRepr;
use ark_ff::PrimeField;
use ark_groth16::Groth16;
use ark_serialize::{CanonicalDeserialize, CanonicalSerialize};
use rand::rngs::OsRng;
use thiserror::Error;

/// Bytes of the encoding that contracts read and that all hashes cover.
pub const PROOF256_BYTES: usize = 256;
/// Bytes of the compressed encoding.
pub const PROOF128_BYTES: usize = 128;

/// Why bytes are not a proof.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum DecodeError {
    /// Another number of bytes.
    #[error("a proof has {expected} bytes, found {found}")]
    Length {
        /// Bytes of the encoding.
        expected: usize,
        /// Bytes found.
        found: usize,
    },
    /// A coordinate has one encoding only.
    #[error("coordinate {index} of the proof is not below the field's modulus")]
    NotCanonical {
        /// Place of the coordinate in `proof256`.
        index: usize,
    },
    /// Not a point.
    #[error("point {point} of the proof is not on its curve")]
    NotOnCurve {
        /// A, B or C.
        point: char,
    },
    /// A point of the twist outside the group that pairings are defined on.
    #[error("point {point} of the proof is not in the prime-order subgroup")]
    NotInSubgroup {
        /// A, B or C.
        point: char,
    },
    /// The neutral element: never part of an honest proof.
    #[error("point {point} of the proof is the point at infinity")]
    Infinity {
        /// A, B or C.
        point: char,
    },
    /// The compressed form does not decode, or is not the one that encoding gives.
    #[error("compressed proof is malformed")]
    Compressed,
}

/// Why a proof is refused.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reject {
    /// The statement means nothing for this shard count.
    #[error(transparent)]
    Count(#[from] CountError),
    /// The Groth16 equation fails.
    #[error("the proof does not prove this statement")]
    FalseStatement,
}

/// Three points that are on their curves, in the subgroup, and not at infinity.
#[derive(Clone, Debug, PartialEq)]
pub struct Proof(ark_groth16::Proof<Bn254>);

impl Eq for Proof {}

impl Proof {
    /// Checks the points of a proof.
    ///
    /// # Errors
    /// [`DecodeError::Infinity`], [`DecodeError::NotOnCurve`] or [`DecodeError::NotInSubgroup`].
    pub fn new(points: ark_groth16::Proof<Bn254>) -> Result<Self, DecodeError> {
        for (name, point) in [('A', points.a), ('C', points.c)] {
            if point.is_zero() {
                return Err(DecodeError::Infinity { point: name });
            }
            if !point.is_on_curve() {
                return Err(DecodeError::NotOnCurve { point: name });
            }
        }
        if points.b.is_zero() {
            return Err(DecodeError::Infinity { point: 'B' });
        }
        if !points.b.is_on_curve() {
            return Err(DecodeError::NotOnCurve { point: 'B' });
        }
        if !points.b.is_in_correct_subgroup_assuming_on_curve() {
            return Err(DecodeError::NotInSubgroup { point: 'B' });
        }
        Ok(Self(points))
    }

    /// The points.
    #[must_use]
    pub const fn points(&self) -> &ark_groth16::Proof<Bn254> {
        &self.0
    }

    /// A.x, A.y, B.x.c1, B.x.c0, B.y.c1, B.y.c0, C.x, C.y, 32 bytes big-endian each.
    #[must_use]
    pub fn to_proof256(&self) -> [u8; PROOF256_BYTES] {
        let ark_groth16::Proof { a, b, c } = &self.0;
        let coordinates = [a.x, a.y, b.x.c1, b.x.c0, b.y.c1, b.y.c0, c.x, c.y];
        let mut bytes = [0; PROOF256_BYTES];
        for (chunk, coordinate) in bytes.chunks_exact_mut(32).zip(coordinates) {
            chunk.copy_from_slice(&field::limbs_to_be(&coordinate.into_bigint()));
        }
        bytes
    }

    /// Decodes what [`to_proof256`](Self::to_proof256) gives; nothing else decodes.
    ///
    /// # Errors
    /// A [`DecodeError`] that says what is wrong.
    pub fn from_proof256(bytes: &[u8]) -> Result<Self, DecodeError> {
        let bytes: &[u8; PROOF256_BYTES] = bytes.try_into().map_err(|_| DecodeError::Length {
            expected: PROOF256_BYTES,
            found: bytes.len(),
        })?;
        let (words, _) = bytes.as_chunks::<32>();
        let mut coordinates = [Fq::default(); 8];
        for (index, (coordinate, word)) in coordinates.iter_mut().zip(words).enumerate() {
            *coordinate = Fq::from_bigint(field::limbs_from_be(word))
                .ok_or(DecodeError::NotCanonical { index })?;
        }
        let [ax, ay, bx1, bx0, by1, by0, cx, cy] = coordinates;
        // Contracts write the point at infinity as zeros, which are on neither curve.
        for (point, zero) in [
            ('A', [ax, ay] == [Fq::default(); 2]),
            ('B', [bx1, bx0, by1, by0] == [Fq::default(); 4]),
            ('C', [cx, cy] == [Fq::default(); 2]),
        ] {
            if zero {
                return Err(DecodeError::Infinity { point });
            }
        }
        Self::new(ark_groth16::Proof {
            a: G1Affine::new_unchecked(ax, ay),
            b: G2Affine::new_unchecked(Fq2::new(bx0, bx1), Fq2::new(by0, by1)),
            c: G1Affine::new_unchecked(cx, cy),
        })
    }

    /// The arkworks compressed encoding.
    ///
    /// # Panics
    /// Never: three compressed points have 128 bytes.
    #[must_use]
    pub fn to_proof128(&self) -> [u8; PROOF128_BYTES] {
        let mut bytes = [0; PROOF128_BYTES];
        self.0
            .serialize_compressed(&mut bytes[..])
            .expect("three compressed points");
        bytes
    }

    /// Decodes what [`to_proof128`](Self::to_proof128) gives; nothing else decodes.
    ///
    /// # Errors
    /// A [`DecodeError`] that says what is wrong.
    pub fn from_proof128(bytes: &[u8]) -> Result<Self, DecodeError> {
        if bytes.len() != PROOF128_BYTES {
            return Err(DecodeError::Length {
                expected: PROOF128_BYTES,
                found: bytes.len(),
            });
        }
        let points = ark_groth16::Proof::deserialize_compressed(bytes)
            .map_err(|_| DecodeError::Compressed)?;
        let proof = Self::new(points)?;
        if proof.to_proof128()[..] == *bytes {
            Ok(proof)
        } else {
            Err(DecodeError::Compressed)
        }
    }

    /// Another proof of the same statement, as anybody can make it from this one.
    #[must_use]
    pub fn rerandomized(&self, key: &VerifyingKey) -> Self {
        Self(Groth16::<Bn254>::rerandomize_proof(
            key.points(),
            &self.0,
            &mut OsRng,
        ))
    }
}

/// Checks a proof against the statement it must prove.
///
/// Pure: reads no clock, network or chain.
///
/// # Errors
/// [`Reject::Count`] if the shard count is 0 or above the profile's capacity; [`Reject::FalseStatement`] if the Groth16
/// equation fails.
///
/// Protocol: section 4.
pub fn verify(key: &VerifyingKey, public: &Public, proof: &Proof) -> Result<(), Reject> {
    public.check_count(key.profile())?;
    let inputs = key.input_point(&public.to_inputs());
    match Groth16::<Bn254>::verify_proof_with_prepared_inputs(key.prepared(), &proof.0, &inputs) {
        Ok(true) => Ok(()),
        Ok(false) | Err(_) => Err(Reject::FalseStatement),
    }
}

#[cfg(test)]
pub(crate) mod tests;
