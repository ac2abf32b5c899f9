//! The faults that can be injected, as a TOML file that the faulty daemons read whenever it matters.
//!
//! A fault is bound to epochs, which are runs of blocks, so that a story does not race: what a daemon does depends on the
//! block it is about, never on when it came to look.

use std::{fs, path::Path};

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};

/// Epochs `from ..= to`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Epochs {
    /// First one.
    pub from: u64,
    /// Last one; absent: for good.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<u64>,
}

impl Epochs {
    /// One epoch alone.
    #[must_use]
    pub const fn only(epoch: u64) -> Self {
        Self {
            from: epoch,
            to: Some(epoch),
        }
    }

    /// From one epoch on.
    #[must_use]
    pub const fn since(epoch: u64) -> Self {
        Self {
            from: epoch,
            to: None,
        }
    }

    /// Whether an epoch is among them.
    #[must_use]
    pub fn contains(&self, epoch: u64) -> bool {
        epoch >= self.from && self.to.is_none_or(|to| epoch <= to)
    }
}

/// What a storage node does wrong.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct NodeFaults {
    /// It has lost 30% of its cells, and proves zeroes in their place.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub zeroes: Option<Epochs>,
    /// It sends the proof of the epoch before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replay: Option<Epochs>,
    /// Its pushes reach only the first oracle of the set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cut_off: Option<Epochs>,
}

/// What an oracle does wrong.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct OracleFaults {
    /// It lies about a node.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lie: Option<Lie>,
}

/// A lie about one node: unreachable, with absurd figures; as a leader, a verdict of MISSING.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lie {
    /// The node.
    pub node: u64,
    /// When.
    pub epochs: Epochs,
}

/// Reads a fault file; one that is not there holds no faults.
///
/// # Errors
/// If it is no fault file.
pub fn read<T: Default + for<'de> Deserialize<'de>>(path: &Path) -> Result<T> {
    match fs::read_to_string(path) {
        Ok(text) => {
            toml::from_str(&text).with_context(|| format!("{} is no fault file", path.display()))
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(T::default()),
        Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
    }
}

/// Replaces a fault file at once: a daemon reads the old faults or the new ones.
///
/// # Errors
/// If it cannot be written.
pub fn write<T: Serialize>(path: &Path, faults: &T) -> Result<()> {
    let temporary = path.with_extension("tmp");
    fs::write(&temporary, toml::to_string(faults)?)?;
    fs::rename(&temporary, path)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn faults_read_back_as_written_and_a_missing_file_has_none() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("faults.toml");
        assert_eq!(read::<NodeFaults>(&path).unwrap(), NodeFaults::default());
        let faults = NodeFaults {
            zeroes: Some(Epochs::since(4)),
            replay: Some(Epochs::only(5)),
            cut_off: None,
        };
        write(&path, &faults).unwrap();
        assert_eq!(read::<NodeFaults>(&path).unwrap(), faults);
        fs::write(&path, "zeros = { from = 4 }").unwrap();
        assert!(read::<NodeFaults>(&path).is_err());
    }

    #[test]
    fn epochs_contain_their_bounds() {
        let epochs = Epochs {
            from: 3,
            to: Some(4),
        };
        assert_eq!(
            [2, 3, 4, 5].map(|epoch| epochs.contains(epoch)),
            [false, true, true, false]
        );
        assert!(Epochs::since(3).contains(u64::MAX));
    }
}
