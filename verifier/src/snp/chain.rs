//! The endorsement key's certificate: from AMD's pinned root to the chip or the cloud provider.
//!
//! ```text
//! ARK (pinned key) ─ ASK  ─ VCEK   of one chip at one TCB
//!                  └ ASVK ─ VLEK   of one provider at one TCB
//! ```
//!
//! All signatures are RSASSA-PSS with SHA-384, checked over the certificates' bytes as they came. AMD 57230 (KDS) and the
//! VLEK specification give the names and extensions.

use std::fmt;

use alloy_primitives::{B256, FixedBytes, b256};
use const_oid::{AssociatedOid as _, ObjectIdentifier};
use der::{
    Decode as _,
    asn1::{Ia5StringRef, OctetStringRef},
};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use x509_cert::ext::pkix::{BasicConstraints, KeyUsage};

use super::{Product, Reject, TcbVersion};
use crate::tpm::{self, Certificate, PublicKey, certificate::verify_pss_issued_by, wire::EccCurve};

/// AMD's extensions are numbered under this arc.
macro_rules! amd {
    ($rest:literal) => {
        ObjectIdentifier::new_unwrap(concat!("1.3.6.1.4.1.3704.1.", $rest))
    };
}
const STRUCTURE_VERSION: ObjectIdentifier = amd!("1");
const PRODUCT_NAME: ObjectIdentifier = amd!("2");
const BOOTLOADER: ObjectIdentifier = amd!("3.1");
const TEE: ObjectIdentifier = amd!("3.2");
const SNP: ObjectIdentifier = amd!("3.3");
const RESERVED: [ObjectIdentifier; 4] = [amd!("3.4"), amd!("3.5"), amd!("3.6"), amd!("3.7")];
const MICROCODE: ObjectIdentifier = amd!("3.8");
const FMC: ObjectIdentifier = amd!("3.9");
const HARDWARE_ID: ObjectIdentifier = amd!("4");
const PROVIDER_ID: ObjectIdentifier = amd!("5");

/// Critical extensions whose meaning is enforced here.
const UNDERSTOOD: [ObjectIdentifier; 2] = [BasicConstraints::OID, KeyUsage::OID];

/// Structure versions of VCEK and VLEK certificates that are understood here.
const MAX_STRUCTURE_VERSION: u8 = 1;

/// Whose key signs reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum KeyKind {
    /// Versioned chip endorsement key: derived from one chip's secret and its TCB.
    Vcek,
    /// Versioned loaded endorsement key: given by AMD to a cloud provider, who may load it into every chip.
    Vlek,
}

impl fmt::Display for KeyKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Vcek => "VCEK",
            Self::Vlek => "VLEK",
        })
    }
}

/// The root keys that may stand at the top of a chain.
#[derive(Clone, Debug)]
pub struct TrustAnchors(Vec<Anchor>);

#[derive(Clone, Debug)]
struct Anchor {
    product: Product,
    /// SHA-256 of its SubjectPublicKeyInfo.
    key: B256,
    /// SHA-256 of a certificate of this key which is known to be whole, so that its own signature tells nothing new.
    certificate: Option<B256>,
}

impl TrustAnchors {
    /// AMD's root keys (ARK) of Milan, Genoa and Turin, RSA-4096, as served by kdsintf.amd.com.
    pub fn amd() -> Self {
        let anchor = |product, key, certificate| Anchor {
            product,
            key,
            certificate: Some(certificate),
        };
        Self(vec![
            anchor(
                Product::Milan,
                b256!("9f056bee44377e29308cb5ffa895bdfb62d18881fa6bed8d6f075b0204089cb9"),
                b256!("69d063b45344d26a2e94e1f4210de49ef555308287d4c174445c95639a540bcd"),
            ),
            anchor(
                Product::Genoa,
                b256!("429a69c9422aa258ee4d8db5fcda9c6470ef15f8cd5a9cebd6cbc7d90b863831"),
                b256!("4c6598d19c18719c5dfd4a7d335f674e5bfe1d8f800cea2cf270c10d103db2f1"),
            ),
            anchor(
                Product::Turin,
                b256!("4f125410563a2ab9a50356f9243f6fe0b6f73de98603f53f90339c70e9d7ad08"),
                b256!("1f084161a44bb6d93778a904877d4819cafa5d05ef4193b2ded9dd9c73dd3f6a"),
            ),
        ])
    }

