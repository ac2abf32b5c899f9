//! An AMD in software: root, intermediate and endorsement keys, their certificates, and reports signed with them.
#![allow(clippy::unwrap_used, clippy::cast_possible_truncation)]

use std::{str::FromStr, time::Duration};

use alloy_primitives::B256;
use const_oid::{AssociatedOid as _, ObjectIdentifier, db::rfc5912::ID_RSASSA_PSS};
use der::{
    Any, Decode as _, Encode as _,
    asn1::{BitString, GeneralizedTime, Ia5StringRef, OctetString},
};
use p384::ecdsa::{Signature, SigningKey, signature::hazmat::PrehashSigner as _};
use rand::{SeedableRng as _, rngs::StdRng};
use rsa::{BigUint, Pss, RsaPrivateKey};
use sha2::{Digest as _, Sha256, Sha384};
use spki::{AlgorithmIdentifierOwned, SubjectPublicKeyInfoOwned};
use x509_cert::{
    TbsCertificate, Version,
    ext::{
        Extension,
        pkix::{BasicConstraints, KeyUsage, KeyUsages},
    },
    name::Name,
    serial_number::SerialNumber,
    time::{Time, Validity},
};

use super::{
    Authority, EndorsementKey, Evidence, Facts, KeyKind, Policy, Product, REPORT_BYTES, Reject,
    SIGNED_BYTES, TrustAnchors, authenticate,
};
use crate::policy;
use crate::tpm::{PublicKey, fixture::extension, wire::EccCurve};

/// The time certificates are made for, Unix seconds.
pub(crate) const NOW: u64 = 1_800_000_000;
/// What the fixture's guest chose.
pub(crate) const REPORT_DATA: [u8; 64] = [0x5a; 64];

/// Random primes of no use but for tests: two for the root's key, two for the intermediate's.
const PRIMES: [&str; 4] = [
    "cc49612216e0df03ba79b02e7d9cae278a6a50e29301ad4b8b7d5133015aa68abe716bb3e094e0bf724c5477b61dc92b\
     0192f9dd71eaa593c157beccfb68d00332b2bcfad0ff5f7a91a899ecd97d7d04842af3a28e72abf8610e20ea6a96ba32\
     6b4de735407fb0841a9bbab1a63db6154cbd25bb93c9029e3dc40c47ce948073",
    "c534c9bd1ad5a2b63632572e6910cc70f56a8295294f6dc9f85a9bafd59dad83e2bad0b8d7cf36a2309554b06193542f\
     c7451b11a2daffd34b601c96a7cb5ae5713e578cd8f62769144b6b7f966b72caf072f0de8c51e7d0547684984f1c7fb6\
     66b6e5fc5a9156c4e45fec6159df86fce2d8679baa2819e51042d452c382dfab",
    "fdfb699e86a7f4155d13b2a015e61acf47a3b4abe8a6d4421d67b6667d89a02c5d39c9b3f76e323cffbf81be276281d4\
     b3b495993eae028a0ceb7d4dfd06d41dff8ef3a21af115c07feaa59e7758eb4a0d15dbe33c97e67e08d0d39ba2c24cf3\
     51a657166eff06548e15102a291e39b56cb65f637083a10d5db1373d3acbbf57",
    "ce1121637cbda949512a9a1d3c2ff221cdfbdad4987e92461b32d5495cedcaae47548f768541b83a89ad02a3e5d1aae5\
     473a1b2492b14bb344866ec3bf0cb951aa0a0bacecadd87f0f84a8abba50c5b73abcd7595223298fd08e2887cf5c81dc\
     65cdcadbc8c6ff58cbaa1d84db53a61643a9063c1839d4f50d8b8fcfccbf8b1d",
];

/// A test root's key and a test intermediate's: made once, because making RSA keys takes seconds.
fn rsa_key(index: usize) -> RsaPrivateKey {
    let [p, q] =
        [0, 1].map(|i| BigUint::from_bytes_be(&hex::decode(PRIMES[2 * index + i]).unwrap()));
    RsaPrivateKey::from_p_q(p, q, 65_537u32.into()).unwrap()
}

