//! The bytes of a quote: every one of them belongs to a field that is signed, or is refused.
//!
//! A quote nests four lengths, and ends in certificates as text. Verifiers commonly read what they need and pass over the
//! rest, so that surplus bytes, comments between certificates or an unused root can be changed at will. Here each length
//! must reach exactly to the end of what holds it, the text must be the one canonical spelling of its three
//! certificates, and the third must be Intel's root, byte for byte.
//!
//! What then protects each byte: header and body are signed by the attestation key; that key and the quoting enclave's
//! data are hashed into the enclave's report; that report is signed by the PCK certificate's key; its certificate and
//! issuer are signed, Intel's root is pinned; lengths and types have one value each.
//!
//! Intel, "TDX DCAP Quoting Library API", appendix A.3 (version 4) and A.4 (version 5).

use sha2::{Digest as _, Sha256};

use super::Reject;

/// No honest quote is longer: certificates take about 4 KiB, fields about 2.
const MAX_QUOTE_BYTES: usize = 16 << 10;
const HEADER_BYTES: usize = 48;
const TDX: u32 = 0x81;
const ECDSA_P256: u16 = 2;
/// Certification data types: the quoting enclave's report, and a PCK certificate chain.
const QE_REPORT: u16 = 6;
const PCK_CHAIN: u16 = 5;
/// Signature and attestation key, 64 bytes each.
const SIGNATURE_AND_KEY_BYTES: usize = 128;
/// The quoting enclave's report and its signature.
const QE_REPORT_AND_SIGNATURE_BYTES: usize = 384 + 64;
/// The quoting enclave's own data, which is hashed with the attestation key.
const QE_DATA_BYTES: usize = 32;
/// SHA-256 of Intel's SGX root CA certificate (Intel_SGX_Provisioning_Certification_RootCA.cer).
const INTEL_ROOT: [u8; 32] = [
    0x44, 0xa0, 0x19, 0x6b, 0x2b, 0x99, 0xf8, 0x89, 0xb8, 0xe1, 0x49, 0xe9, 0x5b, 0x80, 0x7a, 0x35,
    0x0e, 0x74, 0x24, 0x96, 0x43, 0x99, 0xe8, 0x85, 0xa7, 0xcb, 0xb8, 0xcc, 0xfa, 0xb6, 0x74, 0xd3,
];

/// Reads forward through one structure.
struct Reader<'a> {
    structure: &'static str,
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    fn take(&mut self, n: usize) -> Result<&'a [u8], Reject> {
        let (head, rest) = self
            .rest
            .split_at_checked(n)
            .ok_or(Reject::Truncated(self.structure))?;
        self.rest = rest;
        Ok(head)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Reject> {
        let (head, rest) = self
            .rest
            .split_first_chunk()
            .ok_or(Reject::Truncated(self.structure))?;
        self.rest = rest;
        Ok(*head)
    }

    fn u16(&mut self) -> Result<u16, Reject> {
        self.array().map(u16::from_le_bytes)
    }

    fn u32(&mut self) -> Result<u32, Reject> {
        self.array().map(u32::from_le_bytes)
    }

    /// A 32-bit length and that many bytes.
    fn sized(&mut self, structure: &'static str) -> Result<Reader<'a>, Reject> {
        let len = usize::try_from(self.u32()?).map_err(|_| Reject::Truncated(structure))?;
        let rest = self.take(len).map_err(|_| Reject::Truncated(structure))?;
        Ok(Reader { structure, rest })
    }

    fn finish(&self) -> Result<(), Reject> {
        if self.rest.is_empty() {
            Ok(())
        } else {
            Err(Reject::TrailingBytes(self.structure))
        }
    }
}

/// Cuts the zeros that follow a quote: guests read it from a buffer of fixed size.
///
/// For whoever holds such a buffer; the judgement itself takes no surplus bytes.
///
/// # Errors
/// [`Reject::Truncated`], [`Reject::TooLarge`], the header's reasons; [`Reject::TrailingBytes`] for anything but zeros.
pub fn trim_padding(buffer: &[u8]) -> Result<&[u8], Reject> {
    let mut reader = signed_part(buffer)?;
    reader.sized("the quote's signature data")?;
    let (quote, padding) = buffer.split_at(buffer.len() - reader.rest.len());
    if padding.iter().all(|byte| *byte == 0) {
        Ok(quote)
    } else {
        Err(Reject::TrailingBytes("quote"))
    }
}