    /// Other root keys, by SHA-256 of their SubjectPublicKeyInfo: for tests, and for chips that are not AMD's.
    pub fn new(keys: impl IntoIterator<Item = (Product, B256)>) -> Self {
        let anchors = keys.into_iter().map(|(product, key)| Anchor {
            product,
            key,
            certificate: None,
        });
        Self(anchors.collect())
    }

    fn of(&self, key: B256) -> Option<&Anchor> {
        self.0.iter().find(|anchor| anchor.key == key)
    }
}

/// A verified pair of ARK and ASK (or ASVK).
///
/// Its signatures are checked once, by [`Authority::verify`]; whoever keeps one to judge many reports of a product line
/// saves most of the work. Validity depends on the time, and is checked at each [`Authority::endorse`].
#[derive(Clone, Debug)]
pub struct Authority {
    product: Product,
    kind: KeyKind,
    root: Certificate,
    intermediate: Certificate,
}

impl Authority {
    /// Checks a chain as the KDS serves it: ARK and ASK, or ARK and ASVK, in any order, each in DER.
    ///
    /// # Errors
    /// [`Reject::ChainLength`], [`Reject::UntrustedRoot`], [`Reject::CertificateName`], [`Reject::Certificate`].
    pub fn verify(chain: &[impl AsRef<[u8]>], anchors: &TrustAnchors) -> Result<Self, Reject> {
        let [first, second] = chain else {
            return Err(Reject::ChainLength(chain.len()));
        };
        let parse = |der: &[u8]| -> Result<(Certificate, B256), tpm::Reject> {
            let certificate = Certificate::from_der(der)?;
            let key = Sha256::digest(certificate.public_key()?.to_spki_der()?);
            Ok((certificate, B256::from_slice(&key)))
        };
        let [first, second] = [first, second].map(|der| {
            parse(der.as_ref()).map_err(|why| Reject::Certificate {
                role: "certificate of the chain",
                why,
            })
        });
        let (first, second) = (first?, second?);
        let (anchor, root, intermediate) = match (anchors.of(first.1), anchors.of(second.1)) {
            (Some(anchor), None) => (anchor, first.0, second.0),
            (None, Some(anchor)) => (anchor, second.0, first.0),
            _ => {
                return Err(Reject::UntrustedRoot(format!("{}, {}", first.1, second.1)));
            }
        };
        let product = anchor.product;
        check_name("ARK", &root, &[format!("ARK-{product}")])?;
        // The key is pinned; the signature is for the rest of a certificate that is not, such as its validity.
        if anchor.certificate != Some(root.fingerprint().into()) {
            in_role("ARK", verify_pss_issued_by(&root, &root))?;
        }
        check_authority("ARK", &root, 1)?;

        let names = [format!("SEV-{product}"), format!("SEV-VLEK-{product}")];
        let found = check_name("ASK", &intermediate, &names)?;
        let kind = if found == 0 {
            KeyKind::Vcek
        } else {
            KeyKind::Vlek
        };
        check_issued("ASK", &intermediate, &root)?;
        check_authority("ASK", &intermediate, 0)?;
        Ok(Self {
            product,
            kind,
            root,
            intermediate,
        })
    }

    /// The product line of the root.
    pub fn product(&self) -> Product {
        self.product
    }

