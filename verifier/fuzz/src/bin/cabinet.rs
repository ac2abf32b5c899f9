//! Cabinets, and files of certificates of any kind.
#![no_main]

use std::panic;

libfuzzer_sys::fuzz_target!(
    init: {
        // Every panic ends a fuzzer, also one that would be caught. The decoder of LZX has some, and those the reader catches.
        let fatal = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if !info.location().is_some_and(|it| it.file().contains("lzxd")) {
                fatal(info);
            }
        }));
    },
    |bytes: &[u8]| {
        verifier_fuzz::cabinet(bytes);
    }
);
