//! The confidential guest that the node runs in: a report of its processor, through the kernel's configfs.
//!
//! Linux makes reports of SEV-SNP and TDX guests under one interface (6.7 and later; Documentation/ABI/testing/configfs-tsm):
//! a folder is made, the guest's 64 bytes are written to `inblob`, and the processor's answer is read from `outblob`.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use alloy::primitives::B256;
use serde::{Deserialize, Serialize};
use verifier::tdx::trim_padding;
use verifier::tee::{GuestEvidence, GuestReport, MAX_GUEST_BYTES, ReportData};
use verifier::tpm::Certificate;
use verifier::{BlockNumber, cbor};

/// Where the kernel makes reports.
const TSM: &str = "/sys/kernel/config/tsm/report";
/// Largest certificate or collateral file read, bytes.
const MAX_FILE_BYTES: u64 = 64 << 10;

/// Which processor's reports the node enrols with, and what its maker publishes to judge them by.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
pub enum GuestConfig {
    /// AMD SEV-SNP.
    Snp {
        /// The chip's or provider's certificate (VCEK, VLEK), DER.
        endorsement: PathBuf,
        /// The certificates above it, PEM, as AMD's key distribution service has them: ASK (or ASVK), then ARK.
        chain: PathBuf,
    },
    /// Intel TDX.
    Tdx {
        /// Collateral, JSON: TCB info, QE identity, their certificate chains and revocation lists.
        collateral: PathBuf,
    },
}

/// A guest's evidence cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum GuestError {
    /// The kernel makes no report.
    #[error(
        "{TSM}: {what}: {why}; reports are for root, in a confidential guest with Linux 6.7 or later"
    )]
    Kernel {
        /// What was tried.
        what: &'static str,
        /// Why it failed.
        why: io::Error,
    },
    /// The kernel's reports are another processor's.
    #[error(
        "the kernel makes reports as `{found}`, the configuration's section [guest] is for `{expected}`"
    )]
    Provider {
        /// What the configuration is for.
        expected: &'static str,
        /// The kernel's word.
        found: String,
    },
    /// A file of the configuration.
    #[error("{}: {why}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// More than oracles read.
    #[error(
        "the guest's evidence has {0} bytes, oracles read {MAX_GUEST_BYTES}; check the files of [guest]"
    )]
    TooLarge(usize),
    /// The quote is not one.
    #[error("the kernel's quote: {0}")]
    Quote(verifier::tdx::Reject),
}

impl GuestConfig {
    /// A report over 64 bytes that are bound to a block, with what it takes to judge it. Blocks for as long as the processor takes.
    ///
    /// # Errors
    /// [`GuestError`].
    pub fn evidence(
        &self,
        block: BlockNumber,
        block_hash: B256,
        data: &ReportData,
    ) -> Result<GuestEvidence, GuestError> {
        let report = match self {
            Self::Snp { endorsement, chain } => {
                let endorsement = read(endorsement)?;
                let (authority, root) = authorities(chain)?;
                GuestReport::Snp {
                    report: report(&Configfs, "sev_guest", data)?.into(),
                    endorsement: endorsement.into(),
                    authority: authority.into(),
                    root: root.into(),
                }
            }
            Self::Tdx { collateral } => {
                let collateral = read(collateral)?;
                let quote = report(&Configfs, "tdx_guest", data)?;
                let quote = trim_padding(&quote).map_err(GuestError::Quote)?;
                GuestReport::Tdx {
                    quote: quote.to_vec().into(),
                    collateral: collateral.into(),
                }
            }
        };
        let evidence = GuestEvidence {
            block,
            block_hash,
            report,
        };
        match cbor::encode(&evidence).len() {
            0..=MAX_GUEST_BYTES => Ok(evidence),
            length => Err(GuestError::TooLarge(length)),
        }
    }
}

fn unusable(path: &Path, why: &impl ToString) -> GuestError {
    GuestError::File {
        path: path.to_owned(),
        why: why.to_string(),
    }
}

