//! Why TDX evidence is refused.

/// The reason for refusing a quote; [`Reject::code`] is the permanent name of each.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Reject {
    /// Longer than any honest one.
    #[error("{what} has {actual} bytes, at most {limit} are read")]
    TooLarge {
        /// Quote or collateral.
        what: &'static str,
        /// Size limit, bytes.
        limit: usize,
        /// Size found, bytes.
        actual: usize,
    },
    /// A structure ends before its last field.
    #[error("{0} is cut short")]
    Truncated(&'static str),
    /// Bytes follow the last field of a structure: nobody vouches for them.
    #[error("{0} is followed by surplus bytes")]
    TrailingBytes(&'static str),
    /// A quote of a format not taken here.
    #[error("quote has version {0}; versions 4 and 5 are known here")]
    Version(u16),
    /// Not a TDX quote.
    #[error("quote is for TEE type {0:#x}; 0x81 (TDX) is expected")]
    TeeType(u32),
    /// Not ECDSA P-256.
    #[error("quote has attestation key type {0}; 2 (ECDSA P-256) is expected")]
    KeyType(u16),
    /// Not a TD report.
    #[error("quote body has type {kind} and {size} bytes, which is no TD report known here")]
    Body {
        /// The type.
        kind: u16,
        /// Its size, bytes.
        size: u32,
    },
    /// Another kind of certification data than a certificate chain in the quote itself.
    #[error("{what} has type {found}; {expected} is expected")]
    CertificationData {
        /// Which of the two nested ones.
        what: &'static str,
        /// Type expected.
        expected: u16,
        /// Type found.
        found: u16,
    },
    /// The certificate chain in the quote is not the one canonical text.
    #[error("the quote's PCK certificate chain: {0}")]
    CertificateChain(&'static str),
    /// The collateral is not JSON of the expected form.
    #[error("collateral: {0}")]
    CollateralMalformed(String),
    /// The collateral is not valid yet.
    #[error("collateral ({what}) is valid only from {from} (Unix seconds)")]
    CollateralNotYetValid {
        /// Which part.
        what: &'static str,
        /// Start, Unix seconds.
        from: u64,
    },
    /// The collateral has expired.
    #[error("collateral ({what}) was valid until {until} (Unix seconds): fetch it anew")]
    CollateralExpired {
        /// Which part.
        what: &'static str,
        /// End, Unix seconds.
        until: u64,
    },
    /// A signature, certificate or match fails.
    #[error("quote is not authentic: {0}")]
    NotAuthentic(String),
    /// Older than anything Intel's collateral still lists.
    #[error(
        "the platform's security versions are below every TCB level that Intel lists: update the platform"
    )]
    BelowTcbLevels,
    /// Intel has revoked the platform's TCB level.
    #[error("the platform's TCB is revoked")]
    Revoked,
    /// The guest's attributes are not acceptable whatever the policy.
    #[error("TD attributes: {0}")]
    Attributes(&'static str),

    /// There is no policy; that is a denial.
    #[error(
        "no policy says which quotes are acceptable; write one with a section [tdx] and pass it"
    )]
    NoPolicy,
    /// Nobody said which node the quote must be bound to; that is a denial.
    #[error("no node key says what REPORT_DATA must be; without it the quote may be any machine's")]
    NoBinding,
    /// The quote was not made for this node.
    #[error("REPORT_DATA is not the binding expected: made for another node key or context")]
    ReportData,
    /// The host can look into the guest.
    #[error("the TD is under debug or profiling: the host can see its state")]
    Debug,
    /// An attribute the policy does not list.
    #[error("the TD has the attribute {0}, which the policy does not list")]
    Attribute(String),
    /// An extended feature the policy does not list.
    #[error("the TD may use extended features {found:#x}, the policy allows {allowed:#x}")]
    Xfam {
        /// The quote's.
        found: u64,
        /// The policy's mask.
        allowed: u64,
    },
    /// The TCB level is not up to date, and no exception applies.
    #[error(
        "TCB status is {status} ({advisories}), and the policy has no exception for it now: update the platform"
    )]
    TcbStatus {
        /// Intel's word.
        status: String,
        /// Advisories, by id.
        advisories: String,
    },
    /// An advisory that the policy names.
    #[error("the platform is affected by {0}, which the policy denies")]
    DeniedAdvisory(String),
    /// The collateral's knowledge is too old.
    #[error("collateral has TCB evaluation number {found}, the policy's minimum is {minimum}")]
    TcbEvaluation {
        /// The collateral's.
        found: u32,
        /// The policy's.
        minimum: u32,
    },
    /// A security version is too low.
    #[error("{component} has SVN {found}, the policy's minimum is {minimum}: update the platform")]
    Svn {
        /// Which.
        component: String,
        /// The quote's.
        found: u16,
        /// The policy's.
        minimum: u16,
    },
    /// The guest's initial memory is not an accepted one.
    #[error("MRTD {0} is not one of the policy's")]
    Measurement(String),
    /// A register is not an accepted one.
    #[error(
        "{register} {found} is not one of the policy's (a field the policy leaves out must be zero)"
    )]
    Value {
        /// Which register.
        register: &'static str,
        /// Hex.
        found: String,
    },
    /// The quote is about a nested virtual machine.
    #[error("the quote was made for virtual machine {0} inside the TD, not for the TD")]
    Partition(u8),
    /// A property of the platform that the policy does not allow.
    #[error("the platform {0}, which the policy does not allow")]
    Platform(&'static str),
    /// The platform is denied.
    #[error("platform {0} (PPID) is denied by the policy")]
    DeniedPlatform(String),
}

