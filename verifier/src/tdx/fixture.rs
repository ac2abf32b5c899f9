//! An Intel in software: root, platform certificates, collateral, and quotes signed under them.
#![allow(clippy::unwrap_used, clippy::cast_possible_truncation)]

use std::{str::FromStr, time::Duration};

use const_oid::{AssociatedOid as _, ObjectIdentifier, db::rfc5912::ECDSA_WITH_SHA_256};
use der::{
    Encode as _,
    asn1::{BitString, GeneralizedTime, OctetString},
};
use serde_json::json;
use sha2::{Digest as _, Sha256};
use spki::AlgorithmIdentifierOwned;
use x509_cert::{
    Version,
    crl::{CertificateList, RevokedCert, TbsCertList},
    ext::{
        Extension,
        pkix::{BasicConstraints, KeyUsage, KeyUsages},
    },
    name::Name,
    serial_number::SerialNumber,
    time::Time,
};

use super::{Facts, Policy, Reject, authenticate_under};
use crate::policy;
use crate::tpm::fixture::{CertificateBody, SoftKey, extension};

/// The time evidence is made for: 2027-01-15T08:00:00Z.
pub(crate) const NOW: u64 = crate::tpm::fixture::NOW;
/// What the fixture's guest chose.
pub(crate) const REPORT_DATA: [u8; 64] = [0x5a; 64];
const ROOT: &str = "CN=Root";
const PLATFORM_CA: &str = "CN=Platform CA";
const QE_VENDOR: [u8; 16] = [
    0x93, 0x9a, 0x72, 0x33, 0xf7, 0x9c, 0x4c, 0xa9, 0x94, 0x0a, 0x0d, 0xb3, 0x95, 0x7f, 0x06, 0x07,
];
const FMSPC: [u8; 6] = [0xb0, 0xc0, 0x6f, 0, 0, 0];
const QE_SIGNER: [u8; 32] = [0xdc; 32];

/// Who signs what.
struct Keys {
    root: SoftKey,
    platform_ca: SoftKey,
    pck: SoftKey,
    collateral: SoftKey,
    attestation: SoftKey,
}

fn keys() -> Keys {
    Keys {
        root: SoftKey::node(50),
        platform_ca: SoftKey::node(51),
        pck: SoftKey::node(52),
        collateral: SoftKey::node(53),
        attestation: SoftKey::node(54),
    }
}

/// A guest, its platform and Intel's collateral; tests change one field.
#[derive(Clone)]
pub(crate) struct World {
    /// Quote version: 4 with a TDX 1.0 body, 5 with a 1.5 body, or 5 with its extended form.
    pub(crate) format: Format,
    pub(crate) attributes: u64,
    pub(crate) tee_tcb_svn: [u8; 16],
    /// Of the module that runs now; TDX 1.5 only.
    pub(crate) current_tee_tcb_svn: [u8; 16],
    pub(crate) seam_signer: [u8; 48],
    pub(crate) service_td: [u8; 48],
    pub(crate) current_service_td: [u8; 48],
    pub(crate) partition: u8,
    pub(crate) report_data: [u8; 64],
    pub(crate) qe_vendor: [u8; 16],
    pub(crate) qe_svn: u16,
    pub(crate) qe_product: u16,
    /// The platform's first TCB component.
    pub(crate) cpu_svn: u8,
    /// Dynamic platform, cached keys, multithreading; `None` for a single-package platform.
    pub(crate) flags: Option<[bool; 3]>,
    /// TCB levels: first components asked for of processor and module, status, advisories.
    pub(crate) levels: Vec<(u8, u8, &'static str, Vec<&'static str>)>,
    pub(crate) qe_status: &'static str,
    pub(crate) tcb_fmspc: [u8; 6],
    pub(crate) collateral_until: u64,
    pub(crate) crl_until: u64,
    /// Whether the platform's certificate, and its CA's, is revoked.
    pub(crate) revoked: [bool; 2],
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    V4,
    V5,
    V5Extended,
}

