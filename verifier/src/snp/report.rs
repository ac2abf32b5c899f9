//! The attestation report: 1,184 bytes, read strictly and verified as they came.
//!
//! ABI specification 56860, table "ATTESTATION_REPORT". Bytes 0..0x2A0 are signed; the signature after them is padded
//! with zeros, and everything reserved must be zero, so that no bit of the report can be changed unnoticed.

use alloy_primitives::{B128, B256, FixedBytes};
use minicbor::{Decode, Encode};
use serde::{Deserialize, Serialize, Serializer};
use sha2::{Digest as _, Sha384};

use super::{EndorsementKey, KeyKind, Product, Reject, TcbVersion};
use crate::curve::{self, Curve, Refused};
use crate::tee::ReportData;
use crate::tpm::wire::HashAlgorithm;

/// Size of a report.
pub const REPORT_BYTES: usize = 0x4a0;
/// How many bytes of it are signed.
pub const SIGNED_BYTES: usize = 0x2a0;
/// Width of r and of s in the report, of which 48 bytes are used, little-endian.
const SCALAR_FIELD_BYTES: usize = 72;
const SCALAR_BYTES: usize = 48;

/// What a report says. Only [`Report::verify`] gives out one that was signed by a chip.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Format version, 2 to 5.
    pub version: u32,
    /// Security version of the guest's image, from its ID block.
    pub guest_svn: u32,
    /// What the guest's owner allows the host to do.
    pub policy: GuestPolicy,
    /// Family of the guest's image, from its ID block.
    pub family_id: B128,
    /// The guest's image, from its ID block.
    pub image_id: B128,
    /// Privilege level the report was requested at; `u32::MAX` for the host's own.
    pub vmpl: u32,
    /// TCB that runs.
    pub current_tcb: TcbVersion,
    /// State of the platform.
    pub platform: Platform,
    /// Whether the ID key is certified by an author key.
    pub author_key_enabled: bool,
    /// Which kind of key signed.
    pub signing_key: KeyKind,
    /// Chosen by the guest.
    pub report_data: ReportData,
    /// SHA-384 over the guest's initial memory and state.
    pub measurement: FixedBytes<48>,
    /// Given by the host at launch.
    pub host_data: B256,
    /// SHA-384 of the key that signed the ID block.
    pub id_key_digest: FixedBytes<48>,
    /// SHA-384 of the key that certified the ID key.
    pub author_key_digest: FixedBytes<48>,
    /// This guest, until it ends.
    pub report_id: B256,
    /// The guest's migration agent; all ones if it has none.
    pub report_id_ma: B256,
    /// TCB the endorsement key is derived from.
    pub reported_tcb: TcbVersion,
    /// CPUID family, model and stepping; from version 3 on.
    pub cpuid: Option<[u8; 3]>,
    /// The chip; zeros if the host masks it.
    pub chip_id: FixedBytes<64>,
    /// TCB the host cannot go back behind.
    pub committed_tcb: TcbVersion,
    /// SNP firmware that runs: major, minor, build.
    pub current_firmware: Firmware,
    /// SNP firmware the host cannot go back behind.
    pub committed_firmware: Firmware,
    /// TCB when the guest was launched or imported.
    pub launch_tcb: TcbVersion,
    /// Mitigations in force when the guest was launched; from version 5 on.
    pub launch_mitigations: Option<u64>,
    /// Mitigations in force; from version 5 on.
    pub current_mitigations: Option<u64>,
    /// SHA-384 of the signed bytes.
    ///
    /// What identifies a report: ECDSA gives every message a second valid signature, which anybody can derive.
    pub digest: FixedBytes<48>,
}

/// Version of the SNP firmware, ordered as major, minor, build.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, Encode, Decode,
)]
#[serde(deny_unknown_fields)]
#[cbor(array)]
pub struct Firmware {
    /// API major version.
    #[n(0)]
    pub major: u8,
    /// API minor version.
    #[n(1)]
    pub minor: u8,
    /// Build number.
    #[n(2)]
    #[serde(default)]
    pub build: u8,
}

impl std::fmt::Display for Firmware {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.build)
    }
}

