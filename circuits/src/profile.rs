//! The sizes a circuit is built for.

use crate::sampling::MAX_DEPTH;

/// Depth of the inventory tree and number of samples: everything that fixes the shape of a circuit.
///
/// Protocol: sections 2 and 4.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Profile {
    name: &'static str,
    depth: u8,
    samples: u16,
}

impl Profile {
    /// 64 shards, and as many samples as fill an FFT domain of 2^15: for tests, demonstrations and the edit loop.
    pub const DEV: Self = Self::new("dev", 2, 10);

    /// 16,777,216 shards (34 TB), and as many samples as fill an FFT domain of 2^19.
    pub const STANDARD: Self = Self::new("standard", 8, 100);

    /// Every profile that has a name.
    pub const ALL: [Self; 2] = [Self::DEV, Self::STANDARD];

    /// A profile of one's own, for tests and measurements.
    ///
    /// # Panics
    /// If `samples` is zero or `depth` is not within `1..=10`; in a constant this is a compile error.
    #[must_use]
    pub const fn new(name: &'static str, depth: u8, samples: u16) -> Self {
        assert!(depth >= 1 && depth <= MAX_DEPTH, "depth out of range");
        assert!(samples >= 1, "a proof needs a sample");
        Self {
            name,
            depth,
            samples,
        }
    }

    /// Finds a named profile.
    #[must_use]
    pub fn by_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|profile| profile.name == name)
    }

    /// The name, as it stands in manifests and on command lines.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// Levels of the arity-8 inventory tree.
    #[must_use]
    pub const fn depth(&self) -> usize {
        self.depth as usize
    }

    /// Cells that one proof opens.
    #[must_use]
    pub const fn samples(&self) -> usize {
        self.samples as usize
    }

    /// Shards the inventory tree can hold: 8^depth.
    #[must_use]
    pub const fn capacity(&self) -> u64 {
        1 << (3 * self.depth)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn named_profiles_are_found_by_their_names() {
        for profile in Profile::ALL {
            assert_eq!(Profile::by_name(profile.name()), Some(profile));
        }
        assert_eq!(Profile::by_name("petabyte"), None);
        assert_eq!(Profile::DEV.capacity(), 64);
        assert_eq!(Profile::STANDARD.capacity(), 16_777_216);
    }
}
