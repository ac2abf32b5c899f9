//! What a log proves, beyond the PCR values.
//!
//! Every event of a selected PCR ends up somewhere: among the separators, in Secure Boot's state, as a text whose hash was
//! extended, or as a digest that stands for something outside the log. What is only claimed says so in its name.

mod device_path;
mod secure_boot;
mod variable;

use std::collections::BTreeMap;

use serde::Serialize;

pub use secure_boot::{Authority, SecureBoot, SecureBootState};
pub use variable::Signatures;

use super::{
    Digest, Event, EventKind, Form, Log, Reject,
    bank::bank_name,
    cover::{covered, label, utf16},
    replay::selection,
};
use crate::tpm::wire::HashAlgorithm;

/// Longest text taken for text.
const MAX_TEXT: usize = 16 << 10;
/// Longest claim repeated.
const MAX_CLAIM: usize = 512;

/// How firmware ended a PCR's pre-boot part.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SeparatorKind {
    /// Zeros or ones: as it should be.
    Normal,
    /// The value 1: firmware met an error.
    Error,
}

/// A digest that was extended and stands for something the log does not hold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Measured {
    /// Event number.
    pub event: usize,
    /// The PCR.
    pub pcr: u8,
    /// What was extended.
    pub digest: Digest,
    /// What the log says it is; not authenticated.
    pub claimed_kind: EventKind,
    /// A device path, a file's name or a text beside it; not authenticated.
    pub claimed: Option<String>,
}

/// A text whose hash was extended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct BootText {
    /// Event number.
    pub event: usize,
    /// The PCR.
    pub pcr: u8,
    /// The text, as measured.
    pub text: String,
    /// How the text follows from the event's data.
    pub form: Form,
    /// GRUB's label before it, such as `kernel_cmdline`; not authenticated.
    pub claimed_label: Option<&'static str>,
}

/// What a log proves about the PCRs of one bank, given that it replays to them.
///
/// Nothing can be taken from these lists by whoever runs the machine, but things may be added to the end of a PCR's events once
/// it runs: ask that all entries are allowed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Facts {
    /// The bank.
    pub bank: &'static str,
    /// Values of the PCRs selected.
    pub pcrs: BTreeMap<u8, Digest>,
    /// Locality of the TPM's start, proven if PCR 0 is selected and was extended.
    pub startup_locality: Option<u8>,
    /// The first separator of each PCR, found by its digest.
    pub separators: BTreeMap<u8, SeparatorKind>,
    /// The first EV_S_CRTM_VERSION of PCR 0: the text is proven, that it is the version is claimed.
    pub firmware_version: Option<String>,
    /// Secure Boot, from PCR 7; nothing if PCR 7 is not selected.
    pub secure_boot: Option<SecureBoot>,
    /// UEFI images in PCR 2 and 4 in order: option ROMs and drivers, boot loaders, kernels started as images. The digest is the
    /// image's Authenticode hash. Holds every event of these PCRs that is neither separator nor text, whatever its claimed type.
    pub images: Vec<Measured>,
    /// Texts in order: GRUB's commands and the kernel's command line (PCR 8), the command line of systemd's stub (PCR 8, 11, 12),
    /// firmware's actions (PCR 4, 5).
    pub texts: Vec<BootText>,
    /// What boot loaders measured by digest, PCR 8 to 15: kernels, initial file systems, configuration files, MOK lists.
    pub boot_files: Vec<Measured>,
    /// Other digests that stand for something outside the log: firmware volumes, tables, microcode.
    pub firmware: Vec<Measured>,
}

/// Where boot loaders measure the files they read.
const FILES_PCR: u8 = 9;

impl Facts {
    /// Takes facts from the events of `pcrs`; the caller has checked that the log replays to their values.
    ///
    /// # Errors
    /// [`Reject::NoSuchBank`], [`Reject::PcrSelection`].
    pub fn of(log: &Log<'_>, bank: HashAlgorithm, pcrs: &[u8]) -> Result<Self, Reject> {
        let replay = log.replay(bank)?;
        let pcrs = selection(pcrs)?;
        let separators = Separators::new(bank);
        let mut facts = Self {
            bank: bank_name(bank),
            startup_locality: (pcrs.contains(&0) && log.extended(0).next().is_some())
                .then_some(log.startup_locality),
            pcrs: pcrs.iter().map(|pcr| (*pcr, replay.value(*pcr))).collect(),
            separators: BTreeMap::new(),
            firmware_version: None,
            secure_boot: pcrs
                .contains(&7)
                .then(|| SecureBoot::of(log, bank, &separators)),
            images: vec![],
            texts: vec![],
            boot_files: vec![],
            firmware: vec![],
        };
        for event in &log.events {
            if event.is_extended() && pcrs.contains(&event.pcr) {
                facts.take(event, bank, &separators);
            }
        }
        Ok(facts)
    }