fn read(path: &Path) -> Result<Vec<u8>, GuestError> {
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(|why| unusable(path, &why))?;
    file.take(MAX_FILE_BYTES + 1)
        .read_to_end(&mut bytes)
        .map_err(|why| unusable(path, &why))?;
    if bytes.len() as u64 > MAX_FILE_BYTES {
        return Err(unusable(path, &format!("more than {MAX_FILE_BYTES} bytes")));
    }
    Ok(bytes)
}

/// ASK (or ASVK) and ARK.
fn authorities(path: &Path) -> Result<(Vec<u8>, Vec<u8>), GuestError> {
    let pem = String::from_utf8(read(path)?).map_err(|why| unusable(path, &why))?;
    let certificates = Certificate::from_pem_chain(&pem).map_err(|why| unusable(path, &why))?;
    match certificates.as_slice() {
        [authority, root] => Ok((authority.as_der().to_vec(), root.as_der().to_vec())),
        other => Err(unusable(
            path,
            &format!("{} certificates, expected ASK and ARK", other.len()),
        )),
    }
}

/// The kernel's folder of reports.
trait Tsm {
    /// Makes a report's folder.
    fn make(&self, name: &str) -> io::Result<()>;
    /// Writes an attribute of it.
    fn write(&self, name: &str, attribute: &str, bytes: &[u8]) -> io::Result<()>;
    /// Reads an attribute of it.
    fn read(&self, name: &str, attribute: &str) -> io::Result<Vec<u8>>;
    /// Takes it away.
    fn remove(&self, name: &str) -> io::Result<()>;
}

struct Configfs;

impl Tsm for Configfs {
    fn make(&self, name: &str) -> io::Result<()> {
        fs::create_dir(Path::new(TSM).join(name))
    }

    fn write(&self, name: &str, attribute: &str, bytes: &[u8]) -> io::Result<()> {
        let path = Path::new(TSM).join(name).join(attribute);
        // In one piece, as the kernel wants it; the file is there.
        OpenOptions::new().write(true).open(path)?.write_all(bytes)
    }

    fn read(&self, name: &str, attribute: &str) -> io::Result<Vec<u8>> {
        fs::read(Path::new(TSM).join(name).join(attribute))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        fs::remove_dir(Path::new(TSM).join(name))
    }
}

/// A report over 64 bytes by a provider of the kernel's.
fn report(
    tsm: &impl Tsm,
    provider: &'static str,
    data: &ReportData,
) -> Result<Vec<u8>, GuestError> {
    // Its own folder: in one that is shared, another one's bytes could be in the report.
    // A killed process may have left one behind; in a container every process has the same number.
    let name = format!("probity-{:016x}", rand::random::<u64>());
    let kernel = |what| move |why| GuestError::Kernel { what, why };
    tsm.make(&name).map_err(kernel("cannot make a report"))?;
    let made = answer(tsm, &name, provider, data);
    if let Err(error) = tsm.remove(&name) {
        tracing::warn!(%error, name, "the kernel keeps a report");
    }
    made
}

