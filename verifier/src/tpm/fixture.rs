//! Evidence made with software keys, for tests of the wire format and of the judgements on it.
//!
//! Whether a real TPM's evidence is accepted is tested where one is at hand: in `devnet`, with swtpm.
#![allow(clippy::unwrap_used, clippy::cast_possible_truncation)]

use std::{str::FromStr, sync::OnceLock, time::Duration};

use const_oid::{AssociatedOid, ObjectIdentifier, db::rfc5912::ECDSA_WITH_SHA_256};
use der::{
    Any, Decode, Encode,
    asn1::{BitString, GeneralizedTime, OctetString, SetOfVec, Utf8StringRef},
};
use p256::ecdsa::{SigningKey, signature::hazmat::PrehashSigner};
use rand_core::OsRng;
use rsa::traits::PublicKeyParts;
use sha2::{Digest, Sha256};
use spki::{AlgorithmIdentifierOwned, SubjectPublicKeyInfoOwned};
use x509_cert::{
    TbsCertificate, Version,
    attr::AttributeTypeAndValue,
    crl::{CertificateList, RevokedCert, TbsCertList},
    ext::{
        Extension,
        pkix::{
            BasicConstraints, ExtendedKeyUsage, KeyUsage, KeyUsages, SubjectAltName,
            name::GeneralName,
        },
    },
    name::{Name as DistinguishedName, RdnSequence, RelativeDistinguishedName},
    serial_number::SerialNumber,
    time::{Time, Validity},
};

use super::{
    Certificate, ClockInfo, Name, PublicKey,
    wire::{EccCurve, ObjectAttributes},
};

pub(crate) fn sha256(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

/// The other valid ECDSA signature: (r, n − s).
pub(crate) fn other_s(rs: &[u8; 64]) -> [u8; 64] {
    let signature = p256::ecdsa::Signature::from_slice(rs).unwrap();
    let (r, s) = signature.split_scalars();
    p256::ecdsa::Signature::from_scalars(r.to_bytes(), (-s).to_bytes())
        .unwrap()
        .to_bytes()
        .into()
}

fn sized(bytes: &[u8]) -> Vec<u8> {
    [&(bytes.len() as u16).to_be_bytes()[..], bytes].concat()
}

/// The attributes TPMs give the two kinds of key.
pub(crate) const AK_ATTRIBUTES: u32 =
    1 << 1 | 1 << 4 | 1 << 5 | 1 << 6 | 1 << 10 | 1 << 16 | 1 << 18;
pub(crate) const NODE_KEY_ATTRIBUTES: u32 = AK_ATTRIBUTES & !(1 << 16);
pub(crate) const EK_ATTRIBUTES: u32 = 0x0003_00b2;

/// A P-256 key in software, with the public area a TPM would give it.
#[derive(Clone)]
pub(crate) struct SoftKey {
    secret: SigningKey,
    pub(crate) attributes: u32,
}

impl SoftKey {
    pub(crate) fn new(seed: u8, attributes: u32) -> Self {
        Self::from_secret(&[seed; 32], attributes)
    }

    pub(crate) fn from_secret(secret: &[u8; 32], attributes: u32) -> Self {
        Self {
            secret: SigningKey::from_slice(secret).unwrap(),
            attributes,
        }
    }

    pub(crate) fn attestation(seed: u8) -> Self {
        Self::new(seed, AK_ATTRIBUTES)
    }

    pub(crate) fn node(seed: u8) -> Self {
        Self::new(seed, NODE_KEY_ATTRIBUTES)
    }

    pub(crate) fn xy(&self) -> [u8; 64] {
        let point = self.secret.verifying_key().to_encoded_point(false);
        point.as_bytes()[1..].try_into().unwrap()
    }

    pub(crate) fn public_area(&self) -> Vec<u8> {
        let xy = self.xy();
        let mut area = vec![0x00, 0x23, 0x00, 0x0b];
        area.extend(self.attributes.to_be_bytes());
        area.extend([0, 0]); // no policy
        area.extend([0x00, 0x10]); // no symmetric cipher
        area.extend([0x00, 0x18, 0x00, 0x0b]); // ECDSA with SHA-256
        area.extend([0x00, 0x03, 0x00, 0x10]); // P-256, no KDF
        area.extend(sized(&xy[..32]));
        area.extend(sized(&xy[32..]));
        area
    }

    /// ECDSA over the SHA-256 of `message`, low s.
    pub(crate) fn sign(&self, message: &[u8]) -> [u8; 64] {
        let signature: p256::ecdsa::Signature = self.secret.sign_prehash(&sha256(message)).unwrap();
        signature
            .normalize_s()
            .unwrap_or(signature)
            .to_bytes()
            .into()
    }

    fn sign_der(&self, message: &[u8]) -> Vec<u8> {
        let signature: p256::ecdsa::Signature = self.secret.sign_prehash(&sha256(message)).unwrap();
        signature.to_der().as_bytes().to_vec()
    }

    pub(crate) fn public_key(&self) -> PublicKey {
        let point = self.secret.verifying_key().to_encoded_point(false);
        PublicKey::Ecc {
            curve: EccCurve::P256,
            point: point.as_bytes().to_vec(),
        }
    }
}

/// One RSA-2048 key for the whole test run: making one takes a while.
pub(crate) fn rsa_2048() -> &'static rsa::RsaPrivateKey {
    static KEY: OnceLock<rsa::RsaPrivateKey> = OnceLock::new();
    KEY.get_or_init(|| rsa::RsaPrivateKey::new(&mut OsRng, 2048).unwrap())
}

