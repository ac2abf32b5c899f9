//! From the last file of a ceremony to the keys that provers and verifiers use.

use super::{
    contribution::{HASH_BYTES, Kind},
    error::CeremonyError,
    powers_of_tau::PowersOfTau,
    system::System,
    verify,
    zkey::Zkey,
};
use circuits::{
    circuit::Circuit,
    keys::{Manifest, ProvingKey, VerifyingKey},
};

/// Keys of a circuit, and what describes them.
pub struct Finalized {
    /// Makes proofs; its H is in the basis of odd Lagrange polynomials ([`crate::qap::OddCoset`]).
    pub proving: ProvingKey,
    /// Checks them.
    pub verifying: VerifyingKey,
    /// Names circuit, keys and ceremony.
    pub manifest: Manifest,
}

/// Judges a ceremony and takes its keys out.
///
/// # Errors
/// Everything that [`verify::verify`] finds; [`CeremonyError::NoContribution`], and [`CeremonyError::NoBeacon`] if the
/// last contribution is not a beacon: without one the last contributor could have picked a key.
pub fn finalize(
    circuit: &Circuit,
    phase1: &PowersOfTau,
    phase1_hash: &[u8; HASH_BYTES],
    zkey: Zkey,
) -> Result<Finalized, CeremonyError> {
    let transcript = &zkey.transcript;
    match transcript.contributions.last().map(|last| &last.kind) {
        None => return Err(CeremonyError::NoContribution),
        Some(Kind::Secret) => return Err(CeremonyError::NoBeacon),
        Some(Kind::Beacon { .. }) => {}
    }
    let secrets = transcript
        .contributions
        .iter()
        .filter(|contribution| contribution.kind == Kind::Secret)
        .count();
    if secrets == 0 {
        return Err(CeremonyError::NoContribution);
    }
    verify::verify(&System::from(circuit), phase1, &zkey)?;
    let ceremony = format!(
        "groth16 phase 2: {secrets} secret contributions and a beacon; transcript blake2b {}; powers of tau blake2b {}",
        hex::encode(transcript.hash()),
        hex::encode(phase1_hash)
    );
    let proving = zkey.into_proving_key();
    let verifying = VerifyingKey::new(circuit.profile(), &proving.vk, false)?;
    let manifest = Manifest {
        ceremony,
        ..Manifest::describe(circuit, Some(&verifying))
    };
    Ok(Finalized {
        proving,
        verifying,
        manifest,
    })
}
