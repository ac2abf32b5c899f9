//! Cases that both judges read: this crate writes `contracts/test/golden/tpm-quote.json`, the contracts' tests judge it again.
#![allow(clippy::unwrap_used, clippy::cast_possible_truncation)]

use super::*;
use crate::tpm::{
    Name,
    fixture::{self, AK_ATTRIBUTES, NOW, QuoteBody, SoftKey, sha256},
};

mod golden;
mod rows;

use rows::{enrolment_rows, key_rows, quote_rows};

/// Secret key bytes of the attestation key; the contracts' tests sign with it, too.
const AK_SEED: u8 = 1;

fn occasion() -> Occasion {
    Occasion {
        chain_id: 31_337,
        registry: [0xaa; 20],
        address: [0xbb; 20],
        block_hash: [0x77; 32],
    }
}

fn policy() -> OnChainPolicy {
    OnChainPolicy {
        pcrs: vec![0, 1, 2, 3],
        states: vec![
            AcceptedState {
                pcr_digest: sha256(&[0; 128]),
                until: NOW,
            },
            AcceptedState {
                pcr_digest: sha256(b"before the update"),
                until: NOW - 1,
            },
        ],
        any_state: false,
    }
}

/// An endorsement key nobody holds: only its modulus is looked at, and it must be the same in every run.
fn ek_area() -> Vec<u8> {
    let mut modulus: Vec<u8> = (0..8u8).flat_map(|i| sha256(&[i])).collect();
    modulus[0] |= 0x80;
    modulus[255] |= 1;
    [&EK_TEMPLATE[..], &modulus].concat()
}

/// Evidence to be damaged, and what it is enrolled as.
#[derive(Clone)]
struct Case {
    occasion: Occasion,
    enrolment: Enrolment,
    evidence: OnChainEnrolment,
}

/// What is made into evidence, by keys whose public areas may say anything.
struct Maker {
    ak: SoftKey,
    ak_area: Vec<u8>,
    node_area: Vec<u8>,
    ek_area: Vec<u8>,
    quote: QuoteBody,
}

impl Maker {
    fn new() -> Self {
        let ak = SoftKey::attestation(AK_SEED);
        Self {
            ak_area: ak.public_area(),
            ak,
            node_area: SoftKey::node(2).public_area(),
            ek_area: ek_area(),
            quote: QuoteBody {
                extra_data: occasion().quote_data().to_vec(),
                ..QuoteBody::default()
            },
        }
    }

    fn with_quote(change: impl FnOnce(&mut QuoteBody)) -> Case {
        let mut maker = Self::new();
        change(&mut maker.quote);
        maker.make()
    }

    fn with_ak(area: Vec<u8>) -> Case {
        Self {
            ak_area: area,
            ..Self::new()
        }
        .make()
    }

    fn with_ak_attributes(attributes: u32) -> Case {
        let ak = SoftKey::new(AK_SEED, attributes);
        Self {
            ak_area: ak.public_area(),
            ak,
            ..Self::new()
        }
        .make()
    }

    fn with_node(area: Vec<u8>) -> Case {
        Self {
            node_area: area,
            ..Self::new()
        }
        .make()
    }

    fn with_ek(area: Vec<u8>) -> Case {
        Self {
            ek_area: area,
            ..Self::new()
        }
        .make()
    }

    /// Hashes and names follow from the areas, so that one thing only is wrong in each case.
    fn make(&self) -> Case {
        let parent = raw_qualified(&Name::endorsement_hierarchy(), &self.ek_area);
        let attest = self.quote.to_bytes();
        let certify = fixture::certify_body(
            &raw_qualified(&parent, &self.ak_area),
            &occasion().certify_data(),
            &raw_name(&self.node_area),
            &raw_qualified(&parent, &self.node_area),
        );
        let hardware_id = Public::parse(&self.ek_area)
            .and_then(|ek| ek.key.to_spki_der())
            .map(keccak256)
            .unwrap_or_default();
        let node_key_hash = Public::parse(&self.node_area)
            .ok()
            .and_then(|key| key.key.p256_xy())
            .map(keccak256)
            .unwrap_or_default();
        Case {
            occasion: occasion(),
            enrolment: Enrolment {
                account: occasion().address.into(),
                hardwareId: hardware_id,
                akHash: keccak256(&self.ak_area),
                nodeKeyHash: node_key_hash,
                resultHash: keccak256("result"),
                tpmClass: 1,
                expiry: NOW,
            },
            evidence: OnChainEnrolment {
                quote: OnChainQuote {
                    ak_public: self.ak_area.clone(),
                    signature: self.ak.sign(&attest).to_vec(),
                    attest,
                },
                ek_public: self.ek_area.clone(),
                node_key_public: self.node_area.clone(),
                certify_signature: self.ak.sign(&certify).to_vec(),
                certify,
            },
        }
    }
}

fn raw_name(area: &[u8]) -> Name {
    Name::from_wire(&[&[0x00, 0x0b][..], &sha256(area)].concat())
}

fn raw_qualified(parent: &Name, area: &[u8]) -> Name {
    let parts = [parent.as_bytes(), raw_name(area).as_bytes()].concat();
    Name::from_wire(&[&[0x00, 0x0b][..], &sha256(&parts)].concat())
}

fn honest() -> Case {
    Maker::new().make()
}

fn changed(change: impl FnOnce(&mut Case)) -> Case {
    let mut case = honest();
    change(&mut case);
    case
}

/// Another attestation in the quote's place, signed again.
fn requoted(change: impl FnOnce(&mut Vec<u8>)) -> Case {
    changed(|case| {
        change(&mut case.evidence.quote.attest);
        let signature = SoftKey::attestation(AK_SEED).sign(&case.evidence.quote.attest);
        case.evidence.quote.signature = signature.to_vec();
    })
}

