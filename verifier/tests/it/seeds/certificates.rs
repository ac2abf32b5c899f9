//! Certificates, lists, stores and cabinets.

use der::asn1::{Ia5String, OctetString, Uint};
use miniz_oxide::deflate::compress_to_vec;
use rsa::BigUint;
use verifier::tpm::certificate::{DenyList, DenyTarget, Root, SerialNumber};
use x509_cert::ext::pkix::{
    AuthorityKeyIdentifier, CrlDistributionPoints, CrlNumber, CrlReason, KeyUsage, KeyUsages,
    SubjectKeyIdentifier,
    crl::dp::DistributionPoint,
    name::{DistributionPointName, GeneralName},
};

use super::Seeds;
use crate::tpm::fixture::{CertificateBody, CrlBody, SoftKey, extension, sha256};
use crate::tpm::{Certificate, PublicKey, RootStore, TpmClass, certificate::Crl};

const ROOT: &str = "CN=Root";
const MAKER: &str = "CN=Maker";

fn root_key() -> SoftKey {
    SoftKey::node(100)
}

fn maker_key() -> SoftKey {
    SoftKey::node(101)
}

/// May sign certificates and lists.
fn authority(name: &str, key: &SoftKey, path_len: Option<u8>) -> CertificateBody {
    let usage = KeyUsage(KeyUsages::KeyCertSign | KeyUsages::CRLSign);
    CertificateBody::ca(name, key, path_len).with(extension(true, &usage))
}

pub fn root() -> Vec<u8> {
    let identifier = SubjectKeyIdentifier(OctetString::new([1; 20]).unwrap());
    authority(ROOT, &root_key(), None)
        .with(extension(false, &identifier))
        .issue(ROOT, &root_key())
}

pub fn maker() -> Vec<u8> {
    authority(MAKER, &maker_key(), Some(0)).issue(ROOT, &root_key())
}

/// A modulus whose factors nobody knows: it is only looked at, and the same in every run.
pub fn rsa_modulus() -> Vec<u8> {
    let mut modulus: Vec<u8> = (0..8u8).flat_map(|i| sha256(&[i])).collect();
    modulus[0] |= 0x80;
    modulus[255] |= 1;
    modulus
}

fn points() -> CrlDistributionPoints {
    let url = Ia5String::new("http://pki.example/maker.crl").unwrap();
    let names = vec![GeneralName::UniformResourceIdentifier(url)];
    CrlDistributionPoints(vec![DistributionPoint {
        distribution_point: Some(DistributionPointName::FullName(names)),
        reasons: None,
        crl_issuer: None,
    }])
}

pub fn ek_p256() -> Vec<u8> {
    CertificateBody::ek(SoftKey::node(7).public_key())
        .with(extension(true, &KeyUsage(KeyUsages::KeyAgreement.into())))
        .with(extension(false, &points()))
        .issue(ROOT, &root_key())
}

fn ek_rsa() -> Vec<u8> {
    let modulus = BigUint::from_bytes_be(&rsa_modulus());
    let key = rsa::RsaPublicKey::new(modulus, 65_537u32.into()).unwrap();
    CertificateBody::ek(PublicKey::Rsa(key)).issue(MAKER, &maker_key())
}

pub fn pem(label: &str, der: &[u8]) -> String {
    der::pem::encode_string(label, der::pem::LineEnding::LF, der).unwrap()
}

pub fn certificate() -> Seeds {
    vec![
        ("root", root()),
        ("maker", maker()),
        ("ek_p256", ek_p256()),
        ("ek_rsa", ek_rsa()),
        ("padded-refused", [maker(), vec![0; 64]].concat()),
        (
            "pem-refused",
            [root(), maker()]
                .map(|der| pem("CERTIFICATE", &der))
                .concat()
                .into(),
        ),
    ]
}

fn list() -> Vec<u8> {
    let number = CrlNumber(Uint::new(&[3]).unwrap());
    let identifier = AuthorityKeyIdentifier {
        key_identifier: Some(OctetString::new([1; 20]).unwrap()),
        authority_cert_issuer: None,
        authority_cert_serial_number: None,
    };
    let mut body = CrlBody::new(ROOT, &[9, 5, 77])
        .with(extension(false, &number))
        .with(extension(false, &identifier));
    body.revoked[0].1 = vec![extension(false, &CrlReason::KeyCompromise)];
    body.issue(&root_key())
}

