//! Cases that both judges read: this crate writes `contracts/test/golden/tpm-quote.json`, the contracts' tests judge it again.
#![allow(clippy::unwrap_used, clippy::cast_possible_truncation)]

use std::path::Path;

use serde_json::{Value, json};

use super::*;
use crate::tpm::{
    Name,
    fixture::{
        self, AK_ATTRIBUTES, NODE_KEY_ATTRIBUTES, NOW, QuoteBody, SoftKey, other_s, sha256, without,
    },
    wire::ObjectAttributes,
};

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

fn quote_rows() -> Vec<Row> {
    const SELECTION: &str = "WrongPcrs(uint256,uint256)";
    const BANK: &str = "WrongPcrBank()";
    const DATA: &str = "WrongExtraData(bytes32,bytes32)";
    const STATE: &str = "PcrDigestNotAccepted(bytes32,uint64)";
    const MALFORMED: &str = "MalformedSignature()";
    let order = hex::decode("ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551");
    let order = order.unwrap();
    let signed = |at: usize, bytes: &[u8]| {
        let signature = patched(honest().evidence.quote.signature, at, bytes);
        changed(|case| case.evidence.quote.signature = signature)
    };
    let data = |occasion: Occasion| {
        Maker::with_quote(|quote| quote.extra_data = occasion.quote_data().to_vec())
    };
    vec![
        ("honest", "", honest()),
        (
            "unsafe clock, as after a power loss",
            "",
            Maker::with_quote(|quote| quote.clock.safe = false),
        ),
        (
            "selection in two bytes",
            "",
            reselected(&[0, 0, 0, 1, 0, 0x0b, 2, 0x0f, 0]),
        ),
        (
            "selection in four bytes",
            "",
            reselected(&[0, 0, 0, 1, 0, 0x0b, 4, 0x0f, 0, 0, 0]),
        ),
        (
            "selection in five bytes",
            "MalformedAttestation()",
            reselected(&[0, 0, 0, 1, 0, 0x0b, 5, 0x0f, 0, 0, 0, 0]),
        ),
        (
            "selection cut short",
            SELECTION,
            reselected(&[0, 0, 0, 1, 0, 0x0b, 0]),
        ),
        (
            "a PCR too few",
            SELECTION,
            Maker::with_quote(|quote| quote.pcrs = vec![0, 1, 2]),
        ),
        (
            "a PCR too many",
            SELECTION,
            Maker::with_quote(|quote| quote.pcrs = vec![0, 1, 2, 3, 4]),
        ),
        (
            "another PCR",
            SELECTION,
            Maker::with_quote(|quote| quote.pcrs = vec![0, 1, 2, 23]),
        ),
        (
            "SHA-1 bank",
            BANK,
            Maker::with_quote(|quote| quote.bank = 0x0004),
        ),
        ("no bank", BANK, reselected(&[0; 4])),
        (
            "two banks",
            BANK,
            reselected(&[0, 0, 0, 2, 0, 0x0b, 1, 0x0f, 0, 0x0c, 1, 0x0f]),
        ),
        (
            "another state",
            STATE,
            Maker::with_quote(|quote| quote.pcr_digest = sha256(b"malware").to_vec()),
        ),
        (
            "a state whose grace is over",
            STATE,
            Maker::with_quote(|quote| quote.pcr_digest = sha256(b"before the update").to_vec()),
        ),
        (
            "a digest of SHA-1's length",
            STATE,
            Maker::with_quote(|quote| quote.pcr_digest = vec![1; 20]),
        ),
        (
            "for another account",
            DATA,
            data(Occasion {
                address: [0xbc; 20],
                ..occasion()
            }),
        ),
        (
            "for another registry",
            DATA,
            data(Occasion {
                registry: [0xab; 20],
                ..occasion()
            }),
        ),
        (
            "for another chain",
            DATA,
            data(Occasion {
                chain_id: 1,
                ..occasion()
            }),
        ),
        (
            "over another block",
            DATA,
            data(Occasion {
                block_hash: [0x78; 32],
                ..occasion()
            }),
        ),
        (
            "over a certification's data",
            DATA,
            Maker::with_quote(|quote| quote.extra_data = occasion().certify_data().to_vec()),
        ),
        (
            "without data",
            DATA,
            Maker::with_quote(|quote| quote.extra_data = vec![]),
        ),
        (
            "without the magic",
            "NotMadeByTpm(uint256)",
            requoted(|attest| attest[0] = 0),
        ),
        (
            "of a time attestation's type",
            "WrongAttestationType(uint256,uint256)",
            requoted(|attest| attest[5] = 0x19),
        ),
        (
            "a certification in its place",
            "WrongAttestationType(uint256,uint256)",
            {
                let body = fixture::certify_body(
                    &raw_name(&ak_area()),
                    &occasion().quote_data(),
                    &raw_name(&node_area()),
                    &raw_name(&node_area()),
                );
                requoted(|attest| *attest = body)
            },
        ),
        (
            "a safe byte of two",
            "MalformedAttestation()",
            requoted(|attest| attest[6 + 36 + 34 + 16] = 2),
        ),
        (
            "a byte too many",
            "TrailingBytes(uint256)",
            requoted(|attest| attest.push(0)),
        ),
        (
            "a byte too few",
            "Truncated()",
            requoted(|attest| {
                attest.pop();
            }),
        ),
        ("empty", "Truncated()", requoted(Vec::clear)),
        (
            "too large",
            "StructureTooLarge(uint256,uint256)",
            requoted(|attest| attest.resize(2049, 0)),
        ),
        (
            "high s",
            "HighS()",
            changed(|case| {
                let low = case.evidence.quote.signature.clone().try_into().unwrap();
                case.evidence.quote.signature = other_s(&low).to_vec();
            }),
        ),
        (
            "signed by the node key",
            "BadSignature()",
            changed(|case| {
                let signature = SoftKey::node(2).sign(&case.evidence.quote.attest);
                case.evidence.quote.signature = signature.to_vec();
            }),
        ),
        (
            "63 bytes of signature",
            MALFORMED,
            changed(|case| {
                case.evidence.quote.signature.pop();
            }),
        ),
        (
            "65 bytes of signature",
            MALFORMED,
            changed(|case| case.evidence.quote.signature.push(0)),
        ),
        ("r of zero", MALFORMED, signed(0, &[0; 32])),
        ("s of zero", MALFORMED, signed(32, &[0; 32])),
        ("r of the order", MALFORMED, signed(0, &order)),
        ("s of the order", MALFORMED, signed(32, &order)),
    ]
}