/// A certificate to be issued; tests damage one field at a time.
#[derive(Clone)]
pub(crate) struct Body {
    pub(crate) subject: String,
    pub(crate) issuer: String,
    key: PublicKey,
    pub(crate) not_before: u64,
    pub(crate) not_after: u64,
    pub(crate) extensions: Vec<Extension>,
    /// RSASSA-PSS-params in DER.
    pub(crate) parameters: Vec<u8>,
    signer: RsaPrivateKey,
}

impl Body {
    fn new(subject: &str, issuer: &str, key: PublicKey, signer: RsaPrivateKey) -> Self {
        Self {
            subject: name(subject),
            issuer: name(issuer),
            key,
            not_before: NOW - 1_000,
            not_after: NOW + 1_000,
            extensions: vec![],
            parameters: parameters(true),
            signer,
        }
    }

    pub(crate) fn der(&self) -> Vec<u8> {
        let algorithm = AlgorithmIdentifierOwned {
            oid: ID_RSASSA_PSS,
            parameters: Some(Any::from_der(&self.parameters).unwrap()),
        };
        let time = |seconds| {
            let duration = Duration::from_secs(seconds);
            Time::GeneralTime(GeneralizedTime::from_unix_duration(duration).unwrap())
        };
        let spki = self.key.to_spki_der().unwrap();
        let tbs = TbsCertificate {
            version: Version::V3,
            serial_number: SerialNumber::new(&[1]).unwrap(),
            signature: algorithm.clone(),
            issuer: Name::from_str(&self.issuer).unwrap(),
            validity: Validity {
                not_before: time(self.not_before),
                not_after: time(self.not_after),
            },
            subject: Name::from_str(&self.subject).unwrap(),
            subject_public_key_info: SubjectPublicKeyInfoOwned::from_der(&spki).unwrap(),
            issuer_unique_id: None,
            subject_unique_id: None,
            extensions: Some(self.extensions.clone()),
        };
        let digest = Sha384::digest(tbs.to_der().unwrap());
        let padding = Pss::new_with_salt::<Sha384>(48);
        // The same certificate in every run, so that seeds of fuzzers stay as they are.
        let mut salt = StdRng::seed_from_u64(0);
        let signature = self
            .signer
            .sign_with_rng(&mut salt, padding, &digest)
            .unwrap();
        x509_cert::Certificate {
            tbs_certificate: tbs,
            signature_algorithm: algorithm,
            signature: BitString::from_bytes(&signature).unwrap(),
        }
        .to_der()
        .unwrap()
    }

    /// Puts one of AMD's extensions in, in place of another of the same number.
    pub(crate) fn with(&mut self, number: &str, value: Vec<u8>) {
        self.without(number);
        self.extensions.push(Extension {
            extn_id: amd(number),
            critical: false,
            extn_value: OctetString::new(value).unwrap(),
        });
    }

    pub(crate) fn without(&mut self, number: &str) {
        self.extensions.retain(|e| e.extn_id != amd(number));
    }

    /// Says of a certificate that it is a CA, or is none.
    pub(crate) fn constraints(&mut self, ca: bool, path_len_constraint: Option<u8>) {
        self.extensions
            .retain(|e| e.extn_id != BasicConstraints::OID);
        self.extensions.push(extension(
            true,
            &BasicConstraints {
                ca,
                path_len_constraint,
            },
        ));
    }
}

fn name(common: &str) -> String {
    format!("CN={common},O=Advanced Micro Devices,C=US")
}

fn amd(number: &str) -> ObjectIdentifier {
    ObjectIdentifier::new(&format!("1.3.6.1.4.1.3704.1.{number}")).unwrap()
}

/// SHA-384, MGF1 with SHA-384, 48 bytes of salt; with the trailer field spelt out or not.
pub(crate) fn parameters(trailer: bool) -> Vec<u8> {
    let sha384 = "300d06096086480165030402020500";
    let body = format!(
        "a00f{sha384}a11c301a06092a864886f70d010108{sha384}a203020130{}",
        if trailer { "a303020101" } else { "" }
    );
    let body = hex::decode(body).unwrap();
    [&[0x30, body.len() as u8][..], &body].concat()
}

