//! Tokens, feeds and policies.

use std::collections::BTreeMap;

use alloy_primitives::{Address, B256, Bytes};
use k256::ecdsa::SigningKey;
use verifier::Epoch;
use verifier::ear::{IssuerKey, Profile, RawEvidence};
use verifier::policy::simulate::Line;
use verifier::revocation::{Feed, Head, Notice, RevocationReason, SignedNotice, Subject};

use super::{Seeds, evidence::DEPLOYMENT};
use crate::results;
use crate::tpm::fixture::{NOW, QuoteBody, SoftKey, sha256};

pub fn ear() -> Seeds {
    let (private, _) = results::keys();
    let key = IssuerKey::from_pem(&private).unwrap();
    let mut seeds: Seeds = vec![];
    for (profile, [token, payload]) in Profile::ALL
        .into_iter()
        .zip([["ietf", "ietf_payload"], ["veraison", "veraison_payload"]])
    {
        let mut ear = results::ear(profile);
        ear.verifier.build = "seeds".into();
        ear.not_before = Some(NOW);
        ear.expires = Some(NOW + 600);
        ear.nonce = Some(Bytes::from_static(b"a nonce!"));
        ear.raw_evidence = Some(RawEvidence {
            media_type: match profile {
                Profile::Ietf04 => "application/cbor".into(),
                Profile::Veraison2023 => String::new(),
            },
            bytes: Bytes::from_static(b"evidence"),
        });
        seeds.push((token, ear.sign(&key).unwrap().into()));
        seeds.push((payload, ear.payload().unwrap()));
    }
    let jwk = r#"{"kty":"EC","crv":"P-256","x":"G8fAud93NgCg8C_0bY1YqVZ5zNlkb-cNsGTQia7m0is","y":"RK1gonvUKKQOCSHDwz3SiN9EijCqmXS4sDeRbc8RnL0"}"#;
    seeds.push(("jwk-refused", jwk.into()));
    seeds.push((
        "json-refused",
        br#"{"b":[1,-2,null,true,"\u00e9\n"],"a":{}}"#.to_vec(),
    ));
    seeds
}

pub fn revocation() -> Seeds {
    let key = SigningKey::from_slice(&[5; 32]).unwrap();
    let sign = |notice: &Notice| {
        let digest = notice.digest(&DEPLOYMENT);
        let (signature, id) = key.sign_prehash_recoverable(digest.as_slice()).unwrap();
        SignedNotice {
            notice: notice.to_bytes().into(),
            signature: [&signature.to_bytes()[..], &[27 + id.to_byte()]]
                .concat()
                .into(),
        }
    };
    let start = Head::start(Address::from_private_key(&key));
    let of = B256::repeat_byte;
    let first = Notice::after(
        &start,
        Subject::Hardware(of(1)),
        RevocationReason::Vulnerable,
        NOW,
        "measured",
    );
    let head = Head {
        sequence: 1,
        hash: first.hash(),
        ..start
    };
    let second = |subject, reason| Notice::after(&head, subject, reason, NOW, "");
    let one = second(Subject::Certificate(of(2)), RevocationReason::KeyCompromise);
    let other = second(Subject::Hardware(of(1)), RevocationReason::Reinstated);
    let [first, one, other] = [first, one, other].map(|notice| sign(&notice));
    vec![
        ("nothing", Feed(vec![]).to_bytes()),
        ("feed", Feed(vec![first.clone(), one.clone()]).to_bytes()),
        ("fork", Feed(vec![first, one, other]).to_bytes()),
    ]
}

const POLICY: &str = r#"pcrs = [0, 2, 4, 7]
accepted_digests = ["0x1111111111111111111111111111111111111111111111111111111111111111"]
slow_after = 2000

[[retiring]]
digest = "0x2222222222222222222222222222222222222222222222222222222222222222"
until_epoch = 900

[[values]]
pcr = 7
accepted = ["0x3333333333333333333333333333333333333333333333333333333333333333"]

[boot]
boot_loaders = ["0x4444444444444444444444444444444444444444444444444444444444444444"]
kernels = ["0x5555555555555555555555555555555555555555555555555555555555555555"]

[tpm]
classes = ["discrete", "firmware"]

[[tpm.minimum_firmware]]
manufacturer = "IFX"
version = "7.85"
"#;

pub fn policy() -> Seeds {
    let ak = SoftKey::attestation(9);
    let value = B256::repeat_byte(7);
    let attest = QuoteBody {
        pcrs: vec![7],
        pcr_digest: sha256(value.as_slice()).to_vec(),
        ..QuoteBody::default()
    }
    .to_bytes();
    let line = Line {
        signature: ak.sign(&attest).to_vec().into(),
        attest: attest.into(),
        ak_public: ak.public_area().into(),
        epoch: Some(Epoch(5)),
        values: Some(BTreeMap::from([(7, value)])),
        manufacturer: Some("id:49465800".into()),
        ..Line::default()
    };
    vec![
        ("full", POLICY.into()),
        ("short", b"pcrs = [0]\nslow_after = 2000\n".to_vec()),
        ("line", serde_json::to_vec(&line).unwrap()),
        ("empty-refused", b"pcrs = []\nslow_after = 2000\n".to_vec()),
        (
            "snp",
            format!(
                "pcrs = [0]\nslow_after = 2000\n[snp]\nmeasurements = [\"{}\"]\nallow_smt = true\n[snp.products.milan]\n\
                 minimum_tcb = {{ bootloader = 4, tee = 1, snp = 24, microcode = 219 }}\n",
                "33".repeat(48)
            )
            .into(),
        ),
    ]
}
