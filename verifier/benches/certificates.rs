//! An endorsement certificate to its maker's root: `cargo bench -p verifier --bench certificates`.
//!
//! Generated chains always; a real one, and one out of a store of all makers, where the folder of public vectors is at hand.
#![allow(clippy::unwrap_used, missing_docs)]

use std::hint::black_box;
use std::path::PathBuf;

use criterion::{Criterion, criterion_group, criterion_main};
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CustomExtension, DnType,
    ExtendedKeyUsagePurpose, IsCa, Issuer, KeyIdMethod, KeyPair, KeyUsagePurpose,
    PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384, RevokedCertParams, SerialNumber,
    SignatureAlgorithm, date_time_ymd,
};
use verifier::tpm::{
    Certificate, RootStore,
    certificate::{Crl, CrlPolicy, Root, TpmClass, verify_chain},
};

/// 2026-05-01.
const NOW: u64 = 1_777_593_600;

struct Case {
    leaf: Vec<u8>,
    intermediates: Vec<Vec<u8>>,
    roots: RootStore,
    now: u64,
}

fn params(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params.not_before = date_time_ymd(2025, 1, 1);
    params.not_after = date_time_ymd(2035, 1, 1);
    params
}

fn authority(name: &str) -> CertificateParams {
    let mut params = params(name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

/// Leaf, intermediate, root; with a list of `revoked` other certificates by the intermediate.
fn generated(algorithm: &'static SignatureAlgorithm, revoked: Option<u64>) -> Case {
    let key = || KeyPair::generate_for(algorithm).unwrap();
    let (root_params, root_key) = (authority("Root"), key());
    let root = root_params.self_signed(&root_key).unwrap();
    let root_issuer = Issuer::new(root_params, root_key);
    let (params_, between_key) = (authority("Between"), key());
    let between = params_.signed_by(&between_key, &root_issuer).unwrap();
    let between_issuer = Issuer::new(params_, between_key);
    let mut tpm = params("TPM");
    tpm.serial_number = Some(SerialNumber::from(77u64));
    tpm.key_usages = vec![KeyUsagePurpose::KeyAgreement];
    tpm.extended_key_usages = vec![ExtendedKeyUsagePurpose::Other(vec![2, 23, 133, 8, 1])];
    // One directory name with the manufacturer `id:50524F42`.
    let mut name = vec![0x30, 0x1e, 0xa4, 0x1c, 0x30, 0x1a, 0x31, 0x18, 0x30, 0x16];
    name.extend([0x06, 0x05, 0x67, 0x81, 0x05, 0x02, 0x01, 0x0c, 0x0d]);
    name.extend(b"id:50524F42  ");
    tpm.custom_extensions = vec![CustomExtension::from_oid_content(&[2, 5, 29, 17], name)];
    let leaf = tpm.signed_by(&key(), &between_issuer).unwrap();

    let root = Certificate::from_der(root.der()).unwrap();
    let mut roots = RootStore::new([root]);
    if let Some(revoked) = revoked {
        let list = CertificateRevocationListParams {
            this_update: date_time_ymd(2026, 4, 1),
            next_update: date_time_ymd(2026, 6, 1),
            crl_number: SerialNumber::from(1u64),
            issuing_distribution_point: None,
            revoked_certs: (1_000..1_000 + revoked)
                .map(|serial| RevokedCertParams {
                    serial_number: SerialNumber::from(serial),
                    revocation_time: date_time_ymd(2026, 3, 1),
                    reason_code: None,
                    invalidity_date: None,
                })
                .collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        let list = list.signed_by(&between_issuer).unwrap();
        roots.add_crls([Crl::from_der(list.der()).unwrap()]);
    }
    Case {
        leaf: leaf.der().to_vec(),
        intermediates: vec![between.der().to_vec()],
        roots,
        now: NOW,
    }
}

fn vector(path: &str) -> Option<Vec<u8>> {
    let folder = std::env::var_os("PROBITY_VECTORS").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared/vectors"),
        PathBuf::from,
    );
    std::fs::read(folder.join(path))
        .inspect_err(|error| println!("skipped: {path}: {error}"))
        .ok()
}

fn all_of(path: &str) -> Option<Vec<Certificate>> {
    let text = String::from_utf8(vector(path)?).ok()?;
    Certificate::from_pem_chain(&text).ok()
}

/// Google's certificate with an RSA-2048 key under RSA-4096 CAs; `all` puts every maker's certificates beside them.
fn google(all: bool) -> Option<Case> {
    let mut roots = vec![Certificate::from_der(&vector("ek-certs/tpm_ek_root_1.cer")?).ok()?];
    let intermediate = vector("ek-certs/tpm_ek_intermediate_3.crt")?;
    let mut hints = vec![];
    if all {
        roots.extend(all_of("tpm-roots/roots.pem")?);
        hints.extend(all_of("tpm-roots/intermediates.pem")?);
        hints.push(Certificate::from_der(&intermediate).ok()?);
    }
    let roots = roots.into_iter().map(|certificate| Root {
        certificate,
        class: TpmClass::Virtual,
        source: String::new(),
    });
    let mut roots = RootStore::classified(roots)
        .ok()?
        .with_crl_policy(CrlPolicy::WHERE_GIVEN);
    roots.add_intermediates(hints);
    let leaf = all_of("ek-certs/uca_tpm_rsa_enc_cert.pem")?;
    Some(Case {
        leaf: leaf.first()?.as_der().to_vec(),
        intermediates: if all { vec![] } else { vec![intermediate] },
        roots,
        now: 1_748_736_000,
    })
}

fn chains(c: &mut Criterion) {
    let mut group = c.benchmark_group("ek chain");
    let cases = [
        ("P-256", Some(generated(&PKCS_ECDSA_P256_SHA256, None))),
        ("P-384", Some(generated(&PKCS_ECDSA_P384_SHA384, None))),
        (
            "P-256, list of 10,000",
            Some(generated(&PKCS_ECDSA_P256_SHA256, Some(10_000))),
        ),
        ("Google RSA-4096", google(false)),
        ("Google RSA-4096, store of all makers", google(true)),
    ];
    for (name, case) in cases {
        let Some(case) = case else { continue };
        let judge = || {
            verify_chain(
                black_box(&case.leaf),
                &case.intermediates,
                &case.roots,
                case.now,
            )
        };
        judge().unwrap();
        group.bench_function(name, |b| b.iter(judge));
    }
    group.finish();
}

fn stores(c: &mut Criterion) {
    let case = generated(&PKCS_ECDSA_P256_SHA256, Some(10_000));
    let list = case.roots.crls().first().unwrap().as_der().to_vec();
    c.bench_function("revocation list of 10,000, parsed", |b| {
        b.iter(|| Crl::from_der(black_box(&list)).unwrap());
    });
    if let Some(case) = google(true) {
        let text = case.roots.to_toml().unwrap();
        c.bench_function("store of all makers, read", |b| {
            b.iter(|| RootStore::from_toml(black_box(&text)).unwrap());
        });
    }
}

criterion_group!(benches, chains, stores);
criterion_main!(benches);
