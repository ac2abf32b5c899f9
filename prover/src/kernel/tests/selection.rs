//! Which kernel runs.

use crate::kernel::{Kernel, KernelError};

fn choose(value: &str) -> Result<Kernel, KernelError> {
    Kernel::choose(Some(value.into()))
}

#[test]
fn auto_and_nothing_choose_what_the_processor_has() {
    assert_eq!(Kernel::choose(None), Ok(Kernel::detect()));
    assert_eq!(choose("auto"), Ok(Kernel::detect()));
    assert_eq!(choose("scalar"), Ok(Kernel::Scalar));
    println!("this processor runs the {} kernel", Kernel::detect());
}

#[test]
fn ifma_is_refused_where_there_is_none() {
    assert_eq!(choose("ifma"), Kernel::ifma().ok_or(KernelError::NoIfma));
}

#[test]
fn a_value_that_means_nothing_is_refused_with_what_would_do() {
    for value in ["", "IFMA", "avx2", "scalar "] {
        let refused = choose(value).unwrap_err();
        assert_eq!(
            refused,
            KernelError::Unknown {
                found: value.into()
            }
        );
        assert!(refused.to_string().contains("use auto, ifma or scalar"));
    }
}
