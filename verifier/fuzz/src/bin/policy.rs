//! Policies, and evidence on file.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    verifier_fuzz::policy(bytes);
});
