//! What a TPM signs each epoch, and what its owner could sign in its place.

use super::*;

#[test]
fn every_signature_leaves_the_node_in_its_low_s_form() {
    let lab = Lab::new();
    let machine = lab.manufacture("a");
    let mut tpm = lab.open("a", &machine);
    let facts = lab.judge(&tpm.identity().unwrap()).unwrap();
    // A TPM returns high s half of the time: 2^-40 that none of these was one.
    for i in 0..40u8 {
        let signature = tpm.sign(sha256(&[i])).unwrap();
        assert_eq!(verify_p256(&facts.node_key_xy, &[i], &signature), Ok(()));
    }
}

#[test]
fn every_changed_byte_of_a_real_quote_and_certification_is_refused() {
    let lab = Lab::new();
    let machine = lab.manufacture("a");
    let mut tpm = lab.open("a", &machine);
    let facts = lab.judge(&tpm.identity().unwrap()).unwrap();
    let quoted = tpm.quote(STATEMENT, &PCRS).unwrap();
    let qualifying = qualifying_data(CHAIN_ID, &REGISTRY, &ADDRESS, &[1; 32]);
    let certified = tpm.certify_node_key(qualifying).unwrap();
    let judge_certified =
        |it: &Attestation| judge_certify(&facts, &qualifying, &it.attest, &it.signature);
    assert!(judge_quote(&facts.ak, &quoted).is_ok());
    assert!(judge_certified(&certified).is_ok());
    for bit in 0..8 {
        for (i, _) in quoted.attest.iter().enumerate() {
            let mut changed = quoted.clone();
            changed.attest[i] ^= 1 << bit;
            assert_eq!(judge_quote(&facts.ak, &changed), Err(Reject::BadSignature));
        }
        for (i, _) in certified.attest.iter().enumerate() {
            let mut changed = certified.clone();
            changed.attest[i] ^= 1 << bit;
            assert_eq!(judge_certified(&changed), Err(Reject::BadSignature));
        }
        for i in 0..64 {
            let mut changed = quoted.clone();
            changed.signature[i] ^= 1 << bit;
            assert!(judge_quote(&facts.ak, &changed).is_err());
        }
    }
}

#[test]
fn an_event_log_is_sent_only_if_it_explains_what_a_real_tpm_quotes() {
    let lab = Lab::new();
    let machine = lab.manufacture("a");
    let quoted = lab.open("a", &machine).quote(STATEMENT, &PCRS).unwrap();
    // No firmware has run on this machine: a log with its header alone is the whole of it.
    let mut header = b"Spec ID Event03\0".to_vec();
    header.extend([0, 0, 0, 0, 0, 2, 0, 2]);
    header.extend(1u32.to_le_bytes());
    header.extend([0x0b, 0, 32, 0, 0]);
    let mut log = Vec::new();
    log.extend(0u32.to_le_bytes());
    log.extend(3u32.to_le_bytes());
    log.extend([0; 20]);
    log.extend((header.len() as u32).to_le_bytes());
    log.extend(header);
    assert_eq!(event_log::check(&log, &quoted.attest), Ok(()));
    // A separator in PCR 4 that nobody extended.
    let mut other = log.clone();
    other.extend(4u32.to_le_bytes());
    other.extend(4u32.to_le_bytes());
    other.extend(1u32.to_le_bytes());
    other.extend([0x0b, 0]);
    other.extend(Sha256::digest([0; 4]));
    other.extend(4u32.to_le_bytes());
    other.extend([0; 4]);
    let why = event_log::check(&other, &quoted.attest).unwrap_err();
    assert!(why.starts_with("EVENTLOG_QUOTE_MISMATCH"), "{why}");
}

#[test]
fn a_quote_for_another_statement_or_over_other_pcrs_is_refused() {
    let lab = Lab::new();
    let machine = lab.manufacture("a");
    let mut tpm = lab.open("a", &machine);
    let facts = lab.judge(&tpm.identity().unwrap()).unwrap();
    let other = tpm.quote([0x43; 32], &PCRS).unwrap();
    assert_eq!(judge_quote(&facts.ak, &other), Err(Reject::ExtraData));
    let fewer = tpm.quote(STATEMENT, &PCRS[..7]).unwrap();
    assert_eq!(judge_quote(&facts.ak, &fewer), Err(Reject::PcrSelection));
    assert!(tpm.quote(STATEMENT, &[200]).is_err());
}

#[test]
fn a_quote_forged_with_the_node_key_is_refused() {
    let lab = Lab::new();
    let machine = lab.manufacture("a");
    let mut tpm = lab.open("a", &machine);
    let facts = lab.judge(&tpm.identity().unwrap()).unwrap();
    let honest = tpm.quote(STATEMENT, &PCRS).unwrap();
    let mut attest = honest.attest.clone();
    let n = attest.len();
    attest[n - 32..].copy_from_slice(&[0xff; 32]);
    let forged = Attestation {
        signature: tpm.sign(sha256(&attest)).unwrap(),
        attest,
    };
    // The signature holds under the node key, which signs anything …
    assert_eq!(
        verify_p256(&facts.node_key_xy, &forged.attest, &forged.signature),
        Ok(())
    );
    // … and is worth nothing, whichever key it is said to be from.
    assert_eq!(judge_quote(&facts.ak, &forged), Err(Reject::BadSignature));
    assert_eq!(
        judge_quote(&facts.node_key, &forged),
        Err(Reject::AttestationKeyAttributes("not restricted"))
    );
    assert!(quote::check_origin(&facts.ak, &forged.attest, &forged.signature).is_err());
}
