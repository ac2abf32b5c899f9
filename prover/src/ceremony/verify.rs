//! Judging a ceremony: every check of `snarkjs zkey verify`, from the circuit itself.

use super::{
    combine::{random_weights, weighted_sum},
    error::CeremonyError,
    points::same_ratio,
    powers_of_tau::PowersOfTau,
    system::System,
    zkey::Zkey,
};
use ark_bn254::G1Affine;
use ark_ec::AffineRepr;

/// Checks that a key is the initial one of circuit and phase 1, changed by its contributions and nothing else.
///
/// The initial key is derived again. What contributions leave alone must be equal to it; C and H must be its points
/// divided by delta, which is seen from a linear combination with random weights of 128 bits; delta must be the product
/// of the contributions, each of which must prove its secret.
///
/// # Errors
/// A [`CeremonyError`] that names the first thing that is wrong.
pub fn verify(system: &System<'_>, phase1: &PowersOfTau, zkey: &Zkey) -> Result<(), CeremonyError> {
    let initial = Zkey::derive(system, phase1)?;
    let (found, expected) = (&zkey.header, &initial.header);
    for (what, equal) in [
        ("alpha", found.alpha_g1 == expected.alpha_g1),
        ("beta in the first group", found.beta_g1 == expected.beta_g1),
        (
            "beta in the second group",
            found.beta_g2 == expected.beta_g2,
        ),
        ("gamma", found.gamma_g2 == expected.gamma_g2),
    ] {
        if !equal {
            return Err(CeremonyError::NotDerived { what, index: None });
        }
    }
    equal("the verifying key", &zkey.inputs, &initial.inputs)?;
    equal("A", &zkey.a, &initial.a)?;
    equal("B in the first group", &zkey.b_g1, &initial.b_g1)?;
    equal("B in the second group", &zkey.b_g2, &initial.b_g2)?;
    if zkey.transcript.circuit_hash != initial.transcript.circuit_hash {
        return Err(CeremonyError::CircuitHash);
    }
    zkey.check_contributions()?;
    divided(8, zkey, &zkey.c, &initial.c)?;
    divided(9, zkey, &zkey.h, &initial.h)
}

fn equal<P: AffineRepr>(
    what: &'static str,
    found: &[P],
    expected: &[P],
) -> Result<(), CeremonyError> {
    let differs = || (0..).zip(found).zip(expected).find(|((_, f), e)| f != e);
    match differs() {
        None if found.len() == expected.len() => Ok(()),
        other => Err(CeremonyError::NotDerived {
            what,
            index: other.map(|((index, _), _)| index),
        }),
    }
}

/// Whether each point is the initial one divided by delta.
fn divided(
    section: u32,
    zkey: &Zkey,
    found: &[G1Affine],
    initial: &[G1Affine],
) -> Result<(), CeremonyError> {
    // A system without witness variables has no C.
    if found.is_empty() && initial.is_empty() {
        return Ok(());
    }
    let weights = random_weights(initial.len());
    let (found_sum, initial_sum) = (
        weighted_sum(found, &weights),
        weighted_sum(initial, &weights),
    );
    let delta = zkey.header.delta_g2;
    let one = ark_bn254::G2Affine::generator();
    if found.len() == initial.len() && same_ratio(found_sum, initial_sum, one, delta) {
        Ok(())
    } else {
        Err(CeremonyError::NotDivided(section))
    }
}