/// DER of a small number.
pub(crate) fn number(value: u8) -> Vec<u8> {
    value.to_der().unwrap()
}

/// DER of an IA5String.
pub(crate) fn text(value: &str) -> Vec<u8> {
    Ia5StringRef::new(value).unwrap().to_der().unwrap()
}

/// A chip, its certificates and a report.
#[derive(Clone)]
pub(crate) struct World {
    pub(crate) ark: Body,
    pub(crate) ask: Body,
    pub(crate) vek: Body,
    pub(crate) anchors: TrustAnchors,
    pub(crate) product: Product,
    key: SigningKey,
    /// The unsigned report.
    pub(crate) report: [u8; REPORT_BYTES],
}

impl World {
    /// A world whose evidence is acceptable to [`World::policy`].
    pub(crate) fn new(product: Product, kind: KeyKind) -> Self {
        let (ark_key, ask_key) = (rsa_key(0), rsa_key(1));
        let key = SigningKey::from_slice(&[7; 48]).unwrap();
        let (ark_name, ask_name, vek_name) = match kind {
            KeyKind::Vcek => (
                format!("ARK-{product}"),
                format!("SEV-{product}"),
                "SEV-VCEK",
            ),
            KeyKind::Vlek => (
                format!("ARK-{product}"),
                format!("SEV-VLEK-{product}"),
                "SEV-VLEK",
            ),
        };
        let [ark_public, ask_public] =
            [&ark_key, &ask_key].map(|key| PublicKey::Rsa(key.to_public_key()));
        let pinned = Sha256::digest(ark_public.to_spki_der().unwrap());
        let usage = extension(true, &KeyUsage(KeyUsages::KeyCertSign.into()));

        let mut ark = Body::new(&ark_name, &ark_name, ark_public, ark_key.clone());
        ark.constraints(true, None);
        ark.extensions.push(usage.clone());
        let mut ask = Body::new(&ask_name, &ark_name, ask_public, ark_key);
        ask.constraints(true, Some(0));
        ask.extensions.push(usage);

        let point = key.verifying_key().to_encoded_point(false);
        let public = PublicKey::Ecc {
            curve: EccCurve::P384,
            point: point.as_bytes().to_vec(),
        };
        let mut vek = Body::new(vek_name, &ask_name, public, ask_key);
        vek.with("1", number(1));
        vek.with("2", text(product.name()));
        for (oid, value) in [("3.1", 4), ("3.2", 1), ("3.3", 24), ("3.8", 219)] {
            vek.with(oid, number(value));
        }
        for oid in ["3.5", "3.6", "3.7"] {
            vek.with(oid, number(0));
        }
        if product == Product::Turin {
            vek.with("3.9", number(2));
        } else {
            vek.with("3.4", number(0));
        }
        match kind {
            KeyKind::Vcek => vek.with("4", vec![0xc1; product.chip_id_len()]),
            KeyKind::Vlek => vek.with("5", text("cloud.example")),
        }
        Self {
            ark,
            ask,
            vek,
            anchors: TrustAnchors::new([(product, B256::from_slice(&pinned))]),
            product,
            key,
            report: report(product, kind),
        }
    }

    /// A world of Milan with a VCEK.
    pub(crate) fn milan() -> Self {
        Self::new(Product::Milan, KeyKind::Vcek)
    }

    pub(crate) fn chain(&self) -> [Vec<u8>; 2] {
        [self.ask.der(), self.ark.der()]
    }

    /// The report, signed.
    pub(crate) fn signed(&self) -> Vec<u8> {
        let mut report = self.report.to_vec();
        let digest = Sha384::digest(&report[..SIGNED_BYTES]);
        let signature: Signature = self.key.sign_prehash(&digest).unwrap();
        write_signature(&mut report, &signature);
        report
    }

    pub(crate) fn authority(&self) -> Result<Authority, Reject> {
        Authority::verify(&self.chain(), &self.anchors)
    }

    pub(crate) fn endorsement(&self) -> Result<EndorsementKey, Reject> {
        self.authority()?.endorse(&self.vek.der(), NOW)
    }

