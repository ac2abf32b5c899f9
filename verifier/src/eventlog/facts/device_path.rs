//! Device paths as text (UEFI 2.10, chapter 10). They stand beside an image's digest, and nothing covers them.

use super::variable::guid;
use crate::eventlog::cover::utf16;

/// More nodes than any path has.
const MAX_NODES: usize = 32;
/// UEFI_IMAGE_LOAD_EVENT before its path: address, length, link address, length of the path.
const IMAGE_HEAD: usize = 32;

/// The path in a UEFI_IMAGE_LOAD_EVENT, if it is well formed and not empty.
pub(super) fn of_image(data: &[u8]) -> Option<String> {
    let (head, path) = data.split_at_checked(IMAGE_HEAD)?;
    // shim logs a few bytes after the path.
    let length = usize::try_from(u64::from_le_bytes(*head.last_chunk::<8>()?)).ok()?;
    render(path.get(..length)?).filter(|text| !text.is_empty())
}

fn render(mut path: &[u8]) -> Option<String> {
    let mut text = vec![];
    for _ in 0..MAX_NODES {
        let (&[kind, sub, low, high], _) = path.split_first_chunk::<4>()?;
        let (node, rest) = path.split_at_checked(usize::from(u16::from_le_bytes([low, high])))?;
        let body = node.get(4..)?;
        path = rest;
        match (kind, sub) {
            (0x7f, 0xff) => return Some(text.join("/")),
            (0x7f, _) => text.push(",".to_owned()),
            _ => text.push(node_text(kind, sub, body)),
        }
    }
    None
}

fn node_text(kind: u8, sub: u8, body: &[u8]) -> String {
    known(kind, sub, body).unwrap_or_else(|| format!("Path({kind},{sub},{})", hex::encode(body)))
}

fn known(kind: u8, sub: u8, body: &[u8]) -> Option<String> {
    Some(match (kind, sub) {
        (1, 1) => match body {
            [function, device] => format!("Pci({device:#x},{function:#x})"),
            _ => return None,
        },
        (2, 1) => match (u32_at(body, 0)?, u32_at(body, 4)?) {
            (0x0a03_41d0, uid) => format!("PciRoot({uid:#x})"),
            (0x0a08_41d0, uid) => format!("PcieRoot({uid:#x})"),
            (hid, uid) => format!("Acpi({hid:#010x},{uid:#x})"),
        },
        (3, 2) => format!("Scsi({:#x},{:#x})", u16_at(body, 0)?, u16_at(body, 2)?),
        (3, 18) => format!(
            "Sata({:#x},{:#x},{:#x})",
            u16_at(body, 0)?,
            u16_at(body, 2)?,
            u16_at(body, 4)?
        ),
        (3, 23) => {
            let eui = body.get(4..12)?;
            format!("NVMe({:#x},{})", u32_at(body, 0)?, hex::encode(eui))
        }
        (4, 1) => {
            let signature: [u8; 16] = body.get(20..36)?.try_into().ok()?;
            match body.get(37)? {
                2 => format!("HD({},GPT,{})", u32_at(body, 0)?, guid(signature)),
                _ => format!("HD({},MBR)", u32_at(body, 0)?),
            }
        }
        (4, 4) => utf16(body)?,
        (4, 6) => format!("FvFile({})", guid(body.try_into().ok()?)),
        (4, 7) => format!("Fv({})", guid(body.try_into().ok()?)),
        (4, 8) => {
            let offsets = body.get(4..20)?;
            format!("Offset({})", hex::encode(offsets))
        }
        _ => return None,
    })
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}
