//! The cases: quotes, keys and enrolments, each wrong in one thing or in none.

use super::*;
use crate::tpm::{
    fixture::{NODE_KEY_ATTRIBUTES, other_s, without},
    wire::ObjectAttributes,
};

pub(super) fn quote_rows() -> Vec<Row> {
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

pub(super) fn key_rows() -> Vec<Row> {
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

pub(super) fn enrolment_rows() -> Vec<Row> {
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