fn recertified(change: impl FnOnce(&mut Vec<u8>)) -> Case {
    changed(|case| {
        change(&mut case.evidence.certify);
        let signature = SoftKey::attestation(AK_SEED).sign(&case.evidence.certify);
        case.evidence.certify_signature = signature.to_vec();
    })
}

/// A certification with parts of one's own, signed by the attestation key.
fn certified(signer: &Name, data: &[u8], name: &Name, qualified: &Name) -> Case {
    recertified(|certify| *certify = fixture::certify_body(signer, data, name, qualified))
}

/// Replaces bytes of an area.
fn patched(mut area: Vec<u8>, at: usize, bytes: &[u8]) -> Vec<u8> {
    area[at..at + bytes.len()].copy_from_slice(bytes);
    area
}

/// Replaces the tail of a quote from its PCR selection on.
fn reselected(selection: &[u8]) -> Case {
    let at = Maker::new().quote.selection_offset();
    requoted(|attest| {
        let digest = attest.split_off(attest.len() - 34);
        attest.truncate(at);
        attest.extend(selection);
        attest.extend(digest);
    })
}

fn ak_area() -> Vec<u8> {
    SoftKey::attestation(AK_SEED).public_area()
}

fn node_area() -> Vec<u8> {
    SoftKey::node(2).public_area()
}

/// An attestation key whose x or y starts with a zero byte, and its public area without that byte.
fn stripped() -> (SoftKey, Vec<u8>) {
    // One key in 128 will do.
    let (key, second) = (0..u16::MAX)
        .map(|i| SoftKey::from_secret(&sha256(&i.to_be_bytes()), AK_ATTRIBUTES))
        .find_map(|key| match key.xy() {
            [0, ..] => Some((key, false)),
            xy if xy[32] == 0 => Some((key, true)),
            _ => None,
        })
        .unwrap();
    let mut area = key.public_area();
    let at = if second { 20 + 34 } else { 20 };
    area.drain(at..at + 3);
    area.splice(at..at, [0, 31]);
    (key, area)
}

/// A coordinate with a leading zero too many: 33 bytes.
fn overlong() -> Vec<u8> {
    let mut area = ak_area();
    area.splice(20..22, [0, 33, 0]);
    area
}

/// Name, the contract's error (empty if it accepts), case.
type Row = (&'static str, &'static str, Case);

fn rows() -> Vec<Row> {
    [quote_rows(), key_rows(), enrolment_rows()].concat()
}

fn judge(case: &Case) -> Result<QuoteFacts, OnChainReject> {
    judge_on_chain_enrolment(
        &policy(),
        &case.occasion,
        &case.enrolment,
        &case.evidence,
        NOW,
    )
}

#[test]
fn every_case_is_accepted_or_refused_as_the_contract_is_told() {
    for (name, error, case) in rows() {
        let verdict = judge(&case);
        assert_eq!(verdict.is_ok(), error.is_empty(), "{name}: {verdict:?}");
    }
}

#[test]
fn a_quote_alone_is_judged_like_the_one_in_an_enrolment() {
    for (name, _, case) in quote_rows() {
        let alone = judge_on_chain_quote(
            &policy(),
            &case.occasion,
            case.enrolment.akHash,
            &case.evidence.quote,
            NOW,
        );
        assert_eq!(alone, judge(&case), "{name}");
    }
}

#[test]
fn an_enrolment_of_another_account_is_refused() {
    // The enrolment's own account is what oracles sign; the TPM signed for the occasion's.
    let case = changed(|case| case.enrolment.account = Address::repeat_byte(0xcc));
    let refusal = judge(&case).unwrap_err();
    assert_eq!(refusal.code(), "ON_CHAIN_ACCOUNT");
}

#[test]
fn a_digest_of_zeros_is_no_state_not_even_any() {
    let case = requoted(|attest| {
        let at = attest.len() - 32;
        attest[at..].fill(0);
    });
    let any = OnChainPolicy {
        any_state: true,
        ..policy()
    };
    let judged =
        judge_on_chain_enrolment(&any, &case.occasion, &case.enrolment, &case.evidence, NOW);
    assert_eq!(judged, Err(Reject::PcrDigest.into()));
}

#[test]
fn a_policy_without_states_accepts_nothing_unless_it_says_any() {
    let case = honest();
    let judge = |any_state| {
        let policy = OnChainPolicy {
            states: vec![],
            any_state,
            ..policy()
        };
        judge_on_chain_enrolment(
            &policy,
            &case.occasion,
            &case.enrolment,
            &case.evidence,
            NOW,
        )
    };
    assert_eq!(judge(false), Err(Reject::PcrDigest.into()));
    assert!(judge(true).is_ok());
}

#[test]
fn no_changed_bit_of_evidence_as_sent_is_accepted() {
    let honest = honest();
    let parts: [fn(&mut OnChainEnrolment) -> &mut Vec<u8>; 7] = [
        |it| &mut it.quote.ak_public,
        |it| &mut it.quote.attest,
        |it| &mut it.quote.signature,
        |it| &mut it.ek_public,
        |it| &mut it.node_key_public,
        |it| &mut it.certify,
        |it| &mut it.certify_signature,
    ];
    for (index, part) in parts.iter().enumerate() {
        let length = part(&mut honest.clone().evidence).len();
        for i in 0..length {
            let mut case = honest.clone();
            part(&mut case.evidence)[i] ^= 1 << (i % 8);
            assert!(judge(&case).is_err(), "part {index}, byte {i}");
        }
    }
}
