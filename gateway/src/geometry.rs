//! How an object is cut: stripes of k data shards, to which m parity shards are added. Protocol: section 2.

use prover::erasure;

use crate::error::GatewayError;

/// Slots a deal may have, as the deals contract limits them.
pub const SLOT_LIMIT: u16 = 32;

/// Data and parity shards of a stripe, as a deal can have them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Geometry {
    k: u16,
    m: u16,
    erasure: erasure::Geometry,
}

impl Geometry {
    /// Data shards where nobody says otherwise: with [`Self::DEFAULT_M`], any four of fourteen nodes may be lost.
    pub const DEFAULT_K: u16 = 10;
    /// Parity shards where nobody says otherwise.
    pub const DEFAULT_M: u16 = 4;

    /// Checks the numbers.
    ///
    /// # Errors
    /// [`GatewayError::Geometry`] if one of them is zero or both together are more than [`SLOT_LIMIT`].
    pub fn new(k: u16, m: u16) -> Result<Self, GatewayError> {
        erasure::Geometry::new(usize::from(k), usize::from(m))
            .ok()
            .filter(|_| k.saturating_add(m) <= SLOT_LIMIT)
            .map(|erasure| Self { k, m, erasure })
            .ok_or(GatewayError::Geometry {
                k,
                m,
                limit: SLOT_LIMIT,
            })
    }

    /// Data shards a stripe.
    #[must_use]
    pub const fn k(self) -> u16 {
        self.k
    }

    /// Parity shards a stripe.
    #[must_use]
    pub const fn m(self) -> u16 {
        self.m
    }

    /// The same for the erasure code.
    #[must_use]
    pub const fn erasure(self) -> erasure::Geometry {
        self.erasure
    }

    /// Slots of a deal: k + m.
    #[must_use]
    pub const fn slots(self) -> u16 {
        self.k + self.m
    }

    /// Every slot's number.
    pub fn slot_numbers(self) -> impl Iterator<Item = u16> + Clone {
        0..self.slots()
    }

    /// Largest object, bytes: a deal counts stripes in 32 bits.
    #[must_use]
    pub const fn object_limit(self) -> u64 {
        self.erasure.stripe_bytes() as u64 * u32::MAX as u64
    }

    /// Stripes of an object of this many bytes; the last one may be partly padding. `None` if it is empty or too large.
    #[must_use]
    pub fn stripes(self, object_bytes: u64) -> Option<u32> {
        u32::try_from(self.erasure.stripes(object_bytes))
            .ok()
            .filter(|stripes| *stripes > 0)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::cast_possible_truncation)]
    use super::*;

    #[test]
    fn a_stripe_holds_k_shards_and_the_last_one_may_be_short() {
        let geometry = Geometry::new(3, 2).unwrap();
        let full = geometry.erasure().stripe_bytes() as u64;
        assert_eq!(geometry.stripes(0), None);
        assert_eq!(geometry.stripes(1), Some(1));
        assert_eq!(geometry.stripes(full), Some(1));
        assert_eq!(geometry.stripes(full + 1), Some(2));
        assert_eq!(geometry.stripes(geometry.object_limit()), Some(u32::MAX));
        assert_eq!(geometry.stripes(geometry.object_limit() + 1), None);
        assert_eq!(geometry.stripes(64 << 20), Some(12));
    }

    #[test]
    fn impossible_geometries_are_refused() {
        for (k, m) in [(0, 1), (1, 0), (31, 2), (u16::MAX, u16::MAX)] {
            assert!(
                matches!(Geometry::new(k, m), Err(GatewayError::Geometry { .. })),
                "{k}+{m}"
            );
        }
        assert!(Geometry::new(Geometry::DEFAULT_K, Geometry::DEFAULT_M).is_ok());
    }
}
