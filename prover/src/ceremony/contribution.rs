//! The record of a ceremony: who multiplied delta by what, and the proof that they knew it.
//!
//! Contribution i has a secret s. It publishes a random point X, sX, and sY for the point Y that belongs to the hash of
//! everything before it and of X and sX, so the proof cannot have been made for another history. delta becomes s·delta.

use super::{
    error::{CeremonyError, ContributionFault, FileKind},
    points::{FilePoint, G1_BYTES, G2_BYTES, PointFault, same_ratio},
    randomness::{Stream, hash_to_g2},
};
use ark_bn254::{G1Affine, G2Affine};
use ark_ec::{AffineRepr, CurveGroup};
use blake2::{Blake2b512, Digest};
use std::io::{self, Write};

/// Bytes of a Blake2b-512 hash.
pub const HASH_BYTES: usize = 64;
/// Contributions that are read: nobody checks more, and a record of more is an attack on memory.
pub const MAX_CONTRIBUTIONS: u32 = 10_000;
/// Bytes of a name or a beacon value: the format counts them in one byte.
pub const MAX_PARAMETER: usize = 255;
/// Least exponent of a beacon's hashing rounds that `snarkjs` accepts.
pub const MIN_BEACON_EXPONENT: u8 = 10;
/// Greatest exponent accepted here: about ten minutes of hashing to repeat. `snarkjs` would go on to 2^63.
pub const MAX_BEACON_EXPONENT: u8 = 32;

/// Points, hash, kind and length of the parameters.
const FIXED_BYTES: usize = 3 * G1_BYTES + G2_BYTES + HASH_BYTES + 4 + 4;
/// Name, exponent and value, each with its tag and length.
const MAX_PARAMETERS: usize = 2 + MAX_PARAMETER + 2 + 2 + MAX_PARAMETER;
/// Circuit hash and number of contributions.
const RECORD_HEADER: usize = HASH_BYTES + 4;
/// Largest section that is read.
pub(super) const MAX_RECORD_BYTES: u64 =
    RECORD_HEADER as u64 + MAX_CONTRIBUTIONS as u64 * (FIXED_BYTES + MAX_PARAMETERS) as u64;

const NAME: u8 = 1;
const EXPONENT: u8 = 2;
const VALUE: u8 = 3;

/// Where a contribution's secret came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Somebody's randomness.
    Secret,
    /// A public value that nobody could foresee.
    Beacon {
        /// The value.
        value: Vec<u8>,
        /// It was hashed 2 to this power times.
        exponent: u8,
    },
}

/// One contribution to a ceremony.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contribution {
    /// delta in the first group after this contribution.
    pub delta_after: G1Affine,
    /// X, a random point.
    pub base: G1Affine,
    /// sX.
    pub base_times_secret: G1Affine,
    /// sY, where Y belongs to `transcript`.
    pub challenge_times_secret: G2Affine,
    /// Hash of the history, X and sX.
    pub transcript: [u8; HASH_BYTES],
    /// Where s came from.
    pub kind: Kind,
    /// What the contributor wants to be called.
    pub name: Option<String>,
}

impl Contribution {
    /// What a contributor publishes as an attestation: the hash of its public key.
    #[must_use]
    pub fn hash(&self) -> [u8; HASH_BYTES] {
        let mut hasher = Blake2b512::new();
        self.absorb(&mut hasher);
        hasher.finalize().into()
    }

    fn absorb(&self, hasher: &mut Blake2b512) {
        for point in [self.delta_after, self.base, self.base_times_secret] {
            hasher.update(point.hashed());
        }
        hasher.update(self.challenge_times_secret.hashed());
        hasher.update(self.transcript);
    }

    fn check(&self, delta_before: G1Affine, history: &Blake2b512) -> Result<(), ContributionFault> {
        let expected = transcript(history, self.base, self.base_times_secret);
        if expected != self.transcript {
            return Err(ContributionFault::Transcript);
        }
        let challenge = hash_to_g2(&self.transcript);
        let response = self.challenge_times_secret;
        if !same_ratio(self.base, self.base_times_secret, challenge, response) {
            return Err(ContributionFault::PublicKey);
        }
        if !same_ratio(delta_before, self.delta_after, challenge, response) {
            return Err(ContributionFault::Delta);
        }
        if let Kind::Beacon { value, exponent } = &self.kind {
            check_exponent(*exponent)?;
            let mut stream = Stream::from_beacon(value, *exponent);
            let secret = stream.scalar();
            let base = stream.g1();
            if base != self.base || (base * secret).into_affine() != self.base_times_secret {
                return Err(ContributionFault::BeaconKey);
            }
        }
        Ok(())
    }

