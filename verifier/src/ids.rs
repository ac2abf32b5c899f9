//! Names and quantities that could be mixed up, each a type of its own.

use std::fmt;

use minicbor::{Decode, Encode};
use serde::{Deserialize, Serialize};

macro_rules! number {
    ($(#[$doc:meta])* $name:ident($inner:ty)) => {
        $(#[$doc])*
        #[derive(
            Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, Encode, Decode,
        )]
        #[serde(transparent)]
        #[cbor(transparent)]
        pub struct $name(#[n(0)] pub $inner);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl From<$inner> for $name {
            fn from(value: $inner) -> Self {
                Self(value)
            }
        }
    };
}

number! {
    /// A storage node's id in the registry.
    NodeId(u64)
}
number! {
    /// An epoch's number.
    Epoch(u64)
}
number! {
    /// A deal's id.
    DealId(u64)
}
number! {
    /// A slot of a deal: it holds shard `slot` of every stripe.
    Slot(u16)
}
number! {
    /// A stripe of an object.
    Stripe(u32)
}
number! {
    /// A block's number.
    BlockNumber(u64)
}
number! {
    /// Share of probes answered in time, in basis points (0..=10_000).
    Availability(u16)
}
number! {
    /// A latency, in milliseconds.
    LatencyMs(u32)
}
number! {
    /// A throughput, in bytes a second.
    Throughput(u64)
}

impl Epoch {
    /// The epoch after this one.
    pub fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}
