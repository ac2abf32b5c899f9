#![allow(clippy::unwrap_used)]

use super::*;
use crate::policy::Digest;
use crate::snp::fixture::{World, parse};
use crate::tpm::fixture::{QuoteBody, SoftKey, sha256};

fn line(pcr: u8) -> Line {
    let ak = SoftKey::attestation(9);
    let value = B256::repeat_byte(pcr);
    let attest = QuoteBody {
        pcrs: vec![7],
        pcr_digest: sha256(value.as_slice()).to_vec(),
        ..QuoteBody::default()
    }
    .to_bytes();
    Line {
        signature: ak.sign(&attest).to_vec().into(),
        attest: attest.into(),
        ak_public: ak.public_area().into(),
        epoch: Some(Epoch(5)),
        values: Some(BTreeMap::from([(7, value)])),
        ..Line::default()
    }
}

fn digest(pcr: u8) -> Digest {
    Digest(B256::new(sha256(B256::repeat_byte(pcr).as_slice())))
}

fn policy(accepted: &[u8]) -> Policy {
    Policy {
        pcrs: vec![7],
        accepted_digests: accepted.iter().map(|it| digest(*it)).collect(),
        ..Policy::default()
    }
}

fn file(lines: &[Line]) -> Vec<u8> {
    let lines: Vec<String> = lines
        .iter()
        .map(|it| serde_json::to_string(it).unwrap())
        .collect();
    lines.join("\n\n").into_bytes()
}

#[test]
fn every_change_is_told_apart() {
    let bytes = file(&[line(1), line(2), line(3), line(4)]);
    let evidence: Vec<OnFile> = read("file", &bytes, None)
        .into_iter()
        .map(Result::unwrap)
        .collect();
    assert_eq!(evidence[1].name, "file:3");
    let simulation = simulate(&policy(&[1, 2]), &policy(&[2, 3]), &evidence, None);
    let changes: Vec<Change> = simulation.rows.iter().map(|it| it.change).collect();
    assert_eq!(
        changes,
        [
            Change::NewlyDenied,
            Change::StillAccepted,
            Change::NewlyAccepted,
            Change::StillDenied
        ]
    );
    assert_eq!(simulation.rows[0].after[0].code, "POLICY_PCR_STATE");
    assert_eq!(simulation.count(Change::NewlyDenied), 1);
}

#[test]
fn the_end_of_a_planned_update_can_be_tried_out() {
    let evidence: Vec<OnFile> = read("file", &file(&[line(1)]), None)
        .into_iter()
        .map(Result::unwrap)
        .collect();
    let old = policy(&[1]);
    let new = Policy {
        retiring: vec![super::super::Retiring {
            digest: digest(1),
            until_epoch: Some(Epoch(9)),
            until: None,
        }],
        ..policy(&[2])
    };
    let change = |now| simulate(&old, &new, &evidence, now).rows[0].change;
    assert_eq!(change(None), Change::StillAccepted);
    assert_eq!(change(Some(Moment::epoch(Epoch(10)))), Change::NewlyDenied);
}

#[test]
fn evidence_that_nobody_signed_for_is_not_judged() {
    let code = |change: &dyn Fn(&mut Line)| {
        let mut bad = line(1);
        change(&mut bad);
        let mut read = read("file", &file(&[bad]), None);
        assert_eq!(read.len(), 1);
        read.remove(0).unwrap_err().why
    };
    assert!(
        code(&|it| it.signature = SoftKey::attestation(8).sign(&it.attest).to_vec().into())
            .contains("SIGNATURE_BAD")
    );
    assert!(
        code(&|it| it.ak_public = SoftKey::node(9).public_area().into()).contains("AK_ATTRIBUTES")
    );
    assert!(code(&|it| it.values = Some(BTreeMap::from([(7, B256::ZERO)]))).contains("PCR values"));
    assert!(code(&|it| it.values = Some(BTreeMap::new())).contains("PCR values"));
    let broken = read("file", b"{\"attest\": 1}\n", None);
    assert!(broken[0].is_err());
    assert!(read("file", &[0x8c], None)[0].is_err(), "a broken bundle");
    let long = [b"{".to_vec(), vec![b' '; MAX_LINE_BYTES + 1]].concat();
    assert!(
        read("file", &long, None)[0]
            .as_ref()
            .unwrap_err()
            .why
            .contains("at most")
    );
}

/// Facts that nobody authenticated are no evidence.
#[test]
fn a_policy_that_asks_for_a_confidential_guest_denies_lines_that_show_none() {
    let evidence: Vec<OnFile> = read("file", &file(&[line(1)]), None)
        .into_iter()
        .map(Result::unwrap)
        .collect();
    let milan = World::milan().policy().replace("EXTRA", "");
    let new = Policy {
        snp: Some(parse(&milan).unwrap()),
        ..policy(&[1])
    };
    let simulation = simulate(&policy(&[1]), &new, &evidence, None);
    assert_eq!(simulation.rows[0].change, Change::NewlyDenied);
    assert_eq!(simulation.rows[0].after[0].code, "POLICY_FACT_UNKNOWN");

    let text = serde_json::to_string(&line(1)).unwrap();
    let claimed = text.replacen('{', "{\"snp\": {\"measurement\": \"0x00\"},", 1);
    let read = read("file", claimed.as_bytes(), None);
    assert!(read[0].as_ref().unwrap_err().why.contains("snp"));
}