    fn encode(&self, mut to: impl Write) -> io::Result<()> {
        for point in [self.delta_after, self.base, self.base_times_secret] {
            to.write_all(&point.encode())?;
        }
        to.write_all(&self.challenge_times_secret.encode())?;
        to.write_all(&self.transcript)?;
        let kind = u32::from(self.kind != Kind::Secret);
        to.write_all(&kind.to_le_bytes())?;
        let parameters = self.parameters()?;
        let length = u32::try_from(parameters.len()).map_err(io::Error::other)?;
        to.write_all(&length.to_le_bytes())?;
        to.write_all(&parameters)
    }

    fn parameters(&self) -> io::Result<Vec<u8>> {
        let length = |bytes: &[u8]| u8::try_from(bytes.len()).map_err(io::Error::other);
        let mut parameters = Vec::new();
        if let Some(name) = &self.name {
            parameters.extend([NAME, length(name.as_bytes())?]);
            parameters.extend(name.as_bytes());
        }
        if let Kind::Beacon { value, exponent } = &self.kind {
            parameters.extend([EXPONENT, *exponent, VALUE, length(value)?]);
            parameters.extend(value);
        }
        Ok(parameters)
    }

    fn decode(bytes: &mut &[u8]) -> Result<Self, ContributionFault> {
        let delta_after = point(bytes, "delta")?;
        let base = point(bytes, "X")?;
        let base_times_secret = point(bytes, "sX")?;
        let challenge_times_secret = point(bytes, "sY")?;
        let transcript = array(bytes)?;
        let kind = u32::from_le_bytes(array(bytes)?);
        let length = u32::from_le_bytes(array(bytes)?);
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        if length > MAX_PARAMETERS {
            return Err(ContributionFault::Parameters);
        }
        let (kind, name) = parameters(kind, take(bytes, length)?)?;
        Ok(Self {
            delta_after,
            base,
            base_times_secret,
            challenge_times_secret,
            transcript,
            kind,
            name,
        })
    }
}

/// Refuses an exponent that is out of range.
pub(super) const fn check_exponent(found: u8) -> Result<(), ContributionFault> {
    let (min, max) = (MIN_BEACON_EXPONENT, MAX_BEACON_EXPONENT);
    if found < min || found > max {
        return Err(ContributionFault::BeaconIterations { min, max, found });
    }
    Ok(())
}

/// The hash that a contribution with the public key (X, sX) must answer to.
fn transcript(history: &Blake2b512, base: G1Affine, times_secret: G1Affine) -> [u8; HASH_BYTES] {
    let mut hasher = history.clone();
    hasher.update(base.hashed());
    hasher.update(times_secret.hashed());
    hasher.finalize().into()
}

/// Name, exponent and value, ascending, each at most once; a beacon has the last two, a secret has neither.
fn parameters(kind: u32, mut bytes: &[u8]) -> Result<(Kind, Option<String>), ContributionFault> {
    let (mut name, mut exponent, mut value) = (None, None, None);
    let mut last = 0;
    while !bytes.is_empty() {
        let [tag] = array(&mut bytes)?;
        if tag <= last {
            return Err(ContributionFault::Parameters);
        }
        last = tag;
        let [number] = array(&mut bytes)?;
        let length = usize::from(number);
        match tag {
            NAME => {
                let text = take(&mut bytes, length)?.to_vec();
                name = Some(String::from_utf8(text).map_err(|_| ContributionFault::Name)?);
            }
            EXPONENT => exponent = Some(number),
            VALUE => value = Some(take(&mut bytes, length)?.to_vec()),
            _ => return Err(ContributionFault::Parameters),
        }
    }
    let kind = match (kind, exponent, value) {
        (0, None, None) => Kind::Secret,
        (1, Some(exponent), Some(value)) => Kind::Beacon { value, exponent },
        (0 | 1, ..) => return Err(ContributionFault::Parameters),
        (other, ..) => return Err(ContributionFault::Kind(other)),
    };
    Ok((kind, name))
}