macro_rules! bits {
    ($(#[$doc:meta])* $name:ident { $($(#[$bit_doc:meta])* $bit:ident = $at:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub struct $name(pub u64);

        impl $name {
            $($(#[$bit_doc])* pub fn $bit(self) -> bool { self.0 >> $at & 1 == 1 })*
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(&format_args!("{:#x}", self.0))
            }
        }
    };
}

bits! {
    /// The guest's policy: bits set by its owner at launch, enforced by the firmware.
    GuestPolicy {
        /// Sibling threads of the host may be in use.
        smt_allowed = 16,
        /// A migration agent may be associated with the guest.
        migration_agent_allowed = 18,
        /// The host may read and write the guest's memory.
        debug_allowed = 19,
        /// The guest may run on one socket only.
        single_socket = 20,
        /// CXL devices or memory may be present.
        cxl_allowed = 21,
        /// Memory must be encrypted with AES-256-XTS.
        aes_256_xts = 22,
        /// Power measurement (RAPL) must be off.
        rapl_disabled = 23,
        /// Ciphertext must be hidden from the host.
        ciphertext_hiding = 24,
        /// The host cannot move or swap the guest's pages by command.
        page_swap_disabled = 25,
    }
}

bits! {
    /// What the platform has on.
    Platform {
        /// Simultaneous multithreading.
        smt = 0,
        /// Transparent memory encryption.
        tsme = 1,
        /// Error-correcting memory.
        ecc = 2,
        /// Power measurement (RAPL) is off.
        rapl_disabled = 3,
        /// Ciphertext is hidden from the host.
        ciphertext_hiding = 4,
        /// Memory was checked for aliased addresses since the last reset.
        alias_check = 5,
        /// Trusted I/O.
        tio = 7,
    }
}

impl GuestPolicy {
    /// Lowest ABI the guest accepts to run on: major, minor.
    pub fn abi(self) -> (u8, u8) {
        let [minor, major, ..] = self.0.to_le_bytes();
        (major, minor)
    }
}

/// Bits of the guest's policy and of the platform's state that have a meaning, by version of the report.
fn known_bits(version: u32) -> (u64, u64) {
    match version {
        2 => (0x01ff_ffff, 0x1f),
        3 | 4 => (0x01ff_ffff, 0x3f),
        _ => (0x03ff_ffff, 0xbf),
    }
}

/// Reads fields at fixed places of a report, none of which lies outside of it.
struct Fields<'a>(&'a [u8; REPORT_BYTES]);

impl Fields<'_> {
    fn array<const N: usize>(&self, at: usize) -> [u8; N] {
        let mut field = [0; N];
        field.copy_from_slice(&self.0[at..at + N]);
        field
    }

    fn u32(&self, at: usize) -> u32 {
        u32::from_le_bytes(self.array(at))
    }

    fn u64(&self, at: usize) -> u64 {
        u64::from_le_bytes(self.array(at))
    }

    fn zeros(&self, field: &'static str, from: usize, to: usize) -> Result<(), Reject> {
        if self.0[from..to].iter().all(|byte| *byte == 0) {
            Ok(())
        } else {
            Err(Reject::Reserved(field))
        }
    }

    fn firmware(&self, at: usize) -> Firmware {
        let [build, minor, major] = self.array(at);
        Firmware {
            major,
            minor,
            build,
        }
    }
}

impl Report {
    /// Reads a report of a `product` without checking its signature, which is [`Report::verify`]'s.
    ///
    /// # Errors
    /// [`Reject::Length`], [`Reject::Version`], [`Reject::SignatureAlgorithm`], [`Reject::Reserved`],
    /// [`Reject::Unsigned`], [`Reject::SigningKey`], [`Reject::AuthorKey`], [`Reject::ProductMismatch`].
    pub fn parse(raw: &[u8], product: Product) -> Result<Self, Reject> {
        let raw: &[u8; REPORT_BYTES] = raw.try_into().map_err(|_| Reject::Length(raw.len()))?;
        let fields = Fields(raw);
        let version = fields.u32(0);
        if !(2..=5).contains(&version) {
            return Err(Reject::Version(version));
        }
        let algorithm = fields.u32(0x34);
        if algorithm != 1 {
            return Err(Reject::SignatureAlgorithm(algorithm));
        }
        check_reserved(&fields, version)?;
        let cpuid = (version >= 3).then(|| fields.array(0x188));
        check_product(cpuid, product)?;

        let flags = fields.u32(0x48);
        let author_key_enabled = flags & 1 == 1;
        if flags >> 1 & 1 == 1 {
            return Err(Reject::Unsigned);
        }
        let signing_key = match flags >> 2 & 7 {
            0 => KeyKind::Vcek,
            1 => KeyKind::Vlek,
            7 => return Err(Reject::Unsigned),
            _ => return Err(Reject::Reserved("SIGNING_KEY")),
        };
        let author_key_digest = FixedBytes(fields.array(0x110));
        if author_key_enabled == author_key_digest.is_zero() {
            return Err(Reject::AuthorKey);
        }
        let tcb = |at, field| TcbVersion::from_bytes(product, fields.array(at), field);
        Ok(Self {
            version,
            guest_svn: fields.u32(0x04),
            policy: GuestPolicy(fields.u64(0x08)),
            family_id: fields.array(0x10).into(),
            image_id: fields.array(0x20).into(),
            vmpl: fields.u32(0x30),
            current_tcb: tcb(0x38, "CURRENT_TCB")?,
            platform: Platform(fields.u64(0x40)),
            author_key_enabled,
            signing_key,
            report_data: fields.array(0x50).into(),
            measurement: fields.array(0x90).into(),
            host_data: fields.array(0xc0).into(),
            id_key_digest: fields.array(0xe0).into(),
            author_key_digest,
            report_id: fields.array(0x140).into(),
            report_id_ma: fields.array(0x160).into(),
            reported_tcb: tcb(0x180, "REPORTED_TCB")?,
            cpuid,
            chip_id: fields.array(0x1a0).into(),
            committed_tcb: tcb(0x1e0, "COMMITTED_TCB")?,
            current_firmware: fields.firmware(0x1e8),
            committed_firmware: fields.firmware(0x1ec),
            launch_tcb: tcb(0x1f0, "LAUNCH_TCB")?,
            launch_mitigations: (version >= 5).then(|| fields.u64(0x1f8)),
            current_mitigations: (version >= 5).then(|| fields.u64(0x200)),
            digest: <[u8; 48]>::from(Sha384::digest(&raw[..SIGNED_BYTES])).into(),
        })
    }

