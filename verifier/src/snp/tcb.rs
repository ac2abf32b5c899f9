//! Product lines and the security version numbers of their firmware.

use std::fmt;

use minicbor::{Decode, Encode};
use serde::{Deserialize, Serialize};

use super::Reject;

/// A line of EPYC processors that share AMD's root key.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, Encode, Decode,
)]
#[serde(rename_all = "lowercase")]
#[cbor(index_only)]
pub enum Product {
    /// EPYC 7003.
    #[n(0)]
    Milan,
    /// EPYC 9004 and 8004: Genoa, Bergamo, Siena.
    #[n(1)]
    Genoa,
    /// EPYC 9005.
    #[n(2)]
    Turin,
}

impl Product {
    /// As AMD spells it in certificates.
    pub fn name(self) -> &'static str {
        match self {
            Self::Milan => "Milan",
            Self::Genoa => "Genoa",
            Self::Turin => "Turin",
        }
    }

    /// By CPUID's family and model, as reports carry them from version 3 on.
    pub(super) fn from_cpuid(family: u8, model: u8) -> Option<Self> {
        match (family, model) {
            (0x19, 0x00..=0x0f) => Some(Self::Milan),
            (0x19, 0x10..=0x1f | 0xa0..=0xaf) => Some(Self::Genoa),
            (0x1a, 0x00..=0x11) => Some(Self::Turin),
            _ => None,
        }
    }

    /// By a certificate's product name, which may carry a stepping (`Milan-B0`).
    pub(super) fn from_certificate(name: &str) -> Option<Self> {
        match name.split_once('-').map_or(name, |(line, _)| line) {
            "Milan" => Some(Self::Milan),
            "Genoa" | "Bergamo" | "Siena" => Some(Self::Genoa),
            "Turin" => Some(Self::Turin),
            _ => None,
        }
    }

    /// Length of a chip id, bytes; a report pads it with zeros to 64.
    pub fn chip_id_len(self) -> usize {
        match self {
            Self::Milan | Self::Genoa => 64,
            Self::Turin => 8,
        }
    }
}

impl fmt::Display for Product {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Security version numbers of the platform's trusted computing base, by component.
///
/// AMD raises a number when an update repairs a weakness; lower is older. ABI specification, section 2.2 (`TCB_VERSION`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, Encode, Decode)]
#[serde(deny_unknown_fields)]
#[cbor(array)]
pub struct TcbVersion {
    /// FMC firmware; Turin only.
    #[n(0)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fmc: Option<u8>,
    /// The secure processor's boot loader.
    #[n(1)]
    pub bootloader: u8,
    /// The secure processor's operating system.
    #[n(2)]
    pub tee: u8,
    /// SEV-SNP firmware.
    #[n(3)]
    pub snp: u8,
    /// The lowest patch level of all cores.
    #[n(4)]
    pub microcode: u8,
}

impl TcbVersion {
    /// Reads the eight bytes of a report, whose layout depends on the product; `field` names them.
    pub(super) fn from_bytes(
        product: Product,
        bytes: [u8; 8],
        field: &'static str,
    ) -> Result<Self, Reject> {
        let [a, b, c, d, e, f, g, microcode] = bytes;
        let (version, reserved) = match product {
            Product::Milan | Product::Genoa => (
                Self {
                    fmc: None,
                    bootloader: a,
                    tee: b,
                    snp: g,
                    microcode,
                },
                [c, d, e, f],
            ),
            Product::Turin => (
                Self {
                    fmc: Some(a),
                    bootloader: b,
                    tee: c,
                    snp: d,
                    microcode,
                },
                [e, f, g, 0],
            ),
        };
        if reserved == [0; 4] {
            Ok(version)
        } else {
            Err(Reject::Reserved(field))
        }
    }

    /// The components by name; `fmc` is zero where a product has none.
    pub(super) fn components(&self) -> [(&'static str, u8); 5] {
        [
            ("fmc", self.fmc.unwrap_or(0)),
            ("bootloader", self.bootloader),
            ("tee", self.tee),
            ("snp", self.snp),
            ("microcode", self.microcode),
        ]
    }

    /// The first component below `minimum`: its name, the minimum and what was found.
    pub(super) fn shortfall(&self, minimum: &Self) -> Option<(&'static str, u8, u8)> {
        self.components()
            .into_iter()
            .zip(minimum.components())
            .find(|((_, found), (_, minimum))| found < minimum)
            .map(|((name, found), (_, minimum))| (name, minimum, found))
    }
}

impl fmt::Display for TcbVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(fmc) = self.fmc {
            write!(f, "fmc {fmc}, ")?;
        }
        write!(
            f,
            "bootloader {}, tee {}, snp {}, microcode {}",
            self.bootloader, self.tee, self.snp, self.microcode
        )
    }
}
