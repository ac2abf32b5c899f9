//! SEV-SNP and TDX evidence, from bytes to facts, on one core. Uses the public vectors; without them there is nothing to measure.
#![allow(clippy::unwrap_used, missing_docs)]

use std::{hint::black_box, path::PathBuf};

use criterion::{Criterion, criterion_group, criterion_main};
use verifier::snp::{Authority, Evidence, Report, TrustAnchors, authenticate};
use verifier::tpm::Certificate;

fn vector(path: &str) -> Option<Vec<u8>> {
    let folder = std::env::var_os("PROBITY_VECTORS").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared/vectors"),
        PathBuf::from,
    );
    std::fs::read(folder.join(path))
        .inspect_err(|error| println!("skipped: {path}: {error}; set PROBITY_VECTORS"))
        .ok()
}

fn snp(criterion: &mut Criterion) {
    let (Some(report), Some(vcek), Some(chain)) = (
        vector("snp/report_milan.hex"),
        vector("snp/vcek_milan.der"),
        vector("snp/cert_chain_milan"),
    ) else {
        return;
    };
    let report = hex::decode(report.trim_ascii()).unwrap();
    let chain: Vec<_> = Certificate::from_pem_chain(std::str::from_utf8(&chain).unwrap())
        .unwrap()
        .iter()
        .map(|certificate| certificate.as_der().to_vec())
        .collect();
    let (anchors, now) = (TrustAnchors::amd(), 1_748_736_000);
    let evidence = Evidence {
        report: &report,
        chain: &chain,
        endorsement: &vcek,
    };
    let mut group = criterion.benchmark_group("snp");
    group.bench_function("report with whole chain", |bencher| {
        bencher.iter(|| authenticate(black_box(&evidence), &anchors, now).unwrap());
    });
    let authority = Authority::verify(&chain, &anchors).unwrap();
    group.bench_function("report and vcek, authority kept", |bencher| {
        bencher.iter(|| {
            let key = authority.endorse(black_box(&vcek), now).unwrap();
            Report::verify(black_box(&report), &key).unwrap()
        });
    });
    let key = authority.endorse(&vcek, now).unwrap();
    group.bench_function("report alone", |bencher| {
        bencher.iter(|| Report::verify(black_box(&report), &key).unwrap());
    });
}

fn tdx(criterion: &mut Criterion) {
    let (Some(quote), Some(collateral)) = (
        vector("tdx/tdx_quote"),
        vector("tdx/tdx_quote_collateral.json"),
    ) else {
        return;
    };
    let quote = verifier::tdx::trim_padding(&quote).unwrap();
    criterion.bench_function("tdx/quote with collateral", |bencher| {
        // 2025-06-20, when the collateral was valid.
        bencher.iter(|| {
            verifier::tdx::authenticate(black_box(quote), &collateral, 1_750_377_600).unwrap()
        });
    });
}

criterion_group!(benches, snp, tdx);
criterion_main!(benches);