    /// Checks an endorsement key's certificate at `now`, Unix seconds.
    ///
    /// # Errors
    /// [`Reject::Certificate`] for signature, validity and form; [`Reject::CertificateName`], [`Reject::Extension`],
    /// [`Reject::ProductMismatch`].
    pub fn endorse(&self, der: &[u8], now: u64) -> Result<EndorsementKey, Reject> {
        let role = match self.kind {
            KeyKind::Vcek => "VCEK",
            KeyKind::Vlek => "VLEK",
        };
        let certificate = in_role(role, Certificate::from_der(der))?;
        check_name(role, &certificate, &[format!("SEV-{}", self.kind)])?;
        check_issued(role, &certificate, &self.intermediate)?;
        if in_role(role, certificate.is_ca())? {
            return Err(Reject::Extension("it is a certificate authority"));
        }
        for (role, certificate) in [
            ("ARK", &self.root),
            ("ASK", &self.intermediate),
            (role, &certificate),
        ] {
            in_role(role, certificate.check_in_use(now, &UNDERSTOOD))?;
        }
        let key = match in_role(role, certificate.public_key())? {
            PublicKey::Ecc {
                curve: EccCurve::P384,
                point,
            } => point,
            _ => return Err(Reject::Extension("its key is not on P-384")),
        };
        let claims = Claims::of(&certificate, self.product, self.kind)?;
        Ok(EndorsementKey {
            product: self.product,
            kind: self.kind,
            chip_id: claims.chip_id,
            provider: claims.provider,
            tcb: claims.tcb,
            certificates: [&certificate, &self.intermediate, &self.root]
                .map(|certificate| certificate.fingerprint().into()),
            key,
        })
    }
}

/// What the extensions of an endorsement key's certificate say; who says it, [`Authority::endorse`] checks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Claims {
    /// The chip, padded with zeros; a VCEK's only.
    pub chip_id: Option<FixedBytes<64>>,
    /// The cloud provider; a VLEK's only.
    pub provider: Option<String>,
    /// TCB the key is derived from or was given for.
    pub tcb: TcbVersion,
}

impl Claims {
    /// Reads them from a certificate in DER that nobody vouches for.
    ///
    /// # Errors
    /// [`Reject::Certificate`], [`Reject::Extension`], [`Reject::ProductMismatch`].
    pub fn from_der(der: &[u8], product: Product, kind: KeyKind) -> Result<Self, Reject> {
        let certificate = in_role("endorsement key", Certificate::from_der(der))?;
        Self::of(&certificate, product, kind)
    }

    fn of(certificate: &Certificate, product: Product, kind: KeyKind) -> Result<Self, Reject> {
        let extensions = Extensions(certificate);
        let (chip_id, provider) = extensions.holder(product, kind)?;
        Ok(Self {
            chip_id,
            provider,
            tcb: extensions.tcb(product)?,
        })
    }
}

/// A key that AMD certified to sign reports.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct EndorsementKey {
    /// The product line.
    pub product: Product,
    /// Whose it is.
    pub kind: KeyKind,
    /// The chip, padded with zeros; a VCEK's only.
    pub chip_id: Option<FixedBytes<64>>,
    /// The cloud provider; a VLEK's only.
    pub provider: Option<String>,
    /// TCB it is derived from or was given for.
    pub tcb: TcbVersion,
    /// SHA-256 of the certificates it was verified with: its own, its issuer's, the root's.
    pub certificates: [B256; 3],
    /// Uncompressed SEC 1.
    #[serde(skip)]
    key: Vec<u8>,
}

impl EndorsementKey {
    /// The key itself: its point on P-384, uncompressed SEC 1.
    pub fn point(&self) -> &[u8] {
        &self.key
    }
}

fn in_role<T>(role: &'static str, result: Result<T, tpm::Reject>) -> Result<T, Reject> {
    result.map_err(|why| Reject::Certificate { role, why })
}

/// Which of the `expected` common names a certificate has.
fn check_name(
    role: &'static str,
    certificate: &Certificate,
    expected: &[String],
) -> Result<usize, Reject> {
    let name = certificate.common_name().unwrap_or("none");
    expected
        .iter()
        .position(|expected| expected == name)
        .ok_or_else(|| Reject::CertificateName {
            role,
            expected: expected.join(" or "),
            found: name.to_owned(),
        })
}

fn check_issued(
    role: &'static str,
    certificate: &Certificate,
    issuer: &Certificate,
) -> Result<(), Reject> {
    if !certificate.names_issuer(issuer) {
        return in_role(
            role,
            Err(tpm::Reject::UntrustedIssuer {
                issuer: issuer.subject(),
            }),
        );
    }
    in_role(role, verify_pss_issued_by(certificate, issuer))
}

fn check_authority(role: &'static str, certificate: &Certificate, below: u8) -> Result<(), Reject> {
    if in_role(role, certificate.may_issue(below))? {
        Ok(())
    } else {
        in_role(
            role,
            Err(tpm::Reject::NotACertificateAuthority {
                subject: certificate.subject(),
            }),
        )
    }
}

