//! Words, and how to run code that is compiled for them.

use crate::kernel::Words;

/// Evidence that some [`Words`] may be used.
pub(super) trait Engine: Copy + Send + Sync + 'static {
    /// The words.
    type Words: Words<Backend = Self>;

    /// Runs `task` compiled for the words' instructions, as far as it is inlined.
    fn run<R>(self, task: impl FnOnce() -> R) -> R;
}

#[cfg(target_arch = "x86_64")]
impl Engine for crate::kernel::Ifma {
    type Words = crate::kernel::ifma::Words512;

    #[inline(always)]
    fn run<R>(self, task: impl FnOnce() -> R) -> R {
        Self::run(self, task)
    }
}

#[cfg(test)]
impl Engine for () {
    type Words = crate::kernel::checked::CheckedWords;

    fn run<R>(self, task: impl FnOnce() -> R) -> R {
        task()
    }
}
