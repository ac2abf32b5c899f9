//! Trusted execution environments.

use sha2::{Digest as _, Sha384};
use verifier::snp::{Claims, KeyKind, Product, REPORT_BYTES, Report, SIGNED_BYTES};
use verifier::tdx::{authenticate, authenticate_under, check_layout, trim_padding};

use super::NOW;

/// The largest quote read.
const MAX_QUOTE_BYTES: usize = 16 << 10;
/// Header and the shortest body.
const MIN_QUOTE_BYTES: usize = 48 + 584 + 4;

/// A SEV-SNP report, of each line of processors.
pub fn snp(bytes: &[u8]) -> bool {
    let mut taken = false;
    for product in [Product::Milan, Product::Genoa, Product::Turin] {
        let Ok(report) = Report::parse(bytes, product) else {
            continue;
        };
        taken = true;
        assert_eq!(bytes.len(), REPORT_BYTES);
        assert!((2..=5).contains(&report.version));
        assert_eq!(report.cpuid.is_some(), report.version >= 3);
        assert_eq!(report.launch_mitigations.is_some(), report.version >= 5);
        assert_eq!(
            report.digest.0,
            <[u8; 48]>::from(Sha384::digest(&bytes[..SIGNED_BYTES]))
        );
        assert!(serde_json::to_string(&report).is_ok());
        // What follows the signature is zero.
        let mut damaged = bytes.to_vec();
        damaged[REPORT_BYTES - 1] ^= 1;
        assert!(Report::parse(&damaged, product).is_err());
    }
    taken
}

/// AMD's extensions in the certificate of a chip's or a provider's key, of each line of processors.
pub fn vek(bytes: &[u8]) -> bool {
    let mut taken = 0;
    for product in [Product::Milan, Product::Genoa, Product::Turin] {
        for kind in [KeyKind::Vcek, KeyKind::Vlek] {
            let Ok(claims) = Claims::from_der(bytes, product, kind) else {
                continue;
            };
            taken += 1;
            assert_eq!(claims.chip_id.is_some(), kind == KeyKind::Vcek);
            assert_eq!(claims.provider.is_some(), kind == KeyKind::Vlek);
            assert!(claims.chip_id.is_none_or(|id| !id.is_zero()));
            assert_eq!(claims.tcb.fmc.is_some(), product == Product::Turin);
            assert!(serde_json::to_string(&claims).is_ok());
        }
    }
    // A certificate is of one line and of one kind.
    assert!(taken <= 1);
    taken == 1
}

/// Collateral of Intel's, or of any root that the bytes name: a root's certificate and a quote, each after its length in 16 bits
/// little-endian, and the collateral.
pub fn collateral(bytes: &[u8]) -> bool {
    let Some((root, rest)) = sized(bytes) else {
        return false;
    };
    let Some((quote, collateral)) = sized(rest) else {
        return false;
    };
    assert!(authenticate(quote, collateral, NOW).is_err());
    let Ok(facts) = authenticate_under(root, quote, collateral, NOW) else {
        return false;
    };
    assert!(serde_json::to_string(&facts).is_ok());
    assert!(facts.valid_until >= NOW);
    let judge = |root: &[u8], quote: &[u8], collateral: &[u8], now| {
        authenticate_under(root, quote, collateral, now).is_ok()
    };
    assert!(!judge(root, quote, collateral, facts.valid_until + 1));
    assert!(!judge(&root[1..], quote, collateral, NOW));
    assert!(!judge(root, quote, b"{}", NOW));
    let mut forged = quote.to_vec();
    forged[64] ^= 1;
    assert!(!judge(root, &forged, collateral, NOW));
    true
}

/// Bytes after their length, and what follows them.
fn sized(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk()?;
    rest.split_at_checked(usize::from(u16::from_le_bytes(*length)))
}

/// A TDX quote's layout. Only Intel could make one that is authentic.
pub fn tdx(bytes: &[u8]) -> bool {
    let layout = check_layout(bytes);
    assert!(authenticate(bytes, b"{}", NOW).is_err());
    let Ok(quote) = trim_padding(bytes) else {
        assert!(layout.is_err());
        return false;
    };
    assert!((MIN_QUOTE_BYTES..=MAX_QUOTE_BYTES).contains(&quote.len()));
    assert!(bytes.starts_with(quote));
    assert!(bytes[quote.len()..].iter().all(|byte| *byte == 0));
    assert_eq!(trim_padding(quote), Ok(quote));
    if layout.is_ok() {
        assert_eq!(quote, bytes);
    }
    true
}