    /// Reads a report and checks that `key` signed it, over its bytes as they came, and that it is the key the report
    /// says it was signed with: of this chip at the reported TCB, or the provider's at that TCB.
    ///
    /// # Errors
    /// [`Report::parse`]'s; [`Reject::SigningKey`], [`Reject::ChipId`], [`Reject::TcbMismatch`];
    /// [`Reject::SignatureMalformed`], [`Reject::Signature`].
    pub fn verify(raw: &[u8], key: &EndorsementKey) -> Result<Self, Reject> {
        let report = Self::parse(raw, key.product)?;
        // Before the signature: with the wrong certificate these say what is wrong about it.
        report.check_key(key)?;
        let scalar = |at: usize| -> Result<[u8; SCALAR_BYTES], Reject> {
            let field = raw
                .get(at..at + SCALAR_FIELD_BYTES)
                .ok_or(Reject::Length(raw.len()))?;
            let (value, padding) = field.split_at(SCALAR_BYTES);
            if padding.iter().any(|byte| *byte != 0) {
                return Err(Reject::SignatureMalformed);
            }
            let mut big_endian: [u8; SCALAR_BYTES] =
                value.try_into().map_err(|_| Reject::SignatureMalformed)?;
            big_endian.reverse();
            Ok(big_endian)
        };
        let (r, s) = (
            scalar(SIGNED_BYTES)?,
            scalar(SIGNED_BYTES + SCALAR_FIELD_BYTES)?,
        );
        let signed = &raw[..SIGNED_BYTES];
        let signature = [r, s].concat();
        curve::verify(
            Curve::P384,
            key.point(),
            HashAlgorithm::Sha384,
            signed,
            &signature,
        )
        .map_err(|refused| match refused {
            Refused::Malformed => Reject::SignatureMalformed,
            Refused::Key | Refused::Signature => Reject::Signature,
        })?;
        Ok(report)
    }

    /// The key is the one the report names.
    fn check_key(&self, key: &EndorsementKey) -> Result<(), Reject> {
        if self.signing_key != key.kind {
            return Err(Reject::SigningKey {
                report: self.signing_key.to_string(),
                certificate: key.kind,
            });
        }
        if let Some(chip) = &key.chip_id {
            if self.chip_id.is_zero() {
                return Err(Reject::ChipId("the host masks it"));
            }
            if *chip != self.chip_id {
                return Err(Reject::ChipId("the certificate is another chip's"));
            }
        }
        let differing = self
            .reported_tcb
            .components()
            .into_iter()
            .zip(key.tcb.components())
            .find(|(report, certificate)| report != certificate);
        match differing {
            Some(((component, report), (_, certificate))) => Err(Reject::TcbMismatch {
                component,
                report,
                certificate,
            }),
            None => Ok(()),
        }
    }
}

/// Everything without a meaning is zero.
fn check_reserved(fields: &Fields<'_>, version: u32) -> Result<(), Reject> {
    let (policy_bits, platform_bits) = known_bits(version);
    let policy = fields.u64(0x08);
    // Bit 17 must be one.
    if policy & !policy_bits != 0 || policy >> 17 & 1 == 0 {
        return Err(Reject::Reserved("POLICY"));
    }
    if fields.u64(0x40) & !platform_bits != 0 {
        return Err(Reject::Reserved("PLATFORM_INFO"));
    }
    if fields.u32(0x48) >> 5 != 0 {
        return Err(Reject::Reserved("byte 0x48"));
    }
    fields.zeros("byte 0x4c", 0x4c, 0x50)?;
    let after_cpuid = if version >= 3 { 0x18b } else { 0x188 };
    fields.zeros("the space before CHIP_ID", after_cpuid, 0x1a0)?;
    fields.zeros("byte 0x1eb", 0x1eb, 0x1ec)?;
    fields.zeros("byte 0x1ef", 0x1ef, 0x1f0)?;
    let after_mitigations = if version >= 5 { 0x208 } else { 0x1f8 };
    fields.zeros("the space before the signature", after_mitigations, 0x2a0)?;
    fields.zeros("the space after the signature", 0x330, REPORT_BYTES)
}

fn check_product(cpuid: Option<[u8; 3]>, product: Product) -> Result<(), Reject> {
    let Some([family, model, _]) = cpuid else {
        return Ok(());
    };
    match Product::from_cpuid(family, model) {
        Some(found) if found == product => Ok(()),
        Some(found) => Err(Reject::ProductMismatch {
            report: found.to_string(),
            certificate: product,
        }),
        None => Err(Reject::ProductMismatch {
            report: format!("an unknown processor (family {family:#04x}, model {model:#04x})"),
            certificate: product,
        }),
    }
}