fn answer(
    tsm: &impl Tsm,
    name: &str,
    provider: &'static str,
    data: &ReportData,
) -> Result<Vec<u8>, GuestError> {
    let kernel = |what| move |why| GuestError::Kernel { what, why };
    let found = tsm.read(name, "provider").map_err(kernel("provider"))?;
    let found = String::from_utf8_lossy(&found);
    if found.trim() != provider {
        return Err(GuestError::Provider {
            expected: provider,
            found: found.trim().to_owned(),
        });
    }
    tsm.write(name, "inblob", data.as_slice())
        .map_err(kernel("inblob"))?;
    tsm.read(name, "outblob").map_err(kernel("outblob"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::cell::RefCell;
    use std::collections::BTreeMap;

    use super::*;

    /// A kernel of one provider, whose reports are what was written with a mark before it.
    struct Kernel {
        provider: &'static str,
        fails_at: Option<&'static str>,
        folders: RefCell<BTreeMap<String, Vec<u8>>>,
        made: RefCell<usize>,
    }

    impl Kernel {
        fn new(provider: &'static str, fails_at: Option<&'static str>) -> Self {
            Self {
                provider,
                fails_at,
                folders: RefCell::default(),
                made: RefCell::default(),
            }
        }

        fn at(&self, attribute: &str) -> io::Result<()> {
            match self.fails_at {
                Some(it) if it == attribute => Err(io::ErrorKind::PermissionDenied.into()),
                _ => Ok(()),
            }
        }
    }

    impl Tsm for Kernel {
        fn make(&self, name: &str) -> io::Result<()> {
            self.at("folder")?;
            *self.made.borrow_mut() += 1;
            let before = self.folders.borrow_mut().insert(name.into(), Vec::new());
            before.map_or(Ok(()), |_| Err(io::ErrorKind::AlreadyExists.into()))
        }

        fn write(&self, name: &str, attribute: &str, bytes: &[u8]) -> io::Result<()> {
            self.at(attribute)?;
            assert_eq!((attribute, bytes.len()), ("inblob", 64));
            *self.folders.borrow_mut().get_mut(name).unwrap() = bytes.to_vec();
            Ok(())
        }

        fn read(&self, name: &str, attribute: &str) -> io::Result<Vec<u8>> {
            self.at(attribute)?;
            match attribute {
                "provider" => Ok(format!("{}\n", self.provider).into()),
                "outblob" => Ok([b"report", &self.folders.borrow()[name][..]].concat()),
                other => panic!("{other} is not read"),
            }
        }

        fn remove(&self, name: &str) -> io::Result<()> {
            self.folders.borrow_mut().remove(name).unwrap();
            Ok(())
        }
    }

    #[test]
    fn a_report_is_over_what_was_asked_and_leaves_no_folder_behind() {
        let kernel = Kernel::new("sev_guest", None);
        for byte in [1, 2] {
            let data = ReportData::repeat_byte(byte);
            let made = report(&kernel, "sev_guest", &data).unwrap();
            assert_eq!(made, [b"report", data.as_slice()].concat());
        }
        assert_eq!(*kernel.made.borrow(), 2);
        assert!(kernel.folders.borrow().is_empty());
    }

    #[test]
    fn a_kernel_that_fails_or_is_another_processors_is_named_and_left_clean() {
        for place in ["folder", "provider", "inblob", "outblob"] {
            let kernel = Kernel::new("sev_guest", Some(place));
            let error = report(&kernel, "sev_guest", &ReportData::ZERO).unwrap_err();
            assert!(
                matches!(error, GuestError::Kernel { .. }),
                "{place}: {error}"
            );
            assert!(kernel.folders.borrow().is_empty(), "{place}");
        }
        let kernel = Kernel::new("tdx_guest", None);
        let error = report(&kernel, "sev_guest", &ReportData::ZERO).unwrap_err();
        assert!(error.to_string().contains("`tdx_guest`"), "{error}");
        assert!(kernel.folders.borrow().is_empty());
    }

    #[test]
    fn files_of_the_configuration_are_named_before_the_kernel_is_asked() {
        let folder = tempfile::tempdir().unwrap();
        let absent = folder.path().join("absent");
        let empty = folder.path().join("chain.pem");
        fs::write(&empty, "").unwrap();
        for config in [
            GuestConfig::Tdx {
                collateral: absent.clone(),
            },
            GuestConfig::Snp {
                endorsement: empty.clone(),
                chain: empty.clone(),
            },
        ] {
            let made = config.evidence(BlockNumber(1), B256::ZERO, &ReportData::ZERO);
            let error = made.unwrap_err();
            assert!(matches!(error, GuestError::File { .. }), "{error}");
        }
    }
}
