//! Cabinets, written by other software and by hand.

use std::io::{Cursor, Write as _};

use cab::{CabinetBuilder, CompressionType};
use proptest::prelude::*;

use super::import::{Rules, SourceFile, import, read_cabinet};
use super::*;

/// A cabinet of these files, all in one folder.
fn cabinet(files: &[(&str, Vec<u8>)], compression: CompressionType) -> Vec<u8> {
    let mut builder = CabinetBuilder::new();
    let folder = builder.add_folder(compression);
    for (name, _) in files {
        folder.add_file(*name);
    }
    let mut writer = builder.build(Cursor::new(Vec::new())).unwrap();
    let mut contents = files.iter();
    while let Some(mut file) = writer.next_file().unwrap() {
        file.write_all(&contents.next().unwrap().1).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

fn ca(name: &str, seed: u8) -> Vec<u8> {
    let key = SoftKey::node(seed);
    CertificateBody::ca(&format!("CN={name}"), &key, None).issue(&format!("CN={name}"), &key)
}

/// The layout of Microsoft's cabinet.
fn trusted_tpm() -> Vec<(&'static str, Vec<u8>)> {
    vec![
        ("AMD\\RootCA\\AMD-fTPM.crt", ca("AMD fTPM Root", 1)),
        ("Infineon\\RootCA\\IFX.cer", ca("IFX Root", 2)),
        (
            "Infineon\\IntermediateCA\\IFX-1.der",
            first(None).issue("CN=IFX Root", &SoftKey::node(2)),
        ),
        ("Microsoft\\RootCA\\MS.cer", ca("MS Root", 3)),
        ("setup.cmd", b"@echo off".to_vec()),
        // Longer than a block, so that MSZIP copies across blocks.
        (
            "version.txt",
            (0..20_000u32).flat_map(|i| (i / 7).to_le_bytes()).collect(),
        ),
    ]
}

const BOTH: [CompressionType; 2] = [CompressionType::None, CompressionType::MsZip];

#[test]
fn files_come_out_as_other_software_put_them_in() {
    for compression in BOTH {
        let files = trusted_tpm();
        let read = read_cabinet("test.cab", &cabinet(&files, compression)).unwrap();
        assert_eq!(read.len(), files.len());
        for (read, (name, bytes)) in read.iter().zip(&files) {
            assert_eq!(read.path, name.replace('\\', "/"));
            assert!(read.bytes == *bytes, "{name}");
        }
    }
}

#[test]
fn a_cabinet_in_microsofts_layout_becomes_a_store_with_classes() {
    let file = SourceFile {
        path: "TrustedTpm.cab".into(),
        bytes: cabinet(&trusted_tpm(), CompressionType::MsZip),
    };
    let imported = import(&[file], &Rules::default()).unwrap();
    let left_out: Vec<_> = imported
        .left_out
        .iter()
        .map(|it| it.path.as_str())
        .collect();
    assert_eq!(
        left_out,
        ["TrustedTpm.cab/setup.cmd", "TrustedTpm.cab/version.txt"]
    );
    let mut store = RootStore::classified(imported.roots).unwrap();
    store.add_intermediates(imported.intermediates);
    assert_eq!(store.roots().len(), 3);
    for (issuer, seed, class) in [
        ("CN=AMD fTPM Root", 1, TpmClass::Firmware),
        ("CN=First", 101, TpmClass::Discrete),
        ("CN=MS Root", 3, TpmClass::Virtual),
    ] {
        let leaf = ek().issue(issuer, &SoftKey::node(seed));
        let verdict = verify_chain(&leaf, &[], &store, NOW).unwrap();
        assert_eq!(verdict.class, class, "{issuer}");
    }
}

/// An LZX cabinet by hand: one block, not compressed within LZX.
fn lzx(content: &[u8], claimed: u16) -> Vec<u8> {
    let mut stream = Vec::new();
    // No E8 translation; block type 3 (uncompressed); 24 bits of size; in 16-bit words, little-endian.
    let bits = u32::from(claimed) | 3 << 24;
    let words = [(bits >> 12) as u16, ((bits & 0xfff) << 4) as u16];
    stream.extend(words.iter().flat_map(|word| word.to_le_bytes()));
    stream.extend([1, 0, 0, 0].repeat(3)); // R0, R1, R2
    stream.extend(content);
    let name = b"Intel\\RootCA\\a.crt\0";
    let first_data = 36 + 8 + 16 + name.len();
    let mut cab = b"MSCF".to_vec();
    cab.extend([0; 12]);
    cab.extend(44u32.to_le_bytes());
    cab.extend([0; 4]);
    cab.extend([3, 1, 1, 0, 1, 0, 0, 0, 0, 0, 0, 0]);
    cab.extend((first_data as u32).to_le_bytes());
    cab.extend([1, 0, 0x03, 15]);
    cab.extend((content.len() as u32).to_le_bytes());
    cab.extend([0; 12]);
    cab.extend(name);
    cab.extend([0; 4]);
    cab.extend((stream.len() as u16).to_le_bytes());
    cab.extend((content.len() as u16).to_le_bytes());
    cab.extend(stream);
    cab
}

#[test]
fn lzx_is_unpacked_and_its_decoders_panics_are_held() {
    let content = ca("Intel Root", 4);
    let good = lzx(&content, content.len() as u16);
    let files = read_cabinet("a.cab", &good).unwrap();
    assert_eq!(files[0].path, "Intel/RootCA/a.crt");
    assert_eq!(files[0].bytes, content);
    // The same bytes as other software reads them.
    let mut other = cab::Cabinet::new(Cursor::new(&good)).unwrap();
    let mut read = Vec::new();
    let mut file = other.read_file("Intel\\RootCA\\a.crt").unwrap();
    std::io::Read::read_to_end(&mut file, &mut read).unwrap();
    assert_eq!(read, content);
    let refused = read_cabinet("a.cab", &lzx(&content, 0)).unwrap_err();
    assert_eq!(refused.code(), "ROOTS_CABINET");
}

#[test]
fn damaged_cabinets_are_refused_by_name() {
    let good = cabinet(&trusted_tpm(), CompressionType::MsZip);
    let damage = |at: usize, bytes: &[u8]| {
        let mut cab = good.clone();
        cab[at..at + bytes.len()].copy_from_slice(bytes);
        read_cabinet("a.cab", &cab).unwrap_err().to_string()
    };
    assert!(damage(0, b"X").contains("MSCF"));
    assert!(damage(25, &[9]).contains("version"));
    assert!(damage(30, &[1]).contains("belong together"));
    assert!(damage(16, &[0xff; 4]).contains("list of files"));
    assert!(damage(28, &[0xff; 2]).contains("at most"));
    assert!(damage(42, &[2]).contains("neither MSZIP nor LZX"));
    assert!(damage(good.len() - 1, &[good[good.len() - 1] ^ 1]).contains("checksum"));
    for len in 0..good.len().min(2_000) {
        assert!(read_cabinet("a.cab", &good[..len]).is_err(), "{len} bytes");
    }
    // A file that claims more than its folder holds.
    let first_size = 36 + 8;
    assert!(damage(first_size, &[0xff; 4]).contains("beyond its folder"));
}

#[test]
fn a_cabinet_whose_files_overlap_does_not_unpack_to_more_than_the_limit() {
    let content = vec![0u8; 60_000];
    let one = cabinet(&[("a", content)], CompressionType::MsZip);
    // The same file, four thousand times.
    let entry = one[44..44 + 18].to_vec();
    let mut many = one[..44].to_vec();
    many[28..30].copy_from_slice(&4_000u16.to_le_bytes());
    let shift = (entry.len() * 3_999) as u32;
    let first_data = u32::from_le_bytes(one[36..40].try_into().unwrap());
    many[36..40].copy_from_slice(&(first_data + shift).to_le_bytes());
    many.extend(entry.repeat(4_000));
    many.extend(&one[62..]);
    let refused = read_cabinet("a.cab", &many).unwrap_err();
    assert_eq!(refused.code(), "ROOTS_TOO_LARGE", "{refused}");
}

proptest! {
    #[test]
    fn no_cabinet_makes_the_reader_panic(
        changes in proptest::collection::vec((0usize..4_000, any::<u8>()), 1..20),
        zip in any::<bool>(),
    ) {
        let mut cab = cabinet(&trusted_tpm()[..3], BOTH[usize::from(zip)]);
        // Without checksums, so that the damage reaches the decoders.
        let len = cab.len();
        for (at, value) in changes {
            cab[at % len] = value;
        }
        if let Ok(files) = read_cabinet("a.cab", &cab) {
            prop_assert!(files.iter().map(|it| it.bytes.len()).sum::<usize>() <= 64 << 20);
        }
    }

    #[test]
    fn no_bytes_make_the_parsers_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = Certificate::from_der(&bytes);
        let _ = Crl::from_der(&bytes);
        let _ = read_cabinet("a.cab", &[&b"MSCF"[..], &bytes].concat());
        if let Ok(text) = std::str::from_utf8(&bytes) {
            let _ = RootStore::from_text(text);
        }
    }
}
