//! Real firmware's logs, where the folder of public vectors is at hand.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::eventlog::*;
use crate::tpm::wire::HashAlgorithm::{self, Sha1, Sha256};

type Expected = BTreeMap<String, BTreeMap<String, BTreeMap<u8, String>>>;

/// A file of the vectors folder, or `None` with the test and the reason printed.
fn vector(test: &str, name: &str) -> Option<Vec<u8>> {
    let folder = std::env::var_os("PROBITY_VECTORS").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared/vectors"),
        PathBuf::from,
    );
    match std::fs::read(folder.join("event-logs").join(name)) {
        Ok(bytes) => Some(bytes),
        Err(error) => {
            println!(
                "skipped {test}: vector event-logs/{name} is not at hand ({error}); set PROBITY_VECTORS"
            );
            None
        }
    }
}

type Pcrs = BTreeMap<u8, Digest>;
/// Name, bytes, and PCR values of each bank.
type Vector = (String, Vec<u8>, Vec<(HashAlgorithm, Pcrs)>);

/// Every log with its banks' PCR values, or `None` if one is missing. What is tested with them is tested with made logs, too: beside this
/// file, in `replaying.rs` and `facts.rs`.
fn logs(test: &str) -> Option<Vec<Vector>> {
    let expected = vector(test, "expected-pcrs.json")?;
    let expected: Expected = serde_json::from_slice(&expected).unwrap();
    assert_eq!(expected.len(), 5);
    let logs = expected.into_iter().map(|(name, banks)| {
        let bytes = vector(test, &name)?;
        let banks = banks
            .into_iter()
            .map(|(bank, pcrs)| {
                let values = pcrs
                    .into_iter()
                    .map(|(pcr, value)| (pcr, hex::decode(value).unwrap().into()))
                    .collect();
                (bank_by_name(&bank).unwrap(), values)
            })
            .collect();
        Some((name, bytes, banks))
    });
    logs.collect()
}

#[test]
fn all_real_logs_replay_to_their_pcrs() {
    let Some(logs) = logs("all_real_logs_replay_to_their_pcrs") else {
        return;
    };
    for (name, bytes, banks) in logs {
        let log = Log::parse(&bytes).unwrap();
        assert_eq!(log.padding, 0);
        log.check_banks().unwrap();
        for (bank, pcrs) in banks {
            assert_eq!(log.check_pcrs(bank, &pcrs).unwrap(), [], "{name}");
            // The log extends these PCRs and no others.
            assert_eq!(log.replay(bank).unwrap().values, pcrs, "{name}");
            let selected: Vec<u8> = pcrs.keys().copied().collect();
            let digest = log.replay(bank).unwrap().quote_digest(&selected);
            explain(&bytes, bank, &selected, digest).unwrap();
        }
    }
}

#[test]
fn every_flipped_digest_byte_of_real_logs_is_found_and_the_event_named() {
    let Some(logs) = logs("every_flipped_digest_byte_of_real_logs_is_found_and_the_event_named")
    else {
        return;
    };
    let (mut exact, mut among) = (0, 0);
    for (name, mut bytes, banks) in logs {
        let copy = bytes.clone();
        let log = Log::parse(&copy).unwrap();
        for event in log.events.iter().filter(|event| event.is_extended()) {
            for (bank, pcrs) in &banks {
                let digest = event.digest(*bank).unwrap();
                let start = digest.as_ptr() as usize - copy.as_ptr() as usize;
                for at in start..start + digest.len() {
                    bytes[at] ^= 0x55;
                    let flipped = Log::parse(&bytes).unwrap();
                    let found = flipped.check_pcrs(*bank, pcrs).unwrap();
                    assert_eq!(found.len(), 1, "{name}: {event:?}");
                    assert_eq!(found[0].pcr, event.pcr, "{name}");
                    match &found[0].cause {
                        Cause::DigestNotOfData {
                            event: named,
                            proven: true,
                        } => {
                            assert_eq!(named.index, event.index, "{name}");
                            exact += 1;
                        }
                        Cause::Unconfirmed {
                            event: named,
                            candidates,
                        } => {
                            assert_eq!(candidates[0], named.index);
                            assert!(candidates.contains(&event.index), "{name}: {event:?}");
                            exact += usize::from(candidates.len() == 1);
                            among += usize::from(candidates.len() > 1);
                        }
                        other => panic!("{name}: {other}"),
                    }
                    bytes[at] ^= 0x55;
                }
            }
        }
    }
    println!(
        "{exact} flips named exactly, {among} as one of several events whose data is elsewhere"
    );
    assert!(exact > among);
}