/// Checks that a quote has one structure only: lengths, types, and certificates in canonical form.
///
/// # Errors
/// The [`Reject`]s from [`Reject::TooLarge`] to [`Reject::CertificateChain`].
pub fn check_layout(quote: &[u8]) -> Result<(), Reject> {
    check_layout_under(quote, &INTEL_ROOT)
}

/// The same under another root, by SHA-256 of its certificate.
pub(super) fn check_layout_under(quote: &[u8], root: &[u8; 32]) -> Result<(), Reject> {
    let mut reader = signed_part(quote)?;
    let mut data = reader.sized("the quote's signature data")?;
    reader.finish()?;

    data.take(SIGNATURE_AND_KEY_BYTES)?;
    certification_data(&mut data, "the quote's certification data", QE_REPORT)?;
    let mut enclave = data.sized("the quoting enclave's certification data")?;
    data.finish()?;

    enclave.take(QE_REPORT_AND_SIGNATURE_BYTES)?;
    let size = usize::from(enclave.u16()?);
    if size != QE_DATA_BYTES {
        return Err(Reject::TrailingBytes("the quoting enclave's data"));
    }
    enclave.take(size)?;
    certification_data(&mut enclave, "the PCK's certification data", PCK_CHAIN)?;
    let chain = enclave.sized("the PCK certificate chain")?;
    enclave.finish()?;
    check_chain(chain.rest, root)
}

/// Header and body; what is left is the signature data.
fn signed_part(quote: &[u8]) -> Result<Reader<'_>, Reject> {
    if quote.len() > MAX_QUOTE_BYTES {
        return Err(Reject::TooLarge {
            what: "quote",
            limit: MAX_QUOTE_BYTES,
            actual: quote.len(),
        });
    }
    let mut reader = Reader {
        structure: "quote",
        rest: quote,
    };
    let mut header = Reader {
        structure: "quote header",
        rest: reader.take(HEADER_BYTES)?,
    };
    let version = header.u16()?;
    if ![4, 5].contains(&version) {
        return Err(Reject::Version(version));
    }
    let key_type = header.u16()?;
    if key_type != ECDSA_P256 {
        return Err(Reject::KeyType(key_type));
    }
    let tee = header.u32()?;
    if tee != TDX {
        return Err(Reject::TeeType(tee));
    }
    let (kind, size) = if version == 4 {
        (2, 584)
    } else {
        (reader.u16()?, reader.u32()?)
    };
    // TDX 1.0, 1.5, and 1.5 with the extended report.
    let body = match (kind, size) {
        (2, 584) => 584,
        (3, 648) => 648,
        (4, 885) => 885,
        _ => return Err(Reject::Body { kind, size }),
    };
    reader.take(body)?;
    Ok(reader)
}

fn certification_data(
    reader: &mut Reader<'_>,
    what: &'static str,
    expected: u16,
) -> Result<(), Reject> {
    let found = reader.u16()?;
    if found == expected {
        Ok(())
    } else {
        Err(Reject::CertificationData {
            what,
            expected,
            found,
        })
    }
}

/// PCK certificate, its issuer and Intel's root, in PEM as `der` would write it; a NUL may end the text, as in C.
fn check_chain(text: &[u8], pinned: &[u8; 32]) -> Result<(), Reject> {
    const END: &str = "-----END CERTIFICATE-----\n";
    let text = text.strip_suffix(b"\0").unwrap_or(text);
    let text = std::str::from_utf8(text).map_err(|_| Reject::CertificateChain("it is not text"))?;
    let mut blocks = text.split_inclusive(END);
    let (Some(pck), Some(issuer), Some(root), None) =
        (blocks.next(), blocks.next(), blocks.next(), blocks.next())
    else {
        return Err(Reject::CertificateChain(
            "three certificates are expected: PCK, its issuer, Intel's root",
        ));
    };
    canonical(pck)?;
    canonical(issuer)?;
    let root = canonical(root)?;
    if Sha256::digest(&root)[..] != *pinned {
        return Err(Reject::CertificateChain(
            "the third certificate is not Intel's root",
        ));
    }
    Ok(())
}

fn canonical(block: &str) -> Result<Vec<u8>, Reject> {
    let (label, der) = der::pem::decode_vec(block.as_bytes())
        .map_err(|_| Reject::CertificateChain("it is not PEM"))?;
    let canonical = der::pem::encode_string("CERTIFICATE", der::pem::LineEnding::LF, &der);
    if label == "CERTIFICATE" && canonical.is_ok_and(|canonical| canonical == block) {
        Ok(der)
    } else {
        Err(Reject::CertificateChain("it is not canonical PEM"))
    }
}
