//! The kernel's measurement list, in both forms.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    verifier_fuzz::ima(bytes);
});
