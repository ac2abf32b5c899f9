//! `init`: data directory, keys and configuration of a new node. Never overwrites anything.

use std::fs;
use std::io::ErrorKind;
use std::io::Write;
use std::path::{Path, PathBuf};

use daemon::exit::Failure;
use daemon::secret::load_or_create_chain_key;
use daemon::tls::TlsIdentity;
use serde::Serialize;

use crate::config::{Config, EXAMPLE};

/// What `init` made or found.
#[derive(Clone, Debug, Serialize)]
pub struct Initialised {
    /// The configuration file.
    pub config: PathBuf,
    /// The data directory.
    pub data_dir: PathBuf,
    /// The node's chain address; it needs gas money and the bond.
    pub account: String,
    /// SHA-256 of the TLS public key.
    pub tls_key_hash: String,
}

/// Writes an example configuration to `path` unless there is one, and makes the directory and keys it names.
///
/// # Errors
/// Usage if the configuration exists and keys do as well, or a file cannot be written.
pub fn init(path: &Path) -> Result<Initialised, Failure> {
    let written = write_example(path)?;
    let config = Config::load(path)?;
    if !written && config.chain_key().exists() {
        return Err(Failure::usage(format!(
            "{} and {} exist already and are not overwritten",
            path.display(),
            config.chain_key().display()
        )));
    }
    let key = load_or_create_chain_key(&config.chain_key())?;
    let tls = TlsIdentity::load_or_create(&config.tls_dir())?;
    Ok(Initialised {
        config: path.to_owned(),
        data_dir: config.data_dir.clone(),
        account: key.address().to_string(),
        tls_key_hash: hex::encode(tls.key_hash()),
    })
}

fn write_example(path: &Path) -> Result<bool, Failure> {
    let cannot =
        |error: std::io::Error| Failure::usage(format!("cannot write {}: {error}", path.display()));
    match fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(path)
    {
        Ok(mut file) => {
            file.write_all(EXAMPLE.as_bytes())
                .and_then(|()| file.sync_all())
                .map_err(cannot)?;
            Ok(true)
        }
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(false),
        Err(error) => Err(cannot(error)),
    }
}
