//! The values of all variables as a `.wtns` file (version 2). It holds the witness in the clear.

use super::{
    container::Writer,
    error::{CeremonyError, FileKind},
};
use ark_bn254::Fr;
use ark_ff::{BigInteger, PrimeField};
use std::io::{self, Write};
use zeroize::Zeroizing;

/// Writes the values, the constant one first.
///
/// # Errors
/// [`CeremonyError::Io`].
pub fn write(values: &[Fr], to: impl Write) -> Result<(), CeremonyError> {
    write_file(values, to).map_err(CeremonyError::io(FileKind::Wtns))
}

fn write_file(values: &[Fr], to: impl Write) -> io::Result<()> {
    let mut file = Writer::new(to, FileKind::Wtns, 2)?;
    let count = u32::try_from(values.len()).map_err(io::Error::other)?;
    file.section(1, 4 + 32 + 4)?;
    file.write_all(&32u32.to_le_bytes())?;
    file.write_all(&Fr::MODULUS.to_bytes_le())?;
    file.write_all(&count.to_le_bytes())?;
    file.section(2, 32 * u64::from(count))?;
    for value in values {
        file.write_all(&Zeroizing::new(value.into_bigint().to_bytes_le()))?;
    }
    file.finish()
}
