//! An event log of 40 KB and a measurement list, on one core: `cargo bench -p verifier --bench eventlog`.
#![allow(clippy::unwrap_used, clippy::cast_possible_truncation, missing_docs)]

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use verifier::eventlog::{
    Log, explain,
    ima::{self, Extension, Progress},
};
use verifier::tpm::wire::HashAlgorithm::{self, Sha1, Sha256, Sha384};

const BANKS: [HashAlgorithm; 3] = [Sha1, Sha256, Sha384];
const PCRS: [u8; 11] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 14];

fn push(log: &mut Vec<u8>, pcr: u32, kind: u32, measured: &[u8], data: &[u8]) {
    log.extend(pcr.to_le_bytes());
    log.extend(kind.to_le_bytes());
    log.extend((BANKS.len() as u32).to_le_bytes());
    for bank in BANKS {
        log.extend(bank.id().to_le_bytes());
        log.extend(bank.digest(&[measured]));
    }
    log.extend((data.len() as u32).to_le_bytes());
    log.extend(data);
}

/// A log as of a Linux server with GRUB: Secure Boot's databases, images, a hundred commands.
fn log() -> Vec<u8> {
    let mut header = b"Spec ID Event03\0".to_vec();
    header.extend([0, 0, 0, 0, 0, 2, 0, 2]);
    header.extend((BANKS.len() as u32).to_le_bytes());
    for bank in BANKS {
        header.extend(bank.id().to_le_bytes());
        header.extend((bank.digest_len() as u16).to_le_bytes());
    }
    header.push(0);
    let mut log = [&[0, 0, 0, 0, 3, 0, 0, 0][..], &[0; 20]].concat();
    log.extend((header.len() as u32).to_le_bytes());
    log.extend(header);
    for size in [1, 1_100, 1_600, 3_200, 12_000] {
        let data = vec![7; size];
        push(&mut log, 7, 0x8000_0001, &data, &data);
    }
    for pcr in 0..8 {
        push(&mut log, pcr, 4, &[0; 4], &[0; 4]);
    }
    for image in 0..4u8 {
        push(&mut log, 4, 0x8000_0003, &[image; 9], &[image; 150]);
    }
    let mut command = 0;
    while log.len() < 40_000 {
        let text = format!("set a_variable_of_the_menu={command}");
        let data = format!("grub_cmd: {text}\0");
        push(&mut log, 8, 13, text.as_bytes(), data.as_bytes());
        command += 1;
    }
    log
}

fn list() -> Vec<u8> {
    let mut list = vec![];
    for file in 0..1000 {
        let digest = Sha256.digest(&[format!("{file}").as_bytes()]);
        let digest = [b"sha256:\0", &digest[..]].concat();
        let path = format!("/usr/lib/x86_64-linux-gnu/lib{file}.so\0");
        let mut data = (digest.len() as u32).to_le_bytes().to_vec();
        data.extend(digest);
        data.extend((path.len() as u32).to_le_bytes());
        data.extend(path.as_bytes());
        list.extend(10u32.to_le_bytes());
        list.extend(Sha1.digest(&[&data]));
        list.extend(6u32.to_le_bytes());
        list.extend(b"ima-ng");
        list.extend((data.len() as u32).to_le_bytes());
        list.extend(data);
    }
    list
}

fn bench(criterion: &mut Criterion) {
    let log = log();
    let digest = Log::parse(&log)
        .unwrap()
        .replay(Sha256)
        .unwrap()
        .quote_digest(&PCRS);
    let mut group = criterion.benchmark_group("eventlog");
    group.throughput(Throughput::Bytes(log.len() as u64));
    group.bench_function("explain 40 KB", |b| {
        b.iter(|| explain(black_box(&log), Sha256, &PCRS, digest).unwrap());
    });
    group.bench_function("check banks 40 KB", |b| {
        b.iter(|| Log::parse(black_box(&log)).unwrap().check_banks().unwrap());
    });
    let mut flipped = log.clone();
    *flipped.last_mut().unwrap() ^= 1;
    group.bench_function("name the cause of a mismatch, 40 KB", |b| {
        b.iter(|| explain(black_box(&flipped), Sha256, &PCRS, [0; 32]).unwrap_err());
    });
    let list = list();
    group.throughput(Throughput::Elements(1000));
    group.bench_function("replay 1,000 measurements", |b| {
        b.iter(|| {
            let entries = ima::parse(black_box(&list)).unwrap();
            entries
                .iter()
                .fold(
                    Progress::start(Sha256, Extension::PerBank),
                    |progress, entry| {
                        entry.check(0).unwrap();
                        progress.after(entry)
                    },
                )
                .value
        });
    });
    group.finish();
}

criterion_group!(benches, bench);
criterion_main!(benches);
