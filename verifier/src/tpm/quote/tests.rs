#![allow(clippy::unwrap_used, clippy::cast_possible_truncation)]

use proptest::prelude::*;

use super::*;
use crate::tpm::fixture::{
    self, AK_ATTRIBUTES, NODE_KEY_ATTRIBUTES, QuoteBody, SoftKey, sha256, without,
};

const EXTRA: [u8; 32] = [0x11; 32];

fn any_state() -> PcrPolicy {
    PcrPolicy {
        bank: HashAlgorithm::Sha256,
        pcrs: vec![0, 1, 2, 3],
        accepted_digests: vec![],
    }
}

fn zero_values() -> BTreeMap<u8, [u8; 32]> {
    (0..4).map(|i| (i, [0; 32])).collect()
}

fn public(key: &SoftKey) -> Public {
    Public::parse(&key.public_area()).unwrap()
}

fn judge(key: &SoftKey, body: &QuoteBody) -> Result<QuoteFacts, Reject> {
    let attest = body.to_bytes();
    let signature = key.sign(&attest);
    verify_quote_over_policy(&public(key), &attest, &signature, &EXTRA, &any_state())
}

#[test]
fn an_honest_quote_is_accepted_with_its_clock() {
    let body = QuoteBody::default();
    let facts = judge(&SoftKey::attestation(1), &body).unwrap();
    assert_eq!(facts.clock, body.clock);
    assert_eq!(facts.pcr_digest.to_vec(), body.pcr_digest);
}

#[test]
fn a_quote_forged_with_an_unrestricted_key_is_refused_although_its_signature_holds() {
    let node = SoftKey::node(2);
    let attest = QuoteBody::default().to_bytes();
    assert_eq!(
        verify_p256(&node.xy(), &attest, &node.sign(&attest)),
        Ok(())
    );
    assert_eq!(
        judge(&node, &QuoteBody::default()),
        Err(Reject::AttestationKeyAttributes("not restricted"))
    );
}

#[test]
fn a_quote_for_another_statement_is_refused() {
    for extra_data in [vec![0x12; 32], vec![0x11; 31], vec![]] {
        let body = QuoteBody {
            extra_data,
            ..QuoteBody::default()
        };
        assert_eq!(
            judge(&SoftKey::attestation(1), &body),
            Err(Reject::ExtraData)
        );
    }
}

#[test]
fn a_quote_over_fewer_other_or_another_banks_pcrs_is_refused() {
    let key = SoftKey::attestation(1);
    for pcrs in [vec![0, 1, 2], vec![0, 1, 2, 5, 6], vec![]] {
        let body = QuoteBody {
            pcrs,
            ..QuoteBody::default()
        };
        assert_eq!(judge(&key, &body), Err(Reject::PcrSelection));
    }
    let body = QuoteBody {
        bank: 0x0004,
        ..QuoteBody::default()
    };
    assert_eq!(judge(&key, &body), Err(Reject::PcrSelection));
}

#[test]
fn only_accepted_digests_pass_a_policy_that_lists_any() {
    let key = SoftKey::attestation(1);
    let attest = QuoteBody::default().to_bytes();
    let signature = key.sign(&attest);
    let judge = |accepted_digests| {
        let policy = PcrPolicy {
            accepted_digests,
            ..any_state()
        };
        verify_quote_over_policy(&public(&key), &attest, &signature, &EXTRA, &policy)
    };
    assert!(judge(vec![[1; 32], sha256(&[0; 128])]).is_ok());
    assert_eq!(judge(vec![[1; 32]]), Err(Reject::PcrDigest));
}

