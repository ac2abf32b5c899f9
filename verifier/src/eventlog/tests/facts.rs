//! What a log proves, and what somebody who rewrites it cannot make it prove.

use crate::eventlog::fixture::{DATABASE, GLOBAL, MadeLog, boot, image, utf16, variable};
use crate::eventlog::*;
use crate::tpm::wire::HashAlgorithm::{Sha1, Sha256};

fn facts(made: &MadeLog) -> Facts {
    let bytes = made.to_bytes();
    let log = Log::parse(&bytes).unwrap();
    let pcrs: Vec<u8> = (0..16).collect();
    let digest = log.replay(Sha256).unwrap().quote_digest(&pcrs);
    explain(&bytes, Sha256, &pcrs, digest).unwrap()
}

fn typical() -> MadeLog {
    boot(MadeLog::new(&[Sha1, Sha256]))
}

fn at(made: &MadeLog, data: &[u8]) -> usize {
    made.events.iter().position(|it| it.data == data).unwrap()
}

fn state(made: &MadeLog) -> SecureBootState {
    facts(made).secure_boot.unwrap().state
}

#[test]
fn a_boot_is_told_in_full() {
    let facts = facts(&typical());
    let secure_boot = facts.secure_boot.as_ref().unwrap();
    assert_eq!(secure_boot.state, SecureBootState::Enabled);
    assert_eq!(secure_boot.db.as_ref().unwrap().certificates.len(), 1);
    assert_eq!(
        secure_boot.dbx.as_ref().unwrap().images,
        [vec![1u8; 32].into(), vec![2u8; 32].into()]
    );
    assert!(secure_boot.pk.is_some() && secure_boot.kek.is_some());
    assert!(!secure_boot.dma_protection_disabled && !secure_boot.debug_mode);
    assert_eq!(secure_boot.unexplained, []);
    let authorities: Vec<_> = secure_boot
        .authorities
        .iter()
        .map(|it| (it.variable.as_str(), it.pre_boot, it.owner.is_some()))
        .collect();
    assert_eq!(authorities, [("db", false, true), ("Shim", false, false)]);
    // The same certificate, once with its owner and once without.
    assert_eq!(
        secure_boot.authorities[0].sha256,
        secure_boot.authorities[1].sha256
    );
    assert_eq!(
        secure_boot.authorities[0].sha256,
        secure_boot.db.as_ref().unwrap().certificates[0]
    );
    assert_eq!(facts.firmware_version.as_deref(), Some("Test Firmware 1"));
    assert_eq!(facts.separators.len(), 8);
    let images: Vec<_> = facts
        .images
        .iter()
        .map(|it| (it.pcr, it.claimed.as_deref().unwrap(), it.digest.clone()))
        .collect();
    let of = |bytes: &[u8]| Digest::of(Sha256, bytes);
    assert_eq!(
        images,
        [
            (2, "\\rom", of(b"option ROM")),
            (4, "\\EFI\\shim", of(b"shim image")),
            (4, "\\EFI\\grub", of(b"grub image")),
        ]
    );
    assert_eq!(facts.grub_kernels().collect::<Vec<_>>(), ["/vmlinuz ro"]);
    let command_line: Vec<_> = facts
        .texts
        .iter()
        .filter(|it| it.claimed_label == Some("kernel_cmdline"))
        .map(|it| it.text.as_str())
        .collect();
    assert_eq!(command_line, ["/vmlinuz ro"]);
    let files: Vec<_> = facts
        .boot_files
        .iter()
        .map(|it| (it.pcr, it.digest.clone()))
        .collect();
    assert_eq!(
        files,
        [
            (14, of(b"mok list")),
            (9, of(b"grub.cfg contents")),
            (9, of(b"kernel image")),
        ]
    );
    assert_eq!(facts.firmware.len(), 1);
}

#[test]
fn a_configuration_that_the_log_brings_along_stays_on_the_list_of_files() {
    let text = b"set root=hd0,gpt2\nlinux /vmlinuz init=/evil\n";
    let facts = facts(&typical().plain(9, EventKind::IPL, text));
    let measured = Digest::of(Sha256, text);
    assert!(facts.boot_files.iter().any(|it| it.digest == measured));
    assert!(facts.texts.iter().any(|it| it.text.contains("init=/evil")));
    let kernels = crate::policy::BootFacts::from(&facts).kernels;
    assert!(
        kernels
            .iter()
            .any(|it| it.as_slice() == measured.as_bytes())
    );
}

