//! A constraint system as a `.r1cs` file, for `snarkjs` and whoever else reads iden3's format (version 1).

use super::{
    container::Writer,
    error::{CeremonyError, FileKind},
    system::System,
};
use ark_bn254::Fr;
use ark_ff::{BigInteger, PrimeField};
use std::io::{self, Write};

/// Bytes of one term: variable and coefficient.
const TERM_BYTES: u64 = 4 + 32;

/// Writes a constraint system, row by row.
///
/// All public inputs are inputs, none is an output; each variable is its own label.
///
/// # Errors
/// [`CeremonyError::Io`].
pub fn write(system: &System<'_>, to: impl Write) -> Result<(), CeremonyError> {
    write_file(system, to).map_err(CeremonyError::io(FileKind::R1cs))
}

fn write_file(system: &System<'_>, to: impl Write) -> io::Result<()> {
    let mut file = Writer::new(to, FileKind::R1cs, 3)?;
    let number = |count: usize| u32::try_from(count).map_err(io::Error::other);
    let variables = number(system.variables())?;
    let public = number(system.instance() - 1)?;

    file.section(1, 4 + 32 + 4 * 4 + 8 + 4)?;
    file.write_all(&32u32.to_le_bytes())?;
    file.write_all(&Fr::MODULUS.to_bytes_le())?;
    file.write_all(&variables.to_le_bytes())?;
    file.write_all(&0u32.to_le_bytes())?; // public outputs
    file.write_all(&public.to_le_bytes())?;
    file.write_all(&(variables - 1 - public).to_le_bytes())?;
    file.write_all(&u64::from(variables).to_le_bytes())?;
    file.write_all(&number(system.constraints())?.to_le_bytes())?;

    let matrices = system.matrices();
    let terms: usize = matrices.iter().flat_map(|m| m.iter()).map(Vec::len).sum();
    let counts = 3 * 4 * system.constraints() as u64;
    file.section(2, counts + TERM_BYTES * terms as u64)?;
    for row in 0..system.constraints() {
        for matrix in matrices {
            file.write_all(&number(matrix[row].len())?.to_le_bytes())?;
            for (coefficient, variable) in &matrix[row] {
                file.write_all(&number(*variable)?.to_le_bytes())?;
                file.write_all(&coefficient.into_bigint().to_bytes_le())?;
            }
        }
    }

    file.section(3, 8 * u64::from(variables))?;
    for label in 0..u64::from(variables) {
        file.write_all(&label.to_le_bytes())?;
    }
    file.finish()
}
