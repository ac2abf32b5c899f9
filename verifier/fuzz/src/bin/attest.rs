//! TPMS_ATTEST, TPMT_PUBLIC and TPMT_SIGNATURE.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    verifier_fuzz::attest(bytes);
});
