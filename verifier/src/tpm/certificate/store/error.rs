//! Why a root store cannot be read, written or filled.

use crate::tpm::{Reject, TpmClass, certificate::RevocationReject};

/// Why a root store or something to be imported into it cannot be used; [`StoreError::code`] is the permanent name of each.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// Not TOML of the expected form.
    #[error("root store is not of the expected form: {0}")]
    Syntax(String),
    /// Written by a later program.
    #[error("root store has format {found}, this program reads format {known}; use a later one")]
    Format {
        /// Format found.
        found: u32,
        /// Format known.
        known: u32,
    },
    /// More than any honest source holds.
    #[error("{what} has {actual} {unit}, at most {limit} are read")]
    TooLarge {
        /// What is too large.
        what: String,
        /// What is counted.
        unit: &'static str,
        /// The limit.
        limit: usize,
        /// What was found.
        actual: usize,
    },
    /// An entry's text and its bytes say different things.
    #[error("{entry} says {field} `{written}`, its bytes say `{actual}`; one of them was changed")]
    Contradiction {
        /// The entry.
        entry: String,
        /// The field.
        field: &'static str,
        /// What the text says.
        written: String,
        /// What the bytes say.
        actual: String,
    },
    /// An entry's bytes or digits cannot be decoded.
    #[error("{entry}: {what}")]
    Entry {
        /// The entry.
        entry: String,
        /// What is wrong.
        what: &'static str,
    },
    /// A certificate cannot be used.
    #[error("{entry}: {why}")]
    Certificate {
        /// The entry or file.
        entry: String,
        /// Why not.
        why: Reject,
    },
    /// A revocation list cannot be used.
    #[error(transparent)]
    Crl(RevocationReject),
    /// One root with two classes.
    #[error(
        "root `{subject}` is in the store as {present} and would be added as {new}; a root has one class"
    )]
    ClassConflict {
        /// Whose certificate.
        subject: String,
        /// Class in the store.
        present: TpmClass,
        /// Class it was to be added with.
        new: TpmClass,
    },
    /// Nothing says what the TPMs of a root are.
    #[error(
        "{path}: nothing says the class of root `{subject}`; name it with --class or --class-of"
    )]
    NoClass {
        /// The file.
        path: String,
        /// Whose certificate.
        subject: String,
    },
    /// A CA that anybody can run.
    #[error(
        "{path}: `{subject}` is a test CA which anybody can run; a store that trusts it trusts everybody (--allow-test-authority)"
    )]
    TestAuthority {
        /// The file.
        path: String,
        /// Whose certificate.
        subject: String,
    },
    /// Not a cabinet, or damaged.
    #[error("{path} is not a readable cabinet: {what}")]
    Cabinet {
        /// The file.
        path: String,
        /// What is wrong.
        what: &'static str,
    },
}

impl StoreError {
    /// [`StoreError::TooLarge`] if there is more than the limit.
    pub(in crate::tpm::certificate) fn limit(
        what: &str,
        unit: &'static str,
        limit: usize,
        actual: usize,
    ) -> Result<(), Self> {
        if actual <= limit {
            return Ok(());
        }
        Err(Self::TooLarge {
            what: what.to_owned(),
            unit,
            limit,
            actual,
        })
    }

    /// Permanent name of the reason.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Syntax(_) => "ROOTS_SYNTAX",
            Self::Format { .. } => "ROOTS_FORMAT",
            Self::TooLarge { .. } => "ROOTS_TOO_LARGE",
            Self::Contradiction { .. } => "ROOTS_CONTRADICTION",
            Self::Entry { .. } => "ROOTS_ENTRY",
            Self::Certificate { why, .. } => why.code(),
            Self::Crl(why) => why.code(),
            Self::ClassConflict { .. } => "ROOTS_CLASS_CONFLICT",
            Self::NoClass { .. } => "ROOTS_NO_CLASS",
            Self::TestAuthority { .. } => "ROOTS_TEST_AUTHORITY",
            Self::Cabinet { .. } => "ROOTS_CABINET",
        }
    }
}