/// TPMT_PUBLIC of an endorsement key from the default RSA template.
pub(crate) fn ek_public_area() -> Vec<u8> {
    rsa_ek_public_area(&rsa_2048().n().to_bytes_be())
}

/// The same of any RSA-2048 key.
pub(crate) fn rsa_ek_public_area(modulus: &[u8]) -> Vec<u8> {
    let policy = hex::decode("837197674484b3f81a90cc8d46a5d724fd52d76e06520b64f2a1da1b331469aa");
    let mut area = vec![0x00, 0x01, 0x00, 0x0b];
    area.extend(EK_ATTRIBUTES.to_be_bytes());
    area.extend(sized(&policy.unwrap()));
    area.extend([0x00, 0x06, 0x00, 0x80, 0x00, 0x43]); // AES-128-CFB
    area.extend([0x00, 0x10]); // no scheme
    area.extend([0x08, 0x00]); // 2048 bits
    area.extend([0, 0, 0, 0]); // default exponent
    area.extend(sized(modulus));
    area
}

/// TPMT_PUBLIC of an endorsement key from the default templates of the curves: L-2 and H-3.
pub(crate) fn ecc_ek_public_area(key: &PublicKey) -> Vec<u8> {
    let PublicKey::Ecc { curve, point } = key else {
        panic!("no elliptic key")
    };
    let (name, attributes, policy, cipher_bits) = match curve {
        EccCurve::P256 => (
            0x000b_u16,
            EK_ATTRIBUTES,
            "837197674484b3f81a90cc8d46a5d724fd52d76e06520b64f2a1da1b331469aa",
            128_u16,
        ),
        _ => (
            0x000c,
            EK_ATTRIBUTES | ObjectAttributes::USER_WITH_AUTH.bits(),
            "b26e7d28d11a50bc53d882bcf5fd3a1a074148bb35d3b4e4cb1c0ad9bde419cacb47ba09699646150f9fc000f3f80e12",
            256,
        ),
    };
    let mut area = vec![0x00, 0x23];
    area.extend(name.to_be_bytes());
    area.extend(attributes.to_be_bytes());
    area.extend(sized(&hex::decode(policy).unwrap()));
    area.extend([0x00, 0x06]);
    area.extend(cipher_bits.to_be_bytes());
    area.extend([0x00, 0x43, 0x00, 0x10]); // CFB, no scheme
    area.extend(curve.id().to_be_bytes());
    area.extend([0x00, 0x10]); // no KDF
    let (x, y) = point[1..].split_at(point.len() / 2);
    area.extend(sized(x));
    area.extend(sized(y));
    area
}