pub fn crl() -> Seeds {
    vec![
        ("list", list()),
        ("empty", CrlBody::new(ROOT, &[]).issue(&root_key())),
        ("other_key", CrlBody::new(ROOT, &[1]).issue(&maker_key())),
        (
            "critical-refused",
            CrlBody::new(ROOT, &[1])
                .with(extension(true, &points()))
                .issue(&root_key()),
        ),
    ]
}

fn store() -> RootStore {
    let mut deny = DenyList::default();
    deny.deny(DenyTarget::Certificate([1; 32]), "stolen");
    deny.deny(DenyTarget::Key([2; 32]), "copied");
    let serial = SerialNumber::new(&[0x4d, 0x20]);
    let issuer = MAKER.to_owned();
    deny.deny(DenyTarget::Serial { issuer, serial }, "lost");
    let root = Root {
        certificate: Certificate::from_der(&root()).unwrap(),
        class: TpmClass::Discrete,
        source: "seeds".into(),
    };
    let mut store = RootStore::classified([root])
        .unwrap()
        .with_version(3)
        .with_deny_list(deny);
    store.add_intermediates([Certificate::from_der(&maker()).unwrap()]);
    store.add_crls([Crl::from_der(&list()).unwrap()]);
    store
}

pub fn roots() -> Seeds {
    let text = store().to_toml().unwrap();
    let later = text.replacen("format = 1", "format = 2", 1);
    vec![
        ("store", text.into()),
        ("later-refused", later.into()),
        ("empty", RootStore::default().to_toml().unwrap().into()),
        ("pem", pem("CERTIFICATE", &root()).into()),
        ("nothing", vec![]),
    ]
}

/// A cabinet of one folder with one block.
fn cabinet_of(compression: u16, packed: &[u8], files: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let content = files.iter().map(|(_, bytes)| bytes.len()).sum::<usize>();
    let names: usize = files.iter().map(|(name, _)| 16 + name.len() + 1).sum();
    let first_data = 36 + 8 + names;
    let mut cab = b"MSCF".to_vec();
    cab.extend([0; 12]);
    cab.extend(44u32.to_le_bytes());
    cab.extend([0; 4]);
    cab.extend([3, 1, 1, 0]);
    cab.extend((files.len() as u16).to_le_bytes());
    cab.extend([0; 6]);
    cab.extend((first_data as u32).to_le_bytes());
    cab.extend([1, 0]);
    cab.extend(compression.to_le_bytes());
    let mut offset = 0u32;
    for (name, bytes) in files {
        cab.extend((bytes.len() as u32).to_le_bytes());
        cab.extend(offset.to_le_bytes());
        // First folder, no date, no attributes.
        cab.extend([0; 8]);
        cab.extend(name.as_bytes());
        cab.push(0);
        offset += bytes.len() as u32;
    }
    // No checksum, so that what a fuzzer changes reaches the decoders.
    cab.extend([0; 4]);
    cab.extend((packed.len() as u16).to_le_bytes());
    cab.extend((content as u16).to_le_bytes());
    cab.extend(packed);
    cab
}

pub fn cabinet() -> Seeds {
    let files = [
        ("Infineon\\RootCA\\root.crt", root()),
        ("Infineon\\IntermediateCA\\maker.der", maker()),
        ("list.crl", list()),
        ("setup.cmd", b"@echo off".to_vec()),
    ];
    let content = files.clone().map(|(_, bytes)| bytes).concat();
    let zip = [b"CK", &compress_to_vec(&content, 9)[..]].concat();
    // No translation, one block that is not compressed within LZX, its size in 24 bits, three offsets.
    let bits = content.len() as u32 | 3 << 24;
    let words = [(bits >> 12) as u16, ((bits & 0xfff) << 4) as u16];
    let mut lzx: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    lzx.extend([1, 0, 0, 0].repeat(3));
    lzx.extend(&content);
    vec![
        ("stored", cabinet_of(0, &content, &files)),
        ("mszip", cabinet_of(1, &zip, &files)),
        ("lzx", cabinet_of(15 << 8 | 3, &lzx, &files)),
        ("der", root()),
        (
            "pem",
            [pem("CERTIFICATE", &ek_p256()), pem("X509 CRL", &list())]
                .concat()
                .into(),
        ),
        ("text-refused", b"no certificate".to_vec()),
    ]
}
