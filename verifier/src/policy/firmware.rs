//! TPM firmware versions and makers, which certificates, quotes and people spell differently.

use std::fmt;
use std::str::FromStr;

use minicbor::{Decode, Encode};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A TPM's firmware version as quotes carry it: four numbers of 16 bits, the highest first.
///
/// TPM2_PT_FIRMWARE_VERSION_1 and _2 are the vendor's own; all makers we know count them upwards in this order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
#[cbor(transparent)]
pub struct FirmwareVersion(#[n(0)] pub u64);

/// Text is no firmware version.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is no firmware version; write one to four numbers below 65536, as in 7.85 or 7.85.4555.0"
)]
pub struct NotAVersion(String);

impl FromStr for FirmwareVersion {
    type Err = NotAVersion;

    fn from_str(text: &str) -> Result<Self, NotAVersion> {
        let wrong = || NotAVersion(text.into());
        let parts: Vec<&str> = text.split('.').collect();
        if parts.len() > 4 {
            return Err(wrong());
        }
        let mut version = 0;
        for at in 0..4 {
            let part: u16 = match parts.get(at) {
                // `parse` would take a sign.
                Some(part) if part.starts_with('+') => return Err(wrong()),
                Some(part) => part.parse().map_err(|_| wrong())?,
                None => 0,
            };
            version = version << 16 | u64::from(part);
        }
        Ok(Self(version))
    }
}

impl fmt::Display for FirmwareVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let part = |shift: u32| self.0 >> shift & 0xffff;
        write!(f, "{}.{}.{}.{}", part(48), part(32), part(16), part(0))
    }
}

impl Serialize for FirmwareVersion {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for FirmwareVersion {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(de::Error::custom)
    }
}

/// A maker's name in one spelling: the TCG vendor id as text, whether it came as `IFX` or as `id:49465800`.
pub fn vendor(text: &str) -> String {
    let text = text.trim();
    let id = text
        .strip_prefix("id:")
        .filter(|digits| digits.len() == 8)
        .and_then(|digits| hex::decode(digits).ok())
        .filter(|bytes| {
            bytes
                .iter()
                .all(|byte| *byte == 0 || byte.is_ascii_graphic() || *byte == b' ')
        })
        .and_then(|bytes| String::from_utf8(bytes).ok());
    match id {
        Some(id) => id.trim_end_matches(['\0', ' ']).to_owned(),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn versions_are_ordered_by_their_numbers_and_not_by_their_text() {
        let version = |text: &str| text.parse::<FirmwareVersion>().unwrap();
        assert!(version("7.9") < version("7.85"));
        assert!(version("7.85") < version("7.85.0.1"));
        assert_eq!(version("7.85"), version("7.85.0.0"));
        assert_eq!(version("1.2.3.4"), FirmwareVersion(0x0001_0002_0003_0004));
        assert_eq!(version("1.2.3.4").to_string(), "1.2.3.4");
        for wrong in ["", "1.", "1.2.3.4.5", "65536", "-1", "+1", "1,2", "x"] {
            assert!(wrong.parse::<FirmwareVersion>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_maker_has_one_spelling() {
        assert_eq!(vendor("id:49465800"), "IFX");
        assert_eq!(vendor("IFX"), "IFX");
        assert_eq!(vendor("id:53544D20"), "STM");
        assert_eq!(vendor("id:00"), "id:00");
        assert_eq!(vendor("id:ffffffff"), "id:ffffffff");
    }
}