fn key_rows() -> Vec<Row> {
    const AK: &str = "AttestationKeyRefused(uint8)";
    const NODE: &str = "NodeKeyRefused(uint8)";
    let node_attributes = |bits| Maker::with_node(SoftKey::new(2, bits).public_area());
    let no_da = ObjectAttributes::NO_DA;
    vec![
        (
            "an unrestricted attestation key's forgery",
            AK,
            Maker::with_ak_attributes(NODE_KEY_ATTRIBUTES),
        ),
        (
            "an attestation key that may move",
            AK,
            Maker::with_ak_attributes(without(AK_ATTRIBUTES, ObjectAttributes::FIXED_TPM)),
        ),
        (
            "an attestation key under a parent that may move",
            AK,
            Maker::with_ak_attributes(without(AK_ATTRIBUTES, ObjectAttributes::FIXED_PARENT)),
        ),
        (
            "an imported attestation key",
            AK,
            Maker::with_ak_attributes(without(
                AK_ATTRIBUTES,
                ObjectAttributes::SENSITIVE_DATA_ORIGIN,
            )),
        ),
        (
            "an attestation key that decrypts",
            AK,
            Maker::with_ak_attributes(AK_ATTRIBUTES | ObjectAttributes::DECRYPT.bits()),
        ),
        (
            "an attestation key for X.509",
            AK,
            Maker::with_ak_attributes(AK_ATTRIBUTES | ObjectAttributes::X509_SIGN.bits()),
        ),
        (
            "an attestation key that does not sign",
            AK,
            Maker::with_ak_attributes(without(AK_ATTRIBUTES, ObjectAttributes::SIGN)),
        ),
        (
            "a reserved attribute",
            AK,
            Maker::with_ak_attributes(AK_ATTRIBUTES | 1 << 31),
        ),
        (
            "an attestation key subject to lockout",
            "",
            Maker::with_ak_attributes(without(AK_ATTRIBUTES, no_da)),
        ),
        (
            "an RSA type",
            AK,
            Maker::with_ak(patched(ak_area(), 0, &[0, 1])),
        ),
        (
            "named with SHA-384",
            AK,
            Maker::with_ak(patched(ak_area(), 2, &[0, 0x0c])),
        ),
        (
            "an authorisation policy",
            "",
            Maker::with_ak({
                let mut area = ak_area();
                area.splice(8..10, [vec![0, 32], vec![7; 32]].concat());
                area
            }),
        ),
        (
            "an authorisation policy of SHA-1's length",
            AK,
            Maker::with_ak({
                let mut area = ak_area();
                area.splice(8..10, [vec![0, 20], vec![7; 20]].concat());
                area
            }),
        ),
        (
            "another cipher",
            AK,
            Maker::with_ak(patched(ak_area(), 10, &[0, 6])),
        ),
        (
            "no scheme",
            AK,
            Maker::with_ak({
                let mut area = ak_area();
                area.splice(12..16, [0, 0x10]);
                area
            }),
        ),
        (
            "ECDSA with SHA-1",
            AK,
            Maker::with_ak(patched(ak_area(), 14, &[0, 4])),
        ),
        ("P-384", AK, Maker::with_ak(patched(ak_area(), 16, &[0, 4]))),
        (
            "a key derivation",
            AK,
            Maker::with_ak(patched(ak_area(), 18, &[0, 0x20])),
        ),
        (
            "a point off the curve",
            AK,
            Maker::with_ak(patched(ak_area(), 87, &[ak_area()[87] ^ 1])),
        ),
        (
            "a stripped leading zero",
            "",
            Maker {
                ak: stripped().0,
                ak_area: stripped().1,
                ..Maker::new()
            }
            .make(),
        ),
        ("a coordinate of 33 bytes", AK, Maker::with_ak(overlong())),
        (
            "a byte after the attestation key",
            "TrailingBytes(uint256)",
            Maker::with_ak([ak_area(), vec![0]].concat()),
        ),
        (
            "half an attestation key",
            "Truncated()",
            Maker::with_ak(ak_area()[..70].to_vec()),
        ),
        (
            "a restricted node key",
            NODE,
            node_attributes(AK_ATTRIBUTES),
        ),
        (
            "a node key that may move",
            NODE,
            node_attributes(without(NODE_KEY_ATTRIBUTES, ObjectAttributes::FIXED_TPM)),
        ),
        (
            "an imported node key",
            NODE,
            node_attributes(without(
                NODE_KEY_ATTRIBUTES,
                ObjectAttributes::SENSITIVE_DATA_ORIGIN,
            )),
        ),
        (
            "a node key that decrypts",
            NODE,
            node_attributes(NODE_KEY_ATTRIBUTES | ObjectAttributes::DECRYPT.bits()),
        ),
        (
            "one key for both",
            "KeysNotDistinct()",
            Maker::with_node(SoftKey::node(AK_SEED).public_area()),
        ),
    ]
}