#[test]
fn a_quote_over_more_pcrs_passes_where_values_or_any_state_make_the_digest_of_the_rest_irrelevant()
{
    let key = SoftKey::attestation(1);
    let mut values = zero_values();
    values.insert(9, [7; 32]);
    let attest = QuoteBody {
        pcrs: values.keys().copied().collect(),
        pcr_digest: digest_of(values.values()).to_vec(),
        ..QuoteBody::default()
    };
    let attest = attest.to_bytes();
    let signature = key.sign(&attest);
    let policy = |accepted_digests| PcrPolicy {
        accepted_digests,
        ..any_state()
    };
    let own = digest_of(zero_values().values());
    let blind = |accepted| {
        let policy = policy(accepted);
        verify_quote_over_policy(&public(&key), &attest, &signature, &EXTRA, &policy)
    };
    assert_eq!(blind(vec![]).unwrap().pcrs, [0, 1, 2, 3, 9]);
    let whole = digest_of(values.values());
    for accepted in [own, whole] {
        assert_eq!(blind(vec![accepted]), Err(Reject::PcrSelection));
    }
    let shown = |accepted, values: &BTreeMap<u8, [u8; 32]>| {
        let policy = policy(accepted);
        verify_quote(&public(&key), &attest, &signature, &EXTRA, &policy, values)
    };
    assert!(shown(vec![own], &values).is_ok());
    // A digest over all of them is not the policy's.
    assert_eq!(shown(vec![whole], &values), Err(Reject::PcrDigest));
    assert_eq!(shown(vec![own], &zero_values()), Err(Reject::PcrSelection));
    values.insert(9, [8; 32]);
    assert_eq!(shown(vec![own], &values), Err(Reject::PcrDigest));
}

#[test]
fn supplied_pcr_values_must_be_exactly_the_quoted_ones() {
    let key = SoftKey::attestation(1);
    let attest = QuoteBody::default().to_bytes();
    let signature = key.sign(&attest);
    let judge = |values: &BTreeMap<u8, [u8; 32]>| {
        verify_quote(
            &public(&key),
            &attest,
            &signature,
            &EXTRA,
            &any_state(),
            values,
        )
    };
    assert!(judge(&zero_values()).is_ok());

    let mut changed = zero_values();
    changed.insert(2, [1; 32]);
    assert_eq!(judge(&changed), Err(Reject::PcrDigest));

    let mut missing = zero_values();
    missing.remove(&3);
    assert_eq!(judge(&missing), Err(Reject::PcrSelection));

    let mut surplus = zero_values();
    surplus.insert(7, [0; 32]);
    assert_eq!(judge(&surplus), Err(Reject::PcrSelection));
}

#[test]
fn a_certification_is_no_quote_and_a_quote_no_certification() {
    let (ak, node) = (SoftKey::attestation(1), SoftKey::node(2));
    let ek = Public::parse(&fixture::ek_public_area())
        .unwrap()
        .qualified_name(&Name::endorsement_hierarchy());
    let name = public(&node).name();
    let certify = fixture::certify_body(&ek, &EXTRA, &name, &name);
    assert_eq!(
        verify_quote_over_policy(
            &public(&ak),
            &certify,
            &ak.sign(&certify),
            &EXTRA,
            &any_state()
        ),
        Err(Reject::WrongAttestationType("quote"))
    );
    let quote = QuoteBody::default().to_bytes();
    assert_eq!(
        verify_certify(
            &public(&ak),
            &quote,
            &ak.sign(&quote),
            &public(&node),
            &EXTRA,
            &ek
        ),
        Err(Reject::WrongAttestationType("certification"))
    );
}

#[test]
fn the_origin_of_a_quote_is_told_apart_from_what_it_says() {
    let key = SoftKey::attestation(1);
    let attest = QuoteBody {
        extra_data: vec![0x12; 32],
        ..QuoteBody::default()
    }
    .to_bytes();
    let signature = key.sign(&attest);
    assert_eq!(check_origin(&public(&key), &attest, &signature), Ok(()));
    assert_eq!(
        check_origin(&public(&SoftKey::attestation(2)), &attest, &signature),
        Err(Reject::BadSignature)
    );
    let node = SoftKey::node(1);
    assert_eq!(
        check_origin(&public(&node), &attest, &signature),
        Err(Reject::AttestationKeyAttributes("not restricted"))
    );
}

#[test]
fn a_high_s_signature_over_an_honest_quote_is_refused() {
    let key = SoftKey::attestation(1);
    let attest = QuoteBody::default().to_bytes();
    let signature = fixture::other_s(&key.sign(&attest));
    assert_eq!(
        verify_quote_over_policy(&public(&key), &attest, &signature, &EXTRA, &any_state()),
        Err(Reject::HighS)
    );
}

