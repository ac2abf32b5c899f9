//! Why evidence from a TPM is refused.

use super::certificate::RevocationReject;

/// The reason for refusing a TPM's evidence; [`Reject::code`] is the permanent name of each.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Reject {
    /// A structure ends before its last field.
    #[error("{0} is cut short")]
    Truncated(&'static str),
    /// Bytes follow the last field of a structure.
    #[error("{0} is followed by surplus bytes")]
    TrailingBytes(&'static str),
    /// A structure is longer than any honest one.
    #[error("{what} has {actual} bytes, at most {limit} are read")]
    TooLarge {
        /// The structure.
        what: &'static str,
        /// Size limit, bytes.
        limit: usize,
        /// Size found, bytes.
        actual: usize,
    },
    /// A field holds a value its structure does not allow.
    #[error("{0} holds a value the TPM specification does not allow")]
    MalformedStructure(&'static str),
    /// An algorithm this verifier does not take, by its TCG identifier.
    #[error("{what} names algorithm {id:#06x}, which is not accepted here")]
    UnsupportedAlgorithm {
        /// The field.
        what: &'static str,
        /// TPM_ALG_ID or TPM_ECC_CURVE.
        id: u16,
    },
    /// A public key is not a point of its curve, or not a usable RSA key.
    #[error("{0} is not a valid public key")]
    InvalidPublicKey(&'static str),

    /// A certificate is not DER X.509 of the expected form.
    #[error("certificate is malformed: {0}")]
    MalformedCertificate(&'static str),
    /// A certificate is signed or keyed with an algorithm outside the profile.
    #[error("certificate uses algorithm {0}, which is not accepted")]
    CertificateAlgorithm(String),
    /// A certificate's signature does not verify under its issuer's key.
    #[error("certificate signature does not verify under its issuer's key")]
    CertificateSignature,
    /// No trusted root signs this chain.
    #[error("no trusted root is reached: no certificate at hand for issuer `{issuer}`")]
    UntrustedIssuer {
        /// Distinguished name looked for.
        issuer: String,
    },
    /// A certificate on the path is not valid yet.
    #[error("certificate `{subject}` is valid only from {not_before} (Unix seconds)")]
    CertificateNotYetValid {
        /// Whose certificate.
        subject: String,
        /// Start of validity, Unix seconds.
        not_before: u64,
    },
    /// A certificate on the path has expired.
    #[error("certificate `{subject}` was valid until {not_after} (Unix seconds)")]
    CertificateExpired {
        /// Whose certificate.
        subject: String,
        /// End of validity, Unix seconds.
        not_after: u64,
    },
    /// An issuer on the path may not issue certificates.
    #[error("`{subject}` issued a certificate but is not a certificate authority")]
    NotACertificateAuthority {
        /// Whose certificate.
        subject: String,
    },
    /// An issuer on the path is a CA for other things than endorsement keys.
    #[error(
        "`{subject}` may issue certificates, but not for endorsement keys (its extended key usage)"
    )]
    IssuerPurpose {
        /// Whose certificate.
        subject: String,
    },
    /// More intermediates than an issuer or this verifier allows.
    #[error("certificate path is longer than `{subject}` allows")]
    PathTooLong {
        /// The certificate that sets the limit, or where the search gave up.
        subject: String,
    },
    /// A critical extension that this verifier does not understand.
    #[error("certificate has the critical extension {0}, which is not understood")]
    UnknownCriticalExtension(String),
    /// A certificate on the path is revoked or denied, or its revocation could not be checked.
    #[error(transparent)]
    Revocation(#[from] RevocationReject),

    /// The endorsement certificate is itself a certificate authority.
    #[error("endorsement certificate is a certificate authority")]
    EkCertificateIsCa,
    /// The endorsement certificate's key usage does not let it decrypt credentials.
    #[error("endorsement certificate lacks the key usage {0}")]
    EkKeyUsage(&'static str),
    /// The endorsement certificate lacks the EKU tcg-kp-EKCertificate.
    #[error(
        "endorsement certificate lacks the extended key usage 2.23.133.8.1 (tcg-kp-EKCertificate)"
    )]
    EkExtendedKeyUsage,
    /// The endorsement certificate names no TPM manufacturer.
    #[error(
        "endorsement certificate names no TPM manufacturer (2.23.133.2.1) in its subject alternative name"
    )]
    EkManufacturer,
    /// The certificate's key is not the endorsement key that was presented.
    #[error("endorsement key differs from the key in its certificate")]
    EkKeyMismatch,
    /// The endorsement key is not made from a default template.
    #[error("endorsement key is not made from a TCG default template: {0}")]
    EkTemplate(&'static str),
    /// The attestation result cannot be written.
    #[error(transparent)]
    Result(#[from] crate::ear::Reject),
    /// The evidence of the guest that it enrols from does not hold.
    #[error("confidential guest: {0}")]
    Guest(Box<crate::tee::GuestReject>),

    /// The attestation key could sign what its TPM did not produce, or leave its TPM.
    #[error("attestation key is not a restricted signing key fixed to its TPM: {0}")]
    AttestationKeyAttributes(&'static str),
    /// The node key could leave its TPM, or is not a plain signing key.
    #[error("node key is not a signing key fixed to its TPM: {0}")]
    NodeKeyAttributes(&'static str),
    /// Attestation key and node key are one and the same.
    #[error("attestation key and node key are the same key")]
    KeysNotDistinct,

    /// A P-256 signature is not 64 bytes, or has a component out of range.
    #[error("P-256 signature is not 64 bytes r, s in range")]
    MalformedSignature,
    /// A P-256 signature has s above half the group order.
    #[error("P-256 signature has high s; send the low-s form")]
    HighS,
    /// A P-256 signature does not verify.
    #[error("P-256 signature does not verify")]
    BadSignature,

    /// The attested structure is not of the kind asked for.
    #[error("attestation is not a {0}")]
    WrongAttestationType(&'static str),
    /// The attestation answers another question: replayed, or for another statement.
    #[error(
        "attestation's extraData is not the value expected: replayed or made for another statement"
    )]
    ExtraData,
    /// The attestation was signed by a key under another parent.
    #[error("attestation's qualified signer is not this endorsement key's attestation key")]
    QualifiedSigner,
    /// The certified object is not the node key.
    #[error("certified object is not the node key presented")]
    CertifiedName,
    /// The quote covers other PCRs than the policy demands.
    #[error("quote covers other PCRs than required")]
    PcrSelection,
    /// The quote's PCR digest is not the one of the values or the policy.
    #[error("quote's PCR digest is not an expected one")]
    PcrDigest,

    /// A TPM counter ran backwards.
    #[error("TPM {counter} ran backwards: {previous} before, {now} now")]
    ClockBackwards {
        /// Which counter.
        counter: &'static str,
        /// Value in the earlier quote.
        previous: u64,
        /// Value in the later quote.
        now: u64,
    },

    /// The enrolment's proposed expiry has passed.
    #[error("enrolment expired at {expiry}, it is {now} (Unix seconds)")]
    EnrolmentExpired {
        /// Proposed by the node, Unix seconds.
        expiry: u64,
        /// Time of the judgement, Unix seconds.
        now: u64,
    },
}

impl Reject {
    /// Whether this is no verdict but the lack of something to judge by, which is nobody's fault but the verifier's.
    pub fn is_could_not_check(&self) -> bool {
        matches!(self, Self::Revocation(RevocationReject::NotChecked(_)))
    }

    /// Permanent name of the reason, for logs, reports and bundles.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Truncated(_) => "TPM_TRUNCATED",
            Self::TrailingBytes(_) => "TPM_TRAILING_BYTES",
            Self::TooLarge { .. } => "TPM_TOO_LARGE",
            Self::MalformedStructure(_) => "TPM_MALFORMED_STRUCTURE",
            Self::UnsupportedAlgorithm { .. } => "TPM_UNSUPPORTED_ALGORITHM",
            Self::InvalidPublicKey(_) => "TPM_INVALID_PUBLIC_KEY",
            Self::MalformedCertificate(_) => "CERTIFICATE_MALFORMED",
            Self::CertificateAlgorithm(_) => "CERTIFICATE_ALGORITHM",
            Self::CertificateSignature => "CERTIFICATE_SIGNATURE",
            Self::UntrustedIssuer { .. } => "CERTIFICATE_UNTRUSTED_ISSUER",
            Self::CertificateNotYetValid { .. } => "CERTIFICATE_NOT_YET_VALID",
            Self::CertificateExpired { .. } => "CERTIFICATE_EXPIRED",
            Self::NotACertificateAuthority { .. } => "CERTIFICATE_ISSUER_NOT_CA",
            Self::IssuerPurpose { .. } => "CERTIFICATE_ISSUER_PURPOSE",
            Self::PathTooLong { .. } => "CERTIFICATE_PATH_TOO_LONG",
            Self::UnknownCriticalExtension(_) => "CERTIFICATE_UNKNOWN_CRITICAL_EXTENSION",
            Self::Revocation(reject) => reject.code(),
            Self::EkCertificateIsCa => "EK_CERTIFICATE_IS_CA",
            Self::EkKeyUsage(_) => "EK_KEY_USAGE",
            Self::EkExtendedKeyUsage => "EK_EXTENDED_KEY_USAGE",
            Self::EkManufacturer => "EK_MANUFACTURER",
            Self::EkKeyMismatch => "EK_KEY_MISMATCH",
            Self::EkTemplate(_) => "EK_TEMPLATE",
            Self::Result(reject) => reject.code(),
            Self::Guest(reject) => reject.code(),
            Self::AttestationKeyAttributes(_) => "AK_ATTRIBUTES",
            Self::NodeKeyAttributes(_) => "NODE_KEY_ATTRIBUTES",
            Self::KeysNotDistinct => "KEYS_NOT_DISTINCT",
            Self::MalformedSignature => "SIGNATURE_MALFORMED",
            Self::HighS => "SIGNATURE_HIGH_S",
            Self::BadSignature => "SIGNATURE_BAD",
            Self::WrongAttestationType(_) => "ATTESTATION_WRONG_TYPE",
            Self::ExtraData => "ATTESTATION_EXTRA_DATA",
            Self::QualifiedSigner => "ATTESTATION_QUALIFIED_SIGNER",
            Self::CertifiedName => "CERTIFY_WRONG_OBJECT",
            Self::PcrSelection => "QUOTE_PCR_SELECTION",
            Self::PcrDigest => "QUOTE_PCR_DIGEST",
            Self::ClockBackwards { .. } => "TPM_CLOCK_BACKWARDS",
            Self::EnrolmentExpired { .. } => "ENROLMENT_EXPIRED",
        }
    }
}