fn enrolment_rows() -> Vec<Row> {
    const SIGNER: &str = "WrongQualifiedSigner(bytes32,bytes32)";
    const KEY: &str = "WrongCertifiedKey(bytes32,bytes32)";
    const EK: &str = "EndorsementKeyRefused()";
    let parent = raw_qualified(&Name::endorsement_hierarchy(), &ek_area());
    let signer = raw_qualified(&parent, &ak_area());
    let (name, qualified) = (raw_name(&node_area()), raw_qualified(&parent, &node_area()));
    let other = raw_name(b"another");
    let data = occasion().certify_data();
    let mut short = name.as_bytes().to_vec();
    short.pop();
    vec![
        (
            "certified under another parent",
            SIGNER,
            certified(&other, &data, &name, &qualified),
        ),
        (
            "another key certified",
            KEY,
            certified(&signer, &data, &other, &qualified),
        ),
        (
            "the node key under another parent",
            KEY,
            certified(&signer, &data, &name, &other),
        ),
        (
            "a name a byte short",
            KEY,
            certified(&signer, &data, &Name::from_wire(&short), &qualified),
        ),
        (
            "certified over a quote's data",
            "WrongExtraData(bytes32,bytes32)",
            certified(&signer, &occasion().quote_data(), &name, &qualified),
        ),
        (
            "a quote in the certification's place",
            "WrongAttestationType(uint256,uint256)",
            recertified(|certify| {
                *certify = QuoteBody {
                    extra_data: data.to_vec(),
                    ..QuoteBody::default()
                }
                .to_bytes();
            }),
        ),
        (
            "a byte after the certification",
            "TrailingBytes(uint256)",
            recertified(|certify| certify.push(0)),
        ),
        (
            "a certification nobody signed",
            "BadSignature()",
            changed(|case| case.evidence.certify_signature = case.evidence.quote.signature.clone()),
        ),
        (
            "an unrestricted endorsement key",
            EK,
            Maker::with_ek(patched(ek_area(), 5, &[2])),
        ),
        (
            "an endorsement key with its exponent written out",
            EK,
            Maker::with_ek(patched(ek_area(), 52, &[0, 1, 0, 1])),
        ),
        (
            "an endorsement key of 2047 bits",
            EK,
            Maker::with_ek(patched(ek_area(), 58, &[0x7f])),
        ),
        (
            "an endorsement key with an even modulus",
            EK,
            Maker::with_ek(patched(ek_area(), 58 + 255, &[2])),
        ),
        (
            "a byte after the endorsement key",
            EK,
            Maker::with_ek([ek_area(), vec![0]].concat()),
        ),
        (
            "another machine",
            "WrongHardwareId(bytes32,bytes32)",
            changed(|case| case.enrolment.hardwareId = keccak256("another")),
        ),
        (
            "another attestation key enrolled",
            "WrongAkHash(bytes32,bytes32)",
            changed(|case| case.enrolment.akHash = keccak256("another")),
        ),
        (
            "another node key enrolled",
            "WrongNodeKeyHash(bytes32,bytes32)",
            changed(|case| case.enrolment.nodeKeyHash = keccak256("another")),
        ),
    ]
}

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

