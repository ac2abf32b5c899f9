#![allow(clippy::unwrap_used, clippy::cast_possible_truncation)]

use proptest::prelude::*;

use p384::elliptic_curve::sec1::ToEncodedPoint;

use super::*;
use crate::tpm::PublicKey;
use crate::tpm::fixture::{
    self, AK_ATTRIBUTES, CertificateBody, EK_ATTRIBUTES, NODE_KEY_ATTRIBUTES, NOW, SoftKey, without,
};
use crate::tpm::wire::{EccCurve, ObjectAttributes};

const ROOT: &str = "CN=Root";
const NONCE: [u8; 32] = [0x77; 32];

struct Bench {
    roots: RootStore,
    request: EnrolmentRequest,
    ak: SoftKey,
    node: SoftKey,
}

fn bench() -> Bench {
    let root_key = SoftKey::node(100);
    let root = CertificateBody::ca(ROOT, &root_key, None).issue_certificate(ROOT, &root_key);
    let ek = Public::parse(&fixture::ek_public_area()).unwrap();
    let (ak, node) = (SoftKey::attestation(1), SoftKey::node(2));
    Bench {
        roots: RootStore::new([root]),
        request: EnrolmentRequest {
            chain_id: 31_337,
            registry: [0xaa; 20],
            address: [0xbb; 20],
            ek_certificate: CertificateBody::ek(ek.key).issue(ROOT, &root_key),
            intermediates: vec![],
            ek_public: fixture::ek_public_area(),
            ak_public: ak.public_area(),
            node_key_public: node.public_area(),
            expiry: NOW + 600,
            guest: None,
        },
        ak,
        node,
    }
}

impl Bench {
    fn judge(&self) -> Result<EnrolmentFacts, Reject> {
        judge_request(&self.request, &self.roots, NOW)
    }

    fn qualifying(&self) -> [u8; 32] {
        let request = &self.request;
        qualifying_data(
            request.chain_id,
            &request.registry,
            &request.address,
            &NONCE,
        )
    }

    /// What the TPM would sign about `key`, and the signature.
    fn certify(&self, facts: &EnrolmentFacts, key: &Public) -> (Vec<u8>, [u8; 64]) {
        let parent = facts.ek_qualified_name();
        let attest = fixture::certify_body(
            &facts.ak.qualified_name(&parent),
            &self.qualifying(),
            &key.name(),
            &key.qualified_name(&parent),
        );
        let signature = self.ak.sign(&attest);
        (attest, signature)
    }
}

#[test]
fn an_honest_request_gives_the_hashes_that_go_on_chain() {
    let bench = bench();
    let facts = bench.judge().unwrap();
    assert_eq!(
        facts.hardware_id,
        keccak256(facts.ek.key.to_spki_der().unwrap())
    );
    assert_eq!(facts.ak_hash, keccak256(bench.ak.public_area()));
    assert_eq!(facts.node_key_hash, keccak256(bench.node.xy()));
    assert_eq!(facts.node_key_xy, bench.node.xy());
    assert_eq!(facts.certificate.manufacturer, "id:50524F42");
}

#[test]
fn a_certified_node_key_is_accepted_for_this_oracles_nonce_only() {
    let bench = bench();
    let facts = bench.judge().unwrap();
    let (attest, signature) = bench.certify(&facts, &facts.node_key);
    let judge = |qualifying: &[u8; 32]| judge_certify(&facts, qualifying, &attest, &signature);
    assert!(judge(&bench.qualifying()).is_ok());
    let request = &bench.request;
    for other in [
        qualifying_data(1, &request.registry, &request.address, &NONCE),
        qualifying_data(request.chain_id, &[0xac; 20], &request.address, &NONCE),
        qualifying_data(request.chain_id, &request.registry, &[0xbc; 20], &NONCE),
        qualifying_data(
            request.chain_id,
            &request.registry,
            &request.address,
            &[0x78; 32],
        ),
    ] {
        assert_eq!(judge(&other), Err(Reject::ExtraData));
    }
}