impl Default for World {
    fn default() -> Self {
        let mut tee_tcb_svn = [0; 16];
        tee_tcb_svn[0] = 5;
        Self {
            format: Format::V4,
            attributes: 1 << 28,
            tee_tcb_svn,
            current_tee_tcb_svn: tee_tcb_svn,
            seam_signer: [0; 48],
            service_td: [0; 48],
            current_service_td: [0; 48],
            partition: 0,
            report_data: REPORT_DATA,
            qe_vendor: QE_VENDOR,
            qe_svn: 8,
            qe_product: 2,
            cpu_svn: 9,
            flags: Some([false; 3]),
            levels: vec![
                (9, 5, "UpToDate", vec![]),
                (7, 4, "OutOfDate", vec!["INTEL-SA-00001"]),
                (3, 3, "Revoked", vec![]),
            ],
            qe_status: "UpToDate",
            tcb_fmspc: FMSPC,
            collateral_until: NOW + 500,
            // Of the two dates only this one is past the end at its own second.
            crl_until: NOW + 600,
            revoked: [false; 2],
        }
    }
}

impl World {
    pub(crate) fn root() -> Vec<u8> {
        let root = keys().root;
        authority(ROOT, &root, None).issue(ROOT, &root)
    }

    fn platform_ca() -> Vec<u8> {
        let keys = keys();
        authority(PLATFORM_CA, &keys.platform_ca, Some(0)).issue(ROOT, &keys.root)
    }

    fn pck(&self) -> Vec<u8> {
        let keys = keys();
        let mut body = end_entity("CN=PCK", &keys.pck);
        body.extensions.push(Extension {
            extn_id: ObjectIdentifier::new_unwrap("1.2.840.113741.1.13.1"),
            critical: false,
            extn_value: OctetString::new(self.pck_extension()).unwrap(),
        });
        body.issue(PLATFORM_CA, &keys.platform_ca)
    }

    /// Intel's extension of a PCK certificate (SGX PCK certificate specification, section 1.3.5).
    fn pck_extension(&self) -> Vec<u8> {
        let mut components = [0; 16];
        components[0] = self.cpu_svn;
        let mut tcb: Vec<_> = (1..=16)
            .map(|i| entry(&[2, i], tlv(0x02, &[components[usize::from(i) - 1]])))
            .collect();
        tcb.push(entry(&[2, 17], tlv(0x02, &[13])));
        tcb.push(entry(&[2, 18], tlv(0x04, &components)));
        let mut entries = vec![
            entry(&[1], tlv(0x04, &[0xaa; 16])),
            entry(&[2], tlv(0x30, &tcb.concat())),
            entry(&[3], tlv(0x04, &[0, 0])),
            entry(&[4], tlv(0x04, &FMSPC)),
            entry(&[5], tlv(0x0a, &[u8::from(self.flags.is_some())])),
        ];
        if let Some(flags) = self.flags {
            let flags: Vec<_> = (1..)
                .zip(flags)
                .map(|(i, flag)| entry(&[7, i], tlv(0x01, &[if flag { 0xff } else { 0 }])))
                .collect();
            entries.push(entry(&[6], tlv(0x04, &[0xbb; 16])));
            entries.push(entry(&[7], tlv(0x30, &flags.concat())));
        }
        tlv(0x30, &entries.concat())
    }

    fn body(&self) -> Vec<u8> {
        let mut body = [
            &self.tee_tcb_svn[..],
            &[4; 48],
            &self.seam_signer,
            &[0; 8],
            &self.attributes.to_le_bytes(),
            &0xe7u64.to_le_bytes(),
            &[5; 48],
            &[0; 3 * 48],
            &[6; 4 * 48],
            &self.report_data,
        ]
        .concat();
        if self.format != Format::V4 {
            body.extend(self.current_tee_tcb_svn);
            body.extend(self.service_td);
        }
        if self.format == Format::V5Extended {
            body.push(self.partition);
            body.extend([0; 32 + 48 + 48 + 8 + 16 + 16 + 12]);
            body.extend(self.current_service_td);
            body.extend([0; 8]);
        }
        body
    }

