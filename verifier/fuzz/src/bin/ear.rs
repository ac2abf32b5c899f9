//! Attestation results: tokens, their payloads, and JSON.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    verifier_fuzz::ear(bytes);
});
