//! PCR values as text.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    verifier_fuzz::pcrs(bytes);
});
