//! Trusted execution environments.

use sha2::{Digest as _, Sha384};
use verifier::snp::{Product, REPORT_BYTES, Report, SIGNED_BYTES};
use verifier::tdx::{authenticate, check_layout, trim_padding};

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