/// Firmware version that a TPM signs unless told otherwise.
pub(crate) const FIRMWARE: u64 = 0x2020_0101;

/// TPMS_ATTEST of type quote, to be marshalled.
#[derive(Clone)]
pub(crate) struct QuoteBody {
    pub(crate) qualified_signer: Vec<u8>,
    pub(crate) extra_data: Vec<u8>,
    pub(crate) clock: ClockInfo,
    pub(crate) firmware: u64,
    pub(crate) bank: u16,
    pub(crate) pcrs: Vec<u8>,
    pub(crate) pcr_digest: Vec<u8>,
}

impl Default for QuoteBody {
    fn default() -> Self {
        Self {
            qualified_signer: [vec![0x00, 0x0b], vec![0xaa; 32]].concat(),
            extra_data: vec![0x11; 32],
            clock: ClockInfo {
                clock_ms: 1_000,
                reset_count: 1,
                restart_count: 0,
                safe: true,
            },
            firmware: FIRMWARE,
            bank: 0x000b,
            pcrs: vec![0, 1, 2, 3],
            pcr_digest: sha256(&[0; 128]).to_vec(),
        }
    }
}

impl QuoteBody {
    /// Where the TPML_PCR_SELECTION begins.
    pub(crate) fn selection_offset(&self) -> usize {
        6 + 2 + self.qualified_signer.len() + 2 + self.extra_data.len() + 17 + 8
    }

    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = header(
            0x8018,
            &self.qualified_signer,
            &self.extra_data,
            &self.clock,
            self.firmware,
        );
        bytes.extend(1u32.to_be_bytes());
        bytes.extend(self.bank.to_be_bytes());
        let mut bitmap = [0u8; 3];
        for pcr in &self.pcrs {
            bitmap[usize::from(pcr / 8)] |= 1 << (pcr % 8);
        }
        bytes.push(3);
        bytes.extend(bitmap);
        bytes.extend(sized(&self.pcr_digest));
        bytes
    }
}

/// TPMS_ATTEST of type certify, marshalled.
pub(crate) fn certify_body(
    signer: &Name,
    extra_data: &[u8],
    name: &Name,
    qualified_name: &Name,
) -> Vec<u8> {
    let clock = QuoteBody::default().clock;
    let mut bytes = header(0x8017, signer.as_bytes(), extra_data, &clock, FIRMWARE);
    bytes.extend(sized(name.as_bytes()));
    bytes.extend(sized(qualified_name.as_bytes()));
    bytes
}

fn header(tag: u16, signer: &[u8], extra_data: &[u8], clock: &ClockInfo, firmware: u64) -> Vec<u8> {
    let mut bytes = 0xff54_4347u32.to_be_bytes().to_vec();
    bytes.extend(tag.to_be_bytes());
    bytes.extend(sized(signer));
    bytes.extend(sized(extra_data));
    bytes.extend(clock.clock_ms.to_be_bytes());
    bytes.extend(clock.reset_count.to_be_bytes());
    bytes.extend(clock.restart_count.to_be_bytes());
    bytes.push(u8::from(clock.safe));
    bytes.extend(firmware.to_be_bytes());
    bytes
}

/// The time the certificates below are made for, Unix seconds.
pub(crate) const NOW: u64 = 1_800_000_000;

