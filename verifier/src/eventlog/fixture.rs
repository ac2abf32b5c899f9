//! Logs and measurement lists made for tests.

use std::collections::BTreeMap;

use crate::eventlog::{Digest, EventKind, bank_name};
use crate::tpm::wire::HashAlgorithm;

/// Vendor GUID of SecureBoot, PK and KEK, as in memory.
pub const GLOBAL: [u8; 16] = [
    0x61, 0xdf, 0xe4, 0x8b, 0xca, 0x93, 0xd2, 0x11, 0xaa, 0x0d, 0x00, 0xe0, 0x98, 0x03, 0x2b, 0x8c,
];
/// Vendor GUID of db and dbx.
pub const DATABASE: [u8; 16] = [
    0xcb, 0xb2, 0x19, 0xd7, 0x3a, 0x3d, 0x96, 0x45, 0xa3, 0xbc, 0xda, 0xd0, 0x0e, 0x67, 0x65, 0x6f,
];
const X509: [u8; 16] = [
    0xa1, 0x59, 0xc0, 0xa5, 0xe4, 0x94, 0xa7, 0x4a, 0x87, 0xb5, 0xab, 0x15, 0x5c, 0x2b, 0xf0, 0x72,
];
const SHA256: [u8; 16] = [
    0x26, 0x16, 0xc4, 0xc1, 0x4c, 0x50, 0x92, 0x40, 0xac, 0xa9, 0x41, 0xf9, 0x36, 0x93, 0x43, 0x28,
];

/// An event to be written.
#[derive(Clone)]
pub struct Made {
    pub pcr: u32,
    pub kind: EventKind,
    /// What is hashed; nothing for digests of zeros.
    pub measured: Option<Vec<u8>>,
    pub data: Vec<u8>,
}

/// A log to be written, with the PCR values computed on the way.
#[derive(Clone)]
pub struct MadeLog {
    pub banks: Vec<HashAlgorithm>,
    pub agile: bool,
    pub events: Vec<Made>,
}

impl MadeLog {
    pub fn new(banks: &[HashAlgorithm]) -> Self {
        Self {
            banks: banks.to_vec(),
            agile: true,
            events: vec![],
        }
    }

    pub fn sha1() -> Self {
        Self {
            agile: false,
            ..Self::new(&[HashAlgorithm::Sha1])
        }
    }

    /// An event whose digest is that of its data.
    pub fn plain(self, pcr: u32, kind: EventKind, data: &[u8]) -> Self {
        self.event(pcr, kind, data, data)
    }

    pub fn event(mut self, pcr: u32, kind: EventKind, measured: &[u8], data: &[u8]) -> Self {
        self.events.push(Made {
            pcr,
            kind,
            measured: Some(measured.to_vec()),
            data: data.to_vec(),
        });
        self
    }

    pub fn no_action(mut self, pcr: u32, data: &[u8]) -> Self {
        self.events.push(Made {
            pcr,
            kind: EventKind::NO_ACTION,
            measured: None,
            data: data.to_vec(),
        });
        self
    }

    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = vec![];
        if self.agile {
            let mut header = b"Spec ID Event03\0".to_vec();
            header.extend([0, 0, 0, 0, 0, 2, 0, 2]);
            header.extend((self.banks.len() as u32).to_le_bytes());
            for bank in &self.banks {
                header.extend(bank.id().to_le_bytes());
                header.extend((bank.digest_len() as u16).to_le_bytes());
            }
            header.push(0);
            out.extend(0u32.to_le_bytes());
            out.extend(3u32.to_le_bytes());
            out.extend([0; 20]);
            out.extend((header.len() as u32).to_le_bytes());
            out.extend(header);
        }
        for event in &self.events {
            out.extend(event.pcr.to_le_bytes());
            out.extend(event.kind.0.to_le_bytes());
            if self.agile {
                out.extend((self.banks.len() as u32).to_le_bytes());
            }
            for bank in &self.banks {
                if self.agile {
                    out.extend(bank.id().to_le_bytes());
                }
                out.extend(match &event.measured {
                    Some(bytes) => bank.digest(&[bytes]),
                    None => vec![0; bank.digest_len()],
                });
            }
            out.extend((event.data.len() as u32).to_le_bytes());
            out.extend(&event.data);
        }
        out
    }

    /// PCR values, computed without the code under test; the TPM was started from `locality`.
    pub fn pcrs(&self, bank: HashAlgorithm, locality: u8) -> BTreeMap<u8, Digest> {
        let mut pcrs = BTreeMap::new();
        for event in &self.events {
            let Some(measured) = &event.measured else {
                continue;
            };
            let value = pcrs.entry(event.pcr as u8).or_insert_with(|| {
                let mut zero = vec![0; bank.digest_len()];
                if event.pcr == 0 {
                    *zero.last_mut().unwrap() = locality;
                }
                zero
            });
            *value = bank.digest(&[value, &bank.digest(&[measured])]);
        }
        pcrs.into_iter().map(|(k, v)| (k, v.into())).collect()
    }
}

