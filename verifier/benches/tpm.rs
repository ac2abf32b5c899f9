//! What an oracle does for a machine when it enrols and every epoch: `cargo bench -p verifier --bench tpm`.
//!
//! Goals, on one core: path of an endorsement certificate 1 ms (`certificates`), quote with certification 0.3 ms, challenge of an
//! activation 0.3 ms (P-384: 1.5 ms), event log of 40 KB 2 ms (`eventlog`), SEV-SNP report 3 ms (`tee`). Quotes scale with the cores.
#![allow(clippy::unwrap_used, clippy::cast_possible_truncation, missing_docs)]

use std::hint::black_box;
use std::thread::available_parallelism;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use p256::elliptic_curve::sec1::ToEncodedPoint as _;
use rayon::{ThreadPoolBuilder, prelude::*};
use verifier::tpm::{
    Certificate, ClockInfo, Name, PcrPolicy, Public, PublicKey, make_credential, verify_certify,
    verify_quote_over_policy, wire,
};
use zeroize::Zeroizing;

/// The software TPM of the crate's own tests.
#[allow(dead_code, reason = "not every bench needs all of it")]
#[path = "../src/tpm/fixture.rs"]
mod fixture;

use fixture::{EK_ATTRIBUTES, QuoteBody, SoftKey, certify_body, ek_public_area, sha256};

fn sized(bytes: &[u8]) -> Vec<u8> {
    [&(bytes.len() as u16).to_be_bytes()[..], bytes].concat()
}

/// TPMT_PUBLIC of an endorsement key on a curve, with AES of as many bits and a name of as many as its template says.
fn ecc_ek(curve: u8, hash: u8, aes_bits: u16, x: &[u8], y: &[u8]) -> Vec<u8> {
    let mut area = vec![0x00, 0x23, 0x00, hash];
    area.extend(EK_ATTRIBUTES.to_be_bytes());
    area.extend([0, 0]);
    area.extend([0x00, 0x06]);
    area.extend(aes_bits.to_be_bytes());
    area.extend([0x00, 0x43, 0x00, 0x10, 0x00, curve, 0x00, 0x10]);
    area.extend(sized(x));
    area.extend(sized(y));
    area
}

fn challenges(criterion: &mut Criterion) {
    let p256 = p256::SecretKey::from_slice(&[7; 32]).unwrap().public_key();
    let p256 = p256.to_encoded_point(false);
    let p384 = p384::SecretKey::from_slice(&[7; 48]).unwrap().public_key();
    let p384 = p384.to_encoded_point(false);
    let name = Public::parse(&SoftKey::attestation(9).public_area())
        .unwrap()
        .name();
    let secret = Zeroizing::new([5; 32]);
    let mut group = criterion.benchmark_group("challenge");
    for (key, area) in [
        ("RSA-2048", ek_public_area()),
        (
            "P-256",
            ecc_ek(3, 0x0b, 128, p256.x().unwrap(), p256.y().unwrap()),
        ),
        (
            "P-384",
            ecc_ek(4, 0x0c, 256, p384.x().unwrap(), p384.y().unwrap()),
        ),
    ] {
        let ek = Public::parse(&area).unwrap();
        group.bench_function(key, |bencher| {
            bencher.iter(|| make_credential(black_box(&ek), &name, &secret).unwrap());
        });
    }
}

/// A quote and a certification by the same attestation key, as a node that enrols sends them.
struct Attested {
    ak: Public,
    node: Public,
    ek: Name,
    extra_data: [u8; 32],
    quote: Vec<u8>,
    quote_signature: [u8; 64],
    certify: Vec<u8>,
    certify_signature: [u8; 64],
}

impl Attested {
    fn new(seed: u8) -> Self {
        let (key, node) = (SoftKey::attestation(seed), SoftKey::node(200));
        let ak = Public::parse(&key.public_area()).unwrap();
        let node = Public::parse(&node.public_area()).unwrap();
        let ek = ak.qualified_name(&Name::endorsement_hierarchy());
        let extra_data = [seed; 32];
        let quote = QuoteBody {
            extra_data: extra_data.to_vec(),
            ..QuoteBody::default()
        }
        .to_bytes();
        let certify = certify_body(
            &ak.qualified_name(&ek),
            &extra_data,
            &node.name(),
            &node.qualified_name(&ek),
        );
        Self {
            quote_signature: key.sign(&quote),
            certify_signature: key.sign(&certify),
            ak,
            node,
            ek,
            extra_data,
            quote,
            certify,
        }
    }

    fn judge_quote(&self, policy: &PcrPolicy) -> ClockInfo {
        verify_quote_over_policy(
            black_box(&self.ak),
            &self.quote,
            &self.quote_signature,
            &self.extra_data,
            policy,
        )
        .unwrap()
        .clock
    }

    fn judge_certify(&self) -> ClockInfo {
        verify_certify(
            black_box(&self.ak),
            &self.certify,
            &self.certify_signature,
            &self.node,
            &self.extra_data,
            &self.ek,
        )
        .unwrap()
    }
}

fn policy() -> PcrPolicy {
    PcrPolicy {
        bank: wire::HashAlgorithm::Sha256,
        pcrs: vec![0, 1, 2, 3],
        accepted_digests: vec![sha256(&[0; 128])],
    }
}

fn quotes(criterion: &mut Criterion) {
    let (attested, policy) = (Attested::new(9), policy());
    let mut group = criterion.benchmark_group("quote");
    group.bench_function("alone", |bencher| {
        bencher.iter(|| attested.judge_quote(&policy));
    });
    group.bench_function("with certification", |bencher| {
        bencher.iter(|| (attested.judge_quote(&policy), attested.judge_certify()));
    });
}

/// A committee's epoch: many machines' quotes, on one core, on two, on all.
fn scaling(criterion: &mut Criterion) {
    const QUOTES: usize = 1_024;
    let policy = policy();
    let machines: Vec<Attested> = (1..=64).map(Attested::new).collect();
    let all = available_parallelism().map_or(1, usize::from);
    let mut threads: Vec<usize> = (0..).map(|i| 1 << i).take_while(|n| *n < all).collect();
    threads.push(all);
    let mut group = criterion.benchmark_group("1,024 quotes");
    group.throughput(Throughput::Elements(QUOTES as u64));
    group.sample_size(20);
    for threads in threads {
        let pool = ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .unwrap();
        group.bench_function(format!("threads: {threads}"), |bencher| {
            bencher.iter(|| {
                pool.install(|| {
                    (0..QUOTES).into_par_iter().for_each(|i| {
                        machines[i % machines.len()].judge_quote(&policy);
                    });
                });
            });
        });
    }
}

criterion_group!(benches, challenges, quotes, scaling);
criterion_main!(benches);
