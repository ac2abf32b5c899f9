//! Quotes in form only: what may stand where, with nothing signed.

use proptest::prelude::*;
use sha2::{Digest as _, Sha256};

use crate::tdx::{Reject, check_layout, layout::check_layout_under, trim_padding};

const ROOT: &[u8] = b"a root";

fn pem(der: &[u8]) -> String {
    der::pem::encode_string("CERTIFICATE", der::pem::LineEnding::LF, der).unwrap()
}

fn sized(bytes: &[u8]) -> Vec<u8> {
    [&(bytes.len() as u32).to_le_bytes()[..], bytes].concat()
}

/// The parts of a quote; tests change one.
#[derive(Clone)]
struct Parts {
    header: Vec<u8>,
    body: Vec<u8>,
    outer_type: u16,
    qe_data: Vec<u8>,
    inner_type: u16,
    chain: Vec<u8>,
    /// Surplus after the chain's, the quoting enclave's and the signature data.
    surplus: [Vec<u8>; 3],
}

impl Parts {
    fn new(version: u8, body_type: u16, body: usize) -> Self {
        let mut header = vec![0; 48];
        header[0] = version;
        header[2] = 2;
        header[4] = 0x81;
        if version == 5 {
            header.extend(body_type.to_le_bytes());
            header.extend((body as u32).to_le_bytes());
        }
        Self {
            header,
            body: vec![1; body],
            outer_type: 6,
            qe_data: vec![2; 32],
            inner_type: 5,
            chain: [pem(&[3; 500]), pem(&[4; 500]), pem(ROOT)].concat().into(),
            surplus: Default::default(),
        }
    }

    fn v4() -> Self {
        Self::new(4, 2, 584)
    }

    fn bytes(&self) -> Vec<u8> {
        let enclave = [
            &[5; 448][..],
            &(self.qe_data.len() as u16).to_le_bytes(),
            &self.qe_data,
            &self.inner_type.to_le_bytes(),
            &sized(&self.chain),
            &self.surplus[0],
        ]
        .concat();
        let data = [
            &[6; 128][..],
            &self.outer_type.to_le_bytes(),
            &sized(&enclave),
            &self.surplus[1],
        ]
        .concat();
        [
            &self.header[..],
            &self.body,
            &sized(&data),
            &self.surplus[2],
        ]
        .concat()
    }

    fn check(&self) -> Result<(), Reject> {
        check_layout_under(&self.bytes(), &Sha256::digest(ROOT).into())
    }
}

#[test]
fn quotes_of_all_known_formats_have_one_layout() {
    for parts in [
        Parts::v4(),
        Parts::new(5, 2, 584),
        Parts::new(5, 3, 648),
        Parts::new(5, 4, 885),
    ] {
        assert_eq!(parts.check(), Ok(()));
        let mut with_nul = parts;
        with_nul.chain.push(0);
        assert_eq!(with_nul.check(), Ok(()));
    }
}

#[test]
fn other_formats_are_refused_by_name() {
    let header = |at: usize, byte: u8| {
        let mut parts = Parts::v4();
        parts.header[at] = byte;
        parts.check()
    };
    assert_eq!(header(0, 3), Err(Reject::Version(3)));
    assert_eq!(header(1, 1), Err(Reject::Version(0x104)));
    assert_eq!(header(2, 3), Err(Reject::KeyType(3)));
    assert_eq!(header(4, 0), Err(Reject::TeeType(0)));
    for (kind, size) in [(1, 384), (2, 648), (3, 584), (5, 885)] {
        assert_eq!(
            Parts::new(5, kind, size).check(),
            Err(Reject::Body {
                kind,
                size: size as u32
            })
        );
    }
}

#[test]
fn surplus_bytes_at_every_level_are_refused() {
    for (level, structure) in [
        "the quoting enclave's certification data",
        "the quote's signature data",
        "quote",
    ]
    .into_iter()
    .enumerate()
    {
        let mut parts = Parts::v4();
        parts.surplus[level] = vec![0];
        assert_eq!(
            parts.check(),
            Err(Reject::TrailingBytes(structure)),
            "level {level}"
        );
    }
    let mut long_data = Parts::v4();
    long_data.qe_data.push(0);
    assert!(long_data.check().is_err());
}

#[test]
fn a_quote_cut_anywhere_is_refused() {
    let quote = Parts::v4().bytes();
    let root = Sha256::digest(ROOT).into();
    assert_eq!(check_layout_under(&quote, &root), Ok(()));
    for len in 0..quote.len() {
        assert!(check_layout_under(&quote[..len], &root).is_err(), "{len}");
    }
}