fn take<'a>(bytes: &mut &'a [u8], length: usize) -> Result<&'a [u8], ContributionFault> {
    let (head, rest) = bytes
        .split_at_checked(length)
        .ok_or(ContributionFault::Truncated)?;
    *bytes = rest;
    Ok(head)
}

fn array<const N: usize>(bytes: &mut &[u8]) -> Result<[u8; N], ContributionFault> {
    let mut array = [0; N];
    array.copy_from_slice(take(bytes, N)?);
    Ok(array)
}

fn point<P: FilePoint>(bytes: &mut &[u8], name: &'static str) -> Result<P, ContributionFault> {
    let fault = |fault| ContributionFault::Point { name, fault };
    let point = P::decode(take(bytes, P::BYTES)?).map_err(fault)?;
    if point.is_zero() {
        return Err(fault(PointFault::Infinity));
    }
    Ok(point)
}

/// The record of all contributions to a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transcript {
    /// Hash of everything that circuit and phase 1 give: the ceremony is for that and nothing else.
    pub circuit_hash: [u8; HASH_BYTES],
    /// The contributions in their order.
    pub contributions: Vec<Contribution>,
}

impl Transcript {
    /// Hash of the circuit hash and all contributions: names the ceremony.
    #[must_use]
    pub fn hash(&self) -> [u8; HASH_BYTES] {
        self.history().finalize().into()
    }

    fn history(&self) -> Blake2b512 {
        let mut hasher = Blake2b512::new();
        hasher.update(self.circuit_hash);
        for contribution in &self.contributions {
            contribution.absorb(&mut hasher);
        }
        hasher
    }

    /// The hash that the next contribution, with the public key (X, sX), must answer to.
    pub(super) fn next(&self, base: G1Affine, times_secret: G1Affine) -> [u8; HASH_BYTES] {
        transcript(&self.history(), base, times_secret)
    }

    /// Checks every contribution and returns the delta that they multiply up to.
    ///
    /// # Errors
    /// [`CeremonyError::Contribution`] names the first one that is wrong.
    pub fn check(&self) -> Result<G1Affine, CeremonyError> {
        let mut history = Blake2b512::new();
        history.update(self.circuit_hash);
        let mut delta = G1Affine::generator();
        for (index, contribution) in self.contributions.iter().enumerate() {
            contribution
                .check(delta, &history)
                .map_err(|fault| CeremonyError::Contribution {
                    number: index + 1,
                    fault,
                })?;
            contribution.absorb(&mut history);
            delta = contribution.delta_after;
        }
        Ok(delta)
    }

    pub(super) fn encode(&self) -> io::Result<Vec<u8>> {
        let mut bytes = self.circuit_hash.to_vec();
        let count = u32::try_from(self.contributions.len()).map_err(io::Error::other)?;
        bytes.extend(count.to_le_bytes());
        for contribution in &self.contributions {
            contribution.encode(&mut bytes)?;
        }
        Ok(bytes)
    }

    pub(super) fn decode(mut bytes: &[u8]) -> Result<Self, CeremonyError> {
        const SECTION: u32 = 10;
        let size = |expected: usize, found: usize| CeremonyError::SectionSize {
            file: FileKind::Zkey,
            section: SECTION,
            expected: expected as u64,
            found: found as u64,
        };
        let whole = bytes.len();
        let short = |_| size(RECORD_HEADER, whole);
        let circuit_hash = array(&mut bytes).map_err(short)?;
        let count = u32::from_le_bytes(array(&mut bytes).map_err(short)?);
        if count > MAX_CONTRIBUTIONS {
            return Err(CeremonyError::TooManyContributions {
                limit: MAX_CONTRIBUTIONS,
                found: count,
            });
        }
        let mut contributions = Vec::new();
        for index in 0..count as usize {
            let next =
                Contribution::decode(&mut bytes).map_err(|fault| CeremonyError::Contribution {
                    number: index + 1,
                    fault,
                })?;
            contributions.push(next);
        }
        if !bytes.is_empty() {
            return Err(size(whole - bytes.len(), whole));
        }
        Ok(Self {
            circuit_hash,
            contributions,
        })
    }
}
