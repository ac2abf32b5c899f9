//! The firmware's event log, as the kernel hands it out.

use std::io;
use std::path::Path;

use tokio::fs::File;
use tokio::io::AsyncReadExt as _;
use verifier::eventlog::explain;
use verifier::evidence::MAX_EVENT_LOG_BYTES;
use verifier::policy::QuotedState;
use verifier::tpm::{Attest, wire::HashAlgorithm};

/// Reads the log at `path`; none is configured where there is no path.
///
/// # Errors
/// What the system says; [`io::ErrorKind::FileTooLarge`] for a log that oracles would not take.
pub async fn read(path: Option<&Path>) -> io::Result<Vec<u8>> {
    let mut log = Vec::new();
    if let Some(path) = path {
        let most = MAX_EVENT_LOG_BYTES as u64;
        File::open(path)
            .await?
            .take(most + 1)
            .read_to_end(&mut log)
            .await?;
        if log.len() as u64 > most {
            let why = format!("more than {most} bytes, which no oracle takes");
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, why));
        }
    }
    Ok(log)
}

/// Checks a log against a quote that was just made: one that does not explain it would fail the node under any policy, where
/// none at all may pass.
///
/// # Errors
/// The reason, for the operator.
pub fn check(log: &[u8], attest: &[u8]) -> Result<(), String> {
    let quoted = Attest::parse(attest)
        .and_then(|attest| QuotedState::of(&attest))
        .map_err(|error| error.to_string())?;
    explain(log, HashAlgorithm::Sha256, &quoted.pcrs, quoted.digest.0)
        .map(|_| ())
        .map_err(|error| format!("{}: {error}", error.code()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[tokio::test]
    async fn a_log_is_read_whole_or_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        assert_eq!(read(None).await.unwrap(), b"");
        let missing = read(Some(&path)).await.unwrap_err();
        assert_eq!(missing.kind(), io::ErrorKind::NotFound);
        for (length, whole) in [
            (0, true),
            (MAX_EVENT_LOG_BYTES, true),
            (MAX_EVENT_LOG_BYTES + 1, false),
        ] {
            std::fs::write(&path, vec![7; length]).unwrap();
            match read(Some(&path)).await {
                Ok(log) => assert!(whole && log.len() == length),
                Err(error) => assert!(!whole && error.kind() == io::ErrorKind::FileTooLarge),
            }
        }
    }
}
