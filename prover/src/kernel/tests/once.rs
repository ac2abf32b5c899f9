//! Operations of the lanes compiled once for each field and kind of words: in library code they are inlined wherever they
//! are used, which tests would pay for with minutes of compilation.

use crate::kernel::{
    lanes::Lanes,
    modulus::LaneField,
    quadratic::QuadraticLanes,
    words::{LANES, Words},
};
use ark_bn254::{Fq, Fq2};

macro_rules! once {
    ($lanes:ident: $($name:ident($($other:ident)?),)*) => {
        $(
            #[inline(never)]
            pub(crate) fn $name<F: LaneField, W: Words>(
                x: &$lanes<F, W>,
                $($other: &$lanes<F, W>,)?
            ) -> $lanes<F, W> {
                W::run(
                    x.backend(),
                    #[inline(always)]
                    || x.$name($($other)?),
                )
            }
        )*
    };
}

once!(Lanes: mul(y), add(y), sub(y), square(), fifth_power(), neg(), double(), reduce(), canonical(),);

/// The same for Fq2.
pub(crate) mod quadratic {
    use super::*;

    once!(QuadraticLanes: mul(y), add(y), sub(y), square(), neg(), double(), invert(), invert_units(),);

    #[inline(never)]
    pub(crate) fn to_fields<W: Words>(x: &QuadraticLanes<Fq, W>) -> [Fq2; LANES] {
        W::run(
            x.backend(),
            #[inline(always)]
            || x.to_fields(),
        )
    }

    #[inline(never)]
    pub(crate) fn from_fields<W: Words>(
        backend: W::Backend,
        elements: &[Fq2; LANES],
    ) -> QuadraticLanes<Fq, W> {
        W::run(
            backend,
            #[inline(always)]
            || QuadraticLanes::from_fields(backend, elements),
        )
    }
}

#[inline(never)]
pub(crate) fn to_fields<F: LaneField, W: Words>(x: &Lanes<F, W>) -> [F; LANES] {
    W::run(
        x.backend(),
        #[inline(always)]
        || x.to_fields(),
    )
}

#[inline(never)]
pub(crate) fn from_fields<F: LaneField, W: Words>(
    backend: W::Backend,
    elements: &[F; LANES],
) -> Lanes<F, W> {
    W::run(
        backend,
        #[inline(always)]
        || Lanes::from_fields(backend, elements),
    )
}