#[test]
fn every_changed_byte_of_quote_and_signature_is_refused() {
    let key = SoftKey::attestation(1);
    let attest = QuoteBody::default().to_bytes();
    let signature = key.sign(&attest);
    let judge = |attest: &[u8], signature: &[u8]| {
        verify_quote_over_policy(&public(&key), attest, signature, &EXTRA, &any_state())
    };
    assert!(judge(&attest, &signature).is_ok());
    for i in 0..attest.len() {
        for mask in [0x01, 0x80, 0xff] {
            let mut changed = attest.clone();
            changed[i] ^= mask;
            assert_eq!(
                judge(&changed, &signature),
                Err(Reject::BadSignature),
                "byte {i}"
            );
        }
    }
    for i in 0..signature.len() {
        for mask in [0x01, 0x80, 0xff] {
            let mut changed = signature;
            changed[i] ^= mask;
            assert!(judge(&attest, &changed).is_err(), "signature byte {i}");
        }
    }
}

#[test]
fn an_attestation_key_needs_every_one_of_its_attributes() {
    for attribute in [
        ObjectAttributes::FIXED_TPM,
        ObjectAttributes::FIXED_PARENT,
        ObjectAttributes::SENSITIVE_DATA_ORIGIN,
        ObjectAttributes::RESTRICTED,
        ObjectAttributes::SIGN,
    ] {
        let key = SoftKey::new(1, without(AK_ATTRIBUTES, attribute));
        assert!(
            matches!(
                check_attestation_key(&public(&key)),
                Err(Reject::AttestationKeyAttributes(_))
            ),
            "{attribute:?}"
        );
    }
    let key = SoftKey::new(1, AK_ATTRIBUTES | ObjectAttributes::DECRYPT.bits());
    assert!(check_attestation_key(&public(&key)).is_err());
    assert_eq!(
        check_attestation_key(&public(&SoftKey::attestation(1))),
        Ok(SoftKey::attestation(1).xy())
    );
}

#[test]
fn a_node_key_needs_every_one_of_its_attributes_and_must_not_be_restricted() {
    for attribute in [
        ObjectAttributes::FIXED_TPM,
        ObjectAttributes::FIXED_PARENT,
        ObjectAttributes::SENSITIVE_DATA_ORIGIN,
        ObjectAttributes::SIGN,
    ] {
        let key = SoftKey::new(1, without(NODE_KEY_ATTRIBUTES, attribute));
        assert!(
            matches!(
                check_node_key(&public(&key)),
                Err(Reject::NodeKeyAttributes(_))
            ),
            "{attribute:?}"
        );
    }
    assert_eq!(
        check_node_key(&public(&SoftKey::attestation(1))),
        Err(Reject::NodeKeyAttributes("restricted"))
    );
}

#[test]
fn a_key_bound_to_another_scheme_or_to_none_is_refused() {
    let area = SoftKey::attestation(1).public_area();
    // The scheme field follows type, nameAlg, attributes, empty policy and null cipher.
    let mut sha384 = area.clone();
    sha384[15] = 0x0c;
    let mut unbound = area[..12].to_vec();
    unbound.extend([0x00, 0x10]);
    unbound.extend(&area[16..]);
    for bytes in [sha384, unbound] {
        assert_eq!(
            check_attestation_key(&Public::parse(&bytes).unwrap()),
            Err(Reject::AttestationKeyAttributes(
                "not bound to ECDSA with SHA-256"
            ))
        );
    }
}

proptest! {
    #[test]
    fn whatever_the_quote_says_only_its_own_signature_passes(
        clock_ms: u64,
        reset_count: u32,
        restart_count: u32,
        safe: bool,
        digest: [u8; 32],
        other in 2u8..200,
    ) {
        let clock = ClockInfo { clock_ms, reset_count, restart_count, safe };
        let body = QuoteBody { clock, pcr_digest: digest.to_vec(), ..QuoteBody::default() };
        let key = SoftKey::attestation(1);
        let facts = judge(&key, &body).unwrap();
        prop_assert_eq!(facts.clock, clock);
        prop_assert_eq!(facts.pcr_digest, digest);
        let attest = body.to_bytes();
        let signature = SoftKey::attestation(other).sign(&attest);
        prop_assert_eq!(
            verify_quote_over_policy(&public(&key), &attest, &signature, &EXTRA, &any_state()),
            Err(Reject::BadSignature)
        );
    }
}
