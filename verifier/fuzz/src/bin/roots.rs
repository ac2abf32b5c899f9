//! Root stores, as TOML or as PEM.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    verifier_fuzz::roots(bytes);
});
