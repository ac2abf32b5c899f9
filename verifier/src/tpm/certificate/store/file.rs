//! A root store as one file: TOML, deterministic, each certificate beside what a person reads of it.
//!
//! ```toml
//! format = 1
//! version = 3                       # raised with every change
//! [revocation]                      # how revocation lists are used
//! demand = "where-published"        # or "where-given", "always"
//! gap = "refuse"                    # or "could-not-check"
//! [[deny]]                          # by `certificate`, by `key`, or by `issuer` and `serial`
//! serial = "4d20"
//! issuer = "CN=Maker TPM CA 3"
//! reason = "stolen from the production line"
//! [[root]]
//! subject = "CN=Maker TPM Root"
//! class = "discrete"                # or "firmware", "virtual"
//! sha256 = "…"
//! source = "TrustedTpm.cab"
//! der = "…"                         # base64
//! ```
//!
//! Tables `intermediate` and `crl` follow the same pattern. Names and fingerprints are checked against the bytes when a
//! store is read, so that what a person reviews is what the verifier trusts.

use base64ct::{Base64, Encoding as _};
use serde::{Deserialize, Serialize};

use super::{Root, RootStore, StoreError};
use crate::tpm::certificate::{
    Certificate, Crl, CrlPolicy, DenyList, DenyTarget, SerialNumber, TpmClass,
};

const FORMAT: u32 = 1;
/// All makers' roots, intermediates and lists together are under 3 MB.
const MAX_STORE_BYTES: usize = 64 << 20;
const MAX_ENTRIES: usize = 16_384;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    format: u32,
    version: u64,
    revocation: CrlPolicy,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    deny: Vec<DenyEntry>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    root: Vec<RootEntry>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    intermediate: Vec<IntermediateEntry>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    crl: Vec<CrlEntry>,
}

