//! What makes one TLS connection unlike every other, as both of its ends know it.

use std::{
    collections::VecDeque,
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use rustls::ConnectionCommon;

/// Label of the exporter that RFC 9266 defines; its context is empty.
const LABEL: &[u8] = b"EXPORTER-Channel-Binding";

/// Bindings a channel remembers. It has one connection at a time; an answer that is judged late may have come over one of the
/// last few.
const REMEMBERED: usize = 8;

/// The channel binding `tls-exporter` of a TLS 1.3 connection (RFC 9266): 32 bytes that depend on all of its handshake.
///
/// Whoever ends a connection and forwards what comes over another one has two connections, with two bindings.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct ChannelBinding(pub [u8; 32]);

impl ChannelBinding {
    /// Of either end of a connection after its handshake.
    ///
    /// # Errors
    /// If the handshake is not complete.
    pub fn of<Side>(connection: &ConnectionCommon<Side>) -> Result<Self, rustls::Error> {
        connection
            .export_keying_material([0; 32], LABEL, Some(&[]))
            .map(Self)
    }
}

impl fmt::Debug for ChannelBinding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ChannelBinding({})", hex::encode(self.0))
    }
}

/// Bindings of the connections that a channel has opened lately; clones share them.
///
/// A channel does not tell over which of its connections an answer came, and connects anew when one is lost. An answer is taken
/// that fits any of these: each was opened by this client to the pinned key, so that nothing is lost by not knowing which.
#[derive(Clone, Debug, Default)]
pub struct Bindings {
    recent: Arc<Mutex<VecDeque<ChannelBinding>>>,
}

impl Bindings {
    pub(super) fn add(&self, binding: ChannelBinding) {
        let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        recent.push_front(binding);
        recent.truncate(REMEMBERED);
    }

    /// The bindings, the latest connection's first.
    #[must_use]
    pub fn recent(&self) -> Vec<[u8; 32]> {
        let recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        recent.iter().map(|binding| binding.0).collect()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::cast_possible_truncation)]

    use super::*;

    #[test]
    fn the_last_few_connections_are_remembered_the_latest_first() {
        let bindings = Bindings::default();
        assert!(bindings.recent().is_empty());
        let shared = bindings.clone();
        for number in 0..20 {
            shared.add(ChannelBinding([number; 32]));
        }
        let recent = bindings.recent();
        assert_eq!(recent.len(), REMEMBERED);
        assert_eq!((recent[0], recent[7]), ([19; 32], [12; 32]));
    }
}