    pub(crate) fn quote(&self) -> Vec<u8> {
        let keys = keys();
        let body = self.body();
        let (version, kind) = match self.format {
            Format::V4 => (4u16, None),
            Format::V5 => (5, Some(3u16)),
            Format::V5Extended => (5, Some(4)),
        };
        let mut quote = [
            &version.to_le_bytes()[..],
            &[2, 0, 0x81, 0, 0, 0, 0, 0, 0, 0],
        ]
        .concat();
        quote.extend(self.qe_vendor);
        quote.extend([0; 20]);
        if let Some(kind) = kind {
            quote.extend(kind.to_le_bytes());
            quote.extend((body.len() as u32).to_le_bytes());
        }
        quote.extend(&body);

        let (attestation, qe_data) = (keys.attestation.xy(), [7; 32]);
        let bound = Sha256::new_with_prefix(attestation).chain_update(qe_data);
        let qe_report = [
            &[0; 16][..],
            &[0; 4 + 28],
            &[0x11],
            &[0; 15],
            &[9; 32],
            &[0; 32],
            &QE_SIGNER,
            &[0; 96],
            &self.qe_product.to_le_bytes(),
            &self.qe_svn.to_le_bytes(),
            &[0; 60],
            &bound.finalize(),
            &[0; 32],
        ]
        .concat();
        let chain = [self.pck(), Self::platform_ca(), Self::root()]
            .map(|der| pem(&der))
            .concat();
        let enclave = [
            &qe_report[..],
            &keys.pck.sign(&qe_report),
            &32u16.to_le_bytes(),
            &qe_data,
            &5u16.to_le_bytes(),
            &sized(chain.as_bytes()),
        ]
        .concat();
        let data = [
            &keys.attestation.sign(&quote)[..],
            &attestation,
            &6u16.to_le_bytes(),
            &sized(&enclave),
        ]
        .concat();
        quote.extend(sized(&data));
        quote
    }

    pub(crate) fn collateral(&self) -> Vec<u8> {
        let keys = keys();
        let signer = end_entity("CN=TCB Signing", &keys.collateral).issue(ROOT, &keys.root);
        let chain = [pem(&signer), pem(&Self::root())].concat();
        let components = |first: u8| -> Vec<_> {
            (0..16)
                .map(|i| json!({"svn": if i == 0 { first } else { 0 }}))
                .collect()
        };
        let levels: Vec<_> = self
            .levels
            .iter()
            .map(|(svn, module, status, advisories)| {
                json!({
                    "tcb": {
                        "sgxtcbcomponents": components(*svn),
                        "pcesvn": 13,
                        "tdxtcbcomponents": components(*module),
                    },
                    "tcbDate": time_text(NOW - 1_000),
                    "tcbStatus": status,
                    "advisoryIDs": advisories,
                })
            })
            .collect();
        let tcb_info = json!({
            "id": "TDX", "version": 3,
            "issueDate": time_text(NOW - 100), "nextUpdate": time_text(self.collateral_until),
            "fmspc": hex::encode(self.tcb_fmspc), "pceId": "0000", "tcbType": 0,
            "tcbEvaluationDataNumber": 17,
            "tdxModule": {
                "mrsigner": "00".repeat(48),
                "attributes": "0000000000000000", "attributesMask": "FFFFFFFFFFFFFFFF",
            },
            "tcbLevels": levels,
        })
        .to_string();
        let qe_identity = json!({
            "id": "TD_QE", "version": 2,
            "issueDate": time_text(NOW - 100), "nextUpdate": time_text(self.collateral_until),
            "tcbEvaluationDataNumber": 17,
            "miscselect": "00000000", "miscselectMask": "FFFFFFFF",
            "attributes": "11000000000000000000000000000000",
            "attributesMask": "FBFFFFFFFFFFFFFF0000000000000000",
            "mrsigner": hex::encode(QE_SIGNER), "isvprodid": 2,
            "tcbLevels": [{
                "tcb": {"isvsvn": 8}, "tcbDate": time_text(NOW - 1_000), "tcbStatus": self.qe_status,
            }],
        })
        .to_string();
        let [pck_revoked, ca_revoked] = self.revoked;
        let crl_chain = [pem(&Self::platform_ca()), pem(&Self::root())].concat();
        serde_json::to_vec(&json!({
            "pck_crl_issuer_chain": crl_chain,
            "root_ca_crl": hex::encode(self.crl(ROOT, &keys.root, ca_revoked)),
            "pck_crl": hex::encode(self.crl(PLATFORM_CA, &keys.platform_ca, pck_revoked)),
            "tcb_info_issuer_chain": chain,
            "tcb_info_signature": hex::encode(keys.collateral.sign(tcb_info.as_bytes())),
            "tcb_info": tcb_info,
            "qe_identity_issuer_chain": chain,
            "qe_identity_signature": hex::encode(keys.collateral.sign(qe_identity.as_bytes())),
            "qe_identity": qe_identity,
        }))
        .unwrap()
    }