#[test]
fn the_certification_of_another_key_is_refused() {
    let bench = bench();
    let facts = bench.judge().unwrap();
    let other = Public::parse(&SoftKey::node(3).public_area()).unwrap();
    let (attest, signature) = bench.certify(&facts, &other);
    assert_eq!(
        judge_certify(&facts, &bench.qualifying(), &attest, &signature),
        Err(Reject::CertifiedName)
    );
}

#[test]
fn a_certification_by_a_key_under_another_parent_is_refused() {
    let bench = bench();
    let facts = bench.judge().unwrap();
    let elsewhere = Name::endorsement_hierarchy();
    let attest = fixture::certify_body(
        &facts.ak.qualified_name(&elsewhere),
        &bench.qualifying(),
        &facts.node_key.name(),
        &facts.node_key.qualified_name(&facts.ek_qualified_name()),
    );
    assert_eq!(
        judge_certify(
            &facts,
            &bench.qualifying(),
            &attest,
            &bench.ak.sign(&attest)
        ),
        Err(Reject::QualifiedSigner)
    );
}

#[test]
fn a_node_key_in_another_hierarchy_is_refused_although_its_name_is_right() {
    let bench = bench();
    let facts = bench.judge().unwrap();
    let attest = fixture::certify_body(
        &facts.ak.qualified_name(&facts.ek_qualified_name()),
        &bench.qualifying(),
        &facts.node_key.name(),
        &facts
            .node_key
            .qualified_name(&Name::endorsement_hierarchy()),
    );
    assert_eq!(
        judge_certify(
            &facts,
            &bench.qualifying(),
            &attest,
            &bench.ak.sign(&attest)
        ),
        Err(Reject::CertifiedName)
    );
}

#[test]
fn every_changed_byte_of_a_certification_is_refused() {
    let bench = bench();
    let facts = bench.judge().unwrap();
    let (attest, signature) = bench.certify(&facts, &facts.node_key);
    for i in 0..attest.len() {
        let mut changed = attest.clone();
        changed[i] ^= 1;
        assert_eq!(
            judge_certify(&facts, &bench.qualifying(), &changed, &signature),
            Err(Reject::BadSignature)
        );
    }
    for i in 0..64 {
        let mut changed = signature;
        changed[i] ^= 1;
        assert!(judge_certify(&facts, &bench.qualifying(), &attest, &changed).is_err());
    }
}

#[test]
fn an_expired_request_is_refused() {
    let mut bench = bench();
    bench.request.expiry = NOW;
    assert_eq!(
        bench.judge(),
        Err(Reject::EnrolmentExpired {
            expiry: NOW,
            now: NOW
        })
    );
}

#[test]
fn an_endorsement_key_other_than_the_certified_one_is_refused() {
    let mut bench = bench();
    let n = bench.request.ek_public.len();
    bench.request.ek_public[n - 10] ^= 1;
    assert_eq!(bench.judge(), Err(Reject::EkKeyMismatch));
}

#[test]
fn an_endorsement_key_that_is_not_the_default_template_is_refused() {
    let with_attributes = |attributes: u32| {
        let mut bench = bench();
        bench.request.ek_public[4..8].copy_from_slice(&attributes.to_be_bytes());
        bench.judge()
    };
    for attribute in [
        ObjectAttributes::FIXED_TPM,
        ObjectAttributes::RESTRICTED,
        ObjectAttributes::DECRYPT,
        ObjectAttributes::ADMIN_WITH_POLICY,
    ] {
        assert_eq!(
            with_attributes(without(EK_ATTRIBUTES, attribute)),
            Err(Reject::EkTemplate("attributes differ"))
        );
    }
    assert_eq!(
        with_attributes(EK_ATTRIBUTES | ObjectAttributes::SIGN.bits()),
        Err(Reject::EkTemplate("attributes differ"))
    );

    let mut other_policy = bench();
    other_policy.request.ek_public[12] ^= 1;
    assert_eq!(
        other_policy.judge(),
        Err(Reject::EkTemplate("authorisation policy differs"))
    );
}

