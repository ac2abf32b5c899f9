//! From what makers and Microsoft publish to the parts of a root store.
//!
//! Taken are PEM bundles, DER files of certificates and revocation lists, and cabinets in the layout of Microsoft's
//! `TrustedTpm.cab`: a folder for each maker, in it `RootCA` and `IntermediateCA`.
//!
//! **Roots.** Below a folder `RootCA` or `IntermediateCA` the folder decides; anywhere else a certificate that names itself
//! as its issuer and bears its own signature is a root, and all others are intermediates. [`Rules::role`] overrides both.
//!
//! **Classes.** The first of these that applies: [`Rules::folders`] for a folder on the file's path, [`Rules::class`], the
//! maker's folder in Microsoft's layout ([`folder_class`]). If none does, the import fails: a class is never guessed.
//!
//! A file that is damaged, or of a kind that is not accepted, is left out and reported: what is left out is not trusted.

mod cabinet;

use std::collections::BTreeMap;

use super::{Certificate, Crl, Root, StoreError, TpmClass, pem_blocks, verify_issued_by};
use crate::tpm::Reject;

pub use cabinet::read_cabinet;

/// No file of a source may be longer.
const MAX_FILE_BYTES: usize = 32 << 20;
/// Certificates of one source.
const MAX_CERTIFICATES: usize = 8_192;

/// A file by its path, with `/` between the folders.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceFile {
    /// The path, for roles and classes and for messages.
    pub path: String,
    /// The content.
    pub bytes: Vec<u8>,
}

/// What a certificate is imported as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Trusted.
    Root,
    /// A hint.
    Intermediate,
}

/// How a source's files are understood.
#[derive(Clone, Debug, Default)]
pub struct Rules {
    /// The class of all roots that no entry of `folders` is about.
    pub class: Option<TpmClass>,
    /// The class of the roots below a folder of this name; letter case does not matter.
    pub folders: BTreeMap<String, TpmClass>,
    /// What every certificate is imported as; `None` lets folders and signatures decide.
    pub role: Option<Role>,
    /// Where the files come from, for people; kept with every root.
    pub source: String,
    /// Take roots of test CAs that anybody can run.
    pub allow_test_authority: bool,
}

/// What a source held.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Imported {
    /// Certificates to trust.
    pub roots: Vec<Root>,
    /// Certificates that may be needed on the way to a root.
    pub intermediates: Vec<Certificate>,
    /// Revocation lists, signatures not checked yet.
    pub crls: Vec<Crl>,
    /// Files left out, and why.
    pub left_out: Vec<LeftOut>,
}

/// A file that was not imported.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeftOut {
    /// Its path.
    pub path: String,
    /// The reason.
    pub why: NotImported,
    /// Whether it is a revocation list, or is named like one (`.crl`): without it, trust that was taken away is given.
    pub is_list: bool,
}

/// Why a file cannot be imported; [`NotImported::code`] is the permanent name of each.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotImported {
    /// There is nothing in it to import.
    #[error("holds no certificate or revocation list")]
    Nothing,
    /// What is in it cannot be used.
    #[error(transparent)]
    Unusable(#[from] Reject),
}

impl NotImported {
    /// Permanent name of the reason.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Nothing => "NOT_A_CERTIFICATE",
            Self::Unusable(why) => why.code(),
        }
    }
}

impl LeftOut {
    /// A revocation list whose signature fails, once its issuer is known.
    pub fn list(crl: &Crl, why: Reject) -> Self {
        Self {
            path: format!("revocation list of {}", crl.issuer()),
            why: why.into(),
            is_list: true,
        }
    }
}

/// The class that a maker's folder in Microsoft's layout stands for.
///
/// Makers of chips only are `discrete`, makers of processors `firmware`. Microsoft's own roots certify virtual TPMs beside
/// others and so count as `virtual`.
pub fn folder_class(folder: &str) -> Option<TpmClass> {
    const FOLDERS: [(&str, TpmClass); 13] = [
        ("AMD", TpmClass::Firmware),
        ("Atmel", TpmClass::Discrete),
        ("Google", TpmClass::Virtual),
        ("Infineon", TpmClass::Discrete),
        ("Intel", TpmClass::Firmware),
        ("Microsoft", TpmClass::Virtual),
        ("NationZ", TpmClass::Discrete),
        ("NTC", TpmClass::Discrete),
        ("Nuvoton", TpmClass::Discrete),
        ("QC", TpmClass::Firmware),
        ("Qualcomm", TpmClass::Firmware),
        ("STMicro", TpmClass::Discrete),
        ("STMicroelectronics", TpmClass::Discrete),
    ];
    FOLDERS
        .iter()
        .find(|(name, _)| name.eq_ignore_ascii_case(folder))
        .map(|(_, class)| *class)
}

/// Sorts the content of files into the parts of a store; cabinets are opened.
///
/// # Errors
/// [`StoreError::Cabinet`], [`StoreError::TooLarge`], [`StoreError::NoClass`], [`StoreError::TestAuthority`]. A single file
/// that cannot be used is no error but [`Imported::left_out`].
pub fn import(files: &[SourceFile], rules: &Rules) -> Result<Imported, StoreError> {
    let mut imported = Imported::default();
    for file in files {
        StoreError::limit(&file.path, "bytes", MAX_FILE_BYTES, file.bytes.len())?;
        if file.bytes.starts_with(cabinet::SIGNATURE) {
            let prefix = &file.path;
            for mut inner in read_cabinet(prefix, &file.bytes)? {
                inner.path = format!("{prefix}/{}", inner.path);
                imported.take(&inner, rules)?;
            }
        } else {
            imported.take(file, rules)?;
        }
    }
    Ok(imported)
}