    /// A revocation list; every certificate of the fixture has the serial number 1.
    fn crl(&self, issuer: &str, key: &SoftKey, revoked: bool) -> Vec<u8> {
        let signature = AlgorithmIdentifierOwned {
            oid: ECDSA_WITH_SHA_256,
            parameters: None,
        };
        let revoked = RevokedCert {
            serial_number: SerialNumber::new(&[if revoked { 1 } else { 99 }]).unwrap(),
            revocation_date: time(NOW - 50),
            crl_entry_extensions: None,
        };
        let number = Extension {
            extn_id: ObjectIdentifier::new_unwrap("2.5.29.20"),
            critical: false,
            extn_value: OctetString::new(tlv(0x02, &[1])).unwrap(),
        };
        let tbs = TbsCertList {
            version: Version::V2,
            signature: signature.clone(),
            issuer: Name::from_str(issuer).unwrap(),
            this_update: time(NOW - 100),
            next_update: Some(time(self.crl_until)),
            revoked_certificates: Some(vec![revoked]),
            crl_extensions: Some(vec![number]),
        };
        let signed = key.sign(&tbs.to_der().unwrap());
        let signed = p256::ecdsa::Signature::from_slice(&signed)
            .unwrap()
            .to_der();
        CertificateList {
            tbs_cert_list: tbs,
            signature_algorithm: signature,
            signature: BitString::from_bytes(signed.as_bytes()).unwrap(),
        }
        .to_der()
        .unwrap()
    }

    /// Authenticity of the whole, under the fixture's root.
    pub(crate) fn authenticate(&self) -> Result<Facts, Reject> {
        authenticate_under_test_root(&self.quote(), &self.collateral(), NOW)
    }
}

pub(crate) fn authenticate_under_test_root(
    quote: &[u8],
    collateral: &[u8],
    now: u64,
) -> Result<Facts, Reject> {
    authenticate_under(&World::root(), quote, collateral, now)
}

fn authority(subject: &str, key: &SoftKey, path_len: Option<u8>) -> CertificateBody {
    let usage = KeyUsage(KeyUsages::KeyCertSign | KeyUsages::CRLSign);
    CertificateBody::ca(subject, key, path_len).with(extension(true, &usage))
}

fn end_entity(subject: &str, key: &SoftKey) -> CertificateBody {
    let none = BasicConstraints {
        ca: false,
        path_len_constraint: None,
    };
    let mut body = CertificateBody::ca(subject, key, None);
    body.extensions
        .retain(|e| e.extn_id != BasicConstraints::OID);
    body.with(extension(true, &none)).with(extension(
        true,
        &KeyUsage(KeyUsages::DigitalSignature.into()),
    ))
}

/// One entry of Intel's extension: its number under 1.2.840.113741.1.13.1, and its value.
fn entry(number: &[u8], value: Vec<u8>) -> Vec<u8> {
    let arc = [
        &[0x2a, 0x86, 0x48, 0x86, 0xf8, 0x4d, 0x01, 0x0d, 0x01][..],
        number,
    ]
    .concat();
    tlv(0x30, &[tlv(0x06, &arc), value].concat())
}

fn tlv(tag: u8, value: &[u8]) -> Vec<u8> {
    let length = match value.len() {
        short @ 0..0x80 => vec![short as u8],
        long => [&[0x82][..], &(long as u16).to_be_bytes()].concat(),
    };
    // DER has no long form of a length that fits into one byte.
    let length = match value.len() {
        middle @ 0x80..0x100 => vec![0x81, middle as u8],
        _ => length,
    };
    [&[tag][..], &length, value].concat()
}

fn pem(der: &[u8]) -> String {
    der::pem::encode_string("CERTIFICATE", der::pem::LineEnding::LF, der).unwrap()
}

fn sized(bytes: &[u8]) -> Vec<u8> {
    [&(bytes.len() as u32).to_le_bytes()[..], bytes].concat()
}

fn time(seconds: u64) -> Time {
    Time::GeneralTime(GeneralizedTime::from_unix_duration(Duration::from_secs(seconds)).unwrap())
}

fn time_text(seconds: u64) -> String {
    der::DateTime::from_unix_duration(Duration::from_secs(seconds))
        .unwrap()
        .to_string()
}

/// A section `[tdx]`, read as part of a whole policy.
pub(crate) fn parse(section: &str) -> Result<Policy, policy::PolicyError> {
    let text = format!("pcrs = [0]\nslow_after = 1\n[tdx]\n{section}");
    Ok(policy::Policy::parse(&text)?.tdx.unwrap())
}
