//! Reading what an argument names.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use verifier::policy::{MAX_POLICY_BYTES, Policy};
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

/// Reads text of at most `limit` bytes. More is refused and not cut off: what was cut off would count as not said.
pub fn read_text(what: &str, path: &Path, limit: usize) -> Result<String, String> {
    let bytes = read(path, limit.saturating_add(1))?;
    if bytes.len() > limit {
        return Err(format!(
            "{what} {} has more than {limit} bytes",
            path.display()
        ));
    }
    String::from_utf8(bytes).map_err(|_| format!("{what} {} is not UTF-8 text", path.display()))
}

/// The longest trust file read: it has a root store for each policy.
const MAX_TRUST_BYTES: usize = 4 * MAX_STORE_BYTES;

/// Reads the text of a trust file.
pub fn read_trust_text(path: &Path) -> Result<String, String> {
    read_text("trust file", path, MAX_TRUST_BYTES)
}

/// Reads an auditor's trust file.
pub fn read_trust(path: &Path) -> Result<Trust, String> {
    let text = read_trust_text(path)?;
    Trust::parse(&text).map_err(|error| format!("{}: {error}", path.display()))
}

/// Reads a policy that must be usable.
pub fn read_policy(path: &Path) -> Result<Policy, String> {
    Policy::parse(&read_text("policy", path, MAX_POLICY_BYTES)?)
        .map_err(|error| format!("{}: {}: {error}", path.display(), error.code()))
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
    read_text("root store", path, MAX_STORE_BYTES)
}

/// Writes beside the file and renames, so that no reader sees half of it.
pub fn write(path: &Path, text: &str) -> Result<(), String> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(".new");
    let beside = PathBuf::from(beside);
    std::fs::write(&beside, text)
        .and_then(|()| std::fs::rename(&beside, path))
        .map_err(|error| format!("cannot write {}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn text_that_is_too_long_is_refused_and_never_cut_off() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("text");
        std::fs::write(&path, "four").unwrap();
        assert_eq!(read_text("text", &path, 4).unwrap(), "four");
        assert!(
            read_text("text", &path, 3)
                .unwrap_err()
                .contains("more than 3 bytes")
        );
        std::fs::write(&path, [0xff]).unwrap();
        assert!(read_text("text", &path, 3).unwrap_err().contains("UTF-8"));
        assert!(
            read_text("text", &dir.path().join("absent"), 3)
                .unwrap_err()
                .contains("absent")
        );
    }
}
