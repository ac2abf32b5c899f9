//! How a test says that it, or a part of it, did not run: in the tests of the library and of the binary alike.
#![allow(dead_code, reason = "either needs only some of it")]

/// What the lanes' tests need.
pub const NO_IFMA: &str = "this processor has no AVX-512 IFMA";
/// What the erasure code's faster engine needs.
pub const NO_GFNI: &str = "this processor has no GFNI with AVX-512";
/// What `snarkjs` and `forge` need.
pub const NO_PACKAGES: &str = "npm packages are not installed in contracts/";

/// What stands in for a terminal.
pub const NO_SCRIPT: &str = "there is no `script` (util-linux)";

/// Prints what was left out and why. Nothing else says so: such a test passes.
pub fn skipped(what: &str, why: &str) {
    println!("skipped {what}: {why}");
}
