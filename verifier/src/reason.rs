//! The catalogue of reasons: one permanent code for everything that can cost money or refuse service.
//!
//! `reasons.toml` is the source; the enums below, `Reasons.sol` and `docs/reasons.md` are generated from it.

use std::fmt;

use minicbor::{Decode, Decoder, Encode, Encoder, decode, encode};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

include!("reason/generated.rs");

macro_rules! by_name {
    ($type:ty) => {
        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.name())
            }
        }

        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.name())
            }
        }

        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let name = String::deserialize(deserializer)?;
                Self::ALL
                    .iter()
                    .copied()
                    .find(|reason| reason.name() == name)
                    .ok_or_else(|| de::Error::custom(format!("unknown reason {name}")))
            }
        }

        impl<C> Encode<C> for $type {
            fn encode<W: encode::Write>(
                &self,
                e: &mut Encoder<W>,
                _: &mut C,
            ) -> Result<(), encode::Error<W::Error>> {
                e.u8(self.code())?.ok()
            }
        }

        impl<'b, C> Decode<'b, C> for $type {
            fn decode(d: &mut Decoder<'b>, _: &mut C) -> Result<Self, decode::Error> {
                let code = d.u8()?;
                Self::from_code(code)
                    .ok_or_else(|| decode::Error::message(format!("unknown reason code {code}")))
            }
        }
    };
}

by_name!(Reason);
by_name!(EvidenceReason);