impl Imported {
    fn take(&mut self, file: &SourceFile, rules: &Rules) -> Result<(), StoreError> {
        let named = is_named_list(&file.path);
        let (certificates, crls) = match split(&file.bytes, named) {
            Ok(found) => found,
            Err(why) => {
                self.leave_out(&file.path, why, named);
                return Ok(());
            }
        };
        if certificates.is_empty() && crls.is_empty() {
            self.leave_out(&file.path, NotImported::Nothing, named);
        }
        let known = self.roots.len() + self.intermediates.len() + self.crls.len();
        let total = known + certificates.len() + crls.len();
        StoreError::limit("source", "certificates", MAX_CERTIFICATES, total)?;
        for der in certificates {
            match Certificate::from_der(&der) {
                Ok(certificate) => self.sort(&file.path, certificate, rules)?,
                Err(why) => self.leave_out(&file.path, why, named),
            }
        }
        for der in crls {
            match Crl::from_der(&der) {
                Ok(crl) => self.crls.push(crl),
                Err(why) => self.leave_out(&file.path, Reject::from(why), true),
            }
        }
        Ok(())
    }

    fn sort(
        &mut self,
        path: &str,
        certificate: Certificate,
        rules: &Rules,
    ) -> Result<(), StoreError> {
        let role = match rules.role.or_else(|| folder_role(path)) {
            Some(role) => role,
            None => match own_role(&certificate) {
                Ok(role) => role,
                Err(why) => {
                    self.leave_out(path, why, is_named_list(path));
                    return Ok(());
                }
            },
        };
        if role == Role::Intermediate {
            self.intermediates.push(certificate);
            return Ok(());
        }
        if certificate.is_test_authority() && !rules.allow_test_authority {
            return Err(StoreError::TestAuthority {
                path: path.to_owned(),
                subject: certificate.subject(),
            });
        }
        let class = rules.class_of(path).ok_or_else(|| StoreError::NoClass {
            path: path.to_owned(),
            subject: certificate.subject(),
        })?;
        self.roots.push(Root {
            certificate,
            class,
            source: rules.source.clone(),
        });
        Ok(())
    }

    fn leave_out(&mut self, path: &str, why: impl Into<NotImported>, is_list: bool) {
        self.left_out.push(LeftOut {
            path: path.to_owned(),
            why: why.into(),
            is_list,
        });
    }
}

impl Rules {
    fn class_of(&self, path: &str) -> Option<TpmClass> {
        let named = folders(path).find_map(|folder| {
            self.folders
                .iter()
                .find(|(name, _)| name.eq_ignore_ascii_case(folder))
                .map(|(_, class)| *class)
        });
        named
            .or(self.class)
            .or_else(|| folders(path).find_map(folder_class))
    }
}

/// The folders of a path, the innermost first.
fn folders(path: &str) -> impl Iterator<Item = &str> {
    path.rsplit('/').skip(1)
}

fn folder_role(path: &str) -> Option<Role> {
    folders(path).find_map(|folder| match folder.to_ascii_lowercase().as_str() {
        "rootca" => Some(Role::Root),
        "intermediateca" => Some(Role::Intermediate),
        _ => None,
    })
}

fn own_role(certificate: &Certificate) -> Result<Role, Reject> {
    if !certificate.is_self_issued() {
        return Ok(Role::Intermediate);
    }
    match verify_issued_by(certificate, certificate) {
        // A root is trusted for where it came from; its own signature proves nothing, so an old algorithm harms nothing.
        Ok(()) | Err(Reject::CertificateAlgorithm(_)) => Ok(Role::Root),
        Err(why) => Err(why),
    }
}

/// Whether a file is named like a revocation list.
fn is_named_list(path: &str) -> bool {
    path.rsplit_once('.')
        .is_some_and(|(_, extension)| extension.eq_ignore_ascii_case("crl"))
}

/// The DER of the certificates and of the revocation lists in a file; `named_list` tells what DER is that is neither.
#[allow(clippy::type_complexity)]
fn split(bytes: &[u8], named_list: bool) -> Result<(Vec<Vec<u8>>, Vec<Vec<u8>>), Reject> {
    const SEQUENCE: u8 = 0x30;
    if bytes.first() == Some(&SEQUENCE) {
        let is_list =
            Crl::from_der(bytes).is_ok() || named_list && Certificate::from_der(bytes).is_err();
        return Ok(if is_list {
            (vec![], vec![bytes.to_vec()])
        } else {
            (vec![bytes.to_vec()], vec![])
        });
    }
    match std::str::from_utf8(bytes) {
        Ok(text) => Ok((
            pem_blocks(text, "CERTIFICATE")?,
            pem_blocks(text, "X509 CRL")?,
        )),
        Err(_) => Ok((vec![], vec![])),
    }
}