#[test]
fn facts_come_only_from_pcrs_that_were_quoted() {
    let bytes = typical().to_bytes();
    let log = Log::parse(&bytes).unwrap();
    let digest = log.replay(Sha256).unwrap().quote_digest(&[0, 4]);
    let facts = explain(&bytes, Sha256, &[0, 4], digest).unwrap();
    assert_eq!(facts.secure_boot, None);
    assert!(facts.images.iter().all(|it| it.pcr == 4));
    assert_eq!(facts.boot_files, []);
    assert_eq!(facts.pcrs.keys().copied().collect::<Vec<_>>(), [0, 4]);
    assert!(facts.separators.keys().all(|pcr| [0, 4].contains(pcr)));
}

#[test]
fn secure_boot_off_is_told() {
    for value in [&[0u8][..], &[]] {
        let mut made = typical();
        let on = at(&made, &variable(GLOBAL, "SecureBoot", &[1]));
        let off = variable(GLOBAL, "SecureBoot", value);
        made.events[on].data.clone_from(&off);
        made.events[on].measured = Some(off);
        assert_eq!(state(&made), SecureBootState::Disabled);
    }
}

#[test]
fn secure_boot_cannot_be_claimed_by_rewriting_the_log() {
    let on = variable(GLOBAL, "SecureBoot", &[1]);
    let off = variable(GLOBAL, "SecureBoot", &[0]);
    let kind = EventKind::EFI_VARIABLE_DRIVER_CONFIG;
    let mut honest = typical();
    let event = at(&honest, &on);
    honest.events[event].data.clone_from(&off);
    honest.events[event].measured = Some(off);
    // Data that says on beside the digest that says off.
    let mut forged = honest.clone();
    forged.events[event].data.clone_from(&on);
    assert!(matches!(state(&forged), SecureBootState::Unknown(_)));
    assert_eq!(facts(&forged).secure_boot.unwrap().unexplained.len(), 1);
    // The operating system extends PCR 7 with what firmware would have, and hides the real event.
    let forged = forged.plain(7, kind, &on);
    assert!(matches!(state(&forged), SecureBootState::Unknown(_)));
    // It also relabels the separator before it.
    let mut forged = forged;
    let separator = forged
        .events
        .iter()
        .position(|it| it.pcr == 7 && it.kind == EventKind::SEPARATOR)
        .unwrap();
    forged.events[separator].kind = EventKind::ACTION;
    forged.events[separator].data = b"nothing to see".to_vec();
    assert!(matches!(state(&forged), SecureBootState::Unknown(_)));
    // Honest to start with, an event after the separator changes nothing.
    assert_eq!(
        state(&honest.plain(7, kind, &on)),
        SecureBootState::Disabled
    );
}

#[test]
fn without_a_separator_or_with_an_error_or_twice_the_state_is_unknown() {
    let separator = |made: &MadeLog| {
        made.events
            .iter()
            .position(|it| it.pcr == 7 && it.kind == EventKind::SEPARATOR)
            .unwrap()
    };
    let mut none = typical();
    let event = separator(&none);
    none.events.remove(event);
    assert!(matches!(state(&none), SecureBootState::Unknown(_)));
    assert_eq!(facts(&none).secure_boot.unwrap().db, None);
    let mut error = typical();
    let event = separator(&error);
    error.events[event].measured = Some(vec![1, 0, 0, 0]);
    assert!(matches!(state(&error), SecureBootState::Unknown(_)));
    assert_eq!(facts(&error).separators[&7], SeparatorKind::Error);
    let mut twice = typical();
    let event = at(&twice, &variable(GLOBAL, "SecureBoot", &[1]));
    let again = twice.events[event].clone();
    twice.events.insert(event, again);
    assert!(matches!(state(&twice), SecureBootState::Unknown(_)));
}

