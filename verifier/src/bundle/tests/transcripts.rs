//! Transcripts of answers, beside a bundle of the same node and epoch.

use super::*;
use crate::ids::Epoch;
use crate::session::{
    Certification, ChainReject, Served, SessionCertificate, SessionKey, SessionStatement,
    Transcript, VouchedAnswer, judge_transcript,
};
use crate::tpm::TpmClass;

const BINDING: [u8; 32] = [0xb1; 32];
const NONCE: [u8; 32] = [0x77; 32];
const ANCHOR: B256 = B256::repeat_byte(0x5a);

/// An answer that the case's node gave in `epoch`.
fn transcript(case: &Case, epoch: Epoch) -> Transcript {
    let (ak, node_key) = (SoftKey::attestation(9), SoftKey::node(10));
    let session = SessionKey::generate();
    let deployment = &case.world.deployment;
    let node = case.bundle.verdict.node;
    let statement = SessionStatement {
        tag: crate::session::SESSION_TAG.into(),
        chain_id: deployment.chain_id,
        hub: deployment.hub,
        node,
        epoch,
        anchor: ANCHOR,
        session_key: session.xy().to_vec().into(),
    }
    .to_bytes();
    let signature = node_key.sign(&statement);
    let certificate = SessionCertificate::new(statement, &node_key.xy(), &signature).to_bytes();
    let served = Served::new(B256::ZERO, 0, 1, b"bytes", B256::ZERO);
    let signature = session.sign(&certificate, &BINDING, &served).unwrap();
    let trust = Trust::from_file(case.trust.clone()).unwrap();
    let facts = case.bundle.enrolled(&trust).unwrap().facts;
    let parent = facts.ek_qualified_name();
    let registry = deployment.registry.into_array();
    let attest = fixture::certify_body(
        &facts.ak.qualified_name(&parent),
        &tpm::qualifying_data(
            deployment.chain_id,
            &registry,
            &ACCOUNT.into_array(),
            &NONCE,
        ),
        &facts.node_key.name(),
        &facts.node_key.qualified_name(&parent),
    );
    let certification = Certification {
        nonce: B256::new(NONCE),
        signature: ak.sign(&attest).to_vec().into(),
        attest: attest.into(),
    };
    let answer = VouchedAnswer {
        served,
        binding: B256::new(BINDING),
        certificate: certificate.into(),
        signature: signature.to_vec().into(),
    };
    Transcript::new(node, answer, certification)
}

/// Nothing else of a bundle says that an honest signature is a condemned machine's.
pub(super) fn an_answer_counts_with_a_bundle_of_its_epoch_whose_attestation_holds(case: &Case) {
    let trust = Trust::from_file(case.trust.clone()).unwrap();
    let honest = transcript(case, EPOCH);
    let judge = |transcript: &Transcript, bundle: &Bundle, anchor| {
        judge_transcript(transcript, bundle, &trust, anchor).map_err(|reject| reject.code())
    };
    for anchor in [None, Some(ANCHOR)] {
        let (session, maker) = judge(&honest, &case.bundle, anchor).unwrap();
        assert_eq!((session.epoch, maker.class), (EPOCH, TpmClass::Virtual));
    }
    // A certificate that was made before its epoch began cannot name its first block.
    let early = judge(&honest, &case.bundle, Some(B256::ZERO));
    assert_eq!(early.unwrap_err(), "SESSION_ANCHOR");
    let late = judge(&transcript(case, EPOCH.next()), &case.bundle, None);
    assert_eq!(late.unwrap_err(), "SESSION_EPOCH");
    for reason in Reason::ALL {
        let mut bundle = case.bundle.clone();
        bundle.verdict.reason = *reason;
        let judged = judge_transcript(&honest, &bundle, &trust, None);
        match reason {
            Reason::AttestationFailed | Reason::AttestationForged => {
                let refused = judged.unwrap_err();
                assert_eq!(refused, ChainReject::Condemned(*reason));
                assert_eq!(refused.code(), reason.name());
            }
            _ => assert!(judged.is_ok(), "{reason}"),
        }
    }
}
