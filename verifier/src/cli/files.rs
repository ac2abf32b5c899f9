//! Reading what an argument names.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use verifier::tpm::RootStore;
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

/// The longest root store read.
const MAX_STORE_BYTES: usize = 64 << 20;

/// Reads a root store, or a PEM file of bare roots.
pub fn read_roots(path: &Path) -> Result<RootStore, String> {
    let text = read_store_text(path)?;
    RootStore::from_text(&text)
        .map_err(|error| format!("{}: {}: {error}", path.display(), error.code()))
}

/// Reads the text of a root store.
pub fn read_store_text(path: &Path) -> Result<String, String> {
    String::from_utf8(read(path, MAX_STORE_BYTES + 1)?)
        .map_err(|_| format!("root store {} is not UTF-8 text", path.display()))
}
