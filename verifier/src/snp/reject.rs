//! Why SEV-SNP evidence is refused.

use super::{KeyKind, Product};
use crate::tpm;

/// The reason for refusing a report; [`Reject::code`] is the permanent name of each.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Reject {
    /// Not the size of a report.
    #[error("an attestation report has 1184 bytes, this one {0}")]
    Length(usize),
    /// A format this verifier does not know.
    #[error("report has version {0}; versions 2 to 5 are known here")]
    Version(u32),
    /// Not ECDSA P-384 with SHA-384.
    #[error("report names signature algorithm {0}; 1 (ECDSA P-384 with SHA-384) is expected")]
    SignatureAlgorithm(u32),
    /// Bytes or bits that this version of the report leaves reserved are set, so that their meaning is unknown.
    #[error("{0} has reserved bits set that this version of the report gives no meaning")]
    Reserved(&'static str),
    /// r or s is zero, not below the group order, or padded with something else than zeros.
    #[error("the report's signature is not r, s in range padded with zeros")]
    SignatureMalformed,
    /// The signature does not verify.
    #[error("the report's signature does not verify under the endorsement key")]
    Signature,
    /// The hypervisor keeps the firmware from signing.
    #[error(
        "the report is not signed: the host masks the chip's key (MASK_CHIP_KEY); ask the host to unmask it"
    )]
    Unsigned,
    /// Another kind of key signed than the certificate is for.
    #[error(
        "the report says that a {report} signed it, the certificate is that of a {certificate}"
    )]
    SigningKey {
        /// What the report says.
        report: String,
        /// What the certificate says.
        certificate: KeyKind,
    },
    /// The certificate is another chip's.
    #[error("the report's chip id is not the one in the VCEK certificate: {0}")]
    ChipId(&'static str),
    /// The certificate is for another firmware level.
    #[error(
        "the report's TCB has {component} {report}, the certificate's {certificate}: fetch the certificate for the reported TCB"
    )]
    TcbMismatch {
        /// Which number.
        component: &'static str,
        /// In the report.
        report: u8,
        /// In the certificate.
        certificate: u8,
    },
    /// The report is from another product line than the certificates.
    #[error("the report is from {report}, its certificates are {certificate}'s")]
    ProductMismatch {
        /// What the report says, or an unknown processor's CPUID.
        report: String,
        /// The line of the root.
        certificate: Product,
    },

    /// A certificate of the chain fails as a certificate.
    #[error("{role}: {why}")]
    Certificate {
        /// ARK, ASK/ASVK or VCEK/VLEK.
        role: &'static str,
        /// The reason.
        why: tpm::Reject,
    },
    /// Not two CA certificates.
    #[error("a chain is two certificates, ARK and ASK (or ASVK); {0} were given")]
    ChainLength(usize),
    /// No certificate of the chain holds a pinned root key.
    #[error(
        "no certificate of the chain holds a pinned AMD root key; SHA-256 of the keys found: {0}"
    )]
    UntrustedRoot(String),
    /// A certificate has another name than its place in the chain demands.
    #[error("{role} must have the common name {expected}, it has {found}")]
    CertificateName {
        /// ARK, ASK/ASVK or VCEK/VLEK.
        role: &'static str,
        /// Common names that would do.
        expected: String,
        /// Common name found.
        found: String,
    },
    /// An extension of the VCEK or VLEK is missing or has an impossible value.
    #[error("the endorsement key's certificate: {0}")]
    Extension(&'static str),

    /// There is no policy; that is a denial.
    #[error(
        "no policy says which reports are acceptable; write one with a section [snp] and pass it"
    )]
    NoPolicy,
    /// Nobody said which node the report must be bound to; that is a denial.
    #[error(
        "no node key says what REPORT_DATA must be; without it the report may be any machine's"
    )]
    NoBinding,
    /// The report was not made for this node.
    #[error("REPORT_DATA is not the binding expected: made for another node key or context")]
    ReportData,
    /// The policy has no table for the product line.
    #[error("the policy does not accept {0}")]
    Product(Product),
    /// Firmware or microcode is too old.
    #[error(
        "{which} TCB has {component} {found}, the policy's minimum is {minimum}: update the firmware"
    )]
    TcbTooOld {
        /// reported, current, committed or launch.
        which: &'static str,
        /// Which number.
        component: &'static str,
        /// The policy's.
        minimum: u8,
        /// The report's.
        found: u8,
    },
    /// The firmware that runs can still be rolled back.
    #[error(
        "the firmware is provisional: its current TCB is not committed, the host can roll it back"
    )]
    Provisional,
    /// The guest's memory can be read by the host.
    #[error("the guest's policy allows debugging: the host can read and write its memory")]
    Debug,
    /// The guest can be moved by a migration agent.
    #[error("the guest may be associated with a migration agent, or is")]
    MigrationAgent,
    /// Sibling threads may run other code.
    #[error("the guest's policy allows simultaneous multithreading on the host, ours does not")]
    Smt,
    /// The guest may span sockets.
    #[error("the guest's policy allows several sockets, ours does not")]
    MultiSocket,
    /// CXL memory may be present.
    #[error("the guest's policy allows CXL devices, ours does not")]
    Cxl,
    /// The report was asked for at a less privileged level.
    #[error("the report was requested at VMPL {found}, the policy's maximum is {maximum}")]
    Vmpl {
        /// The report's; 4294967295 for the host's.
        found: u32,
        /// The policy's.
        maximum: u32,
    },
    /// The guest's image is too old.
    #[error("guest SVN is {found}, the policy's minimum {minimum}")]
    GuestSvn {
        /// The report's.
        found: u32,
        /// The policy's.
        minimum: u32,
    },
    /// The guest would run on too old a firmware interface.
    #[error("the guest's policy asks for ABI {found}, ours for at least {minimum}")]
    PolicyAbi {
        /// major.minor.
        found: String,
        /// major.minor.
        minimum: String,
    },
    /// The SNP firmware is too old.
    #[error("{which} SNP firmware is {found}, the policy's minimum {minimum}: update it")]
    Firmware {
        /// running or committed.
        which: &'static str,
        /// major.minor.build.
        found: String,
        /// major.minor.build.
        minimum: String,
    },
    /// The guest's initial memory is not an accepted one.
    #[error("launch measurement {0} is not one of the policy's")]
    Measurement(String),
    /// A value the guest's owner or the host gave is not an accepted one.
    #[error(
        "{field} {found} is not one of the policy's (a field the policy leaves out must be zero)"
    )]
    Value {
        /// FAMILY_ID, IMAGE_ID, HOST_DATA, ID_KEY_DIGEST or AUTHOR_KEY_DIGEST.
        field: &'static str,
        /// Hex.
        found: String,
    },
    /// Who signed the guest's identity does not fit together.
    #[error("AUTHOR_KEY_EN and AUTHOR_KEY_DIGEST contradict each other")]
    AuthorKey,
    /// A protection the policy demands of the platform is off.
    #[error("the platform does not have {0}, which the policy demands")]
    Platform(&'static str),
    /// A known weakness is not mitigated.
    #[error(
        "{which} mitigation vector is {found:#x}, the policy demands all bits of {required:#x}"
    )]
    Mitigation {
        /// launch or current.
        which: &'static str,
        /// The report's; zero before version 5.
        found: u64,
        /// The policy's.
        required: u64,
    },
    /// A VLEK of a provider that the policy does not list.
    #[error("the VLEK is provider {0}'s, whom the policy does not list")]
    Provider(String),
    /// The chip is denied.
    #[error("chip {0} is denied by the policy")]
    DeniedChip(String),
    /// The endorsement key's certificate, or its CA's, is denied.
    #[error("certificate {0} (SHA-256) is denied by the policy")]
    DeniedCertificate(String),
}

