//! UEFI variables and signature databases, from bytes that a digest covers.

use serde::Serialize;
use sha2::{Digest as _, Sha256};

use crate::eventlog::Digest;

/// UEFI_VARIABLE_DATA: vendor GUID, name length, value length, name, value (profile, section 10.2.6).
pub(super) struct Variable<'a> {
    pub(super) vendor: String,
    pub(super) name: String,
    pub(super) value: &'a [u8],
}

/// shim logs its authorities with as many unused bytes after the value.
const MAX_SLACK: usize = 8;

impl<'a> Variable<'a> {
    /// Reads a variable; up to [`MAX_SLACK`] bytes may follow its value.
    pub(super) fn parse(bytes: &'a [u8]) -> Option<Self> {
        let (vendor, rest) = bytes.split_first_chunk::<16>()?;
        let (name_len, rest) = rest.split_first_chunk::<8>()?;
        let (value_len, rest) = rest.split_first_chunk::<8>()?;
        let name_bytes = usize::try_from(u64::from_le_bytes(*name_len))
            .ok()?
            .checked_mul(2)?;
        let (name, rest) = rest.split_at_checked(name_bytes)?;
        let value_len = usize::try_from(u64::from_le_bytes(*value_len)).ok()?;
        let (value, slack) = rest.split_at_checked(value_len)?;
        let name = crate::eventlog::cover::utf16(name)?;
        (slack.len() <= MAX_SLACK).then(|| Self {
            vendor: guid(*vendor),
            name,
            value,
        })
    }
}

/// EFI_GUID as text.
pub(super) fn guid(bytes: [u8; 16]) -> String {
    let [a, b, c, d, e, f, g, h, rest @ ..] = bytes;
    let hex = |bytes: &[u8]| hex::encode(bytes);
    let (clock, node) = rest.split_at(2);
    format!(
        "{}-{}-{}-{}-{}",
        hex(&[d, c, b, a]),
        hex(&[f, e]),
        hex(&[h, g]),
        hex(clock),
        hex(node)
    )
}

const CERT_X509: &str = "a5c059a1-94e4-4aa7-87b5-ab155c2bf072";
const CERT_SHA256: &str = "c1c41626-504c-4092-aca9-41f936934328";

/// A signature database: PK, KEK, db or dbx.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Signatures {
    /// SHA-256 of the variable's value: changes with any change of the database.
    pub sha256: Digest,
    /// SHA-256 of each certificate (DER).
    pub certificates: Vec<Digest>,
    /// SHA-256 hashes of images.
    pub images: Vec<Digest>,
    /// Entries of other kinds.
    pub others: usize,
}

impl Signatures {
    /// Reads EFI_SIGNATURE_LISTs (UEFI 2.10, section 32.4.1); nothing may follow them.
    pub(super) fn parse(value: &[u8]) -> Option<Self> {
        let mut found = Self {
            sha256: Sha256::digest(value).to_vec().into(),
            certificates: vec![],
            images: vec![],
            others: 0,
        };
        let mut rest = value;
        while !rest.is_empty() {
            let (kind, after) = rest.split_first_chunk::<16>()?;
            let (list_size, after) = size(after)?;
            let (header_size, after) = size(after)?;
            let (entry_size, _) = size(after)?;
            let (list, next) = rest.split_at_checked(list_size)?;
            let entries = list.get(28usize.checked_add(header_size)?..)?;
            if entry_size < 16 || entries.len() % entry_size != 0 {
                return None;
            }
            let kind = guid(*kind);
            for entry in entries.chunks_exact(entry_size) {
                let data = entry.get(16..)?;
                match kind.as_str() {
                    CERT_X509 => found
                        .certificates
                        .push(Sha256::digest(data).to_vec().into()),
                    CERT_SHA256 if data.len() == 32 => found.images.push(data.into()),
                    _ => found.others += 1,
                }
            }
            rest = next;
        }
        Some(found)
    }
}

fn size(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let (size, rest) = bytes.split_first_chunk::<4>()?;
    Some((usize::try_from(u32::from_le_bytes(*size)).ok()?, rest))
}
