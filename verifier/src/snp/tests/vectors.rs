//! A real Milan report with AMD's certificates, where the folder of public vectors is at hand.

use std::path::PathBuf;

use super::super::fixture::parse;
use super::*;
use crate::tpm::Certificate;

/// 2025-06-01, while all certificates of the vectors are valid.
const VECTOR_NOW: u64 = 1_748_736_000;

/// A file of the vectors folder, or `None` with the reason printed.
fn vector(path: &str) -> Option<Vec<u8>> {
    let folder = std::env::var_os("PROBITY_VECTORS").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared/vectors"),
        PathBuf::from,
    );
    match std::fs::read(folder.join(path)) {
        Ok(bytes) => Some(bytes),
        Err(error) => {
            println!("skipped: vector {path} is not at hand ({error}); set PROBITY_VECTORS");
            None
        }
    }
}

struct Milan {
    report: Vec<u8>,
    chain: Vec<Vec<u8>>,
    vcek: Vec<u8>,
}

impl Milan {
    fn read() -> Option<Self> {
        let report = hex::decode(vector("snp/report_milan.hex")?.trim_ascii()).unwrap();
        let pem = String::from_utf8(vector("snp/cert_chain_milan")?).unwrap();
        let chain = Certificate::from_pem_chain(&pem).unwrap();
        Some(Self {
            report,
            chain: chain.iter().map(|c| c.as_der().to_vec()).collect(),
            vcek: vector("snp/vcek_milan.der")?,
        })
    }

    fn authenticate(&self, now: u64) -> Result<Facts, Reject> {
        let evidence = Evidence {
            report: &self.report,
            chain: &self.chain,
            endorsement: &self.vcek,
        };
        authenticate(&evidence, &TrustAnchors::amd(), now)
    }
}

#[test]
fn the_milan_report_is_authentic_while_its_certificates_are_valid() {
    let Some(milan) = Milan::read() else { return };
    let facts = milan.authenticate(VECTOR_NOW).unwrap();
    assert_eq!(facts.report.version, 2);
    assert_eq!(facts.endorsement.product, Product::Milan);
    assert_eq!(facts.endorsement.kind, KeyKind::Vcek);
    assert_eq!(
        facts.report.reported_tcb.to_string(),
        "bootloader 3, tee 0, snp 8, microcode 115"
    );
    assert_eq!(facts.report.current_firmware.to_string(), "1.52.4");
    assert_eq!(facts.endorsement.chip_id, Some(facts.report.chip_id));
    // From 2023-04-03T19:23:43Z to 2030-04-03T19:23:43Z.
    for (now, code) in [
        (1_680_549_822, "CERTIFICATE_NOT_YET_VALID"),
        (1_901_474_624, "CERTIFICATE_EXPIRED"),
    ] {
        assert_eq!(milan.authenticate(now).unwrap_err().code(), code);
    }
    assert!(milan.authenticate(1_680_549_823).is_ok());
    assert!(milan.authenticate(1_901_474_623).is_ok());
}

#[test]
fn every_changed_bit_of_the_milan_report_is_refused() {
    let Some(milan) = Milan::read() else { return };
    let authority = Authority::verify(&milan.chain, &TrustAnchors::amd()).unwrap();
    let key = authority.endorse(&milan.vcek, VECTOR_NOW).unwrap();
    assert!(Report::verify(&milan.report, &key).is_ok());
    let accepted: Vec<_> = (0..8 * REPORT_BYTES)
        .into_par_iter()
        .filter(|bit| {
            let mut changed = milan.report.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            Report::verify(&changed, &key).is_ok()
        })
        .collect();
    assert_eq!(accepted, [0; 0]);
}

#[test]
fn every_changed_byte_of_amds_certificates_is_refused() {
    let Some(milan) = Milan::read() else { return };
    let anchors = TrustAnchors::amd();
    let authority = Authority::verify(&milan.chain, &anchors).unwrap();
    let flipped = |der: &[u8], i: usize| {
        let mut changed = der.to_vec();
        changed[i] ^= 1 << (i % 8);
        changed
    };
    let accepted: Vec<_> = (0..milan.vcek.len())
        .into_par_iter()
        .filter(|i| {
            let vcek = flipped(&milan.vcek, *i);
            authority.endorse(&vcek, VECTOR_NOW).is_ok()
        })
        .collect();
    assert_eq!(accepted, [0; 0]);
    for which in 0..2 {
        let accepted: Vec<_> = (0..milan.chain[which].len())
            .into_par_iter()
            .filter(|i| {
                let mut chain = milan.chain.clone();
                chain[which] = flipped(&chain[which], *i);
                Authority::verify(&chain, &anchors).is_ok()
            })
            .collect();
        assert_eq!(accepted, [0; 0], "certificate {which}");
    }
}

#[test]
fn the_milan_report_passes_a_policy_made_for_it_and_no_stricter_one() {
    let Some(milan) = Milan::read() else { return };
    let facts = milan.authenticate(VECTOR_NOW).unwrap();
    let policy = |allow: &str, microcode: u8| {
        let text = format!(
            "measurements = [\"{}\"]\n{allow}\n[snp.products.milan]\n\
             minimum_tcb = {{ bootloader = 3, tee = 0, snp = 8, microcode = {microcode} }}\n",
            facts.report.measurement
        );
        parse(&text).unwrap()
    };
    let bound = Some(&facts.report.report_data);
    let allow = "allow_smt = true\nallow_multi_socket = true";
    assert_eq!(appraise(&facts, Some(&policy(allow, 115)), bound), Ok(()));
    for (policy, code) in [
        (policy(allow, 116), "SNP_TCB_TOO_OLD"),
        (policy("allow_smt = true", 115), "SNP_MULTI_SOCKET"),
        (policy("allow_multi_socket = true", 115), "SNP_SMT"),
    ] {
        let reject = appraise(&facts, Some(&policy), bound).unwrap_err();
        assert_eq!(reject.code(), code);
    }
}