impl Reject {
    /// Permanent name of the reason; a certificate's own reason keeps the name it has for TPMs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Length(_) => "SNP_LENGTH",
            Self::Version(_) => "SNP_VERSION",
            Self::SignatureAlgorithm(_) => "SNP_SIGNATURE_ALGORITHM",
            Self::Reserved(_) => "SNP_RESERVED",
            Self::SignatureMalformed => "SNP_SIGNATURE_MALFORMED",
            Self::Signature => "SNP_SIGNATURE",
            Self::Unsigned => "SNP_UNSIGNED",
            Self::SigningKey { .. } => "SNP_SIGNING_KEY",
            Self::ChipId(_) => "SNP_CHIP_ID",
            Self::TcbMismatch { .. } => "SNP_TCB_MISMATCH",
            Self::ProductMismatch { .. } => "SNP_PRODUCT_MISMATCH",
            Self::Certificate { why, .. } => why.code(),
            Self::ChainLength(_) => "SNP_CHAIN_LENGTH",
            Self::UntrustedRoot(_) => "SNP_UNTRUSTED_ROOT",
            Self::CertificateName { .. } => "SNP_CERTIFICATE_NAME",
            Self::Extension(_) => "SNP_CERTIFICATE_EXTENSION",
            Self::NoPolicy => "SNP_NO_POLICY",
            Self::NoBinding => "SNP_NO_BINDING",
            Self::ReportData => "SNP_REPORT_DATA",
            Self::Product(_) => "SNP_PRODUCT",
            Self::TcbTooOld { .. } => "SNP_TCB_TOO_OLD",
            Self::Provisional => "SNP_PROVISIONAL_FIRMWARE",
            Self::Debug => "SNP_DEBUG",
            Self::MigrationAgent => "SNP_MIGRATION_AGENT",
            Self::Smt => "SNP_SMT",
            Self::MultiSocket => "SNP_MULTI_SOCKET",
            Self::Cxl => "SNP_CXL",
            Self::Vmpl { .. } => "SNP_VMPL",
            Self::GuestSvn { .. } => "SNP_GUEST_SVN",
            Self::PolicyAbi { .. } => "SNP_POLICY_ABI",
            Self::Firmware { .. } => "SNP_FIRMWARE",
            Self::Measurement(_) => "SNP_MEASUREMENT",
            Self::Value { .. } => "SNP_VALUE",
            Self::AuthorKey => "SNP_AUTHOR_KEY",
            Self::Platform(_) => "SNP_PLATFORM",
            Self::Mitigation { .. } => "SNP_MITIGATION",
            Self::Provider(_) => "SNP_PROVIDER",
            Self::DeniedChip(_) => "SNP_DENIED_CHIP",
            Self::DeniedCertificate(_) => "SNP_DENIED_CERTIFICATE",
        }
    }
}