#[derive(Deserialize)]
struct Header {
    format: u32,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct DenyEntry {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    certificate: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    key: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    issuer: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    serial: Option<String>,
    reason: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RootEntry {
    subject: String,
    class: TpmClass,
    sha256: String,
    source: String,
    der: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct IntermediateEntry {
    subject: String,
    sha256: String,
    der: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct CrlEntry {
    issuer: String,
    sha256: String,
    der: String,
}

impl RootStore {
    /// Reads a store's file.
    ///
    /// # Errors
    /// [`StoreError`], naming the entry.
    pub fn from_toml(text: &str) -> Result<Self, StoreError> {
        StoreError::limit("root store", "bytes", MAX_STORE_BYTES, text.len())?;
        let syntax = |error: toml::de::Error| StoreError::Syntax(error.to_string());
        // A later format is named before its unknown fields are.
        let Header { format } = toml::from_str(text).map_err(syntax)?;
        if format != FORMAT {
            return Err(StoreError::Format {
                found: format,
                known: FORMAT,
            });
        }
        let file: File = toml::from_str(text).map_err(syntax)?;
        for (what, len) in [
            ("root list", file.root.len()),
            ("intermediate list", file.intermediate.len()),
            ("list of revocation lists", file.crl.len()),
            ("deny list", file.deny.len()),
        ] {
            StoreError::limit(what, "entries", MAX_ENTRIES, len)?;
        }
        let mut deny = DenyList::default();
        for (i, entry) in file.deny.iter().enumerate() {
            deny.deny(entry.target(i)?, entry.reason.clone());
        }
        let roots = file.root.into_iter().enumerate().map(|(i, entry)| {
            let name = format!("root {}", i + 1);
            Ok(Root {
                certificate: certificate(&name, &entry.subject, &entry.sha256, &entry.der)?,
                class: entry.class,
                source: entry.source,
            })
        });
        let intermediates = file.intermediate.iter().enumerate().map(|(i, entry)| {
            let name = format!("intermediate {}", i + 1);
            certificate(&name, &entry.subject, &entry.sha256, &entry.der)
        });
        let crls = file.crl.iter().enumerate().map(|(i, entry)| {
            let name = format!("revocation list {}", i + 1);
            let crl = Crl::from_der(&decode(&name, &entry.der)?).map_err(StoreError::Crl)?;
            agree(&name, "issuer", &entry.issuer, crl.issuer())?;
            agree(
                &name,
                "sha256",
                &entry.sha256,
                hex::encode(crl.fingerprint()),
            )?;
            Ok(crl)
        });
        let mut store = Self::classified(roots.collect::<Result<Vec<_>, StoreError>>()?)?
            .with_version(file.version)
            .with_crl_policy(file.revocation)
            .with_deny_list(deny);
        store.add_intermediates(intermediates.collect::<Result<Vec<_>, _>>()?);
        store.add_crls(crls.collect::<Result<Vec<_>, StoreError>>()?);
        Ok(store)
    }

    /// Reads a store's file, or a PEM file of bare roots as [`RootStore::from_pem`] takes it.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn from_text(text: &str) -> Result<Self, StoreError> {
        let from_pem = || {
            Self::from_pem(text).map_err(|why| StoreError::Certificate {
                entry: "PEM file".into(),
                why,
            })
        };
        if text.trim().is_empty() {
            return from_pem();
        }
        // A store may quote PEM; read as bare roots, it would lose its deny list and its policy without a word.
        match Self::from_toml(text) {
            Err(StoreError::Syntax(_)) if is_bare_pem(text) => from_pem(),
            read => read,
        }
    }

    /// The store as a file; the same content gives the same text.
    ///
    /// # Errors
    /// [`StoreError::Syntax`] if the version is more than TOML can say.
    pub fn to_toml(&self) -> Result<String, StoreError> {
        let file = File {
            format: FORMAT,
            version: self.version,
            revocation: self.policy,
            deny: self
                .deny
                .entries()
                .map(|(target, reason)| DenyEntry::new(target, reason))
                .collect(),
            root: self
                .roots
                .iter()
                .map(|root| RootEntry {
                    subject: root.certificate.subject(),
                    class: root.class,
                    sha256: hex::encode(root.certificate.fingerprint()),
                    source: root.source.clone(),
                    der: Base64::encode_string(root.certificate.as_der()),
                })
                .collect(),
            intermediate: self
                .intermediates
                .iter()
                .map(|certificate| IntermediateEntry {
                    subject: certificate.subject(),
                    sha256: hex::encode(certificate.fingerprint()),
                    der: Base64::encode_string(certificate.as_der()),
                })
                .collect(),
            crl: self
                .crls
                .iter()
                .map(|crl| CrlEntry {
                    issuer: crl.issuer(),
                    sha256: hex::encode(crl.fingerprint()),
                    der: Base64::encode_string(crl.as_der()),
                })
                .collect(),
        };
        toml::to_string(&file).map_err(|error| StoreError::Syntax(error.to_string()))
    }
}

/// Whether text is certificates in PEM, with whatever tools write around them, and no store: neither TOML nor what a slip
/// of the pen makes of a store.
fn is_bare_pem(text: &str) -> bool {
    let is_key = |line: &str| {
        let key = line.split(['=', ']']).next().unwrap_or_default();
        [
            "format",
            "[revocation",
            "[[deny",
            "[[root",
            "[[intermediate",
            "[[crl",
        ]
        .contains(&key.trim())
    };
    text.contains("-----BEGIN CERTIFICATE-----")
        && text.parse::<toml::Table>().is_err()
        && !text.lines().any(is_key)
}

impl DenyEntry {
    fn new(target: &DenyTarget, reason: &str) -> Self {
        let mut entry = Self {
            certificate: None,
            key: None,
            issuer: None,
            serial: None,
            reason: reason.to_owned(),
        };
        match target {
            DenyTarget::Certificate(digest) => entry.certificate = Some(hex::encode(digest)),
            DenyTarget::Key(digest) => entry.key = Some(hex::encode(digest)),
            DenyTarget::Serial { issuer, serial } => {
                entry.issuer = Some(issuer.clone());
                entry.serial = Some(serial.to_string());
            }
        }
        entry
    }

    fn target(&self, index: usize) -> Result<DenyTarget, StoreError> {
        let fail = |what| StoreError::Entry {
            entry: format!("deny entry {}", index + 1),
            what,
        };
        let digest = |text: &str| {
            let mut digest = [0; 32];
            hex::decode_to_slice(text, &mut digest)
                .map_err(|_| fail("a SHA-256 digest is 64 hexadecimal digits"))?;
            Ok(digest)
        };
        match (&self.certificate, &self.key, &self.issuer, &self.serial) {
            (Some(certificate), None, None, None) => {
                Ok(DenyTarget::Certificate(digest(certificate)?))
            }
            (None, Some(key), None, None) => Ok(DenyTarget::Key(digest(key)?)),
            (None, None, Some(issuer), Some(serial)) => Ok(DenyTarget::Serial {
                issuer: issuer.clone(),
                serial: SerialNumber::from_hex(serial)
                    .ok_or_else(|| fail("a serial number is at most 64 hexadecimal digits"))?,
            }),
            _ => Err(fail(
                "it must name either `certificate`, or `key`, or `issuer` and `serial`",
            )),
        }
    }
}

fn certificate(
    entry: &str,
    subject: &str,
    sha256: &str,
    base64: &str,
) -> Result<Certificate, StoreError> {
    let certificate =
        Certificate::from_der(&decode(entry, base64)?).map_err(|why| StoreError::Certificate {
            entry: entry.to_owned(),
            why,
        })?;
    agree(entry, "subject", subject, certificate.subject())?;
    agree(
        entry,
        "sha256",
        sha256,
        hex::encode(certificate.fingerprint()),
    )?;
    Ok(certificate)
}

fn decode(entry: &str, base64: &str) -> Result<Vec<u8>, StoreError> {
    Base64::decode_vec(base64).map_err(|_| StoreError::Entry {
        entry: entry.to_owned(),
        what: "`der` is not base64",
    })
}

fn agree(
    entry: &str,
    field: &'static str,
    written: &str,
    actual: String,
) -> Result<(), StoreError> {
    if written == actual {
        return Ok(());
    }
    Err(StoreError::Contradiction {
        entry: entry.to_owned(),
        field,
        written: written.to_owned(),
        actual,
    })
}