/// A machine with another endorsement key.
fn bench_with(key: &PublicKey, area: Vec<u8>) -> Bench {
    let mut bench = bench();
    let agreement =
        x509_cert::ext::pkix::KeyUsage(x509_cert::ext::pkix::KeyUsages::KeyAgreement.into());
    bench.request.ek_certificate = CertificateBody::ek(key.clone())
        .with(fixture::extension(true, &agreement))
        .issue(ROOT, &SoftKey::node(100));
    bench.request.ek_public = area;
    bench
}

fn p384_key() -> PublicKey {
    let secret = p384::SecretKey::from_slice(&[9; 48]).unwrap();
    let point = secret.public_key().to_encoded_point(false);
    let (x, y) = (point.x().unwrap(), point.y().unwrap());
    PublicKey::ecc("test", EccCurve::P384, x, y).unwrap()
}

#[test]
fn elliptic_endorsement_keys_of_the_templates_are_judged_to_their_end() {
    for (key, algorithm) in [
        (SoftKey::node(9).public_key(), EndorsementKey::EccP256),
        (p384_key(), EndorsementKey::EccP384),
    ] {
        let area = fixture::ecc_ek_public_area(&key);
        let bench = bench_with(&key, area.clone());
        let facts = bench.judge().unwrap();
        assert_eq!(facts.endorsement_key, algorithm);
        assert_eq!(
            facts.hardware_id,
            keccak256(facts.ek.key.to_spki_der().unwrap())
        );
        let (attest, signature) = bench.certify(&facts, &facts.node_key);
        let judged = judge_certify(&facts, &bench.qualifying(), &attest, &signature);
        assert!(judged.is_ok(), "{judged:?}");
        // Every byte before the point is the template's; of another template's, each is refused.
        let template = area.len() - 2 * (key_width(&key) + 2);
        for at in 0..template {
            for bit in 0..8 {
                let mut other = area.clone();
                other[at] ^= 1 << bit;
                let judged = bench_with(&key, other).judge();
                assert!(judged.is_err(), "byte {at} bit {bit}");
            }
        }
    }
}

fn key_width(key: &PublicKey) -> usize {
    match key {
        PublicKey::Ecc { curve, .. } => curve.coordinate_len(),
        PublicKey::Rsa(_) => unreachable!("elliptic keys only"),
    }
}

#[test]
fn an_endorsement_key_of_no_template_is_refused() {
    // A signing key, and a curve without a template here.
    let signing = SoftKey::node(9);
    let bench = bench_with(&signing.public_key(), signing.public_area());
    assert_eq!(bench.judge(), Err(Reject::EkTemplate("attributes differ")));
    let secret = p521::SecretKey::from_slice(&[1; 66]).unwrap();
    let point = secret.public_key().to_encoded_point(false);
    let (x, y) = (point.x().unwrap(), point.y().unwrap());
    let key = PublicKey::ecc("test", EccCurve::P521, x, y).unwrap();
    let bench = bench_with(&key, fixture::ecc_ek_public_area(&key));
    assert_eq!(
        bench.judge(),
        Err(Reject::EkTemplate("not RSA-2048, ECC P-256 or ECC P-384"))
    );
}