    pub(crate) fn facts(&self) -> Result<Facts, Reject> {
        let evidence = Evidence {
            report: &self.signed(),
            chain: &self.chain(),
            endorsement: &self.vek.der(),
        };
        authenticate(&evidence, &self.anchors, NOW)
    }

    /// Authentic, and acceptable to `policy`.
    pub(crate) fn judge(&self, policy: &str) -> Result<(), Reject> {
        let policy = parse(policy).unwrap();
        super::appraise(&self.facts()?, Some(&policy), Some(&REPORT_DATA.into()))
    }

    /// The strictest policy that takes the report as it is made.
    pub(crate) fn policy(&self) -> String {
        let fmc = match self.product {
            Product::Turin => "fmc = 2, ",
            Product::Milan | Product::Genoa => "",
        };
        format!(
            "measurements = [\"{}\"]\nvlek_providers = [\"cloud.example\"]\nminimum_guest_svn = 3\n\
             minimum_policy_abi = [1, 55]\nminimum_firmware = {{ major = 1, minor = 55, build = 9 }}\n\
             EXTRA\n[snp.products.{}]\nminimum_tcb = {{ {fmc}bootloader = 4, tee = 1, snp = 24, microcode = 219 }}\n",
            hex::encode([0x33; 48]),
            self.product.name().to_lowercase(),
        )
    }

    pub(crate) fn set(&mut self, at: usize, bytes: &[u8]) -> &mut Self {
        self.report[at..at + bytes.len()].copy_from_slice(bytes);
        self
    }
}

/// A section `[snp]`, read as part of a whole policy.
pub(crate) fn parse(section: &str) -> Result<Policy, policy::PolicyError> {
    let text = format!("pcrs = [0]\nslow_after = 1\n[snp]\n{section}");
    Ok(policy::Policy::parse(&text)?.snp.unwrap())
}

/// r and s as the report carries them: 72 bytes each, little-endian.
pub(crate) fn write_signature(report: &mut [u8], signature: &Signature) {
    let (r, s) = signature.split_bytes();
    for (at, scalar) in [(SIGNED_BYTES, r), (SIGNED_BYTES + 72, s)] {
        for (to, from) in report[at..at + 48].iter_mut().zip(scalar.iter().rev()) {
            *to = *from;
        }
    }
}

/// The TCB the certificates above are for.
pub(crate) fn tcb(product: Product) -> [u8; 8] {
    match product {
        Product::Milan | Product::Genoa => [4, 1, 0, 0, 0, 0, 24, 219],
        Product::Turin => [2, 4, 1, 24, 0, 0, 0, 219],
    }
}

/// A report of version 2 (Milan), 3 (Genoa) or 5 (Turin) with every field set.
fn report(product: Product, kind: KeyKind) -> [u8; REPORT_BYTES] {
    let mut report = [0; REPORT_BYTES];
    let mut set = |at: usize, bytes: &[u8]| report[at..at + bytes.len()].copy_from_slice(bytes);
    let (version, cpuid): (u8, Option<[u8; 3]>) = match product {
        Product::Milan => (2, None),
        Product::Genoa => (3, Some([0x19, 0x11, 1])),
        Product::Turin => (5, Some([0x1a, 0x02, 1])),
    };
    set(0x00, &[version]);
    set(0x04, &[3]);
    // One socket, ABI 1.55.
    set(0x08, &0x0012_0137u64.to_le_bytes());
    set(0x34, &[1]);
    for at in [0x38, 0x180, 0x1e0, 0x1f0] {
        set(at, &tcb(product));
    }
    set(0x48, &[if kind == KeyKind::Vlek { 1 << 2 } else { 0 }]);
    set(0x50, &REPORT_DATA);
    set(0x90, &[0x33; 48]);
    set(0x140, &[0x44; 32]);
    set(0x160, &[0xff; 32]);
    if let Some(cpuid) = cpuid {
        set(0x188, &cpuid);
    }
    if kind == KeyKind::Vcek {
        set(0x1a0, &vec![0xc1; product.chip_id_len()]);
    }
    for at in [0x1e8, 0x1ec] {
        set(at, &[9, 55, 1]);
    }
    if version == 5 {
        set(0x1f8, &[3]);
        set(0x200, &[7]);
    }
    report
}