/// AMD's own extensions of an endorsement key's certificate.
struct Extensions<'a>(&'a Certificate);

impl<'a> Extensions<'a> {
    fn bytes(&self, oid: ObjectIdentifier, missing: &'static str) -> Result<&'a [u8], Reject> {
        self.0
            .extension_bytes(oid)
            .ok_or(Reject::Extension(missing))
    }

    fn text(&self, oid: ObjectIdentifier, wrong: &'static str) -> Result<&'a str, Reject> {
        Ia5StringRef::from_der(self.bytes(oid, wrong)?)
            .map(|text| text.as_str())
            .map_err(|_| Reject::Extension(wrong))
    }

    fn number(&self, oid: ObjectIdentifier, wrong: &'static str) -> Result<u8, Reject> {
        u8::from_der(self.bytes(oid, wrong)?).map_err(|_| Reject::Extension(wrong))
    }

    /// Chip or provider, after the checks on what else the certificate says it is.
    #[allow(clippy::type_complexity)]
    fn holder(
        &self,
        product: Product,
        kind: KeyKind,
    ) -> Result<(Option<FixedBytes<64>>, Option<String>), Reject> {
        if self.number(STRUCTURE_VERSION, "no structVersion")? > MAX_STRUCTURE_VERSION {
            return Err(Reject::Extension("unknown structVersion"));
        }
        let name = self.text(PRODUCT_NAME, "no productName")?;
        if Product::from_certificate(name) != Some(product) {
            return Err(Reject::ProductMismatch {
                report: format!("`{name}` by its certificate"),
                certificate: product,
            });
        }
        let hardware_id = self.0.extension_bytes(HARDWARE_ID);
        let provider = self.0.extension_bytes(PROVIDER_ID);
        match (kind, hardware_id, provider) {
            (KeyKind::Vcek, Some(value), None) => Ok((Some(padded_chip_id(product, value)?), None)),
            (KeyKind::Vlek, None, Some(_)) => {
                let provider = self.text(PROVIDER_ID, "cspID is no text")?;
                Ok((None, Some(provider.to_owned())))
            }
            (KeyKind::Vcek, ..) => Err(Reject::Extension("a VCEK has a hwID and no cspID")),
            (KeyKind::Vlek, ..) => Err(Reject::Extension("a VLEK has a cspID and no hwID")),
        }
    }

    fn tcb(&self, product: Product) -> Result<TcbVersion, Reject> {
        for oid in RESERVED {
            if self.0.extension_bytes(oid).is_some()
                && self.number(oid, "a reserved SPL is no number")? != 0
            {
                return Err(Reject::Extension("a reserved SPL is not zero"));
            }
        }
        let fmc = match product {
            Product::Turin => Some(self.number(FMC, "no fmcSPL")?),
            Product::Milan | Product::Genoa if self.0.extension_bytes(FMC).is_some() => {
                return Err(Reject::Extension("an fmcSPL before Turin"));
            }
            Product::Milan | Product::Genoa => None,
        };
        Ok(TcbVersion {
            fmc,
            bootloader: self.number(BOOTLOADER, "no blSPL")?,
            tee: self.number(TEE, "no teeSPL")?,
            snp: self.number(SNP, "no snpSPL")?,
            microcode: self.number(MICROCODE, "no ucodeSPL")?,
        })
    }
}

/// AMD writes the id bare, where an extension should hold DER; an OCTET STRING is taken as well.
fn padded_chip_id(product: Product, value: &[u8]) -> Result<FixedBytes<64>, Reject> {
    let len = product.chip_id_len();
    let id = if value.len() == len {
        value
    } else {
        OctetStringRef::from_der(value)
            .map(|octets| octets.as_bytes())
            .map_err(|_| Reject::Extension("hwID has the wrong length"))?
    };
    if id.len() != len {
        return Err(Reject::Extension("hwID has the wrong length"));
    }
    let padded = FixedBytes::right_padding_from(id);
    if padded.is_zero() {
        return Err(Reject::Extension("hwID is zero"));
    }
    Ok(padded)
}
