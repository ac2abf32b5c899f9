//! What of an event's data its digest covers.
//!
//! A TPM signs digests; the data beside them is a claim until somebody hashes it. The profile says for some types that the
//! digest is the hash of the data; boot loaders have habits of their own. Each habit is a [`Form`] here. A fact may only be
//! taken from the bytes that [`covered`] returns: those are the preimage of a digest that was extended. The event's type,
//! the label in front of GRUB's text, the name of a boot variable hashed by value, a device path beside an image's digest
//! are covered by nothing and never part of what it returns.

use std::borrow::Cow;

use serde::Serialize;

use super::{Event, EventKind, bank::bank_name, reject::Reject};
use crate::tpm::wire::HashAlgorithm;

/// Labels that GRUB writes in front of the text it hashes: upstream's, then Red Hat's.
const LABELS: [&str; 4] = [
    "grub_cmd: ",
    "kernel_cmdline: ",
    "grub_kernel_cmdline ",
    "grub_cmd ",
];
/// UEFI_VARIABLE_DATA before its name: vendor GUID, name length, value length.
const VARIABLE_HEAD: usize = 32;
/// Longest text of which other encodings are tried.
const MAX_TEXT: usize = 16 << 10;

/// How the covered bytes follow from the event's data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Form {
    /// The data.
    Data,
    /// The data but its last byte: shim hashes one byte less than it logs.
    DataButLast,
    /// The data and a zero byte: systemd's boot stub logs one byte less than it hashes.
    DataAndZero,
    /// The value of a UEFI variable, without its name: EV_EFI_VARIABLE_BOOT of most firmware.
    VariableValue,
    /// The text after a label of GRUB's, without its final zero.
    LabelledText,
    /// The text after a label of GRUB's, with its final zero.
    LabelledTextAndZero,
    /// The text in UTF-8 with a final zero, logged in UTF-16: section names of systemd's stub.
    Utf8Text,
    /// The contents of a TCG_PCClientTaggedEvent, without its identifier and size.
    Tagged,
}

/// Every form that the event's data could take, most usual first.
pub(super) fn forms<'a>(event: &Event<'a>) -> Vec<(Form, Cow<'a, [u8]>)> {
    let data = event.data;
    let mut forms = vec![(Form::Data, Cow::Borrowed(data))];
    let mut borrowed = |form, bytes: &'a [u8]| forms.push((form, Cow::Borrowed(bytes)));
    if is_variable(event.kind) {
        if let Some(value) = variable_value(data) {
            borrowed(Form::VariableValue, value);
        }
        if let Some((_, head)) = data.split_last() {
            borrowed(Form::DataButLast, head);
        }
    }
    if event.kind == EventKind::EVENT_TAG
        && let Some(contents) = data.get(8..)
    {
        borrowed(Form::Tagged, contents);
    }
    if event.kind == EventKind::IPL && data.len() <= MAX_TEXT {
        if let Some(text) = label(data).and_then(|label| data.get(label.len()..)) {
            borrowed(Form::LabelledTextAndZero, text);
            if let Some((0, text)) = text.split_last() {
                borrowed(Form::LabelledText, text);
            }
        } else if data.len() % 2 == 1 {
            forms.push((Form::DataAndZero, Cow::Owned([data, &[0]].concat())));
        } else if let Some(mut text) = utf16(data) {
            text.push('\0');
            forms.push((Form::Utf8Text, Cow::Owned(text.into_bytes())));
        }
    }
    forms
}

/// The bytes that the event's digest in `bank` is the hash of, if the log lets us say.
pub fn covered<'a>(event: &Event<'a>, bank: HashAlgorithm) -> Option<(Form, Cow<'a, [u8]>)> {
    let digest = event.digest(bank)?;
    forms(event)
        .into_iter()
        .find(|(_, bytes)| bank.digest(&[bytes]) == digest)
}

/// Refuses an event whose digest is that of its data in one of the log's banks and not in another.
///
/// # Errors
/// [`Reject::BanksDisagree`].
pub(super) fn check_banks(event: &Event<'_>, banks: &[HashAlgorithm]) -> Result<(), Reject> {
    let fits = banks
        .iter()
        .find_map(|bank| covered(event, *bank).map(|found| (*bank, found)));
    let Some((fits, (_, bytes))) = fits else {
        return Ok(());
    };
    let differs = banks
        .iter()
        .find(|bank| event.digest(**bank) != Some(&bank.digest(&[&bytes])));
    match differs {
        None => Ok(()),
        Some(differs) => Err(Reject::BanksDisagree {
            event: event.index,
            kind: event.kind.to_string(),
            pcr: event.pcr,
            fits: bank_name(fits),
            differs: bank_name(*differs),
        }),
    }
}

/// Whether the profile, or a label, says that the digest is the hash of (part of) the data.
pub(super) fn should_fit(event: &Event<'_>) -> bool {
    event.kind.hashes_its_data() || (event.kind == EventKind::IPL && label(event.data).is_some())
}

/// The label in front of a text of GRUB's. No digest covers it.
pub(super) fn label(data: &[u8]) -> Option<&'static str> {
    LABELS
        .into_iter()
        .find(|label| data.starts_with(label.as_bytes()))
}

fn is_variable(kind: EventKind) -> bool {
    matches!(
        kind,
        EventKind::EFI_VARIABLE_DRIVER_CONFIG
            | EventKind::EFI_VARIABLE_BOOT
            | EventKind::EFI_VARIABLE_BOOT2
            | EventKind::EFI_VARIABLE_AUTHORITY
    )
}

fn variable_value(data: &[u8]) -> Option<&[u8]> {
    let name: [u8; 8] = data.get(16..24)?.try_into().ok()?;
    let name = usize::try_from(u64::from_le_bytes(name)).ok()?;
    data.get(VARIABLE_HEAD.checked_add(name.checked_mul(2)?)?..)
}

/// UTF-16LE text without its final zero, if it is such text.
pub(super) fn utf16(bytes: &[u8]) -> Option<String> {
    let units: Vec<u16> = bytes
        .chunks_exact(2)
        .map(|pair| pair.first_chunk().map_or(0, |b| u16::from_le_bytes(*b)))
        .collect();
    let units = match units.split_last() {
        Some((0, head)) => head,
        _ => &units,
    };
    String::from_utf16(units)
        .ok()
        .filter(|text| bytes.len().is_multiple_of(2) && !text.contains('\0'))
}