impl Reject {
    /// Permanent name of the reason.
    pub fn code(&self) -> &'static str {
        match self {
            Self::TooLarge { .. } => "TDX_TOO_LARGE",
            Self::Truncated(_) => "TDX_TRUNCATED",
            Self::TrailingBytes(_) => "TDX_TRAILING_BYTES",
            Self::Version(_) => "TDX_VERSION",
            Self::TeeType(_) => "TDX_TEE_TYPE",
            Self::KeyType(_) => "TDX_KEY_TYPE",
            Self::Body { .. } => "TDX_BODY",
            Self::CertificationData { .. } => "TDX_CERTIFICATION_DATA",
            Self::CertificateChain(_) => "TDX_CERTIFICATE_CHAIN",
            Self::CollateralMalformed(_) => "TDX_COLLATERAL_MALFORMED",
            Self::CollateralNotYetValid { .. } => "TDX_COLLATERAL_NOT_YET_VALID",
            Self::CollateralExpired { .. } => "TDX_COLLATERAL_EXPIRED",
            Self::NotAuthentic(_) => "TDX_NOT_AUTHENTIC",
            Self::BelowTcbLevels => "TDX_BELOW_TCB_LEVELS",
            Self::Revoked => "TDX_REVOKED",
            Self::Attributes(_) => "TDX_ATTRIBUTES",
            Self::NoPolicy => "TDX_NO_POLICY",
            Self::NoBinding => "TDX_NO_BINDING",
            Self::ReportData => "TDX_REPORT_DATA",
            Self::Debug => "TDX_DEBUG",
            Self::Attribute(_) => "TDX_ATTRIBUTE",
            Self::Xfam { .. } => "TDX_XFAM",
            Self::TcbStatus { .. } => "TDX_TCB_STATUS",
            Self::DeniedAdvisory(_) => "TDX_DENIED_ADVISORY",
            Self::TcbEvaluation { .. } => "TDX_TCB_EVALUATION",
            Self::Svn { .. } => "TDX_SVN",
            Self::Measurement(_) => "TDX_MEASUREMENT",
            Self::Value { .. } => "TDX_VALUE",
            Self::Partition(_) => "TDX_PARTITION",
            Self::Platform(_) => "TDX_PLATFORM",
            Self::DeniedPlatform(_) => "TDX_DENIED_PLATFORM",
        }
    }
}