pub fn utf16(text: &str) -> Vec<u8> {
    text.encode_utf16().flat_map(u16::to_le_bytes).collect()
}

/// UEFI_VARIABLE_DATA.
pub fn variable(vendor: [u8; 16], name: &str, value: &[u8]) -> Vec<u8> {
    let mut out = vendor.to_vec();
    out.extend((name.len() as u64).to_le_bytes());
    out.extend((value.len() as u64).to_le_bytes());
    out.extend(utf16(name));
    out.extend(value);
    out
}

/// EFI_SIGNATURE_LIST of certificates or image hashes.
pub fn signatures(x509: bool, entries: &[&[u8]]) -> Vec<u8> {
    let size = 16 + entries[0].len();
    let mut out = if x509 { X509 } else { SHA256 }.to_vec();
    out.extend((28 + (size * entries.len()) as u32).to_le_bytes());
    out.extend(0u32.to_le_bytes());
    out.extend((size as u32).to_le_bytes());
    for entry in entries {
        out.extend([7; 16]);
        out.extend(*entry);
    }
    out
}

/// UEFI_IMAGE_LOAD_EVENT with a file's path.
pub fn image(path: &str) -> Vec<u8> {
    let mut node = utf16(path);
    node.extend([0, 0]);
    let mut out = vec![0; 24];
    out.extend((4 + node.len() as u64 + 4).to_le_bytes());
    out.extend([4, 4]);
    out.extend((4 + node.len() as u16).to_le_bytes());
    out.extend(node);
    out.extend([0x7f, 0xff, 4, 0]);
    out
}

/// A boot with Secure Boot, shim, GRUB and a kernel.
pub fn boot(mut log: MadeLog) -> MadeLog {
    use EventKind as K;
    let certificate = [&[0x30, 0x82, 0, 9][..], b"a test cert"].concat();
    let config = |log: MadeLog, vendor, name, value: &[u8]| {
        log.plain(
            7,
            K::EFI_VARIABLE_DRIVER_CONFIG,
            &variable(vendor, name, value),
        )
    };
    log = log
        .plain(0, K::S_CRTM_VERSION, &utf16("Test Firmware 1\0"))
        .event(0, K::EFI_PLATFORM_FIRMWARE_BLOB2, b"volume", &[1; 16]);
    log = config(log, GLOBAL, "SecureBoot", &[1]);
    log = config(log, GLOBAL, "PK", &signatures(true, &[&certificate]));
    log = config(log, GLOBAL, "KEK", &signatures(true, &[&certificate]));
    log = config(log, DATABASE, "db", &signatures(true, &[&certificate]));
    log = config(
        log,
        DATABASE,
        "dbx",
        &signatures(false, &[&[1; 32], &[2; 32]]),
    );
    let boot_order = variable(GLOBAL, "BootOrder", &[1, 0]);
    log = log
        .plain(7, K::SEPARATOR, &[0; 4])
        .event(1, K::EFI_VARIABLE_BOOT, &[1, 0], &boot_order)
        .event(
            2,
            K::EFI_BOOT_SERVICES_DRIVER,
            b"option ROM",
            &image("\\rom"),
        )
        .plain(
            4,
            K::EFI_ACTION,
            b"Calling EFI Application from Boot Option",
        );
    for pcr in 0..7 {
        log = log.plain(pcr, K::SEPARATOR, &[0; 4]);
    }
    let authority = variable(DATABASE, "db", &[&[7; 16][..], &certificate].concat());
    let shim = variable(GLOBAL, "Shim", &certificate);
    log.plain(7, K::EFI_VARIABLE_AUTHORITY, &authority)
        .plain(5, K::EFI_GPT_EVENT, b"EFI PART\x01\x02\x03")
        .event(
            4,
            K::EFI_BOOT_SERVICES_APPLICATION,
            b"shim image",
            &image("\\EFI\\shim"),
        )
        .event(14, K::IPL, b"mok list", b"MokList\0")
        .event(
            4,
            K::EFI_BOOT_SERVICES_APPLICATION,
            b"grub image",
            &image("\\EFI\\grub"),
        )
        // shim hashes one byte less than it logs.
        .event(
            7,
            K::EFI_VARIABLE_AUTHORITY,
            &[&shim[..], &[0; 5]].concat(),
            &[&shim[..], &[0; 6]].concat(),
        )
        .event(9, K::IPL, b"grub.cfg contents", b"(hd0,gpt1)/grub.cfg\0")
        .event(8, K::IPL, b"set timeout=0", b"grub_cmd: set timeout=0\0")
        .event(
            8,
            K::IPL,
            b"linux /vmlinuz ro",
            b"grub_cmd: linux /vmlinuz ro\0",
        )
        .event(9, K::IPL, b"kernel image", b"/vmlinuz\0")
        .event(8, K::IPL, b"/vmlinuz ro", b"kernel_cmdline: /vmlinuz ro\0")
        .plain(5, K::EFI_ACTION, b"Exit Boot Services Invocation")
}

/// Names the bank in a failing test's message.
pub fn named(bank: HashAlgorithm) -> &'static str {
    bank_name(bank)
}
