//! Intel's collateral beside a quote.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    verifier_fuzz::collateral(bytes);
});
