//! Which kernel runs.

use crate::{
    kernel::{Kernel, KernelError},
    skips::{NO_IFMA, skipped},
};

/// On this processor.
fn choose(value: &str) -> Result<Kernel, KernelError> {
    Kernel::choose(Some(value.into()), Kernel::ifma())
}

/// On one without AVX-512 IFMA.
fn choose_without(value: &str) -> Result<Kernel, KernelError> {
    Kernel::choose(Some(value.into()), None)
}

#[test]
fn auto_and_nothing_choose_what_the_processor_has() {
    assert_eq!(Kernel::choose(None, Kernel::ifma()), Ok(Kernel::detect()));
    assert_eq!(choose("auto"), Ok(Kernel::detect()));
    assert_eq!(choose("scalar"), Ok(Kernel::Scalar));
    println!("this processor runs the {} kernel", Kernel::detect());
}

#[test]
fn a_processor_without_ifma_runs_the_scalar_kernel_and_refuses_the_other() {
    assert_eq!(Kernel::choose(None, None), Ok(Kernel::Scalar));
    assert_eq!(choose_without("auto"), Ok(Kernel::Scalar));
    assert_eq!(choose_without("scalar"), Ok(Kernel::Scalar));
    let refused = choose_without("ifma").unwrap_err();
    assert_eq!(refused, KernelError::NoIfma);
    assert!(refused.to_string().contains("use auto or scalar"));
}

#[test]
fn ifma_is_what_it_names_where_the_processor_has_it() {
    let Some(ifma) = Kernel::ifma() else {
        skipped("ifma_is_what_it_names_where_the_processor_has_it", NO_IFMA);
        return;
    };
    assert_eq!(choose("ifma"), Ok(ifma));
    assert_eq!(ifma.to_string(), "ifma");
}

#[test]
fn a_value_that_means_nothing_is_refused_with_what_would_do() {
    for value in ["", "IFMA", "avx2", "scalar "] {
        for refused in [choose(value), choose_without(value)] {
            let refused = refused.unwrap_err();
            assert_eq!(
                refused,
                KernelError::Unknown {
                    found: value.into()
                }
            );
            assert!(refused.to_string().contains("use auto, ifma or scalar"));
        }
    }
}
