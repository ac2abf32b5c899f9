//! Files and folders as what the library imports.

use std::path::Path;

use verifier::tpm::certificate::import::SourceFile;

use crate::cli::files::read;

const MAX_FILE_BYTES: usize = 32 << 20;
const MAX_FILES: usize = 8_192;
/// Folders within folders.
const MAX_DEPTH: usize = 8;

/// Reads a file, or all files below a folder in the order of their names.
pub fn collect(path: &Path, files: &mut Vec<SourceFile>) -> Result<(), String> {
    walk(path, MAX_DEPTH, files)
}

fn walk(path: &Path, depth: usize, files: &mut Vec<SourceFile>) -> Result<(), String> {
    if !path.is_dir() {
        if files.len() == MAX_FILES {
            return Err(format!("more than {MAX_FILES} files; import them in parts"));
        }
        files.push(SourceFile {
            path: path.to_string_lossy().replace('\\', "/"),
            bytes: read(path, MAX_FILE_BYTES + 1)?,
        });
        return Ok(());
    }
    let failed = |error: std::io::Error| format!("cannot read {}: {error}", path.display());
    let Some(below) = depth.checked_sub(1) else {
        return Err(format!("{} is too many folders deep", path.display()));
    };
    let mut entries = std::fs::read_dir(path)
        .map_err(failed)?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<Vec<_>, _>>()
        .map_err(failed)?;
    entries.sort();
    entries
        .iter()
        .try_for_each(|entry| walk(entry, below, files))
}