#[test]
fn the_result_on_chain_is_that_of_the_token_whoever_issues_it_and_when() {
    let bench = bench();
    let facts = bench.judge().unwrap();
    let expiry = bench.request.expiry;
    for issued in [NOW, NOW + 100] {
        let ear = facts.ear(issued, expiry);
        assert_eq!(ear.appraisals_hash(), Ok(facts.result_hash));
        // Bare roots certify virtual TPMs.
        assert_eq!(ear.status(), crate::ear::Tier::Warning);
        assert_eq!(ear.expires, Some(expiry));
    }
    let discrete = facts
        .clone()
        .with_class(&bench.request, TpmClass::Discrete)
        .unwrap();
    assert_ne!(discrete.result_hash, facts.result_hash);
    let ear = discrete.ear(NOW, expiry);
    assert_eq!(ear.status(), crate::ear::Tier::Affirming);
    assert_eq!(ear.appraisals_hash(), Ok(discrete.result_hash));
    let back = discrete
        .with_class(&bench.request, TpmClass::Virtual)
        .unwrap();
    assert_eq!(back, facts);
}

#[test]
fn unfit_attestation_and_node_keys_are_refused() {
    let mut swapped = bench();
    std::mem::swap(
        &mut swapped.request.ak_public,
        &mut swapped.request.node_key_public,
    );
    assert_eq!(
        swapped.judge(),
        Err(Reject::AttestationKeyAttributes("not restricted"))
    );

    let mut imported = bench();
    let attributes = without(NODE_KEY_ATTRIBUTES, ObjectAttributes::SENSITIVE_DATA_ORIGIN);
    imported.request.node_key_public = SoftKey::new(2, attributes).public_area();
    assert_eq!(
        imported.judge(),
        Err(Reject::NodeKeyAttributes(
            "may leave its TPM or was not made there"
        ))
    );

    let mut movable = bench();
    let attributes = without(AK_ATTRIBUTES, ObjectAttributes::FIXED_TPM);
    movable.request.ak_public = SoftKey::new(1, attributes).public_area();
    assert_eq!(
        movable.judge(),
        Err(Reject::AttestationKeyAttributes(
            "may leave its TPM or was not made there"
        ))
    );
}

#[test]
fn one_key_in_both_roles_is_refused() {
    let mut bench = bench();
    bench.request.node_key_public = SoftKey::node(1).public_area();
    assert_eq!(bench.judge(), Err(Reject::KeysNotDistinct));
}

#[test]
fn the_result_hash_depends_on_the_facts_and_on_nothing_an_oracle_chooses() {
    let first = bench();
    let facts = first.judge().unwrap();
    let mut later = bench();
    later.request.expiry += 1;
    later.request.address = [0xcc; 20];
    assert_eq!(later.judge().unwrap().result_hash, facts.result_hash);

    let mut other = bench();
    other.request.node_key_public = SoftKey::node(3).public_area();
    assert_ne!(other.judge().unwrap().result_hash, facts.result_hash);
}

#[test]
fn qualifying_data_is_the_hash_of_its_parts_in_order() {
    let mut message = b"probity-enrol".to_vec();
    message.extend(31_337u64.to_be_bytes());
    message.extend([0xaa; 20]);
    message.extend([0xbb; 20]);
    message.extend(NONCE);
    assert_eq!(bench().qualifying(), fixture::sha256(&message));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn no_damage_to_a_request_panics_or_changes_the_identity_unnoticed(
        which in 0usize..4,
        position: prop::sample::Index,
        mask in 1u8..,
    ) {
        let honest = bench();
        let mut bench = bench();
        let request = &mut bench.request;
        let bytes = match which {
            0 => &mut request.ek_certificate,
            1 => &mut request.ek_public,
            2 => &mut request.ak_public,
            _ => &mut request.node_key_public,
        };
        let position = position.index(bytes.len());
        bytes[position] ^= mask;
        if let Ok(facts) = bench.judge() {
            prop_assert_ne!(which, 0, "a changed certificate passed at byte {}", position);
            let names = |facts: &EnrolmentFacts| (facts.ek.name(), facts.ak.name(), facts.node_key.name());
            prop_assert_ne!(names(&facts), names(&honest.judge().unwrap()));
        }
    }
}

mod guest;
