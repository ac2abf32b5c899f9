//! The verifier's parsers on whatever bytes a fuzzer finds: one function for each target in `src/bin`.
//!
//! None may panic, and what is read must keep what its format promises: a canonical form is written again byte for byte,
//! limits hold, nothing is accepted that nobody signed. A function panics where that fails, and says whether it took the
//! bytes. It needs no fuzzer: the verifier's tests run all of them over the committed seeds (`tests/it/seeds.rs`, which also
//! writes the seeds).

mod certificates;
mod evidence;
mod measured;
mod results;
mod tee;
mod tpm;

pub use certificates::{cabinet, certificate, crl, roots};
pub use evidence::{bundle, session};
pub use measured::{eventlog, ima, pcrs};
pub use results::{ear, policy, revocation};
pub use tee::{collateral, snp, tdx, vek};
pub use tpm::attest;

/// A target: says whether it took the bytes, panics where something is wrong.
pub type Target = fn(&[u8]) -> bool;

/// All targets by name.
pub const TARGETS: [(&str, Target); 17] = [
    ("attest", attest),
    ("bundle", bundle),
    ("cabinet", cabinet),
    ("certificate", certificate),
    ("collateral", collateral),
    ("crl", crl),
    ("ear", ear),
    ("eventlog", eventlog),
    ("ima", ima),
    ("pcrs", pcrs),
    ("policy", policy),
    ("revocation", revocation),
    ("roots", roots),
    ("session", session),
    ("snp", snp),
    ("tdx", tdx),
    ("vek", vek),
];

/// The time at which the seeds' certificates are valid, Unix seconds.
pub const NOW: u64 = 1_800_000_000;