#[test]
fn certification_data_of_other_types_is_refused() {
    for kind in [0, 1, 5, 7] {
        let mut parts = Parts::v4();
        parts.outer_type = kind;
        assert_eq!(parts.check().unwrap_err().code(), "TDX_CERTIFICATION_DATA");
    }
    // Encrypted platform ids, whose certificate would have to come from elsewhere.
    for kind in [1, 2, 3, 4, 6] {
        let mut parts = Parts::v4();
        parts.inner_type = kind;
        assert_eq!(parts.check().unwrap_err().code(), "TDX_CERTIFICATION_DATA");
    }
}

#[test]
fn certificates_are_spelt_one_way_only() {
    let (pck, issuer, root) = (pem(&[3; 500]), pem(&[4; 500]), pem(ROOT));
    let good = format!("{pck}{issuer}{root}");
    // Canonical base64 of 500 bytes ends in one `=`, with two spare bits before it.
    let spare_bits = good.replacen("M=\n", "N=\n", 1);
    for bad in [
        String::new(),
        format!("{pck}{root}"),
        format!("{pck}{issuer}{root}{root}"),
        format!("{pck}{issuer}{}", pem(b"another root")),
        format!("{pck}{root}{issuer}"),
        format!("# a comment\n{good}"),
        format!("{pck}\n{issuer}{root}"),
        format!("{good}\n"),
        format!("{good}\0\0"),
        good.replace('\n', "\r\n"),
        good.replacen("CERTIFICATE", "CERTIFICATF", 2),
        good.trim_end().to_owned(),
        good.replacen("AwMD", "AwM\nD", 1),
        spare_bits,
    ] {
        assert_ne!(bad, good);
        let mut parts = Parts::v4();
        parts.chain = bad.clone().into();
        let refused = parts.check().unwrap_err();
        assert_eq!(refused.code(), "TDX_CERTIFICATE_CHAIN", "{bad:?}");
    }
}

#[test]
fn every_changed_bit_of_lengths_types_and_root_is_refused() {
    let parts = Parts::v4();
    let quote = parts.bytes();
    let root = Sha256::digest(ROOT).into();
    let root_text = quote.len() - pem(ROOT).len()..quote.len();
    // Version, key type, TEE; then: signature data's length, type, length, data's length, type, length.
    let fields = [0..8, 632..636, 764..770, 1218..1220, 1252..1258];
    for at in fields.into_iter().flatten().chain(root_text) {
        for bit in 0..8 {
            let mut changed = quote.clone();
            changed[at] ^= 1 << bit;
            assert!(
                check_layout_under(&changed, &root).is_err(),
                "{at} bit {bit}"
            );
        }
    }
}

#[test]
fn zeros_of_the_guests_buffer_are_cut_and_nothing_else() {
    let quote = Parts::v4().bytes();
    let padded = [&quote[..], &[0; 70]].concat();
    assert_eq!(trim_padding(&padded), Ok(&quote[..]));
    assert_eq!(trim_padding(&quote), Ok(&quote[..]));
    for at in [quote.len(), padded.len() - 1] {
        let mut dirty = padded.clone();
        dirty[at] = 1;
        assert_eq!(trim_padding(&dirty), Err(Reject::TrailingBytes("quote")));
    }
    assert!(trim_padding(&quote[..quote.len() - 1]).is_err());
}

#[test]
fn a_huge_quote_is_refused_before_it_is_read() {
    let refused = check_layout(&vec![0; 1 << 20]).unwrap_err();
    assert_eq!(refused.code(), "TDX_TOO_LARGE");
    // A length of four gigabytes in a small quote.
    let mut quote = Parts::v4().bytes();
    quote[632..636].fill(0xff);
    assert_eq!(
        check_layout(&quote),
        Err(Reject::Truncated("the quote's signature data"))
    );
}

#[test]
fn a_quote_under_another_root_than_intels_is_refused() {
    assert_eq!(
        check_layout(&Parts::v4().bytes()),
        Err(Reject::CertificateChain(
            "the third certificate is not Intel's root"
        ))
    );
}

proptest! {
    #[test]
    fn no_bytes_make_the_layout_check_panic(bytes in proptest::collection::vec(any::<u8>(), 0..2048)) {
        let mut bytes = bytes;
        if bytes.len() > 8 {
            bytes[..8].copy_from_slice(&[4, 0, 2, 0, 0x81, 0, 0, 0]);
        }
        prop_assert!(check_layout(&bytes).is_err());
        let _ = trim_padding(&bytes);
    }
}
