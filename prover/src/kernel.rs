//! BN254 arithmetic on eight numbers at once, where the processor has AVX-512 IFMA, and what is built from it.
//!
//! Which kernel runs is decided once, when it is first asked for: by the environment variable `PROBITY_KERNEL`, else by
//! what the processor has. Programs call [`active`] when they start, so that a wrong setting ends them there. Both kernels
//! give the same results, bit by bit; the scalar one is arkworks.
//!
//! | file | one idea |
//! |---|---|
//! | `words` | eight 64-bit words: what everything else is written in |
//! | `ifma` | the processor's words; the only file with `unsafe` code |
//! | `modulus` | the two primes, as limbs and constants |
//! | `lanes`, `multiply` | eight field elements; ranges and proofs of reduction |
//! | `convert`, `quadratic` | from and to arkworks; Fq2 |
//! | `inverse`, `division_steps` | batches of inversions; the one that is left of a batch |
//! | `poseidon2` | eight permutations at once |
//! | `storage` | cells and tree levels of a shard |

pub mod convert;
pub mod division_steps;
#[cfg(target_arch = "x86_64")]
pub mod ifma;
pub mod inverse;
pub mod lanes;
pub mod modulus;
pub mod multiply;
pub mod poseidon2;
pub mod quadratic;
pub mod storage;
pub mod words;

#[cfg(test)]
pub(crate) mod checked;
#[cfg(test)]
pub(crate) mod tests;

#[cfg(target_arch = "x86_64")]
pub use ifma::Ifma;
pub use inverse::{FieldLanes, batch_invert};
pub use lanes::{Lanes, Loose};
pub use modulus::LaneField;
pub use multiply::Product;
pub use quadratic::QuadraticLanes;
pub use words::{LANES, Words};

use std::{env, ffi::OsString, fmt, sync::OnceLock};
use thiserror::Error;

/// The environment variable that chooses the kernel: `auto` (the default), `ifma` or `scalar`.
pub const KERNEL_VARIABLE: &str = "PROBITY_KERNEL";

/// Why there is no kernel.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum KernelError {
    /// The variable has a value that means nothing.
    #[error("{KERNEL_VARIABLE} is {found:?}; use auto, ifma or scalar")]
    Unknown {
        /// What was found.
        found: OsString,
    },
    /// IFMA was asked for where there is none.
    #[error(
        "{KERNEL_VARIABLE} is ifma, but this processor has no AVX-512 IFMA; use auto or scalar"
    )]
    NoIfma,
}

/// Who does the arithmetic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kernel {
    /// arkworks, one number at a time.
    Scalar,
    /// AVX-512 IFMA, eight numbers at a time.
    #[cfg(target_arch = "x86_64")]
    Ifma(Ifma),
}

impl Kernel {
    /// The fastest kernel this processor runs.
    #[must_use]
    pub fn detect() -> Self {
        Self::ifma().unwrap_or(Self::Scalar)
    }

    /// The IFMA kernel, where the processor has it.
    #[must_use]
    pub fn ifma() -> Option<Self> {
        #[cfg(target_arch = "x86_64")]
        {
            Ifma::detect().map(Self::Ifma)
        }
        #[cfg(not(target_arch = "x86_64"))]
        {
            None
        }
    }

    /// The kernel that a value of [`KERNEL_VARIABLE`] names, on a processor with this IFMA kernel or none; without a value,
    /// the fastest.
    fn choose(value: Option<OsString>, ifma: Option<Self>) -> Result<Self, KernelError> {
        let fastest = ifma.unwrap_or(Self::Scalar);
        match value {
            None => Ok(fastest),
            Some(found) => match found.to_str() {
                Some("auto") => Ok(fastest),
                Some("scalar") => Ok(Self::Scalar),
                Some("ifma") => ifma.ok_or(KernelError::NoIfma),
                _ => Err(KernelError::Unknown { found }),
            },
        }
    }
}

impl fmt::Display for Kernel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Scalar => "scalar",
            #[cfg(target_arch = "x86_64")]
            Self::Ifma(_) => "ifma",
        })
    }
}

/// The kernel of this process. The environment is read once.
///
/// # Errors
/// [`KernelError`] if [`KERNEL_VARIABLE`] names no kernel, or one that this processor does not run.
pub fn active() -> Result<Kernel, KernelError> {
    static ACTIVE: OnceLock<Result<Kernel, KernelError>> = OnceLock::new();
    ACTIVE
        .get_or_init(|| Kernel::choose(env::var_os(KERNEL_VARIABLE), Kernel::ifma()))
        .clone()
}
