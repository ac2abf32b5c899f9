//! Evidence bundles, and the parts of them that travel alone.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    verifier_fuzz::bundle(bytes);
});
