//! Taking part in a ceremony.

use super::{
    contribution::{
        Contribution, HASH_BYTES, Kind, MAX_CONTRIBUTIONS, MAX_PARAMETER, check_exponent,
    },
    error::CeremonyError,
    randomness::{Stream, hash_to_g2},
    zkey::Zkey,
};
use ark_bn254::{Fr, G1Affine, G1Projective};
use ark_ec::CurveGroup;
use ark_ff::{Field, UniformRand, Zero};
use rand::rngs::OsRng;
use rayon::prelude::*;
use zeroize::Zeroizing;

/// Longest name of a contributor, in bytes: `snarkjs` cuts off what is longer when it passes the record on.
pub const MAX_NAME: usize = 64;

/// Multiplies the key by a secret from the operating system's randomness, which is forgotten, and returns the hash of
/// the contribution.
///
/// The secret and its inverse are cleared when they have been used; what the curve arithmetic leaves on the stack is not,
/// and its time is not constant. A contributor's machine must be the contributor's.
///
/// The contributions before it are checked first. The name is not covered by any hash: anybody who passes the key on
/// can change it.
///
/// # Errors
/// What is wrong with the contributions so far, or [`CeremonyError::ParameterLength`].
pub fn contribute(zkey: &mut Zkey, name: Option<&str>) -> Result<[u8; HASH_BYTES], CeremonyError> {
    let secret = loop {
        let secret = Zeroizing::new(Fr::rand(&mut OsRng));
        if !secret.is_zero() {
            break secret;
        }
    };
    let base = G1Projective::rand(&mut OsRng).into_affine();
    apply(zkey, secret, base, Kind::Secret, name)
}

/// Multiplies the key by a number that everybody computes from a public value: 2^`exponent` rounds of SHA-256.
///
/// # Errors
/// What is wrong with the contributions so far, [`CeremonyError::ParameterLength`], or an exponent out of range.
pub fn beacon(
    zkey: &mut Zkey,
    name: Option<&str>,
    value: &[u8],
    exponent: u8,
) -> Result<[u8; HASH_BYTES], CeremonyError> {
    check_length("the beacon's value", value.len(), MAX_PARAMETER)?;
    let number = zkey.transcript.contributions.len() + 1;
    check_exponent(exponent).map_err(|fault| CeremonyError::Contribution { number, fault })?;
    let mut stream = Stream::from_beacon(value, exponent);
    let secret = Zeroizing::new(stream.scalar());
    let base = stream.g1();
    let kind = Kind::Beacon {
        value: value.to_vec(),
        exponent,
    };
    apply(zkey, secret, base, kind, name)
}

fn apply(
    zkey: &mut Zkey,
    secret: Zeroizing<Fr>,
    base: G1Affine,
    kind: Kind,
    name: Option<&str>,
) -> Result<[u8; HASH_BYTES], CeremonyError> {
    if let Some(name) = name {
        check_length("the contributor's name", name.len(), MAX_NAME)?;
    }
    let found = u32::try_from(zkey.transcript.contributions.len()).unwrap_or(u32::MAX);
    if found >= MAX_CONTRIBUTIONS {
        return Err(CeremonyError::TooManyContributions {
            limit: MAX_CONTRIBUTIONS,
            found: found.saturating_add(1),
        });
    }
    zkey.check_contributions()?;

    let base_times_secret = (base * *secret).into_affine();
    let transcript = zkey.transcript.next(base, base_times_secret);
    let challenge_times_secret = (hash_to_g2(&transcript) * *secret).into_affine();

    // A secret is not zero: neither kind of randomness gives zero but with a chance of 2^-254.
    let inverse = Zeroizing::new(secret.inverse().unwrap_or_default());
    zkey.header.delta_g1 = (zkey.header.delta_g1 * *secret).into_affine();
    zkey.header.delta_g2 = (zkey.header.delta_g2 * *secret).into_affine();
    for points in [&mut zkey.c, &mut zkey.h] {
        let multiplied: Vec<G1Projective> =
            points.par_iter().map(|point| *point * *inverse).collect();
        *points = G1Projective::normalize_batch(&multiplied);
    }

    let contribution = Contribution {
        delta_after: zkey.header.delta_g1,
        base,
        base_times_secret,
        challenge_times_secret,
        transcript,
        kind,
        name: name.map(str::to_owned),
    };
    let hash = contribution.hash();
    zkey.transcript.contributions.push(contribution);
    Ok(hash)
}

fn check_length(what: &'static str, found: usize, max: usize) -> Result<(), CeremonyError> {
    let min = 1;
    if (min..=max).contains(&found) {
        return Ok(());
    }
    Err(CeremonyError::ParameterLength {
        what,
        min,
        max,
        found,
    })
}
