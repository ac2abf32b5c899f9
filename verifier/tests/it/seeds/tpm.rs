//! What a TPM marshals.

use super::{Seeds, certificates::rsa_modulus, sized};
use crate::tpm::Public;
use crate::tpm::fixture::{EK_ATTRIBUTES, QuoteBody, SoftKey, certify_body, sha256};

/// TPMT_PUBLIC of an endorsement key: RSA-2048, or one on a curve.
pub fn ek_public(parameters: &[u8], key: &[u8]) -> Vec<u8> {
    let kind = if key.len() == 2 + 256 { 0x01 } else { 0x23 };
    let mut area = vec![0x00, kind, 0x00, 0x0b];
    area.extend(EK_ATTRIBUTES.to_be_bytes());
    area.extend(sized(&sha256(b"a policy")));
    // AES-128-CFB, no scheme.
    area.extend([0x00, 0x06, 0x00, 0x80, 0x00, 0x43, 0x00, 0x10]);
    area.extend(parameters);
    area.extend(key);
    area
}

/// TPMT_PUBLIC of an RSA-2048 endorsement key that nobody holds.
pub fn ek_rsa() -> Vec<u8> {
    ek_public(&[0x08, 0x00, 0, 0, 0, 0], &sized(&rsa_modulus()))
}

fn ek_p384() -> Vec<u8> {
    let key = p384::ecdsa::SigningKey::from_slice(&[7; 48]).unwrap();
    let point = key.verifying_key().to_encoded_point(false);
    let xy = [sized(point.x().unwrap()), sized(point.y().unwrap())].concat();
    ek_public(&[0x00, 0x04, 0x00, 0x10], &xy)
}

/// TPMT_SIGNATURE by ECDSA with SHA-256.
pub fn signature(rs: &[u8; 64]) -> Vec<u8> {
    let (r, s) = rs.split_at(32);
    [&[0x00, 0x18, 0x00, 0x0b][..], &sized(r), &sized(s)].concat()
}

pub fn attest() -> Seeds {
    let (ak, node) = (SoftKey::attestation(9), SoftKey::node(10));
    let names = [&ak, &node].map(|key| Public::parse(&key.public_area()).unwrap().name());
    let quote = QuoteBody::default().to_bytes();
    let certify = certify_body(&names[0], &[7; 32], &names[1], &names[0]);
    vec![
        ("signature", signature(&ak.sign(&quote))),
        (
            "signature_rsa",
            [&[0x00, 0x14, 0x00, 0x0b][..], &sized(&[3; 256])].concat(),
        ),
        ("quote", quote),
        ("certify", certify),
        ("ak", ak.public_area()),
        ("node_key", node.public_area()),
        ("ek_rsa", ek_rsa()),
        ("ek_p384", ek_p384()),
    ]
}