    fn take(&mut self, event: &Event<'_>, bank: HashAlgorithm, separators: &Separators) {
        let Some(digest) = event.digest(bank) else {
            return;
        };
        if let Some(kind) = separators.find(digest) {
            self.separators.entry(event.pcr).or_insert(kind);
            return;
        }
        if event.pcr == 7 {
            return;
        }
        let covered = covered(event, bank);
        if let Some((_, bytes)) = &covered
            && (event.kind, event.pcr) == (EventKind::S_CRTM_VERSION, 0)
            && self.firmware_version.is_none()
        {
            self.firmware_version = Some(version(bytes));
        }
        let text = covered
            .as_ref()
            .and_then(|(form, bytes)| text(bytes).map(|text| (*form, text)));
        if let Some((form, text)) = text {
            let labelled = matches!(form, Form::LabelledText | Form::LabelledTextAndZero);
            self.texts.push(BootText {
                event: event.index,
                pcr: event.pcr,
                text,
                form,
                claimed_label: label(event.data)
                    .filter(|_| labelled)
                    .map(|label| label.trim_end_matches([' ', ':'])),
            });
            // Files are measured into PCR 9 by their content: a log that brings a small one along, a configuration, must not take it
            // off the list by that.
            if event.pcr != FILES_PCR {
                return;
            }
        }
        // A small image's hashed bytes could be passed off as its event's data: binary data explains no image and no boot file.
        match event.pcr {
            2 | 4 => self.images.push(Measured::of(event, digest)),
            8..=15 => self.boot_files.push(Measured::of(event, digest)),
            _ if covered.is_none() => self.firmware.push(Measured::of(event, digest)),
            _ => {}
        }
    }

    /// Commands in PCR 8 with which GRUB loads a kernel, each with the kernel's path and command line.
    ///
    /// They are found by the text that was measured, not by GRUB's label, which is only claimed.
    pub fn grub_kernels(&self) -> impl Iterator<Item = &str> {
        self.texts
            .iter()
            .filter(|text| text.pcr == 8)
            .filter_map(|text| {
                let (command, rest) = text.text.split_once(' ')?;
                matches!(command, "linux" | "linuxefi" | "linux16").then_some(rest)
            })
    }
}

impl Measured {
    fn of(event: &Event<'_>, digest: &[u8]) -> Self {
        let claimed = if event.kind.is_image() {
            device_path::of_image(event.data)
        } else {
            text(event.data)
        };
        Self {
            event: event.index,
            pcr: event.pcr,
            digest: digest.into(),
            claimed_kind: event.kind,
            claimed: claimed.filter(|text| text.len() <= MAX_CLAIM),
        }
    }
}

/// Digests of separators: whatever type the log claims, these are separators.
pub(super) struct Separators {
    normal: [Vec<u8>; 2],
    error: Vec<u8>,
}

impl Separators {
    fn new(bank: HashAlgorithm) -> Self {
        Self {
            normal: [bank.digest(&[&[0; 4]]), bank.digest(&[&[0xff; 4]])],
            error: bank.digest(&[&[1, 0, 0, 0]]),
        }
    }

    fn find(&self, digest: &[u8]) -> Option<SeparatorKind> {
        if self.normal.iter().any(|it| it == digest) {
            Some(SeparatorKind::Normal)
        } else {
            (self.error == digest).then_some(SeparatorKind::Error)
        }
    }
}

/// Bytes as text, if all of them are: printable, in UTF-8 or in UTF-16, with or without a final zero.
fn text(bytes: &[u8]) -> Option<String> {
    let printable = |text: &str| {
        !text.is_empty()
            && text
                .chars()
                .all(|c| !c.is_control() || matches!(c, '\n' | '\t' | '\r'))
    };
    if bytes.len() > MAX_TEXT {
        return None;
    }
    let plain = bytes.strip_suffix(&[0]).unwrap_or(bytes);
    match std::str::from_utf8(plain) {
        Ok(text) if printable(text) => Some(text.to_owned()),
        // Latin text in UTF-16 has zeros, so it is not printable above.
        _ => utf16(bytes).filter(|text| printable(text) && text.is_ascii()),
    }
}

/// A firmware version: a text, a GUID or plain bytes.
fn version(bytes: &[u8]) -> String {
    text(bytes)
        .or_else(|| bytes.try_into().ok().map(variable::guid))
        .unwrap_or_else(|| hex::encode(bytes))
}