fn hexed(bytes: &[u8]) -> String {
    format!("0x{}", hex::encode(bytes))
}

/// Which single-bit changes `accepts` takes, as a bitmap: bit b of byte i, both counted as in the input.
fn accepted_flips(bytes: &[u8], accepts: impl Fn(&[u8]) -> bool) -> String {
    let map: Vec<u8> = (0..bytes.len())
        .map(|i| {
            (0..8).fold(0, |map, bit| {
                let mut flipped = bytes.to_vec();
                flipped[i] ^= 1 << bit;
                map | u8::from(accepts(&flipped)) << bit
            })
        })
        .collect();
    hexed(&map)
}

fn golden() -> Value {
    let honest = honest();
    let attest = |bytes: &[u8]| judge(&requoted(|attest| *attest = bytes.to_vec())).is_ok();
    let certify = |bytes: &[u8]| judge(&recertified(|certify| *certify = bytes.to_vec())).is_ok();
    let ak = |bytes: &[u8]| {
        Public::parse(bytes)
            .and_then(|key| check_attestation_key(&key))
            .is_ok()
    };
    let node = |bytes: &[u8]| {
        Public::parse(bytes)
            .and_then(|key| check_node_key(&key))
            .is_ok()
    };
    let rows = rows();
    // By column: Solidity reads each in one call.
    let column = |value: fn(&Row) -> Value| rows.iter().map(value).collect::<Value>();
    let cases = json!({
        "name": column(|(name, ..)| json!(name)),
        "code": column(|(.., case)| json!(judge(case).err().map_or("", |reject| reject.code()))),
        "error": column(|(_, error, _)| json!(error)),
        "hardwareId": column(|(.., case)| json!(case.enrolment.hardwareId)),
        "akHash": column(|(.., case)| json!(case.enrolment.akHash)),
        "nodeKeyHash": column(|(.., case)| json!(case.enrolment.nodeKeyHash)),
        "akPublic": column(|(.., case)| json!(hexed(&case.evidence.quote.ak_public))),
        "attest": column(|(.., case)| json!(hexed(&case.evidence.quote.attest))),
        "signature": column(|(.., case)| json!(hexed(&case.evidence.quote.signature))),
        "ekPublic": column(|(.., case)| json!(hexed(&case.evidence.ek_public))),
        "nodeKeyPublic": column(|(.., case)| json!(hexed(&case.evidence.node_key_public))),
        "certify": column(|(.., case)| json!(hexed(&case.evidence.certify))),
        "certifySignature": column(|(.., case)| json!(hexed(&case.evidence.certify_signature))),
    });
    let facts = judge(&honest).unwrap();
    json!({
        "about": "Quotes for the chain, honest and damaged, and whether each is accepted: `code` is Rust's reason, `error` Solidity's, both empty if it is. `flips`: which single-bit changes are accepted, bit b of byte i; attestations are signed again after the change. Written by verifier/src/tpm/on_chain/tests.rs, read by Solidity and by Rust.",
        "chainId": occasion().chain_id,
        "registry": hexed(&occasion().registry),
        "account": hexed(&occasion().address),
        "blockHash": hexed(&occasion().block_hash),
        "quoteData": hexed(&occasion().quote_data()),
        "certifyData": hexed(&occasion().certify_data()),
        "now": NOW,
        "pcrs": policy().pcrs.iter().fold(0u32, |mask, pcr| mask | 1 << pcr),
        "states": policy().states.iter().map(|state| hexed(&state.pcr_digest)).collect::<Vec<_>>(),
        "until": policy().states.iter().map(|state| state.until).collect::<Vec<_>>(),
        "akSecret": hexed(&[AK_SEED; 32]),
        "facts": {
            "pcrDigest": hexed(&facts.pcr_digest),
            "firmwareVersion": facts.firmware_version,
            "clockMs": facts.clock.clock_ms,
            "resetCount": facts.clock.reset_count,
            "restartCount": facts.clock.restart_count,
        },
        "flips": {
            "attest": accepted_flips(&honest.evidence.quote.attest, attest),
            "certify": accepted_flips(&honest.evidence.certify, certify),
            "akPublic": accepted_flips(&honest.evidence.quote.ak_public, ak),
            "nodeKeyPublic": accepted_flips(&honest.evidence.node_key_public, node),
        },
        "cases": cases,
    })
}

#[test]
fn every_case_is_accepted_or_refused_as_the_contract_is_told() {
    for (name, error, case) in rows() {
        let verdict = judge(&case);
        assert_eq!(verdict.is_ok(), error.is_empty(), "{name}: {verdict:?}");
    }
}

/// Keys in order: which order `serde_json` keeps depends on what else is built with it.
fn sorted(value: serde_json::Value) -> serde_json::Value {
    use serde_json::Value;
    match value {
        Value::Object(map) => {
            let map: std::collections::BTreeMap<_, _> = map
                .into_iter()
                .map(|(key, value)| (key, sorted(value)))
                .collect();
            Value::Object(map.into_iter().collect())
        }
        Value::Array(values) => Value::Array(values.into_iter().map(sorted).collect()),
        other => other,
    }
}

#[test]
fn the_golden_file_is_up_to_date() {
    let path =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../contracts/test/golden/tpm-quote.json");
    let text = serde_json::to_string_pretty(&sorted(golden())).unwrap() + "\n";
    if std::env::var_os("PROBITY_GENERATE").is_some() {
        std::fs::write(&path, &text).unwrap();
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        committed == text,
        "{} is stale: run `make generate`",
        path.display()
    );
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
