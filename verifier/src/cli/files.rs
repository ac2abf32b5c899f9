//! Reading what an argument names.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use verifier::trust::Trust;

/// Reads at most `limit` bytes, so that a file of any size is refused by its judge and not by the allocator.
pub fn read(path: &Path, limit: usize) -> Result<Vec<u8>, String> {
    let failed = |error: std::io::Error| format!("cannot read {}: {error}", path.display());
    let mut bytes = Vec::new();
    File::open(path)
        .map_err(failed)?
        .take(limit as u64)
        .read_to_end(&mut bytes)
        .map_err(failed)?;
    Ok(bytes)
}

/// Reads an auditor's trust file.
pub fn read_trust(path: &Path) -> Result<Trust, String> {
    let text = String::from_utf8(read(path, 4 << 20)?)
        .map_err(|_| format!("trust file {} is not UTF-8 text", path.display()))?;
    Trust::parse(&text).map_err(|error| format!("{}: {error}", path.display()))
}
