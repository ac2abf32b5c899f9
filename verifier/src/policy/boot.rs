//! From what an event log proves to what a policy asks.

use alloy_primitives::B256;

use super::BootFacts;
use crate::eventlog::{Facts, Measured, SecureBootState};

/// UEFI images that firmware started: boot loaders, and kernels that are images themselves.
pub(super) const BOOT_LOADERS: u8 = 4;
/// What boot loaders measured: kernels, initial file systems, configuration.
pub(super) const BOOT_FILES: u8 = 9;

impl From<&Facts> for BootFacts {
    /// Whatever is not proven stays unknown. The log's word for what a digest stands for is not authenticated, so everything
    /// measured into PCR 4 counts as a boot loader and everything boot loaders measured into PCR 9 as a kernel: a policy that lists
    /// either must list all of it.
    fn from(facts: &Facts) -> Self {
        let secure_boot = facts.secure_boot.as_ref();
        let digests = |measured: &[Measured], pcr: u8| -> Vec<B256> {
            let of_pcr = measured.iter().filter(|it| it.pcr == pcr);
            of_pcr
                .filter_map(|it| B256::try_from(it.digest.as_bytes()).ok())
                .collect()
        };
        Self {
            secure_boot: secure_boot.and_then(|it| match it.state {
                SecureBootState::Enabled => Some(true),
                SecureBootState::Disabled => Some(false),
                SecureBootState::Unknown(_) => None,
            }),
            debugger: secure_boot.map(|it| it.debug_mode),
            boot_loaders: digests(&facts.images, BOOT_LOADERS),
            kernels: digests(&facts.boot_files, BOOT_FILES),
        }
    }
}