#[test]
fn real_logs_tell_their_boot() {
    let Some(logs) = logs("real_logs_tell_their_boot") else {
        return;
    };
    for (name, bytes, banks) in logs {
        let bank = if banks.iter().any(|(bank, _)| *bank == Sha256) {
            Sha256
        } else {
            Sha1
        };
        let log = Log::parse(&bytes).unwrap();
        let pcrs: Vec<u8> = (0..16).collect();
        let facts = Facts::of(&log, bank, &pcrs).unwrap();
        let secure_boot = facts.secure_boot.as_ref().unwrap();
        let (state, images, kernel, authorities) = match name.as_str() {
            // systemd-boot and a kernel with a stub: the command line is in PCR 8.
            "arch-linux-workstation.bin" => (SecureBootState::Disabled, 3, None, 0),
            "cos-85-amd-sev.bin" => (SecureBootState::Enabled, 3, Some("/syslinux/vmlinuz.A "), 3),
            "debian-10.bin" => (SecureBootState::Enabled, 3, None, 2),
            "rhel8-uefi.bin" => (
                SecureBootState::Enabled,
                3,
                Some("(hd0,gpt2)/boot/vmlinuz-4.18.0-240.22.1.el8_3.x86_64 "),
                2,
            ),
            "ubuntu-1804-amd-sev.bin" => (
                SecureBootState::Disabled,
                2,
                Some("/boot/vmlinuz-5.4.0-1046-gcp "),
                0,
            ),
            other => panic!("{other} is not known"),
        };
        assert_eq!(secure_boot.state, state, "{name}");
        assert_eq!(facts.images.len(), images, "{name}: {:?}", facts.images);
        assert_eq!(secure_boot.authorities.len(), authorities, "{name}");
        assert_eq!(secure_boot.unexplained, [], "{name}");
        for database in [&secure_boot.pk, &secure_boot.kek, &secure_boot.db] {
            assert!(
                !database.as_ref().unwrap().certificates.is_empty(),
                "{name}"
            );
        }
        assert!(!secure_boot.dbx.as_ref().unwrap().images.is_empty() || name.starts_with("cos"));
        assert!(!secure_boot.dma_protection_disabled && !secure_boot.debug_mode);
        assert_eq!(facts.separators.len(), 8, "{name}");
        let kernels: Vec<_> = facts.grub_kernels().collect();
        assert_eq!(kernels.len(), usize::from(kernel.is_some()), "{name}");
        if let Some(start) = kernel {
            assert!(kernels[0].starts_with(start), "{name}: {kernels:?}");
            assert!(
                facts.texts.iter().any(|it| it
                    .claimed_label
                    .is_some_and(|it| it.ends_with("kernel_cmdline"))),
                "{name}"
            );
        }
        if name.starts_with("rhel") {
            let claimed = facts.images[1].claimed.as_deref();
            assert_eq!(claimed, Some("\\EFI\\redhat\\grubx64.efi"));
        }
        if name.starts_with("arch") {
            let line = facts.texts.iter().find(|it| it.pcr == 8).unwrap();
            assert!(line.text.starts_with("initrd=\\intel-ucode.img"));
            assert_eq!(line.form, Form::DataAndZero);
            let loader = facts.images[1].claimed.as_deref().unwrap();
            assert!(loader.starts_with("PciRoot(0x0)/Pci("), "{loader}");
        } else {
            assert!(
                facts
                    .firmware_version
                    .unwrap()
                    .starts_with("GCE Virtual Firmware")
            );
        }
    }
}
