//! X.509 certificates, and the search for a path to a root.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    verifier_fuzz::certificate(bytes);
});