#[test]
fn a_debugger_and_missing_dma_protection_cannot_be_hidden() {
    for (text, dma) in [
        (&b"DMA Protection Disabled"[..], true),
        (b"UEFI Debug Mode", false),
    ] {
        let mut made = typical();
        made.events.insert(
            0,
            crate::eventlog::fixture::Made {
                pcr: 7,
                kind: EventKind::EFI_ACTION,
                measured: Some(text.to_vec()),
                data: text.to_vec(),
            },
        );
        for hide in [false, true] {
            if hide {
                made.events[0].data = b"harmless".to_vec();
                made.events[0].kind = EventKind::POST_CODE;
            }
            let found = facts(&made).secure_boot.unwrap();
            assert_eq!(found.dma_protection_disabled, dma);
            assert_eq!(found.debug_mode, !dma);
        }
    }
}

#[test]
fn a_boot_loader_cannot_be_hidden_by_its_label_or_its_data() {
    let evil = b"MZ\x00\x01 evil image";
    let base = typical().event(
        4,
        EventKind::EFI_BOOT_SERVICES_APPLICATION,
        evil,
        &image("evil"),
    );
    let last = base.events.len() - 1;
    let mut relabelled = base.clone();
    relabelled.events[last].kind = EventKind::EFI_ACTION;
    // What was hashed as the event's data: the digest now fits, and still it is no text.
    let mut explained = relabelled.clone();
    explained.events[last].data = evil.to_vec();
    for made in [base, relabelled, explained] {
        let images = facts(&made).images;
        assert_eq!(images.last().unwrap().digest, Digest::of(Sha256, evil));
    }
}

#[test]
fn a_kernel_command_is_found_by_its_text_whatever_its_label() {
    let made = typical().event(
        8,
        EventKind::IPL,
        b"linux /evil init=/bin/sh",
        b"kernel_cmdline: linux /evil init=/bin/sh\0",
    );
    assert_eq!(
        facts(&made).grub_kernels().collect::<Vec<_>>(),
        ["/vmlinuz ro", "/evil init=/bin/sh"]
    );
}

#[test]
fn the_texts_of_systemds_stub_are_read() {
    let line = [utf16("root=/dev/sda1 quiet"), vec![0, 0]].concat();
    let section = [utf16(".linux"), vec![0, 0]].concat();
    let mut tagged = vec![0x13, 0, 0, 0];
    tagged.extend((line.len() as u32).to_le_bytes());
    tagged.extend(&line);
    let made = MadeLog::new(&[Sha256])
        .event(11, EventKind::IPL, b".linux\0", &section)
        .event(11, EventKind::IPL, b"kernel image", &section)
        // Older stubs log one byte less than they hash.
        .event(8, EventKind::IPL, &line, &line[..line.len() - 1])
        .plain(12, EventKind::IPL, &line)
        .event(12, EventKind::EVENT_TAG, &line, &tagged);
    let facts = facts(&made);
    let texts: Vec<_> = facts
        .texts
        .iter()
        .map(|it| (it.pcr, it.form, it.text.as_str()))
        .collect();
    assert_eq!(
        texts,
        [
            (11, Form::Utf8Text, ".linux"),
            (8, Form::DataAndZero, "root=/dev/sda1 quiet"),
            (12, Form::Data, "root=/dev/sda1 quiet"),
            (12, Form::Tagged, "root=/dev/sda1 quiet"),
        ]
    );
    assert_eq!(facts.boot_files.len(), 1);
    assert_eq!(facts.boot_files[0].claimed.as_deref(), Some(".linux"));
}

#[test]
fn an_authority_is_no_database_and_a_database_no_authority() {
    // Before the separator, where option ROMs are verified.
    let entry = [&[7u8; 16][..], &[0x30, 0x82, 1, 2], &[9; 258]].concat();
    let mut made = typical();
    made.events.insert(
        at(&made, &variable(GLOBAL, "SecureBoot", &[1])) + 5,
        crate::eventlog::fixture::Made {
            pcr: 7,
            kind: EventKind::EFI_VARIABLE_DRIVER_CONFIG,
            measured: Some(variable(DATABASE, "db", &entry)),
            data: variable(DATABASE, "db", &entry),
        },
    );
    let found = facts(&made).secure_boot.unwrap();
    assert_eq!(found.state, SecureBootState::Enabled);
    assert_eq!(found.db.unwrap().certificates.len(), 1);
    assert!(found.authorities[0].pre_boot);
}
