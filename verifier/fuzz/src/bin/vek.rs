//! AMD's extensions of endorsement keys' certificates.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    verifier_fuzz::vek(bytes);
});