/// A certificate to be issued; fields are damaged one at a time by tests.
#[derive(Clone)]
pub(crate) struct CertificateBody {
    pub(crate) subject: String,
    pub(crate) key: PublicKey,
    pub(crate) serial: u8,
    pub(crate) not_before: u64,
    pub(crate) not_after: u64,
    pub(crate) extensions: Vec<Extension>,
}

impl CertificateBody {
    /// A CA that may have `path_len` CAs below it.
    pub(crate) fn ca(subject: &str, key: &SoftKey, path_len: Option<u8>) -> Self {
        Self {
            subject: subject.into(),
            key: key.public_key(),
            serial: 1,
            not_before: NOW - 1_000,
            not_after: NOW + 1_000,
            extensions: vec![
                extension(
                    true,
                    &BasicConstraints {
                        ca: true,
                        path_len_constraint: path_len,
                    },
                ),
                extension(true, &KeyUsage(KeyUsages::KeyCertSign.into())),
            ],
        }
    }

    /// An endorsement certificate that meets the strict profile.
    pub(crate) fn ek(key: PublicKey) -> Self {
        Self {
            subject: "CN=EK".into(),
            key,
            serial: 1,
            not_before: NOW - 1_000,
            not_after: NOW + 1_000,
            extensions: vec![
                extension(
                    true,
                    &BasicConstraints {
                        ca: false,
                        path_len_constraint: None,
                    },
                ),
                extension(true, &KeyUsage(KeyUsages::KeyEncipherment.into())),
                extension(false, &ExtendedKeyUsage(vec![oid("2.23.133.8.1")])),
                tpm_name(&[
                    ("2.23.133.2.1", "id:50524F42"),
                    ("2.23.133.2.2", "SoftTPM"),
                    ("2.23.133.2.3", "id:00010002"),
                ]),
            ],
        }
    }

    /// Takes an extension out, by type.
    pub(crate) fn without<T: AssociatedOid>(mut self) -> Self {
        self.extensions.retain(|e| e.extn_id != T::OID);
        self
    }

    /// Puts an extension in, in place of another of the same type.
    pub(crate) fn with(mut self, extension: Extension) -> Self {
        self.extensions.retain(|e| e.extn_id != extension.extn_id);
        self.extensions.push(extension);
        self
    }

    pub(crate) fn issue(&self, issuer: &str, key: &SoftKey) -> Vec<u8> {
        self.issue_with(issuer, ecdsa_with_sha256(), |tbs| key.sign_der(tbs))
    }

    /// Issued with any algorithm.
    pub(crate) fn issue_with(
        &self,
        issuer: &str,
        algorithm: AlgorithmIdentifierOwned,
        sign: impl Fn(&[u8]) -> Vec<u8>,
    ) -> Vec<u8> {
        let spki = self.key.to_spki_der().unwrap();
        let tbs = TbsCertificate {
            version: Version::V3,
            serial_number: SerialNumber::new(&[self.serial]).unwrap(),
            signature: algorithm.clone(),
            issuer: DistinguishedName::from_str(issuer).unwrap(),
            validity: Validity {
                not_before: time(self.not_before),
                not_after: time(self.not_after),
            },
            subject: DistinguishedName::from_str(&self.subject).unwrap(),
            subject_public_key_info: SubjectPublicKeyInfoOwned::from_der(&spki).unwrap(),
            issuer_unique_id: None,
            subject_unique_id: None,
            extensions: Some(self.extensions.clone()),
        };
        let signature = sign(&tbs.to_der().unwrap());
        x509_cert::Certificate {
            tbs_certificate: tbs,
            signature_algorithm: algorithm,
            signature: BitString::from_bytes(&signature).unwrap(),
        }
        .to_der()
        .unwrap()
    }

    pub(crate) fn issue_certificate(&self, issuer: &str, key: &SoftKey) -> Certificate {
        Certificate::from_der(&self.issue(issuer, key)).unwrap()
    }
}

