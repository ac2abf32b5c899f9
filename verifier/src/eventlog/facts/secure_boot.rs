//! Secure Boot, from PCR 7 (profile, section 3.3.4.8).
//!
//! Firmware measures its state and databases before PCR 7's separator; an operating system can extend PCR 7 only after it.
//! So state and databases count only from before the first separator, which is found by its digest: relabelling it changes nothing.
//! The actions that tell of a debugger or of missing DMA protection are found by their digests as well, so that they cannot be
//! hidden by changing their data.

use serde::Serialize;
use sha2::{Digest as _, Sha256};

use super::{
    Measured, SeparatorKind, Separators, Signatures,
    variable::{Variable, guid},
};
use crate::eventlog::{Digest, Log, cover::covered};
use crate::tpm::wire::HashAlgorithm;

const GLOBAL: &str = "8be4df61-93ca-11d2-aa0d-00e098032b8c";
const SECURITY_DATABASE: &str = "d719b2cb-3d3a-4596-a3bc-dad00e67656f";

/// Whether Secure Boot was on when firmware handed over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SecureBootState {
    /// On.
    Enabled,
    /// Off, or the firmware has none.
    Disabled,
    /// Not proven either way; judge as off.
    Unknown(&'static str),
}

/// What PCR 7 proves.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SecureBoot {
    /// The variable `SecureBoot`.
    pub state: SecureBootState,
    /// Platform key.
    pub pk: Option<Signatures>,
    /// Key exchange keys.
    pub kek: Option<Signatures>,
    /// Allowed.
    pub db: Option<Signatures>,
    /// Forbidden.
    pub dbx: Option<Signatures>,
    /// What images were verified with, in order. Entries after the separator could be added by the operating system.
    pub authorities: Vec<Authority>,
    /// Firmware ran with DMA protection off ("DMA Protection Disabled").
    pub dma_protection_disabled: bool,
    /// A firmware debugger could be used ("UEFI Debug Mode").
    pub debug_mode: bool,
    /// Digests in PCR 7 that none of this explains.
    pub unexplained: Vec<Measured>,
}

/// A certificate or hash that an image was verified with, or another variable of a boot loader's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Authority {
    /// Event number.
    pub event: usize,
    /// Whether it was measured before the separator.
    pub pre_boot: bool,
    /// The variable it is from: `db` of firmware, `Shim` or `MokList` of shim.
    pub variable: String,
    /// The variable's vendor.
    pub vendor: String,
    /// The signature's owner, if it is an EFI_SIGNATURE_DATA.
    pub owner: Option<String>,
    /// SHA-256 of the certificate or of whatever else the entry holds.
    pub sha256: Digest,
    /// The entry as text, if it is one: shim's SBAT level.
    pub text: Option<String>,
}

impl SecureBoot {
    pub(super) fn of(log: &Log<'_>, bank: HashAlgorithm, separators: &Separators) -> Self {
        let mut found = Self {
            state: SecureBootState::Unknown("PCR 7 has no event for the variable SecureBoot"),
            pk: None,
            kek: None,
            db: None,
            dbx: None,
            authorities: vec![],
            dma_protection_disabled: false,
            debug_mode: false,
            unexplained: vec![],
        };
        let actions = Actions::new(bank);
        let mut separator = None;
        let mut seen: Vec<String> = vec![];
        let mut twice = false;
        for event in log.extended(7) {
            let Some(digest) = event.digest(bank) else {
                continue;
            };
            if let Some(kind) = separators.find(digest) {
                separator.get_or_insert(kind);
                continue;
            }
            if actions.dma.iter().any(|it| it == digest) {
                found.dma_protection_disabled = true;
                continue;
            }
            if actions.debug.iter().any(|it| it == digest) {
                found.debug_mode = true;
                continue;
            }
            let pre_boot = separator.is_none();
            let covered = covered(event, bank);
            let variable = covered
                .as_ref()
                .and_then(|(_, bytes)| Variable::parse(bytes));
            let Some(variable) = variable else {
                found.unexplained.push(Measured::of(event, digest));
                continue;
            };
            // An authority is one entry and a database a list of lists, so neither can be passed off as the other.
            let key = format!("{}:{}", variable.vendor, variable.name);
            if pre_boot && found.configuration(&variable) {
                twice |= seen.contains(&key);
                seen.push(key);
            } else {
                found
                    .authorities
                    .push(authority(event.index, pre_boot, &variable));
            }
        }
        if twice {
            found.state = SecureBootState::Unknown(
                "PCR 7 has a Secure Boot variable twice before its separator",
            );
        }
        match separator {
            Some(SeparatorKind::Normal) => {}
            Some(SeparatorKind::Error) => {
                found.state = SecureBootState::Unknown("PCR 7's separator tells of an error");
            }
            None => {
                found.state = SecureBootState::Unknown(
                    "PCR 7 has no separator, so its events may be from after firmware",
                );
                (found.pk, found.kek, found.db, found.dbx) = (None, None, None, None);
            }
        }
        found
    }

    /// Takes a variable of Secure Boot's configuration; false if it is none.
    fn configuration(&mut self, variable: &Variable<'_>) -> bool {
        let place = match (variable.vendor.as_str(), variable.name.as_str()) {
            (GLOBAL, "SecureBoot") => {
                self.state = match variable.value {
                    [1] => SecureBootState::Enabled,
                    [0] | [] => SecureBootState::Disabled,
                    _ => SecureBootState::Unknown("the variable SecureBoot is neither 0 nor 1"),
                };
                return true;
            }
            (GLOBAL, "PK") => &mut self.pk,
            (GLOBAL, "KEK") => &mut self.kek,
            (SECURITY_DATABASE, "db") => &mut self.db,
            (SECURITY_DATABASE, "dbx") => &mut self.dbx,
            _ => return false,
        };
        let Some(signatures) = Signatures::parse(variable.value) else {
            return false;
        };
        *place = Some(signatures);
        true
    }
}

fn authority(event: usize, pre_boot: bool, variable: &Variable<'_>) -> Authority {
    // EFI_SIGNATURE_DATA is an owner and a certificate; shim logs bare certificates, which start with a DER sequence.
    let bare = variable.value.starts_with(&[0x30, 0x82]);
    let (owner, entry) = match variable.value.split_first_chunk::<16>() {
        Some((owner, rest)) if !bare && rest.starts_with(&[0x30, 0x82]) => {
            (Some(guid(*owner)), rest)
        }
        _ => (None, variable.value),
    };
    Authority {
        event,
        pre_boot,
        variable: variable.name.clone(),
        vendor: variable.vendor.clone(),
        owner,
        sha256: Sha256::digest(entry).to_vec().into(),
        text: super::text(entry).filter(|text| text.len() <= super::MAX_CLAIM),
    }
}

/// Digests of the actions that matter, with and without a final zero.
struct Actions {
    dma: [Vec<u8>; 2],
    debug: [Vec<u8>; 2],
}

impl Actions {
    fn new(bank: HashAlgorithm) -> Self {
        let both = |text: &[u8]| [bank.digest(&[text]), bank.digest(&[text, &[0]])];
        Self {
            dma: both(b"DMA Protection Disabled"),
            debug: both(b"UEFI Debug Mode"),
        }
    }
}
