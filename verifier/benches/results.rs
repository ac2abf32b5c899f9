//! Attestation results, policies and revocations: what one costs on one core.
#![allow(missing_docs, clippy::unwrap_used)]

use std::hint::black_box;

use alloy_primitives::{Address, B256, Bytes};
use criterion::{Criterion, criterion_group, criterion_main};
use k256::ecdsa::SigningKey;
use verifier::Epoch;
use verifier::committee::Deployment;
use verifier::ear::{
    Check, Ear, Endorsement, Findings, IssuerKey, PolicyFinding, Rules, TrustedEndorsement, verify,
};
use verifier::policy::{Facts, Moment, Policy, QuotedState, TpmClass};
use verifier::revocation::{Head, Notice, RevocationReason, SignedNotice, Subject, follow};

const NOW: u64 = 1_800_000_000;

fn findings() -> Findings {
    Findings {
        hardware_id: Some(B256::repeat_byte(1)),
        endorsement: Endorsement::Trusted(TrustedEndorsement {
            class: Some(TpmClass::Discrete),
            manufacturer: "id:49465800".into(),
            model: "SLB9672".into(),
            root: B256::repeat_byte(2),
        }),
        activation: Check::Passed,
        quote: Check::Passed,
        clock: Check::Passed,
        policy_hash: Some(B256::repeat_byte(3)),
        policy: PolicyFinding::Accepted {
            states_listed: true,
        },
        ..Findings::default()
    }
}

fn results(c: &mut Criterion) {
    let key = IssuerKey::from_bytes(&[7; 32]).unwrap();
    let public = key.verifier_key();
    let findings = findings();
    let ear = Ear::new(NOW, "node-7", findings.appraise());
    let token = ear.sign(&key).unwrap();
    let rules = Rules::at(NOW);
    let mut group = c.benchmark_group("ear");
    group.bench_function("appraise", |b| b.iter(|| black_box(&findings).appraise()));
    group.bench_function("sign", |b| b.iter(|| black_box(&ear).sign(&key).unwrap()));
    group.bench_function("verify", |b| {
        b.iter(|| verify(black_box(&token), &public, &rules).unwrap());
    });
    group.finish();
}

fn policies(c: &mut Criterion) {
    let digest = B256::repeat_byte(9);
    let policy = Policy::parse(&format!(
        "pcrs = [0, 1, 2, 3, 4, 5, 6, 7]\naccepted_digests = [\"{digest}\"]\nslow_after = 2000\n"
    ))
    .unwrap();
    let mut facts = Facts::default();
    facts.state.quote = Some(QuotedState {
        pcrs: (0..8).collect(),
        digest,
    });
    c.bench_function("policy/judge", |b| {
        b.iter(|| black_box(&policy).judge(black_box(&facts), Moment::epoch(Epoch(5))));
    });
}

fn revocations(c: &mut Criterion) {
    const NOTICES: usize = 100;
    let key = SigningKey::from_slice(&[5; 32]).unwrap();
    let issuer = Address::from_private_key(&key);
    let deployment = Deployment {
        chain_id: 31_337,
        hub: Address::repeat_byte(1),
        registry: Address::repeat_byte(2),
    };
    let start = Head::start(issuer);
    let mut head = start.clone();
    let mut feed = Vec::with_capacity(NOTICES);
    for _ in 0..NOTICES {
        let notice = Notice::after(
            &head,
            Subject::Hardware(B256::repeat_byte(3)),
            RevocationReason::Vulnerable,
            NOW,
            "measured",
        );
        let (signature, id) = key
            .sign_prehash_recoverable(notice.digest(&deployment).as_slice())
            .unwrap();
        let signature = [&signature.to_bytes()[..], &[27 + id.to_byte()]].concat();
        let signed = SignedNotice {
            notice: notice.to_bytes().into(),
            signature: Bytes::from(signature),
        };
        head = Head {
            issuer,
            sequence: notice.sequence,
            hash: notice.hash(),
            last: Some(signed.clone()),
        };
        feed.push(signed);
    }
    c.bench_function("revocation/follow 100 notices", |b| {
        b.iter(|| follow(&deployment, &start, black_box(&feed)).unwrap());
    });
}

criterion_group!(benches, results, policies, revocations);
criterion_main!(benches);