/// A revocation list to be issued; fields are damaged one at a time by tests.
#[derive(Clone)]
pub(crate) struct CrlBody {
    pub(crate) issuer: String,
    pub(crate) this_update: u64,
    pub(crate) next_update: Option<u64>,
    /// Serial numbers with the extensions of their lines.
    pub(crate) revoked: Vec<(u8, Vec<Extension>)>,
    pub(crate) extensions: Vec<Extension>,
}

impl CrlBody {
    /// A current list.
    pub(crate) fn new(issuer: &str, revoked: &[u8]) -> Self {
        Self {
            issuer: issuer.into(),
            this_update: NOW - 100,
            next_update: Some(NOW + 100),
            revoked: revoked.iter().map(|serial| (*serial, vec![])).collect(),
            extensions: vec![],
        }
    }

    pub(crate) fn with(mut self, extension: Extension) -> Self {
        self.extensions.push(extension);
        self
    }

    pub(crate) fn issue(&self, key: &SoftKey) -> Vec<u8> {
        self.issue_with(ecdsa_with_sha256(), |tbs| key.sign_der(tbs))
    }

    pub(crate) fn issue_with(
        &self,
        algorithm: AlgorithmIdentifierOwned,
        sign: impl Fn(&[u8]) -> Vec<u8>,
    ) -> Vec<u8> {
        let some =
            |extensions: &Vec<Extension>| (!extensions.is_empty()).then(|| extensions.clone());
        let revoked = self.revoked.iter().map(|(serial, extensions)| RevokedCert {
            serial_number: SerialNumber::new(&[*serial]).unwrap(),
            revocation_date: time(NOW - 200),
            crl_entry_extensions: some(extensions),
        });
        let revoked: Vec<_> = revoked.collect();
        let tbs = TbsCertList {
            version: Version::V2,
            signature: algorithm.clone(),
            issuer: DistinguishedName::from_str(&self.issuer).unwrap(),
            this_update: time(self.this_update),
            next_update: self.next_update.map(time),
            revoked_certificates: (!revoked.is_empty()).then_some(revoked),
            crl_extensions: some(&self.extensions),
        };
        let signature = sign(&tbs.to_der().unwrap());
        CertificateList {
            tbs_cert_list: tbs,
            signature_algorithm: algorithm,
            signature: BitString::from_bytes(&signature).unwrap(),
        }
        .to_der()
        .unwrap()
    }
}

fn ecdsa_with_sha256() -> AlgorithmIdentifierOwned {
    AlgorithmIdentifierOwned {
        oid: ECDSA_WITH_SHA_256,
        parameters: None,
    }
}

fn time(seconds: u64) -> Time {
    Time::GeneralTime(GeneralizedTime::from_unix_duration(Duration::from_secs(seconds)).unwrap())
}

pub(crate) fn oid(text: &str) -> ObjectIdentifier {
    ObjectIdentifier::new(text).unwrap()
}

pub(crate) fn extension<T: Encode + AssociatedOid>(critical: bool, value: &T) -> Extension {
    Extension {
        extn_id: T::OID,
        critical,
        extn_value: OctetString::new(value.to_der().unwrap()).unwrap(),
    }
}

/// A subject alternative name with TPM attributes in one directory name.
pub(crate) fn tpm_name(attributes: &[(&str, &str)]) -> Extension {
    let rdns = attributes.iter().map(|(kind, value)| {
        let attribute = AttributeTypeAndValue {
            oid: oid(kind),
            value: Any::encode_from(&Utf8StringRef::new(value).unwrap()).unwrap(),
        };
        RelativeDistinguishedName(SetOfVec::try_from(vec![attribute]).unwrap())
    });
    let name = GeneralName::DirectoryName(RdnSequence(rdns.collect()));
    extension(true, &SubjectAltName(vec![name]))
}

/// An attribute set without one attribute.
pub(crate) fn without(attributes: u32, removed: ObjectAttributes) -> u32 {
    attributes & !removed.bits()
}
